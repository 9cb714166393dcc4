//! What became of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use super::permissions::Permissions;

/// How a step, a job or a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    #[default]
    Success,
    Failure,
    Cancelled,
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        })
    }
}

impl Outcome {
    /// That of several together: the worst, and skipped only if all are.
    pub fn of_all(all: impl IntoIterator<Item = Self>) -> Self {
        let all: Vec<Self> = all.into_iter().collect();
        let has = |one| all.contains(&one);
        match () {
            () if has(Self::Failure) => Self::Failure,
            () if has(Self::Cancelled) => Self::Cancelled,
            () if has(Self::Success) || all.is_empty() => Self::Success,
            () => Self::Skipped,
        }
    }
}

/// A job, a row of its matrix, or a call of a workflow.
#[derive(Debug, Clone, Default)]
pub struct JobReport {
    /// Its full name, e.g. `php-base / merge`.
    pub name: String,
    /// As `needs` sees it: a failure that `continue-on-error` allows is a success.
    pub result: Outcome,
    /// As the list of jobs shows it.
    pub conclusion: Outcome,
    pub outputs: BTreeMap<String, String>,
    pub steps: Vec<StepReport>,
    /// The attempt in which it ran.
    pub attempt: u32,
    /// Of its token.
    pub permissions: Permissions,
    /// The order in which jobs have ended.
    pub(super) ended: u64,
}

#[derive(Debug, Clone)]
pub struct StepReport {
    /// Its `id`, or what the log calls it.
    pub name: String,
    /// Before and after `continue-on-error`.
    pub outcome: Outcome,
    pub conclusion: Outcome,
}

/// A message that GitHub shows beside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    pub job: String,
    /// `error`, `warning` or `notice`.
    pub level: String,
    pub title: String,
    pub message: String,
}

/// An action that was stood in for, with what it was told; secrets are `***`.
#[derive(Debug, Clone)]
pub struct Call {
    pub job: String,
    pub attempt: u32,
    /// `OWNER/NAME`.
    pub action: String,
    pub inputs: BTreeMap<String, String>,
}

/// One attempt of a run, when it has ended.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub conclusion: Outcome,
    /// Why GitHub would start no job at all.
    pub refused: Option<String>,
    pub jobs: BTreeMap<String, JobReport>,
    pub annotations: Vec<Annotation>,
    /// What GitHub passes without a word, and is hardly meant.
    pub warnings: Vec<String>,
    /// The summaries of all steps, in the order in which these ended.
    pub summary: String,
    /// Every line, behind the name of its job.
    pub log: String,
    pub calls: Vec<Call>,
}

impl Report {
    /// The result of a job by its full name; panics where there is no such job, and names those that are.
    pub fn result(&self, job: &str) -> Outcome {
        self.job(job).result
    }

    pub fn job(&self, name: &str) -> &JobReport {
        let names = || self.jobs.keys().cloned().collect::<Vec<_>>().join("\n  ");
        self.jobs.get(name).unwrap_or_else(|| panic!("no job {name:?}, but\n  {}\n{}", names(), self.all()))
    }

    /// Whether an error has these words in it: of a job, or the reason why none has run.
    pub fn has_error(&self, words: &str) -> bool {
        let refused = self.refused.iter().any(|why| why.contains(words));
        refused || self.annotations.iter().any(|one| one.level == "error" && one.message.contains(words))
    }

    /// Everything, for an assertion's text.
    pub fn all(&self) -> String {
        let jobs = self.jobs.values().map(|job| format!("{:<60} {}\n", job.name, job.conclusion));
        let notes =
            self.annotations.iter().map(|one| format!("{} {}: {}\n", one.job, one.level, one.message));
        format!(
            "== {} {:?}\n{}== annotations\n{}== log\n{}",
            self.conclusion,
            self.refused,
            jobs.collect::<String>(),
            notes.collect::<String>(),
            self.log
        )
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.conclusion, Outcome::Success, "{}", self.all());
        self
    }
}

/// Where the jobs of a run write down what they do.
#[derive(Debug, Default)]
pub struct Recorder {
    state: Mutex<Report>,
    /// By the place in the files: `wave-0[2]/build[1]`.
    records: Mutex<BTreeMap<String, JobReport>>,
}

impl Recorder {
    pub fn change(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.state.lock().unwrap());
    }

    pub fn line(&self, job: &str, line: &str) {
        self.change(|report| {
            report.log.push_str(&format!("[{job}] {line}\n"));
        });
    }

    pub fn has_said(&self, words: &str) -> bool {
        self.state.lock().unwrap().log.contains(words)
    }

    pub fn annotate(&self, job: &str, level: &str, message: &str) {
        self.line(job, &format!("##[{level}]{message}"));
        self.change(|report| {
            report.annotations.push(Annotation {
                job: job.to_owned(),
                level: level.to_owned(),
                title: String::new(),
                message: message.to_owned(),
            });
        });
    }

    pub fn job(&self, place: &str, report: JobReport) {
        self.records.lock().unwrap().insert(place.to_owned(), report);
    }

    pub fn records(&self) -> BTreeMap<String, JobReport> {
        self.records.lock().unwrap().clone()
    }

    /// The report, with jobs by name; a second one of a name bears a number.
    pub fn report(&self) -> Report {
        let mut report = self.state.lock().unwrap().clone();
        for job in self.records().into_values() {
            let mut name = job.name.clone();
            let mut number = 2;
            while report.jobs.contains_key(&name) {
                name = format!("{} ({number})", job.name);
                number += 1;
            }
            report.jobs.insert(name, job);
        }
        report
    }
}
