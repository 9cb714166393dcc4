//! A repository for a test, and the service that runs its workflows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::{Event, Patience, Report, Run, Service, Settings};

/// What a workflow of a test is called.
pub const PATH: &str = ".github/workflows/test.yml";

/// The pins of the actions that are stood in for.
pub const CHECKOUT: &str = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1";
pub const UPLOAD: &str = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f";
pub const DOWNLOAD: &str = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c";
pub const LOGIN: &str = "docker/login-action@4907a6ddec9925e35a0a9e82d7399ccc52663121";

/// A git repository in a folder that is gone when dropped.
pub struct Bench {
    pub folder: PathBuf,
}

impl Bench {
    /// With one workflow: `CHECKOUT` and its like stand for the pins.
    pub fn new(workflow: &str) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let name = format!("github-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::SeqCst));
        let bench = Self { folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name) };
        fs::create_dir_all(bench.root()).unwrap();
        bench.git(&["init", "--quiet", "--template=", "--initial-branch", "main"]);
        bench.commit(PATH, workflow);
        bench
    }

    pub fn root(&self) -> PathBuf {
        self.folder.join("origin")
    }

    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        for setting in [
            "user.name=test",
            "user.email=test@example.com",
            "commit.gpgsign=false",
            "maintenance.auto=false",
            "gc.auto=0",
        ] {
            command.args(["-c", setting]);
        }
        let output = command.args(args).current_dir(self.root()).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes a file: it is a part of the next commit.
    pub fn write(&self, path: &str, text: &str) {
        let file = self.root().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let pins = [("CHECKOUT", CHECKOUT), ("UPLOAD", UPLOAD), ("DOWNLOAD", DOWNLOAD), ("LOGIN", LOGIN)];
        let pinned = |text: String, (name, pin): &(&str, &str)| {
            text.replace(&format!("uses: {name}"), &format!("uses: {pin}"))
        };
        fs::write(file, pins.iter().fold(text.to_owned(), pinned)).unwrap();
    }

    pub fn commit(&self, path: &str, text: &str) {
        self.write(path, text);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", path]);
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new("acme/images", &self.root(), &self.folder.join("github"));
        settings.patience =
            Patience { interrupt: Duration::from_millis(300), terminate: Duration::from_millis(300) };
        settings
    }

    pub fn service(&self) -> Service {
        Service::new(self.settings())
    }

    pub fn start(&self, service: &Service) -> Run {
        service.start(PATH, &Event::push("main")).expect("a push starts it")
    }

    /// A push to `main`, to its end.
    pub fn push(&self) -> Report {
        self.start(&self.service()).wait()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A push to `main` with these jobs, to its end.
pub fn push(jobs: &str) -> Report {
    Bench::new(&format!("on: push\njobs:\n{jobs}")).push()
}

/// One job with these steps.
pub fn steps(steps: &str) -> Report {
    push(&format!("  job:\n    runs-on: ubuntu-24.04\n    steps:\n{steps}"))
}

/// Asserts that GitHub would start nothing, and why.
#[track_caller]
pub fn refused(report: &Report, words: &str) {
    let why = report.refused.as_deref().unwrap_or_else(|| panic!("not refused: {}", report.all()));
    assert!(why.contains(words), "{why}");
    assert!(report.jobs.is_empty());
}
