//! Builds a pinned tool from its Go module, once.

use anyhow::{Context as _, Result};
use semver::Version;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::context::{Environment, Layout};
use crate::base::error::UserError;
use crate::base::ui::Ui;
use crate::run::{Output, Runner};
use crate::tools::cache::UserCache;
use crate::tools::catalog::Tool;
use crate::tools::go::{self, Urgency};
use crate::tools::progress::Packages;

/// How often a build of another process is asked whether it has ended.
const PAUSE: Duration = Duration::from_millis(100);

/// Where and by what tools are built.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) layout: Layout,
    pub(super) environment: Environment,
    pub(super) runner: Runner,
    pub(super) cache: UserCache,
    pub(super) ui: Ui,
}

impl Site {
    /// Builds a tool, or takes it from the user's cache, and links it into `target/tools/bin`. Two processes at once build
    /// it once.
    pub(super) fn build(&self, tool: Tool, urgency: Urgency) -> Result<()> {
        self.possible(tool)?;
        let spec = tool.spec();
        let version = tool.pinned(&self.layout)?;
        let target = binary_path(tool, &self.layout, &version);
        let folder = target.parent().context("a binary has a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let _lock = self.lock(tool)?;
        if target.is_file() {
            return link(&self.layout, tool.binary(), &target);
        }
        let entry = self.entry(tool, &version)?;
        if let Some(entry) = &entry
            && self.cache.take(entry, &target)
        {
            self.ui.note(format!("{} {version}: taken from the cache of this user", spec.binary));
            return link(&self.layout, tool.binary(), &target);
        }
        self.compile(tool, &version, &target, urgency)?;
        if let Some(entry) = &entry {
            self.cache.keep(entry, &target);
        }
        link(&self.layout, tool.binary(), &target)
    }

    /// Fails, with the ways out, where a tool is missing and cannot be built.
    fn possible(&self, tool: Tool) -> Result<()> {
        let missing = || {
            UserError::failed(format!("{} {} or newer is not on PATH", tool.binary(), tool.minimum()))
                .help(format!("install it: {}", install_hint(tool)))
        };
        if !tool.has_module(&self.layout) {
            return Err(missing().into());
        }
        if !self.has_go() {
            return Err(missing()
                .help("or install Go (https://go.dev/doc/install): it is built from its sources then")
                .into());
        }
        Ok(())
    }

    /// Whether anything can be built here.
    pub(super) fn has_go(&self) -> bool {
        self.environment.program("go").is_some()
    }

    /// Keeps other processes from building the same tool. Whoever waits can be stopped.
    fn lock(&self, tool: Tool) -> Result<File> {
        let path = self.layout.tools().join(format!("{}.lock", tool.binary()));
        let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("locking {}", path.display()));
                }
            }
            self.runner.check_interrupted()?;
            thread::sleep(PAUSE);
        }
    }

    fn compile(&self, tool: Tool, version: &Version, target: &Path, urgency: Urgency) -> Result<()> {
        let module = tool.module(&self.layout)?;
        let has_nice = self.environment.program("nice").is_some();
        // A killed build must leave nothing that looks finished.
        let unfinished = target.with_extension("unfinished");
        let argv = go::build(&tool.spec(), version, &module, &unfinished, (urgency, has_nice));
        let began = Instant::now();
        let log = log(tool, &self.layout);
        let finished = self.runner.run(&argv, Output::Log(&log))?;
        if !finished.success() {
            let why = complaints(&finished.stderr);
            return Err(UserError::failed(format!("{}: `go build` failed\n{why}", argv.purpose))
                .help(format!("its whole output is in {}", log.display()))
                .into());
        }
        fs::rename(&unfinished, target).with_context(|| format!("writing {}", target.display()))?;
        self.ui.note(format!("built {} {version} in {} s", tool.binary(), began.elapsed().as_secs()));
        Ok(())
    }

    /// Where a tool is in the user's cache: under its version and a hash of all that its binary depends on. `None`: no
    /// cache is used.
    fn entry(&self, tool: Tool, version: &Version) -> Result<Option<String>> {
        if !self.cache.is_used() {
            return Ok(None);
        }
        let go = self.runner.text(&go::describe(&tool.module(&self.layout)?))?;
        let spec = tool.spec();
        let flags = go::link_flags(&spec, version);
        let hash = tool.hash_with(&self.layout, &[&go, &flags, spec.package])?;
        Ok(Some(format!("tools/{}-{version}-{hash}", spec.binary)))
    }

    /// The packages that a tool consists of. `None` where Go does not tell: then nothing is counted.
    pub(super) fn packages(&self, tool: Tool) -> Option<Packages> {
        let module = tool.module(&self.layout).ok()?;
        let finished = self.runner.run(&go::list(&tool.spec(), &module), Output::Capture).ok()?;
        finished.success().then(|| Packages::read(&String::from_utf8_lossy(&finished.stdout)))
    }
}

/// Puts a relative link into `target/tools/bin`, so that people can put one folder on PATH.
pub(super) fn link(layout: &Layout, name: &str, target: &Path) -> Result<()> {
    let bin = layout.tools().join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("creating {}", bin.display()))?;
    let relative = Path::new("..").join(target.strip_prefix(layout.tools())?);
    let temporary = bin.join(format!(".{name}.{}", std::process::id()));
    // A link left by a killed process of the same number is in the way.
    let _ = fs::remove_file(&temporary);
    symlink(&relative, &temporary)
        .and_then(|()| fs::rename(&temporary, bin.join(name)))
        .context("linking the tool into target/tools/bin")
}

/// Where a tool is once it is built: its folder bears the version.
pub(super) fn binary_path(tool: Tool, layout: &Layout, version: &Version) -> PathBuf {
    layout.tools().join(format!("{}-{version}", tool.spec().folder)).join(tool.binary())
}

/// What Go prints while it builds a tool.
pub(super) fn log(tool: Tool, layout: &Layout) -> PathBuf {
    layout.tools().join(format!("{}.log", tool.binary()))
}

/// What Go complains about: its output without the names of the packages that it compiles.
fn complaints(output: &str) -> String {
    let is_name = |line: &str| !line.contains([' ', '\t', ':']);
    let said: Vec<&str> = output.lines().filter(|line| !is_name(line)).collect();
    crate::run::tail(&said.join("\n"), 12)
}

fn install_hint(tool: Tool) -> &'static str {
    match tool {
        Tool::Buildx => "https://docs.docker.com/build/install-buildx/",
        Tool::Cosign => "https://docs.sigstore.dev/cosign/system_config/installation/",
        Tool::Buildkitd | Tool::Buildctl => "https://github.com/moby/buildkit/releases, or a Docker Engine",
        Tool::Registry => "https://distribution.github.io/distribution/, or a Docker Engine",
        Tool::Actionlint => "https://github.com/rhysd/actionlint",
        Tool::Act => "https://nektosact.com/installation/",
        Tool::Crane => "https://github.com/google/go-containerregistry/tree/main/cmd/crane",
        Tool::Fulcio => "https://github.com/sigstore/fulcio/releases",
        Tool::RekorServer => "https://github.com/sigstore/rekor-tiles/releases",
        Tool::TimestampServer | Tool::Testkit | Tool::GhVerify | Tool::SbomScanner => {
            "with Go (https://go.dev/doc/install), from its sources"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_go_prints_the_complaints_are_told() {
        let output =
            "internal/abi\ngithub.com/a/b\n# github.com/a/c\nc.go:3:1: undefined: x\ngolang.org/x/net\n";
        assert_eq!(complaints(output), "    # github.com/a/c\n    c.go:3:1: undefined: x");
        assert_eq!(complaints("internal/abi\n"), "");
    }
}
