//! A workflow of GitHub Actions that builds images: what `matrix.toml` can say of it, and what it cannot.

use anyhow::Result;

use crate::base::error::UserError;
use crate::init::found::{self, Found};
use crate::init::workflow::built::Steps;
use crate::init::workflow::event::Surroundings;
use crate::init::workflow::event::{Case, Event};
use crate::init::workflow::gather;
use crate::init::workflow::jobs::Jobs;
use crate::init::workflow::samples::{self, Run};
use crate::init::workflow::scope::Log;
use crate::init::workflow::triggers;
use crate::init::workflow::yaml::{parse, part};

/// Reads a workflow. `files` reads a file of the repository, by its path there.
///
/// # Errors
/// If it is no workflow.
pub(crate) fn read(
    file_name: &str,
    text: &str,
    surroundings: &Surroundings,
    files: &dyn Fn(&str) -> Option<String>,
) -> Result<Found> {
    let workflow = parse(file_name, text)?;
    if part(&workflow, "jobs").as_mapping().is_none() {
        let error = UserError::invalid(format!("{file_name}: it has no `jobs`, so it is no workflow"));
        return Err(error.help("name a file of .github/workflows").into());
    }
    let mut started = triggers::read(&workflow, &surroundings.default_branch);
    // Without an event that publishes, what is built can be told all the same.
    let events = match started.events.as_slice() {
        [] => vec![Event::Push],
        events => events.to_vec(),
    };
    let mut steps = Steps::default();
    for event in &events {
        let samples = match event.is_tag() {
            true => started.samples.as_slice(),
            false => started.samples.get(..1).unwrap_or_default(),
        };
        let runs = samples.iter().map(|sample| {
            let case = Case { event: *event, tag: &sample.tag, surroundings };
            let (mut steps, log) = (Steps::default(), Log::default());
            Jobs { case, files, steps: &mut steps, rows: 0, log: log.clone() }.workflow(file_name, &workflow);
            (sample.clone(), Run { steps, logged: log.take() })
        });
        let (read, others) = samples::agreed(*event, runs.collect());
        steps.add(read);
        for (pattern, remark) in others {
            started.triggers.iter_mut().for_each(|triggers| triggers.tags.retain(|tag| *tag != pattern));
            started.left.push(remark);
        }
    }
    let fallback = surroundings.owner_and_name.as_deref().and_then(|name| name.rsplit('/').next());
    let fallback = fallback.map(found::name).filter(|name| !name.is_empty());
    let mut found = gather::found(steps, &events, fallback.as_deref().unwrap_or("app"));
    let left = started.left.iter().map(|remark| format!("{file_name}: {remark}"));
    found.left = left.chain(std::mem::take(&mut found.left)).collect();
    if found.images.is_empty() {
        found.left.push(format!("{file_name}: no step builds an image in a way that is read"));
    }
    found.triggers = started.triggers;
    Ok(found)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "safety_tests.rs"]
mod safety_tests;
