//! Signatures that were verified before: the registry is asked whether they are still there, and cosign is not asked again.

use anyhow::Result;

use crate::argv::cosign::Signer;
use crate::base::ids::{Digest, Repository};
use crate::base::parallel;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::index::all_digests;
use crate::publish::statement_cache::Question;
use crate::registry::FetchedManifest;

/// What is asked, where statements have their type.
const SIGNATURES: &str = "signatures";

/// How many digests are asked about at once.
const READERS: usize = 4;

impl AttestationStore {
    /// [`crate::publish::signing::Signing::verify`] of an index and everything that it lists, unless just what is attached
    /// to them now was verified before.
    ///
    /// # Errors
    /// If it is not signed by whom we trust, or if that cannot be told.
    pub fn verify(&self, repository: &Repository, index: &FetchedManifest) -> Result<Signer> {
        let digests = all_digests(&index.digest, &index.manifest);
        let attached =
            parallel::map(&digests, READERS, |digest| self.signing.registry.attached(repository, digest));
        let mut all: Vec<Digest> = digests;
        for attached in attached {
            all.extend(attached?.into_iter().map(|attachment| attachment.digest));
        }
        let question = Question::new(self.fingerprint.clone(), (repository, &index.digest), SIGNATURES, all);
        if let Some(known) = self.cache.recall(&question) {
            let from = known.into_iter().next().filter(|name| !name.is_empty());
            return Ok(self.signing.signer.clone().at(from));
        }
        let signer = self.signing.verify(repository, &index.digest, &index.manifest)?;
        let from = match &signer {
            Signer::Keyless { caller: Some(caller), .. } => caller.git_ref.clone(),
            _ => None,
        };
        self.cache.keep(question, &[from.unwrap_or_default()]);
        Ok(signer)
    }
}
