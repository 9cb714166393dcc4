//! Step 2: whether the images that a cell stands on are published by the same plan.
//!
//! A base that failed its own test, or that was never signed, must not reach anybody inside of what needs it. The record of
//! a publication on this machine only says where to look: it may come as an artifact of a run, which any job of that run can
//! replace. What counts is the signed record at the index in the registry.

use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Repository};
use crate::base::publication::{self, Child, Publication};
use crate::base::record::{self, DigestRecord};
use crate::plan::{Cell, Plan};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::index;
use crate::registry::Registry;

/// What the cells of one call have become so far: their publications with the records that they were made of.
pub(crate) type Done = BTreeMap<CellId, (Publication, Vec<DigestRecord>)>;

/// Looks at what cells stand on.
pub(crate) struct Bases<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) registry: &'a Registry,
    /// Reads the signed records; none if nothing is signed.
    pub(crate) records: Option<&'a AttestationStore>,
    /// The publication records of this machine.
    pub(crate) publications: &'a Path,
}

impl Bases<'_> {
    /// Demands that all that a cell needs is published by this plan, and that its builds stand on just that.
    ///
    /// # Errors
    /// If something is not, or if the registry or cosign cannot tell.
    pub(crate) fn check(&self, cell: &Cell, records: &[DigestRecord], done: &Done) -> Result<()> {
        for need in cell.needs().collect::<BTreeSet<_>>() {
            let base = self.plan.cell(need).with_context(|| format!("the plan lacks {need}"))?;
            let repository = base.repositories.first().context("a cell has a repository")?;
            let (children, built) = match done.get(need) {
                Some((publication, built)) => (publication.children.clone(), built.as_slice()),
                None => (self.published(base, repository)?, &[][..]),
            };
            for record in records {
                self.stands_on(record, need, repository, &children, built)?;
            }
        }
        Ok(())
    }

    /// The images of a cell that an earlier call has published by this plan.
    fn published(&self, base: &Cell, repository: &Repository) -> Result<Vec<Child>> {
        if let (Some(kept), Some(store)) = (base.kept(), self.records) {
            return Ok(store.of_kept(repository, &base.id, kept)?.children);
        }
        let path = publication::publication_path(self.publications, &base.id);
        let found = record::read::<Publication>(&path)?;
        let whole = |found: &Publication| {
            found.plan == self.plan.id && found.cell == base.id && found.unfinished.is_empty()
        };
        let Some(found) = found.filter(whole) else {
            return Err(self.unpublished(base, "there is no record of its publication"));
        };
        let Some(store) = self.records else {
            let held = self.registry.require(repository, &found.digest)?;
            return index::children(&held.manifest, base);
        };
        let claim = store.of_plan(repository, &found.digest, &self.plan.id)?;
        match claim.filter(|claim| claim.cell == base.id) {
            Some(claim) => Ok(claim.children),
            None => {
                let digest = found.digest.short();
                Err(self.unpublished(base, &format!("no signed record at {digest} in {repository} says so")))
            }
        }
    }

    fn unpublished(&self, base: &Cell, why: &str) -> anyhow::Error {
        let text =
            format!("it stands on {}, which plan {} has not published: {why}", base.id, self.plan.id.short());
        UserError::failed(text)
            .help(format!("publish that first, by the same plan: cargo xtask merge --cell {}", base.id))
            .help("in a workflow: see why its own merge failed, and run the failed jobs again")
            .into()
    }

    /// Compares the image that a build was made from with those that are published. `built`: the records of these, where
    /// they are at hand.
    fn stands_on(
        &self,
        record: &DigestRecord,
        base: &CellId,
        repository: &Repository,
        children: &[Child],
        built: &[DigestRecord],
    ) -> Result<()> {
        // A Dockerfile may not use what it could.
        let Some(digest) = record.base(repository) else { return Ok(()) };
        if built.iter().any(|one| one.platform == record.platform && one.digest == *digest) {
            return Ok(());
        }
        let published = children.iter().find(|child| child.platform == record.platform);
        let published = published.map(|child| &child.digest);
        // The build names what was pushed, an index of one image and its attestation; the publication names the image.
        let used = self.image(repository, digest, record)?;
        if published == Some(&used) {
            return Ok(());
        }
        let expected = published.map_or("nothing", Digest::short);
        let text = format!(
            "its build for {} stands on {} of {base}, and published is {expected}",
            record.arch,
            used.short()
        );
        Err(UserError::failed(text)
            .help("build it again on what is published: cargo xtask build, with the same plan")
            .into())
    }

    fn image(&self, repository: &Repository, digest: &Digest, record: &DigestRecord) -> Result<Digest> {
        let held = self.registry.require(repository, digest)?;
        let image = held.manifest.images().find(|entry| entry.is_for(&record.platform));
        Ok(image.map_or(held.digest, |entry| entry.digest.clone()))
    }
}
