//! This build system for another repository: what builds its images today, and the files that take its place.

mod bake;
mod crate_files;
mod dockerfiles;
mod found;
mod matrix_text;
mod other_files;
mod proposal;
mod remarks;
mod repository;
mod sources;
mod validity;
mod workflow;

pub use crate::init::crate_files::CrateSource;
pub use crate::init::proposal::{Proposal, Wishes, propose};
