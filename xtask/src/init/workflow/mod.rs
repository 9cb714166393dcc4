//! A workflow of GitHub Actions that builds images: what `matrix.toml` can say of it, and what it cannot.
//!
//! It is evaluated once for each event that starts it, as far as that can be done without running anything; the events under
//! which a tag appears are its condition.

mod axes;
mod build_push;
mod built;
mod evaluation;
mod event;
mod expression;
mod functions;
mod gather;
mod handlebars;
mod home_assistant;
mod home_assistant_actions;
mod home_assistant_target;
mod job_matrix;
mod jobs;
mod metadata_action;
mod places;
mod reader;
mod samples;
mod scope;
mod script;
mod settings;
mod shell;
mod shell_condition;
mod steps;
mod tags;
mod text;
mod triggers;
mod variants;
mod yaml;

pub(crate) use crate::init::workflow::event::Surroundings;
pub(crate) use crate::init::workflow::reader::read;
