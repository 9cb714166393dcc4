//! An index that a cell keeps: found again, and never made older.

use anyhow::Result;

use crate::base::ids::Repository;
use crate::base::publication::PublicationClaim;
use crate::plan::{Cell, Kept, Plan};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::holders;
use crate::publish::index;
use crate::publish::tag_rules::Age;
use crate::registry::{FetchedManifest, Registry};

/// Reads what stays: nothing but a signed record proves that it was made from the same inputs. Where something is to be
/// written about it, it is verified and has to be whole.
///
/// # Errors
/// If it is not what the plan has found, or not signed any more.
pub(crate) fn find(
    registry: &Registry,
    store: &AttestationStore,
    cell: &Cell,
    kept: &Kept,
    repository: &Repository,
) -> Result<(FetchedManifest, PublicationClaim)> {
    let index = registry.require(repository, &kept.digest)?;
    index::children(&index.manifest, cell)?;
    let proof = store.of_kept(repository, &cell.id, kept)?;
    if kept.is_unfinished() {
        store.verify(repository, &index)?;
        for entry in &index.manifest.manifests {
            registry.require(repository, &entry.digest)?;
        }
    }
    Ok((index, proof))
}

/// How new the publication of a plan is. `proof`: the record of what it keeps. What a later plan has kept does not become
/// older because this one keeps it too.
pub(crate) fn age(plan: &Plan, cell: &Cell, proof: Option<&PublicationClaim>) -> Age {
    let own = holders::of_plan(plan, cell);
    match proof.map(Age::of_claim).filter(|known| known.is_later(&own)) {
        Some(known) => Age { version: own.version, ..known },
        None => own,
    }
}
