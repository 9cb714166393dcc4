//! What the placeholders of a template stand for in one cell.

use std::rc::Rc;

use crate::base::ids::{Name, Platform};
use crate::matrix::cells::CellSpec;
use crate::plan::upstream::Upstream;

/// Everything that a template of one cell may name.
#[derive(Debug, Clone)]
pub(super) struct Values<'m> {
    pub(super) spec: &'m CellSpec<'m>,
    pub(super) upstream: Rc<Upstream>,
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
        let numbers = &self.upstream.numbers;
        match name {
            "version" => self.upstream.version.clone(),
            "major" => numbers.major.clone(),
            "minor" => numbers.minor.clone(),
            "patch" => numbers.patch.clone(),
            "prerelease" => numbers.prerelease.clone(),
            "ref" => self.upstream.reference.clone(),
            // What a Dockerfile checks out: the commit, or the version that a file names.
            "commit" => self.upstream.commit.clone().or_else(|| self.upstream.written.clone()),
            "commit7" => self.upstream.commit.as_deref().map(short),
            "revision" => Some(self.revision.to_owned()),
            // Used in tags: short, and never with the mark of a dirty tree.
            "revision7" => Some(short(self.commit)),
            "date" => self.created.get(..10).map(|date| date.replace('-', "")),
            "created" => Some(self.created.to_owned()),
            // Without composer modes there is nothing to tell apart, so tags of both kinds of images may share a form.
            "suffix" => Some(self.spec.composer.map(|mode| mode.suffix.clone()).unwrap_or_default()),
            "latest" => {
                Some(self.spec.composer.map_or_else(|| "latest".to_owned(), |mode| mode.latest.clone()))
            }
            "arch" => self.arch.map(|(arch, _)| arch.to_string()),
            "platform" => self.arch.map(|(_, platform)| platform.to_string()),
            part => self.spec.part(part).map(str::to_owned),
        }
    }

    /// Whether the value of a placeholder changes without a change of what is built: times, the revision, and, where it is
    /// only `told`, the commit of an image that follows this repository.
    pub(super) fn is_volatile(&self, name: &str, told: bool) -> bool {
        match name {
            "created" | "date" | "revision" | "revision7" => true,
            "commit" | "commit7" => told && self.upstream.own,
            "version" => {
                told && self.upstream.own && self.upstream.version.as_deref() == Some(&short(self.commit))
            }
            _ => false,
        }
    }
}

/// The first seven digits of a commit.
fn short(commit: &str) -> String {
    commit.chars().take(7).collect()
}
