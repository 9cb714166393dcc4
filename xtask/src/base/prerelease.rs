//! The order of what follows the numbers of a version.

use std::cmp::Ordering;

/// Digits as a number of any length: without leading zeros the longer one is the higher.
pub(super) fn size(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

/// As semantic versioning orders pre-releases, part by part, but numbers count as numbers inside of a part, too: `rc10`
/// is higher than `rc9`.
pub(super) fn compare(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one.split('.'), two.split('.'));
    loop {
        let order = match (one.next(), two.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(one), Some(two)) => compare_parts(one, two),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Letters by their order, digits by their number; a number is lower than letters.
fn compare_parts(mut one: &str, mut two: &str) -> Ordering {
    while !one.is_empty() && !two.is_empty() {
        let (first, after) = run_of(one);
        let (second, rest) = run_of(two);
        let order = match (is_number(first), is_number(second)) {
            (true, true) => size(first).cmp(&size(second)),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => first.cmp(second),
        };
        if order != Ordering::Equal {
            return order;
        }
        (one, two) = (after, rest);
    }
    one.len().cmp(&two.len())
}

/// The digits, or what is none, at the start of a text, and what follows.
fn run_of(text: &str) -> (&str, &str) {
    let digits = is_number(text);
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}
