//! The output of a command while it runs.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

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
    pub(super) fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let shared = kept.clone();
        let thread = thread::spawn(move || {
            let mut chunk = [0; 1 << 14];
            // A pipe that breaks ends the text; the exit code tells what happened.
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let room = CAPTURE_LIMIT.saturating_sub(kept.len()).min(length);
                kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
            }
        });
        Self { kept, thread }
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
