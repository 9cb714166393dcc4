//! What GitHub says of itself, and the model against it.

pub mod bench;
mod expressions;
