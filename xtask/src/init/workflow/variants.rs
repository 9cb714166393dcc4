//! Builds of one name that differ in what an image has one of: only those that are as the first one are its builds.

use std::collections::{BTreeMap, BTreeSet};

use crate::init::workflow::axes::Axes;
use crate::init::workflow::built::Built;
use crate::init::workflow::event::Event;
use crate::init::workflow::settings::files;
use crate::init::workflow::text::Text;

/// Builds with their events.
pub(super) type Builds<'b> = Vec<(Event, &'b Built)>;

/// Whether two builds cannot be of one image.
type Differ<'a> = &'a dyn Fn((Event, &Built), (Event, &Built)) -> bool;

/// The builds of the first variant, and those of the others.
pub(super) fn first<'b>(
    name: &str,
    builds: &[(Event, &'b Built)],
    left: &mut Vec<String>,
) -> (Builds<'b>, Builds<'b>) {
    let mut kept = builds.to_vec();
    let mut dropped = Vec::new();
    let file = |built: &Built| files(built).ok().map(|(_, dockerfile)| dockerfile);
    let other_file = |(_, one): (Event, &Built), (_, other): (Event, &Built)| {
        overlap(one, other) && file(one).zip(file(other)).is_some_and(|(one, other)| one != other)
    };
    let target = |built: &Built| built.target.as_ref().map(shape);
    let other_target = |(_, one): (Event, &Built), (_, other): (Event, &Built)| target(one) != target(other);
    let kinds: [(&str, Differ<'_>); 2] = [("Dockerfile", &other_file), ("stage", &other_target)];
    for (kind, differ) in kinds {
        split(name, kind, differ, &mut kept, &mut dropped, left);
    }
    let all: Vec<&Built> = kept.iter().map(|(_, built)| *built).collect();
    let axes = Axes::of(&all);
    let other_args = |(event, one): (Event, &Built), (when, other): (Event, &Built)| {
        event == when && overlap(one, other) && args(one, &axes) != args(other, &axes)
    };
    split(name, "set of build arguments", &other_args, &mut kept, &mut dropped, left);
    (kept, dropped)
}

/// Keeps what is as the first build is, and says what is left out.
fn split<'b>(
    name: &str,
    kind: &str,
    differ: Differ<'_>,
    builds: &mut Builds<'b>,
    dropped: &mut Builds<'b>,
    left: &mut Vec<String>,
) {
    let mut kept: Builds<'b> = Vec::new();
    let mut out: BTreeSet<&str> = BTreeSet::new();
    for build in builds.iter() {
        if kept.iter().any(|known| differ(*known, *build)) {
            out.insert(build.1.id.as_str());
        } else {
            kept.push(*build);
        }
    }
    if out.is_empty() {
        return;
    }
    // What is another variant under one event is one under each.
    let (others, same): (Builds<'b>, Builds<'b>) =
        builds.iter().partition(|(_, built)| out.contains(built.id.as_str()));
    let places: BTreeSet<&str> = others.iter().map(|(_, built)| built.at.as_str()).collect();
    let places: Vec<&str> = places.into_iter().collect();
    let mut without = tags(&others);
    without.retain(|tag| !tags(&same).contains(tag));
    let mut lost: Vec<String> = Vec::new();
    if !without.is_empty() {
        lost.push(format!("tags {}", without.join(", ")));
    }
    lost.extend(values(&others, &same));
    let lost = if lost.is_empty() { String::new() } else { format!("; left out: {}", lost.join("; ")) };
    left.push(format!(
        "{}: {name} is built there with another {kind} than before, and an image has one: declare an image of its own for \
         each; only the first is written{lost}",
        places.join("; ")
    ));
    dropped.extend(others);
    *builds = same;
}

/// The tags of some builds, as they would be written.
fn tags(builds: &Builds<'_>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in builds.iter().flat_map(|(_, built)| &built.tags).map(shape) {
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

/// The values of keys of the matrix that only some builds have.
fn values(others: &Builds<'_>, same: &Builds<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (key, value) in others.iter().flat_map(|(_, built)| &built.row) {
        let known = same.iter().any(|(_, built)| built.row.get(key) == Some(value));
        let one = format!("{key} {value}");
        if !known && !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

/// A text in a form that can be compared; what only a run can tell stands as its expression.
pub(super) fn shape(text: &Text) -> String {
    text.template(&BTreeMap::new(), None).unwrap_or_else(|unknown| unknown)
}

fn args(built: &Built, axes: &Axes) -> BTreeSet<(String, Result<String, String>)> {
    let one = |(name, text): &(String, Text)| (name.clone(), text.template(&axes.names, None));
    built.args.iter().map(one).collect()
}

/// Whether two builds are for the same platform.
fn overlap(one: &Built, other: &Built) -> bool {
    !platforms(one).is_disjoint(&platforms(other))
}

fn platforms(built: &Built) -> BTreeSet<String> {
    if !built.platforms.is_empty() {
        return built.platforms.iter().map(Text::plain).collect();
    }
    let runner = built.runner.as_ref().map(|runner| runner.plain().to_lowercase()).unwrap_or_default();
    let is_arm = runner.contains("arm") || runner.contains("aarch64");
    BTreeSet::from([if is_arm { "linux/arm64" } else { "linux/amd64" }.to_owned()])
}
