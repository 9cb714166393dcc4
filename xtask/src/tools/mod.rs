//! The tools that we call: found on PATH when good enough, else built once from a pinned Go module.
//!
//! `tools/<name>/go.mod` is the one place that states a version. What we build
//! lies in `target/tools/<name>-<version>/`, with links in `target/tools/bin/`.
//! A module with sources of our own has their hash in its version, so that it
//! is built again when they change.

mod build;
pub mod checkers;
pub mod system;

use anyhow::{Context as _, Result};
use semver::{BuildMetadata, Version};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

use crate::argv::{Argv, Program};
use crate::base::context::{Environment, Layout};
use crate::base::error::Fault;
use crate::base::ui::Ui;
use crate::run::{Output, Runner};

/// A tool that is pinned as a Go module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// `docker buildx`.
    Buildx,
    /// BuildKit's daemon.
    Buildkitd,
    /// BuildKit's own client.
    Buildctl,
    /// The signer.
    Cosign,
    /// The CNCF distribution registry.
    Registry,
    /// A registry client of another family, for the tests.
    Crane,
    /// Sigstore's certificate authority, for the tests.
    Fulcio,
    /// Sigstore's timestamp authority, for the tests.
    TimestampServer,
    /// Our own servers for the tests: an issuer of identities, a registry, a proxy that spoils requests.
    Testkit,
    /// Checks workflows, for the tests.
    Actionlint,
    /// Runs workflows on this machine, for the tests.
    Act,
    /// What BuildKit runs to list the packages of an image, for where its own image of it cannot be pulled.
    SbomScanner,
}

/// The package of a module that holds sources of our own, relative to the module.
const OURS: &str = ".";

/// What there is to know about a tool.
struct Spec {
    /// The folder below `tools/`.
    folder: &'static str,
    /// The Go module whose version is the tool's.
    module: &'static str,
    /// The package to build.
    package: &'static str,
    binary: &'static str,
    /// The variable that carries the version, for `-ldflags -X`.
    variable: &'static str,
    version_args: &'static [&'static str],
    /// A word that the version command of the real tool prints: `registry` is a common name.
    mark: &'static str,
    minimum: Version,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Buildx,
        Self::Buildkitd,
        Self::Buildctl,
        Self::Cosign,
        Self::Registry,
        Self::Crane,
        Self::Fulcio,
        Self::TimestampServer,
        Self::Testkit,
        Self::Actionlint,
        Self::Act,
        Self::SbomScanner,
    ];

    fn spec(self) -> Spec {
        let spec = |folder, module, package, binary, variable, version_args, mark, minimum: [u64; 3]| {
            let [major, minor, patch] = minimum;
            Spec {
                folder,
                module,
                package,
                binary,
                variable,
                version_args,
                mark,
                minimum: Version::new(major, minor, patch),
            }
        };
        match self {
            // 0.29 is the oldest that was tried with all that we ask of imagetools.
            Self::Buildx => spec(
                "buildx",
                "github.com/docker/buildx",
                "github.com/docker/buildx/cmd/buildx",
                "docker-buildx",
                "github.com/docker/buildx/version.Version",
                &["version"],
                "docker/buildx",
                [0, 29, 0],
            ),
            Self::Buildkitd => spec(
                "buildkit",
                "github.com/moby/buildkit",
                "github.com/moby/buildkit/cmd/buildkitd",
                "buildkitd",
                "github.com/moby/buildkit/version.Version",
                &["--version"],
                "moby/buildkit",
                [0, 20, 0],
            ),
            Self::Buildctl => spec(
                "buildkit",
                "github.com/moby/buildkit",
                "github.com/moby/buildkit/cmd/buildctl",
                "buildctl",
                "github.com/moby/buildkit/version.Version",
                &["--version"],
                "moby/buildkit",
                [0, 20, 0],
            ),
            // 2.4 is the oldest with the flags that we use.
            Self::Cosign => spec(
                "cosign",
                "github.com/sigstore/cosign/v3",
                "github.com/sigstore/cosign/v3/cmd/cosign",
                "cosign",
                "sigs.k8s.io/release-utils/version.gitVersion",
                &["version"],
                "GitVersion",
                [2, 4, 0],
            ),
            Self::Registry => spec(
                "registry",
                "github.com/distribution/distribution/v3",
                "github.com/distribution/distribution/v3/cmd/registry",
                "registry",
                "github.com/distribution/distribution/v3/version.version",
                &["--version"],
                "distribution",
                [2, 8, 0],
            ),
            Self::Crane => spec(
                "crane",
                "github.com/google/go-containerregistry",
                "github.com/google/go-containerregistry/cmd/crane",
                "crane",
                "github.com/google/go-containerregistry/cmd/crane/cmd.Version",
                &["version"],
                "",
                [0, 19, 0],
            ),
            Self::Fulcio => spec(
                "fulcio",
                "github.com/sigstore/fulcio",
                "github.com/sigstore/fulcio",
                "fulcio",
                "sigs.k8s.io/release-utils/version.gitVersion",
                &["version"],
                "GitVersion",
                [1, 8, 8],
            ),
            Self::TimestampServer => spec(
                "timestamp-authority",
                "github.com/sigstore/timestamp-authority",
                OURS,
                "timestamp-server",
                "main.version",
                &[],
                "",
                [1, 2, 9],
            ),
            Self::Testkit => spec(
                "testkit",
                "github.com/google/go-containerregistry",
                OURS,
                "testkit",
                "main.version",
                &[],
                "",
                [0, 22, 1],
            ),
            Self::Actionlint => spec(
                "actionlint",
                "github.com/rhysd/actionlint",
                "github.com/rhysd/actionlint/cmd/actionlint",
                "actionlint",
                "github.com/rhysd/actionlint.version",
                &["-version"],
                "installed by",
                [1, 7, 12],
            ),
            Self::Act => spec(
                "act",
                "github.com/nektos/act",
                "github.com/nektos/act",
                "act",
                "main.version",
                &["--version"],
                "act version",
                [0, 2, 89],
            ),
            Self::SbomScanner => spec(
                "sbom-scanner",
                "github.com/anchore/syft",
                OURS,
                "syft-scanner",
                "main.version",
                &[],
                "",
                [1, 54, 1],
            ),
        }
    }

    /// Whether a build or a merge hardly ever calls it: it is for the tests, or for what few ask for.
    pub fn is_rare(self) -> bool {
        !matches!(self, Self::Buildx | Self::Buildkitd | Self::Buildctl | Self::Cosign | Self::Registry)
    }

    /// The folder of its module.
    pub fn module(self, layout: &Layout) -> PathBuf {
        layout.tool_modules().join(self.spec().folder)
    }

    /// The name of the binary.
    pub fn binary(self) -> &'static str {
        self.spec().binary
    }

    /// The oldest version that is good enough.
    pub fn minimum(self) -> Version {
        self.spec().minimum
    }

    /// The version that `tools/<name>/go.mod` pins, with a hash of the sources there if they are ours.
    ///
    /// # Errors
    /// If that file is missing or does not require the module.
    pub fn pinned(self, layout: &Layout) -> Result<Version> {
        let spec = self.spec();
        let folder = self.module(layout);
        let reading = || format!("reading the pinned version of {}", spec.binary);
        let path = folder.join("go.mod");
        let text = fs::read_to_string(&path).with_context(reading)?;
        let mut version = required_version(&text, spec.module)
            .ok_or_else(|| Fault::failed(format!("{} does not require {}", path.display(), spec.module)))?;
        if spec.package == OURS {
            version.build = sources(&folder).with_context(reading)?;
        }
        Ok(version)
    }
}

/// A short hash over the files of a folder.
fn sources(folder: &Path) -> Result<BuildMetadata> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let bytes = fs::read(file)?;
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        // With lengths, so that no two folders look alike.
        for part in [name, &bytes] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    let hex: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(BuildMetadata::new(&hex)?)
}

/// The version that a `go.mod` requires of a module.
fn required_version(go_mod: &str, module: &str) -> Option<Version> {
    let words = go_mod.lines().map(|line| line.trim().trim_start_matches("require ").split_whitespace());
    let version =
        words.filter_map(|mut words| (words.next()? == module).then(|| words.next()).flatten()).next()?;
    Version::parse(version.trim_start_matches('v')).ok()
}

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

/// Finds tools, and builds those that are missing.
#[derive(Debug, Clone)]
pub struct Toolbox {
    layout: Layout,
    environment: Environment,
    runner: Runner,
    ui: Ui,
}

impl Toolbox {
    /// A toolbox of one checkout.
    pub fn new(layout: &Layout, environment: &Environment, runner: &Runner, ui: Ui) -> Self {
        Self { layout: layout.clone(), environment: environment.clone(), runner: runner.clone(), ui }
    }

    /// Finds a tool, or builds it.
    ///
    /// # Errors
    /// If it is neither there nor can be built.
    pub fn get(&self, tool: Tool) -> Result<Found> {
        if let Some(found) = self.look(tool)? {
            return Ok(found);
        }
        build::build(tool, &self.layout, &self.runner, self.ui)?;
        self.built(tool)?
            .ok_or_else(|| Fault::failed(format!("building {} left no binary", tool.binary())).into())
    }

    /// Finds a tool, and builds nothing.
    ///
    /// # Errors
    /// If the pinned version cannot be read, or if we were asked to stop.
    pub fn look(&self, tool: Tool) -> Result<Option<Found>> {
        for program in self.candidates(tool) {
            if let Some(version) = self.version(tool, &program)?
                && good_enough(&version, &tool.minimum())
            {
                return Ok(Some(Found { program, version, origin: Origin::Path }));
            }
        }
        self.built(tool)
    }

    /// What PATH offers, good enough or not, with its version if it tells one.
    ///
    /// # Errors
    /// If we were asked to stop.
    pub fn on_path(&self, tool: Tool) -> Result<Vec<(Program, Option<Version>)>> {
        self.candidates(tool)
            .into_iter()
            .map(|program| Ok((program.clone(), self.version(tool, &program)?)))
            .collect()
    }

    fn candidates(&self, tool: Tool) -> Vec<Program> {
        // What bears the name of one of ours is something else, or an old one.
        if tool.spec().package == OURS {
            return Vec::new();
        }
        let path = |name: &str| which::which_in(name, self.environment.get("PATH"), "/").ok();
        let mut candidates = Vec::new();
        // Through the docker CLI, as everybody types it; the name is enough, it is on PATH.
        if tool == Tool::Buildx && path("docker").is_some() {
            candidates.push(Program { path: "docker".to_owned(), prefix: vec!["buildx".to_owned()] });
        }
        if path(tool.binary()).is_some() {
            candidates.push(Program::new(tool.binary()));
        }
        candidates
    }

    fn version(&self, tool: Tool, program: &Program) -> Result<Option<Version>> {
        let spec = tool.spec();
        let argv = Argv::new(format!("ask {} for its version", spec.binary), program)
            .args(spec.version_args.iter().copied())
            .limit(20);
        self.runner.check_interrupted()?;
        let Ok(finished) = self.runner.run(&argv, Output::Capture) else { return Ok(None) };
        let text = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr;
        Ok((finished.success() && text.contains(spec.mark)).then(|| version_in(&text)).flatten())
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

    #[test]
    fn every_tool_is_pinned_at_or_above_its_minimum() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let layout = Layout::without_matrix(&root);
        for tool in Tool::ALL {
            assert!(tool.pinned(&layout).unwrap() >= tool.minimum(), "{tool:?}");
        }
    }

    #[test]
    fn a_change_of_our_sources_is_another_version() {
        let folder = std::env::temp_dir().join(format!("xtask-sources-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let hash = |name: &str, text: &str| {
            fs::write(folder.join(name), text).unwrap();
            sources(&folder).unwrap()
        };
        let [one, same] = [hash("a.go", "x"), hash("a.go", "x")];
        let [two, three] = [hash("a.go", "y"), hash("b.go", "")];
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(one, same);
        assert!(one != two && two != three, "{one} {two} {three}");
    }

    #[test]
    fn a_pin_is_read_from_a_block_or_a_line() {
        assert_eq!(required_version("require a/b v1.2.3\n", "a/b"), Some(Version::new(1, 2, 3)));
        assert_eq!(
            required_version("require (\n\ta/c v0.1.0\n\ta/b v1.2.3 // indirect\n)\n", "a/b"),
            Some(Version::new(1, 2, 3))
        );
        assert_eq!(required_version("tool a/b\n", "a/b"), None);
    }
}
