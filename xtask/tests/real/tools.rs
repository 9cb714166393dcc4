//! Tools that are not there: how they are built, and what becomes of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xtask_images::base::context::{Environment, Layout};
use xtask_images::base::ui::Ui;
use xtask_images::run::{Runner, Signals};
use xtask_images::tools::{Tool, Toolbox};

use crate::build::processes_with;
use crate::checkout::{Checkout, run, wait};

/// That of this process, for a user whose caches lie in a folder.
pub fn environment(cache: &Path) -> Environment {
    with(cache, &[])
}

fn with(cache: &Path, more: &[(&str, &str)]) -> Environment {
    let ours = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let cache = ("XDG_CACHE_HOME".to_owned(), cache.display().to_string());
    let all = std::env::vars().filter(|(name, _)| name != "GITHUB_ACTIONS");
    all.chain([cache]).chain(ours).collect()
}

/// A checkout in which no tool is built yet.
struct Bare {
    checkout: Checkout,
}

impl Bare {
    fn new(name: &str) -> Self {
        let checkout = Checkout::new(name);
        fs::remove_file(checkout.root.join("target/tools")).unwrap();
        Self { checkout }
    }

    /// Gets a tool of the tests. Returns its file, and whether it was compiled.
    fn get(&self, environment: &Environment) -> (Vec<u8>, bool) {
        let layout = Layout::without_matrix(&self.checkout.root);
        let toolbox = Toolbox::new(&layout, environment, &Runner::new(Signals::default()), Ui::default());
        let found = toolbox.get(Tool::Testkit).unwrap();
        toolbox.finish();
        let linked = self.checkout.root.join("target/tools/bin/testkit");
        assert_eq!(fs::canonicalize(linked).unwrap(), fs::canonicalize(&found.program.path).unwrap());
        let compiled = self.checkout.root.join("target/tools/testkit.log").is_file();
        (fs::read(found.program.path).unwrap(), compiled)
    }
}

/// By version and checksum: not what is damaged, what others could have written, or what another job has left.
pub fn second_checkout(main: &Checkout) {
    let cache = main.root.join("target/cache");
    let here = environment(&cache);
    let take = |name: &str, environment: &Environment| Bare::new(name).get(environment);
    let (first, compiled) = take("first", &here);
    assert!(compiled, "nobody has built it before");
    let entry = only(&cache.join("xtask-images/tools"));
    assert!(entry.to_str().unwrap().contains("testkit-0."), "{}", entry.display());
    run(Command::new("sha256sum").args(["--check", "--strict", "testkit.sha256"]).current_dir(&entry)).ok();
    let (second, compiled) = take("second", &here);
    assert!(!compiled && second == first, "the second checkout compiles nothing");
    let job = with(&cache, &[("GITHUB_ACTIONS", "true")]);
    assert!(take("job", &job).1, "a job takes nothing that another job may have left");
    // One byte is another one.
    let binary = entry.join("testkit");
    let mut bytes = first.clone();
    bytes[first.len() / 2] ^= 1;
    fs::write(&binary, bytes).unwrap();
    let (third, compiled) = take("third", &here);
    assert!(compiled && third == first, "what is damaged is built again");
    assert!(!take("fourth", &here).1, "and the entry is whole again");
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(take("fifth", &here).1, "others could have put anything there");
    assert_eq!(fs::read_dir(entry.parent().unwrap()).unwrap().count(), 1);
    fs::remove_dir_all(&cache).unwrap();
}

fn only(folder: &Path) -> PathBuf {
    let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

/// What a command finds in place of Go, before all other programs.
fn with_go(checkout: &Checkout, args: &[&str], script: &str) -> Command {
    let bin = checkout.root.join("target/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("go"), script).unwrap();
    fs::set_permissions(bin.join("go"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = checkout.command(args);
    command.env("PATH", path).env("XDG_CACHE_HOME", checkout.root.join("target/cache"));
    command
}

/// Knows its version, fails for one tool at once, and never ends for the others.
const FAILS: &str = r#"#!/bin/sh
case "$*" in
  *" env "*) echo go0 ;;
  *cosign*) echo fmt >&2; echo 'cosign.go:1:1: undefined: x' >&2; exit 1 ;;
  *) exec sleep 617.25 ;;
esac
"#;

/// One tool cannot be built: that is said once, and nobody waits for the others.
pub fn failing_build(_: &Checkout) {
    let Bare { checkout } = Bare::new("failing");
    let began = Instant::now();
    let done = run(&mut with_go(&checkout, &["local", "up"], FAILS));
    // The others take ten minutes. Stand-ins, which a stack of containers can make without them, take less than one.
    assert!(began.elapsed() < Duration::from_secs(120), "{}", done.all());
    let done = done.fails(1, &["error: build cosign", "undefined: x", "help: its whole output is in"]);
    assert_eq!(done.stderr.matches("undefined: x").count(), 1, "{}", done.all());
    // Containers need nothing of what is built: they run, and lack the key.
    let status = checkout.status();
    assert_eq!(status["running"] == true, status["mode"] == "containers", "{status}");
    assert_eq!(processes_with("617.25"), 0, "{}", done.all());
}

/// Takes for ever.
const NEVER_ENDS: &str = r#"#!/bin/sh
case "$*" in *" env "*) echo go0 ;; *) exec sleep 617.25 ;; esac
"#;

/// Only the key needs cosign: builds do not wait for it, and `merge` makes the key.
pub fn beside(main: &Checkout) {
    let Bare { checkout } = Bare::new("beside");
    let (there, here) = (main.root.join("target/tools"), checkout.root.join("target/tools"));
    fs::create_dir_all(&here).unwrap();
    let is_cosign = |name: &str| name.starts_with("cosign");
    for entry in fs::read_dir(fs::canonicalize(there).unwrap()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.contains('-') || name == "system" {
            let name = if is_cosign(&name) { format!("hidden-{name}") } else { name };
            symlink(entry.path(), here.join(name)).unwrap();
        }
    }
    let key = checkout.local().join("keys/cosign.key");
    let done = run(&mut with_go(&checkout, &["build", "--cell", "php-base", "--emulate"], NEVER_ENDS)).ok();
    assert!(done.stderr.contains("stopped compiling cosign"), "{}", done.all());
    assert!(done.stderr.contains("nothing has been signed with the local key yet"), "{}", done.all());
    assert!(checkout.record("php-base", "amd64").is_file() && !key.exists());
    assert_eq!((processes_with("617.25"), &checkout.status()["running"]), (0, &true.into()));
    for entry in fs::read_dir(&here).unwrap().map(|entry| entry.unwrap().path()) {
        if let Some(name) = entry.file_name().unwrap().to_str().unwrap().strip_prefix("hidden-") {
            let _ = fs::remove_dir(here.join(name));
            fs::rename(&entry, here.join(name)).unwrap();
        }
    }
    checkout.xtask(&["merge", "--cell", "php-base"]).ok();
    assert!(key.is_file());
    checkout.xtask(&["verify", &format!("{}/php-base:latest", checkout.registry())]).ok();
}

/// Somebody loses patience: nothing goes on, and nothing half built looks whole.
pub fn interrupted(main: &Checkout) {
    let bare = Bare::new("interrupted");
    let tools = bare.checkout.root.join("target/tools");
    let mut child = bare
        .checkout
        .command(&["local", "up"])
        // All of it has to be compiled.
        .env("GOCACHE", bare.checkout.root.join("target/go"))
        .env("XDG_CACHE_HOME", main.root.join("target/no-cache"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait("a build has begun", || tools.join("cosign.log").exists());
    wait("it runs", || processes_with(tools.to_str().unwrap()) > 0);
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let began = Instant::now();
    let mut ended = None;
    wait("the command ends", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert!(began.elapsed() < Duration::from_secs(30));
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(ended.unwrap().code(), Some(1), "{stderr}");
    assert_eq!(stderr.matches("interrupted").count(), 1, "{stderr}");
    assert_eq!(processes_with(tools.to_str().unwrap()), 0, "{stderr}");
    assert!(!tools.join("bin/cosign").exists() && !bare.checkout.local().join("keys/cosign.key").exists());
    bare.checkout.xtask(&["local", "down"]).ok();
}
