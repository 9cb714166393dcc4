//! The published image of a cell as a cache: only after its signature was verified.

use super::session::Session;
use crate::argv::buildx::Buildx;
use crate::argv::cosign::{Cosign, Signer};
use crate::ids::{Digest, Repository};
use crate::matrix::CacheKind;
use crate::plan::Cell;
use crate::run::retry;

/// What is needed to look at published images.
pub(super) struct Published<'a> {
    pub(super) session: &'a Session,
    pub(super) buildx: &'a Buildx,
    /// `None`: this matrix does not sign.
    pub(super) trust: Option<(Cosign, Signer)>,
}

impl Published<'_> {
    /// The digest of the published image of a cell, where one of its builds wants it as a cache. No image, or one
    /// that cannot be verified, is no cache, and the output says so; the build goes on without it.
    pub(super) fn verified(&self, cell: &Cell) -> Option<Digest> {
        let wanted = cell.builds.iter().any(|build| build.options.cache.contains(&CacheKind::Inline));
        let repository = cell.repositories.first().filter(|_| wanted)?;
        // The last tag is the most general one: it holds what was published before.
        let reference = repository.tagged(&cell.tags.last()?.name);
        let held = match self.session.registry(self.buildx).read(&reference) {
            Ok(held) => held?,
            Err(error) => {
                self.session.ui.note(format!("{reference} is no cache: {}", crate::error::report(&error)));
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
