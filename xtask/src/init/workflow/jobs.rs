//! The jobs of a workflow for one event: their order, their matrices, and the local workflows that they call.

use serde_yaml_ng::Value as Yaml;
use std::collections::BTreeMap;

use crate::init::workflow::build_push::runner;
use crate::init::workflow::built::Steps;
use crate::init::workflow::evaluation::{enter, text, value};
use crate::init::workflow::event::{Case, Event};
use crate::init::workflow::expression::{bare, condition};
use crate::init::workflow::job_matrix::{MOST, expand, flat};
use crate::init::workflow::scope::{Log, Scope};
use crate::init::workflow::steps::{self, Place};
use crate::init::workflow::text::{Map, Missing, Text, Value};
use crate::init::workflow::yaml::{list, pairs, parse, part, scalar};

/// The most rows of all jobs together that are looked at.
const MOST_ROWS: usize = 8 * MOST;

/// What the jobs of a workflow are read with.
pub(super) struct Jobs<'a> {
    pub(super) case: Case<'a>,
    pub(super) files: &'a dyn Fn(&str) -> Option<String>,
    pub(super) steps: &'a mut Steps,
    /// How many rows were looked at.
    pub(super) rows: usize,
    /// What the expressions are.
    pub(super) log: Log,
}

/// The call of a workflow that another one makes.
#[derive(Debug, Clone, Default)]
struct Caller {
    job: String,
    inputs: Map,
    row: BTreeMap<String, String>,
    left_out: Vec<BTreeMap<String, String>>,
    id: String,
    conditions: Vec<String>,
}

/// A job that was read.
#[derive(Debug, Default)]
struct Done {
    outputs: Option<Value>,
    /// The conditions of it that only a run can tell.
    conditions: Vec<String>,
    /// Jobs before it, or itself, that neither build nor tell anything: tests.
    gates: Vec<String>,
    /// It does not run.
    skipped: bool,
}

/// What a job is read with.
struct Task<'a> {
    file_name: &'a str,
    name: &'a str,
    /// For remarks.
    at: String,
    job: &'a Yaml,
    caller: &'a Caller,
    conditions: Vec<String>,
}

impl Jobs<'_> {
    /// Reads the workflow that the event starts.
    pub(super) fn workflow(&mut self, file_name: &str, workflow: &Yaml) {
        let dispatched = part(part(workflow, "on"), "workflow_dispatch");
        let called = part(part(workflow, "on"), "workflow_call");
        let mut inputs = defaults(part(dispatched, "inputs"));
        // Only a run by hand has inputs, but what the file says about them is all that is known of a called one.
        if self.case.event != Event::Dispatch {
            inputs = Map::default();
        }
        if !called.is_null() {
            inputs.pairs.extend(defaults(part(called, "inputs")).pairs);
            inputs.missing = Missing::Unknown;
        }
        self.all(file_name, workflow, &Caller { inputs, ..Caller::default() });
    }

    fn all(&mut self, file_name: &str, workflow: &Yaml, caller: &Caller) {
        let mut scope = Scope::new(self.case.github(), self.log.clone());
        scope.set("inputs", Value::Map(caller.inputs.clone()));
        enter(&mut scope, part(workflow, "env"));
        let mut open = pairs(part(workflow, "jobs"));
        let mut done: Vec<(String, Done)> = Vec::new();
        // Outputs of jobs are known to those that need them, wherever these stand in the file.
        while !open.is_empty() {
            let waits = |(_, job): &(String, &Yaml)| {
                let needs = list(part(job, "needs"));
                needs.iter().any(|need| open.iter().any(|(other, _)| other == need))
            };
            let at = open.iter().position(|job| !waits(job)).unwrap_or(0);
            let (name, job) = open.remove(at);
            let mut scope = scope.clone();
            let needs = list(part(job, "needs"));
            for need in &needs {
                let before = done.iter().find(|(other, _)| other == need);
                let skipped = before.is_some_and(|(_, done)| done.skipped);
                let outputs = before.and_then(|(_, done)| done.outputs.clone()).unwrap_or(Value::Unknown);
                let result = [
                    ("result", Value::typed(if skipped { "skipped" } else { "success" })),
                    ("outputs", outputs),
                ];
                let result = result.map(|(name, value)| (name.to_owned(), value)).to_vec();
                scope.put("needs", need, Value::Map(Map::open(result)));
            }
            let needed: Vec<(&str, &Done)> = done
                .iter()
                .filter(|(other, _)| needs.contains(other))
                .map(|(other, done)| (other.as_str(), done))
                .collect();
            let made = self.job(file_name, &name, job, scope, caller, &needed);
            done.push((name, made));
        }
    }

    /// Reads a job.
    fn job(
        &mut self,
        file_name: &str,
        name: &str,
        job: &Yaml,
        scope: Scope,
        caller: &Caller,
        needed: &[(&str, &Done)],
    ) -> Done {
        let at = match caller.job.as_str() {
            "" => format!("{file_name}: job {name}"),
            calling => format!("{calling} > {file_name}, job {name}"),
        };
        let written = scalar(part(job, "if"));
        let holds = if written.is_empty() { Some(true) } else { condition(&written, &scope) };
        // A job is skipped with the ones that it needs, unless its condition says otherwise.
        if holds == Some(false) || (needed.iter().any(|(_, done)| done.skipped) && !in_any_case(&written)) {
            return Done { skipped: true, ..Done::default() };
        }
        let mut conditions = caller.conditions.clone();
        conditions.extend(inherited(&written, needed));
        conditions.extend(holds.is_none().then(|| bare(&written)));
        let before = (self.steps.builds.len(), self.steps.tagged.len());
        let task = Task { file_name, name, at, job, caller, conditions };
        let outputs = self.rows(&task, scope);
        let builds = self.steps.builds.len() > before.0;
        let works = builds || self.steps.tagged.len() > before.1;
        if builds {
            self.not_carried(&task, holds.is_none().then_some(written.trim()));
        }
        let mut gates: Vec<String> = needed.iter().flat_map(|(_, done)| done.gates.clone()).collect();
        if works {
            self.lost(&task, &gates);
            gates.clear();
        } else if part(job, "outputs").is_null() {
            gates.push(name.to_owned());
        }
        Done { outputs: Some(outputs), conditions: task.conditions, gates, skipped: false }
    }

    /// Reads a job for each row of its matrix, and says what its outputs are.
    fn rows(&mut self, task: &Task<'_>, mut scope: Scope) -> Value {
        let Task { at, job, caller, .. } = task;
        let rows = expand(&value(&scope, part(part(job, "strategy"), "matrix")));
        if rows.too_many {
            self.steps
                .leave(format!("{at}: its matrix has more than {MOST} rows; the first of them are read"));
        }
        let left_out: Vec<BTreeMap<String, String>> =
            rows.left_out.iter().map(|row| flat(row).into_iter().collect()).collect();
        let mut outputs = Value::Unknown;
        for (index, row) in rows.rows.iter().enumerate() {
            self.rows += 1;
            if self.rows > MOST_ROWS {
                self.steps
                    .leave(format!("{at}: the jobs before it have {MOST_ROWS} rows; the rest is not read"));
                break;
            }
            let mut map = Map::closed(row.clone());
            if rows.unknown.iter().any(|key| matches!(key.as_str(), "matrix" | "include")) {
                map.missing = Missing::Unknown;
            }
            scope.set("matrix", Value::Map(map));
            let mut keys = caller.row.clone();
            keys.extend(flat(row));
            let place = Place {
                file_name: task.file_name.to_owned(),
                at: at.clone(),
                id: format!("{}/{}/{index}", caller.id, task.name),
                row: keys,
                left_out: caller.left_out.iter().chain(&left_out).cloned().collect(),
                runner: runner(&scope, part(job, "runs-on")),
                conditions: task.conditions.clone(),
            };
            let made = self.row(&place, job, &scope, caller);
            if index == 0 {
                outputs = made;
            }
        }
        outputs
    }

    fn row(&mut self, place: &Place, job: &Yaml, scope: &Scope, caller: &Caller) -> Value {
        let uses = scalar(part(job, "uses"));
        if !uses.is_empty() {
            self.call(place, &uses, job, scope, caller);
            return Value::Unknown;
        }
        let mut scope = scope.clone();
        enter(&mut scope, part(job, "env"));
        steps::read(&self.case, self.files, self.steps, place, job, &mut scope);
        let named = pairs(part(job, "outputs")).into_iter();
        let named = named.map(|(name, output)| (name, text(&scope, output)));
        let named = named.map(|(name, text)| match text.is_unknown() {
            true => (name, Value::Unknown),
            false => (name, Value::Text(text)),
        });
        Value::Map(Map::closed(named.collect()))
    }

    /// What is around a job that builds or tags, and would be lost.
    fn lost(&mut self, task: &Task<'_>, gates: &[String]) {
        let at = &task.at;
        for gate in gates {
            self.steps.leave(format!(
                "{at} needs the job {gate} first, which builds no image that is read: make it a required check"
            ));
        }
        let environment = part(task.job, "environment");
        let environment = match environment {
            Yaml::Mapping(_) => scalar(part(environment, "name")),
            other => scalar(other),
        };
        if !environment.is_empty() {
            self.steps.leave(format!(
                "{at}: its environment {environment} is not carried, with its approvals, secrets and variables: add \
                 `environment` to the jobs of images.yml that publish"
            ));
        }
    }

    /// What of a job that builds is not carried.
    fn not_carried(&mut self, task: &Task<'_>, condition: Option<&str>) {
        let at = &task.at;
        if let Some(condition) = condition {
            self.steps.leave(format!(
                "{at}: its condition `{condition}` is not carried; its images are built in every run"
            ));
        }
        let fails = part(task.job, "continue-on-error");
        if !fails.is_null() && scalar(fails) != "false" {
            self.steps.leave(format!(
                "{at}: its continue-on-error is not carried: `allow-failure` is a key of tracks and composer modes"
            ));
        }
    }

    fn call(&mut self, place: &Place, uses: &str, job: &Yaml, scope: &Scope, caller: &Caller) {
        let at = &place.at;
        let Some(path) = uses.strip_prefix("./") else {
            let uses = uses.split('@').next().unwrap_or_default();
            self.steps.leave(format!(
                "{at}: calls {uses}, which is in another repository; what it builds is not read"
            ));
            return;
        };
        if !caller.job.is_empty() {
            self.steps.leave(format!("{at}: calls {path}; a call inside of a called workflow is not read"));
            return;
        }
        let Some(called) = (self.files)(path).and_then(|text| parse(path, &text).ok()) else {
            self.steps.leave(format!("{at}: calls {path}, which cannot be read"));
            return;
        };
        let mut inputs = defaults(part(part(part(&called, "on"), "workflow_call"), "inputs"));
        for (name, input) in pairs(part(job, "with")) {
            inputs.set(&name, value(scope, input));
        }
        let short = path.rsplit('/').next().unwrap_or(path);
        let caller = Caller {
            job: at.clone(),
            inputs,
            row: place.row.clone(),
            left_out: place.left_out.clone(),
            id: place.id.clone(),
            conditions: place.conditions.clone(),
        };
        self.all(short, &called, &caller);
    }
}

/// The conditions of the jobs before one: it is skipped where these are, unless its own condition says otherwise.
fn inherited(condition: &str, needed: &[(&str, &Done)]) -> Vec<String> {
    let waits = |need: &str| !in_any_case(condition) || condition.contains(&format!("needs.{need}.result"));
    needed.iter().filter(|(need, _)| waits(need)).flat_map(|(_, done)| done.conditions.clone()).collect()
}

/// Whether a job with this condition may run without the jobs that it needs.
fn in_any_case(condition: &str) -> bool {
    ["always(", "cancelled(", "failure("].iter().any(|function| condition.contains(function))
}

/// The inputs of a workflow with their defaults.
fn defaults(inputs: &Yaml) -> Map {
    let one = |(name, input): (String, &Yaml)| {
        let default = match part(input, "default") {
            Yaml::Null => Value::Null,
            Yaml::Bool(truth) => Value::Bool(*truth),
            other => Value::Text(Text::typed(&scalar(other))),
        };
        (name, default)
    };
    Map::closed(pairs(inputs).into_iter().map(one).collect())
}
