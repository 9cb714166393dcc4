//! One policy for calls that may fail for a while: bounded, with growing pauses and jitter, and never silent.

use anyhow::Result;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::thread;
use std::time::{Duration, Instant};

use crate::argv::Argv;
use crate::base::ui::Ui;
use crate::run::{Finished, Output, Runner};

/// How often a call is made at most.
const ATTEMPTS: u32 = 4;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// After this time no further try begins: a limit for all of them together, however long each may take.
const TOTAL: Duration = Duration::from_secs(600);

/// What registries, the servers before and behind them, git and the network say when it is worth asking again. Matched in lower case.
const TEMPORARY: &[&str] = &[
    "connection refused",
    "connection reset",
    "broken pipe",
    "i/o timeout",
    "tls handshake timeout",
    "context deadline exceeded",
    "client.timeout",
    "unexpected eof",
    ": eof",
    "too many requests",
    "toomanyrequests",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
    "503 service temporarily unavailable",
    "503 slow down",
    "slowdown",
    "504 gateway timeout",
    "temporary failure in name resolution",
    "could not resolve host",
    "failed to connect to",
    "connection timed out",
    "returned error: 5",
    "early eof",
    "hung up unexpectedly",
    "server misbehaving",
    "no route to host",
    "network is unreachable",
    "no such host",
    "stream error",
    "goaway",
    "secondary rate limit",
];

/// Whether a failure may be gone the next time.
pub fn is_temporary(finished: &Finished) -> bool {
    finished.timed_out.is_some() || is_telling(&finished.stderr)
}

/// Whether a text says that something may pass: by one of the phrases, by the status of a service of Sigstore, `Fulcio
/// returned 503`, `unexpected response: 500` or `[POST /api/v1/log/entries][502]`, or by that of a registry, whatever it
/// is called: `unexpected status code 520`, `unexpected status from GET request to …: 520 Origin Error`.
fn is_telling(text: &str) -> bool {
    let text = text.to_lowercase();
    let status = |before: &str| {
        text.match_indices(before).any(|(at, _)| {
            let rest = text.get(at + before.len()..).unwrap_or_default();
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            // 499: somebody else's request was broken off, and with it ours, as Rekor 2.3 does while entries wait.
            digits.len() == 3 && (matches!(&*digits, "429" | "499") || digits.starts_with('5'))
        })
    };
    TEMPORARY.iter().any(|part| text.contains(part))
        || ["returned ", "response: ", "][", "status code "].into_iter().any(status)
        || text.lines().any(|line| line.contains("unexpected status")) && status(": ")
}

/// The tries of one call: how many are left, and how long to wait before the next.
#[derive(Debug)]
pub struct Tries<'a> {
    runner: &'a Runner,
    ui: Ui,
    made: u32,
    pause: Duration,
    began: Instant,
}

impl<'a> Tries<'a> {
    /// The first try begins now.
    pub fn new(runner: &'a Runner, ui: Ui) -> Self {
        Self { runner, ui, made: 1, pause: FIRST_PAUSE, began: Instant::now() }
    }

    /// Says why there is another try and waits for it, at least as long as the other side has asked for. `false`: there
    /// is none.
    ///
    /// # Errors
    /// If we were asked to stop meanwhile.
    pub fn again(&mut self, purpose: &str, reason: &str, asked: Option<Duration>) -> Result<bool> {
        let pause = (self.pause + jitter(self.pause)).max(asked.unwrap_or_default());
        if self.made >= ATTEMPTS || self.began.elapsed() + pause >= TOTAL {
            return Ok(false);
        }
        self.ui.note(format!("{purpose}: {reason}; trying again ({} of {})", self.made, ATTEMPTS - 1));
        sleep(self.runner, pause)?;
        self.pause *= 2;
        self.made += 1;
        Ok(true)
    }
}

/// Runs a command until it succeeds, fails for good, or has been tried often enough. Returns the last result.
///
/// `again` says whether a failure deserves another try; [`is_temporary`] is what most callers want.
///
/// # Errors
/// As [`Runner::run`].
pub fn run(runner: &Runner, ui: Ui, argv: &Argv, again: impl Fn(&Finished) -> bool) -> Result<Finished> {
    let mut tries = Tries::new(runner, ui);
    loop {
        let finished = runner.run(argv, Output::Capture)?;
        if finished.success() || !again(&finished) || !tries.again(&argv.purpose, reason(&finished), None)? {
            return Ok(finished);
        }
    }
}

/// The line that says why it was worth another try, else the last one.
fn reason(finished: &Finished) -> &str {
    if finished.timed_out.is_some() {
        return "no answer in time";
    }
    let telling = |line: &&str| is_telling(line);
    let lines = || finished.stderr.lines().rev().filter(|line| !line.trim().is_empty());
    lines().find(telling).or_else(|| lines().next()).unwrap_or("no answer").trim()
}

/// [`run`] with [`is_temporary`], for calls that have to succeed.
///
/// # Errors
/// As [`run`], and if the last try failed.
pub fn check(runner: &Runner, ui: Ui, argv: &Argv) -> Result<Finished> {
    let finished = run(runner, ui, argv, is_temporary)?;
    if finished.success() { Ok(finished) } else { Err(finished.fault(argv).into()) }
}

/// Sleeps in small steps, so that Ctrl-C does not wait for it.
fn sleep(runner: &Runner, pause: Duration) -> Result<()> {
    let step = Duration::from_millis(50);
    for _ in 0..(pause.as_millis() / step.as_millis()) {
        runner.check_interrupted()?;
        thread::sleep(step);
    }
    Ok(())
}

/// Up to half of the pause, by chance, so that parallel jobs stay apart.
fn jitter(pause: Duration) -> Duration {
    // The standard library seeds each hasher anew.
    let random = RandomState::new().build_hasher().finish() % 1000;
    pause.mul_f64(f64::from(u16::try_from(random).unwrap_or_default()) / 2000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_line_that_tells_it() {
        let stderr = "ERROR: unexpected status: 503 Service Unavailable\nunavailable: sorry\n\n";
        let finished = |stderr: &str, timed_out| Finished {
            code: Some(1),
            stdout: Vec::new(),
            stderr: stderr.to_owned(),
            timed_out,
        };
        assert_eq!(reason(&finished(stderr, None)), "ERROR: unexpected status: 503 Service Unavailable");
        assert_eq!(reason(&finished("a\nb\n", None)), "b");
        assert_eq!(reason(&finished(stderr, Some(Duration::from_secs(1)))), "no answer in time");
        assert_eq!(reason(&finished("", None)), "no answer");
    }

    #[test]
    fn only_what_can_pass_is_tried_again() {
        let finished = |stderr: &str| Finished {
            code: Some(1),
            stdout: Vec::new(),
            stderr: stderr.to_owned(),
            timed_out: None,
        };
        for text in [
            "dial tcp 127.0.0.1:1: connect: connection refused",
            "unexpected status: 503 Service Unavailable",
            "Get \"http://x/v2/\": EOF",
            "Fulcio returned 503: overloaded",
            "[POST /api/v1/log/entries][502] createLogEntryDefault",
            "adding rekor v2 entry: unexpected response: 499 {\"code\":1, \"message\":\"add entry: await: context canceled\"}",
            "unexpected status from PUT request to https://r/v2/a/manifests/1: 503 Service Temporarily Unavailable",
            "unexpected status from HEAD request to https://r/v2/a/manifests/1: 520 Origin Error",
            "GET https://r/v2/a/manifests/1: unexpected status code 520 : <!DOCTYPE html>",
            "unexpected status code 503 Slow Down",
            "dial tcp: lookup ghcr.io: no such host",
            "http2: server sent GOAWAY and closed the connection",
            "denied: You have exceeded a secondary rate limit",
        ] {
            assert!(is_temporary(&finished(text)), "{text}");
        }
        for text in [
            "401 Unauthorized",
            "Fulcio returned 400: error processing the identity token",
            "denied: permission_denied",
            "manifest unknown",
            "not found",
            "unexpected status from GET request to https://r/v2/a/manifests/1: 404 Not Found",
            "unexpected status code 403 Forbidden",
            "invalid reference format",
        ] {
            assert!(!is_temporary(&finished(text)), "{text}");
        }
    }
}
