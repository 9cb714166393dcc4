//! Step 7: which tags move.

use anyhow::Result;

use crate::base::error::Fault;
use crate::base::ids::{CellId, Digest, Repository, Tag};
use crate::base::record::PublishedTag;
use crate::base::version;
use crate::plan::PlannedTag;
use crate::plan::resolve::{ANNOTATION_CELL, ANNOTATION_PLANNED, ANNOTATION_REVISION, ANNOTATION_VERSION};
use crate::registry::FetchedManifest;

/// What a tag holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Whether a version has a place in an order of versions: a short commit has none.
pub fn is_version(version: &str, revision: &str) -> bool {
    !revision.starts_with(version)
}

/// What happens to a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is set; before, it held this digest.
    Set {
        /// What it held.
        from: Option<Digest>,
        /// Worth saying about it.
        remark: Option<String>,
    },
    /// It holds the digest already.
    Keep,
    /// A publication that counts as newer holds it: it stays.
    Stay {
        /// What makes that one the newer.
        reason: String,
    },
}

/// The publication that wants its tags.
#[derive(Debug, Clone, Copy)]
pub struct Ours<'a> {
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

/// Decides about one tag.
///
/// # Errors
/// If it is immutable and holds another digest.
pub fn decide(tag: &PlannedTag, ours: Ours<'_>, held: Option<&TagState>) -> Result<Decision> {
    let Some(held) = held else { return Ok(Decision::Set { from: None, remark: None }) };
    if held.digest == *ours.digest {
        return Ok(Decision::Keep);
    }
    if tag.immutable {
        return Err(Fault::failed(format!(
            "the tag {} is immutable and holds {}, not {}",
            tag.name, held.digest, ours.digest
        ))
        .help("publish under a new version; an immutable tag never moves")
        .into());
    }
    if let Some(reason) = newer(tag, ours, held).filter(|_| !ours.allow_downgrade) {
        return Ok(Decision::Stay { reason });
    }
    let other = held.cell.as_deref().filter(|other| *other != ours.cell.as_str());
    let remark = match (&held.planned, other) {
        (None, _) => Some(format!("{} was published by another tool, which counts as older", tag.name)),
        (Some(_), Some(other)) => Some(format!("{} was a tag of the cell {other}", tag.name)),
        (Some(_), None) => None,
    };
    Ok(Decision::Set { from: Some(held.digest.clone()), remark })
}

/// What a tag that was set holds a moment later: others may publish at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Later {
    /// What it was set to.
    Ours,
    /// A publication that counts as newer: it may keep the tag.
    Lost {
        /// What makes that one the newer.
        reason: String,
    },
    /// Nothing, or one that counts as older and wrote over ours: the tag has to be set again.
    Overwritten,
}

/// Judges what a tag holds after it was set.
///
/// Of two publications whose plans are of the same second the one with the larger digest wins: both sides must come to
/// the same answer, and neither knows who was first.
///
/// # Errors
/// If it is immutable and holds another digest: two publications have set it at the same moment.
pub fn later(tag: &PlannedTag, ours: Ours<'_>, held: Option<&TagState>) -> Result<Later> {
    let Some(held) = held else { return Ok(Later::Overwritten) };
    if held.digest == *ours.digest {
        return Ok(Later::Ours);
    }
    if tag.immutable {
        return Err(Fault::failed(format!(
            "the tag {} is immutable, was set to {} and holds {}: two publications have set it at the same moment",
            tag.name, ours.digest, held.digest
        ))
        .help("find out which of the two is right; `cargo xtask verify REPO@DIGEST` checks each")
        .into());
    }
    if ours.allow_downgrade {
        return Ok(Later::Overwritten);
    }
    let equal = held.planned.as_deref() == Some(ours.planned) && held.digest > *ours.digest;
    let reason =
        newer(tag, ours, held).or_else(|| equal.then(|| "a publication planned in the same second".into()));
    Ok(reason.map_or(Later::Overwritten, |reason| Later::Lost { reason }))
}

/// Whether another publication has the better right to a tag that both have set: a total order, so that two sides never
/// give way to each other.
pub fn wins(tag: &PlannedTag, theirs: &TagState, ours: Ours<'_>) -> bool {
    if ours.allow_downgrade {
        return false;
    }
    if let (true, Some(their_version), Some(our_version)) =
        (tag.highest, theirs.version.as_deref(), ours.version)
    {
        match (version::is_lower(their_version, our_version), version::is_lower(our_version, their_version)) {
            (true, false) => return false,
            (false, true) => return true,
            _ => {}
        }
    }
    (theirs.planned.as_deref().unwrap_or_default(), &theirs.digest) > (ours.planned, ours.digest)
}

/// Why what a tag holds counts as newer.
fn newer(tag: &PlannedTag, ours: Ours<'_>, held: &TagState) -> Option<String> {
    // Both are RFC 3339 in UTC with whole seconds, so they sort as text.
    let planned = held.planned.as_deref()?;
    if planned > ours.planned {
        return Some(format!("a newer publication, planned {planned}"));
    }
    let theirs = held.version.as_deref().filter(|_| tag.highest)?;
    let lower = version::is_lower(ours.version?, theirs);
    lower.then(|| format!("the higher version {theirs}"))
}

/// The tags of a publication by what is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// To be set, in this order, with what each held.
    pub set: Vec<(Tag, Option<Digest>)>,
    /// Already right.
    pub kept: Vec<Tag>,
    /// Held by what counts as newer, and why it does.
    pub stay: Vec<(Tag, String)>,
    /// Worth saying.
    pub remarks: Vec<String>,
}

impl Moves {
    /// The tags that hold the publication afterwards, with what each held before.
    pub fn tags(&self, repository: &Repository) -> Vec<PublishedTag> {
        let tag = |name: &Tag, from: Option<&Digest>| PublishedTag {
            repository: repository.clone(),
            name: name.clone(),
            moved_from: from.cloned(),
        };
        let set = self.set.iter().map(|(name, from)| tag(name, from.as_ref()));
        set.chain(self.kept.iter().map(|name| tag(name, None))).collect()
    }

    /// Adds a decision.
    pub fn add(&mut self, tag: &Tag, decision: Decision) {
        match decision {
            Decision::Set { from, remark } => {
                self.set.push((tag.clone(), from));
                self.remarks.extend(remark);
            }
            Decision::Keep => self.kept.push(tag.clone()),
            Decision::Stay { reason } => self.stay.push((tag.clone(), reason)),
        }
    }
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

    fn wanted<'a>(cell: &'a CellId, digest: &'a Digest, version: &'a str) -> Ours<'a> {
        Ours { cell, digest, planned: "2026-11-21T05:00:00Z", version: Some(version), allow_downgrade: false }
    }

    fn about(immutable: bool, held: Option<&TagState>, allow_downgrade: bool) -> Result<Decision> {
        let tag = PlannedTag { name: "1.2".parse().unwrap(), immutable, highest: true };
        let (cell, digest) = ("app".parse().unwrap(), Digest::of(b"ours"));
        decide(&tag, Ours { allow_downgrade, ..wanted(&cell, &digest, "8.5.0") }, held)
    }

    #[test]
    fn tags_move_forward_only() {
        let older = state(b"old", Some("2026-11-20T05:00:00Z"));
        let newer = state(b"new", Some("2026-11-22T05:00:00Z"));
        let set = |held: &TagState| Decision::Set { from: Some(held.digest.clone()), remark: None };
        assert_eq!(about(false, None, false).unwrap(), Decision::Set { from: None, remark: None });
        assert_eq!(about(false, Some(&older), false).unwrap(), set(&older));
        assert_eq!(
            about(false, Some(&newer), false).unwrap(),
            Decision::Stay { reason: "a newer publication, planned 2026-11-22T05:00:00Z".into() }
        );
        assert_eq!(about(false, Some(&newer), true).unwrap(), set(&newer));
        assert_eq!(about(false, Some(&state(b"ours", None)), false).unwrap(), Decision::Keep);
    }

    /// 8.4.10 after 8.5.0: `8.4` is its own, `8` and `latest` are not.
    #[test]
    fn a_lower_version_takes_no_tag_of_the_highest() {
        let held = state(b"old", Some("2026-11-20T05:00:00Z"));
        let (cell, digest) = ("app".parse().unwrap(), Digest::of(b"ours"));
        let moves = |version: &str, highest: bool, allow_downgrade: bool| {
            let tag = PlannedTag { name: "8".parse().unwrap(), immutable: false, highest };
            let ours = Ours { allow_downgrade, ..wanted(&cell, &digest, version) };
            matches!(decide(&tag, ours, Some(&held)).unwrap(), Decision::Set { .. })
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
        let held = TagState { version: None, ..state(b"old", Some("2026-11-20T05:00:00Z")) };
        assert!(matches!(about(false, Some(&held), false).unwrap(), Decision::Set { .. }));
    }

    #[test]
    fn a_foreign_publication_counts_as_older_and_is_named() {
        let foreign = TagState { digest: Digest::of(b"x"), planned: None, cell: None, version: None };
        let Decision::Set { remark: Some(remark), .. } = about(false, Some(&foreign), false).unwrap() else {
            panic!("moves")
        };
        assert!(remark.contains("another tool"), "{remark}");
    }

    #[test]
    fn two_at_once_agree_who_wins() {
        let tag = PlannedTag { name: "1.2".parse().unwrap(), immutable: false, highest: false };
        let (cell, one, two) = ("app".parse().unwrap(), Digest::of(b"one"), Digest::of(b"two"));
        let sees = |ours: &Digest, theirs: &Digest, planned: Option<&str>| {
            let held = TagState { digest: theirs.clone(), ..state(b"", planned) };
            later(&tag, wanted(&cell, ours, "8.5.0"), Some(&held)).unwrap()
        };
        let now = Some("2026-11-21T05:00:00Z");
        assert_eq!(sees(&one, &one, now), Later::Ours);
        let lost = |found: Later| matches!(found, Later::Lost { .. });
        assert!(lost(sees(&one, &two, now)) != lost(sees(&two, &one, now)), "both of one second");
        assert!(lost(sees(&one, &two, Some("2026-11-21T05:00:01Z"))));
        assert_eq!(sees(&one, &two, Some("2026-11-21T04:59:59Z")), Later::Overwritten);
        assert_eq!(sees(&one, &two, None), Later::Overwritten, "another tool counts as older");
        assert_eq!(later(&tag, wanted(&cell, &one, "1"), None).unwrap(), Later::Overwritten);
        let immutable = PlannedTag { immutable: true, ..tag.clone() };
        assert!(later(&immutable, wanted(&cell, &one, "1"), Some(&state(b"x", now))).is_err());
    }

    /// 8.4.10 of a newer plan and 8.5.0 of an older one: each has a reason to stay away from the other's tag.
    #[test]
    fn two_never_give_way_to_each_other() {
        let (cell, low, high) = ("app".parse().unwrap(), Digest::of(b"8.4.10"), Digest::of(b"8.5.0"));
        let (early, late) = ("2026-11-21T05:00:00Z", "2026-11-21T06:00:00Z");
        for highest in [true, false] {
            let tag = PlannedTag { name: "8".parse().unwrap(), immutable: false, highest };
            let ours = |digest, version, planned| Ours { planned, ..wanted(&cell, digest, version) };
            let held = |digest: &Digest, version: &str, planned| TagState {
                digest: digest.clone(),
                version: Some(version.to_owned()),
                ..state(b"", Some(planned))
            };
            let low_gives = wins(&tag, &held(&high, "8.5.0", early), ours(&low, "8.4.10", late));
            let high_gives = wins(&tag, &held(&low, "8.4.10", late), ours(&high, "8.5.0", early));
            assert_eq!((low_gives, high_gives), (highest, !highest));
        }
    }

    #[test]
    fn immutable_tags_never_move() {
        let error = about(true, Some(&state(b"other", None)), true).unwrap_err().to_string();
        assert!(
            error.contains(Digest::of(b"other").as_str()) && error.contains(Digest::of(b"ours").as_str()),
            "{error}"
        );
        assert_eq!(about(true, Some(&state(b"ours", None)), false).unwrap(), Decision::Keep);
    }
}
