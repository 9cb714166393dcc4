//! What `docker buildx build --metadata-file` writes.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::path::Path;

use crate::base::error::UserError;
use crate::base::files;
use crate::base::ids::Digest;
use crate::base::inputs::Sources;
use crate::base::record::BaseImage;

/// The parts of the metadata that go into a record.
#[derive(Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `containerimage.digest`: with provenance that of an index, image and attestation together.
    pub digest: Digest,
    /// The media type of `containerimage.descriptor`.
    pub media_type: String,
    /// The images among the provenance's materials.
    pub bases: Vec<BaseImage>,
    /// Where the contents come from.
    pub sources: Sources,
    /// The files and repositories that were fetched, each with the hash or commit that came.
    pub fetched: Vec<(String, String)>,
    /// The bases that BuildKit took for another platform than it was asked for, in its own words.
    pub foreign_bases: Vec<String>,
}

impl Metadata {
    /// Reads the file of a finished build.
    ///
    /// # Errors
    /// If buildx wrote none, or one without a digest.
    pub fn read(path: &Path) -> Result<Self> {
        let missing = || UserError::failed(format!("buildx wrote no metadata to {}", path.display()));
        let bytes = files::read_optional(path)?.ok_or_else(missing)?;
        let value: Value =
            serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))?;
        // bake nests the same fields below the name of each target; we ask for one at a time.
        let nested = value
            .as_object()
            .and_then(|targets| targets.values().find(|target| target.get(DIGEST).is_some()));
        let value = if value.get(DIGEST).is_some() { &value } else { nested.unwrap_or(&value) };
        Self::parse(value).with_context(|| format!("reading {}", path.display()))
    }

    fn parse(value: &Value) -> Result<Self> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let digest = text(value.get(DIGEST)).context("it names no containerimage.digest")?.parse()?;
        let descriptor = value.get("containerimage.descriptor");
        let media_type = text(descriptor.and_then(|found| found.get("mediaType"))).unwrap_or_default();
        let provenance = provenance(value);
        let materials = provenance.and_then(|found| found.get("materials")).and_then(Value::as_array);
        let materials: Vec<&Value> = materials.into_iter().flatten().collect();
        let steps = provenance.and_then(|found| found.pointer("/buildConfig/llbDefinition"));
        let mut sources = sources(&materials, steps.and_then(Value::as_array));
        if provenance.is_none() {
            sources.unknown.push("the build metadata has no provenance".to_owned());
        }
        let warnings = value.get("buildx.build.warnings").and_then(Value::as_array);
        Ok(Self {
            digest,
            media_type,
            bases: materials.iter().copied().filter_map(BaseImage::of_material).collect(),
            sources,
            fetched: materials.iter().filter_map(|material| fetched(material)).collect(),
            foreign_bases: warnings.into_iter().flatten().filter_map(foreign_base).collect(),
        })
    }
}

/// The provenance, which buildx puts under the name of the platform where it makes an index of one.
fn provenance(value: &Value) -> Option<&Value> {
    const KEY: &str = "buildx.build.provenance";
    let named = || value.as_object()?.iter().find(|(key, _)| key.starts_with(KEY));
    value.get(KEY).or_else(|| named().map(|(_, found)| found))
}

/// The images among the materials, and whether a step could use the network.
fn sources(materials: &[&Value], steps: Option<&Vec<Value>>) -> Sources {
    let mut found =
        Sources { network: steps.is_none_or(|steps| steps.iter().any(uses_network)), ..Sources::default() };
    for material in materials {
        let uri = material.get("uri").and_then(Value::as_str).unwrap_or_default();
        match BaseImage::of_material(material).and_then(|base| Some((base.reference()?, base.digest))) {
            Some((reference, digest)) => {
                if found.images.insert(reference.clone(), digest.clone()).is_some_and(|other| other != digest)
                {
                    found.unknown.push(format!("{reference} stands for two images"));
                }
            }
            None if fetched(material).is_some() => {}
            None => found.unknown.push(format!("{uri} cannot be compared")),
        }
    }
    found
}

/// Whether a step of the definition runs a program that is not kept from the network. A field that is not there has its
/// first value, which is the sandbox with a network; 2 is none.
/// Source: `NetMode` in BuildKit's `solver/pb/ops.proto`.
fn uses_network(step: &Value) -> bool {
    const NONE: u64 = 2;
    let exec = step.pointer("/op/Op/exec");
    exec.is_some_and(|exec| exec.get("network").and_then(Value::as_u64) != Some(NONE))
}

/// What a material is that was fetched by its address: `ADD https://…`, or a repository of git.
fn fetched(material: &Value) -> Option<(String, String)> {
    let uri = material.get("uri")?.as_str().filter(|uri| uri.contains("://"))?;
    let digest = material.get("digest")?.as_object()?.values().next()?.as_str()?;
    Some((uri.to_owned(), digest.to_owned()))
}

/// A warning of the check `InvalidBaseImagePlatform`, without its name. With `BUILDX_METADATA_WARNINGS` buildx writes
/// warnings into the metadata, their texts in base64. <https://docs.docker.com/reference/build-checks/>
fn foreign_base(warning: &Value) -> Option<String> {
    let text = STANDARD.decode(warning.get("short")?.as_str()?).ok()?;
    String::from_utf8_lossy(&text).strip_prefix("InvalidBaseImagePlatform: ").map(str::to_owned)
}

const DIGEST: &str = "containerimage.digest";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bases_are_the_images_among_the_materials() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let value = json!({
            "containerimage.digest": format!("sha256:{hex}"),
            "containerimage.descriptor": { "mediaType": "application/vnd.oci.image.index.v1+json" },
            "buildx.build.provenance": { "materials": [
                { "uri": "pkg:docker/php@8.2-cli?platform=linux%2Farm64", "digest": { "sha256": hex } },
                { "uri": "https://example.com/x.tar.gz", "digest": { "sha256": hex } },
                { "uri": "pkg:docker/broken@1", "digest": { "sha256": "zz" } }
            ]},
            "buildx.build.warnings": [
                { "short": STANDARD.encode("InvalidBaseImagePlatform: Base image x was pulled with platform") },
                { "short": STANDARD.encode("JSONArgsRecommended: x") },
                { "short": 3 }
            ]
        });
        let metadata = Metadata::parse(&value).unwrap();
        assert_eq!(metadata.bases.len(), 1);
        assert_eq!(metadata.foreign_bases, ["Base image x was pulled with platform"]);
        assert_eq!(metadata.media_type, "application/vnd.oci.image.index.v1+json");
        assert!(Metadata::parse(&json!({})).is_err());
        // Nothing told is not the same as nothing used.
        let silent = json!({ "containerimage.digest": format!("sha256:{hex}") });
        assert_eq!(Metadata::parse(&silent).unwrap().sources.unknown.len(), 1);
        let of_platform = json!({
            "containerimage.digest": format!("sha256:{hex}"),
            "buildx.build.provenance/linux/amd64": {
                "materials": [{ "uri": "pkg:docker/php@8?platform=x", "digest": { "sha256": hex } }],
                "buildConfig": { "llbDefinition": [{ "op": { "Op": { "exec": { "network": 2 } } } }] },
            },
        });
        let sources = Metadata::parse(&of_platform).unwrap().sources;
        assert_eq!((sources.images.len(), sources.network, sources.unknown.len()), (1, false, 0));
    }
}
