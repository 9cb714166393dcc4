//! What a run of a plan would change: read from the registry, decided by the code of `merge`.

use anyhow::Result;

use crate::base::ids::{Digest, Repository};
use crate::base::parallel;
use crate::plan::difference::{
    Becomes, BuildDifference, CellDifference, Difference, Facts, Pull, RepositoryDifference, SCHEMA,
    TagDifference, TagHolder,
};
use crate::plan::{Build, Cell, Plan, PlannedTag, Reuse, jobs};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::holders::{self, Holders};
use crate::publish::keeping;
use crate::publish::prediction;
use crate::publish::statements::KIND;
use crate::publish::tag_access::{Patience, TagAccess};
use crate::publish::tag_rules::{Age, Candidate, Holder, TagRules, TagState};
use crate::registry::{FetchedManifest, Registry};
use crate::reuse::bases::BaseImages;
use crate::reuse::pulls::Pulls;
use crate::session::Session;

/// How many cells are looked at, and how many tags of each are read, side by side.
const READERS: usize = 4;

/// One plan against the registry.
#[derive(Debug)]
pub(super) struct Differing<'a> {
    session: &'a Session,
    plan: &'a Plan,
    registry: Registry,
    /// Where records are attached; nowhere if nothing is signed.
    store: Option<&'a AttestationStore>,
    pulls: Pulls<'a>,
}

/// What a tag holds, judged as `merge` does; none if there is nothing.
type Judged = Result<Option<TagState>>;

impl<'a> Differing<'a> {
    /// Of a plan that was compared with what is published.
    pub(super) fn new(
        session: &'a Session,
        plan: &'a Plan,
        store: Option<&'a AttestationStore>,
    ) -> Result<Self> {
        let registry = session.registry();
        let bases = BaseImages::new(session, plan)?;
        let pulls = Pulls::new(registry.clone(), plan, &session.layout.root, store, bases);
        Ok(Self { session, plan, registry, store, pulls })
    }

    /// All of it.
    pub(super) fn all(&self) -> Result<Difference> {
        let cells = parallel::map(&self.plan.cells, READERS, |cell| self.cell(cell));
        self.session.runner.check_interrupted()?;
        let cells = cells.into_iter().collect::<Result<Vec<_>>>()?;
        let (plan, event) = (self.plan.id.clone(), self.plan.event.to_string());
        let runners = Difference::count_runners(&cells);
        Ok(Difference { schema: SCHEMA, plan, event, push: self.plan.push, cells, runners })
    }

    fn cell(&self, cell: &Cell) -> Result<CellDifference> {
        let uncompared = || {
            let why = if self.store.is_some() {
                "was not compared"
            } else {
                "cannot be compared: nothing is signed"
            };
            Reuse::New { why: why.to_owned() }
        };
        let repositories = cell.repositories.iter().filter(|_| self.plan.push);
        let repositories: Vec<RepositoryDifference> =
            repositories.map(|one| self.repository(cell, one)).collect::<Result<_>>()?;
        // Where no tag moves nobody pulls anything.
        let idle = self.plan.push && !repositories.iter().any(RepositoryDifference::changes);
        let build = |build: &Build| BuildDifference {
            arch: build.arch.clone(),
            platform: build.platform.clone(),
            runner: jobs::runner_of(cell, build).map(str::to_owned),
            pull: if idle { Pull::Bytes(0) } else { self.pulls.of(cell, build) },
        };
        Ok(CellDifference {
            cell: cell.id.clone(),
            reuse: cell.reuse.clone().unwrap_or_else(uncompared),
            publication: self.publication(cell),
            builds: cell.builds.iter().filter(|_| cell.kept().is_none()).map(build).collect(),
            repositories,
        })
    }

    /// Where the tags of a cell go.
    fn publication(&self, cell: &Cell) -> Facts {
        Facts {
            digest: cell.kept().map(|kept| kept.digest.clone()),
            cell: cell.id.to_string(),
            version: cell.version.clone(),
            commit: cell.commit.clone(),
            revision: self.plan.revision.clone(),
            code_date: self.plan.code_date.clone(),
            planned: self.plan.planned().to_owned(),
        }
    }

    fn repository(&self, cell: &Cell, repository: &Repository) -> Result<RepositoryDifference> {
        let Session { context, runner, ui, .. } = self.session;
        let mut holders = Holders::new(self.store, context.clock, runner, *ui);
        holders.held_for = Some(&cell.id);
        let ours = cell.kept().map_or_else(Digest::unknown, |kept| kept.digest.clone());
        let (registry, tags) = (&self.registry, cell.tags.as_slice());
        let patience = Patience::new(runner, *ui);
        let access = TagAccess { registry, repository, tags, ours: &ours, holders, patience };
        let found = self.read(repository, tags)?;
        let judge = |(tag, held): (&PlannedTag, &Option<FetchedManifest>)| {
            held.as_ref().map(|held| access.judged(tag, held)).transpose()
        };
        let judged: Vec<Judged> = tags.iter().zip(&found).map(judge).collect();
        let proof = self.store.zip(cell.kept());
        let proof = proof.map(|(store, kept)| store.of_kept(repository, &cell.id, kept)).transpose()?;
        let age = keeping::age(self.plan, cell, proof.as_ref());
        let candidate = Candidate { cell: &cell.id, digest: &ours, age: &age, allow_downgrade: false };
        let becomes = decided(&TagRules { tags, candidate }, &judged, &access)?;
        let rows = tags.iter().zip(found.iter().zip(&judged)).zip(becomes);
        let row =
            |((tag, (held, judged)), becomes): ((&PlannedTag, (&Option<FetchedManifest>, &Judged)), _)| {
                let from = held.as_ref().map(|held| holder(&access, tag, held, judged));
                TagDifference { name: tag.name.clone(), immutable: tag.immutable, from, becomes }
            };
        Ok(RepositoryDifference { repository: repository.clone(), tags: rows.map(row).collect() })
    }

    /// What tags hold. A registry that does not tell, also about records, is an error.
    fn read(&self, repository: &Repository, tags: &[PlannedTag]) -> Result<Vec<Option<FetchedManifest>>> {
        let one = |tag: &PlannedTag| -> Result<Option<FetchedManifest>> {
            let found = self.registry.read(&repository.tagged(&tag.name))?;
            if let (Some(store), Some(found)) = (self.store, &found) {
                store.attached(repository, &found.digest, KIND)?;
            }
            Ok(found)
        };
        parallel::map(tags, READERS, one).into_iter().collect()
    }
}

/// What becomes of each tag. What cannot be trusted stops `merge` before it sets any.
fn decided(rules: &TagRules<'_>, judged: &[Judged], access: &TagAccess<'_>) -> Result<Vec<Becomes>> {
    let states: Option<Vec<Option<TagState>>> = judged.iter().map(|one| one.as_ref().ok().cloned()).collect();
    if let Some(states) = states {
        return prediction::foresee(rules, &states, |of| access.claims(&of.digest));
    }
    let refused = |one: &Judged| match one {
        Err(error) => Becomes::Refused { why: format!("cannot be trusted: {error:#}") },
        Ok(Some(state)) if state.digest == *rules.candidate.digest => Becomes::Unchanged,
        Ok(_) => Becomes::Stays { why: "merge refuses another tag of the cell".to_owned() },
    };
    Ok(judged.iter().map(refused).collect())
}

/// What a tag holds, for people.
fn holder(access: &TagAccess<'_>, tag: &PlannedTag, held: &FetchedManifest, judged: &Judged) -> TagHolder {
    let digest = held.digest.clone();
    let known = judged.as_ref().ok().and_then(Option::as_ref).map(|state| &state.holder);
    let publication = match (access.holders.record(access.repository, &tag.name, held), known) {
        (Some(record), _) => {
            let commit = record.commit.clone();
            Some(Facts {
                version: record.version.clone(),
                ..facts(&digest, holders::age(&record, held), commit)
            })
        }
        (None, Some(Holder::Publication(age))) => Some(facts(&digest, age.clone(), None)),
        (None, _) => None,
    };
    let other = match known {
        // Nobody asks what an immutable tag holds, or the publication itself.
        Some(Holder::Other(why)) if !tag.immutable && digest != *access.ours => Some(why.clone()),
        _ => None,
    };
    TagHolder { digest, publication, other }
}

fn facts(digest: &Digest, age: Age, commit: Option<String>) -> Facts {
    let Age { cell, version, revision, code_date, planned } = age;
    Facts { digest: Some(digest.clone()), cell, version, commit, revision, code_date, planned }
}
