//! The commands, one file each under its name. They ask, decide by the pure modules, run and report.

pub mod build;
pub mod ci;
pub mod doctor;
pub mod gc;
pub mod hold;
pub mod local;
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
