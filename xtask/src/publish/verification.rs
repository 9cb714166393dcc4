//! Whether a cell is in the registry as it was published: every tag, one index, complete, signed.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::path::PathBuf;

use crate::argv::cosign::Signer;
use crate::base::context::Clock;
use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository};
use crate::base::publication::{self, Publication};
use crate::base::record;
use crate::base::ui::Ui;
use crate::plan::resolve::ANNOTATION_CODE_DATE;
use crate::plan::{Cell, Plan, PlannedTag};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::attested::{self, Checked};
use crate::publish::holders::{self, Holders};
use crate::publish::index;
use crate::publish::provenance;
use crate::publish::tag_rules::{Age, Holder, TagState};
use crate::registry::{FetchedManifest, Registry};
use crate::run::Runner;

/// A reference that is as it should be.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// The reference.
    pub reference: String,
    /// What it holds.
    pub digest: Digest,
    /// `false` where `matrix.toml` says that images are not signed.
    pub signed: bool,
    /// Who has published the index, as its provenance says; none if it has none of this tool.
    pub publisher: Option<String>,
    /// Why a tag of the plan holds another publication: that one is newer, or the cell is held. None if it holds the one
    /// that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<String>,
    /// Who has signed, exactly.
    #[serde(skip)]
    pub signer: Option<Signer>,
    /// The image of each platform.
    pub platforms: Vec<Checked>,
}

/// An index that lacks nothing.
#[derive(Debug, Clone)]
struct Complete {
    platforms: Vec<Checked>,
    signer: Option<Signer>,
    publisher: Option<String>,
}

/// Checks what is published.
pub struct Verification {
    /// Reads.
    pub registry: Registry,
    /// Where records are attached, and who must have signed; none if the matrix says that images are not signed.
    pub records: Option<AttestationStore>,
    /// The publication records of this machine.
    pub publications: PathBuf,
    /// Tells which times lie in the future.
    pub clock: Clock,
    /// Notices when we are asked to stop.
    pub runner: Runner,
    /// For remarks.
    pub ui: Ui,
}

impl Verification {
    /// Every tag of a cell, in every repository: each holds the publication of the plan, or a newer one that we trust, or
    /// it is held.
    ///
    /// # Errors
    /// At the first that is not as published.
    pub fn cell(&self, cell: &Cell, plan: &Plan) -> Result<Vec<Verified>> {
        let path = publication::publication_path(&self.publications, &cell.id);
        // The record of another plan says nothing about this one's tags.
        let record = record::read::<Publication>(&path)?.filter(|record| record.plan == plan.id);
        let mut found = Vec::new();
        for repository in &cell.repositories {
            if let Some(unfinished) = record.as_ref().and_then(|record| record.unfinished_in(repository)) {
                return Err(UserError::failed(format!("{repository} is not done: {}", unfinished.error))
                    .help("publish the rest: cargo xtask merge")
                    .into());
            }
            found.extend(self.tags(cell, plan, repository, record.as_ref())?);
        }
        Ok(found)
    }

    fn tags(
        &self,
        cell: &Cell,
        plan: &Plan,
        repository: &Repository,
        record: Option<&Publication>,
    ) -> Result<Vec<Verified>> {
        let holders = self.holders(cell);
        // On another machine nobody knows which publication it was: the tags have to tell.
        let own = holders::of_plan(plan, cell);
        let mut expected: Option<(Digest, Age)> = record.map(|record| (record.digest.clone(), own.clone()));
        let mut known: Option<Complete> = None;
        let mut found = Vec::new();
        for tag in &cell.tags {
            let reference = repository.tagged(&tag.name);
            let held = self.registry.read(&reference)?.ok_or_else(|| {
                UserError::failed(format!("{reference} does not exist")).help("publish it: cargo xtask merge")
            })?;
            let signed = self.records.is_some();
            if expected.as_ref().is_none_or(|(digest, _)| *digest != held.digest) {
                let state = holders.state(repository, &tag.name, &held)?;
                if let Some(newer) = stays(tag, &reference, state, &own, &mut expected)? {
                    let (digest, platforms, publisher) = (held.digest, Vec::new(), None);
                    let (newer, signer) = (Some(newer), None);
                    found.push(Verified { reference, digest, signed, newer, publisher, signer, platforms });
                    continue;
                }
            }
            let Complete { platforms, signer, publisher } = match &known {
                Some(known) => known.clone(),
                None => known.insert(self.complete(cell, repository, &held, &reference)?).clone(),
            };
            let digest = held.digest;
            found.push(Verified { reference, digest, signed, newer: None, publisher, signer, platforms });
        }
        Ok(found)
    }

    fn holders<'a>(&'a self, cell: &'a Cell) -> Holders<'a> {
        let mut holders = Holders::new(self.records.as_ref(), self.clock, &self.runner, self.ui);
        holders.held_for = Some(&cell.id);
        holders
    }

    /// The image of each platform of a cell's index, once it is known that it lacks nothing.
    fn complete(
        &self,
        cell: &Cell,
        repository: &Repository,
        held: &FetchedManifest,
        reference: &str,
    ) -> Result<Complete> {
        let at = || reference.to_owned();
        let children = index::children(&held.manifest, cell).with_context(at)?;
        let signer = self.signatures(repository, held)?;
        let images = attested::images(&self.registry, repository, held)?;
        attested::declared(cell, &children, &images).with_context(at)?;
        let publisher = self.publisher(repository, held)?;
        // Those that came before the code date came before provenance of the index, too.
        let due = held.manifest.annotations.contains_key(ANNOTATION_CODE_DATE);
        if publisher.is_none() && due && self.records.is_some() {
            return Err(UserError::failed(format!("{reference}: its index has no provenance"))
                .help("publish it again: cargo xtask merge")
                .into());
        }
        Ok(Complete { platforms: images, signer, publisher })
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
        let signer = self.signatures(repository, &held)?;
        let platforms = if held.manifest.is_index() {
            attested::images(&self.registry, repository, &held)?
        } else {
            Vec::new()
        };
        let signed = self.records.is_some();
        // Somebody else's image may bear provenance of somebody else: it is shown where it is of who must have signed.
        let publisher = self.publisher(repository, &held).unwrap_or_default();
        let (reference, digest) = (reference.to_owned(), held.digest);
        Ok(Verified { reference, digest, signed, newer: None, publisher, signer, platforms })
    }

    /// Who has published an index, as the provenance says that is attached to it.
    fn publisher(&self, repository: &Repository, held: &FetchedManifest) -> Result<Option<String>> {
        let Some(records) = self.records.as_ref().filter(|_| held.manifest.is_index()) else {
            return Ok(None);
        };
        let stated = records.stated_among_others(repository, &held.digest, provenance::KIND)?;
        let about = |stated: &&serde_json::Value| provenance::is_about(stated, &held.manifest.annotations);
        Ok(stated.iter().filter(about).find_map(provenance::builder_of).map(str::to_owned))
    }

    fn signatures(&self, repository: &Repository, held: &FetchedManifest) -> Result<Option<Signer>> {
        self.records.as_ref().map(|store| store.verify(repository, held)).transpose()
    }
}

/// Why a tag may hold something else than the publication that is expected; none if that is what is expected from now on.
///
/// # Errors
/// If it may not.
fn stays(
    tag: &PlannedTag,
    reference: &str,
    state: TagState,
    own: &Age,
    expected: &mut Option<(Digest, Age)>,
) -> Result<Option<String>> {
    let TagState { digest, holder, hold } = state;
    if hold.is_some() {
        return Ok(hold);
    }
    let refuse = |why: String| {
        Err(UserError::failed(format!("{reference} holds {digest}, {why}"))
            .help("publish this plan again: cargo xtask merge")
            .into())
    };
    match (holder, &expected) {
        (Holder::Other(why), None) => refuse(format!("which {why}")),
        (Holder::Other(why), Some((publication, _))) => {
            refuse(format!("which {why}; the publication is {publication}"))
        }
        (Holder::Publication(age), None) if age.is_of_older_code(own, tag.floating) => {
            refuse("which is older than this plan".to_owned())
        }
        (Holder::Publication(age), None) => {
            *expected = Some((digest, age));
            Ok(None)
        }
        (Holder::Publication(age), Some((publication, known))) => {
            let newer = age.newer_than(known, tag.floating).filter(|_| !tag.immutable);
            newer.map_or_else(|| refuse(format!("the publication is {publication}")), |newer| Ok(Some(newer)))
        }
    }
}
