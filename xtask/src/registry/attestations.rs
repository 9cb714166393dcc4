//! What BuildKit attests about the image of each platform: how it was built, and of what. Pure.
//!
//! Sources: BuildKit's `docs/attestations/`, SLSA provenance (v1 and v0.2), the in-toto statement's predicate types.

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

use crate::base::error::Fault;
use crate::base::ids::{Digest, Platform};
use crate::base::record::BaseImage;
use crate::registry::image_config::ImageConfig;
use crate::registry::manifest::Manifest;

/// What is asked of `imagetools inspect --format`.
pub const DESCRIPTION: &str = r#"{"image":{{json .Image}},"provenance":{{json .Provenance}}}"#;

/// The provenance of one platform's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// Who built it, as the builder says; empty where it was not told.
    pub builder: String,
    /// The images that it stands on.
    pub materials: Vec<BaseImage>,
}

/// Everything that one `imagetools inspect` tells of an index.
#[derive(Debug)]
pub struct Description(Value);

impl Description {
    /// Reads what [`DESCRIPTION`] gives.
    ///
    /// # Errors
    /// If it is no JSON.
    pub fn parse(stdout: &[u8]) -> Result<Self> {
        serde_json::from_slice(stdout).map(Self).context("buildx's description of an image is no JSON")
    }

    /// The part of a platform: an index of one image has no level for the platform.
    fn part(&self, kind: &str, platform: &Platform, single: &str) -> Option<&Value> {
        let value = self.0.get(kind)?;
        if value.get(single).is_some() {
            return Some(value);
        }
        let matches = |name: &str| {
            let mut parts = name.split('/');
            let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            platform.matches(os, architecture, parts.next())
        };
        value.as_object()?.iter().find(|(name, _)| matches(name)).map(|(_, part)| part)
    }

    /// The configuration of a platform's image.
    ///
    /// # Errors
    /// If there is none.
    pub fn image(&self, platform: &Platform) -> Result<ImageConfig> {
        let part = self
            .part("image", platform, "architecture")
            .with_context(|| format!("no image for {platform}"))?;
        serde_json::from_value(part.clone()).with_context(|| format!("the configuration for {platform}"))
    }

    /// The provenance of a platform's image.
    pub fn provenance(&self, platform: &Platform) -> Option<Provenance> {
        let slsa = self.part("provenance", platform, "SLSA")?.get("SLSA")?;
        let text = |pointer: &str| slsa.pointer(pointer).and_then(Value::as_str);
        let materials = ["/buildDefinition/resolvedDependencies", "/materials"];
        let materials = materials.iter().find_map(|pointer| slsa.pointer(pointer)).and_then(Value::as_array);
        Some(Provenance {
            builder: text("/runDetails/builder/id")
                .or_else(|| text("/builder/id"))
                .unwrap_or_default()
                .to_owned(),
            materials: materials.into_iter().flatten().filter_map(crate::build::metadata::base).collect(),
        })
    }
}

/// The kinds of statements that the attestation of an image holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statements(Vec<String>);

impl Statements {
    /// Reads the attestation manifest of an image.
    ///
    /// # Errors
    /// If it is about another image.
    pub fn of(manifest: &Manifest, image: &Digest) -> Result<Self> {
        if let Some(subject) = manifest.subject.as_ref().filter(|subject| subject.digest != *image) {
            let text = format!("the attestation of {image} is about {}", subject.digest);
            return Err(Fault::failed(text).into());
        }
        let kind = |layer: &crate::registry::manifest::Layer| {
            layer.annotations.get("in-toto.io/predicate-type").cloned()
        };
        Ok(Self(manifest.layers.iter().filter_map(kind).collect()))
    }

    /// The type of the provenance, e.g. `https://slsa.dev/provenance/v1`.
    pub fn provenance(&self) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|kind| kind.starts_with("https://slsa.dev/provenance/"))
    }

    /// Whether there is an SBOM: SPDX is what BuildKit writes, CycloneDX what some generators do.
    pub fn sbom(&self) -> bool {
        self.0.iter().any(|kind| {
            kind.starts_with("https://spdx.dev/Document") || kind.starts_with("https://cyclonedx.org/bom")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn one_platform_and_many_read_alike() {
        let image = r#"{"architecture":"arm64","os":"linux","config":{"Cmd":["x"]}}"#;
        let slsa = format!(
            r#"{{"SLSA":{{"buildDefinition":{{"resolvedDependencies":[{{"uri":"pkg:docker/php@8","digest":{{"sha256":"{HEX}"}}}}]}},
            "runDetails":{{"builder":{{"id":"https://ci/1"}}}}}}}}"#
        );
        let many = format!(r#"{{"image":{{"linux/arm64":{image}}},"provenance":{{"linux/arm64":{slsa}}}}}"#);
        let single = format!(r#"{{"image":{image},"provenance":{slsa}}}"#);
        let platform = "linux/arm64".parse().unwrap();
        for text in [many, single] {
            let found = Description::parse(text.as_bytes()).unwrap();
            assert_eq!(found.image(&platform).unwrap().program(), Some("x"), "{text}");
            let provenance = found.provenance(&platform).unwrap();
            assert_eq!((provenance.builder.as_str(), provenance.materials.len()), ("https://ci/1", 1));
        }
        let none = Description::parse(br#"{"image":{},"provenance":{}}"#).unwrap();
        assert!(none.image(&platform).is_err() && none.provenance(&platform).is_none());
        assert!(Description::parse(b"ERROR").is_err());
    }

    #[test]
    fn statements_name_their_kinds_and_their_image() {
        let manifest = |subject: &str| {
            let text = format!(
                r#"{{"layers":[{{"annotations":{{"in-toto.io/predicate-type":"https://slsa.dev/provenance/v1"}}}},
                {{"annotations":{{"in-toto.io/predicate-type":"https://spdx.dev/Document"}}}},{{}}]{subject}}}"#
            );
            Manifest::parse(text.as_bytes()).unwrap()
        };
        let image = Digest::of(b"");
        let found = Statements::of(&manifest(""), &image).unwrap();
        assert_eq!((found.provenance(), found.sbom()), (Some("https://slsa.dev/provenance/v1"), true));
        let subject = format!(r#","subject":{{"digest":"sha256:{HEX}"}}"#);
        assert!(Statements::of(&manifest(&subject), &image).is_ok());
        assert!(Statements::of(&manifest(&subject), &Digest::of(b"x")).is_err());
    }
}
