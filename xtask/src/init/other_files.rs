//! The files beside Cargo's and the workflow's: what git and Docker ignore, what the update bot looks at, when a run starts.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::init::found::Triggers;

/// What this build system adds to the top folder, as far as no image wants it.
const OURS: [&str; 7] =
    ["/.cargo", "/.github", "/Cargo.lock", "/Cargo.toml", "/matrix.toml", "/target", "/xtask"];

/// When a run starts by itself, where nothing says so.
const DAILY: &str = "17 4 * * *";

/// `.gitignore` with what Cargo builds.
pub(crate) fn gitignore(before: Option<&str>) -> String {
    with_lines(before, &["/target"], &["target", "target/", "/target/"])
}

/// `.dockerignore` of the top folder. `wanted`: whether an image may want a path, which then is not ignored. None: the file that
/// is there leaves all out but what it names, so nothing is to be added.
pub(crate) fn dockerignore(before: Option<&str>, wanted: &dyn Fn(&str) -> bool) -> Option<String> {
    let lines: Vec<&str> = before.unwrap_or_default().lines().map(str::trim).collect();
    if lines.iter().any(|line| ["*", "**", "/*", "/**"].contains(line)) {
        return None;
    }
    // The state of git changes with every commit, and so would the inputs of the image.
    let git = before.is_none().then_some("/.git");
    let is_new = |line: &&str| {
        let path = line.trim_start_matches('/');
        !wanted(path) && !lines.iter().any(|old| old.trim_matches('/') == path)
    };
    let missing: Vec<&str> = OURS.into_iter().chain(git).filter(is_new).collect();
    Some(with_lines(before, &missing, &[]))
}

/// A list with more lines, but for those that are there in this or another form.
fn with_lines(before: Option<&str>, wanted: &[&str], same: &[&str]) -> String {
    let mut text = before.unwrap_or_default().to_owned();
    for line in wanted {
        let known = |old: &str| old.trim() == *line || same.contains(&old.trim());
        if text.lines().any(known) {
            continue;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text = text + line + "\n";
    }
    text
}

/// `.github/dependabot.yml` for a repository without one. `folders`: those with Dockerfiles.
pub(crate) fn dependabot(folders: &BTreeSet<String>) -> String {
    let list: Vec<String> =
        folders.iter().map(|folder| serde_json::Value::String(folder.clone()).to_string()).collect();
    format!(
        "\
# The actions of the workflow files come with the crate: after its update, `cargo xtask update`.
version: 2
updates:
  - package-ecosystem: cargo
    directory: /
    schedule: {{ interval: weekly }}
  - package-ecosystem: docker
    directories: [{}]
    schedule: {{ interval: weekly }}
",
        list.join(", ")
    )
}

/// The triggers of `images.yml`: those of the workflow that was read, else what is usual.
pub(crate) fn triggers(found: Option<&Triggers>, default_branch: &str, bare_versions: bool) -> String {
    let usual = Triggers {
        branches: vec![default_branch.to_owned()],
        tags: vec![if bare_versions { "[0-9]*" } else { "v*" }.to_owned()],
        pull_request: true,
        schedules: vec![DAILY.to_owned()],
        ..Triggers::default()
    };
    let Triggers { branches, tags, paths, pull_request, schedules, release } = found.unwrap_or(&usual);
    let list = |values: &[String]| {
        let values: Vec<String> = values.iter().map(|value| plain_or_quoted(value)).collect();
        format!("[{}]", values.join(", "))
    };
    let mut text = String::new();
    if !branches.is_empty() || !tags.is_empty() {
        text += "  push:\n";
    }
    for (key, values) in [("branches", branches), ("tags", tags)] {
        if !values.is_empty() {
            let _ = writeln!(text, "    {key}: {}", list(values));
        }
    }
    // What is built changes with these, too. A filter of paths does not hold back tags. Source:
    // <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#onpushpull_requestpull_request_targetpathspaths-ignore>.
    let ours = ["matrix.toml".to_owned(), "xtask/**".to_owned()];
    let paths: Vec<String> = paths.iter().cloned().chain(ours).collect();
    let filter = if paths.len() > 2 { format!("    paths: {}\n", list(&paths)) } else { String::new() };
    if text.contains("branches") {
        text += &filter;
    }
    if *pull_request {
        let _ = write!(text, "  pull_request:\n{filter}");
    }
    if *release {
        text += "  release:\n    types: [published]\n";
    }
    if !schedules.is_empty() {
        text += "  schedule:\n";
    }
    for schedule in schedules {
        let comment = if found.is_none() { " # daily, for updates of packages and base images" } else { "" };
        let _ = writeln!(text, "    - cron: {}{comment}", serde_json::Value::String(schedule.clone()));
    }
    text
}

/// A string of YAML: plain where it can be nothing else.
fn plain_or_quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::String(text.to_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_files_keep_what_they_have() {
        assert_eq!(gitignore(None), "/target\n");
        assert_eq!(gitignore(Some("node_modules")), "node_modules\n/target\n");
        assert_eq!(gitignore(Some("target/\n")), "target/\n");
        let all = "/.cargo\n/.github\n/Cargo.lock\n/Cargo.toml\n/matrix.toml\n/target\n/xtask\n";
        let dockerignore =
            |before: Option<&str>, wanted: &[&str]| dockerignore(before, &|path| wanted.contains(&path));
        assert_eq!(dockerignore(None, &[]), Some(format!("{all}/.git\n")));
        assert_eq!(dockerignore(None, &[".git"]).as_deref(), Some(all));
        assert_eq!(dockerignore(Some("*\n!src\n"), &[]), None);
        assert_eq!(
            dockerignore(Some("xtask/\ntarget\n"), &[".cargo", "Cargo.toml", "Cargo.lock"]).as_deref(),
            Some("xtask/\ntarget\n/.github\n/matrix.toml\n")
        );
    }

    #[test]
    fn triggers_are_those_of_the_old_workflow() {
        assert_eq!(
            triggers(None, "master", true),
            "  push:\n    branches: [master]\n    tags: [\"[0-9]*\"]\n  pull_request:\n  schedule:\n    - cron: \"17 4 * * *\" # daily, for updates of packages and base images\n"
        );
        let mut found = Triggers {
            tags: vec!["v*.*.*".to_owned()],
            paths: vec!["src/**".to_owned()],
            ..Triggers::default()
        };
        found.release = true;
        let text = |found: &Triggers| triggers(Some(found), "main", false);
        let tags = "  push:\n    tags: [\"v*.*.*\"]\n  release:\n    types: [published]\n";
        assert_eq!(text(&found), tags, "a filter of paths is not for tags");
        found = Triggers {
            branches: vec!["main".to_owned()],
            pull_request: true,
            paths: found.paths,
            ..Triggers::default()
        };
        let paths = "    paths: [\"src/**\", matrix.toml, \"xtask/**\"]\n";
        assert_eq!(text(&found), format!("  push:\n    branches: [main]\n{paths}  pull_request:\n{paths}"));
    }
}
