//! Whether a cell is in the registry as it was published: every tag, one index, complete, signed.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::path::PathBuf;

use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository, Tag};
use crate::base::record::{self, Publication};
use crate::plan::Cell;
use crate::publish::attested::{self, Checked};
use crate::publish::index;
use crate::publish::signing::Signing;
use crate::registry::{FetchedManifest, Registry};

/// A reference that is as it should be.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// The reference.
    pub reference: String,
    /// What it holds.
    pub digest: Digest,
    /// `false` where `matrix.toml` says that images are not signed.
    pub signed: bool,
    /// The image of each platform.
    pub platforms: Vec<Checked>,
}

/// Checks what is published.
pub struct Verification {
    /// Reads.
    pub registry: Registry,
    /// Who must have signed; none if the matrix says that images are not signed.
    pub signing: Option<Signing>,
    /// The publication records of this machine.
    pub publications: PathBuf,
}

impl Verification {
    /// Every tag of a cell, in every repository.
    ///
    /// # Errors
    /// At the first that is not as published.
    pub fn cell(&self, cell: &Cell, plan: &Digest) -> Result<Vec<Verified>> {
        let path = record::publication_path(&self.publications, &cell.id);
        // The record of another plan says nothing about this one's tags.
        let record = record::read::<Publication>(&path)?.filter(|record| record.plan == *plan);
        let mut found = Vec::new();
        for repository in &cell.repositories {
            if let Some(unfinished) = record.as_ref().and_then(|record| record.unfinished_in(repository)) {
                return Err(UserError::failed(format!("{repository} is not done: {}", unfinished.error))
                    .help("publish the rest: cargo xtask merge")
                    .into());
            }
            found.extend(self.tags(cell, repository, record.as_ref())?);
        }
        Ok(found)
    }

    fn tags(
        &self,
        cell: &Cell,
        repository: &Repository,
        record: Option<&Publication>,
    ) -> Result<Vec<Verified>> {
        let tags: Vec<&Tag> = match record {
            // Tags that a newer publication holds are not this one's.
            Some(record) => record.tags_in(repository).map(|tag| &tag.name).collect(),
            None => cell.tags.iter().map(|tag| &tag.name).collect(),
        };
        let mut expected: Option<Digest> = record.map(|record| record.digest.clone());
        let mut platforms: Option<Vec<Checked>> = None;
        let mut found = Vec::new();
        for tag in tags {
            let reference = repository.tagged(tag);
            let held = self.registry.read(&reference)?.ok_or_else(|| {
                UserError::failed(format!("{reference} does not exist")).help("publish it: cargo xtask merge")
            })?;
            let publication = expected.get_or_insert_with(|| held.digest.clone());
            if *publication != held.digest {
                let text = format!("{reference} holds {}, the publication is {publication}", held.digest);
                return Err(UserError::failed(text).into());
            }
            let platforms = match &platforms {
                Some(known) => known.clone(),
                None => platforms.insert(self.complete(cell, repository, &held, &reference)?).clone(),
            };
            let signed = self.signing.is_some();
            found.push(Verified { reference, digest: held.digest, signed, platforms });
        }
        Ok(found)
    }

    /// The image of each platform of a cell's index, once it is known that it lacks nothing.
    fn complete(
        &self,
        cell: &Cell,
        repository: &Repository,
        held: &FetchedManifest,
        reference: &str,
    ) -> Result<Vec<Checked>> {
        let at = || reference.to_owned();
        let children = index::children(&held.manifest, cell).with_context(at)?;
        self.signatures(repository, held)?;
        let images = attested::images(&self.registry, repository, held)?;
        attested::declared(cell, &children, &images).with_context(at)?;
        Ok(images)
    }

    /// One reference of anybody's: what it holds is signed by whom it should be, and all of it fits together.
    ///
    /// # Errors
    /// If it is not signed.
    pub fn reference(
        &self,
        repository: &Repository,
        reference: &str,
        held: FetchedManifest,
    ) -> Result<Verified> {
        self.signatures(repository, &held)?;
        let platforms = if held.manifest.is_index() {
            attested::images(&self.registry, repository, &held)?
        } else {
            Vec::new()
        };
        let signed = self.signing.is_some();
        Ok(Verified { reference: reference.to_owned(), digest: held.digest, signed, platforms })
    }

    fn signatures(&self, repository: &Repository, held: &FetchedManifest) -> Result<()> {
        self.signing
            .as_ref()
            .map_or(Ok(()), |signing| signing.verify(repository, &held.digest, &held.manifest))
    }
}
