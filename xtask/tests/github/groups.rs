//! Groups of concurrency, over all runs of a repository.
//! <https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency>

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::cancel::Cancel;

/// How many may wait with `queue: max`.
const QUEUE: usize = 100;

/// What a file asks of a group.
#[derive(Debug, Clone)]
pub struct Entry {
    pub group: String,
    pub cancel: bool,
    pub queue: bool,
    /// Who wants to enter, for messages.
    pub who: String,
}

#[derive(Debug, Default)]
struct Group {
    running: Option<Arc<Cancel>>,
    pending: Vec<Arc<Cancel>>,
}

/// All groups, by their names without regard to case.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Mutex<BTreeMap<String, Group>>,
    changed: Condvar,
}

/// A place in a group, free again when dropped.
#[derive(Debug)]
pub struct Place {
    groups: Arc<Groups>,
    name: String,
    who: Arc<Cancel>,
}

impl Groups {
    /// Waits for the turn; an error says why there will be none. `held` are the groups of what this is a part of.
    pub fn enter(
        groups: &Arc<Self>,
        entry: &Entry,
        cancel: &Arc<Cancel>,
        held: &[String],
        waiting: impl FnOnce(),
    ) -> Result<Place, String> {
        let Entry { group, cancel: cancels, queue, who } = entry;
        if *queue && *cancels {
            return Err("'queue: max' cannot be combined with 'cancel-in-progress: true'".to_owned());
        }
        let name = group.to_lowercase();
        if held.contains(&name) {
            return Err(format!(
                "Canceling since a deadlock was detected for concurrency group: '{group}' between a top level workflow and '{who}'"
            ));
        }
        let mut all = groups.groups.lock().unwrap();
        let own = all.entry(name.clone()).or_default();
        let newer = format!("Canceling since a higher priority waiting request for '{group}' exists");
        if *cancels {
            own.running.iter().for_each(|running| running.ask(&newer));
        }
        if *queue && own.pending.len() >= QUEUE {
            return Err(format!("Canceling since {QUEUE} requests wait for '{group}' already"));
        }
        if !*queue {
            own.pending.drain(..).for_each(|pending| pending.ask(&newer));
        }
        own.pending.push(Arc::clone(cancel));
        if own.running.is_some() {
            waiting();
        }
        loop {
            let own = all.entry(name.clone()).or_default();
            if let Some(why) = cancel.why() {
                own.pending.retain(|pending| !Arc::ptr_eq(pending, cancel));
                groups.changed.notify_all();
                return Err(why);
            }
            if own.running.is_none() && own.pending.first().is_some_and(|first| Arc::ptr_eq(first, cancel)) {
                own.running = Some(own.pending.remove(0));
                return Ok(Place { groups: Arc::clone(groups), name, who: Arc::clone(cancel) });
            }
            // Who is asked to stop by another one is told nothing: hence the time limit.
            all = groups.changed.wait_timeout(all, Duration::from_millis(20)).unwrap().0;
        }
    }
}

impl Place {
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.groups.groups.lock().unwrap();
        if let Some(group) = all.get_mut(&self.name)
            && group.running.as_ref().is_some_and(|running| Arc::ptr_eq(running, &self.who))
        {
            group.running = None;
        }
        self.groups.changed.notify_all();
    }
}
