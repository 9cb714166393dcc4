//! The parts of OCI manifests that we look at.
//!
//! Sources: the OCI image spec (image index, descriptor), and BuildKit's
//! `docs/attestations/attestation-storage.md` for how attestations are listed.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::base::ids::{Digest, Platform};

/// The largest manifest that a registry has to accept (OCI distribution spec: 4 MiB).
pub const LIMIT: usize = 4 << 20;

/// A manifest, as far as it lists other things.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The media type.
    #[serde(default)]
    pub media_type: String,
    /// What an index lists. An image manifest has none.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// What an image or attestation manifest holds. An index has none.
    #[serde(default)]
    pub layers: Vec<BlobDescriptor>,
    /// The configuration of an image. An index has none.
    #[serde(default)]
    pub config: Option<BlobDescriptor>,
    /// What it is about, where it refers to something (OCI 1.1).
    #[serde(default)]
    pub subject: Option<Subject>,
}

/// Whether a media type, as a manifest or a header has it, is that of an index.
pub(super) fn is_index(media_type: &str) -> bool {
    let plain = media_type.split(';').next().unwrap_or_default().trim();
    plain.ends_with("image.index.v1+json") || plain.ends_with("manifest.list.v2+json")
}

/// A blob that a manifest names.
#[derive(Debug, Clone, Deserialize)]
pub struct BlobDescriptor {
    /// The type of its content.
    #[serde(default, rename = "mediaType")]
    pub media_type: String,
    /// Its digest, by any algorithm.
    #[serde(default)]
    pub digest: String,
    /// Its size as the registry holds it, in bytes.
    #[serde(default)]
    pub size: u64,
    /// Its annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest refers to.
#[derive(Debug, Clone, Deserialize)]
pub struct Subject {
    /// Its digest.
    pub digest: Digest,
}

/// An entry of an index.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it points to.
    pub digest: Digest,
    /// The type of what refers to something, in a list of referrers.
    #[serde(default)]
    pub artifact_type: String,
    /// The platform; `unknown/unknown` for attestations.
    pub platform: Option<DescribedPlatform>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// A platform as descriptors spell it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DescribedPlatform {
    /// E.g. `linux`.
    pub os: String,
    /// E.g. `arm64`.
    pub architecture: String,
    /// E.g. `v7`.
    #[serde(default)]
    pub variant: Option<String>,
}

impl Manifest {
    /// Parses what a registry holds.
    ///
    /// # Errors
    /// If it is too large or no manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        anyhow::ensure!(
            bytes.len() <= LIMIT,
            "a manifest of {} bytes is more than the limit of {LIMIT}",
            bytes.len()
        );
        serde_json::from_slice(bytes).context("the registry's answer is no manifest")
    }

    /// What an image manifest lists, in bytes.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// Whether it is an index (or Docker's older manifest list).
    pub fn is_index(&self) -> bool {
        is_index(&self.media_type)
    }

    /// The images that an index lists, without their attestations.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|entry| entry.attested().is_none())
    }

    /// The attestations of one image.
    pub fn attestations<'a>(&'a self, image: &'a Digest) -> impl Iterator<Item = &'a Descriptor> {
        self.manifests.iter().filter(move |entry| entry.attested() == Some(image.as_str()))
    }
}

impl Descriptor {
    /// The digest of the image that this entry attests, if it is an attestation.
    fn attested(&self) -> Option<&str> {
        let kind = self.annotations.get("vnd.docker.reference.type")?;
        let subject = self.annotations.get("vnd.docker.reference.digest")?;
        (kind == "attestation-manifest").then_some(subject)
    }

    /// Whether it is for a platform.
    pub fn is_for(&self, platform: &Platform) -> bool {
        self.platform
            .as_ref()
            .is_some_and(|found| platform.matches(&found.os, &found.architecture, found.variant.as_deref()))
    }

    /// The platform as text, e.g. `linux/arm/v7`.
    pub fn platform_text(&self) -> String {
        self.platform.as_ref().map_or_else(
            || "no platform".to_owned(),
            |found| {
                let variant = found.variant.as_deref().filter(|variant| !variant.is_empty());
                [Some(found.os.as_str()), Some(found.architecture.as_str()), variant]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("/")
            },
        )
    }
}
