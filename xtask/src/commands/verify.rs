//! `cargo xtask verify`: what a consumer would check, of every tag or of one reference.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

use crate::argv::Argv;
use crate::argv::cosign::{CallingJob, Cosign, Signer};
use crate::base::error::{self, UserError};
use crate::base::ids::Repository;
use crate::base::parallel;
use crate::base::ui::columns;
use crate::plan::SigningMethod;
use crate::plan::filter::Filter;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::attested::Checked;
use crate::publish::signing::Signing;
use crate::publish::verification::{Verification, Verified};
use crate::run::retry;
use crate::session::Session;
use crate::session::destination::To;
use crate::session::planning::PlanOptions;

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
        /// The repository whose workflow must have run, `owner/name`; any if not given.
        repository: Option<String>,
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
    if !options.json && session.is_idle(&plan, &options.filter)? {
        return Ok(());
    }
    let cells = options.filter.cells(&plan)?;
    let stack = session.stack(&plan)?;
    let signing = Signing::of(session, (&plan.sign, &plan.formerly), Some(&plan.event), stack.as_ref())?;
    let verify = verification(session, signing, options.publications.as_deref());
    let results = parallel::map(&cells, parallel::default_jobs(), |cell| verify.cell(cell, &plan));
    session.runner.check_interrupted()?;
    let mut report = Report { schema: 1, verified: Vec::new(), failed: Vec::new(), command: None };
    for (cell, result) in cells.iter().zip(results) {
        match result {
            Ok(found) => report.verified.extend(found),
            Err(error) => report.add_failure(session, cell.id.to_string(), &error),
        }
    }
    report.name_command();
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

    fn name_command(&mut self) {
        let signed = |found: &Verified| {
            Some(Cosign::verify_plain(found.signer.as_ref()?, &found.reference).to_string())
        };
        self.command = self.verified.iter().find_map(signed);
    }

    fn print(&self, session: &Session, json: bool) -> Result<()> {
        if json {
            session.ui.json(serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let mut rows = vec![["REFERENCE", "DIGEST", "SIGNATURE"].map(str::to_owned).to_vec()];
        for found in &self.verified {
            let state = match (&found.newer, found.signed) {
                (Some(newer), _) => format!("stays: {newer}"),
                (None, true) => "verified".to_owned(),
                (None, false) => "not signed".to_owned(),
            };
            rows.push(vec![found.reference.clone(), found.digest.to_string(), state]);
            // The platforms of one reference; those of a whole matrix would hide the tags.
            if let [_] = self.verified.as_slice() {
                let row = |one: &Checked| {
                    vec![format!("  {}", one.platform), one.digest.to_string(), one.attested()]
                };
                rows.extend(found.platforms.iter().map(row));
                let by = |publisher: &String| {
                    vec!["  index".to_owned(), String::new(), format!("SLSA v1, published by {publisher}")]
                };
                rows.extend(found.publisher.iter().map(by));
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
    let signing = signing_for(session, options, &repository)?;
    let verify = verification(session, signing, None);
    let found = verify.reference(&repository, reference, held)?;
    let by_hand = found.signer.as_ref().map(|signer| Cosign::verify_plain(signer, reference));
    let mut report = Report { schema: 1, verified: vec![found], failed: Vec::new(), command: None };
    report.name_command();
    report.print(session, options.json)?;
    if let (Some(argv), Some(records)) = (by_hand, &verify.records) {
        let program = records.signing.cosign.program.path.clone();
        retry::check(&session.runner, session.ui, &Argv { program, ..argv })?;
    }
    Ok(())
}

fn verification(session: &Session, signing: Option<Signing>, publications: Option<&Path>) -> Verification {
    Verification {
        records: signing.map(|signing| AttestationStore::new(signing, &session.layout)),
        publications: session.publications(publications),
        clock: session.context.clock,
        runner: session.runner.clone(),
        ui: session.ui,
        registry: session.registry(),
    }
}

/// Who must have signed: the key that was given, the local key for the local registry, else what `matrix.toml` says.
fn signing_for(session: &Session, options: &Options, repository: &Repository) -> Result<Option<Signing>> {
    match &options.expected {
        Some(Expected::Key(key)) => {
            let key = session.typed(key).display().to_string();
            let signer = Signer::Key { public: key.clone(), key, password: None };
            return Signing::new(session, signer, None).map(Some);
        }
        Some(Expected::Identity { identity, issuer, repository, trusted_root }) => {
            let sigstore = trusted_root.as_ref().map(|path| session.sigstore(session.typed(path), None));
            let (identity, issuer) = (identity.clone(), issuer.clone());
            let caller = repository.clone().map(|repository| CallingJob { repository, git_ref: None });
            let signer = Signer::Keyless { identity, issuer, caller, sigstore: sigstore.transpose()? };
            return Signing::new(session, signer, None).map(Some);
        }
        None => {}
    }
    let to = if repository.host() == session.local().address()? { To::Local } else { To::Publish };
    let (sign, formerly) = session.signing(&to)?;
    if let SigningMethod::None { reason } = &sign {
        session.ui.warn(format!("matrix.toml says that images are not signed: {reason}"));
    }
    Signing::of(session, (&sign, &formerly), None, None)
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
