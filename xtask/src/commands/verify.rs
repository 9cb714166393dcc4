//! `cargo xtask verify`: what a consumer would check, of every tag or of one reference.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::path::PathBuf;

use crate::argv::Argv;
use crate::argv::cosign::{Cosign, Signer};
use crate::base::error::{self, UserError};
use crate::base::ids::Repository;
use crate::base::parallel;
use crate::base::ui::columns;
use crate::plan::SigningMethod;
use crate::plan::filter::Filter;
use crate::publish::attested::Checked;
use crate::publish::signing::Signing;
use crate::publish::verification::{Verification, Verified};
use crate::run::retry;
use crate::session::Session;
use crate::session::planning::{PlanOptions, To};

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// Which cells.
    pub filter: Filter,
    /// A single reference instead of the plan's cells.
    pub reference: Option<String>,
    /// Who must have signed, if not who `matrix.toml` says.
    pub expected: Option<Expected>,
    /// `--json`.
    pub json: bool,
    /// `--publications`.
    pub publications: Option<PathBuf>,
}

/// Who must have signed a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// `--key`: the owner of this public key.
    Key(PathBuf),
    /// `--identity` and `--issuer`.
    Identity {
        /// A regular expression for the certificate's identity.
        identity: String,
        /// The OIDC issuer.
        issuer: String,
        /// The trusted root of a Sigstore other than the public one.
        trusted_root: Option<PathBuf>,
    },
}

/// What was found, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    /// The version of this form.
    schema: u32,
    /// What is as it should be.
    verified: Vec<Verified>,
    /// What is not.
    failed: Vec<Failure>,
    /// The command that checks the first of them by hand.
    command: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failure {
    /// The cell, or the reference that was asked for.
    subject: String,
    error: String,
}

/// Runs the command.
///
/// # Errors
/// If anything is not as published.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    match &options.reference {
        Some(reference) => one(session, options, reference),
        None => all(session, options),
    }
}

fn all(session: &Session, options: &Options) -> Result<()> {
    let plan = session.plan(&options.plan)?;
    let cells = options.filter.cells(&plan)?;
    let stack = session.stack(&plan)?;
    let verify = Verification {
        registry: session.registry(),
        signing: Signing::of(session, &plan.sign, stack.as_ref())?,
        publications: session.publications(options.publications.as_deref()),
    };
    let results = parallel::map(&cells, parallel::default_jobs(), |cell| verify.cell(cell, &plan.id));
    session.runner.check_interrupted()?;
    let mut report = Report { schema: 1, verified: Vec::new(), failed: Vec::new(), command: None };
    for (cell, result) in cells.iter().zip(results) {
        match result {
            Ok(found) => report.verified.extend(found),
            Err(error) => report.add_failure(session, cell.id.to_string(), &error),
        }
    }
    report.name_command(verify.signing.as_ref());
    report.print(session, options.json)?;
    match report.failed.len() {
        0 => Ok(()),
        wrong => {
            Err(UserError::failed(format!("{wrong} of {} cells are not as published", cells.len())).into())
        }
    }
}

impl Report {
    fn add_failure(&mut self, session: &Session, subject: String, error: &anyhow::Error) {
        let error = error::report(error);
        session.ui.note(format!("{subject}: {error}"));
        self.failed.push(Failure { subject, error });
    }

    fn name_command(&mut self, signing: Option<&Signing>) {
        let first = self.verified.first().zip(signing);
        self.command =
            first.map(|(found, signing)| Cosign::verify_plain(&signing.signer, &found.reference).to_string());
    }

    fn print(&self, session: &Session, json: bool) -> Result<()> {
        if json {
            session.ui.out(serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let mut rows = vec![["REFERENCE", "DIGEST", "SIGNATURE"].map(str::to_owned).to_vec()];
        for found in &self.verified {
            let state = if found.signed { "verified" } else { "not signed" };
            rows.push(vec![found.reference.clone(), found.digest.to_string(), state.to_owned()]);
            // The platforms of one reference; those of a whole matrix would hide the tags.
            if let [_] = self.verified.as_slice() {
                let row = |one: &Checked| {
                    vec![format!("  {}", one.platform), one.digest.to_string(), one.attested()]
                };
                rows.extend(found.platforms.iter().map(row));
            }
        }
        session.ui.out(columns(&rows));
        if let Some(command) = &self.command {
            session.ui.out(format!("\nthe same by hand: {command}"));
        }
        Ok(())
    }
}

/// One reference, with nothing but `matrix.toml` and, if given, who must have signed it.
fn one(session: &Session, options: &Options, reference: &str) -> Result<()> {
    let repository = repository_of(reference)?;
    if repository.host() == session.local().address()? {
        session.local_up()?;
    }
    let registry = session.registry();
    let missing = || UserError::failed(format!("{reference} does not exist"));
    let held = registry.read(reference)?.ok_or_else(missing)?;
    let signer = signer_for(session, options, &repository)?;
    let cosign = session.cosign()?;
    let signing = signer.map(|signer| {
        let (cosign, runner) = (cosign.clone(), session.runner.clone());
        Signing { cosign, signer, runner, ui: session.ui }
    });
    let publications = session.publications(None);
    let verify = Verification { registry, signing, publications };
    let found = verify.reference(&repository, reference, held)?;
    let mut report = Report { schema: 1, verified: vec![found], failed: Vec::new(), command: None };
    report.name_command(verify.signing.as_ref());
    report.print(session, options.json)?;
    if let Some(signing) = &verify.signing {
        let argv = Cosign::verify_plain(&signing.signer, reference);
        let program = cosign.program.path;
        retry::check(&session.runner, session.ui, &Argv { program, ..argv })?;
    }
    Ok(())
}

/// Who must have signed: the key that was given, the local key for the local registry, else what `matrix.toml` says.
fn signer_for(session: &Session, options: &Options, repository: &Repository) -> Result<Option<Signer>> {
    match &options.expected {
        Some(Expected::Key(key)) => {
            let key = session.typed(key).display().to_string();
            return Ok(Some(Signer::Key { public: key.clone(), key, password: None }));
        }
        Some(Expected::Identity { identity, issuer, trusted_root }) => {
            let sigstore = trusted_root.as_ref().map(|path| session.sigstore(session.typed(path), None));
            let (identity, issuer) = (identity.clone(), issuer.clone());
            return Ok(Some(Signer::Keyless { identity, issuer, sigstore: sigstore.transpose()? }));
        }
        None => {}
    }
    let to = if repository.host() == session.local().address()? { To::Local } else { To::Publish };
    let sign = session.signing(&to)?;
    if let SigningMethod::None { reason } = &sign {
        session.ui.warn(format!("matrix.toml says that images are not signed: {reason}"));
    }
    session.signer(&sign, None)
}

/// The repository of `REPO:TAG`, `REPO@DIGEST` or `REPO`.
fn repository_of(reference: &str) -> Result<Repository> {
    let name = reference.split('@').next().unwrap_or(reference);
    // A colon after the last slash separates the tag; one before it the port.
    let (path, last) = name.rsplit_once('/').map_or(("", name), |(path, last)| (path, last));
    let last = last.split(':').next().unwrap_or(last);
    let repository = if path.is_empty() { last.to_owned() } else { format!("{path}/{last}") };
    repository.parse().with_context(|| format!("verify {reference}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_of_references() {
        for reference in [
            "127.0.0.1:5000/app",
            "127.0.0.1:5000/app:1.2",
            "127.0.0.1:5000/app@sha256:ab",
            "127.0.0.1:5000/app:1@sha256:ab",
        ] {
            assert_eq!(repository_of(reference).unwrap().as_str(), "127.0.0.1:5000/app", "{reference}");
        }
        assert!(repository_of("app:1.2").is_err());
    }
}
