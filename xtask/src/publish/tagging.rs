//! Steps 7 and 8 of a publication: the tags of a cell in one repository, although others may publish at the same moment.
//!
//! No registry can compare and swap a tag. What is done instead: each tag is read just before it is set and once more
//! after all are set. Then of two publications that share two tags at least one sees the other, and both know by the
//! same rule who has to give way. `docs/publication.md` has the argument.

use anyhow::Result;

use crate::base::error::Fault;
use crate::base::ids::{Digest, Repository, Tag};
use crate::base::parallel;
use crate::base::record::Publication;
use crate::plan::Cell;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::pinned_index::PinnedIndex;
use crate::publish::tag_rules::{self, Later, Moves, Ours, TagState};
use crate::registry::Registry;
use crate::session::Session;

/// How often the tags are set before we say that somebody else keeps moving them.
const ROUNDS: usize = 20;

/// How many tags of one repository are read side by side.
const READERS: usize = 4;

/// The tags of one cell in one repository.
pub(crate) struct Tagging<'a> {
    pub(crate) session: &'a Session,
    pub(crate) registry: &'a Registry,
    pub(crate) cell: &'a Cell,
    pub(crate) repository: &'a Repository,
    pub(crate) ours: Ours<'a>,
    /// Its index, to set tags to.
    pub(crate) exact: PinnedIndex<'a>,
    /// Where records are attached; nowhere if nothing is signed.
    pub(crate) attached: Option<AttestationStore<'a>>,
}

/// What the tags hold after they were set.
#[derive(Default)]
struct Look {
    /// Something older was written over ours.
    overwritten: Vec<Tag>,
    /// Held by what counts as newer, and why it does.
    lost: Vec<(Tag, String)>,
    /// The newer publications that were seen.
    newer: Vec<TagState>,
}

impl Tagging<'_> {
    /// Sets the tags that may move, until all of them hold what they should. `new` says that the index was not in the
    /// repository before, so that it can have no record yet.
    ///
    /// # Errors
    /// If a call fails, if an immutable tag would have to move, or if somebody else keeps moving the tags.
    pub(crate) fn run(&self, mut publication: Publication, new: bool) -> Result<Publication> {
        let mut attached = if new { None } else { self.read_attached(&publication)? };
        for _ in 0..ROUNDS {
            let moves = self.decide()?;
            publication.tags = moves.tags(self.repository);
            // Before the first tag moves: what it held is known now, and to nobody after a kill.
            publication = self.attach(publication, &mut attached)?;
            // To attach takes a while. A tag that moved meanwhile was replaced by somebody who is not in the record yet.
            if self.decide()? != moves || !self.set(&moves)? {
                continue;
            }
            let look = self.look(&moves)?;
            if let [first, ..] = look.overwritten.as_slice() {
                self.session.ui.note(format!(
                    "{}: an older publication was written over ours at the same moment; setting the tags again",
                    self.repository.tagged(first)
                ));
                continue;
            }
            let given = self.give_way(&look)?;
            for (tag, reason) in moves.stay.iter().chain(&look.lost) {
                self.session.ui.warn(format!(
                    "{}:{tag} stays: it holds {reason} (--allow-downgrade moves it all the same)",
                    self.repository
                ));
            }
            let kept = |tag: &Tag| !look.lost.iter().any(|(lost, _)| lost == tag) && !given.contains(tag);
            publication.tags.retain(|tag| kept(&tag.name));
            return Ok(publication);
        }
        Err(Fault::failed(format!(
            "the tags of {} keep moving: another publication sets them",
            self.repository
        ))
        .help("let one finish, then run this again: it goes on where it stopped")
        .into())
    }

    /// Sets what is to be set, tag after tag, each only if it still holds what it held when that was decided. Says
    /// whether all did.
    fn set(&self, moves: &Moves) -> Result<bool> {
        for remark in &moves.remarks {
            self.session.ui.note(format!("{}: {remark}", self.repository));
        }
        for (tag, before) in &moves.set {
            if self.state(tag)?.map(|state| state.digest) != *before {
                return Ok(false);
            }
            self.exact.tag(tag)?;
        }
        Ok(true)
    }

    /// Judges what the tags hold now.
    fn look(&self, moves: &Moves) -> Result<Look> {
        let mut look = Look::default();
        for (tag, state) in self.cell.tags.iter().zip(self.states()?) {
            let stayed = moves.stay.iter().any(|(name, _)| *name == tag.name);
            match tag_rules::later(tag, self.ours, state.as_ref())? {
                Later::Ours => {}
                Later::Overwritten if stayed => {}
                Later::Overwritten => look.overwritten.push(tag.name.clone()),
                Later::Lost { reason } => {
                    look.newer.extend(state);
                    if !stayed {
                        look.lost.push((tag.name.clone(), reason));
                    }
                }
            }
        }
        // Of several the newest has the last word.
        look.newer.sort_by(|one, two| (&one.planned, &one.digest).cmp(&(&two.planned, &two.digest)));
        look.newer.dedup();
        Ok(look)
    }

    /// Gives a newer publication the tags that it claims and that ours were written over: now, in an earlier round, or
    /// by a merge that was killed. It has ended perhaps and will not look again. Returns the tags that were given.
    fn give_way(&self, look: &Look) -> Result<Vec<Tag>> {
        let mut given = Vec::new();
        for newer in &look.newer {
            let Some(attached) = &self.attached else {
                self.session.ui.warn(format!(
                    "{}: a newer publication, {}, has other tags of this cell; without signatures there is no record that says which: merge it again to be sure",
                    self.repository, newer.digest.short()
                ));
                continue;
            };
            let Some(record) = attached.read(self.repository, &newer.digest)?.pop() else { continue };
            let held = self.registry.require(self.repository, &newer.digest)?;
            let theirs = PinnedIndex::new(self.registry, self.repository, held);
            for planned in self.cell.tags.iter().filter(|tag| !tag.immutable) {
                let tag = &planned.name;
                let claimed = record.tags_in(self.repository).any(|theirs| theirs.name == *tag);
                if claimed
                    && tag_rules::wins(planned, newer, self.ours)
                    && self.state(tag)?.is_some_and(|state| state.digest == *self.ours.digest)
                {
                    theirs.tag(tag)?;
                    self.session.ui.warn(format!(
                        "{}:{tag} goes to {}: a newer publication had set it at the same moment",
                        self.repository,
                        newer.digest.short()
                    ));
                    given.push(tag.clone());
                }
            }
        }
        Ok(given)
    }

    /// The record that the index has of this plan: it knows what the tags held before, since they may be set already.
    fn read_attached(&self, publication: &Publication) -> Result<Option<Publication>> {
        let Some(attached) = &self.attached else { return Ok(None) };
        let mut earlier = attached.read(self.repository, &publication.digest)?;
        earlier.retain(|record| record.plan == publication.plan);
        Ok(earlier.pop())
    }

    /// Attaches a record, unless the index has one that says the same.
    fn attach(&self, publication: Publication, earlier: &mut Option<Publication>) -> Result<Publication> {
        let Some(attached) = &self.attached else { return Ok(publication) };
        let publication = publication.remember(earlier.as_ref());
        if earlier.as_ref().is_none_or(|record| record.tags != publication.tags) {
            attached.write(self.repository, &publication)?;
            *earlier = Some(publication.clone());
        }
        Ok(publication)
    }

    fn decide(&self) -> Result<Moves> {
        let mut moves = Moves::default();
        for (tag, state) in self.cell.tags.iter().zip(self.states()?) {
            moves.add(&tag.name, tag_rules::decide(tag, self.ours, state.as_ref())?);
        }
        Ok(moves)
    }

    /// What each tag of the cell holds.
    fn states(&self) -> Result<Vec<Option<TagState>>> {
        parallel::map(&self.cell.tags, READERS, |tag| self.state(&tag.name)).into_iter().collect()
    }

    fn state(&self, tag: &Tag) -> Result<Option<TagState>> {
        Ok(self.registry.read(&self.repository.tagged(tag))?.as_ref().map(TagState::from))
    }
}

/// Confirms that a tag holds what it was set to.
///
/// # Errors
/// If it does not.
pub(crate) fn read_back(
    registry: &Registry,
    repository: &Repository,
    tag: &Tag,
    digest: &Digest,
) -> Result<()> {
    match registry.read(&repository.tagged(tag))? {
        Some(held) if held.digest == *digest => Ok(()),
        Some(held) => Err(Fault::failed(format!(
            "{} was set to {digest} and holds {}",
            repository.tagged(tag),
            held.digest
        ))
        .help("another publication may have moved it meanwhile")
        .into()),
        None => Err(Fault::failed(format!("{} was set and is not there", repository.tagged(tag))).into()),
    }
}
