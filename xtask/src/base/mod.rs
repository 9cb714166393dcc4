//! What everything stands on: names that parse once, errors, files, the outside as values.

pub(crate) mod answers;
pub mod certificate;
pub mod context;
pub mod error;
pub mod files;
pub mod gates;
pub mod git_refs;
pub mod hold;
pub mod identity;
pub mod ids;
pub mod inert;
pub mod inputs;
pub mod oci_keys;
pub mod parallel;
pub mod patterns;
mod prerelease;
pub mod publication;
pub mod record;
pub mod record_hashes;
pub mod suggest;
pub mod template;
pub mod ui;
pub mod usage;
pub mod version;
