//! Why a call to a registry has failed, and the error that a reader gets.

use std::time::Duration;

use crate::base::error::{LOG_IN, UserError};
use crate::registry::headers;
use crate::registry::status::{self, Said, Verdict};
use crate::registry::transport::{Answer, Broke};

/// A call that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// What it means.
    pub(super) verdict: Verdict,
    /// What was said, by whom.
    pub(super) reason: String,
    /// The status of the answer; 0 where none came.
    pub(super) status: u16,
    /// How long the registry wants us to wait before we ask again.
    pub(super) pause: Option<Duration>,
    /// It was the server that gives tokens which has failed.
    pub(super) by_login: bool,
    /// The answer was a page for people: of a proxy, not of a registry.
    pub(super) page: bool,
    /// A 404 of which nobody can say who has sent it: to be asked again before it is told.
    pub(super) mute: bool,
    /// Ways out beside those of the verdict.
    help: Option<&'static str>,
}

impl Failure {
    fn new(verdict: Verdict, reason: String) -> Self {
        Self {
            verdict,
            reason,
            status: 0,
            pause: None,
            by_login: false,
            page: false,
            mute: false,
            help: None,
        }
    }

    /// Of an answer that is not a success.
    pub(super) fn of(method: &str, answer: &Answer) -> Self {
        let said = Said::of(&answer.body).by(answer.header("docker-distribution-api-version").is_some());
        let verdict = status::judge(method, answer.status, &said);
        let reason = format!("{}{}{said}", answer.status, status::reason(answer.status));
        let asked = answer.header("retry-after").or_else(|| said.retry_after());
        let sent = answer.header("date").and_then(headers::date);
        let pause = asked.and_then(|text| headers::retry_after(text, sent));
        let start =
            String::from_utf8_lossy(answer.body.get(..512).unwrap_or(&answer.body)).to_ascii_lowercase();
        let page = start.contains("<html") || start.contains("<!doctype");
        let mute = answer.status == 404 && verdict == Verdict::Broken && said.is_mute();
        Self { status: answer.status, pause, page, mute, ..Self::new(verdict, reason) }
    }

    /// The same, told by the server that gives tokens: what it does not find is nothing that was asked for.
    #[must_use]
    pub(super) fn of_login(self) -> Self {
        let verdict = if self.verdict == Verdict::Missing { Verdict::Broken } else { self.verdict };
        Self { verdict, reason: format!("its token server says {}", self.reason), by_login: true, ..self }
    }

    /// An answer that cannot be used.
    pub(super) fn broken(reason: String) -> Self {
        Self::new(Verdict::Broken, reason)
    }

    /// An answer that is not what was asked for: perhaps the next one is.
    pub(super) fn spoilt(reason: String) -> Self {
        Self::new(Verdict::Temporary, reason)
    }

    /// The error for a reader.
    pub(super) fn fault(&self, purpose: &str) -> UserError {
        let reason = &self.reason;
        let text = match self.verdict {
            Verdict::Missing => format!("{purpose}: there is no such thing: {reason}"),
            Verdict::Refused => format!("{purpose}: the registry refuses: {reason}"),
            Verdict::Temporary if self.status == 0 => {
                format!("{purpose}: the registry does not answer: {reason}")
            }
            Verdict::Temporary => format!("{purpose}: the registry is not available: {reason}"),
            Verdict::Unsupported => format!("{purpose}: the registry does not support this: {reason}"),
            Verdict::Broken => format!("{purpose}: unexpected answer: {reason}"),
        };
        let fault = UserError::failed(text);
        match (self.help, self.verdict) {
            (Some(help), _) => fault.help(help),
            (None, Verdict::Refused) => {
                fault.help(LOG_IN)
            }
            (None, Verdict::Temporary) => fault.help(
                "check that it runs and can be reached from here; `cargo xtask local up` starts the local one",
            ),
            _ => fault,
        }
    }
}

impl From<Broke> for Failure {
    fn from(broke: Broke) -> Self {
        match broke {
            Broke::Temporary(reason) => Self::new(Verdict::Temporary, reason),
            Broke::Failed(reason) => Self::broken(reason),
            Broke::Protocol(reason) => Self {
                help: Some("a registry that speaks plain HTTP has to be named in XTASK_INSECURE_REGISTRIES"),
                ..Self::broken(reason)
            },
            Broke::Untrusted(reason) => Self {
                help: Some(
                    "name the authority of a private registry in SSL_CERT_FILE, or put it below certs.d",
                ),
                ..Self::broken(reason)
            },
        }
    }
}
