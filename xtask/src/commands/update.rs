//! `cargo xtask update`: brings the workflow files that `init` wrote to the state of this version of the crate.

use anyhow::Result;
use std::io::{IsTerminal as _, stdout};

use crate::base::error::UserError;
use crate::scaffold::changes::{self, Change};
use crate::scaffold::update::{Proposal, Remark, proposals, top};
use crate::session::Session;

/// What was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// `--write`.
    pub write: bool,
    /// `--check`.
    pub check: bool,
    /// `--overwrite`.
    pub overwrite: bool,
}

/// Runs the command.
///
/// # Errors
/// If a file cannot be read or written; if one needs a decision; with `check`, if one would change.
pub fn run(session: &Session, options: Options) -> Result<()> {
    let root = top(&session.layout.workspace, &session.runner)?;
    let proposals = proposals(&root, options.overwrite, &session.runner)?;
    // The copies first: without them a file that was merged cannot be told from one that was edited.
    let copies = proposals.iter().filter_map(|proposal| proposal.copy.clone());
    let all = copies.chain(proposals.iter().map(|proposal| proposal.change.clone()));
    let open: Vec<Change> = all.filter(|change| !change.is_done()).collect();
    let diff = changes::diff(&open, stdout().is_terminal(), &session.runner)?;
    if !diff.is_empty() {
        session.ui.out(&diff);
    }
    if options.write {
        changes::write(&root, &open)?;
    }
    let remarks: Vec<String> = proposals.iter().filter_map(remark).collect();
    let count = if open.len() == 1 { "1 file".to_owned() } else { format!("{} files", open.len()) };
    match (open.is_empty(), options.write) {
        (true, _) if remarks.is_empty() => session.ui.note("the workflow files match this version"),
        (true, _) => {}
        (false, true) => {
            session.ui.note(format!("{count} written; review them with `git diff`, then commit them"))
        }
        (false, false) => {
            session.ui.note(format!("{count} would change; to write them: cargo xtask update --write"));
        }
    }
    match remarks.as_slice() {
        [] if options.check && !open.is_empty() => {
            Err(UserError::failed("the workflow files do not match this version of the crate")
                .help("cargo xtask update --write")
                .into())
        }
        [] => Ok(()),
        all => Err(UserError::failed(all.join("\nerror: ")).into()),
    }
}

/// What cannot be done without a decision, with the way out.
fn remark(proposal: &Proposal) -> Option<String> {
    let path = &proposal.change.path;
    let overwrite = "cargo xtask update --overwrite --write";
    Some(match proposal.remark? {
        Remark::Conflicts(places) => {
            let what = if places == 1 { "1 place".to_owned() } else { format!("{places} places") };
            format!(
                "{path}: this version changes {what} that this repository has changed as well\n\
                 help: resolve the conflict markers, as after `git merge`\n\
                 help: or drop the changes of this repository: {overwrite}"
            )
        }
        Remark::Undecided => format!(
            "{path}: it holds conflict markers, or the two comments around its triggers are gone, so it was not changed\n\
             help: resolve the markers; put `# Your triggers begin: …` and `# Your triggers end.` back around the triggers"
        ),
        Remark::NoBase => format!(
            "{path}: it was edited, and no commit of this clone has the file as it was written, so your changes cannot be merged\n\
             help: a shallow clone lacks the history: git fetch --unshallow\n\
             help: or see what would be lost with `cargo xtask update --overwrite`, add --write, and make your changes again"
        ),
        Remark::Foreign => format!(
            "{path}: it was not written by `init`, so it was not changed\n\
             help: rename it, or replace it: {overwrite}"
        ),
    })
}
