//! Steps 2 to 8 of a publication: one cell, one repository after the other. `docs/publication.md` has the order.

use anyhow::{Context as _, Result};

use crate::argv::buildx::Buildx;
use crate::argv::cosign::{Cosign, Signer};
use crate::argv::imagetools::Join;
use crate::base::error::Fault;
use crate::base::ids::{Digest, Repository};
use crate::base::record::{self, DigestRecord, Publication, Signature};
use crate::build::built_index;
use crate::plan::{Cell, Pair, Plan, Sign};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::image_tests::Tests;
use crate::publish::index;
use crate::publish::pinned_index::PinnedIndex;
use crate::publish::tag_rules;
use crate::publish::tagging::Tagging;
use crate::registry::manifest::Manifest;
use crate::registry::{FetchedManifest, Registry};
use crate::run::retry;
use crate::session::Session;

/// Everything that the cells of one call share.
pub(crate) struct Merge<'a> {
    pub(crate) session: &'a Session,
    pub(crate) plan: &'a Plan,
    pub(crate) tests: &'a Tests<'a>,
    pub(crate) buildx: &'a Buildx,
    pub(crate) registry: Registry,
    pub(crate) cosign: Cosign,
    pub(crate) signer: Option<Signer>,
    pub(crate) allow_downgrade: bool,
}

/// An index that its repository holds, tagged or not.
struct Pushed {
    held: FetchedManifest,
    /// It was not there before.
    new: bool,
}

impl Merge<'_> {
    /// Publishes one cell in every repository. One that fails stops no other: what is done is in the publication, what
    /// is not, and why, too.
    ///
    /// # Errors
    /// If nothing of it can be published: its own test fails, or every repository does.
    pub(crate) fn cell(&self, cell: &Cell, records: &[DigestRecord]) -> Result<Publication> {
        let pushed: Vec<(&Repository, Result<Pushed>)> = cell
            .repositories
            .iter()
            .map(|repository| (repository, self.prepare(cell, records, repository)))
            .collect();
        // Every repository holds the same digests, so one of them is enough to test.
        if let Some((repository, _)) = pushed.iter().find(|(_, pushed)| pushed.is_ok()) {
            self.tests.run(cell, records, repository)?;
        }
        let results = pushed.into_iter().map(|(repository, pushed)| {
            let done = pushed.and_then(|pushed| self.repository(cell, repository, pushed));
            (repository, done.with_context(|| format!("publish {} to {repository}", cell.id)))
        });
        joined(results.collect())
    }

    /// Steps 2 and 3.
    fn prepare(&self, cell: &Cell, records: &[DigestRecord], repository: &Repository) -> Result<Pushed> {
        self.check_sources(cell, records, repository)?;
        self.push(&join(cell, records, repository), cell)
    }

    /// Steps 5 to 8.
    fn repository(&self, cell: &Cell, repository: &Repository, pushed: Pushed) -> Result<Publication> {
        let Pushed { held, new } = pushed;
        let digest = held.digest.clone();
        let children = index::children(&held.manifest, cell)?;
        if let Some(signer) = &self.signer {
            self.sign(signer, repository, &digest, &held.manifest, new)?;
        }
        let publication = Publication {
            schema: record::SCHEMA,
            plan: self.plan.id.clone(),
            cell: cell.id.clone(),
            version: cell.version.clone(),
            commit: cell.commit.clone(),
            revision: self.plan.revision.clone(),
            repositories: vec![repository.clone()],
            unfinished: Vec::new(),
            digest: digest.clone(),
            children,
            tags: Vec::new(),
            signature: self.signature(),
            published: self.session.context.clock.stamp(),
        };
        let ours = tag_rules::Ours {
            cell: &cell.id,
            digest: &digest,
            planned: &self.plan.created,
            version: cell
                .version
                .as_deref()
                .filter(|version| tag_rules::is_version(version, &self.plan.revision)),
            allow_downgrade: self.allow_downgrade,
        };
        let (session, cosign, registry) = (self.session, &self.cosign, &self.registry);
        let store = |signer| AttestationStore { session, registry, cosign, signer };
        let attached = self.signer.as_ref().map(store);
        let exact = PinnedIndex::new(registry, repository, held);
        Tagging { session, registry, cell, repository, ours, exact, attached }.run(publication, new)
    }

    /// Step 2.
    fn check_sources(&self, cell: &Cell, records: &[DigestRecord], repository: &Repository) -> Result<()> {
        for record in records {
            let held = self.registry.require(repository, &record.digest)?;
            built_index::check(&held, &cell.id, &record.platform)
                .with_context(|| format!("check the record of {}", record.arch))?;
        }
        Ok(())
    }

    /// Step 3.
    fn push(&self, join: &Join, cell: &Cell) -> Result<Pushed> {
        let dry = join.dry_run(self.buildx);
        let printed = self.retry(&dry)?;
        let digest = index::digest_of_dry_run(&printed.stdout);
        // What is wrong is refused before it is pushed.
        index::children(&Manifest::parse(&printed.stdout)?, cell)?;
        if let Some(held) = self.registry.read(&join.repository.at(&digest))?
            && held.digest == digest
        {
            return Ok(Pushed { held, new: false });
        }
        self.retry(&join.push_untagged(self.buildx, &digest))?;
        // imagetools ignores a wrong digest in the place of a tag: only what can be read back is true.
        let held = self.registry.require(&join.repository, &digest)?;
        self.session.ui.note(format!("{}: pushed the index {} untagged", cell.id, digest.short()));
        Ok(Pushed { held, new: true })
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
        let (runner, ui) = (&self.session.runner, self.session.ui);
        if !new && retry::run(runner, ui, &verify, retry::is_temporary)?.success() {
            self.session.ui.note(format!("{repository}: {} is signed already", digest.short()));
            return Ok(());
        }
        self.retry(&self.cosign.sign(signer, repository, digest))?;
        let verified = retry::run(runner, ui, &verify, retry::is_temporary)?;
        if !verified.success() {
            return Err(verified
                .fault(&verify)
                .help("what was just signed is not signed by whom matrix.toml expects: see `workflow`, `identity` or `key` of [sign]")
                .into());
        }
        self.session.ui.note(format!(
            "{repository}: signed and verified {} and {} below it",
            digest.short(),
            all.len() - 1
        ));
        Ok(())
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

/// One publication of what was done in each repository.
fn joined(results: Vec<(&Repository, Result<Publication>)>) -> Result<Publication> {
    let mut whole: Option<Publication> = None;
    let mut failed: Vec<(&Repository, anyhow::Error)> = Vec::new();
    for (repository, result) in results {
        match (result, &mut whole) {
            (Err(error), _) => failed.push((repository, error)),
            (Ok(one), None) => whole = Some(one),
            (Ok(one), Some(first)) if first.digest == one.digest => {
                first.repositories.extend(one.repositories);
                first.tags.extend(one.tags);
            }
            (Ok(one), Some(first)) => {
                let text = format!("{repository} got {}, the others {}", one.digest, first.digest);
                failed.push((repository, Fault::failed(text).into()));
            }
        }
    }
    match (whole, failed.as_slice()) {
        (Some(mut publication), failed) => {
            let unfinished = |(repository, error): &(&Repository, anyhow::Error)| record::Unfinished {
                repository: (*repository).clone(),
                error: crate::base::error::report(error),
            };
            publication.unfinished = failed.iter().map(unfinished).collect();
            Ok(publication)
        }
        // One error keeps its own mends.
        (None, [_]) => Err(failed.remove(0).1),
        (None, _) => {
            let texts: Vec<String> =
                failed.iter().map(|(_, error)| crate::base::error::report(error)).collect();
            Err(Fault::failed(texts.join("\n")).into())
        }
    }
}

/// The index of a cell in one repository.
pub(crate) fn join(cell: &Cell, records: &[DigestRecord], repository: &Repository) -> Join {
    Join {
        repository: repository.clone(),
        sources: records.iter().map(|record| record.digest.clone()).collect(),
        annotations: Pair::tuples(&cell.annotations),
    }
}
