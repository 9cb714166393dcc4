//! Tags that stand for those that start a run: what is not the same for each of them is no part of a proposal.

use std::collections::{BTreeMap, BTreeSet};

use crate::init::workflow::built::{Built, Steps};
use crate::init::workflow::event::Event;
use crate::init::workflow::scope::Logged;
use crate::init::workflow::text::Text;
use crate::init::workflow::variants::shape;

/// A tag that starts a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) tag: String,
    /// The pattern that selects it, where it is not the first one.
    pub(super) pattern: Option<String>,
}

/// The tags for the patterns of `on.push.tags`; the first is the usual one.
pub(super) fn of(patterns: &[String]) -> Vec<Sample> {
    let version = "v*".to_owned();
    let mut chosen = patterns.iter().filter(|pattern| !pattern.starts_with('!'));
    let first = chosen.next().unwrap_or(&version);
    let (prefix, rest) = parts(first);
    let mut tags = vec![sample(first)];
    if !rest.is_empty() && !rest.starts_with(|c: char| c.is_ascii_digit()) {
        tags.push(format!("{prefix}0.1.0"));
    }
    let no_prereleases = patterns.iter().any(|pattern| pattern.starts_with('!') && pattern.contains('-'));
    if rest.ends_with('*') && !no_prereleases {
        tags.push(format!("{prefix}1.2.3-rc.1"));
    }
    if prefix.is_empty() && rest.starts_with('*') {
        tags.push("v1.2.3".to_owned());
    }
    let mut samples: Vec<Sample> = tags.into_iter().map(|tag| Sample { tag, pattern: None }).collect();
    for pattern in chosen {
        let tag = sample(pattern);
        if !samples.iter().any(|known| known.tag == tag) {
            samples.push(Sample { tag, pattern: Some(pattern.clone()) });
        }
    }
    samples
}

/// What stands before the first sign that is no plain one, and the rest.
fn parts(pattern: &str) -> (&str, &str) {
    let end = pattern.find(|c: char| c.is_ascii_digit() || matches!(c, '*' | '[' | '?' | '+'));
    pattern.split_at_checked(end.unwrap_or(pattern.len())).unwrap_or((pattern, ""))
}

/// A tag that a pattern selects, with a version in it where it may have one.
fn sample(pattern: &str) -> String {
    match parts(pattern) {
        (name, "") => name.to_owned(),
        (prefix, _) => format!("{prefix}1.2.3"),
    }
}

/// What a workflow does for one tag.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) steps: Steps,
    /// What its expressions are.
    pub(super) logged: Logged,
}

/// Something that is not the same for two tags.
#[derive(Debug, PartialEq)]
enum Difference {
    /// A tag of a build or job that only one of them has.
    Tag { key: String, at: String, tag: String, first: bool },
    /// A setting of a build.
    Setting { id: String, at: String, kind: &'static str, name: String },
    /// The files, the stage, the platforms or the repositories of a build.
    Build { id: String, at: String },
}

/// Leaves out of the first run what is not the same in the others. Gives the patterns whose tags are not treated as those
/// of the first one, each with a remark.
pub(super) fn agreed(event: Event, mut runs: Vec<(Sample, Run)>) -> (Steps, Vec<(String, String)>) {
    if runs.is_empty() {
        return (Steps::default(), Vec::new());
    }
    let (sample, mut first) = runs.remove(0);
    let mut patterns = Vec::new();
    let mut all: Vec<(Difference, String)> = Vec::new();
    for (other, run) in &runs {
        let found = differences(&first.steps, &run.steps, other.tag.ends_with("-rc.1"));
        let reasons = reasons(&first.logged, &run.logged);
        match &other.pattern {
            Some(pattern) if event == Event::Tag && !found.is_empty() => {
                let remark = format!(
                    "on.push.tags: what a tag like {} gets is not what {} gets{reasons}: the pattern {pattern} is left out",
                    other.tag, sample.tag
                );
                patterns.push((pattern.clone(), remark));
            }
            Some(_) => {}
            None => {
                all.extend(found.into_iter().map(|one| {
                    let remark = remark(&one, &sample.tag, &other.tag, &reasons);
                    (one, remark)
                }));
            }
        }
    }
    for (difference, remark) in all {
        leave_out(&mut first.steps, &difference);
        first.steps.differs = true;
        first.steps.leave(remark);
    }
    (first.steps, patterns)
}

fn remark(difference: &Difference, usual: &str, other: &str, reasons: &str) -> String {
    match difference {
        Difference::Tag { at, tag, first, .. } => {
            let (with, without) = if *first { (usual, other) } else { (other, usual) };
            format!(
                "{at}: {tag} is set in a run for {with} and not in one for {without}{reasons}, and no `when` can say that; the \
                 tag is left out"
            )
        }
        Difference::Setting { at, kind, name, .. } => {
            format!(
                "{at}: the {kind} {name} is another one in runs for {usual} and for {other}{reasons}; it is left out"
            )
        }
        Difference::Build { at, .. } => format!(
            "{at}: what is built for {usual} is built in another way for {other}{reasons}; its tags are left out"
        ),
    }
}

/// The expressions that are not the same.
fn reasons(one: &Logged, other: &Logged) -> String {
    let differs =
        |(name, value): &(&String, &BTreeSet<String>)| other.get(*name).is_some_and(|own| own != *value);
    let all: Vec<&String> = one.iter().filter(differs).map(|(name, _)| name).collect();
    // What names the tag is the cause, the rest follows from it.
    let direct = |name: &&&String| name.to_lowercase().contains("github");
    let direct: Vec<&String> = all.iter().filter(direct).copied().collect();
    let chosen = if direct.is_empty() { all } else { direct };
    let names: Vec<String> = chosen.iter().take(6).map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

/// The tags of builds and jobs: the key of each, its place and the tag.
fn tags(steps: &Steps) -> Vec<(String, String, String)> {
    let mut tags = Vec::new();
    for (_, built) in &steps.builds {
        tags.extend(built.tags.iter().map(|tag| (built.id.clone(), built.at.clone(), shape(tag))));
    }
    for (_, tagged) in &steps.tagged {
        let key = format!("{} {:?} {}", tagged.at, tagged.row, tagged.repository.plain());
        tags.extend(tagged.tags.iter().map(|tag| (key.clone(), tagged.at.clone(), shape(tag))));
    }
    tags.retain(|(_, _, tag)| !tag.is_empty());
    tags
}

/// Whether pre-releases never get a tag: what moves from one release to the next.
fn moves(tag: &str) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| tag.contains(&format!("{{{name}}}")));
    tag == "latest"
        || has(&["latest"])
        || (has(&["major", "minor", "patch"]) && !has(&["version", "prerelease", "ref"]))
}

fn differences(first: &Steps, other: &Steps, prerelease: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    let (ours, theirs) = (tags(first), tags(other));
    for (all, others, first) in [(&ours, &theirs, true), (&theirs, &ours, false)] {
        for one in all.iter().filter(|one| !others.contains(one)) {
            let (key, at, tag) = one.clone();
            if !(first && prerelease && moves(&tag)) {
                found.push(Difference::Tag { key, at, tag, first });
            }
        }
    }
    for (_, one) in &first.builds {
        if let Some((_, own)) = other.builds.iter().find(|(_, own)| own.id == one.id) {
            compare(one, own, &mut found);
        }
    }
    found
}

type Settings = Vec<(String, Text)>;

fn compare(one: &Built, other: &Built, found: &mut Vec<Difference>) {
    let (id, at) = (one.id.clone(), one.at.clone());
    let files = |built: &Built| {
        let texts = built.file.iter().chain(&built.target).chain([&built.context]);
        let texts = texts.chain(&built.platforms).chain(&built.repositories);
        texts.map(shape).collect::<Vec<_>>()
    };
    if files(one) != files(other) {
        found.push(Difference::Build { id: id.clone(), at: at.clone() });
    }
    let kinds: [(&'static str, &Settings, &Settings); 4] = [
        ("build argument", &one.args, &other.args),
        ("label", &one.labels, &other.labels),
        ("annotation", &one.annotations, &other.annotations),
        ("context", &one.contexts, &other.contexts),
    ];
    for (kind, ours, theirs) in kinds {
        let by_name = |all: &Settings| -> BTreeMap<String, String> {
            all.iter().map(|(name, text)| (name.clone(), shape(text))).collect()
        };
        let (ours, theirs) = (by_name(ours), by_name(theirs));
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        for name in names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name)) {
            let (id, at, name) = (id.clone(), at.clone(), name.clone());
            found.push(Difference::Setting { id, at, kind, name });
        }
    }
}

fn leave_out(steps: &mut Steps, difference: &Difference) {
    match difference {
        Difference::Tag { key, tag, .. } => {
            for (_, built) in steps.builds.iter_mut().filter(|(_, built)| built.id == *key) {
                built.tags.retain(|own| shape(own) != *tag);
            }
            for (_, tagged) in &mut steps.tagged {
                if *key == format!("{} {:?} {}", tagged.at, tagged.row, tagged.repository.plain()) {
                    tagged.tags.retain(|own| shape(own) != *tag);
                }
            }
        }
        Difference::Setting { id, kind, name, .. } => {
            for (_, built) in steps.builds.iter_mut().filter(|(_, built)| built.id == *id) {
                let all = match *kind {
                    "build argument" => &mut built.args,
                    "label" => &mut built.labels,
                    "annotation" => &mut built.annotations,
                    _ => &mut built.contexts,
                };
                all.retain(|(known, _)| known != name);
            }
        }
        Difference::Build { id, .. } => {
            for (_, built) in steps.builds.iter_mut().filter(|(_, built)| built.id == *id) {
                built.tags.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_patterns_select() {
        let table = [
            ("v*", "v1.2.3 v0.1.0 v1.2.3-rc.1"),
            ("*", "1.2.3 0.1.0 1.2.3-rc.1 v1.2.3"),
            ("v[0-9]+.[0-9]+", "v1.2.3 v0.1.0"),
            ("app/v1.*", "app/v1.2.3 app/v1.2.3-rc.1"),
            ("v* !v*-*", "v1.2.3 v0.1.0"),
            ("v* nightly-* v1.*", "v1.2.3 v0.1.0 v1.2.3-rc.1 nightly-1.2.3"),
            ("", "v1.2.3 v0.1.0 v1.2.3-rc.1"),
            ("nightly", "nightly"),
        ];
        for (patterns, expected) in table {
            let patterns: Vec<String> = patterns.split_whitespace().map(str::to_owned).collect();
            let tags: Vec<String> = of(&patterns).into_iter().map(|sample| sample.tag).collect();
            assert_eq!(tags.join(" "), expected, "{patterns:?}");
        }
    }
}
