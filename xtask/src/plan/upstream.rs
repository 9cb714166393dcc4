//! What a `ref` stands for in this run: a version, a ref, a commit.

use anyhow::Result;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::base::version::{Numbers, of_tag, without_v};
use crate::matrix::cells::CellSpec;
use crate::matrix::{Diagnostic, RefSpec};
use crate::plan::event::Event;
use crate::plan::inputs::Inputs;
use crate::plan::remote::{self, RemoteRef, Remotes};

/// The upstream of a cell, resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) version: Option<String>,
    /// Of the version, unless that is a short commit: `9e8c947` is no pre-release of 9.
    pub(super) numbers: Numbers,
    pub(super) reference: Option<String>,
    /// The reference, where it is a branch and there is no other version.
    pub(super) branch: Option<String>,
    pub(super) commit: Option<String>,
    /// What names the upstream where no commit is known: the version as a file has it, `v` included.
    pub(super) written: Option<String>,
    /// The commit is that of this repository: it changes without a change of what is built.
    pub(super) own: bool,
}

impl Upstream {
    /// A version and nothing else.
    pub(super) fn version(version: &str) -> Self {
        Self { version: Some(version.to_owned()), numbers: Numbers::of(version), ..Self::default() }
    }

    /// The version that a file holds, or that was set in its place.
    pub(super) fn written(text: &str) -> Self {
        Self { written: Some(text.to_owned()), ..Self::version(without_v(text)) }
    }

    /// This repository's own event: a tag is a version, else the short commit is.
    pub(super) fn own(event: &Event, commit: &str) -> Self {
        let reference = event.reference().map(str::to_owned);
        let short = || Self { version: Some(commit.chars().take(7).collect()), ..Self::default() };
        let version = match event {
            Event::Tag { tag } => Self::version(of_tag(tag)),
            Event::PullRequest { .. } => short(),
            _ => Self { branch: reference.clone(), ..short() },
        };
        let commit = Some(commit.to_owned());
        Self { reference, commit, own: true, ..version }
    }

    /// A branch of another repository: it has a commit, but no version.
    pub(super) fn branch(branch: &str, commit: &str) -> Self {
        let branch = Some(branch.to_owned());
        Self { reference: branch.clone(), branch, commit: Some(commit.to_owned()), ..Self::default() }
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

/// The upstreams of all cells, each found once.
pub(super) struct Upstreams<'a> {
    inputs: &'a Inputs<'a>,
    /// What was found for a `ref`, by the place where it is written: many cells share one.
    found: RefCell<BTreeMap<usize, Rc<Upstream>>>,
    /// The refs that were chosen.
    used: RefCell<BTreeMap<String, BTreeSet<RemoteRef>>>,
}

impl<'a> Upstreams<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>) -> Self {
        Self { inputs, found: RefCell::default(), used: RefCell::default() }
    }

    /// The upstream of a cell.
    pub(super) fn of(&self, spec: &CellSpec<'_>) -> Result<Rc<Upstream>, Diagnostic> {
        let place = spec.reference().span.start;
        if let Some(known) = self.found.borrow().get(&place) {
            return Ok(Rc::clone(known));
        }
        let found = Rc::new(self.find(spec)?);
        self.found.borrow_mut().insert(place, Rc::clone(&found));
        Ok(found)
    }

    /// The refs that were chosen, by the address of their repository.
    pub(super) fn used(self) -> Remotes {
        self.used.into_inner().into_iter().map(|(name, refs)| (name, refs.into_iter().collect())).collect()
    }

    fn find(&self, spec: &CellSpec<'_>) -> Result<Upstream, Diagnostic> {
        let (reference, set) = (spec.reference(), self.inputs.set_version(spec));
        let error = |message: String| Diagnostic::new(reference.span.clone(), message);
        let commit = &self.inputs.git.commit;
        match (&reference.value, set) {
            (RefSpec::Value(value), None) => Ok(Upstream::version(without_v(value))),
            (RefSpec::Value(_), Some(version)) => Ok(Upstream::version(without_v(version))),
            (RefSpec::File(path), None) => {
                let text = self.version_file(path).map_err(|e| error(format!("{e:#}")))?;
                Ok(Upstream::written(&text))
            }
            (RefSpec::File(_), Some(version)) => Ok(Upstream::written(version)),
            (RefSpec::SelfRef, None) => Ok(Upstream::own(&self.inputs.event, commit)),
            (RefSpec::SelfRef, Some(version)) => {
                let Upstream { reference, commit, own, .. } = Upstream::own(&self.inputs.event, commit);
                Ok(Upstream { reference, commit, own, ..Upstream::version(without_v(version)) })
            }
            (RefSpec::Branch { repository, branch }, None) => {
                let found = remote::branch(self.refs(repository), branch).ok_or_else(|| {
                    error(format!("{repository} has no branch `{branch}`"))
                        .help(format!("its branches: git ls-remote --heads {repository}"))
                })?;
                self.use_ref(repository, found);
                Ok(Upstream::branch(branch, &found.commit))
            }
            (RefSpec::Tag { repository, pattern }, None) => {
                let (found, tag) = remote::tag(self.refs(repository), pattern).ok_or_else(|| {
                    error(format!("{repository} has no tag that `{}` selects", pattern.as_str()))
                        .help("a pre-release counts only where the pattern names one")
                        .help(format!("its tags: git ls-remote --tags {repository}"))
                })?;
                self.use_ref(repository, found);
                Ok(Upstream::tag(tag, &found.commit))
            }
            (RefSpec::Branch { repository, .. } | RefSpec::Tag { repository, .. }, Some(version)) => {
                self.set_upstream(repository, version).ok_or_else(|| {
                    error(format!("--set-version: {repository} has no tag or branch `{version}`"))
                        .help("give one that it has, or a whole commit")
                })
            }
        }
    }

    /// What a version on the command line names in another repository: a commit, a tag, a branch.
    fn set_upstream(&self, repository: &str, version: &str) -> Option<Upstream> {
        if remote::is_commit(version) {
            return Some(Upstream { commit: Some(version.to_owned()), ..Upstream::default() });
        }
        let (found, is_tag) = remote::named(self.refs(repository), version)?;
        self.use_ref(repository, found);
        let short = found.name.strip_prefix("refs/tags/").unwrap_or(version);
        Some(if is_tag {
            Upstream::tag(short, &found.commit)
        } else {
            Upstream::branch(version, &found.commit)
        })
    }

    fn refs(&self, repository: &str) -> &'a [RemoteRef] {
        self.inputs.remotes.get(repository).map(Vec::as_slice).unwrap_or_default()
    }

    /// Notes a ref for the plan.
    fn use_ref(&self, repository: &str, found: &RemoteRef) {
        self.used.borrow_mut().entry(repository.to_owned()).or_default().insert(found.clone());
    }

    /// A version file holds one line: the version.
    fn version_file(&self, path: &str) -> Result<String> {
        let text = (self.inputs.read)(path)?;
        let version = text.trim();
        if version.is_empty() || version.contains(char::is_whitespace) {
            anyhow::bail!("the version file {path} must hold one version and nothing else");
        }
        Ok(version.to_owned())
    }
}
