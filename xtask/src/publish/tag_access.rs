//! Reading and setting the tags of one repository, by their place in a list.

use anyhow::Result;

use crate::base::ids::{Digest, Repository, Tag};
use crate::base::parallel;
use crate::base::ui::Ui;
use crate::plan::PlannedTag;
use crate::publish::holders::Holders;
use crate::publish::pinned_index::PinnedIndex;
use crate::publish::tag_rules::{Holder, TagState};
use crate::registry::{FetchedManifest, Passing, Registry};
use crate::run::Runner;
use crate::run::retry::Tries;

/// How many tags of one repository are read side by side.
const READERS: usize = 4;

/// Some tags of one repository.
#[derive(Debug)]
pub struct TagAccess<'a> {
    /// Reads and sets them.
    pub registry: &'a Registry,
    /// The repository.
    pub repository: &'a Repository,
    /// The tags.
    pub tags: &'a [PlannedTag],
    /// The publication that is dealt with.
    pub ours: &'a Digest,
    /// Says what a tag's digest is.
    pub holders: Holders<'a>,
    /// How often a tag may fail to be set.
    pub patience: Patience<'a>,
}

/// How often a tag may fail to be set, for reasons that pass. Between two tries the tag is read: others may have set it.
#[derive(Debug)]
pub struct Patience<'a> {
    runner: &'a Runner,
    ui: Ui,
    tries: Tries<'a>,
}

impl<'a> Patience<'a> {
    /// As often as any call.
    pub fn new(runner: &'a Runner, ui: Ui) -> Self {
        Self { runner, ui, tries: Tries::new(runner, ui) }
    }

    /// Tries once. After a failure that may pass it waits, and gives `false`.
    ///
    /// # Errors
    /// If the try was the last one, or if it failed for good.
    pub(crate) fn set(&mut self, work: impl FnOnce() -> Result<Result<(), Passing>>) -> Result<bool> {
        match work()? {
            Ok(()) => {
                self.tries = Tries::new(self.runner, self.ui);
                Ok(true)
            }
            Err(Passing { purpose, reason, pause, error }) => {
                if self.tries.again(&purpose, &reason, pause)? {
                    Ok(false)
                } else {
                    Err(error.into())
                }
            }
        }
    }
}

impl TagAccess<'_> {
    /// The name of a tag.
    pub fn name(&self, tag: usize) -> Option<&Tag> {
        self.tags.get(tag).map(|planned| &planned.name)
    }

    /// What tags hold.
    ///
    /// # Errors
    /// If the registry does not tell.
    pub fn read(&self, tags: &[usize]) -> Result<Vec<Option<TagState>>> {
        // A publication may be kept meanwhile: then a new record says that it is current.
        self.holders.forget_records();
        if tags.len() > 1 {
            self.holders.forget_holds();
        }
        parallel::map(tags, READERS, |tag| self.state(*tag)).into_iter().collect()
    }

    fn state(&self, tag: usize) -> Result<Option<TagState>> {
        let Some(planned) = self.tags.get(tag) else { return Ok(None) };
        let Some(held) = self.registry.read(&self.repository.tagged(&planned.name))? else { return Ok(None) };
        self.judged(planned, &held).map(Some)
    }

    /// What a tag holds, as `merge` sees it.
    ///
    /// # Errors
    /// As [`Holders::state`].
    pub fn judged(&self, planned: &PlannedTag, held: &FetchedManifest) -> Result<TagState> {
        // Whatever else an immutable tag holds is a conflict, and the publication itself is no question.
        if planned.immutable || held.digest == *self.ours {
            let why = "is not asked about".to_owned();
            return Ok(TagState { digest: held.digest.clone(), holder: Holder::Other(why), hold: None });
        }
        self.holders.state(self.repository, &planned.name, held)
    }

    /// Sets a tag to something that the repository holds. `false`: it failed for now, and the tag has to be read again.
    ///
    /// # Errors
    /// If the repository does not hold it, or does not take the tag.
    pub fn set(&mut self, tag: usize, digest: &Digest) -> Result<bool> {
        let Some(name) = self.name(tag).cloned() else { return Ok(true) };
        let held = self.registry.require(self.repository, digest)?;
        let index = PinnedIndex::new(self.registry, self.repository, held);
        self.patience.set(|| index.tag(&name))
    }

    /// The tags among these that the newest record of a publication claims; none if it has no record.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn claims(&self, digest: &Digest) -> Result<Vec<usize>> {
        let Some(records) = self.holders.records else { return Ok(Vec::new()) };
        let Some(newest) = records.read(self.repository, digest)?.pop() else { return Ok(Vec::new()) };
        let claims = |tag: &usize| self.name(*tag).is_some_and(|name| newest.claims(name));
        Ok((0..self.tags.len()).filter(claims).collect())
    }
}
