//! So many jobs run at once, and who came first is first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// The runners.
#[derive(Debug)]
pub struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    next: usize,
    waiting: VecDeque<usize>,
}

/// A runner, free again when dropped.
#[derive(Debug)]
pub struct Slot<'s>(&'s Slots);

impl Slots {
    pub fn new(free: usize) -> Self {
        Self { state: Mutex::new(State { free, next: 0, waiting: VecDeque::new() }), changed: Condvar::new() }
    }

    /// A place in the queue, which has to be taken at last.
    pub fn queue(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.next += 1;
        let own = state.next;
        state.waiting.push_back(own);
        own
    }

    /// Waits for the turn. `None`: `gives_up` before that.
    pub fn take(&self, own: usize, gives_up: impl Fn() -> bool) -> Option<Slot<'_>> {
        let mut state = self.state.lock().unwrap();
        loop {
            if gives_up() {
                state.waiting.retain(|one| *one != own);
                self.changed.notify_all();
                return None;
            }
            if state.free > 0 && state.waiting.front() == Some(&own) {
                state.waiting.pop_front();
                state.free -= 1;
                self.changed.notify_all();
                return Some(Slot(self));
            }
            state = self.changed.wait_timeout(state, Duration::from_millis(20)).unwrap().0;
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().free += 1;
        self.0.changed.notify_all();
    }
}
