//! The git repository that GitHub has: a bare one, from which jobs fetch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::event::Event;
use super::service::Settings;

#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    checkout: PathBuf,
    fetching: Mutex<()>,
}

/// The commits of an event.
#[derive(Debug)]
pub struct Commits {
    /// `GITHUB_SHA`.
    pub sha: String,
    /// Of a pull request.
    pub head: Option<String>,
    pub base: Option<String>,
}

/// Runs git; what it says on stderr is the error.
pub fn git(folder: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    for (name, value) in [("NAME", "GitHub"), ("EMAIL", "noreply@github.com")] {
        command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.args(args).current_dir(folder).output().map_err(|error| format!("git: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("git {}: {}", args.join(" "), text(&output.stderr)))
}

impl Repository {
    pub fn new(settings: &Settings) -> Self {
        let folder = settings.folder.join("repository.git");
        fs::create_dir_all(&folder).unwrap();
        let branch = format!("--initial-branch={}", settings.default_branch);
        git(&folder, &["init", "--quiet", "--bare", "--template=", &branch]).unwrap();
        let config = folder.join("config");
        let text = fs::read_to_string(&config).unwrap();
        let more = "[uploadpack]\n\tallowFilter = true\n\tallowAnySHA1InWant = true\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";
        fs::write(config, text + more).unwrap();
        Self { folder, checkout: fs::canonicalize(&settings.checkout).unwrap(), fetching: Mutex::default() }
    }

    /// Takes over what was committed since: a push.
    pub fn refresh(&self) {
        let _one = self.fetching.lock().unwrap();
        let from = self.checkout.display().to_string();
        let refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        git(&self.folder, &["fetch", "--quiet", "--prune", "--no-tags", &from, refs[0], refs[1]]).unwrap();
    }

    /// Where jobs fetch from.
    pub fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// `None`: a pull request that cannot be merged starts no run.
    pub fn commits(&self, event: &Event) -> Option<Commits> {
        let commit = |name: &str| self.commit(name);
        let Some(head) = &event.head else {
            let wanted = event.sha().map_or(event.git_ref(), |sha| sha);
            let sha = commit(wanted).unwrap_or_else(|| panic!("{wanted}: the repository has no such commit"));
            return Some(Commits { sha, head: None, base: None });
        };
        let (head, base) =
            (commit(&format!("refs/heads/{head}"))?, commit(&format!("refs/heads/{}", event.base()))?);
        let tree = git(&self.folder, &["merge-tree", "--write-tree", &base, &head]).ok()?;
        let message = format!("Merge {head} into {base}");
        let merge = ["commit-tree", &tree, "-p", &base, "-p", &head, "-m", &message];
        let sha = git(&self.folder, &merge).unwrap();
        git(&self.folder, &["update-ref", event.git_ref(), &sha]).unwrap();
        Some(Commits { sha, head: Some(head), base: Some(base) })
    }

    /// The commit of a name.
    pub fn commit(&self, name: &str) -> Option<String> {
        git(&self.folder, &["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]).ok()
    }

    /// The text of a file of a commit.
    pub fn file(&self, sha: &str, path: &str) -> Option<String> {
        git(&self.folder, &["show", &format!("{sha}:{path}")]).ok()
    }
}
