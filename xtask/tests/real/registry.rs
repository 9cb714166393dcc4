//! The registry's state, by plain HTTP: an observer that shares no code with the tool.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const ACCEPT: &str =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*;q=0.1";

/// Status and headers and body of a request without a body.
pub fn http(address: &str, method: &str, path: &str) -> Option<(u16, String, String)> {
    send(address, method, path, "", "")
}

/// Status and headers and body of a request; `None` if there is no whole answer.
pub fn send(
    address: &str,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAccept: {ACCEPT}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, head.to_owned(), body.to_owned()))
}

/// All tags of a repository, those of signatures included. `None`: the registry did not answer with a list.
pub fn list(registry: &str, repository: &str) -> Option<Vec<String>> {
    let (status, _, body) = http(registry, "GET", &format!("/v2/{repository}/tags/list"))?;
    if status == 404 {
        return Some(Vec::new());
    }
    let value: serde_json::Value = serde_json::from_str(&body).ok()?;
    // Some registries say `null` where there are none.
    Some(value["tags"].as_array().into_iter().flatten().map(|tag| tag.as_str().unwrap().to_owned()).collect())
}

/// What a tag holds.
pub fn digest(registry: &str, repository: &str, tag: &str) -> Option<String> {
    let (status, head, _) = http(registry, "HEAD", &format!("/v2/{repository}/manifests/{tag}"))
        .or_else(|| http(registry, "GET", &format!("/v2/{repository}/manifests/{tag}")))?;
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("docker-content-digest:"))?;
    (status == 200).then(|| line.split_once(':').unwrap().1.trim().to_owned())
}

/// What a digest or tag stands for.
pub fn manifest(registry: &str, repository: &str, name: &str) -> serde_json::Value {
    let (status, _, body) = http(registry, "GET", &format!("/v2/{repository}/manifests/{name}")).unwrap();
    assert_eq!(status, 200, "{repository} {name}");
    serde_json::from_str(&body).unwrap()
}

/// What each tag for people holds.
pub fn tags(registry: &str, repository: &str) -> BTreeMap<String, String> {
    let names = list(registry, repository).expect("the registry lists its tags");
    let names = names.into_iter().filter(|tag| !tag.starts_with("sha256-"));
    names.filter_map(|tag| Some((tag.clone(), digest(registry, repository, &tag)?))).collect()
}

/// How many manifests a repository holds, under any name.
pub fn manifests(checkout: &crate::checkout::Checkout, repository: &str) -> usize {
    let folder = checkout
        .local()
        .join("registry/docker/registry/v2/repositories")
        .join(repository)
        .join("_manifests/revisions/sha256");
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// Looks at a repository all the time and counts tags that hold something unsigned.
///
/// cosign 3 keeps signatures of a registry without the referrers API under the
/// tag `sha256-HEX`; it exists from the moment that the digest is signed.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    unsigned: Arc<AtomicUsize>,
    looks: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watcher {
    pub fn start(registry: &str, repository: &str) -> Self {
        let (stop, unsigned, looks) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (registry, repository) = (registry.to_owned(), repository.to_owned());
        let shared = (stop.clone(), unsigned.clone(), looks.clone());
        let thread = thread::spawn(move || {
            while !shared.0.load(Ordering::SeqCst) {
                // A list that was cut off is no look at all.
                let seen = list(&registry, &repository).unwrap_or_default();
                for tag in seen.into_iter().filter(|tag| !tag.starts_with("sha256-")) {
                    let Some(digest) = digest(&registry, &repository, &tag) else { continue };
                    // Asked after the tag was seen: a signature that comes later is a signature too late.
                    let signature = digest.replace(':', "-");
                    let Some(now) = list(&registry, &repository) else { continue };
                    if !now.contains(&signature) {
                        println!("UNSIGNED {repository}:{tag} {digest}");
                        shared.1.fetch_add(1, Ordering::SeqCst);
                    }
                }
                shared.2.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(10));
            }
        });
        Self { stop, unsigned, looks, thread: Some(thread) }
    }

    /// Ends the watch; fails if it ever saw something unsigned.
    pub fn end(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        println!("the watcher looked {} times", self.looks.load(Ordering::SeqCst));
        assert!(self.looks.load(Ordering::SeqCst) > 0);
        assert_eq!(self.unsigned.load(Ordering::SeqCst), 0, "a tag held something unsigned");
    }
}
