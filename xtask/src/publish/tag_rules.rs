//! Step 7: which tags move.

use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest};
use crate::base::version;
use crate::plan::PlannedTag;
use crate::plan::resolve::{ANNOTATION_CELL, ANNOTATION_PLANNED, ANNOTATION_REVISION, ANNOTATION_VERSION};
use crate::publish::tag_protocol::{Rules, Standing};
use crate::registry::FetchedManifest;

/// What a tag holds now. Two are the same if their digests are: the rest is what is known about it, and a registry may
/// know it in other words than a plan.
#[derive(Debug, Clone, Eq)]
pub struct TagState {
    /// The digest.
    pub digest: Digest,
    /// When the plan behind it was made (RFC 3339), if it is a publication of this tool.
    pub planned: Option<String>,
    /// The cell behind it.
    pub cell: Option<String>,
    /// The version behind it.
    pub version: Option<String>,
}

impl PartialEq for TagState {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl From<&FetchedManifest> for TagState {
    fn from(held: &FetchedManifest) -> Self {
        let annotation = |key: &str| held.manifest.annotations.get(key).cloned();
        let revision = annotation(ANNOTATION_REVISION).unwrap_or_default();
        Self {
            digest: held.digest.clone(),
            planned: annotation(ANNOTATION_PLANNED),
            cell: annotation(ANNOTATION_CELL),
            version: annotation(ANNOTATION_VERSION).filter(|version| is_version(version, &revision)),
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
    /// The clock of its plan, RFC 3339.
    pub planned: &'a str,
    /// Its version.
    pub version: Option<&'a str>,
    /// `--allow-downgrade`.
    pub allow_downgrade: bool,
}

impl Candidate<'_> {
    /// What a tag holds once it is set to it.
    pub fn state(&self) -> TagState {
        TagState {
            digest: self.digest.clone(),
            planned: Some(self.planned.to_owned()),
            cell: Some(self.cell.to_string()),
            version: self.version.map(str::to_owned),
        }
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
        let planned = self.tags.get(tag)?;
        newer(planned, self.candidate, held).or_else(|| {
            let equal = held.planned.as_deref() == Some(self.candidate.planned);
            (equal && held.digest > *self.candidate.digest)
                .then(|| "a publication planned in the same second".to_owned())
        })
    }

    /// What is worth saying about a tag that is taken from what it holds.
    pub fn remark(&self, tag: usize, held: &TagState) -> Option<String> {
        let name = &self.tags.get(tag)?.name;
        let other = held.cell.as_deref().filter(|other| *other != self.candidate.cell.as_str());
        match (&held.planned, other) {
            (None, _) => Some(format!("{name} was published by another tool, which counts as older")),
            (Some(_), Some(other)) => Some(format!("{name} was a tag of the cell {other}")),
            (Some(_), None) => None,
        }
    }

    fn judge(&self, tag: usize, held: Option<&TagState>, newer: impl Fn(&TagState) -> bool) -> Standing {
        let Some(held) = held else { return Standing::Empty };
        if held.digest == *self.candidate.digest {
            return Standing::Ours;
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
        self.judge(tag, held, |held| {
            self.tags.get(tag).is_some_and(|planned| newer(planned, self.candidate, held).is_some())
        })
    }

    /// Of two publications whose plans are of the same second the one with the larger digest stays: both sides must come
    /// to the same answer, and neither knows who was first.
    fn after(&self, tag: usize, held: Option<&TagState>) -> Standing {
        self.judge(tag, held, |held| self.reason(tag, held).is_some())
    }

    fn supersedes(&self, tag: usize, one: &TagState, other: &TagState) -> bool {
        if self.candidate.allow_downgrade && other.digest == *self.candidate.digest {
            return false;
        }
        let floating = self.tags.get(tag).is_some_and(|planned| planned.floating);
        if let (true, Some(one), Some(other)) = (floating, one.version.as_deref(), other.version.as_deref()) {
            match (version::is_lower(one, other), version::is_lower(other, one)) {
                (true, false) => return false,
                (false, true) => return true,
                _ => {}
            }
        }
        let rank = |state: &TagState| (state.planned.clone().unwrap_or_default(), state.digest.clone());
        rank(one) > rank(other)
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

/// Why what a tag holds counts as newer.
fn newer(tag: &PlannedTag, ours: Candidate<'_>, held: &TagState) -> Option<String> {
    // Both are RFC 3339 in UTC with whole seconds, so they sort as text.
    let planned = held.planned.as_deref()?;
    if planned > ours.planned {
        return Some(format!("a newer publication, planned {planned}"));
    }
    let theirs = held.version.as_deref().filter(|_| tag.floating)?;
    let lower = version::is_lower(ours.version?, theirs);
    lower.then(|| format!("the higher version {theirs}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(bytes: &[u8], planned: Option<&str>) -> TagState {
        TagState {
            digest: Digest::of(bytes),
            planned: planned.map(str::to_owned),
            cell: Some("app".into()),
            version: Some("8.5.0".into()),
        }
    }

    fn wanted<'a>(cell: &'a CellId, digest: &'a Digest, version: &'a str) -> Candidate<'a> {
        Candidate {
            cell,
            digest,
            planned: "2026-11-21T05:00:00Z",
            version: Some(version),
            allow_downgrade: false,
        }
    }

    fn tag(name: &str, immutable: bool, highest: bool) -> [PlannedTag; 1] {
        [PlannedTag { name: name.parse().unwrap(), immutable, floating: highest }]
    }

    fn about(immutable: bool, held: Option<&TagState>, allow_downgrade: bool) -> Standing {
        let (cell, digest) = ("app".parse().unwrap(), Digest::of(b"ours"));
        let candidate = Candidate { allow_downgrade, ..wanted(&cell, &digest, "8.5.0") };
        TagRules { tags: &tag("1.2", immutable, true), candidate }.before(0, held)
    }

    #[test]
    fn tags_move_forward_only() {
        let older = state(b"old", Some("2026-11-20T05:00:00Z"));
        let newer = state(b"new", Some("2026-11-22T05:00:00Z"));
        assert_eq!(about(false, None, false), Standing::Empty);
        assert_eq!(about(false, Some(&older), false), Standing::Older);
        assert_eq!(about(false, Some(&newer), false), Standing::Newer);
        assert_eq!(about(false, Some(&newer), true), Standing::Older);
        assert_eq!(about(false, Some(&state(b"ours", None)), false), Standing::Ours);
        let (cell, digest) = ("app".parse().unwrap(), Digest::of(b"ours"));
        let tags = tag("1.2", false, true);
        let rules = TagRules { tags: &tags, candidate: wanted(&cell, &digest, "8.5.0") };
        assert_eq!(rules.reason(0, &newer).unwrap(), "a newer publication, planned 2026-11-22T05:00:00Z");
        assert_eq!((rules.reason(0, &older), rules.remark(0, &older)), (None, None));
    }

    /// 8.4.10 after 8.5.0: `8.4` is its own, `8` and `latest` are not.
    #[test]
    fn a_lower_version_takes_no_tag_of_the_highest() {
        let held = state(b"old", Some("2026-11-20T05:00:00Z"));
        let (cell, digest) = ("app".parse().unwrap(), Digest::of(b"ours"));
        let moves = |version: &str, highest: bool, allow_downgrade: bool| {
            let candidate = Candidate { allow_downgrade, ..wanted(&cell, &digest, version) };
            let rules = TagRules { tags: &tag("8", false, highest), candidate };
            rules.before(0, Some(&held)) == Standing::Older
        };
        assert!(!moves("8.4.10", true, false), "never back to a lower version");
        assert!(moves("8.4.10", false, false) && moves("8.4.10", true, true));
        assert!(moves("8.5.1", true, false) && moves("8.5.0", true, false));
        assert!(moves("develop", true, false), "what is no version has no order");
    }

    /// `9e8c947` is neither a version 9 nor a pre-release: the default branch publishes `latest` at every commit.
    #[test]
    fn a_short_commit_is_no_version() {
        assert!(!is_version("9e8c947", "9e8c94713a0b8a77efc5b3a4e9e7bcbf3f1f0f1d"));
        assert!(is_version("9.1.0", "9e8c94713a0b8a77efc5b3a4e9e7bcbf3f1f0f1d"));
        assert!(is_version("9", "9e8c94713a0b8a77efc5b3a4e9e7bcbf3f1f0f1d"), "a version 9 on a commit 9e8c…");
        let held = TagState { version: None, ..state(b"old", Some("2026-11-20T05:00:00Z")) };
        assert_eq!(about(false, Some(&held), false), Standing::Older);
    }

    #[test]
    fn a_foreign_publication_counts_as_older_and_is_named() {
        let foreign = TagState { digest: Digest::of(b"x"), planned: None, cell: None, version: None };
        assert_eq!(about(false, Some(&foreign), false), Standing::Older);
        let (cell, digest) = ("app".parse().unwrap(), Digest::of(b"ours"));
        let rules = TagRules { tags: &tag("1.2", false, true), candidate: wanted(&cell, &digest, "1") };
        let remark = rules.remark(0, &foreign).unwrap();
        assert!(remark.contains("another tool"), "{remark}");
    }

    /// A branch has no version; its index says the name of the branch.
    #[test]
    fn a_publication_knows_itself_in_other_words() {
        let (cell, digest) = ("app".parse().unwrap(), Digest::of(b"ours"));
        let candidate = Candidate { version: None, ..wanted(&cell, &digest, "") };
        let held = TagState { digest: digest.clone(), version: Some("main".into()), ..state(b"", None) };
        assert_eq!(candidate.state(), held);
        assert_ne!(candidate.state(), TagState { digest: Digest::of(b"other"), ..held });
    }

    #[test]
    fn two_at_once_agree_which_stays() {
        let (cell, one, two) = ("app".parse().unwrap(), Digest::of(b"one"), Digest::of(b"two"));
        let sees = |immutable: bool, ours: &Digest, theirs: &Digest, planned: Option<&str>| {
            let held = TagState { digest: theirs.clone(), ..state(b"", planned) };
            let tags = tag("1.2", immutable, false);
            TagRules { tags: &tags, candidate: wanted(&cell, ours, "8.5.0") }.after(0, Some(&held))
        };
        let now = Some("2026-11-21T05:00:00Z");
        assert_eq!(sees(false, &one, &one, now), Standing::Ours);
        let newer = |found: Standing| found == Standing::Newer;
        let (first, second) = (sees(false, &one, &two, now), sees(false, &two, &one, now));
        assert!(newer(first) != newer(second), "both of one second");
        assert!(newer(sees(false, &one, &two, Some("2026-11-21T05:00:01Z"))));
        assert_eq!(sees(false, &one, &two, Some("2026-11-21T04:59:59Z")), Standing::Older);
        assert_eq!(sees(false, &one, &two, None), Standing::Older, "another tool counts as older");
        assert_eq!(sees(true, &one, &two, now), Standing::Conflict);
        let rules = TagRules { tags: &tag("1", false, false), candidate: wanted(&cell, &one, "1") };
        assert_eq!(rules.after(0, None), Standing::Empty);
    }

    /// 8.4.10 of a newer plan and 8.5.0 of an older one: each has a reason to stay away from the other's tag.
    #[test]
    fn two_never_yield_to_each_other() {
        let (cell, low, high) = ("app".parse().unwrap(), Digest::of(b"8.4.10"), Digest::of(b"8.5.0"));
        let (early, late) = ("2026-11-21T05:00:00Z", "2026-11-21T06:00:00Z");
        for highest in [true, false] {
            let tags = tag("8", false, highest);
            let held = |digest: &Digest, version: &str, planned| TagState {
                digest: digest.clone(),
                version: Some(version.to_owned()),
                ..state(b"", Some(planned))
            };
            let rules = TagRules { tags: &tags, candidate: wanted(&cell, &low, "8.4.10") };
            let (high, low) = (held(&high, "8.5.0", early), held(&low, "8.4.10", late));
            let answers = (rules.supersedes(0, &high, &low), rules.supersedes(0, &low, &high));
            assert_eq!(answers, (highest, !highest));
        }
    }

    #[test]
    fn immutable_tags_never_move() {
        assert_eq!(about(true, Some(&state(b"other", None)), true), Standing::Conflict);
        assert_eq!(about(true, Some(&state(b"ours", None)), false), Standing::Ours);
        let [tag] = tag("1.2", true, false);
        for late in [true, false] {
            let error = conflict(&tag, &Digest::of(b"ours"), &state(b"other", None), late).to_string();
            assert!(
                error.contains(Digest::of(b"other").as_str()) && error.contains(Digest::of(b"ours").as_str()),
                "{error}"
            );
        }
    }
}
