//! Which cells wait for which: the families of a run, each with its waves. Pure.

use anyhow::Result;
use std::collections::BTreeMap;

use crate::base::error::UserError;
use crate::base::ids::CellId;
use crate::plan::limits::MOST;
use crate::plan::model::Cell;

/// `family.yml` has a job for each of so many waves.
pub const WAVES: usize = 3;

/// Cells that are connected by what they need, and by nothing to any other of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Family<'p> {
    /// Those of a later wave stand on some of earlier ones. None is empty.
    pub(super) waves: Vec<Vec<&'p Cell>>,
}

/// The families of the cells that are built. Where there are more than `room`, cells that need nothing and are not needed
/// share some: they have one wave, so none waits for another.
///
/// # Errors
/// If there are more waves, or more families, than the workflow can hold.
pub(super) fn of<'p>(built: &[&'p Cell], room: usize) -> Result<Vec<Family<'p>>> {
    let families: Vec<Family<'p>> =
        connected(built).iter().map(|cells| family(cells)).collect::<Result<_>>()?;
    if families.len() <= room {
        return Ok(families);
    }
    let alone = |family: &Family<'_>| family.waves.iter().map(Vec::len).sum::<usize>() == 1;
    let (single, mut families): (Vec<_>, Vec<_>) = families.into_iter().partition(alone);
    let left = room.saturating_sub(families.len());
    let each = single.len().checked_next_multiple_of(left).and_then(|whole| whole.checked_div(left));
    let each = each.filter(|each| *each <= MOST);
    let Some(each) = each else {
        return Err(UserError::invalid(format!(
            "make the jobs: {} families of images, and a matrix of GitHub has at most {MOST} rows",
            families.len() + single.len()
        ))
        .help("split matrix.toml, or start the workflow by hand with its input `track`")
        .into());
    };
    let cells: Vec<&Cell> = single.iter().flat_map(|family| family.waves.iter().flatten().copied()).collect();
    families.extend(cells.chunks(each).map(|chunk| Family { waves: vec![chunk.to_vec()] }));
    Ok(families)
}

/// The cells by what connects them, all in the order of the plan.
fn connected<'p>(built: &[&'p Cell]) -> Vec<Vec<&'p Cell>> {
    // The plan has what is needed before what needs it, so one pass is enough to join what belongs together.
    let mut group_of: BTreeMap<&CellId, usize> = BTreeMap::new();
    for (n, cell) in built.iter().enumerate() {
        let mut joined: Vec<usize> = cell.needs().filter_map(|need| group_of.get(need).copied()).collect();
        joined.push(n);
        let first = joined.iter().copied().min().unwrap_or(n);
        group_of.insert(&cell.id, n);
        group_of.values_mut().filter(|group| joined.contains(group)).for_each(|group| *group = first);
    }
    let mut groups: BTreeMap<usize, Vec<&Cell>> = BTreeMap::new();
    for cell in built {
        groups.entry(group_of.get(&cell.id).copied().unwrap_or_default()).or_default().push(cell);
    }
    groups.into_values().collect()
}

/// What needs nothing of the family first. A wave that is too long for a matrix goes on in the next one.
fn family<'p>(cells: &[&'p Cell]) -> Result<Family<'p>> {
    let mut wave_of: BTreeMap<&CellId, usize> = BTreeMap::new();
    let mut waves: Vec<Vec<&Cell>> = Vec::new();
    for cell in cells {
        let mut wave = cell.needs().filter_map(|need| wave_of.get(need)).max().map_or(0, |wave| wave + 1);
        while waves.get(wave).is_some_and(|cells| cells.len() >= MOST) {
            wave += 1;
        }
        wave_of.insert(&cell.id, wave);
        waves.resize(waves.len().max(wave + 1), Vec::new());
        waves.get_mut(wave).into_iter().for_each(|cells| cells.push(cell));
    }
    if waves.len() > WAVES {
        let first = cells.first().map(|cell| cell.id.to_string()).unwrap_or_default();
        return Err(UserError::invalid(format!(
            "make the jobs of {first} and the {} images that are connected with it: they take {} waves of at most {MOST} images, and \
             family.yml has jobs for {WAVES}",
            cells.len().saturating_sub(1),
            waves.len()
        ))
        .help("shorten the chain of `needs`, or start the workflow by hand with its input `track`")
        .into());
    }
    Ok(Family { waves })
}
