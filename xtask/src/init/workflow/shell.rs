//! Words of the shell: the variables in them, as far as the file tells what these hold.

use std::collections::BTreeMap;

use crate::init::workflow::handlebars::revision;
use crate::init::workflow::scope::Scope;
use crate::init::workflow::text::{Text, Value};

/// A word without the quotes around it.
pub(super) fn unquoted(text: &Text) -> Text {
    let text = text.trim();
    let plain = text.plain();
    let inner = ['"', '\''].iter().find_map(|q| plain.strip_prefix(*q)?.strip_suffix(*q));
    inner.map_or_else(|| text.clone(), |inner| text.cut(1..1 + inner.len()))
}

/// The value of a word of the shell: variables are put in, what else a shell computes is unknown.
pub(super) fn expand(word: &Text, scope: &Scope, locals: &[(String, Text)]) -> Text {
    let plain = word.plain();
    let mut made = Text::default();
    let mut at = 0;
    while let Some(found) = plain.get(at..).and_then(|rest| rest.find(['$', '`'])) {
        let start = at + found;
        made.push(word.cut(at..start));
        let rest = plain.get(start + 1..).unwrap_or_default();
        let (name, end) = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((inner, _)) => (inner.to_owned(), start + inner.len() + 3),
            None => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
                (rest.get(..end).unwrap_or_default().to_owned(), start + 1 + end)
            }
        };
        if name.is_empty() {
            return Text::unknown(&plain);
        }
        made.push(variable(&name, scope, locals));
        at = end;
    }
    made.push(word.cut(at..plain.len()));
    made
}

fn variable(expression: &str, scope: &Scope, locals: &[(String, Text)]) -> Text {
    let end = expression.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(expression.len());
    let (name, operator) = expression.split_at_checked(end).unwrap_or((expression, ""));
    let local = locals.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let github = || {
        let name = name.strip_prefix("GITHUB_")?.to_ascii_lowercase();
        match scope.map("github").get(&name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    };
    let inherited = || match scope.map("env").get(name) {
        Value::Unknown => None,
        value => Some(value.text()),
    };
    let value =
        local.or_else(inherited).or_else(github).unwrap_or_else(|| Text::unknown(&format!("${name}")));
    let is_revision = value.template(&BTreeMap::new(), None).is_ok_and(|text| text == "{revision}");
    match operator {
        "" => value,
        ":0:7" | "::7" if is_revision => revision(),
        ",," | "@L" => {
            let plain = value.plain();
            if plain == plain.to_lowercase() { value } else { Text::typed(&plain.to_lowercase()) }
        }
        "#refs/heads/" | "#refs/tags/" | "##*/" | "#refs/*/" => {
            let plain = value.plain();
            let start = ["refs/heads/", "refs/tags/"].iter().find(|folder| plain.starts_with(**folder));
            value.cut(start.map_or(0, |folder| folder.len())..plain.len())
        }
        _ => Text::unknown(&format!("${{{expression}}}")),
    }
}
