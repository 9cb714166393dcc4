//! Builds tools beside other work: whoever needs one waits for that one alone.

use anyhow::Result;
use std::fs;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::base::error::{self, UserError};
use crate::run::Runner;
use crate::tools::build::{Site, log};
use crate::tools::catalog::Tool;
use crate::tools::progress::{self, Packages, Report, Stage};
use crate::tools::schedule::{self, Chain};

/// How often it is said how far the builds have come.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// The builds of one command. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Workshop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    /// What went wrong first. Whoever is told takes it, so that it is told once.
    error: Option<anyhow::Error>,
    /// Those whose commands are stopped when something goes wrong.
    runners: Vec<Runner>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    tool: Tool,
    stage: Stage,
    packages: Option<Packages>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, tool: Tool, stage: Stage) {
        for job in self.lock().jobs.iter_mut().filter(|job| job.tool == tool) {
            job.stage = stage;
        }
        self.changed.notify_all();
    }

    /// Keeps the first error, and stops all other builds.
    fn fail(&self, error: anyhow::Error) {
        let mut state = self.lock();
        state.error.get_or_insert(error);
        state.runners.iter().for_each(Runner::stop);
    }
}

impl State {
    fn stage(&self, tool: Tool) -> Option<Stage> {
        self.jobs.iter().find(|job| job.tool == tool).map(|job| job.stage)
    }

    fn is_busy(&self) -> bool {
        self.jobs.iter().any(|job| matches!(job.stage, Stage::Waits | Stage::AtWork))
    }
}

/// Marks what a chain has not built when it ends, on whatever way: nobody waits for it in vain.
struct Rest<'a> {
    shared: &'a Shared,
    tools: Vec<Tool>,
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        mem::take(&mut self.tools).into_iter().for_each(|tool| self.shared.set(tool, Stage::Failed));
    }
}

impl Workshop {
    /// Starts to build those tools that are not being built yet, and returns at once.
    pub(super) fn start(&self, missing: &[Tool], site: &Site) {
        let mut state = self.0.lock();
        let new: Vec<Tool> = missing.iter().copied().filter(|tool| state.stage(*tool).is_none()).collect();
        if new.is_empty() {
            return;
        }
        if site.has_go() {
            let names: Vec<&str> = new.iter().map(|tool| tool.binary()).collect();
            site.ui.note(format!("not found here, so built once from pinned sources: {}", names.join(", ")));
        }
        state.jobs.extend(new.iter().map(|&tool| Job { tool, stage: Stage::Waits, packages: None }));
        let site = Site { runner: site.runner.part(), ..site.clone() };
        state.runners.push(site.runner.clone());
        for chain in schedule::chains(&new) {
            let (shared, site) = (self.0.clone(), site.clone());
            state.threads.push(thread::spawn(move || build_all(&shared, chain, &site)));
        }
        let shared = self.0.clone();
        thread::spawn(move || tell(&shared, &new, &site));
    }

    /// Waits until a tool that is being built is there.
    ///
    /// # Errors
    /// If it is not built: the first thing that went wrong, whichever tool it was about.
    pub(super) fn wait(&self, tool: Tool, runner: &Runner) -> Result<()> {
        let mut state = self.0.lock();
        while matches!(state.stage(tool), Some(Stage::Waits | Stage::AtWork)) {
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stage(tool) != Some(Stage::Failed) {
            return Ok(());
        }
        runner.check_interrupted()?;
        Err(state.error.take().unwrap_or_else(|| {
            UserError::failed(format!("{} was not built: see the error above", tool.binary())).into()
        }))
    }

    /// Stops what nobody has waited for: the command is over. An error that nobody has been told of is told now.
    pub(super) fn finish(&self, site: &Site) {
        let mut state = self.0.lock();
        let left: Vec<&str> = state
            .jobs
            .iter()
            .filter(|job| matches!(job.stage, Stage::Waits | Stage::AtWork))
            .map(|job| job.tool.binary())
            .collect();
        if !left.is_empty() && site.runner.check_interrupted().is_ok() {
            site.ui.note(format!(
                "stopped compiling {}: nothing needs it yet, and what is compiled so far is kept",
                left.join(", ")
            ));
        }
        state.runners.iter().for_each(Runner::stop);
        let threads = mem::take(&mut state.threads);
        let error = state.error.take();
        drop(state);
        for thread in threads {
            // A thread that has panicked has said so.
            let _ = thread.join();
        }
        if let Some(error) = error {
            site.ui.note(error::report(&error));
        }
    }
}

/// Builds the tools of a chain, until one cannot be built.
fn build_all(shared: &Shared, chain: Chain, site: &Site) {
    let mut rest = Rest { shared, tools: chain.tools };
    while let Some(&tool) = rest.tools.first() {
        shared.set(tool, Stage::AtWork);
        match site.build(tool, chain.urgency) {
            Ok(()) => {
                rest.tools.remove(0);
                shared.set(tool, Stage::Ready);
            }
            // Somebody has stopped us, and knows why.
            Err(_) if site.runner.check_interrupted().is_err() => return,
            Err(error) => return shared.fail(error),
        }
    }
}

/// Says now and then how far the builds have come, until they are done.
fn tell(shared: &Shared, tools: &[Tool], site: &Site) {
    let began = Instant::now();
    let mut listed = false;
    let mut said = began;
    let mut state = shared.lock();
    while state.is_busy() {
        let rest = HEARTBEAT.saturating_sub(said.elapsed());
        (state, _) = shared.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner);
        if site.runner.check_interrupted().is_err() {
            return;
        }
        if said.elapsed() < HEARTBEAT || !state.is_busy() {
            continue;
        }
        drop(state);
        // What is done sooner is not worth the question.
        let packages: Vec<_> = if mem::replace(&mut listed, true) {
            Vec::new()
        } else {
            tools.iter().map(|tool| (*tool, site.packages(*tool))).collect()
        };
        said = Instant::now();
        state = shared.lock();
        for (tool, found) in packages {
            state
                .jobs
                .iter_mut()
                .filter(|job| job.tool == tool)
                .for_each(|job| job.packages.clone_from(&found));
        }
        if state.is_busy() && site.runner.check_interrupted().is_ok() {
            site.ui.note(line(&state.jobs, tools, site, began.elapsed()));
        }
    }
}

fn line(jobs: &[Job], tools: &[Tool], site: &Site, elapsed: Duration) -> String {
    let jobs: Vec<&Job> = jobs.iter().filter(|job| tools.contains(&job.tool)).collect();
    let outputs = jobs.iter().map(|job| match job.stage {
        Stage::AtWork => fs::read_to_string(log(job.tool, &site.layout)).unwrap_or_default(),
        // An earlier build may have left its output.
        Stage::Waits | Stage::Ready | Stage::Failed => String::new(),
    });
    let outputs: Vec<String> = outputs.collect();
    let reports: Vec<Report<'_>> = jobs
        .iter()
        .zip(&outputs)
        .map(|(job, output)| Report {
            name: job.tool.binary(),
            stage: job.stage,
            packages: job.packages.as_ref(),
            output,
        })
        .collect();
    progress::line(&reports, elapsed)
}
