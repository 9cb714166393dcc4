//! The attestations of a published index, as `verify` shows and checks them.

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::base::error::UserError;
use crate::base::ids::{Digest, Platform, Repository};
use crate::base::publication::Child;
use crate::base::record::BaseImage;
use crate::matrix::Sbom;
use crate::plan::Cell;
use crate::registry::manifest::Descriptor;
use crate::registry::{FetchedManifest, Registry};

/// The image of one platform, and what is attested about it.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The platform, as the index names it.
    pub platform: String,
    /// The image.
    pub digest: Digest,
    /// The type of the provenance; none if there is none.
    provenance: Option<String>,
    /// Who built it; empty where the builder did not say.
    builder: Option<String>,
    /// The images that it stands on.
    materials: Vec<BaseImage>,
    sbom: bool,
}

impl Checked {
    /// What is attested, for people.
    pub fn attested(&self) -> String {
        let Some(kind) = &self.provenance else { return "nothing attested".to_owned() };
        let kind = kind.rsplit('/').next().unwrap_or(kind);
        let builder = self.builder.as_deref().filter(|id| !id.is_empty());
        let parts = [
            Some(format!("SLSA {kind}")),
            self.sbom.then(|| "SBOM".to_owned()),
            builder.map(|id| format!("built by {id}")),
            Some(match self.materials.len() {
                1 => "1 base image".to_owned(),
                count => format!("{count} base images"),
            }),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The image of each platform in an index, with what is attested about it. All of it has to fit together.
pub fn images(registry: &Registry, repository: &Repository, held: &FetchedManifest) -> Result<Vec<Checked>> {
    held.manifest.images().map(|entry| image(registry, repository, held, entry)).collect()
}

fn image(
    registry: &Registry,
    repository: &Repository,
    held: &FetchedManifest,
    entry: &Descriptor,
) -> Result<Checked> {
    let text = entry.platform_text();
    let refuse = |what: String| {
        Err(UserError::failed(format!("{}, {text}: {what}", repository.at(&held.digest))).into())
    };
    let mut checked = Checked {
        platform: text.clone(),
        digest: entry.digest.clone(),
        provenance: None,
        builder: None,
        materials: Vec::new(),
        sbom: false,
    };
    // What another tool published may have any platform, and nothing attested.
    let Ok(platform) = text.parse::<Platform>() else { return Ok(checked) };
    let manifest = registry.require(repository, &entry.digest)?.manifest;
    let image = registry.image_config(repository, &manifest)?;
    if !image.is_for(&platform) {
        return refuse(format!("its configuration says {}/{}", image.os, image.architecture));
    }
    if held.manifest.attestations(&entry.digest).next().is_none() {
        return Ok(checked);
    }
    let statements = registry.statements(repository, &held.manifest, &entry.digest)?;
    checked.provenance = statements.provenance_type().map(str::to_owned);
    checked.sbom = statements.sbom();
    match statements.provenance() {
        Some(found) => {
            checked.builder = Some(found.builder.clone());
            checked.materials = found.materials.clone();
        }
        None if checked.provenance.is_some() => {
            return refuse("its provenance cannot be read".to_owned());
        }
        None => {}
    }
    Ok(checked)
}

/// Each image has the attestations that the matrix declares.
///
/// # Errors
/// If one lacks something.
pub fn declared(cell: &Cell, children: &[Child], images: &[Checked]) -> Result<()> {
    for child in children {
        let found = images.iter().find(|image| image.digest == child.digest);
        let found = found.with_context(|| format!("there is no image for {}", child.platform))?;
        let build = cell.builds.iter().find(|build| build.platform == child.platform);
        let sbom = build.is_some_and(|build| build.options.attest.sbom != Sbom::Off);
        let missing = match found {
            Checked { provenance: None, .. } => "provenance",
            Checked { sbom: false, .. } if sbom => "SBOM",
            _ => continue,
        };
        let text = format!("the image for {} lacks the {missing} that the matrix declares", child.platform);
        return Err(UserError::failed(text).into());
    }
    Ok(())
}
