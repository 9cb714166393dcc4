//! The commands of `[publish] gate`: each judges what is about to be published, and none may fail.

use anyhow::Result;
use std::path::Path;

use crate::argv::{Argv, Program};
use crate::base::error::UserError;
use crate::base::gates;
use crate::base::ids::{Digest, Repository};
use crate::plan::Cell;
use crate::run::{Output, Runner, tail};

/// How long one may take, in seconds: a scanner loads its database first.
const LIMIT: u64 = 1800;

/// How much is shown of what one that failed has printed, in lines.
const SHOWN: usize = 40;

/// The command of a gate for an index in a repository. It runs in the folder of `matrix.toml`.
///
/// # Errors
/// If the plan has a gate that no matrix can have.
pub fn command(
    root: &Path,
    words: &[String],
    cell: &Cell,
    repository: &Repository,
    digest: &Digest,
) -> Result<Argv> {
    let value = |name: &str| match name {
        "reference" => repository.at(digest),
        "repository" => repository.to_string(),
        "digest" => digest.to_string(),
        "cell" => cell.id.to_string(),
        _ => cell.version.clone().unwrap_or_default(),
    };
    let expand = |word: &String| {
        gates::expand(word, value)
            .map_err(|what| UserError::invalid(format!("a gate of the plan has {what} in `{word}`")))
    };
    let words = words.iter().map(expand).collect::<std::result::Result<Vec<String>, UserError>>()?;
    let (program, args) =
        words.split_first().ok_or_else(|| UserError::invalid("a gate of the plan is empty"))?;
    let purpose = format!("ask the gate `{program}` about {}", repository.at(digest));
    let argv = Argv::new(purpose, &Program::new(program)).args(args.iter().cloned());
    Ok(argv.folder(root).limit(LIMIT))
}

/// Runs one.
///
/// # Errors
/// If it fails, or cannot be run: then nothing is published.
pub fn pass(runner: &Runner, argv: &Argv) -> Result<()> {
    let finished = runner.run(argv, Output::Capture)?;
    if finished.success() {
        return Ok(());
    }
    let said = tail(&String::from_utf8_lossy(&finished.stdout), SHOWN);
    let said = if said.is_empty() { said } else { format!("\n{said}") };
    Err(UserError::failed(format!("{}{said}", finished.fault(argv)))
        .help("no tag was set: fix what it has found, or change `gate` of [publish] in matrix.toml")
        .help(format!("the same by hand: {argv}"))
        .into())
}
