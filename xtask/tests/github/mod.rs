//! A strict model of GitHub Actions: it runs the files of a repository on this machine, and refuses what GitHub refuses.
//!
//! Each rule is that of GitHub's documentation or of the source that runs there, named where it stands. What the model does
//! not know it refuses too: a test never passes because something was left out.

mod actions;
mod artifacts;
mod availability;
mod calls;
mod cancel;
mod checkout;
mod commands;
mod context;
mod document;
mod event;
mod expression;
mod faults;
mod fields;
mod functions;
mod glob;
pub mod groups;
mod lexer;
mod local;
mod machine;
mod matrix;
mod permissions;
mod process;
mod report;
mod repository;
mod row;
mod run;
mod script;
mod service;
mod slots;
mod steps;
mod template;
mod transfer;
mod triggers;
mod value;
mod wildcard;

pub use artifacts::Artifact;
pub use event::Event;
pub use faults::{Fault, Hold, Moment};
pub use permissions::{Access, Permissions};
pub use process::Patience;
pub use report::{Annotation, Call, JobReport, Outcome, Report, StepReport};
pub use service::{Run, Service, Settings};
