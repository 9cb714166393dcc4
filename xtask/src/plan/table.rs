//! The plan for people.

use super::{Cell, Plan, Sign};
use crate::ui::columns;

/// A heading, one row per cell, the tags below it, then what is left out.
pub fn table(plan: &Plan) -> String {
    let mut text = format!("plan {}  {}  {}\n", plan.id.short(), plan.created, plan.event);
    text += &format!("revision {}\n", plan.revision);
    let repositories: Vec<&str> =
        plan.destination.repositories.iter().map(crate::ids::Repository::as_str).collect();
    text += &format!("to {}{}\n", repositories.join(", "), sign(&plan.sign));
    let header = ["CELL", "VERSION", "PLATFORMS", "RUNNERS"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(plan.cells.iter().map(row)).collect();
    let mut lines = columns(&rows).lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
    text += &format!("\n{}\n", lines.next().unwrap_or_default());
    for (cell, line) in plan.cells.iter().zip(lines) {
        text += &format!("{line}\n{}", tags(cell));
    }
    if plan.cells.is_empty() {
        text += "(no cells for this event)\n";
    }
    for excluded in &plan.excluded {
        text += &format!("\nexcluded {}: {}", excluded.cell, excluded.reason);
    }
    text.trim_end().to_owned()
}

fn sign(sign: &Sign) -> String {
    match sign {
        Sign::Local => ", signed with the local key".to_owned(),
        Sign::Keyless { .. } => ", signed by OIDC".to_owned(),
        Sign::Key { key } => format!(", signed with {key}"),
        Sign::None { reason } => format!(", NOT SIGNED: {reason}"),
    }
}

fn row(cell: &Cell) -> Vec<String> {
    let mut version = cell.version.clone().unwrap_or_else(|| "-".to_owned());
    if let Some(commit) = &cell.commit {
        version += &format!(" ({})", commit.chars().take(7).collect::<String>());
    }
    let list = |part: &dyn Fn(&super::Build) -> Option<String>| {
        let parts: Vec<String> = cell.builds.iter().filter_map(part).collect();
        parts.join(",")
    };
    let runners = list(&|build| build.runner.clone());
    let id = if cell.allow_failure { format!("{} (may fail)", cell.id) } else { cell.id.to_string() };
    vec![id, version, list(&|build| Some(build.arch.to_string())), runners]
}

/// The tags, wrapped at 80 columns and indented.
fn tags(cell: &Cell) -> String {
    let mut text = String::new();
    let mut line = String::from("   ");
    for tag in &cell.tags {
        let word =
            if tag.immutable { format!(" {} (immutable)", tag.name) } else { format!(" {}", tag.name) };
        if line.len() + word.len() > 80 && line.trim() != "" {
            text += &format!("{line}\n");
            line = String::from("   ");
        }
        line += &word;
    }
    text + &line + "\n"
}
