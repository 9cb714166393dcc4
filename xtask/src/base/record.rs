//! Digest records and publication records: what one process leaves for the next.

use anyhow::Result;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::path::{Path, PathBuf};

use crate::base::error::UserError;
use crate::base::files;
use crate::base::ids::{CellId, Digest, Name, Platform, Repository, Tag};

/// The version of both records' JSON form.
pub const SCHEMA: u32 = 1;

/// What one build made: `<digests>/<cell>/<arch>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The plan that it was built for.
    pub plan: Digest,
    /// The cell.
    pub cell: CellId,
    /// The short name of the platform.
    pub arch: Name,
    /// The platform.
    pub platform: Platform,
    /// Every repository that holds the digest, if it was pushed.
    pub repositories: Vec<Repository>,
    /// What the build made: an index of the image and its attestations.
    pub digest: Digest,
    /// The media type behind the digest.
    pub media_type: String,
    /// The upstream version.
    pub version: Option<String>,
    /// The upstream commit.
    pub commit: Option<String>,
    /// The commit of this repository.
    pub revision: String,
    /// The images that the build started from, as the provenance names them.
    pub bases: Vec<BaseImage>,
    /// The key of the build's inputs, where they could be hashed.
    pub inputs: Option<Digest>,
    /// The version of buildx.
    pub buildx: String,
    /// The version of BuildKit, where the builder told it.
    pub buildkit: Option<String>,
    /// RFC 3339, UTC.
    pub started: String,
    /// RFC 3339, UTC.
    pub finished: String,
    /// The size of the image as it is pulled, its layers compressed, in bytes; none if it was not pushed.
    pub size: Option<u64>,
    /// Whether a registry holds the digest.
    pub pushed: bool,
    /// How the image's own test ran, where it has one. Records of earlier versions do not say.
    #[serde(default)]
    pub tested: Option<Tested>,
}

/// How an image's test ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tested {
    /// On a machine of the image's own platform.
    Native,
    /// Under an emulator.
    Emulated,
}

impl DigestRecord {
    /// The digest of an image of this run that the build stood on, as its provenance names it.
    pub fn base(&self, repository: &Repository) -> Option<&Digest> {
        let is_meant = |base: &&BaseImage| {
            let name = base.image.split_once('/').map_or("", |(_, name)| name);
            let name = name.split(['?', '@']).next().unwrap_or_default().replace("%3A", ":");
            // A package URL leaves Docker Hub's own name out.
            name == repository.as_str() || repository.as_str().strip_prefix("docker.io/") == Some(&name)
        };
        self.bases.iter().find(is_meant).map(|base| &base.digest)
    }
}

/// An image that a build started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseImage {
    /// As a package URL, e.g. `pkg:docker/php@8.2-cli?platform=linux%2Farm64`.
    pub image: String,
    /// Its digest.
    pub digest: Digest,
}

impl BaseImage {
    /// A material of a provenance (SLSA 0.2 or 1), if it is an image.
    pub(crate) fn of_material(material: &Value) -> Option<Self> {
        let image = material
            .get("uri")?
            .as_str()
            .filter(|uri| uri.starts_with("pkg:docker/") || uri.starts_with("pkg:oci/"))?;
        let digest = format!("sha256:{}", material.pointer("/digest/sha256")?.as_str()?).parse().ok()?;
        Some(Self { image: image.to_owned(), digest })
    }
}

/// What one merge published: `<publications>/<cell>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// [`SCHEMA`].
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
    /// [`SCHEMA`].
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
    /// The tags of the plan that a newer publication holds. They are claimed all the same: should something older be
    /// written over the newer publication, this one has the better right.
    #[serde(default)]
    pub skipped: Vec<Tag>,
    /// How it is signed.
    pub signature: SignatureFacts,
    /// RFC 3339, UTC.
    pub published: String,
}

/// One platform of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Whether it claims a tag.
    pub fn claims(&self, tag: &Tag) -> bool {
        self.tags.iter().any(|own| own.name == *tag) || self.skipped.contains(tag)
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

/// Where the record of a build lies.
pub fn digest_path(folder: &Path, cell: &CellId, arch: &Name) -> PathBuf {
    folder.join(cell.as_str()).join(format!("{arch}.json"))
}

/// Where the record of a publication lies.
pub fn publication_path(folder: &Path, cell: &CellId) -> PathBuf {
    folder.join(format!("{cell}.json"))
}

/// Reads a record. `None` if there is none.
///
/// # Errors
/// If it cannot be read or is damaged.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = files::read_optional(path)? else { return Ok(None) };
    let schema: Schema = serde_json::from_slice(&bytes).map_err(|error| damaged(path, &error.to_string()))?;
    if schema.schema != SCHEMA {
        return Err(damaged(path, &format!("schema {} is not supported, expected {SCHEMA}", schema.schema)));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(path, &error.to_string()))
}

#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

fn damaged(path: &Path, why: &str) -> anyhow::Error {
    UserError::invalid(format!("{} is damaged: {why}", path.display())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_found_by_their_repository() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let base = |image: &str| BaseImage { image: image.into(), digest: digest(image) };
        let images = [
            "pkg:docker/127.0.0.1%3A5000/base?digest=sha256:0&platform=linux%2Famd64",
            "pkg:docker/acme/app@1.2?platform=linux%2Famd64",
            "pkg:docker/ghcr.io/acme/base-more@1",
        ];
        let record = DigestRecord {
            schema: SCHEMA,
            plan: digest("plan"),
            cell: "app".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            platform: "linux/amd64".parse().unwrap(),
            repositories: Vec::new(),
            digest: digest("app"),
            media_type: String::new(),
            version: None,
            commit: None,
            revision: String::new(),
            bases: images.map(base).to_vec(),
            inputs: None,
            buildx: String::new(),
            buildkit: None,
            started: String::new(),
            finished: String::new(),
            size: None,
            pushed: true,
            tested: None,
        };
        let find = |repository: &str| record.base(&repository.parse().unwrap()).cloned();
        assert_eq!(find("127.0.0.1:5000/base"), Some(digest(images[0])));
        assert_eq!(find("docker.io/acme/app"), Some(digest(images[1])));
        assert_eq!(find("ghcr.io/acme/base"), None);
    }
}
