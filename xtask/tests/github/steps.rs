//! The steps of a job, or of a composite action: `StepsRunner.cs` and `CompositeActionHandler.cs` of actions/runner.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::availability::Key;
use super::document::{Action, Step};
use super::expression::{Scope, Status};
use super::machine::Machine;
use super::report::{Outcome, StepReport};
use super::script::Script;
use super::template::{condition, expand, holds};
use super::value::Value;

/// What steps stand in.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The inputs of the action; `None`: a job.
    pub inputs: Option<Value>,
    /// Its folder.
    pub action: Option<PathBuf>,
    /// What its step has set for it.
    pub env: BTreeMap<String, String>,
    /// When the time of its step is up.
    pub deadline: Option<Instant>,
    /// It goes on in a run that is cancelled.
    pub spared: bool,
    pub depth: usize,
}

impl Frame {
    pub fn job() -> Self {
        Self { inputs: None, action: None, env: BTreeMap::new(), deadline: None, spared: true, depth: 0 }
    }

    fn keys(&self) -> (Key, Key) {
        if self.inputs.is_some() { (Key::ActionStep, Key::ActionStepIf) } else { (Key::Step, Key::StepIf) }
    }
}

/// What has become of some steps.
pub struct Sequence {
    pub outcome: Outcome,
    /// The context `steps`.
    pub context: Vec<(String, Value)>,
}

/// What has become of one.
#[derive(Debug, Default)]
pub struct Acted {
    pub outcome: Outcome,
    pub outputs: BTreeMap<String, String>,
    pub error: Option<String>,
}

impl Acted {
    pub fn failed(error: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failure, outputs: BTreeMap::new(), error: Some(error.into()) }
    }
}

/// A step whose condition holds.
pub struct Doing<'d> {
    pub step: &'d Step,
    /// What stands in the report, and the other names by which a test may mean it.
    pub names: Vec<&'d str>,
    pub frame: &'d Frame,
    pub scope: Scope<'d>,
    pub env: BTreeMap<String, String>,
    pub deadline: Option<Instant>,
    pub spared: bool,
}

impl Machine<'_> {
    pub fn sequence(&mut self, steps: &[Step], frame: &Frame) -> Sequence {
        let mut context: Vec<(String, Value)> = Vec::new();
        // A composite action counts its own steps only.
        let mut own = Outcome::Success;
        for step in steps {
            if self.task.cancel.is_dead() {
                own = Outcome::Failure;
                break;
            }
            self.task.cancel.end_late(self.deadline);
            if self.task.cancel.is_asked() {
                self.status = Outcome::Cancelled;
                own = Outcome::Cancelled;
            }
            let now = if frame.inputs.is_some() { own } else { self.status };
            let (report, outputs, broken) = self.step(step, frame, now, &context);
            let Some(report) = report else { continue };
            let failed = matches!(report.conclusion, Outcome::Failure | Outcome::Cancelled);
            if let Some(id) = &step.id {
                let state = [
                    ("outputs", Value::texts(&outputs)),
                    ("outcome", Value::text(report.outcome.to_string())),
                    ("conclusion", Value::text(report.conclusion.to_string())),
                ];
                context.push((id.clone(), Value::object(state)));
            }
            if failed && own != Outcome::Cancelled {
                own = report.conclusion;
            }
            if frame.inputs.is_none() {
                if failed && self.status == Outcome::Success {
                    self.status = report.conclusion;
                }
                self.reports.push(report);
            }
            if broken && frame.inputs.is_some() {
                break;
            }
        }
        if self.task.cancel.is_asked() && frame.inputs.is_none() && own != Outcome::Success {
            self.status = Outcome::Cancelled;
        }
        Sequence { outcome: own, context }
    }

    /// One step: what the report says, its outputs, and whether its condition could not be evaluated.
    fn step(
        &mut self,
        step: &Step,
        frame: &Frame,
        now: Outcome,
        context: &[(String, Value)],
    ) -> (Option<StepReport>, BTreeMap<String, String>, bool) {
        let (key, key_if) = frame.keys();
        let base = self.scope(frame, context);
        let name = display(step, key, &base);
        let mut env = frame.env.clone();
        let mut broken = None;
        for (name, yaml) in &step.env {
            match expand(yaml, key, &base) {
                Ok(value) => drop(env.insert(name.clone(), value.to_text())),
                Err(problem) => broken = Some(format!("env.{name}: {problem}")),
            }
        }
        let mut inner = frame.clone();
        inner.env = env.clone();
        let mut scope = self.scope(&inner, context);
        let cancelled = self.status == Outcome::Cancelled;
        scope.status =
            Status { success: now == Outcome::Success, failure: now == Outcome::Failure, cancelled };
        let parsed = step.condition.as_ref().map(|text| condition(text, key_if)).transpose();
        let held = parsed.and_then(|condition| {
            let later = Status { success: false, failure: false, cancelled: true };
            let spared = holds(condition.as_ref(), &Scope { status: later, ..scope.clone() })?;
            Ok((holds(condition.as_ref(), &scope)?, spared))
        });
        let id = step.id.clone().unwrap_or_else(|| name.clone());
        let report = |outcome, conclusion| Some(StepReport { name: id.clone(), outcome, conclusion });
        let spared = match (broken, held) {
            (Some(problem), _) | (None, Err(problem)) => {
                self.annotate("error", &problem);
                return (report(Outcome::Failure, Outcome::Failure), BTreeMap::new(), true);
            }
            (None, Ok((false, _))) => {
                return (report(Outcome::Skipped, Outcome::Skipped), BTreeMap::new(), false);
            }
            (None, Ok((true, spared))) => spared && frame.spared,
        };
        // The workspace is the same for as long as the job runs; the scope may not hold on to the machine.
        let workspace = self.workspace.clone();
        let scope = Scope { contexts: scope.contexts, status: scope.status, workspace: Some(&workspace) };
        let names: Vec<&str> = step.id.as_deref().into_iter().chain([name.as_str()]).collect();
        self.log(&format!("##[group]Run {name}"));
        self.fault(Some(&names), None);
        let minutes = step.timeout.as_ref().and_then(|yaml| expand(yaml, key, &scope).ok());
        let own = minutes
            .map(|minutes| Instant::now() + Duration::from_secs_f64(minutes.to_number().max(0.0) * 60.0));
        let deadline = own.into_iter().chain(frame.deadline).min();
        let doing = Doing { step, names, frame, scope, env, deadline, spared };
        let acted = self.act(&doing);
        if let Some(error) = &acted.error {
            self.annotate("error", error);
        }
        let allowed = step.continue_on_error.as_ref().map(|yaml| expand(yaml, key, &doing.scope));
        let conclusion = match (acted.outcome, allowed) {
            (Outcome::Failure, Some(Ok(Value::Bool(true)))) => Outcome::Success,
            (Outcome::Failure, Some(Err(problem))) => {
                self.annotate("error", &problem);
                Outcome::Failure
            }
            (outcome, _) => outcome,
        };
        (report(acted.outcome, conclusion), acted.outputs, false)
    }

    fn act(&mut self, doing: &Doing<'_>) -> Acted {
        if self.task.cancel.is_dead() {
            return Acted::failed("The runner has died.");
        }
        let key = doing.frame.keys().0;
        match &doing.step.action {
            Action::Run { script, shell, directory } => {
                let text = |yaml: &Option<_>| {
                    yaml.as_ref()
                        .map(|yaml| expand(yaml, key, &doing.scope))
                        .transpose()
                        .map(|value| value.map(|value| value.to_text()))
                };
                let script = expand(script, key, &doing.scope).map(|value| value.to_text());
                match (script, text(shell), text(directory)) {
                    (Ok(script), Ok(shell), Ok(directory)) => {
                        self.script(doing, &Script { script, shell, directory })
                    }
                    (Err(problem), _, _) | (_, Err(problem), _) | (_, _, Err(problem)) => {
                        Acted::failed(problem)
                    }
                }
            }
            Action::Uses { name, with } => {
                let mut inputs = Vec::new();
                for (input, yaml) in with {
                    match expand(yaml, key, &doing.scope) {
                        Ok(value) => inputs.push((input.clone(), value.to_text())),
                        Err(problem) => return Acted::failed(format!("with.{input}: {problem}")),
                    }
                }
                self.uses(doing, name, &inputs)
            }
        }
    }
}

/// What the log calls a step.
fn display(step: &Step, key: Key, scope: &Scope<'_>) -> String {
    let name = step.name.as_ref().and_then(|yaml| expand(yaml, key, scope).ok()).map(|value| value.to_text());
    name.unwrap_or_else(|| match &step.action {
        Action::Run { script, .. } => {
            let text = script.as_str().unwrap_or_default();
            text.trim().lines().next().unwrap_or_default().to_owned()
        }
        Action::Uses { name, .. } => name.split('@').next().unwrap_or_default().to_owned(),
    })
}
