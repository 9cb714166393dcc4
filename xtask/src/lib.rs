//! A build system for multi-architecture container images, run as `cargo xtask`.
//!
//! Data flows one way: arguments -> matrix -> plan -> argv -> run. Everything
//! before [`run`] is pure. `docs/architecture.md` has the map.

pub mod argv;
pub mod attestations;
pub mod builder;
pub mod commands;
pub mod contents;
pub mod context;
pub mod error;
pub mod files;
pub mod github;
pub mod ids;
pub mod local;
pub mod matrix;
pub mod metadata;
pub mod oci;
pub mod plan;
pub mod policy;
pub mod publication;
pub mod record;
pub mod registry;
pub mod run;
pub mod summary;
pub mod template;
pub mod tools;
pub mod ui;
pub mod version;
