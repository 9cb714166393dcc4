//! A build system for multi-architecture container images, run as `cargo xtask`.
//!
//! Data flows one way: arguments -> matrix -> plan -> argv -> run. Everything
//! before [`run`] is pure. `docs/architecture.md` has the map.

pub mod argv;
pub mod base;
pub mod build;
mod cli;
pub mod commands;
#[cfg(feature = "standalone")]
pub mod init;
pub mod local;
pub mod matrix;
mod options;
pub mod plan;
pub mod policy;
mod program;
pub mod publish;
pub mod registry;
pub mod report;
pub mod reuse;
pub mod run;
pub mod scaffold;
pub mod session;
pub mod tools;

pub use program::main;
