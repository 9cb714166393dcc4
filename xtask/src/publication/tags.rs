//! Step 7: which tags move.

use anyhow::Result;

use crate::error::Fault;
use crate::ids::{CellId, Digest, Tag};
use crate::plan::PlannedTag;
use crate::plan::resolve::{ANNOTATION_CELL, ANNOTATION_PLANNED};
use crate::registry::Held;

/// What a tag holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagState {
    /// The digest.
    pub digest: Digest,
    /// When the plan behind it was made (RFC 3339), if it is a publication of this tool.
    pub planned: Option<String>,
    /// The cell behind it.
    pub cell: Option<String>,
}

impl From<&Held> for TagState {
    fn from(held: &Held) -> Self {
        let annotation = |key: &str| held.manifest.annotations.get(key).cloned();
        Self {
            digest: held.digest.clone(),
            planned: annotation(ANNOTATION_PLANNED),
            cell: annotation(ANNOTATION_CELL),
        }
    }
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
    /// A newer publication holds it: it stays.
    Newer {
        /// When the plan of that one was made.
        planned: String,
    },
}

/// Decides about one tag.
///
/// # Errors
/// If it is immutable and holds another digest.
pub fn decide(
    tag: &PlannedTag,
    cell: &CellId,
    ours: &Digest,
    planned: &str,
    held: Option<&TagState>,
    allow_downgrade: bool,
) -> Result<Decision> {
    let Some(held) = held else { return Ok(Decision::Set { from: None, remark: None }) };
    if held.digest == *ours {
        return Ok(Decision::Keep);
    }
    if tag.immutable {
        return Err(Fault::failed(format!(
            "the tag {} is immutable and holds {}, not {ours}",
            tag.name, held.digest
        ))
        .help("publish under a new version; an immutable tag never moves")
        .into());
    }
    let set = |remark: Option<String>| Decision::Set { from: Some(held.digest.clone()), remark };
    Ok(match &held.planned {
        // Both are RFC 3339 in UTC with whole seconds, so they sort as text.
        Some(theirs) if theirs.as_str() > planned && !allow_downgrade => {
            Decision::Newer { planned: theirs.clone() }
        }
        Some(_) if held.cell.as_deref().is_some_and(|other| other != cell.as_str()) => set(Some(format!(
            "{} was a tag of the cell {}",
            tag.name,
            held.cell.as_deref().unwrap_or_default()
        ))),
        Some(_) => set(None),
        None => set(Some(format!("{} was published by another tool, which counts as older", tag.name))),
    })
}

/// The tags of a publication by what is to be done.
#[derive(Debug, Default)]
pub struct Moves {
    /// To be set, in this order, with what each held.
    pub set: Vec<(Tag, Option<Digest>)>,
    /// Already right.
    pub kept: Vec<Tag>,
    /// Held by a newer publication.
    pub newer: Vec<(Tag, String)>,
    /// Worth saying.
    pub remarks: Vec<String>,
}

impl Moves {
    /// Adds a decision.
    pub fn add(&mut self, tag: &Tag, decision: Decision) {
        match decision {
            Decision::Set { from, remark } => {
                self.set.push((tag.clone(), from));
                self.remarks.extend(remark);
            }
            Decision::Keep => self.kept.push(tag.clone()),
            Decision::Newer { planned } => self.newer.push((tag.clone(), planned)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(bytes: &[u8], planned: Option<&str>) -> TagState {
        TagState { digest: Digest::of(bytes), planned: planned.map(str::to_owned), cell: Some("app".into()) }
    }

    fn about(immutable: bool, held: Option<&TagState>, downgrade: bool) -> Result<Decision> {
        let tag = PlannedTag { name: "1.2".parse().unwrap(), immutable };
        decide(&tag, &"app".parse().unwrap(), &Digest::of(b"ours"), "2026-11-21T05:00:00Z", held, downgrade)
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
            Decision::Newer { planned: "2026-11-22T05:00:00Z".into() }
        );
        assert_eq!(about(false, Some(&newer), true).unwrap(), set(&newer));
        assert_eq!(about(false, Some(&state(b"ours", None)), false).unwrap(), Decision::Keep);
    }

    #[test]
    fn a_foreign_publication_counts_as_older_and_is_named() {
        let foreign = TagState { digest: Digest::of(b"x"), planned: None, cell: None };
        let Decision::Set { remark: Some(remark), .. } = about(false, Some(&foreign), false).unwrap() else {
            panic!("moves")
        };
        assert!(remark.contains("another tool"), "{remark}");
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
