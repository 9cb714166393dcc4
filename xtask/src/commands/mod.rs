//! The commands, one file each under its name. They ask, decide by the pure modules, run and report.

mod attached;
mod attested;
pub mod build;
mod builds;
mod cache;
mod checks;
pub mod ci;
mod contents;
mod contexts;
pub mod doctor;
pub mod gc;
pub mod local;
pub mod merge;
mod parallel;
pub mod plan;
pub mod planning;
pub mod policy;
mod publish;
pub mod quickstart;
pub mod report;
pub mod rollback;
pub mod schema;
pub mod session;
mod specs;
mod stage;
mod tagging;
pub mod verify;
