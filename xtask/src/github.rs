//! What GitHub Actions wants to be told.

use anyhow::{Context as _, Result};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Appends outputs of a step to the file that `$GITHUB_OUTPUT` names.
///
/// Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.
///
/// # Errors
/// If the file cannot be written, or if a value has several lines, which the plain form cannot carry.
pub fn write_output(file: &Path, outputs: &[(&str, &str)]) -> Result<()> {
    let mut text = String::new();
    for (name, value) in outputs {
        anyhow::ensure!(!value.contains(['\n', '\r']), "the output {name} has more than one line");
        text += &format!("{name}={value}\n");
    }
    let mut target = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .with_context(|| format!("opening {}", file.display()))?;
    target.write_all(text.as_bytes()).with_context(|| format!("writing {}", file.display()))
}
