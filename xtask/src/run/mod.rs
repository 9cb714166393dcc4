//! The only place that spawns processes.
//!
//! Every child leads a process group of its own, so that stopping it stops all
//! that it started. Ctrl-C reaches only us; we pass it on, wait, and insist.

mod reader;
pub mod retry;
mod signals;

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub use signals::{InFlight, Signals};

use crate::argv::{Argv, EnvValue};
use crate::base::error::{LOG_IN, UserError};
use crate::base::files;
use crate::base::ui::Ui;
use crate::base::usage::Usage;
use reader::Reader;

/// How long a stopped command may take to clean up before it is killed.
const GRACE: Duration = Duration::from_secs(8);

/// How much of the end of a log is read for an error, in bytes.
const LOG_END: u64 = 64 << 10;

/// Where the output of a command goes.
#[derive(Debug, Clone, Copy)]
pub enum Output<'a> {
    /// To where ours goes, as it comes. In a job that takes commands from it, line by line and without commands.
    Inherit,
    /// Into [`Finished`].
    Capture,
    /// Both streams into this file, which is created or truncated; the end of it into [`Finished::stderr`].
    Log(&'a Path),
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code, `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output, if captured.
    pub stdout: Vec<u8>,
    /// Standard error as text, if captured or logged.
    pub stderr: String,
    /// The time limit that ended it, if one did.
    pub timed_out: Option<Duration>,
}

impl Finished {
    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// The error for a command that did not succeed: purpose, how it ended, the end of its stderr.
    pub fn fault(&self, argv: &Argv) -> UserError {
        let how = match (self.timed_out, self.code) {
            (Some(limit), _) => format!("no answer within {} s", limit.as_secs()),
            (None, Some(code)) => format!("exit code {code}"),
            (None, None) => "ended by a signal".to_owned(),
        };
        let tail = tail(&self.stderr, 12);
        let detail = if tail.is_empty() { String::new() } else { format!("\n{tail}") };
        let fault = UserError::failed(format!("{}: `{}` failed: {how}{detail}", argv.purpose, name(argv)));
        if refused(&tail) { fault.help(LOG_IN) } else { fault }
    }
}

/// Whether a registry refused somebody: not known, or not allowed.
pub fn refused(text: &str) -> bool {
    let text = text.to_lowercase();
    let words = [
        "401 unauthorized",
        "unauthorized:",
        "authorization failed",
        "authentication required",
        "no basic auth credentials",
        "insufficient_scope",
        "403 forbidden",
        "denied: ",
    ];
    words.iter().any(|word| text.contains(word))
}

/// The last `lines` lines that are not blank, indented, for an error message.
pub fn tail(text: &str, lines: usize) -> String {
    let kept: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let from = kept.len().saturating_sub(lines);
    kept.iter().skip(from).map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Program and sub-commands, without options: enough to recognise a command in an error.
fn name(argv: &Argv) -> String {
    let program = Path::new(&argv.program)
        .file_name()
        .map_or(argv.program.clone(), |n| n.to_string_lossy().into_owned());
    let words = argv.args.iter().take_while(|arg| !arg.starts_with('-')).take(3);
    std::iter::once(&program).chain(words).cloned().collect::<Vec<_>>().join(" ")
}

/// Runs commands and knows which of them are alive.
#[derive(Debug, Clone)]
pub struct Runner {
    signals: Signals,
    /// Instead of the limits that commands have by themselves.
    limit: Option<Duration>,
    /// Counts what was run.
    usage: Usage,
    /// Who reads our output.
    ui: Ui,
}

impl Runner {
    /// A runner that passes on what `signals` hears.
    pub fn new(signals: Signals) -> Self {
        Self { signals, limit: None, usage: Usage::default(), ui: Ui::default() }
    }

    /// With another time limit for every command that has one.
    #[must_use]
    pub fn with_limit(self, limit: Option<Duration>) -> Self {
        Self { limit, ..self }
    }

    /// For somebody who reads the output.
    #[must_use]
    pub fn with_ui(self, ui: Ui) -> Self {
        Self { ui, ..self }
    }

    /// A runner of the same kind whose commands [`Runner::stop`] ends, and no others.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { signals: self.signals.part(), ..self.clone() }
    }

    /// Ends the commands of this part, and those that it would still start.
    pub fn stop(&self) {
        self.signals.stop();
    }

    /// The time limit of a call that has `usual` by itself.
    pub fn limit(&self, usual: Duration) -> Duration {
        self.limit.unwrap_or(usual)
    }

    /// What was run so far. The clients of registries count with it, too.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Says that a request to a registry waits for an answer. Who is asked to stop meanwhile lets it end, for a while.
    pub fn request(&self) -> InFlight {
        self.signals.begin_request()
    }

    /// Fails if somebody has asked us to stop.
    pub fn check_interrupted(&self) -> Result<()> {
        if self.signals.interrupted() { Err(UserError::failed("interrupted").into()) } else { Ok(()) }
    }

    /// Runs a command to its end, whatever that is.
    ///
    /// # Errors
    /// If it cannot be started, if its log cannot be written, or if we were asked to stop meanwhile.
    pub fn run(&self, argv: &Argv, output: Output<'_>) -> Result<Finished> {
        self.check_interrupted()?;
        let mut command = command(argv)?;
        command.stdin(Stdio::null()).process_group(0);
        let relayed = matches!(output, Output::Inherit) && self.ui.is_obeyed();
        match output {
            Output::Inherit if !relayed => {}
            Output::Inherit | Output::Capture => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
            }
            Output::Log(path) => {
                let file = File::create(path)
                    .with_context(|| format!("{}: writing {}", argv.purpose, path.display()))?;
                command.stdout(file.try_clone()?).stderr(file);
            }
        }
        let began = Instant::now();
        let child = command.spawn().map_err(|error| cannot_start(argv, &error))?;
        let mut finished = self.supervise(child, argv, relayed)?;
        self.usage.process(&name(argv), began.elapsed());
        if let Output::Log(path) = output {
            finished.stderr = files::end(path, LOG_END).unwrap_or_default();
        }
        self.check_interrupted()?;
        Ok(finished)
    }

    /// Runs a command that must succeed.
    ///
    /// # Errors
    /// As [`Runner::run`], and if the command fails: its purpose, its exit code and the end of its stderr.
    pub fn check(&self, argv: &Argv, output: Output<'_>) -> Result<Finished> {
        let finished = self.run(argv, output)?;
        if finished.success() { Ok(finished) } else { Err(finished.fault(argv).into()) }
    }

    /// Runs a command that must succeed and returns what it printed, as text.
    ///
    /// # Errors
    /// As [`Runner::check`].
    pub fn text(&self, argv: &Argv) -> Result<String> {
        let finished = self.check(argv, Output::Capture)?;
        Ok(String::from_utf8_lossy(&finished.stdout).trim_end().to_owned())
    }

    /// Runs a command that reads `input`, which is short, to its end, and captures what it prints.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn feed(&self, argv: &Argv, input: &[u8]) -> Result<Finished> {
        self.check_interrupted()?;
        let mut command = command(argv)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let began = Instant::now();
        let mut child = command.spawn().map_err(|error| cannot_start(argv, &error))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Who does not want to read it says so by its exit code.
            let _ = stdin.write_all(input);
        }
        let finished = self.supervise(child, argv, false)?;
        self.usage.process(&name(argv), began.elapsed());
        self.check_interrupted()?;
        Ok(finished)
    }

    fn supervise(&self, mut child: Child, argv: &Argv, relayed: bool) -> Result<Finished> {
        let group = child.id();
        self.signals.register(group);
        let ui = self.ui;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = if relayed {
            (
                stdout.map(|pipe| Reader::relay(pipe, move |line| ui.out(line))),
                stderr.map(|pipe| Reader::relay(pipe, move |line| ui.note(line))),
            )
        } else {
            (stdout.map(Reader::keep), stderr.map(Reader::keep))
        };
        let (done, watch) = mpsc::channel::<()>();
        let limit = argv.time_limit.map(|limit| self.limit(limit));
        let watchdog = limit.map(|limit| {
            let signals = self.signals.clone();
            thread::spawn(move || watch_over(&signals, group, limit, &watch))
        });
        let status = child.wait();
        drop(done);
        let timed_out = limit.filter(|_| watchdog.is_some_and(|thread| thread.join().unwrap_or(false)));
        self.signals.unregister(group);
        let collect = |reader: Option<Reader>| reader.map(Reader::end).unwrap_or_default();
        let (stdout, stderr) = (collect(stdout), collect(stderr));
        Ok(Finished {
            code: status.with_context(|| argv.purpose.clone())?.code(),
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            timed_out,
        })
    }
}

/// Starts a command that outlives us, in a process group of its own, both streams into `log`. Returns its pid.
///
/// # Errors
/// If the log cannot be created or the command cannot be started.
pub fn spawn_detached(argv: &Argv, log: &Path) -> Result<u32> {
    let file = File::create(log).with_context(|| format!("{}: writing {}", argv.purpose, log.display()))?;
    let child = command(argv)?
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0)
        .spawn()
        .map_err(|error| cannot_start(argv, &error))?;
    Ok(child.id())
}

/// The command as the standard library wants it, secrets read from their files.
#[expect(clippy::disallowed_methods, reason = "this is where processes are started")]
fn command(argv: &Argv) -> Result<Command> {
    let mut command = Command::new(&argv.program);
    command.args(&argv.args);
    if let Some(folder) = &argv.folder {
        command.current_dir(folder);
    }
    for (name, value) in &argv.env {
        match value {
            EnvValue::Plain(value) => command.env(name, value),
            EnvValue::FromFile(path) => {
                let secret = std::fs::read_to_string(path)
                    .with_context(|| format!("{}: reading {name} from {}", argv.purpose, path.display()))?;
                command.env(name, secret.trim_end())
            }
        };
    }
    Ok(command)
}

fn cannot_start(argv: &Argv, error: &std::io::Error) -> anyhow::Error {
    let fault = UserError::failed(format!("{}: cannot start `{}`: {error}", argv.purpose, argv.program));
    fault.help("run `cargo xtask doctor` to see what is missing").into()
}

/// Ends the group when the limit passes before `done` closes. Says whether it had to.
fn watch_over(signals: &Signals, group: u32, limit: Duration, done: &mpsc::Receiver<()>) -> bool {
    if done.recv_timeout(limit) != Err(mpsc::RecvTimeoutError::Timeout) {
        return false;
    }
    signals.terminate(group);
    if done.recv_timeout(GRACE) == Err(mpsc::RecvTimeoutError::Timeout) {
        signals.kill(group);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argv::Program;

    fn sh(script: &str) -> Argv {
        Argv::new("try the shell", &Program::new("sh")).args(["-c", script])
    }

    fn runner() -> Runner {
        Runner::new(Signals::default())
    }

    #[test]
    fn captures_both_streams_and_the_code() {
        let finished = runner().run(&sh("echo out; echo err >&2; exit 3"), Output::Capture).unwrap();
        assert_eq!((finished.code, &*finished.stdout, &*finished.stderr), (Some(3), &b"out\n"[..], "err\n"));
        let text = finished.fault(&sh("")).to_string();
        assert_eq!(text, "try the shell: `sh` failed: exit code 3\n    err");
    }

    #[test]
    fn of_a_log_only_the_end_is_kept() {
        let log = std::env::temp_dir().join(format!("xtask-run-log-{}", std::process::id()));
        let script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo why >&2";
        let finished = runner().run(&sh(script), Output::Log(&log)).unwrap();
        let whole = std::fs::metadata(&log).unwrap().len();
        std::fs::remove_file(&log).unwrap();
        assert!(whole > 2 * LOG_END && finished.stderr.len() as u64 <= LOG_END, "{whole}");
        assert!(finished.stderr.starts_with("line ") && finished.stderr.ends_with("line 19999\nwhy\n"));
    }

    #[test]
    fn a_command_reads_what_it_is_fed() {
        let finished = runner().feed(&sh("read line; echo \"<$line>\""), b"ghcr.io").unwrap();
        assert_eq!(&*finished.stdout, b"<ghcr.io>\n");
        assert_eq!(runner().feed(&sh("exit 3"), &[0; 1 << 20]).unwrap().code, Some(3));
    }

    #[test]
    fn a_time_limit_ends_the_whole_group() {
        let began = Instant::now();
        let finished = runner().run(&sh("sleep 30 & sleep 30; wait").limit(1), Output::Capture).unwrap();
        assert!(finished.timed_out.is_some() && finished.code.is_none());
        assert!(began.elapsed() < Duration::from_secs(25), "the grandchild kept the pipe open");
    }

    #[test]
    fn what_a_command_leaves_behind_is_not_waited_for() {
        let began = Instant::now();
        let finished = runner().run(&sh("sleep 30 & echo done"), Output::Capture).unwrap();
        assert_eq!((finished.code, &*finished.stdout), (Some(0), &b"done\n"[..]));
        assert!(began.elapsed() < Duration::from_secs(25), "the grandchild kept the pipe open");
    }

    #[test]
    fn a_missing_program_names_itself() {
        let error =
            runner().run(&Argv::new("sign", &Program::new("no-such-cosign")), Output::Capture).unwrap_err();
        assert!(format!("{error:#}").starts_with("sign: cannot start `no-such-cosign`"), "{error:#}");
    }
}
