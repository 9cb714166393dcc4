//! How a command comes by its plan: the file that was named, the current plan, or a new resolution.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::argv::git::ls_remote;
use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Name};
use crate::base::parallel;
use crate::matrix::Matrix;
use crate::plan::event::{self, Event};
use crate::plan::explain::explain;
use crate::plan::inputs::Inputs;
use crate::plan::leaks;
use crate::plan::remote::{self, Remotes};
use crate::plan::resolve::{queries, resolve};
use crate::plan::{DestinationKind, FormerSigner, Plan, SigningMethod, current};
use crate::run::{Finished, retry};
use crate::session::Session;
use crate::session::comparison::{Asked, is_begun, is_over};
use crate::session::destination::To;
use crate::session::surroundings::{Surroundings, formerly, leaves};

/// What a command wants to know of what is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Published {
    /// Nothing: it needs a plan, and builds nothing by it.
    #[default]
    Ignored,
    /// A new plan is compared with it.
    Compared,
    /// The same, and a plan whose run is over is replaced by a new one.
    Begins,
    /// The same, and a plan by which nothing is built yet is compared anew. What cannot be read is an error.
    Demanded,
}

/// How a command gets its plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// `--plan FILE`.
    pub file: Option<PathBuf>,
    /// `--expect-plan`.
    pub expect: Option<Digest>,
    /// `--to`.
    pub to: Option<To>,
    /// `--fresh`.
    pub fresh: bool,
    /// `--allow-dirty`.
    pub allow_dirty: bool,
    /// `--set-version TRACK=X`.
    pub versions: BTreeMap<Name, String>,
    /// `--event`.
    pub event: Option<String>,
    /// A new plan does not become the current one: nothing is built by it, and builds of the current one stay good.
    pub ephemeral: bool,
    /// What is asked of the registry.
    pub published: Published,
    /// `--no-reuse`.
    pub no_reuse: bool,
}

impl PlanOptions {
    fn asked(&self, for_work: bool) -> Asked {
        Asked { for_work, reuse: !self.no_reuse, demanded: self.published == Published::Demanded }
    }

    /// The plan of a file, which has to be the one that is expected.
    ///
    /// # Errors
    /// If it cannot be read, or if it is another plan.
    pub fn read(&self, file: &Path) -> Result<Plan> {
        let plan = Plan::read(file)?;
        match &self.expect {
            Some(expected) if *expected != plan.id => Err(UserError::invalid(format!(
                "use the plan {}: its id is {}, expected {expected}",
                file.display(),
                plan.id
            ))
            .help("the file was replaced after the plan was made: do not trust this run, and start a new one")
            .into()),
            _ => Ok(plan),
        }
    }
}

/// The times of a plan.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// What `{created}` stands for.
    now: SystemTime,
    /// The real clock.
    planned: SystemTime,
}

impl Session {
    /// The plan of a `build`, `merge` or `verify`: the file that was named, else the current plan of the checkout.
    ///
    /// # Errors
    /// If there is no valid plan, if it is for another destination than the one asked for, or if CI gives none.
    pub fn plan(&self, options: &PlanOptions) -> Result<Plan> {
        let plan = match &options.file {
            Some(file) => self.plan_of_file(&self.typed(file), options)?,
            None => self.current_plan(options, true)?,
        };
        if leaves(&plan.destination) && plan.dirty() && !options.allow_dirty {
            return Err(UserError::failed(format!(
                "publish {}: the checkout has uncommitted changes",
                plan.revision
            ))
            .help("commit them, or say --allow-dirty: the revision then ends in -dirty")
            .into());
        }
        Ok(plan)
    }

    fn plan_of_file(&self, file: &Path, options: &PlanOptions) -> Result<Plan> {
        let plan = options.read(file)?;
        let kind = plan.destination.kind;
        let refuse = |why: String, help: &str| {
            Err(UserError::invalid(format!("use the plan {}: {why}", file.display())).help(help).into())
        };
        let wanted = options.to.as_ref().map(|to| self.destination(to, &self.matrix()?)).transpose()?;
        if let Some(wanted) = wanted
            && wanted != plan.destination
        {
            return refuse(
                "it is for another destination than --to says".to_owned(),
                "make a new plan with the same --to",
            );
        }
        if kind == DestinationKind::Publish && options.to.is_none() && !self.context.environment.ci() {
            return refuse(
                "it publishes to the repositories of matrix.toml".to_owned(),
                "outside CI that has to be typed: --to publish",
            );
        }
        if kind == DestinationKind::Local
            && plan.destination != self.destination(&To::Local, &self.matrix()?)?
        {
            return refuse(
                "it is for the local stack of another checkout".to_owned(),
                "make a new one here: cargo xtask plan --save FILE",
            );
        }
        Ok(plan)
    }

    /// The plan on disk if it is still right, else a new one, which becomes the current plan.
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub fn current_plan(&self, options: &PlanOptions, for_work: bool) -> Result<Plan> {
        let to = self.to(options.to.as_ref())?;
        if for_work && self.context.environment.ci() && to != To::Local {
            return Err(UserError::invalid("in CI a build or merge needs --plan FILE")
                .help("make the plan once, in a job of its own: cargo xtask plan --save plan.json; two runners that resolve on their own may build different commits")
                .into());
        }
        let path = self.layout.plan();
        let matrix = self.matrix()?;
        let around = self.surroundings(&matrix, self.destination(&to, &matrix)?, options.event.as_deref())?;
        let today = humantime::format_rfc3339_seconds(self.context.clock.now()).to_string();
        if let Some(held) =
            current::read(&path).filter(|held| !options.fresh && current::same_day(held.planned(), &today))
            && self.is_current(&matrix, &around, options, &held)
            && self.goes_on(options, &held)
        {
            let held = self.compared(options, held, for_work)?;
            self.ui.note(format!("using the current plan {} of {}", held.id.short(), held.created));
            return Ok(held);
        }
        let mut fresh = self.resolve_anew(&matrix, around, options)?;
        if let Some(comparison) = &self.comparison
            && options.published != Published::Ignored
        {
            fresh = comparison.compare(fresh, options.asked(for_work))?;
        }
        leaks::warnings(&fresh).into_iter().for_each(|warning| self.ui.warn(warning));
        if options.ephemeral {
            return Ok(fresh);
        }
        current::write(&path, &fresh)?;
        self.ui.note(format!("new plan {} of {}", fresh.id.short(), fresh.created));
        Ok(fresh)
    }

    /// Whether resolving under the clock and the upstream commits of a plan gives that plan again.
    fn is_current(&self, matrix: &Matrix, around: &Surroundings, options: &PlanOptions, held: &Plan) -> bool {
        let pinned = self.context.environment.get("SOURCE_DATE_EPOCH").is_some();
        let clock = match humantime::parse_rfc3339(&held.created) {
            Ok(clock) if !pinned => clock,
            _ => self.context.now,
        };
        let mut around = around.clone();
        let seconds = |text: &str| {
            let date = humantime::parse_rfc3339(text).ok()?;
            Some(date.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
        };
        // The same commit has the same code date; with another one it is another plan.
        around.git.code_date = held.code_date.as_deref().and_then(seconds);
        let planned = humantime::parse_rfc3339(held.planned()).unwrap_or(clock);
        let times = Times { now: clock, planned };
        // What is not among its upstream commits is an error here, and asked for by the fresh resolution.
        self.resolve(matrix, around, options, times, held.upstreams.clone())
            .is_ok_and(|again| held.bare().is_ok_and(|held| again.id == held.id))
    }

    /// Whether the run of the plan on disk goes on. One all of whose cells are published is over, and one that keeps what
    /// other files have made gives way.
    fn goes_on(&self, options: &PlanOptions, held: &Plan) -> bool {
        let keeps = || held.cells.iter().any(|cell| cell.kept().is_some());
        if options.no_reuse {
            return !keeps();
        }
        let begins = matches!(options.published, Published::Begins | Published::Demanded);
        let Some(comparison) = self.comparison.as_ref().filter(|_| begins) else {
            return true;
        };
        if keeps() && !comparison.still_holds(held) {
            return false;
        }
        !held.push || !held.cells.iter().all(|cell| is_over(&self.layout, held, cell))
    }

    /// The plan on disk, compared with what is published if it was made where that could not be seen, and nothing is built
    /// by it yet.
    fn compared(&self, options: &PlanOptions, held: Plan, for_work: bool) -> Result<Plan> {
        let comparison = self.comparison.as_ref().filter(|_| match options.published {
            Published::Begins => for_work && !options.no_reuse && !held.is_compared(),
            Published::Demanded => true,
            Published::Ignored | Published::Compared => false,
        });
        let Some(comparison) = comparison.filter(|_| !self.has_begun(&held)) else { return Ok(held) };
        let plan = comparison.compare(held.bare()?, options.asked(for_work))?;
        if plan.id != held.id && !options.ephemeral {
            current::write(&self.layout.plan(), &plan)?;
        }
        Ok(plan)
    }

    /// Whether this checkout has built anything by a plan: it goes on as that says.
    pub fn has_begun(&self, plan: &Plan) -> bool {
        plan.cells.iter().any(|cell| is_begun(&self.layout, plan, cell))
    }

    /// A plan as it would be if it were made by now, compared with what is published.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn compared_anew(&self, plan: &Plan, options: &PlanOptions) -> Result<Plan> {
        let comparison = self.comparison.as_ref().context("a session that compares")?;
        comparison.compare(plan.bare()?, options.asked(false))
    }

    fn resolve_anew(&self, matrix: &Matrix, mut around: Surroundings, options: &PlanOptions) -> Result<Plan> {
        let remotes = self.remotes(matrix, &around.event, options)?;
        around.git.code_date = self.code_date(&around.destination, &around.git)?;
        let pinned = self.context.environment.get("SOURCE_DATE_EPOCH").is_some();
        let now = self.context.now;
        let planned = if pinned { self.context.clock.whole_seconds() } else { now };
        self.resolve(matrix, around, options, Times { now, planned }, remotes)
    }

    /// Asks other repositories, each once, side by side.
    fn remotes(&self, matrix: &Matrix, event: &Event, options: &PlanOptions) -> Result<Remotes> {
        let queries: Vec<_> = queries(matrix, event, &options.versions).into_iter().collect();
        let answers = parallel::map(&queries, parallel::default_jobs(), |(repository, patterns)| {
            let patterns: Vec<String> = patterns.iter().cloned().collect();
            let argv = ls_remote(repository, &patterns, &self.layout.root);
            // One that is silent for so long waits for somebody: it would be silent again.
            let again = |finished: &Finished| retry::is_temporary(finished) && finished.timed_out.is_none();
            let finished = retry::run(&self.runner, self.ui, &argv, again)?;
            if !finished.success() {
                return Err(finished
                    .fault(&argv)
                    .help(format!("try it by hand: git ls-remote {}", crate::argv::quote(repository)))
                    .into());
            }
            let refs = remote::parse(&String::from_utf8_lossy(&finished.stdout))
                .with_context(|| argv.purpose.clone())?;
            Ok((repository.clone(), refs))
        });
        answers.into_iter().collect()
    }

    fn resolve(
        &self,
        matrix: &Matrix,
        around: Surroundings,
        options: &PlanOptions,
        times: Times,
        remotes: Remotes,
    ) -> Result<Plan> {
        self.with_inputs(around, options, times, remotes, |inputs| resolve(matrix, inputs))
    }

    /// Where each value of a cell of the current plan comes from.
    ///
    /// # Errors
    /// If there is no such cell.
    pub fn explain(&self, plan: &Plan, id: &CellId, options: &PlanOptions) -> Result<String> {
        let matrix = self.matrix()?;
        let around = {
            let destination = self.destination(&self.to(options.to.as_ref())?, &matrix)?;
            self.surroundings(&matrix, destination, options.event.as_deref())?
        };
        let clock = humantime::parse_rfc3339(&plan.created).context("reading the clock of the plan")?;
        let times = Times { now: clock, planned: clock };
        self.with_inputs(around, options, times, plan.upstreams.clone(), |inputs| {
            explain(&matrix, inputs, plan, id)
        })
    }

    fn with_inputs<T>(
        &self,
        around: Surroundings,
        options: &PlanOptions,
        Times { now, planned }: Times,
        remotes: Remotes,
        work: impl FnOnce(&Inputs<'_>) -> Result<T>,
    ) -> Result<T> {
        let read = |path: &str| {
            let bytes = crate::base::files::read_optional(&self.layout.root.join(path))?
                .with_context(|| format!("there is no file {path}"))?;
            String::from_utf8(bytes).with_context(|| format!("{path} is no text"))
        };
        let Surroundings { git, event, destination, sign, formerly } = around;
        let versions = options.versions.clone();
        work(&Inputs {
            now,
            planned,
            event,
            git,
            destination,
            sign,
            formerly,
            versions,
            remotes,
            read: &read,
        })
    }

    /// How images of a destination are signed, and were before. Needs no version, so neither a version file nor another repository.
    ///
    /// # Errors
    /// If `matrix.toml` is invalid, or if the identity of a keyless signature cannot be derived.
    pub fn signing(&self, to: &To) -> Result<(SigningMethod, Vec<FormerSigner>)> {
        let matrix = self.matrix()?;
        let git = self.git()?;
        let default = event::default_branch(&self.context.environment, &git)?;
        let sign = self.sign(&matrix, &self.destination(to, &matrix)?, &git, &default)?;
        let formerly = formerly(&matrix, &sign, &default)?;
        Ok((sign, formerly))
    }
}
