//! `cargo xtask build`: every cell by digest, one record per build.

use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use super::cache::Published;
use super::contexts::Contexts;
use super::parallel;
use super::planning::PlanOptions;
use super::session::Session;
use super::specs::{Around, Linked, pushed, recorded, spec};
use crate::argv::bake;
use crate::argv::buildx::{self, Buildx};
use crate::builder::Builder;
use crate::error::Fault;
use crate::ids::{CellId, Digest, Name, Platform};
use crate::local::Stack;
use crate::matrix::CacheKind;
use crate::metadata::Metadata;
use crate::plan::filter::Filter;
use crate::plan::{Build, Cell, Plan};
use crate::record::{self, DigestRecord};
use crate::run::Output;
use crate::ui::columns;

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// Which cells and architectures.
    pub filter: Filter,
    /// `--emulate`.
    pub emulate: bool,
    /// `--no-push`.
    pub no_push: bool,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--builder`.
    pub builder: Option<String>,
    /// `--digests`.
    pub digests: Option<PathBuf>,
    /// `--jobs`.
    pub jobs: Option<usize>,
}

/// One build of the plan.
#[derive(Debug, Clone, Copy)]
struct Job<'p> {
    cell: &'p Cell,
    build: &'p Build,
}

/// How a build ended.
enum Outcome {
    Built(Box<DigestRecord>, f64),
    Failed(anyhow::Error),
    Skipped(String),
}

/// Runs the command.
///
/// # Errors
/// If the plan or the builder cannot be had, or if a build failed whose cell may not fail.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let plan = session.plan(&options.plan)?;
    let push = plan.push && !options.no_push;
    if options.dry_run {
        return dry_run(session, &plan, options, push);
    }
    let (buildx, stack) = session.buildx(&plan, options.builder.as_deref())?;
    let builder = Builder::inspect(&buildx, &session.runner)?;
    let jobs = chosen(&plan, options, |platform| builder.is_native(platform))?;
    let version = session.tools.get(crate::tools::Tool::Buildx)?.version.to_string();
    let digests = folder(session, options);
    let mut run = Run {
        session,
        plan: &plan,
        buildx: &buildx,
        builder: &builder,
        version,
        digests,
        push,
        contexts: contexts(session, &plan)?,
        published: BTreeMap::new(),
    };
    let jobs = run.with_needs(jobs);
    run.published = published(session, &plan, &buildx, stack.as_ref(), &jobs)?;
    if stack.is_some() {
        for job in jobs.iter().filter(|job| !builder.lists(&job.build.platform)) {
            session.local().ensure_emulation(&job.build.platform)?;
        }
    }
    fs::create_dir_all(session.layout.logs())
        .with_context(|| format!("creating {}", session.layout.logs().display()))?;
    let outcomes = run.all(&jobs, options.jobs);
    session.runner.check_interrupted()?;
    summary(session, &jobs, &outcomes)
}

/// Where the records go.
fn folder(session: &Session, options: &Options) -> PathBuf {
    options.digests.as_ref().map_or_else(|| session.layout.digests(), |path| session.typed(path))
}

/// The builds that were asked for: with `--arch` those, else what the builder has natively.
fn chosen<'p>(plan: &'p Plan, options: &Options, native: impl Fn(&Platform) -> bool) -> Result<Vec<Job<'p>>> {
    let cells = options.filter.cells(plan)?;
    let all = || cells.iter().flat_map(|cell| cell.builds.iter().map(|build| Job { cell, build }));
    let allowed = |job: &Job<'_>| options.emulate || job.build.emulate || native(&job.build.platform);
    if options.filter.arches.is_empty() {
        let jobs: Vec<Job<'p>> = all().filter(allowed).collect();
        return if jobs.is_empty() && all().next().is_some() {
            Err(Fault::failed("the builder has none of the plan's platforms natively")
                .help("build them by emulation: --emulate")
                .into())
        } else {
            Ok(jobs)
        };
    }
    let wanted: Vec<Job<'p>> = all().filter(|job| options.filter.wants_arch(job.build)).collect();
    if wanted.is_empty() && all().next().is_some() {
        let known: BTreeSet<&str> = all().map(|job| job.build.arch.as_str()).collect();
        return Err(Fault::invalid(format!(
            "none of these cells is built for {}",
            options.filter.arches.join(", ")
        ))
        .help(format!("they are built for {}", known.into_iter().collect::<Vec<_>>().join(", ")))
        .into());
    }
    match wanted.iter().find(|job| !allowed(job)) {
        None => Ok(wanted),
        Some(job) => Err(Fault::failed(format!("build for {}: the builder does not have that platform natively", job.build.platform))
            .help("build it by emulation, slowly: --emulate")
            .help(format!("or natively: on a machine of that kind{}, or with a builder that has a node of it: --builder NAME", runner(job.build)))
            .into()),
    }
}

fn runner(build: &Build) -> String {
    build.runner.as_ref().map(|runner| format!(" (matrix.toml says {runner})")).unwrap_or_default()
}

/// Prints what would run. Nothing is started, so digests that do not exist yet are shown as such.
fn dry_run(session: &Session, plan: &Plan, options: &Options, push: bool) -> Result<()> {
    // No builder is asked: without --arch, this machine's own platform is meant.
    let host = Platform::host();
    let jobs = chosen(plan, options, |platform| {
        !options.filter.arches.is_empty() || platform.architecture() == host.architecture()
    })?;
    let (buildx, _) = session.buildx_of_dry_run(plan, options.builder.as_deref())?;
    let run = Run {
        session,
        plan,
        buildx: &buildx,
        builder: &Builder::default(),
        version: String::new(),
        digests: folder(session, options),
        push,
        contexts: contexts(session, plan)?,
        published: plan.cells.iter().map(|cell| (cell.id.clone(), Digest::unknown())).collect(),
    };
    for job in run.with_needs(jobs) {
        session.ui.out(run.command(job, true)?.1.to_string());
    }
    Ok(())
}

/// Everything that the builds of one call share.
struct Run<'a> {
    session: &'a Session,
    plan: &'a Plan,
    buildx: &'a Buildx,
    builder: &'a Builder,
    version: String,
    digests: PathBuf,
    push: bool,
    contexts: Contexts,
    /// The published images that may serve as a cache.
    published: BTreeMap<CellId, Digest>,
}

/// Where contexts are sent from. A dry run makes the links too: what it prints can be pasted.
fn contexts(session: &Session, plan: &Plan) -> Result<Contexts> {
    let contexts = Contexts::of(plan, &session.layout.root, &session.layout.contexts());
    contexts.make()?;
    Ok(contexts)
}

/// Verifies what is published of the cells whose matrix asks for it as a cache.
fn published(
    session: &Session,
    plan: &Plan,
    buildx: &Buildx,
    stack: Option<&Stack>,
    jobs: &[Job<'_>],
) -> Result<BTreeMap<CellId, Digest>> {
    let wanted = |job: &&Job<'_>| job.build.options.cache.contains(&CacheKind::Inline);
    let mut cells: Vec<&Cell> = jobs.iter().filter(wanted).map(|job| job.cell).collect();
    cells.dedup_by_key(|cell| &cell.id);
    if cells.is_empty() {
        return Ok(BTreeMap::new());
    }
    let signer = session.signer(&plan.sign, stack)?;
    let trust = signer.map(|signer| Ok::<_, anyhow::Error>((session.cosign()?, signer))).transpose()?;
    let published = Published { session, buildx, trust };
    let found = parallel::map(&cells, parallel::default_jobs(), |cell| published.verified(cell));
    let pairs = cells.iter().zip(found).filter_map(|(cell, digest)| Some((cell.id.clone(), digest?)));
    Ok(pairs.collect())
}

impl<'a> Run<'a> {
    /// Adds what the builds need and this plan has not built yet, and puts all in the order of waves.
    fn with_needs(&self, jobs: Vec<Job<'a>>) -> Vec<Job<'a>> {
        let mut wanted: BTreeSet<(&CellId, &Name)> =
            jobs.iter().map(|job| (&job.cell.id, &job.build.arch)).collect();
        if self.push {
            for job in &jobs {
                for needed in crate::plan::filter::needed(self.plan, job.cell) {
                    if recorded(self.plan, &self.digests, needed, &job.build.arch).is_none()
                        && wanted.insert((needed, &job.build.arch))
                    {
                        self.session.ui.note(format!(
                            "{needed} {} is needed and not built yet: it is built first",
                            job.build.arch
                        ));
                    }
                }
            }
        }
        let all =
            self.plan.cells.iter().flat_map(|cell| cell.builds.iter().map(move |build| Job { cell, build }));
        all.filter(|job| wanted.contains(&(&job.cell.id, &job.build.arch))).collect()
    }

    /// Wave after wave, side by side within a wave.
    fn all(&self, jobs: &[Job<'a>], limit: Option<usize>) -> Vec<Outcome> {
        let alone = jobs.len() == 1;
        let mut outcomes: Vec<Outcome> = Vec::new();
        let waves: BTreeSet<usize> = jobs.iter().map(|job| job.cell.wave).collect();
        for wave in waves {
            let now: Vec<Job<'a>> = jobs.iter().copied().filter(|job| job.cell.wave == wave).collect();
            let before = (jobs, &outcomes);
            let results = parallel::map(&now, limit.unwrap_or_else(parallel::default_jobs), |job| {
                if let Some(reason) = self.unmet(*job, before.0, before.1) {
                    return Outcome::Skipped(reason);
                }
                let began = Instant::now();
                match self.one(*job, alone) {
                    Ok(record) => Outcome::Built(Box::new(record), began.elapsed().as_secs_f64()),
                    Err(error) => Outcome::Failed(error),
                }
            });
            outcomes.extend(results);
        }
        outcomes
    }

    /// Why a build cannot be tried: something that it needs failed in this call.
    fn unmet(&self, job: Job<'_>, jobs: &[Job<'_>], outcomes: &[Outcome]) -> Option<String> {
        let needs = crate::plan::filter::needed(self.plan, job.cell);
        let failed = jobs.iter().zip(outcomes).find(|(other, outcome)| {
            needs.contains(&other.cell.id)
                && other.build.arch == job.build.arch
                && !matches!(outcome, Outcome::Built(..))
        });
        failed.map(|(other, _)| format!("it needs {} {}", other.cell.id, other.build.arch))
    }

    /// The command of a build, and where its metadata goes.
    fn command(&self, job: Job<'_>, dry: bool) -> Result<(PathBuf, crate::argv::Argv)> {
        let name = format!("{}.{}", job.cell.id, job.build.arch);
        let metadata = self.session.layout.logs().join(format!("{name}.metadata.json"));
        let linked = if self.push {
            Linked::Pushed(&|need, arch| pushed(self.plan, &self.digests, need, arch, dry))
        } else {
            Linked::Targets
        };
        let around = Around {
            plan: self.plan,
            root: &self.session.layout.root,
            contexts: &self.contexts,
            push: self.push,
        };
        let published = self.published.get(&job.cell.id);
        let main = spec(&around, job.cell, job.build, &linked, published)?;
        if job.build.needs.is_empty() || self.push {
            return Ok((metadata.clone(), buildx::build(self.buildx, &main, &metadata)));
        }
        let mut specs = vec![main];
        for needed in crate::plan::filter::needed(self.plan, job.cell) {
            let cell = self.plan.cell(needed).with_context(|| format!("the plan lacks {needed}"))?;
            let build = cell
                .build(&job.build.arch)
                .with_context(|| format!("{needed} is not built for {}", job.build.arch))?;
            specs.push(spec(&around, cell, build, &linked, None)?);
        }
        let file = self.session.layout.logs().join(format!("{name}.bake.json"));
        crate::files::write_json(&file, &bake::definition(&specs))?;
        let target = bake::target_name(&name);
        Ok((metadata.clone(), bake::bake(self.buildx, &format!("build {name}"), &file, &[target], &metadata)))
    }

    /// Builds, confirms, records.
    fn one(&self, job: Job<'_>, alone: bool) -> Result<DigestRecord> {
        let Job { cell, build } = job;
        let (metadata, argv) = self.command(job, false)?;
        let log = self.session.layout.logs().join(format!("{}.{}.log", cell.id, build.arch));
        // What an earlier build left must not be taken for this one's.
        let _ = fs::remove_file(&metadata);
        let started = SystemTime::now();
        self.session.ui.note(format!("building {} {}", cell.id, build.arch));
        let output = if alone { Output::Inherit } else { Output::Log(&log) };
        let finished = self.session.runner.run(&argv, output)?;
        if !finished.success() {
            let fault = finished.fault(&argv);
            return Err(if alone {
                fault
            } else {
                fault.help(format!("the whole log: {}", self.session.layout.show(&log)))
            }
            .into());
        }
        let metadata = Metadata::read(&metadata)?;
        if self.push {
            self.confirm(cell, build, &metadata.digest)?;
        }
        let record = self.record(cell, build, metadata, started);
        crate::files::write_json(&record::digest_path(&self.digests, &cell.id, &build.arch), &record)
            .with_context(|| format!("record the digest of {} {}", cell.id, build.arch))?;
        self.session.ui.note(format!("built {} {}  {}", cell.id, build.arch, record.digest.short()));
        Ok(record)
    }

    /// Asks every repository for the digest: it has to be there and hold the right platform.
    fn confirm(&self, cell: &Cell, build: &Build, digest: &Digest) -> Result<()> {
        let registry = self.session.registry(self.buildx);
        for repository in &cell.repositories {
            let held = registry.expect(repository, digest)?;
            crate::publication::sources::check(&held, &cell.id, &build.platform)
                .with_context(|| format!("check {}", repository.at(digest)))?;
        }
        Ok(())
    }

    fn record(&self, cell: &Cell, build: &Build, metadata: Metadata, started: SystemTime) -> DigestRecord {
        let time = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
        DigestRecord {
            schema: record::SCHEMA,
            plan: self.plan.id.clone(),
            cell: cell.id.clone(),
            arch: build.arch.clone(),
            platform: build.platform.clone(),
            repositories: if self.push { cell.repositories.clone() } else { Vec::new() },
            digest: metadata.digest,
            media_type: metadata.media_type,
            version: cell.version.clone(),
            commit: cell.commit.clone(),
            revision: self.plan.revision.clone(),
            bases: metadata.bases,
            inputs: None,
            buildx: self.version.clone(),
            buildkit: self.builder.buildkit.clone(),
            started: time(started),
            finished: time(SystemTime::now()),
            pushed: self.push,
        }
    }
}

/// Every build, then the error if one failed that may not.
fn summary(session: &Session, jobs: &[Job<'_>], outcomes: &[Outcome]) -> Result<()> {
    let mut rows = vec![["CELL", "ARCH", "RESULT", "DIGEST", "SECONDS"].map(str::to_owned).to_vec()];
    let mut fatal = 0;
    for (job, outcome) in jobs.iter().zip(outcomes) {
        let (result, digest, seconds) = match outcome {
            Outcome::Built(record, seconds) => {
                ("built".to_owned(), record.digest.to_string(), format!("{seconds:.1}"))
            }
            Outcome::Failed(_) => ("failed".to_owned(), String::new(), String::new()),
            Outcome::Skipped(reason) => (format!("skipped: {reason}"), String::new(), String::new()),
        };
        let built = matches!(outcome, Outcome::Built(..));
        let result = if !built && job.cell.allow_failure { format!("{result} (allowed)") } else { result };
        fatal += usize::from(!built && !job.cell.allow_failure);
        rows.push(vec![job.cell.id.to_string(), job.build.arch.to_string(), result, digest, seconds]);
    }
    for (job, outcome) in jobs.iter().zip(outcomes) {
        if let Outcome::Failed(error) = outcome {
            session.ui.note(format!("\n{} {}: {}", job.cell.id, job.build.arch, crate::error::report(error)));
        }
    }
    session.ui.out(columns(&rows));
    match fatal {
        0 => Ok(()),
        1 => Err(Fault::failed(format!("1 of {} builds is missing", jobs.len())).into()),
        more => Err(Fault::failed(format!("{more} of {} builds are missing", jobs.len())).into()),
    }
}
