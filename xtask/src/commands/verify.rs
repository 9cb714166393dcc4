//! `cargo xtask verify`: what a consumer would check, of every tag or of one reference.

use anyhow::{Context as _, Result};
use std::path::PathBuf;

use super::parallel;
use super::planning::PlanOptions;
use super::session::Session;
use crate::argv::buildx::Buildx;
use crate::argv::cosign::{Cosign, Signer};
use crate::error::Fault;
use crate::ids::{Digest, Repository, Tag};
use crate::plan::filter::Filter;
use crate::plan::{Cell, Sign};
use crate::publication::index;
use crate::record::{self, Publication};
use crate::registry::{Held, Registry};
use crate::run::{Output, retry};
use crate::tools::Tool;
use crate::ui::columns;

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// Which cells.
    pub filter: Filter,
    /// A single reference instead of the plan's cells.
    pub reference: Option<String>,
    /// `--key`: the public key to check against.
    pub key: Option<PathBuf>,
    /// `--publications`.
    pub publications: Option<PathBuf>,
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

struct Verify {
    registry: Registry,
    cosign: Cosign,
    signer: Option<Signer>,
    publications: PathBuf,
}

fn all(session: &Session, options: &Options) -> Result<()> {
    let plan = session.plan(&options.plan)?;
    let cells = options.filter.cells(&plan)?;
    let (buildx, stack) = session.buildx(&plan, None)?;
    let verify = Verify {
        registry: session.registry(&buildx),
        cosign: session.cosign()?,
        signer: session.signer(&plan.sign, stack.as_ref())?,
        publications: options
            .publications
            .as_ref()
            .map_or_else(|| session.layout.publications(), |path| session.typed(path)),
    };
    let results = parallel::map(&cells, parallel::default_jobs(), |cell| verify.cell(cell, &plan.id));
    session.runner.check_interrupted()?;
    let mut rows = vec![["REFERENCE", "DIGEST", "SIGNATURE"].map(str::to_owned).to_vec()];
    let mut wrong = 0;
    for (cell, result) in cells.iter().zip(&results) {
        match result {
            Ok(found) => rows.extend(found.iter().map(|(reference, digest)| {
                vec![reference.clone(), digest.to_string(), state(verify.signer.as_ref()).to_owned()]
            })),
            Err(error) => {
                wrong += 1;
                session.ui.note(format!("{}: {}", cell.id, crate::error::report(error)));
            }
        }
    }
    session.ui.out(columns(&rows));
    if let (Some(signer), Some(reference)) = (&verify.signer, rows.get(1).and_then(|row| row.first())) {
        session.ui.out(format!("\nthe same by hand: {}", Cosign::verify_plain(signer, reference)));
    }
    match wrong {
        0 => Ok(()),
        _ => Err(Fault::failed(format!("{wrong} of {} cells are not as published", cells.len())).into()),
    }
}

fn state(signer: Option<&Signer>) -> &'static str {
    if signer.is_some() { "verified" } else { "not signed" }
}

impl Verify {
    /// Every tag of a cell, in every repository: one index, complete, signed.
    fn cell(&self, cell: &Cell, plan: &Digest) -> Result<Vec<(String, Digest)>> {
        let path = record::publication_path(&self.publications, &cell.id);
        // The record of another plan says nothing about this one's tags.
        let record = record::read::<Publication>(&path)?.filter(|record| record.plan == *plan);
        let mut found = Vec::new();
        for repository in &cell.repositories {
            let tags: Vec<&Tag> = match &record {
                // Tags that a newer publication holds are not this one's.
                Some(record) => record.tags.iter().map(|tag| &tag.name).collect(),
                None => cell.tags.iter().map(|tag| &tag.name).collect(),
            };
            let mut checked: Option<Digest> = record.as_ref().map(|record| record.digest.clone());
            let mut signed = false;
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
                if !signed {
                    index::children(&held.manifest, cell).with_context(|| reference.clone())?;
                    self.signatures(repository, &held)?;
                    signed = true;
                }
                found.push((reference, held.digest));
            }
        }
        Ok(found)
    }

    fn signatures(&self, repository: &Repository, held: &Held) -> Result<()> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let all = index::all_digests(&held.digest, &held.manifest);
        let argv = self.cosign.verify(signer, repository, &all);
        let finished = retry::run(&self.registry.runner, self.registry.ui, &argv, retry::is_temporary)?;
        if finished.success() { Ok(()) } else { Err(finished.fault(&argv).into()) }
    }
}

/// One reference, with nothing but `matrix.toml` and, if given, a public key.
fn one(session: &Session, options: &Options, reference: &str) -> Result<()> {
    let repository = repository_of(reference)?;
    if repository.host() == session.local().address()? {
        session.local_up()?;
    }
    let buildx = Buildx { program: session.tools.get(Tool::Buildx)?.program, builder: None, config: None };
    let registry = session.registry(&buildx);
    let held =
        registry.read(reference)?.ok_or_else(|| Fault::failed(format!("{reference} does not exist")))?;
    let signer = signer_for(session, options, &repository)?;
    let verify =
        Verify { registry, cosign: session.cosign()?, signer, publications: session.layout.publications() };
    verify.signatures(&repository, &held)?;
    let mut rows =
        vec![vec![reference.to_owned(), held.digest.to_string(), state(verify.signer.as_ref()).to_owned()]];
    for entry in held.manifest.images() {
        rows.push(vec![format!("  {}", entry.platform_text()), entry.digest.to_string(), String::new()]);
    }
    session.ui.out(columns(&rows));
    if let Some(signer) = &verify.signer {
        let argv = Cosign::verify_plain(signer, reference);
        session.ui.out(format!("\nthe same by hand: {argv}"));
        session.runner.check(
            &crate::argv::Argv { program: verify.cosign.program.path.clone(), ..argv },
            Output::Capture,
        )?;
    }
    Ok(())
}

/// Who must have signed: the key that was given, the local key for the local registry, else what `matrix.toml` says.
fn signer_for(session: &Session, options: &Options, repository: &Repository) -> Result<Option<Signer>> {
    if let Some(key) = &options.key {
        let key = session.typed(key).display().to_string();
        return Ok(Some(Signer::Key { public: key.clone(), key, password: None }));
    }
    let to = if repository.host() == session.local().address()? {
        super::planning::To::Local
    } else {
        super::planning::To::Publish
    };
    let plan = session.resolve_for_verify(&to)?;
    if let Sign::None { reason } = &plan.sign {
        session.ui.warn(format!("matrix.toml says that images are not signed: {reason}"));
    }
    session.signer(&plan.sign, None)
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
