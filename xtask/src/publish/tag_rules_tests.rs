//! The order of publications.

use super::*;

fn age(planned: &str) -> Age {
    Age {
        cell: "app".into(),
        version: Some("8.5.0".into()),
        revision: "9e8c94713a0b8a77efc5b3a4e9e7bcbf3f1f0f1d".into(),
        code_date: None,
        planned: planned.into(),
    }
}

fn state(bytes: &[u8], planned: Option<&str>) -> TagState {
    let other = || Holder::Other("was published by another tool".into());
    let holder = planned.map_or_else(other, |planned| Holder::Publication(age(planned)));
    TagState { digest: Digest::of(bytes), holder, hold: None }
}

fn ours(version: &str) -> Age {
    Age { version: Some(version.into()), ..age("2026-11-21T05:00:00Z") }
}

fn wanted<'a>(cell: &'a CellId, digest: &'a Digest, age: &'a Age) -> Candidate<'a> {
    Candidate { cell, digest, age, allow_downgrade: false }
}

fn tag(name: &str, immutable: bool, highest: bool) -> [PlannedTag; 1] {
    [PlannedTag { name: name.parse().unwrap(), immutable, floating: highest }]
}

fn about(immutable: bool, held: Option<&TagState>, allow_downgrade: bool) -> Standing {
    let (cell, digest, age) = ("app".parse().unwrap(), Digest::of(b"ours"), ours("8.5.0"));
    let candidate = Candidate { allow_downgrade, ..wanted(&cell, &digest, &age) };
    TagRules { tags: &tag("1.2", immutable, true), candidate }.before(0, held)
}

#[test]
fn tags_move_forward_only() {
    let older = state(b"old", Some("2026-11-20T05:00:00Z"));
    let newer = state(b"new", Some("2026-11-22T05:00:00Z"));
    assert_eq!(about(false, None, false), Standing::Empty);
    assert_eq!(about(false, Some(&older), false), Standing::Older);
    assert_eq!(about(false, Some(&newer), false), Standing::Newer);
    assert_eq!(about(false, Some(&newer), true), Standing::Older);
    assert_eq!(about(false, Some(&state(b"ours", None)), false), Standing::Ours);
    let (cell, digest, age) = ("app".parse().unwrap(), Digest::of(b"ours"), ours("8.5.0"));
    let tags = tag("1.2", false, true);
    let rules = TagRules { tags: &tags, candidate: wanted(&cell, &digest, &age) };
    assert_eq!(rules.reason(0, &newer).unwrap(), "a newer publication, planned 2026-11-22T05:00:00Z");
    assert_eq!((rules.reason(0, &older), rules.remark(0, &older)), (None, None));
}

/// Monday's run, started again on Thursday, has a newer plan and older code than Wednesday's.
#[test]
fn newer_code_wins_over_a_newer_plan() {
    let (monday, wednesday, thursday) =
        ("2026-11-16T09:00:00Z", "2026-11-18T09:00:00Z", "2026-11-19T09:00:00Z");
    let late = Age { code_date: Some(monday.into()), ..age(thursday) };
    let held = Age { code_date: Some(wednesday.into()), ..age(wednesday) };
    let (cell, digest) = ("app".parse().unwrap(), Digest::of(b"late"));
    let held = TagState { digest: Digest::of(b"held"), holder: Holder::Publication(held), hold: None };
    for floating in [true, false] {
        let tags = tag("8", false, floating);
        let rules = TagRules { tags: &tags, candidate: wanted(&cell, &digest, &late) };
        assert_eq!(rules.before(0, Some(&held)), Standing::Newer);
        let reason = rules.reason(0, &held).unwrap();
        assert_eq!(reason, "newer code, commit 9e8c947 of 2026-11-18T09:00:00Z");
    }
    // The same code again: the newer plan wins.
    let again = Age { code_date: Some(wednesday.into()), ..age(thursday) };
    let tags = tag("8", false, false);
    let rules = TagRules { tags: &tags, candidate: wanted(&cell, &digest, &again) };
    assert_eq!(rules.before(0, Some(&held)), Standing::Older);
}

/// What a commit says of itself brings it no further than its plan.
#[test]
fn a_commit_of_the_future_is_as_new_as_its_plan() {
    let future = Age { code_date: Some("2999-01-01T00:00:00Z".into()), ..age("2026-11-18T09:00:00Z") };
    let next = Age { code_date: Some("2026-11-19T08:00:00Z".into()), ..age("2026-11-19T09:00:00Z") };
    assert_eq!(next.compare(&future, false), (Ordering::Greater, By::Code));
}

/// An index of yesterday's version of this tool does not say how new its code is: the plans decide, so that the next nightly
/// run moves its tags.
#[test]
fn without_a_code_date_the_plans_decide() {
    let undated = age("2026-11-17T03:00:00Z");
    let nightly = Age { code_date: Some("2026-11-16T09:00:00Z".into()), ..age("2026-11-18T03:00:00Z") };
    assert_eq!(nightly.compare(&undated, false), (Ordering::Greater, By::Plan));
    let late = Age { planned: "2026-11-17T02:00:00Z".into(), ..nightly };
    assert_eq!(late.compare(&undated, false), (Ordering::Less, By::Plan));
}

/// Every three publications that all say how new their code is, or none of which does, and whose versions all have an order,
/// or none of which has a version, have one order.
#[test]
fn the_order_has_no_circle() {
    let times =
        [None, Some("2026-11-16T09:00:00Z"), Some("2026-11-18T09:00:00Z"), Some("2026-11-20T09:00:00Z")];
    let plans = ["2026-11-16T09:00:00Z", "2026-11-17T09:00:00Z", "2026-11-18T09:00:00Z"];
    let dated = [times.get(1..).unwrap_or_default(), times.get(..1).unwrap_or_default()];
    let versions = [&[None][..], &[Some("8.4.10"), Some("8.5.0-rc.1"), Some("8.5.0")]];
    for (versions, times) in versions.iter().flat_map(|versions| dated.map(|times| (*versions, times))) {
        let mut all: Vec<TagState> = Vec::new();
        for version in versions {
            for code_date in times {
                for planned in plans {
                    let age = Age {
                        version: version.map(str::to_owned),
                        code_date: code_date.map(str::to_owned),
                        ..age(planned)
                    };
                    let digest = Digest::of(format!("{age:?}").as_bytes());
                    all.push(TagState { digest, holder: Holder::Publication(age), hold: None });
                }
            }
        }
        all.push(state(b"one", None));
        all.push(state(b"two", None));
        let (cell, digest, age) = ("app".parse().unwrap(), Digest::of(b"ours"), ours("8.5.0"));
        for floating in [true, false] {
            let tags = tag("8", false, floating);
            let rules = TagRules { tags: &tags, candidate: wanted(&cell, &digest, &age) };
            let newer = |one: &TagState, two: &TagState| rules.supersedes(0, one, two);
            for one in &all {
                assert!(!newer(one, one));
                for two in all.iter().filter(|two| *two != one) {
                    assert!(newer(one, two) != newer(two, one), "{one:?} {two:?}");
                    for three in all.iter().filter(|_| newer(one, two)) {
                        assert!(!newer(two, three) || newer(one, three), "{one:?} {two:?} {three:?}");
                    }
                }
            }
        }
    }
}

/// A rollback is not undone by the next nightly run, not even by one that may go back.
#[test]
fn what_is_held_stays() {
    let older = state(b"old", Some("2026-11-20T05:00:00Z"));
    let held = TagState { hold: Some("app is held".into()), ..older.clone() };
    for allow_downgrade in [true, false] {
        assert_eq!(about(false, Some(&older), allow_downgrade), Standing::Older);
        assert_eq!(about(false, Some(&held), allow_downgrade), Standing::Newer);
    }
    assert_eq!(about(true, Some(&held), false), Standing::Newer, "immutable or not");
}

/// 8.4.10 after 8.5.0: `8.4` is its own, `8` and `latest` are not.
#[test]
fn a_lower_version_takes_no_tag_of_the_highest() {
    let held = state(b"old", Some("2026-11-20T05:00:00Z"));
    let (cell, digest) = ("app".parse().unwrap(), Digest::of(b"ours"));
    let moves = |version: &str, highest: bool, allow_downgrade: bool| {
        let age = ours(version);
        let candidate = Candidate { allow_downgrade, ..wanted(&cell, &digest, &age) };
        let rules = TagRules { tags: &tag("8", false, highest), candidate };
        rules.before(0, Some(&held)) == Standing::Older
    };
    assert!(!moves("8.4.10", true, false), "never back to a lower version");
    assert!(moves("8.4.10", false, false) && moves("8.4.10", true, true));
    assert!(moves("8.5.1", true, false) && moves("8.5.0", true, false));
    assert!(moves("develop", true, false), "what is no version has no order");
}

/// `9e8c947` is neither a version 9 nor a pre-release: the default branch publishes `latest` at every commit.
#[test]
fn a_short_commit_is_no_version() {
    assert!(!is_version("9e8c947", "9e8c94713a0b8a77efc5b3a4e9e7bcbf3f1f0f1d"));
    assert!(is_version("9.1.0", "9e8c94713a0b8a77efc5b3a4e9e7bcbf3f1f0f1d"));
    assert!(is_version("9", "9e8c94713a0b8a77efc5b3a4e9e7bcbf3f1f0f1d"), "a version 9 on a commit 9e8c…");
    let unversioned = Age { version: None, ..age("2026-11-20T05:00:00Z") };
    let held = TagState { digest: Digest::of(b"old"), holder: Holder::Publication(unversioned), hold: None };
    assert_eq!(about(false, Some(&held), false), Standing::Older);
}

#[test]
fn a_foreign_publication_counts_as_older_and_is_named() {
    let foreign = state(b"x", None);
    assert_eq!(about(false, Some(&foreign), false), Standing::Older);
    let (cell, digest, age) = ("app".parse().unwrap(), Digest::of(b"ours"), ours("1"));
    let rules = TagRules { tags: &tag("1.2", false, true), candidate: wanted(&cell, &digest, &age) };
    let remark = rules.remark(0, &foreign).unwrap();
    assert!(remark.contains("another tool"), "{remark}");
}

/// A branch has no version; its index says the name of the branch.
#[test]
fn a_publication_knows_itself_in_other_words() {
    let (cell, digest, age) = ("app".parse().unwrap(), Digest::of(b"ours"), ours(""));
    let unversioned = Age { version: None, ..age };
    let candidate = wanted(&cell, &digest, &unversioned);
    let held = TagState { digest: digest.clone(), ..state(b"", None) };
    assert_eq!(candidate.state(), held);
    assert_ne!(candidate.state(), TagState { digest: Digest::of(b"other"), ..held });
}

#[test]
fn two_at_once_agree_which_stays() {
    let (cell, one, two) = ("app".parse().unwrap(), Digest::of(b"one"), Digest::of(b"two"));
    let age = ours("8.5.0");
    let sees = |immutable: bool, ours: &Digest, theirs: &Digest, planned: Option<&str>| {
        let held = TagState { digest: theirs.clone(), ..state(b"", planned) };
        let tags = tag("1.2", immutable, false);
        TagRules { tags: &tags, candidate: wanted(&cell, ours, &age) }.after(0, Some(&held))
    };
    let now = Some("2026-11-21T05:00:00Z");
    assert_eq!(sees(false, &one, &one, now), Standing::Ours);
    let newer = |found: Standing| found == Standing::Newer;
    let (first, second) = (sees(false, &one, &two, now), sees(false, &two, &one, now));
    assert!(newer(first) != newer(second), "both of one second");
    assert!(newer(sees(false, &one, &two, Some("2026-11-21T05:00:01Z"))));
    assert_eq!(sees(false, &one, &two, Some("2026-11-21T04:59:59Z")), Standing::Older);
    assert_eq!(sees(false, &one, &two, None), Standing::Older, "another tool counts as older");
    assert_eq!(sees(true, &one, &two, now), Standing::Conflict);
    let rules = TagRules { tags: &tag("1", false, false), candidate: wanted(&cell, &one, &age) };
    assert_eq!(rules.after(0, None), Standing::Empty);
}

/// 8.4.10 of a newer plan and 8.5.0 of an older one: each has a reason to stay away from the other's tag.
#[test]
fn two_never_yield_to_each_other() {
    let (cell, low, high) = ("app".parse().unwrap(), Digest::of(b"8.4.10"), Digest::of(b"8.5.0"));
    let (early, late) = ("2026-11-21T05:00:00Z", "2026-11-21T06:00:00Z");
    for highest in [true, false] {
        let tags = tag("8", false, highest);
        let held = |digest: &Digest, version: &str, planned| {
            let age = Age { version: Some(version.to_owned()), ..age(planned) };
            TagState { digest: digest.clone(), holder: Holder::Publication(age), hold: None }
        };
        let own = ours("8.4.10");
        let rules = TagRules { tags: &tags, candidate: wanted(&cell, &low, &own) };
        let (high, low) = (held(&high, "8.5.0", early), held(&low, "8.4.10", late));
        let answers = (rules.supersedes(0, &high, &low), rules.supersedes(0, &low, &high));
        assert_eq!(answers, (highest, !highest));
    }
}

#[test]
fn immutable_tags_never_move() {
    assert_eq!(about(true, Some(&state(b"other", None)), true), Standing::Conflict);
    assert_eq!(about(true, Some(&state(b"ours", None)), false), Standing::Ours);
    let [tag] = tag("1.2", true, false);
    for late in [true, false] {
        let error = conflict(&tag, &Digest::of(b"ours"), &state(b"other", None), late).to_string();
        assert!(
            error.contains(Digest::of(b"other").as_str()) && error.contains(Digest::of(b"ours").as_str()),
            "{error}"
        );
    }
}
