//! A change, its revert, and a run of what lay between that ends last.

use serde_json::Value;
use std::fs;

use crate::checkout::{Checkout, Done};
use crate::registry;

const MATRIX: &str = r#"version = 1
[publish]
repositories = ["ghcr.io/acme"]
[sign]
method = "none"
reason = "the local stack signs by itself"
[platforms]
amd64 = { platform = "linux/amd64", emulate = true }
[images.app]
context = "app"
ref = { value = "1" }
tags = ["{version}", "latest", "sha-{revision7}"]
"#;

struct Line {
    checkout: Checkout,
    address: String,
}

impl Line {
    fn start() -> Self {
        let checkout = Checkout::folder("late", "none/");
        fs::create_dir_all(checkout.root.join("app")).unwrap();
        fs::write(checkout.root.join("matrix.toml"), MATRIX).unwrap();
        fs::write(checkout.root.join("app/Dockerfile"), "FROM scratch\nCOPY file /file\n").unwrap();
        fs::write(checkout.root.join("app/file"), "one").unwrap();
        // No commit of today: how new the code is would be cut off at the time of the plan.
        checkout.git(&["update-ref", "-d", "HEAD"]);
        checkout.commit_at(1_700_000_000);
        checkout.xtask(&["local", "up"]).ok();
        let address = checkout.registry();
        Self { checkout, address }
    }

    /// A commit an hour after the last one, and its plan.
    fn plan(&self, run_number: u64, path: &str, text: &str) -> Value {
        fs::write(self.checkout.root.join(path), text).unwrap();
        self.checkout.commit_at(1_700_000_000 + run_number * 3600);
        self.plan_here(run_number)
    }

    /// A plan of what is checked out.
    fn plan_here(&self, run_number: u64) -> Value {
        let file = format!("target/{run_number}.json");
        self.checkout.xtask(&["plan", "--fresh", "--save", &file]).ok();
        let plan = fs::read(self.checkout.root.join(file)).unwrap();
        let plan: Value = serde_json::from_slice(&plan).unwrap();
        plan["cells"][0]["reuse"].clone()
    }

    fn work(&self, command: &str, run_number: u64, more: &[&str]) -> Done {
        let (file, folder) = (format!("target/{run_number}.json"), format!("target/{run_number}"));
        let plan = [command, "--plan", &file, "--digests", &folder];
        self.checkout.xtask(&[&plan, more].concat())
    }

    fn held(&self, tag: &str) -> Option<String> {
        registry::digest(&self.address, "app", tag)
    }

    /// How many publication records are attached to a digest.
    fn records(&self, digest: &str) -> usize {
        let list = registry::manifest(&self.address, "app", &digest.replace(':', "-"));
        let manifest =
            |entry: &Value| registry::manifest(&self.address, "app", entry["digest"].as_str().unwrap());
        let ours = |entry: &&Value| manifest(entry).to_string().contains("urn:io.xtask:publication:v1");
        list["manifests"].as_array().unwrap().iter().filter(ours).count()
    }
}

/// Run 100 publishes, run 120 is changed and hangs, run 140 is reverted and keeps, run 120 ends: no tag moves.
pub fn late_run(_: &Checkout) {
    let line = Line::start();
    let first = line.plan(100, "app/file", "first");
    assert_eq!(first["state"], "new", "{first}");
    line.work("build", 100, &[]).ok();
    line.work("merge", 100, &[]).ok();
    let kept = line.held("latest").unwrap();
    let changed = line.plan(120, "app/file", "second");
    assert_eq!(changed["inputs"], serde_json::json!(["app/file changed"]), "{changed}");
    let explained = line.checkout.xtask(&["plan", "--explain", "app"]).ok();
    assert!(explained.stdout.contains("app/file changed"), "{}", explained.all());
    line.work("build", 120, &[]).ok();
    let reverted = line.plan(140, "app/file", "first");
    assert_eq!(reverted["digest"].as_str(), Some(kept.as_str()), "{reverted}");
    assert!(reverted["renewed"].as_str().unwrap().ends_with("touched app/file"), "{reverted}");
    let built = line.work("build", 140, &["--timings"]).ok();
    assert!(!built.stderr.contains("docker-buildx build"), "{}", built.all());
    line.work("merge", 140, &[]).ok();
    let tags = registry::tags(&line.address, "app");
    assert_eq!((tags["latest"].as_str(), tags["1"].as_str()), (kept.as_str(), kept.as_str()));
    // All jobs of run 100 again: its commit is older than what the record says by now, and makes nothing older.
    line.checkout.git(&["checkout", "--quiet", "--detach", "HEAD~2"]);
    let again = line.plan_here(145);
    assert_eq!(again["digest"].as_str(), Some(kept.as_str()), "{again}");
    line.work("merge", 145, &[]).ok();
    line.checkout.git(&["checkout", "--quiet", "main"]);
    let late = line.work("merge", 120, &[]).ok();
    assert!(late.stderr.contains("latest stays: it holds newer code"), "{}", late.all());
    assert_eq!((line.held("latest"), line.held("1")), (Some(kept.clone()), Some(kept.clone())));
    // The new record took the place of the old one.
    assert_eq!(line.records(&kept), 1);
    line.checkout.xtask(&["verify", "--plan", "target/140.json"]).ok();
    tags_alone(&line, &kept);
}

/// A commit that touches nothing gets its tag without a build; what lacks nothing is not written to, nor asked about twice.
fn tags_alone(line: &Line, kept: &str) {
    let touched = line.plan(150, "elsewhere", "x");
    assert_eq!(touched["lacking"].as_array().map(Vec::len), Some(1), "{touched}");
    assert_eq!(touched.get("renewed"), None, "{touched}");
    line.work("build", 150, &[]).ok();
    line.work("merge", 150, &[]).ok();
    let commit = line.checkout.git_answer(&["rev-parse", "--short=7", "HEAD"]);
    assert_eq!(line.held(&format!("sha-{commit}")).as_deref(), Some(kept));
    assert_eq!(line.records(kept), 1);
    let state =
        |line: &Line| (registry::tags(&line.address, "app"), registry::manifests(&line.checkout, "app"));
    let before = state(line);
    line.checkout.xtask(&["verify"]).ok();
    for command in ["build", "merge", "verify"] {
        let done = line.checkout.xtask(&[command, "--timings"]).ok();
        for never in ["process cosign", "docker-buildx", "request PUT"] {
            assert!(!done.stderr.contains(never), "{command} makes no {never}: {}", done.all());
        }
    }
    assert_eq!(state(line), before);
    // Who can push and not sign can put anything under the tags: what is not signed is no publication to keep.
    let mut forged = registry::manifest(&line.address, "app", kept);
    forged["annotations"]["x"] = "forged".into();
    let body = forged.to_string();
    for tag in ["latest", "1"] {
        let path = format!("/v2/app/manifests/{tag}");
        let kind = forged["mediaType"].as_str().unwrap();
        registry::send(&line.address, "PUT", &path, kind, &body).unwrap();
    }
    let other = line.plan(160, "elsewhere", "y");
    assert_eq!(other["state"], "new", "{other}");
    assert!(
        other["why"].as_str().unwrap().contains("no verified record at them states the inputs"),
        "{other}"
    );
}
