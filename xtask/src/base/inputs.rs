//! What decided what a build has made: every input by name, so that a change can be told by name too.
//!
//! Two builds with the same key are the same build: [`crate::base::record::DigestRecord`] and the records of publications
//! carry it. `docs/reuse.md` lists the inputs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::base::ids::{Digest, Name};

/// Raised when what a build is given changes in a way that no input shows.
const RULES: &str = "1";

/// What a build argument is called among the inputs; its key follows.
pub const BUILD_ARG: &str = "build argument ";
/// The same of a label.
pub const LABEL: &str = "label ";
/// The same of an annotation.
pub const ANNOTATION: &str = "annotation ";
/// The same of a base image; its name as the Dockerfile has it follows.
pub const BASE: &str = "base image ";
/// The same of an image of the same matrix.
pub const NEED: &str = "needed image ";
/// The same of the context; its path follows.
pub const CONTEXT: &str = "context ";
/// The same of a named context; its name follows.
pub const NAMED_CONTEXT: &str = "named context ";
/// The same of the upstream's commit.
pub const UPSTREAM: &str = "upstream commit";
/// The same of a Dockerfile; its path follows.
pub const DOCKERFILE: &str = "Dockerfile ";

/// Inputs while they are gathered: the whole values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputValues(BTreeMap<String, String>);

impl InputValues {
    /// Adds an input. Each name occurs once.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }
}

/// The inputs of something, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// SHA-256 over the names and values.
    pub key: Digest,
    /// The first 16 hex digits of the SHA-256 of each value: enough to tell which one has changed.
    pub parts: BTreeMap<String, String>,
}

impl Inputs {
    /// The form in which values are kept and compared.
    pub fn of(values: &InputValues) -> Self {
        let mut whole = format!("{}:{RULES}", RULES.len());
        for text in values.0.iter().flat_map(|(name, value)| [name, value]) {
            // With its length, so that no two lists look alike.
            whole += &format!(",{}:{text}", text.len());
        }
        let short =
            |value: &String| Digest::of(value.as_bytes()).hex().get(..16).unwrap_or_default().to_owned();
        Self {
            key: Digest::of(whole.as_bytes()),
            parts: values.0.iter().map(|(name, value)| (name.clone(), short(value))).collect(),
        }
    }

    /// What is not as it was, by name.
    pub fn changes(&self, before: &Self) -> Vec<Change> {
        let names =
            self.parts.keys().chain(before.parts.keys().filter(|name| !self.parts.contains_key(*name)));
        let change = |name: &String| match (before.parts.get(name), self.parts.get(name)) {
            (Some(before), Some(now)) if before == now => None,
            (Some(_), Some(_)) => Some(Change { name: name.clone(), how: "changed" }),
            (None, _) => Some(Change { name: name.clone(), how: "is new" }),
            (_, None) => Some(Change { name: name.clone(), how: "is gone" }),
        };
        let mut found: Vec<Change> = names.filter_map(change).collect();
        if found.is_empty() && self.key != before.key {
            found.push(Change { name: "the way in which inputs are compared".to_owned(), how: "changed" });
        }
        found
    }
}

/// An input that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    how: &'static str,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.how == "changed" && self.name.starts_with(BASE) { "moved" } else { self.how };
        write!(f, "{} {how}", self.name)
    }
}

/// What a build itself has told about where its contents come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// The images that it started or copied from, and its frontend, by the names that the Dockerfile gives them.
    pub images: BTreeMap<String, Digest>,
    /// Whether a `RUN` could use the network.
    pub network: bool,
    /// What nobody can ask for again: each makes sure that the build is not reused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// The inputs of one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildInputs {
    /// All of them.
    pub all: Inputs,
    /// Those among them that only the build could tell.
    pub sources: Sources,
}

/// The inputs of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellInputs {
    /// Those of the index.
    pub index: Inputs,
    /// Those of each build, by the short name of its platform.
    pub builds: BTreeMap<Name, BuildInputs>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, &str)]) -> Inputs {
        let mut values = InputValues::default();
        pairs.iter().for_each(|(name, value)| values.add(*name, *value));
        Inputs::of(&values)
    }

    #[test]
    fn a_change_has_a_name() {
        let before = inputs(&[("base image php:8", "1"), ("label a", "x"), ("target", "t")]);
        let after = inputs(&[("base image php:8", "2"), ("label b", "x"), ("target", "t")]);
        let told: Vec<String> = after.changes(&before).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["base image php:8 moved", "label b is new", "label a is gone"]);
        assert!(after.changes(&after).is_empty());
    }

    #[test]
    fn no_two_lists_look_alike() {
        let all = [
            inputs(&[("a", "b"), ("c", "d")]),
            inputs(&[("a", "b,1:c"), ("d", "")]),
            inputs(&[("a", "b")]),
            inputs(&[("ab", "")]),
            inputs(&[("", "ab")]),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(all.iter().skip(n + 1).all(|other| other.key != one.key), "{one:?}");
        }
    }

    #[test]
    fn their_json_form_is_read_again() {
        let sources = Sources { network: true, ..Sources::default() };
        let built = BuildInputs { all: inputs(&[("a", "b")]), sources };
        let json = serde_json::to_value(&built).unwrap();
        assert_eq!(serde_json::from_value::<BuildInputs>(json).unwrap(), built);
    }
}
