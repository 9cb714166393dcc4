//! Sets tags to exactly the bytes of an index, whatever the registry answers meanwhile.
//!
//! `imagetools create -t REPO:TAG REPO@DIGEST` pushes what it is sent for the digest and does not compare the two: a
//! registry or a proxy that sends something else once makes that the content of the tag, unsigned. Here the bytes are
//! those that were compared with the digest, and signed under it.

use anyhow::Result;

use crate::base::ids::{Digest, Repository, Tag};
use crate::registry::{FetchedManifest, Passing, Registry};

/// An index whose bytes are on this machine.
pub(crate) struct PinnedIndex<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    index: FetchedManifest,
}

impl<'a> PinnedIndex<'a> {
    /// Of an index that the repository holds: its bytes have its digest.
    pub(crate) fn new(registry: &'a Registry, repository: &'a Repository, index: FetchedManifest) -> Self {
        Self { registry, repository, index }
    }

    /// Sets a tag, in a single try: whoever tries again has to read the tag first.
    ///
    /// # Errors
    /// If the registry refuses.
    pub(crate) fn tag(&self, tag: &Tag) -> Result<Result<(), Passing>> {
        let FetchedManifest { media_type, bytes, .. } = &self.index;
        self.registry.put_manifest(self.repository, tag.as_str(), media_type, bytes)
    }
}

/// What `--dry-run` prints for a tag: the request, and the command that does the same.
pub(crate) fn dry_run(repository: &Repository, digest: &Digest, tag: &Tag) -> String {
    format!(
        "{}  (the same as: docker buildx imagetools create -t {} {})",
        Registry::describe_put(repository, tag.as_str()),
        repository.tagged(tag),
        repository.at(digest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_shown_as_the_request_that_sets_it() {
        let (repository, tag) = ("ghcr.io/acme/app".parse().unwrap(), "latest".parse().unwrap());
        let line = dry_run(&repository, &Digest::unknown(), &tag);
        let digest = Digest::unknown();
        assert_eq!(
            line,
            format!(
                "PUT https://ghcr.io/v2/acme/app/manifests/latest  (the same as: docker buildx imagetools create -t ghcr.io/acme/app:latest ghcr.io/acme/app@{digest})"
            )
        );
    }
}
