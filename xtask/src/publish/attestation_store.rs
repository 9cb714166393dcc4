//! Reads and writes the publication records that are attached to an index.

use anyhow::Result;
use std::path::PathBuf;

use crate::argv::Argv;
use crate::argv::cosign::{Cosign, Signer};
use crate::base::error::Fault;
use crate::base::ids::{CellId, Digest, Repository};
use crate::base::record::Publication;
use crate::publish::statements::{KIND, parse};
use crate::run::retry;
use crate::session::Session;

/// How often a record is attached before we say that it cannot be.
const ATTEMPTS: usize = 3;

/// Who reads and writes.
pub(crate) struct Attached<'a> {
    pub(crate) session: &'a Session,
    pub(crate) cosign: &'a Cosign,
    pub(crate) signer: &'a Signer,
}

impl Attached<'_> {
    /// The records of an index, the newest last. None is no error: an older version of this tool attached none.
    ///
    /// # Errors
    /// If cosign cannot tell: then there may be some.
    pub(crate) fn read(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Publication>> {
        let argv = self.cosign.attestations(self.signer, repository, digest, KIND);
        let finished = retry::run(&self.session.runner, self.session.ui, &argv, retry::is_temporary)?;
        if !finished.success() {
            return if is_none(&finished.stderr) {
                Ok(Vec::new())
            } else {
                Err(finished.fault(&argv).into())
            };
        }
        Ok(parse(&finished.stdout).into_iter().filter(|record| record.digest == *digest).collect())
    }

    /// Attaches a record to its index.
    ///
    /// # Errors
    /// If it cannot be written or signed.
    pub(crate) fn write(&self, repository: &Repository, publication: &Publication) -> Result<()> {
        // Of this process and repository alone: another merge of the cell may be at work in the same checkout.
        let name = Digest::of(format!("{repository} {}", std::process::id()).as_bytes());
        let file = file(self.session, &publication.cell, name.short().trim_start_matches("sha256:"));
        crate::base::files::write_json(&file, publication)?;
        let argv = self.cosign.attest(self.signer, repository, &publication.digest, KIND, &file);
        let done = self.insist(repository, publication, &argv);
        // What remains of it is in the registry, or will be written anew.
        let _ = std::fs::remove_file(&file);
        done
    }

    /// Attaches until it can be read. Where the registry has no referrers API, all that is attached to a digest is one
    /// list that is read, changed and written: of two writers at once one is lost.
    fn insist(&self, repository: &Repository, publication: &Publication, argv: &Argv) -> Result<()> {
        for _ in 0..ATTEMPTS {
            retry::check(&self.session.runner, self.session.ui, argv)?;
            if self.read(repository, &publication.digest)?.contains(publication) {
                return Ok(());
            }
            self.session.ui.note(format!("{}: what was attached is not there; trying again", argv.purpose));
        }
        Err(Fault::failed(format!(
            "{}: cosign has attached it, and the registry does not show it",
            argv.purpose
        ))
        .into())
    }
}

/// Whether cosign found no statement of ours: none at all, none of this type, or none signed by whom we trust.
fn is_none(stderr: &str) -> bool {
    ["no matching attestations", "none of the attestations matched", "no signatures found", "no attestations"]
        .iter()
        .any(|words| stderr.to_lowercase().contains(words))
}

/// The file that `cosign attest` reads a record from.
pub(crate) fn file(session: &Session, cell: &CellId, name: &str) -> PathBuf {
    session.layout.logs().join(format!("{cell}.{name}.publication.json"))
}
