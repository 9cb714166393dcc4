//! What starts a workflow: `on`, see
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#on>.

use serde_yaml_ng::Value as Yaml;

use crate::init::found::Triggers;
use crate::init::workflow::event::Event;
use crate::init::workflow::samples::{self, Sample};
use crate::init::workflow::yaml::{list, pairs, part};

/// What was read of `on`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Started {
    /// What can be carried. None: nothing starts a run by itself.
    pub(super) triggers: Option<Triggers>,
    /// The events that may publish; empty: none does.
    pub(super) events: Vec<Event>,
    /// Tags that start a run.
    pub(super) samples: Vec<Sample>,
    /// What cannot be carried.
    pub(super) left: Vec<String>,
}

/// Reads `on`.
pub(super) fn read(workflow: &Yaml, default_branch: &str) -> Started {
    let on = part(workflow, "on");
    // A reader of YAML 1.1 has written `on` as a truth.
    let on = if on.is_null() { part(workflow, "true") } else { on };
    let named: Vec<(String, &Yaml)> = match on {
        Yaml::Mapping(_) => pairs(on),
        other => list(other).into_iter().map(|name| (name, &Yaml::Null)).collect(),
    };
    let mut started = Started { samples: samples::of(&[]), ..Started::default() };
    let mut triggers = Triggers::default();
    let mut dispatched = false;
    for (name, filters) in &named {
        match name.as_str() {
            "push" => push(filters, default_branch, &mut triggers, &mut started),
            "pull_request" => {
                triggers.pull_request = true;
                ignored(name, filters, &mut started);
                paths(filters, &mut triggers);
                let of = list(part(filters, "branches"));
                if !of.is_empty() && !of.iter().any(|branch| branch == default_branch) {
                    started.left.push(format!(
                        "on.pull_request: only those to {}; the new workflow tests all",
                        of.join(", ")
                    ));
                }
            }
            "schedule" => {
                let entries = filters.as_sequence().map(Vec::as_slice).unwrap_or_default();
                triggers.schedules.extend(entries.iter().flat_map(|entry| list(part(entry, "cron"))));
                started.events.push(Event::Schedule);
            }
            "release" => {
                let types = list(part(filters, "types"));
                if types.is_empty() || types.iter().any(|kind| kind == "published" || kind == "released") {
                    triggers.release = true;
                    started.events.push(Event::Release);
                } else {
                    let types = types.join(", ");
                    started.left.push(format!("on.release: types {types}; only `published` can be carried"));
                }
            }
            "workflow_dispatch" => dispatched = true,
            "workflow_call" => {}
            other => {
                started
                    .left
                    .push(format!("on.{other}: runs for it are not carried: see `on:` of images.yml"));
            }
        }
    }
    if dispatched {
        started.events.push(Event::Dispatch);
    }
    started.events.sort();
    let usable = triggers != Triggers::default();
    started.triggers = (usable || dispatched).then_some(triggers);
    started
}

fn push(filters: &Yaml, default_branch: &str, triggers: &mut Triggers, started: &mut Started) {
    let (branches, tags) = (list(part(filters, "branches")), list(part(filters, "tags")));
    ignored("push", filters, started);
    paths(filters, triggers);
    let expression = |pattern: &String| pattern.contains("${{");
    if branches.iter().chain(&tags).any(expression) {
        started.left.push("on.push: GitHub evaluates no expression in a filter: write the names".to_owned());
    }
    let (mut branches, mut tags) = (branches, tags);
    branches.retain(|pattern| !expression(pattern));
    tags.retain(|pattern| !expression(pattern));
    // A filter for one of both leaves the other out.
    let has = |name: &str| !part(filters, name).is_null();
    let any_branch = has("branches") || has("branches-ignore");
    let any_tag = has("tags") || has("tags-ignore");
    if branches.is_empty() && (!any_tag || has("branches-ignore")) {
        branches.push("**".to_owned());
    }
    if tags.is_empty() && (!any_branch || has("tags-ignore")) {
        tags.push("**".to_owned());
    }
    if branches.iter().any(|pattern| matches!(pattern.as_str(), "*" | "**")) {
        started.left.push(format!(
            "on.push: runs for branches other than {default_branch} publish only if `refs` of [publish] names these"
        ));
    }
    let fits = |pattern: &String| matches!(pattern.as_str(), "*" | "**") || pattern == default_branch;
    if branches.iter().any(fits) {
        started.events.push(Event::Push);
    }
    let others: Vec<&str> = branches.iter().filter(|branch| !fits(branch)).map(String::as_str).collect();
    if !others.is_empty() {
        let others = others.join(", ");
        started.left.push(format!(
            "on.push: runs for {others} publish only if `refs` of [publish] names these branches"
        ));
    }
    if tags.iter().any(|tag| !tag.starts_with('!')) {
        started.events.push(Event::Tag);
        started.samples = samples::of(&tags);
    }
    triggers.branches = branches;
    triggers.tags = tags;
}

fn ignored(event: &str, filters: &Yaml, started: &mut Started) {
    for key in ["branches-ignore", "tags-ignore", "paths-ignore"] {
        if !part(filters, key).is_null() {
            let what = key.trim_end_matches("-ignore");
            started.left.push(format!("on.{event}.{key}: write what starts a run under `{what}` instead"));
        }
    }
}

fn paths(filters: &Yaml, triggers: &mut Triggers) {
    for path in list(part(filters, "paths")) {
        if !triggers.paths.contains(&path) {
            triggers.paths.push(path);
        }
    }
}
