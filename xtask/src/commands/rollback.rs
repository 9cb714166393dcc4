//! `cargo xtask rollback`: the tags of a cell go back to what they held before its last publication.

use anyhow::{Context as _, Result};
use std::path::PathBuf;

use crate::base::error;
use crate::base::ids::{CellId, Digest, Repository, Tag};
use crate::base::publication;
use crate::base::ui::columns;
use crate::plan::filter::Filter;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::holding::{Holding, Terms};
use crate::publish::pinned_index;
use crate::publish::rollback::{Return, Rollback};
use crate::publish::signing::Signing;
use crate::session::Session;
use crate::session::planning::PlanOptions;

/// What was typed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// The cell.
    pub cell: CellId,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--no-hold`.
    pub no_hold: bool,
    /// `--publications`.
    pub publications: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If no record says what the tags held before, or if that is not signed as it should be.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let plan = session.plan(&options.plan)?;
    let cell = Filter::cell(&plan, &options.cell)?;
    let folder = session.publications(options.publications.as_deref());
    let stack = session.stack(&plan)?;
    let signing = Signing::of(session, (&plan.sign, &plan.formerly), Some(&plan.event), stack.as_ref())?;
    let rollback = Rollback {
        cell,
        registry: session.registry(),
        records: signing.map(|signing| AttestationStore::new(signing, &session.layout)),
        local: publication::publication_path(&folder, &cell.id),
        clock: session.context.clock,
        runner: session.runner.clone(),
        ui: session.ui,
    };
    let mut returns = Vec::new();
    for repository in &cell.repositories {
        let found = rollback.find(repository).with_context(|| format!("roll {} back", cell.id))?;
        returns.push((repository, found));
    }
    if options.dry_run {
        for (repository, back) in &returns {
            for (tag, digest) in back.moves() {
                session.ui.out(pinned_index::dry_run(repository, digest, tag));
            }
        }
        return Ok(());
    }
    let mut rows = vec![["REFERENCE", "NOW", "WAS"].map(str::to_owned).to_vec()];
    if !options.no_hold {
        hold(session, &rollback, &returns)?;
    }
    for (repository, back) in &returns {
        rollback.run(repository, back)?;
        rows.extend(back.moves().map(|(tag, digest)| {
            vec![repository.tagged(tag), digest.short().to_owned(), back.from.short().to_owned()]
        }));
    }
    // The record on this machine tells of what no tag holds any more; the one at the index stays.
    if rollback.records.is_some() && rollback.local.exists() {
        std::fs::remove_file(&rollback.local)
            .with_context(|| format!("removing {}", rollback.local.display()))?;
    }
    session.ui.out(columns(&rows));
    Ok(())
}

/// Before a tag moves: what it goes back to says that it stays there, or the next merge would move it forward again.
fn hold(session: &Session, rollback: &Rollback<'_>, returns: &[(&Repository, Return)]) -> Result<()> {
    let Some(records) = &rollback.records else {
        session
            .ui
            .warn("nothing is signed, so nothing can hold the tags: the next merge moves them forward again");
        return Ok(());
    };
    let (cell, registry, clock) = (rollback.cell, &rollback.registry, rollback.clock);
    let holding = Holding { cell, registry, records, clock, runner: &rollback.runner, ui: rollback.ui };
    for (repository, back) in returns {
        let tags: Vec<(Tag, Digest)> = back.moves().map(|(tag, to)| (tag.clone(), to.clone())).collect();
        let terms = Terms { reason: format!("rolled back from {}", back.from.short()), until: None };
        let held = holding.state(repository, &tags, true, &terms);
        held.context("hold the tags where they go back to; no tag has moved").map_err(|error| {
            error::helped(
                &error,
                "--no-hold goes back all the same; the next merge then moves the tags forward again",
            )
        })?;
    }
    session.ui.note(format!(
        "{} is held: merge leaves these tags alone until `cargo xtask release {}`",
        cell.id, cell.id
    ));
    Ok(())
}
