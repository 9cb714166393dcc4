//! Which labels a Dockerfile sets by itself, as far as its text tells.
//!
//! Sources: <https://docs.docker.com/reference/dockerfile/#label>, and `line_parsers.go` of BuildKit's parser.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::dockerfile::{expanded, instructions, words};

/// The stages of a Dockerfile.
#[derive(Debug, Default)]
pub(super) struct Stages {
    /// The arguments before the first stage, with their defaults.
    args: Vec<(String, Option<String>)>,
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    /// In lower case, as BuildKit compares names.
    name: Option<String>,
    /// What it stands on: another stage or an image, as written.
    base: String,
    /// The keys of its labels.
    labels: BTreeSet<String>,
}

impl Stages {
    pub(super) fn of(text: &str) -> Self {
        let (lines, escape) = instructions(text);
        let mut found = Self::default();
        for line in lines {
            let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
            match (instruction.to_ascii_uppercase().as_str(), found.stages.last_mut()) {
                ("ARG", None) => found.args.extend(words(rest, escape).iter().map(|word| argument(word))),
                ("FROM", _) => found.stages.extend(stage(rest)),
                ("LABEL", Some(stage)) => stage.labels.extend(label_keys(rest, escape)),
                _ => {}
            }
        }
        found
    }

    /// The keys that the stages set on which a target stands; without a target the last stage is meant. What an image sets that
    /// it is made from does not count, nor does a stage in whose place a named context is given. `given` are the build arguments.
    pub(super) fn labels(
        &self,
        target: Option<&str>,
        given: &BTreeMap<&str, &str>,
        contexts: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let args = self.arguments(given);
        let mut at = match target {
            None => self.stages.len().checked_sub(1),
            Some(target) => {
                let named = self.named(&target.to_ascii_lowercase(), self.stages.len());
                named.or_else(|| target.parse().ok())
            }
        };
        let mut found = BTreeSet::new();
        while let Some((place, stage)) = at.and_then(|at| Some((at, self.stages.get(at)?))) {
            if stage.name.as_ref().is_some_and(|name| contexts.contains(name)) {
                break;
            }
            found.extend(stage.labels.iter().cloned());
            let base = expanded(&stage.base, &args);
            at = base.and_then(|base| self.named(&base.to_ascii_lowercase(), place));
        }
        found
    }

    /// The last stage of a name before a place.
    fn named(&self, name: &str, before: usize) -> Option<usize> {
        self.stages.iter().take(before).rposition(|stage| stage.name.as_deref() == Some(name))
    }

    /// The values of the arguments before the first stage; what describes the platform needs no declaration.
    fn arguments(&self, given: &BTreeMap<&str, &str>) -> BTreeMap<String, String> {
        let platform = given.iter().filter(|(name, _)| name.starts_with("TARGET"));
        let mut args: BTreeMap<String, String> =
            platform.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for (name, default) in &self.args {
            let default = || expanded(default.as_deref()?, &args);
            let value = given.get(name.as_str()).map(|value| (*value).to_owned()).or_else(default);
            args.extend(value.map(|value| (name.clone(), value)));
        }
        args
    }
}

/// `NAME` or `NAME=DEFAULT`.
fn argument(word: &str) -> (String, Option<String>) {
    let (name, default) = word.split_once('=').map_or((word, None), |(name, text)| (name, Some(text)));
    (name.to_owned(), default.map(|text| text.trim_matches(['"', '\'']).to_owned()))
}

/// `[--platform=…] BASE [AS NAME]`.
fn stage(text: &str) -> Option<Stage> {
    let mut words = text.split_whitespace().skip_while(|word| word.starts_with("--"));
    let base = words.next()?.to_owned();
    let named = words.next().is_some_and(|word| word.eq_ignore_ascii_case("AS"));
    let name = words.next().filter(|_| named).map(str::to_ascii_lowercase);
    Some(Stage { name, base, labels: BTreeSet::new() })
}

/// `KEY=VALUE …`, or the older `KEY VALUE`. A key that holds a variable is not known.
fn label_keys(text: &str, escape: char) -> Vec<String> {
    let words = words(text, escape);
    let old = words.first().is_some_and(|word| !word.contains('='));
    let keys = words.iter().take(if old { 1 } else { words.len() });
    keys.filter_map(|word| unquoted(word.split('=').next()?, escape)).collect()
}

/// Without quotes; none with a variable.
fn unquoted(text: &str, escape: char) -> Option<String> {
    let (mut plain, mut quote) = (String::new(), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(open) if c == open => quote = None,
            Some('\'') => plain.push(c),
            _ if c == '$' => return None,
            _ if c == escape => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str, target: Option<&str>, args: &[(&str, &str)], contexts: &[&str]) -> String {
        let contexts = contexts.iter().map(|name| (*name).to_owned()).collect();
        let found = Stages::of(text).labels(target, &args.iter().copied().collect(), &contexts);
        found.into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn keys_in_every_form() {
        for (written, keys) in [
            ("LABEL a=1", "a"),
            ("LABEL a=1 b.c=\"x y\" 'd e'='f g' \"h\"=i=j", "a b.c d e h"),
            ("label a some old value=x", "a"),
            ("LABEL \"a\" b", "a"),
            ("LABEL a=1 \\\n      # a comment\n\n      b=\"2\" \\\n      c=3\nLABEL d=$X", "a b c d"),
            ("LABEL a$X=1 \"b${Y}\"=2 c=3 'd$'=4 e\\$=5", "c d$ e$"),
            ("LABEL a=x\\ b=y c=\"d=\\\"e f=\\\"\"", "a c"),
            ("ONBUILD LABEL a=1\nENV LABEL=1\nRUN <<EOF\nLABEL b=1\nEOF\n# LABEL c=1\nLABEL d=1", "d"),
            ("LABEL", ""),
        ] {
            assert_eq!(labels(&format!("FROM x\n{written}\n"), None, &[], &[]), keys, "{written}");
        }
    }

    #[test]
    fn of_the_stages_that_a_target_stands_on() {
        let text = "\
ARG BASE=two
ARG LAST=$BASE
LABEL none=1
FROM alpine AS One
LABEL one=1
FROM --platform=$BUILDPLATFORM one as two
LABEL two=1
FROM x AS three-arm64
LABEL three=1
FROM $LAST AS four
LABEL four=1
FROM three-$TARGETARCH AS five
FROM one AS one
LABEL again=1
FROM $UNKNOWN
LABEL six=1
";
        let arm = [("TARGETARCH", "arm64")];
        for (target, args, contexts, expected) in [
            (Some("one"), &[][..], &[][..], "again one"),
            (Some("0"), &[], &[], "one"),
            (Some("TWO"), &[], &[], "one two"),
            (Some("four"), &[], &[], "four one two"),
            (Some("four"), &[("BASE", "three-arm64")], &[], "four three"),
            (Some("four"), &[("LAST", "alpine")], &[], "four"),
            (Some("four"), &[], &["one"], "four two"),
            (Some("five"), &arm, &[], "three"),
            (Some("five"), &[], &[], ""),
            (None, &[], &[], "six"),
            (Some("nowhere"), &[], &[], ""),
            (Some("99"), &[], &[], ""),
        ] {
            assert_eq!(labels(text, target, args, contexts), expected, "{target:?} {args:?} {contexts:?}");
        }
    }

    #[test]
    fn no_text_is_too_odd() {
        for text in [
            "",
            "FROM",
            "LABEL a=1",
            "FROM a AS",
            "FROM a AS a\nFROM a AS a",
            "FROM x\nLABEL =",
            "FROM x\nLABEL \"",
            "\u{feff}FROM x",
        ] {
            assert!(labels(text, None, &[], &[]).len() < 2, "{text}");
        }
    }
}
