//! The workflow files themselves, run on this machine by act, in host mode, against the local stack.
//!
//! Actions that need GitHub are replaced by the stand-ins in `actions/`; the files are not changed but for one option that
//! act cannot serve. act accepts some things that GitHub refuses and stops at the first failed call, so a stricter
//! interpreter may be named by `WFRUN`: then the cases that fail are run by it. Its command line is that of `tell` below.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout::{Checkout, Done, clean, git, run, workspace};
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
        // A job would compile the tool first; this is the one that is tested.
        let cargo = clone.stand_ins.join("bin/cargo");
        fs::create_dir_all(cargo.parent().unwrap()).unwrap();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = xtask ] || exit 1\nshift\nexec '{}' \"$@\"\n",
            env!("CARGO_BIN_EXE_xtask")
        );
        fs::write(&cargo, script).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
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
        let path = format!(
            "{}:{}:{}",
            self.stand_ins.join("bin").display(),
            self.checkout.root.join("target/tools/bin").display(),
            std::env::var("PATH").unwrap()
        );
        command
            .current_dir(&self.root)
            .env("PATH", path)
            .env("STAND_INS", &self.stand_ins)
            .env("XTASK_LOCAL", self.checkout.local())
            // One machine plays all runners.
            .env("XTASK_EMULATE", "true");
        command
    }

    /// act does not know `queue` yet. It keeps what one job of a matrix has set as outputs, and forgets those of the others: the
    /// hashes of records are given to `merge` by the strict interpreter only, and in `records_are_what_their_jobs_said`.
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

    /// The strict interpreter, if it is there; with the names of the jobs, the result of each.
    fn tell(&self, event: &str, payload: &Value) -> Option<(Done, BTreeMap<String, String>)> {
        let Some(wfrun) = std::env::var_os("WFRUN") else {
            println!("skipped: WFRUN does not name the strict interpreter");
            return None;
        };
        let (file, report) = (self.stand_ins.join("event.json"), self.stand_ins.join("report.json"));
        fs::write(&file, payload.to_string()).unwrap();
        let _ = fs::remove_file(&report);
        let harden = workspace().join("xtask/tests/real/actions/harden-runner");
        let mut command = self.command(Path::new("python3"));
        command.arg(wfrun).args([".github/workflows/images.yml", "--repo", "acme/images", "--event", event]);
        command.arg("--event-file").arg(&file).arg("--json").arg(&report);
        command.args(["--var", "XTASK_TO=local", "--stub"]);
        command.arg(format!("step-security/harden-runner={}", harden.display()));
        let done = run(&mut command);
        let report: Value = serde_json::from_slice(
            &fs::read(&report).unwrap_or_else(|error| panic!("{error}: {}", done.all())),
        )
        .unwrap();
        let jobs = report["jobs"].as_object().unwrap().iter();
        let jobs =
            jobs.map(|(name, job)| (name.clone(), job["result"].as_str().unwrap().to_owned())).collect();
        Some((done, jobs))
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

/// The form of a `workflow_dispatch`: one track, and a version in the place of its own.
pub fn dispatch(checkout: &Checkout) {
    let clone = Clone::new(checkout, "dispatch");
    let latest = || registry::tags(&checkout.registry(), "hello-php").get("latest").cloned();
    let before = latest();
    clone
        .act("workflow_dispatch", &payload(json!({ "inputs": { "track": "release", "version": "1.3.9" } })))
        .ok();
    for cell in CELLS {
        clone.holds(cell);
    }
    assert_eq!(clone.publication("hello-php.release.pinned")["version"], "1.3.9");
    assert_eq!(latest(), before, "a version that was typed is no release");
}

/// A job of the run that puts other artifacts in the place of these, between the builds and the merge.
fn attack(clone: &Clone, artifact: &str, change: &str) {
    let cell = ".github/workflows/cell.yml";
    let job = format!(
        r#"  attack:
    needs: build
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1
        with:
          name: {artifact}
          path: replaced
      - run: {change}
      - uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0
        with:
          name: {artifact}
          path: replaced
          overwrite: true

  merge:
"#
    );
    clone.edit(cell, "  merge:\n", &job);
    clone.edit(cell, "    needs: build\n    # `build`", "    needs: [build, attack]\n    # `build`");
    fs::write(clone.root.join("matrix.toml"), ONE_CELL).unwrap();
    git(&clone.root, &["commit", "--quiet", "--all", "--message", "change"]);
}

/// Each artifact that one job hands to another is replaced by a third one: the merge, which may sign, refuses it.
pub fn replaced(checkout: &Checkout) {
    let forge = "python3 -c \"import hashlib,json;p=json.load(open('replaced/plan.json'));p['created']='2026-01-02T03:04:05Z';p['id']='sha256:'+hashlib.sha256().hexdigest();p['id']='sha256:'+hashlib.sha256(json.dumps(p,separators=(',',':'),ensure_ascii=False).encode()).hexdigest();json.dump(p,open('replaced/plan.json','w'))\"";
    let program = "printf '%s\\n' '#!/bin/sh' 'echo the evil program runs' >replaced/xtask";
    for (artifact, change, words) in [
        ("plan", forge, "the file was replaced after the plan was made"),
        ("xtask", program, "target/handed/bin/xtask: FAILED"),
    ] {
        let clone = Clone::new(checkout, &format!("replaced-{artifact}"));
        attack(&clone, artifact, change);
        let before = registry::tags(&checkout.registry(), "php-base");
        let done = clone.act("push", &payload(json!({})));
        assert_ne!(done.code, Some(0), "{}", done.all());
        assert!(done.all().contains(words), "{artifact}: {}", done.all());
        assert!(!done.all().contains("the evil program runs\n"), "{}", done.all());
        assert_eq!(registry::tags(&checkout.registry(), "php-base"), before, "{artifact}");
    }
    let clone = Clone::new(checkout, "replaced-record");
    attack(&clone, "record@php-base@amd64", "sed -i 's/\"size\":./\"size\":1/' replaced/php-base/amd64.json");
    let Some((done, jobs)) = clone.tell("push", &payload(json!({}))) else { return };
    assert_eq!(jobs.get("php-base / merge").map(String::as_str), Some("failure"), "{}", done.all());
    assert!(done.all().contains("php-base/amd64.json: it was replaced"), "{}", done.all());
}

const ONE_CELL: &str = r#"
version = 1
publish.repositories = ["ghcr.io/acme"]
platforms.amd64 = { platform = "linux/amd64", runner = "ubuntu-24.04" }
images.php-base = { context = "images/php-base", ref = { value = "8.2.7" }, tags = ["{version}"], build-args = { PHP_BASE_VERSION = "{version}" } }
"#;

const NOTHING_FOR_PULL_REQUESTS: &str = r#"
version = 1
publish.repositories = ["ghcr.io/acme"]
platforms.amd64 = { platform = "linux/amd64", runner = "ubuntu-24.04" }
tracks.release = { ref = { value = "1.0.0" }, tags = ["{version}"] }
images.php-base = { context = "images/php-base" }
"#;

/// What fails stops what it has to, and nothing else.
pub fn failures(checkout: &Checkout) {
    let clone = Clone::new(checkout, "failures");
    clone.edit(
        "images/hello-php/Dockerfile",
        "RUN set -eu;",
        "RUN if [ \"$ROLLING_DEPS-$(uname -m)\" = true-aarch64 ]; then exit 1; fi\nRUN set -eu;",
    );
    let Some((done, jobs)) = clone.tell("push", &payload(json!({}))) else { return };
    let result = |jobs: &BTreeMap<String, String>, name: &str| jobs.get(name).cloned().unwrap_or_default();
    for (name, expected) in [
        ("hello-php.release.pinned", "success"),
        ("hello-php.release.rolling / amd64", "success"),
        ("hello-php.release.rolling / arm64", "failure"),
        ("hello-php.release.rolling / merge", "skipped"),
        ("report", "failure"),
    ] {
        assert_eq!(result(&jobs, name), expected, "{name}: {}", done.all());
    }
    let again = "cargo xtask build --cell hello-php.release.rolling --arch arm64";
    assert!(done.stdout.contains(again), "{}", done.all());
    clone.edit("matrix.toml", "[composer.rolling]", "[composer.rolling]\nallow-failure = true");
    let (done, jobs) = clone.tell("push", &payload(json!({}))).unwrap();
    let done = done.ok();
    assert_eq!(result(&jobs, "report"), "success", "{}", done.all());
    // The others are unchanged. A record says so, as the commit touches matrix.toml: a merge without a build.
    for (name, expected) in [
        ("php-base and 1 more / build", "skipped"),
        ("php-base and 1 more / merge", "success"),
        ("hello-php.release.rolling / arm64", "success"),
        ("hello-php.release.rolling / merge", "success"),
    ] {
        assert_eq!(result(&jobs, name), expected, "{name}: {}", done.all());
    }
    // Nothing that a pull request builds: no job but plan and report.
    fs::write(clone.root.join("matrix.toml"), NOTHING_FOR_PULL_REQUESTS).unwrap();
    git(&clone.root, &["commit", "--quiet", "--all", "--message", "change"]);
    let (done, jobs) = clone.tell("pull_request", &payload(json!({}))).unwrap();
    let done = done.ok();
    assert_eq!(
        (result(&jobs, "check"), result(&jobs, "report")),
        ("skipped".to_owned(), "success".to_owned()),
        "{}",
        done.all()
    );
}
