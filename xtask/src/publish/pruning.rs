//! Records of an index that is kept do not pile up: a new one takes the place of those before it.

use anyhow::Result;

use crate::base::ids::{Digest, Repository};
use crate::base::publication::PublicationClaim;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::statements::{KIND, of_bundle};
use crate::publish::tag_rules::Age;

impl AttestationStore {
    /// Detaches the records that a new one of the same index and cell makes worthless: it claims all that they do, knows what
    /// the tags held before, and says that the index is at least as new. What is not needed stays where that cannot be done; nothing depends on it.
    ///
    /// # Errors
    /// If we are asked to stop.
    pub fn drop_older(&self, repository: &Repository, newest: &PublicationClaim) -> Result<()> {
        if let Err(error) = self.try_drop_older(repository, newest) {
            self.signing.runner.check_interrupted()?;
            let at = repository.at(&newest.digest);
            self.signing.ui.note(format!("{at}: could not remove superseded records: {error:#}"));
        }
        Ok(())
    }

    fn try_drop_older(&self, repository: &Repository, newest: &PublicationClaim) -> Result<()> {
        let registry = &self.signing.registry;
        // Only what was verified is ours to take away.
        let mut known = self.read(repository, &newest.digest)?;
        if known.last().is_none_or(|last| last.published != newest.published) {
            return Ok(());
        }
        let age = Age::of_claim(newest);
        known.retain(|record| {
            record.cell == newest.cell
                && record.published < newest.published
                && !Age::of_claim(record).is_later(&age)
                && newest.claims_all_of(record)
        });
        if known.is_empty() {
            return Ok(());
        }
        let (mut older, mut shown): (Vec<Digest>, Vec<Digest>) = (Vec::new(), Vec::new());
        for attachment in registry.attached(repository, &newest.digest)? {
            shown.push(attachment.digest.clone());
            if registry.may_state(repository, &attachment, KIND)?
                && let Some(record) = of_bundle(&registry.bundle(repository, &attachment)?)
                && known.contains(&record)
            {
                older.push(attachment.digest);
            }
        }
        if !older.is_empty() && registry.detach(repository, &newest.digest, &older, &shown)? {
            // The list was written anew: what counts has to be among what is left.
            let left = self.read(repository, &newest.digest)?;
            if left.last().is_none_or(|last| last.published != newest.published) {
                self.write(repository, newest)?;
            }
        }
        Ok(())
    }
}
