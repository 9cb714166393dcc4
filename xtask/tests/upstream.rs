//! Refs of other repositories, asked of real ones through the real git.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests may panic too, and start what they test"
)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MATRIX: &str = r#"version = 1
[publish]
repositories = ["ghcr.io/acme"]
[sign]
method = "none"
reason = "a test"
[platforms]
amd64 = { platform = "linux/amd64" }
[tracks.stable]
ref = { repository = "../upstream.git", tag = "^8" }
tags = ["{version}", { tag = "latest", when = "release" }]
[tracks.candidate]
ref = { repository = "../upstream.git", tag = "v*-rc*" }
tags = ["{version}", { tag = "{major}", when = "release" }]
[tracks.develop]
ref = { repository = "../upstream.git", branch = "develop" }
tags = ["develop-{commit7}", "{ref}"]
[images.app]
context = "app"
build-args = { REF = "{commit}" }
"#;

/// Two repositories side by side: the upstream and the one with the matrix.
struct Setting(PathBuf);

impl Setting {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let setting = Self(folder);
        for repository in ["work", "checkout"] {
            fs::create_dir_all(setting.0.join(repository)).unwrap();
            setting.git(repository, &["init", "--quiet", "--initial-branch", "main"]);
        }
        setting.commit("work", "one");
        for (tag, annotated) in
            [("v7.9.0", false), ("v8.4.0", true), ("v8.10.0", true), ("v9.0.0-rc2", false)]
        {
            setting.commit("work", tag);
            let message: &[&str] = if annotated { &["--annotate", "--message", tag] } else { &[] };
            setting.git("work", &[&["tag"], message, &[tag]].concat());
        }
        setting.git("work", &["branch", "develop"]);
        setting.git(".", &["clone", "--quiet", "--bare", "work", "upstream.git"]);
        fs::write(setting.0.join("checkout/matrix.toml"), MATRIX).unwrap();
        fs::write(setting.0.join("checkout/.gitignore"), "/target\n").unwrap();
        setting.commit("checkout", "first");
        setting
    }

    fn git(&self, repository: &str, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=x", "-c", "user.email=x@example.com"]).args(args);
        let output = command.current_dir(self.0.join(repository)).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, repository: &str, message: &str) {
        self.git(repository, &["add", "--all"]);
        self.git(repository, &["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// The develop branch of the upstream gets a commit.
    fn move_develop(&self) {
        self.git("work", &["checkout", "--quiet", "develop"]);
        self.commit("work", "more");
        self.git("work", &["push", "--quiet", "../upstream.git", "develop"]);
    }

    fn xtask(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for (name, _) in std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("GITHUB_") || name == "CI"))
        {
            command.env_remove(name);
        }
        command.args(args).current_dir(self.0.join("checkout"));
        command.env("GIT_TRACE", self.trace()).env("SOURCE_DATE_EPOCH", "1795237200").output().unwrap()
    }

    fn trace(&self) -> PathBuf {
        self.0.join("trace")
    }

    fn plan(&self, more: &[&str]) -> Value {
        let output = self.xtask(&[&["plan", "--json"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn error(&self, more: &[&str]) -> String {
        let output = self.xtask(&[&["plan"], more].concat());
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// How often another repository was asked.
    fn asked(&self) -> usize {
        fs::read_to_string(self.trace()).unwrap_or_default().matches("built-in: git ls-remote").count()
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cell<'p>(plan: &'p Value, id: &str) -> &'p Value {
    plan["cells"].as_array().unwrap().iter().find(|cell| cell["id"] == id).unwrap()
}

fn tags(cell: &Value) -> Vec<&str> {
    cell["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect()
}

#[test]
fn refs_become_commits_and_each_repository_is_asked_once() {
    let setting = Setting::new("refs");
    let plan = setting.plan(&[]);
    assert_eq!(setting.asked(), 1);
    let of = |rev: &str| setting.git("upstream.git", &["rev-parse", &format!("{rev}^{{commit}}")]);
    let (stable, develop) = (cell(&plan, "app.stable"), cell(&plan, "app.develop"));
    assert_eq!((&stable["version"], &stable["reference"]), (&"8.10.0".into(), &"v8.10.0".into()));
    assert_eq!(stable["commit"], of("v8.10.0"), "an annotated tag is followed to its commit");
    assert_eq!(stable["builds"][0]["build_args"]["REF"], of("v8.10.0"));
    assert_eq!(tags(stable), ["8.10.0", "latest"]);
    assert_eq!(tags(cell(&plan, "app.candidate")), ["9.0.0-rc2"], "a pre-release gets no {{major}}");
    assert_eq!(develop["commit"], of("develop"));
    assert_eq!(tags(develop), [&format!("develop-{}", &of("develop")[..7]), "develop"]);
}

#[test]
fn a_branch_that_moves_changes_nothing_in_a_run() {
    let setting = Setting::new("moves");
    let before = setting.plan(&[]);
    setting.move_develop();
    let again = setting.plan(&[]);
    assert_eq!((&before["id"], setting.asked()), (&again["id"], 1));
    let fresh = setting.plan(&["--fresh"]);
    assert_eq!(setting.asked(), 2);
    assert_ne!(cell(&before, "app.develop")["commit"], cell(&fresh, "app.develop")["commit"]);
    let unreachable = setting.0.join("upstream.git");
    fs::rename(&unreachable, setting.0.join("gone.git")).unwrap();
    assert_eq!(setting.plan(&[])["id"], fresh["id"], "the current plan needs no network");
}

#[test]
fn a_version_that_is_set_is_looked_up() {
    let setting = Setting::new("set");
    let plan = setting.plan(&["--set-version", "stable=8.4.0", "--set-version", "develop=main"]);
    let (stable, develop) = (cell(&plan, "app.stable"), cell(&plan, "app.develop"));
    assert_eq!((tags(stable), &stable["version"]), (vec!["8.4.0"], &"8.4.0".into()));
    // An annotated tag, whose own name is another one.
    assert_eq!(stable["commit"], setting.git("upstream.git", &["rev-parse", "v8.4.0^{commit}"]));
    assert_ne!(stable["commit"], setting.git("upstream.git", &["rev-parse", "v8.4.0"]));
    assert_eq!(develop["commit"], setting.git("upstream.git", &["rev-parse", "main"]));
    let commit = setting.git("upstream.git", &["rev-parse", "v7.9.0"]);
    let asked = setting.asked();
    let only = ["--set-version", &format!("develop={commit}"), "--event", "push:x"];
    assert!(setting.error(&only).contains("`{ref}` has no value"), "a commit is no ref");
    assert_eq!(setting.asked(), asked + 1, "a commit needs no question, the other tracks do");
    let error = setting.error(&["--set-version", "stable=99"]);
    assert!(error.contains("has no tag or branch `99`") && error.contains("matrix.toml:10:7"), "{error}");
}

/// An index that git cannot read hides changes: that is no clean checkout.
#[test]
fn a_checkout_that_git_cannot_judge_is_refused() {
    let setting = Setting::new("broken");
    fs::write(setting.0.join("checkout/.git/index"), "broken").unwrap();
    assert!(setting.error(&[]).contains("ask git whether"));
}

#[test]
fn what_is_not_there_is_told_with_its_place() {
    let setting = Setting::new("missing");
    let path = setting.0.join("checkout/matrix.toml");
    fs::write(&path, MATRIX.replace("\"develop\"", "\"devel\"").replace("^8", "^10")).unwrap();
    let error = setting.error(&[]);
    assert!(error.contains("has no branch `devel`") && error.contains("matrix.toml:16:7"), "{error}");
    assert!(error.contains("has no tag that `^10` selects") && error.contains("2 errors"), "{error}");
    fs::write(&path, MATRIX.replace("upstream.git", "nothing.git")).unwrap();
    let error = setting.error(&[]);
    assert!(
        error.contains("read the refs of ../nothing.git") && error.contains("help: try it by hand"),
        "{error}"
    );
}
