//! The files of the workflow: this repository's own, which every other one gets as they are, but for the triggers.
//!
//! The first line of each holds a hash of the rest, so that a file tells whether it was edited since it was written.
//! Two lines of `images.yml` mark what is everybody's own: when a run starts.

use crate::base::ids::Digest;

/// A file of the workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Its path in a repository.
    pub path: &'static str,
    /// What it holds here.
    text: &'static str,
}

/// All of them.
pub const ALL: [Template; 6] = [
    Template { path: ".github/workflows/images.yml", text: include_str!("../../templates/images.yml") },
    Template { path: ".github/workflows/family.yml", text: include_str!("../../templates/family.yml") },
    Template { path: ".github/workflows/cell.yml", text: include_str!("../../templates/cell.yml") },
    Template {
        path: ".github/actions/xtask/action.yml",
        text: include_str!("../../templates/xtask.action.yml"),
    },
    Template {
        path: ".github/actions/cache/action.yml",
        text: include_str!("../../templates/cache.action.yml"),
    },
    Template { path: ".github/actions/cache/main.cjs", text: include_str!("../../templates/cache.main.cjs") },
];

/// How the first line begins, after the sign of a comment.
const STAMP: &str = " xtask-images ";

/// The signs of a comment: of YAML, of JavaScript.
const COMMENTS: [&str; 2] = ["#", "//"];

/// How it ends.
const ADVICE: &str = ": `cargo xtask update` keeps this file current.";

/// The first of the two lines around the triggers.
const BEGIN: &str = "  # Your triggers begin: `cargo xtask update` leaves them alone.\n";

/// The second one.
const END: &str = "  # Your triggers end.\n";

impl Template {
    /// The file with these triggers, or with its own: the lines between the marks, each indented by two spaces.
    #[must_use]
    pub fn text(self, triggers: Option<&str>) -> String {
        let text = stamped(self.comment(), body(self.text));
        triggers.map_or(text.clone(), |triggers| with_triggers(&text, triggers))
    }

    /// Whether it has triggers, which are the repository's.
    #[must_use]
    pub fn has_triggers(self) -> bool {
        triggers(self.text).is_some()
    }

    /// The hash that the file bears.
    #[must_use]
    pub fn hash(self) -> String {
        hash(body(self.text))
    }

    /// The sign of a comment in it.
    fn comment(self) -> &'static str {
        let [yaml, script] = COMMENTS;
        if self.path.ends_with(".cjs") { script } else { yaml }
    }

    /// Whether a file holds the same, whatever its first line says: this repository edits the templates themselves.
    #[must_use]
    pub fn is_in(self, text: &str) -> bool {
        hash(body(text)) == self.hash()
    }
}

/// The hash in the first line of a file; none: this project has not written it.
#[must_use]
pub fn stamp(text: &str) -> Option<&str> {
    let first = text.lines().next()?;
    let line = COMMENTS.into_iter().find_map(|comment| first.strip_prefix(comment))?;
    let line = line.strip_prefix(STAMP)?.strip_suffix(ADVICE)?;
    (line.len() == LENGTH && line.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(line)
}

/// Whether a file is as it was written, but for its triggers.
#[must_use]
pub fn is_pristine(text: &str) -> bool {
    stamp(text).is_some_and(|stamp| stamp == hash(body(text)))
}

/// The lines between the marks.
#[must_use]
pub fn triggers(text: &str) -> Option<&str> {
    parts(text).map(|(_, triggers, _)| triggers)
}

/// A file with other triggers, where it has any.
#[must_use]
pub fn with_triggers(text: &str, triggers: &str) -> String {
    match parts(text) {
        Some((before, _, after)) => format!("{before}{triggers}{after}"),
        None => text.to_owned(),
    }
}

/// How many hex digits of the hash are told: those of [`Digest::short_hex`].
const LENGTH: usize = 12;

/// A text under its own hash.
pub(super) fn stamped(comment: &str, body: &str) -> String {
    format!("{comment}{STAMP}{}{ADVICE}\n{body}", hash(body))
}

/// What follows the first line, where that is a stamp.
fn body(text: &str) -> &str {
    match stamp(text) {
        Some(_) => text.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    }
}

/// What stands before, between and after the marks; they belong to the outer two.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let (before, rest) = text.split_at_checked(begin)?;
    let (triggers, after) = rest.split_at_checked(rest.find(END)?)?;
    Some((before, triggers, after))
}

fn hash(body: &str) -> String {
    let text = with_triggers(body, "");
    Digest::of(text.as_bytes()).short_hex().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_ours_bears_its_own_hash() {
        for template in ALL {
            let advice = format!("{} was edited: run `cargo xtask update --write`", template.path);
            assert_eq!(stamp(template.text), Some(template.hash().as_str()), "{advice}");
            assert_eq!(template.text(None), template.text, "{advice}");
        }
    }

    #[test]
    fn triggers_are_no_part_of_the_hash() {
        let [images, _, cell, ..] = ALL;
        let other = images.text(Some("  push:\n    branches: [trunk]\n"));
        assert!(other.contains("branches: [trunk]") && !other.contains("cron"), "{other}");
        assert!(is_pristine(&other) && triggers(&other) == Some("  push:\n    branches: [trunk]\n"));
        assert_eq!(triggers(cell.text), None);
        assert_eq!(cell.text(Some("  push:\n")), cell.text, "it is called, nothing else starts it");
    }

    #[test]
    fn an_edit_is_seen() {
        let text = ALL[2].text(None);
        assert!(is_pristine(&text));
        let edited = text.replace("timeout-minutes: 60", "timeout-minutes: 90");
        assert!(edited != text && !is_pristine(&edited) && stamp(&edited) == stamp(&text));
        for foreign in
            ["", "name: cell\n", "# xtask-images ../..: `cargo xtask update` keeps this file current.\n"]
        {
            assert!(stamp(foreign).is_none() && !is_pristine(foreign));
        }
    }
}
