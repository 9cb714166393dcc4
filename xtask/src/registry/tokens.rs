//! Tokens, and the servers that give them.
//!
//! Sources: distribution's `docs/spec/auth/token.md` and `oauth.md`.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::registry::credentials::Credential;
use crate::registry::failure::Failure;
use crate::registry::place::Place;
use crate::registry::settings::Settings;
use crate::registry::transport::{Answer, Request, Transport, origin};
use crate::run::Runner;

/// What a token may allow at least, where its answer does not say how long it lives (distribution: 60 seconds).
const LIFE: u64 = 60;

/// The largest answer of a token server, in bytes.
const LIMIT: usize = 1 << 20;

/// What is done to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Read.
    Pull,
    /// Write.
    Push,
    /// Delete.
    Delete,
}

impl Access {
    /// What a token must allow for it.
    pub(super) fn scope(self, name: &str) -> String {
        let actions = match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,push,delete",
        };
        format!("repository:{name}:{actions}")
    }
}

/// A token, and until when it may be used.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) until: Instant,
}

/// What is needed to get a token.
pub(super) struct Tools<'a> {
    pub(super) transport: &'a Transport,
    pub(super) runner: &'a Runner,
}

/// Gets a token.
pub(super) fn fetch(
    tools: &Tools<'_>,
    place: &Place,
    realm: &str,
    request: &Request<'_>,
) -> Result<Result<Token, Failure>> {
    if let Err(why) = may_send(realm, place, tools.transport.settings()) {
        return Ok(Err(Failure::broken(why)));
    }
    Ok(match tools.transport.send(request)? {
        Ok(answer) if answer.status == 200 => token(&answer),
        Ok(answer) => Err(Failure::of(request.method, &answer).of_login()),
        Err(broke) => Err(Failure::from(broke)),
    })
}

/// Secrets go in plain HTTP to this machine only, and to hosts that the user has named; and a registry elsewhere
/// does not send them there.
fn may_send(realm: &str, place: &Place, settings: &Settings) -> Result<(), String> {
    let (secure, host) = origin(realm);
    let plain = || settings.allows_http(host) && settings.allows_http(place.api_host());
    if secure || realm.starts_with("http://") && plain() {
        return Ok(());
    }
    Err(format!("its token server has the address `{realm}`, which is not https"))
}

/// The request for a token: `GET` with a password or with nothing, `POST` with an identity token.
pub(super) fn ask(
    realm: &str,
    service: &str,
    scope: &str,
    credential: Option<&Credential>,
) -> Request<'static> {
    let query = format!("service={}&scope={}", encoded(service), encoded(scope));
    let separator = if realm.contains('?') { '&' } else { '?' };
    let url = format!("{realm}{separator}{query}");
    let get = |headers| Request { method: "GET", url, headers, body: Cow::default(), limit: LIMIT };
    match credential {
        Some(Credential::Identity(token)) => {
            let token = encoded(token);
            let form = format!("grant_type=refresh_token&client_id=xtask&{query}&refresh_token={token}");
            Request {
                method: "POST",
                url: realm.to_owned(),
                headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
                body: form.into_bytes().into(),
                limit: LIMIT,
            }
        }
        Some(Credential::Password { user, password }) => get(vec![("authorization", basic(user, password))]),
        Some(Credential::Registry(_)) | None => get(Vec::new()),
    }
}

#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

fn token(answer: &Answer) -> Result<Token, Failure> {
    let broken = || Failure::broken("its token server sent no token".to_owned());
    let given: Given = serde_json::from_slice(&answer.body).map_err(|_| broken())?;
    let text = if given.token.is_empty() { given.access_token } else { given.token };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(broken());
    }
    // A tenth less, so that no token ends on its way.
    let life = Duration::from_secs(given.expires_in.unwrap_or(LIFE).min(86_400));
    Ok(Token { text, until: Instant::now() + life.mul_f64(0.9) })
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Percent-encoding of one value of a query (RFC 3986, unreserved characters stay).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:/,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The scope that we want with the actions that the registry names for the same repository.
pub(super) fn merged(ours: &str, named: &str) -> String {
    let Some((repository, actions)) = ours.rsplit_once(':') else { return ours.to_owned() };
    let same =
        named.split(' ').filter_map(|scope| scope.rsplit_once(':')).find(|(name, _)| *name == repository);
    let mut all: Vec<&str> = actions.split(',').collect();
    for action in same.into_iter().flat_map(|(_, actions)| actions.split(',')) {
        if !all.contains(&action) {
            all.push(action);
        }
    }
    format!("{repository}:{}", all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::context::Environment;

    #[test]
    fn scopes_grow_by_what_the_registry_names() {
        assert_eq!(Access::Push.scope("acme/app"), "repository:acme/app:pull,push");
        let ours = Access::Pull.scope("acme/app");
        assert_eq!(merged(&ours, ""), "repository:acme/app:pull");
        assert_eq!(merged(&ours, "repository:acme/app:pull,push"), "repository:acme/app:pull,push");
        assert_eq!(merged(&ours, "registry:catalog:* repository:acme/app:*"), "repository:acme/app:pull,*");
        assert_eq!(merged(&ours, "repository:other:push"), "repository:acme/app:pull");
    }

    #[test]
    fn tokens_are_asked_for_in_three_ways() {
        let scope = Access::Pull.scope("a/b");
        let of = |credential: Option<Credential>| {
            ask("https://r.example/token", "the registry", &scope, credential.as_ref())
        };
        let nobody = of(None);
        assert_eq!(nobody.url, "https://r.example/token?service=the%20registry&scope=repository:a/b:pull");
        assert!(nobody.headers.is_empty());
        let someone = of(Some(Credential::Password { user: "u".into(), password: "p".into() }));
        assert_eq!(someone.headers, [("authorization", "Basic dTpw".to_owned())]);
        let identity = of(Some(Credential::Identity("a&b".into())));
        assert_eq!((identity.method, identity.url.as_str()), ("POST", "https://r.example/token"));
        let form = String::from_utf8_lossy(&identity.body).into_owned();
        assert!(
            form.starts_with("grant_type=refresh_token") && form.ends_with("refresh_token=a%26b"),
            "{form}"
        );
    }

    #[test]
    fn secrets_go_over_tls() {
        let settings = Settings::new(&Environment::default());
        let place = |text: &str| Place::of(&text.parse().unwrap());
        let (there, here) = (place("ghcr.io/a"), place("127.0.0.1:5000/a"));
        assert!(may_send("https://ghcr.io/token", &there, &settings).is_ok());
        assert!(may_send("http://127.0.0.1:1/token", &here, &settings).is_ok());
        assert!(may_send("http://127.0.0.1:1/token", &there, &settings).is_err());
        assert!(may_send("http://ghcr.io/token", &there, &settings).is_err());
        assert!(may_send("http://auth.lan/token", &here, &settings).is_err());
        assert!(may_send("ftp://127.0.0.1/token", &here, &settings).is_err());
    }
}
