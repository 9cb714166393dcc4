//! Expressions: parsed once against what is available where they stand, evaluated as often as needed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::availability::Key;
use super::functions;
use super::lexer::{Token, tokens, unexpected};
use super::value::{Array, Value};

/// An expression that GitHub would take.
#[derive(Debug, Clone)]
pub enum Expression {
    Constant(Value),
    Context(String),
    Index(Box<Self>, Box<Self>),
    Star(Box<Self>),
    Not(Box<Self>),
    Binary(&'static str, Box<Self>, Box<Self>),
    Call(String, Vec<Self>),
}

/// What `success()` and its like answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Status {
    pub success: bool,
    pub failure: bool,
    pub cancelled: bool,
}

/// What an expression is evaluated with.
#[derive(Debug, Clone, Default)]
pub struct Scope<'s> {
    pub contexts: BTreeMap<&'static str, Value>,
    pub status: Status,
    /// For `hashFiles`.
    pub workspace: Option<&'s Path>,
}

impl Scope<'_> {
    /// The same with another value of one context.
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.contexts.insert(name, value);
        self
    }
}

/// Parses the text between `${{` and `}}`.
pub fn parse(source: &str, key: Key) -> Result<Expression, String> {
    if source.chars().count() > 21_000 {
        return Err("Exceeded max expression length 21000".to_owned());
    }
    let mut parser = Parser { source, tokens: tokens(source)?, at: 0, key, depth: 0 };
    if parser.tokens.is_empty() {
        return Err("An expression was expected".to_owned());
    }
    let expression = parser.binary(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(expression),
        Some(_) => Err(parser.unexpected()),
    }
}

const LEVELS: [&[&str]; 4] = [&["||"], &["&&"], &["==", "!="], &["<", "<=", ">", ">="]];

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<(usize, Token)>,
    at: usize,
    key: Key,
    depth: usize,
}

impl Parser<'_> {
    fn unexpected(&self) -> String {
        let Some((place, token)) = self.tokens.get(self.at) else {
            return format!("Unexpected end of expression: {}", self.source);
        };
        let word = match token {
            Token::Name(word) | Token::Text(word) => word.clone(),
            Token::Number(number) => number.to_string(),
            Token::Sign(sign) => (*sign).to_owned(),
        };
        unexpected(self.source, &word, place - 1)
    }

    fn take(&mut self, signs: &[&str]) -> Option<&'static str> {
        match self.tokens.get(self.at) {
            Some((_, Token::Sign(sign))) if signs.contains(sign) => {
                self.at += 1;
                Some(sign)
            }
            _ => None,
        }
    }

    fn need(&mut self, sign: &str) -> Result<(), String> {
        self.take(&[sign]).map(|_| ()).ok_or_else(|| self.unexpected())
    }

    fn binary(&mut self, level: usize) -> Result<Expression, String> {
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(sign) = self.take(signs) {
            left = Expression::Binary(sign, Box::new(left), Box::new(self.binary(level + 1)?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > 50 {
            return Err("Exceeded max expression depth 50".to_owned());
        }
        let found = if self.take(&["!"]).is_some() {
            Expression::Not(Box::new(self.unary()?))
        } else {
            self.postfix()?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn postfix(&mut self) -> Result<Expression, String> {
        let mut value = self.atom()?;
        while let Some(sign) = self.take(&[".", "["]) {
            if self.take(&["*"]).is_some() {
                value = Expression::Star(Box::new(value));
            } else if sign == "[" {
                value = Expression::Index(Box::new(value), Box::new(self.binary(0)?));
            } else {
                let Some((_, Token::Name(name))) = self.tokens.get(self.at) else {
                    return Err(self.unexpected());
                };
                let name = Expression::Constant(Value::text(name.as_str()));
                self.at += 1;
                value = Expression::Index(Box::new(value), Box::new(name));
            }
            if sign == "[" {
                self.need("]")?;
            }
        }
        Ok(value)
    }

    fn atom(&mut self) -> Result<Expression, String> {
        if self.take(&["("]).is_some() {
            let value = self.binary(0)?;
            self.need(")")?;
            return Ok(value);
        }
        let (place, token) = self.tokens.get(self.at).cloned().ok_or_else(|| self.unexpected())?;
        let constant = match token {
            Token::Sign(_) => return Err(self.unexpected()),
            Token::Text(text) => Value::String(text),
            Token::Number(number) => Value::Number(number),
            Token::Name(name) => match name.as_str() {
                "null" => Value::Null,
                "true" | "false" => Value::Bool(name == "true"),
                "NaN" => Value::Number(f64::NAN),
                "Infinity" => Value::Number(f64::INFINITY),
                _ => return self.name(&name, place),
            },
        };
        self.at += 1;
        Ok(Expression::Constant(constant))
    }

    /// A context or the call of a function.
    fn name(&mut self, name: &str, place: usize) -> Result<Expression, String> {
        self.at += 1;
        let known = name.to_lowercase();
        if self.take(&["("]).is_none() {
            if !self.key.contexts().contains(&known.as_str()) {
                return Err(format!(
                    "Unrecognized named-value: '{name}'. Located at position {place} within expression: {}",
                    self.source
                ));
            }
            return Ok(Expression::Context(known));
        }
        let mut arguments = Vec::new();
        while self.take(&[")"]).is_none() {
            if !arguments.is_empty() {
                self.need(",")?;
            }
            arguments.push(self.binary(0)?);
        }
        functions::check(&known, arguments.len(), self.key).map_err(|problem| {
            format!("{problem}: '{name}'. Located at position {place} within expression: {}", self.source)
        })?;
        Ok(Expression::Call(known, arguments))
    }
}

impl Expression {
    /// Whether a condition says itself what becomes of it after a failure.
    pub fn asks_status(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Context(_) => false,
            Self::Not(inner) | Self::Star(inner) => inner.asks_status(),
            Self::Index(one, two) | Self::Binary(_, one, two) => one.asks_status() || two.asks_status(),
            Self::Call(name, arguments) => {
                functions::is_status(name) || arguments.iter().any(Self::asks_status)
            }
        }
    }

    /// Calls `see` with each `context.name` in it.
    pub fn names(&self, see: &mut dyn FnMut(&str, &str)) {
        if let Self::Index(of, index) = self
            && let (Self::Context(context), Self::Constant(Value::String(name))) = (&**of, &**index)
        {
            see(context, name);
        }
        match self {
            Self::Constant(_) | Self::Context(_) => {}
            Self::Not(inner) | Self::Star(inner) => inner.names(see),
            Self::Index(one, two) | Self::Binary(_, one, two) => {
                one.names(see);
                two.names(see);
            }
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.names(see)),
        }
    }

    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, String> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Context(name) => Ok(scope.contexts.get(name.as_str()).cloned().unwrap_or(Value::Null)),
            Self::Not(inner) => Ok(Value::Bool(!inner.evaluate(scope)?.is_true())),
            Self::Star(inner) => Ok(star(&inner.evaluate(scope)?)),
            Self::Index(of, index) => Ok(element(&of.evaluate(scope)?, &index.evaluate(scope)?)),
            Self::Call(name, arguments) => functions::call(name, arguments, scope),
            Self::Binary(sign, left, right) => {
                let left = left.evaluate(scope)?;
                match (*sign, left.is_true()) {
                    ("||", true) | ("&&", false) => return Ok(left),
                    ("||", false) | ("&&", true) => return right.evaluate(scope),
                    _ => {}
                }
                let right = right.evaluate(scope)?;
                Ok(Value::Bool(match *sign {
                    "==" => left.equals(&right),
                    "!=" => !left.equals(&right),
                    ">" => left.is_greater(&right),
                    ">=" => left.equals(&right) || left.is_greater(&right),
                    "<" => right.is_greater(&left),
                    _ => left.equals(&right) || right.is_greater(&left),
                }))
            }
        }
    }
}

fn filtered(items: Vec<Value>) -> Value {
    Value::Array(Arc::new(Array { items, filtered: true }))
}

/// `.*`; of what is filtered already, the values of each element.
fn star(value: &Value) -> Value {
    let values = |value: &Value| match value {
        Value::Array(array) => array.items.clone(),
        Value::Object(object) => object.entries.iter().map(|(_, value)| value.clone()).collect(),
        _ => Vec::new(),
    };
    match value {
        Value::Array(array) if array.filtered => filtered(array.items.iter().flat_map(values).collect()),
        _ => filtered(values(value)),
    }
}

/// What is not there is null; of a filtered list, the elements that have it.
fn element(value: &Value, index: &Value) -> Value {
    let found = |value: &Value| match value {
        Value::Object(object) if index.is_primitive() => object.get(&index.to_text()).cloned(),
        Value::Array(array) => {
            let place = index.to_number().floor();
            // A place that is negative or no number has no element.
            array.items.iter().enumerate().find(|(at, _)| *at as f64 == place).map(|(_, item)| item.clone())
        }
        _ => None,
    };
    match value {
        Value::Array(array) if array.filtered => filtered(array.items.iter().filter_map(found).collect()),
        _ => found(value).unwrap_or(Value::Null),
    }
}
