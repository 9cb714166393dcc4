//! The inputs of `docker/build-push-action`, see <https://github.com/docker/build-push-action#inputs>.

use serde_yaml_ng::Value as Yaml;
use std::collections::{BTreeMap, BTreeSet};

use crate::init::found::{self, Secret};
use crate::init::workflow::built::Built;
use crate::init::workflow::evaluation::{text, value};
use crate::init::workflow::scope::Scope;
use crate::init::workflow::text::{Text, Value};
use crate::init::workflow::yaml::{part, scalar};

/// What a build has no key for.
const OTHERS: [&str; 9] = [
    "add-hosts",
    "allow",
    "cgroup-parent",
    "github-token",
    "network",
    "no-cache-filters",
    "shm-size",
    "ulimit",
    "call",
];

/// Reads a step, and says what it cannot carry.
pub(super) fn read(scope: &Scope, with: &Yaml) -> (Built, Vec<String>) {
    let mut left = Vec::new();
    let input = |name: &str| text(scope, part(with, name)).trim();
    let given = |name: &str| Some(input(name)).filter(|text| !text.is_empty());
    let outputs = input("outputs");
    let (names, pushes) = output(&outputs, &mut left);
    let by_digest = outputs.plain().contains("push-by-digest=true");
    let push = truth(scope, part(with, "push"));
    let mut built = Built {
        context: context(&input("context")),
        file: given("file"),
        target: given("target"),
        platforms: commas(&input("platforms")),
        args: input("build-args").pairs(),
        labels: input("labels").pairs(),
        annotations: annotations(&input("annotations")),
        contexts: input("build-contexts").pairs(),
        secrets: secrets(&input("secrets"), &input("secret-envs"), &input("secret-files"), &mut left),
        cache: cache(&input("cache-from"), &input("cache-to"), &mut left),
        sbom: !matches!(input("sbom").plain().as_str(), "" | "false")
            || input("attests").plain().contains("type=sbom"),
        pushed: pushes || push,
        ..Built::default()
    };
    for line in input("tags").lines().iter().flat_map(commas) {
        let (repository, tag) = line.reference();
        if !built.repositories.iter().any(|known| known.plain() == repository.plain()) {
            built.repositories.push(repository);
        }
        built.tags.extend(tag.filter(|_| built.pushed && !by_digest));
        if line.is_unknown() && line.reference().1.is_none() {
            let unknown = line.unknowns().next().unwrap_or_default();
            left.push(format!("its tags are {unknown}, which only a run can tell: write them under `tags`"));
        }
    }
    built.repositories.retain(|repository| !repository.is_unknown() || names.is_empty());
    if built.repositories.is_empty() {
        built.repositories = names;
    }
    left.extend(ssh(&input("ssh")));
    for name in OTHERS.into_iter().filter(|name| given(name).is_some() && *name != "github-token") {
        left.push(format!("its input {name} is not carried: matrix.toml has no key for it"));
    }
    (built, left)
}

/// Whether an input is true; what only a run can tell may be.
fn truth(scope: &Scope, yaml: &Yaml) -> bool {
    match value(scope, yaml) {
        Value::Text(text) if !text.is_unknown() => text.plain() == "true",
        value => value.truth().unwrap_or(true),
    }
}

/// A list with lines or commas between its parts.
fn commas(text: &Text) -> Vec<Text> {
    text.lines().iter().flat_map(|line| line.split(',')).collect()
}

/// A folder of the repository: without one, and with `{{defaultContext}}`, the whole of it.
fn context(text: &Text) -> Text {
    let plain = text.plain();
    match plain.strip_prefix("{{defaultContext}}") {
        Some(rest) => {
            let folder = rest.trim_start_matches(':');
            text.cut(plain.len() - folder.len()..plain.len())
        }
        None => text.clone(),
    }
}

/// The names in `outputs`, and whether it pushes.
fn output(text: &Text, left: &mut Vec<String>) -> (Vec<Text>, bool) {
    let (mut names, mut pushes) = (Vec::new(), false);
    for line in text.lines() {
        let mut compression = Vec::new();
        let fields: Vec<(String, Text)> = line
            .fields()
            .iter()
            .filter_map(|field| field.split_once('='))
            .map(|(k, v)| (k.plain(), v))
            .collect();
        pushes |= fields.iter().any(|(key, value)| {
            (key == "push" && value.plain() == "true") || (key == "type" && value.plain() == "registry")
        });
        for (key, value) in fields {
            match (key.as_str(), value.plain().as_str()) {
                ("name", _) => names.extend(value.split(',').iter().map(|name| name.reference().0)),
                ("type", "docker" | "oci" | "tar" | "local") => {
                    left.push(format!(
                        "its output {} stays on the runner, and is not carried",
                        value.plain()
                    ));
                }
                ("compression", _) => compression.insert(0, format!("type = \"{}\"", value.plain())),
                ("compression-level", level) => compression.push(format!("level = {level}")),
                ("force-compression", force) => compression.push(format!("force = {force}")),
                _ => {}
            }
        }
        if !compression.is_empty() {
            let compression = compression.join(", ");
            left.push(format!(
                "its compression is not carried: add `compression = {{ {compression} }}` to the image"
            ));
        }
    }
    (names, pushes)
}

/// `[LEVELS:]KEY=VALUE`; those of the manifest are what a key without a level means.
fn annotations(text: &Text) -> Vec<(String, Text)> {
    let plain = |(key, value): (String, Text)| {
        let key = key.strip_prefix("manifest:").map(str::to_owned).unwrap_or(key);
        (key, value)
    };
    text.pairs().into_iter().map(plain).collect()
}

fn secrets(values: &Text, envs: &Text, files: &Text, left: &mut Vec<String>) -> BTreeMap<String, Secret> {
    let mut secrets = BTreeMap::new();
    for (id, value) in values.lines().iter().filter_map(|line| {
        let plain = line.plain();
        let inner = plain.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let line = inner.map_or_else(|| line.clone(), |inner| line.cut(1..1 + inner.len()));
        line.split_once('=')
    }) {
        let id = id.plain();
        match value.secret() {
            Some(name) => {
                secrets.insert(id, Secret::Env(name.to_owned()));
            }
            None => {
                left.push(format!(
                    "the value of the secret {id} is made by the workflow: put it into a variable of the step that \
                     builds, and add `secrets = {{ {id} = {{ env = \"NAME\" }} }}` to the image"
                ));
            }
        }
    }
    for (id, name) in envs.lines().iter().flat_map(commas).filter_map(|pair| pair.split_once('=')) {
        secrets.insert(id.plain(), Secret::Env(name.plain()));
    }
    for (id, path) in files.lines().iter().flat_map(commas).filter_map(|pair| pair.split_once('=')) {
        secrets.insert(id.plain(), Secret::File(path.plain().trim_start_matches("./").to_owned()));
    }
    secrets
}

fn cache(from: &Text, to: &Text, left: &mut Vec<String>) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    for line in from.lines().iter().chain(&to.lines()) {
        let plain = line.plain();
        let kind = plain.split(',').find_map(|field| field.trim().strip_prefix("type="));
        // A reference alone is a cache in a registry.
        let kind = kind.unwrap_or("registry");
        match found::cache_kind(kind) {
            Some(known) => drop(kinds.insert(known)),
            None => left.push(format!(
                "its cache of type {kind} is not carried: `gha`, `registry` and `inline` can be"
            )),
        }
    }
    // An inline cache is read as what a registry holds.
    if kinds.contains("inline") && !to.plain().contains("type=registry") {
        kinds.remove("registry");
    }
    kinds
}

fn ssh(text: &Text) -> Option<String> {
    let ids: Vec<String> = commas(text)
        .iter()
        .map(|id| format!("\"{}\"", id.plain().split('=').next().unwrap_or_default()))
        .collect();
    (!ids.is_empty())
        .then(|| format!("its ssh agents are not carried: add `ssh = [{}]` to the image", ids.join(", ")))
}

/// The labels of `runs-on`, with commas between them.
pub(super) fn runner(scope: &Scope, runs_on: &Yaml) -> Option<Text> {
    let labels = match runs_on {
        Yaml::Mapping(_) => part(runs_on, "labels"),
        other => other,
    };
    let text = match value(scope, labels) {
        Value::List(values) => {
            let mut whole = Text::default();
            for (index, value) in values.iter().enumerate() {
                whole.push(Text::typed(if index > 0 { ", " } else { "" }));
                whole.push(value.text());
            }
            whole
        }
        value => value.text(),
    };
    Some(text).filter(|text| !text.is_empty())
}

/// The name of a step, for remarks.
pub(super) fn step_name(step: &Yaml, index: usize) -> String {
    let named = [part(step, "name"), part(step, "id")].into_iter().map(scalar).find(|name| !name.is_empty());
    match (named, scalar(part(step, "uses"))) {
        (Some(name), _) => format!("step \"{}\"", name.trim()),
        (None, uses) if !uses.is_empty() => format!("step {}", uses.split('@').next().unwrap_or_default()),
        _ => format!("step {}", index + 1),
    }
}
