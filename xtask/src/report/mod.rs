//! What people and workflows are told: tables, Markdown, and the files of GitHub Actions.

pub mod difference_markdown;
pub mod difference_table;
pub mod github;
pub mod markdown;
pub mod plan_table;
pub mod results;
