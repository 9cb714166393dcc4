//! What a publication does that finds a newer one at its tags: what was written over the newer one is given to it.
//!
//! The newer one has perhaps ended and will not look again. Only what we have written ourselves is taken back, now, in an
//! earlier round or by a merge of ours that was killed; what somebody else has written is theirs to mend. After the last
//! tag was given away all are read again, since a third one may have published meanwhile.

use crate::publish::tag_protocol::{Answer, Request, Rules};

/// What all tags held after they were set, and what the newer publications at them claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Look<H> {
    held: Vec<Option<H>>,
    newer: Vec<H>,
    /// Of those that were asked about.
    claims: Vec<Vec<usize>>,
    gifts: Vec<Gift<H>>,
    /// The place of the gift whose turn it is.
    next: usize,
    /// The tag of that gift was read, and holds what it held.
    confirmed: bool,
}

/// A tag that goes to a newer publication.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Gift<H> {
    tag: usize,
    from: H,
    to: H,
}

/// What comes after an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Next<H> {
    /// There is more to ask or to give.
    On(Look<H>),
    /// Tags were given away: all have to be read again.
    LookAgain,
    /// Nothing is to be given away: the tags hold this.
    Settled(Vec<Option<H>>),
}

impl<H: Clone + PartialEq> Look<H> {
    /// With what the tags hold, and the newer publications among that. `mine` says which of it we have written.
    pub fn begin(
        rules: &impl Rules<Held = H>,
        held: Vec<Option<H>>,
        newer: Vec<H>,
        mine: impl Fn(usize, &H) -> bool,
    ) -> Next<H> {
        let look = Self { held, newer, claims: Vec::new(), gifts: Vec::new(), next: 0, confirmed: false };
        look.decide(rules, mine)
    }

    /// What is wanted next.
    pub fn request(&self) -> Request<H> {
        match (self.newer.get(self.claims.len()), self.gifts.get(self.next)) {
            (Some(newer), _) => Request::Claims(newer.clone()),
            (None, Some(gift)) if self.confirmed => Request::Set(gift.tag, gift.to.clone()),
            (None, Some(gift)) => Request::Read(vec![gift.tag]),
            (None, None) => Request::End,
        }
    }

    /// The tag that was given away, if that was just done, and what it was given to.
    pub fn given(&self, answer: &Answer<H>) -> Option<(usize, H)> {
        let gift = self.gifts.get(self.next).filter(|_| self.confirmed)?;
        // Also if it failed: perhaps nobody has heard that it was done.
        matches!(answer, Answer::Done | Answer::Failed).then(|| (gift.tag, gift.to.clone()))
    }

    /// Takes the answer to the last request.
    pub fn answer(
        mut self,
        rules: &impl Rules<Held = H>,
        answer: Answer<H>,
        mine: impl Fn(usize, &H) -> bool,
    ) -> Next<H> {
        match answer {
            Answer::Claims(claims) => {
                self.claims.push(claims);
                return self.decide(rules, mine);
            }
            Answer::Held(held) => {
                let expected = self.gifts.get(self.next).map(|gift| &gift.from);
                self.confirmed = held.first().is_some_and(|held| held.as_ref() == expected);
                self.next += usize::from(!self.confirmed);
            }
            Answer::Done => {
                self.confirmed = false;
                self.next += 1;
            }
            Answer::Failed => self.confirmed = false,
        }
        if self.next < self.gifts.len() { Next::On(self) } else { Next::LookAgain }
    }

    /// Once it is known what every newer publication claims: which tags go to which.
    fn decide(mut self, rules: &impl Rules<Held = H>, mine: impl Fn(usize, &H) -> bool) -> Next<H> {
        if self.claims.len() < self.newer.len() {
            return Next::On(self);
        }
        for (tag, found) in self.held.iter().enumerate() {
            let Some(found) = found.as_ref().filter(|found| rules.may_yield(tag) && mine(tag, found)) else {
                continue;
            };
            let claimants = self.newer.iter().zip(&self.claims).filter(|(_, claims)| claims.contains(&tag));
            let better =
                claimants.map(|(newer, _)| newer).filter(|newer| rules.supersedes(tag, newer, found));
            let best = better.reduce(|one, two| if rules.supersedes(tag, two, one) { two } else { one });
            self.gifts.extend(best.map(|best| Gift { tag, from: found.clone(), to: best.clone() }));
        }
        if self.gifts.is_empty() { Next::Settled(self.held) } else { Next::On(self) }
    }
}
