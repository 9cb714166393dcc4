//! Looks at a repository all the time, by plain HTTP, and counts what must never be seen.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::registry::{digest, http, list};

/// What was seen and must not be.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Violations {
    /// A tag held something without a signature, or with one that does not count.
    pub unsigned: usize,
    /// A tag held an index that is not of exactly the images of one plan.
    pub mixed: usize,
    /// A tag came to hold something older than before.
    pub backwards: usize,
    /// A record was not where it has to be.
    pub lost: usize,
    /// A tag did not hold the publication in the end.
    pub wrong: usize,
    /// A merge failed although nothing disturbed it any more.
    pub stuck: usize,
}

/// What is shared with the thread that looks.
#[derive(Default)]
struct State {
    violations: Violations,
    looks: usize,
    /// Whether tags may go back for a moment, as they may while many publish at once.
    lenient: bool,
    /// The images of each plan, by its code date.
    expected: BTreeMap<String, BTreeSet<String>>,
    /// The code date of what each tag held last.
    held: BTreeMap<String, String>,
    /// Every index that a tag held.
    seen: BTreeSet<String>,
    /// Those whose signatures were asked for.
    asked: BTreeSet<String>,
}

/// The watcher of one repository.
pub struct Watch {
    pub registry: String,
    pub repository: String,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watch {
    pub fn start(registry: &str, repository: &str) -> Self {
        let (state, stop) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let look =
            Look { registry: registry.to_owned(), repository: repository.to_owned(), state: state.clone() };
        let ended = stop.clone();
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                look.once();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let (registry, repository) = (registry.to_owned(), repository.to_owned());
        Self { registry, repository, state, stop, thread: Some(thread) }
    }

    /// The images that an index of a plan has to hold.
    pub fn expect(&self, code: &str, images: [String; 2]) {
        self.state.lock().unwrap().expected.insert(code.to_owned(), images.into_iter().collect());
    }

    /// Tags may go back for a moment from now on.
    pub fn lenient(&self) {
        self.state.lock().unwrap().lenient = true;
    }

    /// What tags hold now is where they have come to rest.
    pub fn settle(&self) {
        let mut state = self.state.lock().unwrap();
        state.lenient = false;
        state.held.clear();
    }

    /// Counts something, and says what.
    pub fn add(&self, count: impl Fn(&mut Violations), what: &str) {
        println!("VIOLATION: {what}");
        count(&mut self.state.lock().unwrap().violations);
    }

    /// Every index that a tag has held.
    pub fn seen(&self) -> Vec<String> {
        self.state.lock().unwrap().seen.iter().cloned().collect()
    }

    /// Whether nobody has asked for the signatures of a digest yet.
    pub fn ask(&self, digest: &str) -> bool {
        self.state.lock().unwrap().asked.insert(digest.to_owned())
    }

    /// The image that a build's index holds.
    pub fn image_of(&self, index: &str) -> String {
        images(&self.manifest(index)).into_iter().next().unwrap()
    }

    /// The code date behind an index.
    pub fn code_date(&self, index: &str) -> String {
        self.manifest(index)["annotations"]["io.xtask.code-date"].as_str().unwrap_or_default().to_owned()
    }

    /// An index and everything that it lists.
    pub fn all_below(&self, index: &str) -> Vec<String> {
        let manifest = self.manifest(index);
        let below = manifest["manifests"].as_array().unwrap().iter().map(|entry| text(&entry["digest"]));
        std::iter::once(index.to_owned()).chain(below).collect()
    }

    fn manifest(&self, digest: &str) -> Value {
        manifest(&self.registry, &self.repository, digest).unwrap()
    }

    /// Ends the watch.
    pub fn end(mut self) -> Violations {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        let state = self.state.lock().unwrap();
        println!("the watcher looked {} times and saw {} indexes under tags", state.looks, state.seen.len());
        assert!(state.looks > 0);
        state.violations.clone()
    }
}

/// The eyes.
struct Look {
    registry: String,
    repository: String,
    state: Arc<Mutex<State>>,
}

impl Look {
    /// Looks at every tag. What cannot be read is no look.
    fn once(&self) {
        let Some(tags) = list(&self.registry, &self.repository) else { return };
        for tag in tags.iter().filter(|tag| !tag.starts_with("sha256-")) {
            if let Some(digest) = digest(&self.registry, &self.repository, tag) {
                self.judge(tag, &digest);
            }
        }
        self.state.lock().unwrap().looks += 1;
    }

    fn judge(&self, tag: &str, digest: &str) {
        let first = !self.state.lock().unwrap().seen.contains(digest);
        // Asked after the tag was seen: a signature that comes later comes too late.
        if first && !self.has_signature(digest) {
            self.count(|found| found.unsigned += 1, &format!("{tag} holds {digest}, which is not signed"));
        }
        let Some(index) = manifest(&self.registry, &self.repository, digest) else { return };
        let code = text(&index["annotations"]["io.xtask.code-date"]);
        let mut state = self.state.lock().unwrap();
        state.seen.insert(digest.to_owned());
        let before = state.held.insert(tag.to_owned(), code.clone()).unwrap_or_default();
        let (mixed, back) =
            (state.expected.get(&code) != Some(&images(&index)), code < before && !state.lenient);
        drop(state);
        if first && mixed {
            self.count(|found| found.mixed += 1, &format!("{tag} holds {digest}, which is not of one plan"));
        }
        if back {
            self.count(|found| found.backwards += 1, &format!("{tag} went from {before} to {code}"));
        }
    }

    /// cosign 3 keeps signatures as referrers, or under the tag `sha256-HEX` where a registry has no such thing.
    fn has_signature(&self, digest: &str) -> bool {
        let fallback = format!("/v2/{}/manifests/{}", self.repository, digest.replace(':', "-"));
        let referrers = format!("/v2/{}/referrers/{digest}", self.repository);
        [fallback, referrers].iter().any(|path| {
            let answer = http(&self.registry, "GET", path).filter(|(status, ..)| *status == 200);
            let body = answer.and_then(|(_, _, body)| serde_json::from_str::<Value>(&body).ok());
            body.is_some_and(|body| body["manifests"].as_array().is_some_and(|found| !found.is_empty()))
        })
    }

    fn count(&self, count: impl Fn(&mut Violations), what: &str) {
        println!("VIOLATION: {what}");
        count(&mut self.state.lock().unwrap().violations);
    }
}

fn manifest(registry: &str, repository: &str, digest: &str) -> Option<Value> {
    let (status, _, body) = http(registry, "GET", &format!("/v2/{repository}/manifests/{digest}"))?;
    (status == 200).then(|| serde_json::from_str(&body).ok())?
}

/// The digests of the images in an index, without their attestations.
fn images(index: &Value) -> BTreeSet<String> {
    let entries = index["manifests"].as_array().into_iter().flatten();
    entries.filter(|entry| entry["platform"]["os"] != "unknown").map(|entry| text(&entry["digest"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
