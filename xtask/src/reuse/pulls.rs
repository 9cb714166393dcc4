//! What consumers would pull anew: an estimate, from the layers of what is published now.
//!
//! A build that changes makes the layers of its image anew, but for those of the images that it stands on, as long as these
//! are what they were. How large the new layers are nobody knows: they count as large as those that they replace.

use anyhow::Result;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::base::ids::{Digest, Platform};
use crate::base::inputs::Sources;
use crate::plan::difference::Pull;
use crate::plan::{Build, Cell, Plan, Reuse};
use crate::publish::attestation_store::AttestationStore;
use crate::registry::Registry;
use crate::registry::manifest::BlobDescriptor;
use crate::reuse::bases::{self, BaseImages};

/// Estimates for the builds of one plan. What cannot be told is an error: a phrase.
#[derive(Debug)]
pub(super) struct Pulls<'a> {
    registry: Registry,
    plan: &'a Plan,
    root: &'a Path,
    store: Option<&'a AttestationStore>,
    bases: BaseImages,
}

impl<'a> Pulls<'a> {
    /// With the images that the published builds stand on asked for, as they are now.
    pub(super) fn new(
        registry: Registry,
        plan: &'a Plan,
        root: &'a Path,
        store: Option<&'a AttestationStore>,
        bases: BaseImages,
    ) -> Self {
        let mut pulls = Self { registry, plan, root, store, bases };
        let builds = plan.cells.iter().flat_map(|cell| cell.builds.iter().map(move |build| (cell, build)));
        let sources = builds.filter_map(|(cell, build)| pulls.sources(cell, build, changed(cell)?).ok());
        let names: Vec<String> = sources.flat_map(|sources| sources.images.into_keys()).collect();
        pulls.bases.resolve(names.into_iter().filter(|name| !name.contains('@')).collect());
        pulls
    }

    /// For one build of a cell that is not kept.
    pub(super) fn of(&self, cell: &Cell, build: &Build) -> Pull {
        let Some(held) = changed(cell) else {
            return Pull::Unknown("no published image to compare with".to_owned());
        };
        let counted = self.own(cell, held, &build.platform).and_then(|layers| {
            let staying = self.staying(cell, build, held)?;
            let new = layers.iter().filter(|layer| !staying.contains(&layer.digest));
            Ok(new.map(|layer| layer.size).sum())
        });
        counted.map_or_else(Pull::Unknown, Pull::Bytes)
    }

    /// The layers of the published image that the next one has too.
    fn staying(&self, cell: &Cell, build: &Build, held: &Digest) -> Result<BTreeSet<String>, String> {
        let mut staying = BTreeSet::new();
        for (name, digest) in &self.sources(cell, build, held)?.images {
            let fixed = name.contains('@');
            if self.is_named(build, name) && (fixed || self.bases.digest(name)? == *digest) {
                let layers = self.layers(&self.bases.at(name, digest), &build.platform)?;
                staying.extend(layers.into_iter().map(|layer| layer.digest));
            }
        }
        for needed in build.needs.iter().filter_map(|need| self.plan.cell(&need.cell)) {
            match &needed.reuse {
                Some(Reuse::Kept(kept)) => {
                    let layers = self.own(needed, &kept.digest, &build.platform)?;
                    staying.extend(layers.into_iter().map(|layer| layer.digest));
                }
                Some(Reuse::Changed { digest, .. }) => {
                    if let Some(build) = needed.build(&build.arch) {
                        staying.extend(self.staying(needed, build, digest)?);
                    }
                }
                Some(Reuse::New { .. }) | None => {}
            }
        }
        Ok(staying)
    }

    /// What a published build was made from, as its signed record says.
    fn sources(&self, cell: &Cell, build: &Build, held: &Digest) -> Result<Sources, String> {
        let found = || {
            let repository = cell.repositories.first()?;
            let records = self.store?.read(repository, held).ok()?;
            let inputs = records.into_iter().rev().filter(|record| record.cell == cell.id);
            Some(inputs.filter_map(|record| record.inputs).next()?.builds.get(&build.arch)?.sources.clone())
        };
        found().ok_or_else(|| "its record does not say what it was built from".to_owned())
    }

    /// Whether a Dockerfile still names an image.
    fn is_named(&self, build: &Build, name: &str) -> bool {
        let path = self.root.join(&build.context).join(&build.dockerfile);
        let text = fs::read_to_string(path).unwrap_or_default();
        let args = build.build_args.iter().any(|arg| arg.value.contains(name));
        args || text.contains(name) || bases::named(build, self.root).contains(name)
    }

    /// The layers of a published image.
    fn own(&self, cell: &Cell, index: &Digest, platform: &Platform) -> Result<Vec<BlobDescriptor>, String> {
        let repository = cell.repositories.first().ok_or_else(|| "it has no repository".to_owned())?;
        self.layers(&[repository.at(index)], platform)
    }

    /// The layers of an image, from the first place that has it.
    fn layers(&self, places: &[String], platform: &Platform) -> Result<Vec<BlobDescriptor>, String> {
        let mut why = String::new();
        for place in places {
            match self.layers_at(place, platform) {
                Ok(layers) => return Ok(layers),
                Err(error) => why = format!("{error:#}"),
            }
        }
        Err(why)
    }

    fn layers_at(&self, place: &str, platform: &Platform) -> Result<Vec<BlobDescriptor>> {
        let read =
            |place: &str| self.registry.read(place)?.ok_or_else(|| anyhow::anyhow!("{place} is not there"));
        let found = read(place)?;
        if !found.manifest.is_index() {
            return Ok(found.manifest.layers);
        }
        let image = found.manifest.images().find(|entry| entry.is_for(platform));
        let image = image.ok_or_else(|| anyhow::anyhow!("what is published has no image for {platform}"))?;
        let repository = place.split_once('@').map_or(place, |(repository, _)| repository);
        Ok(read(&format!("{repository}@{}", image.digest))?.manifest.layers)
    }
}

/// What the most general tag of a cell holds, where that is replaced.
fn changed(cell: &Cell) -> Option<&Digest> {
    match &cell.reuse {
        Some(Reuse::Changed { digest, .. }) => Some(digest),
        _ => None,
    }
}
