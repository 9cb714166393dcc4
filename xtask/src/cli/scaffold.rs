//! The arguments of the commands that write files of a repository.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Write the files. Without this the changes are only shown.
    #[arg(long)]
    pub(crate) write: bool,
    /// Fail if a file would change.
    #[arg(long, conflicts_with = "write")]
    pub(crate) check: bool,
    /// Drop what this repository has changed in the files, except for its triggers.
    #[arg(long)]
    pub(crate) overwrite: bool,
}
