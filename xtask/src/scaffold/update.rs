//! What becomes of the workflow files of a repository: those of this version of the crate, with the triggers and the
//! changes of the repository.

use anyhow::Result;
use std::path::{Path, PathBuf};

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
    /// Places that an update could not decide are still between conflict markers, or its triggers are not between their marks.
    Undecided,
    /// This project has not written it.
    Foreign,
}

impl State {
    /// Of a file that holds `text`.
    #[must_use]
    pub fn of(template: Template, text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::Missing };
        let text = &normal(text);
        let unmarked = template.has_triggers() && templates::triggers(text).is_none();
        match templates::stamp(text) {
            None => Self::Foreign,
            Some(_) if unmarked || text.lines().any(|line| line.starts_with("<<<<<<< ")) => Self::Undecided,
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
    /// Why it needs a decision, if it does.
    pub remark: Option<Remark>,
}

/// Why a proposal needs a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// The new version changes what the repository has changed: so many places are between conflict markers.
    Conflicts(i32),
    /// Conflict markers of an earlier update are left, or the marks around the triggers are gone: nothing is proposed.
    Undecided,
    /// It was edited, and no commit has it as it was written: nothing is proposed.
    NoBase,
    /// This project has not written it: nothing is proposed.
    Foreign,
}

/// The top folder of the repository that holds `folder`, from which GitHub reads workflows.
///
/// # Errors
/// If git cannot be started.
pub fn top(folder: &Path, runner: &Runner) -> Result<PathBuf> {
    let argv = Argv::new("look for the top folder of the repository", &Program::new("git"))
        .args(["rev-parse", "--show-toplevel"])
        .folder(folder)
        .limit(60);
    let answer = runner.run(&argv, Output::Capture)?;
    let text = String::from_utf8_lossy(&answer.stdout);
    let known = answer.success().then(|| text.trim_end_matches('\n')).filter(|text| !text.is_empty());
    Ok(known.map_or_else(|| folder.to_owned(), PathBuf::from))
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
    // With the line ends of a checkout on Windows it is still the same file.
    let text = before.as_deref().map(normal).unwrap_or_default();
    let new = template.text(templates::triggers(&text));
    let mut copy = None;
    let (after, remark) = match state {
        State::Current | State::Edited if !overwrite => (text, None),
        // Without its marks nobody knows which lines are the repository's, so these are never replaced.
        State::Undecided if !overwrite || template.has_triggers() && templates::triggers(&text).is_none() => {
            (text, Some(Remark::Undecided))
        }
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
    let crlf = before.as_ref().is_some_and(|before| before.contains("\r\n"));
    let after = if crlf { after.replace('\n', "\r\n") } else { after };
    Ok(Proposal { change: Change { path: template.path.to_owned(), before, after }, copy, remark })
}

/// A text with the line ends of this project.
fn normal(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// Where the copy of a file is that was merged.
fn copy_path(template: Template) -> String {
    template.path.replace(".github/", ".github/as-written/")
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
    let copy = changes::read(root, &copy_path(template))?.map(|copy| normal(&copy));
    if let Some(copy) = copy.filter(|copy| is_base(copy)) {
        return Ok(Some(copy));
    }
    let git = |args: &[&str]| {
        let argv = Argv::new(format!("look for {} as it was written", template.path), &Program::new("git"));
        argv.args(args.iter().copied()).folder(root).limit(60)
    };
    let list = ["log", "--format=%H", "--max-count", DEPTH, "--", template.path];
    let commits = runner.run(&git(&list), Output::Capture)?;
    // Where there is no repository, or no commit, there is no history.
    for commit in String::from_utf8_lossy(&commits.stdout).lines().filter(|_| commits.success()) {
        let shown = runner.run(&git(&["show", &format!("{commit}:./{}", template.path)]), Output::Capture)?;
        let old = normal(&String::from_utf8_lossy(&shown.stdout));
        if shown.success() && is_base(&old) {
            return Ok(Some(old));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Signals;
    use crate::scaffold::scratch::Scratch;

    const CELL: Template = templates::ALL[2];
    const IMAGES: Template = templates::ALL[0];

    /// As another version has written it: with one line less.
    fn older(template: Template) -> String {
        let text = template.text(None);
        let (_, body) = text.split_once('\n').unwrap();
        templates::stamped("#", &body.replacen("permissions: {}\n", "", 1))
    }

    #[test]
    fn every_state_is_told() {
        let edit = |text: &str| text.replace("timeout-minutes: ", "timeout-minutes: 1");
        let current = CELL.text(None);
        let table = [
            (None, State::Missing),
            (Some(current.clone()), State::Current),
            (Some(current.replace('\n', "\r\n")), State::Current),
            (Some(edit(&current)), State::Edited),
            (Some(older(CELL)), State::Outdated),
            (Some(edit(&older(CELL))), State::Outdated),
            (Some(format!("{current}<<<<<<< your changes\n")), State::Undecided),
            (Some("name: cell\n".to_owned()), State::Foreign),
        ];
        for (text, state) in table {
            assert_eq!(State::of(CELL, text.as_deref()), state, "{text:?}");
        }
        let unmarked = IMAGES.text(None).replace("  # Your triggers end.\n", "");
        assert_eq!(State::of(IMAGES, Some(&unmarked)), State::Undecided);
    }

    #[test]
    fn what_belongs_to_the_repository_is_never_replaced() {
        let scratch = Scratch::new().unwrap();
        let runner = Runner::new(Signals::default());
        let propose = |template: Template, text: &str, overwrite: bool| {
            changes::write(
                scratch.path(),
                &[Change { path: template.path.to_owned(), before: None, after: text.to_owned() }],
            )
            .unwrap();
            proposal(template, scratch.path(), overwrite, &runner).unwrap()
        };
        let own = "  push:\n    branches: [trunk]\n";
        let images = older(IMAGES).replace(templates::triggers(&older(IMAGES)).unwrap(), own);
        for overwrite in [false, true] {
            let proposal = propose(IMAGES, &images.replace('\n', "\r\n"), overwrite);
            let expected = IMAGES.text(Some(own)).replace('\n', "\r\n");
            assert_eq!((proposal.change.after, proposal.remark), (expected, None));
            let unmarked = images.replace("  # Your triggers end.\n", "");
            let proposal = propose(IMAGES, &unmarked, overwrite);
            assert_eq!((proposal.change.after, proposal.remark), (unmarked, Some(Remark::Undecided)));
        }
        let edited = older(CELL).replace("timeout-minutes: 60", "timeout-minutes: 61");
        assert_eq!(propose(CELL, &edited, false).remark, Some(Remark::NoBase));
        assert_eq!(propose(CELL, &edited, true).change.after, CELL.text(None));
    }
}
