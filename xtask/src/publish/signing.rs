//! Steps of a publication: signatures, and their verification as a consumer would do it.

use anyhow::Result;
use std::collections::BTreeSet;

use crate::argv::cosign::{Cosign, Signer};
use crate::base::context::Layout;
use crate::base::error::UserError;
use crate::base::files;
use crate::base::git_refs::RefPattern;
use crate::base::ids::{Digest, Repository};
use crate::base::ui::Ui;
use crate::local::Stack;
use crate::plan::event::Event;
use crate::plan::{FormerSigner, SigningMethod};
use crate::publish::index::all_digests;
use crate::registry::Registry;
use crate::registry::manifest::Manifest;
use crate::run::{Finished, Runner, retry};
use crate::session::Session;

/// Signs indexes and checks their signatures.
#[derive(Debug, Clone)]
pub struct Signing {
    /// Which cosign.
    pub cosign: Cosign,
    /// Who signs, and who must have signed.
    pub signer: Signer,
    /// From which branches and tags a workflow must have signed; none where it is no workflow of GitHub that signs.
    pub refs: Option<Vec<RefPattern>>,
    /// The same for those who signed before, and still count for what was published then. They have none before them.
    formerly: Vec<Self>,
    /// Says which jobs claim to have signed something.
    pub registry: Registry,
    /// Runs cosign.
    pub runner: Runner,
    /// For remarks.
    pub ui: Ui,
}

impl Signing {
    /// As a plan says, and how it was before; none if its images are not signed. `event`: that of the run, if it is one.
    /// `stack`: the local one, where its key signs; without it, it is started.
    ///
    /// # Errors
    /// If cosign or the local key cannot be had.
    pub fn of(
        session: &Session,
        (sign, formerly): (&SigningMethod, &[FormerSigner]),
        event: Option<&Event>,
        stack: Option<&Stack>,
    ) -> Result<Option<Self>> {
        let Some(signer) = session.signer(sign, stack)? else { return Ok(None) };
        let mut signing = Self::new(session, signer, refs(sign))?.for_run(event.and_then(Event::git_ref));
        let now = session.context.clock.now();
        for FormerSigner { until, sign } in formerly {
            let over = humantime::parse_rfc3339(until).map_or(true, |until| until <= now);
            let signer = if over { None } else { session.signer(sign, stack)? };
            let then = |signer| {
                Self { signer, refs: refs(sign), formerly: Vec::new(), ..signing.clone() }.for_run(None)
            };
            let then = signer.map(then);
            signing.formerly.extend(then);
        }
        Ok(Some(signing))
    }

    /// Of whom the command line names.
    ///
    /// # Errors
    /// If cosign cannot be had.
    pub fn new(session: &Session, signer: Signer, refs: Option<Vec<RefPattern>>) -> Result<Self> {
        let (registry, runner) = (session.registry(), session.runner.clone());
        let formerly = Vec::new();
        Ok(Self { cosign: session.cosign()?, signer, refs, formerly, registry, runner, ui: session.ui })
    }

    /// What decides whether a signature counts, for what is written down about verified ones. None where that cannot be
    /// told, as of a key that lies in a service.
    pub fn fingerprint(&self) -> Option<Digest> {
        let mut text = String::new();
        for one in std::iter::once(self).chain(&self.formerly) {
            let file = match &one.signer {
                Signer::Keyless { sigstore, .. } => sigstore.as_ref().map(|found| found.trusted_root.clone()),
                Signer::Key { public, .. } => Some(public.into()),
                Signer::Offline { public, .. } => Some(public.clone()),
            };
            let content = file.map(|path| files::read_optional(&path).ok().flatten());
            let content = content.map(|found| found.map(|bytes| Digest::of(&bytes).to_string()));
            let content = content.unwrap_or_else(|| Some(String::new()))?;
            text += &format!("{:?} {:?} {content}\n", one.signer, one.refs);
        }
        Some(Digest::of(text.as_bytes()))
    }

    /// With the branch or tag that is likely: what was signed from another one costs some requests more.
    fn for_run(mut self, name: Option<String>) -> Self {
        if let Some(refs) = &self.refs {
            let exact = || refs.iter().map(ToString::to_string).find(|text| !text.contains('*'));
            let name = name.filter(|name| self.allows(name)).or_else(exact);
            self.signer = self.signer.at(name);
        }
        self
    }

    fn allows(&self, name: &str) -> bool {
        self.refs.as_ref().is_none_or(|refs| refs.iter().any(|pattern| pattern.matches(name)))
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

    /// Demands that an index and everything that it lists is signed by whom we trust. Gives who has signed, exactly.
    ///
    /// # Errors
    /// If it is not.
    pub fn verify(&self, repository: &Repository, digest: &Digest, index: &Manifest) -> Result<Signer> {
        self.first(repository, digest, index, retry::is_temporary)
    }

    /// [`Signing::verify`] of what may have been published when somebody else signed.
    ///
    /// # Errors
    /// If it was signed by none of them.
    pub fn verify_now_or_then(
        &self,
        repository: &Repository,
        digest: &Digest,
        index: &Manifest,
    ) -> Result<Signer> {
        let refused = match self.verify(repository, digest, index) {
            Ok(signer) => return Ok(signer),
            Err(refused) => refused,
        };
        let mut before = self.formerly.iter().filter_map(|then| then.verify(repository, digest, index).ok());
        before.next().ok_or(refused)
    }

    /// Everybody who may have stated something about a digest, the likeliest first.
    ///
    /// # Errors
    /// If the registry does not tell.
    pub fn everybody(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Signer>> {
        let refs_matter = self.refs.is_some() || self.formerly.iter().any(|then| then.refs.is_some());
        let named =
            if refs_matter { self.registry.signed_from(repository, digest)? } else { BTreeSet::new() };
        let mut all = self.among(&named);
        for then in &self.formerly {
            all.extend(then.likely().cloned());
            all.extend(then.among(&named));
        }
        Ok(all)
    }

    /// Asks for the likely signer first, and for others that the certificates name if that one has not signed. `again`
    /// says whether a failure deserves another try.
    ///
    /// # Errors
    /// If none of them has.
    fn first(
        &self,
        repository: &Repository,
        digest: &Digest,
        index: &Manifest,
        again: impl Fn(&Finished) -> bool,
    ) -> Result<Signer> {
        let digests = all_digests(digest, index);
        let refusal = |signer: &Signer| {
            let argv = self.cosign.verify(signer, repository, &digests);
            let finished = retry::run(&self.runner, self.ui, &argv, &again)?;
            Ok::<_, anyhow::Error>((!finished.success()).then(|| finished.fault(&argv)))
        };
        let mut refused: Option<UserError> = None;
        if let Some(signer) = self.likely() {
            refused = refusal(signer)?;
            if refused.is_none() {
                return Ok(signer.clone());
            }
        }
        for signer in self.others(repository, digest)? {
            match refusal(&signer)? {
                None => return Ok(signer),
                why => refused = refused.or(why),
            }
        }
        let nobody = || UserError::failed(format!("{} is not signed", repository.at(digest)));
        Err(self.explained(refused.unwrap_or_else(nobody), repository, digest)?.into())
    }

    /// The signer, if it names all that is demanded of it.
    pub fn likely(&self) -> Option<&Signer> {
        let exact = match (&self.signer, &self.refs) {
            (Signer::Keyless { caller: Some(caller), .. }, Some(_)) => caller.git_ref.is_some(),
            _ => true,
        };
        exact.then_some(&self.signer)
    }

    /// The same signer at other branches and tags: those of the certificates that are attached, if they are allowed.
    ///
    /// # Errors
    /// If the registry does not tell.
    pub fn others(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Signer>> {
        match self.refs {
            Some(_) => Ok(self.among(&self.registry.signed_from(repository, digest)?)),
            None => Ok(Vec::new()),
        }
    }

    /// The same signer at those of these branches and tags that are allowed.
    fn among(&self, named: &BTreeSet<String>) -> Vec<Signer> {
        let allowed = named.iter().filter(|name| self.refs.is_some() && self.allows(name));
        let others = allowed.map(|name| self.signer.clone().at(Some(name.clone())));
        others.filter(|signer| *signer != self.signer).collect()
    }

    /// An error with the branches and tags of the certificates that do not count.
    ///
    /// # Errors
    /// If the registry does not tell.
    pub fn explained(&self, error: UserError, repository: &Repository, digest: &Digest) -> Result<UserError> {
        let Some(refs) = &self.refs else { return Ok(error) };
        let named = self.registry.signed_from(repository, digest)?;
        let other: Vec<String> = named.into_iter().filter(|name| !self.allows(name)).collect();
        if other.is_empty() {
            return Ok(error);
        }
        let refs: Vec<String> = refs.iter().map(ToString::to_string).collect();
        Ok(error.help(format!(
            "a run of {} has signed it, and only those of {} count: see `refs` of [publish] in matrix.toml",
            other.join(", "),
            refs.join(", ")
        )))
    }

    /// [`Signing::verify`] of what was signed a moment ago.
    ///
    /// # Errors
    /// If it is not signed by whom `matrix.toml` expects.
    pub fn verify_new(&self, repository: &Repository, digest: &Digest, index: &Manifest) -> Result<()> {
        // To cosign (3.1.3) a bundle that it could not fetch is one that is not there: every failure is worth another try.
        let verified = self.first(repository, digest, index, |_| true);
        verified.map(drop).map_err(|error| match error.downcast::<UserError>() {
            Ok(error) => error
                .help("what was just signed is not signed by whom matrix.toml expects: see `workflow`, `identity`, `repository` or `key` of [sign]")
                .into(),
            Err(error) => error,
        })
    }
}

/// From which branches and tags a workflow must have signed.
fn refs(sign: &SigningMethod) -> Option<Vec<RefPattern>> {
    match sign {
        SigningMethod::Keyless { caller: Some(caller), .. } => Some(caller.refs.clone()),
        _ => None,
    }
}
