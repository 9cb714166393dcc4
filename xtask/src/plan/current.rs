//! The current plan of a checkout: `build`, `build`, `merge` typed one after the other are one run.
//!
//! Resolving is cheap, so the question "is the plan on disk still right?" is
//! answered by resolving again under the clock of that plan: the same id, the same run.

use anyhow::Result;
use std::path::Path;

use crate::base::files;
use crate::plan::model::Plan;

/// The plan on disk, if there is one that can be read. A damaged one is replaced, not an error.
pub fn read(path: &Path) -> Option<Plan> {
    Plan::read(path).ok()
}

/// Makes a plan the current one.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, plan: &Plan) -> Result<()> {
    files::write_json(path, plan)
}

/// Whether two RFC 3339 times in UTC are of one day.
pub fn same_day(one: &str, other: &str) -> bool {
    one.get(..10).is_some_and(|day| other.get(..10) == Some(day))
}
