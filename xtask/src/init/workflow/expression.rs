//! Expressions of GitHub's workflows, as far as a file tells what they stand for, see
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions>.

use crate::init::workflow::functions;
use crate::init::workflow::scope::Scope;
use crate::init::workflow::text::{Map, Text, Value};

/// How deep parentheses and calls may be nested.
const DEEPEST: usize = 50;

/// The longest expression that GitHub takes.
const LONGEST: usize = 21_000;

/// The value of a text with `${{ … }}` in it. One that is nothing but an expression has that one's value.
pub(super) fn interpolate(text: &str, scope: &Scope) -> Value {
    let mut whole = Text::default();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("${{") {
        let Some(end) = end_of(from) else { break };
        let (expression, after) =
            (from.get(..end).unwrap_or_default(), from.get(end + 2..).unwrap_or_default());
        let name = format!("${{{{ {} }}}}", expression.trim());
        let value = evaluate(expression, scope);
        scope.log(expression, &value);
        if whole.is_empty() && before.trim().is_empty() && after.trim().is_empty() {
            return match value {
                Value::Unknown => Value::Text(Text::unknown(&name)),
                Value::Text(text) => Value::Text(text.named(&name)),
                value => value,
            };
        }
        whole.push(Text::typed(before));
        whole.push(value.text().named(&name));
        rest = after;
    }
    whole.push(Text::typed(rest));
    Value::Text(whole)
}

/// Where an expression ends: at the `}}` that stands in none of its texts.
fn end_of(text: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        quoted ^= c == '\'';
        if !quoted && text.get(at..).is_some_and(|rest| rest.starts_with("}}")) {
            return Some(at);
        }
    }
    None
}

/// The value of an `if`, which is an expression with or without `${{ }}`.
pub(super) fn condition(text: &str, scope: &Scope) -> Option<bool> {
    let value = if text.contains("${{") { interpolate(text, scope) } else { evaluate(text, scope) };
    scope.log(&bare(text), &value);
    value.truth()
}

/// An `if` without the `${{ }}` around it, for remarks.
pub(super) fn bare(text: &str) -> String {
    let text = text.trim();
    let inner = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}"));
    inner.filter(|inner| !inner.contains("${{")).unwrap_or(text).trim().to_owned()
}

/// The value of an expression; one that is wrong has an unknown value.
pub(super) fn evaluate(source: &str, scope: &Scope) -> Value {
    if source.len() > LONGEST {
        return Value::Unknown;
    }
    let mut parser = Parser { rest: source, scope, depth: 0 };
    let value = parser.either();
    parser.skip();
    value.filter(|_| parser.rest.is_empty()).unwrap_or(Value::Unknown)
}

/// Evaluates while it reads: nothing here has an effect that could be skipped.
struct Parser<'a> {
    rest: &'a str,
    scope: &'a Scope,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// `a || b`: the first that is true, else the last.
    fn either(&mut self) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let mut value = self.both()?;
        while self.eat("||") {
            let other = self.both()?;
            value = match value.truth() {
                Some(true) => value,
                Some(false) => other,
                None => Value::Unknown,
            };
        }
        self.depth -= 1;
        Some(value)
    }

    /// `a && b`: the first that is false, else the last.
    fn both(&mut self) -> Option<Value> {
        let mut value = self.equality()?;
        while self.eat("&&") {
            let other = self.equality()?;
            value = match (value.truth(), other.truth()) {
                (Some(false), _) => value,
                (Some(true), _) | (None, Some(false)) => other,
                (None, _) => Value::Unknown,
            };
        }
        Some(value)
    }

    fn equality(&mut self) -> Option<Value> {
        let mut value = self.comparison()?;
        loop {
            let equal = if self.eat("==") {
                true
            } else if self.eat("!=") {
                false
            } else {
                return Some(value);
            };
            let other = self.comparison()?;
            value =
                functions::equal(&value, &other).map_or(Value::Unknown, |found| Value::Bool(found == equal));
        }
    }

    fn comparison(&mut self) -> Option<Value> {
        let mut value = self.unary()?;
        for (token, wanted) in [("<=", [-1, 0]), (">=", [1, 0]), ("<", [-1, -1]), (">", [1, 1])] {
            if self.eat(token) {
                let other = self.unary()?;
                let order = functions::order(&value, &other);
                value = order.map_or(Value::Unknown, |order| Value::Bool(wanted.contains(&(order as i8))));
            }
        }
        Some(value)
    }

    fn unary(&mut self) -> Option<Value> {
        let mut negated = None;
        loop {
            self.skip();
            match self.rest.strip_prefix('!').filter(|rest| !rest.starts_with('=')) {
                Some(rest) => self.rest = rest,
                None => break,
            }
            negated = Some(!negated.unwrap_or(false));
        }
        let value = self.path()?;
        Some(match negated {
            None => value,
            Some(negated) => value.truth().map_or(Value::Unknown, |truth| Value::Bool(truth != negated)),
        })
    }

    /// A value and what is taken out of it: `a.b`, `a['b']`, `a.*`.
    fn path(&mut self) -> Option<Value> {
        let mut value = self.primary()?;
        loop {
            if self.rest.starts_with('.') {
                self.rest = self.rest.get(1..)?;
                value = if self.eat("*") { all(value) } else { member(value, self.word()?) };
            } else if self.rest.starts_with('[') {
                self.rest = self.rest.get(1..)?;
                if self.eat("*") {
                    value = all(value);
                } else {
                    value = index(value, &self.either()?);
                }
                if !self.eat("]") {
                    return None;
                }
            } else {
                return Some(value);
            }
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
        let (word, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
        self.rest = rest;
        Some(word).filter(|word| !word.is_empty())
    }

    fn primary(&mut self) -> Option<Value> {
        if self.eat("(") {
            let value = self.either()?;
            return self.eat(")").then_some(value);
        }
        if self.eat("'") {
            return self.quoted();
        }
        let number = self.rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
        if number {
            let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')));
            let (number, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
            self.rest = rest;
            return number.parse().ok().map(Value::Number);
        }
        let word = self.word()?;
        match word {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ if self.rest.trim_start().starts_with('(') => self.call(word),
            _ => Some(self.scope.get(word)),
        }
    }

    /// The rest of a text after its first quote; a quote in it is written twice.
    fn quoted(&mut self) -> Option<Value> {
        let mut text = String::new();
        loop {
            let (part, rest) = self.rest.split_once('\'')?;
            text.push_str(part);
            self.rest = rest;
            match rest.strip_prefix('\'') {
                Some(rest) => self.rest = rest,
                None => return Some(Value::typed(&text)),
            }
            text.push('\'');
        }
    }

    fn call(&mut self, name: &str) -> Option<Value> {
        let mut arguments = Vec::new();
        self.eat("(");
        while !self.eat(")") {
            if !arguments.is_empty() && !self.eat(",") {
                return None;
            }
            arguments.push(self.either()?);
        }
        Some(functions::call(name, &arguments))
    }
}

fn member(value: Value, name: &str) -> Value {
    match value {
        Value::Map(map) => map.get(name),
        Value::Unknown => Value::Unknown,
        Value::Text(text) if text.is_unknown() => Value::Unknown,
        _ => Value::Null,
    }
}

fn index(value: Value, at: &Value) -> Value {
    match (value, at) {
        (Value::List(values), Value::Number(at)) => values
            .into_iter()
            .enumerate()
            .find(|(index, _)| *index as f64 == *at)
            .map_or(Value::Null, |(_, v)| v),
        (value, Value::Text(name)) if !name.is_unknown() => member(value, &name.plain()),
        (_, Value::Unknown | Value::Text(_)) | (Value::Unknown, _) => Value::Unknown,
        _ => Value::Null,
    }
}

/// All values of a list or a map.
fn all(value: Value) -> Value {
    match value {
        Value::Map(Map { pairs, .. }) => Value::List(pairs.into_iter().map(|(_, value)| value).collect()),
        Value::List(values) => Value::List(values),
        _ => Value::Unknown,
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
