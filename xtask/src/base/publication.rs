//! Publication records: what a merge leaves for the next, for `verify`, for `rollback` and for other machines.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use crate::base::ids::{CellId, Digest, Platform, Repository, Tag};
use crate::base::inputs::CellInputs;

/// What one merge published: `<publications>/<cell>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// [`crate::base::record::SCHEMA`].
    pub schema: u32,
    /// The plan.
    pub plan: Digest,
    /// When the plan was made, RFC 3339 in UTC; none in records of older versions of this tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<String>,
    /// The cell.
    pub cell: CellId,
    /// The upstream version.
    pub version: Option<String>,
    /// The upstream commit.
    pub commit: Option<String>,
    /// The commit of this repository.
    pub revision: String,
    /// The code date of that commit, RFC 3339 in UTC; none in records of older versions of this tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_date: Option<String>,
    /// The repositories that are done: index pushed, signed, verified, tagged.
    pub repositories: Vec<Repository>,
    /// Those that are not: there no tag was moved, or not all. The next merge goes on with them.
    pub unfinished: Vec<Unfinished>,
    /// The digest of the index.
    pub digest: Digest,
    /// The image of each platform.
    pub children: Vec<Child>,
    /// The tags that hold the digest, repository after repository, in the order in which they are set.
    pub tags: Vec<PublishedTag>,
    /// The tags that stay where they are because the cell is held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldTag>,
    /// What decided what it is; none if that cannot be told, and in records of older versions of this tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<CellInputs>,
    /// How it is signed.
    pub signature: SignatureFacts,
    /// RFC 3339, UTC.
    pub published: String,
}

/// What is attached to an index, signed, before its first tag moves: it says who claims which tags of one repository, and
/// what they held. [`Publication`] is what became of it, as far as this machine knows.
///
/// Its JSON form has the fields of a [`Publication`] of one repository, as earlier versions of this tool wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicationClaim {
    /// [`crate::base::record::SCHEMA`].
    pub schema: u32,
    /// The plan.
    pub plan: Digest,
    /// As [`Publication::planned`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<String>,
    /// The cell.
    pub cell: CellId,
    /// The upstream version.
    pub version: Option<String>,
    /// The upstream commit.
    pub commit: Option<String>,
    /// The commit of this repository.
    pub revision: String,
    /// As [`Publication::code_date`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_date: Option<String>,
    /// The repository: a list of one.
    pub repositories: Vec<Repository>,
    /// Always empty, and not written any more.
    #[serde(default, skip_serializing)]
    pub unfinished: Vec<Unfinished>,
    /// The digest of the index.
    pub digest: Digest,
    /// The image of each platform.
    pub children: Vec<Child>,
    /// The tags that move, in the order in which they are set, and those that hold the index already.
    pub tags: Vec<PublishedTag>,
    /// Tags that it claims and does not set: those of the plan that a newer publication holds, as this one has the better
    /// right should something older be written over that; and those of earlier plans that have kept it.
    #[serde(default)]
    pub skipped: Vec<Tag>,
    /// As [`Publication::inputs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<CellInputs>,
    /// How it is signed.
    pub signature: SignatureFacts,
    /// RFC 3339, UTC.
    pub published: String,
}

/// One platform of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Child {
    /// The platform.
    pub platform: Platform,
    /// Its image manifest.
    pub digest: Digest,
}

/// A repository that a publication did not reach, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfinished {
    /// The repository.
    pub repository: Repository,
    /// What stopped it.
    pub error: String,
}

/// A tag and what it held before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedTag {
    /// The repository.
    pub repository: Repository,
    /// The tag.
    pub name: Tag,
    /// Its digest before this publication; none if it was new.
    pub moved_from: Option<Digest>,
}

/// A tag that a hold keeps where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldTag {
    /// The repository.
    pub repository: Repository,
    /// The tag.
    pub name: Tag,
    /// Since when, why, until when: a sentence.
    pub why: String,
}

/// The facts that a consumer can check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureFacts {
    /// `keyless`, `key`, `local` or `none`.
    pub method: String,
    /// The identity that the certificate must bear.
    pub identity: Option<String>,
    /// The public key.
    pub key: Option<String>,
}

impl Publication {
    /// Takes over what tags held before from an earlier record of the same digest: a merge that is
    /// run again finds its tags set already, and would forget where they came from.
    #[must_use]
    pub fn remember(mut self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier.filter(|earlier| earlier.digest == self.digest) else { return self };
        remember(&mut self.tags, &earlier.tags);
        // A repository that was done before and cannot be reached now still holds its tags.
        let unreached =
            |tag: &&PublishedTag| self.unfinished.iter().any(|one| one.repository == tag.repository);
        let kept: Vec<PublishedTag> = earlier.tags.iter().filter(unreached).cloned().collect();
        self.tags.extend(kept);
        self
    }

    /// Its tags in one repository.
    pub fn tags_in<'a>(
        &'a self,
        repository: &'a Repository,
    ) -> impl DoubleEndedIterator<Item = &'a PublishedTag> {
        self.tags.iter().filter(move |tag| tag.repository == *repository)
    }

    /// What stopped it in a repository, if it is not done there.
    pub fn unfinished_in(&self, repository: &Repository) -> Option<&Unfinished> {
        self.unfinished.iter().find(|one| one.repository == *repository)
    }

    /// What it says about one repository, as if it had been attached there. Where nothing is signed nothing is attached.
    pub fn claim(self, repository: &Repository) -> PublicationClaim {
        let tags = self.tags_in(repository).cloned().collect();
        PublicationClaim {
            schema: self.schema,
            plan: self.plan,
            planned: self.planned,
            cell: self.cell,
            version: self.version,
            commit: self.commit,
            revision: self.revision,
            code_date: self.code_date,
            repositories: vec![repository.clone()],
            unfinished: Vec::new(),
            digest: self.digest,
            children: self.children,
            tags,
            skipped: Vec::new(),
            inputs: self.inputs,
            signature: self.signature,
            published: self.published,
        }
    }
}

impl PublicationClaim {
    /// As [`Publication::remember`].
    #[must_use]
    pub fn remember(mut self, earlier: Option<&Self>) -> Self {
        if let Some(earlier) = earlier.filter(|earlier| earlier.digest == self.digest) {
            remember(&mut self.tags, &earlier.tags);
        }
        self
    }

    /// With the tags that an earlier record claims and this plan does not have: they may still hold the index.
    #[must_use]
    pub fn with_claims_of(mut self, earlier: &Self) -> Self {
        let more: Vec<Tag> = earlier.claimed().filter(|tag| !self.claims(tag)).cloned().collect();
        self.skipped.extend(more);
        self
    }

    /// Whether it claims all that another one does.
    pub fn claims_all_of(&self, other: &Self) -> bool {
        other.claimed().all(|tag| self.claims(tag))
    }

    /// The tags that it claims.
    fn claimed(&self) -> impl Iterator<Item = &Tag> {
        self.tags.iter().map(|tag| &tag.name).chain(&self.skipped)
    }

    /// Whether it claims a tag.
    pub fn claims(&self, tag: &Tag) -> bool {
        self.claimed().any(|own| own == tag)
    }

    /// What became of it: the tags that hold its index.
    pub fn published(self, tags: Vec<PublishedTag>) -> Publication {
        Publication {
            schema: self.schema,
            plan: self.plan,
            planned: self.planned,
            cell: self.cell,
            version: self.version,
            commit: self.commit,
            revision: self.revision,
            code_date: self.code_date,
            repositories: self.repositories,
            unfinished: Vec::new(),
            digest: self.digest,
            children: self.children,
            tags,
            held: Vec::new(),
            inputs: self.inputs,
            signature: self.signature,
            published: self.published,
        }
    }
}

/// Fills in what tags held before, where an earlier record knows it.
fn remember(tags: &mut [PublishedTag], earlier: &[PublishedTag]) {
    for tag in tags.iter_mut().filter(|tag| tag.moved_from.is_none()) {
        let same = |other: &&PublishedTag| other.name == tag.name && other.repository == tag.repository;
        tag.moved_from = earlier.iter().find(same).and_then(|other| other.moved_from.clone());
    }
}

/// Where the record of a publication lies.
pub fn publication_path(folder: &Path, cell: &CellId) -> PathBuf {
    folder.join(format!("{cell}.json"))
}
