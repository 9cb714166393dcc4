//! `cargo xtask update`: brings the workflow files that `init` wrote to the state of this version of the crate.

use anyhow::Result;
use std::io::{IsTerminal as _, stdout};

use crate::base::error::UserError;
use crate::scaffold::changes::{self, Change};
use crate::scaffold::update::{Proposal, Remark, proposals};
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
/// If a file cannot be read or written; if one needs somebody to look at it; with `check`, if one would change.
pub fn run(session: &Session, options: Options) -> Result<()> {
    let root = &session.layout.workspace;
    let proposals = proposals(root, options.overwrite, &session.runner)?;
    let undone = |change: &Change| !change.is_done();
    let open: Vec<Change> = proposals.iter().map(|proposal| proposal.change.clone()).filter(undone).collect();
    let diff = changes::diff(&open, stdout().is_terminal(), &session.runner)?;
    if !diff.is_empty() {
        session.ui.out(&diff);
    }
    if options.write {
        // The copies first: a file that was merged cannot be told from one that was edited.
        let copies: Vec<Change> = proposals.iter().filter_map(|proposal| proposal.copy.clone()).collect();
        changes::write(root, &copies)?;
        changes::write(root, &open)?;
    }
    let count = match open.len() {
        0 => "the workflow files are those of this version".to_owned(),
        1 => "1 file".to_owned(),
        more => format!("{more} files"),
    };
    session.ui.note(match (open.is_empty(), options.write) {
        (true, _) => count,
        (false, true) => format!("{count} written: look at them with `git diff`, then commit them"),
        (false, false) => format!("{count} would change; to write them: cargo xtask update --write"),
    });
    let remarks: Vec<UserError> = proposals.iter().filter_map(remark).collect();
    match remarks.into_iter().next() {
        Some(first) => Err(first.into()),
        None if options.check && !open.is_empty() => {
            Err(UserError::failed("the workflow files are not those of this version of the crate")
                .help("cargo xtask update --write")
                .into())
        }
        None => Ok(()),
    }
}

/// What somebody has to look at.
fn remark(proposal: &Proposal) -> Option<UserError> {
    let path = &proposal.change.path;
    Some(match proposal.remark? {
        Remark::Conflicts(places) => {
            let what = if places == 1 { "1 place".to_owned() } else { format!("{places} places") };
            UserError::failed(format!("{path}: this version changes {what} that this repository has changed, too"))
                .help("decide between the conflict markers, as after `git merge`")
                .help("or drop the changes of this repository: cargo xtask update --overwrite --write")
        }
        Remark::NoBase => UserError::failed(format!(
            "{path}: it was edited, and git has no commit with the file as it was written, so the changes cannot be carried over"
        ))
        .help("see what is lost: cargo xtask update --overwrite; then write it with --write, and make the changes again"),
        Remark::Foreign => UserError::failed(format!("{path}: it was not written by `init`, so it stays as it is"))
            .help("rename it, or replace it: cargo xtask update --overwrite --write"),
    })
}
