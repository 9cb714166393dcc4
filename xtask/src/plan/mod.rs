//! The plan: one run, resolved. Preview, result and the protocol between machines are this one shape.

mod builds;
pub mod current;
pub mod difference;
pub mod dockerfile;
mod dockerfile_labels;
mod dockerfiles;
pub mod event;
pub mod explain;
pub mod families;
pub mod filter;
pub mod git;
pub mod history;
mod index_inputs;
pub mod inputs;
pub mod jobs;
pub mod leaks;
mod limits;
mod model;
mod pairs;
pub mod remote;
pub mod resolve;
mod reuse;
mod standard;
mod tags;
mod untagged;
mod upstream;
mod values;

pub use crate::plan::model::{
    Build, BuildContext, Caller, Cell, Destination, DestinationKind, Excluded, FormerSigner, Need, Plan,
    PlannedTag, SCHEMA, SigningMethod,
};
pub use crate::plan::pairs::Pair;
pub use crate::plan::reuse::{Kept, Reuse, period};
