//! `cargo xtask ci`: what CI runs.

use anyhow::Result;

use crate::argv::{Argv, Program};
use crate::base::error::Fault;
use crate::run::Output;
use crate::session::Session;
use crate::tools::Tool;
use crate::tools::checkers;

/// Runs the command: format, lints, unit tests, checks of the workflows, then the tests on the real stack.
///
/// # Errors
/// At the first part that fails. A stack that cannot be had is a failure, not a skip.
pub fn run(session: &Session) -> Result<()> {
    let clippy = |targets: &[&'static str]| {
        let deny = ["--locked", "--", "--deny", "warnings"];
        [&["clippy", "--quiet", "--workspace"], targets, &deny].concat()
    };
    let parts = [
        ("formatting", vec!["fmt", "--all", "--check"]),
        ("lints", clippy(&["--all-targets"])),
        // Not among `--all-targets`, since plain `cargo test` must not run them.
        ("lints of the tests on the real stack", clippy(&["--test", "real", "--bench", "faults"])),
        ("unit tests", vec!["test", "--workspace", "--locked"]),
    ];
    for (name, args) in parts {
        cargo(session, name, &args)?;
    }
    session.ui.note("\n== tools");
    for tool in Tool::ALL {
        let found = session.tools.get(tool)?;
        session.ui.note(format!("{} {}  {}", tool.binary(), found.version, found.program.path));
    }
    session.ui.note("\n== workflows");
    checkers::run(&session.tools)?;
    let real = ["test", "--locked", "--package", "xtask", "--test", "real"];
    cargo(session, "tests on the real stack", &real)
}

fn cargo(session: &Session, name: &str, args: &[&str]) -> Result<()> {
    session.ui.note(format!("\n== {name}"));
    let argv =
        Argv::new(name, &Program::new("cargo")).args(args.iter().copied()).folder(&session.layout.workspace);
    let finished = session.runner.run(&argv, Output::Inherit)?;
    if finished.success() { Ok(()) } else { Err(Fault::failed(format!("{name}: `{argv}` failed")).into()) }
}
