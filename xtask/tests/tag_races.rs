//! Every state that publications of one cell can reach together, for the very loop that sets their tags.
//!
//! A registry cannot compare and swap a tag, so some orders of reads and writes must end wrong. Which ones is counted here:
//! all reachable states, not a sample of the orders. What the numbers mean is told in `docs/publication.md`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

use expect_test::expect;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};
use std::rc::Rc;

use xtask_images::base::ids::Digest;
use xtask_images::plan::PlannedTag;
use xtask_images::publish::tag_protocol::{Answer, Participant, Request, Rules, Standing};
use xtask_images::publish::tag_rules::{Age, Candidate, Holder, TagRules, TagState};
use xtask_images::publish::tagging::{Outcome, Tagging};
use xtask_images::publish::untagging::Untagging;

/// A publication by its number; 0 was there before all others.
type Publication = u8;

/// The most tags and the most participants of a scenario.
const MOST: usize = 3;

/// How new each publication is for each tag: `ranks[tag][publication]`.
type Ranks = &'static [&'static [u8]];

#[derive(Clone, Copy)]
struct Order {
    ours: Publication,
    ranks: Ranks,
    /// See [`Scenario::keepers`].
    keepers: &'static [Publication],
}

impl Order {
    fn rank(&self, tag: usize, of: Publication) -> u8 {
        self.ranks[tag][usize::from(of)]
    }
}

impl Order {
    /// Whether a number stands for the index that is kept.
    fn is_kept(&self, of: Publication) -> bool {
        !self.keepers.is_empty() && (of == 0 || self.keepers.contains(&of))
    }
}

impl Rules for Order {
    type Held = Publication;

    fn tags(&self) -> usize {
        self.ranks.len()
    }

    fn before(&self, tag: usize, held: Option<&Publication>) -> Standing {
        match held {
            None => Standing::Empty,
            Some(held) if *held == self.ours => Standing::Ours,
            Some(held) if self.is_kept(*held) && self.is_kept(self.ours) => Standing::Ours,
            Some(held) if self.rank(tag, *held) > self.rank(tag, self.ours) => Standing::Newer,
            Some(_) => Standing::Older,
        }
    }

    fn after(&self, tag: usize, held: Option<&Publication>) -> Standing {
        match held {
            Some(held) if *held != self.ours && self.supersedes(tag, held, &self.ours) => Standing::Newer,
            other => self.before(tag, other),
        }
    }

    fn supersedes(&self, tag: usize, one: &Publication, other: &Publication) -> bool {
        (self.rank(tag, *one), *one) > (self.rank(tag, *other), *other)
    }

    fn may_yield(&self, _: usize) -> bool {
        true
    }

    fn ours(&self) -> Publication {
        self.ours
    }
}

/// What one participant knows and wants.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Actor {
    Merge(Tagging<Publication>),
    Rollback(Untagging<Publication>),
    Killed,
}

impl Actor {
    fn request(&self, rules: &Order) -> Request<Publication> {
        match self {
            Self::Merge(tagging) => tagging.request(rules),
            Self::Rollback(untagging) => untagging.request(rules),
            Self::Killed => Request::End,
        }
    }

    fn answer(self, rules: &Order, answer: Answer<Publication>) -> Self {
        match self {
            Self::Merge(tagging) => Self::Merge(tagging.answer(rules, answer)),
            Self::Rollback(untagging) => Self::Rollback(untagging.answer(rules, answer)),
            Self::Killed => Self::Killed,
        }
    }
}

/// What happens: who takes part, in which order the publications stand, and what goes wrong.
#[derive(Clone, Copy)]
struct Scenario {
    ranks: Ranks,
    /// Publication 1 is published already, and somebody goes back from it to 0; the merges are of the others.
    rollback: bool,
    /// The participants that publish nothing new but keep publication 0, and say so in a new record: from then on what held
    /// it holds a publication that is as new as the newest of them.
    keepers: &'static [Publication],
    /// How many participants may be killed.
    kills: u8,
    /// How many reads may be answered with what the tag held before it was last set.
    stale: u8,
    /// Reads that are asked for together are answered in any order, else in that of the tags.
    any_order: bool,
}

/// A state of the registry and of all participants, small enough to keep millions.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    tags: [Publication; MOST],
    /// What each tag held before it was last set; kept only where a read may be stale.
    before: [Publication; MOST],
    /// The tags that the record of each publication claims, a bit each.
    claims: [u8; MOST + 1],
    /// The state of each participant, by its number among those that were seen.
    actors: [u16; MOST],
    /// The answers to open reads: 0 is none yet, else the publication and 1.
    reads: [[u8; MOST]; MOST],
    kills: u8,
    stale: u8,
}

/// The states of participants that were seen, each once, and where each answer leads.
#[derive(Default)]
struct Actors {
    seen: Vec<(Actor, Rc<Request<Publication>>)>,
    numbers: HashMap<(usize, Actor), u16>,
    steps: HashMap<(u16, usize, Answer<Publication>), u16>,
}

struct Model {
    scenario: Scenario,
    actors: Actors,
}

/// What was found.
#[derive(Default)]
struct Found {
    states: usize,
    rest: usize,
    /// The states at rest in which a tag holds something older than a merge that ended.
    bad: Vec<World>,
}

impl Model {
    fn new(scenario: Scenario) -> Self {
        Self { scenario, actors: Actors::default() }
    }

    fn tags(&self) -> usize {
        self.scenario.ranks.len()
    }

    fn count(&self) -> usize {
        self.scenario.ranks[0].len() - 1
    }

    fn order(&self, actor: usize) -> Order {
        let Scenario { ranks, keepers, .. } = self.scenario;
        Order { ours: u8::try_from(actor + 1).unwrap(), ranks, keepers }
    }

    /// What two participants want in one state may differ, so each has numbers of its own.
    fn number(&mut self, n: usize, actor: Actor) -> u16 {
        let key = (n, actor);
        if let Some(number) = self.actors.numbers.get(&key) {
            return *number;
        }
        let number = u16::try_from(self.actors.seen.len()).unwrap();
        let request = key.1.request(&self.order(n));
        self.actors.seen.push((key.1.clone(), Rc::new(request)));
        self.actors.numbers.insert(key, number);
        number
    }

    fn start(&mut self) -> World {
        let first = u8::from(self.scenario.rollback);
        let all = (1_u8 << self.tags()) - 1;
        let mut actors = [0; MOST];
        for (n, number) in actors.iter_mut().enumerate().take(self.count()) {
            let back = || (0..self.scenario.ranks.len()).rev().map(|tag| (tag, 0)).collect();
            let actor = match n {
                0 if self.scenario.rollback => Actor::Rollback(Untagging::new(back())),
                _ => Actor::Merge(Tagging::default()),
            };
            *number = self.number(n, actor);
        }
        World {
            tags: [first; MOST],
            before: [0; MOST],
            claims: [all, if first == 1 { all } else { 0 }, 0, 0],
            actors,
            reads: [[0; MOST]; MOST],
            kills: self.scenario.kills,
            stale: self.scenario.stale,
        }
    }

    fn request(&self, world: &World, n: usize) -> Rc<Request<Publication>> {
        self.actors.seen[usize::from(world.actors[n])].1.clone()
    }

    /// Every state that one step leads to.
    fn next(&mut self, world: &World, next: &mut Vec<World>) {
        for n in 0..self.count() {
            let request = self.request(world, n);
            if *request == Request::End {
                continue;
            }
            if world.kills > 0 {
                let killed = self.number(n, Actor::Killed);
                let mut world = World { kills: world.kills - 1, ..*world };
                world.actors[n] = killed;
                world.reads[n] = [0; MOST];
                next.push(world);
            }
            match &*request {
                Request::Read(tags) => self.reads(world, n, tags, next),
                other => next.push(self.done(*world, n, other)),
            }
        }
    }

    /// The newest of those that have said so far that they keep publication 0.
    fn renewed(&self, world: &World) -> Option<Publication> {
        let said = self.scenario.keepers.iter().filter(|keeper| world.claims[usize::from(**keeper)] != 0);
        said.max_by_key(|keeper| self.scenario.ranks[0][usize::from(**keeper)]).copied()
    }

    /// The state after a request that is not a read.
    fn done(&mut self, mut world: World, n: usize, request: &Request<Publication>) -> World {
        let answer = match request {
            Request::Attach(plan) => {
                let [set, skip] = [
                    plan.set.iter().map(|(tag, _)| tag).collect(),
                    plan.skip.iter().map(|(tag, _)| tag).collect::<Vec<_>>(),
                ];
                let claimed = set.into_iter().chain(&plan.keep).chain(skip);
                world.claims[n + 1] = claimed.fold(0, |bits, tag| bits | 1 << tag);
                let keeper = u8::try_from(n + 1).unwrap();
                if self.scenario.keepers.contains(&keeper) {
                    let order = self.order(n);
                    let newest = self.renewed(&world).unwrap_or(keeper);
                    for held in world.tags.iter_mut().chain(&mut world.before) {
                        if order.is_kept(*held) {
                            *held = newest;
                        }
                    }
                }
                Answer::Done
            }
            Request::Set(tag, to) => {
                if self.scenario.stale > 0 {
                    world.before[*tag] = world.tags[*tag];
                }
                // What is kept is one index: once its record is renewed, whoever sets it sets that.
                let renewed = self.renewed(&world).filter(|_| self.order(n).is_kept(*to));
                world.tags[*tag] = renewed.unwrap_or(*to);
                Answer::Done
            }
            Request::Claims(of) => {
                let bits = world.claims[usize::from(*of)];
                Answer::Claims((0..self.tags()).filter(|tag| bits & (1 << tag) != 0).collect())
            }
            Request::Read(_) | Request::End => panic!("handled by the caller"),
        };
        self.answered(world, n, answer)
    }

    /// One of the open reads is answered.
    fn reads(&mut self, world: &World, n: usize, tags: &[usize], next: &mut Vec<World>) {
        let open = (0..tags.len()).filter(|place| world.reads[n][*place] == 0);
        let open: Vec<usize> = open.take(if self.scenario.any_order { MOST } else { 1 }).collect();
        for place in open {
            let tag = tags[place];
            let mut answers = vec![(world.tags[tag], 0)];
            if world.stale > 0 && world.before[tag] != world.tags[tag] {
                answers.push((world.before[tag], 1));
            }
            for (answer, stale) in answers {
                let mut world = World { stale: world.stale - stale, ..*world };
                world.reads[n][place] = answer + 1;
                let reads = &world.reads[n][..tags.len()];
                if reads.contains(&0) {
                    next.push(world);
                } else {
                    let held = reads.iter().map(|read| Some(read - 1)).collect();
                    next.push(self.answered(world, n, Answer::Held(held)));
                }
            }
        }
    }

    fn answered(&mut self, mut world: World, n: usize, answer: Answer<Publication>) -> World {
        let from = world.actors[n];
        let step = (from, n, answer);
        let to = match self.actors.steps.get(&step) {
            Some(to) => *to,
            None => {
                let actor = self.actors.seen[usize::from(from)].0.clone();
                let to = actor.answer(&self.order(n), step.2.clone());
                let to = self.number(n, to);
                self.actors.steps.insert(step, to);
                to
            }
        };
        world.actors[n] = to;
        world.reads[n] = [0; MOST];
        world
    }

    /// Walks all states.
    fn explore(&mut self) -> Found {
        let mut found = Found::default();
        let mut seen: HashSet<World, BuildHasherDefault<DefaultHasher>> = HashSet::default();
        let start = self.start();
        let mut open = vec![start];
        seen.insert(start);
        let mut next = Vec::new();
        while let Some(world) = open.pop() {
            found.states += 1;
            if (0..self.count()).all(|n| *self.request(&world, n) == Request::End) {
                found.rest += 1;
                if !self.wronged(&world).is_empty() {
                    found.bad.push(world);
                }
            }
            self.next(&world, &mut next);
            open.extend(next.drain(..).filter(|world| seen.insert(*world)));
        }
        found
    }

    /// The tags that a merge said it has set; none if it was killed.
    fn claimed(&self, world: &World, n: usize) -> Option<Vec<usize>> {
        match &self.actors.seen[usize::from(world.actors[n])].0 {
            Actor::Merge(tagging) => match tagging.clone().outcome()? {
                Outcome::Tagged { held, .. } => Some(held),
                Outcome::Conflict { .. } => None,
            },
            Actor::Rollback(_) | Actor::Killed => None,
        }
    }

    /// The merges that ended and lost a tag to something that counts as older.
    fn wronged(&self, world: &World) -> Vec<usize> {
        let lost = |n: &usize| {
            let (order, tags) = (self.order(*n), 0..self.tags());
            let older = |tag: usize| order.rank(tag, world.tags[tag]) < order.rank(tag, order.ours);
            self.claimed(world, *n).is_some() && tags.into_iter().any(older)
        };
        (0..self.count()).filter(lost).collect()
    }

    /// `verify` compares the tags of a merge's own record with its digest.
    fn verify_tells(&self, world: &World) -> bool {
        let differs = |n: usize| {
            let claimed = self.claimed(world, n).unwrap_or_default();
            claimed.iter().any(|tag| usize::from(world.tags[*tag]) != n + 1)
        };
        (0..self.count()).any(differs)
    }

    /// The state after one merge was run again, alone.
    fn again(&self, world: &World, n: usize) -> World {
        let again = Scenario { kills: 0, stale: 0, ..self.scenario };
        let mut model = Self::new(again);
        let mut world = World { kills: 0, stale: 0, ..*world };
        model.start();
        let ended = model.number(n, Actor::Killed);
        world.actors = [ended; MOST];
        world.actors[n] = model.number(n, Actor::Merge(Tagging::default()));
        world.reads = [[0; MOST]; MOST];
        while *model.request(&world, n) != Request::End {
            let mut next = Vec::new();
            model.next(&world, &mut next);
            world = next[0];
        }
        world
    }
}

/// `states, at rest, bad` of a scenario. Whatever ends wrong is reported by `verify`, and mended by running the wronged
/// merge once more.
#[track_caller]
fn explored(scenario: Scenario) -> String {
    let mut model = Model::new(scenario);
    let found = model.explore();
    let mut kinds = BTreeSet::new();
    for world in &found.bad {
        assert!(model.verify_tells(world), "verify does not tell of {:?}", world.tags);
        let newest = *model.wronged(world).last().unwrap();
        let mended = model.again(world, newest);
        let order = model.order(newest);
        for (tag, held) in mended.tags.iter().enumerate().take(model.tags()) {
            assert!(order.rank(tag, *held) >= order.rank(tag, order.ours), "{:?} stays wrong", world.tags);
        }
        let ended: Vec<usize> = (0..model.count()).filter(|n| model.claimed(world, *n).is_some()).collect();
        let ended: Vec<String> = ended.iter().map(|n| (n + 1).to_string()).collect();
        kinds.insert(format!("{:?} of {}", &world.tags[..model.tags()], ended.join(" and ")));
    }
    let mut text = format!("{} states, {} at rest, {} bad", found.states, found.rest, found.bad.len());
    for kind in kinds {
        text += &format!("\n  {kind}");
    }
    text
}

const NONE: Scenario =
    Scenario { ranks: &[], rollback: false, keepers: &[], kills: 0, stale: 0, any_order: true };

const TWO_MERGES_ONE_TAG: Ranks = &[&[0, 1, 2]];
const TWO_MERGES_TWO_TAGS: Ranks = &[&[0, 1, 2], &[0, 1, 2]];
const TWO_MERGES_THREE_TAGS: Ranks = &[&[0, 1, 2], &[0, 1, 2], &[0, 1, 2]];
/// The one is newer, the other has the higher version: each has the better right to one tag.
const TWO_MERGES_EACH_NEWER: Ranks = &[&[0, 1, 2], &[0, 2, 1]];
/// Both plans are of the same second.
const TWO_MERGES_OF_ONE_SECOND: Ranks = &[&[0, 1, 1], &[0, 1, 1]];
const THREE_MERGES_ONE_TAG: Ranks = &[&[0, 1, 2, 3]];
const THREE_MERGES_TWO_TAGS: Ranks = &[&[0, 1, 2, 3], &[0, 1, 2, 3]];

fn age(version: Option<&str>, code_date: &str, planned: &str) -> Age {
    let day = |day: &str| format!("2026-11-{day}T09:00:00Z");
    Age {
        cell: "app".to_owned(),
        version: version.map(str::to_owned),
        revision: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        code_date: Some(day(code_date)),
        planned: day(planned),
    }
}

/// How new publications are at a tag, by the very rules of `merge`: for each the number of those that it is newer than.
fn ranks(ages: &[Age], floating: bool) -> Vec<u8> {
    let cell = "app".parse().unwrap();
    let digests: Vec<Digest> = (0..ages.len()).map(|n| Digest::of(n.to_string().as_bytes())).collect();
    let tags = [PlannedTag { name: "8".parse().unwrap(), immutable: false, floating }];
    let is_newer = |held: usize, other: usize| {
        let candidate =
            Candidate { cell: &cell, digest: &digests[other], age: &ages[other], allow_downgrade: false };
        let holder = Holder::Publication(ages[held].clone());
        let state = TagState { digest: digests[held].clone(), holder, hold: None };
        TagRules { tags: &tags, candidate }.before(0, Some(&state)) == Standing::Newer
    };
    let rank = |one: usize| (0..ages.len()).filter(|other| is_newer(one, *other)).count();
    (0..ages.len()).map(|one| u8::try_from(rank(one)).unwrap()).collect()
}

/// What is explored below stands for publications as they are: a plan of Monday's code that is made on the 19th, and so on.
#[test]
fn the_ranks_are_those_of_the_rules() {
    let before = age(None, "10", "10");
    let (late, newer) = (age(None, "16", "19"), age(None, "18", "18"));
    let newest = age(None, "20", "20");
    for floating in [true, false] {
        let two = ranks(&[before.clone(), late.clone(), newer.clone()], floating);
        assert_eq!(two, TWO_MERGES_TWO_TAGS[0], "a late run of older code, and newer code");
        let again = age(None, "18", "19");
        assert_eq!(ranks(&[before.clone(), newer.clone(), again], floating), TWO_MERGES_TWO_TAGS[1]);
        let same = [before.clone(), newer.clone(), newer.clone()];
        assert_eq!(ranks(&same, floating), TWO_MERGES_OF_ONE_SECOND[0]);
        let three = [before.clone(), late.clone(), newer.clone(), newest.clone()];
        assert_eq!(ranks(&three, floating), THREE_MERGES_TWO_TAGS[0]);
    }
    let versions = [before, age(Some("8.5.0"), "16", "19"), age(Some("8.4.10"), "18", "18")];
    for (floating, expected) in [false, true].into_iter().zip(TWO_MERGES_EACH_NEWER) {
        assert_eq!(ranks(&versions, floating), *expected, "the newer code, and the higher version");
    }
}

/// The same index, and a record that was attached between two looks at it: to a merge of what lay between it is another
/// publication, although the digest is the same.
#[test]
fn a_renewed_record_is_seen_before_a_tag_is_set() {
    let (cell, digests) = ("app".parse().unwrap(), [Digest::of(b"kept"), Digest::of(b"late")]);
    let tags = [PlannedTag { name: "8".parse().unwrap(), immutable: false, floating: false }];
    let late = age(None, "16", "19");
    let candidate = Candidate { cell: &cell, digest: &digests[1], age: &late, allow_downgrade: false };
    let rules = TagRules { tags: &tags, candidate };
    let held = |age| {
        let holder = Holder::Publication(age);
        Answer::Held(vec![Some(TagState { digest: digests[0].clone(), holder, hold: None })])
    };
    let (before, renewed) = (age(None, "10", "10"), age(None, "18", "18"));
    let decided = Tagging::default().answer(&rules, held(before.clone())).answer(&rules, Answer::Done);
    let checking = decided.clone().answer(&rules, held(before.clone()));
    assert!(matches!(checking.clone().answer(&rules, held(before)).request(&rules), Request::Set(0, _)));
    for seen in
        [decided.answer(&rules, held(renewed.clone())), checking.answer(&rules, held(renewed.clone()))]
    {
        let decided = seen.answer(&rules, held(renewed.clone()));
        let Request::Attach(plan) = decided.request(&rules) else { panic!("it decides anew") };
        assert!(plan.set.is_empty() && plan.skip.len() == 1, "{plan:?}");
    }
}

/// The promise of `docs/publication.md`: two publications, at least two tags that both want, nobody is killed, and the
/// registry answers with what is.
#[test]
fn two_merges_that_share_two_tags_end_right() {
    for (ranks, expected) in [
        (TWO_MERGES_TWO_TAGS, "2295 states, 29 at rest, 0 bad"),
        (TWO_MERGES_THREE_TAGS, "41763 states, 137 at rest, 0 bad"),
        (TWO_MERGES_OF_ONE_SECOND, "3617 states, 50 at rest, 0 bad"),
    ] {
        assert_eq!(explored(Scenario { ranks, ..NONE }), expected);
    }
}

/// A newer publication does not lose a tag to somebody who goes back from an older one.
#[test]
fn a_merge_beside_a_rollback_ends_right() {
    for (ranks, expected) in [
        (TWO_MERGES_TWO_TAGS, "1539 states, 24 at rest, 0 bad"),
        (TWO_MERGES_THREE_TAGS, "14220 states, 57 at rest, 0 bad"),
    ] {
        assert_eq!(explored(Scenario { ranks, rollback: true, ..NONE }), expected);
    }
}

/// A change and its revert: run 140 keeps what run 100 has published, and attaches a record that says so; run 120, of what
/// lay between, ends at any moment before, meanwhile or after.
#[test]
fn a_late_run_beside_one_that_keeps_ends_right() {
    let mut text = String::new();
    for (name, ranks) in [("two tags", TWO_MERGES_TWO_TAGS), ("three tags", TWO_MERGES_THREE_TAGS)] {
        text += &format!("{name}: {}\n", explored(Scenario { ranks, keepers: &[2], ..NONE }));
    }
    // The other way round: what is kept is older than what comes late.
    let by_the_older = Scenario { ranks: TWO_MERGES_TWO_TAGS, keepers: &[1], ..NONE };
    text += &format!("two tags, kept by the older: {}\n", explored(by_the_older));
    // Two runs keep it, and one of what lay between them comes late: none of them makes the index older.
    let two_keep = Scenario { ranks: THREE_MERGES_TWO_TAGS, keepers: &[1, 3], any_order: false, ..NONE };
    text += &format!("two tags, kept by the oldest and the newest: {}\n", explored(two_keep));
    expect![[r#"
        two tags: 1321 states, 13 at rest, 0 bad
        three tags: 15001 states, 39 at rest, 0 bad
        two tags, kept by the older: 1438 states, 17 at rest, 0 bad
        two tags, kept by the oldest and the newest: 195239 states, 894 at rest, 0 bad
    "#]]
    .assert_eq(&text);
}

/// What nobody can keep from happening without a registry that compares and swaps. Each of these is reported by `verify`
/// and mended by the next merge: `explored` asserts both.
#[test]
fn what_remains_is_known() {
    let mut text = String::new();
    for (name, scenario) in [
        ("one shared tag", Scenario { ranks: TWO_MERGES_ONE_TAG, ..NONE }),
        ("one shared tag, a kill", Scenario { ranks: TWO_MERGES_ONE_TAG, kills: 1, ..NONE }),
        ("two tags, each has the better right to one", Scenario { ranks: TWO_MERGES_EACH_NEWER, ..NONE }),
        ("two tags, a kill", Scenario { ranks: TWO_MERGES_TWO_TAGS, kills: 1, ..NONE }),
        ("two tags, a stale answer", Scenario { ranks: TWO_MERGES_TWO_TAGS, stale: 1, ..NONE }),
        ("three tags, a kill", Scenario { ranks: TWO_MERGES_THREE_TAGS, kills: 1, ..NONE }),
        ("one tag, a rollback", Scenario { ranks: TWO_MERGES_ONE_TAG, rollback: true, ..NONE }),
        ("three merges, one tag", Scenario { ranks: THREE_MERGES_ONE_TAG, ..NONE }),
        ("one tag, kept by the newer", Scenario { ranks: TWO_MERGES_ONE_TAG, keepers: &[2], ..NONE }),
        ("one tag, two keep it", Scenario { ranks: THREE_MERGES_ONE_TAG, keepers: &[1, 3], ..NONE }),
        ("two tags, kept, a kill", Scenario { ranks: TWO_MERGES_TWO_TAGS, keepers: &[2], kills: 1, ..NONE }),
    ] {
        text += &format!("{name}: {}\n", explored(scenario));
    }
    expect![[r#"
        one shared tag: 91 states, 6 at rest, 1 bad
          [1] of 1 and 2
        one shared tag, a kill: 150 states, 15 at rest, 2 bad
          [1] of 1 and 2
          [1] of 2
        two tags, each has the better right to one: 1613 states, 32 at rest, 7 bad
          [1, 1] of 1 and 2
          [2, 2] of 1 and 2
        two tags, a kill: 2686 states, 53 at rest, 4 bad
          [1, 2] of 2
          [2, 1] of 2
        two tags, a stale answer: 15110 states, 163 at rest, 12 bad
          [1, 1] of 1 and 2
          [1, 2] of 1 and 2
          [2, 1] of 1 and 2
        three tags, a kill: 44116 states, 195 at rest, 11 bad
          [1, 2, 2] of 2
          [2, 1, 2] of 2
          [2, 2, 1] of 2
        one tag, a rollback: 62 states, 6 at rest, 1 bad
          [0] of 2
        three merges, one tag: 2807 states, 83 at rest, 24 bad
          [1] of 1 and 2 and 3
          [2] of 1 and 2 and 3
        one tag, kept by the newer: 76 states, 4 at rest, 1 bad
          [1] of 1 and 2
        one tag, two keep it: 1307 states, 30 at rest, 8 bad
          [2] of 1 and 2 and 3
        two tags, kept, a kill: 1569 states, 29 at rest, 2 bad
          [1, 2] of 2
          [2, 1] of 2
    "#]]
    .assert_eq(&text);
}

/// Three at once: one that is written over by two others at the same moment, each at another tag, is not seen any more.
#[test]
fn three_at_once_are_known() {
    let scenario = Scenario { ranks: THREE_MERGES_TWO_TAGS, any_order: false, ..NONE };
    let mut text = format!("three merges: {}\n", explored(scenario));
    text += &format!("two merges and a rollback: {}\n", explored(Scenario { rollback: true, ..scenario }));
    expect![[r#"
        three merges: 2383473 states, 8971 at rest, 100 bad
          [2, 2] of 1 and 2 and 3
          [2, 3] of 1 and 2 and 3
          [3, 2] of 1 and 2 and 3
        two merges and a rollback: 1256045 states, 4683 at rest, 50 bad
          [2, 2] of 2 and 3
          [2, 3] of 2 and 3
          [3, 2] of 2 and 3
    "#]]
    .assert_eq(&text);
}
