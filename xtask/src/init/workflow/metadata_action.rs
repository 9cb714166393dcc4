//! What `docker/metadata-action` gives for an event, see <https://github.com/docker/metadata-action#readme>; the order of
//! tags and the rule for `latest` are those of its `src/meta.ts`.

use std::collections::BTreeMap;

use crate::init::workflow::event::{COMMIT, Case, Event};
use crate::init::workflow::handlebars::{self, Version};
use crate::init::workflow::text::{Map, Text, Value};

/// The tags that it makes without any `tags`.
const DEFAULT: &str = "type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr";

/// The inputs of a step.
#[derive(Debug, Clone, Default)]
pub(super) struct Inputs {
    pub(super) images: Text,
    pub(super) tags: Text,
    pub(super) flavor: Text,
    pub(super) labels: Text,
    pub(super) annotations: Text,
}

/// What the step says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Metadata {
    pub(super) images: Vec<Text>,
    /// Images that are not enabled, and whether that is known.
    pub(super) disabled: Vec<(Text, bool)>,
    /// The tags, without the images' names; the first is the version.
    pub(super) tags: Vec<Text>,
    pub(super) labels: Text,
    pub(super) annotations: Text,
    /// What cannot be carried.
    pub(super) left: Vec<String>,
}

/// What holds for all tags of a step.
struct Flavor {
    latest: Option<bool>,
    prefix: Text,
    suffix: Text,
    /// Whether `latest` gets them too.
    on_latest: (bool, bool),
}

/// An entry of `tags`.
struct Entry {
    kind: String,
    attributes: BTreeMap<String, Text>,
    line: Text,
}

impl Entry {
    fn get(&self, name: &str) -> Option<&Text> {
        self.attributes.get(name)
    }

    fn plain(&self, name: &str) -> String {
        self.get(name).map(Text::plain).unwrap_or_default()
    }

    fn priority(&self) -> i64 {
        let usual = match self.kind.as_str() {
            "schedule" => 1000,
            "semver" | "pep440" => 900,
            "match" => 800,
            "edge" => 700,
            "ref" => 600,
            "raw" => 200,
            _ => 100,
        };
        self.plain("priority").parse().unwrap_or(usual)
    }
}

/// What a step says for an event.
pub(super) fn read(inputs: &Inputs, case: &Case<'_>) -> Metadata {
    let (images, disabled) = images(&inputs.images);
    let mut metadata = Metadata {
        images,
        disabled,
        labels: inputs.labels.clone(),
        annotations: inputs.annotations.clone(),
        ..Metadata::default()
    };
    let flavor = flavor(&inputs.flavor);
    let tags = if inputs.tags.lines().is_empty() { Text::typed(DEFAULT) } else { inputs.tags.clone() };
    let mut entries: Vec<Entry> = tags.lines().iter().map(entry).collect();
    entries.sort_by_key(|entry| -entry.priority());
    let mut latest = None;
    for entry in entries {
        let made = make(&entry, case).and_then(|made| match made {
            Some((value, auto)) => affixed(&entry, value, &flavor, case).map(|tag| Some((tag, auto))),
            None => Ok(None),
        });
        match made {
            Ok(Some((tag, auto))) if !tag.is_empty() => {
                if !metadata.tags.contains(&tag) {
                    metadata.tags.push(tag);
                }
                latest.get_or_insert(flavor.latest.unwrap_or(auto));
            }
            Ok(_) => {}
            Err(why) => metadata.left.push(format!("`{}`: {why}", readable(&entry.line))),
        }
    }
    if latest == Some(true) {
        let mut tag = if flavor.on_latest.0 { flavor.prefix.clone() } else { Text::default() };
        tag.push(Text::placeholder("latest", "latest"));
        tag.push(if flavor.on_latest.1 { flavor.suffix.clone() } else { Text::default() });
        if !metadata.tags.contains(&tag) {
            metadata.tags.push(tag);
        }
    }
    metadata
}

/// A line for people: what only a run can tell is shown as it was written.
fn readable(line: &Text) -> String {
    let mut unknowns = line.unknowns();
    let parts = line.plain();
    let mut text = String::new();
    for c in parts.chars() {
        match c {
            '\u{FFFC}' => text.push_str(&unknowns.next().unwrap_or_default()),
            c => text.push(c),
        }
    }
    text
}

/// The images, and those that are not enabled with whether that is known.
fn images(text: &Text) -> (Vec<Text>, Vec<(Text, bool)>) {
    let (mut images, mut disabled) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let fields = line.fields();
        let named = |name: &str| {
            let mut found = fields.iter().filter_map(|field| field.split_once('='));
            found.find(|(key, _)| key.plain().eq_ignore_ascii_case(name)).map(|(_, value)| value)
        };
        let names = match named("name") {
            Some(name) => vec![name],
            None => fields.iter().filter(|field| !field.plain().contains('=')).cloned().collect(),
        };
        match named("enable") {
            Some(value) if value.plain() != "true" => {
                disabled.extend(names.into_iter().map(|name| (name, !value.is_unknown())));
            }
            _ => images.extend(names),
        }
    }
    (images, disabled)
}

fn flavor(text: &Text) -> Flavor {
    let mut flavor =
        Flavor { latest: None, prefix: Text::default(), suffix: Text::default(), on_latest: (false, false) };
    for line in text.lines() {
        let mut last = String::new();
        for (key, value) in line.fields().iter().filter_map(|field| field.split_once('=')) {
            match key.plain().to_ascii_lowercase().as_str() {
                "latest" => flavor.latest = value.plain().parse().ok(),
                "prefix" => flavor.prefix = value,
                "suffix" => flavor.suffix = value,
                "onlatest" if last == "prefix" => flavor.on_latest.0 = value.plain() == "true",
                "onlatest" if last == "suffix" => flavor.on_latest.1 = value.plain() == "true",
                _ => {}
            }
            last = key.plain().to_ascii_lowercase();
        }
    }
    flavor
}

fn entry(line: &Text) -> Entry {
    let mut entry = Entry { kind: "raw".to_owned(), attributes: BTreeMap::new(), line: line.clone() };
    for field in line.fields() {
        match field.split_once('=') {
            Some((key, value)) if key.plain().eq_ignore_ascii_case("type") => entry.kind = value.plain(),
            Some((key, value)) => {
                entry.attributes.insert(key.plain().to_ascii_lowercase(), value);
            }
            None => {
                entry.attributes.insert("value".to_owned(), field);
            }
        }
    }
    entry
}

/// The tag of an entry without prefix and suffix, and whether `latest=auto` takes it for a release. None: the entry is
/// about other events.
fn make(entry: &Entry, case: &Case<'_>) -> Result<Option<(Text, bool)>, String> {
    if let Some(enable) = entry.get("enable") {
        let enable = handlebars::global(enable, case)?;
        match enable.plain().as_str() {
            "true" => {}
            "false" | "" => return Ok(None),
            _ => return Err("only a run can tell whether it is enabled; the tag is left out".to_owned()),
        }
    }
    let tagged = case.event.is_tag();
    let reference = || Text::placeholder("ref", case.reference());
    let text = Text::typed;
    Ok(match entry.kind.as_str() {
        "semver" | "pep440" => {
            let version = version(entry, case)?;
            let pattern = entry.get("pattern").cloned().unwrap_or_else(|| text("{{version}}"));
            version.map(|version| handlebars::version(&pattern, &version)).transpose()?.map(|tag| (tag, true))
        }
        "match" => {
            let pattern = entry.plain("pattern");
            let whole =
                entry.get("value").cloned().map(|value| handlebars::global(&value, case)).transpose()?;
            match whole {
                Some(_) => return Err("a pattern for another value is not read".to_owned()),
                None if !tagged => None,
                None if !Version::may_match(&pattern, case.tag) => {
                    return Err(format!("{} does not fit it; the tag is left out", case.tag));
                }
                None => Some((Version::matched(&pattern, &entry.plain("group"))?, true)),
            }
        }
        "ref" => match entry.plain("event").as_str() {
            "branch" => (!tagged).then(|| (text(&sanitised(case.reference())), false)),
            "tag" => tagged.then(|| (reference(), true)),
            _ => return Err("pull requests push nothing; there is no such tag".to_owned()),
        },
        "edge" => {
            let branch = entry.plain("branch");
            let default = &case.surroundings.default_branch;
            if !branch.is_empty() && &branch != default {
                return Err(format!("only {default}, the default branch, publishes by itself"));
            }
            (!tagged).then(|| (text("edge"), false))
        }
        "schedule" => {
            let pattern = entry.get("pattern").cloned().unwrap_or_else(|| text("nightly"));
            let made = handlebars::global(&pattern, case)?;
            (case.event == Event::Schedule).then_some((made, false))
        }
        "raw" => Some((handlebars::global(entry.get("value").unwrap_or(&Text::default()), case)?, false)),
        "sha" if entry.plain("format") == "long" => Some((Text::placeholder("revision", COMMIT), false)),
        "sha" => Some((handlebars::revision(), false)),
        other => return Err(format!("there is no type {other}")),
    })
}

/// The version of an entry for this event.
fn version(entry: &Entry, case: &Case<'_>) -> Result<Option<Version>, String> {
    let value = entry.get("value").map(|value| handlebars::global(value, case)).transpose()?;
    match value.filter(|value| !value.is_empty()) {
        Some(value) => match value.template(&BTreeMap::new(), None) {
            Ok(template) if template == "{ref}" && case.event.is_tag() => Ok(Some(Version::OfTag)),
            Ok(_) => Ok(Some(Version::Value(value))),
            Err(unknown) => {
                Err(format!("only a run can tell {unknown}: write where the version comes from under `ref`"))
            }
        },
        None if case.event.is_tag() && !handlebars::is_version(case.tag) => {
            Err(format!("{} is no version, so that metadata-action sets no such tag", case.tag))
        }
        None => Ok(case.event.is_tag().then_some(Version::OfTag)),
    }
}

/// With its prefix and suffix, or else with those of the flavor.
fn affixed(entry: &Entry, value: Text, flavor: &Flavor, case: &Case<'_>) -> Result<Text, String> {
    let usual = match entry.kind.as_str() {
        "sha" => Text::typed("sha-"),
        _ => flavor.prefix.clone(),
    };
    let prefix = handlebars::global(entry.get("prefix").unwrap_or(&usual), case)?;
    let suffix = handlebars::global(entry.get("suffix").unwrap_or(&flavor.suffix), case)?;
    if value.is_empty() {
        return Ok(value);
    }
    let mut tag = prefix;
    tag.push(value);
    tag.push(suffix);
    Ok(tag)
}

/// What no tag may hold becomes a dash.
fn sanitised(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    text.chars().map(plain).collect()
}

impl Metadata {
    /// The outputs of the step.
    pub(super) fn outputs(&self) -> Value {
        let mut tags: Vec<Text> = Vec::new();
        for tag in &self.tags {
            tags.extend(self.images.iter().map(|image| {
                let mut whole = image.clone();
                whole.push(Text::typed(":"));
                whole.push(tag.clone());
                whole
            }));
            if self.images.is_empty() && self.disabled.is_empty() {
                tags.push(tag.clone());
            }
        }
        let mut lines = Text::default();
        for tag in &tags {
            lines.push(tag.clone());
            lines.push(Text::typed("\n"));
        }
        let version = self.tags.first().cloned().unwrap_or_default();
        let label =
            |name: &str, value: Text| (format!("org.opencontainers.image.{name}"), Value::Text(value));
        let labels = vec![
            label("version", version.clone()),
            label("revision", Text::placeholder("revision", COMMIT)),
            label("created", Text::placeholder("created", "2026-11-21T06:05:42Z")),
        ];
        let json = vec![
            ("tags".to_owned(), Value::List(tags.into_iter().map(Value::Text).collect())),
            ("labels".to_owned(), Value::Map(Map::open(labels))),
        ];
        Value::Map(Map::open(vec![
            ("tags".to_owned(), Value::Text(lines)),
            ("version".to_owned(), Value::Text(version)),
            ("labels".to_owned(), Value::Text(self.labels.clone())),
            ("annotations".to_owned(), Value::Text(self.annotations.clone())),
            ("json".to_owned(), Value::Map(Map::open(json))),
        ]))
    }
}

#[cfg(test)]
#[path = "metadata_action_tests.rs"]
mod tests;
