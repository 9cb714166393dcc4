//! `cargo xtask verify`: what a consumer would check, of every tag or of one reference.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::path::PathBuf;

use crate::argv::cosign::{Cosign, Signer};
use crate::base::error::Fault;
use crate::base::ids::{Digest, Repository, Tag};
use crate::base::parallel;
use crate::base::record::{self, Publication};
use crate::base::ui::columns;
use crate::plan::filter::Filter;
use crate::plan::{Cell, Sign};
use crate::publish::attested::{self, Checked};
use crate::publish::index;
use crate::registry::{FetchedManifest, Registry};
use crate::run::retry;
use crate::session::Session;
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
struct Verified {
    reference: String,
    digest: Digest,
    /// `false` where `matrix.toml` says that images are not signed.
    signed: bool,
    platforms: Vec<Checked>,
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

struct Verify<'a> {
    session: &'a Session,
    registry: Registry,
    cosign: Cosign,
    signer: Option<Signer>,
    publications: PathBuf,
}

fn all(session: &Session, options: &Options) -> Result<()> {
    let plan = session.plan(&options.plan)?;
    let cells = options.filter.cells(&plan)?;
    let stack = session.stack(&plan)?;
    let verify = Verify {
        session,
        registry: session.registry(),
        cosign: session.cosign()?,
        signer: session.signer(&plan.sign, stack.as_ref())?,
        publications: options
            .publications
            .as_ref()
            .map_or_else(|| session.layout.publications(), |path| session.typed(path)),
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
    report.name_command(verify.signer.as_ref());
    report.print(session, options.json)?;
    match report.failed.len() {
        0 => Ok(()),
        wrong => Err(Fault::failed(format!("{wrong} of {} cells are not as published", cells.len())).into()),
    }
}

impl Report {
    fn add_failure(&mut self, session: &Session, subject: String, error: &anyhow::Error) {
        let error = crate::base::error::report(error);
        session.ui.note(format!("{subject}: {error}"));
        self.failed.push(Failure { subject, error });
    }

    fn name_command(&mut self, signer: Option<&Signer>) {
        let first = self.verified.first().zip(signer);
        self.command =
            first.map(|(found, signer)| Cosign::verify_plain(signer, &found.reference).to_string());
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

impl Verify<'_> {
    /// Every tag of a cell, in every repository: one index, complete, signed.
    fn cell(&self, cell: &Cell, plan: &Digest) -> Result<Vec<Verified>> {
        let path = record::publication_path(&self.publications, &cell.id);
        // The record of another plan says nothing about this one's tags.
        let record = record::read::<Publication>(&path)?.filter(|record| record.plan == *plan);
        let mut found = Vec::new();
        for repository in &cell.repositories {
            let unfinished = record
                .as_ref()
                .and_then(|record| record.unfinished.iter().find(|one| one.repository == *repository));
            if let Some(unfinished) = unfinished {
                return Err(Fault::failed(format!("{repository} is not done: {}", unfinished.error))
                    .help("publish the rest: cargo xtask merge")
                    .into());
            }
            let tags: Vec<&Tag> = match &record {
                // Tags that a newer publication holds are not this one's.
                Some(record) => record.tags_in(repository).map(|tag| &tag.name).collect(),
                None => cell.tags.iter().map(|tag| &tag.name).collect(),
            };
            let mut checked: Option<Digest> = record.as_ref().map(|record| record.digest.clone());
            let mut platforms: Option<Vec<Checked>> = None;
            for tag in tags {
                let reference = repository.tagged(tag);
                let held = self.registry.read(&reference)?.ok_or_else(|| {
                    Fault::failed(format!("{reference} does not exist")).help("publish it: cargo xtask merge")
                })?;
                match &checked {
                    Some(digest) if *digest != held.digest => {
                        return Err(Fault::failed(format!(
                            "{reference} holds {}, the publication is {digest}",
                            held.digest
                        ))
                        .into());
                    }
                    _ => checked = Some(held.digest.clone()),
                }
                let platforms = match &platforms {
                    Some(known) => known.clone(),
                    None => {
                        let children =
                            index::children(&held.manifest, cell).with_context(|| reference.clone())?;
                        self.signatures(repository, &held)?;
                        let images = attested::images(&self.registry, repository, &held)?;
                        attested::declared(cell, &children, &images).with_context(|| reference.clone())?;
                        platforms.insert(images).clone()
                    }
                };
                let signed = self.signer.is_some();
                found.push(Verified { reference, digest: held.digest, signed, platforms });
            }
        }
        Ok(found)
    }

    fn signatures(&self, repository: &Repository, held: &FetchedManifest) -> Result<()> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let all = index::all_digests(&held.digest, &held.manifest);
        let argv = self.cosign.verify(signer, repository, &all);
        retry::check(&self.session.runner, self.session.ui, &argv).map(drop)
    }
}

/// One reference, with nothing but `matrix.toml` and, if given, who must have signed it.
fn one(session: &Session, options: &Options, reference: &str) -> Result<()> {
    let repository = repository_of(reference)?;
    if repository.host() == session.local().address()? {
        session.local_up()?;
    }
    let registry = session.registry();
    let held =
        registry.read(reference)?.ok_or_else(|| Fault::failed(format!("{reference} does not exist")))?;
    let signer = signer_for(session, options, &repository)?;
    let verify = Verify {
        session,
        registry,
        cosign: session.cosign()?,
        signer,
        publications: session.layout.publications(),
    };
    verify.signatures(&repository, &held)?;
    let platforms = if held.manifest.is_index() {
        attested::images(&verify.registry, &repository, &held)?
    } else {
        Vec::new()
    };
    let found = Verified {
        reference: reference.to_owned(),
        digest: held.digest.clone(),
        signed: verify.signer.is_some(),
        platforms,
    };
    let mut report = Report { schema: 1, verified: vec![found], failed: Vec::new(), command: None };
    report.name_command(verify.signer.as_ref());
    report.print(session, options.json)?;
    if let Some(signer) = &verify.signer {
        let argv = Cosign::verify_plain(signer, reference);
        let program = verify.cosign.program.path.clone();
        retry::check(&session.runner, session.ui, &crate::argv::Argv { program, ..argv })?;
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
    let to = if repository.host() == session.local().address()? {
        crate::session::planning::To::Local
    } else {
        crate::session::planning::To::Publish
    };
    let sign = session.signing(&to)?;
    if let Sign::None { reason } = &sign {
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
