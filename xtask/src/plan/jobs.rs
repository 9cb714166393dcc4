//! The job matrices of a workflow: which runner builds what, and what is merged. Pure.
//!
//! GitHub's limits: <https://docs.github.com/en/actions/reference/limits>.

use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;

use super::{Build, Cell, Plan};
use crate::error::Fault;

/// A matrix has at most as many jobs.
const MOST: usize = 256;

/// One job: what it is given on the command line, and where it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Job {
    /// For people, and unique in its matrix.
    name: String,
    /// For `--cell`, separated by commas.
    cells: String,
    /// For `--arch`, separated by commas. A merge has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    arches: String,
    /// For `runs-on`. A merge runs anywhere.
    #[serde(skip_serializing_if = "String::is_empty")]
    runner: String,
    /// For `continue-on-error`.
    allow_failure: bool,
}

#[derive(Serialize)]
struct Matrix {
    include: Vec<Job>,
}

/// The outputs of a step, by name: `any` (whether there is a job at all: GitHub fails on an empty matrix), `push`,
/// `waves`, `build` (all waves), `build-0` and so on (one wave each), `merge`.
///
/// # Errors
/// If a platform has no runner, or if there are too many kinds of jobs.
pub fn outputs(plan: &Plan) -> Result<Vec<(String, String)>> {
    let waves = plan.cells.iter().map(|cell| cell.wave + 1).max().unwrap_or_default();
    let mut outputs = vec![
        ("plan-id".to_owned(), plan.id.to_string()),
        ("any".to_owned(), (!plan.cells.is_empty()).to_string()),
        ("push".to_owned(), plan.push.to_string()),
        ("waves".to_owned(), waves.to_string()),
        ("build".to_owned(), json(grouped(builds(plan.cells.iter())?)?)?),
    ];
    for wave in 0..waves {
        let cells = plan.cells.iter().filter(|cell| cell.wave == wave);
        outputs.push((format!("build-{wave}"), json(grouped(builds(cells)?)?)?));
    }
    let merges = plan.cells.iter().filter(|_| plan.push).map(merge).collect();
    outputs.push(("merge".to_owned(), json(grouped(merges)?)?));
    Ok(outputs)
}

fn json(include: Vec<Job>) -> Result<String> {
    Ok(serde_json::to_string(&Matrix { include })?)
}

/// A job for each build; one for all builds of an image whose platforms may be emulated.
fn builds<'p>(cells: impl Iterator<Item = &'p Cell>) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for cell in cells {
        let (together, alone): (Vec<&Build>, Vec<&Build>) =
            cell.builds.iter().partition(|build| build.emulate);
        for builds in
            alone.iter().map(std::slice::from_ref).chain((!together.is_empty()).then_some(&*together))
        {
            jobs.push(build(cell, builds)?);
        }
    }
    Ok(jobs)
}

fn build(cell: &Cell, builds: &[&Build]) -> Result<Job> {
    let arches = builds.iter().map(|build| build.arch.as_str()).collect::<Vec<_>>().join(",");
    let runner = builds.iter().find_map(|build| build.runner.clone()).ok_or_else(|| {
        Fault::invalid(format!("make the jobs of {}: {arches} has no runner", cell.id))
            .help("give the platform a `runner` in matrix.toml, or the image `emulate = true`")
    })?;
    let name = format!("{} {}", cell.id, arches.replace(',', " "));
    Ok(Job { name, cells: cell.id.to_string(), arches, runner, allow_failure: cell.allow_failure })
}

fn merge(cell: &Cell) -> Job {
    Job {
        name: cell.id.to_string(),
        cells: cell.id.to_string(),
        arches: String::new(),
        runner: String::new(),
        allow_failure: cell.allow_failure,
    }
}

/// As they are, or where there are more than a matrix may hold, several cells in one job: those of one runner and
/// architecture together, and those that may fail apart from those that may not.
fn grouped(jobs: Vec<Job>) -> Result<Vec<Job>> {
    if jobs.len() <= MOST {
        return Ok(jobs);
    }
    let mut kinds: BTreeMap<(String, String, bool), Vec<Job>> = BTreeMap::new();
    for job in jobs {
        kinds.entry((job.arches.clone(), job.runner.clone(), job.allow_failure)).or_default().push(job);
    }
    if kinds.len() > MOST {
        return Err(Fault::invalid(format!(
            "make the jobs: {} kinds of runners and architectures, and a matrix of GitHub holds {MOST} jobs",
            kinds.len()
        ))
        .help("plan a part at a time: --image, --track, --save FILE")
        .into());
    }
    let total = |each: usize| kinds.values().map(|jobs| jobs.len().div_ceil(each)).sum::<usize>();
    let each = (2..).find(|each| total(*each) <= MOST).unwrap_or(usize::MAX);
    Ok(kinds.values().flat_map(|jobs| jobs.chunks(each)).filter_map(together).collect())
}

fn together(jobs: &[Job]) -> Option<Job> {
    let first = jobs.first()?;
    let cells = jobs.iter().map(|job| job.cells.as_str()).collect::<Vec<_>>().join(",");
    let more = if jobs.len() > 1 { format!(" and {} more", jobs.len() - 1) } else { String::new() };
    Some(Job { name: format!("{}{more}", first.name), cells, ..first.clone() })
}
