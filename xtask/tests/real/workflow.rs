//! The workflow files themselves, run on this machine by act, in host mode, against the local stack.
//!
//! Actions that need GitHub are replaced by the stand-ins in `actions/`; the files are not changed but for two lines that act cannot
//! serve. It is the second opinion: `on_github` runs them by our own model, as they are, and all that fails.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout::{Checkout, Done, clean, git, run, workspace};
use crate::hub::stand_in_for_cargo;
use crate::registry;

/// A clone that knows GitHub, and the stack of the checkout that it came from.
struct Clone<'c> {
    checkout: &'c Checkout,
    root: PathBuf,
    /// What the stand-ins write: `artifacts/NAME`, `calls`.
    stand_ins: PathBuf,
}

impl<'c> Clone<'c> {
    fn new(checkout: &'c Checkout, name: &str) -> Self {
        checkout.xtask(&["local", "up"]).ok();
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("workflow-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let clone = Self { checkout, root: folder.join("images"), stand_ins: folder.join("stand-ins") };
        fs::create_dir_all(clone.stand_ins.join("artifacts")).unwrap();
        let from = checkout.root.display().to_string();
        git(&folder, &["clone", "--quiet", &from, "images"]);
        git(&clone.root, &["remote", "set-url", "origin", "https://github.com/acme/images"]);
        // Nothing of what other scenarios have published is kept: what all stands on is another image.
        let base = clone.root.join("images/php-base/Dockerfile");
        fs::write(&base, fs::read_to_string(&base).unwrap() + &format!("\n# {name}\n")).unwrap();
        git(&clone.root, &["commit", "--quiet", "--all", "--message", name]);
        clone
    }

    /// A program with the environment of a runner.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        clean(&mut command);
        command
            .current_dir(&self.root)
            .env("PATH", stand_in_for_cargo(&self.stand_ins.join("bin")))
            .env("STAND_INS", &self.stand_ins)
            .env("XTASK_LOCAL", self.checkout.local())
            // One machine plays all runners.
            .env("XTASK_EMULATE", "true");
        command
    }

    /// act does not know `queue` yet. It keeps what one job of a matrix has set as outputs, and forgets those of the others: the
    /// hashes of records are given to `merge` by the model only, and in `records_are_what_their_jobs_said`.
    fn adapt_to_act(&self) {
        let path = ".github/workflows/cell.yml";
        for words in [" --expect-records \"$RECORDS\"", "      queue: max\n"] {
            if fs::read_to_string(self.root.join(path)).unwrap().contains(words) {
                self.edit(path, words, "");
            }
        }
    }

    fn act(&self, event: &str, payload: &Value) -> Done {
        self.adapt_to_act();
        let file = self.stand_ins.join("event.json");
        fs::write(&file, payload.to_string()).unwrap();
        let mut command = self.command(&self.checkout.root.join("target/tools/bin/act"));
        command.arg(event).arg("--eventpath").arg(&file);
        command.args(["--workflows", ".github/workflows/images.yml", "--var", "XTASK_TO=local"]);
        for label in ["ubuntu-24.04", "ubuntu-24.04-arm"] {
            command.args(["--platform", &format!("{label}=-self-hosted")]);
        }
        command.args(["--secret", "GITHUB_TOKEN=no-token-of-this-test", "--no-cache-server"]);
        command.arg("--action-cache-path").arg(self.stand_ins.join("cache"));
        // The checkout is act's own: a copy of the folder.
        for action in actions().iter().filter(|action| !action.starts_with("actions/checkout@")) {
            let name = action.split('@').next().unwrap().rsplit('/').next().unwrap();
            let folder = workspace().join("xtask/tests/real/actions").join(name);
            assert!(folder.join("action.yml").is_file(), "{action} has no stand-in");
            command.args(["--local-repository", &format!("{action}={}", folder.display())]);
        }
        run(&mut command)
    }

    fn artifacts(&self) -> Vec<String> {
        let entries = fs::read_dir(self.stand_ins.join("artifacts")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn calls(&self, kind: &str) -> Vec<String> {
        let text = fs::read_to_string(self.stand_ins.join("calls")).unwrap_or_default();
        text.lines().filter(|line| line.starts_with(kind)).map(str::to_owned).collect()
    }

    /// What the jobs of earlier runs have left is gone.
    fn begin_anew(&self) {
        let _ = fs::remove_file(self.stand_ins.join("calls"));
        fs::remove_dir_all(self.stand_ins.join("artifacts")).unwrap();
        fs::create_dir(self.stand_ins.join("artifacts")).unwrap();
    }

    fn publication(&self, cell: &str) -> Value {
        let path = self.stand_ins.join(format!("artifacts/publication@{cell}/{cell}.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// Asks the registry for every tag that a publication claims.
    fn holds(&self, cell: &str) {
        let publication = self.publication(cell);
        let held = registry::tags(&self.checkout.registry(), cell.split('.').next().unwrap());
        let tags = publication["tags"].as_array().unwrap();
        assert!(!tags.is_empty());
        for tag in tags {
            let name = tag["name"].as_str().unwrap();
            assert_eq!(held.get(name).map(String::as_str), publication["digest"].as_str(), "{cell} {name}");
        }
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.root.join(path)).unwrap();
        assert!(text.contains(from), "{path} lacks {from}");
        fs::write(self.root.join(path), text.replacen(from, to, 1)).unwrap();
        git(&self.root, &["commit", "--quiet", "--all", "--message", "change"]);
    }
}

impl Drop for Clone<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.root.parent().unwrap());
    }
}

const CELLS: [&str; 3] = ["php-base", "hello-php.release.pinned", "hello-php.release.rolling"];

/// `OWNER/NAME@SHA` of every action that the files use.
fn actions() -> Vec<String> {
    let folder = workspace().join(".github");
    let mut found = Vec::new();
    for file in ["workflows/images.yml", "workflows/cell.yml", "actions/xtask/action.yml"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let uses = text.lines().filter_map(|line| line.split_once("uses: ")?.1.split_whitespace().next());
        found.extend(uses.filter(|name| !name.starts_with('.')).map(str::to_owned));
    }
    found.sort();
    found.dedup();
    found
}

fn payload(more: Value) -> Value {
    let mut payload = json!({ "repository": { "default_branch": "main", "full_name": "acme/images" } });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    payload
}

/// plan -> cells -> merge -> report; then the same plan by hand gives the same images.
pub fn push(checkout: &Checkout) {
    let clone = Clone::new(checkout, "push");
    let done = clone.act("push", &payload(json!({}))).ok();
    assert!(done.stdout.contains("xtask report"), "{}", done.all());
    for cell in CELLS {
        clone.holds(cell);
    }
    // The job that may sign has no builder.
    let builders = clone.calls("buildx ");
    let drivers = |job: &str, driver: &str| {
        builders.iter().filter(|call| **call == format!("buildx {job} {driver}")).count()
    };
    assert_eq!((drivers("build", "docker-container"), drivers("merge", "docker"), builders.len()), (6, 3, 9));
    let plan = clone.stand_ins.join("artifacts/plan/plan.json").display().to_string();
    let by_hand = |args: &[&str]| {
        let mut command = clone.command(Path::new(env!("CARGO_BIN_EXE_xtask")));
        run(command.args(args).args(["--plan", &plan])).ok();
    };
    // A base that is built again is the same image under another digest, as attestations bear times; what stands on it
    // is compared on the base that it had.
    let records = clone.root.join("target/xtask/digests/php-base");
    fs::create_dir_all(&records).unwrap();
    for arch in ["amd64", "arm64"] {
        let record = clone.stand_ins.join(format!("artifacts/record@php-base@{arch}/php-base/{arch}.json"));
        fs::copy(record, records.join(format!("{arch}.json"))).unwrap();
    }
    let publications = clone.root.join("target/xtask/publications");
    fs::create_dir_all(&publications).unwrap();
    let publication = clone.stand_ins.join("artifacts/publication@php-base/php-base.json");
    fs::copy(publication, publications.join("php-base.json")).unwrap();
    by_hand(&["build", "--image", "hello-php"]);
    by_hand(&["merge", "--image", "hello-php"]);
    by_hand(&["build", "--image", "php-base"]);
    by_hand(&["merge", "--image", "php-base"]);
    for cell in CELLS {
        let path = clone.root.join(format!("target/xtask/publications/{cell}.json"));
        let by_hand: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(by_hand["children"], clone.publication(cell)["children"], "{cell}");
    }
    unchanged(&clone);
}

/// What is published is not built again: the same commit is no job at all, another one with the same images one merge.
fn unchanged(clone: &Clone<'_>) {
    let tags = || ["php-base", "hello-php"].map(|image| registry::tags(&clone.checkout.registry(), image));
    let before = tags();
    clone.begin_anew();
    let done = clone.act("push", &payload(json!({}))).ok();
    assert!(
        done.stdout.contains("Nothing has changed: no image is built, and no tag is set."),
        "{}",
        done.all()
    );
    assert_eq!(
        (clone.artifacts(), clone.calls("buildx ")),
        (vec!["plan".into(), "xtask".into()], Vec::new())
    );
    assert_eq!(done.stdout.matches("  unchanged  sha256:").count(), CELLS.len(), "{}", done.all());
    assert_eq!(tags(), before);
    git(&clone.root, &["commit", "--quiet", "--allow-empty", "--message", "outside of every image"]);
    clone.begin_anew();
    let done = clone.act("push", &payload(json!({}))).ok();
    assert_eq!(clone.calls("buildx "), ["buildx merge docker"], "{}", done.all());
    assert_eq!(clone.artifacts(), ["plan", "publication@hello-php.release.pinned+and+1+more", "xtask"]);
    assert_eq!(done.stdout.matches("  unchanged, published  sha256:").count(), 2, "{}", done.all());
    let [base, mut hello] = tags();
    assert_eq!(base, before[0], "it has no tag of the commit");
    for (mode, tag) in [("pinned", "latest"), ("rolling", "rolling")] {
        let commit =
            run(Command::new("git").args(["rev-parse", "--short=7", "HEAD"]).current_dir(&clone.root));
        let new = format!("sha-{mode}-{}", commit.ok().stdout.trim());
        assert_eq!(hello.remove(&new).as_ref(), before[1].get(tag), "{new}");
    }
    assert_eq!(hello, before[1], "no other tag moves");
}

/// Everything is built, and nothing is pushed or tagged. The only job that logs in is that of the plan, which may not write.
pub fn pull_request(checkout: &Checkout) {
    let clone = Clone::new(checkout, "pull-request");
    let state = || {
        let repositories = ["php-base", "hello-php"];
        repositories
            .map(|name| (registry::tags(&checkout.registry(), name), registry::manifests(checkout, name)))
    };
    let before = state();
    let request = json!({ "pull_request": {
        "number": 1,
        "head": { "ref": "topic", "repo": { "full_name": "somebody/images" } },
        "base": { "ref": "main" }
    } });
    clone.act("pull_request", &payload(request)).ok();
    assert_eq!(state(), before);
    assert_eq!(clone.calls("login"), ["login plan ghcr.io"]);
    let mut expected = vec!["plan".to_owned(), "xtask".to_owned()];
    for cell in CELLS {
        expected.extend(["amd64", "arm64"].map(|arch| format!("record@{cell}@{arch}")));
    }
    expected.sort();
    assert_eq!(clone.artifacts(), expected);
}
