//! `cargo xtask release`: the tags of a held cell may move again.

use anyhow::Result;

use crate::base::ids::CellId;
use crate::commands::hold;
use crate::session::Session;
use crate::session::planning::PlanOptions;

/// What was typed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// Which cell.
    pub cell: CellId,
}

/// Runs the command.
///
/// # Errors
/// If no tag of the cell is held, or if it cannot be signed.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    hold::each_repository(session, &options.plan, &options.cell, "moves again", |holding, repository| {
        holding.release(repository)
    })
}
