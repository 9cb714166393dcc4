//! The published image of a cell as a cache: only after its signature was verified.

use anyhow::Result;
use std::collections::BTreeMap;

use crate::argv::cosign::{Cosign, Signer};
use crate::base::ids::{CellId, Digest, Repository};
use crate::base::parallel;
use crate::local::Stack;
use crate::matrix::CacheKind;
use crate::plan::{Cell, Plan};
use crate::run::retry;
use crate::session::Session;

/// What is published of the cells whose matrix asks for it as a cache, verified.
///
/// # Errors
/// If cosign is missing.
pub(crate) fn published(
    session: &Session,
    plan: &Plan,
    stack: Option<&Stack>,
    mut cells: Vec<&Cell>,
) -> Result<BTreeMap<CellId, Digest>> {
    cells.retain(|cell| cell.builds.iter().any(|build| build.options.cache.contains(&CacheKind::Inline)));
    cells.dedup_by_key(|cell| &cell.id);
    if cells.is_empty() {
        return Ok(BTreeMap::new());
    }
    let signer = session.signer(&plan.sign, stack)?;
    let trust = signer.map(|signer| Ok::<_, anyhow::Error>((session.cosign()?, signer))).transpose()?;
    let published = Published { session, trust };
    let found = parallel::map(&cells, parallel::default_jobs(), |cell| published.verified(cell));
    let pairs = cells.iter().zip(found).filter_map(|(cell, digest)| Some((cell.id.clone(), digest?)));
    Ok(pairs.collect())
}

/// What is needed to look at published images.
struct Published<'a> {
    session: &'a Session,
    /// `None`: this matrix does not sign.
    trust: Option<(Cosign, Signer)>,
}

impl Published<'_> {
    /// The digest of the published image of a cell. No image, or one
    /// that cannot be verified, is no cache, and the output says so; the build goes on without it.
    fn verified(&self, cell: &Cell) -> Option<Digest> {
        let repository = cell.repositories.first()?;
        // The last tag is the most general one: it holds what was published before.
        let reference = repository.tagged(&cell.tags.last()?.name);
        let held = match self.session.registry().read(&reference) {
            Ok(held) => held?,
            Err(error) => {
                self.session
                    .ui
                    .note(format!("{reference} is no cache: {}", crate::base::error::report(&error)));
                return None;
            }
        };
        let trusted = self
            .trust
            .as_ref()
            .is_none_or(|(cosign, signer)| self.is_signed(cosign, signer, repository, &held.digest));
        if !trusted {
            self.session.ui.note(format!("{reference} is no cache: its signature cannot be verified"));
        }
        trusted.then_some(held.digest)
    }

    fn is_signed(&self, cosign: &Cosign, signer: &Signer, repository: &Repository, digest: &Digest) -> bool {
        let argv = cosign.verify(signer, repository, std::slice::from_ref(digest));
        let runner = &self.session.runner;
        retry::run(runner, self.session.ui, &argv, retry::is_temporary).is_ok_and(|done| done.success())
    }
}
