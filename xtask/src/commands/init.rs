//! `cargo xtask init`: this build system for another repository.

use anyhow::{Context as _, Result};
use std::io::{IsTerminal as _, stdout};
use std::path::PathBuf;

use crate::base::ui::columns;
use crate::init::{Wishes, propose};
use crate::scaffold::changes::{self, Change};
use crate::session::Session;
use crate::tools::Tool;

/// What was typed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The repository, relative to the current folder.
    pub folder: PathBuf,
    /// What was asked for.
    pub wishes: Wishes,
    /// `--write`.
    pub write: bool,
}

/// Runs the command.
///
/// # Errors
/// If the repository cannot be read, if nothing in it builds an image, or if a file cannot be written.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let root = session.typed(&options.folder);
    let root = root.canonicalize().with_context(|| format!("reading {}", root.display()))?;
    let buildx = || Ok(session.tools.get(Tool::Buildx)?.program);
    let proposal = propose(&root, &options.wishes, &session.runner, buildx)?;
    let open: Vec<Change> = proposal.changes.iter().filter(|change| !change.is_done()).cloned().collect();
    if !options.write {
        session.ui.out(changes::diff(&open, stdout().is_terminal(), &session.runner)?);
    }
    let head = ["image", "found in", "context", "platforms"].map(str::to_owned);
    let rows: Vec<Vec<String>> = [head].into_iter().chain(proposal.images).map(Vec::from).collect();
    session.ui.note(format!("\n{}", columns(&rows)));
    if !proposal.left.is_empty() {
        session.ui.note(format!("\nnot carried over, or left to you ({}):", proposal.left.len()));
        for left in &proposal.left {
            session.ui.note(format!("- {left}"));
        }
    }
    let lines: usize = open.iter().map(added).sum();
    let size = format!("{} files, {lines} lines", open.len());
    match (open.is_empty(), options.write) {
        (true, _) => session.ui.note("\nnothing to write: every file is there"),
        (false, false) => {
            session
                .ui
                .note(format!("\n{size} would be added; to write them, repeat the command with --write"));
        }
        (false, true) => {
            changes::write(&root, &open)?;
            session.ui.note("");
            for change in &open {
                let what = if change.before.is_some() { "changed" } else { "new" };
                session.ui.note(format!("  {what:7} {}", change.path));
            }
            session.ui.note(format!("\n{size} added. Next, in {}:\n{NEXT}", root.display()));
        }
    }
    Ok(())
}

/// What to do with what was written.
const NEXT: &str =
    "  cargo xtask --version    # compiles the tool (a minute, no output) and writes Cargo.lock
  git add --all && git commit --message \"Build images with cargo xtask\"
  cargo xtask quickstart   # builds, signs and verifies all images in a registry on this machine";

/// How many lines a file gets.
fn added(change: &Change) -> usize {
    let lines = |text: &str| text.lines().count();
    lines(&change.after).saturating_sub(change.before.as_deref().map_or(0, lines))
}
