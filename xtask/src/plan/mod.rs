//! The plan: one run, resolved. Preview, result and the protocol between machines are this one shape.

mod builds;
pub mod current;
pub mod event;
pub mod explain;
pub mod filter;
pub mod git;
pub mod history;
pub mod inputs;
pub mod jobs;
pub mod leaks;
mod model;
mod pairs;
pub mod remote;
pub mod resolve;
mod tags;
mod upstream;
mod values;

pub use crate::plan::model::{
    Build, BuildContext, Caller, Cell, Destination, DestinationKind, Excluded, FormerSigner, Need, Plan,
    PlannedTag, SCHEMA, SigningMethod,
};
pub use crate::plan::pairs::Pair;
