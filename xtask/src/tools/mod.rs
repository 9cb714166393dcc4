//! The tools that we call: found on PATH when good enough, else built once from a pinned Go module.
//!
//! Several are built side by side, beside whatever the command does meanwhile, and what one checkout has built serves
//! the other checkouts of the same user.
//!
//! `xtask/tools/<name>/go.mod` is the one place that states a version, for what
//! only our tests need `tools/<name>/go.mod`. What we build lies in
//! `target/tools/<name>-<version>/`, with links in `target/tools/bin/`.
//! A module with sources of our own has their hash in its version, so that it
//! is built again when they change.

mod build;
pub mod cache;
mod carried;
mod catalog;
#[cfg(feature = "standalone")]
pub mod checkers;
mod go;
mod memory;
mod pins;
mod plugin;
mod progress;
mod schedule;
pub mod system;
mod workshop;

use anyhow::Result;
use semver::Version;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::argv::{Argv, Program};
use crate::base::context::{Environment, Layout};
use crate::base::error::UserError;
use crate::base::ui::Ui;
use crate::run::{Output, Runner};
use build::{Site, binary_path};
use cache::UserCache;
use memory::Memory;
use system::System;
use workshop::Workshop;

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
    /// The file that this starts.
    file: PathBuf,
    /// Whether it is the tool. Else it looks for the tool itself, so that its answer holds for this time only.
    itself: bool,
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
    workshop: Workshop,
}

impl Toolbox {
    /// A toolbox of one checkout. It keeps what it learns beside the records of that checkout, if there is a checkout.
    pub fn new(layout: &Layout, environment: &Environment, runner: &Runner, ui: Ui) -> Self {
        let file = layout.state().join("tools.json");
        let memory = if layout.matrix.is_file() { Memory::of(file) } else { Memory::default() };
        Self {
            layout: layout.clone(),
            environment: environment.clone(),
            runner: runner.clone(),
            ui,
            memory,
            workshop: Workshop::default(),
        }
    }

    /// What only the system can give, `now` being the real time.
    pub fn system(&self, now: SystemTime) -> System<'_> {
        let Self { layout, environment, runner, ui, memory, workshop: _ } = self;
        System { layout, environment, runner, ui: *ui, memory, cache: self.cache(), now }
    }

    /// Finds a tool, or builds it. One that is being built already is waited for.
    ///
    /// # Errors
    /// If it is neither there nor can be built.
    pub fn get(&self, tool: Tool) -> Result<Found> {
        if let Some(found) = self.look(tool)? {
            return Ok(found);
        }
        self.workshop.start(&[tool], &self.site());
        self.workshop.wait(tool, &self.runner)?;
        self.built(tool)?
            .ok_or_else(|| UserError::failed(format!("building {} left no binary", tool.binary())).into())
    }

    /// Starts to build those of some tools that are not there, beside whatever follows. [`Toolbox::get`] waits for them.
    ///
    /// # Errors
    /// As [`Toolbox::look`].
    pub fn begin(&self, tools: &[Tool]) -> Result<()> {
        let mut missing = Vec::new();
        for tool in tools {
            if self.look(*tool)?.is_none() {
                missing.push(*tool);
            }
        }
        self.workshop.start(&missing, &self.site());
        Ok(())
    }

    /// Stops the builds that nobody waits for. Without it they would go on when the program has ended.
    pub fn finish(&self) {
        self.workshop.finish(&self.site());
    }

    /// What other checkouts of this user have made.
    pub fn cache(&self) -> UserCache {
        UserCache::of(&self.environment, self.ui)
    }

    fn site(&self) -> Site {
        Site {
            layout: self.layout.clone(),
            environment: self.environment.clone(),
            runner: self.runner.clone(),
            cache: self.cache(),
            ui: self.ui,
        }
    }

    /// Finds a tool, and builds nothing.
    ///
    /// # Errors
    /// If the pinned version cannot be read, or if we were asked to stop.
    pub fn look(&self, tool: Tool) -> Result<Option<Found>> {
        let good = |candidate: Candidate| {
            let version = self.version(tool, &candidate)?.filter(|found| good_enough(found, &tool.minimum()));
            let Candidate { program, origin, .. } = candidate;
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
        if !tool.spec().elsewhere {
            return Vec::new();
        }
        let name = tool.binary();
        let plugin = self.docker(tool).and_then(|_| plugin::find(name, &self.environment));
        let plugin = plugin.map(|file| Candidate {
            program: Program::new(file.display().to_string()),
            file,
            itself: true,
            origin: Origin::Plugin,
        });
        let on_path = self.environment.program(name).map(|file| Candidate {
            program: Program::new(name),
            file,
            itself: true,
            origin: Origin::Path,
        });
        plugin.into_iter().chain(on_path).collect()
    }

    /// buildx by way of a docker CLI that keeps its plugins where we do not know to look.
    fn through_docker(&self, tool: Tool) -> Option<Candidate> {
        let program = Program { path: "docker".to_owned(), prefix: vec!["buildx".to_owned()] };
        let file = self.docker(tool)?;
        Some(Candidate { program, file, itself: false, origin: Origin::Plugin })
    }

    /// The docker CLI, if it may have the tool.
    fn docker(&self, tool: Tool) -> Option<PathBuf> {
        (tool == Tool::Buildx).then(|| self.environment.program("docker")).flatten()
    }

    fn version(&self, tool: Tool, candidate: &Candidate) -> Result<Option<Version>> {
        let spec = tool.spec();
        let Candidate { program: Program { prefix, .. }, file, itself, .. } = candidate;
        let program = Program { path: file.display().to_string(), prefix: prefix.clone() };
        let argv = Argv::new(format!("ask {} for its version", spec.binary), &program)
            .args(spec.version_args.iter().copied())
            .limit(20);
        let ask = || {
            self.runner.check_interrupted()?;
            let Ok(finished) = self.runner.run(&argv, Output::Capture) else { return Ok(None) };
            let text = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr;
            Ok::<_, anyhow::Error>((finished.success() && text.contains(spec.mark)).then_some(text))
        };
        let text = if *itself { self.memory.ask(file, spec.version_args, ask)? } else { ask()? };
        Ok(text.as_deref().and_then(version_in))
    }

    /// The one that we have built from the present pin: its folder bears the version.
    fn built(&self, tool: Tool) -> Result<Option<Found>> {
        if !tool.has_module(&self.layout) {
            return Ok(None);
        }
        let version = tool.pinned(&self.layout)?;
        let path = binary_path(tool, &self.layout, &version);
        let program = Program::new(path.display().to_string());
        Ok(path.is_file().then_some(Found { program, version, origin: Origin::Built }))
    }
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

    /// Scripts in place of docker and buildx.
    struct Machine(PathBuf);

    impl Machine {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-tools-{}", std::process::id()));
            std::fs::create_dir_all(folder.join("bin")).unwrap();
            std::fs::create_dir_all(folder.join("config/cli-plugins")).unwrap();
            Self(folder)
        }

        fn runner() -> Runner {
            Runner::new(crate::run::Signals::default())
        }

        /// By another process: a file that this one writes may still be open in a child of another test.
        fn script(&self, path: &str, text: &str) {
            let write = Argv::new("write a script", &Program::new("sh"))
                .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod +x \"$1\"", "sh"])
                .path(&self.0.join(path))
                .arg(text);
            Self::runner().check(&write, Output::Capture).unwrap();
        }

        fn buildx(&self) -> Option<(String, String, Origin)> {
            let text = |path: &str| self.0.join(path).display().to_string();
            // The plugins of the machine that runs the test come after those of the configuration.
            let (path, config) = (text("bin"), text("config"));
            let environment = Environment::from([("PATH", path.as_str()), ("DOCKER_CONFIG", &config)]);
            let layout = Layout::without_matrix(&self.0);
            let found = Toolbox::new(&layout, &environment, &Self::runner(), Ui::default())
                .look(Tool::Buildx)
                .unwrap()?;
            let program = found.program.path.replace(&text(""), "");
            Some((program, found.version.to_string(), found.origin))
        }
    }

    #[test]
    fn the_plugin_comes_before_path_and_both_before_the_docker_cli() {
        let machine = Machine::new();
        let version = |version: &str| format!("echo github.com/docker/buildx v{version} abc");
        let found = |path: &str, version: &str, origin| Some((path.to_owned(), version.to_owned(), origin));
        machine.script("config/cli-plugins/docker-buildx", &version("0.31.0"));
        assert_eq!(machine.buildx(), None, "without docker nobody calls its plugins");
        machine.script(
            "bin/docker",
            "[ \"$1 $2\" = 'buildx version' ] && echo github.com/docker/buildx v0.33.0",
        );
        let plugin = "config/cli-plugins/docker-buildx";
        assert_eq!(machine.buildx(), found(plugin, "0.31.0", Origin::Plugin));
        machine.script("bin/docker-buildx", &version("0.32.0"));
        assert_eq!(machine.buildx(), found(plugin, "0.31.0", Origin::Plugin));
        machine.script(plugin, &version("0.13.0"));
        assert_eq!(machine.buildx(), found("docker-buildx", "0.32.0", Origin::Path), "the plugin is too old");
        std::fs::remove_file(machine.0.join("bin/docker-buildx")).unwrap();
        assert_eq!(
            machine.buildx(),
            found("docker", "0.33.0", Origin::Plugin),
            "the CLI knows another place"
        );
        std::fs::remove_dir_all(&machine.0).unwrap();
    }
}
