//! A run: a workflow, and each one that it calls.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::availability::Key;
use super::calls::ancestors;
use super::cancel::Cancel;
use super::context::{Contexts, of_run, scope};
use super::document::{Concurrency, Job, Workflow};
use super::expression::Status;
use super::groups::{Entry, Groups, Place};
use super::permissions::Permissions;
use super::report::{JobReport, Outcome};
use super::row::Rows;
use super::service::Attempt;
use super::template::expand;
use super::value::Value;

/// All outputs of a run together.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idoutputs>
const OUTPUTS: usize = 50 << 20;

/// Runs an attempt to its end.
pub fn execute(attempt: &Attempt) -> Outcome {
    let refuse = |why: String| {
        attempt.recorder.change(|report| report.refused = Some(why));
        Outcome::Failure
    };
    let files = match &attempt.files {
        Ok(files) => files,
        Err(problem) => return refuse(problem.clone()),
    };
    attempt.recorder.change(|report| report.warnings.extend(files.remarks.iter().cloned()));
    let workflow = &files.files[&attempt.path];
    let contexts = match of_run(attempt, workflow) {
        Ok(contexts) => contexts,
        Err(problem) => return refuse(problem),
    };
    let settings = &attempt.world.settings;
    let flow = Flow {
        attempt,
        workflow,
        contexts,
        secrets: if attempt.event.fork { BTreeMap::new() } else { settings.secrets.clone() },
        permissions: settings.permissions.clone(),
        label: String::new(),
        place: String::new(),
        cancel: Arc::clone(&attempt.cancel),
        held: Vec::new(),
        anew: attempt.kept.is_none(),
        results: Mutex::default(),
        changed: Condvar::new(),
    };
    if let Some(name) = &workflow.run_name
        && let Err(problem) = expand(name, Key::RunName, &scope(&flow.contexts))
    {
        return refuse(format!("run-name: {problem}"));
    }
    match flow.execute() {
        Ok(outcome) => outcome,
        Err(Stopped::Wrong(why)) => refuse(why),
        Err(Stopped::Cancelled(why)) => {
            attempt.recorder.annotate("", "error", &why);
            Outcome::Cancelled
        }
    }
}

/// A workflow that runs.
pub struct Flow<'f> {
    pub attempt: &'f Attempt,
    pub workflow: &'f Workflow,
    /// `github`, `vars`, `inputs`.
    pub contexts: Contexts,
    pub secrets: BTreeMap<String, String>,
    /// Of jobs, where neither they nor the file say it.
    pub permissions: Permissions,
    /// The full name of the job that has called it.
    pub label: String,
    /// The place of that job, e.g. `wave-0[2]/`.
    pub place: String,
    pub cancel: Arc<Cancel>,
    /// The groups of concurrency that it is in.
    pub held: Vec<String>,
    /// Nothing is kept of an earlier attempt.
    pub anew: bool,
    results: Mutex<BTreeMap<String, JobReport>>,
    changed: Condvar,
}

/// Why something did not begin.
pub enum Stopped {
    Wrong(String),
    Cancelled(String),
}

impl<'f> Flow<'f> {
    /// A workflow that a job of this one calls.
    pub fn calls(&self, workflow: &'f Workflow) -> Self {
        Flow {
            attempt: self.attempt,
            workflow,
            contexts: self.contexts.clone(),
            secrets: self.secrets.clone(),
            permissions: self.permissions.clone(),
            label: String::new(),
            place: String::new(),
            cancel: Arc::clone(&self.cancel),
            held: self.held.clone(),
            anew: self.anew,
            results: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub fn execute(&self) -> Result<Outcome, Stopped> {
        let who = if self.label.is_empty() { "top level workflow" } else { &self.label };
        let concurrency = self.workflow.concurrency.as_ref();
        let place =
            self.enter(concurrency, Key::Concurrency, &self.contexts, who, &self.cancel, &self.held)?;
        let held: Vec<String> =
            self.held.iter().cloned().chain(place.iter().map(|place| place.name().to_owned())).collect();
        thread::scope(|scope| {
            for job in &self.workflow.jobs {
                let held = &held;
                scope.spawn(move || {
                    self.wait_for(&job.needs);
                    let report =
                        catch_unwind(AssertUnwindSafe(|| self.job(job, held))).unwrap_or_else(|_| {
                            self.attempt.recorder.annotate(&job.id, "error", "the model has panicked");
                            JobReport { result: Outcome::Failure, ..JobReport::default() }
                        });
                    self.results.lock().unwrap().insert(job.id.clone(), report);
                    self.changed.notify_all();
                });
            }
        });
        Ok(Outcome::of_all(self.results().values().map(|job| job.result)))
    }

    pub fn results(&self) -> BTreeMap<String, JobReport> {
        self.results.lock().unwrap().clone()
    }

    fn wait_for(&self, needs: &[String]) {
        let mut results = self.results.lock().unwrap();
        while !needs.iter().all(|need| results.contains_key(need)) {
            results = self.changed.wait(results).unwrap();
        }
    }

    fn job(&self, job: &Job, held: &[String]) -> JobReport {
        let again = self.anew || self.is_affected(job);
        if !again {
            return self.keep(job);
        }
        let contexts = self.with_needs(job);
        let report = Rows { flow: self, job, contexts, held }.run();
        let total: usize = self.attempt.recorder.records().values().map(|job| size(&job.outputs)).sum();
        if total > OUTPUTS {
            let message = format!("The outputs of a run may have {OUTPUTS} bytes, these have {total}");
            self.attempt.recorder.annotate(&job.id, "error", &message);
            return JobReport { result: Outcome::Failure, outputs: BTreeMap::new(), ..report };
        }
        report
    }

    fn with_needs(&self, job: &Job) -> Contexts {
        let results = self.results();
        let need = |id: &String| {
            let job = &results[id];
            let entries =
                [("result", Value::text(job.result.to_string())), ("outputs", Value::texts(&job.outputs))];
            (id.clone(), Value::object(entries))
        };
        let mut contexts = self.contexts.clone();
        contexts.insert("needs", Value::object(job.needs.iter().map(need)));
        contexts
    }

    /// What `success()` and its like say of a job: all that it depends on counts, not only what it names.
    pub fn status(&self, job: &Job, cancelled: bool) -> Status {
        let results = self.results();
        let past: Vec<Outcome> =
            ancestors(self.workflow, &job.id).iter().map(|id| results[id].result).collect();
        let success = !cancelled && past.iter().all(|one| *one == Outcome::Success);
        Status { success, failure: past.contains(&Outcome::Failure), cancelled }
    }

    /// Waits for the turn of a group of concurrency.
    pub fn enter(
        &self,
        concurrency: Option<&Concurrency>,
        key: Key,
        contexts: &Contexts,
        who: &str,
        cancel: &Arc<Cancel>,
        held: &[String],
    ) -> Result<Option<Place>, Stopped> {
        let Some(Concurrency { group, cancel: cancels, queue }) = concurrency else { return Ok(None) };
        let scope = scope(contexts);
        let wrong = |problem: String| Stopped::Wrong(format!("concurrency: {problem}"));
        let group = expand(group, key, &scope).map_err(wrong)?.to_text();
        let cancels = match expand(cancels, key, &scope).map_err(wrong)? {
            Value::Bool(value) => value,
            other => {
                let text = other.to_text();
                return Err(wrong(format!("cancel-in-progress: Unexpected value '{text}'")));
            }
        };
        if group.is_empty() {
            return Err(wrong("group: Unexpected value ''".to_owned()));
        }
        if cancels && *queue {
            return Err(wrong("'queue: max' cannot be combined with 'cancel-in-progress: true'".to_owned()));
        }
        let entry = Entry { group, cancel: cancels, queue: *queue, who: who.to_owned() };
        let waiting =
            || self.attempt.recorder.line(who, &format!("Waiting for the concurrency group {}", entry.group));
        Groups::enter(&self.attempt.world.groups, &entry, cancel, held, waiting)
            .map(Some)
            .map_err(Stopped::Cancelled)
    }

    /// The records of an earlier attempt of a job, not those of what it has called.
    pub fn earlier(&self, job: &Job) -> Vec<(&'f String, &'f JobReport)> {
        let own = format!("{}{}", self.place, job.id);
        let records = self.attempt.kept.iter().flatten();
        records
            .filter(|(place, _)| {
                place
                    .strip_prefix(&own)
                    .is_some_and(|rest| rest.is_empty() || (rest.starts_with('[') && !rest.contains('/')))
            })
            .collect()
    }

    /// Whether "Re-run failed jobs" runs a job again: it has failed, or something that it depends on.
    fn is_affected(&self, job: &Job) -> bool {
        self.is_affected_above(job) || self.has_failed_before(job)
    }

    pub fn is_affected_above(&self, job: &Job) -> bool {
        ancestors(self.workflow, &job.id)
            .iter()
            .filter_map(|id| self.workflow.job(id))
            .any(|job| self.has_failed_before(job))
    }

    /// Or it did not come to run: a run that was cancelled while it was pending has no jobs.
    fn has_failed_before(&self, job: &Job) -> bool {
        let earlier = self.earlier(job);
        earlier.is_empty() || earlier.iter().any(|(_, report)| has_failed(report))
    }

    /// Takes over what an earlier attempt has done, with all that it has called.
    fn keep(&self, job: &Job) -> JobReport {
        let reports: Vec<&JobReport> = self.earlier(job).into_iter().map(|(_, report)| report).collect();
        for (place, report) in self.attempt.kept.iter().flatten() {
            let own = format!("{}{}", self.place, job.id);
            if place.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('[')) {
                self.attempt.recorder.job(place, report.clone());
            }
        }
        together(&reports)
    }
}

pub fn has_failed(report: &JobReport) -> bool {
    matches!(report.conclusion, Outcome::Failure | Outcome::Cancelled)
}

/// The rows of a matrix as one job: an output is what the last row has set that set it at all.
pub fn together(rows: &[&JobReport]) -> JobReport {
    let mut rows: Vec<&&JobReport> = rows.iter().collect();
    rows.sort_by_key(|row| row.ended);
    let mut outputs = BTreeMap::new();
    for row in &rows {
        outputs.extend(
            row.outputs
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(key, value)| (key.clone(), value.clone())),
        );
    }
    let result = Outcome::of_all(rows.iter().map(|row| row.result));
    JobReport { result, conclusion: result, outputs, ..JobReport::default() }
}

/// As GitHub counts it: UTF-16.
pub fn size(outputs: &BTreeMap<String, String>) -> usize {
    outputs.values().map(|value| value.encode_utf16().count() * 2).sum()
}
