//! Command lines as values: built by pure functions, printed and run as they are.
//!
//! No shell is involved anywhere. What [`Argv`] displays is quoted for a POSIX
//! shell, so that a line of `--dry-run` can be pasted and does the same.

pub mod bake;
pub mod buildx;
pub mod cosign;
pub mod git;
pub mod imagetools;
pub mod options;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// An external program: its path or name, and the arguments that always come first.
///
/// buildx is the docker CLI's plugin, called by its path, else `docker-buildx`; `docker buildx` where the CLI hides its plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name on PATH, or path.
    pub path: String,
    /// Arguments before all others, e.g. `buildx`.
    pub prefix: Vec<String>,
}

impl Program {
    /// A program without fixed arguments.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), prefix: Vec::new() }
    }
}

/// The value of an environment variable of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// Shown as it is.
    Plain(String),
    /// A secret, read from this file just before the command runs and never shown.
    FromFile(PathBuf),
}

/// One external command: what it is for, its environment and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argv {
    /// What the command is for; an error begins with it ("push php-base for arm64: …").
    pub purpose: String,
    /// Variables set on top of the inherited environment.
    pub env: Vec<(String, EnvValue)>,
    /// The program, by name or path.
    pub program: String,
    /// The arguments, one element each.
    pub args: Vec<String>,
    /// The folder it runs in, where that is not the current one.
    pub folder: Option<PathBuf>,
    /// The command is stopped after this time. `None`: it may take as long as it wants (a build).
    pub time_limit: Option<Duration>,
}

impl Argv {
    /// A command of `program` without arguments yet.
    pub fn new(purpose: impl Into<String>, program: &Program) -> Self {
        Self {
            purpose: purpose.into(),
            env: Vec::new(),
            program: program.path.clone(),
            args: program.prefix.clone(),
            folder: None,
            time_limit: None,
        }
    }

    /// What xshell's `cmd!` has put together, with the folder of its shell. A variable that it removes is not
    /// removed here.
    pub fn of(purpose: impl Into<String>, command: xshell::Cmd<'_>) -> Self {
        let command = Command::from(command);
        let text = |part: &OsStr| part.to_string_lossy().into_owned();
        let variable =
            |(name, value): (&OsStr, Option<&OsStr>)| Some((text(name), EnvValue::Plain(text(value?))));
        Self {
            purpose: purpose.into(),
            env: command.get_envs().filter_map(variable).collect(),
            program: text(command.get_program()),
            args: command.get_args().map(text).collect(),
            folder: command.get_current_dir().map(Path::to_owned),
            time_limit: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a path as an argument.
    #[must_use]
    pub fn path(self, path: &Path) -> Self {
        self.arg(path.display().to_string())
    }

    /// Sets a variable that may be shown.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), EnvValue::Plain(value.into())));
        self
    }

    /// Sets a variable to the secret that `file` holds.
    #[must_use]
    pub fn secret_env(mut self, name: impl Into<String>, file: &Path) -> Self {
        self.env.push((name.into(), EnvValue::FromFile(file.to_owned())));
        self
    }

    /// Runs the command in a folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Stops the command after `seconds`.
    #[must_use]
    pub fn limit(mut self, seconds: u64) -> Self {
        self.time_limit = Some(Duration::from_secs(seconds));
        self
    }
}

impl fmt::Display for Argv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(folder) = &self.folder {
            write!(f, "cd {} && ", quote(&folder.display().to_string()))?;
        }
        for (name, value) in &self.env {
            match value {
                EnvValue::Plain(value) => write!(f, "{name}={} ", quote(value))?,
                EnvValue::FromFile(path) => {
                    write!(f, "{name}=\"$(cat {})\" ", quote(&path.display().to_string()))?
                }
            }
        }
        f.write_str(&quote(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quote(arg))?;
        }
        Ok(())
    }
}

/// Quotes one word for a POSIX shell: single quotes unless every character is plain.
pub fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cmd_puts_together_is_a_command_line() {
        let shell = xshell::Shell::new().unwrap();
        shell.change_dir("/");
        let (refs, flags) = ("refs/tags/a b", ["--quiet"]);
        let argv = Argv::of("ask", xshell::cmd!(shell, "git show {flags...} {refs}").env("A", "x y"));
        assert_eq!(argv.to_string(), "cd / && A='x y' git show --quiet 'refs/tags/a b'");
        assert_eq!((argv.purpose.as_str(), argv.time_limit), ("ask", None));
    }

    #[test]
    fn what_is_shown_can_be_pasted() {
        let argv = Argv::new("test", &Program { path: "docker".into(), prefix: vec!["buildx".into()] })
            .env("A", "x y")
            .secret_env("COSIGN_PASSWORD", Path::new("keys/pass word"))
            .args(["--build-arg", "V=it's $HOME *", ""]);
        assert_eq!(
            argv.to_string(),
            r#"A='x y' COSIGN_PASSWORD="$(cat 'keys/pass word')" docker buildx --build-arg 'V=it'\''s $HOME *' ''"#
        );
    }
}
