//! A copy of this repository with a stack of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use xtask_images::base::context::{Environment, Layout};
use xtask_images::base::ui::Ui;
use xtask_images::run::{Runner, Signals};
use xtask_images::tools::{Tool, Toolbox};

/// The architecture of this machine, by its name in matrices.
pub const NATIVE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
/// One that has to be emulated here.
pub const FOREIGN: &str = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Both streams, for an assertion's text.
    pub fn all(&self) -> String {
        format!("exit code {:?}\n== stdout\n{}\n== stderr\n{}", self.code, self.stdout, self.stderr)
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.all());
        self
    }

    /// Asserts the exit code and that stderr names each of `parts`.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        for part in parts {
            assert!(self.stderr.contains(part), "stderr lacks `{part}`: {}", self.all());
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.all());
        self
    }
}

/// A git checkout below the target folder, gone when dropped, its stack too.
pub struct Checkout {
    pub root: PathBuf,
    /// Set for every command, e.g. `DOCKER_HOST`.
    pub environment: Vec<(String, String)>,
}

impl Checkout {
    /// Copies the working tree, uncommitted changes included, and commits it.
    pub fn new(name: &str) -> Self {
        Self::copy(name, |path| Some(path))
    }

    /// A repository that is one of the examples.
    pub fn example(name: &str) -> Self {
        Self::folder(name, &format!("examples/{name}/"))
    }

    /// A repository that is one folder of ours.
    pub fn folder(name: &str, folder: &str) -> Self {
        Self::copy(name, |path| path.strip_prefix(folder))
    }

    /// Copies the files for which `place` gives a place.
    fn copy(name: &str, place: impl Fn(&str) -> Option<&str>) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("target")).unwrap();
        let source = workspace();
        let list = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&source)
            .output()
            .unwrap();
        assert!(list.status.success(), "the tests run in a git checkout");
        for path in String::from_utf8(list.stdout).unwrap().split('\0').filter(|path| !path.is_empty()) {
            let Some(to) = place(path) else { continue };
            let (from, to) = (source.join(path), root.join(to));
            // A file that is deleted and not committed yet is still listed.
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                match fs::read_link(&from) {
                    Ok(target) => symlink(target, &to).unwrap(),
                    Err(_) => drop(fs::copy(&from, &to).unwrap()),
                }
            }
        }
        if !root.join(".gitignore").exists() {
            fs::write(root.join(".gitignore"), "/target\n").unwrap();
        }
        // The tools are built once, by `cargo xtask ci`; a copy would build them again.
        symlink(source.join("target/tools"), root.join("target/tools")).unwrap();
        let checkout = Self { root, environment: Vec::new() };
        for args in [
            &["init", "--quiet", "--initial-branch", "main"][..],
            &["add", "--all"],
            &["commit", "--quiet", "--message", "start"],
        ] {
            checkout.git(args);
        }
        checkout
    }

    pub fn git(&self, args: &[&str]) {
        let status = self.git_command(args).status().unwrap();
        assert!(status.success(), "git {args:?}");
    }

    /// A command of git here, by a committer of its own.
    pub fn git_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args([
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@example.com",
            "-c",
            "commit.gpgsign=false",
        ]);
        command.args(args).current_dir(&self.root);
        command
    }

    /// What git answers, without the final newline.
    pub fn git_answer(&self, args: &[&str]) -> String {
        run(&mut self.git_command(args)).ok().stdout.trim().to_owned()
    }

    /// Commits whatever was changed.
    pub fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "change"]);
    }

    /// The same, at a time of its committer's: seconds since 1970.
    pub fn commit_at(&self, seconds: u64) {
        self.git(&["add", "--all"]);
        let mut commit = self.git_command(&["commit", "--quiet", "--allow-empty", "--message", "next"]);
        run(commit.env("GIT_COMMITTER_DATE", format!("@{seconds} +0000"))).ok();
    }

    /// The tool, in this checkout, with nothing of CI in its environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args).current_dir(&self.root).stdin(Stdio::null());
        clean(&mut command);
        command.envs(self.environment.iter().cloned());
        command
    }

    pub fn xtask(&self, args: &[&str]) -> Done {
        run(&mut self.command(args))
    }

    /// A tool of ours, called without the project's help.
    pub fn tool(&self, name: &str, args: &[&str]) -> Done {
        run(self.tool_command(name).args(args))
    }

    /// [`Self::tool`], not yet run.
    pub fn tool_command(&self, name: &str) -> Command {
        let words = self.tool_words(name);
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .envs(self.environment.iter().cloned())
            .env("BUILDX_CONFIG", self.local().join("buildx"))
            .current_dir(&self.root);
        command
    }

    /// How a tool is called, from any folder and whatever PATH is: what we have built, else what this machine offers.
    pub fn tool_words(&self, name: &str) -> Vec<String> {
        let built = self.root.join("target/tools/bin").join(name);
        if built.exists() {
            return vec![built.display().to_string()];
        }
        let tool = Tool::ALL.into_iter().find(|tool| tool.binary() == name).unwrap();
        let found = self.toolbox().look(tool).unwrap();
        let program = found.unwrap_or_else(|| panic!("there is no {name}")).program;
        let environment: Environment = std::env::vars().collect();
        let path = environment.program(&program.path).unwrap_or_else(|| PathBuf::from(&program.path));
        [vec![path.display().to_string()], program.prefix].concat()
    }

    /// What finds tools for this checkout.
    pub fn toolbox(&self) -> Toolbox {
        let (layout, environment) = (Layout::without_matrix(&self.root), std::env::vars().collect());
        Toolbox::new(&layout, &environment, &Runner::new(Signals::default()), Ui::default())
    }

    /// The data of the stack.
    pub fn local(&self) -> PathBuf {
        self.root.join("target/xtask/local")
    }

    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.xtask(&["local", "status", "--json"]).ok().stdout).unwrap()
    }

    /// `127.0.0.1:PORT`.
    pub fn registry(&self) -> String {
        self.status()["registry"].as_str().unwrap().to_owned()
    }

    pub fn plan(&self) -> serde_json::Value {
        serde_json::from_str(&self.xtask(&["plan", "--json"]).ok().stdout).unwrap()
    }

    pub fn record(&self, cell: &str, arch: &str) -> PathBuf {
        self.root.join(format!("target/xtask/digests/{cell}/{arch}.json"))
    }

    pub fn read_record(&self, cell: &str, arch: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.record(cell, arch)).unwrap()).unwrap()
    }

    pub fn publication(&self, cell: &str) -> serde_json::Value {
        let path = self.root.join(format!("target/xtask/publications/{cell}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let done = self.xtask(&["local", "down", "--purge"]);
        if done.code == Some(0) {
            let _ = fs::remove_dir_all(&self.root);
        } else {
            println!("stopping the stack of {}: {}", self.root.display(), done.all());
        }
    }
}

/// Where the Engine and the compiled crates of this user are: no part of CI, nor of the `cargo` that runs the tests.
const OF_THE_USER: [&str; 3] = ["CARGO_HOME", "DOCKER_CONTEXT", "DOCKER_HOST"];

/// Takes everything of CI out of the environment of a command.
pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars() {
        let ours = ["GITHUB_", "RUNNER_", "ACTIONS_", "COSIGN_", "BUILDX_", "DOCKER_", "CARGO_", "XTASK_"];
        let of_ci =
            name == "CI" || name == "SOURCE_DATE_EPOCH" || ours.iter().any(|prefix| name.starts_with(prefix));
        if of_ci && !OF_THE_USER.contains(&name.as_str()) {
            command.env_remove(name);
        }
    }
    // What the tests make is of no use to the user's other checkouts, but Go may use what it has compiled before.
    if std::env::var_os("GOCACHE").is_none() {
        command.env("GOCACHE", go_cache());
    }
    command.env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
}

/// Where Go keeps what it has compiled: by its own rule, which looks at the variable that is another one for our commands.
fn go_cache() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| run(Command::new("go").args(["env", "GOCACHE"])).ok().stdout.trim().to_owned())
}

pub fn run(command: &mut Command) -> Done {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Done {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asks a child to end and waits for it.
pub fn stop(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let _ = child.wait();
}

/// The repository that is tested.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[track_caller]
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "waiting in vain: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// git in a folder, by a committer of its own.
pub fn git(folder: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]);
    run(command.args(args).current_dir(folder)).ok();
}
