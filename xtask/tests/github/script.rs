//! What a step starts: a script, or the program of a JavaScript action; with the files and variables of GitHub.
//! `ScriptHandler.cs`, `FileCommandManager.cs` and `ActionCommandManager.cs` of actions/runner.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::commands;
use super::machine::Machine;
use super::permissions::Access;
use super::process::{self, End, Order, Process, TRACKING};
use super::report::{Annotation, Outcome};
use super::steps::{Acted, Doing};
use super::value::Value;

/// A `run` step, evaluated.
pub struct Script {
    pub script: String,
    pub shell: Option<String>,
    pub directory: Option<String>,
}

/// A step may write so much to `GITHUB_STEP_SUMMARY`.
const SUMMARY: u64 = 1 << 20;

const FILES: [&str; 5] = ["OUTPUT", "ENV", "PATH", "STEP_SUMMARY", "STATE"];

impl Machine<'_> {
    pub fn script(&mut self, doing: &Doing<'_>, script: &Script) -> Acted {
        // Without `shell` a failure in a pipe goes unnoticed.
        // <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell>
        let job = doing.frame.inputs.is_none();
        let shell = script.shell.clone().or_else(|| self.shell.clone().filter(|_| job));
        let template = match shell.as_deref() {
            None => "bash -e {0}".to_owned(),
            Some("bash") => "bash --noprofile --norc -eo pipefail {0}".to_owned(),
            Some("sh") => "sh -e {0}".to_owned(),
            Some("python") => "python {0}".to_owned(),
            Some(other) if other.contains("{0}") => other.to_owned(),
            Some(other) => return Acted::failed(format!("Invalid shell option {other}")),
        };
        self.serial += 1;
        let file = self.temp.join(format!("step-{}.sh", self.serial));
        fs::write(&file, format!("{}\n", script.script)).unwrap();
        let argv = template.split(' ').map(|part| part.replace("{0}", &file.display().to_string())).collect();
        let directory = script.directory.clone().or_else(|| self.directory.clone().filter(|_| job));
        let directory = self.workspace.join(directory.unwrap_or_default());
        let mut env = doing.env.clone();
        self.add_identity(&mut env);
        self.process(doing, argv, directory, env).0
    }

    /// What the steps of a job may have that has an identity.
    pub fn add_identity(&self, env: &mut BTreeMap<String, String>) {
        if self.task.permissions.of("id-token") == Access::Write {
            env.extend(self.task.attempt.world.settings.identity.iter().cloned());
        }
    }

    /// Runs a process and does what it says. With what it wrote to `GITHUB_STATE`.
    pub fn process(
        &mut self,
        doing: &Doing<'_>,
        argv: Vec<String>,
        directory: PathBuf,
        env: BTreeMap<String, String>,
    ) -> (Acted, BTreeMap<String, String>) {
        self.serial += 1;
        let folder = self.temp.join(format!("_runner_file_commands_{}", self.serial));
        fs::create_dir_all(&folder).unwrap();
        for name in FILES {
            fs::write(folder.join(name), "").unwrap();
        }
        if !directory.is_dir() {
            let error = format!(
                "An error occurred trying to start process with working directory '{}'. No such file or directory",
                directory.display()
            );
            return (Acted::failed(error), BTreeMap::new());
        }
        let environment = self.full_environment(doing, &folder, env);
        let process = Process { argv, directory, environment };
        let (end, failed, outputs) = self.watch(doing, &process);
        let mut acted = match end {
            Err(problem) => Acted::failed(problem),
            Ok(End::Code(0)) => Acted::default(),
            Ok(End::Code(code)) => Acted::failed(format!("Process completed with exit code {code}.")),
            Ok(End::Late) => {
                Acted::failed(format!("The action '{}' has timed out.", doing.names.last().unwrap()))
            }
            Ok(End::Cancelled) => Acted {
                outcome: Outcome::Cancelled,
                error: Some("The operation was canceled.".to_owned()),
                ..Acted::default()
            },
            Ok(End::Dead) => Acted::failed("The runner has died."),
        };
        if acted.outcome == Outcome::Success && failed.is_some() {
            acted = Acted { outcome: Outcome::Failure, error: None, ..acted };
        }
        acted.outputs = outputs;
        let state = match self.files(&folder, &mut acted.outputs) {
            Ok(state) => state,
            Err(problem) => {
                acted = Acted { outputs: acted.outputs, ..Acted::failed(problem) };
                BTreeMap::new()
            }
        };
        (acted, state)
    }

    fn full_environment(
        &self,
        doing: &Doing<'_>,
        folder: &Path,
        env: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut all = self.environment();
        all.extend(self.env.clone());
        all.extend(env);
        let path = self.path.iter().cloned().chain(all.get("PATH").cloned()).collect::<Vec<_>>().join(":");
        all.insert("PATH".to_owned(), path);
        for (context, prefix) in [("github", "GITHUB"), ("runner", "RUNNER")] {
            let Some(Value::Object(object)) = doing.scope.contexts.get(context) else { continue };
            for (name, value) in &object.entries {
                let known =
                    !matches!(name.as_str(), "token" | "event" | "repositoryUrl" | "secret_source" | "debug");
                if known && value.is_primitive() {
                    all.insert(format!("{prefix}_{}", name.to_uppercase()), value.to_text());
                }
            }
        }
        for name in FILES {
            all.insert(format!("GITHUB_{name}"), folder.join(name).display().to_string());
        }
        let event = folder.join("event.json");
        fs::write(&event, self.task.attempt.payload.to_string()).unwrap();
        all.insert("GITHUB_EVENT_PATH".to_owned(), event.display().to_string());
        all.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
        all.insert("GITHUB_ACTION".to_owned(), doing.step.id.clone().unwrap_or_else(|| "__run".to_owned()));
        all.insert(TRACKING.to_owned(), self.tracking.clone());
        all
    }

    /// Reads the log of a process. With why a command in it fails the step, and what older commands have set.
    fn watch(
        &mut self,
        doing: &Doing<'_>,
        process: &Process,
    ) -> (Result<End, String>, Option<()>, BTreeMap<String, String>) {
        let cancel = std::sync::Arc::clone(self.task.cancel);
        let patience = self.task.attempt.world.settings.patience;
        let deadline = self.deadline;
        let order = || {
            cancel.end_late(deadline);
            match () {
                () if cancel.is_dead() => Order::Kill,
                () if cancel.is_asked() && !doing.spared => Order::Cancel,
                () => Order::GoOn,
            }
        };
        let (mut stopped, mut failed, mut outputs) = (None, None, BTreeMap::new());
        let mut line = |line: &str| {
            match commands::parse(line) {
                Some(command) if stopped.is_some() => {
                    if stopped.as_ref() == Some(&command.name) {
                        stopped = None;
                    }
                    self.log(line);
                }
                Some(command) if command.name == "stop-commands" => {
                    stopped = Some(command.message);
                    self.log(line);
                }
                Some(command) => self.command(&command, line, &mut failed, &mut outputs),
                None => self.log(line),
            }
            self.fault(Some(&doing.names), Some(line));
        };
        let end = process::run(process, doing.deadline, patience, &mut line, &order);
        (end, failed, outputs)
    }

    fn command(
        &mut self,
        command: &commands::Command,
        line: &str,
        failed: &mut Option<()>,
        outputs: &mut BTreeMap<String, String>,
    ) {
        let commands::Command { name, properties, message } = command;
        match name.as_str() {
            "add-mask" => self.mask(message),
            "error" | "warning" | "notice" => {
                self.log(&format!("##[{name}]{message}"));
                let annotation = Annotation {
                    job: self.task.name.to_owned(),
                    level: name.clone(),
                    title: self.masked(properties.get("title").map_or("", String::as_str)),
                    message: self.masked(message),
                };
                self.task.attempt.recorder.change(|report| report.annotations.push(annotation));
            }
            "set-env" | "add-path" => {
                self.annotate("error", &format!("Unable to process command '{line}' successfully."));
                self.annotate(
                    "error",
                    &format!("The `{name}` command is disabled. Please upgrade to using Environment Files"),
                );
                *failed = Some(());
            }
            "set-output" | "save-state" => {
                self.annotate(
                    "warning",
                    &format!("The `{name}` command is deprecated and will be disabled soon."),
                );
                if let Some(key) = properties.get("name").filter(|_| name == "set-output") {
                    outputs.insert(key.clone(), message.clone());
                }
            }
            _ => self.log(line),
        }
    }

    /// What the step has written to the files of GitHub; returns its state.
    fn files(
        &mut self,
        folder: &Path,
        outputs: &mut BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, String> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let pairs = |name: &str| {
            let wrong = |problem| {
                format!("Unable to process file command '{}' successfully. {problem}", name.to_lowercase())
            };
            commands::pairs(&read(name)).map_err(wrong)
        };
        for line in read("PATH").lines().filter(|line| !line.is_empty()) {
            self.path.retain(|one| one != line);
            self.path.insert(0, line.to_owned());
        }
        self.summary(&folder.join("STEP_SUMMARY"));
        for (name, value) in pairs("ENV")? {
            if name.eq_ignore_ascii_case("NODE_OPTIONS") {
                self.annotate(
                    "error",
                    "Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.",
                );
            } else {
                self.env.insert(name, value);
            }
        }
        outputs.extend(pairs("OUTPUT")?);
        Ok(pairs("STATE")?.into_iter().collect())
    }

    fn summary(&self, file: &Path) {
        let size = fs::metadata(file).map_or(0, |file| file.len());
        if size > SUMMARY {
            self.annotate(
                "error",
                &format!(
                    "$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of {}k, got {}k.",
                    SUMMARY / 1024,
                    size / 1024
                ),
            );
            return;
        }
        let text = self.masked(&fs::read_to_string(file).unwrap_or_default());
        if !text.is_empty() {
            self.task.attempt.recorder.change(|report| {
                report.summary.push_str(&text);
                if !text.ends_with('\n') {
                    report.summary.push('\n');
                }
            });
        }
    }
}
