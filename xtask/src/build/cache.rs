//! The published image of a cell as a cache: only after its signature was verified, here or by the plan.

use anyhow::Result;
use std::collections::BTreeMap;

use crate::argv::cosign::{Cosign, Signer};
use crate::base::ids::{CellId, Digest, Repository};
use crate::base::parallel;
use crate::local::Stack;
use crate::matrix::CacheKind;
use crate::plan::{Build, Cell, Plan, SigningMethod};
use crate::run::retry;
use crate::session::Session;

/// What is published of the cells whose matrix asks for it as a cache, verified. A plan that was compared with the registry says
/// it. Of one that was `given` nothing more is asked: its builds may run on many machines, each of which would have to get
/// cosign first.
///
/// # Errors
/// If cosign is missing.
pub(crate) fn published(
    session: &Session,
    plan: &Plan,
    stack: Option<&Stack>,
    mut cells: Vec<&Cell>,
    given: bool,
) -> Result<BTreeMap<CellId, Digest>> {
    cells.retain(|cell| cell.builds.iter().any(|build| build.options.cache.contains(&CacheKind::Inline)));
    cells.dedup_by_key(|cell| &cell.id);
    let verified = |cell: &&Cell| Some((cell.id.clone(), cell.reuse.as_ref()?.verified()?.clone()));
    let mut known: BTreeMap<CellId, Digest> = cells.iter().filter_map(verified).collect();
    cells.retain(|cell| !known.contains_key(&cell.id));
    if given && !matches!(plan.sign, SigningMethod::None { .. }) {
        for cell in cells.iter().filter(|cell| cell.reuse.is_none()) {
            session
                .ui
                .note(format!("{}: no inline cache: its plan was not compared with the registry", cell.id));
        }
        cells.clear();
    }
    // A signer wants cosign, for which a build has no other use.
    if cells.is_empty() {
        return Ok(known);
    }
    let signer = session.signer(&plan.sign, stack)?;
    let trust = signer.map(|signer| Ok::<_, anyhow::Error>((session.cosign()?, signer))).transpose()?;
    let published = Published { session, trust };
    let found = parallel::map(&cells, parallel::default_jobs(), |cell| published.verified(cell));
    known.extend(cells.iter().zip(found).filter_map(|(cell, digest)| Some((cell.id.clone(), digest?))));
    Ok(known)
}

/// Warns of a cache of GitHub that is declared and cannot work: buildx leaves it out without a word where it lacks the token or
/// the address (`isActive` in its `build/opt.go`).
pub(crate) fn check_gha<'p>(session: &Session, mut builds: impl Iterator<Item = &'p Build>) {
    let environment = &session.context.environment;
    let wanted = |build: &Build| build.options.cache.contains(&CacheKind::Gha);
    let has = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    let works = has("ACTIONS_RUNTIME_TOKEN") && (has("ACTIONS_RESULTS_URL") || has("ACTIONS_CACHE_URL"));
    let on_github = environment.get("GITHUB_ACTIONS") == Some("true");
    if on_github && !works && builds.any(wanted) {
        session.ui.warn(
            "the cache `gha` neither finds nor keeps anything: this step has no ACTIONS_RUNTIME_TOKEN and ACTIONS_RESULTS_URL, which \
             GitHub gives to actions in JavaScript only; hand them on as ./.github/actions/cache does (`cargo xtask update` writes it)",
        );
    }
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
