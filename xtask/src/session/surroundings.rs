//! What a plan depends on beside the matrix: git, the event, and whose signatures count.

use anyhow::Result;

use crate::base::error::UserError;
use crate::base::git_refs::RefPattern;
use crate::base::identity;
use crate::base::ids::Repository;
use crate::matrix::{self, FormerMethod, Matrix};
use crate::plan::event::{self, Event};
use crate::plan::git::Git;
use crate::plan::{Caller, Destination, DestinationKind, FormerSigner, SigningMethod};
use crate::registry::Registry;
use crate::session::{Session, checkout};

/// What a plan depends on beside the matrix.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    /// The commit.
    pub(super) git: Git,
    /// What started the run.
    pub(super) event: Event,
    /// Where images go.
    pub(super) destination: Destination,
    /// How they are signed there.
    pub(super) sign: SigningMethod,
    /// How they were signed before.
    pub(super) formerly: Vec<FormerSigner>,
}

impl Session {
    /// Reads git and the event. `event`: `--event`.
    pub(super) fn surroundings(
        &self,
        matrix: &Matrix,
        destination: Destination,
        event: Option<&str>,
    ) -> Result<Surroundings> {
        let mut git = self.git()?;
        let default = event::default_branch(&self.context.environment, &git)?;
        let event = match event {
            Some(text) => Event::simulate(text, &git.default_branch)?,
            None => Event::detect(&self.context.environment, &git)?,
        };
        git.reviewed = self.reviewed(matrix, &destination, &event, &git.commit, &default)?;
        let sign = self.sign(matrix, &destination, &git, &default)?;
        let formerly = formerly(matrix, &sign, &default)?;
        Ok(Surroundings { git, event, destination, sign, formerly })
    }

    /// Whether a commit that is on no branch may be published by default: that of a tag, or one that was checked out by its
    /// name. It has to be part of the default branch.
    fn reviewed(
        &self,
        matrix: &Matrix,
        destination: &Destination,
        event: &Event,
        commit: &str,
        default: &str,
    ) -> Result<Option<bool>> {
        let asked = matrix.publish_refs.is_none()
            && destination.kind == DestinationKind::Publish
            && matches!(event, Event::Tag { .. } | Event::Local { branch: None, .. });
        if !asked {
            return Ok(None);
        }
        let known = checkout::is_part_of(&self.layout.root, commit, default, &self.runner)?;
        known.map(Some).ok_or_else(|| {
            UserError::failed(format!(
                "publish: whether this commit is part of `{default}` cannot be told, as that branch is not in this checkout"
            ))
            .help("fetch it: `fetch-depth: 0` of actions/checkout, or: git fetch origin")
            .help("or say from which refs a run may publish: refs of [publish] in matrix.toml")
            .into()
        })
    }

    /// How new the code is.
    pub(super) fn code_date(&self, destination: &Destination, git: &Git) -> Result<Option<u64>> {
        let date = checkout::code_date(&self.layout.root, &git.commit, &self.runner)?;
        if date.is_none() && (self.context.environment.ci() || leaves(destination)) {
            return Err(UserError::failed(
                "make a plan: this checkout has not the whole history, so how new its code is cannot be told",
            )
            .help("a late run of older code would move tags back; fetch the commits: `fetch-depth: 0` and `filter: blob:none` of actions/checkout, or: git fetch --unshallow --filter=blob:none")
            .into());
        }
        Ok(date)
    }

    /// Whether an address is that of this checkout's own registry.
    fn is_local(&self, repository: &Repository) -> Result<bool> {
        Ok(repository.host() == self.local().address()?)
    }

    /// How images of a destination are signed.
    pub(super) fn sign(
        &self,
        matrix: &Matrix,
        destination: &Destination,
        git: &Git,
        default: &str,
    ) -> Result<SigningMethod> {
        if destination.kind != DestinationKind::Publish {
            let local: Result<Vec<bool>> =
                destination.repositories.iter().map(|repository| self.is_local(repository)).collect();
            if local?.into_iter().all(|local| local) {
                return Ok(SigningMethod::Local);
            }
        }
        Ok(match &matrix.sign {
            matrix::SignSection::None { reason } => SigningMethod::None { reason: reason.clone() },
            matrix::SignSection::Key { key } => SigningMethod::Key { key: key.clone() },
            matrix::SignSection::Keyless { identity, workflow, repository, issuer, sigstore } => {
                let refs = refs(matrix, default)?;
                let (identity, named) = match identity {
                    Some(identity) => {
                        // An identity that leaves it open is refused where matrix.toml is read.
                        let named = identity::caller(identity, issuer.as_deref(), None).unwrap_or_default();
                        (identity.clone(), named)
                    }
                    None => {
                        let address = address(git)?;
                        let named = identity::owner_and_name(&address);
                        (identity::of_workflow(&address, workflow.as_deref(), &refs), named)
                    }
                };
                let repository = repository.clone().or(named);
                SigningMethod::Keyless {
                    identity,
                    sigstore: sigstore.clone(),
                    issuer: issuer.clone().unwrap_or_else(|| identity::GITHUB.to_owned()),
                    caller: repository.map(|repository| Caller { repository, refs }),
                }
            }
        })
    }
}

/// The address of this repository, whose workflows sign.
fn address(git: &Git) -> Result<String> {
    git.source.clone().ok_or_else(|| {
        let message = "sign by OIDC: the identity cannot be derived, as this checkout has no remote `origin`";
        UserError::invalid(message).help("give it in matrix.toml: [sign] identity = \"^https://…$\"").into()
    })
}

/// Whether images leave this machine.
pub(super) fn leaves(destination: &Destination) -> bool {
    match destination.kind {
        DestinationKind::Publish => true,
        DestinationKind::Repository => !destination.repositories.iter().all(Registry::is_on_loopback),
        DestinationKind::Local => false,
    }
}

/// From which branches and tags a signature counts.
fn refs(matrix: &Matrix, default: &str) -> Result<Vec<RefPattern>> {
    match &matrix.publish_refs {
        Some(refs) => Ok(refs.clone()),
        None => Ok(vec![RefPattern::branch(default)?, RefPattern::any_tag()]),
    }
}

/// How images of a destination were signed before; the local stack has its own key, and no past.
pub(super) fn formerly(matrix: &Matrix, sign: &SigningMethod, default: &str) -> Result<Vec<FormerSigner>> {
    if matches!(sign, SigningMethod::Local | SigningMethod::None { .. }) {
        return Ok(Vec::new());
    }
    let sigstore = match sign {
        SigningMethod::Keyless { sigstore, .. } => sigstore.clone(),
        _ => None,
    };
    let refs = refs(matrix, default)?;
    let one = |former: &matrix::FormerSigner| {
        let sign = match &former.method {
            FormerMethod::Key(key) => SigningMethod::Key { key: key.clone() },
            FormerMethod::Keyless { identity, repository, issuer, refs: own } => {
                let caller = identity::caller(identity, issuer.as_deref(), repository.clone());
                let (caller, refs) = (caller.unwrap_or_default(), own.as_ref().unwrap_or(&refs).clone());
                SigningMethod::Keyless {
                    identity: identity.clone(),
                    issuer: issuer.clone().unwrap_or_else(|| identity::GITHUB.to_owned()),
                    sigstore: sigstore.clone(),
                    caller: caller.map(|repository| Caller { repository, refs }),
                }
            }
        };
        FormerSigner { until: former.until.clone(), sign }
    };
    Ok(matrix.formerly.iter().map(one).collect())
}
