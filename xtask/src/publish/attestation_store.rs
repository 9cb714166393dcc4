//! Reads and writes the publication records that are attached to an index.
//!
//! Whether there is a record is told by the registry, never by what cosign prints. `cosign verify-attestation` says the
//! same of an index without a record and of one whose records are signed by somebody else (3.1.3: "none of the
//! attestations matched the predicate type"), so it is asked only where something is attached that can hold a record:
//! a bundle whose annotation `dev.sigstore.bundle.predicateType` names our type, or one (of cosign 2, or of another
//! tool) that does not say. Then it has to verify one, and anything else is an error.

use anyhow::Result;
use std::path::PathBuf;

use crate::argv::Argv;
use crate::argv::cosign::{Cosign, Signer};
use crate::base::error::Fault;
use crate::base::ids::{CellId, Digest, Repository};
use crate::base::record::Publication;
use crate::publish::statements::{KIND, parse};
use crate::registry::Registry;
use crate::run::retry;
use crate::session::Session;

/// How often a record is attached before we say that it cannot be.
const ATTEMPTS: usize = 3;

/// Who reads and writes.
pub(crate) struct AttestationStore<'a> {
    pub(crate) session: &'a Session,
    pub(crate) registry: &'a Registry,
    pub(crate) cosign: &'a Cosign,
    pub(crate) signer: &'a Signer,
}

impl AttestationStore<'_> {
    /// The records of an index, the newest last. None is no error: an older version of this tool attached none.
    ///
    /// # Errors
    /// If the registry or cosign cannot tell, or if what is attached was not signed by whom we trust.
    pub(crate) fn read(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Publication>> {
        if !self.may_have(repository, digest)? {
            return Ok(Vec::new());
        }
        let argv = self.cosign.attestations(self.signer, repository, digest, KIND);
        let finished = retry::run(&self.session.runner, self.session.ui, &argv, retry::is_temporary)?;
        if !finished.success() {
            let fault = finished.fault(&argv);
            return Err(fault
                .help("the registry holds a record of this index, and none that is signed as [sign] of matrix.toml says: see who else publishes there")
                .into());
        }
        Ok(parse(&finished.stdout).into_iter().filter(|record| record.digest == *digest).collect())
    }

    /// Whether anything is attached to an index that can be a record.
    fn may_have(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        for attachment in self.registry.attached(repository, digest)? {
            if self.registry.may_state(repository, &attachment, KIND)? {
                return Ok(true);
            }
        }
        Ok(false)
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

/// The file that `cosign attest` reads a record from.
pub(crate) fn file(session: &Session, cell: &CellId, name: &str) -> PathBuf {
    session.layout.logs().join(format!("{cell}.{name}.publication.json"))
}
