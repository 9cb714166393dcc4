//! What `plan --diff` says of tags is what `merge` then does with them: over generated states of a registry, the prediction
//! is compared with the very loop that sets the tags.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may panic"
)]

use anyhow::Result;
use std::collections::BTreeMap;

use xtask_images::base::ids::{CellId, Digest};
use xtask_images::plan::PlannedTag;
use xtask_images::plan::difference::Becomes;
use xtask_images::publish::prediction::foresee;
use xtask_images::publish::tag_protocol::{self, TagPlan, TagStore};
use xtask_images::publish::tag_rules::{Age, Candidate, Holder, TagRules, TagState};
use xtask_images::publish::tagging::{Outcome, Tagging};

/// How many states are generated.
const STATES: u64 = 5_000;

/// Numbers that look random, the same in each run: xorshift64*, <https://doi.org/10.1145/2845077>.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

/// A repository, and the publication that wants its tags.
#[derive(Debug)]
struct State {
    tags: Vec<PlannedTag>,
    held: Vec<Option<TagState>>,
    /// The tags that the newest record of a digest claims.
    claims: BTreeMap<Digest, Vec<usize>>,
    age: Age,
    /// The index that is kept; none if it is not built yet.
    kept: Option<Digest>,
    /// What the build makes, as it turns out later.
    built: Digest,
}

fn age(numbers: &mut Numbers, cell: &str, planned: u64) -> Age {
    let day = |day: usize| format!("2026-11-{day:02}T09:00:00Z");
    let version = numbers.of(&[None, Some("8.4.9"), Some("8.4.10"), Some("8.5.0"), Some("8.5.0-rc1")]);
    let code = numbers.below(6);
    Age {
        cell: cell.to_owned(),
        version: version.map(str::to_owned),
        revision: format!("{code:040x}"),
        code_date: (!numbers.one_in(6)).then(|| day(code + 1)),
        // Two plans of one second are told apart by their digests, which nobody knows before they are built.
        planned: format!("2026-11-{:02}T10:00:{planned:02}Z", numbers.below(9) + 1),
    }
}

fn state(seed: u64) -> State {
    let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let tags: Vec<PlannedTag> = (0..=numbers.below(5))
        .map(|n| PlannedTag {
            name: format!("tag-{n}").parse().unwrap(),
            immutable: numbers.one_in(12),
            floating: numbers.one_in(2),
        })
        .collect();
    let mut claims = BTreeMap::new();
    let mut others = Vec::new();
    for n in 0..=numbers.below(4) {
        let digest = Digest::of(format!("{seed} {n}").as_bytes());
        let cell = if numbers.one_in(5) { "other" } else { "app" };
        let age = age(&mut numbers, cell, u64::try_from(n).unwrap());
        let holder = match numbers.below(5) {
            0 => Holder::Other("was published by another tool".to_owned()),
            _ => Holder::Publication(age),
        };
        let hold = numbers.one_in(10).then(|| "app is held since 2026-11-19: broken".to_owned());
        let claimed: Vec<usize> = (0..tags.len()).filter(|_| !numbers.one_in(3)).collect();
        claims.insert(digest.clone(), claimed);
        others.push(TagState { digest, holder, hold });
    }
    let mut hold = |tag: usize| {
        let held = (!numbers.one_in(4)).then(|| numbers.of(&others).clone())?;
        // Only a record that claims the tag makes it one of its publication.
        let claimed = claims[&held.digest].contains(&tag);
        let other = || Holder::Other("was never published as that".to_owned());
        Some(TagState { holder: if claimed { held.holder } else { other() }, ..held })
    };
    let held: Vec<Option<TagState>> = (0..tags.len()).map(&mut hold).collect();
    let kept = (numbers.one_in(3)).then(|| numbers.of(&others).digest.clone());
    let age = age(&mut numbers, "app", 30);
    State { tags, held, claims, age, kept, built: Digest::of(format!("{seed} built").as_bytes()) }
}

/// The registry that `merge` finds: each tag, and every write in its order.
struct Registry<'s> {
    state: &'s State,
    held: Vec<Option<TagState>>,
    written: Vec<(usize, Digest)>,
}

impl TagStore for Registry<'_> {
    type Held = TagState;

    fn read(&self, tags: &[usize]) -> Result<Vec<Option<TagState>>> {
        Ok(tags.iter().map(|tag| self.held[*tag].clone()).collect())
    }

    fn set(&mut self, tag: usize, to: &TagState) -> Result<bool> {
        self.held[tag] = Some(to.clone());
        self.written.push((tag, to.digest.clone()));
        Ok(true)
    }

    fn attach(&mut self, _: &TagPlan<TagState>) -> Result<()> {
        Ok(())
    }

    fn claims(&self, of: &TagState) -> Result<Vec<usize>> {
        Ok(self.state.claims.get(&of.digest).cloned().unwrap_or_default())
    }
}

impl State {
    fn rules<'a>(&'a self, cell: &'a CellId, digest: &'a Digest) -> TagRules<'a> {
        let candidate = Candidate { cell, digest, age: &self.age, allow_downgrade: false };
        TagRules { tags: &self.tags, candidate }
    }

    /// What `plan --diff` says, before anything is built.
    fn foreseen(&self, cell: &CellId) -> Vec<Becomes> {
        let digest = self.kept.clone().unwrap_or_else(Digest::unknown);
        let claims = |of: &TagState| Ok(self.claims.get(&of.digest).cloned().unwrap_or_default());
        foresee(&self.rules(cell, &digest), &self.held, claims).unwrap()
    }
}

/// Compares one prediction with what happens, and counts what was foreseen by its name.
fn compare(seed: u64, counts: &mut BTreeMap<&'static str, usize>) {
    let cell: CellId = "app".parse().unwrap();
    let state = state(seed);
    let foreseen = state.foreseen(&cell);
    let digest = state.kept.as_ref().unwrap_or(&state.built);
    let mut registry = Registry { state: &state, held: state.held.clone(), written: Vec::new() };
    let rules = state.rules(&cell, digest);
    assert_eq!(foreseen.len(), state.tags.len());
    let Ok(done) = tag_protocol::run(&mut registry, &rules, Tagging::default()) else {
        assert!(foreseen.iter().all(|one| *one == Becomes::Undecided), "{seed}: {foreseen:?} of {state:?}");
        *counts.entry("undecided").or_default() += 1;
        return;
    };
    let outcome = done.outcome().unwrap();
    let refused = foreseen.iter().any(|one| matches!(one, Becomes::Refused { .. }));
    match outcome {
        Outcome::Conflict { tag, .. } => {
            assert!(matches!(foreseen[tag], Becomes::Refused { .. }), "{seed}: {foreseen:?} of {state:?}");
            assert!(registry.written.is_empty(), "{seed}");
        }
        Outcome::Tagged { .. } => assert!(!refused, "{seed}: {foreseen:?} of {state:?}"),
    }
    for (tag, foreseen) in foreseen.iter().enumerate() {
        let (before, after) = (state.held[tag].as_ref(), registry.held[tag].as_ref());
        let (from, to) = (before.map(|held| &held.digest), after.map(|held| &held.digest));
        let written = registry.written.iter().any(|(written, _)| *written == tag);
        let (name, right) = match foreseen {
            Becomes::Created => ("created", from.is_none() && to == Some(digest) && written),
            Becomes::Moved { .. } => {
                ("moved", from.is_some() && from != Some(digest) && to == Some(digest) && written)
            }
            // Publications that are newer than each other in a circle can take a tag away and bring it back.
            Becomes::Unchanged => ("unchanged", from == Some(digest) && to == from),
            Becomes::Stays { .. } => ("stays", to == from && from != Some(digest)),
            Becomes::Given { to: other } => ("given", to == Some(other) && from != to && written),
            Becomes::Undecided => panic!("{seed}: merge has decided, {state:#?}"),
            Becomes::Refused { .. } => ("refused", state.tags[tag].immutable && to == from && !written),
        };
        assert!(right, "{seed}: tag {tag} {foreseen:?}, from {from:?} to {to:?}, {state:#?}");
        *counts.entry(name).or_default() += 1;
    }
}

#[test]
fn what_is_foreseen_happens() {
    let mut counts = BTreeMap::new();
    (0..STATES).for_each(|seed| compare(seed, &mut counts));
    // Each of them has been put to the test.
    for name in ["created", "moved", "unchanged", "stays", "given", "refused"] {
        assert!(counts.get(name).is_some_and(|count| *count > 100), "{counts:?}");
    }
}
