//! The arguments of the commands that write files of a repository.

use clap::Args;
#[cfg(feature = "standalone")]
use std::path::PathBuf;

#[cfg(feature = "standalone")]
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The repository: its top folder.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Read images, tags and triggers from this workflow, relative to the repository; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) from_workflow: Vec<String>,
    /// Publish below this place, e.g. ghcr.io/acme for ghcr.io/acme/app, instead of what the files say; may be repeated.
    #[arg(long, value_name = "HOST/PATH")]
    pub(crate) repository: Vec<String>,
    /// The git repository of the crate.
    #[arg(long, value_name = "URL", default_value = env!("CARGO_PKG_REPOSITORY"))]
    pub(crate) git: String,
    /// The tag of the crate.
    #[arg(long, value_name = "TAG", default_value = concat!("v", env!("CARGO_PKG_VERSION")))]
    pub(crate) tag: String,
    /// Depend on the crate in this folder, relative to the repository's `xtask` folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["git", "tag"])]
    pub(crate) path: Option<String>,
    /// Write the files. Without this they are only shown.
    #[arg(long)]
    pub(crate) write: bool,
    /// Replace files that are there already.
    #[arg(long)]
    pub(crate) overwrite: bool,
}

#[cfg(feature = "standalone")]
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
    /// The name by which the program is called: that of the installed program, or of an alias for `cargo xtask`.
    #[arg(long, default_value = "xtask")]
    pub(crate) name: String,
}

#[cfg(feature = "standalone")]
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder for the pages.
    #[arg(value_name = "DIR", default_value = "target/man")]
    pub(crate) folder: PathBuf,
}

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
