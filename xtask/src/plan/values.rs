//! What the placeholders of a template stand for in one cell.

use super::event::Event;
use crate::ids::{Name, Platform};
use crate::matrix::{ComposerMode, Image, RefSpec, Track};

/// The upstream of a cell, resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) version: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) commit: Option<String>,
}

impl Upstream {
    /// From a ref and, for a version file, its content.
    pub(super) fn new(spec: &RefSpec, file: Option<&str>, event: &Event, commit: &str) -> Self {
        match spec {
            RefSpec::Value(value) => Self { version: Some(value.clone()), ..Self::default() },
            RefSpec::File(_) => Self { version: file.map(str::to_owned), ..Self::default() },
            RefSpec::SelfRef => {
                let version = match event {
                    Event::Tag { tag } => without_v(tag).to_owned(),
                    _ => commit.chars().take(7).collect(),
                };
                Self {
                    version: Some(version),
                    reference: event.reference().map(str::to_owned),
                    commit: Some(commit.to_owned()),
                }
            }
        }
    }
}

/// `v1.2.3` -> `1.2.3`; `vendor` stays.
pub(super) fn without_v(tag: &str) -> &str {
    tag.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(tag)
}

/// The numbers of a version, as far as it has them: `8.5.0-rc1` is 8, 5, 0 and the pre-release `rc1`; `3.24` has no patch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) major: Option<String>,
    pub(super) minor: Option<String>,
    pub(super) patch: Option<String>,
    pub(super) prerelease: Option<String>,
}

impl Numbers {
    pub(super) fn of(version: &str) -> Self {
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

/// Everything that a template of one cell may name.
#[derive(Debug, Clone)]
pub(super) struct Values<'m> {
    pub(super) image: &'m Image,
    pub(super) track: Option<&'m Track>,
    pub(super) composer: Option<&'m ComposerMode>,
    pub(super) upstream: Upstream,
    /// The commit of this repository, 40 hex digits, and its form with `-dirty`.
    pub(super) commit: &'m str,
    pub(super) revision: &'m str,
    /// RFC 3339.
    pub(super) created: &'m str,
    /// Only where one build is meant.
    pub(super) arch: Option<(&'m Name, &'m Platform)>,
}

impl Values<'_> {
    /// The value of a placeholder, `None` where this cell has none.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let numbers = self.upstream.version.as_deref().map(Numbers::of).unwrap_or_default();
        let seven = |text: &str| text.chars().take(7).collect::<String>();
        match name {
            "version" => self.upstream.version.clone(),
            "major" => numbers.major,
            "minor" => numbers.minor,
            "patch" => numbers.patch,
            "prerelease" => numbers.prerelease,
            "ref" => self.upstream.reference.clone(),
            "commit" => self.upstream.commit.clone(),
            "commit7" => self.upstream.commit.as_deref().map(seven),
            "revision" => Some(self.revision.to_owned()),
            // Used in tags: short, and never with the mark of a dirty tree.
            "revision7" => Some(seven(self.commit)),
            "date" => self.created.get(..10).map(|date| date.replace('-', "")),
            "created" => Some(self.created.to_owned()),
            "track" => self.track.map(|track| track.name.to_string()),
            "composer" => self.composer.map(|mode| mode.name.to_string()),
            // Without composer modes there is nothing to tell apart, so tags of both kinds of images may share a form.
            "suffix" => Some(self.composer.map(|mode| mode.suffix.clone()).unwrap_or_default()),
            "latest" => Some(self.composer.map_or_else(|| "latest".to_owned(), |mode| mode.latest.clone())),
            "arch" => self.arch.map(|(arch, _)| arch.to_string()),
            "platform" => self.arch.map(|(_, platform)| platform.to_string()),
            "image" => Some(self.image.name.to_string()),
            _ => None,
        }
    }
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
    fn only_a_v_before_a_number_goes() {
        assert_eq!((without_v("v1.2"), without_v("vendor"), without_v("1.2")), ("1.2", "vendor", "1.2"));
    }
}
