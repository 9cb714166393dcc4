//! `cargo xtask report`: what a run built and published, and whether that is all of its plan.

use anyhow::Result;
use std::path::{Path, PathBuf};

use crate::base::error::UserError;
use crate::base::publication::{self, Publication};
use crate::base::record::{self, DigestRecord};
use crate::base::ui::columns;
use crate::plan::filter::Filter;
use crate::plan::{Cell, Plan};
use crate::report::markdown;
use crate::report::plan_table;
use crate::report::results::{CellResult, Ended};
use crate::session::Session;
use crate::session::planning::PlanOptions;

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// `--digests`.
    pub digests: Option<PathBuf>,
    /// `--publications`.
    pub publications: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If the plan cannot be had, or if a cell that may not fail is not there.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let plan = session.plan(&options.plan)?;
    let digests = record::folders(&session.digests(options.digests.as_deref()));
    let publications = record::folders(&session.publications(options.publications.as_deref()));
    let mut records = Vec::new();
    let mut done: Vec<(&Cell, Option<Publication>, Vec<String>)> = Vec::new();
    for cell in &plan.cells {
        let (built, missing) = built(&plan, cell, &digests);
        let place = |folder: &Path| publication::publication_path(folder, &cell.id);
        let found = record::find(&publications, place, |found: &Publication| found.plan == plan.id);
        records.extend(built);
        done.push((cell, found.filter(|_| plan.push), missing));
    }
    let mut rows = Vec::new();
    for (cell, published, missing) in &done {
        let reference = published.as_ref().and_then(markdown::reference);
        let verify = reference.map(|reference| session.verify_command(&plan, &reference)).transpose()?;
        let result = Ended::of(&plan, cell, published.as_ref(), missing);
        rows.push(CellResult { cell, result, verify: verify.flatten() });
    }
    if let Some(job) = session.github() {
        job.summary(
            &(markdown::publications("Run", &rows)
                + &markdown::sizes(&records)
                + &markdown::timeline(&records)),
        )?;
    }
    if session.is_idle(&plan, &Filter::default())? {
        return Ok(());
    }
    session.ui.out(table(&rows));
    if let Some(told) = plan_table::done(&plan) {
        session.ui.out(format!("\n{told}"));
    }
    for (row, one) in rows.iter().flat_map(|row| row.unfinished().iter().map(move |one| (row, one))) {
        session.ui.note(format!("\n{} is not published to {}: {}", row.cell.id, one.repository, one.error));
    }
    let wrong = rows.iter().filter(|row| row.is_wrong()).count();
    if wrong == 0 {
        return Ok(());
    }
    Err(UserError::failed(format!("{wrong} of {} cells are not done", rows.len()))
        .help("see the job of each; run the failed ones again, or the whole run when its artifacts have expired")
        .into())
}

/// The records of a cell that are of this plan, and the architectures that have none.
fn built(plan: &Plan, cell: &Cell, folders: &[PathBuf]) -> (Vec<DigestRecord>, Vec<String>) {
    let (mut records, mut missing) = (Vec::new(), Vec::new());
    for build in &cell.builds {
        let place = |folder: &Path| record::digest_path(folder, &cell.id, &build.arch);
        match record::find(folders, place, |record: &DigestRecord| record.plan == plan.id) {
            Some(record) => records.push(record),
            None => missing.push(build.arch.to_string()),
        }
    }
    (records, missing)
}

fn table(rows: &[CellResult<'_>]) -> String {
    let mut lines = vec![["CELL", "RESULT", "DIGEST"].map(str::to_owned).to_vec()];
    for row in rows {
        let (told, digest) = row.told();
        lines.push(vec![row.cell.id.to_string(), told, digest.map(ToString::to_string).unwrap_or_default()]);
    }
    columns(&lines)
}
