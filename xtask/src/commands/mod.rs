//! The commands, one file each under its name. They ask, decide by the pure modules, run and report.

pub mod build;
#[cfg(feature = "standalone")]
pub mod ci;
#[cfg(feature = "standalone")]
pub mod completions;
pub mod doctor;
pub mod gc;
pub mod hold;
#[cfg(feature = "standalone")]
pub mod init;
pub mod local;
#[cfg(feature = "standalone")]
pub mod man;
pub mod merge;
pub mod plan;
pub mod policy;
pub mod quickstart;
pub mod release;
pub mod report;
pub mod rollback;
pub mod schema;
pub mod update;
pub mod verify;
