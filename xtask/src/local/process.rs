//! Processes that outlive the command that starts them, told apart from others that get their number later.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::argv::Argv;
use crate::base::error::UserError;
use crate::run::spawn_detached;

/// How long a service may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// One process: its number and the moment at which it started, which together name it for as long as the machine is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Id {
    name: String,
    pid: u32,
    /// Field 22 of `/proc/PID/stat`, in clock ticks since the machine came up.
    started: u64,
}

impl Id {
    /// Starts a command and remembers it.
    pub(super) fn start(name: &str, argv: &Argv, log: &Path) -> Result<Self> {
        let pid = spawn_detached(argv, log)?;
        let started = started(pid).with_context(|| {
            let text = fs::read_to_string(log).unwrap_or_default();
            format!("{name} ended at once:\n{}", crate::run::tail(&text, 8))
        })?;
        Ok(Self { name: name.to_owned(), pid, started })
    }

    /// The running processes of a program that were started with `argument`.
    pub(super) fn find(program: &str, argument: &Path) -> Vec<Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten();
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let ours = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            let first =
                words.first().map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
            let named = Path::new(&first).file_name().is_some_and(|name| name == program);
            named && words.contains(&argument.as_os_str().as_encoded_bytes())
        };
        let id = |pid: u32| Some(Self { name: program.to_owned(), pid, started: started(pid)? });
        pids.filter(ours).filter_map(id).collect()
    }

    pub(super) fn alive(&self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// Asks it to end, waits, and insists.
    pub(super) fn stop(&self) -> Result<()> {
        let began = Instant::now();
        let mut signal = Signal::TERM;
        while self.alive() {
            let pid =
                i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a pid is a positive number")?;
            // The group may be gone between the question and this.
            let _ = kill_process_group(pid, signal);
            if began.elapsed() > GRACE * 2 {
                return Err(
                    UserError::failed(format!("{} (pid {}) does not stop", self.name, self.pid)).into()
                );
            }
            if began.elapsed() > GRACE {
                signal = Signal::KILL;
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// When a process started. `None`: there is none, or it has ended and only waits to be collected.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may itself hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
}
