//! The way back: tags of a publication go to what they held before, although others may publish at the same moment.
//!
//! Tags go back one by one, each only if it still holds the publication that is taken back. A newer publication that is
//! seen at any of them gets the tags that it claims: whoever went back did not mean that one.

use crate::publish::tag_protocol::{Answer, Participant, Request, Rules, Standing};
use crate::publish::yielding::{Look, Next};

/// Tags on their way back. [`Rules::ours`] is the publication that is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Untagging<H> {
    /// The tags in the order in which they go back, and what to.
    moves: Vec<(usize, H)>,
    /// Those that went.
    done: Vec<(usize, H)>,
    phase: Phase<H>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase<H> {
    /// Reads the n-th tag just before it is set.
    Checking(usize),
    Setting(usize),
    /// Reads all tags: what do they hold now?
    Looking,
    Yielding(Look<H>),
    Over(Vec<Option<H>>),
}

impl<H: Clone + PartialEq> Untagging<H> {
    /// Of these tags, in this order, to what each is to hold.
    pub fn new(moves: Vec<(usize, H)>) -> Self {
        Self { moves, done: Vec::new(), phase: Phase::Checking(0) }
    }

    /// The tags that hold something else than they went back to, or did not go at all, and what they hold. None while it
    /// goes on.
    pub fn disturbed(&self) -> Option<Vec<(usize, Option<H>)>> {
        let Phase::Over(held) = &self.phase else { return None };
        let now = |tag: usize| held.get(tag).cloned().flatten();
        let differs = |(tag, to): &&(usize, H)| now(*tag).as_ref() != Some(to);
        Some(self.moves.iter().filter(differs).map(|(tag, _)| (*tag, now(*tag))).collect())
    }

    fn check(&self, n: usize) -> Phase<H> {
        if n < self.moves.len() { Phase::Checking(n) } else { Phase::Looking }
    }

    fn look(&self, rules: &impl Rules<Held = H>, held: Vec<Option<H>>) -> Phase<H> {
        let mut newer: Vec<H> = Vec::new();
        for (tag, found) in held.iter().enumerate() {
            if let (Standing::Newer, Some(found)) = (rules.after(tag, found.as_ref()), found)
                && !newer.contains(found)
            {
                newer.push(found.clone());
            }
        }
        after(Look::begin(rules, held, newer, |tag, held| self.is_mine(tag, held)))
    }

    /// Whether what a tag holds was written by us.
    fn is_mine(&self, tag: usize, held: &H) -> bool {
        self.done.iter().any(|(done, to)| *done == tag && to == held)
    }
}

impl<R: Rules> Participant<R> for Untagging<R::Held> {
    fn request(&self, rules: &R) -> Request<R::Held> {
        let of = |n: usize| self.moves.get(n);
        match &self.phase {
            Phase::Checking(n) => Request::Read(of(*n).map(|(tag, _)| *tag).into_iter().collect()),
            Phase::Setting(n) => of(*n).map_or(Request::End, |(tag, to)| Request::Set(*tag, to.clone())),
            Phase::Looking => Request::Read((0..rules.tags()).collect()),
            Phase::Yielding(look) => look.request(),
            Phase::Over(_) => Request::End,
        }
    }

    fn answer(mut self, rules: &R, answer: Answer<R::Held>) -> Self {
        self.phase = match (self.phase.clone(), answer) {
            (Phase::Checking(n), Answer::Held(held)) => {
                if held.first().is_some_and(|held| held.as_ref() == Some(&rules.ours())) {
                    Phase::Setting(n)
                } else {
                    self.check(n + 1)
                }
            }
            (Phase::Setting(n), Answer::Done) => {
                self.done.extend(self.moves.get(n).cloned());
                self.check(n + 1)
            }
            // Perhaps it was set, and nobody has heard of it.
            (Phase::Setting(n), Answer::Failed) => {
                self.done.extend(self.moves.get(n).cloned());
                Phase::Checking(n)
            }
            (Phase::Looking, Answer::Held(held)) => self.look(rules, held),
            (Phase::Yielding(look), answer) => {
                self.done.extend(look.given(&answer));
                after(look.answer(rules, answer, |tag, held| self.is_mine(tag, held)))
            }
            // No answer to the open question: it is asked again.
            (phase, _) => phase,
        };
        self
    }

    fn begins_round(&self) -> bool {
        matches!(self.phase, Phase::Looking)
    }
}

fn after<H>(next: Next<H>) -> Phase<H> {
    match next {
        Next::On(look) => Phase::Yielding(look),
        Next::LookAgain => Phase::Looking,
        Next::Settled(held) => Phase::Over(held),
    }
}
