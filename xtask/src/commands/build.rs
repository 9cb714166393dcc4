//! `cargo xtask build`: every cell by digest, one record per build.

use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::base::error::UserError;
use crate::base::ids::{Digest, Name, Platform};
use crate::base::record;
use crate::base::record_hashes::RecordHashes;
use crate::base::ui::columns;
use crate::build::builder::Builder;
use crate::build::cache;
use crate::build::context_hash::Snapshots;
use crate::build::contexts::Contexts;
use crate::build::image_tests;
use crate::build::scheduler::{Job, Outcome, Run};
use crate::plan::filter::Filter;
use crate::plan::{Build, Plan};
use crate::report::markdown::{self, Built};
use crate::session::Session;
use crate::session::planning::PlanOptions;

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
    /// `--github-output`.
    pub github_output: Option<Name>,
}

/// Runs the command.
///
/// # Errors
/// If the plan or the builder cannot be had, or if a build failed whose cell may not fail.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let emulate = options.emulate || session.context.environment.get("XTASK_EMULATE") == Some("true");
    let options = &Options { emulate, ..options.clone() };
    let plan = session.plan(&options.plan)?;
    if session.is_idle(&plan, &options.filter)? {
        return Ok(());
    }
    let push = plan.push && !options.no_push;
    if options.dry_run {
        return dry_run(session, &plan, options, push);
    }
    let (buildx, stack) = session.buildx(&plan, options.builder.as_deref())?;
    let builder = Builder::of(&buildx, &session.local())?;
    let mut jobs = chosen(&plan, options, |platform| builder.is_native(platform))?;
    leave_kept(session, options, push, &mut jobs)?;
    check_files(session, &jobs)?;
    say_left_out(session, &plan, options, &jobs)?;
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
        // Where this job vouches for its records, one that lies there already may be another job's: it came with artifacts.
        reuse: !options.plan.no_reuse && options.github_output.is_none(),
        contexts: contexts(session, &plan)?,
        snapshots: snapshots(session, options),
        job: session.context.environment.job(),
        published: BTreeMap::new(),
    };
    let given = options.plan.file.is_some();
    if given {
        run.check_needs(&jobs)?;
    }
    let jobs = run.with_needs(jobs, given);
    let cells = jobs.iter().map(|job| job.cell).collect();
    cache::check_gha(session, jobs.iter().map(|job| job.build));
    run.published = cache::published(session, &plan, stack.as_ref(), cells, given)?;
    if stack.is_some() {
        for job in jobs.iter().filter(|job| !builder.lists(&job.build.platform)) {
            session.local().ensure_emulation(&job.build.platform)?;
        }
    } else {
        image_tests::check_builder(&builder, jobs.iter().map(|job| job.build))?;
    }
    fs::create_dir_all(session.layout.logs())
        .with_context(|| format!("creating {}", session.layout.logs().display()))?;
    let outcomes = run.all(&jobs, options.jobs);
    session.runner.check_interrupted()?;
    say_hashes(session, options, &run.digests, &jobs, &outcomes)?;
    tell(session, &plan, &jobs, &outcomes)
}

/// Leaves out the cells that keep what is published, and says so. Where nothing is pushed, a build is what was asked for.
fn leave_kept(session: &Session, options: &Options, push: bool, jobs: &mut Vec<Job<'_>>) -> Result<()> {
    let kept = |job: &Job<'_>| job.cell.kept().is_some();
    if options.plan.no_reuse && options.plan.file.is_some() && jobs.iter().any(kept) {
        return Err(UserError::invalid("--no-reuse conflicts with this plan: it reuses published images")
            .help("make a plan without reuse: cargo xtask plan --no-reuse --save FILE")
            .into());
    }
    if !push {
        return Ok(());
    }
    let mut said = BTreeSet::new();
    for Job { cell, .. } in jobs.iter().filter(|job| kept(job)) {
        if let (Some(kept), true) = (cell.kept(), said.insert(&cell.id)) {
            session.ui.note(format!("{} is unchanged: {} stays", cell.id, kept.digest.short()));
        }
    }
    jobs.retain(|job| !kept(job));
    Ok(())
}

/// A context or Dockerfile that is not there is a mistake in the matrix, not of the builder.
fn check_files(session: &Session, jobs: &[Job<'_>]) -> Result<()> {
    for Job { cell, build } in jobs {
        let context = session.layout.root.join(&build.context);
        let wrong = if !context.is_dir() {
            format!("its context `{}` is no folder", build.context)
        } else if !context.join(&build.dockerfile).is_file() {
            format!("there is no `{}` in its context `{}`", build.dockerfile, build.context)
        } else {
            continue;
        };
        return Err(UserError::invalid(format!("build {} {}: {wrong}", cell.id, build.arch))
            .help(format!("correct [images.{}] in matrix.toml: paths are relative to that file", cell.image))
            .into());
    }
    Ok(())
}

/// Without `--arch` only what the builder has natively is built; merge wants the rest too.
fn say_left_out(session: &Session, plan: &Plan, options: &Options, jobs: &[Job<'_>]) -> Result<()> {
    if options.filter.arches.is_empty() {
        let built: BTreeSet<&Name> = jobs.iter().map(|job| &job.build.arch).collect();
        let cells = options.filter.cells(plan)?.into_iter().filter(|cell| cell.kept().is_none());
        let all = cells.flat_map(|cell| &cell.builds);
        let left: BTreeSet<&Name> =
            all.map(|build| &build.arch).filter(|arch| !built.contains(arch)).collect();
        if !left.is_empty() {
            let names: Vec<&str> = left.into_iter().map(Name::as_str).collect();
            session.ui.note(format!(
                "left out: {}, which the builder does not have natively; --emulate builds it here, and merge will want it",
                names.join(", ")
            ));
        }
    }
    Ok(())
}

/// Tells the workflow what the records are that this job has written: as artifacts others could replace them.
fn say_hashes(
    session: &Session,
    options: &Options,
    digests: &Path,
    jobs: &[Job<'_>],
    outcomes: &[Outcome],
) -> Result<()> {
    let Some(name) = &options.github_output else { return Ok(()) };
    let Some(file) = session.context.environment.get("GITHUB_OUTPUT") else {
        return Err(UserError::invalid("--github-output: there is no $GITHUB_OUTPUT")
            .help("it is for a step of GitHub Actions")
            .into());
    };
    let mut hashes = RecordHashes::default();
    let built = jobs.iter().zip(outcomes).filter(|(_, outcome)| outcome.record().is_some());
    for (Job { cell, build }, _) in built {
        let path = record::digest_path(digests, &cell.id, &build.arch);
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        hashes.add(&cell.id, &build.arch, &bytes);
    }
    crate::report::github::write_output(file.as_ref(), &[(name.as_str(), hashes.to_string())])
}

/// Where the records go.
fn folder(session: &Session, options: &Options) -> PathBuf {
    session.digests(options.digests.as_deref())
}

/// The builds that were asked for: with `--arch` those, else what the builder has natively.
fn chosen<'p>(plan: &'p Plan, options: &Options, native: impl Fn(&Platform) -> bool) -> Result<Vec<Job<'p>>> {
    let cells = options.filter.cells(plan)?;
    let all = || cells.iter().flat_map(|cell| cell.builds.iter().map(|build| Job { cell, build }));
    let allowed = |job: &Job<'_>| options.emulate || job.build.emulate || native(&job.build.platform);
    if options.filter.arches.is_empty() {
        let jobs: Vec<Job<'p>> = all().filter(allowed).collect();
        return if jobs.is_empty() && all().next().is_some() {
            Err(UserError::failed("the builder has none of the plan's platforms natively")
                .help("build them by emulation: --emulate")
                .into())
        } else {
            Ok(jobs)
        };
    }
    let wanted: Vec<Job<'p>> = all().filter(|job| options.filter.wants_arch(job.build)).collect();
    if wanted.is_empty() && all().next().is_some() {
        let known: BTreeSet<&str> = all().map(|job| job.build.arch.as_str()).collect();
        return Err(UserError::invalid(format!(
            "none of these cells is built for {}",
            options.filter.arches.join(", ")
        ))
        .help(format!("they are built for {}", known.into_iter().collect::<Vec<_>>().join(", ")))
        .into());
    }
    match wanted.iter().find(|job| !allowed(job)) {
        None => Ok(wanted),
        Some(job) => Err(UserError::failed(format!("build for {}: the builder does not have that platform natively", job.build.platform))
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
    let mut jobs = chosen(plan, options, |platform| {
        !options.filter.arches.is_empty() || platform.architecture() == host.architecture()
    })?;
    leave_kept(session, options, push, &mut jobs)?;
    let (buildx, _) = session.buildx_of_dry_run(plan, options.builder.as_deref())?;
    let run = Run {
        session,
        plan,
        buildx: &buildx,
        builder: &Builder::default(),
        version: String::new(),
        digests: folder(session, options),
        push,
        reuse: false,
        contexts: contexts(session, plan)?,
        snapshots: snapshots(session, options),
        job: session.context.environment.job(),
        published: plan.cells.iter().map(|cell| (cell.id.clone(), Digest::unknown())).collect(),
    };
    for job in run.with_needs(jobs, options.plan.file.is_some()) {
        for argv in run.preview(job)? {
            session.ui.out(argv.to_string());
        }
    }
    Ok(())
}

/// Where contexts are sent from. A dry run makes the links too: what it prints can be pasted.
fn contexts(session: &Session, plan: &Plan) -> Result<Contexts> {
    let contexts = Contexts::of(plan, &session.layout.root, &session.layout.contexts());
    contexts.make()?;
    Ok(contexts)
}

/// What contexts hold.
fn snapshots(session: &Session, options: &Options) -> Snapshots {
    Snapshots::of_checkout(&session.layout, Some(folder(session, options)))
}

/// The line that repeats a build: on a laptop it goes to the local registry.
fn again(session: &Session, plan: &Plan, job: Job<'_>) -> String {
    let at = session.github().map(|_| format!("git checkout {} && ", plan.revision)).unwrap_or_default();
    let upstream = match (&job.cell.track, &job.cell.commit) {
        (Some(track), Some(commit)) => format!(" --set-version {track}={commit}"),
        _ => String::new(),
    };
    format!("{at}cargo xtask build --cell {} --arch {}{upstream}", job.cell.id, job.build.arch)
}

/// Every build, then the error if one failed that may not.
fn tell(session: &Session, plan: &Plan, jobs: &[Job<'_>], outcomes: &[Outcome]) -> Result<()> {
    let mut rows = vec![["CELL", "ARCH", "RESULT", "DIGEST", "SECONDS"].map(str::to_owned).to_vec()];
    let mut fatal = 0;
    for (job, outcome) in jobs.iter().zip(outcomes) {
        let (result, digest, seconds) = match outcome {
            Outcome::Built(record, seconds) => {
                ("built".to_owned(), record.digest.to_string(), format!("{seconds:.1}"))
            }
            Outcome::Reused(record) => ("reused".to_owned(), record.digest.to_string(), String::new()),
            Outcome::Failed(_) => ("failed".to_owned(), String::new(), String::new()),
            Outcome::Skipped(reason) => (format!("skipped: {reason}"), String::new(), String::new()),
        };
        let built = outcome.record().is_some();
        let result = if !built && job.cell.allow_failure { format!("{result} (allowed)") } else { result };
        fatal += usize::from(!built && !job.cell.allow_failure);
        rows.push(vec![job.cell.id.to_string(), job.build.arch.to_string(), result, digest, seconds]);
    }
    let mut built = Vec::new();
    for ((job, outcome), row) in jobs.iter().zip(outcomes).zip(rows.iter().skip(1)) {
        let failed = matches!(outcome, Outcome::Failed(_)).then(|| again(session, plan, *job));
        if let (Outcome::Failed(error), Some(again)) = (outcome, &failed) {
            let name = format!("{} {}", job.cell.id, job.build.arch);
            let text = format!("{}\nhelp: to repeat it: {again}", crate::base::error::report(error));
            session.ui.note(format!("\n{name}: {text}"));
            if let Some(github) = session.github() {
                github.error(&format!("build {name}"), &text);
            }
        }
        let (digest, size, seconds) = match outcome {
            Outcome::Built(record, seconds) => (Some(&record.digest), record.size, Some(*seconds)),
            Outcome::Reused(record) => (Some(&record.digest), record.size, None),
            _ => (None, None, None),
        };
        let result = row.get(2).cloned().unwrap_or_default();
        built.push(Built {
            cell: job.cell,
            arch: &job.build.arch,
            result,
            digest,
            size,
            seconds,
            again: failed,
        });
    }
    session.ui.out(columns(&rows));
    if let Some(github) = session.github() {
        github.summary(&markdown::builds(&built))?;
    }
    match fatal {
        0 => Ok(()),
        1 => Err(UserError::failed(format!("1 of {} builds is missing", jobs.len())).into()),
        more => Err(UserError::failed(format!("{more} of {} builds are missing", jobs.len())).into()),
    }
}
