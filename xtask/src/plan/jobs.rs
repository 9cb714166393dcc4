//! The job matrices of a workflow: which runner builds what, and what is merged where. Pure.
//!
//! GitHub's limits: <https://docs.github.com/en/actions/reference/limits>.

use anyhow::Result;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::UserError;
use crate::base::ids::{CellId, Name};
use crate::plan::model::{Build, Cell, Plan};
use crate::plan::reuse::Kept;

/// A matrix has at most as many jobs.
const MOST: usize = 256;

/// `images.yml` has a job for each of so many waves.
pub const WAVES: usize = 3;

/// `fetch/action.yml` downloads at most so many records, and the job `build` of `cell.yml` has as many outputs.
pub const RECORDS: usize = 12;

/// A job that builds: what it is given on the command line, where it runs, what it leaves and takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Job {
    /// For people, and unique in its matrix.
    name: String,
    /// For `--cell`, separated by commas.
    cells: String,
    /// For `--arch`, separated by commas.
    arches: String,
    runner: Runner,
    /// Whether the runner has to emulate.
    qemu: bool,
    /// For `continue-on-error`.
    allow_failure: bool,
    /// The artifact with the digest records that the job writes.
    record: String,
    /// The output that says what these records are: its own number in the call, as the jobs of a matrix share their
    /// outputs. Empty where nothing is merged.
    output: String,
    /// The artifacts with the records of what it builds upon.
    needs: Vec<String>,
    /// The folders with those records, as lines for `path` of the upload, each excluded by a `!`.
    without: String,
}

/// One call of `cell.yml`: the builds of a cell, and their merge as soon as they are done; or, without any builds, the
/// merge of what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Call {
    /// For people, and unique in its matrix.
    name: String,
    /// For `--cell`, separated by commas.
    cells: String,
    allow_failure: bool,
    /// The builds.
    jobs: Matrix<Job>,
    merge: Merge,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Merge {
    runner: Runner,
    /// The artifacts with the records that it joins.
    records: Vec<String>,
    /// The artifacts with the publications of what the cells stand on.
    bases: Vec<String>,
    /// The files with these, as lines for `path` of the upload, each excluded by a `!`.
    without: String,
    /// The artifact with the publication records that it writes.
    publication: String,
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

/// The outputs of a step, by name: `any` (whether there is a job at all), `push`, `waves`; then, as GitHub fails on an
/// empty matrix, only those that are not empty: `wave-0` and so on (the calls of `cell.yml` in each wave), or, for a run
/// that pushes nothing, `check` (all builds). What is kept is not built; where it lacks tags or a record, one call of the
/// first wave merges it.
///
/// # Errors
/// If a platform has no runner, or if there is more than the workflow can hold.
pub fn outputs(plan: &Plan) -> Result<Vec<(String, String)>> {
    let built: Vec<&Cell> = plan.cells.iter().filter(|cell| cell.kept().is_none()).collect();
    let waves = waves(&built);
    if waves.len() > WAVES {
        return Err(UserError::invalid(format!(
            "make the jobs: there are {} waves of images that need each other, and images.yml has jobs for {WAVES}",
            waves.len()
        ))
        .help("let images that are needed need fewer others")
        .into());
    }
    let mut kept: Vec<Call> = if plan.push { unfinished(plan)?.into_iter().collect() } else { Vec::new() };
    let count = waves.len().max(kept.len());
    let mut matrices = Vec::new();
    if plan.push {
        let mut artifacts = Artifacts::default();
        for wave in 0..count {
            let cells = waves.get(wave).map(Vec::as_slice).unwrap_or_default();
            let mut include = calls(cells, MOST - kept.len(), &mut artifacts)?;
            include.append(&mut kept);
            matrices.push((format!("wave-{wave}"), serde_json::to_string(&Matrix { include })?));
        }
    } else if !built.is_empty() {
        let include = checks(&built)?;
        matrices.push(("check".to_owned(), serde_json::to_string(&Matrix { include })?));
    }
    let mut outputs = vec![
        ("plan-id".to_owned(), plan.id.to_string()),
        ("any".to_owned(), (!matrices.is_empty()).to_string()),
        ("push".to_owned(), plan.push.to_string()),
        ("waves".to_owned(), count.to_string()),
    ];
    outputs.extend(matrices);
    Ok(outputs)
}

/// The cells that are built, what needs nothing of them first. What is kept need not be waited for.
fn waves<'p>(built: &[&'p Cell]) -> Vec<Vec<&'p Cell>> {
    let mut wave_of: BTreeMap<&CellId, usize> = BTreeMap::new();
    let mut waves: Vec<Vec<&Cell>> = Vec::new();
    // The plan has what is needed before what needs it.
    for cell in built {
        let wave = cell.needs().filter_map(|need| wave_of.get(need)).max().map_or(0, |wave| wave + 1);
        wave_of.insert(&cell.id, wave);
        waves.resize(waves.len().max(wave + 1), Vec::new());
        waves.get_mut(wave).into_iter().for_each(|cells| cells.push(cell));
    }
    waves
}

/// The call for all that is kept and lacks tags or a record: one job can merge it, as it stands on nothing of this run.
fn unfinished(plan: &Plan) -> Result<Option<Call>> {
    let lacks = |cell: &&Cell| cell.kept().is_some_and(Kept::is_unfinished);
    let cells: Vec<&Cell> = plan.cells.iter().filter(lacks).collect();
    (!cells.is_empty()).then(|| call(&cells, Vec::new(), &mut Artifacts::default())).transpose()
}

/// Which artifact holds the record of a build, and which that of a publication. `@` occurs in no name of a cell or
/// architecture: no two share one.
#[derive(Default)]
struct Artifacts {
    records: BTreeMap<(CellId, Name), String>,
    publications: BTreeMap<CellId, String>,
}

impl Artifacts {
    fn of(&self, cells: &[&Cell], builds: &[&Build]) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        for build in builds {
            for cell in cells {
                let needs = cell.build(&build.arch).into_iter().flat_map(|build| &build.needs);
                names.extend(
                    needs.filter_map(|need| self.records.get(&(need.cell.clone(), build.arch.clone()))),
                );
            }
        }
        check_records(&cells_of(cells), names.len())?;
        Ok(names.into_iter().cloned().collect())
    }

    fn add(&mut self, cells: &[&Cell], builds: &[&Build], artifact: &str) {
        for (cell, build) in cells.iter().flat_map(|cell| builds.iter().map(move |build| (cell, build))) {
            self.records.insert((cell.id.clone(), build.arch.clone()), artifact.to_owned());
        }
    }

    /// What cells stand on, as far as this run makes it.
    fn needs<'p>(&self, cells: &[&'p Cell]) -> BTreeSet<&'p CellId> {
        let needs = cells.iter().flat_map(|cell| cell.needs());
        needs.filter(|need| self.publications.contains_key(*need)).collect()
    }

    /// Those with the publications of what cells stand on.
    fn bases(&self, cells: &[&Cell]) -> Result<Vec<String>> {
        let names: BTreeSet<&String> =
            self.needs(cells).into_iter().filter_map(|need| self.publications.get(need)).collect();
        check_records(&cells_of(cells), names.len())?;
        Ok(names.into_iter().cloned().collect())
    }
}

fn check_records(cells: &str, count: usize) -> Result<()> {
    if count <= RECORDS {
        return Ok(());
    }
    Err(UserError::invalid(format!(
        "make the jobs of {cells}: one takes {count} records, and fetch/action.yml downloads {RECORDS}"
    ))
    .help("an image with fewer platforms, or one that needs fewer others, takes fewer")
    .into())
}

/// The calls of one wave. Where there are more cells than its matrix has room for, cells that are built alike share one.
fn calls(cells: &[&Cell], room: usize, artifacts: &mut Artifacts) -> Result<Vec<Call>> {
    let mut kinds: BTreeMap<(bool, Vec<Shape>), Vec<&Cell>> = BTreeMap::new();
    if cells.len() > room {
        for cell in cells {
            let shapes = groups(cell).iter().map(|builds| shape(cell, builds)).collect::<Result<_>>()?;
            kinds.entry((cell.allow_failure, shapes)).or_default().push(cell);
        }
    }
    let shared: Vec<Vec<&Cell>> = split(kinds.into_values().collect(), room)?;
    let alone = cells.iter().map(|cell| vec![*cell]).collect();
    let chunks = if shared.is_empty() { alone } else { shared };
    let one = |cells: &Vec<&Cell>| {
        let builds = cells.first().map(|cell| groups(cell)).unwrap_or_default();
        call(cells, builds, artifacts)
    };
    chunks.iter().map(one).collect()
}

/// Cells and their builds, which are alike.
fn call(cells: &[&Cell], builds: Vec<Vec<&Build>>, artifacts: &mut Artifacts) -> Result<Call> {
    let name = name_of(cells);
    let mut include = Vec::new();
    let [first, ..] = cells else { return Err(anyhow::anyhow!("a call has a cell")) };
    for builds in builds {
        let mut job = job(cells, &builds)?;
        job.needs = artifacts.of(cells, &builds)?;
        job.without = lines(cells, artifacts, |need| format!("!target/xtask/digests/{need}"));
        job.output = format!("record-{}", include.len());
        artifacts.add(cells, &builds, &job.record);
        job.name = job.arches.replace(',', " ");
        include.push(job);
    }
    let records: Vec<String> = include.iter().map(|job| job.record.clone()).collect();
    check_records(&name, records.len())?;
    let runner = match include.first() {
        Some(job) => job.runner.clone(),
        None => runner(first, &first.builds.iter().collect::<Vec<_>>())?,
    };
    let publication = format!("publication@{}", artifact(&name));
    let bases = artifacts.bases(cells)?;
    let without = lines(cells, artifacts, |need| format!("!target/xtask/publications/{need}.json"));
    artifacts.publications.extend(cells.iter().map(|cell| (cell.id.clone(), publication.clone())));
    let merge = Merge { runner, records, bases, without, publication };
    let allow_failure = cells.iter().all(|cell| cell.allow_failure);
    Ok(Call { name, cells: cells_of(cells), allow_failure, jobs: Matrix { include }, merge })
}

/// What was downloaded is not a job's own to upload.
fn lines(cells: &[&Cell], artifacts: &Artifacts, line: impl Fn(&CellId) -> String) -> String {
    artifacts.needs(cells).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Every build of a run that pushes nothing; what it needs is built in the same job.
fn checks(cells: &[&Cell]) -> Result<Vec<Job>> {
    type Group<'p> = (&'p Cell, Vec<&'p Build>);
    let mut single = Vec::new();
    let mut kinds: BTreeMap<(bool, Shape), Vec<Group<'_>>> = BTreeMap::new();
    for cell in cells {
        for builds in groups(cell) {
            single.push(job(&[cell], &builds)?);
            let kind = (cell.allow_failure, shape(cell, &builds)?);
            kinds.entry(kind).or_default().push((cell, builds));
        }
    }
    if single.len() <= MOST {
        return Ok(single);
    }
    let chunks = split(kinds.into_values().collect(), MOST)?;
    let one = |chunk: &Vec<Group<'_>>| {
        let cells: Vec<&Cell> = chunk.iter().map(|(cell, _)| *cell).collect();
        job(&cells, chunk.first().map_or(&[], |(_, builds)| builds))
    };
    chunks.iter().map(one).collect()
}

/// Architectures and runner: what two jobs must have in common to be one.
type Shape = (Vec<Name>, Runner);

fn shape(cell: &Cell, builds: &[&Build]) -> Result<Shape> {
    Ok((builds.iter().map(|build| build.arch.clone()).collect(), runner(cell, builds)?))
}

/// Each build on its own; all builds of an image whose platforms may be emulated together.
fn groups(cell: &Cell) -> Vec<Vec<&Build>> {
    let (together, alone): (Vec<&Build>, Vec<&Build>) = cell.builds.iter().partition(|build| build.emulate);
    let mut groups: Vec<Vec<&Build>> = alone.into_iter().map(|build| vec![build]).collect();
    groups.extend((!together.is_empty()).then_some(together));
    groups
}

/// The runner on which a workflow builds; none if its platform has none. Platforms that are emulated share one.
pub fn runner_of<'p>(cell: &'p Cell, build: &Build) -> Option<&'p str> {
    let group = groups(cell).into_iter().find(|group| group.iter().any(|one| one.arch == build.arch))?;
    group.into_iter().find_map(|build| build.runner.as_deref())
}

fn job(cells: &[&Cell], builds: &[&Build]) -> Result<Job> {
    let [first, ..] = cells else { return Err(anyhow::anyhow!("a job has a cell")) };
    let arches = builds.iter().map(|build| build.arch.as_str()).collect::<Vec<_>>();
    let name = name_of(cells);
    Ok(Job {
        record: format!("record@{}@{}", artifact(&name), arches.join("+")),
        name: format!("{name} {}", arches.join(" ")),
        cells: cells_of(cells),
        arches: arches.join(","),
        runner: runner(first, builds)?,
        qemu: builds.len() > 1,
        allow_failure: cells.iter().all(|cell| cell.allow_failure),
        output: String::new(),
        needs: Vec::new(),
        without: String::new(),
    })
}

fn runner(cell: &Cell, builds: &[&Build]) -> Result<Runner> {
    let named = builds.iter().find_map(|build| build.runner.as_deref());
    named.map(Runner::from).ok_or_else(|| {
        let arches: Vec<&str> = builds.iter().map(|build| build.arch.as_str()).collect();
        UserError::invalid(format!("make the jobs of {}: {} has no runner", cell.id, arches.join(",")))
            .help("give the platform a `runner` in matrix.toml, or the image `emulate = true`")
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

/// Cuts each kind into parts, as many as there is room for in all.
fn split<T: Clone>(kinds: Vec<Vec<T>>, room: usize) -> Result<Vec<Vec<T>>> {
    if kinds.len() > room {
        return Err(UserError::invalid(format!(
            "make the jobs: {} kinds of runners and architectures, and a matrix of GitHub holds {MOST} jobs",
            kinds.len()
        ))
        .help("plan a part at a time: --image, --track, --save FILE")
        .into());
    }
    let total = |each: usize| kinds.iter().map(|kind| kind.len().div_ceil(each)).sum::<usize>();
    let each = (1..).find(|each| total(*each) <= room).unwrap_or(usize::MAX);
    Ok(kinds.iter().flat_map(|kind| kind.chunks(each)).map(<[T]>::to_vec).collect())
}
