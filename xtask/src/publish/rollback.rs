//! The rules of `rollback`: which publication is taken back, where its tags go, and that this is signed like all else.

use anyhow::Result;
use std::path::PathBuf;

use crate::base::context::Clock;
use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository, Tag};
use crate::base::publication::{Publication, PublicationClaim};
use crate::base::record;
use crate::base::ui::Ui;
use crate::plan::resolve::ANNOTATION_CELL;
use crate::plan::{Cell, PlannedTag};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::holders::{self, Holders};
use crate::publish::tag_access::{Patience, TagAccess};
use crate::publish::tag_protocol::{self, TagPlan, TagStore};
use crate::publish::tag_rules::{Age, Candidate, Holder, TagRules, TagState};
use crate::publish::untagging::Untagging;
use crate::registry::Registry;
use crate::run::Runner;

/// The way back for one cell.
pub struct Rollback<'a> {
    /// The cell.
    pub cell: &'a Cell,
    /// Reads and tags.
    pub registry: Registry,
    /// Where records are attached; nowhere if nothing is signed.
    pub records: Option<AttestationStore>,
    /// The record of the last publication on this machine.
    pub local: PathBuf,
    /// Tells which times lie in the future.
    pub clock: Clock,
    /// Notices when we are asked to stop.
    pub runner: Runner,
    /// For remarks.
    pub ui: Ui,
}

/// What is to be done in one repository.
pub struct Return {
    /// The index that is taken back.
    pub from: Digest,
    /// How new it is.
    age: Age,
    /// Its tags, the most general first: a reader of `latest` must find its version, too.
    tags: Vec<PlannedTag>,
    /// What those hold that go back, by their place among the tags.
    targets: Vec<(usize, TagState)>,
}

impl Return {
    /// The tags that move, and what to.
    pub fn moves(&self) -> impl Iterator<Item = (&Tag, &Digest)> {
        self.targets.iter().filter_map(|(tag, to)| Some((&self.tags.get(*tag)?.name, &to.digest)))
    }
}

impl Rollback<'_> {
    /// Finds the last publication, and which of its tags go back where.
    ///
    /// # Errors
    /// If there is no record of it, if nothing can go back, or if what a tag would go back to is not signed.
    pub fn find(&self, repository: &Repository) -> Result<Return> {
        let publication = self.last(repository)?;
        let tags: Vec<PlannedTag> =
            publication.tags.iter().rev().map(|tag| self.planned(&tag.name)).collect();
        let holders = Holders::new(self.records.as_ref(), self.clock, &self.runner, self.ui);
        let mut targets: Vec<(usize, TagState)> = Vec::new();
        let mut verified: Vec<Digest> = Vec::new();
        for (place, tag) in publication.tags.iter().rev().enumerate() {
            let reference = repository.tagged(&tag.name);
            let held = self.registry.read(&reference)?.map(|held| held.digest);
            match (&tag.moved_from, held) {
                (Some(before), Some(held)) if held == publication.digest => {
                    let state = self.target(repository, &tag.name, before, &holders, &mut verified)?;
                    targets.extend(state.map(|state| (place, state)));
                }
                (None, Some(held)) if held == publication.digest => {
                    self.ui.note(format!("{reference} stays: it held nothing before"));
                }
                _ => self.ui.note(format!("{reference} stays: it does not hold this publication")),
            }
        }
        if targets.is_empty() {
            return Err(UserError::failed(format!(
                "no tag of {repository} can go back: none of them held anything before {}",
                publication.digest.short()
            ))
            .into());
        }
        let index = self.registry.require(repository, &publication.digest)?;
        let age = holders::age(&publication, &index);
        Ok(Return { from: publication.digest, age, tags, targets })
    }

    /// Moves the tags back, each only if it still holds the publication.
    ///
    /// # Errors
    /// If the registry refuses, or if a tag has moved meanwhile.
    pub fn run(&self, repository: &Repository, back: &Return) -> Result<()> {
        let Return { from: ours, age, .. } = back;
        let candidate = Candidate { cell: &self.cell.id, digest: ours, age, allow_downgrade: false };
        let rules = TagRules { tags: &back.tags, candidate };
        let registry = &self.registry;
        let holders = Holders::new(self.records.as_ref(), self.clock, &self.runner, self.ui);
        let patience = Patience::new(&self.runner, self.ui);
        let tags = &back.tags;
        let mut tags = ReturningTags(TagAccess { registry, repository, tags, ours, holders, patience });
        let untagging = Untagging::new(back.targets.clone());
        let disturbed = tag_protocol::run(&mut tags, &rules, untagging)?.disturbed().unwrap_or_default();
        let Some((tag, now)) = disturbed.first() else { return Ok(()) };
        let name = back.tags.get(*tag).map_or_else(String::new, |tag| repository.tagged(&tag.name));
        let now = now.as_ref().map_or_else(|| "nothing".to_owned(), |now| now.digest.to_string());
        Err(UserError::failed(format!("{name} has moved meanwhile: it holds {now}"))
            .help("run it again to see what it would do now; tags that still held the publication have gone back")
            .into())
    }

    /// A tag as the plan has it; one that the plan does not have any more floats like any other.
    fn planned(&self, name: &Tag) -> PlannedTag {
        let planned = self.cell.tags.iter().find(|tag| tag.name == *name);
        let highest = planned.is_some_and(|tag| tag.floating);
        // Who goes back does so with open eyes: no tag is immutable here.
        PlannedTag { name: name.clone(), immutable: false, floating: highest }
    }

    /// What a tag goes back to: it must be there, signed like everything else, and published as that tag. None if it was
    /// not: somebody had put it there.
    fn target(
        &self,
        repository: &Repository,
        tag: &Tag,
        digest: &Digest,
        holders: &Holders<'_>,
        verified: &mut Vec<Digest>,
    ) -> Result<Option<TagState>> {
        let held = self.registry.require(repository, digest)?;
        let Some(records) = &self.records else {
            let holder = Holder::Other("is what the tag goes back to".to_owned());
            return Ok(Some(TagState { digest: held.digest, holder, hold: None }));
        };
        if !verified.contains(digest) {
            records.signing.verify_now_or_then(repository, digest, &held.manifest)?;
            verified.push(digest.clone());
        }
        let state = holders.state(repository, tag, &held)?;
        if let Holder::Other(why) = &state.holder {
            let (reference, short) = (repository.tagged(tag), digest.short());
            self.ui.warn(format!("{reference} stays: it held {short} before, which {why}"));
            return Ok(None);
        }
        Ok(Some(state))
    }

    /// The newest publication of the cell that one of its tags holds: as the registry knows it, else this machine.
    fn last(&self, repository: &Repository) -> Result<PublicationClaim> {
        let mut found: Vec<PublicationClaim> = Vec::new();
        let mut seen: Vec<Digest> = Vec::new();
        for tag in &self.cell.tags {
            let Some(held) = self.registry.read(&repository.tagged(&tag.name))? else { continue };
            let ours =
                held.manifest.annotations.get(ANNOTATION_CELL).is_some_and(|id| id == self.cell.id.as_str());
            if !ours || seen.contains(&held.digest) {
                continue;
            }
            seen.push(held.digest.clone());
            if let Some(records) = &self.records {
                let records = records.read_of_all_times(repository, &held.digest)?;
                found.extend(records.into_iter().filter(|record| record.cell == self.cell.id));
            }
        }
        let local = record::read::<Publication>(&self.local)?.filter(|record| seen.contains(&record.digest));
        let local = local.map(|local| local.claim(repository));
        let newest = found.into_iter().max_by(|one, two| one.published.cmp(&two.published)).or(local);
        newest.ok_or_else(|| {
            UserError::failed(format!("{repository} has no record of a publication of {}", self.cell.id))
                .help("it is looked for under the tags that the plan gives the cell now; if the version has changed since, add --set-version TRACK=X with the one that was published")
                .help("records are attached to what `merge` publishes and signs: what is not signed has one on this machine only")
                .into()
        })
    }
}

/// Tags on their way back: no record is attached.
struct ReturningTags<'a>(TagAccess<'a>);

impl TagStore for ReturningTags<'_> {
    type Held = TagState;

    fn read(&self, tags: &[usize]) -> Result<Vec<Option<TagState>>> {
        self.0.read(tags)
    }

    fn set(&mut self, tag: usize, to: &TagState) -> Result<bool> {
        self.0.set(tag, &to.digest)
    }

    fn attach(&mut self, _: &TagPlan<TagState>) -> Result<()> {
        Ok(())
    }

    fn claims(&self, of: &TagState) -> Result<Vec<usize>> {
        self.0.claims(&of.digest)
    }
}
