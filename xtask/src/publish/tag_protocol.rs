//! How tags are set although others may set them at the same moment: what is asked, in which words, and by whom.
//!
//! A [`Participant`] decides and does nothing: it says what it wants next, is told the answer, and decides again. [`run`]
//! asks a registry for it; `tests/tag_races.rs` walks every state that several of them can reach together.

use anyhow::Result;

use crate::base::error::UserError;

/// How often all tags are read, to decide or to look, before we say that somebody else keeps moving them.
const ROUNDS: usize = 40;

/// What a tag holds, seen from the publication that wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing.
    Empty,
    /// The publication itself.
    Ours,
    /// A publication that ours replaces.
    Older,
    /// A publication that stays.
    Newer,
    /// Another publication, and the tag is immutable.
    Conflict,
}

/// Which publication has the better right to a tag. Tags are meant by their place in the plan, from 0.
pub trait Rules {
    /// What a tag can hold.
    type Held: Clone + PartialEq;

    /// How many tags there are.
    fn tags(&self) -> usize;

    /// Judges what a tag holds before it is set.
    fn before(&self, tag: usize, held: Option<&Self::Held>) -> Standing;

    /// Judges what a tag holds after it was set. Of two that count as equally new before, one has to yield now.
    fn after(&self, tag: usize, held: Option<&Self::Held>) -> Standing;

    /// Whether one publication has a better right to a tag than another: a total order, so that two never yield to each
    /// other.
    fn supersedes(&self, tag: usize, one: &Self::Held, other: &Self::Held) -> bool;

    /// Whether a tag may be given to another publication: an immutable one may not.
    fn may_yield(&self, tag: usize) -> bool;

    /// The publication that wants the tags.
    fn ours(&self) -> Self::Held;
}

/// What is to become of the tags, by what they hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TagPlan<H> {
    /// To be set, in this order, with what each holds.
    pub set: Vec<(usize, Option<H>)>,
    /// Already right.
    pub keep: Vec<usize>,
    /// Held by a publication that counts as newer: not moved.
    pub skip: Vec<(usize, H)>,
}

impl<H> Default for TagPlan<H> {
    fn default() -> Self {
        Self { set: Vec::new(), keep: Vec::new(), skip: Vec::new() }
    }
}

/// What is wanted next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request<H> {
    /// Read these tags, in any order or side by side.
    Read(Vec<usize>),
    /// Attach the publication record: it says which tags move, and what they hold now.
    Attach(TagPlan<H>),
    /// Set a tag to a publication.
    Set(usize, H),
    /// Read which tags the records of a publication claim.
    Claims(H),
    /// Nothing: it is done.
    End,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer<H> {
    /// What the tags hold, in the order of the request.
    Held(Vec<Option<H>>),
    /// It is done.
    Done,
    /// A tag could not be set for now. It may hold what it held, what it was to be set to, or something else.
    Failed,
    /// The tags that a publication claims.
    Claims(Vec<usize>),
}

/// Something that sets tags, one question after the other.
pub trait Participant<R: Rules> {
    /// What is wanted next.
    fn request(&self, rules: &R) -> Request<R::Held>;

    /// Takes the answer to the last request.
    #[must_use]
    fn answer(self, rules: &R, answer: Answer<R::Held>) -> Self;

    /// Whether all tags are about to be read, to decide about them or to look at what became of them.
    fn begins_round(&self) -> bool;
}

/// What [`run`] needs of a registry.
pub trait TagStore {
    /// What a tag can hold.
    type Held;

    /// What tags hold.
    ///
    /// # Errors
    /// If the registry does not tell.
    fn read(&self, tags: &[usize]) -> Result<Vec<Option<Self::Held>>>;

    /// Sets a tag to a publication. `false`: not for now, and it has to be read again.
    ///
    /// # Errors
    /// If the registry refuses, or has failed too often.
    fn set(&mut self, tag: usize, to: &Self::Held) -> Result<bool>;

    /// Attaches the record of what is about to happen.
    ///
    /// # Errors
    /// If it cannot be attached.
    fn attach(&mut self, plan: &TagPlan<Self::Held>) -> Result<()>;

    /// The tags that the records of a publication claim, as far as they are tags of ours.
    ///
    /// # Errors
    /// If they cannot be read.
    fn claims(&self, of: &Self::Held) -> Result<Vec<usize>>;
}

/// Does what a participant wants until it wants nothing more.
///
/// # Errors
/// If a call fails, or if somebody else keeps moving the tags.
pub fn run<R, S, P>(store: &mut S, rules: &R, mut participant: P) -> Result<P>
where
    R: Rules,
    S: TagStore<Held = R::Held>,
    P: Participant<R>,
{
    let mut rounds = 0;
    loop {
        rounds += usize::from(participant.begins_round());
        if rounds > ROUNDS {
            return Err(UserError::failed("the tags keep moving: another publication sets them")
                .help("let one finish, then run this again: it goes on where it stopped")
                .into());
        }
        let answer = match participant.request(rules) {
            Request::Read(tags) => Answer::Held(store.read(&tags)?),
            Request::Attach(plan) => store.attach(&plan).map(|()| Answer::Done)?,
            Request::Set(tag, to) if store.set(tag, &to)? => Answer::Done,
            Request::Set(..) => Answer::Failed,
            Request::Claims(of) => Answer::Claims(store.claims(&of)?),
            Request::End => return Ok(participant),
        };
        participant = participant.answer(rules, answer);
    }
}
