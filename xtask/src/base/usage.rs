//! What a command costs: the processes that it starts and the requests that it makes to registries.
//!
//! `--timings` prints it. What cosign, buildx and BuildKit ask of a registry by themselves is not seen from here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::ui::columns;

/// Counts for one run of the tool. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Usage(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// By program, e.g. `cosign verify`: how many were started, and how long they took together.
    processes: BTreeMap<String, (usize, Duration)>,
    /// By method, e.g. `GET`: how many answers came, how long they took, and the bytes of their bodies.
    requests: BTreeMap<String, (usize, Duration, u64)>,
}

impl Usage {
    /// A process has ended.
    pub fn process(&self, name: &str, wall: Duration) {
        let mut counts = self.counts();
        let (count, total) = counts.processes.entry(name.to_owned()).or_default();
        *count += 1;
        *total += wall;
    }

    /// A request to a registry has been answered, or has failed.
    pub fn request(&self, method: &str, wall: Duration, body: u64) {
        let mut counts = self.counts();
        let (count, total, bytes) = counts.requests.entry(method.to_owned()).or_default();
        *count += 1;
        *total += wall;
        *bytes += body;
    }

    /// The number of processes that were started.
    pub fn processes(&self) -> usize {
        self.counts().processes.values().map(|(count, _)| count).sum()
    }

    /// The number of requests that were made to registries.
    pub fn requests(&self) -> usize {
        self.counts().requests.values().map(|(count, ..)| count).sum()
    }

    /// A table for people; times of what runs side by side add up to more than the wall clock.
    pub fn table(&self, wall: Duration) -> String {
        let counts = self.counts();
        let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
        let mut rows = vec![["TIMINGS", "COUNT", "SECONDS", "BYTES"].map(str::to_owned).to_vec()];
        for (name, (count, total)) in &counts.processes {
            rows.push(vec![format!("process {name}"), count.to_string(), seconds(*total)]);
        }
        for (method, (count, total, bytes)) in &counts.requests {
            rows.push(vec![
                format!("request {method}"),
                count.to_string(),
                seconds(*total),
                bytes.to_string(),
            ]);
        }
        let processes: usize = counts.processes.values().map(|(count, _)| count).sum();
        let requests: usize = counts.requests.values().map(|(count, ..)| count).sum();
        let bytes: u64 = counts.requests.values().map(|(.., bytes)| bytes).sum();
        rows.push(vec!["all processes".to_owned(), processes.to_string()]);
        rows.push(vec!["all requests".to_owned(), requests.to_string(), String::new(), bytes.to_string()]);
        rows.push(vec!["wall clock".to_owned(), String::new(), seconds(wall)]);
        columns(&rows)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together() {
        let usage = Usage::default();
        let other = usage.clone();
        usage.process("cosign verify", Duration::from_millis(1500));
        other.process("cosign verify", Duration::from_millis(500));
        other.request("GET", Duration::from_millis(10), 700);
        assert_eq!((usage.processes(), usage.requests()), (2, 1));
        expect_test::expect![[r#"
            TIMINGS                COUNT  SECONDS  BYTES
            process cosign verify  2      2.00
            request GET            1      0.01     700
            all processes          2
            all requests           1               700
            wall clock                    3.00"#]]
        .assert_eq(&usage.table(Duration::from_secs(3)));
    }
}
