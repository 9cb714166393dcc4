//! Errors that know their exit code and their mend.
//!
//! Everything fallible returns [`anyhow::Result`]. A [`UserError`] anywhere in the
//! chain decides the exit code and carries the `help:` lines; anything else is
//! a plain failure. [`report`] and [`exit_code`] are the only places that look.

use std::fmt;

/// What to do where a registry refuses something.
pub const LOG_IN: &str = "the login or the right to do this is missing: `docker login HOST`; on GitHub give this repository Write under *Manage \
                          Actions access* of a package of ghcr.io, and for another registry set REGISTRY and its secrets (docs/adopt.md)";

/// The exit codes of the tool (see `docs/reference.md`): 0 done, 1 failed, 2 invalid input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The work was attempted and failed.
    Failed,
    /// The arguments, `matrix.toml`, a plan or a record are invalid; nothing was attempted.
    Invalid,
}

impl Exit {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Invalid => 2,
        }
    }
}

/// An error with an exit code and, where there is one, the way out.
#[derive(Debug)]
pub struct UserError {
    exit: Exit,
    message: String,
    help: Vec<String>,
    annotations: Vec<Annotation>,
}

/// A place in `matrix.toml` and what is wrong there, for annotations. Line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// What is wrong, and the mend.
    pub message: String,
}

impl UserError {
    /// The work was attempted and failed: exit code 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message.into())
    }

    /// What was given is invalid: exit code 2.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Exit::Invalid, message.into())
    }

    fn new(exit: Exit, message: String) -> Self {
        Self { exit, message, help: Vec::new(), annotations: Vec::new() }
    }

    /// Adds the places in `matrix.toml` that are wrong.
    #[must_use]
    pub fn annotations(mut self, annotations: Vec<Annotation>) -> Self {
        self.annotations = annotations;
        self
    }

    /// Adds a line that says how to mend it. May be called several times.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UserError {}

/// The exit code of an error: that of the outermost [`UserError`] in its chain, else 1.
pub fn exit_code(error: &anyhow::Error) -> Exit {
    user_errors(error).next().map_or(Exit::Failed, |fault| fault.exit)
}

/// The same error with one more line that says how to mend it, wherever it came from.
pub fn helped(error: &anyhow::Error, line: impl Into<String>) -> anyhow::Error {
    let mut same = UserError::new(exit_code(error), format!("{error:#}"));
    same.help = user_errors(error).flat_map(|cause| cause.help.clone()).collect();
    same.help(line).into()
}

/// The text for people: the chain on one line, then one `help:` line per mend.
/// An error that is a block of diagnostics of its own is printed as it is.
pub fn report(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let mut out = if text.starts_with("error: ") { text } else { format!("error: {text}") };
    for line in user_errors(error).flat_map(|fault| &fault.help) {
        out.push_str("\nhelp: ");
        out.push_str(line);
    }
    out
}

/// The places in `matrix.toml` that are wrong.
pub fn annotations(error: &anyhow::Error) -> Vec<Annotation> {
    user_errors(error).flat_map(|fault| fault.annotations.clone()).collect()
}

fn user_errors(error: &anyhow::Error) -> impl Iterator<Item = &UserError> {
    error.chain().filter_map(|cause| cause.downcast_ref::<UserError>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn an_invalid_input_keeps_its_code_and_help_under_context() {
        let error = Err::<(), _>(UserError::invalid("no such cell: x").help("see `cargo xtask plan`"))
            .context("choosing cells")
            .unwrap_err();
        assert_eq!(exit_code(&error), Exit::Invalid);
        assert_eq!(report(&error), "error: choosing cells: no such cell: x\nhelp: see `cargo xtask plan`");
    }

    #[test]
    fn help_can_be_added_on_the_way() {
        let error = Err::<(), _>(UserError::invalid("no such cell: x").help("see `cargo xtask plan`"))
            .context("choosing cells")
            .unwrap_err();
        let error = helped(&error, "or leave it out");
        assert_eq!(exit_code(&error), Exit::Invalid);
        assert_eq!(
            report(&error),
            "error: choosing cells: no such cell: x\nhelp: see `cargo xtask plan`\nhelp: or leave it out"
        );
    }

    #[test]
    fn a_foreign_error_is_a_failure() {
        let error = anyhow::anyhow!("disk full");
        assert_eq!(exit_code(&error), Exit::Failed);
        assert_eq!(report(&error), "error: disk full");
    }
}
