//! What an image stands on is published before it, by the same plan.

use serde_json::Value;
use std::fs;
use std::path::PathBuf;

use crate::checkout::{Checkout, Done};
use crate::registry;

const IMAGES: &str = r#"
[images.shaky]
context = "images/shaky"
ref = { value = "1" }
tags = ["{version}"]
composer = []
platforms = ["amd64"]
emulate = true
target = "runtime"
test = "test"
[images.standing]
context = "images/standing"
ref = { value = "1" }
tags = ["{version}"]
composer = []
platforms = ["amd64"]
emulate = true
needs = ["shaky"]
"#;

/// The checkout with two more images, of which one stands on the other.
struct Two<'c> {
    checkout: &'c Checkout,
    matrix: String,
}

impl<'c> Two<'c> {
    fn new(checkout: &'c Checkout) -> Self {
        let matrix = fs::read_to_string(checkout.root.join("matrix.toml")).unwrap();
        fs::write(checkout.root.join("matrix.toml"), matrix.clone() + IMAGES).unwrap();
        let two = Self { checkout, matrix };
        two.write("standing", "FROM shaky\nRUN cp /content /copy\n");
        two
    }

    fn write(&self, image: &str, dockerfile: &str) {
        let folder = self.checkout.root.join("images").join(image);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    }

    /// A base that holds a text, and whose test does what it is told. The plan of it is in `target/two.json`.
    fn base(&self, content: &str, test: &str) {
        let dockerfile = format!(
            "FROM php:8.2-cli-bookworm AS runtime\nUSER root\nRUN echo {content} >/content\nFROM runtime AS test\nRUN {test}\n"
        );
        self.write("shaky", &dockerfile);
        self.checkout.commit();
        self.checkout.xtask(&["plan", "--fresh", "--save", "target/two.json"]).ok();
    }

    /// A command by that plan, for these cells.
    fn run(&self, command: &str, cells: &str) -> Done {
        self.checkout.xtask(&[command, "--plan", "target/two.json", "--cell", cells])
    }

    fn tags(&self) -> [std::collections::BTreeMap<String, String>; 2] {
        ["shaky", "standing"].map(|image| registry::tags(&self.checkout.registry(), image))
    }

    fn publication(&self) -> PathBuf {
        self.checkout.root.join("target/xtask/publications/shaky.json")
    }
}

impl Drop for Two<'_> {
    fn drop(&mut self) {
        fs::write(self.checkout.root.join("matrix.toml"), &self.matrix).unwrap();
        for image in ["shaky", "standing"] {
            let _ = fs::remove_dir_all(self.checkout.root.join("images").join(image));
        }
        self.checkout.commit();
    }
}

/// Changes a JSON file, expects that the merge of what stands on the base fails with `words`, and puts it back.
fn refused(two: &Two<'_>, path: &PathBuf, words: &[&str], change: impl Fn(&mut Value)) {
    let (before, tags) = (fs::read(path).unwrap(), two.tags());
    let mut value: Value = serde_json::from_slice(&before).unwrap();
    change(&mut value);
    fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
    two.run("merge", "standing").fails(1, words);
    assert_eq!(two.tags(), tags);
    fs::write(path, before).unwrap();
}

/// A base that fails its own test, or is not published for any other reason, ships in nothing that stands on it.
pub fn failed_base(checkout: &Checkout) {
    let two = Two::new(checkout);
    // It fails its test: nothing that needs it is built, neither with it nor later.
    two.base("one", "exit 3");
    let done = two.run("build", "shaky,standing").fails(1, &["nothing of shaky amd64 is recorded"]);
    assert!(done.stdout.contains("skipped: it needs shaky amd64"), "{}", done.all());
    let missing = ["standing amd64 needs shaky amd64", "target/xtask/digests/shaky/amd64.json"];
    let done = two.run("build", "standing").fails(2, &missing);
    assert!(!done.stderr.contains("building"), "{}", done.all());
    two.run("merge", "standing").fails(2, &["standing/amd64.json: missing"]);
    assert_eq!(two.tags(), [(); 2].map(|()| Default::default()), "nothing was ever tagged");

    // It is built and tested, and not published.
    two.base("one", "true");
    two.run("build", "shaky").ok();
    two.run("build", "standing").ok();
    let unpublished = ["it stands on shaky, which plan", "there is no record of its publication"];
    two.run("merge", "standing").fails(1, &unpublished);
    assert_eq!(two.tags(), [(); 2].map(|()| Default::default()), "nothing was ever tagged");

    // It fails in the same merge: the registry does not hold what its record says.
    let path = checkout.record("shaky", "amd64");
    let before = fs::read(&path).unwrap();
    let mut record = checkout.read_record("shaky", "amd64");
    let first = record["digest"].clone();
    record["digest"] = Value::from(format!("sha256:{}", "0".repeat(64)));
    fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
    let done = two.run("merge", "shaky,standing").fails(1, &["does not hold sha256:0000", "2 of 2 cells"]);
    assert!(done.stdout.contains("skipped: its base shaky failed"), "{}", done.all());
    assert_eq!(two.tags(), [(); 2].map(|()| Default::default()), "nothing was ever tagged");
    fs::write(&path, before).unwrap();
    two.run("merge", "standing,shaky").ok();
    let old = two.tags()[0]["1"].clone();

    // Another content, by another plan: what was published is not this plan's, and what this plan's stands on is.
    two.base("two", "true");
    two.run("build", "standing,shaky").ok();
    two.run("merge", "standing").fails(1, &unpublished);
    two.run("merge", "shaky").ok();
    let (publication, record) = (two.publication(), checkout.record("standing", "amd64"));
    refused(&two, &publication, &unpublished, |record| {
        record["unfinished"] = serde_json::json!([{
            "repository": record["repositories"][0], "error": "x"
        }])
    });
    // An index that nobody signed, and what the first plan has published and signed.
    let unsigned = "no signed record at";
    refused(&two, &publication, &[unsigned], |record| record["digest"] = first.clone());
    refused(&two, &publication, &[unsigned], |record| record["digest"] = Value::from(old.clone()));
    let stands = "its build for amd64 stands on";
    refused(&two, &record, &[stands], |record| {
        let bases = record["bases"].as_array_mut().unwrap();
        let base = bases.iter_mut().find(|base| base["image"].as_str().unwrap().contains("/shaky")).unwrap();
        base["digest"] = first.clone();
    });
    two.run("merge", "standing").ok();
    checkout.xtask(&["verify", "--plan", "target/two.json", "--cell", "standing,shaky"]).ok();
}
