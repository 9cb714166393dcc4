//! What `merge` would do with the tags of a cell in one repository, if nobody else changes them: the very loop that sets
//! them, over a registry that is only imagined.

use anyhow::Result;
use std::cell::Cell;

use crate::plan::difference::Becomes;
use crate::publish::tag_protocol::{self, Rules, Standing, TagPlan, TagStore};
use crate::publish::tag_rules::{Holder, TagRules, TagState};
use crate::publish::tagging::{Outcome, Tagging};

/// A repository as it was read, with what would have been written to it since.
struct Imagined<C> {
    tags: Vec<Option<TagState>>,
    claims: C,
    /// Claims could not be read.
    failed: Cell<bool>,
}

impl<C: Fn(&TagState) -> Result<Vec<usize>>> TagStore for Imagined<C> {
    type Held = TagState;

    fn read(&self, tags: &[usize]) -> Result<Vec<Option<TagState>>> {
        Ok(tags.iter().map(|tag| self.tags.get(*tag).cloned().flatten()).collect())
    }

    fn set(&mut self, tag: usize, to: &TagState) -> Result<bool> {
        if let Some(held) = self.tags.get_mut(tag) {
            *held = Some(to.clone());
        }
        Ok(true)
    }

    fn attach(&mut self, _: &TagPlan<TagState>) -> Result<()> {
        Ok(())
    }

    fn claims(&self, of: &TagState) -> Result<Vec<usize>> {
        (self.claims)(of).inspect_err(|_| self.failed.set(true))
    }
}

/// What becomes of each tag. `held`: what the tags hold now, one for each of the rules. `claims`: the tags that the records
/// of a publication claim. A candidate that is not built yet has [`crate::base::ids::Digest::unknown`], which no tag holds.
///
/// # Errors
/// If claims cannot be read.
pub fn foresee(
    rules: &TagRules<'_>,
    held: &[Option<TagState>],
    claims: impl Fn(&TagState) -> Result<Vec<usize>>,
) -> Result<Vec<Becomes>> {
    let mut store = Imagined { tags: held.to_vec(), claims, failed: Cell::new(false) };
    match tag_protocol::run(&mut store, rules, Tagging::default()).map(Tagging::outcome) {
        Ok(Some(Outcome::Conflict { tag, .. })) => return Ok(refused(rules, held, tag)),
        Ok(_) => {}
        Err(error) if store.failed.get() => return Err(error),
        // Nothing else can fail here but the patience of the loop.
        Err(_) => return Ok(held.iter().map(|_| Becomes::Undecided).collect()),
    }
    let ours = rules.ours();
    let one = |(tag, (before, after)): (usize, (&Option<TagState>, &Option<TagState>))| match (before, after)
    {
        (before, Some(after)) if *after == ours => match before {
            None => Becomes::Created,
            Some(before) if *before == ours => Becomes::Unchanged,
            Some(before) => {
                let known = matches!(before.holder, Holder::Publication(_));
                Becomes::Moved { remark: rules.remark(tag, before).filter(|_| known) }
            }
        },
        (Some(before), Some(after)) if before == after => Becomes::Stays { why: stays(rules, tag, after) },
        (_, Some(after)) => Becomes::Given { to: after.digest.clone() },
        (_, None) => Becomes::Stays { why: "nothing sets it".to_owned() },
    };
    Ok(held.iter().zip(&store.tags).enumerate().map(one).collect())
}

/// Why a tag is left to what it holds.
fn stays(rules: &TagRules<'_>, tag: usize, held: &TagState) -> String {
    let newer = || rules.reason(tag, held).map(|reason| format!("it holds {reason}"));
    held.hold.clone().or_else(newer).unwrap_or_else(|| "it holds a newer publication".to_owned())
}

/// No tag of the repository moves.
fn refused(rules: &TagRules<'_>, held: &[Option<TagState>], first: usize) -> Vec<Becomes> {
    let name = rules.tags.get(first).map(|tag| tag.name.to_string()).unwrap_or_default();
    let one = |(tag, held): (usize, &Option<TagState>)| match (rules.before(tag, held.as_ref()), held) {
        (Standing::Conflict, Some(held)) => {
            Becomes::Refused { why: format!("is immutable and holds {}", held.digest.short()) }
        }
        (Standing::Ours, _) => Becomes::Unchanged,
        _ => Becomes::Stays { why: format!("merge refuses {name}") },
    };
    held.iter().enumerate().map(one).collect()
}
