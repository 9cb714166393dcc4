//! `cargo xtask ci`: what CI runs.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::argv::Argv;
use crate::base::error::UserError;
use crate::run::Output;
use crate::session::Session;
use crate::tools::Tool;
use crate::tools::checkers;

/// Runs the command: format, lints, unit tests, checks of the workflows, then the tests on the real stack.
///
/// # Errors
/// At the first part that fails. A stack that cannot be had is a failure, not a skip.
pub fn run(session: &Session, without_root: bool) -> Result<()> {
    if !session.layout.workspace.join("xtask/tests/real/main.rs").is_file() {
        return Err(UserError::invalid(
            "`ci` runs the tests of xtask-images, and this is not its repository",
        )
        .help("to build, publish and verify your images on this machine: cargo xtask quickstart")
        .into());
    }
    if !without_root && !rustix::process::geteuid().is_root() {
        return Err(UserError::failed("run all tests: some of them need root")
            .help("run them as root, or those that do not need it: cargo xtask ci --without-root")
            .into());
    }
    let shell = Shell::new()?;
    shell.change_dir(&session.layout.workspace);
    let deny = ["--locked", "--", "--deny", "warnings"];
    part(session, "formatting", cmd!(shell, "cargo fmt --all --check"))?;
    part(session, "lints", cmd!(shell, "cargo clippy --quiet --workspace --all-targets {deny...}"))?;
    part(
        session,
        "lints of what another repository compiles",
        cmd!(shell, "cargo clippy --quiet --package xtask-images --no-default-features {deny...}"),
    )?;
    // Not among `--all-targets`, since plain `cargo test` and `cargo bench` must not run them.
    let named = ["--test", "real", "--bench", "faults", "--bench", "overhead"];
    part(
        session,
        "lints of what is run by name",
        cmd!(shell, "cargo clippy --quiet --workspace {named...} {deny...}"),
    )?;
    session.ui.note("\n== tools");
    for tool in Tool::ALL {
        let found = session.tools.get(tool)?;
        session.ui.note(format!("{} {}  {}", tool.binary(), found.version, found.program.path));
    }
    session.ui.note("\n== workflows");
    checkers::run(&session.tools)?;
    part(session, "unit tests", cmd!(shell, "cargo test --workspace --locked"))?;
    let flag = without_root.then_some("--without-root");
    part(
        session,
        "tests on the real stack",
        cmd!(shell, "cargo test --locked --package xtask-images --test real -- {flag...}"),
    )
}

fn part(session: &Session, name: &str, command: xshell::Cmd<'_>) -> Result<()> {
    session.ui.note(format!("\n== {name}"));
    let argv = Argv::of(name, command);
    let finished = session.runner.run(&argv, Output::Inherit)?;
    if finished.success() {
        Ok(())
    } else {
        Err(UserError::failed(format!("{name}: `{argv}` failed")).into())
    }
}
