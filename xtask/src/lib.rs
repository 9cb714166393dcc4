//! A build system for multi-architecture container images, run as `cargo xtask`.
//!
//! Data flows one way: arguments -> matrix -> plan -> argv -> run. Everything
//! before [`run`] is pure. `docs/architecture.md` has the map.

pub mod argv;
pub mod context;
pub mod error;
pub mod files;
pub mod ids;
pub mod run;
pub mod ui;
