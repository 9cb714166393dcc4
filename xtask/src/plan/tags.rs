//! Which tags a cell gets, and in which order they are set.

use crate::base::ids::Tag;
use crate::base::template::Template;
use crate::base::version::Numbers;
use crate::matrix::{Condition, Diagnostic, EventName, RefSpec, TagSpec, When};
use crate::plan::event::Event;
use crate::plan::model::PlannedTag;
use crate::plan::values::Values;

/// What the conditions of tags look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct TagContext<'a> {
    pub(super) event: &'a Event,
    pub(super) reference: &'a RefSpec,
    /// Whether `--set-version` replaced the version.
    pub(super) overridden: bool,
}

/// The tags of a cell, immutable ones first, then from the most to the least specific, `{latest}` last.
///
/// An error is a placeholder without a value, or a name that no tag may have.
pub(super) fn tags(
    specs: &[TagSpec],
    values: &Values<'_>,
    context: TagContext<'_>,
) -> Result<Vec<(PlannedTag, TagSpec)>, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut ranked: Vec<(u8, PlannedTag, TagSpec)> = Vec::new();
    for spec in specs.iter().filter(|spec| why_not(spec, values, context).is_none()) {
        match expand(spec, values) {
            Ok(name) => match ranked.iter_mut().find(|(_, tag, _)| tag.name == name) {
                // Written twice: the stricter promise holds, and the earlier place.
                Some((earlier, tag, _)) => {
                    *earlier = rank(spec).min(*earlier);
                    tag.immutable |= spec.immutable;
                }
                None => {
                    let floating = moves_with_releases(&spec.template);
                    let tag = PlannedTag { name, immutable: spec.immutable, floating };
                    ranked.push((rank(spec), tag, spec.clone()));
                }
            },
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    ranked.sort_by_key(|(rank, ..)| *rank);
    Ok(ranked.into_iter().map(|(_, tag, spec)| (tag, spec)).collect())
}

/// Why a cell does not get a tag. `None`: it gets it.
pub(super) fn why_not(spec: &TagSpec, values: &Values<'_>, context: TagContext<'_>) -> Option<&'static str> {
    let When { on, cell } = &spec.when;
    let version = Maturity::of(&spec.template, values, context);
    let by_version = |condition: &Condition| matches!(condition, Condition::Stable | Condition::Release);
    if version == Maturity::PreRelease
        && moves_with_releases(&spec.template)
        && !on.contains(&Condition::Always)
    {
        Some("a pre-release gets it only with `always`")
    } else if !on.is_empty() && !on.iter().any(|condition| holds(*condition, version, context)) {
        match version == Maturity::None && on.iter().any(by_version) {
            true => Some("the version is none, or lacks a part that it names"),
            false => Some("its `when` does not hold for this run"),
        }
    } else if !values.spec.fits(cell, None) {
        Some("its `when` is about other cells")
    } else {
        None
    }
}

/// What the version of a cell is, in the eyes of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maturity {
    /// No version, or one that lacks a part that the tag names.
    None,
    PreRelease,
    Stable,
}

impl Maturity {
    fn of(template: &Template, values: &Values<'_>, context: TagContext<'_>) -> Self {
        let Numbers { major, minor, patch, prerelease } = &values.upstream.numbers;
        // A git tag `v1` is what moves along with the releases 1.x, and no release; docker/metadata-action, whose versions
        // are semantic ones, leaves it alone as well.
        let first = if *context.reference == RefSpec::SelfRef { minor } else { major };
        let parts = [("major", major), ("minor", minor), ("patch", patch)];
        let named = |name: &str| template.placeholders().any(|found| found == name);
        let lacks = parts.iter().any(|(name, part)| part.is_none() && named(name));
        match prerelease {
            Some(_) => Self::PreRelease,
            None if first.is_none() || lacks || named("prerelease") => Self::None,
            None => Self::Stable,
        }
    }
}

/// `{latest}`, also written out.
fn is_latest(template: &Template) -> bool {
    template.placeholders().any(|name| name == "latest") || template.text() == "latest"
}

/// `{major}`, `{major}.{minor}` and `{latest}` promise a stable version, and the highest.
fn moves_with_releases(template: &Template) -> bool {
    let names = |wanted: &[&str]| template.placeholders().any(|name| wanted.contains(&name));
    is_latest(template) || (names(&["major", "minor", "patch"]) && !names(&["version", "prerelease"]))
}

/// A condition that only the event decides; the others hold.
pub(super) fn event_is(condition: Condition, event: &Event) -> bool {
    match condition {
        Condition::Always | Condition::Stable | Condition::Release => true,
        Condition::DefaultBranch => event.on_default_branch(),
        Condition::Event(EventName::Push) => matches!(event, Event::Push { .. }),
        Condition::Event(EventName::Tag) => matches!(event, Event::Tag { .. }),
        Condition::Event(EventName::Schedule) => matches!(event, Event::Schedule { .. }),
        Condition::Event(EventName::Dispatch) => matches!(event, Event::Dispatch { .. }),
        Condition::Event(EventName::Local) => matches!(event, Event::Local { .. }),
    }
}

fn holds(condition: Condition, version: Maturity, context: TagContext<'_>) -> bool {
    let TagContext { event, reference, overridden } = context;
    let tagged = matches!(event, Event::Tag { .. });
    match condition {
        Condition::Stable => version == Maturity::Stable,
        Condition::Release => {
            let released = match reference {
                RefSpec::File(_) => version != Maturity::None,
                RefSpec::Tag { .. } => version == Maturity::Stable,
                RefSpec::SelfRef => tagged && version == Maturity::Stable,
                RefSpec::Value(_) | RefSpec::Branch { .. } => false,
            };
            released && !overridden && (event.on_default_branch() || tagged)
        }
        Condition::Always | Condition::DefaultBranch | Condition::Event(_) => event_is(condition, event),
    }
}

/// Smaller ranks are set first: a reader of `latest` must be able to find the version behind it.
fn rank(spec: &TagSpec) -> u8 {
    let names = |wanted: &[&str]| spec.template.placeholders().any(|name| wanted.contains(&name));
    match () {
        () if spec.immutable => 0,
        () if is_latest(&spec.template) => 6,
        () if names(&["created", "date", "commit", "commit7", "revision", "revision7"]) => 1,
        () if names(&["version", "patch", "prerelease"]) => 2,
        () if names(&["minor"]) => 3,
        () if names(&["major"]) => 4,
        () => 5,
    }
}

fn expand(spec: &TagSpec, values: &Values<'_>) -> Result<Tag, Diagnostic> {
    let error = |message: String, help: Vec<String>| Diagnostic { span: spec.span.clone(), message, help };
    // A branch `feature/x` is the tag `feature-x`, a version `1.2.3+build.5` the tag `1.2.3-build.5`: a tag can hold no `+`.
    let value = |name: &str| {
        match name {
            "ref" => values.get(name).map(|text| sanitise(&text)),
            "version" | "prerelease" => values.get(name).map(|text| text.replace('+', "-")),
            // Only a real commit can tell two publications apart.
            "commit" => values.upstream.commit.clone(),
            _ => values.get(name),
        }
    };
    let text = spec.template.expand(value).map_err(|missing| {
        let help = "leave it out, give the tag a `when`, or use a ref that has it".to_owned();
        error(format!("`{{{}}}` has no value here: {}", missing.placeholder, describe(values)), vec![help])
    })?;
    text.parse().map_err(|invalid: anyhow::Error| {
        error(format!("{} expands to an invalid tag: {invalid}", spec.template.text()), Vec::new())
    })
}

fn sanitise(reference: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' };
    reference.chars().map(safe).collect()
}

fn describe(values: &Values<'_>) -> String {
    let version = values.get("version").map_or_else(|| "none".to_owned(), |version| format!("`{version}`"));
    format!("the version of {} is {version}", values.spec.image.name)
}
