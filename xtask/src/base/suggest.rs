//! "Did you mean …?"

use strsim::osa_distance;

/// The candidate that is nearest to a word, if it is near enough to be meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).max(1) + 1;
    let scored = candidates.into_iter().map(|candidate| (osa_distance(word, candidate), candidate));
    scored
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A line of help: the candidate that is near, else all of them after the words that introduce them.
pub fn help(word: &str, otherwise: &str, candidates: &[&str]) -> String {
    nearest(word, candidates.iter().copied()).map_or_else(
        || format!("{otherwise} {}", candidates.join(", ")),
        |near| format!("did you mean `{near}`?"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words() {
        assert_eq!(nearest("tagz", ["tags", "track"]), Some("tags"));
        assert_eq!(nearest("pul-request", ["pull-request", "ref"]), Some("pull-request"));
        assert_eq!(nearest("zzzzzz", ["tags", "track"]), None);
        // Three letters of six may differ, and two that changed places count as one.
        assert_eq!(nearest("kitten", ["sitting"]), Some("sitting"));
        assert_eq!(nearest("kitten", ["sittings"]), None);
        assert_eq!(nearest("vresion", ["revision", "version"]), Some("version"));
    }
}
