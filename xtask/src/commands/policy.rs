//! `cargo xtask policy`: an admission policy that demands of a cluster's images what `verify` demands of ours.

use anyhow::{Context as _, Result};
use std::path::Path;

use crate::base::error::UserError;
use crate::base::files;
use crate::base::ids::Repository;
use crate::plan::{DestinationKind, SigningMethod};
use crate::policy::{Key, Policy, PublicKey, Trust, controller, kyverno, name};
use crate::session::destination::To;
use crate::session::{Session, public_key};

/// What was typed.
#[derive(Debug, Clone)]
pub struct Options {
    /// For whom.
    pub controller: Controller,
    /// `--to`.
    pub to: Option<To>,
}

/// What checks images in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// `--kyverno`.
    Kyverno,
    /// `--policy-controller`.
    PolicyController,
}

/// Runs the command. Nothing is built, started or asked.
///
/// # Errors
/// If images are not signed, or if the public key is not here.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    // A policy is for those who run the images: they get them from where they are published.
    let to = options.to.clone().unwrap_or(To::Publish);
    let matrix = session.matrix()?;
    let destination = session.destination(&to, &matrix)?;
    let trust = trust(session, session.signing(&to)?.0).context("write a policy")?;
    if options.controller == Controller::PolicyController && !matches!(trust, Trust::Keyless { .. }) {
        session.ui.warn(
            "policy-controller 0.13 reads signatures by a key only as cosign 2 makes them, and refuses those of \
             cosign 3; --kyverno takes both",
        );
    }
    if let Trust::Keyless { repository: Some(repository), .. } = &trust {
        let unchecked = match options.controller {
            Controller::Kyverno => format!(
                "Kyverno does not check yet that the workflow ran in {repository} (kyverno/kyverno#15809)"
            ),
            Controller::PolicyController => format!(
                "of signatures by cosign 3, policy-controller 0.13 does not check that the workflow ran in {repository}"
            ),
        };
        session.ui.warn(format!(
            "{unchecked}: a workflow with `workflow_call` in a public repository can be called from any; sign from one \
             without it"
        ));
    }
    let below = |repository: &Repository| -> Vec<Repository> {
        matrix.images.iter().map(|image| repository.join(&image.name)).collect()
    };
    // One that is for trying out must not take the place of the one in use.
    let source = match destination.kind {
        DestinationKind::Publish => session.git()?.source,
        DestinationKind::Local | DestinationKind::Repository => None,
    };
    let source = source.or_else(|| destination.repositories.first().map(Repository::to_string));
    let policy = Policy {
        name: name(&source.unwrap_or_default()),
        repositories: destination.repositories.iter().flat_map(below).collect(),
        trust,
    };
    let text = match options.controller {
        Controller::Kyverno => kyverno::render(&policy),
        Controller::PolicyController => controller::render(&policy),
    };
    session.ui.out(text.trim_end());
    Ok(())
}

fn trust(session: &Session, sign: SigningMethod) -> Result<Trust> {
    Ok(match sign {
        SigningMethod::None { reason } => {
            return Err(UserError::invalid(format!("matrix.toml says that images are not signed: {reason}"))
                .help("a policy demands signatures: choose another [sign] method, and publish again")
                .into());
        }
        SigningMethod::Keyless { identity, issuer, sigstore, caller } => {
            if let Some(sigstore) = sigstore {
                session.ui.warn(format!(
                    "images are signed by a Sigstore of your own: the controller has to be given its trusted root, {}",
                    sigstore.trusted_root
                ));
            }
            Trust::Keyless { identity, issuer, repository: caller.map(|caller| caller.repository) }
        }
        SigningMethod::Key { key } => Trust::Key(key_of(session, &key)?),
        SigningMethod::Local => {
            let public = session.local().described()?.public_key;
            Trust::Local(read(&public, "make it: cargo xtask local up")?)
        }
    })
}

/// What checks the signatures of a private key.
fn key_of(session: &Session, key: &str) -> Result<Key> {
    if let Some(service) = Key::service(key) {
        return Ok(service);
    }
    let public = public_key(key);
    let mend = format!("cosign public-key --key {}", crate::argv::quote(key));
    if let Some(variable) = public.strip_prefix("env://") {
        let text = session.context.environment.get(variable).ok_or_else(|| {
            UserError::invalid(format!("the key is {key}, and the public one is not in ${variable}"))
                .help(format!("set {variable} to what this prints: {mend}"))
        })?;
        return Ok(Key::Public(PublicKey::parse(text).with_context(|| format!("read ${variable}"))?));
    }
    if public.contains("://") || public.starts_with("pkcs11:") {
        return Err(UserError::invalid(format!("a cluster cannot ask {key}"))
            .help("sign with a key file, or a key of AWS, Azure, Google Cloud or Vault")
            .into());
    }
    read(&session.typed(Path::new(&public)), &format!("write it there: {mend}")).map(Key::Public)
}

fn read(path: &Path, mend: &str) -> Result<PublicKey> {
    let missing = || UserError::invalid(format!("there is no public key {}", path.display())).help(mend);
    let text = String::from_utf8(files::read_optional(path)?.ok_or_else(missing)?).unwrap_or_default();
    PublicKey::parse(&text).with_context(|| format!("read {}", path.display()))
}
