//! The output of a command while it runs.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::inert::Lines;

/// The most that is kept of what a command prints on one stream, in bytes.
const CAPTURE_LIMIT: usize = 16 << 20;

/// How long the output of a command that has ended is waited for.
const LEFT_BEHIND: Duration = Duration::from_secs(2);

/// Reads what a command prints while it runs.
pub(super) struct Reader {
    kept: Arc<Mutex<Vec<u8>>>,
    thread: thread::JoinHandle<()>,
}

impl Reader {
    /// Keeps up to [`CAPTURE_LIMIT`] bytes and throws the rest away, so that the writer never blocks.
    pub(super) fn keep(pipe: impl Read + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let shared = kept.clone();
        let thread = thread::spawn(move || {
            each(pipe, |bytes| {
                let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let room = CAPTURE_LIMIT.saturating_sub(kept.len()).min(bytes.len());
                kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
            });
        });
        Self { kept, thread }
    }

    /// Keeps nothing, and passes each line on as it comes, without what would be a command to GitHub's runner.
    pub(super) fn relay(
        pipe: impl Read + Send + 'static,
        mut print: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let thread = thread::spawn(move || {
            let mut lines = Lines::default();
            each(pipe, |bytes| lines.push(bytes, &mut print));
            lines.end(&mut print);
        });
        Self { kept: Arc::default(), thread }
    }

    /// What was printed, once the command has ended. It may have left something behind that keeps the pipe open, as ssh
    /// does: that is not waited for.
    pub(super) fn end(self) -> Vec<u8> {
        let began = Instant::now();
        while !self.thread.is_finished() && began.elapsed() < LEFT_BEHIND {
            thread::sleep(Duration::from_millis(1));
        }
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everything that comes through a pipe. One that breaks ends the text; the exit code tells what happened.
fn each(mut pipe: impl Read, mut take: impl FnMut(&[u8])) {
    let mut chunk = [0; 1 << 14];
    while let Ok(length @ 1..) = pipe.read(&mut chunk) {
        take(chunk.get(..length).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_on_commands_nothing() {
        let (to, from) = std::sync::mpsc::channel();
        let text = "a\n::error::b\nc ##[error]d\re";
        Reader::relay(text.as_bytes(), move |line| to.send(line.to_owned()).unwrap()).end();
        let found: Vec<String> = from.iter().collect();
        assert_eq!(found, ["a", "| ::error::b", "| c ## [error]d", "e"]);
    }
}
