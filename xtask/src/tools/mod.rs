//! The tools that we call: found on PATH when good enough, else built once from a pinned Go module.
//!
//! `tools/<name>/go.mod` is the one place that states a version. What we build
//! lies in `target/tools/<name>-<version>/`, with links in `target/tools/bin/`.
//! A module with sources of our own has their hash in its version, so that it
//! is built again when they change.

mod build;
mod catalog;
pub mod checkers;
mod memory;
mod pins;
mod plugin;
pub mod system;

use anyhow::Result;
use semver::Version;
use std::path::PathBuf;

use crate::argv::{Argv, Program};
use crate::base::context::{Environment, Layout};
use crate::base::error::Fault;
use crate::base::ui::Ui;
use crate::run::{Output, Runner};
use catalog::OURS;
use memory::Memory;
use system::System;

pub use catalog::Tool;

/// The first thing in a text that looks like a version, e.g. in `github.com/docker/buildx v0.37.2 abcdef`.
fn version_in(text: &str) -> Option<Version> {
    text.split(|c: char| c.is_whitespace() || c == ',').find_map(|word| {
        let word = word.trim_start_matches('v').trim_end_matches('.');
        let word = word.split('+').next().unwrap_or(word);
        Version::parse(word).ok()
    })
}

/// Docker Desktop marks its builds as pre-releases, `0.29.0-desktop.1`, which semver puts before 0.29.0.
fn good_enough(version: &Version, minimum: &Version) -> bool {
    (version.major, version.minor, version.patch) >= (minimum.major, minimum.minor, minimum.patch)
}

/// Where a tool comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was on PATH.
    Path,
    /// It is a plugin of the docker CLI.
    Plugin,
    /// We built it.
    Built,
}

/// A tool that can be called.
#[derive(Debug, Clone)]
pub struct Found {
    /// How to call it.
    pub program: Program,
    /// Its version.
    pub version: Version,
    /// Where it comes from.
    pub origin: Origin,
}

/// A program that may be a tool.
struct Candidate {
    /// How to call it.
    program: Program,
    /// The file that is called. `None`: another program decides what is called, so its answer holds for this time only.
    file: Option<PathBuf>,
    origin: Origin,
}

/// Finds tools, and builds those that are missing.
#[derive(Debug, Clone)]
pub struct Toolbox {
    layout: Layout,
    environment: Environment,
    runner: Runner,
    ui: Ui,
    memory: Memory,
}

impl Toolbox {
    /// A toolbox of one checkout. It keeps what it learns beside the records of that checkout, if there is a checkout.
    pub fn new(layout: &Layout, environment: &Environment, runner: &Runner, ui: Ui) -> Self {
        let file = layout.state().join("tools.json");
        let memory = if layout.matrix.is_file() { Memory::of(file) } else { Memory::default() };
        Self { layout: layout.clone(), environment: environment.clone(), runner: runner.clone(), ui, memory }
    }

    /// What only the system can give.
    pub fn system(&self) -> System<'_> {
        let Self { layout, environment, runner, ui, memory } = self;
        System { layout, environment, runner, ui: *ui, memory }
    }

    /// Finds a tool, or builds it.
    ///
    /// # Errors
    /// If it is neither there nor can be built.
    pub fn get(&self, tool: Tool) -> Result<Found> {
        if let Some(found) = self.look(tool)? {
            return Ok(found);
        }
        build::build(tool, &self.layout, &self.environment, &self.runner, self.ui)?;
        self.built(tool)?
            .ok_or_else(|| Fault::failed(format!("building {} left no binary", tool.binary())).into())
    }

    /// Finds a tool, and builds nothing.
    ///
    /// # Errors
    /// If the pinned version cannot be read, or if we were asked to stop.
    pub fn look(&self, tool: Tool) -> Result<Option<Found>> {
        let good = |candidate: Candidate| {
            let version = self.version(tool, &candidate)?.filter(|found| good_enough(found, &tool.minimum()));
            let Candidate { program, file: _, origin } = candidate;
            Ok(version.map(|version| Found { program, version, origin }))
        };
        for candidate in self.candidates(tool) {
            if let Some(found) = good(candidate)? {
                return Ok(Some(found));
            }
        }
        match self.built(tool)? {
            Some(found) => Ok(Some(found)),
            None => self.through_docker(tool).map_or(Ok(None), good),
        }
    }

    /// What this machine offers, good enough or not, with its version if it tells one.
    ///
    /// # Errors
    /// If we were asked to stop.
    pub fn offered(&self, tool: Tool) -> Result<Vec<(Program, Option<Version>)>> {
        let all = self.candidates(tool).into_iter().chain(self.through_docker(tool));
        all.map(|candidate| {
            let version = self.version(tool, &candidate)?;
            Ok((candidate.program, version))
        })
        .collect()
    }

    /// The files that may be the tool: docker's plugin, which is what everybody's `docker buildx` is, then PATH.
    fn candidates(&self, tool: Tool) -> Vec<Candidate> {
        // What bears the name of one of ours is something else, or an old one.
        if tool.spec().package == OURS {
            return Vec::new();
        }
        let name = tool.binary();
        let plugin = self.has_docker(tool).then(|| plugin::find(name, &self.environment)).flatten();
        let plugin = plugin.map(|file| Candidate {
            program: Program::new(file.display().to_string()),
            file: Some(file),
            origin: Origin::Plugin,
        });
        let on_path = self.environment.program(name).map(|file| Candidate {
            program: Program::new(name),
            file: Some(file),
            origin: Origin::Path,
        });
        plugin.into_iter().chain(on_path).collect()
    }

    /// buildx by way of a docker CLI that keeps its plugins where we do not know to look.
    fn through_docker(&self, tool: Tool) -> Option<Candidate> {
        let program = Program { path: "docker".to_owned(), prefix: vec!["buildx".to_owned()] };
        self.has_docker(tool).then_some(Candidate { program, file: None, origin: Origin::Plugin })
    }

    fn has_docker(&self, tool: Tool) -> bool {
        tool == Tool::Buildx && self.environment.program("docker").is_some()
    }

    fn version(&self, tool: Tool, candidate: &Candidate) -> Result<Option<Version>> {
        let spec = tool.spec();
        let argv = Argv::new(format!("ask {} for its version", spec.binary), &candidate.program)
            .args(spec.version_args.iter().copied())
            .limit(20);
        let ask = || {
            self.runner.check_interrupted()?;
            let Ok(finished) = self.runner.run(&argv, Output::Capture) else { return Ok(None) };
            let text = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr;
            Ok::<_, anyhow::Error>((finished.success() && text.contains(spec.mark)).then_some(text))
        };
        let text = match &candidate.file {
            Some(file) => self.memory.ask(file, spec.version_args, ask)?,
            None => ask()?,
        };
        Ok(text.as_deref().and_then(version_in))
    }

    /// The one that we have built from the present pin: its folder bears the version.
    fn built(&self, tool: Tool) -> Result<Option<Found>> {
        if !tool.module(&self.layout).join("go.mod").is_file() {
            return Ok(None);
        }
        let version = tool.pinned(&self.layout)?;
        let path = binary_path(tool, &self.layout, &version);
        let program = Program::new(path.display().to_string());
        Ok(path.is_file().then_some(Found { program, version, origin: Origin::Built }))
    }
}

fn binary_path(tool: Tool, layout: &Layout, version: &Version) -> PathBuf {
    layout.tools().join(format!("{}-{version}", tool.spec().folder)).join(tool.binary())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_out_of_what_tools_print() {
        let table = [
            ("github.com/docker/buildx v0.37.2 abc", "0.37.2"),
            ("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3", "0.13.1"),
            ("GitVersion:    v3.1.3\nGitCommit: unknown", "3.1.3"),
            ("registry github.com/distribution/distribution/v3 v3.1.2", "3.1.2"),
            ("0.22.1\n", "0.22.1"),
        ];
        for (text, expected) in table {
            assert_eq!(version_in(text).map(|v| v.to_string()).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(version_in("docker: unknown command: docker buildx"), None);
    }
}
