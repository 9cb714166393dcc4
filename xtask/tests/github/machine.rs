//! The runner of one job: a fresh folder, what its steps leave to later ones, and its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::availability::Key;
use super::cancel::Cancel;
use super::context::{Contexts, scope, with};
use super::document::{Defaults, Steps, Workflow};
use super::expression::Scope;
use super::faults::Fault;
use super::local::Post;
use super::permissions::Permissions;
use super::process::kill_tracked;
use super::report::{JobReport, Outcome, StepReport};
use super::run::size;
use super::service::Attempt;
use super::steps::Frame;
use super::template::expand;
use super::value::Value;

/// Outputs of one job.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idoutputs>
const OUTPUTS: usize = 1 << 20;

/// A job that has got a runner.
pub struct Task<'t> {
    pub attempt: &'t Attempt,
    pub workflow: &'t Workflow,
    pub id: &'t str,
    pub steps: &'t Steps,
    pub name: &'t str,
    pub contexts: &'t Contexts,
    pub secrets: &'t BTreeMap<String, String>,
    pub permissions: Permissions,
    pub cancel: &'t Arc<Cancel>,
}

/// The context `secrets`: `GITHUB_TOKEN` is always there.
pub fn secrets(secrets: &BTreeMap<String, String>, token: &str) -> Value {
    let mut all = secrets.clone();
    all.insert("GITHUB_TOKEN".to_owned(), token.to_owned());
    Value::texts(&all)
}

/// The state of a runner.
pub struct Machine<'m> {
    pub task: &'m Task<'m>,
    folder: PathBuf,
    /// `GITHUB_WORKSPACE`.
    pub workspace: PathBuf,
    pub temp: PathBuf,
    home: PathBuf,
    pub contexts: Contexts,
    /// What no log shows.
    pub masks: Vec<String>,
    /// Of the file, of the job, and what steps have written to `GITHUB_ENV`.
    pub env: BTreeMap<String, String>,
    /// What steps have written to `GITHUB_PATH`, the last one first.
    pub path: Vec<String>,
    pub status: Outcome,
    pub reports: Vec<StepReport>,
    /// What JavaScript actions do at the end of the job, the last one first.
    pub posts: Vec<Post>,
    /// When the time of the job is up.
    pub deadline: Option<Instant>,
    pub shell: Option<String>,
    pub directory: Option<String>,
    pub tracking: String,
    pub serial: usize,
}

/// Runs a job: its result, why it failed before or after its steps, and what the report says.
pub fn run(task: &Task<'_>) -> (Outcome, Option<String>, JobReport) {
    let mut machine = match Machine::new(task) {
        Ok(machine) => machine,
        Err(problem) => return (Outcome::Failure, Some(problem), JobReport::default()),
    };
    machine.fault(None, None);
    let frame = Frame::job();
    let steps = machine.sequence(&task.steps.steps, &frame);
    let ended = machine.end(&steps.context);
    let Machine { reports, status, tracking, folder, .. } = machine;
    kill_tracked(&tracking);
    // The machine is gone with its job.
    if !task.attempt.world.settings.keep {
        let _ = fs::remove_dir_all(folder);
    }
    let (outputs, error) = match ended {
        Ok(outputs) => (outputs, None),
        Err(problem) => (BTreeMap::new(), Some(problem)),
    };
    let outcome = if error.is_some() && status == Outcome::Success { Outcome::Failure } else { status };
    (outcome, error, JobReport { steps: reports, outputs, ..JobReport::default() })
}

impl<'m> Machine<'m> {
    fn new(task: &'m Task<'m>) -> Result<Self, String> {
        let settings = &task.attempt.world.settings;
        let name = settings.repository.rsplit('/').next().unwrap_or_default();
        let plain: String =
            task.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
        let folder = settings.folder.join("jobs").join(format!("{}-{plain}", task.attempt.world.next()));
        let tracking = format!("github_{}", folder.display());
        let (workspace, temp) = (folder.join("work").join(name).join(name), folder.join("work/_temp"));
        let home = folder.join("home");
        for folder in [&workspace, &temp, &home, &folder.join("tools")] {
            fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let labels = expand(&task.steps.runs_on, Key::RunsOn, &scope(task.contexts))?;
        let labels = match &labels {
            Value::Array(array) => array.items.iter().map(Value::to_text).collect::<Vec<_>>().join(" "),
            Value::Object(_) => return Err("runs-on: groups are not modelled".to_owned()),
            other => other.to_text(),
        };
        if labels.trim().is_empty() {
            return Err("runs-on: Unexpected value ''".to_owned());
        }
        let text = |path: &PathBuf| Value::text(path.display().to_string());
        let mut contexts = task.contexts.clone();
        let github = with(
            contexts.get("github"),
            vec![("job", Value::text(task.id)), ("workspace", text(&workspace))],
        );
        contexts.insert("github", github);
        contexts.insert("secrets", secrets(task.secrets, &settings.token));
        let runner = [
            ("os", Value::text("Linux")),
            ("arch", Value::text(if labels.contains("arm") { "ARM64" } else { "X64" })),
            ("name", Value::text(labels.as_str())),
            ("temp", text(&temp)),
            ("tool_cache", text(&folder.join("tools"))),
            ("environment", Value::text("github-hosted")),
            ("debug", Value::text("")),
        ];
        contexts.insert("runner", Value::object(runner));
        let mut machine = Self {
            task,
            folder,
            workspace,
            temp,
            home,
            contexts,
            masks: Vec::new(),
            env: BTreeMap::new(),
            path: Vec::new(),
            status: Outcome::Success,
            reports: Vec::new(),
            posts: Vec::new(),
            deadline: None,
            shell: None,
            directory: None,
            tracking,
            serial: 0,
        };
        machine.mask(&settings.token);
        task.secrets.values().for_each(|secret| machine.mask(secret));
        machine.prepare()?;
        Ok(machine)
    }

    /// The variables and defaults of the file and of the job.
    fn prepare(&mut self) -> Result<(), String> {
        let task = self.task;
        for (list, key) in [(&task.workflow.env, Key::WorkflowEnv), (&task.steps.env, Key::JobEnv)] {
            for (name, yaml) in list {
                let value = expand(yaml, key, &scope(&self.contexts))
                    .map_err(|problem| format!("env.{name}: {problem}"))?;
                self.env.insert(name.clone(), value.to_text());
            }
        }
        let (job, workflow): (&Defaults, &Defaults) = (&task.steps.defaults, &task.workflow.defaults);
        let scope = scope(&self.contexts).with("env", Value::environment(&self.env));
        let one = |job: Option<&_>, workflow: Option<&_>| {
            let value = job.or(workflow).map(|yaml| expand(yaml, Key::JobDefaults, &scope)).transpose()?;
            Ok::<_, String>(value.map(|value| value.to_text()))
        };
        let shell = one(job.shell.as_ref(), workflow.shell.as_ref())?;
        let directory = one(job.directory.as_ref(), workflow.directory.as_ref())?;
        (self.shell, self.directory) = (shell, directory);
        if let Some(minutes) = &task.steps.timeout {
            let minutes =
                expand(minutes, Key::JobTimeout, &super::context::scope(&self.contexts))?.to_number();
            if !(minutes > 0.0 && minutes.is_finite()) {
                return Err("timeout-minutes: Unexpected value".to_owned());
            }
            self.deadline = Some(Instant::now() + Duration::from_secs_f64(minutes * 60.0));
        }
        Ok(())
    }

    /// With what the job is at, an expression is evaluated.
    pub fn scope(&self, frame: &Frame, steps: &[(String, Value)]) -> Scope<'_> {
        let mut contexts = self.contexts.clone();
        let mut env = self.env.clone();
        env.extend(frame.env.clone());
        contexts.insert("env", Value::environment(&env));
        contexts.insert("steps", Value::object(steps.iter().cloned()));
        contexts.insert("job", Value::object([("status", Value::text(self.status.to_string()))]));
        if let Some(inputs) = &frame.inputs {
            contexts.insert("inputs", inputs.clone());
        }
        if let Some(folder) = &frame.action {
            let folder = Value::text(folder.display().to_string());
            let github = with(contexts.get("github"), vec![("action_path", folder)]);
            contexts.insert("github", github);
        }
        Scope { contexts, workspace: Some(&self.workspace), ..Scope::default() }
    }

    pub fn mask(&mut self, secret: &str) {
        let lines = secret.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        for line in lines.chain([secret.to_owned()]) {
            if !line.is_empty() && !self.masks.contains(&line) {
                self.masks.push(line);
            }
        }
        // A secret that begins as another one is hidden wholly.
        self.masks.sort_by_key(|mask| std::cmp::Reverse(mask.len()));
    }

    pub fn masked(&self, text: &str) -> String {
        self.masks.iter().fold(text.to_owned(), |text, mask| text.replace(mask, "***"))
    }

    pub fn log(&self, line: &str) {
        self.task.attempt.recorder.line(self.task.name, &self.masked(line));
    }

    pub fn annotate(&self, level: &str, message: &str) {
        self.task.attempt.recorder.annotate(self.task.name, level, &self.masked(message));
    }

    /// What the test has planned for this moment.
    pub fn fault(&self, step: Option<&[&str]>, line: Option<&str>) {
        let Task { attempt, name, cancel, .. } = self.task;
        match attempt.world.faults.at(attempt.id, name, step, line) {
            None => {}
            Some(Fault::Kill) => cancel.kill(),
            Some(Fault::Cancel) => attempt.cancel.ask("The run was canceled by @octocat."),
            Some(Fault::Hold(hold)) => hold.wait(&|| cancel.is_asked() || cancel.is_dead()),
        }
    }

    /// The environment that every process gets.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let settings = &self.task.attempt.world.settings;
        let mut env: BTreeMap<String, String> = settings.environment.iter().cloned().collect();
        let outside = std::env::var("PATH").unwrap_or_default();
        env.entry("PATH".to_owned()).or_insert(outside);
        env.entry("HOME".to_owned()).or_insert_with(|| self.home.display().to_string());
        env.insert("CI".to_owned(), "true".to_owned());
        env
    }

    /// After the last step: what later jobs get of it.
    fn end(&mut self, steps: &[(String, Value)]) -> Result<BTreeMap<String, String>, String> {
        if self.task.cancel.is_dead() {
            self.status = Outcome::Failure;
            return Err("The hosted runner lost communication with the server.".to_owned());
        }
        while let Some(post) = self.posts.pop() {
            self.post(&post);
        }
        if let Some(why) = self.task.cancel.why() {
            self.annotate("error", &why);
        }
        let mut outputs = BTreeMap::new();
        let frame = Frame::job();
        for (name, yaml) in &self.task.steps.outputs {
            let value = expand(yaml, Key::JobOutput, &self.scope(&frame, steps));
            let value =
                value.map_err(|problem| format!("Fail to evaluate job outputs: {problem}"))?.to_text();
            if value.is_empty() {
                continue;
            }
            if self.masked(&value) != value {
                self.annotate("warning", &format!("Skip output '{name}' since it may contain secret."));
                continue;
            }
            outputs.insert(name.clone(), value);
        }
        let size = size(&outputs);
        if size > OUTPUTS {
            return Err(format!("The outputs of a job may have {OUTPUTS} bytes, these have {size}"));
        }
        Ok(outputs)
    }
}
