//! Who asks whom to stop: a run asks its jobs, a called workflow its own, a failed row of a matrix the others.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation>

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A run, a called workflow, or a job.
#[derive(Debug, Default)]
pub struct Cancel {
    above: Option<Arc<Cancel>>,
    asked: Mutex<Option<String>>,
    /// Its condition holds although the run is cancelled, e.g. `always()`: it goes on.
    spared: AtomicBool,
    /// Its runner is gone.
    dead: AtomicBool,
}

impl Cancel {
    pub fn below(above: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self { above: Some(Arc::clone(above)), ..Self::default() })
    }

    pub fn ask(&self, why: &str) {
        self.asked.lock().unwrap().get_or_insert_with(|| why.to_owned());
    }

    /// A job whose time is up is cancelled.
    pub fn end_late(&self, deadline: Option<Instant>) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) && !self.is_asked() {
            self.ask("The job has exceeded the maximum execution time.");
        }
    }

    pub fn spare(&self) {
        self.spared.store(true, Ordering::SeqCst);
    }

    pub fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Why this one has to stop.
    pub fn why(&self) -> Option<String> {
        let own = self.asked.lock().unwrap().clone();
        own.or_else(|| {
            let above = self.above.as_ref()?.why()?;
            (!self.spared.load(Ordering::SeqCst)).then_some(above)
        })
    }

    pub fn is_asked(&self) -> bool {
        self.why().is_some()
    }

    /// What `cancelled()` says: whether the workflow is cancelled, also where this goes on.
    pub fn is_cancelled(&self) -> bool {
        self.asked.lock().unwrap().is_some() || self.above.as_ref().is_some_and(|above| above.is_cancelled())
    }
}
