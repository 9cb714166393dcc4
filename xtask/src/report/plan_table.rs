//! The plan for people, at most 80 columns wide as long as names are not longer.

use crate::base::ui::columns;
use crate::plan::event::Event;
use crate::plan::{Build, Cell, Plan, Reuse, SigningMethod};

/// The width that a terminal has at least.
const WIDTH: usize = 80;

/// A heading, one row per cell, below it its tags and whether it is built, then what is left out.
pub fn table(plan: &Plan) -> String {
    let mut text = format!("plan {}  {}  {}\n", plan.id.short(), plan.created, plan.event);
    text += &format!("revision {}\n", plan.revision);
    let repositories: Vec<&str> =
        plan.destination.repositories.iter().map(crate::base::ids::Repository::as_str).collect();
    let push = match (&plan.event, plan.push) {
        (_, true) => "",
        (Event::PullRequest { .. }, false) => ", nothing is pushed",
        (_, false) => ", nothing is pushed (see `refs` and `when` of [publish])",
    };
    text += &format!("to {}{}{push}\n", repositories.join(", "), sign(&plan.sign));
    let header = ["CELL", "VERSION", "PLATFORMS", "RUNNERS"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(plan.cells.iter().map(row)).collect();
    let rows = columns(&rows);
    if plan.cells.is_empty() {
        // The sentence below says so.
    } else if rows.lines().all(|line| line.chars().count() <= WIDTH) {
        let mut lines = rows.lines();
        text += &format!("\n{}\n", lines.next().unwrap_or_default());
        for (cell, line) in plan.cells.iter().zip(lines) {
            text += &format!("{line}\n{}{}", tags(cell), reuse("    ", cell));
        }
    } else {
        for cell in &plan.cells {
            text += &stacked(cell);
        }
    }
    text += &fork(plan).map(|told| format!("\n{told}\n")).unwrap_or_default();
    text += &done(plan).map(|told| format!("\n{told}\n")).unwrap_or_default();
    for excluded in &plan.excluded {
        text += &format!("\nexcluded {}: {}", excluded.cell, excluded.reason);
    }
    text.trim_end().to_owned()
}

/// That a plan leaves nothing to do, if so.
pub fn done(plan: &Plan) -> Option<&'static str> {
    let done = |cell: &Cell| cell.kept().is_some_and(|kept| !plan.push || !kept.is_unfinished());
    match plan.cells.is_empty() {
        true => Some(nothing(plan)),
        false if plan.cells.iter().all(done) => {
            Some("Nothing has changed: no image is built, and no tag is set.")
        }
        false => None,
    }
}

/// That no cell is left.
pub fn nothing(plan: &Plan) -> &'static str {
    match plan.push {
        true => "Nothing to publish: no cell gets a tag in this run.",
        false => "Nothing to build: no cell is selected by this event.",
    }
}

/// What a run lacks that tests the code of strangers, if it is one.
pub fn fork(plan: &Plan) -> Option<&'static str> {
    let fork = matches!(plan.event, Event::PullRequest { fork: true, .. });
    fork.then_some("The pull request of a fork gets no login and no secret: builds on base images that are not public will fail.")
}

/// A cell that does not fit into a row.
fn stacked(cell: &Cell) -> String {
    let build = |build: &Build| match &build.runner {
        Some(runner) => format!("{} on {runner}", build.arch),
        None => build.arch.to_string(),
    };
    let mut builds: Vec<String> = cell.builds.iter().map(build).collect();
    let last = builds.len().saturating_sub(1);
    builds.iter_mut().take(last).for_each(|text| text.push(','));
    let mut text = format!("\n{}\n", id(cell));
    text += &wrapped("  version   ", &[version(cell)]);
    text += &wrapped("  builds    ", &builds);
    text += &wrapped("  tags      ", &tag_words(cell));
    text + &reuse("  inputs    ", cell)
}

/// Whether a cell is built, and why; nothing if that was not asked.
fn reuse(prefix: &str, cell: &Cell) -> String {
    let words = |reuse: &Reuse| reuse.to_string().split(' ').map(str::to_owned).collect::<Vec<_>>();
    cell.reuse.as_ref().map(|reuse| wrapped(prefix, &words(reuse))).unwrap_or_default()
}

fn sign(sign: &SigningMethod) -> String {
    match sign {
        SigningMethod::Local => ", signed with the local key".to_owned(),
        SigningMethod::Keyless { .. } => ", signed by OIDC".to_owned(),
        SigningMethod::Key { key } => format!(", signed with {key}"),
        SigningMethod::None { reason } => format!(", NOT SIGNED: {reason}"),
    }
}

fn id(cell: &Cell) -> String {
    if cell.allow_failure { format!("{} (may fail)", cell.id) } else { cell.id.to_string() }
}

fn version(cell: &Cell) -> String {
    let version = cell.version.clone().or_else(|| cell.reference.clone()).unwrap_or_else(|| "-".to_owned());
    match &cell.commit {
        Some(commit) => format!("{version} ({})", commit.chars().take(7).collect::<String>()),
        None => version,
    }
}

fn row(cell: &Cell) -> Vec<String> {
    let list = |part: &dyn Fn(&Build) -> Option<String>| {
        let parts: Vec<String> = cell.builds.iter().filter_map(part).collect();
        parts.join(",")
    };
    let runners = list(&|build| build.runner.clone());
    vec![id(cell), version(cell), list(&|build| Some(build.arch.to_string())), runners]
}

fn tag_words(cell: &Cell) -> Vec<String> {
    let word = |tag: &crate::plan::PlannedTag| {
        if tag.immutable { format!("{} (immutable)", tag.name) } else { tag.name.to_string() }
    };
    cell.tags.iter().map(word).collect()
}

fn tags(cell: &Cell) -> String {
    wrapped("    ", &tag_words(cell))
}

/// Words after a prefix, on as many lines as they need.
fn wrapped(prefix: &str, words: &[String]) -> String {
    let mut text = String::new();
    let mut line = prefix.to_owned();
    for word in words {
        let empty = line.len() == prefix.len();
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text += &format!("{line}\n");
            line = " ".repeat(prefix.len());
        }
        if line.len() > prefix.len() {
            line.push(' ');
        }
        line += word;
    }
    text + line.trim_end() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wrap() {
        let words: Vec<String> = (0..20).map(|n| format!("tag-{n:02}-{}", "x".repeat(5))).collect();
        let text = wrapped("  tags ", &words);
        assert!(text.lines().all(|line| line.len() <= WIDTH && line.starts_with("  ")), "{text}");
        assert_eq!(text.split_whitespace().count(), 21);
        assert_eq!(wrapped("    ", &[]), "\n");
        let long = vec!["y".repeat(100)];
        assert_eq!(wrapped("  ", &long), format!("  {}\n", long[0]));
    }
}
