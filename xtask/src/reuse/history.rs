//! What git knows about the time since something was published.

use anyhow::Result;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use xshell::{Shell, cmd};

use crate::argv::Argv;
use crate::base::ids::CellId;
use crate::base::inputs::{CONTEXT, NAMED_CONTEXT};
use crate::matrix::RefSpec;
use crate::matrix::cells::cells;
use crate::plan::{Cell, DestinationKind, Plan};
use crate::run::Output;
use crate::session::Session;

/// How many changed files are named.
const NAMED: usize = 3;

/// The commits and files of a checkout, each question asked once.
#[derive(Debug)]
pub(super) struct History<'s> {
    session: &'s Session,
    /// The version file of each cell that has one.
    versions: BTreeMap<CellId, String>,
    /// What was touched since a revision, by that; an error is a phrase.
    touched: RefCell<BTreeMap<String, Result<Vec<String>, String>>>,
    /// Which files differ from those of a revision.
    differing: RefCell<BTreeMap<String, Vec<String>>>,
}

impl<'s> History<'s> {
    /// Of the checkout that a plan was made from.
    ///
    /// # Errors
    /// If `matrix.toml` cannot be read any more.
    pub(super) fn of(session: &'s Session, plan: &Plan) -> Result<Self> {
        let matrix = session.matrix()?;
        let (specs, _) = cells(&matrix);
        let of_plan = specs.iter().filter(|spec| plan.cell(&spec.id).is_some());
        let file = |reference: &RefSpec| match reference {
            RefSpec::File(path) => Some(path.clone()),
            _ => None,
        };
        let versions = of_plan.filter_map(|spec| Some((spec.id.clone(), file(&spec.reference().value)?)));
        let versions = versions.collect();
        Ok(Self { session, versions, touched: RefCell::default(), differing: RefCell::default() })
    }

    /// Why something else may have been published from a commit since the one that a kept index was made from: a phrase. A
    /// late run of that commit would count as newer, unless a new record says that the index is current again.
    pub(super) fn since(&self, plan: &Plan, cell: &Cell, revision: &str) -> Option<String> {
        if revision == plan.revision {
            // The checkout of a laptop publishes for itself alone.
            let alone = plan.destination.kind == DestinationKind::Local || !plan.dirty();
            return (!alone).then(|| "the checkout has uncommitted changes".to_owned());
        }
        if plan.dirty() || revision.ends_with("-dirty") {
            return Some("the published or the current checkout has uncommitted changes".to_owned());
        }
        let mut touched = self.touched.borrow_mut();
        let found = touched.entry(revision.to_owned()).or_insert_with(|| self.log(revision, &plan.revision));
        match found {
            Err(why) => Some(why.clone()),
            Ok(paths) => {
                let own = self.paths(plan, cell);
                // A submodule is touched as a whole: git names the folder above.
                let is_own = |path: &str| own.iter().any(|own| is_in(path, own) || is_in(own, path));
                let path = paths.iter().find(|path| is_own(path))?;
                Some(format!("a commit since {} touched {path}", short(revision)))
            }
        }
    }

    /// Every path that the commits between two have touched, however they have left it.
    fn log(&self, from: &str, to: &str) -> Result<Vec<String>, String> {
        let unknown = || {
            format!(
                "git cannot list the changes since commit {} (shallow clone, or rewritten history?)",
                short(from)
            )
        };
        let ask = |words: &[&str]| self.git(words).ok().flatten().ok_or_else(unknown);
        ask(&["merge-base", "--is-ancestor", from, to])?;
        let range = format!("{from}..{to}");
        ask(&["log", "-m", "--no-renames", "--name-only", "--relative", "--format=", "-z", &range])
    }

    /// What decides a cell and lies in the checkout: its own paths, and those of what it needs.
    fn paths(&self, plan: &Plan, cell: &Cell) -> BTreeSet<String> {
        let mut paths = BTreeSet::from(["matrix.toml".to_owned()]);
        let matrix = &self.session.layout.matrix;
        paths.extend(matrix.file_name().map(|name| name.to_string_lossy().into_owned()));
        let needed = crate::plan::filter::needed(plan, cell);
        for cell in needed.into_iter().filter_map(|id| plan.cell(id)).chain([cell]) {
            paths.extend(self.versions.get(&cell.id).cloned());
            for build in &cell.builds {
                paths.extend(self.real(&build.context));
                paths.insert(build.context.clone());
                paths.insert(format!("{}/{}", build.context, build.dockerfile));
                paths.extend(build.contexts.iter().filter(|one| one.local).map(|one| one.source.clone()));
            }
        }
        paths
    }

    /// Where a folder really lies, if it is reached by a link: git knows that path.
    fn real(&self, path: &str) -> Option<String> {
        let root = self.session.layout.root.canonicalize().ok()?;
        let real = root.join(path).canonicalize().ok()?;
        Some(real.strip_prefix(root).ok()?.to_string_lossy().into_owned())
    }

    /// A changed context by its changed files, where git can name them; everything else stays as it is.
    pub(super) fn files(&self, cell: &Cell, revision: Option<&str>, input: String) -> Vec<String> {
        let of = |kind: &str| input.strip_prefix(kind)?.strip_suffix(" changed");
        let named = |name| cell.builds.iter().flat_map(|build| &build.contexts).find(|one| one.name == name);
        let source = of(NAMED_CONTEXT).and_then(|name| Some(named(name)?.source.as_str()));
        let (Some(folder), Some(revision)) = (of(CONTEXT).or(source), revision) else { return vec![input] };
        let folder = folder.to_owned();
        let mut differing = self.differing.borrow_mut();
        let files = differing.entry(revision.to_owned()).or_insert_with(|| self.diff(revision));
        let files: Vec<&String> = files.iter().filter(|path| is_in(path, &folder)).collect();
        if files.is_empty() {
            return vec![input];
        }
        let mut told: Vec<String> = files.iter().take(NAMED).map(|path| format!("{path} changed")).collect();
        if let Some(more) = files.len().checked_sub(NAMED).filter(|more| *more > 0) {
            told.push(format!("{more} more files of {folder} changed"));
        }
        told
    }

    /// The files that are not what they were in a commit, and those that git does not know.
    fn diff(&self, revision: &str) -> Vec<String> {
        let commit = revision.strip_suffix("-dirty").unwrap_or(revision);
        let changed = self.git(&["diff", "--name-only", "--no-renames", "--relative", "-z", commit]);
        let new = self.git(&["ls-files", "--others", "--exclude-standard", "-z"]);
        [changed, new].into_iter().filter_map(|found| found.ok().flatten()).flatten().collect()
    }

    /// The paths that git lists; none if it refuses.
    fn git(&self, words: &[&str]) -> Result<Option<Vec<String>>> {
        let shell = Shell::new()?;
        shell.change_dir(&self.session.layout.root);
        let command = cmd!(shell, "git -c log.showSignature=false {words...}");
        let argv = Argv::of("ask git what has changed", command).env("GIT_TERMINAL_PROMPT", "0").limit(60);
        let finished = self.session.runner.run(&argv, Output::Capture)?;
        let text = String::from_utf8_lossy(&finished.stdout);
        let paths =
            text.split('\0').map(|path| path.trim_start_matches('\n')).filter(|path| !path.is_empty());
        Ok(finished.success().then(|| paths.map(str::to_owned).collect()))
    }
}

/// Whether a path is a file or lies in a folder, `.` being all of the checkout.
fn is_in(path: &str, folder: &str) -> bool {
    let folder = folder.trim_start_matches("./").trim_end_matches('/');
    folder.is_empty()
        || folder == "."
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn short(revision: &str) -> &str {
    revision.get(..7).unwrap_or(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_what_is_below_it() {
        for (path, folder, expected) in [
            ("images/app/src/x", "images/app", true),
            ("images/app/src/x", "./images/app/", true),
            ("images/application/x", "images/app", false),
            ("matrix.toml", ".", true),
            ("matrix.toml", "matrix.toml", true),
        ] {
            assert_eq!(is_in(path, folder), expected, "{path} in {folder}");
        }
    }
}
