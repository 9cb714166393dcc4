//! What a plan says of a cell that is published already: whether it is built, and why.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::base::ids::{Digest, Tag};
use crate::base::publication::Child;
use crate::matrix::Refresh;

/// Whether a cell is built. A plan without it was not compared with the registry, and everything in it is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reuse {
    /// No publication at its tags is known.
    New {
        /// A sentence without its subject, e.g. `has no tag yet`.
        why: String,
    },
    /// It was published from other inputs.
    Changed {
        /// What its tags hold now.
        digest: Digest,
        /// The inputs that are not what they were, each as a phrase: `the base image php:8.2-cli has moved`.
        inputs: Vec<String>,
    },
    /// Its inputs are those of what is published: that stays.
    Kept(Kept),
}

/// A publication that a cell keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Its index.
    pub digest: Digest,
    /// The image of each platform.
    pub children: Vec<Child>,
    /// The SHA-256 of its inputs as JSON: the signed record at the index states them.
    pub inputs: Digest,
    /// The hash of the files of the checkout with which it was compared.
    pub files: Digest,
    /// The tags of this plan that do not hold it yet.
    pub lacking: Vec<Tag>,
    /// Why a new record says that it is current: a phrase. None if that of before is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<String>,
}

impl fmt::Display for Reuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New { why } => write!(f, "new: it {why}"),
            Self::Changed { inputs, .. } => write!(f, "changed: {}", inputs.join("; ")),
            Self::Kept(kept) => kept.fmt(f),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unchanged: {}", self.digest.short())?;
        let lacking: Vec<&str> = self.lacking.iter().map(Tag::as_str).collect();
        match lacking.as_slice() {
            [] => {}
            [tag] => write!(f, "; lacks the tag {tag}")?,
            tags => write!(f, "; lacks the tags {}", tags.join(" "))?,
        }
        self.renewed.iter().try_for_each(|why| write!(f, "; new record: {why}"))
    }
}

impl Reuse {
    /// The index at the cell's tags, by a record that was verified when the plan was made.
    pub fn verified(&self) -> Option<&Digest> {
        match self {
            Self::New { .. } => None,
            Self::Changed { digest, .. } => Some(digest),
            Self::Kept(kept) => Some(&kept.digest),
        }
    }
}

impl Kept {
    /// Whether `merge` has anything to write.
    pub fn is_unfinished(&self) -> bool {
        !self.lacking.is_empty() || self.renewed.is_some()
    }
}

/// The first day of the period that a time lies in, as in `2026-11-21`. None: what was downloaded is good for ever.
pub fn period(refresh: Refresh, time: &str) -> Option<String> {
    const DAY: u64 = 86_400;
    let seconds = humantime::parse_rfc3339(time).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let days = seconds / DAY;
    let first = match refresh {
        Refresh::Daily => days,
        // 1970 began on a Thursday, the fourth day of its week.
        Refresh::Weekly => ((days + 3) / 7 * 7).saturating_sub(3),
        Refresh::Never => return None,
    };
    let first = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(first * DAY))?;
    humantime::format_rfc3339_seconds(first).to_string().get(..10).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_of_a_cell_is_one_line() {
        let digest = Digest::of(b"");
        let kept = |lacking: &[&str], renewed: Option<&str>| {
            let lacking = lacking.iter().map(|tag| tag.parse().unwrap()).collect();
            let (children, inputs, files) = (Vec::new(), digest.clone(), digest.clone());
            let renewed = renewed.map(str::to_owned);
            Reuse::Kept(Kept { digest: digest.clone(), children, inputs, files, lacking, renewed })
                .to_string()
        };
        assert_eq!(kept(&[], None), "unchanged: sha256:e3b0c44298fc");
        assert_eq!(kept(&["1"], None), "unchanged: sha256:e3b0c44298fc; lacks the tag 1");
        assert_eq!(
            kept(&["1", "2"], Some("the checkout has uncommitted changes")),
            "unchanged: sha256:e3b0c44298fc; lacks the tags 1 2; new record: the checkout has uncommitted changes"
        );
        assert_eq!(
            Reuse::New { why: "is not published under any tag of this plan".into() }.to_string(),
            "new: it is not published under any tag of this plan"
        );
        let inputs = vec!["app/a changed".to_owned(), "the base image b:1 has moved".to_owned()];
        assert_eq!(
            Reuse::Changed { digest: digest.clone(), inputs }.to_string(),
            "changed: app/a changed; the base image b:1 has moved"
        );
    }

    #[test]
    fn a_week_begins_on_a_monday() {
        let of = |refresh, day: &str| period(refresh, &format!("{day}T23:59:59Z"));
        let weekly = |day| of(Refresh::Weekly, day).unwrap();
        assert_eq!(["2026-11-16", "2026-11-21", "2026-11-22"].map(weekly), ["2026-11-16"; 3]);
        assert_eq!(["2026-11-23", "2027-01-03"].map(weekly), ["2026-11-23", "2026-12-28"]);
        assert_eq!(of(Refresh::Daily, "2026-11-21").as_deref(), Some("2026-11-21"));
        assert_eq!(of(Refresh::Never, "2026-11-21"), None);
        assert_eq!(period(Refresh::Daily, "nonsense"), None);
    }
}
