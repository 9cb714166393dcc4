//! A job of a workflow: its condition, the rows of its matrix, and what each of them is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use super::availability::Key;
use super::calls::called;
use super::cancel::Cancel;
use super::context::{Contexts, scope};
use super::document::{Call, Job, Kind};
use super::expression::Status;
use super::machine;
use super::matrix;
use super::permissions::Permissions;
use super::report::{JobReport, Outcome};
use super::run::{Flow, Stopped, has_failed, together};
use super::slots::{Slot, Slots};
use super::template::{condition, expand, holds};
use super::value::Value;

/// A job whose needs are done.
pub struct Rows<'r, 'f> {
    pub flow: &'r Flow<'f>,
    pub job: &'r Job,
    /// With `needs`.
    pub contexts: Contexts,
    pub held: &'r [String],
}

impl Rows<'_, '_> {
    pub fn run(&self) -> JobReport {
        match self.holds(self.flow.cancel.is_cancelled()) {
            Err(problem) => return self.none(Outcome::Failure, Some(format!("if: {problem}"))),
            Ok(false) => {
                let past = self.flow.status(self.job, false);
                let cancelled = self.flow.cancel.is_cancelled() && past.success;
                return self.none(if cancelled { Outcome::Cancelled } else { Outcome::Skipped }, None);
            }
            Ok(true) => {}
        }
        let strategy = self.job.strategy.as_ref();
        let rows = strategy
            .map(|strategy| expand(strategy, Key::Strategy, &scope(&self.contexts)))
            .transpose()
            .and_then(|strategy| matrix::rows(strategy.as_ref()));
        let rows = match rows {
            Ok(rows) => rows,
            Err(problem) => {
                let problem =
                    format!("Error when evaluating 'strategy' for job '{}'. {problem}", self.job.id);
                return self.none(Outcome::Failure, Some(problem));
            }
        };
        let all = Cancel::below(&self.flow.cancel);
        // A condition that holds in a run that is cancelled spares its job.
        if self.holds(true).unwrap_or(false) {
            all.spare();
        }
        let at_once = Slots::new(rows.at_once);
        let total = rows.rows.len();
        let reports: Vec<JobReport> = thread::scope(|threads| {
            let handles: Vec<_> = rows
                .rows
                .iter()
                .enumerate()
                .map(|(index, matrix)| {
                    let (all, at_once, own) = (&all, &at_once, at_once.queue());
                    threads.spawn(move || {
                        let row = Row {
                            rows: self,
                            index,
                            total,
                            matrix: matrix.clone(),
                            fail_fast: rows.fail_fast,
                            at_once: rows.at_once,
                        };
                        // The machine is free for the next row when that knows whether it is to run.
                        let _place = at_once.take(own, || all.is_asked());
                        let (report, _slot) = row.run(all);
                        if rows.fail_fast && report.result == Outcome::Failure && total > 1 {
                            all.ask(&format!(
                                "The strategy configuration was canceled because \"{}\" failed",
                                report.name
                            ));
                        }
                        report
                    })
                })
                .collect();
            handles.into_iter().map(|handle| handle.join().expect("a row does not panic")).collect()
        });
        together(&reports.iter().collect::<Vec<_>>())
    }

    fn holds(&self, cancelled: bool) -> Result<bool, String> {
        let status: Status = self.flow.status(self.job, cancelled);
        let condition = self.job.condition.as_ref().map(|text| condition(text, Key::JobIf)).transpose()?;
        let mut scope = scope(&self.contexts);
        scope.status = status;
        holds(condition.as_ref(), &scope)
    }

    /// The name of a job that has no rows: an expression in it was not evaluated.
    fn none(&self, outcome: Outcome, error: Option<String>) -> JobReport {
        let written =
            self.job.name.as_ref().and_then(|name| name.as_str()).filter(|name| !name.contains("${{"));
        let name = self.full(written.unwrap_or(&self.job.id));
        let recorder = &self.flow.attempt.recorder;
        if let Some(error) = error {
            recorder.annotate(&name, "error", &error);
        }
        let report = JobReport {
            name,
            result: outcome,
            conclusion: outcome,
            attempt: self.flow.attempt.attempt,
            ended: self.flow.attempt.world.next(),
            ..JobReport::default()
        };
        recorder.job(&format!("{}{}", self.flow.place, self.job.id), report.clone());
        report
    }

    fn full(&self, name: &str) -> String {
        if self.flow.label.is_empty() { name.to_owned() } else { format!("{} / {name}", self.flow.label) }
    }

    /// Of the token of the job: what it says, else its file, else who calls it.
    fn permissions(&self) -> Permissions {
        let own = self.job.permissions.as_ref().or(self.flow.workflow.permissions.as_ref());
        let asked = own.unwrap_or(&self.flow.permissions).clone();
        if self.flow.attempt.event.fork { asked.of_a_fork() } else { asked }
    }
}

struct Row<'r, 'f> {
    rows: &'r Rows<'r, 'f>,
    index: usize,
    total: usize,
    matrix: Option<Value>,
    fail_fast: bool,
    at_once: usize,
}

/// How a row has ended, before `continue-on-error`.
struct Ended<'f> {
    outcome: Outcome,
    error: Option<String>,
    report: JobReport,
    slot: Option<Slot<'f>>,
}

impl Ended<'_> {
    fn with(outcome: Outcome, error: String) -> Self {
        Self { outcome, error: Some(error), report: JobReport::default(), slot: None }
    }
}

impl From<Stopped> for Ended<'_> {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Wrong(why) => Self::with(Outcome::Failure, why),
            Stopped::Cancelled(why) => Self::with(Outcome::Cancelled, why),
        }
    }
}

impl<'f> Row<'_, 'f> {
    /// With the machine that it has had.
    fn run(&self, all: &Arc<Cancel>) -> (JobReport, Option<Slot<'f>>) {
        let (flow, job) = (self.rows.flow, self.rows.job);
        let attempt = flow.attempt;
        let place = format!("{}{}[{}]", flow.place, job.id, self.index);
        let again = flow.anew || flow.is_affected_above(job);
        if let Some(report) = attempt.kept.as_ref().and_then(|kept| kept.get(&place)).filter(|_| !again)
            && !has_failed(report)
        {
            let inside = format!("{place}/");
            for (place, report) in
                attempt.kept.iter().flatten().filter(|(one, _)| **one == place || one.starts_with(&inside))
            {
                attempt.recorder.job(place, report.clone());
            }
            return (report.clone(), None);
        }
        let contexts = self.contexts();
        let cancel = Cancel::below(all);
        let name = self.name(&contexts);
        let ended = match &name {
            Err(problem) => Ended::with(Outcome::Failure, format!("name: {problem}")),
            Ok(_) if cancel.is_asked() => Ended::with(Outcome::Cancelled, cancel.why().unwrap_or_default()),
            Ok(name) => self.inside(name, &place, &contexts, &cancel, again),
        };
        let name = name.unwrap_or_else(|_| self.rows.full(&job.id));
        if let Some(error) = &ended.error {
            attempt.recorder.annotate(&name, "error", error);
        }
        let mut result = ended.outcome;
        if result == Outcome::Failure
            && let Kind::Steps(steps) = &job.kind
            && let Some(allowed) = &steps.continue_on_error
        {
            match expand(allowed, Key::JobContinue, &scope(&contexts)) {
                Ok(Value::Bool(true)) => result = Outcome::Success,
                Ok(Value::Bool(false)) => {}
                Ok(other) => {
                    let text = format!("continue-on-error: Unexpected value '{}'", other.to_text());
                    attempt.recorder.annotate(&name, "error", &text);
                }
                Err(problem) => attempt.recorder.annotate(&name, "error", &problem),
            }
        }
        attempt.recorder.line(&name, &format!("job {}", ended.outcome));
        let report = JobReport {
            name,
            result,
            conclusion: ended.outcome,
            attempt: attempt.attempt,
            permissions: self.rows.permissions(),
            ended: attempt.world.next(),
            ..ended.report
        };
        attempt.recorder.job(&place, report.clone());
        (report, ended.slot)
    }

    fn contexts(&self) -> Contexts {
        let mut contexts = self.rows.contexts.clone();
        let number = |number: usize| Value::Number(number as f64);
        contexts.insert("matrix", self.matrix.clone().unwrap_or(Value::Null));
        let strategy = [
            ("fail-fast", Value::Bool(self.fail_fast)),
            ("job-index", number(self.index)),
            ("job-total", number(self.total)),
            ("max-parallel", number(self.at_once)),
        ];
        contexts.insert("strategy", Value::object(strategy));
        contexts
    }

    fn name(&self, contexts: &Contexts) -> Result<String, String> {
        let job = self.rows.job;
        let name = match (&job.name, &self.matrix) {
            (Some(name), _) => expand(name, Key::JobName, &scope(contexts))?.to_text(),
            (None, Some(matrix)) => format!("{} ({})", job.id, matrix::label(matrix)),
            (None, None) => job.id.clone(),
        };
        Ok(self.rows.full(&name))
    }

    fn inside(
        &self,
        name: &str,
        place: &str,
        contexts: &Contexts,
        cancel: &Arc<Cancel>,
        again: bool,
    ) -> Ended<'f> {
        let Rows { flow, job, held, .. } = self.rows;
        let group = flow.enter(job.concurrency.as_ref(), Key::JobConcurrency, contexts, name, cancel, held);
        let group = match group {
            Ok(group) => group,
            Err(stopped) => return stopped.into(),
        };
        match &job.kind {
            Kind::Call(call) => {
                let held =
                    held.iter().cloned().chain(group.iter().map(|group| group.name().to_owned())).collect();
                self.call(call, name, place, contexts, cancel, held, again)
                    .unwrap_or_else(|stopped| stopped.into())
            }
            Kind::Steps(steps) => {
                let attempt = flow.attempt;
                let Some(slot) = attempt.world.slots.take(attempt.world.slots.queue(), || cancel.is_asked())
                else {
                    return Ended::with(Outcome::Cancelled, cancel.why().unwrap_or_default());
                };
                attempt.running.lock().unwrap().insert(name.to_owned(), Arc::clone(cancel));
                let task = machine::Task {
                    attempt,
                    workflow: flow.workflow,
                    id: &job.id,
                    steps,
                    name,
                    contexts,
                    secrets: &flow.secrets,
                    permissions: self.rows.permissions(),
                    cancel,
                };
                let (outcome, error, report) = machine::run(&task);
                attempt.running.lock().unwrap().remove(name);
                Ended { outcome, error, report, slot: Some(slot) }
            }
        }
    }

    /// A workflow of another file.
    #[expect(clippy::too_many_arguments, reason = "what a row knows of itself")]
    fn call(
        &self,
        call: &Call,
        name: &str,
        place: &str,
        contexts: &Contexts,
        cancel: &Arc<Cancel>,
        held: Vec<String>,
        again: bool,
    ) -> Result<Ended<'f>, Stopped> {
        let flow = self.rows.flow;
        let files = flow.attempt.files.as_ref().map_err(|problem| Stopped::Wrong(problem.clone()))?;
        let path = called(&call.uses).map_err(Stopped::Wrong)?;
        let workflow = &files.files[path];
        let interface = workflow.on.call.clone().unwrap_or_default();
        let wrong = |problem: String| Stopped::Wrong(format!("Error calling workflow '{path}': {problem}"));
        let mut inputs = Vec::new();
        for (input, of) in &interface.inputs {
            let given = call.with.iter().find(|(given, _)| given == input);
            let value = match (given, &of.default) {
                (Some((_, yaml)), _) => Some(expand(yaml, Key::JobWith, &scope(contexts)).map_err(wrong)?),
                (None, Some(yaml)) => Some(expand(yaml, Key::CallDefault, &scope(contexts)).map_err(wrong)?),
                (None, None) => None,
            };
            inputs.push((input.clone(), of.typed(input, value).map_err(wrong)?));
        }
        let mut inner = flow.calls(workflow);
        if let Some(secrets) = &call.secrets {
            let context = machine::secrets(&flow.secrets, &flow.attempt.world.settings.token);
            let scope = scope(contexts).with("secrets", context);
            let value = |(name, yaml): &(String, _)| {
                Ok((name.clone(), expand(yaml, Key::JobSecret, &scope)?.to_text()))
            };
            inner.secrets =
                secrets.iter().map(value).collect::<Result<BTreeMap<_, _>, String>>().map_err(wrong)?;
        }
        inner.contexts.insert("inputs", Value::object(inputs));
        inner.permissions = self.rows.permissions();
        inner.label = name.to_owned();
        inner.place = format!("{place}/");
        inner.cancel = Arc::clone(cancel);
        inner.held = held;
        inner.anew = again || flow.attempt.kept.as_ref().is_none_or(|kept| !kept.contains_key(place));
        let outcome = inner.execute()?;
        let job = |(id, job): (&String, &JobReport)| {
            let entries =
                [("result", Value::text(job.result.to_string())), ("outputs", Value::texts(&job.outputs))];
            (id.clone(), Value::object(entries))
        };
        let results = inner.results();
        let scope = scope(&inner.contexts).with("jobs", Value::object(results.iter().map(job)));
        let mut outputs = BTreeMap::new();
        for (name, yaml) in &interface.outputs {
            outputs.insert(name.clone(), expand(yaml, Key::CallOutput, &scope).map_err(wrong)?.to_text());
        }
        Ok(Ended { outcome, error: None, report: JobReport { outputs, ..JobReport::default() }, slot: None })
    }
}
