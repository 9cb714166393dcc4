//! Stands in for actions/checkout: `src/git-source-provider.ts` and `src/ref-helper.ts` of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::actions::{Inputs, beyond, flag};
use super::machine::Machine;
use super::permissions::Access;
use super::repository::git;
use super::value::Value;

pub fn run(machine: &mut Machine<'_>, inputs: &Inputs) -> Result<BTreeMap<String, String>, String> {
    let world = &machine.task.attempt.world;
    let settings = &world.settings;
    beyond(
        inputs,
        &[
            ("repository", &settings.repository),
            ("token", &settings.token),
            ("ssh-key", ""),
            ("sparse-checkout", ""),
            ("lfs", "false"),
            ("submodules", "false"),
            ("github-server-url", ""),
        ],
    )?;
    if settings.private && machine.task.permissions.of("contents") == Access::None {
        return Err(format!("repository 'https://github.com/{}/' not found", settings.repository));
    }
    let folder = machine.workspace.join(&inputs["path"]);
    if !folder.starts_with(&machine.workspace) || inputs["path"].contains("..") {
        return Err(format!(
            "Repository path '{}' is not under '{}'",
            folder.display(),
            machine.workspace.display()
        ));
    }
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    if flag(inputs, "clean")? {
        empty(&folder).map_err(|error| error.to_string())?;
    }
    let depth: usize = inputs["fetch-depth"].parse().map_err(|_| "fetch-depth: no number".to_owned())?;
    let tags = flag(inputs, "fetch-tags")?;
    let github = match &machine.contexts["github"] {
        Value::Object(object) => object.get("ref").map(Value::to_text).unwrap_or_default(),
        _ => String::new(),
    };
    let wanted = Wanted::new(machine, &inputs["ref"], &github)?;
    let at = |args: &[&str]| git(&folder, args);
    at(&["init", "--quiet"])?;
    at(&["remote", "add", "origin", &format!("https://github.com/{}", settings.repository)])?;
    let served = world.repository.url();
    let rewritten = format!("url.{served}.insteadOf=https://github.com/{}", settings.repository);
    let mut fetch = vec![
        "-c",
        &rewritten,
        "-c",
        "maintenance.auto=false",
        "fetch",
        "--quiet",
        "--prune",
        "--no-recurse-submodules",
    ];
    let filter = format!("--filter={}", inputs["filter"]);
    if !inputs["filter"].is_empty() {
        fetch.push(&filter);
    }
    if depth > 0 && !tags {
        fetch.push("--no-tags");
    }
    let deep = format!("--depth={depth}");
    if depth > 0 {
        fetch.push(&deep);
    }
    fetch.push("origin");
    let heads = "+refs/heads/*:refs/remotes/origin/*";
    if depth == 0 {
        fetch.extend([heads, "+refs/tags/*:refs/tags/*"]);
        at(&fetch)?;
        fetch.retain(|argument| !argument.starts_with("+refs/"));
    }
    let exact = format!("+{}:{}", wanted.sha, wanted.to);
    if at(&["rev-parse", "--verify", "--quiet", &wanted.to]).ok().as_deref() != Some(&wanted.sha) {
        fetch.push(&exact);
        at(&fetch)?;
    }
    let persist = flag(inputs, "persist-credentials")?;
    if !inputs["filter"].is_empty() {
        later(&folder, &inputs["filter"], &served, !settings.private || persist)?;
    }
    match &wanted.branch {
        Some(branch) => at(&["checkout", "--quiet", "--force", "-B", branch, &wanted.to])?,
        None => at(&["checkout", "--quiet", "--force", &wanted.to])?,
    };
    if persist {
        credentials(machine, &folder)?;
    }
    let (sha, reference) = (at(&["rev-parse", "HEAD"])?, inputs["ref"].clone());
    let reference = if reference.is_empty() { github } else { reference };
    Ok([("commit".to_owned(), sha), ("ref".to_owned(), reference)].into())
}

/// What is checked out.
struct Wanted {
    sha: String,
    /// The name that it gets here.
    to: String,
    branch: Option<String>,
}

impl Wanted {
    fn new(machine: &Machine<'_>, asked: &str, of_event: &str) -> Result<Self, String> {
        let repository = &machine.task.attempt.world.repository;
        let (name, sha) = if asked.is_empty() {
            (of_event.to_owned(), machine.task.attempt.sha.clone())
        } else {
            let full = [asked.to_owned(), format!("refs/heads/{asked}"), format!("refs/tags/{asked}")];
            let is_sha = asked.len() == 40 && asked.chars().all(|c| c.is_ascii_hexdigit());
            let mut names = full.into_iter().filter(|name| is_sha || name.starts_with("refs/"));
            let found = names.find_map(|name| Some((repository.commit(&name)?, name)));
            let (sha, name) =
                found.ok_or_else(|| format!("A branch or tag with the name '{asked}' could not be found"))?;
            (name, sha)
        };
        let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
        let to = match (&branch, name.strip_prefix("refs/pull/")) {
            (Some(branch), _) => format!("refs/remotes/origin/{branch}"),
            (None, Some(pull)) => format!("refs/remotes/pull/{pull}"),
            (None, None) if name.starts_with("refs/tags/") => name,
            (None, None) => "refs/remotes/origin/wanted".to_owned(),
        };
        Ok(Self { sha, to, branch })
    }
}

fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}

/// Files that a filter has left out are fetched when they are wanted: by anybody from a public repository, else with
/// credentials. `origin` keeps its address, which commands read, so that another remote has to serve them.
fn later(folder: &Path, filter: &str, served: &str, may: bool) -> Result<(), String> {
    let url = if may { served } else { "file:///no-credentials-for-a-private-repository" };
    let _ = git(folder, &["config", "--unset", "remote.origin.promisor"]);
    let _ = git(folder, &["config", "--unset", "remote.origin.partialclonefilter"]);
    for (key, value) in [
        ("remote.github.url", url),
        ("remote.github.promisor", "true"),
        ("remote.github.partialclonefilter", filter),
        ("extensions.partialClone", "github"),
    ] {
        git(folder, &["config", key, value])?;
    }
    Ok(())
}

/// The token stays for later steps: in a file beside the checkout, which its configuration includes.
fn credentials(machine: &Machine<'_>, folder: &Path) -> Result<(), String> {
    let file = machine.temp.join(format!("git-credentials-{}.config", machine.serial));
    let token = &machine.task.attempt.world.settings.token;
    let text = format!(
        "[http \"https://github.com/\"]\n\textraheader = AUTHORIZATION: basic x-access-token:{token}\n"
    );
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let key = format!("includeIf.gitdir:{}/.git.path", folder.display());
    git(folder, &["config", &key, &file.display().to_string()]).map(|_| ())
}
