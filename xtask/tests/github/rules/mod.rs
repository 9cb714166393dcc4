//! What GitHub says of itself, and the model against it.

mod artifacts;
pub mod bench;
mod documents;
mod expressions;
mod jobs;
mod runs;
mod steps;
