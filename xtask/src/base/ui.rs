//! What people see: results on stdout, everything else on stderr.

use std::borrow::Cow;
use std::io::{self, BufWriter, Read, Write};

use crate::base::context::Environment;
use crate::base::inert::{self, Lines};

/// Writes lines. A closed pipe (`cargo xtask plan | head`) is no error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ui {
    /// Whoever reads this takes commands from it, which are not ours to give away: see [`inert`].
    obeyed: bool,
}

impl Ui {
    /// What is printed in a job of GitHub Actions is read for commands.
    pub fn of(environment: &Environment) -> Self {
        Self { obeyed: environment.get("GITHUB_ACTIONS") == Some("true") }
    }

    /// Whether a reader would take commands from what is printed.
    pub fn is_obeyed(self) -> bool {
        self.obeyed
    }

    /// A result: what the command was asked for.
    pub fn out(self, text: impl AsRef<str>) {
        let _ = writeln!(io::stdout().lock(), "{}", self.inert(text.as_ref()));
    }

    /// A result in JSON.
    pub fn json(self, text: impl AsRef<str>) {
        let text = text.as_ref();
        let text = if self.obeyed { Cow::Owned(inert::json(text)) } else { Cow::Borrowed(text) };
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// Progress, or a remark.
    pub fn note(self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "{}", self.inert(text.as_ref()));
    }

    /// Something that deserves attention but stops nothing.
    pub fn warn(self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "warning: {}", self.inert(text.as_ref()));
    }

    /// A command to the reader, or text that has been made inert. Several lines stay together.
    pub fn command(self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }

    /// A command, a text that is not held in memory as a whole, a command; nothing else comes between them.
    pub fn copy(self, before: &str, text: impl Read, after: &str) {
        // Whether anybody reads it makes no difference to what is done.
        let _ = copy(BufWriter::new(io::stderr().lock()), before, text, after);
    }

    fn inert(self, text: &str) -> Cow<'_, str> {
        if self.obeyed { Cow::Owned(inert::text(text)) } else { Cow::Borrowed(text) }
    }
}

fn copy(mut to: impl Write, before: &str, mut text: impl Read, after: &str) -> io::Result<()> {
    writeln!(to, "{before}")?;
    let (mut lines, mut chunk, mut written) = (Lines::default(), [0; 1 << 14], Ok(()));
    let mut sink = |line: &str| {
        if written.is_ok() {
            written = writeln!(to, "{line}");
        }
    };
    while let Ok(length @ 1..) = text.read(&mut chunk) {
        lines.push(chunk.get(..length).unwrap_or_default(), &mut sink);
    }
    lines.end(&mut sink);
    written?;
    writeln!(to, "{after}")?;
    to.flush()
}

/// Rows as text in columns, two spaces between them, nothing trailing.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_commands_nothing() {
        let mut to = Vec::new();
        copy(&mut to, "::group::a", &b"1%\r::error::x\n##[error]y"[..], "::endgroup::").unwrap();
        let text = String::from_utf8(to).unwrap();
        assert_eq!(text, "::group::a\n1%\n| ::error::x\n| ## [error]y\n::endgroup::\n");
    }

    #[test]
    fn only_a_job_is_read_for_commands() {
        let ui = |name: &str, value: &str| Ui::of(&Environment::from([(name, value)]));
        assert_eq!(ui("GITHUB_ACTIONS", "true").inert("::x::"), "| ::x::");
        assert_eq!(ui("CI", "true").inert("::x::"), "::x::");
    }
}
