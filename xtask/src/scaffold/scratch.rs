//! A folder for what is needed for a moment.

use anyhow::{Context as _, Result};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A private folder for temporary files, gone when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        let (all, own) = (std::env::temp_dir(), std::process::id());
        // One that is there belongs to somebody else.
        let made = (0..100)
            .map(|number| all.join(format!("xtask-{own}-{number}")))
            .find_map(|folder| DirBuilder::new().mode(0o700).create(&folder).is_ok().then_some(folder));
        made.map(Self).with_context(|| format!("creating a temporary folder in {}", all.display()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
