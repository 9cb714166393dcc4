//! Texts with `${{ }}` in them, and conditions.

use serde_yaml_ng::Value as Yaml;

use super::availability::Key;
use super::expression::{Expression, Scope, parse};
use super::value::Value;

/// A part of a text.
enum Part {
    Text(String),
    Expression(Expression),
}

/// Parts a text at its `${{ }}`.
fn parts(text: &str, key: Key) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("${{") {
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
        }
        let inner = &rest[at + 3..];
        let mut quoted = false;
        let end = inner.char_indices().find(|(at, c)| {
            quoted ^= *c == '\'';
            !quoted && inner[*at..].starts_with("}}")
        });
        let Some((end, _)) = end else {
            return Err(format!(
                "The expression is not closed. An unescaped ${{{{ sequence was found, but the closing }}}} sequence was \
                 not found: {text}"
            ));
        };
        parts.push(Part::Expression(parse(inner[..end].trim(), key)?));
        rest = &inner[end + 2..];
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

/// The value of a text: with a lone `${{ }}`, that of the expression.
pub fn expand_text(text: &str, key: Key, scope: &Scope<'_>) -> Result<Value, String> {
    let parts = parts(text, key)?;
    if let [Part::Expression(expression)] = parts.as_slice() {
        return expression.evaluate(scope);
    }
    let mut result = String::new();
    for part in parts {
        match part {
            Part::Text(text) => result.push_str(&text),
            Part::Expression(expression) => result.push_str(&expression.evaluate(scope)?.to_text()),
        }
    }
    Ok(Value::String(result))
}

/// The value of a part of a file.
pub fn expand(yaml: &Yaml, key: Key, scope: &Scope<'_>) -> Result<Value, String> {
    match yaml {
        Yaml::String(text) => expand_text(text, key, scope),
        Yaml::Sequence(items) => {
            Ok(Value::list(items.iter().map(|item| expand(item, key, scope)).collect::<Result<_, _>>()?))
        }
        Yaml::Mapping(entries) => {
            let entry = |(name, value): (&Yaml, &Yaml)| {
                Ok::<_, String>((expand(name, key, scope)?.to_text(), expand(value, key, scope)?))
            };
            Ok(Value::object(entries.iter().map(entry).collect::<Result<Vec<_>, _>>()?))
        }
        other => Ok(Value::from(other)),
    }
}

/// Parses every expression of a part of a file; `see` is called with each.
pub fn check(yaml: &Yaml, key: Key, see: &mut dyn FnMut(&Expression)) -> Result<(), String> {
    match yaml {
        Yaml::String(text) => {
            for part in parts(text, key)? {
                if let Part::Expression(expression) = part {
                    see(&expression);
                }
            }
        }
        Yaml::Sequence(items) => items.iter().try_for_each(|item| check(item, key, see))?,
        Yaml::Mapping(entries) => {
            for (name, value) in entries {
                check(name, key, see)?;
                check(value, key, see)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A condition. GitHub takes text around `${{ }}` for a text, which is true whatever it says: that is refused.
pub fn condition(text: &str, key: Key) -> Result<Expression, String> {
    if !text.contains("${{") {
        return parse(text.trim(), key);
    }
    let mut parts = parts(text, key)?;
    match (parts.pop(), parts.is_empty()) {
        (Some(Part::Expression(expression)), true) => Ok(expression),
        _ => Err(format!("text around ${{{{ }}}} makes the condition true whatever it says: {text:?}")),
    }
}

/// Whether a condition holds: without a status function only if nothing has failed.
pub fn holds(condition: Option<&Expression>, scope: &Scope<'_>) -> Result<bool, String> {
    let Some(condition) = condition else { return Ok(scope.status.success) };
    if !condition.asks_status() && !scope.status.success {
        return Ok(false);
    }
    Ok(condition.evaluate(scope)?.is_true())
}
