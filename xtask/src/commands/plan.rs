//! `cargo xtask plan`: what a run would do.

use anyhow::Result;
use std::path::PathBuf;

use super::planning::PlanOptions;
use super::session::Session;
use crate::plan::filter::Filter;
use crate::plan::{Plan, current, table};

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// Which cells.
    pub filter: Filter,
    /// `--json`.
    pub json: bool,
    /// `--save FILE`.
    pub save: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If the plan cannot be made or saved.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let plan = match &options.plan.file {
        Some(file) => Plan::read(&session.typed(file))?,
        None => session.current_plan(&options.plan, false)?,
    };
    let plan = if options.filter == Filter::default() { plan } else { options.filter.narrow(&plan)? };
    if let Some(path) = &options.save {
        current::write(&session.typed(path), &plan)?;
    }
    if options.json {
        session.ui.out(serde_json::to_string_pretty(&plan)?);
    } else {
        session.ui.out(table::table(&shown(plan, &options.filter)));
    }
    Ok(())
}

/// The builds that `--arch` names; the plan itself keeps all.
fn shown(mut plan: Plan, filter: &Filter) -> Plan {
    for cell in &mut plan.cells {
        cell.builds.retain(|build| filter.wants_arch(build));
    }
    plan
}
