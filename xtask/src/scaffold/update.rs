//! What becomes of the workflow files of a repository: those of this version of the crate, with the triggers and the
//! changes of the repository.

use anyhow::Result;
use std::path::Path;

use crate::argv::{Argv, Program};
use crate::run::{Output, Runner};
use crate::scaffold::changes::{self, Change};
use crate::scaffold::templates::{self, Template};

/// How many versions of a file are looked at to find the one that was edited.
const DEPTH: &str = "200";

/// How a file stands to its template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is missing.
    Missing,
    /// It is what this version of the crate writes.
    Current,
    /// It is what this version of the crate writes, with changes by the repository.
    Edited,
    /// Another version of the crate has written it.
    Outdated,
    /// This project has not written it.
    Foreign,
}

impl State {
    /// Of a file that holds `text`.
    #[must_use]
    pub fn of(template: Template, text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::Missing };
        match templates::stamp(text) {
            None => Self::Foreign,
            Some(stamp) if stamp != template.hash() => Self::Outdated,
            Some(_) if templates::is_pristine(text) => Self::Current,
            Some(_) => Self::Edited,
        }
    }
}

/// What is proposed for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The file.
    pub change: Change,
    /// Where it has changes of the repository: a copy without them, since no commit will have one. The next update needs it.
    pub copy: Option<Change>,
    /// Why it needs somebody to look at it, if it does.
    pub remark: Option<Remark>,
}

/// Why a proposal needs somebody to look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// The new version changes what the repository has changed: so many places are between conflict markers.
    Conflicts(i32),
    /// It was edited, and no commit has it as it was written: nothing is proposed.
    NoBase,
    /// This project has not written it: nothing is proposed.
    Foreign,
}

/// What is proposed for the files of a repository. `overwrite`: changes of the repository are dropped, but for its triggers.
///
/// # Errors
/// If a file cannot be read, or if git does not answer.
pub fn proposals(root: &Path, overwrite: bool, runner: &Runner) -> Result<Vec<Proposal>> {
    templates::ALL.iter().map(|template| proposal(*template, root, overwrite, runner)).collect()
}

fn proposal(template: Template, root: &Path, overwrite: bool, runner: &Runner) -> Result<Proposal> {
    let before = changes::read(root, template.path)?;
    let state = State::of(template, before.as_deref());
    let text = before.clone().unwrap_or_default();
    let new = template.text(templates::triggers(&text));
    let mut copy = None;
    let (after, remark) = match state {
        State::Current | State::Edited if !overwrite => (text, None),
        State::Foreign if !overwrite => (text, Some(Remark::Foreign)),
        State::Outdated if !overwrite && !templates::is_pristine(&text) && !template.is_in(&text) => {
            let (after, remark) = merged(template, &text, &new, root, runner)?;
            if remark != Some(Remark::NoBase) {
                let path = copy_path(template);
                copy = Some(Change { before: changes::read(root, &path)?, path, after: new });
            }
            (after, remark)
        }
        _ => (new, None),
    };
    Ok(Proposal { change: Change { path: template.path.to_owned(), before, after }, copy, remark })
}

/// Where the copy of a file is that was merged.
fn copy_path(template: Template) -> String {
    template.path.replace(".github", "xtask/as-written")
}

/// The new version with the changes of the repository.
fn merged(
    template: Template,
    text: &str,
    new: &str,
    root: &Path,
    runner: &Runner,
) -> Result<(String, Option<Remark>)> {
    let Some(base) = base(template, text, root, runner)? else {
        return Ok((text.to_owned(), Some(Remark::NoBase)));
    };
    // The triggers of both are the repository's, so that they are never in conflict.
    let base = templates::with_triggers(&base, templates::triggers(text).unwrap_or_default());
    let (after, conflicts) = changes::merge(&base, text, new, runner)?;
    Ok((after, (conflicts > 0).then_some(Remark::Conflicts(conflicts))))
}

/// The file as it was written before it was edited: the copy that the last update has left, else the newest version in the
/// history of the repository. Whichever it is, it has the first line of `text` and holds what that says.
fn base(template: Template, text: &str, root: &Path, runner: &Runner) -> Result<Option<String>> {
    let is_base = |old: &str| templates::stamp(old) == templates::stamp(text) && templates::is_pristine(old);
    if let Some(copy) = changes::read(root, &copy_path(template))?.filter(|copy| is_base(copy)) {
        return Ok(Some(copy));
    }
    let git = |args: &[&str]| {
        let argv = Argv::new(format!("look for {} as it was written", template.path), &Program::new("git"));
        argv.args(args.iter().copied()).folder(root).limit(60)
    };
    let list = ["log", "--format=%H", "--max-count", DEPTH, "--", template.path];
    let commits = runner.run(&git(&list), Output::Capture)?;
    // Where there is no git, or no commit, there is no history.
    for commit in String::from_utf8_lossy(&commits.stdout).lines().filter(|_| commits.success()) {
        let shown = runner.run(&git(&["show", &format!("{commit}:./{}", template.path)]), Output::Capture)?;
        let old = String::from_utf8_lossy(&shown.stdout).into_owned();
        if shown.success() && is_base(&old) {
            return Ok(Some(old));
        }
    }
    Ok(None)
}
