//! `cargo xtask quickstart`: from a fresh clone to signed, verified, multi-architecture images in the local registry.

use anyhow::Result;
use std::time::Instant;

use crate::base::ui::columns;
use crate::commands::build;
use crate::commands::merge;
use crate::commands::verify;
use crate::session::Session;
use crate::session::destination::To;
use crate::session::planning::{PlanOptions, Published};

/// Runs the command.
///
/// # Errors
/// If any step fails.
pub fn run(session: &Session) -> Result<()> {
    let began = Instant::now();
    let step = |number: usize, text: &str| session.ui.note(format!("\n[{number}/4] {text}"));
    let plan = PlanOptions { to: Some(To::Local), published: Published::Begins, ..PlanOptions::default() };
    step(1, "the local stack: a registry and BuildKit, on loopback");
    // The key needs cosign, which may take longer to compile than the images take to be built.
    let stack = session.local_services()?;
    step(2, "build every cell for every platform, by digest");
    build::run(session, &build::Options { plan: plan.clone(), emulate: true, ..build::Options::default() })?;
    step(3, "merge: one index per cell, signed with a key of this stack, verified, then tagged");
    let plan = PlanOptions { published: Published::Compared, ..plan };
    merge::run(session, &merge::Options { plan: plan.clone(), ..merge::Options::default() })?;
    step(4, "verify, as a consumer would");
    verify::run(session, &verify::Options { plan, ..verify::Options::default() })?;
    let rows = [
        ("registry", stack.registry),
        ("public key", stack.public_key.display().to_string()),
        ("seconds", format!("{:.0}", began.elapsed().as_secs_f64())),
        ("stop it", "cargo xtask local down".to_owned()),
    ];
    session.ui.out(format!("\n{}", columns(&rows.map(|(name, value)| vec![name.to_owned(), value]))));
    Ok(())
}
