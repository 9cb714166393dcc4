//! The job matrices of a workflow: which runner builds what, and what is merged where. Pure.

use anyhow::Result;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::UserError;
use crate::base::ids::{CellId, Name};
use crate::matrix::CacheKind;
use crate::plan::event::Event;
use crate::plan::families::{self, Family};
use crate::plan::limits::{self, MOST};
use crate::plan::model::{Build, Cell, Plan};
use crate::plan::reuse::Kept;

/// The job `build` of `cell.yml` has so many outputs for records, one for each row of its matrix.
pub const RECORDS: usize = 12;

/// A row of the matrix `images`: what waits for each other, and for nothing else of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    /// For people, and unique in the matrix.
    name: String,
    /// The calls of `cell.yml`, those of a later wave after those of an earlier one.
    waves: Vec<Matrix<Call>>,
}

/// One call of `cell.yml`: the builds of a cell, and their merge as soon as they are done; or, without any builds, the
/// merge of what is kept. What is false or empty is left out: outputs are limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Call {
    /// For people, and unique in its matrix.
    name: String,
    /// For `--cell`, separated by commas.
    cells: String,
    #[serde(skip_serializing_if = "is_false")]
    allow_failure: bool,
    #[serde(skip_serializing_if = "Matrix::is_empty")]
    builds: Matrix<BuildRow>,
    merge: Merge,
}

/// A job of a call that builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct BuildRow {
    #[serde(flatten)]
    job: Job,
    /// The output that says what its records are: its own number in the call, as the jobs of a matrix share their outputs.
    output: String,
    #[serde(flatten)]
    bases: Bases,
}

/// A job of a run that pushes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct CheckRow {
    /// For `--cell`, separated by commas.
    cells: String,
    #[serde(flatten)]
    job: Job,
}

/// A job that builds: what it is given on the command line, where it runs, what it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Job {
    /// For people, and unique in its matrix.
    name: String,
    /// For `--arch`, separated by commas.
    arches: String,
    runner: Runner,
    /// Whether the runner has to emulate.
    #[serde(skip_serializing_if = "is_false")]
    qemu: bool,
    /// Whether a build wants GitHub's cache.
    #[serde(skip_serializing_if = "is_false")]
    gha: bool,
    /// For `continue-on-error`.
    #[serde(skip_serializing_if = "is_false")]
    allow_failure: bool,
    /// The artifact with the digest records that the job writes.
    record: String,
}

/// What a job gets from those that made what its cells stand on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Bases {
    /// The artifacts, as a pattern of `actions/download-artifact`.
    #[serde(skip_serializing_if = "String::is_empty")]
    bases: String,
    /// What they hold, as lines for `path` of the upload, each excluded by a `!`: what was downloaded is not the job's own.
    #[serde(skip_serializing_if = "String::is_empty")]
    without: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Merge {
    runner: Runner,
    /// The artifacts with the records that it joins, as a pattern.
    #[serde(skip_serializing_if = "String::is_empty")]
    records: String,
    /// The artifact with the publication records that it writes.
    publication: String,
    #[serde(flatten)]
    bases: Bases,
}

/// For `runs-on`: a label, or several that the runner must have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
enum Runner {
    Label(String),
    Labels(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Matrix<T> {
    include: Vec<T>,
}

impl<T> Matrix<T> {
    fn is_empty(&self) -> bool {
        self.include.is_empty()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The outputs of a step, by name: `plan-id`, `any` (whether there is a job at all), `push`, `fork` (whether it is the pull request of
/// one); then, as GitHub fails on an empty matrix, only that which is not empty: `images` (families of cells, each with the
/// calls of `cell.yml`), or, for a run that pushes nothing, `check` (all builds). What is kept is not built; where it lacks
/// tags or a record, one row of its own merges it.
///
/// # Errors
/// If a platform has no runner, or if there is more than the workflow can hold.
pub fn outputs(plan: &Plan) -> Result<Vec<(String, String)>> {
    let built: Vec<&Cell> = plan.cells.iter().filter(|cell| cell.kept().is_none()).collect();
    let mut matrix = None;
    if plan.push {
        let mut include: Vec<Row> = unfinished(plan)?.into_iter().collect();
        let mut artifacts = Artifacts::default();
        for family in families::of(&built, MOST - include.len())? {
            include.push(row(&family, &mut artifacts)?);
        }
        if !include.is_empty() {
            matrix = Some(("images".to_owned(), serde_json::to_string(&Matrix { include })?));
        }
    } else if !built.is_empty() {
        let include = checks(&built)?;
        matrix = Some(("check".to_owned(), serde_json::to_string(&Matrix { include })?));
    }
    let fork = matches!(plan.event, Event::PullRequest { fork: true, .. });
    let mut outputs = vec![
        ("plan-id".to_owned(), plan.id.to_string()),
        ("any".to_owned(), matrix.is_some().to_string()),
        ("push".to_owned(), plan.push.to_string()),
        ("fork".to_owned(), fork.to_string()),
    ];
    outputs.extend(matrix);
    limits::check_size(&outputs)?;
    Ok(outputs)
}

/// The row of all that is kept and lacks tags or a record: one job can merge it, as it stands on nothing of this run.
fn unfinished(plan: &Plan) -> Result<Option<Row>> {
    let lacks = |cell: &&Cell| cell.kept().is_some_and(Kept::is_unfinished);
    let cells: Vec<&Cell> = plan.cells.iter().filter(lacks).collect();
    let Some(first) = cells.first() else { return Ok(None) };
    let name = name_of(&cells);
    let runner = runner(first, &first.builds.iter().collect::<Vec<_>>())?;
    let (records, publication) = (String::new(), publication(&name));
    let merge = Merge { runner, records, publication, bases: Bases::default() };
    let allow_failure = cells.iter().all(|cell| cell.allow_failure);
    let (cells, builds) = (cells_of(&cells), Matrix { include: Vec::new() });
    let call = Call { name: "unchanged".to_owned(), cells, allow_failure, builds, merge };
    Ok(Some(Row { name, waves: vec![Matrix { include: vec![call] }] }))
}

/// Which artifact holds the record of a build, and which cells have a publication. `@` occurs in no name: no two share one.
#[derive(Default)]
struct Artifacts {
    records: BTreeMap<(CellId, Name), String>,
    publications: BTreeSet<CellId>,
}

fn publication(name: &str) -> String {
    format!("publication@{}", artifact(name))
}

impl Artifacts {
    /// For builds of a cell: the records of what they stand on, of the same architectures.
    fn records(&self, cell: &Cell, builds: &[&Build]) -> Bases {
        let needs = builds.iter().flat_map(|build| build.needs.iter().map(|need| (&need.cell, &build.arch)));
        let names = needs.filter_map(|(cell, arch)| self.records.get(&(cell.clone(), arch.clone())));
        Bases {
            bases: pattern(names),
            without: self.lines(cell, |need| format!("!target/xtask/digests/{need}")),
        }
    }

    /// For the merge of a cell: the publications of what it stands on.
    fn publications(&self, cell: &Cell) -> Bases {
        let names: Vec<String> = self.needs(cell).map(|need| publication(need.as_str())).collect();
        let line = |need: &CellId| format!("!target/xtask/publications/{need}.json");
        Bases { bases: pattern(names.iter()), without: self.lines(cell, line) }
    }

    /// What a cell stands on, as far as this run makes it.
    fn needs<'c>(&self, cell: &'c Cell) -> impl Iterator<Item = &'c CellId> {
        cell.needs().filter(|need| self.publications.contains(*need))
    }

    /// A line for each of them.
    fn lines(&self, cell: &Cell, line: impl Fn(&CellId) -> String) -> String {
        let mut lines: Vec<String> = self.needs(cell).map(line).collect();
        lines.sort();
        lines.dedup();
        lines.join("\n")
    }
}

/// Exactly these artifacts, as minimatch reads it. Braces around a single name would be part of it.
fn pattern<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [one] => (*one).to_owned(),
        [] => String::new(),
        several => format!("{{{}}}", several.join(",")),
    }
}

fn row(family: &Family<'_>, artifacts: &mut Artifacts) -> Result<Row> {
    let mut waves = Vec::new();
    let cells: Vec<&Cell> = family.waves.iter().flatten().copied().collect();
    for wave in &family.waves {
        let mut include: Vec<Call> = wave.iter().map(|cell| call(cell, artifacts)).collect::<Result<_>>()?;
        if let ([_], [only]) = (cells.as_slice(), include.as_mut_slice()) {
            // The row says which.
            "cell".clone_into(&mut only.name);
        }
        waves.push(Matrix { include });
    }
    Ok(Row { name: name_of(&cells), waves })
}

/// A cell and its builds.
fn call(cell: &Cell, artifacts: &mut Artifacts) -> Result<Call> {
    let mut include = Vec::new();
    for builds in groups(cell) {
        let job = job(&[cell], &builds)?;
        let bases = artifacts.records(cell, &builds);
        for build in builds {
            artifacts.records.insert((cell.id.clone(), build.arch.clone()), job.record.clone());
        }
        let output = format!("record-{}", include.len());
        include.push(BuildRow { job, output, bases });
    }
    if include.len() > RECORDS {
        return Err(UserError::invalid(format!(
            "make the jobs of {}: it has {} builds, and cell.yml has outputs for {RECORDS}",
            cell.id,
            include.len()
        ))
        .help("an image with `emulate = true` has one job for all its platforms")
        .into());
    }
    let Some(first) = include.first() else { return Err(anyhow::anyhow!("a cell has a build")) };
    let merge = Merge {
        runner: first.job.runner.clone(),
        records: pattern(include.iter().map(|row| &row.job.record)),
        publication: publication(cell.id.as_str()),
        bases: artifacts.publications(cell),
    };
    artifacts.publications.insert(cell.id.clone());
    Ok(Call {
        name: cell.id.to_string(),
        cells: cell.id.to_string(),
        allow_failure: cell.allow_failure,
        builds: Matrix { include },
        merge,
    })
}

/// Every build of a run that pushes nothing; what it needs is built in the same job.
fn checks(cells: &[&Cell]) -> Result<Vec<CheckRow>> {
    type Group<'p> = (&'p Cell, Vec<&'p Build>);
    let mut single = Vec::new();
    let mut kinds: BTreeMap<(bool, Shape), Vec<Group<'_>>> = BTreeMap::new();
    for cell in cells {
        for builds in groups(cell) {
            single.push(check(&[cell], &builds)?);
            let kind = (cell.allow_failure, shape(cell, &builds)?);
            kinds.entry(kind).or_default().push((cell, builds));
        }
    }
    if single.len() <= MOST {
        return Ok(single);
    }
    let chunks = limits::split(kinds.into_values().collect(), MOST)?;
    let one = |chunk: &Vec<Group<'_>>| {
        let cells: Vec<&Cell> = chunk.iter().map(|(cell, _)| *cell).collect();
        check(&cells, chunk.first().map_or(&[], |(_, builds)| builds))
    };
    chunks.iter().map(one).collect()
}

/// One row for cells that are built alike.
fn check(cells: &[&Cell], builds: &[&Build]) -> Result<CheckRow> {
    let job = job(cells, builds)?;
    let name = format!("{} {}", name_of(cells), job.name);
    Ok(CheckRow { cells: cells_of(cells), job: Job { name, ..job } })
}

/// Architectures, runner, emulator and cache: what two jobs must have in common to be one.
type Shape = (Vec<Name>, Runner, bool, bool);

fn shape(cell: &Cell, builds: &[&Build]) -> Result<Shape> {
    let arches = builds.iter().map(|build| build.arch.clone()).collect();
    Ok((arches, runner(cell, builds)?, needs_qemu(builds), wants_gha(builds)))
}

/// Each build on its own; all builds of an image whose platforms may all be emulated together.
fn groups(cell: &Cell) -> Vec<Vec<&Build>> {
    match cell.builds.iter().all(|build| build.emulate) {
        true => vec![cell.builds.iter().collect()],
        false => cell.builds.iter().map(|build| vec![build]).collect(),
    }
}

/// The runner on which a workflow builds; none if its platform has none. Platforms that are emulated may share one.
pub fn runner_of<'p>(cell: &'p Cell, build: &Build) -> Option<&'p str> {
    let group = groups(cell).into_iter().find(|group| group.iter().any(|one| one.arch == build.arch))?;
    named_runner(cell, &group)
}

/// The runner of one of these builds; for those that are emulated any runner of the cell will do.
fn named_runner<'p>(cell: &'p Cell, builds: &[&'p Build]) -> Option<&'p str> {
    let emulated = builds.iter().all(|build| build.emulate);
    let any = cell.builds.iter().filter(|_| emulated).find_map(|build| build.runner.as_deref());
    builds.iter().find_map(|build| build.runner.as_deref()).or(any)
}

fn job(cells: &[&Cell], builds: &[&Build]) -> Result<Job> {
    let [first, ..] = cells else { return Err(anyhow::anyhow!("a job has a cell")) };
    let arches = builds.iter().map(|build| build.arch.as_str()).collect::<Vec<_>>();
    Ok(Job {
        record: format!("record@{}@{}", artifact(&name_of(cells)), arches.join("+")),
        name: arches.join(" "),
        arches: arches.join(","),
        runner: runner(first, builds)?,
        qemu: needs_qemu(builds),
        gha: wants_gha(builds),
        allow_failure: cells.iter().all(|cell| cell.allow_failure),
    })
}

fn needs_qemu(builds: &[&Build]) -> bool {
    builds.len() > 1 || builds.iter().any(|build| build.emulate)
}

fn wants_gha(builds: &[&Build]) -> bool {
    builds.iter().any(|build| build.options.cache.contains(&CacheKind::Gha))
}

fn runner(cell: &Cell, builds: &[&Build]) -> Result<Runner> {
    named_runner(cell, builds).map(Runner::from).ok_or_else(|| {
        let arches: Vec<&str> = builds.iter().map(|build| build.arch.as_str()).collect();
        UserError::invalid(format!("make the jobs of {}: {} has no runner", cell.id, arches.join(",")))
            .help("give the platform a `runner` in matrix.toml, or `emulate = true`, which uses the runner of another platform of the image")
            .into()
    })
}

impl From<&str> for Runner {
    fn from(text: &str) -> Self {
        let labels: Vec<String> = text.split(',').map(|label| label.trim().to_owned()).collect();
        if labels.len() > 1 { Self::Labels(labels) } else { Self::Label(text.trim().to_owned()) }
    }
}

fn cells_of(cells: &[&Cell]) -> String {
    cells.iter().map(|cell| cell.id.as_str()).collect::<Vec<_>>().join(",")
}

fn name_of(cells: &[&Cell]) -> String {
    let first = cells.first().map(|cell| cell.id.to_string()).unwrap_or_default();
    if cells.len() > 1 { format!("{first} and {} more", cells.len() - 1) } else { first }
}

/// A name for an artifact.
fn artifact(name: &str) -> String {
    name.replace(' ', "+")
}
