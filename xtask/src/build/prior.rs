//! What this plan has built before: images that a build stands on, and builds that need not be repeated.

use anyhow::Result;
use std::path::Path;

use crate::argv::buildx::NamedContext;
use crate::base::ids::{Digest, Name};
use crate::base::inputs::InputValues;
use crate::base::record::DigestRecord;
use crate::build::build_spec::{pushed, recorded};
use crate::build::built_index;
use crate::build::inputs::complete;
use crate::plan::{Build, Cell, Need, Plan};
use crate::registry::Registry;

/// A needed image as a build gets it.
pub(crate) struct Needed {
    /// The digest by which it is given.
    pub(crate) given: Digest,
    /// That of the image itself.
    pub(crate) image: Digest,
}

/// The records of a plan, and the registry that holds what they name.
pub(crate) struct Prior<'a> {
    pub(crate) plan: &'a Plan,
    /// The folder of the records.
    pub(crate) digests: &'a Path,
    pub(crate) registry: &'a Registry,
}

impl Prior<'_> {
    /// The record of this very build, if this plan has made it and the registry still holds it.
    pub(crate) fn reusable(&self, cell: &Cell, build: &Build, values: &InputValues) -> Option<DigestRecord> {
        let record = recorded(self.plan, self.digests, &cell.id, &build.arch)?;
        let before = record.inputs.as_ref().filter(|before| before.sources.unknown.is_empty())?;
        let now = complete(values.clone(), self.plan, build, before.sources.clone());
        let same = now.all.key == before.all.key && record.repositories == cell.repositories;
        let is_held = |reference: String| {
            let held = self.registry.read(&reference).ok()??;
            built_index::check(&held, &self.plan.id, &cell.id, &build.platform).ok().map(drop)
        };
        let mut references = cell.repositories.iter().map(|repository| repository.at(&record.digest));
        (same && references.all(|reference| is_held(reference).is_some())).then_some(record)
    }

    /// What a build stands on, in the order of its needs.
    ///
    /// # Errors
    /// If one of them is not recorded, or if the registry does not hold it.
    pub(crate) fn needed(&self, build: &Build) -> Result<Vec<Needed>> {
        build.needs.iter().map(|need| self.one(need, build, &build.arch)).collect()
    }

    fn one(&self, need: &Need, build: &Build, arch: &Name) -> Result<Needed> {
        let found = pushed(self.plan, self.digests, &need.cell, arch, false)?;
        let NamedContext::Image { repository, digest: given } = found else {
            return Err(anyhow::anyhow!("a needed image is named by its digest"));
        };
        let held = self.registry.require(&repository, &given)?;
        let image = held.manifest.images().find(|entry| entry.is_for(&build.platform));
        let image = image.map_or(held.digest, |entry| entry.digest.clone());
        Ok(Needed { given, image })
    }
}
