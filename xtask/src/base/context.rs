//! What comes from outside, read once in `main`: folders, environment, clock.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::base::error::UserError;

/// The environment as it was when we started. Nothing else reads `std::env::var`.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// From the process, without the values that are no UTF-8.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment enters")]
    pub fn from_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of a variable. One that is set to nothing counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The file of a program on `PATH`. What is relative there counts from the root: it depends on no folder.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        which::which_in(name, self.get("PATH"), "/").ok()
    }

    /// Whether this is a CI job: `CI` is set, and not to `false` or `0`.
    pub fn ci(&self) -> bool {
        self.get("CI").is_some_and(|value| !matches!(value, "false" | "0"))
    }
}

impl Environment {
    /// `XTASK_CALL_TIMEOUT`: how long a call of a tool may take, in seconds, instead of what is usual.
    ///
    /// # Errors
    /// If it is no whole number above 0.
    pub fn call_limit(&self) -> Result<Option<Duration>> {
        let Some(text) = self.get("XTASK_CALL_TIMEOUT") else { return Ok(None) };
        match text.parse() {
            Ok(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
            _ => Err(UserError::invalid(format!(
                "XTASK_CALL_TIMEOUT is `{text}`, expected a number of seconds"
            ))
            .into()),
        }
    }

    /// The address of the GitHub job that we run in: who builds, as SLSA wants it named.
    pub fn job(&self) -> Option<String> {
        let (server, repository) = (self.get("GITHUB_SERVER_URL")?, self.get("GITHUB_REPOSITORY")?);
        let (run, attempt) = (self.get("GITHUB_RUN_ID")?, self.get("GITHUB_RUN_ATTEMPT").unwrap_or("1"));
        Some(format!("{server}/{repository}/actions/runs/{run}/attempts/{attempt}"))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Where things are.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The folder of `matrix.toml`. Contexts and version files are relative to it.
    pub root: PathBuf,
    /// The matrix itself.
    pub matrix: PathBuf,
    /// The folder that holds `xtask/` and `target/tools/`: that of the Cargo workspace.
    pub workspace: PathBuf,
    /// The data of the local stack, where it is that of another checkout.
    pub stack: Option<PathBuf>,
}

impl Layout {
    /// With the matrix that was named, or else the nearest `matrix.toml` at or above `current`.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(current: &Path, named: Option<&Path>) -> Result<Self> {
        let matrix = match named {
            Some(path) => current.join(path),
            None => {
                nearest(current, "matrix.toml").map(|folder| folder.join("matrix.toml")).ok_or_else(|| {
                    UserError::invalid(format!(
                        "no matrix.toml in {} or any folder above it",
                        current.display()
                    ))
                    .help("run the command inside the checkout, or name the file with --matrix FILE")
                })?
            }
        };
        let matrix = matrix
            .canonicalize()
            .map_err(|error| UserError::invalid(format!("reading {}: {error}", matrix.display())))?;
        let root = matrix.parent().context("matrix.toml has no folder")?.to_owned();
        let workspace = nearest(&root, "xtask/Cargo.toml").unwrap_or_else(|| root.clone());
        Ok(Self { root, matrix, workspace, stack: None })
    }

    /// Of a folder that has no matrix: for what needs none.
    pub fn without_matrix(folder: &Path) -> Self {
        Self {
            root: folder.to_owned(),
            matrix: folder.join("matrix.toml"),
            workspace: folder.to_owned(),
            stack: None,
        }
    }

    /// Everything that we write about runs: `target/xtask`.
    pub fn state(&self) -> PathBuf {
        self.root.join("target/xtask")
    }

    /// The current plan.
    pub fn plan(&self) -> PathBuf {
        self.state().join("plan.json")
    }

    /// Digest records, unless `--digests` says otherwise.
    pub fn digests(&self) -> PathBuf {
        self.state().join("digests")
    }

    /// Publication records, unless `--publications` says otherwise.
    pub fn publications(&self) -> PathBuf {
        self.state().join("publications")
    }

    /// What cosign has verified in this checkout: see `publish/statement_cache.rs`.
    pub fn statements(&self) -> PathBuf {
        self.root.join("target/xtask/statements")
    }

    /// What was found in images that were looked into.
    pub fn checked(&self) -> PathBuf {
        self.state().join("checked")
    }

    /// Links to contexts that BuildKit would mix up.
    pub fn contexts(&self) -> PathBuf {
        self.state().join("contexts")
    }

    /// What commands printed.
    pub fn logs(&self) -> PathBuf {
        self.state().join("logs")
    }

    /// The data of the local stack.
    pub fn local(&self) -> PathBuf {
        self.stack.clone().unwrap_or_else(|| self.state().join("local"))
    }

    /// The modules of the tools that only the tests of this project need.
    pub fn tool_modules(&self) -> PathBuf {
        self.workspace.join("tools")
    }

    /// Tools that we built or unpacked.
    pub fn tools(&self) -> PathBuf {
        self.workspace.join("target/tools")
    }

    /// A path for people: relative to the root where it is below it.
    pub fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

fn nearest(start: &Path, file: &str) -> Option<PathBuf> {
    start.ancestors().find(|folder| folder.join(file).is_file()).map(Path::to_owned)
}

/// The real time. What one moment of a run has to agree about is in [`Context::now`].
#[derive(Debug, Clone, Copy)]
pub struct Clock(fn() -> SystemTime);

impl Clock {
    /// That of the machine.
    #[expect(clippy::disallowed_methods, reason = "this is where the time enters")]
    pub fn of_machine() -> Self {
        Self(SystemTime::now)
    }

    /// Now.
    pub fn now(self) -> SystemTime {
        (self.0)()
    }

    /// Now, in whole seconds.
    pub fn whole_seconds(self) -> SystemTime {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
    }

    /// Now in RFC 3339 and UTC, to the microsecond: of two records that one run makes the later one can be told.
    pub fn precise(self) -> String {
        humantime::format_rfc3339_micros(self.now()).to_string()
    }

    /// Now in RFC 3339, in whole seconds and UTC.
    pub fn stamp(self) -> String {
        humantime::format_rfc3339_seconds(self.now()).to_string()
    }
}

/// What every command gets.
#[derive(Debug, Clone)]
pub struct Context {
    /// The environment.
    pub environment: Environment,
    /// When the command began, in whole seconds; `SOURCE_DATE_EPOCH` where that is set.
    pub now: SystemTime,
    /// The real time, for what is written down while the command runs.
    pub clock: Clock,
    /// The folder in which the command was typed: paths on the command line are relative to it.
    pub current: PathBuf,
    /// The file of this very program. `None` where the system does not tell.
    pub program: Option<PathBuf>,
}

impl Context {
    /// From the process.
    ///
    /// # Errors
    /// If there is no current folder, or if `SOURCE_DATE_EPOCH` is no number of seconds.
    #[expect(clippy::disallowed_methods, reason = "this is where the process's own folder and file enter")]
    pub fn from_process() -> Result<Self> {
        let environment = Environment::from_process();
        let current = std::env::current_dir().context("finding the current folder")?;
        let clock = Clock::of_machine();
        let now = began(&environment, clock)?;
        Ok(Self { environment, now, clock, current, program: std::env::current_exe().ok() })
    }
}

/// <https://reproducible-builds.org/specs/source-date-epoch/>
fn began(environment: &Environment, clock: Clock) -> Result<SystemTime> {
    let seconds = match environment.get("SOURCE_DATE_EPOCH") {
        // The year 9999 is the last that RFC 3339 can write.
        Some(text) => {
            text.parse::<u64>().ok().filter(|seconds| *seconds < 253_402_300_800).ok_or_else(|| {
                UserError::invalid(format!("SOURCE_DATE_EPOCH is `{text}`: expected seconds since 1970"))
            })?
        }
        None => clock.now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
    };
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}
