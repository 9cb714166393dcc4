//! What the tags of cells hold, and the signed records about it.

use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository, Tag};
use crate::base::inputs::CellInputs;
use crate::base::parallel;
use crate::base::publication::{Child, PublicationClaim};
use crate::plan::resolve::ANNOTATION_CELL;
use crate::plan::{Cell, Plan};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::index;
use crate::registry::{FetchedManifest, Registry};
use crate::run::Runner;

/// How long a registry may take to answer the first question.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many requests are under way at once.
const READERS: usize = 8;

/// What the tags of a cell hold in one repository.
#[derive(Debug)]
struct Tags {
    repository: Repository,
    /// Tag after tag, as planned.
    held: Vec<(Tag, Option<FetchedManifest>)>,
}

/// What the tags of a cell hold in each of its repositories, or why that cannot be read.
#[derive(Debug)]
pub(super) struct Holding {
    tags: Vec<Tags>,
    /// The publications among them, that of the most general tag first, or why it cannot be told what is published.
    pub(super) candidates: Result<Vec<Candidate>, String>,
}

/// A publication of ours that tags of a cell hold, with the inputs that it was made from.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) digest: Digest,
    /// The image of each platform; none if it is for other platforms than the cell.
    pub(super) children: Vec<Child>,
    /// Everything that the index lists.
    pub(super) listed: Vec<Digest>,
    /// The newest record, in the first repository.
    pub(super) claim: PublicationClaim,
    pub(super) inputs: CellInputs,
}

/// Reads the tags of all cells, and verifies the records at what they hold.
///
/// # Errors
/// If we are asked to stop, or if cosign cannot be run. If an answer is demanded, also if a registry does not tell.
pub(super) fn read(
    registry: &Registry,
    plan: &Plan,
    store: &AttestationStore,
    runner: &Runner,
    demanded: bool,
) -> Result<Vec<Holding>> {
    let places = plan.cells.iter().flat_map(|cell| cell.repositories.iter().map(move |one| (cell, one)));
    let asked: Vec<(&Cell, &Repository, &Tag)> = places
        .flat_map(|(cell, repository)| cell.tags.iter().map(move |tag| (cell, repository, &tag.name)))
        .collect();
    // A registry that does not answer is asked once, not once for each tag.
    let first: BTreeMap<&str, String> =
        asked.iter().rev().map(|(_, repository, tag)| (repository.host(), repository.tagged(tag))).collect();
    let silent: BTreeMap<&str, String> = first
        .into_iter()
        .filter_map(|(host, reference)| Some((host, registry.digest(&reference, PATIENCE).ok()?.err()?)))
        .collect();
    let answers =
        parallel::map(&asked, READERS, |(_, repository, tag)| match silent.get(repository.host()) {
            Some(why) if !demanded => Err(UserError::failed(format!("read {repository}: {why}")).into()),
            _ => registry.read(&repository.tagged(tag)),
        });
    runner.check_interrupted()?;
    let mut answers = asked.into_iter().zip(answers).peekable();
    let mut all = Vec::new();
    for cell in &plan.cells {
        let (mut tags, mut failed) = (Vec::new(), None);
        for repository in &cell.repositories {
            let mut held = Vec::new();
            let here =
                |next: &((&Cell, &Repository, &Tag), _)| next.0.0.id == cell.id && next.0.1 == repository;
            while let Some(((_, _, tag), answer)) = answers.next_if(here) {
                match answer {
                    Ok(found) => held.push((tag.clone(), found)),
                    Err(error) if demanded => return Err(error),
                    Err(error) => failed = Some(format!("{error:#}")),
                }
            }
            tags.push(Tags { repository: repository.clone(), held });
        }
        all.push(Holding { tags, candidates: failed.map_or_else(|| Ok(Vec::new()), Err) });
    }
    let about: BTreeSet<(Repository, Digest)> =
        plan.cells.iter().zip(&all).flat_map(|(cell, holding)| holding.indexes(cell)).collect();
    store.read_ahead(&about.into_iter().collect::<Vec<_>>())?;
    let work: Vec<(&Cell, &Holding)> = plan.cells.iter().zip(&all).collect();
    let found = parallel::map(&work, READERS, |(cell, holding)| match &holding.candidates {
        Err(why) => Err(why.clone()),
        Ok(_) => holding.found(cell, store),
    });
    runner.check_interrupted()?;
    for (holding, found) in all.iter_mut().zip(found) {
        holding.candidates = found;
    }
    Ok(all)
}

impl Holding {
    /// The indexes that say of themselves that they are of a cell.
    fn indexes(&self, cell: &Cell) -> Vec<(Repository, Digest)> {
        let held =
            self.tags.iter().flat_map(|tags| tags.held.iter().map(move |(_, held)| (&tags.repository, held)));
        let ours = held.filter_map(|(repository, held)| {
            let held = held.as_ref()?;
            let of = held.manifest.annotations.get(ANNOTATION_CELL)?;
            (of == cell.id.as_str()).then(|| (repository.clone(), held.digest.clone()))
        });
        ours.collect()
    }

    /// The publications that every repository holds and has a record of, that of the most general tag first.
    fn found(&self, cell: &Cell, store: &AttestationStore) -> Result<Vec<Candidate>, String> {
        let Some(first) = self.tags.first() else { return Ok(Vec::new()) };
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let ours = self.indexes(cell);
        for held in first.held.iter().rev().filter_map(|(_, held)| held.as_ref()) {
            if !ours.contains(&(first.repository.clone(), held.digest.clone())) || !seen.insert(&held.digest)
            {
                continue;
            }
            let children = index::children(&held.manifest, cell).unwrap_or_default();
            let mut claims = Vec::new();
            for repository in &cell.repositories {
                let records = store.read(repository, &held.digest).map_err(|error| format!("{error:#}"))?;
                let about = |claim: &PublicationClaim| {
                    claim.cell == cell.id && claim.repositories.contains(repository)
                };
                claims.extend(records.into_iter().rev().find(about));
            }
            let everywhere = claims.len() == cell.repositories.len();
            let same = claims.windows(2).all(|two| matches!(two, [one, other] if one.inputs == other.inputs));
            let Some(claim) = claims.into_iter().next().filter(|_| everywhere && same) else { continue };
            let Some(inputs) = claim.inputs.clone() else { continue };
            let listed = held.manifest.manifests.iter().map(|entry| entry.digest.clone()).collect();
            found.push(Candidate { digest: held.digest.clone(), children, listed, claim, inputs });
        }
        Ok(found)
    }

    /// Whether any tag holds anything.
    pub(super) fn is_empty(&self) -> bool {
        self.tags.iter().all(|tags| tags.held.iter().all(|(_, held)| held.is_none()))
    }

    /// The tags that do not hold a digest everywhere.
    pub(super) fn lacking(&self, digest: &Digest) -> Vec<Tag> {
        let mut lacking: Vec<Tag> = Vec::new();
        for (tag, held) in self.tags.iter().flat_map(|tags| &tags.held) {
            if held.as_ref().is_none_or(|held| held.digest != *digest) && !lacking.contains(tag) {
                lacking.push(tag.clone());
            }
        }
        lacking
    }
}

/// The images that the published builds were made from, by the names that are asked for again.
pub(super) fn images(holdings: &[Holding]) -> BTreeSet<String> {
    let candidates = holdings.iter().filter_map(|holding| holding.candidates.as_ref().ok()).flatten();
    let builds = candidates.flat_map(|candidate| candidate.inputs.builds.values());
    let names = builds.flat_map(|build| build.sources.images.keys());
    names.filter(|name| !name.contains('@')).cloned().collect()
}

/// What a registry has lost of an index, as a phrase; none if all that it lists is there.
pub(super) fn gone(registry: &Registry, cell: &Cell, candidate: &Candidate) -> Option<String> {
    let asked: Vec<(&Repository, &Digest)> = cell
        .repositories
        .iter()
        .flat_map(|repository| candidate.listed.iter().map(move |digest| (repository, digest)))
        .collect();
    let there =
        parallel::map(&asked, READERS, |(repository, digest)| registry.exists(&repository.at(digest)));
    let missing = asked.iter().zip(there).find(|(_, there)| !matches!(there, Ok(true)));
    missing.map(|((repository, digest), _)| {
        format!("{} is missing in the registry, or cannot be read", repository.at(digest))
    })
}
