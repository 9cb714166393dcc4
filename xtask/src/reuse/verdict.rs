//! What becomes of a cell, given what its tags hold. Pure.

use crate::plan::{Cell, Kept, Reuse};
use crate::publish::attestation_store;
use crate::reuse::inputs_now::Compared;
use crate::reuse::published::{Candidate, Holding};

/// Keeps the first publication whose inputs are those of now; else says what has changed since the one at the most general
/// tag. `compare`: what is not as it was when a publication was made.
pub(super) fn of(
    cell: &Cell,
    candidates: &[Candidate],
    holding: &Holding,
    compare: impl Fn(&Candidate) -> Compared,
) -> Reuse {
    let Some(first) = candidates.first() else {
        let why = match holding.is_empty() {
            true if cell.tags.is_empty() => {
                "has no tag for this event, so no published image can be looked up"
            }
            true => "is not published under any tag of this plan",
            false => "has tags, but no verified record at them states the inputs",
        };
        return Reuse::New { why: why.to_owned() };
    };
    let mut told = None;
    for candidate in candidates {
        let mut compared = compare(candidate);
        if compared.changes.is_empty() && candidate.children.is_empty() {
            compared.changes.push("the images of its index changed".to_owned());
        }
        let proof = compared.files.zip(attestation_store::inputs_of(&candidate.claim));
        if let (true, Some((files, inputs))) = (compared.changes.is_empty(), proof) {
            return Reuse::Kept(Kept {
                digest: candidate.digest.clone(),
                children: candidate.children.clone(),
                inputs,
                files,
                lacking: holding.lacking(&candidate.digest),
                renewed: None,
            });
        }
        told.get_or_insert(compared.changes);
    }
    Reuse::Changed { digest: first.digest.clone(), inputs: told.unwrap_or_default() }
}
