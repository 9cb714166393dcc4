//! `xtask completions`: what a shell completes.

use anyhow::Result;
use clap_complete::Shell;

use crate::base::ui::Ui;

/// What was typed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The shell.
    pub shell: Shell,
    /// The name by which the program is called.
    pub name: String,
}

/// Prints the completions of `command`.
///
/// # Errors
/// Never, as a text in memory can always be written.
pub fn run(ui: Ui, mut command: clap::Command, options: &Options) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut command, &options.name, &mut text);
    ui.out(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}
