//! The cells of one merge, what is needed before what needs it.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::base::ids::CellId;
use crate::base::parallel;
use crate::base::publication::Publication;
use crate::base::record::DigestRecord;
use crate::plan::Cell;
use crate::publish::bases::Done;
use crate::publish::publisher::Publisher;

/// What became of a cell.
pub(crate) enum Outcome {
    /// It is published in every repository.
    Published(Box<Publication>),
    /// It is not, or not wholly.
    Failed(anyhow::Error),
    /// It was not tried: this one, which it needs, is not published.
    Skipped(CellId),
}

/// Publishes wave after wave, the cells of one side by side.
pub(crate) fn publish(
    publisher: &Publisher<'_>,
    work: &[(&Cell, Result<Vec<DigestRecord>>)],
    jobs: usize,
) -> Vec<Outcome> {
    let mut done = Done::new();
    let mut lost: BTreeSet<CellId> = BTreeSet::new();
    let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
    let waves: BTreeSet<usize> = work.iter().map(|(cell, _)| cell.wave).collect();
    for wave in waves {
        let now: Vec<usize> =
            (0..work.len()).filter(|n| work.get(*n).is_some_and(|(cell, _)| cell.wave == wave)).collect();
        let results = parallel::map(&now, jobs, |n| {
            let (cell, records) = work.get(*n)?;
            Some((*n, *cell, one(publisher, cell, records, &done, &lost)))
        });
        for (n, cell, outcome) in results.into_iter().flatten() {
            match (&outcome, work.get(n)) {
                (Outcome::Published(publication), Some((_, Ok(records)))) => {
                    done.insert(cell.id.clone(), ((**publication).clone(), records.clone()));
                }
                _ => drop(lost.insert(cell.id.clone())),
            }
            outcomes.push((n, outcome));
        }
    }
    outcomes.sort_by_key(|(n, _)| *n);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn one(
    publisher: &Publisher<'_>,
    cell: &Cell,
    records: &Result<Vec<DigestRecord>>,
    done: &Done,
    lost: &BTreeSet<CellId>,
) -> Outcome {
    if let Some(base) = cell.needs().find(|need| lost.contains(*need)) {
        return Outcome::Skipped(base.clone());
    }
    let published = match records {
        Ok(records) => publisher.cell(cell, records, done),
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    match published {
        Ok(publication) => Outcome::Published(Box::new(publication)),
        Err(error) => Outcome::Failed(error),
    }
}
