//! `plan --diff`: what it says before a build and a merge is what has happened after them.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

use crate::checkout::{Checkout, run};
use crate::kit;
use crate::registry;

/// Two images: one stands on a base that can move, the other is for two platforms.
const MATRIX: &str = r#"version = 1
[publish]
repositories = ["ghcr.io/acme"]
[sign]
method = "key"
key = "target/xtask/local/keys/cosign.key"
[platforms]
amd64 = { platform = "linux/amd64", runner = "ubuntu-24.04" }
arm64 = { platform = "linux/arm64", runner = "ubuntu-24.04-arm" }
[images.app]
context = "app"
platforms = ["amd64"]
ref = { file = "app/.version" }
tags = ["{version}", "{major}", "sha-{revision7}"]
build-args = { GREETING = "hello" }
labels = { purpose = "test" }
[images.two]
context = "two"
emulate = true
ref = { value = "7" }
tags = ["{version}"]
"#;

const THIRD: &str = r#"[images.third]
context = "two"
platforms = ["amd64"]
ref = { value = "1" }
tags = ["{version}"]
"#;

/// A project of its own, whose first publication is still to come.
struct Project {
    checkout: Checkout,
    registry: String,
}

/// What `plan --diff` says of a cell: its state, why, and what becomes of its tags.
struct Said<'v>(&'v Value);

impl<'v> Said<'v> {
    fn state(&self) -> &'v str {
        self.0["reuse"]["state"].as_str().unwrap()
    }

    fn inputs(&self) -> Vec<&'v str> {
        self.0["reuse"]["inputs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|text| text.as_str().unwrap())
            .collect()
    }

    fn tags(&self) -> &'v Vec<Value> {
        self.0["repositories"][0]["tags"].as_array().unwrap()
    }

    fn tag(&self, name: &str) -> &'v Value {
        self.tags().iter().find(|tag| tag["name"] == name).unwrap()
    }

    /// `1 moved, 1.0.0 created`: sorted.
    fn actions(&self) -> String {
        let one = |tag: &Value| {
            let name = tag["name"].as_str().unwrap();
            // It bears the commit, which nobody can foretell here.
            let name = if name.starts_with("sha-") { "sha" } else { name };
            format!("{name} {}", tag["action"].as_str().unwrap())
        };
        let mut words: Vec<String> = self.tags().iter().map(one).collect();
        words.sort();
        words.join(", ")
    }
}

impl Project {
    fn new() -> Self {
        let checkout = Checkout::folder("diff", "nothing of this repository/");
        let root = &checkout.root;
        for folder in ["app", "two"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("matrix.toml"), MATRIX).unwrap();
        fs::write(root.join("app/.version"), "1.0.0\n").unwrap();
        fs::write(root.join("app/source"), "one\n").unwrap();
        fs::write(root.join("two/Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
        checkout.commit();
        // It does not start what it asks.
        checkout
            .xtask(&["plan", "--diff"])
            .fails(1, &["the local stack does not run", "cargo xtask local up"]);
        assert_eq!(checkout.status()["running"], false);
        checkout.xtask(&["local", "up"]).ok();
        let registry = checkout.registry();
        let project = Self { checkout, registry };
        project.move_base("first");
        let dockerfile = format!("FROM {}/base:1\nARG GREETING\nCOPY source /\n", project.registry);
        project.write("app/Dockerfile", &dockerfile);
        project.checkout.commit();
        project
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.checkout.root.join(path), text).unwrap();
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.checkout.root.join(path)).unwrap();
        assert!(text.contains(from), "{path} lacks {from}");
        self.write(path, &text.replace(from, to));
    }

    fn move_base(&self, content: &str) {
        let base = format!("{}/base:1", self.registry);
        kit::push_image(&self.checkout, &base, content);
        self.checkout.tool("crane", &["mutate", "--set-platform", "linux/amd64", "--tag", &base, &base]).ok();
    }

    fn diff(&self) -> Value {
        let done = self.checkout.xtask(&["plan", "--diff", "--json"]).ok();
        serde_json::from_str(&done.stdout).unwrap()
    }

    fn tags(&self) -> BTreeMap<String, String> {
        let of = |image: &str| {
            let tags = registry::tags(&self.registry, image);
            tags.into_iter().map(|(tag, digest)| (format!("{image}:{tag}"), digest)).collect::<Vec<_>>()
        };
        ["app", "two", "third"].into_iter().flat_map(of).collect()
    }

    /// The layers of the image of `app` for amd64, each with its size.
    fn layers(&self) -> BTreeMap<String, u64> {
        let reference = format!("{}/app:1", self.registry);
        let found = self.checkout.tool("crane", &["manifest", "--platform", "linux/amd64", &reference]).ok();
        let manifest: Value = serde_json::from_str(&found.stdout).unwrap();
        let layer =
            |layer: &Value| (layer["digest"].as_str().unwrap().to_owned(), layer["size"].as_u64().unwrap());
        manifest["layers"].as_array().unwrap().iter().map(layer).collect()
    }

    /// Asks, builds, merges, and compares what was said with what the registry holds then. `expected`: of some cells, the
    /// state, inputs that must be among the changed ones, and what becomes of the tags.
    #[track_caller]
    fn round(&self, what: &str, expected: &[(&str, &str, &[&str], &str)]) -> Value {
        self.checkout.commit();
        // A job has no records of earlier runs.
        let _ = fs::remove_dir_all(self.checkout.root.join("target/xtask/digests"));
        let before = self.tags();
        let diff = self.diff();
        assert_eq!(self.tags(), before, "{what}: to ask changes nothing");
        for (cell, state, inputs, actions) in expected {
            let said = said(&diff, cell);
            let all = inputs.iter().all(|input| said.inputs().iter().any(|text| text.contains(input)));
            assert!(all && said.state() == *state && said.actions() == *actions, "{what}: {:#}", said.0);
        }
        let built = self.checkout.xtask(&["build", "--emulate"]).ok();
        let builds: usize = diff["cells"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cell| cell["builds"].as_array().unwrap().len())
            .sum();
        assert_eq!(built.stdout.matches(" built ").count(), builds, "{what}: {}", built.all());
        self.checkout.xtask(&["merge"]).ok();
        self.compare(what, &diff, &before);
        diff
    }

    /// What has become of the tags.
    #[track_caller]
    fn compare(&self, what: &str, diff: &Value, before: &BTreeMap<String, String>) {
        let mut expected = before.clone();
        for cell in diff["cells"].as_array().unwrap() {
            let id = cell["cell"].as_str().unwrap();
            let digest = self.checkout.publication(id)["digest"].as_str().unwrap().to_owned();
            if let Some(kept) = cell["publication"]["digest"].as_str() {
                assert_eq!(kept, digest, "{what}: {id}");
            }
            for tag in Said(cell).tags() {
                let name = format!("{id}:{}", tag["name"].as_str().unwrap());
                let (from, held) = (tag["from"]["digest"].as_str(), before.get(&name).map(String::as_str));
                assert_eq!(from, held, "{what}: {name}");
                match tag["action"].as_str().unwrap() {
                    "created" | "moved" => expected.insert(name, digest.clone()),
                    "unchanged" | "stays" => continue,
                    other => panic!("{what}: {name} {other}"),
                };
            }
        }
        assert_eq!(self.tags(), expected, "{what}: {diff:#}");
        // What is kept is told about once.
        let again = self.diff();
        for cell in diff["cells"].as_array().unwrap().iter().filter(|cell| Said(cell).state() == "kept") {
            let id = cell["cell"].as_str().unwrap();
            let reuse = &said(&again, id).0["reuse"];
            assert_eq!(
                (&reuse["state"], &reuse["renewed"]),
                (&"kept".into(), &Value::Null),
                "{what}: {reuse:#}"
            );
        }
    }
}

fn said<'v>(diff: &'v Value, cell: &str) -> Said<'v> {
    let cells = diff["cells"].as_array().unwrap();
    Said(cells.iter().find(|one| one["cell"] == cell).unwrap_or_else(|| panic!("{cell} in {diff:#}")))
}

/// What `--diff` says before each change is published, and what the registry holds after it was.
pub fn before_and_after(_: &Checkout) {
    let project = Project::new();
    let fresh = "1 created, 1.0.0 created, sha created";
    let diff = project
        .round("nothing is published", &[("app", "new", &[], fresh), ("two", "new", &[], "7 created")]);
    assert_eq!(diff["runners"], serde_json::json!([{ "runner": "ubuntu-24.04", "builds": 3 }]));
    assert!(said(&diff, "app").0["builds"][0]["pull"]["unknown"].is_string(), "{diff:#}");

    let (same, moved) = ("1 unchanged, 1.0.0 unchanged, sha created", "1 moved, 1.0.0 moved, sha created");
    project.round("an empty commit", &[("app", "kept", &[], same), ("two", "kept", &[], "7 unchanged")]);

    let before = project.layers();
    project.write("app/source", "two\n");
    project.replace("matrix.toml", "context = \"two\"\n", "context = \"two\"\nplatforms = [\"amd64\"]\n");
    let diff = project.round(
        "a source file changed, and a platform removed",
        &[
            ("app", "changed", &["app/source changed"], moved),
            ("two", "changed", &["platforms changed"], "7 moved"),
        ],
    );
    // A small layer on a base that stays: the new one is about as large.
    let new = project.layers().into_iter().filter(|(digest, _)| !before.contains_key(digest));
    let pulled: u64 = new.map(|(_, size)| size).sum();
    let pull = said(&diff, "app").0["builds"][0]["pull"]["bytes"].as_u64();
    assert!(pull.is_some_and(|pull| pulled.abs_diff(pull) < 20 && pull < before.values().sum()), "{diff:#}");
    assert_eq!(said(&diff, "app").tag("1")["from"]["publication"]["version"], "1.0.0", "{diff:#}");

    project.checkout.git(&["revert", "--no-edit", "HEAD"]);
    project.round("its revert", &[("app", "changed", &["app/source changed"], moved)]);

    project.write("app/source", "three\n");
    project.checkout.commit();
    project.checkout.git(&["revert", "--no-edit", "HEAD"]);
    let diff = project.round("a change and its revert", &[("app", "kept", &[], same)]);
    assert!(said(&diff, "app").0["reuse"]["renewed"].is_string(), "{diff:#}");

    project.move_base("second, and not as large as before");
    let diff = project.round("the base has moved", &[("app", "changed", &["base:1 moved"], moved)]);
    assert!(diff["cells"][0]["builds"][0]["pull"]["bytes"].as_u64() > pull, "{diff:#}");

    project.write("app/.version", "1.1.0\n");
    project.replace("matrix.toml", "GREETING = \"hello\"", "GREETING = \"good morning\"");
    let inputs: &[&str] = &["build argument GREETING changed", "index annotation"];
    let actions = "1 moved, 1.1.0 created, sha created";
    project.round("a new version, and a build argument", &[("app", "changed", inputs, actions)]);

    project.write("app/.version", "1.0.1\n");
    project.replace("matrix.toml", "purpose = \"test\"", "purpose = \"example\"");
    let actions = "1 stays, 1.0.1 created, sha created";
    project
        .round("an older version, and a label", &[("app", "changed", &["label purpose changed"], actions)]);

    project.replace("matrix.toml", "\"{version}\", \"{major}\", ", "\"{version}\", \"{major}\", \"edge\", ");
    project.replace("two/Dockerfile", "FROM", "# A comment.\nFROM");
    project.checkout.xtask(&["hold", "two", "--reason", "being looked at"]).ok();
    let actions = "1 stays, 1.0.1 unchanged, edge created, sha created";
    let diff = project.round(
        "a new tag, and a comment in the Dockerfile of an image that is held",
        &[("app", "kept", &[], actions), ("two", "changed", &["Dockerfile"], "7 stays")],
    );
    assert!(said(&diff, "two").tag("7")["why"].as_str().unwrap().contains("being looked at"), "{diff:#}");
    assert_eq!(said(&diff, "two").0["builds"][0]["pull"]["bytes"], 0, "{diff:#}");

    project.checkout.xtask(&["release", "two"]).ok();
    let matrix = fs::read_to_string(project.checkout.root.join("matrix.toml")).unwrap();
    project.write("matrix.toml", &(matrix + THIRD));
    project
        .round("one more image", &[("third", "new", &[], "1 created"), ("two", "changed", &[], "7 moved")]);

    refused(&project);
}

/// What merge would refuse is shown, and a registry that does not tell is an error.
fn refused(project: &Project) {
    let checkout = &project.checkout;
    // Somebody else's image, at a tag that never moves.
    project.replace("matrix.toml", "\"edge\"", "{ tag = \"edge\", immutable = true }");
    project.write("app/source", "four\n");
    kit::push_image(checkout, &format!("{}/app:1", project.registry), "foreign");
    checkout.commit();
    let (before, diff) = (project.tags(), project.diff());
    assert_eq!(said(&diff, "app").actions(), "1 stays, 1.0.1 stays, edge refused, sha stays");
    assert_eq!(said(&diff, "app").tag("1")["from"]["other"], "was published by another tool");
    let text = checkout.xtask(&["plan", "--diff", "--cell", "app"]).ok().stdout;
    assert!(text.contains("x edge") && !text.contains("third"), "{text}");
    checkout.xtask(&["build", "--cell", "app"]).ok();
    checkout.xtask(&["merge", "--cell", "app"]).fails(1, &["the tag edge is immutable"]);
    assert_eq!(project.tags(), before);

    // The summary of a job; what a push would do; a plan that was made before.
    let summary = checkout.root.join("target/summary.md");
    let mut command = checkout.command(&["plan", "--diff", "--github", "--save", "target/plan.json"]);
    let output = checkout.root.join("target/output");
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_OUTPUT", &output).env("GITHUB_STEP_SUMMARY", &summary);
    run(&mut command).ok();
    let text = fs::read_to_string(&summary).unwrap();
    assert!(text.contains("### What would change") && text.contains("**refused**"), "{text}");
    for args in [&["--event", "push"][..], &["--plan", "target/plan.json"], &["--no-reuse"]] {
        let done = checkout.xtask(&[&["plan", "--diff"], args].concat()).ok();
        assert!(done.stdout.contains("x edge"), "{args:?}: {}", done.all());
    }
    let done = checkout.xtask(&["plan", "--diff", "--event", "pull-request"]).ok();
    assert!(done.stdout.contains("publishes nothing"), "{}", done.all());

    let proxy = kit::Proxy::start(checkout, &project.registry);
    let to = format!("{}/elsewhere", proxy.address());
    proxy.arm(&kit::Fault { times: 1_000, ..kit::Fault::at("500", 1) });
    checkout.xtask(&["plan", "--diff", "--to", &to]).fails(1, &["500"]);
}
