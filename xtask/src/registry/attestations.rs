//! What BuildKit attests about the image of each platform: how it was built, and of what. Pure.
//!
//! Sources: BuildKit's `docs/attestations/`, SLSA provenance (v1 and v0.2), the in-toto statement (v0.1 and v1).

use anyhow::{Context as _, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::base::error::UserError;
use crate::base::ids::Digest;
use crate::base::record::BaseImage;
use crate::registry::manifest::{BlobDescriptor, Manifest};

/// How the type of each provenance begins.
const PROVENANCE: &str = "https://slsa.dev/provenance/";

/// The provenance of one platform's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// Who built it, as the builder says; empty where it was not told.
    pub builder: String,
    /// The images that it stands on.
    pub materials: Vec<BaseImage>,
}

impl Provenance {
    /// Reads the predicate of a statement, of SLSA 1 or 0.2.
    fn of(predicate: &Value) -> Self {
        let text = |pointer: &str| predicate.pointer(pointer).and_then(Value::as_str);
        let materials = ["/buildDefinition/resolvedDependencies", "/materials"];
        let materials =
            materials.iter().find_map(|pointer| predicate.pointer(pointer)).and_then(Value::as_array);
        Self {
            builder: text("/runDetails/builder/id")
                .or_else(|| text("/builder/id"))
                .unwrap_or_default()
                .to_owned(),
            materials: materials.into_iter().flatten().filter_map(BaseImage::of_material).collect(),
        }
    }
}

/// An in-toto statement.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement<P> {
    predicate_type: String,
    subject: Vec<Subject>,
    predicate: P,
}

/// What a statement is about.
#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

/// What is stated about one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statements {
    kinds: Vec<String>,
    provenance: Option<Provenance>,
}

impl Statements {
    /// The statements that the attestation manifest of an image lists: the type of each, and where it is.
    ///
    /// # Errors
    /// If the manifest is about another image.
    pub fn listed<'m>(manifest: &'m Manifest, image: &Digest) -> Result<Vec<(&'m str, &'m BlobDescriptor)>> {
        if let Some(subject) = manifest.subject.as_ref().filter(|subject| subject.digest != *image) {
            let text = format!("the attestation of {image} is about {}", subject.digest);
            return Err(UserError::failed(text).into());
        }
        let kind = |layer: &'m BlobDescriptor| {
            Some((layer.annotations.get("in-toto.io/predicate-type")?.as_str(), layer))
        };
        Ok(manifest.layers.iter().filter_map(kind).collect())
    }

    /// Adds a statement about an image that is listed as of a type.
    ///
    /// # Errors
    /// If it is of another type, or about something else.
    pub fn add(&mut self, kind: &str, statement: &[u8], image: &Digest) -> Result<()> {
        if kind.starts_with(PROVENANCE) {
            self.provenance = Some(Provenance::of(&predicate::<Value>(kind, statement, image)?));
        } else {
            predicate::<IgnoredAny>(kind, statement, image)?;
        }
        self.add_unread(kind);
        Ok(())
    }

    /// Adds a statement of which only the type is known.
    pub fn add_unread(&mut self, kind: &str) {
        self.kinds.push(kind.to_owned());
    }

    /// The type of the provenance, e.g. `https://slsa.dev/provenance/v1`.
    pub fn provenance_type(&self) -> Option<&str> {
        self.kinds.iter().map(String::as_str).find(|kind| kind.starts_with(PROVENANCE))
    }

    /// What the provenance says.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.provenance.as_ref()
    }

    /// Whether there is an SBOM: SPDX is what BuildKit writes, CycloneDX what some generators do.
    pub fn sbom(&self) -> bool {
        self.kinds.iter().any(|kind| {
            kind.starts_with("https://spdx.dev/Document") || kind.starts_with("https://cyclonedx.org/bom")
        })
    }
}

/// The predicate of a statement that has to be of a type, and about an image.
fn predicate<P: DeserializeOwned>(kind: &str, statement: &[u8], image: &Digest) -> Result<P> {
    let read: Statement<P> = serde_json::from_slice(statement)
        .with_context(|| format!("the statement {kind} about {image} is not an in-toto statement"))?;
    if read.predicate_type != kind {
        let text = format!("the statement {kind} about {image} is of the type {}", read.predicate_type);
        return Err(UserError::failed(text).into());
    }
    let named = |subject: &Subject| subject.digest.get("sha256").is_some_and(|hex| hex == image.hex());
    if !read.subject.iter().any(named) {
        let text = format!("the statement {kind} about {image} names another subject");
        return Err(UserError::failed(text).into());
    }
    Ok(read.predicate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const SLSA: &str = "https://slsa.dev/provenance/v1";

    fn statement(kind: &str, predicate: &str) -> String {
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","predicateType":"{kind}",
            "subject":[{{"name":"pkg:docker/x","digest":{{"sha256":"{HEX}"}}}}],"predicate":{predicate}}}"#
        )
    }

    #[test]
    fn both_versions_of_a_provenance_are_read() {
        let material =
            format!(r#"[{{"uri":"pkg:docker/php@8","digest":{{"sha256":"{HEX}"}}}},{{"uri":"https://x"}}]"#);
        for (kind, predicate) in [
            (
                SLSA,
                format!(
                    r#"{{"buildDefinition":{{"resolvedDependencies":{material}}},"runDetails":{{"builder":{{"id":"https://ci/1"}}}}}}"#
                ),
            ),
            (
                "https://slsa.dev/provenance/v0.2",
                format!(r#"{{"builder":{{"id":"https://ci/1"}},"materials":{material}}}"#),
            ),
        ] {
            let mut found = Statements::default();
            found.add(kind, statement(kind, &predicate).as_bytes(), &Digest::of(b"")).unwrap();
            let provenance = found.provenance().unwrap();
            assert_eq!(
                (provenance.builder.as_str(), provenance.materials.len()),
                ("https://ci/1", 1),
                "{kind}"
            );
            assert_eq!((found.provenance_type(), found.sbom()), (Some(kind), false));
        }
    }

    #[test]
    fn a_statement_is_of_its_type_and_about_its_image() {
        let spdx = "https://spdx.dev/Document";
        let mut found = Statements::default();
        let text = statement(spdx, r#"{"packages":[]}"#);
        found.add(spdx, text.as_bytes(), &Digest::of(b"")).unwrap();
        assert!(found.sbom() && found.provenance().is_none());
        assert!(found.add(spdx, text.as_bytes(), &Digest::of(b"x")).is_err(), "another image");
        assert!(found.add(SLSA, text.as_bytes(), &Digest::of(b"")).is_err(), "another type");
        assert!(found.add(spdx, b"{}", &Digest::of(b"")).is_err(), "not a statement");
    }

    #[test]
    fn an_attestation_lists_its_statements() {
        let manifest = |subject: &str| {
            let text = format!(
                r#"{{"layers":[{{"digest":"sha256:{HEX}","annotations":{{"in-toto.io/predicate-type":"{SLSA}"}}}},{{}}]{subject}}}"#
            );
            Manifest::parse(text.as_bytes()).unwrap()
        };
        let image = Digest::of(b"");
        let plain = manifest("");
        let listed = Statements::listed(&plain, &image).unwrap();
        assert_eq!(listed.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [SLSA]);
        let subject = format!(r#","subject":{{"digest":"sha256:{HEX}"}}"#);
        assert!(Statements::listed(&manifest(&subject), &image).is_ok());
        assert!(Statements::listed(&manifest(&subject), &Digest::of(b"x")).is_err());
    }
}
