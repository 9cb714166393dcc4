//! The functions of expressions: `Expressions2/Sdk/Functions` and `Expressions` of actions/runner.

use std::fs;

use sha2::{Digest as _, Sha256};

use super::availability::Key;
use super::expression::{Expression, Scope};
use super::glob::Globs;
use super::value::Value;

pub fn is_status(name: &str) -> bool {
    matches!(name, "success" | "failure" | "always" | "cancelled")
}

/// Refuses a function that is not known there, or another number of arguments.
pub fn check(name: &str, arguments: usize, key: Key) -> Result<(), &'static str> {
    let count = match name {
        "contains" | "endswith" | "startswith" => 2..=2,
        "format" => 1..=255,
        "join" => 1..=2,
        "tojson" | "fromjson" => 1..=1,
        "case" => 3..=255,
        // With names of jobs, which is in no document, they are not modelled.
        _ if is_status(name) && key.is_condition() => 0..=0,
        "hashfiles" if key.has_files() => 1..=255,
        _ => return Err("Unrecognized function"),
    };
    match arguments {
        _ if arguments < *count.start() => Err("Too few parameters supplied"),
        _ if arguments > *count.end() => Err("Too many parameters supplied"),
        _ if name == "case" && arguments.is_multiple_of(2) => {
            Err("Even number of parameters supplied, requires an odd number")
        }
        _ => Ok(()),
    }
}

pub fn call(name: &str, arguments: &[Expression], scope: &Scope<'_>) -> Result<Value, String> {
    let value = |at: usize| arguments[at].evaluate(scope);
    Ok(match name {
        "success" => Value::Bool(scope.status.success),
        "failure" => Value::Bool(scope.status.failure),
        "cancelled" => Value::Bool(scope.status.cancelled),
        "always" => Value::Bool(true),
        "contains" => contains(&value(0)?, &value(1)?),
        "startswith" | "endswith" => {
            let (text, part) = (value(0)?, value(1)?);
            let both = text.is_primitive() && part.is_primitive();
            let (text, part) = (text.to_text().to_uppercase(), part.to_text().to_uppercase());
            Value::Bool(
                both && if name == "startswith" { text.starts_with(&part) } else { text.ends_with(&part) },
            )
        }
        "format" => {
            let rest: Vec<Value> =
                arguments[1..].iter().map(|argument| argument.evaluate(scope)).collect::<Result<_, _>>()?;
            Value::String(format(&value(0)?.to_text(), &rest)?)
        }
        "join" => {
            let separator = arguments.get(1).map(|argument| argument.evaluate(scope)).transpose()?;
            let separator =
                separator.filter(Value::is_primitive).map_or(",".to_owned(), |value| value.to_text());
            match value(0)? {
                Value::Array(array) => {
                    let texts: Vec<String> = array.items.iter().map(Value::to_text).collect();
                    Value::String(texts.join(&separator))
                }
                Value::Object(_) => Value::text(""),
                other => Value::String(other.to_text()),
            }
        }
        "tojson" => Value::String(value(0)?.pretty(0)),
        "fromjson" => from_json(&value(0)?.to_text())?,
        "case" => {
            for pair in arguments.chunks(2) {
                let [condition, then] = pair else { return pair[0].evaluate(scope) };
                if condition.evaluate(scope)?.is_true() {
                    return then.evaluate(scope);
                }
            }
            Value::Null
        }
        _ => {
            let patterns: Vec<String> = (0..arguments.len())
                .map(|at| value(at).map(|value| value.to_text()))
                .collect::<Result<_, _>>()?;
            hash_files(&patterns.join("\n"), scope)?
        }
    })
}

fn contains(search: &Value, item: &Value) -> Value {
    Value::Bool(match search {
        Value::Array(array) => array.items.iter().any(|one| one.equals(item)),
        Value::Object(_) => false,
        _ => item.is_primitive() && search.to_text().to_uppercase().contains(&item.to_text().to_uppercase()),
    })
}

fn from_json(text: &str) -> Result<Value, String> {
    if text.is_empty() {
        return Err("Error parsing fromJson: Input string is empty".to_owned());
    }
    let json: Ordered =
        serde_json::from_str(text).map_err(|error| format!("Error parsing fromJson: {error}"))?;
    Ok(json.0)
}

/// JSON whose names stay in order.
struct Ordered(Value);

impl<'de> serde::Deserialize<'de> for Ordered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor).map(Self)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::text(value))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Ordered(item)) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::list(items))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some((key, Ordered(value))) = map.next_entry::<String, Ordered>()? {
            entries.retain(|(name, _)| *name != key);
            entries.push((key, value));
        }
        Ok(Value::object(entries))
    }
}

fn format(text: &str, arguments: &[Value]) -> Result<String, String> {
    let invalid = || format!("The following format string is invalid: {text}");
    let (mut result, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            result.push_str(&rest[..1]);
            rest = after;
            continue;
        }
        let (number, after) =
            rest[1..].split_once('}').filter(|_| rest.starts_with('{')).ok_or_else(invalid)?;
        if number.is_empty() || !number.chars().all(|c| c.is_ascii_digit()) {
            return Err(invalid());
        }
        let argument = number.parse::<u8>().ok().and_then(|number| arguments.get(usize::from(number)));
        let argument = argument.ok_or_else(|| {
            format!("The following format string references more arguments than were supplied: {text}")
        })?;
        result.push_str(&argument.to_text());
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// The SHA-256 of the SHA-256 sums of the files; of none, nothing.
fn hash_files(patterns: &str, scope: &Scope<'_>) -> Result<Value, String> {
    let workspace = scope.workspace.ok_or("hashFiles() needs a workspace")?;
    let mut sum = Sha256::new();
    let mut files = Globs::new(patterns, workspace)?.files(true);
    files.retain(|file| file.starts_with(workspace));
    for file in &files {
        let bytes = fs::read(file).map_err(|error| format!("hashFiles: {}: {error}", file.display()))?;
        sum.update(Sha256::digest(bytes));
    }
    if files.is_empty() {
        return Ok(Value::text(""));
    }
    Ok(Value::String(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
