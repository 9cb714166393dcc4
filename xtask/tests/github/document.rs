//! A file of a workflow, read as GitHub reads it: `workflow-v1.0.json` of actions/languageservices.

use serde_yaml_ng::Value as Yaml;

use super::fields::{Fields, identifier};
use super::permissions::Permissions;
use super::triggers::Triggers;

/// A file of `.github/workflows`.
#[derive(Debug, Clone)]
pub struct Workflow {
    pub path: String,
    pub name: String,
    pub run_name: Option<Yaml>,
    pub on: Triggers,
    pub env: Vec<(String, Yaml)>,
    pub defaults: Defaults,
    pub permissions: Option<Permissions>,
    pub concurrency: Option<Concurrency>,
    pub jobs: Vec<Job>,
}

#[derive(Debug, Clone, Default)]
pub struct Defaults {
    pub shell: Option<Yaml>,
    pub directory: Option<Yaml>,
}

#[derive(Debug, Clone)]
pub struct Concurrency {
    pub group: Yaml,
    pub cancel: Yaml,
    /// `queue: max`.
    pub queue: bool,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub id: String,
    pub name: Option<Yaml>,
    pub needs: Vec<String>,
    pub condition: Option<String>,
    pub strategy: Option<Yaml>,
    pub permissions: Option<Permissions>,
    pub concurrency: Option<Concurrency>,
    pub kind: Kind,
}

/// What a job does.
#[derive(Debug, Clone)]
pub enum Kind {
    Steps(Box<Steps>),
    /// It calls another file.
    Call(Box<Call>),
}

#[derive(Debug, Clone)]
pub struct Steps {
    pub runs_on: Yaml,
    pub env: Vec<(String, Yaml)>,
    pub defaults: Defaults,
    pub outputs: Vec<(String, Yaml)>,
    pub timeout: Option<Yaml>,
    pub continue_on_error: Option<Yaml>,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub struct Call {
    pub uses: String,
    pub with: Vec<(String, Yaml)>,
    /// `None`: `inherit`.
    pub secrets: Option<Vec<(String, Yaml)>>,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub id: Option<String>,
    pub name: Option<Yaml>,
    pub condition: Option<String>,
    pub env: Vec<(String, Yaml)>,
    pub continue_on_error: Option<Yaml>,
    pub timeout: Option<Yaml>,
    pub action: Action,
}

#[derive(Debug, Clone)]
pub enum Action {
    Run { script: Yaml, shell: Option<Yaml>, directory: Option<Yaml> },
    Uses { name: String, with: Vec<(String, Yaml)> },
}

impl Workflow {
    pub fn parse(path: &str, text: &str) -> Result<Self, String> {
        let yaml: Yaml = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
        let known = ["name", "run-name", "on", "env", "defaults", "permissions", "concurrency", "jobs"];
        let fields = Fields::new("workflow", &yaml, &known, &[])?;
        fields.need("jobs")?;
        let mut jobs = Vec::new();
        for (id, job) in fields.entries("jobs")? {
            identifier("jobs", &id)?;
            jobs.push(Job::parse(&id, job)?);
        }
        if jobs.is_empty() {
            return Err("jobs: The workflow must contain at least one job with no dependencies".to_owned());
        }
        Ok(Self {
            path: path.to_owned(),
            name: fields.text("name")?.unwrap_or_else(|| path.to_owned()),
            run_name: fields.get("run-name").cloned(),
            on: Triggers::parse(fields.need("on")?)?,
            env: fields.scalars("env")?,
            defaults: Defaults::parse(&fields)?,
            permissions: fields.get("permissions").map(Permissions::parse).transpose()?,
            concurrency: Concurrency::parse(&fields)?,
            jobs,
        })
    }

    pub fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }
}

impl Defaults {
    fn parse(fields: &Fields<'_>) -> Result<Self, String> {
        let Some(yaml) = fields.get("defaults") else { return Ok(Self::default()) };
        let place = format!("{}.defaults", fields.place);
        let Some(run) = Fields::new(&place, yaml, &["run"], &[])?.get("run") else {
            return Ok(Self::default());
        };
        let run = Fields::new(&format!("{place}.run"), run, &["shell", "working-directory"], &[])?;
        Ok(Self { shell: run.get("shell").cloned(), directory: run.get("working-directory").cloned() })
    }
}

impl Concurrency {
    fn parse(fields: &Fields<'_>) -> Result<Option<Self>, String> {
        let place = format!("{}.concurrency", fields.place);
        let Some(yaml) = fields.get("concurrency") else { return Ok(None) };
        if yaml.is_string() {
            return Ok(Some(Self { group: yaml.clone(), cancel: Yaml::Bool(false), queue: false }));
        }
        let fields = Fields::new(&place, yaml, &["group", "cancel-in-progress", "queue"], &[])?;
        let cancel = fields.get("cancel-in-progress").cloned().unwrap_or(Yaml::Bool(false));
        let queue = match fields.text("queue")?.as_deref() {
            None | Some("single") => false,
            Some("max") => true,
            Some(other) => return Err(format!("{place}.queue: Unexpected value '{other}'")),
        };
        if queue && cancel == Yaml::Bool(true) {
            return Err(format!("{place}: 'queue: max' cannot be combined with 'cancel-in-progress: true'"));
        }
        Ok(Some(Self { group: fields.need("group")?.clone(), cancel, queue }))
    }
}

const OF_ALL_JOBS: [&str; 6] = ["name", "needs", "if", "strategy", "permissions", "concurrency"];
const OF_STEPS: [&str; 7] =
    ["runs-on", "env", "defaults", "outputs", "timeout-minutes", "continue-on-error", "steps"];
const OF_CALLS: [&str; 3] = ["uses", "with", "secrets"];
const BEYOND: [&str; 5] = ["container", "services", "environment", "snapshot", "cancel-timeout-minutes"];

impl Job {
    fn parse(id: &str, yaml: &Yaml) -> Result<Self, String> {
        let place = format!("jobs.{id}");
        let calls = yaml.as_mapping().is_some_and(|map| map.contains_key("uses"));
        let own: &[&str] = if calls { &OF_CALLS } else { &OF_STEPS };
        let known = [&OF_ALL_JOBS[..], own].concat();
        let fields = Fields::new(&place, yaml, &known, if calls { &[] } else { &BEYOND })?;
        if let Some(strategy) = fields.get("strategy").filter(|strategy| !strategy.is_string()) {
            Fields::new(
                &format!("{place}.strategy"),
                strategy,
                &["matrix", "fail-fast", "max-parallel"],
                &[],
            )?;
        }
        let kind = if calls {
            let secrets = match fields.get("secrets") {
                Some(Yaml::String(text)) if text == "inherit" => None,
                _ => Some(fields.scalars("secrets")?),
            };
            let uses = fields.text("uses")?.unwrap_or_default();
            Kind::Call(Box::new(Call { uses, with: fields.scalars("with")?, secrets }))
        } else {
            Kind::Steps(Box::new(Steps::parse(&fields)?))
        };
        Ok(Self {
            id: id.to_owned(),
            name: fields.get("name").cloned(),
            needs: fields.texts("needs")?.unwrap_or_default(),
            condition: fields.text("if")?,
            strategy: fields.get("strategy").cloned(),
            permissions: fields.get("permissions").map(Permissions::parse).transpose()?,
            concurrency: Concurrency::parse(&fields)?,
            kind,
        })
    }
}

impl Steps {
    fn parse(fields: &Fields<'_>) -> Result<Self, String> {
        let place = format!("{}.steps", fields.place);
        let steps = fields.need("steps")?;
        let steps = steps.as_sequence().ok_or_else(|| format!("{place}: A sequence was expected"))?;
        let outputs = fields.scalars("outputs")?;
        for (name, _) in &outputs {
            identifier(&format!("{}.outputs", fields.place), name)?;
        }
        Ok(Self {
            runs_on: fields.need("runs-on")?.clone(),
            env: fields.scalars("env")?,
            defaults: Defaults::parse(fields)?,
            outputs,
            timeout: fields.get("timeout-minutes").cloned(),
            continue_on_error: fields.get("continue-on-error").cloned(),
            steps: Step::list(&place, steps, true)?,
        })
    }
}

impl Step {
    /// The steps of a job, or of a composite action, which knows no time limits and wants a shell.
    pub fn list(place: &str, steps: &[Yaml], job: bool) -> Result<Vec<Self>, String> {
        let parse = |(at, step)| Self::parse(&format!("{place}[{at}]"), step, job);
        let steps: Vec<Self> = steps.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        let mut seen: Vec<&str> = Vec::new();
        for id in steps.iter().filter_map(|step| step.id.as_deref()) {
            if seen.contains(&id) {
                return Err(format!(
                    "{place}: The identifier '{id}' may not be used more than once within the same scope"
                ));
            }
            seen.push(id);
        }
        Ok(steps)
    }

    fn parse(place: &str, yaml: &Yaml, job: bool) -> Result<Self, String> {
        let mut known = vec!["id", "name", "if", "env", "continue-on-error"];
        let runs = yaml.as_mapping().is_some_and(|map| map.contains_key("run"));
        known.extend(if runs { &["run", "shell", "working-directory"][..] } else { &["uses", "with"] });
        if job {
            known.push("timeout-minutes");
        }
        let beyond = ["background", "wait", "wait-all", "cancel", "parallel"];
        let fields = Fields::new(place, yaml, &known, if job { &beyond } else { &[] })?;
        let action = if runs {
            if !job {
                fields.need("shell")?;
            }
            let (shell, directory) = (fields.get("shell").cloned(), fields.get("working-directory").cloned());
            Action::Run { script: fields.need("run")?.clone(), shell, directory }
        } else {
            fields.need("uses")?;
            Action::Uses { name: fields.text("uses")?.unwrap_or_default(), with: fields.scalars("with")? }
        };
        let id = fields.text("id")?;
        if let Some(id) = &id {
            identifier(place, id)?;
        }
        Ok(Self {
            id,
            name: fields.get("name").cloned(),
            condition: fields.text("if")?,
            env: fields.scalars("env")?,
            continue_on_error: fields.get("continue-on-error").cloned(),
            timeout: fields.get("timeout-minutes").cloned(),
            action,
        })
    }
}
