//! A workflow with all files that it calls, checked before anything runs as GitHub does: what is wrong here starts no job.

use std::collections::{BTreeMap, BTreeSet};

use super::availability::Key;
use super::document::{Action, Call, Concurrency, Defaults, Job, Kind, Steps, Workflow};
use super::expression::Expression;
use super::permissions::Permissions;
use super::template::{check, condition};
use serde_yaml_ng::Value as Yaml;

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/reusing-workflow-configurations#limitations-of-reusable-workflows>
const LEVELS: usize = 10;
const FILES: usize = 50;

/// The files of one run, by path.
#[derive(Debug, Clone)]
pub struct Files {
    pub files: BTreeMap<String, Workflow>,
    /// What GitHub takes and nobody means, e.g. `needs.x` of a job that is not needed.
    pub remarks: Vec<String>,
}

/// Reads a workflow and what it calls. `read` gives the text of a file of the commit.
pub fn load(path: &str, limit: &Permissions, read: &dyn Fn(&str) -> Option<String>) -> Result<Files, String> {
    let mut loader = Loader { read, files: BTreeMap::new(), remarks: Vec::new() };
    loader.visit(path, limit, true, &mut Vec::new())?;
    if loader.files.len() > FILES + 1 {
        return Err(format!("{path}: {} files are called, of at most {FILES}", loader.files.len() - 1));
    }
    Ok(Files { files: loader.files, remarks: loader.remarks })
}

struct Loader<'r> {
    read: &'r dyn Fn(&str) -> Option<String>,
    files: BTreeMap<String, Workflow>,
    remarks: Vec<String>,
}

impl Loader<'_> {
    fn visit(
        &mut self,
        path: &str,
        limit: &Permissions,
        top: bool,
        above: &mut Vec<String>,
    ) -> Result<(), String> {
        let invalid = |problem: String| format!("Invalid workflow file: {path}: {problem}");
        if above.iter().any(|caller| caller == path) {
            return Err(invalid(format!("{} calls itself: loops are not permitted", above.join(" -> "))));
        }
        above.push(path.to_owned());
        if above.len() > LEVELS {
            return Err(invalid(format!(
                "workflows are nested deeper than {LEVELS} levels: {}",
                above.join(" -> ")
            )));
        }
        if !self.files.contains_key(path) {
            let text = (self.read)(path).ok_or_else(|| invalid("workflow was not found".to_owned()))?;
            let workflow = Workflow::parse(path, &text).map_err(invalid)?;
            Checker { workflow: &workflow, remarks: &mut self.remarks }.workflow().map_err(invalid)?;
            self.files.insert(path.to_owned(), workflow);
        }
        let workflow = self.files[path].clone();
        for job in &workflow.jobs {
            let asked = job.permissions.as_ref().or(workflow.permissions.as_ref());
            if let Some((scope, access, allowed)) =
                asked.filter(|_| !top).and_then(|asked| asked.beyond(limit))
            {
                return Err(invalid(format!(
                    "Error calling workflow '{path}'. The nested job '{}' is requesting '{scope}: {access}', but is only \
                     allowed '{scope}: {allowed}'.",
                    job.id
                )));
            }
            if let Kind::Call(call) = &job.kind {
                let limit = asked.unwrap_or(limit);
                let called =
                    called(&call.uses).map_err(|problem| invalid(format!("jobs.{}: {problem}", job.id)))?;
                self.visit(called, limit, false, above)?;
                self.interface(call, called)
                    .map_err(|problem| invalid(format!("jobs.{}: {problem}", job.id)))?;
            }
        }
        above.pop();
        Ok(())
    }

    /// What a call gives is what the called file takes.
    fn interface(&self, call: &Call, called: &str) -> Result<(), String> {
        let interface = self.files[called].on.call.as_ref();
        let interface = interface.ok_or_else(|| {
            format!("workflow {called} is not reusable as it is missing a `on.workflow_call` trigger")
        })?;
        if let Some((name, _)) =
            call.with.iter().find(|(name, _)| !interface.inputs.iter().any(|(known, _)| known == name))
        {
            return Err(format!("Invalid input, {name} is not defined in the referenced workflow."));
        }
        for (name, input) in &interface.inputs {
            if input.required && !call.with.iter().any(|(given, _)| given == name) {
                return Err(format!("Input {name} is required, but not provided while calling."));
            }
        }
        let Some(secrets) = &call.secrets else { return Ok(()) };
        let known = |name: &str| interface.secrets.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((name, _)) = secrets.iter().find(|(name, _)| !known(name)) {
            return Err(format!("Invalid secret, {name} is not defined in the referenced workflow."));
        }
        for (name, required) in &interface.secrets {
            if *required && !secrets.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                return Err(format!("Secret {name} is required, but not provided while calling."));
            }
        }
        Ok(())
    }
}

/// The path of a called file: one of this repository.
pub fn called(uses: &str) -> Result<&str, String> {
    let path = uses
        .strip_prefix("./")
        .ok_or_else(|| format!("uses: {uses}: only files of this repository are modelled"))?;
    if path.contains('@') {
        return Err(format!("uses: {uses}: a file of this repository bears no version"));
    }
    let name = path.strip_prefix(".github/workflows/").filter(|name| !name.contains('/'));
    name.map(|_| path).ok_or_else(|| {
        format!(
            "uses: {uses}: workflows must be defined at the top level of the .github/workflows/ directory"
        )
    })
}

/// Every job that a job waits for, directly or not.
pub fn ancestors(workflow: &Workflow, id: &str) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![id.to_owned()]);
    while let Some(id) = open.pop() {
        let needs = workflow.job(&id).map(|job| job.needs.clone()).unwrap_or_default();
        open.extend(needs.into_iter().filter(|need| found.insert(need.clone())));
    }
    found
}

/// The checks of one file.
struct Checker<'c> {
    workflow: &'c Workflow,
    remarks: &'c mut Vec<String>,
}

impl Checker<'_> {
    fn workflow(&mut self) -> Result<(), String> {
        let workflow = self.workflow;
        for job in &workflow.jobs {
            if let Some(missing) = job.needs.iter().find(|need| workflow.job(need).is_none()) {
                return Err(format!("Job '{}' depends on unknown job '{missing}'.", job.id));
            }
            if ancestors(workflow, &job.id).contains(&job.id) {
                return Err(format!("Job '{}' depends on itself: a cycle of `needs`", job.id));
            }
        }
        if workflow.jobs.iter().all(|job| !job.needs.is_empty()) {
            return Err("The workflow must contain at least one job with no dependencies.".to_owned());
        }
        self.one("run-name", workflow.run_name.as_ref(), Key::RunName, None)?;
        self.all("env", &workflow.env, Key::WorkflowEnv, None)?;
        self.concurrency("concurrency", workflow.concurrency.as_ref(), Key::Concurrency, None)?;
        if let Some(interface) = &workflow.on.call {
            for (name, input) in &interface.inputs {
                self.one(&format!("inputs.{name}.default"), input.default.as_ref(), Key::CallDefault, None)?;
            }
            self.all("outputs", &interface.outputs, Key::CallOutput, None)?;
        }
        workflow.jobs.iter().try_for_each(|job| self.job(job))
    }

    fn job(&mut self, job: &Job) -> Result<(), String> {
        let (at, of) = (|key: &str| format!("jobs.{}.{key}", job.id), Some(job));
        self.condition(&at("if"), job.condition.as_ref(), Key::JobIf, of)?;
        self.one(&at("name"), job.name.as_ref(), Key::JobName, of)?;
        self.one(&at("strategy"), job.strategy.as_ref(), Key::Strategy, of)?;
        self.concurrency(&at("concurrency"), job.concurrency.as_ref(), Key::JobConcurrency, of)?;
        match &job.kind {
            Kind::Call(call) => {
                self.all(&at("with"), &call.with, Key::JobWith, of)?;
                self.all(&at("secrets"), call.secrets.as_deref().unwrap_or_default(), Key::JobSecret, of)
            }
            Kind::Steps(steps) => self.steps(job, steps),
        }
    }

    fn steps(&mut self, job: &Job, steps: &Steps) -> Result<(), String> {
        let (at, of) = (|key: &str| format!("jobs.{}.{key}", job.id), Some(job));
        self.one(&at("runs-on"), Some(&steps.runs_on), Key::RunsOn, of)?;
        self.one(&at("timeout-minutes"), steps.timeout.as_ref(), Key::JobTimeout, of)?;
        self.one(&at("continue-on-error"), steps.continue_on_error.as_ref(), Key::JobContinue, of)?;
        self.all(&at("env"), &steps.env, Key::JobEnv, of)?;
        self.all(&at("outputs"), &steps.outputs, Key::JobOutput, of)?;
        let Defaults { shell, directory } = &steps.defaults;
        self.one(&at("defaults"), shell.as_ref(), Key::JobDefaults, of)?;
        self.one(&at("defaults"), directory.as_ref(), Key::JobDefaults, of)?;
        for (number, step) in steps.steps.iter().enumerate() {
            let place = at(&format!("steps[{number}]"));
            self.condition(&place, step.condition.as_ref(), Key::StepIf, of)?;
            self.all(&place, &step.env, Key::Step, of)?;
            for yaml in [&step.name, &step.continue_on_error, &step.timeout] {
                self.one(&place, yaml.as_ref(), Key::Step, of)?;
            }
            match &step.action {
                Action::Uses { with, .. } => self.all(&place, with, Key::Step, of)?,
                Action::Run { script, shell, directory } => {
                    for yaml in [Some(script), shell.as_ref(), directory.as_ref()] {
                        self.one(&place, yaml, Key::Step, of)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn concurrency(
        &mut self,
        place: &str,
        concurrency: Option<&Concurrency>,
        key: Key,
        job: Option<&Job>,
    ) -> Result<(), String> {
        let Some(Concurrency { group, cancel, .. }) = concurrency else { return Ok(()) };
        self.one(place, Some(group), key, job)?;
        self.one(place, Some(cancel), key, job)
    }

    fn all(
        &mut self,
        place: &str,
        all: &[(String, Yaml)],
        key: Key,
        job: Option<&Job>,
    ) -> Result<(), String> {
        all.iter().try_for_each(|(name, yaml)| self.one(&format!("{place}.{name}"), Some(yaml), key, job))
    }

    fn one(&mut self, place: &str, yaml: Option<&Yaml>, key: Key, job: Option<&Job>) -> Result<(), String> {
        let Some(yaml) = yaml else { return Ok(()) };
        let mut found = Vec::new();
        check(yaml, key, &mut |expression| found.push(expression.clone()))
            .map_err(|problem| format!("{place}: {problem}"))?;
        found.iter().for_each(|expression| self.names(place, expression, job));
        Ok(())
    }

    fn condition(
        &mut self,
        place: &str,
        text: Option<&String>,
        key: Key,
        job: Option<&Job>,
    ) -> Result<(), String> {
        let Some(text) = text else { return Ok(()) };
        let expression = condition(text, key).map_err(|problem| format!("{place}: {problem}"))?;
        self.names(place, &expression, job);
        Ok(())
    }

    /// Names that are null whatever happens.
    fn names(&mut self, place: &str, expression: &Expression, job: Option<&Job>) {
        let workflow = self.workflow;
        let remarks = &mut *self.remarks;
        expression.names(&mut |context, name| {
            let same = |one: &str| one.eq_ignore_ascii_case(name);
            let known = match (context, job) {
                ("needs", Some(job)) => job.needs.iter().any(|need| same(need)),
                ("jobs", None) => workflow.jobs.iter().any(|job| same(&job.id)),
                ("steps", Some(Job { kind: Kind::Steps(steps), .. })) => {
                    steps.steps.iter().any(|step| step.id.as_deref().is_some_and(same))
                }
                ("inputs", _) => {
                    let call = workflow.on.call.iter().flat_map(|call| call.inputs.iter());
                    let form = workflow.on.dispatch.iter().flatten();
                    call.chain(form).any(|(input, _)| same(input))
                }
                _ => true,
            };
            if !known {
                remarks.push(format!("{}: {place}: there is no {context}.{name}", workflow.path));
            }
        });
    }
}
