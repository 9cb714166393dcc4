//! Digest records: what one build leaves for `merge`; and how records are read.

use anyhow::Result;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::path::{Path, PathBuf};

use crate::base::error::UserError;
use crate::base::files;
use crate::base::ids::{CellId, Digest, Name, Platform, Repository};
use crate::base::inputs::BuildInputs;

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
    /// The hash of the files that the build got: its context, its Dockerfile and local named contexts. None if they could
    /// not be read, or in a record of an earlier version.
    #[serde(default)]
    pub context: Option<Digest>,
    /// What decided what the build has made, where all of it could be told.
    pub inputs: Option<BuildInputs>,
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
    /// As a Dockerfile would name it, e.g. `php:8.2-cli` or `ghcr.io/acme/base@sha256:…`; none if it lies in no registry.
    ///
    /// Source: BuildKit's `util/purl`, which writes these addresses.
    pub(crate) fn reference(&self) -> Option<String> {
        let (name, qualifiers) = self.image.split_once('?').unwrap_or((&self.image, ""));
        let name = name.strip_prefix("pkg:docker/")?;
        let (name, tag) = name.split_once('@').map_or((name, None), |(name, tag)| (name, Some(tag)));
        let plain = |text: &str| text.replace("%3A", ":").replace("%2F", "/");
        let digest = qualifiers.split('&').find_map(|part| part.strip_prefix("digest="));
        let tag = tag.map(|tag| format!(":{}", plain(tag))).unwrap_or_default();
        let digest = digest.map(|digest| format!("@{}", plain(digest))).unwrap_or_default();
        Some(format!("{}{tag}{digest}", plain(name)))
    }

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

/// Where the record of a build lies.
pub fn digest_path(folder: &Path, cell: &CellId, arch: &Name) -> PathBuf {
    folder.join(cell.as_str()).join(format!("{arch}.json"))
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

/// A folder of records and those that lie in it: each attempt of a run leaves artifacts, which may hold files of one name.
pub fn folders(folder: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(folder).into_iter().flatten();
    inside.filter_map(|entry| Some(entry.ok()?.path())).chain([folder.to_owned()]).collect()
}

/// The record that is wanted among those at one place of several folders. What cannot be read is none, and so are several that do
/// not agree: any job of a run can add one.
pub fn find<T: DeserializeOwned + PartialEq>(
    folders: &[PathBuf],
    place: impl Fn(&Path) -> PathBuf,
    wanted: impl Fn(&T) -> bool,
) -> Option<T> {
    let mut found = folders.iter().filter_map(|folder| read(&place(folder)).ok().flatten()).filter(wanted);
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
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
    fn what_does_not_agree_is_none() {
        let folder = std::env::temp_dir().join(format!("xtask-find-{}", std::process::id()));
        let write = |place: &str, value: u32| {
            std::fs::create_dir_all(folder.join(place)).unwrap();
            std::fs::write(folder.join(place).join("x.json"), format!("{{\"schema\":1,\"value\":{value}}}"))
                .unwrap();
        };
        #[derive(Debug, PartialEq, Deserialize)]
        struct Found {
            value: u32,
        }
        let find = |wanted: &[u32]| {
            let place = |folder: &Path| folder.join("x.json");
            find(&folders(&folder), place, |found: &Found| wanted.contains(&found.value))
        };
        assert_eq!(find(&[1]), None);
        write("publication@a", 1);
        write("publication@b", 2);
        assert_eq!(
            (find(&[1]), find(&[2])),
            (Some(Found { value: 1 }), Some(Found { value: 2 })),
            "of its plan"
        );
        assert_eq!(find(&[1, 2]), None);
        write("", 1);
        assert_eq!(find(&[1]), Some(Found { value: 1 }));
        std::fs::remove_dir_all(folder).unwrap();
    }

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
            context: Some(digest("context")),
            inputs: None,
            buildx: String::new(),
            buildkit: None,
            started: String::new(),
            finished: String::new(),
            size: None,
            pushed: true,
            tested: None,
        };
        // A record of before there were hashes of contexts is read all the same.
        let mut json = serde_json::to_value(&record).unwrap();
        assert_eq!(serde_json::from_value::<DigestRecord>(json.clone()).unwrap(), record);
        json.as_object_mut().unwrap().remove("context");
        assert_eq!(serde_json::from_value::<DigestRecord>(json).unwrap().context, None);
        let find = |repository: &str| record.base(&repository.parse().unwrap()).cloned();
        assert_eq!(find("127.0.0.1:5000/base"), Some(digest(images[0])));
        assert_eq!(find("docker.io/acme/app"), Some(digest(images[1])));
        assert_eq!(find("ghcr.io/acme/base"), None);
    }
}
