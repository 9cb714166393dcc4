//! Versions as upstreams write them (`v8.5.0`, `release-2.1`, `3.24`) and patterns that select tags.
//!
//! Wider than semantic versioning: any number of numbers, and a tag may have a word in front.

use anyhow::Result;
use semver::{Prerelease, VersionReq};
use std::cmp::Ordering;
use std::str::FromStr;

use crate::base::error::UserError;
use crate::base::prerelease::{compare as compare_prereleases, size};

/// The numbers of a version, as far as it has them: `8.5.0-rc1` is 8, 5, 0 and the pre-release `rc1`; `3.24` has no patch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// `8`.
    pub major: Option<String>,
    /// `5`.
    pub minor: Option<String>,
    /// `0`.
    pub patch: Option<String>,
    /// `rc1`. Whatever follows the numbers is a pre-release, `8.5.0rc1` is one too, except for `.post1`.
    pub prerelease: Option<String>,
}

impl Numbers {
    /// Of a version without a leading `v`.
    pub fn of(version: &str) -> Self {
        let Some(found) = Ordered::at_start(version) else { return Self::default() };
        let mut numbers = found.numbers.iter().map(|number| (*number).to_owned());
        Self {
            major: numbers.next(),
            minor: numbers.next(),
            patch: numbers.next(),
            prerelease: found.prerelease.map(str::to_owned),
        }
    }
}

/// `v1.2.3` -> `1.2.3`; `vendor` stays.
pub fn without_v(tag: &str) -> &str {
    tag.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(tag)
}

/// The version in the name of a tag: `v1.2` -> `1.2`, `release-1.2` -> `1.2`, `php/1.2-rc1` -> `1.2-rc1`.
/// A name that holds none is its own version.
pub fn of_tag(tag: &str) -> &str {
    Ordered::in_tag(tag).map_or_else(|| without_v(tag), |found| found.text)
}

/// Whether a version is lower than another one. What is no version is neither.
pub fn is_lower(one: &str, other: &str) -> bool {
    match (Ordered::in_tag(one), Ordered::in_tag(other)) {
        (Some(one), Some(other)) => one.compare(&other) == Ordering::Less,
        _ => false,
    }
}

/// The part of a tag that can be put in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ordered<'t> {
    /// The version as written, without `v`.
    text: &'t str,
    /// Digits only, at least one.
    numbers: Vec<&'t str>,
    /// What follows the numbers, unless that is a post-release.
    prerelease: Option<&'t str>,
    /// A release after the one with the same numbers: `1.2.post3` of Python's packages.
    post: Option<&'t str>,
}

impl<'t> Ordered<'t> {
    /// The first part of a tag, at its start or after one of `/ - _`, that begins like a version.
    fn in_tag(tag: &'t str) -> Option<Self> {
        let starts = std::iter::once(0).chain(tag.match_indices(['/', '-', '_']).map(|(at, _)| at + 1));
        let parts = starts.filter_map(|start| tag.get(start..)).map(without_v);
        parts.filter(|part| part.starts_with(|c: char| c.is_ascii_digit())).find_map(Self::at_start)
    }

    /// Numbers that are joined by dots or underscores, then perhaps a pre-release, then perhaps `+` and the build.
    fn at_start(text: &'t str) -> Option<Self> {
        let plain = text.split('+').next()?;
        let mut numbers = Vec::new();
        let mut rest = plain;
        loop {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, after) = rest.split_at_checked(end).filter(|(number, _)| !number.is_empty())?;
            numbers.push(number);
            rest = after;
            match rest.strip_prefix(['.', '_']) {
                Some(more) if more.starts_with(|c: char| c.is_ascii_digit()) => rest = more,
                _ => break,
            }
        }
        let suffix = Some(rest.trim_start_matches(['.', '_', '-'])).filter(|_| !rest.is_empty());
        // <https://packaging.python.org/en/latest/specifications/version-specifiers/#post-releases>
        let post = suffix.and_then(|suffix| suffix.strip_prefix("post"));
        let post = post.filter(|number| number.chars().all(|c| c.is_ascii_digit()));
        Some(Self { text, numbers, prerelease: suffix.filter(|_| post.is_none()), post })
    }

    /// As semantic versioning has it, with missing numbers as 0. `None`: it has no place there.
    fn semver(&self) -> Option<semver::Version> {
        let number = |index: usize| self.numbers.get(index).map_or(Some(0), |number| number.parse().ok());
        let mut version = semver::Version::new(number(0)?, number(1)?, number(2)?);
        version.pre = Prerelease::new(self.prerelease.unwrap_or_default()).ok()?;
        (self.numbers.len() <= 3).then_some(version)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let at = |numbers: &[&'t str], index: usize| size(numbers.get(index).copied().unwrap_or_default());
        let numbers = (0..length).map(|index| at(&self.numbers, index).cmp(&at(&other.numbers, index)));
        let numbers = numbers.fold(Ordering::Equal, Ordering::then);
        let prereleases = || match (self.prerelease, other.prerelease) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(two)) => compare_prereleases(one, two),
        };
        numbers.then_with(prereleases).then_with(|| self.post.map(size).cmp(&other.post.map(size)))
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
        let invalid = |why: String| UserError::invalid(format!("`{text}` is no pattern of tags: {why}"));
        if text.contains(char::is_whitespace) && !is_range(text) || text.is_empty() {
            return Err(invalid("expected a semver range or a glob".to_owned()).into());
        }
        let kind = if is_range(text) {
            Kind::Range(text.parse().map_err(|error: semver::Error| invalid(error.to_string()))?)
        } else {
            // With a number in the place of each wildcard, is what it selects a pre-release?
            let sample = text.replace(['*', '?'], "0");
            let named = Ordered::in_tag(&sample).is_some_and(|found| found.prerelease.is_some());
            let exact = !text.contains(['*', '?']);
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
        matching.max_by(|one, two| match (Ordered::in_tag(one), Ordered::in_tag(two)) {
            (Some(a), Some(b)) => a.compare(&b).then_with(|| one.cmp(two)),
            (a, b) => a.is_some().cmp(&b.is_some()).then_with(|| one.cmp(two)),
        })
    }

    fn matches(&self, tag: &str) -> bool {
        let found = Ordered::in_tag(tag);
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
            ("1..2", [Some("1"), None, None, Some("2")]),
            ("1.0.0.rc1", [Some("1"), Some("0"), Some("0"), Some("rc1")]),
            ("3.13.0rc1", [Some("3"), Some("13"), Some("0"), Some("rc1")]),
            ("8_10_0", [Some("8"), Some("10"), Some("0"), None]),
            ("v1", [None, None, None, None]),
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
            ("log4j-2.23.0", "2.23.0"),
            ("app-v2.0.0-rc1", "2.0.0-rc1"),
            ("curl-8_10_0", "8_10_0"),
            ("v1.0.0beta-5", "1.0.0beta-5"),
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

    /// Names that are no semantic versions: what stands behind the numbers is a pre-release, never a version of its own.
    #[test]
    fn odd_tags() {
        let table: [(&str, &[&str], Option<&str>); 6] = [
            ("v*", &["v1.9.9", "v1.0rc-2", "v1.0.0beta-5", "v2.0.0rc1"], Some("v1.9.9")),
            ("curl-*", &["curl-8_9_1", "curl-8_10_0", "curl-8_11_0-rc1"], Some("curl-8_10_0")),
            ("log4j-*", &["log4j-2.23.0", "log4j-2.24.0-rc1"], Some("log4j-2.23.0")),
            ("log4j-*-rc*", &["log4j-2.23.0", "log4j-2.24.0-rc1"], Some("log4j-2.24.0-rc1")),
            ("v3.13*", &["v3.13.0rc1", "v3.13.0"], Some("v3.13.0")),
            ("v*", &["v99999999999999999999.1", "v3"], Some("v99999999999999999999.1")),
        ];
        for (pattern, tags, expected) in table {
            let found = pattern.parse::<TagPattern>().unwrap().highest(tags.iter().copied());
            assert_eq!(found, expected, "{pattern}");
        }
        assert!(is_lower("8.4.10", "8.5.0") && !is_lower("8.10", "8.9") && !is_lower("edge", "1"));
    }

    /// Semantic versioning's own example, numbers inside of words, and releases after the release.
    #[test]
    fn prereleases_and_postreleases_stand_in_order() {
        for versions in [
            &[
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-beta",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
            ][..],
            &["1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"],
            &["3.13.0rc9", "3.13.0rc10", "3.13.0", "3.13.0.post1", "3.13.0.post10", "3.13.1"],
            &["2.0-rc", "2.0-rc1", "2.0-rc1a", "2.0"],
        ] {
            for pair in versions.windows(2) {
                assert!(is_lower(pair[0], pair[1]) && !is_lower(pair[1], pair[0]), "{pair:?}");
            }
        }
        assert_eq!(Numbers::of("3.13.0.post1").prerelease, None, "what comes after a release is stable");
        assert_eq!(Numbers::of("3.13.0.poster").prerelease.as_deref(), Some("poster"));
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
