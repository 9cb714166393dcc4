//! Steps 2 to 8 of a publication: one cell, one repository after the other. `docs/publication.md` has the order.

use anyhow::{Context as _, Result};

use super::attached::Attached;
use super::session::Session;
use super::stage::Tests;
use crate::argv::buildx::Buildx;
use crate::argv::cosign::{Cosign, Signer};
use crate::argv::imagetools::{self, Join};
use crate::error::Fault;
use crate::ids::{Digest, Repository, Tag};
use crate::oci::Manifest;
use crate::plan::{Cell, Pair, Plan, Sign};
use crate::publication::{index, sources, tags};
use crate::record::{self, DigestRecord, Publication, Signature};
use crate::registry::Registry;
use crate::run::{Output, retry};

/// Everything that the cells of one call share.
pub(super) struct Merge<'a> {
    pub(super) session: &'a Session,
    pub(super) plan: &'a Plan,
    pub(super) tests: &'a Tests<'a>,
    pub(super) buildx: &'a Buildx,
    pub(super) registry: Registry,
    pub(super) cosign: Cosign,
    pub(super) ordered: bool,
    pub(super) signer: Option<Signer>,
    pub(super) allow_downgrade: bool,
}

impl Merge<'_> {
    /// Publishes one cell in every repository.
    pub(super) fn cell(&self, cell: &Cell, records: &[DigestRecord]) -> Result<Publication> {
        let mut published: Option<Publication> = None;
        for repository in &cell.repositories {
            let one = self
                .repository(cell, records, repository)
                .with_context(|| format!("publish {} to {repository}", cell.id))?;
            match &mut published {
                None => published = Some(one),
                Some(first) if first.digest != one.digest => {
                    return Err(Fault::failed(format!(
                        "{repository} got {}, the others {}",
                        one.digest, first.digest
                    ))
                    .into());
                }
                Some(first) => first.repositories.push(repository.clone()),
            }
        }
        published.context("a cell has a repository")
    }

    fn repository(
        &self,
        cell: &Cell,
        records: &[DigestRecord],
        repository: &Repository,
    ) -> Result<Publication> {
        self.check_sources(cell, records, repository)?;
        let join = join(cell, records, repository);
        let (digest, index, pushed) = self.push(&join, cell)?;
        let children = index::children(&index, cell)?;
        self.tests.run(cell, records, repository)?;
        if let Some(signer) = &self.signer {
            self.sign(signer, repository, &digest, &index, pushed)?;
        }
        let moves = self.moves(cell, repository, &digest)?;
        let publication = Publication {
            schema: record::SCHEMA,
            plan: self.plan.id.clone(),
            cell: cell.id.clone(),
            version: cell.version.clone(),
            commit: cell.commit.clone(),
            revision: self.plan.revision.clone(),
            repositories: vec![repository.clone()],
            digest,
            children,
            tags: moves.tags(),
            signature: self.signature(),
            published: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        };
        // Before the first tag moves: what it held is known now, and to nobody after a kill.
        let publication = self.attach(publication, repository, pushed)?;
        self.tag(repository, &publication, &moves)?;
        Ok(publication)
    }

    /// Attaches the record, unless the index has one that says the same: then that one is right about what the tags
    /// held before, since they may be set already.
    fn attach(&self, publication: Publication, repository: &Repository, new: bool) -> Result<Publication> {
        let Some(signer) = &self.signer else { return Ok(publication) };
        let attached = Attached { session: self.session, cosign: &self.cosign, signer };
        let earlier = if new { Vec::new() } else { attached.read(repository, &publication.digest)? };
        let ours = earlier.iter().rev().find(|record| record.plan == publication.plan);
        let publication = publication.remember(ours);
        if ours.is_some_and(|record| record.tags == publication.tags) {
            return Ok(publication);
        }
        attached.write(repository, &publication)?;
        Ok(publication)
    }

    /// Step 2.
    fn check_sources(&self, cell: &Cell, records: &[DigestRecord], repository: &Repository) -> Result<()> {
        for record in records {
            let held = self.registry.expect(repository, &record.digest)?;
            sources::check(&held, &cell.id, &record.platform)
                .with_context(|| format!("check the record of {}", record.arch))?;
        }
        Ok(())
    }

    /// Step 3. Says also whether the index is new in the repository.
    fn push(&self, join: &Join, cell: &Cell) -> Result<(Digest, Manifest, bool)> {
        let dry = join.dry_run(self.buildx);
        let printed = self.retry(&dry)?;
        let digest = index::digest_of_dry_run(&printed.stdout);
        // What is wrong is refused before it is pushed.
        index::children(&Manifest::parse(&printed.stdout)?, cell)?;
        if let Some(held) = self.registry.read(&join.repository.at(&digest))?
            && held.digest == digest
        {
            return Ok((digest, held.manifest, false));
        }
        self.retry(&join.push_untagged(self.buildx, &digest))?;
        // imagetools ignores a wrong digest in the place of a tag: only what can be read back is true.
        let held = self.registry.expect(&join.repository, &digest)?;
        self.session.ui.note(format!("{}: pushed the index {} untagged", cell.id, digest.short()));
        Ok((digest, held.manifest, true))
    }

    /// Steps 5 and 6. What is signed already is not signed again.
    fn sign(
        &self,
        signer: &Signer,
        repository: &Repository,
        digest: &Digest,
        index: &Manifest,
        new: bool,
    ) -> Result<()> {
        let all = index::all_digests(digest, index);
        let verify = self.cosign.verify(signer, repository, &all);
        if !new && self.session.runner.run(&verify, Output::Capture)?.success() {
            self.session.ui.note(format!("{repository}: {} is signed already", digest.short()));
            return Ok(());
        }
        self.retry(&self.cosign.sign(signer, repository, digest))?;
        self.retry(&verify)?;
        self.session.ui.note(format!(
            "{repository}: signed and verified {} and {} below it",
            digest.short(),
            all.len() - 1
        ));
        Ok(())
    }

    /// Steps 7 and 8.
    fn tag(&self, repository: &Repository, publication: &Publication, moves: &tags::Moves) -> Result<()> {
        let digest = &publication.digest;
        for remark in &moves.remarks {
            self.session.ui.note(format!("{repository}: {remark}"));
        }
        for (tag, reason) in &moves.stay {
            self.session.ui.warn(format!(
                "{repository}:{tag} stays: it holds {reason} (--allow-downgrade moves it all the same)"
            ));
        }
        let names: Vec<&Tag> = moves.set.iter().map(|(tag, _)| tag).collect();
        let calls: Vec<&[&Tag]> =
            if self.ordered { names.chunks(names.len().max(1)).collect() } else { names.chunks(1).collect() };
        for tags in calls {
            self.retry(&imagetools::tag(self.buildx, repository, digest, tags))?;
        }
        for tag in &publication.tags {
            read_back(&self.registry, repository, &tag.name, digest)?;
        }
        Ok(())
    }

    fn moves(&self, cell: &Cell, repository: &Repository, digest: &Digest) -> Result<tags::Moves> {
        let ours = tags::Ours {
            cell: &cell.id,
            digest,
            planned: &self.plan.created,
            version: cell.version.as_deref().filter(|version| tags::is_version(version, &self.plan.revision)),
            allow_downgrade: self.allow_downgrade,
        };
        let mut moves = tags::Moves::default();
        for tag in &cell.tags {
            let held = self.registry.read(&repository.tagged(&tag.name))?;
            let state = held.as_ref().map(tags::TagState::from);
            let decision = tags::decide(tag, ours, state.as_ref())?;
            moves.add(&tag.name, decision);
        }
        Ok(moves)
    }

    /// The facts about the signatures, for the record.
    fn signature(&self) -> Signature {
        let method = match &self.plan.sign {
            Sign::Local => "local",
            Sign::Keyless { .. } => "keyless",
            Sign::Key { .. } => "key",
            Sign::None { .. } => "none",
        };
        let (identity, key) = match &self.signer {
            Some(Signer::Keyless { identity, .. }) => (Some(identity.clone()), None),
            Some(Signer::Key { public, .. }) => (None, Some(public.clone())),
            Some(Signer::Offline { public, .. }) => (None, Some(self.session.layout.show(public))),
            None => (None, None),
        };
        Signature { method: method.to_owned(), identity, key }
    }

    fn retry(&self, argv: &crate::argv::Argv) -> Result<crate::run::Finished> {
        retry::check(&self.session.runner, self.session.ui, argv)
    }
}

/// Confirms that a tag holds what it was set to.
///
/// # Errors
/// If it does not.
pub(super) fn read_back(
    registry: &Registry,
    repository: &Repository,
    tag: &Tag,
    digest: &Digest,
) -> Result<()> {
    match registry.read(&repository.tagged(tag))? {
        Some(held) if held.digest == *digest => Ok(()),
        Some(held) => Err(Fault::failed(format!(
            "{} was set to {digest} and holds {}",
            repository.tagged(tag),
            held.digest
        ))
        .help("another publication may have moved it meanwhile; run merge again to see")
        .into()),
        None => Err(Fault::failed(format!("{} was set and is not there", repository.tagged(tag))).into()),
    }
}

/// The index of a cell in one repository.
pub(super) fn join(cell: &Cell, records: &[DigestRecord], repository: &Repository) -> Join {
    Join {
        repository: repository.clone(),
        sources: records.iter().map(|record| record.digest.clone()).collect(),
        annotations: Pair::tuples(&cell.annotations),
    }
}
