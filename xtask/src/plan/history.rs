//! How new the code of a commit is.
//!
//! The *code date* is git's corrected commit date: the later of the commit's own committer date and one second after the
//! code date of each of its parents. A descendant is always newer than what it stands on, whatever the clocks said, and
//! commits of different branches compare by time. After a rewritten history it heals as soon as real time has passed the
//! highest date of it. Source: generation number v2 in <https://git-scm.com/docs/commit-graph>.

use std::collections::HashMap;

/// The code date of a commit, in seconds since 1970, from what
/// `git log --topo-order --reverse --format='%ct %h %p' COMMIT` prints: date, commit and its parents in each line, parents
/// before children. None if that does not end with the commit.
pub fn code_date(history: &str, commit: &str) -> Option<u64> {
    let mut dates: HashMap<&str, u64> = HashMap::new();
    let mut newest = None;
    for line in history.lines() {
        let mut words = line.split(' ');
        // Before 1970 is before everything.
        let own: i64 = words.next()?.parse().ok()?;
        let name = words.next()?;
        let parents = words.filter_map(|parent| dates.get(parent)).map(|date| date.saturating_add(1));
        let date = parents.max().unwrap_or_default().max(u64::try_from(own).unwrap_or_default());
        dates.insert(name, date);
        newest = Some((name, date));
    }
    newest.filter(|(name, _)| commit.starts_with(name)).map(|(_, date)| date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descendant_is_always_newer() {
        let table = [
            ("", None),
            ("100 x", None),
            ("100 d", Some(100)),
            ("100 a\n200 d a", Some(200)),
            ("100 a\n50 d a", Some(101)),
            ("100 a\n50 b a\n60 d b", Some(102)),
            ("100 a\n900 b a\n200 c a\n300 d b c", Some(901)),
            ("-5 d", Some(0)),
            ("-5 a\n-4 d a", Some(1)),
            // Where the history is cut off, the rest of it counts.
            ("100 d a", Some(100)),
            ("no number", None),
        ];
        for (history, expected) in table {
            assert_eq!(code_date(history, "d0"), expected, "{history}");
        }
    }

    /// A rewritten history: dates of 2030 were in the old one only, so they are gone with it.
    #[test]
    fn dates_of_other_histories_do_not_matter() {
        assert_eq!(code_date("100 a\n300 c a", "c"), Some(300));
    }
}
