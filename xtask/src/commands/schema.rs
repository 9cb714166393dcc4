//! `cargo xtask schema`: the JSON Schemas of `matrix.toml` and of plans, for editors and other programs.

use crate::base::ui::Ui;

/// Of `matrix.toml`. Draft 07: what editors such as Taplo's language server know.
pub const MATRIX: &str = include_str!("../../schema/matrix.schema.json");

/// Of a plan, as `plan --json` prints it.
pub const PLAN: &str = include_str!("../../schema/plan.schema.json");

/// What was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Options {
    /// `schema`.
    Matrix,
    /// `schema --plan`.
    Plan,
}

/// Prints a schema.
pub fn run(ui: Ui, options: Options) {
    let text = match options {
        Options::Matrix => MATRIX,
        Options::Plan => PLAN,
    };
    ui.out(text.trim_end());
}
