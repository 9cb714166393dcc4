//! The builds of one call: wave after wave, each confirmed at the registry and recorded.

use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use crate::argv::Argv;
use crate::argv::bake;
use crate::argv::buildx::{self, BuildSpec, Buildx, NamedContext};
use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Name};
use crate::base::parallel;
use crate::base::record::{self, DigestRecord, Tested};
use crate::build::arch_check::ArchCheck;
use crate::build::build_spec::{BuildEnv, NeedSource, pushed, recorded, spec};
use crate::build::builder::Builder;
use crate::build::built_index;
use crate::build::context_hash::{Snapshot, Snapshots};
use crate::build::contexts::Contexts;
use crate::build::image_tests;
use crate::build::inputs::{complete, sources, stated};
use crate::build::metadata::Metadata;
use crate::build::prior::Prior;
use crate::build::verdicts::Verdicts;
use crate::plan::{Build, Cell, Plan};
use crate::run::Output;
use crate::session::Session;

/// One build of the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'p> {
    pub(crate) cell: &'p Cell,
    pub(crate) build: &'p Build,
}

/// How a build ended.
pub(crate) enum Outcome {
    Built(Box<DigestRecord>, f64),
    /// This plan has built it already, from the same inputs.
    Reused(Box<DigestRecord>),
    Failed(anyhow::Error),
    Skipped(String),
}

impl Outcome {
    /// The record of what there is.
    pub(crate) fn record(&self) -> Option<&DigestRecord> {
        match self {
            Self::Built(record, _) | Self::Reused(record) => Some(record),
            Self::Failed(_) | Self::Skipped(_) => None,
        }
    }
}

/// Everything that the builds of one call share.
pub(crate) struct Run<'a> {
    pub(crate) session: &'a Session,
    pub(crate) plan: &'a Plan,
    pub(crate) buildx: &'a Buildx,
    pub(crate) builder: &'a Builder,
    pub(crate) version: String,
    pub(crate) digests: PathBuf,
    pub(crate) push: bool,
    /// Whether what this plan has built from the same inputs is left as it is.
    pub(crate) reuse: bool,
    pub(crate) contexts: Contexts,
    pub(crate) snapshots: Snapshots,
    /// The address of the CI job, where there is one.
    pub(crate) job: Option<String>,
    /// The published images that may serve as a cache.
    pub(crate) published: BTreeMap<CellId, Digest>,
}

impl<'a> Run<'a> {
    /// Demands a record of all that the builds need, unless it is built by this call. A base that is built again is another
    /// one than that which is tested and published.
    ///
    /// # Errors
    /// If one is missing: all of them.
    pub(crate) fn check_needs(&self, jobs: &[Job<'a>]) -> Result<()> {
        let here: BTreeSet<(&CellId, &Name)> =
            jobs.iter().map(|job| (&job.cell.id, &job.build.arch)).collect();
        let needs = jobs.iter().flat_map(|job| job.build.needs.iter().map(move |need| (job, &need.cell)));
        let missing: Vec<String> = needs
            .filter(|(job, need)| {
                let arch = &job.build.arch;
                !here.contains(&(*need, arch)) && !self.has(need, arch)
            })
            .map(|(job, need)| {
                let path = record::digest_path(&self.digests, need, &job.build.arch);
                let (cell, arch) = (&job.cell.id, &job.build.arch);
                format!("\n  {cell} {arch} needs {need} {arch}: {}", self.session.layout.show(&path))
            })
            .collect();
        if missing.is_empty() || !self.push {
            return Ok(());
        }
        Err(UserError::invalid(format!(
            "build by a given plan: there is no record of this plan of what is needed{}",
            missing.concat()
        ))
        .help("build that first with the same --plan, or bring its record here; in a workflow run the job that builds it again")
        .into())
    }

    /// Adds what the builds need and this plan has not built yet, and puts all in the order of waves. `given`: the
    /// plan is, so that nothing is added.
    pub(crate) fn with_needs(&self, jobs: Vec<Job<'a>>, given: bool) -> Vec<Job<'a>> {
        let mut wanted: BTreeSet<(&CellId, &Name)> =
            jobs.iter().map(|job| (&job.cell.id, &job.build.arch)).collect();
        if self.push && !given {
            for job in &jobs {
                for needed in crate::plan::filter::needed(self.plan, job.cell) {
                    if !self.has(needed, &job.build.arch) && wanted.insert((needed, &job.build.arch)) {
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

    /// Whether what a build needs is there: published and kept, or built by this plan.
    fn has(&self, cell: &CellId, arch: &Name) -> bool {
        self.plan.cell(cell).is_some_and(|cell| cell.kept().is_some())
            || recorded(self.plan, &self.digests, cell, arch).is_some()
    }

    /// Wave after wave, side by side within a wave.
    pub(crate) fn all(&self, jobs: &[Job<'a>], limit: Option<usize>) -> Vec<Outcome> {
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
                    Ok((record, true)) => Outcome::Built(Box::new(record), began.elapsed().as_secs_f64()),
                    Ok((record, false)) => Outcome::Reused(Box::new(record)),
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
            needs.contains(&other.cell.id) && other.build.arch == job.build.arch && outcome.record().is_none()
        });
        failed.map(|(other, _)| format!("it needs {} {}", other.cell.id, other.build.arch))
    }

    /// A build as buildx wants it; where nothing is pushed, what it needs follows, to be linked as targets.
    fn specs(&self, job: Job<'_>, dry: bool) -> Result<Vec<BuildSpec>> {
        let linked = if self.push {
            NeedSource::Pushed(&|need, arch| pushed(self.plan, &self.digests, need, arch, dry))
        } else {
            NeedSource::Targets
        };
        let around = BuildEnv {
            plan: self.plan,
            root: &self.session.layout.root,
            contexts: &self.contexts,
            push: self.push,
            builder: self.job.as_deref(),
            now: &self.session.context.clock.stamp(),
        };
        let published = self.published.get(&job.cell.id);
        let mut specs = vec![spec(&around, job.cell, job.build, &linked, published)?];
        let targets =
            if self.push { BTreeSet::new() } else { crate::plan::filter::needed(self.plan, job.cell) };
        for needed in targets {
            let cell = self.plan.cell(needed).with_context(|| format!("the plan lacks {needed}"))?;
            let build = cell
                .build(&job.build.arch)
                .with_context(|| format!("{needed} is not built for {}", job.build.arch))?;
            specs.push(spec(&around, cell, build, &linked, None)?);
        }
        Ok(specs)
    }

    /// The commands of a build as a dry run prints them: a digest of zeros stands for what is not built yet.
    ///
    /// # Errors
    /// If the plan lacks what it needs.
    pub(crate) fn preview(&self, job: Job<'_>) -> Result<Vec<Argv>> {
        let specs = self.specs(job, true)?;
        let build = self.command(&specs)?.1;
        Ok(std::iter::once(build).chain(self.test_command(job, &specs, &Digest::unknown())?).collect())
    }

    /// The command of a build, and where its metadata goes.
    fn command(&self, specs: &[BuildSpec]) -> Result<(PathBuf, Argv)> {
        let [main, linked @ ..] = specs else { return Err(anyhow::anyhow!("a build has a spec")) };
        let (name, logs) = (&main.name, self.session.layout.logs());
        let metadata = logs.join(format!("{name}.metadata.json"));
        if linked.is_empty() {
            return Ok((metadata.clone(), buildx::build(self.buildx, main, &metadata)));
        }
        let file = logs.join(format!("{name}.bake.json"));
        crate::base::files::write_json(&file, &bake::definition(specs))?;
        let target = bake::target_name(name);
        Ok((metadata.clone(), bake::bake(self.buildx, &format!("build {name}"), &file, &[target], &metadata)))
    }

    /// The command of the image's own test, if it has one.
    fn test_command(&self, job: Job<'_>, specs: &[BuildSpec], digest: &Digest) -> Result<Option<Argv>> {
        let Some(stage) = &job.build.test else { return Ok(None) };
        // Every repository holds the same digest, so one of them is enough to test.
        let repository = job.cell.repositories.first().filter(|_| self.push).cloned();
        let image = repository.map(|repository| NamedContext::Image { repository, digest: digest.clone() });
        image_tests::command(self.buildx, specs, stage, image.as_ref(), &self.session.layout.logs())
    }

    /// Builds, confirms, tests, records. `false`: that was done before.
    fn one(&self, job: Job<'_>, alone: bool) -> Result<(DigestRecord, bool)> {
        let Job { cell, build } = job;
        let context = self.context(job);
        let registry = self.session.registry();
        let prior = Prior { plan: self.plan, digests: &self.digests, registry: &registry };
        let needed = if self.push { prior.needed(build)? } else { Vec::new() };
        let images: Vec<Digest> = needed.iter().map(|one| one.image.clone()).collect();
        let values = context.as_ref().filter(|_| self.push);
        let values = values.map(|files| stated(cell, build, files, &images)).transpose()?;
        let before = values.as_ref().filter(|_| self.reuse);
        if let Some(record) = before.and_then(|values| prior.reusable(cell, build, values)) {
            self.session
                .ui
                .note(format!("{} {} is built already, from the same inputs", cell.id, build.arch));
            return Ok((record, false));
        }
        let specs = self.specs(job, false)?;
        let (metadata, argv) = self.command(&specs)?;
        // What an earlier build left must not be taken for this one's.
        let _ = fs::remove_file(&metadata);
        let started = self.session.context.clock.stamp();
        self.session.ui.note(format!("building {} {}", cell.id, build.arch));
        let log = format!("{}.{}.log", cell.id, build.arch);
        self.execute(&format!("build {} {}", cell.id, build.arch), &log, &argv, alone)?;
        if let Some(context) = &context {
            context
                .require_unchanged(&format!("build {} {}", cell.id, build.arch), &self.session.layout.root)?;
        }
        let metadata = Metadata::read(&metadata)?;
        if let [first, ..] = metadata.foreign_bases.as_slice() {
            return Err(UserError::failed(format!("build {} {}: {first}", cell.id, build.arch))
                .help("pin the digest of the index, which has every platform, not that of one image in it")
                .help("where it is meant: `FROM --platform=…`, or `# check=skip=InvalidBaseImagePlatform` at the top of the Dockerfile")
                .into());
        }
        let size = if self.push { Some(self.confirm(cell, build, &metadata.digest)?) } else { None };
        let tested = self.test(job, &specs, &metadata.digest, alone)?;
        let given: Vec<Digest> = needed.into_iter().map(|one| one.given).collect();
        let root = &self.session.layout.root;
        let inputs = values.zip(context.as_ref()).map(|(values, files)| {
            let sources = sources(&metadata, root, (cell, build), files, &given)?;
            Ok::<_, anyhow::Error>(complete(values, self.plan, build, sources))
        });
        let inputs = inputs.transpose()?;
        let context = context.map(|context| context.digest);
        let record =
            DigestRecord { size, tested, context, inputs, ..self.record(cell, build, metadata, started) };
        crate::base::files::write_json(&record::digest_path(&self.digests, &cell.id, &build.arch), &record)
            .with_context(|| format!("record the digest of {} {}", cell.id, build.arch))?;
        self.session.ui.note(format!("built {} {}  {}", cell.id, build.arch, record.digest.short()));
        Ok((record, true))
    }

    /// What a build is about to get, where all of it can be read: BuildKit may need less.
    fn context(&self, job: Job<'_>) -> Option<Snapshot> {
        let Job { cell, build } = job;
        let taken = self.snapshots.take(build);
        taken
            .inspect_err(|error| {
                self.session.ui.warn(format!(
                    "{} {}: its record will not tell which files it was built from: {error:#}",
                    cell.id, build.arch
                ));
            })
            .ok()
    }

    /// Runs the image's own test, if it has one. What was pushed has neither a record nor a tag if that fails.
    fn test(
        &self,
        job: Job<'_>,
        specs: &[BuildSpec],
        digest: &Digest,
        alone: bool,
    ) -> Result<Option<Tested>> {
        let Job { cell, build } = job;
        let Some(argv) = self.test_command(job, specs, digest)? else { return Ok(None) };
        let (title, log) =
            (format!("test {} {}", cell.id, build.arch), format!("test.{}.{}.log", cell.id, build.arch));
        self.execute(&title, &log, &argv, alone).map_err(|error| {
            let why =
                format!("nothing of {} {} is recorded, so `merge` will not publish it", cell.id, build.arch);
            match error.downcast::<UserError>() {
                Ok(error) => error.help(why).into(),
                Err(other) => other.context(why),
            }
        })?;
        let tested = image_tests::tested(self.builder, &build.platform);
        self.session.ui.note(format!("{}: passed", argv.purpose));
        Ok(Some(tested))
    }

    /// Runs buildx: alone with its progress for all to see, beside others into a log.
    fn execute(&self, title: &str, log: &str, argv: &Argv, alone: bool) -> Result<()> {
        let (log, github) = (self.session.layout.logs().join(log), self.session.github());
        let _group = github.as_ref().filter(|_| alone).map(|job| job.group(title));
        let output = if alone { Output::Inherit } else { Output::Log(&log) };
        let finished = self.session.runner.run(argv, output)?;
        if let Some(job) = github.as_ref().filter(|_| !alone) {
            job.folded(title, &log);
        }
        if finished.success() {
            return Ok(());
        }
        let fault = finished.fault(argv);
        let whole = || format!("the whole log: {}", self.session.layout.show(&log));
        Err(if alone { fault } else { fault.help(whole()) }.into())
    }

    /// Asks every repository for the digest: it has to be there and hold the right platform. Then looks into the image.
    /// Returns its size in bytes.
    fn confirm(&self, cell: &Cell, build: &Build, digest: &Digest) -> Result<u64> {
        let registry = self.session.registry();
        let mut found = None;
        for repository in &cell.repositories {
            let held = registry.require(repository, digest)?;
            built_index::check(&held, &self.plan.id, &cell.id, &build.platform)
                .with_context(|| format!("check {}", repository.at(digest)))?;
            found = Some(held);
        }
        let held = found.context("a cell has a repository")?;
        let Session { layout, runner, ui, .. } = self.session;
        let (scratch, verdicts) = (layout.logs(), Verdicts::of(layout.checked()));
        ArchCheck { runner, ui: *ui, buildx: self.buildx, scratch, registry, verdicts }
            .check(cell, build, &held)
            .with_context(|| format!("look into {} {}", cell.id, build.arch))
    }

    fn record(&self, cell: &Cell, build: &Build, metadata: Metadata, started: String) -> DigestRecord {
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
            context: None,
            inputs: None,
            buildx: self.version.clone(),
            buildkit: self.builder.buildkit.clone(),
            started,
            finished: self.session.context.clock.stamp(),
            size: None,
            pushed: self.push,
            tested: None,
        }
    }
}
