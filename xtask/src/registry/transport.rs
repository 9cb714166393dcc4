//! One request and its answer, over connections that are kept. Nothing here knows what an answer means.

use anyhow::{Context as _, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use ureq::tls::{Certificate, ClientCert, RootCerts, TlsConfig};
use ureq::{Agent, Proxy, http};

use crate::base::error::UserError;
use crate::base::usage::Usage;
use crate::registry::authorities::{OwnFiles, authorities};
use crate::registry::settings::Settings;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(30);

/// How many connections to one registry are kept while nothing is asked.
const IDLE: usize = 16;

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    /// E.g. `GET`.
    pub(super) method: &'a str,
    /// The whole address.
    pub(super) url: String,
    /// Headers beside those of every request.
    pub(super) headers: Vec<(&'static str, String)>,
    /// What is put or posted.
    pub(super) body: Cow<'a, [u8]>,
    /// The most that is read of an answer, in bytes.
    pub(super) limit: usize,
}

/// What came back, whatever it means.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// E.g. 200.
    pub(super) status: u16,
    /// The headers, names in lower case.
    headers: Vec<(String, String)>,
    /// The body, whole.
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The values of a header, its name in lower case.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a header, its name in lower case.
    pub(super) fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broke {
    /// The network, or whoever closed the connection: it may be different in a moment.
    Temporary(String),
    /// The other side does not speak the protocol that was spoken to it.
    Protocol(String),
    /// The other side is not whom we trust.
    Untrusted(String),
    /// More than was wanted, or a request that cannot be sent.
    Failed(String),
}

/// Connections to registries, one pool for each.
pub(super) struct Transport {
    settings: Settings,
    usage: Usage,
    limit: Duration,
    agents: Mutex<BTreeMap<String, Agent>>,
    /// Read when the first registry is asked by HTTPS.
    authorities: OnceLock<Vec<Certificate<'static>>>,
}

impl Transport {
    /// Connects as `settings` say; no request may take longer than `limit`.
    pub(super) fn new(settings: Settings, usage: Usage, limit: Duration) -> Self {
        Self { settings, usage, limit, agents: Mutex::default(), authorities: OnceLock::new() }
    }

    /// What the environment says.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// If files of certificates or the address of a proxy cannot be used. That no answer came is a result.
    pub(super) fn send(&self, request: &Request<'_>) -> Result<Result<Answer, Broke>> {
        self.send_within(request, self.limit)
    }

    /// [`Self::send`] with a time limit of its own.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) fn send_within(
        &self,
        request: &Request<'_>,
        limit: Duration,
    ) -> Result<Result<Answer, Broke>> {
        let agent = self.agent(&request.url)?;
        let began = Instant::now();
        let answer = exchange(&agent, request, limit.min(self.limit));
        let bytes = answer.as_ref().map_or(0, |answer| answer.body.len());
        self.usage.request(request.method, began.elapsed(), u64::try_from(bytes).unwrap_or_default());
        Ok(answer)
    }

    /// The connections to the host of an address.
    fn agent(&self, url: &str) -> Result<Agent> {
        let (secure, host) = origin(url);
        let key = format!("{secure} {host}");
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let agent = self.connect(secure, host).with_context(|| format!("connect to {host}"))?;
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn connect(&self, secure: bool, host: &str) -> Result<Agent> {
        let proxy = self.settings.proxy(secure, host).map(|address| {
            Proxy::new(address).map_err(|error| {
                UserError::failed(format!("the address of the proxy cannot be used: {error}"))
                    .help("HTTPS_PROXY and HTTP_PROXY are addresses like http://proxy.example:3128")
            })
        });
        let config = Agent::config_builder()
            .proxy(proxy.transpose()?)
            .http_status_as_error(false)
            // Where an answer leads is followed without the credentials of the one that sent it.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("xtask/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .max_idle_connections(IDLE)
            .max_idle_connections_per_host(IDLE);
        // A proxy may be spoken to by TLS although the registry is not.
        let config = if secure || self.settings.proxy(secure, host).is_some() {
            config.tls_config(self.tls(host)?)
        } else {
            config
        };
        Ok(config.build().new_agent())
    }

    fn tls(&self, host: &str) -> Result<TlsConfig> {
        let read = || {
            let (file, folders) = self.settings.authorities();
            authorities(file.as_deref(), &folders)
        };
        let mut roots = self.authorities.get_or_init(read).clone();
        let mut own = OwnFiles::default();
        for folder in self.settings.certificates(host) {
            own.read(&folder)?;
        }
        roots.append(&mut own.authorities);
        let client = own.key.map(|key| ClientCert::new_with_certs(&own.chain, key));
        Ok(TlsConfig::builder().root_certs(RootCerts::from(roots)).client_cert(client).build())
    }
}

/// Whether an address is of HTTPS, and its host with the port.
pub(super) fn origin(url: &str) -> (bool, &str) {
    let secure = url.starts_with("https://");
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    // What stands before an `@` is a user, however much it looks like a host.
    (secure, authority.rsplit('@').next().unwrap_or(authority))
}

fn exchange(agent: &Agent, request: &Request<'_>, limit: Duration) -> Result<Answer, Broke> {
    let mut builder = http::Request::builder().method(request.method).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    let failed = |error: http::Error| Broke::Failed(error.to_string());
    let mut response = if matches!(request.method, "PUT" | "POST") {
        let sent = builder.body(&*request.body).map_err(failed)?;
        agent.run(agent.configure_request(sent).timeout_global(Some(limit)).build())
    } else {
        let sent = builder.body(()).map_err(failed)?;
        agent.run(agent.configure_request(sent).timeout_global(Some(limit)).build())
    }
    .map_err(broke)?;
    let headers = response.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let headers = headers.collect();
    let most = u64::try_from(request.limit).unwrap_or(u64::MAX);
    let body = response.body_mut().with_config().limit(most).read_to_vec().map_err(broke)?;
    Ok(Answer { status: response.status().as_u16(), headers, body })
}

/// What an error of the connection means.
fn broke(error: ureq::Error) -> Broke {
    use std::io::ErrorKind::InvalidData;
    let text = error.to_string();
    let text = text.strip_prefix("io: ").unwrap_or(&text).to_owned();
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => told_by_tls(text),
        ureq::Error::Io(error) if error.kind() == InvalidData => told_by_tls(text),
        ureq::Error::Protocol(_) => Broke::Protocol(text),
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_) => Broke::Temporary(text),
        _ => Broke::Failed(text),
    }
}

/// A certificate that does not count is no reason to ask again; an answer that is no TLS may be plain HTTP.
fn told_by_tls(text: String) -> Broke {
    if text.contains("certificate") { Broke::Untrusted(text) } else { Broke::Protocol(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::context::Environment;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    fn transport() -> Transport {
        Transport::new(Settings::new(&Environment::default()), Usage::default(), Duration::from_secs(5))
    }

    /// Answers one connection with these bytes.
    fn serve(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v2/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        });
        url
    }

    fn get(url: String, limit: usize) -> Result<Answer, Broke> {
        let transport = transport();
        let request = Request { method: "GET", url, headers: Vec::new(), body: Cow::default(), limit };
        let answer = transport.send(&request).unwrap();
        assert_eq!(transport.usage.requests(), 1);
        answer
    }

    #[test]
    fn whole_answers_count_and_others_do_not() {
        let whole = b"HTTP/1.1 503 x\r\nContent-Length: 2\r\nRetry-After: 1\r\n\r\nhi";
        let answer = get(serve(whole), 10).unwrap();
        assert_eq!(
            (answer.status, &*answer.body, answer.header("retry-after")),
            (503, &b"hi"[..], Some("1"))
        );
        let temporary = |answer| matches!(get(answer, 10), Err(Broke::Temporary(_)));
        assert!(temporary(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi")), "cut short");
        assert!(temporary(serve(b"HTTP/1.1 200 OK\r\nContent-Le")), "cut short in the headers");
        assert!(temporary(serve(b"")), "closed");
        assert!(temporary("http://127.0.0.1:1/v2/".to_owned()), "nobody listens");
        assert!(temporary("http://no-such-host.invalid/v2/".to_owned()), "no such host");
        let alert = serve(b"\x15\x03\x01\x00\x02\x02\x16");
        assert!(matches!(get(alert, 10), Err(Broke::Protocol(_))), "TLS");
        let large = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789");
        assert!(matches!(get(large, 10), Err(Broke::Failed(_))), "more than wanted");
        let plain = serve(b"HTTP/1.1 400 Bad Request\r\n\r\n").replace("http:", "https:");
        assert!(matches!(get(plain, 10), Err(Broke::Protocol(_))), "no TLS");
    }

    #[test]
    fn an_address_has_an_origin() {
        assert_eq!(origin("https://ghcr.io/token?x=1"), (true, "ghcr.io"));
        assert_eq!(origin("http://127.0.0.1:5000/v2/"), (false, "127.0.0.1:5000"));
        assert_eq!(origin("https://r.example?x"), (true, "r.example"));
    }
}
