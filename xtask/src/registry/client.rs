//! Calls to registries: the right protocol, who asks, and another try where that may help.

use anyhow::Result;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::ui::Ui;
use crate::registry::auth::Auth;
use crate::registry::failure::Failure;
use crate::registry::headers;
use crate::registry::place::Place;
use crate::registry::settings::Settings;
use crate::registry::status::Verdict;
use crate::registry::tokens::{Access, Tools};
use crate::registry::transport::{Answer, Broke, Request, Transport, origin};
use crate::run::Runner;
use crate::run::retry::Tries;

/// A registry may be slow, but never this slow: the limit of one request.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// How many redirections are followed.
const REDIRECTIONS: usize = 5;

/// One call: what is asked of which repository.
#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    /// What it is for; an error begins with it.
    pub(super) purpose: String,
    /// E.g. `GET`.
    pub(super) method: &'static str,
    /// The repository.
    pub(super) place: &'a Place,
    /// What of it: `manifests/latest`.
    pub(super) path: String,
    /// `Accept` or `Content-Type`.
    pub(super) kind: Option<(&'static str, String)>,
    /// What is put.
    pub(super) body: &'a [u8],
    /// The most that is read, in bytes.
    pub(super) limit: usize,
}

/// How a call has ended: with what was asked for, or for good.
pub(super) type Ended<T> = Result<T, Failure>;

/// Calls registries. Clones share connections, tokens and what was learnt.
#[derive(Clone)]
pub(super) struct Client(Arc<Shared>);

struct Shared {
    transport: Transport,
    runner: Runner,
    ui: Ui,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
}

/// What is known of one registry.
#[derive(Default)]
pub(super) struct Host {
    /// Whether it speaks HTTPS, once it has answered.
    secure: Mutex<Option<bool>>,
    auth: Mutex<Auth>,
    /// Whether it has the API of referrers, once it was asked.
    pub(super) referrers: Mutex<Option<bool>>,
}

impl Client {
    /// A client that connects as `settings` say.
    pub(super) fn new(settings: Settings, runner: &Runner, ui: Ui) -> Self {
        let transport = Transport::new(settings, runner.usage().clone(), runner.limit(LIMIT));
        Self(Arc::new(Shared { transport, runner: runner.clone(), ui, hosts: Mutex::default() }))
    }

    /// What is known of the registry of a repository.
    pub(super) fn host(&self, place: &Place) -> Arc<Host> {
        locked(&self.0.hosts).entry(place.api_host().to_owned()).or_default().clone()
    }

    /// Calls until `read` makes something of a success. `lags`: what is missing may appear.
    ///
    /// # Errors
    /// If the call cannot be made at all, or if we were asked to stop. A refusal is a result.
    pub(super) fn call<T>(
        &self,
        call: &Call<'_>,
        lags: bool,
        read: impl Fn(Answer) -> Result<T, Failure>,
    ) -> Result<Ended<T>> {
        let mut tries = Tries::new(&self.0.runner, self.0.ui);
        loop {
            self.0.runner.check_interrupted()?;
            let failure = match self.attempt(call, LIMIT)?.and_then(&read) {
                Ok(found) => return Ok(Ok(found)),
                Err(failure) => failure,
            };
            let passes = match failure.verdict {
                Verdict::Temporary => true,
                Verdict::Missing => lags,
                // A registry without the API of referrers may well say nothing, and is asked for it but once.
                Verdict::Broken if failure.mute => !call.path.starts_with("referrers/"),
                Verdict::Refused | Verdict::Unsupported | Verdict::Broken => false,
            };
            if !passes || !tries.again(&call.purpose, &failure.reason, failure.pause)? {
                return Ok(Err(failure));
            }
        }
    }

    /// Calls once, and waits no longer than `limit` for each answer.
    ///
    /// # Errors
    /// If the call cannot be made at all. A refusal is a result.
    pub(super) fn attempt(&self, call: &Call<'_>, limit: Duration) -> Result<Ended<Answer>> {
        let _waiting = self.0.runner.request();
        let host = self.host(call.place);
        let scope = access(call.method).scope(call.place.name());
        let used = match self.authorization(&host, call.place, &scope)? {
            Ok(used) => used,
            Err(failure) => return Ok(Err(failure)),
        };
        let answer = match self.send(call, &host, used.as_deref(), limit)? {
            Ok(answer) if answer.status == 401 => {
                let challenge = headers::challenge(answer.all("www-authenticate"));
                locked(&host.auth).learn(challenge, used.as_deref(), &scope);
                match self.authorization(&host, call.place, &scope)? {
                    Ok(other) if other == used => Ok(answer),
                    Ok(other) => self.send(call, &host, other.as_deref(), limit)?,
                    Err(failure) => return Ok(Err(failure)),
                }
            }
            answer => answer,
        };
        Ok(match answer {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(answer),
            Ok(answer) => Err(Failure::of(call.method, &answer)),
            Err(broke) => Err(broke.into()),
        })
    }

    /// One at a time for each registry: who comes second takes the token that the first one got.
    fn authorization(
        &self,
        host: &Host,
        place: &Place,
        scope: &str,
    ) -> Result<Result<Option<String>, Failure>> {
        let tools = Tools { transport: &self.0.transport, runner: &self.0.runner };
        locked(&host.auth).authorization(&tools, place, scope)
    }

    /// Sends one request by the protocol that the registry speaks.
    fn send(
        &self,
        call: &Call<'_>,
        host: &Host,
        authorization: Option<&str>,
        limit: Duration,
    ) -> Result<Result<Answer, Broke>> {
        let known = *locked(&host.secure);
        let secure = known.unwrap_or_else(|| !self.0.transport.settings().allows_http(call.place.api_host()));
        let answer = self.follow(request(call, secure, authorization), limit)?;
        let secure = match (&answer, known) {
            (_, Some(_)) => return Ok(answer),
            (Ok(answer), None) if !secure && wants_tls(answer) => true,
            (Err(Broke::Protocol(_)), None) if !secure => true,
            (Ok(_), None) => {
                *locked(&host.secure) = Some(secure);
                return Ok(answer);
            }
            (Err(_), None) => return Ok(answer),
        };
        let answer = self.follow(request(call, secure, authorization), limit)?;
        if answer.is_ok() {
            *locked(&host.secure) = Some(secure);
        }
        Ok(answer)
    }

    /// Goes where a registry leads to: many keep blobs elsewhere. Our credentials are for the registry alone.
    fn follow(&self, mut request: Request<'_>, limit: Duration) -> Result<Result<Answer, Broke>> {
        let asked = request.url.clone();
        for _ in 0..REDIRECTIONS {
            let answer = match self.0.transport.send_within(&request, limit)? {
                Ok(answer) => answer,
                Err(broke) => return Ok(Err(broke)),
            };
            let target = answer.header("location").and_then(|to| target(&request.url, to));
            match (answer.status, target) {
                // 303 leads to a page about the thing; GitHub's registry answers so where it lacks an API.
                (301 | 302 | 307 | 308, Some(url)) if matches!(request.method, "GET" | "HEAD") => {
                    request
                        .headers
                        .retain(|(name, _)| *name != "authorization" || same_origin(&url, &request.url));
                    request.url = url;
                }
                // Somebody else's question for a password is none that we answer with the registry's.
                (401, _) if !same_origin(&asked, &request.url) => {
                    return Ok(Err(Broke::Failed(
                        "it leads elsewhere, where it is refused (401)".to_owned(),
                    )));
                }
                _ => return Ok(Ok(answer)),
            }
        }
        Ok(Err(Broke::Failed(format!("it leads elsewhere {REDIRECTIONS} times"))))
    }
}

fn access(method: &str) -> Access {
    match method {
        "PUT" => Access::Push,
        "DELETE" => Access::Delete,
        _ => Access::Pull,
    }
}

fn request<'a>(call: &Call<'a>, secure: bool, authorization: Option<&str>) -> Request<'a> {
    let protocol = if secure { "https" } else { "http" };
    let (host, name) = (call.place.api_host(), call.place.name());
    let authorization = authorization.map(|value| ("authorization", value.to_owned()));
    Request {
        method: call.method,
        url: format!("{protocol}://{host}/v2/{name}/{}", call.path),
        headers: call.kind.clone().into_iter().chain(authorization).collect(),
        body: Cow::Borrowed(call.body),
        limit: call.limit,
    }
}

/// What servers of HTTPS say when they are spoken to without TLS: those written in Go, nginx, Apache.
fn wants_tls(answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.body);
    let words = ["to an HTTPS server", "to HTTPS port", "to an SSL-enabled server"];
    answer.status == 400 && words.iter().any(|words| text.contains(words))
}

/// The address that a `Location` or `Link` means, seen from the one that was asked. Never from HTTPS to HTTP.
pub(super) fn target(from: &str, to: &str) -> Option<String> {
    let (secure, host) = origin(from);
    let protocol = if secure { "https" } else { "http" };
    if let Some(path) = to.strip_prefix("//") {
        return Some(format!("{protocol}://{path}"));
    }
    if to.starts_with('/') {
        return Some(format!("{protocol}://{host}{to}"));
    }
    (to.starts_with("https://") || to.starts_with("http://") && !secure).then(|| to.to_owned())
}

fn same_origin(one: &str, two: &str) -> bool {
    origin(one) == origin(two)
}

/// What a thread that has panicked leaves is good enough.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_never_leave_tls() {
        let from = "https://ghcr.io/v2/a/blobs/x";
        let of = |to: &str| target(from, to);
        assert_eq!(of("/b?x=1").as_deref(), Some("https://ghcr.io/b?x=1"));
        assert_eq!(of("//cdn.example/b").as_deref(), Some("https://cdn.example/b"));
        assert_eq!(of("https://cdn.example/b").as_deref(), Some("https://cdn.example/b"));
        assert_eq!((of("http://cdn.example/b"), of("b")), (None, None));
        assert_eq!(
            target("http://127.0.0.1:1/x", "http://cdn.example/b").as_deref(),
            Some("http://cdn.example/b")
        );
        assert!(same_origin("https://a/x", "https://a/y") && !same_origin("https://a/x", "http://a/x"));
    }

    #[test]
    fn a_request_is_put_together() {
        let place = Place::of(&"docker.io/acme/app".parse().unwrap());
        let kind = Some(("accept", "x".to_owned()));
        let path = "manifests/1".to_owned();
        let call =
            Call { purpose: String::new(), method: "GET", place: &place, path, kind, body: &[], limit: 1 };
        let sent = request(&call, true, Some("Bearer t"));
        assert_eq!(sent.url, "https://registry-1.docker.io/v2/acme/app/manifests/1");
        assert_eq!(sent.headers, [("accept", "x".to_owned()), ("authorization", "Bearer t".to_owned())]);
    }
}
