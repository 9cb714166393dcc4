//! `cargo xtask report`: what a run built and published, and whether that is all of its plan.

use anyhow::Result;
use std::path::PathBuf;

use crate::base::error::UserError;
use crate::base::publication::{self, Publication, Unfinished};
use crate::base::record::{self, DigestRecord};
use crate::base::ui::columns;
use crate::plan::{Cell, Plan};
use crate::report::markdown::{self, Published};
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
    let digests = session.digests(options.digests.as_deref());
    let publications = session.publications(options.publications.as_deref());
    let mut records = Vec::new();
    let mut done: Vec<(&Cell, Result<Publication, String>, Option<String>)> = Vec::new();
    for cell in &plan.cells {
        let (built, missing) = built(&plan, cell, |arch| {
            record::read(&record::digest_path(&digests, &cell.id, arch)).ok().flatten()
        });
        let published = if plan.push {
            record::read::<Publication>(&publication::publication_path(&publications, &cell.id))
                .ok()
                .flatten()
        } else {
            None
        };
        records.extend(built);
        let published = published.filter(|published| published.plan == plan.id);
        let result = match published {
            Some(published) => Ok(published),
            None if !missing.is_empty() => Err(format!("not built: {}", missing.join(", "))),
            None if plan.push => Err("built, not published".to_owned()),
            None => Err("built".to_owned()),
        };
        let reference = result.as_ref().ok().and_then(markdown::reference);
        let verify = match reference {
            Some(reference) => session.verify_command(&plan, &reference)?,
            None => None,
        };
        done.push((cell, result, verify));
    }
    let rows: Vec<Published<'_>> = done
        .iter()
        .map(|(cell, result, verify)| Published {
            cell,
            result: result.as_ref().map_err(Clone::clone),
            verify: verify.clone(),
        })
        .collect();
    if let Some(job) = session.github() {
        job.summary(
            &(markdown::publications("Run", &rows)
                + &markdown::sizes(&records)
                + &markdown::timeline(&records)),
        )?;
    }
    session.ui.out(table(&rows));
    for (row, one) in rows.iter().flat_map(|row| unfinished(row).map(move |one| (row, one))) {
        session.ui.note(format!("\n{} is not published to {}: {}", row.cell.id, one.repository, one.error));
    }
    let wrong = rows.iter().filter(|row| is_wrong(&plan, row)).count();
    if wrong == 0 {
        return Ok(());
    }
    Err(UserError::failed(format!("{wrong} of {} cells are not done", rows.len()))
        .help("see the job of each; run the failed ones again, or the whole run when its artifacts have expired")
        .into())
}

/// The records of a cell that are of this plan, and the architectures that have none.
fn built(
    plan: &Plan,
    cell: &Cell,
    read: impl Fn(&crate::base::ids::Name) -> Option<DigestRecord>,
) -> (Vec<DigestRecord>, Vec<String>) {
    let (mut records, mut missing) = (Vec::new(), Vec::new());
    for build in &cell.builds {
        match read(&build.arch).filter(|record| record.plan == plan.id) {
            Some(record) => records.push(record),
            None => missing.push(build.arch.to_string()),
        }
    }
    (records, missing)
}

/// Where a publication is not done.
fn unfinished<'p>(row: &'p Published<'_>) -> impl Iterator<Item = &'p Unfinished> {
    row.result.iter().flat_map(|published| &published.unfinished)
}

fn is_wrong(plan: &Plan, row: &Published<'_>) -> bool {
    let done = match &row.result {
        Ok(published) => published.unfinished.is_empty(),
        Err(why) => !plan.push && why == "built",
    };
    !done && !row.cell.allow_failure
}

fn table(rows: &[Published<'_>]) -> String {
    let mut lines = vec![["CELL", "RESULT", "DIGEST"].map(str::to_owned).to_vec()];
    for row in rows {
        let (result, digest) = match &row.result {
            Ok(published) => (markdown::standing(published), published.digest.to_string()),
            Err(why) if row.cell.allow_failure => (format!("{why} (allowed)"), String::new()),
            Err(why) => (why.clone(), String::new()),
        };
        lines.push(vec![row.cell.id.to_string(), result, digest]);
    }
    columns(&lines)
}
