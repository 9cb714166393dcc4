//! The tags that a publication wants in one repository, and the record that says so.

use anyhow::Result;

use crate::base::context::Clock;
use crate::base::publication::{HeldTag, PublicationClaim, PublishedTag};
use crate::base::ui::Ui;
use crate::plan::Kept;
use crate::publish::pinned_index::PinnedIndex;
use crate::publish::tag_access::TagAccess;
use crate::publish::tag_protocol::{TagPlan, TagStore};
use crate::publish::tag_rules::{Age, Candidate, TagRules, TagState};

/// The tags of one cell in one repository.
pub(crate) struct RepositoryTags<'a> {
    /// Reads and sets them.
    pub(crate) access: TagAccess<'a>,
    /// Their order.
    pub(crate) rules: TagRules<'a>,
    /// The index that wants them.
    pub(crate) index: &'a PinnedIndex<'a>,
    /// The record of this publication; its tags are filled in as they are decided about.
    pub(crate) claim: PublicationClaim,
    /// The record that the index has of this plan already, or that an earlier round has made.
    pub(crate) earlier: Option<PublicationClaim>,
    /// What the plan says of it, if it is kept.
    pub(crate) kept: Option<&'a Kept>,
    /// Makes sure that what is kept may be tagged, before it is.
    pub(crate) prove: Option<&'a dyn Fn() -> Result<()>>,
    /// The index was not in the repository before, so it should have no records yet.
    pub(crate) new: bool,
    /// Says when a record was made.
    pub(crate) clock: Clock,
    /// For remarks.
    pub(crate) ui: Ui,
}

impl RepositoryTags<'_> {
    /// The tags of the claim that hold the publication in the end, with what they held before.
    pub(crate) fn published(&self, held: &[usize]) -> Vec<PublishedTag> {
        let is_held = |tag: &&PublishedTag| held.iter().any(|n| self.access.name(*n) == Some(&tag.name));
        self.claim.tags.iter().filter(is_held).cloned().collect()
    }

    /// The tags that a hold keeps where they are.
    pub(crate) fn held(&self, lost: &[(usize, TagState)]) -> Vec<HeldTag> {
        let held = |(tag, state): &(usize, TagState)| {
            Some(HeldTag {
                repository: self.access.repository.clone(),
                name: self.access.name(*tag)?.clone(),
                why: state.hold.clone()?,
            })
        };
        lost.iter().filter_map(held).collect()
    }

    /// Says which tags are not ours in the end, and why.
    pub(crate) fn warn_of(&self, lost: &[(usize, TagState)]) {
        for (tag, held) in lost {
            let Some(name) = self.access.name(*tag) else { continue };
            if let Some(hold) = &held.hold {
                self.ui.note(format!(
                    "{}:{name} stays: {hold} (`cargo xtask release` lets it move)",
                    self.access.repository
                ));
                continue;
            }
            let reason = self.rules.reason(*tag, held).unwrap_or_else(|| held.digest.to_string());
            self.ui.warn(format!(
                "{}:{name} stays: it holds {reason} (--allow-downgrade moves it all the same)",
                self.access.repository
            ));
        }
    }

    /// Whether the record of an index that is kept need not be written again: it claims all that this one would, and nothing
    /// newer can have been made since.
    fn says_enough(&self, plan: &TagPlan<TagState>) -> bool {
        let (Some(kept), Some(earlier)) = (self.kept, &self.earlier) else { return false };
        // Once it is attached it is of this plan; a later one needs no word of ours.
        let renewed = kept.renewed.is_none()
            || earlier.plan == self.claim.plan
            || !Age::of_claim(&self.claim).is_later(&Age::of_claim(earlier));
        plan.set.is_empty() && renewed && earlier.claims_all_of(&self.claim)
    }

    /// The record with what is about to happen to the tags.
    fn claiming(&self, plan: &TagPlan<TagState>) -> PublicationClaim {
        let repository = self.access.repository;
        let published = |tag: usize, from: Option<&TagState>| {
            let moved_from = from.map(|from| from.digest.clone());
            Some(PublishedTag {
                repository: repository.clone(),
                name: self.access.name(tag)?.clone(),
                moved_from,
            })
        };
        let set = plan.set.iter().filter_map(|(tag, from)| published(*tag, from.as_ref()));
        let kept = plan.keep.iter().filter_map(|tag| published(*tag, None));
        let tags = set.chain(kept).collect();
        // What is held is claimed by nobody else, so it is not given away either.
        let skipped = plan.skip.iter().filter(|(_, held)| held.hold.is_none());
        let skipped = skipped.filter_map(|(tag, _)| self.access.name(*tag).cloned()).collect();
        let claim = PublicationClaim { tags, skipped, published: self.clock.precise(), ..self.claim.clone() }
            .remember(self.earlier.as_ref());
        match self.earlier.as_ref().filter(|_| self.kept.is_some()) {
            Some(earlier) => claim.with_claims_of(earlier),
            None => claim,
        }
    }
}

impl TagStore for RepositoryTags<'_> {
    type Held = TagState;

    fn read(&self, tags: &[usize]) -> Result<Vec<Option<TagState>>> {
        self.access.read(tags)
    }

    fn set(&mut self, tag: usize, to: &TagState) -> Result<bool> {
        let Some(name) = self.access.name(tag).cloned() else { return Ok(true) };
        if to.digest == *self.rules.candidate.digest {
            return self.access.patience.set(|| self.index.tag(&name));
        }
        if !self.access.set(tag, &to.digest)? {
            return Ok(false);
        }
        self.ui.warn(format!(
            "{}:{name} goes to {}: a newer publication had set it at the same moment",
            self.access.repository,
            to.digest.short()
        ));
        Ok(true)
    }

    /// Before the first tag moves: what it held is known now, and to nobody after a kill.
    fn attach(&mut self, plan: &TagPlan<TagState>) -> Result<()> {
        for (tag, from) in &plan.set {
            if let Some(remark) = from.as_ref().and_then(|from| self.rules.remark(*tag, from)) {
                self.ui.note(format!("{}: {remark}", self.access.repository));
            }
        }
        if !plan.set.is_empty()
            && let Some(prove) = self.prove.take()
        {
            prove()?;
        }
        // A registry that lags may have shown the index of a killed merge as missing, but a tag that holds it tells.
        if let (Some(records), None) = (self.access.holders.records, &self.earlier)
            && (!self.new || !plan.keep.is_empty())
        {
            let Candidate { digest, .. } = self.rules.candidate;
            self.earlier = records.of_plan(self.access.repository, digest, &self.claim.plan)?;
        }
        self.claim = self.claiming(plan);
        if self.says_enough(plan) {
            return Ok(());
        }
        // The record of an index that is kept may be of an earlier plan.
        let same = |earlier: &PublicationClaim| {
            earlier.plan == self.claim.plan
                && earlier.tags == self.claim.tags
                && earlier.skipped == self.claim.skipped
        };
        if self.earlier.as_ref().is_some_and(same) {
            return Ok(());
        }
        if let Some(records) = self.access.holders.records {
            records.write(self.access.repository, &self.claim)?;
            if self.kept.is_some() {
                records.drop_older(self.access.repository, &self.claim)?;
            }
        }
        // The next round finds tags set already, and has to know what they held before.
        self.earlier = Some(self.claim.clone());
        Ok(())
    }

    fn claims(&self, of: &TagState) -> Result<Vec<usize>> {
        if self.access.holders.records.is_none() {
            self.ui.warn(format!(
                "{}: a newer publication, {}, has other tags of this cell; without signatures there is no record that says which: merge it again to be sure",
                self.access.repository, of.digest.short()
            ));
        }
        self.access.claims(&of.digest)
    }
}
