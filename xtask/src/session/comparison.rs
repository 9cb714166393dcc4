//! What is known of a plan beside the plan: by the room above, and by the records of this checkout.

use anyhow::Result;

use crate::base::context::Layout;
use crate::base::publication::{self, Publication};
use crate::base::record::{self, DigestRecord};
use crate::plan::{Cell, Plan};

/// What is asked of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Builds or publications follow, so what these take is started.
    pub for_work: bool,
    /// Whether cells may keep what is published.
    pub reuse: bool,
    /// What cannot be read is an error, and no reason to build.
    pub demanded: bool,
}

/// Compares plans with what is published. `reuse/` does it, which stands above this room.
pub trait Comparison: std::fmt::Debug + Send + Sync {
    /// The plan with what each cell can keep, and with the base images of all builds resolved.
    ///
    /// # Errors
    /// If we are asked to stop. A registry that does not answer is a reason to build, unless an answer is demanded.
    fn compare(&self, plan: Plan, asked: Asked) -> Result<Plan>;

    /// Whether the checkout still holds the files of the cells that a plan keeps.
    fn still_holds(&self, plan: &Plan) -> bool;
}

/// Whether a checkout has built anything of a cell by a plan.
pub(super) fn is_begun(layout: &Layout, plan: &Plan, cell: &Cell) -> bool {
    cell.builds.iter().any(|build| {
        let path = record::digest_path(&layout.digests(), &cell.id, &build.arch);
        record::read::<DigestRecord>(&path).ok().flatten().is_some_and(|record| record.plan == plan.id)
    })
}

/// Whether a checkout has published a cell by a plan, wholly.
pub(super) fn is_over(layout: &Layout, plan: &Plan, cell: &Cell) -> bool {
    let path = publication::publication_path(&layout.publications(), &cell.id);
    let found = record::read::<Publication>(&path).ok().flatten();
    found.is_some_and(|found| found.plan == plan.id && found.unfinished.is_empty())
}
