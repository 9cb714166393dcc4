//! Comparisons and functions of GitHub's expressions, see
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#functions>.

use std::cmp::Ordering;

use crate::init::workflow::text::{Map, Text, Value};

/// Whether two values are equal, by GitHub's rules: texts without their case, other pairs of types as numbers.
pub(super) fn equal(one: &Value, other: &Value) -> Option<bool> {
    match (one, other) {
        (Value::Unknown, _) | (_, Value::Unknown) => None,
        (Value::Text(a), Value::Text(b)) if a.is_unknown() || b.is_unknown() => None,
        (Value::Text(a), Value::Text(b)) => Some(a.plain().eq_ignore_ascii_case(&b.plain())),
        (Value::Text(text), Value::Bool(truth)) | (Value::Bool(truth), Value::Text(text))
            if text.keys().next().is_some() =>
        {
            Some(text.plain() == truth.to_string())
        }
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => Some(one == other),
        _ => Some(number(one)? == number(other)?),
    }
}

/// How two values are ordered; both [`Ordering::Less`] and its opposite fail for what is no number.
pub(super) fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Text(a), Value::Text(b)) if !a.is_unknown() && !b.is_unknown() => {
            Some(a.plain().to_lowercase().cmp(&b.plain().to_lowercase()))
        }
        _ => number(one)?.partial_cmp(&number(other)?),
    }
}

/// A value as a number. `None`: only a run can tell.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(0.0),
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Number(number) => Some(*number),
        Value::Text(text) if text.is_unknown() => None,
        Value::Text(text) if text.is_empty() => Some(0.0),
        Value::Text(text) => Some(text.plain().trim().parse().unwrap_or(f64::NAN)),
        Value::List(_) | Value::Map(_) => Some(f64::NAN),
        Value::Unknown => None,
    }
}

/// What a function gives.
pub(super) fn call(name: &str, arguments: &[Value]) -> Value {
    let truth = |truth: Option<bool>| truth.map_or(Value::Unknown, Value::Bool);
    match (name.to_ascii_lowercase().as_str(), arguments) {
        ("always" | "success", []) => Value::Bool(true),
        ("failure" | "cancelled", []) => Value::Bool(false),
        ("contains", [Value::List(values), item]) => {
            let found: Vec<_> = values.iter().map(|value| equal(value, item)).collect();
            let any = found.contains(&Some(true));
            truth(if any { Some(true) } else { found.into_iter().all(|one| one.is_some()).then_some(false) })
        }
        ("contains", [text, part]) => truth(texts(text, part).map(|(text, part)| text.contains(&part))),
        ("startswith", [text, part]) => truth(texts(text, part).map(|(text, part)| text.starts_with(&part))),
        ("endswith", [text, part]) => truth(texts(text, part).map(|(text, part)| text.ends_with(&part))),
        ("format", [template, values @ ..]) => format(&template.text(), values),
        ("join", [values, rest @ ..]) => join(values, rest.first()),
        ("tojson", [value]) => json(value).map_or(Value::Unknown, |json| Value::typed(&json.to_string())),
        ("fromjson", [Value::Text(text)]) if !text.is_unknown() => {
            serde_json::from_str(&text.plain()).map_or(Value::Unknown, from_json)
        }
        // What metadata-action says as JSON is kept as the values that it stands for.
        ("fromjson", [value @ (Value::Map(_) | Value::List(_))]) => value.clone(),
        _ => Value::Unknown,
    }
}

/// Two texts in lower case, as the functions that search compare them.
fn texts(one: &Value, other: &Value) -> Option<(String, String)> {
    let text = |value: &Value| {
        let text = value.text();
        (!text.is_unknown()).then(|| text.plain().to_lowercase())
    };
    Some((text(one)?, text(other)?))
}

/// `{0}` and so on stand for the values; a brace is written twice.
fn format(template: &Text, values: &[Value]) -> Value {
    let plain = template.plain();
    let mut text = Text::default();
    let mut at = 0;
    while let Some(found) = plain.get(at..).and_then(|rest| rest.find(['{', '}'])) {
        let brace = at + found;
        text.push(template.cut(at..brace));
        let rest = plain.get(brace..).unwrap_or_default();
        if rest.starts_with("{{") || rest.starts_with("}}") {
            text.push(template.cut(brace..brace + 1));
            at = brace + 2;
            continue;
        }
        let Some((number, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
            return Value::Unknown;
        };
        let Some(value) = number.parse::<usize>().ok().and_then(|number| values.get(number)) else {
            return Value::Unknown;
        };
        text.push(value.text());
        at = brace + number.len() + 2;
    }
    text.push(template.cut(at..plain.len()));
    Value::Text(text)
}

fn join(values: &Value, separator: Option<&Value>) -> Value {
    let Value::List(values) = values else { return Value::Text(values.text()) };
    let separator = separator.map_or_else(|| Text::typed(","), Value::text);
    let mut text = Text::default();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            text.push(separator.clone());
        }
        text.push(value.text());
    }
    Value::Text(text)
}

fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => (*number).into(),
        Value::Text(text) if text.is_unknown() => return None,
        Value::Text(text) => text.plain().into(),
        Value::List(values) => values.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Value::Map(map) => {
            let pairs = map.pairs.iter().map(|(name, value)| Some((name.clone(), json(value)?)));
            serde_json::Value::Object(pairs.collect::<Option<_>>()?)
        }
        Value::Unknown => return None,
    })
}

fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => number.as_f64().map_or(Value::Unknown, Value::Number),
        serde_json::Value::String(text) => Value::typed(&text),
        serde_json::Value::Array(values) => Value::List(values.into_iter().map(from_json).collect()),
        serde_json::Value::Object(pairs) => {
            Value::Map(Map::closed(pairs.into_iter().map(|(name, value)| (name, from_json(value))).collect()))
        }
    }
}
