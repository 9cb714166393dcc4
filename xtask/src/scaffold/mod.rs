//! What another repository gets of this project: its workflow files, and how they are kept current.

pub mod changes;
pub mod scratch;
pub mod templates;
pub mod update;
