//! An index that a cell keeps: found again, and never made older.

use anyhow::Result;

use crate::base::ids::Repository;
use crate::base::publication::PublicationClaim;
use crate::plan::{Cell, Kept};
use crate::publish::attestation_store::AttestationStore;
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

/// The record and the age of a publication. What a later plan has kept does not become older because this one keeps it too.
pub(crate) fn no_older(
    claim: PublicationClaim,
    age: Age,
    proof: Option<&PublicationClaim>,
) -> (PublicationClaim, Age) {
    let Some(proof) = proof.filter(|proof| Age::of_claim(proof).is_later(&age)) else { return (claim, age) };
    let PublicationClaim { planned, code_date, revision, .. } = proof.clone();
    let age = Age { version: age.version, ..Age::of_claim(proof) };
    (PublicationClaim { planned, code_date, revision, ..claim }, age)
}
