//! `cargo xtask rollback`: the tags of a cell go back to what they held before its last publication.

use anyhow::{Context as _, Result};
use std::path::PathBuf;

use crate::argv::cosign::{Cosign, Signer};
use crate::base::error::Fault;
use crate::base::ids::{CellId, Digest, Repository, Tag};
use crate::base::record::{self, Publication};
use crate::base::ui::columns;
use crate::plan::Cell;
use crate::plan::filter::Filter;
use crate::plan::resolve::ANNOTATION_CELL;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::index::all_digests;
use crate::publish::pinned_index::{self, PinnedIndex};
use crate::publish::tagging::read_back;
use crate::registry::Registry;
use crate::run::retry;
use crate::session::Session;
use crate::session::planning::PlanOptions;

/// What was typed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// The cell.
    pub cell: CellId,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--publications`.
    pub publications: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If no record says what the tags held before, or if that is not signed as it should be.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let plan = session.plan(&options.plan)?;
    let filter = Filter { cells: vec![options.cell.clone()], ..Filter::default() };
    let cell = filter.cells(&plan)?.into_iter().next().context("the plan lacks the cell")?;
    let stack = session.stack(&plan)?;
    let folder = options.publications.as_ref();
    let folder = folder.map_or_else(|| session.layout.publications(), |path| session.typed(path));
    let rollback = Rollback {
        session,
        cell,
        registry: session.registry(),
        cosign: session.cosign()?,
        signer: session.signer(&plan.sign, stack.as_ref())?,
        local: record::publication_path(&folder, &cell.id),
    };
    let mut steps = Vec::new();
    for repository in &cell.repositories {
        let found = rollback.steps(repository).with_context(|| format!("roll {} back", cell.id))?;
        steps.push((repository, found));
    }
    if options.dry_run {
        for (repository, back) in &steps {
            for (tag, digest) in &back.moves {
                session.ui.out(pinned_index::dry_run(repository, digest, tag));
            }
        }
        return Ok(());
    }
    let mut rows = vec![["REFERENCE", "NOW", "WAS"].map(str::to_owned).to_vec()];
    for (repository, back) in &steps {
        rollback.go(repository, back)?;
        let from = back.from.short().to_owned();
        let row = |(tag, digest): &(Tag, Digest)| {
            vec![repository.tagged(tag), digest.short().to_owned(), from.clone()]
        };
        rows.extend(back.moves.iter().map(row));
    }
    // The record on this machine tells of what no tag holds any more; the one at the index stays.
    if rollback.signer.is_some() && rollback.local.exists() {
        std::fs::remove_file(&rollback.local)
            .with_context(|| format!("removing {}", rollback.local.display()))?;
    }
    session.ui.out(columns(&rows));
    Ok(())
}

struct Rollback<'a> {
    session: &'a Session,
    cell: &'a Cell,
    registry: Registry,
    cosign: Cosign,
    signer: Option<Signer>,
    local: PathBuf,
}

/// What is to be done in one repository.
struct Back {
    /// The index that is taken back.
    from: Digest,
    /// The tags, the most general first: a reader of `latest` must find its version, too.
    moves: Vec<(Tag, Digest)>,
}

impl Rollback<'_> {
    /// Finds the last publication, and which of its tags go back where.
    fn steps(&self, repository: &Repository) -> Result<Back> {
        let publication = self.last(repository)?;
        let mut moves: Vec<(Tag, Digest)> = Vec::new();
        for tag in publication.tags_in(repository).rev() {
            let reference = repository.tagged(&tag.name);
            let held = self.registry.read(&reference)?.map(|held| held.digest);
            match (&tag.moved_from, held) {
                (Some(before), Some(held)) if held == publication.digest => {
                    moves.push((tag.name.clone(), before.clone()));
                }
                (None, Some(held)) if held == publication.digest => {
                    self.session.ui.note(format!("{reference} stays: it held nothing before"));
                }
                _ => self.session.ui.note(format!("{reference} stays: it does not hold this publication")),
            }
        }
        let mut targets: Vec<&Digest> = moves.iter().map(|(_, digest)| digest).collect();
        targets.sort();
        targets.dedup();
        for digest in targets {
            self.check(repository, digest)?;
        }
        if moves.is_empty() {
            return Err(Fault::failed(format!(
                "no tag of {repository} can go back: none of them held anything before {}",
                publication.digest.short()
            ))
            .into());
        }
        Ok(Back { from: publication.digest, moves })
    }

    /// The newest publication of the cell that one of its tags holds: as the registry knows it, else this machine.
    fn last(&self, repository: &Repository) -> Result<Publication> {
        let mut found: Vec<Publication> = Vec::new();
        let mut seen: Vec<Digest> = Vec::new();
        for tag in &self.cell.tags {
            let Some(held) = self.registry.read(&repository.tagged(&tag.name))? else { continue };
            let ours =
                held.manifest.annotations.get(ANNOTATION_CELL).is_some_and(|id| id == self.cell.id.as_str());
            if !ours || seen.contains(&held.digest) {
                continue;
            }
            seen.push(held.digest.clone());
            if let Some(signer) = &self.signer {
                let store = AttestationStore {
                    session: self.session,
                    registry: &self.registry,
                    cosign: &self.cosign,
                    signer,
                };
                found.extend(store.read(repository, &held.digest)?);
            }
        }
        let local = record::read::<Publication>(&self.local)?.filter(|record| seen.contains(&record.digest));
        let newest = found.into_iter().max_by(|one, two| one.published.cmp(&two.published)).or(local);
        newest.ok_or_else(|| {
            Fault::failed(format!("{repository} has no record of a publication of {}", self.cell.id))
                .help("it is looked for under the tags that the plan gives the cell now; if the version has changed since, add --set-version TRACK=X with the one that was published")
                .help("records are attached to what `merge` publishes and signs: what is not signed has one on this machine only")
                .into()
        })
    }

    /// What tags go back to must be there, and signed like everything else.
    fn check(&self, repository: &Repository, digest: &Digest) -> Result<()> {
        let held = self.registry.require(repository, digest)?;
        let Some(signer) = &self.signer else { return Ok(()) };
        let argv = self.cosign.verify(signer, repository, &all_digests(digest, &held.manifest));
        retry::check(&self.session.runner, self.session.ui, &argv).map(drop)
    }

    fn go(&self, repository: &Repository, back: &Back) -> Result<()> {
        for (tag, digest) in &back.moves {
            // To check signatures takes a while, and somebody may have published meanwhile.
            let held = self.registry.read(&repository.tagged(tag))?.map(|held| held.digest);
            if held.as_ref().is_none_or(|held| *held != back.from) {
                let now = held.map_or_else(|| "nothing".to_owned(), |held| held.to_string());
                let message = format!("{} has moved meanwhile: it holds {now}", repository.tagged(tag));
                return Err(Fault::failed(message)
                    .help("run it again to see what it would do now; the tags before it have gone back")
                    .into());
            }
            let target = self.registry.require(repository, digest)?;
            PinnedIndex::new(&self.registry, repository, target).tag(tag)?;
            read_back(&self.registry, repository, tag, digest)?;
        }
        Ok(())
    }
}
