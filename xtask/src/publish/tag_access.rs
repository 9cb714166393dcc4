//! Reading and setting the tags of one repository, by their place in a list.

use anyhow::Result;

use crate::base::ids::{Digest, Repository, Tag};
use crate::base::parallel;
use crate::plan::PlannedTag;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::pinned_index::PinnedIndex;
use crate::publish::tag_rules::TagState;
use crate::registry::Registry;

/// How many tags of one repository are read side by side.
const READERS: usize = 4;

/// Some tags of one repository.
#[derive(Debug, Clone, Copy)]
pub struct TagAccess<'a> {
    /// Reads and sets them.
    pub registry: &'a Registry,
    /// The repository.
    pub repository: &'a Repository,
    /// The tags.
    pub tags: &'a [PlannedTag],
    /// Where records are attached; nowhere if nothing is signed.
    pub records: Option<&'a AttestationStore>,
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
        parallel::map(tags, READERS, |tag| self.state(*tag)).into_iter().collect()
    }

    fn state(&self, tag: usize) -> Result<Option<TagState>> {
        let Some(name) = self.name(tag) else { return Ok(None) };
        Ok(self.registry.read(&self.repository.tagged(name))?.as_ref().map(TagState::from))
    }

    /// Sets a tag to something that the repository holds.
    ///
    /// # Errors
    /// If the repository does not hold it, or does not take the tag.
    pub fn set(&self, tag: usize, digest: &Digest) -> Result<()> {
        let Some(name) = self.name(tag) else { return Ok(()) };
        let held = self.registry.require(self.repository, digest)?;
        PinnedIndex::new(self.registry, self.repository, held).tag(name)
    }

    /// The tags among these that the newest record of a publication claims; none if it has no record.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn claims(&self, digest: &Digest) -> Result<Vec<usize>> {
        let Some(records) = self.records else { return Ok(Vec::new()) };
        let Some(newest) = records.read(self.repository, digest)?.pop() else { return Ok(Vec::new()) };
        let claims = |tag: &usize| self.name(*tag).is_some_and(|name| newest.claims(name));
        Ok((0..self.tags.len()).filter(claims).collect())
    }
}
