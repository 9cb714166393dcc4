//! GitHub, as far as it runs workflows of one repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::artifacts::{Artifact, Store};
use super::calls::{Files, load};
use super::cancel::Cancel;
use super::document::Workflow;
use super::event::Event;
use super::faults::{Fault, Faults, Hold, Moment};
use super::groups::Groups;
use super::permissions::Permissions;
use super::process::Patience;
use super::report::{JobReport, Outcome, Recorder, Report};
use super::repository::Repository;
use super::run;
use super::slots::Slots;

/// A run is run again for so many days.
/// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>
const RERUNS: u64 = 30;

/// A repository on GitHub, its settings, and the machines that it gets.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `OWNER/NAME`.
    pub repository: String,
    /// A git repository: its branches and tags are those of the one on GitHub when an event happens.
    pub checkout: PathBuf,
    /// What the model keeps: below it are the folders of jobs, and artifacts.
    pub folder: PathBuf,
    pub default_branch: String,
    pub private: bool,
    pub vars: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, String>,
    /// The value of `GITHUB_TOKEN`.
    pub token: String,
    /// What the token may do where no file says it.
    pub permissions: Permissions,
    /// What every process inherits beyond `PATH` and a `HOME` of its job.
    pub environment: Vec<(String, String)>,
    /// Folders with an `action.yml` that stand in for `OWNER/NAME`.
    pub actions: BTreeMap<String, PathBuf>,
    /// What JavaScript actions get, and `run` steps never: `ACTIONS_RUNTIME_TOKEN` and its like.
    pub runtime: Vec<(String, String)>,
    /// What the steps of a job with `id-token: write` get: `ACTIONS_ID_TOKEN_REQUEST_URL` and its token.
    pub identity: Vec<(String, String)>,
    /// Machines: so many jobs run at once.
    pub runners: usize,
    /// How many days an artifact is kept that says nothing of it.
    pub retention: u64,
    /// The folders of jobs stay when these have ended.
    pub keep: bool,
    /// How long a process may take to obey a signal.
    pub patience: Patience,
}

impl Settings {
    pub fn new(repository: &str, checkout: &Path, folder: &Path) -> Self {
        Self {
            repository: repository.to_owned(),
            checkout: checkout.to_owned(),
            folder: folder.to_owned(),
            default_branch: "main".to_owned(),
            private: false,
            vars: BTreeMap::new(),
            secrets: BTreeMap::new(),
            token: "ghs_0123456789abcdefghijklmnopqrstuvwxyz".to_owned(),
            permissions: Permissions::restricted(),
            environment: Vec::new(),
            actions: BTreeMap::new(),
            runtime: Vec::new(),
            identity: Vec::new(),
            runners: 4,
            retention: 90,
            keep: false,
            // As long as GitHub waits.
            patience: Patience {
                interrupt: Duration::from_millis(7500),
                terminate: Duration::from_millis(2500),
            },
        }
    }

    /// What is in every payload and in the context `github`.
    pub(super) fn repository_json(&self) -> Json {
        let (owner, name) = self.repository.split_once('/').expect("a repository is OWNER/NAME");
        json!({
            "id": 1, "name": name, "full_name": self.repository, "private": self.private, "fork": false,
            "visibility": if self.private { "private" } else { "public" },
            "default_branch": self.default_branch,
            "html_url": format!("https://github.com/{}", self.repository),
            "owner": { "login": owner, "id": 2, "type": "Organization" }
        })
    }
}

/// What all runs share.
#[derive(Debug)]
pub struct World {
    pub settings: Settings,
    pub repository: Repository,
    pub groups: Arc<Groups>,
    pub slots: Slots,
    pub store: Store,
    pub faults: Faults,
    serial: AtomicU64,
}

impl World {
    /// A number that was not given before.
    pub fn next(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// GitHub.
#[derive(Debug)]
pub struct Service(Arc<World>);

/// One attempt of a run.
#[derive(Debug)]
pub struct Attempt {
    pub world: Arc<World>,
    pub id: u64,
    pub attempt: u32,
    pub path: String,
    pub event: Event,
    pub sha: String,
    pub payload: Json,
    pub files: Result<Files, String>,
    pub cancel: Arc<Cancel>,
    pub recorder: Recorder,
    /// Every job that runs, by name: a test may kill it.
    pub running: Mutex<BTreeMap<String, Arc<Cancel>>>,
    /// What an earlier attempt has done that this one does not do again.
    pub kept: Option<BTreeMap<String, JobReport>>,
    /// The day on which the run began.
    began: u64,
    done: Mutex<Option<Report>>,
    ended: Condvar,
}

/// A run that was started.
#[derive(Debug, Clone)]
pub struct Run(Arc<Attempt>);

impl Service {
    pub fn new(settings: Settings) -> Self {
        let repository = Repository::new(&settings);
        let store = Store::new(&settings.folder.join("artifacts"));
        let slots = Slots::new(settings.runners);
        let (groups, faults, serial) = (Arc::default(), Faults::default(), AtomicU64::new(1000));
        Self(Arc::new(World { settings, repository, groups, slots, store, faults, serial }))
    }

    /// Lets an event happen to a file of `.github/workflows`. `None`: it is no trigger of the file.
    pub fn start(&self, path: &str, event: &Event) -> Option<Run> {
        let world = &self.0;
        world.repository.refresh();
        let commits = world.repository.commits(event)?;
        let read = |path: &str| world.repository.file(&commits.sha, path);
        let text = read(path).unwrap_or_else(|| panic!("{path}: the commit has no such file"));
        // A file that cannot be read has a run that fails, whatever its triggers are.
        if let Ok(workflow) = Workflow::parse(path, &text)
            && !workflow.on.starts(event).unwrap_or(true)
        {
            return None;
        }
        let files = load(path, &world.settings.permissions, &read);
        let repository = world.settings.repository_json();
        let payload =
            event.payload(&repository, &commits.sha, commits.head.as_deref(), commits.base.as_deref());
        let attempt = Attempt {
            world: Arc::clone(world),
            id: world.next(),
            attempt: 1,
            path: path.to_owned(),
            event: event.clone(),
            sha: commits.sha,
            payload,
            files,
            cancel: Arc::default(),
            recorder: Recorder::default(),
            running: Mutex::default(),
            kept: None,
            began: world.store.today(),
            done: Mutex::default(),
            ended: Condvar::new(),
        };
        Some(Run::begin(attempt))
    }

    /// "Re-run all jobs": the same commit, payload and run; artifacts of earlier attempts stay.
    pub fn rerun_all(&self, run: &Run) -> Run {
        self.again(run, None)
    }

    /// "Re-run failed jobs": what has failed or was cancelled, and what depends on it. All else keeps its result.
    /// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>
    pub fn rerun_failed(&self, run: &Run) -> Run {
        run.wait();
        self.again(run, Some(run.0.recorder.records()))
    }

    fn again(&self, run: &Run, kept: Option<BTreeMap<String, JobReport>>) -> Run {
        run.wait();
        let before = &run.0;
        let mut files = before.files.clone();
        if self.0.store.today() > before.began + RERUNS {
            files = Err(format!(
                "Unable to re-run this workflow run because it was created over {RERUNS} days ago"
            ));
        }
        Run::begin(Attempt {
            world: Arc::clone(&self.0),
            id: before.id,
            attempt: before.attempt + 1,
            path: before.path.clone(),
            event: before.event.clone(),
            sha: before.sha.clone(),
            payload: before.payload.clone(),
            files,
            cancel: Arc::default(),
            recorder: Recorder::default(),
            running: Mutex::default(),
            kept,
            began: before.began,
            done: Mutex::default(),
            ended: Condvar::new(),
        })
    }

    /// The artifacts that a run has now: the newest one of each name.
    pub fn artifacts(&self, run: &Run) -> Vec<Artifact> {
        self.0.store.list(run.0.id)
    }

    /// Deletes an artifact of a run, as if its days were over.
    pub fn expire(&self, run: &Run, name: &str) {
        assert!(self.0.store.delete(run.0.id, name), "the run has no artifact {name}");
    }

    /// Lets days go by: artifacts expire.
    pub fn advance(&self, days: u64) {
        self.0.store.advance(days);
    }

    /// Lets something happen to the next job that comes to a moment.
    pub fn plan(&self, moment: Moment, fault: Fault) {
        self.0.faults.add(moment, fault);
    }

    /// Holds the next job that comes to a moment.
    pub fn hold(&self, moment: Moment) -> Hold {
        let hold = Hold::default();
        self.plan(moment, Fault::Hold(hold.clone()));
        hold
    }
}

impl Run {
    fn begin(attempt: Attempt) -> Self {
        let run = Self(Arc::new(attempt));
        let own = Arc::clone(&run.0);
        thread::spawn(move || {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run::execute(&own)));
            let conclusion = caught.unwrap_or(Outcome::Failure);
            own.recorder.change(|report| report.conclusion = conclusion);
            *own.done.lock().unwrap() = Some(own.recorder.report());
            own.ended.notify_all();
        });
        run
    }

    /// Waits for the end.
    pub fn wait(&self) -> Report {
        let mut done = self.0.done.lock().unwrap();
        loop {
            if let Some(report) = &*done {
                return report.clone();
            }
            done = self.0.ended.wait(done).unwrap();
        }
    }

    /// Waits until the log has these words in it.
    pub fn until(&self, words: &str) {
        let began = Instant::now();
        while !self.0.recorder.has_said(words) {
            let patient = began.elapsed() < Duration::from_secs(600) && !self.is_done();
            assert!(patient || self.0.recorder.has_said(words), "no {words:?}: {}", self.so_far().all());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn is_done(&self) -> bool {
        self.0.done.lock().unwrap().is_some()
    }

    /// What there is of the report already.
    pub fn so_far(&self) -> Report {
        self.0.recorder.report()
    }

    /// Somebody clicks "Cancel workflow".
    pub fn cancel(&self) {
        self.0.cancel.ask("The run was canceled by @octocat.");
    }

    /// The runner of a job dies now, with all its processes.
    pub fn kill(&self, job: &str) {
        let running = self.0.running.lock().unwrap();
        let found =
            running.get(job).unwrap_or_else(|| panic!("{job} is not running, but {:?}", running.keys()));
        found.kill();
    }

    pub fn id(&self) -> u64 {
        self.0.id
    }

    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    pub fn sha(&self) -> &str {
        &self.0.sha
    }
}
