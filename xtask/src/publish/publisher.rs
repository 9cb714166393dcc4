//! Runs the steps of a cell: one list, repository after repository. `docs/publication.md` explains the order.

use anyhow::{Context as _, Result};
use std::path::PathBuf;

use crate::argv::Argv;
use crate::argv::buildx::Buildx;
use crate::argv::imagetools::Join;
use crate::base::context::{Clock, Environment};
use crate::base::error::{self, UserError};
use crate::base::files;
use crate::base::ids::Repository;
use crate::base::publication::{self, Publication, PublicationClaim, Unfinished};
use crate::base::record::{self, DigestRecord};
use crate::base::ui::Ui;
use crate::build::built_index;
use crate::plan::{Cell, Kept, Pair, Plan, PlannedTag};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::bases::{Bases, Done};
use crate::publish::claim::Claims;
use crate::publish::gates;
use crate::publish::holders::Holders;
use crate::publish::index;
use crate::publish::keeping;
use crate::publish::pinned_index::PinnedIndex;
use crate::publish::provenance;
use crate::publish::repository_tags::RepositoryTags;
use crate::publish::signing::Signing;
use crate::publish::steps::{Step, steps};
use crate::publish::tag_access::{Patience, TagAccess};
use crate::publish::tag_protocol;
use crate::publish::tag_rules::{self, Age, Candidate, TagRules};
use crate::publish::tagging::{Outcome, Tagging};
use crate::registry::manifest::Manifest;
use crate::registry::{FetchedManifest, Registry};
use crate::run::{Finished, Runner, retry};

/// Everything that the cells of one call share.
pub(crate) struct Publisher<'a> {
    /// The plan.
    pub(crate) plan: &'a Plan,
    /// Joins the architectures.
    pub(crate) buildx: &'a Buildx,
    /// Reads and tags.
    pub(crate) registry: Registry,
    /// Runs commands.
    pub(crate) runner: Runner,
    /// For remarks.
    pub(crate) ui: Ui,
    /// Says when it was published.
    pub(crate) clock: Clock,
    /// The folder of `matrix.toml`.
    pub(crate) root: PathBuf,
    /// Says which run it is.
    pub(crate) environment: Environment,
    /// Where records are attached; nowhere if nothing is signed.
    pub(crate) records: Option<AttestationStore>,
    /// Where the publication records go.
    pub(crate) publications: PathBuf,
    /// The public key of the signatures, as people know it.
    pub(crate) public_key: Option<String>,
    /// `--allow-downgrade`.
    pub(crate) allow_downgrade: bool,
    /// `--replace-untrusted`.
    pub(crate) replace_untrusted: bool,
}

/// What is done of a cell in one repository.
struct Progress<'a> {
    repository: &'a Repository,
    index: Option<FetchedManifest>,
    /// The index was not in the repository before, so it can have neither signatures nor records.
    new: bool,
    /// The record that proves it, where it is kept.
    proof: Option<PublicationClaim>,
    /// The record is attached before the tags are set.
    attach: bool,
    tags: Vec<PlannedTag>,
    done: Option<Publication>,
    failed: Option<anyhow::Error>,
}

impl Publisher<'_> {
    /// Publishes one cell in every repository, after what it needs: `done`. One that fails stops no other: what is done is
    /// in the publication, what is not, and why, too.
    ///
    /// # Errors
    /// If it is not published wholly. What is done is in the record all the same.
    pub(crate) fn cell(&self, cell: &Cell, records: &[DigestRecord], done: &Done) -> Result<Publication> {
        let mut all: Vec<Progress<'_>> = cell.repositories.iter().map(Progress::new).collect();
        for one in steps(cell, records, &self.plan.gates, self.records.is_some()) {
            match (one.repository, one.step) {
                (Some(repository), step) => {
                    let open = |progress: &&mut Progress<'_>| {
                        progress.repository == repository && progress.failed.is_none()
                    };
                    let Some(progress) = all.iter_mut().find(open) else { continue };
                    let done = self.step(cell, records, step, progress);
                    progress.failed =
                        done.with_context(|| format!("publish {} to {repository}", cell.id)).err();
                    // The same digest would be tagged elsewhere.
                    if let (Some(error), Step::PassGate(_)) = (&progress.failed, step) {
                        let text = format!("a gate has refused it in {repository}: {error:#}");
                        for other in all.iter_mut().filter(|other| other.failed.is_none()) {
                            other.failed = Some(UserError::failed(text.clone()).into());
                        }
                    }
                }
                (None, Step::CheckBases) => self.bases().check(cell, records, done)?,
                (None, _) => return self.write_record(cell, all),
            }
        }
        self.write_record(cell, all)
    }

    fn step(
        &self,
        cell: &Cell,
        records: &[DigestRecord],
        step: Step<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        match step {
            Step::KeepIndex(kept) => self.keep(cell, kept, progress),
            Step::CheckBuild(record) => self.check_build(cell, record, progress.repository),
            Step::PushIndex => self.push(&join(cell, records, progress.repository), cell, progress),
            Step::Sign => self.sign(progress),
            Step::AttachProvenance => self.attach_provenance(cell, records, progress),
            Step::Verify => self.verify(progress),
            Step::PassGate(words) => self.pass_gate(cell, words, progress),
            // What follows is one loop: each tag is decided about again if it has moved meanwhile.
            Step::AttachRecord => {
                progress.attach = true;
                Ok(())
            }
            Step::SetTag(tag) => {
                progress.tags.push(tag.clone());
                Ok(())
            }
            Step::ReadTagsBack => self.tag(cell, records, progress),
            Step::CheckBases | Step::WriteRecord => Ok(()),
        }
    }

    fn bases(&self) -> Bases<'_> {
        let (records, publications) = (self.records.as_ref(), self.publications.as_path());
        Bases { plan: self.plan, registry: &self.registry, records, publications }
    }

    /// Finds what stays.
    fn keep(&self, cell: &Cell, kept: &Kept, progress: &mut Progress<'_>) -> Result<()> {
        let Some(store) = &self.records else {
            return Err(UserError::invalid("the plan keeps an index, and nothing is signed").into());
        };
        let (index, proof) = keeping::find(&self.registry, store, cell, kept, progress.repository)?;
        (progress.index, progress.proof) = (Some(index), Some(proof));
        Ok(())
    }

    /// The same again for tags that were to stay when the plan was made, and have been moved since.
    fn prove_again(&self, cell: &Cell, progress: &Progress<'_>) -> Result<()> {
        let (Some(store), index) = (&self.records, progress.index()?) else { return Ok(()) };
        store.verify(progress.repository, index)?;
        let unjudged = cell.kept().is_some_and(|kept| kept.lacking.is_empty());
        let mut gates = self.plan.gates.iter().filter(|_| unjudged);
        gates.try_for_each(|gate| self.pass_gate(cell, gate, progress))
    }

    fn check_build(&self, cell: &Cell, record: &DigestRecord, repository: &Repository) -> Result<()> {
        let held = self.registry.require(repository, &record.digest)?;
        built_index::check(&held, &self.plan.id, &cell.id, &record.platform)
            .with_context(|| format!("check the record of {}", record.arch))
            .map(drop)
    }

    fn push(&self, join: &Join, cell: &Cell, progress: &mut Progress<'_>) -> Result<()> {
        let printed = self.retry(&join.dry_run(self.buildx))?;
        let digest = index::digest_of_dry_run(&printed.stdout);
        // What is wrong is refused before it is pushed.
        index::children(&Manifest::parse(&printed.stdout)?, cell)?;
        if let Some(held) = self.registry.read(&join.repository.at(&digest))? {
            progress.index = Some(held);
            return Ok(());
        }
        self.retry(&join.push_untagged(self.buildx, &digest))?;
        // imagetools ignores a wrong digest in the place of a tag: only what can be read back is true.
        progress.index = Some(self.registry.require(&join.repository, &digest)?);
        progress.new = true;
        self.ui.note(format!("{}: pushed the index {} untagged", cell.id, digest.short()));
        Ok(())
    }

    /// What is signed already is not signed again.
    fn sign(&self, progress: &Progress<'_>) -> Result<()> {
        let (Some(signing), index) = (self.signing(), progress.index()?) else { return Ok(()) };
        let repository = progress.repository;
        if !progress.new && signing.is_signed(repository, &index.digest, &index.manifest)? {
            self.ui.note(format!("{repository}: {} is signed already", index.digest.short()));
            return Ok(());
        }
        signing.sign(repository, &index.digest)
    }

    /// Attached already, it is not attached again. Either way it is read back, verified.
    fn attach_provenance(
        &self,
        cell: &Cell,
        records: &[DigestRecord],
        progress: &Progress<'_>,
    ) -> Result<()> {
        let (Some(store), index) = (&self.records, progress.index()?) else { return Ok(()) };
        let (repository, digest, kind) = (progress.repository, &index.digest, provenance::KIND);
        let fits = |stated: &serde_json::Value| provenance::fits(stated, self.plan, cell);
        // What does not verify, or cannot be read, is no reason not to attach ours: it is read back then.
        let known = || store.stated_among_others(repository, digest, kind);
        if !progress.new && known().is_ok_and(|stated| stated.iter().any(fits)) {
            return Ok(());
        }
        self.runner.check_interrupted()?;
        let predicate = provenance::predicate(self.plan, cell, records, &self.environment);
        store.attach(repository, digest, kind, &cell.id, &predicate)
    }

    fn pass_gate(&self, cell: &Cell, words: &[String], progress: &Progress<'_>) -> Result<()> {
        let digest = &progress.index()?.digest;
        let argv = gates::command(&self.root, words, cell, progress.repository, digest)?;
        gates::pass(&self.runner, &argv)?;
        self.ui.note(format!("{}: passed the gate {}", cell.id, words.first().map_or("", String::as_str)));
        Ok(())
    }

    fn verify(&self, progress: &Progress<'_>) -> Result<()> {
        let (Some(signing), index) = (self.signing(), progress.index()?) else { return Ok(()) };
        signing.verify_new(progress.repository, &index.digest, &index.manifest)?;
        let below = index.manifest.manifests.len();
        let (repository, digest) = (progress.repository, index.digest.short());
        self.ui.note(format!("{repository}: signed and verified {digest} and {below} below it"));
        Ok(())
    }

    /// Decides about the tags, attaches the record of it, sets them and reads them back.
    fn tag(&self, cell: &Cell, records: &[DigestRecord], progress: &mut Progress<'_>) -> Result<()> {
        let repository = progress.repository;
        let index = progress.index()?;
        let claims = self.claims();
        let inputs = match &progress.proof {
            Some(proof) => proof.inputs.clone(),
            None => claims.inputs(cell, records)?,
        };
        let claim = claims.claim(cell, repository, index, inputs)?;
        let age = keeping::age(self.plan, cell, progress.proof.as_ref());
        let Age { planned, code_date, revision, .. } = age.clone();
        let claim = PublicationClaim { planned: Some(planned), code_date, revision, ..claim };
        let candidate = Candidate {
            cell: &cell.id,
            digest: &index.digest,
            age: &age,
            allow_downgrade: self.allow_downgrade,
        };
        let rules = TagRules { tags: &progress.tags, candidate };
        let attached = self.records.as_ref().filter(|_| progress.attach);
        let pinned = PinnedIndex::new(&self.registry, repository, index.clone());
        let patience = Patience::new(&self.runner, self.ui);
        let (registry, planned) = (&self.registry, progress.tags.as_slice());
        let mut holders = Holders::new(attached, self.clock, &self.runner, self.ui);
        holders.replace_untrusted = self.replace_untrusted;
        holders.held_for = Some(&cell.id);
        let ours = &index.digest;
        let access = TagAccess { registry, repository, tags: planned, ours, holders, patience };
        let (new, clock) = (progress.new, self.clock);
        let (earlier, kept) = (progress.proof.clone(), cell.kept());
        let prove = || self.prove_again(cell, progress);
        let prove: Option<&dyn Fn() -> Result<()>> = if kept.is_some() { Some(&prove) } else { None };
        let mut tags = RepositoryTags {
            access,
            rules,
            index: &pinned,
            claim,
            earlier,
            kept,
            prove,
            new,
            clock,
            ui: self.ui,
        };
        match tag_protocol::run(&mut tags, &rules, Tagging::default())?.outcome() {
            Some(Outcome::Tagged { held, lost, .. }) => {
                tags.warn_of(&lost);
                let published = tags.published(&held);
                let held = tags.held(&lost);
                let done = tags.claim.published(published);
                progress.done = Some(Publication { held, ..done });
                Ok(())
            }
            Some(Outcome::Conflict { tag, held, late }) => {
                let tag = progress.tags.get(tag).context("a conflict is about a planned tag")?;
                Err(tag_rules::conflict(tag, &index.digest, &held, late).into())
            }
            None => Err(UserError::failed("the tags were not set").into()),
        }
    }

    fn claims(&self) -> Claims<'_> {
        let signer = self.signing().map(|signing| &signing.signer);
        Claims { plan: self.plan, signer, public_key: self.public_key.as_deref(), clock: self.clock }
    }

    /// One publication of what was done in each repository, on this machine too.
    fn write_record(&self, cell: &Cell, all: Vec<Progress<'_>>) -> Result<Publication> {
        let path = publication::publication_path(&self.publications, &cell.id);
        let earlier = record::read(&path).ok().flatten();
        let publication = joined(all)?.remember(earlier.as_ref());
        files::write_json(&path, &publication)
            .with_context(|| format!("record the publication of {}", cell.id))?;
        match publication.unfinished.as_slice() {
            [] => Ok(publication),
            unfinished => {
                let errors: Vec<&str> = unfinished.iter().map(|one| one.error.as_str()).collect();
                Err(UserError::failed(errors.join("\n")).into())
            }
        }
    }

    fn signing(&self) -> Option<&Signing> {
        self.records.as_ref().map(|records| &records.signing)
    }

    fn retry(&self, argv: &Argv) -> Result<Finished> {
        retry::check(&self.runner, self.ui, argv)
    }
}

impl<'a> Progress<'a> {
    fn new(repository: &'a Repository) -> Self {
        Self {
            repository,
            index: None,
            new: false,
            proof: None,
            attach: false,
            tags: Vec::new(),
            done: None,
            failed: None,
        }
    }

    fn index(&self) -> Result<&FetchedManifest> {
        self.index.as_ref().context("the index was pushed before")
    }
}

/// One publication of what was done in each repository.
fn joined(all: Vec<Progress<'_>>) -> Result<Publication> {
    let mut whole: Option<Publication> = None;
    let mut failed: Vec<(&Repository, anyhow::Error)> = Vec::new();
    for Progress { repository, done, failed: error, .. } in all {
        match (done, error, &mut whole) {
            (_, Some(error), _) => failed.push((repository, error)),
            (None, None, _) => failed.push((repository, UserError::failed("no step has tagged it").into())),
            (Some(one), None, None) => whole = Some(one),
            (Some(one), None, Some(first)) if first.digest == one.digest => {
                first.repositories.extend(one.repositories);
                first.tags.extend(one.tags);
                first.held.extend(one.held);
            }
            (Some(one), None, Some(first)) => {
                let text = format!("{repository} got {}, the others {}", one.digest, first.digest);
                failed.push((repository, UserError::failed(text).into()));
            }
        }
    }
    match (whole, failed.as_slice()) {
        (Some(mut publication), failed) => {
            let unfinished = |(repository, error): &(&Repository, anyhow::Error)| Unfinished {
                repository: (*repository).clone(),
                error: error::report(error),
            };
            publication.unfinished = failed.iter().map(unfinished).collect();
            Ok(publication)
        }
        // One error keeps its own mends.
        (None, [_]) => Err(failed.remove(0).1),
        (None, _) => {
            let texts: Vec<String> = failed.iter().map(|(_, error)| error::report(error)).collect();
            Err(UserError::failed(texts.join("\n")).into())
        }
    }
}

/// The index of a cell in one repository.
pub fn join(cell: &Cell, records: &[DigestRecord], repository: &Repository) -> Join {
    Join {
        repository: repository.clone(),
        sources: records.iter().map(|record| record.digest.clone()).collect(),
        annotations: Pair::tuples(&cell.annotations),
    }
}
