//! The `{{ }}` of `docker/metadata-action`: its global expressions and the parts of a version.

use crate::init::workflow::event::{COMMIT, Case, Event};
use crate::init::workflow::text::Text;

/// What the parts of a version are taken from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Version {
    /// The tag of the run.
    OfTag,
    /// What was typed.
    Value(Text),
}

impl Version {
    /// What a pattern of `type=match` takes out of a tag.
    ///
    /// # Errors
    /// If that is no part of a version that has a placeholder.
    pub(super) fn matched(pattern: &str, group: &str) -> Result<Text, String> {
        let mut plain = pattern.trim_matches('/').replace(r"\.", ".");
        for (long, short) in [("[0-9]", r"\d"), (r"\d+", r"\d"), (r"\d*", r"\d"), (r"\d{1,3}", r"\d")] {
            plain = plain.replace(long, short);
        }
        let plain = plain.trim_start_matches('^').trim_end_matches('$').to_owned();
        let taken = match group {
            "" | "0" => Some(plain.replace(['(', ')'], "")),
            "1" => plain
                .split_once('(')
                .and_then(|(_, rest)| rest.split_once(')'))
                .map(|(taken, _)| taken.to_owned()),
            _ => None,
        };
        let made = match taken.as_deref() {
            Some(".*" | ".+" | r"\d.\d.\d" | r"\d.\d.\d.*") => Some(vec!["version"]),
            Some(r"v\d.\d.\d" | r"v.*" | r"v.+") => Some(vec!["ref"]),
            Some(r"\d.\d") => Some(vec!["major", "minor"]),
            Some(r"\d") => Some(vec!["major"]),
            _ => None,
        };
        let made = made.and_then(|names| joined(&names));
        made.ok_or_else(|| "what the pattern takes out of a tag has no placeholder".to_owned())
    }

    /// Whether a pattern of `type=match` may fit a tag: what it begins with is there.
    pub(super) fn may_match(pattern: &str, tag: &str) -> bool {
        let pattern = pattern.trim_start_matches('/');
        let (anchored, rest) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '_')));
        let end = match rest.get(end.unwrap_or(rest.len())..) {
            // What may be missing is no part of it.
            Some(after) if after.starts_with(['?', '*', '{', '|']) => 0,
            _ => end.unwrap_or(rest.len()),
        };
        let start = rest.get(..end).unwrap_or_default();
        if anchored { tag.starts_with(start) } else { tag.contains(start) }
    }

    /// A part of it.
    fn part(&self, name: &str) -> Option<Text> {
        match (self, name) {
            (Self::OfTag, "raw") => joined(&["ref"]),
            (Self::OfTag, name) => joined(&[name]),
            (Self::Value(value), "raw") => Some(value.clone()),
            (Self::Value(value), "version") => Some(without_v(value)),
            (Self::Value(value), name) => {
                let at = ["major", "minor", "patch"].iter().position(|part| *part == name)?;
                let plain = without_v(value).plain();
                let numbers = plain.split(['-', '+']).next().unwrap_or_default();
                numbers.split('.').nth(at).map(Text::typed)
            }
        }
    }
}

/// Whether metadata-action takes a tag for a version.
pub(super) fn is_version(tag: &str) -> bool {
    semver::Version::parse(tag.strip_prefix('v').unwrap_or(tag)).is_ok()
}

fn without_v(value: &Text) -> Text {
    let plain = value.plain();
    if plain.starts_with('v') { value.cut(1..plain.len()) } else { value.clone() }
}

/// Placeholders with dots between them.
fn joined(names: &[&str]) -> Option<Text> {
    const SAMPLES: [(&str, &str); 5] =
        [("version", "1.2.3"), ("major", "1"), ("minor", "2"), ("patch", "3"), ("ref", "v1.2.3")];
    let mut text = Text::default();
    for (index, name) in names.iter().enumerate() {
        let (name, sample) = SAMPLES.iter().find(|(known, _)| known == name)?;
        text.push(Text::typed(if index > 0 { "." } else { "" }));
        text.push(Text::placeholder(name, sample));
    }
    Some(text)
}

/// The commit in seven digits.
pub(super) fn revision() -> Text {
    Text::placeholder("revision7", COMMIT.get(..7).unwrap_or_default())
}

/// A `pattern` of `type=semver`.
///
/// # Errors
/// If it has an expression without a placeholder.
pub(super) fn version(pattern: &Text, version: &Version) -> Result<Text, String> {
    replaced(pattern, &|name| version.part(name))
}

/// A `value`, `enable`, `prefix` or `suffix`.
///
/// # Errors
/// If it has an expression without a placeholder.
pub(super) fn global(text: &Text, case: &Case<'_>) -> Result<Text, String> {
    let tagged = case.event.is_tag();
    let default = !tagged || case.event == Event::Schedule;
    replaced(text, &|name| {
        let reference = |wanted: bool| {
            if wanted { Text::placeholder("ref", case.reference()) } else { Text::default() }
        };
        let date = name.strip_prefix("date").map(str::trim);
        match (name, date) {
            (_, Some("'YYYYMMDD'" | "\"YYYYMMDD\"" | "'YYYYMMDD' tz='UTC'")) => {
                Some(Text::placeholder("date", "20261121"))
            }
            ("branch", _) => Some(reference(!tagged)),
            ("tag", _) => Some(reference(tagged)),
            ("sha", _) => Some(revision()),
            ("base_ref", _) => Some(Text::default()),
            ("is_default_branch", _) => Some(Text::typed(&default.to_string())),
            ("is_not_default_branch", _) => Some(Text::typed(&(!default).to_string())),
            _ => None,
        }
    })
}

fn replaced(text: &Text, value: &dyn Fn(&str) -> Option<Text>) -> Result<Text, String> {
    let plain = text.plain();
    let mut made = Text::default();
    let mut at = 0;
    while let Some((start, end)) = plain.get(at..).and_then(|rest| {
        let start = at + rest.find("{{")?;
        Some((start, start + plain.get(start..)?.find("}}")?))
    }) {
        made.push(text.cut(at..start));
        let name = plain.get(start + 2..end).unwrap_or_default().trim();
        let found = value(name).ok_or_else(|| match name.split(' ').next() {
            Some("date" | "commit_date") => {
                format!("`{{date}}` has the form YYYYMMDD, and there is no other: {{{{{name}}}}}")
            }
            _ => format!("there is no placeholder for {{{{{name}}}}}"),
        })?;
        made.push(found);
        at = end + 2;
    }
    made.push(text.cut(at..plain.len()));
    Ok(made)
}
