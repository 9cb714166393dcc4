//! Keys and values; a list of them is a JSON object that keeps their order.

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;

/// A key and its value. In JSON a list of them is an object, its keys in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value, placeholders expanded.
    pub value: String,
}

impl Pair {
    /// As tuples, for command lines.
    pub fn tuples(pairs: &[Self]) -> Vec<(String, String)> {
        pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
    }
}

pub(super) fn serialize<S: Serializer>(pairs: &[Pair], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|pair| (&pair.key, &pair.value)))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Pair>, D::Error> {
    deserializer.deserialize_map(Pairs)
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<Pair>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs: Vec<Pair> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if pairs.iter().any(|pair| pair.key == key) {
                return Err(A::Error::custom(format_args!("the key `{key}` comes twice")));
            }
            pairs.push(Pair { key, value });
        }
        Ok(pairs)
    }
}
