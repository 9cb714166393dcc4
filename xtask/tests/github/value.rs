//! Values of expressions, and how GitHub converts and compares them: `EvaluationResult.cs` and `ExpressionUtility.cs` of
//! actions/runner.

use std::sync::Arc;

use serde_json::Value as Json;
use serde_yaml_ng::Value as Yaml;

/// What an expression is.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    Array(Arc<Array>),
    Object(Arc<Object>),
}

/// A list. What `.*` gives is a filtered one: an index of it is an index of each of its elements.
#[derive(Debug)]
pub struct Array {
    pub items: Vec<Value>,
    pub filtered: bool,
}

/// A mapping in the order in which it was written.
#[derive(Debug, Default)]
pub struct Object {
    pub entries: Vec<(String, Value)>,
    /// Names of the environment differ by case; all others do not.
    pub exact: bool,
}

impl Object {
    pub fn get(&self, key: &str) -> Option<&Value> {
        let same =
            |name: &str| if self.exact { name == key } else { name.to_lowercase() == key.to_lowercase() };
        self.entries.iter().find(|(name, _)| same(name)).map(|(_, value)| value)
    }
}

impl Value {
    pub fn text(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::Array(Arc::new(Array { items, filtered: false }))
    }

    pub fn object<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Self::Object(Arc::new(Object { entries, exact: false }))
    }

    /// A mapping from names to texts.
    pub fn texts<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        Self::object(entries.into_iter().map(|(key, value)| (key.as_str(), Self::text(value.as_str()))))
    }

    /// The context `env`.
    pub fn environment<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let entries =
            entries.into_iter().map(|(key, value)| (key.clone(), Self::text(value.as_str()))).collect();
        Self::Object(Arc::new(Object { entries, exact: true }))
    }

    pub fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0.0 && !value.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    pub fn is_primitive(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// What stands in a text in the place of the value.
    pub fn to_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => number_text(*value),
            Self::String(text) => text.clone(),
            Self::Array(_) => "Array".to_owned(),
            Self::Object(_) => "Object".to_owned(),
        }
    }

    pub fn to_number(&self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(value) => f64::from(u8::from(*value)),
            Self::Number(value) => *value,
            Self::String(text) => parse_number(text),
            Self::Array(_) | Self::Object(_) => f64::NAN,
        }
    }

    /// `==`: texts without regard to case, lists and mappings by identity, other kinds as numbers.
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(two)) => one == two,
            (Self::String(one), Self::String(two)) => one.to_uppercase() == two.to_uppercase(),
            (Self::Array(one), Self::Array(two)) => Arc::ptr_eq(one, two),
            (Self::Object(one), Self::Object(two)) => Arc::ptr_eq(one, two),
            _ if self.is_primitive() && other.is_primitive() => self.to_number() == other.to_number(),
            _ => false,
        }
    }

    /// `>`.
    pub fn is_greater(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::String(one), Self::String(two)) => one.to_uppercase() > two.to_uppercase(),
            _ if self.is_primitive() && other.is_primitive() => self.to_number() > other.to_number(),
            _ => false,
        }
    }

    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
                format!("{value:.0}").parse::<i64>().map_or(Json::Null, Json::from)
            }
            Self::Number(value) => Json::from(*value),
            Self::String(text) => Json::String(text.clone()),
            Self::Array(array) => array.items.iter().map(Self::to_json).collect(),
            Self::Object(object) => {
                object.entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
            }
        }
    }

    /// What `toJSON` writes: two spaces, and names in the order in which they were written.
    pub fn pretty(&self, depth: usize) -> String {
        let inner = "  ".repeat(depth + 1);
        let lines = |open: char, lines: Vec<String>, close: char| {
            if lines.is_empty() {
                return format!("{open}{close}");
            }
            format!("{open}\n{inner}{}\n{}{close}", lines.join(&format!(",\n{inner}")), "  ".repeat(depth))
        };
        match self {
            Self::Null => "null".to_owned(),
            Self::String(text) => Json::String(text.clone()).to_string(),
            Self::Array(array) => {
                lines('[', array.items.iter().map(|item| item.pretty(depth + 1)).collect(), ']')
            }
            Self::Object(object) => {
                let line = |(key, value): &(String, Self)| {
                    format!("{}: {}", Json::String(key.clone()), value.pretty(depth + 1))
                };
                lines('{', object.entries.iter().map(line).collect(), '}')
            }
            Self::Bool(_) | Self::Number(_) => self.to_text(),
        }
    }
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Self::String(text.clone()),
            Json::Array(items) => Self::list(items.iter().map(Self::from).collect()),
            Json::Object(entries) => {
                Self::object(entries.iter().map(|(key, value)| (key.as_str(), Self::from(value))))
            }
        }
    }
}

impl From<&Yaml> for Value {
    fn from(yaml: &Yaml) -> Self {
        match yaml {
            Yaml::Null => Self::Null,
            Yaml::Bool(value) => Self::Bool(*value),
            Yaml::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Yaml::String(text) => Self::String(text.clone()),
            Yaml::Sequence(items) => Self::list(items.iter().map(Self::from).collect()),
            Yaml::Mapping(entries) => Self::object(
                entries.iter().map(|(key, value)| (Self::from(key).to_text(), Self::from(value))),
            ),
            Yaml::Tagged(tagged) => Self::from(&tagged.value),
        }
    }
}

/// A number as .NET writes it by the format `G15`.
fn number_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.14e}");
    let (digits, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    if (-5..15).contains(&exponent) {
        let decimals = usize::try_from(14 - exponent).unwrap();
        let text = format!("{value:.decimals$}");
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        };
    }
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}E{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// A text as a number, by the rules of JavaScript's `Number()`; what is none is NaN.
pub fn parse_number(text: &str) -> f64 {
    let text = text.trim();
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    match text {
        "" => 0.0,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ if plain => text.parse().unwrap_or(f64::NAN),
        _ => {
            let whole = text
                .strip_prefix("0x")
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .or_else(|| text.strip_prefix("0o").and_then(|digits| u32::from_str_radix(digits, 8).ok()));
            whole.map_or(f64::NAN, |number| f64::from(number.cast_signed()))
        }
    }
}
