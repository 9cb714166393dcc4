//! `cargo xtask local`: the stack of this checkout.

use anyhow::Result;

use crate::base::ui::columns;
use crate::local::Status;
use crate::session::Session;

/// What was typed.
#[derive(Debug, Clone, Copy)]
pub enum Options {
    /// `local up`.
    Up,
    /// `local down`.
    Down {
        /// `--purge`.
        purge: bool,
    },
    /// `local status`.
    Status {
        /// `--json`.
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// If the stack does not start or stop.
pub fn run(session: &Session, options: Options) -> Result<()> {
    match options {
        Options::Up => {
            session.local_up()?;
            session.ui.out(table(&session.local().status()?));
        }
        Options::Down { purge } => {
            let ran = session.local().down(purge)?;
            session.ui.out(if ran {
                "the local stack is stopped"
            } else {
                "the local stack was not running"
            });
        }
        Options::Status { json } => {
            let status = session.local().status()?;
            if json {
                session.ui.json(serde_json::to_string_pretty(&status)?);
            } else {
                session.ui.out(table(&status));
            }
        }
    }
    Ok(())
}

fn table(status: &Status) -> String {
    let mode = status.mode.map_or_else(|| "stopped".to_owned(), |mode| format!("running as {mode}"));
    let bases = if status.offline_bases { "stand-ins from Debian packages" } else { "from Docker Hub" };
    let rows = [
        ("local stack", mode),
        ("registry", status.registry.clone()),
        ("builder", status.builder.clone()),
        ("buildx config", status.buildx_config.display().to_string()),
        ("public key", status.public_key.display().to_string()),
        ("base images", if status.running { bases.to_owned() } else { "-".to_owned() }),
    ];
    columns(&rows.map(|(name, value)| vec![name.to_owned(), value]))
}
