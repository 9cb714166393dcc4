//! What a test does to a job while it runs: to hold it, to cancel its run, to let its runner die.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A moment of a run. A job is named as in the report, or by a part of its name behind `*`: `* / merge` is every merge.
#[derive(Debug, Clone)]
pub struct Moment {
    run: Option<u64>,
    job: String,
    step: Option<String>,
    line: Option<String>,
}

impl Moment {
    /// A job has got a runner and begins.
    pub fn job(name: &str) -> Self {
        Self { run: None, job: name.to_owned(), step: None, line: None }
    }

    /// A step begins: by its `id`, or its name in the log.
    pub fn step(job: &str, step: &str) -> Self {
        Self { run: None, job: job.to_owned(), step: Some(step.to_owned()), line: None }
    }

    /// A line of the log of a step has this text in it: the step is in the middle of its work.
    pub fn line(job: &str, step: &str, text: &str) -> Self {
        Self { run: None, job: job.to_owned(), step: Some(step.to_owned()), line: Some(text.to_owned()) }
    }

    /// Only of this run, by its `id`.
    pub fn of(mut self, run: u64) -> Self {
        self.run = Some(run);
        self
    }

    fn is(&self, run: u64, job: &str, step: Option<&[&str]>, line: Option<&str>) -> bool {
        let same_job = self.job.strip_prefix('*').map_or(self.job == job, |end| job.ends_with(end));
        let same_step = match (&self.step, step) {
            (None, None) => true,
            (Some(own), Some(names)) => names.contains(&own.as_str()),
            _ => false,
        };
        let same_line = match (&self.line, line) {
            (None, None) => true,
            (Some(own), Some(line)) => line.contains(own),
            _ => false,
        };
        self.run.is_none_or(|own| own == run) && same_job && same_step && same_line
    }
}

/// What happens at a moment, once.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The runner dies with all processes of the job: no later step runs, and the job has failed.
    Kill,
    /// Somebody cancels the run.
    Cancel,
    /// The job waits until the test lets it go on. At a line of its log, nobody reads on: what writes it is not stopped,
    /// unless the log is long.
    Hold(Hold),
}

/// A job that waits.
#[derive(Debug, Clone, Default)]
pub struct Hold(Arc<(Mutex<(bool, bool)>, Condvar)>);

impl Hold {
    /// Waits until the job is there.
    pub fn reached(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        let mut patience = 120;
        while !state.0 {
            assert!(patience > 0, "the job that should be held did not come within two minutes");
            patience -= 1;
            state = changed.wait_timeout(state, Duration::from_secs(1)).unwrap().0;
        }
    }

    pub fn release(&self) {
        self.0.0.lock().unwrap().1 = true;
        self.0.1.notify_all();
    }

    /// The job is there: it waits, or gives up because its run does.
    pub(super) fn wait(&self, gives_up: &dyn Fn() -> bool) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.0 = true;
        changed.notify_all();
        while !state.1 && !gives_up() {
            state = changed.wait_timeout(state, Duration::from_millis(20)).unwrap().0;
        }
    }
}

/// The faults that are to come.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<(Moment, Fault)>>);

impl Faults {
    pub fn add(&self, moment: Moment, fault: Fault) {
        self.0.lock().unwrap().push((moment, fault));
    }

    /// What happens now, if anything.
    pub fn at(&self, run: u64, job: &str, step: Option<&[&str]>, line: Option<&str>) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap();
        let at = faults.iter().position(|(moment, _)| moment.is(run, job, step, line))?;
        Some(faults.remove(at).1)
    }
}
