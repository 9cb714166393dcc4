//! What a registry means by a status and an error code: one table. Pure.
//!
//! Sources: the OCI distribution specification ("Error Codes"); distribution's `errcode` and `registry/api/errcode`;
//! the answers of hosted registries as their documentation and their users report them, each named in the test.

use serde::Deserialize;
use std::fmt;

/// What an answer that is not a success means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The registry says that it does not hold this.
    Missing,
    /// We are not known to it, or not allowed. Some registries say so of what does not exist.
    Refused,
    /// It may be different in a moment.
    Temporary,
    /// This registry does not do that, whoever asks.
    Unsupported,
    /// Anything else: not an answer that says something about what was asked for.
    Broken,
}

/// In what form an error was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    /// No body, as for every `HEAD`.
    #[default]
    Nothing,
    /// `{"errors":[…]}`, as the specification has it.
    Registry,
    /// A page of a proxy or a load balancer, text, or anything else.
    Other,
}

/// The body of an answer that is not a success, as far as it tells why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Said {
    form: Form,
    /// Whether a header names a registry as the one who answers.
    by_registry: bool,
    /// The code of the first error, e.g. `MANIFEST_UNKNOWN`.
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Error>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

/// What is not of the specification: GitHub's and Docker's other services, OAuth.
#[derive(Deserialize)]
struct Plain {
    message: Option<String>,
    details: Option<String>,
    error_description: Option<String>,
    error: Option<String>,
}

/// The most of a message that is repeated, in characters.
const MESSAGE: usize = 300;

impl Said {
    /// Reads a body of any form.
    pub(super) fn of(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body).trim().to_owned();
        if text.is_empty() {
            return Self { form: Form::Nothing, ..Self::default() };
        }
        if let Ok(Errors { errors }) = serde_json::from_str(&text) {
            let first = errors.into_iter().next();
            let (code, message) = first.map(|error| (error.code, error.message)).unwrap_or_default();
            let message = one_line(&message.unwrap_or_default());
            return Self { form: Form::Registry, code, message, ..Self::default() };
        }
        let plain = serde_json::from_str::<Plain>(&text).ok();
        let plain = plain.and_then(|one| one.message.or(one.details).or(one.error_description).or(one.error));
        let message = plain.or_else(|| between(&text, "<title>", "</title>")).unwrap_or_else(|| text.clone());
        let code = between(&text, "<Code>", "</Code>").unwrap_or_default();
        let message = between(&text, "<Message>", "</Message>").unwrap_or(message);
        Self { form: Form::Other, code: one_line(&code), message: one_line(&message), ..Self::default() }
    }

    /// With what the headers of the answer say about who answers.
    pub(super) fn by(self, by_registry: bool) -> Self {
        Self { by_registry, ..self }
    }

    /// Whether nothing is said at all, and nobody says it: a registry may, a gateway that restarts does.
    pub(super) fn is_mute(&self) -> bool {
        self.form == Form::Nothing && !self.by_registry
    }

    /// How long to wait, where GitHub's registry tells it in the message instead of the header.
    pub(super) fn retry_after(&self) -> Option<&str> {
        let rest = self.message.split_once("retry-after: ")?.1;
        rest.split([',', ' ']).next()
    }

    fn is_limit(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        matches!(self.code.as_str(), "TOOMANYREQUESTS" | "SlowDown" | "UNAVAILABLE")
            || message.contains("secondary rate limit")
    }

    /// Whether a 404 is the registry's own word. A proxy's page and a router's `404 page not found` are about a path, and
    /// where a body could be and is not, nobody knows who has answered. An answer to `HEAD` never has one.
    fn is_absence(&self, method: &str) -> bool {
        match self.form {
            Form::Registry => true,
            Form::Nothing => method == "HEAD" || self.by_registry && method != "DELETE",
            Form::Other => false,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => Ok(()),
            ("", text) | (text, "") => write!(f, ": {text}"),
            (code, message) => write!(f, ": {code}: {message}"),
        }
    }
}

/// What an answer means that is not a success.
pub(super) fn judge(method: &str, status: u16, said: &Said) -> Verdict {
    if said.is_limit() {
        return Verdict::Temporary;
    }
    match status {
        // 500: registries say so when their storage or database does not answer. 52x, 530: Cloudflare's.
        408 | 425 | 429 | 500 | 502..=504 | 520..=527 | 530 => Verdict::Temporary,
        401 | 403 => Verdict::Refused,
        404 if said.is_absence(method) => Verdict::Missing,
        404 if method == "DELETE" => Verdict::Unsupported,
        405 | 501 => Verdict::Unsupported,
        400..=499 if said.code == "UNSUPPORTED" => Verdict::Unsupported,
        _ => Verdict::Broken,
    }
}

/// The name of a status, for messages.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        400 => " Bad Request",
        401 => " Unauthorized",
        403 => " Forbidden",
        404 => " Not Found",
        405 => " Method Not Allowed",
        429 => " Too Many Requests",
        500 => " Internal Server Error",
        502 => " Bad Gateway",
        503 => " Service Unavailable",
        504 => " Gateway Timeout",
        _ => "",
    }
}

fn between(text: &str, from: &str, to: &str) -> Option<String> {
    let rest = text.split_once(from)?.1;
    Some(rest.split_once(to)?.0.trim().to_owned())
}

/// Without line breaks and control characters: an answer is not to be trusted with a terminal.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(MESSAGE).collect()
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
