//! The model of GitHub Actions against what GitHub's documentation and sources say: each test names the page or the file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic, and start what they test"
)]

#[path = "github/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the scenarios of `real` use what these tests do not")]
mod model;

#[path = "github/rules/mod.rs"]
mod rules;
