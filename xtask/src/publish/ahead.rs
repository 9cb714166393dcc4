//! The records of many indexes in few calls of cosign.

use anyhow::Result;
use std::collections::BTreeSet;

use crate::base::ids::{Digest, Repository};
use crate::base::parallel;
use crate::publish::attestation_store::{AttestationStore, Signers};
use crate::publish::statements::{KIND, is_about};
use crate::run::Output;

/// How many indexes cosign is asked about in one call.
const AT_ONCE: usize = 100;

impl AttestationStore {
    /// Verifies the records of many digests in few calls, so that what reads them then asks nobody. What does not verify
    /// all at once is left to that.
    ///
    /// # Errors
    /// If cosign cannot be run.
    pub fn read_ahead(&self, about: &[(Repository, Digest)]) -> Result<()> {
        let Some(signer) = self.signing.likely() else { return Ok(()) };
        let open = parallel::map(about, parallel::default_jobs(), |(repository, digest)| {
            let attached = self.attached(repository, digest, KIND).ok()?;
            self.cache.list(format!("{KIND} {}", repository.at(digest)), attached.clone());
            if attached.is_empty() {
                return None;
            }
            let (count, question) =
                (attached.len(), self.question(repository, digest, KIND, attached, Signers::Now));
            self.cache
                .recall(&question)
                .is_none()
                .then(|| (repository.clone(), digest.clone(), count, question))
        });
        // What cosign prints names the digest and no repository: of two that hold the same, one is left to a call of its own.
        let mut seen = BTreeSet::new();
        let open: Vec<_> =
            open.into_iter().flatten().filter(|(_, digest, ..)| seen.insert(digest.clone())).collect();
        for some in open.chunks(AT_ONCE) {
            let references: Vec<String> =
                some.iter().map(|(repository, digest, ..)| repository.at(digest)).collect();
            let purpose = format!("read the records of {} indexes", some.len());
            let argv = self.signing.cosign.attestations_of(signer, &purpose, &references, KIND);
            let finished = self.signing.runner.run(&argv, Output::Capture)?;
            let text = String::from_utf8_lossy(&finished.stdout);
            for (_, digest, attached, question) in some {
                let lines = text.lines().filter(|line| is_about(line, digest)).map(str::to_owned);
                let lines: Vec<String> = lines.collect::<BTreeSet<_>>().into_iter().collect();
                if lines.len() == *attached {
                    self.cache.keep(question.clone(), &lines);
                }
            }
        }
        Ok(())
    }
}
