//! Versions as upstreams write them (`v8.5.0`, `release-2.1`, `3.24`) and patterns that select tags.
//!
//! Wider than semantic versioning: any number of numbers, and a tag may have a word in front.

use anyhow::Result;
use semver::{Prerelease, VersionReq};
use std::cmp::Ordering;
use std::str::FromStr;

use crate::error::Fault;

/// The numbers of a version, as far as it has them: `8.5.0-rc1` is 8, 5, 0 and the pre-release `rc1`; `3.24` has no patch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// `8`.
    pub major: Option<String>,
    /// `5`.
    pub minor: Option<String>,
    /// `0`.
    pub patch: Option<String>,
    /// `rc1`.
    pub prerelease: Option<String>,
}

impl Numbers {
    /// Of a version without a leading `v`.
    pub fn of(version: &str) -> Self {
        let version = version.split('+').next().unwrap_or_default();
        let (core, prerelease) =
            version.split_once('-').map_or((version, None), |(core, pre)| (core, Some(pre)));
        let mut parts = core.split('.');
        let mut number = || {
            parts
                .next()
                .filter(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
                .map(str::to_owned)
        };
        let major = number();
        let (minor, patch) = match major {
            Some(_) => (number(), number()),
            None => (None, None),
        };
        let prerelease = major.as_ref().and(prerelease).filter(|pre| !pre.is_empty()).map(str::to_owned);
        Self { major, minor, patch, prerelease }
    }
}

/// `v1.2.3` -> `1.2.3`; `vendor` stays.
pub fn without_v(tag: &str) -> &str {
    tag.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(tag)
}

/// The version in the name of a tag: `v1.2` -> `1.2`, `release-1.2` -> `1.2`, `php/1.2-rc1` -> `1.2-rc1`.
/// A name that holds none is its own version.
pub fn of_tag(tag: &str) -> &str {
    ordered(tag).map_or_else(|| without_v(tag), |found| found.text)
}

/// Whether a version is lower than another one. What is no version is neither.
pub fn is_lower(one: &str, other: &str) -> bool {
    match (ordered(one), ordered(other)) {
        (Some(one), Some(other)) => one.compare(&other) == Ordering::Less,
        _ => false,
    }
}

/// The part of a tag that can be put in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ordered<'t> {
    text: &'t str,
    numbers: Vec<u64>,
    prerelease: Option<&'t str>,
}

/// The first part of a tag, at its start or after one of `/ - _`, that is numbers and dots.
fn ordered(tag: &str) -> Option<Ordered<'_>> {
    let starts = std::iter::once(0).chain(tag.match_indices(['/', '-', '_']).map(|(at, _)| at + 1));
    starts.filter_map(|start| tag.get(start..)).find_map(|rest| {
        let text = without_v(rest);
        let plain = text.split('+').next()?;
        let (core, prerelease) = plain.split_once('-').map_or((plain, None), |(core, pre)| (core, Some(pre)));
        let numbers = core.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
        Some(Ordered { text, numbers, prerelease })
    })
}

impl Ordered<'_> {
    /// As semantic versioning has it, with missing numbers as 0. `None`: there are more than three.
    fn semver(&self) -> Option<semver::Version> {
        let number = |index: usize| self.numbers.get(index).copied().unwrap_or_default();
        let mut version = semver::Version::new(number(0), number(1), number(2));
        version.pre = Prerelease::new(self.prerelease.unwrap_or_default()).ok()?;
        (self.numbers.len() <= 3).then_some(version)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let padded = |numbers: &[u64]| {
            let mut all = numbers.to_vec();
            all.resize(length, 0);
            all
        };
        let numbers = padded(&self.numbers).cmp(&padded(&other.numbers));
        numbers.then_with(|| match (self.prerelease, other.prerelease) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(two)) => match (Prerelease::new(one), Prerelease::new(two)) {
                (Ok(one), Ok(two)) => one.cmp(&two),
                _ => one.cmp(two),
            },
        })
    }
}

/// Which tags of a repository are meant: a semver range in Cargo's syntax (`^8.5`, `>=8, <9`, `8.*`), or a glob of
/// `*` and `?`. A pre-release is taken only if the pattern names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPattern {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Range(VersionReq),
    Glob { prereleases: bool },
}

impl FromStr for TagPattern {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: String| Fault::invalid(format!("`{text}` is no pattern of tags: {why}"));
        if text.contains(char::is_whitespace) && !is_range(text) || text.is_empty() {
            return Err(invalid("expected a semver range or a glob".to_owned()).into());
        }
        let kind = if is_range(text) {
            Kind::Range(text.parse().map_err(|error: semver::Error| invalid(error.to_string()))?)
        } else {
            // What follows the number, or the place where one may be, can only be a pre-release.
            let number = text.find(|c: char| c.is_ascii_digit() || matches!(c, '*' | '?'));
            let exact = !text.contains(['*', '?']);
            let named = number.is_some_and(|at| text.get(at..).is_some_and(|rest| rest.contains('-')));
            Kind::Glob { prereleases: exact || named }
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

/// Begins with an operator, or is numbers, dots and a wildcard: `8.*` is the range, `v8.*` the glob.
fn is_range(text: &str) -> bool {
    let numeric = text.contains('*') && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '*'));
    text.starts_with(['^', '~', '<', '>', '=']) || numeric
}

impl TagPattern {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The highest of the tags that match. Tags that hold no number come last, in the order of their names.
    pub fn highest<'t>(&self, tags: impl IntoIterator<Item = &'t str>) -> Option<&'t str> {
        let matching = tags.into_iter().filter(|tag| self.matches(tag));
        matching.max_by(|one, two| match (ordered(one), ordered(two)) {
            (Some(a), Some(b)) => a.compare(&b).then_with(|| one.cmp(two)),
            (a, b) => a.is_some().cmp(&b.is_some()).then_with(|| one.cmp(two)),
        })
    }

    fn matches(&self, tag: &str) -> bool {
        let found = ordered(tag);
        match &self.kind {
            // `release-10` may be the highest number of another scheme: a range takes versions and nothing else.
            Kind::Range(range) => found
                .filter(|found| found.text == without_v(tag))
                .and_then(|found| found.semver())
                .is_some_and(|version| range.matches(&version)),
            Kind::Glob { prereleases } => {
                let wanted = *prereleases || found.is_none_or(|found| found.prerelease.is_none());
                wanted && glob(self.text.as_bytes(), tag.as_bytes())
            }
        }
    }
}

/// `*` stands for any number of characters, `?` for one. Takes at most the product of both lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(wanted), _) if *wanted == b'?' || wanted == byte => {
                p += 1;
                t += 1;
            }
            // Let the last star stand for one character more.
            (_, Some((at, from))) => {
                p = at + 1;
                t = from + 1;
                star = Some((at, from + 1));
            }
            _ => return false,
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let table = [
            ("8.5.0", [Some("8"), Some("5"), Some("0"), None]),
            ("8.5.0-rc1+b", [Some("8"), Some("5"), Some("0"), Some("rc1")]),
            ("3.24", [Some("3"), Some("24"), None, None]),
            ("edge", [None, None, None, None]),
            ("", [None, None, None, None]),
            ("1..2", [Some("1"), None, Some("2"), None]),
        ];
        for (version, expected) in table {
            let Numbers { major, minor, patch, prerelease } = Numbers::of(version);
            let found = [major, minor, patch, prerelease];
            assert_eq!(found.each_ref().map(Option::as_deref), expected, "{version}");
        }
    }

    #[test]
    fn versions_in_tags() {
        let table = [
            ("v1.2", "1.2"),
            ("1.2", "1.2"),
            ("vendor", "vendor"),
            ("release-1.2.3-rc1", "1.2.3-rc1"),
            ("php/v8.3.1+b1", "8.3.1+b1"),
            ("nightly_20261121", "20261121"),
            ("x-y", "x-y"),
        ];
        for (tag, version) in table {
            assert_eq!(of_tag(tag), version, "{tag}");
        }
    }

    #[test]
    fn the_highest_tag() {
        let tags = [
            "v8.4.9",
            "v8.5.0",
            "v8.5.1",
            "v8.10.0-rc.2",
            "v8.10.0-rc.10",
            "v9.0.0-beta",
            "v7.9",
            "8.5.1.1",
            "release-2",
            "release-10",
            "docs-old",
            "docs-new",
            "v8.5.2-x",
        ];
        let table = [
            ("^8.5", Some("v8.5.1")),
            ("8.*", Some("v8.5.1")),
            ("~8.4", Some("v8.4.9")),
            (">=7, <8", Some("v7.9")),
            (">=8.10.0-rc.1", Some("v8.10.0-rc.10")),
            ("v8.*", Some("v8.5.1")),
            ("v8.10*-rc*", Some("v8.10.0-rc.10")),
            ("v8.10.0-rc.2", Some("v8.10.0-rc.2")),
            ("release-*", Some("release-10")),
            ("docs-*", Some("docs-old")),
            ("8.5.1.?", Some("8.5.1.1")),
            ("^10", None),
            ("v?.4.*", Some("v8.4.9")),
            ("8.5.0", None),
        ];
        for (pattern, expected) in table {
            let found = pattern.parse::<TagPattern>().unwrap().highest(tags);
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn bad_patterns_are_told() {
        for text in ["", "^x", "a b", ">=8 <9"] {
            assert!(text.parse::<TagPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_hard_glob_takes_no_time() {
        let text = "a".repeat(5000);
        assert!(!glob(format!("{}b", "a*".repeat(500)).as_bytes(), text.as_bytes()));
    }
}
