//! `cargo xtask hold`: the tags of a cell stay where they are until they are released.

use anyhow::{Context as _, Result};

use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Repository, Tag};
use crate::base::ui::columns;
use crate::plan::filter::Filter;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::holding::{Holding, Terms};
use crate::publish::signing::Signing;
use crate::session::Session;
use crate::session::planning::PlanOptions;

/// What was typed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// Which cell.
    pub cell: CellId,
    /// Why, and until when.
    pub terms: Terms,
}

/// Runs the command.
///
/// # Errors
/// If there is nothing to hold, or if it cannot be signed.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    refuse_past(session, &options.terms)?;
    each_repository(session, &options.plan, &options.cell, "held", |holding, repository| {
        holding.hold(repository, &options.terms)
    })
}

/// Does something with the tags of a cell in each of its repositories, and shows them; `now`: what they are then.
pub(super) fn each_repository(
    session: &Session,
    plan: &PlanOptions,
    cell: &CellId,
    now: &str,
    work: impl Fn(&Holding<'_>, &Repository) -> Result<Vec<(Tag, Digest)>>,
) -> Result<()> {
    let plan = session.plan(plan)?;
    let cell = Filter::cell(&plan, cell)?;
    let stack = session.stack(&plan)?;
    let Some(signing) =
        Signing::of(session, (&plan.sign, &plan.formerly), Some(&plan.event), stack.as_ref())?
    else {
        return Err(UserError::invalid(
            "a hold is a signed statement, and matrix.toml says that nothing is signed",
        )
        .help("choose another `method` of [sign]")
        .into());
    };
    let registry = session.registry();
    let records = AttestationStore::new(signing, &session.layout);
    let (clock, runner, ui) = (session.context.clock, &session.runner, session.ui);
    let holding = Holding { cell, registry: &registry, records: &records, clock, runner, ui };
    let mut rows = vec![["REFERENCE", "DIGEST", "NOW"].map(str::to_owned).to_vec()];
    for repository in &cell.repositories {
        let tags = work(&holding, repository).with_context(|| format!("{} in {repository}", cell.id))?;
        rows.extend(
            tags.iter()
                .map(|(tag, digest)| vec![repository.tagged(tag), digest.short().to_owned(), now.to_owned()]),
        );
    }
    session.ui.out(columns(&rows));
    Ok(())
}

fn refuse_past(session: &Session, terms: &Terms) -> Result<()> {
    let Some(until) = &terms.until else { return Ok(()) };
    let end = humantime::parse_rfc3339(until).context("reading --until")?;
    if end <= session.context.clock.now() {
        return Err(UserError::invalid(format!("--until {until}: that is over")).into());
    }
    Ok(())
}
