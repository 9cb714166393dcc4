//! `crane`: what buildx cannot do with a registry, to list tags and to delete.

use crate::argv::{Argv, Program};
use crate::base::ids::{Digest, Repository};

/// A registry may be slow, but never this slow. In seconds.
const LIMIT: u64 = 120;

/// Lists the tags of a repository, one per line.
pub fn tags(crane: &Program, repository: &Repository) -> Argv {
    Argv::new(format!("list the tags of {repository}"), crane).args(["ls", repository.as_str()]).limit(LIMIT)
}

/// Deletes a manifest, and every tag that holds it.
pub fn delete(crane: &Program, repository: &Repository, digest: &Digest) -> Argv {
    Argv::new(format!("delete {}", repository.at(digest)), crane)
        .arg("delete")
        .arg(repository.at(digest))
        .limit(LIMIT)
}
