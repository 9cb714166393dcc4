//! Step 7: which tags move.

use std::cmp::Ordering;

use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest};
use crate::base::publication::PublicationClaim;
use crate::base::version;
use crate::plan::PlannedTag;
use crate::publish::tag_protocol::{Rules, Standing};

/// What a tag holds now. Two are the same if their digests are: the rest is what is known about it, and a registry may
/// know it in other words than a plan.
#[derive(Debug, Clone, Eq)]
pub struct TagState {
    /// The digest.
    pub digest: Digest,
    /// What it is.
    pub holder: Holder,
    /// Why the tag stays there, whatever is newer; none if it may move.
    pub hold: Option<String>,
}

/// What a tag's digest is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A publication that has a claim to the tag, with what decides how new it is.
    Publication(Age),
    /// Anything else. It counts as older than every publication, for this reason: a sentence without its subject.
    Other(String),
}

/// What decides which of two publications is newer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Age {
    /// The cell.
    pub cell: String,
    /// The version, if it has a place in an order of versions: see [`is_version`].
    pub version: Option<String>,
    /// The commit of this repository.
    pub revision: String,
    /// The code date of that commit (RFC 3339 in UTC, whole seconds); none if an older version of this tool published it.
    pub code_date: Option<String>,
    /// When the plan was made, in the same form.
    pub planned: String,
}

/// What makes one publication newer than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Version,
    Code,
    Plan,
}

impl Age {
    /// What a record says.
    pub fn of_claim(record: &PublicationClaim) -> Self {
        let version = record.version.clone();
        Self {
            cell: record.cell.to_string(),
            version: version.filter(|version| is_version(version, &record.revision)),
            revision: record.revision.clone(),
            code_date: record.code_date.clone(),
            planned: record.planned.clone().unwrap_or_default(),
        }
    }

    /// Whether it is of newer code than another, or of the same and planned later.
    pub fn is_later(&self, other: &Self) -> bool {
        self.compare(other, false).0 == Ordering::Greater
    }

    /// How new the code is: no wrong clock of a commit brings it beyond its plan. The form sorts as text.
    fn code(&self) -> Option<&str> {
        self.code_date.as_deref().map(|date| date.min(&self.planned))
    }

    /// Compares with another at a tag. `floating`: the tag stands for the highest version.
    fn compare(&self, other: &Self, floating: bool) -> (Ordering, By) {
        if let (true, Some(own), Some(their)) = (floating, self.version.as_deref(), other.version.as_deref())
        {
            match (version::is_lower(own, their), version::is_lower(their, own)) {
                (true, false) => return (Ordering::Less, By::Version),
                (false, true) => return (Ordering::Greater, By::Version),
                _ => {}
            }
        }
        match self.code().zip(other.code()).map(|(own, their)| own.cmp(their)) {
            Some(order @ (Ordering::Less | Ordering::Greater)) => (order, By::Code),
            // Of one that does not say how new its code is only the plan is known.
            Some(Ordering::Equal) | None => (self.planned.cmp(&other.planned), By::Plan),
        }
    }

    /// Why it is newer than another; none if it is not.
    pub fn newer_than(&self, other: &Self, floating: bool) -> Option<String> {
        match self.compare(other, floating) {
            (Ordering::Greater, by) => Some(self.described(by)),
            _ => None,
        }
    }

    /// Whether its code or version is older than another's, whenever either was planned.
    pub fn is_of_older_code(&self, other: &Self, floating: bool) -> bool {
        let at_once = Self { planned: self.planned.clone(), ..other.clone() };
        self.compare(&at_once, floating).0 == Ordering::Less
    }

    /// In words, for the line that says why a tag stays.
    fn described(&self, by: By) -> String {
        let version = self.version.as_deref().unwrap_or_default();
        match by {
            By::Version => format!("the higher version {version}"),
            By::Code => {
                let commit: String = self.revision.chars().take(SHORT_COMMIT).collect();
                format!("newer code, commit {commit} of {}", self.code().unwrap_or_default())
            }
            By::Plan => format!("a newer publication, planned {}", self.planned),
        }
    }
}

/// Of several records the one that says that it is the newest: an index that was kept has more than one, and none of them
/// makes it older, whenever it was attached.
pub fn newest(
    found: Vec<PublicationClaim>,
    counts: impl Fn(&PublicationClaim) -> bool,
) -> Option<PublicationClaim> {
    let counted = found.into_iter().filter(counts);
    counted.reduce(
        |newest, one| if Age::of_claim(&newest).is_later(&Age::of_claim(&one)) { newest } else { one },
    )
}

impl PartialEq for TagState {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl TagState {
    fn age(&self) -> Option<&Age> {
        match &self.holder {
            Holder::Publication(age) => Some(age),
            Holder::Other(_) => None,
        }
    }
}

/// The fewest digits by which a commit is shortened: git's own minimum for a short form that people read.
const SHORT_COMMIT: usize = 7;

/// Whether a version has a place in an order of versions: a short commit has none.
pub fn is_version(version: &str, revision: &str) -> bool {
    version.len() < SHORT_COMMIT || !revision.starts_with(version)
}

/// The publication that wants its tags.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its cell.
    pub cell: &'a CellId,
    /// Its index.
    pub digest: &'a Digest,
    /// How new it is.
    pub age: &'a Age,
    /// `--allow-downgrade`.
    pub allow_downgrade: bool,
}

impl Candidate<'_> {
    /// What a tag holds once it is set to it.
    pub fn state(&self) -> TagState {
        let holder = Holder::Publication(self.age.clone());
        TagState { digest: self.digest.clone(), holder, hold: None }
    }
}

/// The order of publications at the tags of one cell.
#[derive(Debug, Clone, Copy)]
pub struct TagRules<'a> {
    /// The tags, as planned.
    pub tags: &'a [PlannedTag],
    /// The publication that wants them.
    pub candidate: Candidate<'a>,
}

impl TagRules<'_> {
    /// Why what a tag holds counts as newer than the candidate; none if it does not.
    pub fn reason(&self, tag: usize, held: &TagState) -> Option<String> {
        let age = held.age()?;
        match age.compare(self.candidate.age, self.floating(tag)) {
            (Ordering::Greater, by) => Some(age.described(by)),
            (Ordering::Equal, _) if held.digest > *self.candidate.digest => {
                Some("a publication of the same code, planned in the same second".to_owned())
            }
            _ => None,
        }
    }

    /// What is worth saying about a tag that is taken from what it holds.
    pub fn remark(&self, tag: usize, held: &TagState) -> Option<String> {
        let name = &self.tags.get(tag)?.name;
        match &held.holder {
            Holder::Other(why) => {
                Some(format!("{name} held {}, which counts as older: it {why}", held.digest.short()))
            }
            Holder::Publication(age) if age.cell != self.candidate.cell.as_str() => {
                Some(format!("{name} was a tag of the cell {}", age.cell))
            }
            Holder::Publication(_) => None,
        }
    }

    fn floating(&self, tag: usize) -> bool {
        self.tags.get(tag).is_some_and(|planned| planned.floating)
    }

    fn judge(&self, tag: usize, held: Option<&TagState>, newer: impl Fn(&TagState) -> bool) -> Standing {
        let Some(held) = held else { return Standing::Empty };
        if held.digest == *self.candidate.digest {
            return Standing::Ours;
        }
        // What is held stays like what is newer. It is given nothing: it claims no tag that it does not have.
        if held.hold.is_some() {
            return Standing::Newer;
        }
        if !self.may_yield(tag) {
            return Standing::Conflict;
        }
        if !self.candidate.allow_downgrade && newer(held) { Standing::Newer } else { Standing::Older }
    }
}

impl Rules for TagRules<'_> {
    type Held = TagState;

    fn tags(&self) -> usize {
        self.tags.len()
    }

    fn before(&self, tag: usize, held: Option<&TagState>) -> Standing {
        let newer = |age: &Age| age.compare(self.candidate.age, self.floating(tag)).0 == Ordering::Greater;
        self.judge(tag, held, |held| held.age().is_some_and(newer))
    }

    /// Of two publications of the same code whose plans are of the same second the one with the larger digest stays: both
    /// sides must come to the same answer, and neither knows who was first.
    fn after(&self, tag: usize, held: Option<&TagState>) -> Standing {
        self.judge(tag, held, |held| self.reason(tag, held).is_some())
    }

    fn supersedes(&self, tag: usize, one: &TagState, other: &TagState) -> bool {
        if self.candidate.allow_downgrade && other.digest == *self.candidate.digest {
            return false;
        }
        let by_digest = one.digest > other.digest;
        match (one.age(), other.age()) {
            (Some(age), Some(others)) => match age.compare(others, self.floating(tag)).0 {
                Ordering::Equal => by_digest,
                order => order == Ordering::Greater,
            },
            (None, None) => by_digest,
            (age, _) => age.is_some(),
        }
    }

    fn may_yield(&self, tag: usize) -> bool {
        self.tags.get(tag).is_some_and(|planned| !planned.immutable)
    }

    fn ours(&self) -> TagState {
        self.candidate.state()
    }
}

/// The error for an immutable tag that holds another publication; `late`: it was set to the candidate a moment ago.
pub fn conflict(tag: &PlannedTag, ours: &Digest, held: &TagState, late: bool) -> UserError {
    let (name, held) = (&tag.name, &held.digest);
    if late {
        UserError::failed(format!(
            "the tag {name} is immutable, was set to {ours} and holds {held}: two publications have set it at the same moment"
        ))
        .help("find out which of the two is right; `cargo xtask verify REPO@DIGEST` checks each")
    } else {
        UserError::failed(format!("the tag {name} is immutable and holds {held}, not {ours}"))
            .help("publish under a new version; an immutable tag never moves")
    }
}

#[cfg(test)]
#[path = "tag_rules_tests.rs"]
mod tests;
