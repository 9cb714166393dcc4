//! Builds a pinned tool from its Go module, once.

use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::argv::{Argv, Program};
use crate::base::context::{Environment, Layout};
use crate::base::error::UserError;
use crate::base::ui::Ui;
use crate::run::{Output, Runner};
use crate::tools::{Tool, binary_path};

/// How often a long build says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Builds a tool and links it into `target/tools/bin`. Two processes at once build it once.
pub(super) fn build(
    tool: Tool,
    layout: &Layout,
    environment: &Environment,
    runner: &Runner,
    ui: Ui,
) -> Result<()> {
    let spec = tool.spec();
    let missing = || {
        UserError::failed(format!("{} {} or newer is not on PATH", spec.binary, tool.minimum()))
            .help(format!("install it: {}", install_hint(tool)))
    };
    if !tool.has_module(layout) {
        return Err(missing().into());
    }
    if environment.program("go").is_none() {
        return Err(missing()
            .help("or install Go (https://go.dev/doc/install): it is built from its sources then")
            .into());
    }
    let version = tool.pinned(layout)?;
    let target = binary_path(tool, layout, &version);
    let folder = target.parent().context("a binary has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let lock = File::create(layout.tools().join(format!("{}.lock", spec.binary)))?;
    lock.lock().context("waiting for another build of the same tool")?;
    if target.is_file() {
        return link(tool, layout, &target);
    }
    let module = tool.module(layout)?;
    ui.note(format!("building {} {version} from its sources: once, some minutes", spec.binary));
    // A killed build must leave nothing that looks finished.
    let unfinished = target.with_extension("unfinished");
    let flags = format!("-s -w -X {}=v{version}", spec.variable);
    let argv = go(format!("build {} {version}", spec.binary))
        .args(["-C"])
        .path(&module)
        .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
        .path(&unfinished)
        .arg(spec.package);
    let began = Instant::now();
    with_heartbeat(ui, spec.binary, || runner.check(&argv, Output::Capture))?;
    fs::rename(&unfinished, &target).with_context(|| format!("writing {}", target.display()))?;
    ui.note(format!("built {} {version} in {} s", spec.binary, began.elapsed().as_secs()));
    link(tool, layout, &target)
}

/// Go, for our modules alone: whatever workspace, vendored modules or habits the repository around them has.
fn go(purpose: String) -> Argv {
    Argv::new(purpose, &Program::new("go"))
        .env("CGO_ENABLED", "0")
        .env("GO111MODULE", "on")
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off")
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
        Tool::TimestampServer | Tool::Testkit | Tool::SbomScanner => {
            "with Go (https://go.dev/doc/install), from its sources"
        }
    }
}

/// Says every half minute that `work` is still at it.
fn with_heartbeat<T>(ui: Ui, name: &str, work: impl FnOnce() -> T) -> T {
    let (done, wait) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let began = Instant::now();
            while wait.recv_timeout(HEARTBEAT) == Err(mpsc::RecvTimeoutError::Timeout) {
                ui.note(format!("  … {name}: {} s", began.elapsed().as_secs()));
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Puts a relative link into `target/tools/bin`, so that people can put one folder on PATH.
fn link(tool: Tool, layout: &Layout, target: &Path) -> Result<()> {
    let bin = layout.tools().join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("creating {}", bin.display()))?;
    let relative = Path::new("..").join(target.strip_prefix(layout.tools())?);
    let temporary = bin.join(format!(".{}.{}", tool.binary(), std::process::id()));
    // A link left by a killed process of the same number is in the way.
    let _ = fs::remove_file(&temporary);
    symlink(&relative, &temporary)
        .and_then(|()| fs::rename(&temporary, bin.join(tool.binary())))
        .context("linking the tool into target/tools/bin")
}
