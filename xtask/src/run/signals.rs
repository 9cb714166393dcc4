//! SIGINT, SIGTERM and SIGHUP: passed on to every running child, once politely, then for good.

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Heard;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long children may take to end after a first signal.
const GRACE: Duration = Duration::from_secs(10);

/// How long we may take ourselves, when no child is left, to notice and to say what was done.
const OURSELVES: Duration = Duration::from_secs(2);

/// The process groups that run for us, and whether we were asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    interrupted: Arc<AtomicBool>,
    groups: Arc<Mutex<BTreeSet<u32>>>,
    /// Requests to registries that wait for an answer.
    requests: Arc<AtomicUsize>,
    /// What this is a part of: it hears of every child here, and what stops it stops them.
    whole: Option<Arc<Self>>,
}

/// A request that waits for an answer: as long as it is kept, we are not taken for idle.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Signals {
    /// Listens from now on, in a thread of its own.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn listen() -> Result<Self> {
        let signals = Self::default();
        let mut heard = Heard::new([SIGINT, SIGTERM, SIGHUP])?;
        let listener = signals.clone();
        thread::spawn(move || {
            for signal in heard.forever() {
                listener.stop_all(signal);
            }
        });
        Ok(signals)
    }

    /// Whether we were asked to stop.
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
            || self.whole.as_ref().is_some_and(|whole| whole.interrupted())
    }

    /// A part that can be stopped alone.
    pub(super) fn part(&self) -> Self {
        Self { requests: self.requests.clone(), whole: Some(Arc::new(self.clone())), ..Self::default() }
    }

    /// Stops what runs here: every group is asked to end, and killed if it does not.
    pub(super) fn stop(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        let groups: Vec<u32> = self.groups().iter().copied().collect();
        groups.iter().for_each(|group| send(*group, Signal::INT));
        let signals = self.clone();
        thread::spawn(move || {
            thread::sleep(GRACE);
            let alive: Vec<u32> = signals.groups().iter().copied().collect();
            alive.into_iter().for_each(|group| signals.kill(group));
        });
    }

    /// A request begins.
    pub(super) fn begin_request(&self) -> InFlight {
        self.requests.fetch_add(1, Ordering::SeqCst);
        InFlight(self.requests.clone())
    }

    /// Whether nothing runs for us: no child, and no request.
    fn idle(&self) -> bool {
        self.groups().is_empty() && self.requests.load(Ordering::SeqCst) == 0
    }

    /// A first signal asks every group to end and kills it after a while; a second one kills at once.
    fn stop_all(&self, signal: i32) {
        let again = self.interrupted.swap(true, Ordering::SeqCst);
        let groups: Vec<u32> = self.groups().iter().copied().collect();
        for group in &groups {
            if again { self.kill(*group) } else { send(*group, Signal::INT) }
        }
        let signals = self.clone();
        thread::spawn(move || {
            thread::sleep(OURSELVES);
            if signals.idle() {
                // Nothing runs for us and we are still here: end as if we had not listened.
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
            thread::sleep(GRACE);
            let alive: Vec<u32> = signals.groups().iter().copied().collect();
            if alive.is_empty() {
                // A registry that does not answer for so long is not waited for.
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
            alive.into_iter().for_each(|group| signals.kill(group));
        });
    }

    /// A child has started. If we were asked to stop just before, it is asked too.
    pub(super) fn register(&self, group: u32) {
        self.groups().insert(group);
        if let Some(whole) = &self.whole {
            whole.register(group);
        }
        if self.interrupted() {
            send(group, Signal::INT);
        }
    }

    pub(super) fn unregister(&self, group: u32) {
        self.groups().remove(&group);
        if let Some(whole) = &self.whole {
            whole.unregister(group);
        }
    }

    pub(super) fn terminate(&self, group: u32) {
        send(group, Signal::TERM);
    }

    pub(super) fn kill(&self, group: u32) {
        send(group, Signal::KILL);
    }

    fn groups(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group that has ended already is no error.
fn send(group: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argv::{Argv, Program};
    use crate::run::{Output, Runner};
    use std::time::Instant;

    fn sh(script: &str) -> Argv {
        Argv::new("try the shell", &Program::new("sh")).args(["-c", script])
    }

    #[test]
    fn a_part_is_stopped_alone_and_with_the_whole() {
        let whole = Runner::new(Signals::default());
        let [one, two] = [whole.part(), whole.part()];
        let began = Instant::now();
        let stopped = thread::scope(|scope| {
            let long = scope.spawn(|| one.run(&sh("sleep 30 & wait"), Output::Capture));
            thread::sleep(Duration::from_millis(200));
            one.stop();
            long.join().unwrap()
        });
        assert!(stopped.is_err() && began.elapsed() < Duration::from_secs(25));
        assert!(one.check_interrupted().is_err());
        assert!(
            two.check_interrupted().is_ok() && whole.run(&sh("true"), Output::Capture).unwrap().success()
        );
        whole.stop();
        assert!(two.run(&sh("true"), Output::Capture).is_err());
    }
}
