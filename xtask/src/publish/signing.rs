//! Steps 5 and 6 of a publication: signatures, and their verification as a consumer would do it.

use anyhow::Result;

use crate::argv::cosign::{Cosign, Signer};
use crate::base::context::Layout;
use crate::base::ids::{Digest, Repository};
use crate::base::ui::Ui;
use crate::local::Stack;
use crate::plan::SigningMethod;
use crate::publish::index::all_digests;
use crate::registry::manifest::Manifest;
use crate::run::{Runner, retry};
use crate::session::Session;

/// Signs indexes and checks their signatures.
#[derive(Debug, Clone)]
pub struct Signing {
    /// Which cosign.
    pub cosign: Cosign,
    /// Who signs, and who must have signed.
    pub signer: Signer,
    /// Runs cosign.
    pub runner: Runner,
    /// For remarks.
    pub ui: Ui,
}

impl Signing {
    /// As a plan says; none if its images are not signed. `stack`: the local one, where its key signs; without it, it is
    /// started.
    ///
    /// # Errors
    /// If cosign or the local key cannot be had.
    pub fn of(session: &Session, sign: &SigningMethod, stack: Option<&Stack>) -> Result<Option<Self>> {
        let Some(signer) = session.signer(sign, stack)? else { return Ok(None) };
        Ok(Some(Self { cosign: session.cosign()?, signer, runner: session.runner.clone(), ui: session.ui }))
    }

    /// The public key of the signatures, as people know it; none where there is no key.
    pub fn public_key(&self, layout: &Layout) -> Option<String> {
        match &self.signer {
            Signer::Keyless { .. } => None,
            Signer::Key { public, .. } => Some(public.clone()),
            Signer::Offline { public, .. } => Some(layout.show(public)),
        }
    }

    /// Signs an index and everything that it lists.
    ///
    /// # Errors
    /// If cosign cannot.
    pub fn sign(&self, repository: &Repository, digest: &Digest) -> Result<()> {
        retry::check(&self.runner, self.ui, &self.cosign.sign(&self.signer, repository, digest)).map(drop)
    }

    /// Whether an index and everything that it lists is signed by whom we trust.
    ///
    /// # Errors
    /// If cosign cannot be run.
    pub fn is_signed(&self, repository: &Repository, digest: &Digest, index: &Manifest) -> Result<bool> {
        let verify = self.cosign.verify(&self.signer, repository, &all_digests(digest, index));
        Ok(retry::run(&self.runner, self.ui, &verify, retry::is_temporary)?.success())
    }

    /// Demands that an index and everything that it lists is signed by whom we trust.
    ///
    /// # Errors
    /// If it is not.
    pub fn verify(&self, repository: &Repository, digest: &Digest, index: &Manifest) -> Result<()> {
        let verify = self.cosign.verify(&self.signer, repository, &all_digests(digest, index));
        retry::check(&self.runner, self.ui, &verify).map(drop)
    }

    /// [`Signing::verify`] of what was signed a moment ago.
    ///
    /// # Errors
    /// If it is not signed by whom `matrix.toml` expects.
    pub fn verify_new(&self, repository: &Repository, digest: &Digest, index: &Manifest) -> Result<()> {
        let verify = self.cosign.verify(&self.signer, repository, &all_digests(digest, index));
        // To cosign (3.1.3) a bundle that it could not fetch is one that is not there: every failure is worth another try.
        let verified = retry::run(&self.runner, self.ui, &verify, |_| true)?;
        if verified.success() {
            return Ok(());
        }
        Err(verified
            .fault(&verify)
            .help("what was just signed is not signed by whom matrix.toml expects: see `workflow`, `identity` or `key` of [sign]")
            .into())
    }
}
