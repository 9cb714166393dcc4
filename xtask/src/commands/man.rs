//! `xtask man`: the manual, a page for each command.

use anyhow::{Context as _, Result};
use std::path::Path;

use crate::base::ui::Ui;

/// Writes the pages of `command` into a folder.
///
/// # Errors
/// If they cannot be written.
pub fn run(ui: Ui, command: clap::Command, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("writing the pages into {}", folder.display()))?;
    ui.note(format!("the pages are in {}: man -l {}/xtask.1", folder.display(), folder.display()));
    Ok(())
}
