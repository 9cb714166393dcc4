//! `cargo xtask plan`: what a run would do.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::PathBuf;

use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Name};
use crate::plan::difference::Difference;
use crate::plan::event::DispatchInputs;
use crate::plan::filter::Filter;
use crate::plan::{Cell, Plan, current, jobs};
use crate::report::difference_markdown;
use crate::report::difference_table;
use crate::report::github;
use crate::report::markdown;
use crate::report::plan_table;
use crate::reuse::PublishedImages;
use crate::session::Session;
use crate::session::planning::PlanOptions;

/// What was typed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the plan is found.
    pub plan: PlanOptions,
    /// Which cells.
    pub filter: Filter,
    /// `--json`.
    pub json: bool,
    /// `--diff`.
    pub diff: bool,
    /// `--explain CELL`.
    pub explain: Option<CellId>,
    /// `--github`.
    pub github: bool,
    /// `--save FILE`.
    pub save: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// If the plan cannot be made or saved.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let asked = asked(session, options)?;
    let options = asked.as_ref().unwrap_or(options);
    let plan = match &options.plan.file {
        Some(file) => options.plan.read(&session.typed(file))?,
        None => session.current_plan(&options.plan, false)?,
    };
    if let Some(id) = &options.explain {
        // The filter knows how to say that there is no such cell.
        Filter::cell(&plan, id)?;
        session.ui.out(session.explain(&plan, id, &options.plan)?);
        return Ok(());
    }
    let compared = options.diff.then(|| compared(session, options, &plan)).transpose()?;
    let narrow = |plan: Plan| match options.filter == Filter::default() {
        true => Ok(plan),
        false => options.filter.narrow(&plan),
    };
    let plan = narrow(plan)?;
    if let Some(path) = &options.save {
        current::write(&session.typed(path), &plan)?;
    }
    let differing =
        |compared| PublishedImages::new(session).difference(&shown(narrow(compared)?, &options.filter));
    let difference = compared.map(differing).transpose()?;
    if options.github {
        return github(session, options, &plan, difference.as_ref());
    }
    match (&difference, options.json) {
        (Some(difference), true) => session.ui.json(serde_json::to_string_pretty(difference)?),
        (Some(difference), false) => tell(session, difference)?,
        (None, true) => session.ui.json(serde_json::to_string_pretty(&plan)?),
        (None, false) => session.ui.out(plan_table::table(&shown(plan, &options.filter))),
    }
    Ok(())
}

/// The plan as it compares with the registry now.
fn compared(session: &Session, options: &Options, plan: &Plan) -> Result<Plan> {
    if options.plan.file.is_none() && !session.has_begun(plan) {
        // It has just been compared.
        return Ok(plan.clone());
    }
    let compared = session.compared_anew(plan, &options.plan)?;
    let kept = |cell: Option<&Cell>| cell.and_then(Cell::kept).map(|kept| kept.digest.clone());
    for cell in compared.cells.iter().filter(|cell| kept(Some(cell)) != kept(plan.cell(&cell.id))) {
        session.ui.warn(format!(
            "{}: the registry has changed since this plan was made; build and merge still follow the plan; --fresh makes a new one",
            cell.id
        ));
    }
    Ok(compared)
}

/// With what a person typed into the form of GitHub's `workflow_dispatch`, where nothing of it was typed here.
fn asked(session: &Session, options: &Options) -> Result<Option<Options>> {
    let typed =
        options.plan.file.is_some() || options.plan.event.is_some() || !options.filter.tracks.is_empty();
    if typed {
        return Ok(None);
    }
    let inputs = DispatchInputs::read(&session.context.environment)?;
    let builds_all = inputs.builds_all();
    let DispatchInputs { track, version, .. } = inputs;
    let track: Option<Name> = track.map(|track| track.parse()).transpose().context("the input `track`")?;
    let mut options = options.clone();
    options.plan.no_reuse |= builds_all;
    if let Some(version) = version {
        let Some(track) = &track else {
            return Err(UserError::invalid(format!("the input `version` is {version}: of which track?"))
                .help("fill in the input `track` too")
                .into());
        };
        if version.contains(char::is_whitespace) {
            return Err(UserError::invalid(format!("the input `version` is no version: {version}")).into());
        }
        options.plan.versions.insert(track.clone(), version);
    }
    options.filter.tracks.extend(track);
    Ok(Some(options))
}

/// Tells the workflow which jobs there are, and where the plan is that they work by.
fn github(session: &Session, options: &Options, plan: &Plan, difference: Option<&Difference>) -> Result<()> {
    let path = match (&options.save, &options.plan.file) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) if options.filter == Filter::default() => path.clone(),
        (None, None) if options.filter == Filter::default() && !options.plan.ephemeral => {
            session.layout.plan()
        }
        _ => {
            return Err(UserError::invalid("--github with a plan that is not the current one: where is it?")
                .help("write it to a file too: --save FILE")
                .into());
        }
    };
    let mut outputs = vec![("plan".to_owned(), path.display().to_string())];
    // The jobs of the same run may take this very program.
    if let Some(program) = &session.context.program {
        outputs.push(("xtask".to_owned(), program.display().to_string()));
        let bytes = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
        outputs.push(("xtask-sha256".to_owned(), Digest::of(&bytes).hex().to_owned()));
    }
    outputs.extend(jobs::outputs(plan)?);
    match session.context.environment.get("GITHUB_OUTPUT") {
        Some(file) => {
            github::write_output(file.as_ref(), &outputs)?;
            session.ui.out(plan_table::table(plan));
            if let Some(job) = session.github() {
                job.summary(&markdown::plan(plan))?;
            }
            difference.map_or(Ok(()), |difference| tell(session, difference))?;
        }
        None => session.ui.out(github::lines(&outputs)?.trim_end()),
    }
    Ok(())
}

/// What would change, on the page of the run too.
fn tell(session: &Session, difference: &Difference) -> Result<()> {
    session.ui.out(difference_table::table(difference));
    session.github().map_or(Ok(()), |job| job.summary(&difference_markdown::difference(difference)))
}

/// The builds that `--arch` names; the plan itself keeps all.
fn shown(mut plan: Plan, filter: &Filter) -> Plan {
    for cell in &mut plan.cells {
        cell.builds.retain(|build| filter.wants_arch(build));
    }
    plan
}
