//! `cargo xtask merge`: records to one signed, verified, tagged index per cell, in that order.

use anyhow::Result;
use std::path::PathBuf;

use crate::argv::Program;
use crate::argv::cosign::Cosign;
use crate::base::error::UserError;
use crate::base::ids::CellId;
use crate::base::parallel;
use crate::base::record::DigestRecord;
use crate::base::record_hashes::RecordHashes;
use crate::base::ui::columns;
use crate::plan::filter::Filter;
use crate::plan::{Cell, Plan};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::holders;
use crate::publish::in_order::{self, Outcome};
use crate::publish::preview::Preview;
use crate::publish::publisher::Publisher;
use crate::publish::records;
use crate::publish::signing::Signing;
use crate::report::results::{self, Ended};
use crate::session::Session;
use crate::session::planning::PlanOptions;
use crate::tools::Tool;

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// Which cells.
    pub filter: Filter,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--allow-downgrade`.
    pub allow_downgrade: bool,
    /// `--replace-untrusted`.
    pub replace_untrusted: bool,
    /// `--builder`.
    pub builder: Option<String>,
    /// `--digests`.
    pub digests: Option<PathBuf>,
    /// `--expect-records`.
    pub expected: Option<RecordHashes>,
    /// `--publications`.
    pub publications: Option<PathBuf>,
    /// `--jobs`.
    pub jobs: Option<usize>,
}

/// Runs the command.
///
/// # Errors
/// If the plan cannot be had, or if a cell that may not fail is not published.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let plan = session.plan(&options.plan)?;
    if !plan.push {
        let message = format!("a run for {} publishes nothing, so there is nothing to merge", plan.event);
        return Err(UserError::invalid(message)
            .help("a pull request never publishes; which branches, tags and events do, `refs` and `when` of [publish] in matrix.toml say")
            .into());
    }
    if session.is_idle(&plan, &options.filter)? {
        return Ok(());
    }
    holders::refuse_future(plan.planned(), session.context.clock.now())?;
    let digests = session.digests(options.digests.as_deref());
    let cells = options.filter.cells(&plan)?;
    // Every cell's records are looked at before any cell is published.
    let read: Vec<Result<Vec<DigestRecord>>> = cells
        .iter()
        .map(|cell| match cell.kept() {
            Some(_) => Ok(Vec::new()),
            None => records::read_all(&digests, &plan, cell, options.expected.as_ref()),
        })
        .collect();
    if options.dry_run {
        return dry_run(session, &plan, options, &cells, read);
    }
    refuse_incomplete(session, &cells, &read)?;
    let results = publish(session, &plan, options, &cells, read)?;
    session.runner.check_interrupted()?;
    outputs(session, &results)?;
    summary(session, &plan, &cells, &results)
}

/// Publishes the cells, what is needed first.
fn publish(
    session: &Session,
    plan: &Plan,
    options: &Options,
    cells: &[&Cell],
    read: Vec<Result<Vec<DigestRecord>>>,
) -> Result<Vec<Outcome>> {
    let (buildx, stack) = session.buildx(plan, options.builder.as_deref())?;
    let registry = session.registry();
    let signing = Signing::of(session, (&plan.sign, &plan.formerly), Some(&plan.event), stack.as_ref())?;
    let publisher = Publisher {
        plan,
        buildx: &buildx,
        public_key: signing.as_ref().and_then(|signing| signing.public_key(&session.layout)),
        records: signing.map(|signing| AttestationStore::new(signing, &session.layout)),
        root: session.layout.root.clone(),
        environment: session.context.environment.clone(),
        registry,
        runner: session.runner.clone(),
        ui: session.ui,
        clock: session.context.clock,
        publications: session.publications(options.publications.as_deref()),
        allow_downgrade: options.allow_downgrade,
        replace_untrusted: options.replace_untrusted,
    };
    if let Some(records) = &publisher.records {
        let kept = cells.iter().filter_map(|cell| Some((cell, &cell.kept()?.digest)));
        let about =
            kept.flat_map(|(cell, digest)| cell.repositories.iter().map(|one| (one.clone(), digest.clone())));
        records.read_ahead(&about.collect::<Vec<_>>())?;
    }
    let work: Vec<(&Cell, Result<Vec<DigestRecord>>)> = cells.iter().copied().zip(read).collect();
    let jobs = options.jobs.unwrap_or_else(parallel::default_jobs);
    Ok(in_order::publish(&publisher, &work, jobs))
}

/// Records that are wrong stop everything, unless only cells that may fail are concerned.
fn refuse_incomplete(session: &Session, cells: &[&Cell], read: &[Result<Vec<DigestRecord>>]) -> Result<()> {
    let mut fatal: Vec<String> = Vec::new();
    for (cell, result) in cells.iter().zip(read) {
        if let Err(error) = result {
            if cell.allow_failure {
                session.ui.warn(format!("{} may fail: {error:#}", cell.id));
            } else {
                fatal.push(format!("{error:#}"));
            }
        }
    }
    if fatal.is_empty() {
        return Ok(());
    }
    let fault = UserError::invalid(fatal.join("\n")).help("nothing was pushed, signed or tagged");
    let fault = match session.github() {
        Some(_) => {
            fault.help("run the failed jobs again; if a record's artifact has expired, run all jobs again")
        }
        None => fault,
    };
    Err(fault
        .help("build what is missing or stale with this plan: cargo xtask build --arch ARCH, with --emulate where the builder does not have it natively")
        .into())
}

/// Prints what would run. The digest of the index is not known before the registry has been asked.
fn dry_run(
    session: &Session,
    plan: &Plan,
    options: &Options,
    cells: &[&Cell],
    read: Vec<Result<Vec<DigestRecord>>>,
) -> Result<()> {
    let (buildx, stack) = session.buildx_of_dry_run(plan, options.builder.as_deref())?;
    let signer = session.signer(&plan.sign, stack.as_ref())?;
    let found = session.tools.look(Tool::Cosign)?;
    let cosign = found.map_or_else(
        || Cosign { program: Program::new("cosign"), version: Tool::Cosign.minimum() },
        |found| Cosign { program: found.program, version: found.version },
    );
    session.ui.note("a digest of zeros stands for that of the index, which the registry's answer decides");
    let preview = Preview {
        plan,
        root: &session.layout.root,
        cells: cells.iter().map(|cell| &cell.id).collect(),
        buildx: &buildx,
        signing: signer.as_ref().map(|signer| (&cosign, signer)),
        scratch: session.layout.logs(),
    };
    for (cell, records) in cells.iter().zip(read) {
        for line in preview.lines(cell, &records?) {
            session.ui.out(line);
        }
    }
    Ok(())
}

/// What the attest action wants to know, for a job that publishes one cell.
fn outputs(session: &Session, results: &[Outcome]) -> Result<()> {
    let (Some(file), [Outcome::Published(published)]) =
        (session.context.environment.get("GITHUB_OUTPUT"), results)
    else {
        return Ok(());
    };
    let Some(repository) = published.repositories.first() else { return Ok(()) };
    crate::report::github::write_output(
        file.as_ref(),
        &[("subject-name", repository.as_str()), ("subject-digest", published.digest.as_str())],
    )
}

/// The same for the page of the run.
fn tell_github(session: &Session, plan: &Plan, cells: &[&Cell], results: &[Outcome]) -> Result<()> {
    let Some(github) = session.github() else { return Ok(()) };
    let mut rows = Vec::new();
    for (cell, result) in cells.iter().zip(results) {
        let published = match result {
            Outcome::Published(published) => Some(published.as_ref()),
            _ => None,
        };
        let verify = match published.and_then(crate::report::markdown::reference) {
            Some(reference) => session.verify_command(plan, &reference)?,
            None => None,
        };
        let result = match result {
            Outcome::Failed(error) => {
                github.error(&format!("merge {}", cell.id), &crate::base::error::report(error));
                Ended::Missing(format!("{error:#}"))
            }
            Outcome::Skipped(base) => Ended::Missing(skipped(base)),
            Outcome::Published(published) => Ended::Published(published),
        };
        rows.push(results::CellResult { cell, result, verify });
    }
    github.summary(&crate::report::markdown::publications("Publications", &rows))
}

/// Why a cell was not tried.
fn skipped(base: &CellId) -> String {
    format!("skipped: its base {base} failed")
}

fn summary(session: &Session, plan: &Plan, cells: &[&Cell], results: &[Outcome]) -> Result<()> {
    let mut rows = vec![["CELL", "RESULT", "DIGEST", "TAGS"].map(str::to_owned).to_vec()];
    let mut fatal = 0;
    for (cell, result) in cells.iter().zip(results) {
        let failed = match result {
            Outcome::Published(_) => None,
            Outcome::Failed(error) => {
                session.ui.note(format!("\n{}: {}", cell.id, crate::base::error::report(error)));
                Some("failed".to_owned())
            }
            Outcome::Skipped(base) => Some(skipped(base)),
        };
        fatal += usize::from(failed.is_some() && !cell.allow_failure);
        let row = match result {
            Outcome::Published(published) => {
                let mut tags: Vec<&str> = published.tags.iter().map(|tag| tag.name.as_str()).collect();
                let mut seen = std::collections::BTreeSet::new();
                tags.retain(|tag| seen.insert(*tag));
                [results::standing(published), published.digest.to_string(), tags.join(" ")]
            }
            _ => {
                let allowed = if cell.allow_failure { " (allowed)" } else { "" };
                [format!("{}{allowed}", failed.unwrap_or_default()), String::new(), String::new()]
            }
        };
        rows.push(std::iter::once(cell.id.to_string()).chain(row).collect());
    }
    session.ui.out(columns(&rows));
    tell_github(session, plan, cells, results)?;
    if fatal == 0 {
        return Ok(());
    }
    Err(UserError::failed(format!("{fatal} of {} cells are not published", cells.len()))
        .help("run the same command again: it goes on where it stopped")
        .into())
}
