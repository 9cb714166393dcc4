//! What a run would change, for people.

use crate::plan::difference::{Becomes, CellDifference, Difference, RepositoryDifference};

/// Cell by cell: why it is built, by whom, and what becomes of its tags; then the numbers of all of it.
pub fn table(difference: &Difference) -> String {
    let mut text = format!("plan {}  {}\n", difference.plan.short(), difference.event);
    text += "+ new  ~ moves  = holds it already  ! stays  x refused by merge\n";
    for cell in &difference.cells {
        text += &of_cell(cell);
    }
    if !difference.push {
        text += &format!("\nno tag is set: a run for {} publishes nothing\n", difference.event);
    }
    text + &format!("\n{}", difference.summary())
}

fn of_cell(cell: &CellDifference) -> String {
    let mut text = format!("\n{}  {}\n", cell.cell, cell.state());
    for reason in cell.reasons() {
        text += &format!("  {reason}\n");
    }
    for build in &cell.builds {
        text += &format!("  build {}\n", build.described());
    }
    for repository in &cell.repositories {
        text += &format!("  {}\n{}", repository.repository, tags(cell, repository));
    }
    text
}

fn tags(cell: &CellDifference, repository: &RepositoryDifference) -> String {
    let (same, other): (Vec<_>, Vec<_>) =
        repository.tags.iter().partition(|tag| tag.becomes == Becomes::Unchanged);
    let width = other.iter().map(|tag| tag.name.as_str().len()).max().unwrap_or_default();
    let mut text = String::new();
    for tag in other {
        let (sign, name, described) =
            (tag.becomes.sign(), tag.name.as_str(), tag.described(&cell.publication));
        text += &format!("    {sign} {name:<width$}  {described}\n");
    }
    if !same.is_empty() {
        let names: Vec<&str> = same.iter().map(|tag| tag.name.as_str()).collect();
        text += &format!("    = {}\n", names.join(" "));
    }
    text
}
