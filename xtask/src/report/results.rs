//! What a run has made of each cell of its plan. Pure.

use crate::base::ids::Digest;
use crate::base::publication::{Publication, Unfinished};
use crate::plan::{Cell, Kept, Plan};

/// A row of what a run tells at its end.
#[derive(Debug, Clone)]
pub struct CellResult<'a> {
    /// The cell.
    pub cell: &'a Cell,
    /// What the run has made of it.
    pub result: Ended<'a>,
    /// The line that verifies it, where it is signed.
    pub verify: Option<String>,
}

/// What a run has made of a cell.
#[derive(Debug, Clone)]
pub enum Ended<'a> {
    /// An index with its tags.
    Published(&'a Publication),
    /// Nothing: it keeps what is published.
    Unchanged(&'a Kept),
    /// Its builds, in a run that pushes nothing.
    Built,
    /// Not what was planned: why, on one line.
    Missing(String),
}

impl<'a> Ended<'a> {
    /// By what a run has left of a cell: its publication of this plan, and the architectures without a record. One that is
    /// kept has no records, and no publication where nothing had to be written.
    pub fn of(plan: &Plan, cell: &'a Cell, published: Option<&'a Publication>, missing: &[String]) -> Self {
        match (published, cell.kept()) {
            (Some(published), _) => Self::Published(published),
            (None, Some(kept)) if !plan.push || !kept.is_unfinished() => Self::Unchanged(kept),
            (None, Some(_)) => Self::Missing("unchanged, not merged".to_owned()),
            (None, None) if !missing.is_empty() => {
                Self::Missing(format!("not built: {}", missing.join(", ")))
            }
            (None, None) if plan.push => Self::Missing("built, not published".to_owned()),
            (None, None) => Self::Built,
        }
    }
}

impl CellResult<'_> {
    /// What happened, and the digest that counts now.
    pub fn told(&self) -> (String, Option<&Digest>) {
        let allowed = if self.cell.allow_failure { " (allowed)" } else { "" };
        match &self.result {
            Ended::Published(published) => {
                let unchanged = if self.cell.kept().is_some() { "unchanged, " } else { "" };
                (format!("{unchanged}{}", standing(published)), Some(&published.digest))
            }
            Ended::Unchanged(kept) => ("unchanged".to_owned(), Some(&kept.digest)),
            Ended::Built => ("built".to_owned(), None),
            Ended::Missing(why) => (format!("{why}{allowed}"), None),
        }
    }

    /// Where its publication has failed.
    pub fn unfinished(&self) -> &[Unfinished] {
        match &self.result {
            Ended::Published(published) => &published.unfinished,
            _ => &[],
        }
    }

    /// Whether something is missing that may not be.
    pub fn is_wrong(&self) -> bool {
        let missing = matches!(self.result, Ended::Missing(_)) || !self.unfinished().is_empty();
        missing && !self.cell.allow_failure
    }
}

/// Whether a publication is done, and else where not.
pub fn standing(published: &Publication) -> String {
    let held: Vec<&str> = published.held.iter().map(|tag| tag.name.as_str()).collect();
    let held = if held.is_empty() { String::new() } else { format!(", held: {}", held.join(" ")) };
    if published.unfinished.is_empty() {
        return format!("published{held}");
    }
    let missing: Vec<&str> = published.unfinished.iter().map(|one| one.repository.as_str()).collect();
    let done = published.repositories.len();
    let all = done + missing.len();
    format!("published in {done} of {all} repositories, not in {}{held}", missing.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_that_is_not_done_says_where() {
        let digest = Digest::of(b"");
        let published = |unfinished: serde_json::Value, held: serde_json::Value| -> String {
            let json = serde_json::json!({
                "schema": 1, "plan": digest, "cell": "app", "version": null, "commit": null, "revision": "",
                "repositories": ["ghcr.io/one/app"], "unfinished": unfinished, "digest": digest,
                "children": [], "tags": [], "held": held, "published": "",
                "signature": { "method": "none", "identity": null, "key": null },
            });
            standing(&serde_json::from_value(json).unwrap())
        };
        assert_eq!(published(serde_json::json!([]), serde_json::json!([])), "published");
        assert_eq!(
            published(
                serde_json::json!([{ "repository": "ghcr.io/two/app", "error": "503" }]),
                serde_json::json!([])
            ),
            "published in 1 of 2 repositories, not in ghcr.io/two/app"
        );
        let held =
            |name: &str| serde_json::json!({ "repository": "ghcr.io/one/app", "name": name, "why": "x" });
        let held = serde_json::json!([held("latest"), held("1")]);
        assert_eq!(published(serde_json::json!([]), held), "published, held: latest 1");
    }
}
