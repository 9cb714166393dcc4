//! `on`: which events start a run, and what a call or a form may give.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>

use std::collections::BTreeMap;

use serde_yaml_ng::Value as Yaml;

use super::event::Event;
use super::fields::{Fields, identifier, scalar};
use super::value::Value;

/// What a file says of its triggers.
#[derive(Debug, Clone, Default)]
pub struct Triggers {
    events: BTreeMap<String, Filter>,
    pub call: Option<Interface>,
    pub dispatch: Option<Vec<(String, Input)>>,
}

/// Of `push`, `pull_request` and `release`; empty: everything.
#[derive(Debug, Clone, Default)]
struct Filter {
    branches: Option<Vec<String>>,
    branches_ignore: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    tags_ignore: Option<Vec<String>>,
    types: Option<Vec<String>>,
    crons: Vec<String>,
}

/// `workflow_call`.
#[derive(Debug, Clone, Default)]
pub struct Interface {
    pub inputs: Vec<(String, Input)>,
    /// With whether it is required.
    pub secrets: Vec<(String, bool)>,
    pub outputs: Vec<(String, Yaml)>,
}

#[derive(Debug, Clone)]
pub struct Input {
    pub kind: String,
    pub required: bool,
    pub default: Option<Yaml>,
    options: Vec<String>,
}

const EVENTS: [&str; 6] =
    ["push", "pull_request", "schedule", "workflow_dispatch", "workflow_call", "release"];

impl Triggers {
    pub fn parse(yaml: &Yaml) -> Result<Self, String> {
        let mut found = Self::default();
        match yaml {
            Yaml::String(name) => found.add(name, &Yaml::Null)?,
            Yaml::Sequence(names) => {
                names
                    .iter()
                    .try_for_each(|name| found.add(&scalar(name).unwrap_or_default(), &Yaml::Null))?;
            }
            Yaml::Mapping(entries) => {
                entries.iter().try_for_each(|(name, of)| found.add(&scalar(name).unwrap_or_default(), of))?;
            }
            _ => return Err("on: Unexpected value".to_owned()),
        }
        Ok(found)
    }

    fn add(&mut self, name: &str, yaml: &Yaml) -> Result<(), String> {
        let place = format!("on.{name}");
        if !EVENTS.contains(&name) {
            return Err(format!("{place}: is unknown or not modelled"));
        }
        let empty = Yaml::Mapping(serde_yaml_ng::Mapping::new());
        let yaml = if yaml.is_null() { &empty } else { yaml };
        let mut filter = Filter::default();
        match name {
            "workflow_call" => self.call = Some(Interface::parse(&place, yaml)?),
            "workflow_dispatch" => {
                let fields = Fields::new(&place, yaml, &["inputs"], &[])?;
                let input = |(name, yaml): (String, &Yaml)| Input::parse(&place, name, yaml, true);
                self.dispatch =
                    Some(fields.entries("inputs")?.into_iter().map(input).collect::<Result<_, _>>()?);
            }
            "schedule" => {
                for item in yaml.as_sequence().ok_or_else(|| format!("{place}: A sequence was expected"))? {
                    let fields = Fields::new(&place, item, &["cron"], &["timezone"])?;
                    filter.crons.extend(fields.text("cron")?);
                }
            }
            _ => {
                let known: &[&str] = match name {
                    "push" => &["branches", "branches-ignore", "tags", "tags-ignore"],
                    "pull_request" => &["branches", "branches-ignore", "types"],
                    _ => &["types"],
                };
                let fields = Fields::new(&place, yaml, known, &["paths", "paths-ignore"])?;
                filter.branches = fields.texts("branches")?;
                filter.branches_ignore = fields.texts("branches-ignore")?;
                filter.tags = fields.texts("tags")?;
                filter.tags_ignore = fields.texts("tags-ignore")?;
                filter.types = fields.texts("types")?;
                for (one, two) in [("branches", "branches-ignore"), ("tags", "tags-ignore")] {
                    if fields.has(one) && fields.has(two) {
                        return Err(format!(
                            "{place}: you may only define one of `{one}` and `{two}` for a single event"
                        ));
                    }
                }
            }
        }
        self.events.insert(name.to_owned(), filter);
        Ok(())
    }

    /// Whether an event starts a run.
    pub fn starts(&self, event: &Event) -> Result<bool, String> {
        let Some(filter) = self.events.get(event.name()) else { return Ok(false) };
        let default: &[&str] = match event.name() {
            "pull_request" => &["opened", "synchronize", "reopened"],
            _ => &[],
        };
        if let Some(action) = event.action() {
            let listed = match &filter.types {
                Some(types) => types.iter().any(|one| one == action),
                None => default.is_empty() || default.contains(&action),
            };
            if !listed {
                return Ok(false);
            }
        }
        match event.name() {
            "schedule" => Ok(filter.crons.iter().any(|cron| Some(cron.as_str()) == event.cron())),
            "pull_request" => allowed(&filter.branches, &filter.branches_ignore, event.base(), true),
            "push" => match event.git_ref().strip_prefix("refs/tags/") {
                // With filters of the one kind only, nothing of the other kind starts a run.
                Some(tag) => {
                    let branches = filter.branches.is_some() || filter.branches_ignore.is_some();
                    allowed(&filter.tags, &filter.tags_ignore, tag, !branches)
                }
                None => {
                    let tags = filter.tags.is_some() || filter.tags_ignore.is_some();
                    let branch = event.git_ref().trim_start_matches("refs/heads/");
                    allowed(&filter.branches, &filter.branches_ignore, branch, !tags)
                }
            },
            _ => Ok(true),
        }
    }
}

fn allowed(
    only: &Option<Vec<String>>,
    but: &Option<Vec<String>>,
    name: &str,
    none: bool,
) -> Result<bool, String> {
    match (only, but) {
        (Some(patterns), _) => listed(patterns, name),
        (None, Some(patterns)) => Ok(!listed(patterns, name)?),
        (None, None) => Ok(none),
    }
}

/// The last pattern that matches decides: `!` takes a name away again.
fn listed(patterns: &[String], name: &str) -> Result<bool, String> {
    let mut found = false;
    for pattern in patterns {
        let (bare, adds) = pattern.strip_prefix('!').map_or((pattern.as_str(), true), |bare| (bare, false));
        if bare.contains(['+', '?', '[', '\\']) {
            return Err(format!("on: the filter {pattern:?} has a sign that is not modelled"));
        }
        if covers(bare, name) {
            found = adds;
        }
    }
    Ok(found)
}

/// `*` is anything but a slash, `**` anything.
fn covers(pattern: &str, name: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("**") {
        return (0..=name.len()).filter_map(|at| name.get(at..)).any(|name| covers(rest, name));
    }
    if let Some(rest) = pattern.strip_prefix('*') {
        let end = name.find('/').unwrap_or(name.len());
        return (0..=end).filter_map(|at| name.get(at..)).any(|name| covers(rest, name));
    }
    match (pattern.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some(one), Some(two)) if one == two => covers(&pattern[one.len_utf8()..], &name[two.len_utf8()..]),
        _ => false,
    }
}

impl Interface {
    fn parse(place: &str, yaml: &Yaml) -> Result<Self, String> {
        let fields = Fields::new(place, yaml, &["inputs", "secrets", "outputs"], &[])?;
        let input = |(name, yaml): (String, &Yaml)| Input::parse(place, name, yaml, false);
        let secret = |(name, yaml): (String, &Yaml)| {
            let empty = Yaml::Mapping(serde_yaml_ng::Mapping::new());
            let yaml = if yaml.is_null() { &empty } else { yaml };
            Ok((name, Fields::new(place, yaml, &["description", "required"], &[])?.flag("required")?))
        };
        let output = |(name, yaml): (String, &Yaml)| {
            let fields =
                Fields::new(&format!("{place}.outputs.{name}"), yaml, &["description", "value"], &[])?;
            Ok((name, fields.need("value")?.clone()))
        };
        Ok(Self {
            inputs: fields.entries("inputs")?.into_iter().map(input).collect::<Result<_, _>>()?,
            secrets: fields.entries("secrets")?.into_iter().map(secret).collect::<Result<_, String>>()?,
            outputs: fields.entries("outputs")?.into_iter().map(output).collect::<Result<_, String>>()?,
        })
    }
}

impl Input {
    fn parse(place: &str, name: String, yaml: &Yaml, form: bool) -> Result<(String, Self), String> {
        let place = format!("{place}.inputs.{name}");
        identifier(&place, &name)?;
        let empty = Yaml::Mapping(serde_yaml_ng::Mapping::new());
        let yaml = if yaml.is_null() { &empty } else { yaml };
        let known = ["description", "required", "type", "default", "options", "deprecationMessage"];
        let fields = Fields::new(&place, yaml, &known, &[])?;
        let kind = fields.text("type")?;
        let kinds: &[&str] =
            if form { &["string", "boolean", "number", "choice"] } else { &["string", "boolean", "number"] };
        let kind = match kind {
            Some(kind) if kinds.contains(&kind.as_str()) => kind,
            None if form => "string".to_owned(),
            None => return Err(format!("{place}: Required property is missing: type")),
            Some(kind) => return Err(format!("{place}.type: Unexpected value '{kind}'")),
        };
        let options = fields.texts("options")?.unwrap_or_default();
        let required = fields.flag("required")?;
        Ok((name, Self { kind, required, default: fields.get("default").cloned(), options }))
    }

    /// What an input is that nobody gives and that has no default.
    fn nothing(&self) -> Value {
        match self.kind.as_str() {
            "boolean" => Value::Bool(false),
            "number" => Value::Number(0.0),
            _ => Value::text(""),
        }
    }

    /// The value of what was given to a call.
    pub fn typed(&self, name: &str, given: Option<Value>) -> Result<Value, String> {
        let Some(value) = given else { return Ok(self.nothing()) };
        match (self.kind.as_str(), &value) {
            ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => Ok(value),
            ("string", Value::Array(_) | Value::Object(_)) | ("boolean" | "number", _) => {
                Err(format!("The value for input '{name}' is no {}: '{}'", self.kind, value.to_text()))
            }
            _ => Ok(Value::String(value.to_text())),
        }
    }

    /// The value of what was typed into the form, or sent to the API: a text.
    pub fn of_form(&self, name: &str, given: Option<&str>) -> Result<Value, String> {
        let default = self.default.as_ref().and_then(scalar);
        let text = match given.map(str::to_owned).or(default) {
            Some(text) => text,
            None if self.required => return Err(format!("Required input '{name}' not provided")),
            None => return Ok(self.nothing()),
        };
        let wrong = || Err(format!("Provided value '{text}' for input '{name}' is no {}", self.kind));
        match self.kind.as_str() {
            "boolean" if text == "true" || text == "false" => Ok(Value::Bool(text == "true")),
            "boolean" => wrong(),
            "number" => text.parse().map_or_else(|_| wrong(), |number| Ok(Value::Number(number))),
            "choice" if !self.options.contains(&text) => wrong(),
            _ if self.required && text.is_empty() => Err(format!("Required input '{name}' not provided")),
            _ => Ok(Value::String(text)),
        }
    }
}
