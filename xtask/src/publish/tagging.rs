//! Steps 7 and 8 of a publication: the tags of a cell in one repository, although others may publish at the same moment.
//!
//! No registry can compare and swap a tag. What is done instead: each tag is read just before it is set, and all of them
//! are read after all are set. Then of two publications that share two tags at least one sees the other, and both know
//! by the same rule who has to yield. `docs/publication.md` has the argument, and what remains.

use crate::publish::tag_protocol::{Answer, Participant, Request, Rules, Standing, TagPlan};
use crate::publish::yielding::{Look, Next};

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome<H> {
    /// The tags were set.
    Tagged {
        /// What was planned in the last round.
        plan: TagPlan<H>,
        /// The tags that hold the publication, in the order in which they are set.
        held: Vec<usize>,
        /// What the others hold: a newer publication, which was there before or came meanwhile.
        lost: Vec<(usize, H)>,
    },
    /// An immutable tag holds something else.
    Conflict {
        /// The tag.
        tag: usize,
        /// What it holds.
        held: H,
        /// It was set by us a moment ago.
        late: bool,
    },
}

/// The tags of one publication: which question is open, and what has been decided so far.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tagging<H> {
    phase: Phase<H>,
    /// What was given to newer publications, by tag.
    given: Vec<(usize, H)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase<H> {
    /// Reads all tags, to decide.
    Deciding,
    Attaching(TagPlan<H>),
    /// Reads all tags again: to attach takes a while.
    Confirming(TagPlan<H>),
    /// Reads the n-th tag of `set` just before it is set.
    Checking(TagPlan<H>, usize),
    Setting(TagPlan<H>, usize),
    /// Reads all tags: what do they hold now?
    Looking(TagPlan<H>),
    /// A newer publication was seen.
    Yielding(TagPlan<H>, Look<H>),
    Over(Outcome<H>),
}

impl<H> Default for Tagging<H> {
    fn default() -> Self {
        Self { phase: Phase::Deciding, given: Vec::new() }
    }
}

impl<H> Tagging<H> {
    /// How it ended; none while it goes on.
    pub fn outcome(self) -> Option<Outcome<H>> {
        match self.phase {
            Phase::Over(outcome) => Some(outcome),
            _ => None,
        }
    }
}

impl<R: Rules> Participant<R> for Tagging<R::Held> {
    fn request(&self, rules: &R) -> Request<R::Held> {
        let one = |plan: &TagPlan<R::Held>, n: usize| plan.set.get(n).map(|(tag, _)| *tag).into_iter();
        match &self.phase {
            Phase::Deciding | Phase::Confirming(_) | Phase::Looking(_) => {
                Request::Read((0..rules.tags()).collect())
            }
            Phase::Attaching(plan) => Request::Attach(plan.clone()),
            Phase::Checking(plan, n) => Request::Read(one(plan, *n).collect()),
            Phase::Setting(plan, n) => {
                one(plan, *n).next().map_or(Request::End, |tag| Request::Set(tag, rules.ours()))
            }
            Phase::Yielding(_, look) => look.request(),
            Phase::Over(_) => Request::End,
        }
    }

    fn answer(self, rules: &R, answer: Answer<R::Held>) -> Self {
        let Self { phase, mut given } = self;
        let phase = match (phase, answer) {
            (Phase::Deciding, Answer::Held(held)) => {
                decide(rules, &held).map_or_else(Phase::Over, Phase::Attaching)
            }
            (Phase::Attaching(plan), Answer::Done) => Phase::Confirming(plan),
            (Phase::Confirming(plan), Answer::Held(held)) => match decide(rules, &held) {
                Ok(now) if now == plan => check(plan, 0),
                // A tag that moved meanwhile was replaced by somebody who is not in the record yet.
                Ok(_) => Phase::Deciding,
                Err(conflict) => Phase::Over(conflict),
            },
            (Phase::Checking(plan, n), Answer::Held(held)) => {
                let expected = plan.set.get(n).map(|(_, from)| from);
                // The same index may have become current again: its records are read anew.
                let tag = plan.set.get(n).map(|(tag, _)| *tag);
                let yields =
                    |tag: usize| rules.before(tag, held.first().and_then(Option::as_ref)) == Standing::Newer;
                let stands = held.first() == expected && !tag.is_some_and(yields);
                if stands { Phase::Setting(plan, n) } else { Phase::Deciding }
            }
            (Phase::Setting(plan, n), Answer::Done) => check(plan, n + 1),
            (Phase::Setting(plan, n), Answer::Failed) => Phase::Checking(plan, n),
            (Phase::Looking(plan), Answer::Held(held)) => look(rules, plan, held, &given),
            (Phase::Yielding(plan, look), answer) => {
                given.extend(look.given(&answer));
                let next = look.answer(rules, answer, |tag, held| is_mine(rules, &given, tag, held));
                after(rules, plan, next)
            }
            // No answer to the open question: it is asked again.
            (phase, _) => phase,
        };
        Self { phase, given }
    }

    fn begins_round(&self) -> bool {
        matches!(self.phase, Phase::Deciding | Phase::Looking(_))
    }
}

/// Whether what a tag holds was written by us: the publication itself, or a newer one that it was given to.
fn is_mine<R: Rules>(rules: &R, given: &[(usize, R::Held)], tag: usize, held: &R::Held) -> bool {
    *held == rules.ours() || given.iter().any(|(to, what)| *to == tag && what == held)
}

/// What is to become of each tag.
fn decide<R: Rules>(rules: &R, held: &[Option<R::Held>]) -> Result<TagPlan<R::Held>, Outcome<R::Held>> {
    let mut plan = TagPlan::default();
    for (tag, held) in held.iter().enumerate() {
        match (rules.before(tag, held.as_ref()), held) {
            (Standing::Conflict, Some(held)) => {
                return Err(Outcome::Conflict { tag, held: held.clone(), late: false });
            }
            (Standing::Newer, Some(held)) => plan.skip.push((tag, held.clone())),
            (Standing::Ours, _) => plan.keep.push(tag),
            _ => plan.set.push((tag, held.clone())),
        }
    }
    Ok(plan)
}

/// The n-th tag to set, else the look at all of them.
fn check<H>(plan: TagPlan<H>, n: usize) -> Phase<H> {
    if n < plan.set.len() { Phase::Checking(plan, n) } else { Phase::Looking(plan) }
}

/// Judges what the tags hold after they were set.
fn look<R: Rules>(
    rules: &R,
    plan: TagPlan<R::Held>,
    held: Vec<Option<R::Held>>,
    given: &[(usize, R::Held)],
) -> Phase<R::Held> {
    let mut newer: Vec<R::Held> = Vec::new();
    for (tag, found) in held.iter().enumerate() {
        let skipped = plan.skip.iter().any(|(skipped, _)| *skipped == tag);
        match (rules.after(tag, found.as_ref()), found) {
            (Standing::Conflict, Some(found)) => {
                return Phase::Over(Outcome::Conflict { tag, held: found.clone(), late: true });
            }
            (Standing::Newer, Some(found)) if !newer.contains(found) => newer.push(found.clone()),
            // An older publication was written over ours at the same moment.
            (Standing::Empty | Standing::Older, _) if !skipped => return Phase::Deciding,
            _ => {}
        }
    }
    let next = Look::begin(rules, held, newer, |tag, held| is_mine(rules, given, tag, held));
    after(rules, plan, next)
}

fn after<R: Rules>(rules: &R, plan: TagPlan<R::Held>, next: Next<R::Held>) -> Phase<R::Held> {
    match next {
        Next::On(look) => Phase::Yielding(plan, look),
        Next::LookAgain => Phase::Looking(plan),
        Next::Settled(held) => Phase::Over(tagged(&rules.ours(), plan, held)),
    }
}

fn tagged<H: PartialEq>(ours: &H, plan: TagPlan<H>, found: Vec<Option<H>>) -> Outcome<H> {
    let in_order = plan.set.iter().map(|(tag, _)| *tag).chain(plan.keep.iter().copied());
    let is_ours = |tag: &usize| found.get(*tag).is_some_and(|found| found.as_ref() == Some(ours));
    let held: Vec<usize> = in_order.filter(is_ours).collect();
    let others = found.into_iter().enumerate().filter(|(tag, _)| !held.contains(tag));
    let lost = others.filter_map(|(tag, found)| Some((tag, found?))).collect();
    Outcome::Tagged { plan, held, lost }
}
