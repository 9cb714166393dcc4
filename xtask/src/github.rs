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
pub fn write_output<K: AsRef<str>, V: AsRef<str>>(file: &Path, outputs: &[(K, V)]) -> Result<()> {
    let text = lines(outputs)?;
    let mut target = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .with_context(|| format!("opening {}", file.display()))?;
    target.write_all(text.as_bytes()).with_context(|| format!("writing {}", file.display()))
}

/// Outputs in the form of that file: a line each.
///
/// # Errors
/// If a value has several lines.
pub fn lines<K: AsRef<str>, V: AsRef<str>>(outputs: &[(K, V)]) -> Result<String> {
    let mut text = String::new();
    for (name, value) in outputs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())) {
        anyhow::ensure!(!value.contains(['\n', '\r']), "the output {name} has more than one line");
        text += &format!("{name}={value}\n");
    }
    Ok(text)
}
