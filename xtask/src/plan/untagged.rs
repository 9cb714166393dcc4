//! Cells that a run gives no tag, as no condition of their tags holds: they are left out of its plan.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ids::CellId;
use crate::matrix::cells::CellSpec;
use crate::matrix::{Diagnostic, TagSpec};
use crate::plan::event::Event;
use crate::plan::model::PlannedTag;

/// The tags of a cell, each as it was written.
pub(super) type Tags = Result<Vec<(PlannedTag, TagSpec)>, Vec<Diagnostic>>;

/// A cell and its tags.
pub(super) type Tagged<'m> = (&'m CellSpec<'m>, Tags);

/// The cells without a tag that nothing in the plan stands on. One that is needed is an error: an image cannot be published
/// whose base is not.
pub(super) fn idle<'m>(
    cells: &[Tagged<'m>],
    event: &Event,
    errors: &mut Vec<Diagnostic>,
) -> BTreeSet<&'m CellId> {
    let mut idle = BTreeSet::new();
    let mut needed: BTreeMap<&CellId, &CellId> = BTreeMap::new();
    // In the order of waves, so that a walk from the end meets what needs a cell before the cell.
    for (spec, tags) in cells.iter().rev() {
        let untagged = tags.as_ref().is_ok_and(Vec::is_empty);
        match needed.get(&spec.id) {
            None if untagged => {
                idle.insert(&spec.id);
                continue;
            }
            Some(by) if untagged => errors.push(error(spec, by, event)),
            _ => {}
        }
        needed.extend(spec.needs.iter().map(|(_, cell)| (cell, &spec.id)));
    }
    idle
}

fn error(spec: &CellSpec<'_>, by: &CellId, event: &Event) -> Diagnostic {
    Diagnostic {
        span: spec.reference().span.clone(),
        message: format!(
            "{by} needs the cell {}, which gets no tag: no condition of its tags holds for this run ({event})",
            spec.id
        ),
        help: vec![
            "give it at least one tag without `when`, or give the tags of both the same conditions"
                .to_owned(),
        ],
    }
}
