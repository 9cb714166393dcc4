//! What the placeholders of a template stand for in one cell.

use std::rc::Rc;

use super::event::Event;
use crate::ids::{Name, Platform};
use crate::matrix::cells::CellSpec;
use crate::version::{Numbers, of_tag, without_v};

/// The upstream of a cell, resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) version: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) commit: Option<String>,
    /// What names the upstream where no commit is known: the version as a file has it, `v` included.
    pub(super) written: Option<String>,
}

impl Upstream {
    /// A version and nothing else.
    pub(super) fn version(version: &str) -> Self {
        Self { version: Some(version.to_owned()), ..Self::default() }
    }

    /// The version that a file holds, or that was set in its place.
    pub(super) fn written(text: &str) -> Self {
        Self { written: Some(text.to_owned()), ..Self::version(without_v(text)) }
    }

    /// This repository's own event: a tag is a version, else the short commit is.
    pub(super) fn own(event: &Event, commit: &str) -> Self {
        let version = match event {
            Event::Tag { tag } => of_tag(tag).to_owned(),
            _ => commit.chars().take(7).collect(),
        };
        Self {
            reference: event.reference().map(str::to_owned),
            commit: Some(commit.to_owned()),
            ..Self::version(&version)
        }
    }

    /// A branch of another repository: it has a commit, but no version.
    pub(super) fn branch(branch: &str, commit: &str) -> Self {
        Self { reference: Some(branch.to_owned()), commit: Some(commit.to_owned()), ..Self::default() }
    }

    /// A tag of another repository.
    pub(super) fn tag(tag: &str, commit: &str) -> Self {
        Self {
            reference: Some(tag.to_owned()),
            commit: Some(commit.to_owned()),
            ..Self::version(of_tag(tag))
        }
    }
}

/// Everything that a template of one cell may name.
#[derive(Debug, Clone)]
pub(super) struct Values<'m> {
    pub(super) spec: &'m CellSpec<'m>,
    pub(super) upstream: Rc<Upstream>,
    /// Of its version.
    pub(super) numbers: Rc<Numbers>,
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
        let numbers = &self.numbers;
        let seven = |text: &str| text.chars().take(7).collect::<String>();
        match name {
            "version" => self.upstream.version.clone(),
            "major" => numbers.major.clone(),
            "minor" => numbers.minor.clone(),
            "patch" => numbers.patch.clone(),
            "prerelease" => numbers.prerelease.clone(),
            "ref" => self.upstream.reference.clone(),
            // What a Dockerfile checks out: the commit, or the version that a file names.
            "commit" => self.upstream.commit.clone().or_else(|| self.upstream.written.clone()),
            "commit7" => self.upstream.commit.as_deref().map(seven),
            "revision" => Some(self.revision.to_owned()),
            // Used in tags: short, and never with the mark of a dirty tree.
            "revision7" => Some(seven(self.commit)),
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
}
