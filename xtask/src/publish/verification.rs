//! Whether a cell is in the registry as it was published: every tag, one index, complete, signed.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::path::PathBuf;

use crate::argv::cosign::Signer;
use crate::base::context::Clock;
use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository, Tag};
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
use crate::publish::signing::Signing;
use crate::publish::tag_rules::{Candidate, Holder, TagRules};
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
    /// Who must have signed; none if the matrix says that images are not signed.
    pub signing: Option<Signing>,
    /// Where records are attached; nowhere if nothing is signed.
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
        // Tags that a newer publication holds are not this one's. Without a record the tags themselves have to tell.
        let is_ours =
            |tag: &Tag| record.is_none_or(|record| record.tags_in(repository).any(|own| own.name == *tag));
        let mut expected: Option<Digest> = record.map(|record| record.digest.clone());
        let mut known: Option<Complete> = None;
        let mut found = Vec::new();
        for tag in &cell.tags {
            let reference = repository.tagged(&tag.name);
            let held = self.registry.read(&reference)?.ok_or_else(|| {
                UserError::failed(format!("{reference} does not exist")).help("publish it: cargo xtask merge")
            })?;
            let publication = expected.get_or_insert_with(|| held.digest.clone());
            let signed = self.signing.is_some();
            if *publication != held.digest {
                let ours = is_ours(&tag.name).then_some(&*publication);
                let newer = self.newer(cell, plan, repository, tag, &held, ours)?;
                let (digest, platforms) = (held.digest, Vec::new());
                let (newer, publisher) = (Some(newer), None);
                found.push(Verified { reference, digest, signed, newer, publisher, signer: None, platforms });
                continue;
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

    /// Why a tag may hold another publication than the one that was asked about.
    fn newer(
        &self,
        cell: &Cell,
        plan: &Plan,
        repository: &Repository,
        tag: &PlannedTag,
        held: &FetchedManifest,
        ours: Option<&Digest>,
    ) -> Result<String> {
        let reference = repository.tagged(&tag.name);
        let mut holders = self.holders();
        holders.held_for = Some(&cell.id);
        let state = holders.state(repository, &tag.name, held)?;
        if let Some(hold) = state.hold {
            return Ok(hold);
        }
        let age = holders::of_plan(plan, cell);
        let digest = Digest::unknown();
        let candidate = Candidate { cell: &cell.id, digest: &digest, age: &age, allow_downgrade: false };
        let rules = TagRules { tags: std::slice::from_ref(tag), candidate };
        let reason = rules.reason(0, &state).filter(|_| !tag.immutable);
        reason.ok_or_else(|| {
            let why = match (&state.holder, ours) {
                (_, Some(ours)) => format!("the publication is {ours}"),
                (Holder::Other(why), None) => format!("which {why}"),
                (Holder::Publication(_), None) => "which is older than this plan".to_owned(),
            };
            UserError::failed(format!("{reference} holds {}, {why}", held.digest))
                .help("publish this plan again: cargo xtask merge")
                .into()
        })
    }

    fn holders(&self) -> Holders<'_> {
        Holders::new(self.records.as_ref(), self.clock, &self.runner, self.ui)
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
        if publisher.is_none() && due && self.signing.is_some() {
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
        let signed = self.signing.is_some();
        let publisher = self.publisher(repository, &held)?;
        let (reference, digest) = (reference.to_owned(), held.digest);
        Ok(Verified { reference, digest, signed, newer: None, publisher, signer, platforms })
    }

    /// Who has published an index, as the provenance says that is attached to it.
    fn publisher(&self, repository: &Repository, held: &FetchedManifest) -> Result<Option<String>> {
        let Some(records) = self.records.as_ref().filter(|_| held.manifest.is_index()) else {
            return Ok(None);
        };
        let stated = records.stated_among_others(repository, &held.digest, provenance::KIND)?;
        Ok(stated.iter().find_map(provenance::builder_of).map(str::to_owned))
    }

    fn signatures(&self, repository: &Repository, held: &FetchedManifest) -> Result<Option<Signer>> {
        let verify = |signing: &Signing| signing.verify(repository, &held.digest, &held.manifest);
        self.signing.as_ref().map(verify).transpose()
    }
}
