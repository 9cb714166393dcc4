//! The servers of `tools/testkit`: what spoils requests, what no real tool offers.

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::checkout::{Checkout, run, stop, wait};
use crate::registry::{self, http, send};

/// A server that runs until it is dropped.
pub struct Service {
    child: Child,
    /// What it printed when it listened.
    addresses: Value,
}

impl Service {
    /// Starts a server that prints where it listens, and waits for that line.
    pub fn start(checkout: &Checkout, tool: &str, args: &[&str]) -> Self {
        let mut command = checkout.tool_command(tool);
        command.args(args).stdout(Stdio::piped()).stderr(log(checkout, args.first().unwrap_or(&tool)));
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(addresses) = serde_json::from_str(&line) else {
            stop(&mut child);
            panic!("{tool} {args:?} did not start: its log lies in {}", logs(checkout).display());
        };
        Self { child, addresses }
    }

    /// Starts a server that prints nothing, and waits until it is ready.
    pub fn start_at(
        checkout: &Checkout,
        mut command: Command,
        name: &str,
        address: &str,
        ready: impl FnMut() -> bool,
    ) -> Self {
        command.stdin(Stdio::null()).stdout(log(checkout, name)).stderr(log(checkout, name));
        let service = Self { child: command.spawn().unwrap(), addresses: json!({ "address": address }) };
        wait(&format!("{name} answers"), ready);
        service
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.addresses["address"].as_str().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// What a server says beside its address.
fn log(checkout: &Checkout, name: &str) -> File {
    fs::create_dir_all(logs(checkout)).unwrap();
    File::options().create(true).append(true).open(logs(checkout).join(format!("{name}.log"))).unwrap()
}

fn logs(checkout: &Checkout) -> PathBuf {
    checkout.root.join("target/kit")
}

/// A port that nobody uses at the moment.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A registry with the referrers API, in memory.
pub fn registry(checkout: &Checkout) -> Service {
    Service::start(checkout, "testkit", &["registry"])
}

/// GitHub's cache service, in memory, and the token of a job.
pub fn cache(checkout: &Checkout) -> (Service, String) {
    let service = Service::start(checkout, "testkit", &["cache"]);
    let (_, _, answer) = http(service.address(), "GET", "/token").unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    (service, answer["token"].as_str().unwrap().to_owned())
}

/// What the proxy does to which request.
pub struct Fault<'a> {
    /// `refuse`, `reset`, `delay`, `429`, `500`, `503`, `empty-404`, `nginx-503`, `cloudflare-520`, `s3-slow-down`, `hold`,
    /// `lie-digest`, `stale-tag` or `drop-after-commit`.
    pub kind: &'a str,
    /// Only requests count whose `METHOD path` this regular expression matches.
    pub matching: &'a str,
    /// The first that is hit, from 1.
    pub n: usize,
    /// How many in a row are hit.
    pub times: usize,
    /// How long a `delay` lasts.
    pub milliseconds: u64,
}

impl<'a> Fault<'a> {
    /// One fault at request number `n` from now on.
    pub fn at(kind: &'a str, n: usize) -> Self {
        Self { kind, matching: "", n, times: 1, milliseconds: 0 }
    }
}

/// What the proxy saw since it was armed.
#[derive(Debug)]
pub struct Seen {
    /// How many requests counted.
    pub requests: usize,
    /// Whether the fault did any harm.
    pub fired: bool,
    /// How many requests were held back.
    pub held: usize,
    /// `METHOD path -> STATUS` of each request, whether it counted or not.
    pub log: Vec<String>,
}

/// A proxy before a registry that spoils chosen requests.
pub struct Proxy(Service);

impl Proxy {
    /// Before the registry at `to`.
    pub fn start(checkout: &Checkout, to: &str) -> Self {
        Self(Service::start(checkout, "testkit", &["proxy", "--to", to]))
    }

    /// Where it stands for the registry: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.0.address()
    }

    /// Forgets what was seen, and arms one fault.
    pub fn arm(&self, fault: &Fault<'_>) {
        let Fault { kind, matching, n, times, milliseconds } = fault;
        let body = json!({ "fault": kind, "match": matching, "n": n, "times": times, "ms": milliseconds });
        self.control("POST", "/arm", &body.to_string());
    }

    /// What was seen since the last [`Self::arm`].
    pub fn seen(&self) -> Seen {
        let seen = self.control("GET", "/status", "");
        let log = seen["log"].as_array().unwrap().iter();
        Seen {
            requests: usize::try_from(seen["requests"].as_u64().unwrap()).unwrap(),
            fired: seen["fired"].as_bool().unwrap(),
            held: usize::try_from(seen["held"].as_u64().unwrap()).unwrap(),
            log: log.map(|line| line.as_str().unwrap().to_owned()).collect(),
        }
    }

    /// Lets go on what was held back.
    pub fn release(&self) {
        self.control("POST", "/release", "");
    }

    /// No more faults; what was seen stays.
    pub fn disarm(&self) {
        self.control("POST", "/disarm", "");
    }

    fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let address = self.0.addresses["control"].as_str().unwrap();
        let (status, _, answer) = send(address, method, path, "application/json", body).unwrap();
        assert_eq!(status, 200, "{method} {path} {body}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }
}

/// A certificate for 127.0.0.1 and localhost, and the authority that vouches for it.
pub struct Certificate {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// Writes a new one into a folder.
    pub fn write(checkout: &Checkout, folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let [authority, certificate, key] =
            ["ca.pem", "certificate.pem", "key.pem"].map(|name| folder.join(name));
        let mut command = checkout.tool_command("testkit");
        command.arg("certificate");
        for (flag, path) in [("--ca", &authority), ("--cert", &certificate), ("--key", &key)] {
            command.arg(flag).arg(path);
        }
        run(&mut command).ok();
        Self { authority, certificate, key }
    }
}

/// A line for a registry's htpasswd file.
pub fn htpasswd(checkout: &Checkout, user: &str, password: &str) -> String {
    checkout.tool("testkit", &["htpasswd", user, password]).ok().stdout
}

/// Pushes an image of one small file, as an OCI image.
pub fn push_image(checkout: &Checkout, reference: &str, content: &str) {
    let folder = checkout.root.join("target/kit/layer");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), content).unwrap();
    let archive = folder.with_extension("tar");
    run(Command::new("tar").arg("-C").arg(&folder).arg("-cf").arg(&archive).arg("file")).ok();
    let archive = archive.display().to_string();
    checkout.tool("crane", &["append", "--oci-empty-base", "-f", &archive, "-t", reference]).ok();
}

/// Every fault, as a client sees it.
pub fn faults(checkout: &Checkout) {
    checkout.xtask(&["local", "up"]).ok();
    let registry = checkout.registry();
    let proxy = Proxy::start(checkout, &registry);
    let address = proxy.address();
    // Uploads follow the registry's Location headers: all of them lead through the proxy.
    push_image(checkout, &format!("{address}/kit:one"), "one");
    let one = registry::tags(&registry, "kit")["one"].clone();
    let seen = proxy.seen();
    assert!(seen.log.iter().any(|line| line == "PUT /v2/kit/manifests/one -> 201"), "{seen:?}");
    assert!(seen.log.iter().any(|line| line.starts_with("PATCH ")), "{seen:?}");

    let path = "/v2/kit/manifests/one";
    let (_, head, manifest) = http(address, "GET", path).unwrap();
    assert!(head.contains(&one), "{head}");
    let get = || http(address, "GET", path);
    let status = || get().map(|(status, ..)| status);
    for (kind, expected) in
        [("429", Some(429)), ("500", Some(500)), ("503", Some(503)), ("refuse", None), ("delay", Some(200))]
    {
        proxy.arm(&Fault { milliseconds: 50, ..Fault::at(kind, 2) });
        let answers = [status(), status(), status()];
        assert_eq!(answers, [Some(200), expected, Some(200)], "{kind}");
        let seen = proxy.seen();
        assert!(seen.fired && seen.requests == 3 && seen.log.len() == 3, "{kind}: {seen:?}");
    }
    proxy.arm(&Fault::at("empty-404", 1));
    let (code, _, text) = get().unwrap();
    assert_eq!((code, text.as_str()), (404, ""));
    // The words of nginx, Cloudflare and S3, in the status and in the body.
    for (kind, line, body) in [
        ("nginx-503", "503 Service Temporarily Unavailable", "<center>nginx</center>"),
        ("cloudflare-520", "520 Origin Error", "Web server is returning an unknown error"),
        ("s3-slow-down", "503 Slow Down", "<Code>SlowDown</Code>"),
    ] {
        proxy.arm(&Fault::at(kind, 1));
        let (_, head, text) = get().unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {line}\r\n")) && text.contains(body), "{head}\n{text}");
    }
    // What is held back goes on when it may.
    proxy.arm(&Fault { matching: "^GET /v2/kit/manifests/[no]", ..Fault::at("hold", 1) });
    std::thread::scope(|scope| {
        let held = scope.spawn(status);
        wait("a request is held back", || proxy.seen().held == 1);
        assert_eq!(http(address, "HEAD", path).unwrap().0, 200, "it does not match");
        assert!(!held.is_finished());
        proxy.release();
        assert_eq!(held.join().unwrap(), Some(200));
    });
    // Half of the body arrives, or half of the headers.
    proxy.arm(&Fault { times: 2, ..Fault::at("reset", 1) });
    assert_eq!((get(), http(address, "HEAD", path)), (None, None));
    proxy.arm(&Fault::at("lie-digest", 1));
    let (_, head, lie) = get().unwrap();
    let named = head.contains(&format!("Docker-Content-Digest: {one}"));
    assert!(!named && lie.len() == manifest.len() && lie != manifest, "{head}\n{lie}");
    // Only what matches counts, and a disarmed proxy is a plain one.
    proxy.arm(&Fault { matching: "HEAD /v2/kit/", ..Fault::at("500", 1) });
    assert_eq!(status(), Some(200));
    assert_eq!(http(address, "HEAD", path).unwrap().0, 500);
    proxy.arm(&Fault::at("500", 1));
    proxy.disarm();
    assert_eq!(status(), Some(200));
    assert!(!proxy.seen().fired);
    // The registry has committed what the client hears nothing about.
    let put = |tag: &str, body: &str| {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        send(address, "PUT", &format!("/v2/kit/manifests/{tag}"), kind, body).map(|(status, ..)| status)
    };
    proxy.arm(&Fault { matching: "PUT", ..Fault::at("drop-after-commit", 1) });
    assert_eq!(put("two", &manifest), None);
    assert_eq!(registry::tags(&registry, "kit")["two"], one);
    // What a tag held before it was written last: nothing, or something else.
    proxy.arm(&Fault::at("stale-tag", 1));
    assert_eq!(http(address, "GET", "/v2/kit/manifests/two").unwrap().0, 404);
    let other = format!("{manifest}\n");
    assert_eq!(put("two", &other), Some(201));
    proxy.arm(&Fault::at("stale-tag", 2));
    let read = || http(address, "GET", "/v2/kit/manifests/two").unwrap().2;
    assert_eq!([read(), read(), read()], [&other, &manifest, &other].map(Clone::clone));
}
