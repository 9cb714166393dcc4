//! From a plan to pushed builds: what is built, in which order, and whether the result is what it claims to be.

pub mod arch_check;
pub mod build_spec;
pub mod builder;
pub mod built_index;
pub mod cache;
pub mod context_hash;
pub mod contexts;
mod dockerignore;
pub mod image_tests;
pub mod inputs;
pub mod machine_code;
pub mod metadata;
pub mod prior;
pub mod scheduler;
mod verdicts;
