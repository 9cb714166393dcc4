//! Holds: a signed word that the tags of a cell stay where they are.

use serde::{Deserialize, Serialize};
use std::time::SystemTime;

use crate::base::ids::{CellId, Repository};

/// The type of the statements.
pub const KIND: &str = "urn:io.xtask:hold:v1";

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// What is attached to an index, signed, to keep the tags of a cell at it, or to let them go. The newest one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The cell.
    pub cell: CellId,
    /// The repository.
    pub repository: Repository,
    /// Whether the tags stay; `false` ends an earlier hold.
    pub held: bool,
    /// Why.
    pub reason: String,
    /// RFC 3339, UTC, to the microsecond.
    pub since: String,
    /// When it ends by itself, RFC 3339 in UTC.
    pub until: Option<String>,
}

impl Hold {
    /// The hold of a cell in a repository among what is attached to an index; none if there is none that counts now.
    pub fn active(all: &[Self], cell: &CellId, repository: &Repository, now: SystemTime) -> Option<Self> {
        let about = |hold: &&Self| hold.cell == *cell && hold.repository == *repository;
        let newest = all.iter().filter(about).max_by(|one, two| one.since.cmp(&two.since))?;
        let ended = |until: &String| humantime::parse_rfc3339(until).is_ok_and(|until| until <= now);
        (newest.held && !newest.until.as_ref().is_some_and(ended)).then(|| newest.clone())
    }

    /// In words: since when, why, until when.
    pub fn described(&self) -> String {
        let until = self.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
        let day = self.since.get(..10).unwrap_or(&self.since);
        format!("{} is held since {day}{until}: {}", self.cell, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_counts_until_it_ends() {
        let (cell, repository): (CellId, Repository) =
            ("app".parse().unwrap(), "ghcr.io/acme/app".parse().unwrap());
        let hold = |held, since: &str, until: Option<&str>| Hold {
            schema: SCHEMA,
            cell: cell.clone(),
            repository: repository.clone(),
            held,
            reason: "broken".into(),
            since: since.into(),
            until: until.map(str::to_owned),
        };
        let now = humantime::parse_rfc3339("2026-11-21T05:00:00Z").unwrap();
        let active = |all: &[Hold]| Hold::active(all, &cell, &repository, now).is_some();
        let (first, released) = (hold(true, "2026-11-19", None), hold(false, "2026-11-20", None));
        assert!(active(std::slice::from_ref(&first)) && !active(&[]));
        assert!(!active(&[released.clone(), first.clone()]), "in whatever order");
        assert!(active(&[first.clone(), released, hold(true, "2026-11-21", None)]));
        assert!(!active(&[hold(true, "2026-11-20", Some("2026-11-21T05:00:00Z"))]));
        assert!(active(&[hold(true, "2026-11-20", Some("2026-11-21T05:00:01Z"))]));
        let other = "other".parse().unwrap();
        assert_eq!(Hold::active(std::slice::from_ref(&first), &other, &repository, now), None);
        assert_eq!(first.described(), "app is held since 2026-11-19: broken");
    }
}
