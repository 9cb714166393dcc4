//! A process of a step: its log line by line, its time limit, and how it is stopped: `ProcessInvoker.cs` of actions/runner.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to obey each signal.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub interrupt: Duration,
    pub terminate: Duration,
}

/// What is to be run.
#[derive(Debug)]
pub struct Process {
    pub argv: Vec<String>,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, String>,
}

/// How a process has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Code(i32),
    /// Its time was up.
    Late,
    Cancelled,
    /// The runner has died.
    Dead,
}

/// What becomes of a running process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    GoOn,
    Cancel,
    Kill,
}

/// The variable by which a runner knows the processes of its job.
pub const TRACKING: &str = "RUNNER_TRACKING_ID";

/// Runs a process; `line` sees its output, `order` is asked all the time.
pub fn run(
    process: &Process,
    deadline: Option<Instant>,
    patience: Patience,
    line: &mut dyn FnMut(&str),
    order: &dyn Fn() -> Order,
) -> Result<End, String> {
    let Process { argv, directory, environment } = process;
    let (program, arguments) = argv.split_first().ok_or("no program")?;
    let program = find(program, environment).ok_or_else(|| format!("{program}: command not found"))?;
    let (reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env_clear().envs(environment);
    command.stdin(Stdio::null());
    command.stdout(writer.try_clone().map_err(|error| error.to_string())?).stderr(writer);
    // A signal to the tests is none to the runner.
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", argv.join(" ")))?;
    drop(command);
    let (send, lines) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            bytes.clear();
            if send.send(text).is_err() {
                break;
            }
        }
    });
    let mut stopping: Option<(End, Stop)> = None;
    let code = loop {
        hear(&lines, line);
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status.code().unwrap_or(-1);
        }
        match order() {
            Order::Kill => {
                kill_all(&child, environment);
                let _ = child.wait();
                return Ok(End::Dead);
            }
            Order::Cancel if stopping.is_none() => stopping = Some((End::Cancelled, Stop::begin())),
            _ if stopping.is_none() && deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                stopping = Some((End::Late, Stop::begin()));
            }
            _ => {}
        }
        if let Some((_, stop)) = &mut stopping {
            stop.go_on(&child, patience, environment);
        }
    };
    // What the process has left behind may hold the log open: nobody waits for it.
    let end = Instant::now() + Duration::from_millis(200);
    while Instant::now() < end && hear(&lines, line) {}
    Ok(stopping.map_or(End::Code(code), |(end, _)| end))
}

/// Hears what is there; false: the log has ended.
fn hear(lines: &Receiver<String>, line: &mut dyn FnMut(&str)) -> bool {
    match lines.recv_timeout(Duration::from_millis(10)) {
        Ok(text) => {
            line(&text);
            while let Ok(text) = lines.try_recv() {
                line(&text);
            }
            true
        }
        Err(RecvTimeoutError::Timeout) => true,
        Err(RecvTimeoutError::Disconnected) => false,
    }
}

/// The entry process alone is asked, once by each signal; at last everything is killed.
struct Stop {
    since: Instant,
    sent: usize,
}

impl Stop {
    fn begin() -> Self {
        Self { since: Instant::now(), sent: 0 }
    }

    fn go_on(&mut self, child: &Child, patience: Patience, environment: &BTreeMap<String, String>) {
        let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
        let since = self.since.elapsed();
        let stage = 1
            + usize::from(since > patience.interrupt)
            + usize::from(since > patience.interrupt + patience.terminate);
        if stage == self.sent {
            return;
        }
        self.sent = stage;
        match stage {
            1 => drop(kill_process(pid, Signal::INT)),
            2 => drop(kill_process(pid, Signal::TERM)),
            _ => kill_all(child, environment),
        }
    }
}

fn kill_all(child: &Child, environment: &BTreeMap<String, String>) {
    let below = descendants(i32::try_from(child.id()).unwrap_or_default());
    for pid in below {
        kill(pid);
    }
    if let Some(id) = environment.get(TRACKING) {
        kill_tracked(id);
    }
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Ends what is left of a job, as a runner does: every process that bears its id.
pub fn kill_tracked(id: &str) {
    let mark = format!("{TRACKING}={id}");
    for pid in processes() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes()) {
            kill(pid);
        }
    }
}

fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A process and all below it, those without the variable too.
fn descendants(root: i32) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let pairs: Vec<(i32, i32)> =
        processes().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        found.extend(pairs.iter().filter(|(_, parent)| *parent == pid).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

/// The program on the `PATH` of the step, which is not that of the tests.
fn find(program: &str, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    let path = environment.get("PATH")?;
    path.split(':').map(|folder| PathBuf::from(folder).join(program)).find(|path| path.is_file())
}
