//! What GitHub Actions wants to be told: outputs, log groups, annotations, the summary of a job.
//!
//! Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.

use anyhow::{Context as _, Result};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use crate::base::context::Environment;
use crate::base::error::Annotation;
use crate::base::ui::Ui;

/// What GitHub accepts as the summary of a step, in bytes.
const SUMMARY_LIMIT: usize = 1 << 20;

/// Appends outputs of a step to the file that `$GITHUB_OUTPUT` names.
///
/// # Errors
/// If the file cannot be written, or if a value has several lines, which the plain form cannot carry.
pub fn write_output<K: AsRef<str>, V: AsRef<str>>(file: &Path, outputs: &[(K, V)]) -> Result<()> {
    append(file, &lines(outputs)?)
}

fn append(file: &Path, text: &str) -> Result<()> {
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

/// The job that we are a step of. Commands go to standard error, where the output of builds goes: two streams have no
/// order.
#[derive(Debug, Clone, Copy)]
pub struct Job<'e> {
    environment: &'e Environment,
    ui: Ui,
}

impl<'e> Job<'e> {
    /// None outside GitHub Actions.
    pub fn of(environment: &'e Environment, ui: Ui) -> Option<Self> {
        (environment.get("GITHUB_ACTIONS") == Some("true")).then_some(Self { environment, ui })
    }

    /// Opens a group of the log, which closes when it is dropped.
    pub fn group(&self, title: &str) -> Group {
        self.ui.command(command("group", &[], title));
        Group(self.ui)
    }

    /// A finished log as a closed group, in one piece: other builds write meanwhile.
    pub fn folded(&self, title: &str, log: &Path) {
        match File::open(log) {
            Ok(log) => self.ui.copy(&command("group", &[], title), log, "::endgroup::"),
            Err(error) => self.ui.warn(format!("reading {}: {error}", log.display())),
        }
    }

    /// An error that the page of the run shows.
    pub fn error(&self, title: &str, text: &str) {
        self.ui.command(command("error", &[("title", title)], text));
    }

    /// Errors at places of `matrix`, which the page of the change shows beside their lines.
    pub fn annotations(&self, annotations: &[Annotation], matrix: &Path) {
        let file = in_repository(matrix, self.environment.get("GITHUB_WORKSPACE"));
        for Annotation { line, column, message } in annotations {
            let (line, column) = (line.to_string(), column.to_string());
            let place = [("file", file.as_str()), ("line", line.as_str()), ("col", column.as_str())];
            self.ui.command(command("error", &place, message));
        }
    }

    /// Adds Markdown to the summary of the job.
    ///
    /// # Errors
    /// If the file that `$GITHUB_STEP_SUMMARY` names cannot be written.
    pub fn summary(&self, markdown: &str) -> Result<()> {
        match self.environment.get("GITHUB_STEP_SUMMARY") {
            Some(file) => append(file.as_ref(), &bounded(markdown, SUMMARY_LIMIT)),
            None => Ok(()),
        }
    }
}

/// An open group of the log.
#[derive(Debug)]
#[must_use = "the group closes when this is dropped"]
pub struct Group(Ui);

impl Drop for Group {
    fn drop(&mut self) {
        self.0.command("::endgroup::");
    }
}

/// A workflow command. Whatever the text holds, it stays one line and ends nowhere early.
fn command(name: &str, properties: &[(&str, &str)], message: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |(key, value): &(&str, &str)| {
        format!("{key}={}", data(value).replace(':', "%3A").replace(',', "%2C"))
    };
    let properties: Vec<String> = properties.iter().map(property).collect();
    let space = if properties.is_empty() { "" } else { " " };
    format!("::{name}{space}{}::{}", properties.join(","), data(message))
}

/// A path as the repository knows it.
fn in_repository(path: &Path, workspace: Option<&str>) -> String {
    let below = workspace.and_then(|workspace| path.strip_prefix(workspace).ok());
    below.or_else(|| path.file_name().map(Path::new)).unwrap_or(path).display().to_string()
}

/// GitHub throws a summary away that is too long: whole lines up to the limit, in bytes.
fn bounded(text: &str, limit: usize) -> String {
    const REST: &str = "\n…\n";
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        if kept.len() + line.len() + REST.len() > limit {
            break;
        }
        kept += line;
    }
    kept + REST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_a_command() {
        assert_eq!(command("endgroup", &[], ""), "::endgroup::");
        assert_eq!(
            command("error", &[("file", "a,b:c"), ("line", "3")], "100%\r\n::stop::x"),
            "::error file=a%2Cb%3Ac,line=3::100%25%0D%0A::stop::x"
        );
    }

    #[test]
    fn annotations_name_files_as_the_repository_does() {
        let path = Path::new("/home/runner/work/examples/a/matrix.toml");
        assert_eq!(in_repository(path, Some("/home/runner/work")), "examples/a/matrix.toml");
        assert_eq!(in_repository(path, None), "matrix.toml");
        assert_eq!(in_repository(path, Some("/elsewhere")), "matrix.toml");
    }

    #[test]
    fn a_summary_is_cut_at_a_line() {
        assert_eq!(bounded("a\nb\n", 4), "a\nb\n");
        assert_eq!(bounded("a\nbbbbbbbbbb\nc\n", 12), "a\n\n…\n");
    }

    #[test]
    fn outside_of_a_job_there_is_nobody_to_tell() {
        assert!(Job::of(&Environment::from([("CI", "true")]), Ui::default()).is_none());
        assert!(Job::of(&Environment::from([("GITHUB_ACTIONS", "true")]), Ui::default()).is_some());
    }
}
