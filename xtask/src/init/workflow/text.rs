//! Values of a workflow. A text remembers where its parts come from: what a matrix gave becomes the placeholder of an
//! axis, what the event gave that of a version, and what only a run can tell is known to be unknown.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::init::found;

/// The longest text that is put together: nested expressions could double it again and again.
const LONGEST: usize = 64 * 1024;

/// Stands in a text for what cannot be known: it never is a separator.
const UNKNOWN: &str = "\u{FFFC}";

/// A value of an expression, see <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions>.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(Text),
    List(Vec<Value>),
    Map(Map),
    /// Only a run can tell.
    Unknown,
}

/// Names and values, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Map {
    pub(super) pairs: Vec<(String, Value)>,
    pub(super) missing: Missing,
}

/// What a name that is missing in a map stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum Missing {
    #[default]
    Null,
    /// It may have a value in a run.
    Unknown,
    /// A secret of this name.
    Secret,
}

/// A text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Text(Vec<Piece>);

/// A part of a text: what it is in the case at hand, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
struct Piece {
    text: String,
    origin: Origin,
}

/// Where a part of a text comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    /// It was typed.
    Typed,
    /// It is what a placeholder of `matrix.toml` stands for.
    Placeholder(&'static str),
    /// It is the whole value of a key of a matrix.
    Matrix(String),
    /// It is made from the value of a key of a matrix.
    Part,
    /// It is a secret.
    Secret(String),
    /// Only a run can tell; the expression.
    Unknown(String),
}

impl Map {
    pub(super) fn open(pairs: Vec<(String, Value)>) -> Self {
        Self { pairs, missing: Missing::Unknown }
    }

    pub(super) fn closed(pairs: Vec<(String, Value)>) -> Self {
        Self { pairs, missing: Missing::Null }
    }

    /// Names are compared without their case.
    pub(super) fn get(&self, name: &str) -> Value {
        let found = self.pairs.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name));
        match (found, self.missing) {
            (Some((_, value)), _) => value.clone(),
            (None, Missing::Null) => Value::Null,
            (None, Missing::Unknown) => Value::Unknown,
            (None, Missing::Secret) => Value::Text(Text::of("", Origin::Secret(name.to_owned()))),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        match self.pairs.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.pairs.push((name.to_owned(), value)),
        }
    }
}

impl Value {
    pub(super) fn typed(text: &str) -> Self {
        Self::Text(Text::typed(text))
    }

    /// What GitHub writes for it.
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Null => Text::default(),
            Self::Bool(truth) => Text::typed(&truth.to_string()),
            Self::Number(number) => Text::typed(&number.to_string()),
            Self::Text(text) => text.clone(),
            Self::List(_) => Text::typed("Array"),
            Self::Map(_) => Text::typed("Object"),
            Self::Unknown => Text::of("", Origin::Unknown(String::new())),
        }
    }

    /// The same with each text marked as the value of a key of the matrix.
    pub(super) fn of_matrix(self, key: &str) -> Self {
        let whole = |text: &str| Self::Text(Text::of(text, Origin::Matrix(key.to_owned())));
        match self {
            Self::Text(text) if !text.is_unknown() => whole(&text.plain()),
            Self::Number(number) => whole(&number.to_string()),
            Self::Bool(truth) => whole(&truth.to_string()),
            Self::Map(Map { pairs, missing }) => {
                let pairs = pairs.into_iter().map(|(name, value)| {
                    let value = value.of_matrix(&format!("{key}.{name}"));
                    (name, value)
                });
                Self::Map(Map { pairs: pairs.collect(), missing })
            }
            other => other,
        }
    }

    /// Whether a condition holds. `None`: only a run can tell.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Null => Some(false),
            Self::Bool(truth) => Some(*truth),
            Self::Number(number) => Some(*number != 0.0 && !number.is_nan()),
            Self::Text(text) if text.is_unknown() => None,
            Self::Text(text) => Some(text.flag().unwrap_or(!text.is_empty())),
            Self::List(_) | Self::Map(_) => Some(true),
            Self::Unknown => None,
        }
    }
}

impl Text {
    pub(super) fn typed(text: &str) -> Self {
        Self::of(text, Origin::Typed)
    }

    pub(super) fn of(text: &str, origin: Origin) -> Self {
        let text = match origin {
            Origin::Unknown(_) | Origin::Secret(_) => UNKNOWN,
            _ => text,
        };
        Self(vec![Piece { text: text.to_owned(), origin }])
    }

    pub(super) fn placeholder(name: &'static str, sample: &str) -> Self {
        Self::of(sample, Origin::Placeholder(name))
    }

    pub(super) fn unknown(expression: &str) -> Self {
        Self::of("", Origin::Unknown(expression.to_owned()))
    }

    pub(super) fn push(&mut self, other: Self) {
        let length: usize = self.0.iter().chain(&other.0).map(|piece| piece.text.len()).sum();
        if length > LONGEST || self.0.len() > 4096 {
            *self = Self::unknown("a very long text");
        } else {
            self.0.extend(other.0);
        }
    }

    /// The same with a name for what only a run can tell, where it has none.
    pub(super) fn named(mut self, expression: &str) -> Self {
        for piece in &mut self.0 {
            if piece.origin == Origin::Unknown(String::new()) {
                piece.origin = Origin::Unknown(expression.to_owned());
            }
        }
        self
    }

    /// What it is in the case at hand.
    pub(super) fn plain(&self) -> String {
        self.0.iter().map(|piece| piece.text.as_str()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|piece| piece.text.is_empty())
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.unknowns().next().is_some()
    }

    /// What of it only a run can tell.
    pub(super) fn unknowns(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().filter_map(|piece| match &piece.origin {
            Origin::Unknown(expression) => Some(expression.clone()),
            Origin::Secret(name) => Some(format!("${{{{ secrets.{name} }}}}")),
            _ => None,
        })
    }

    /// The secret that it is, and nothing else.
    pub(super) fn secret(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece { origin: Origin::Secret(name), .. }] => Some(name),
            _ => None,
        }
    }

    /// `true` and `false` of a matrix are no texts.
    fn flag(&self) -> Option<bool> {
        match self.0.as_slice() {
            [Piece { text, origin: Origin::Matrix(_) }] => text.parse().ok(),
            _ => None,
        }
    }

    /// The keys of the matrix that it has values of.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match &piece.origin {
            Origin::Matrix(key) => Some(key.as_str()),
            _ => None,
        })
    }

    /// A part of it, in bytes of [`Text::plain`].
    pub(super) fn cut(&self, range: Range<usize>) -> Self {
        let mut at = 0;
        let mut cut = Vec::new();
        for piece in &self.0 {
            let (start, end) = (at, at + piece.text.len());
            at = end;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from >= to {
                continue;
            }
            let text = piece.text.get(from - start..to - start).unwrap_or_default();
            let whole = text.len() == piece.text.len();
            let origin = match &piece.origin {
                Origin::Matrix(_) | Origin::Placeholder(_) if !whole => Origin::Part,
                origin => origin.clone(),
            };
            cut.push(Piece { text: text.to_owned(), origin });
        }
        Self(cut)
    }

    pub(super) fn trim(&self) -> Self {
        let plain = self.plain();
        let start = plain.len() - plain.trim_start().len();
        self.cut(start..plain.trim_end().len().max(start))
    }

    /// Its parts between separators, without white space around them, empty ones left out.
    pub(super) fn split(&self, separator: char) -> Vec<Self> {
        let plain = self.plain();
        let ends = plain.match_indices(separator).map(|(at, _)| at).chain([plain.len()]);
        let mut start = 0;
        let mut parts = Vec::new();
        for end in ends {
            parts.push(self.cut(start..end).trim());
            start = end + separator.len_utf8();
        }
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// A list of an input: a line each, comments left out.
    pub(super) fn lines(&self) -> Vec<Self> {
        self.split('\n').into_iter().filter(|line| !line.plain().starts_with('#')).collect()
    }

    /// The fields of a line of comma-separated values, with quotes as in CSV.
    pub(super) fn fields(&self) -> Vec<Self> {
        let plain = self.plain();
        let (mut fields, mut start, mut quoted) = (Vec::new(), 0, false);
        for (at, c) in plain.char_indices().chain([(plain.len(), ',')]) {
            quoted ^= c == '"';
            if c == ',' && (!quoted || at == plain.len()) {
                let field = self.cut(start..at).trim();
                let text = field.plain();
                let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                fields.push(inner.map_or_else(|| field.clone(), |inner| field.cut(1..1 + inner.len())));
                start = at + 1;
            }
        }
        fields.retain(|field| !field.is_empty());
        fields
    }

    /// What stands before and after the first separator.
    pub(super) fn split_once(&self, separator: char) -> Option<(Self, Self)> {
        let plain = self.plain();
        let at = plain.find(separator)?;
        Some((self.cut(0..at).trim(), self.cut(at + separator.len_utf8()..plain.len()).trim()))
    }

    /// `NAME=VALUE` lines.
    pub(super) fn pairs(&self) -> Vec<(String, Self)> {
        let pair = |line: Self| line.split_once('=').map(|(name, value)| (name.plain(), value));
        self.lines().into_iter().filter_map(pair).collect()
    }

    /// The name of an image and its tag, which a digest may follow.
    pub(super) fn reference(&self) -> (Self, Option<Self>) {
        let plain = self.plain();
        let plain = plain.split('@').next().unwrap_or_default();
        let slash = plain.rfind('/').map_or(0, |at| at + 1);
        match plain.get(slash..).and_then(|rest| rest.find(':')) {
            Some(at) => (self.cut(0..slash + at), Some(self.cut(slash + at + 1..plain.len()))),
            None => (self.cut(0..plain.len()), None),
        }
    }

    /// As a template of `matrix.toml`, where `axes` has the names of the keys that became axes.
    ///
    /// # Errors
    /// What only a run can tell.
    pub(super) fn template(
        &self,
        axes: &BTreeMap<String, String>,
        platform: Option<&str>,
    ) -> Result<String, String> {
        if let Some(unknown) = self.unknowns().next() {
            return Err(unknown);
        }
        let piece = |piece: &Piece| match &piece.origin {
            Origin::Placeholder(name) => format!("{{{name}}}"),
            Origin::Matrix(key) => match axes.get(key) {
                Some(axis) => format!("{{{axis}}}"),
                None if platform == Some(piece.text.as_str()) => "{platform}".to_owned(),
                None => found::literal(&piece.text),
            },
            _ => found::literal(&piece.text),
        };
        Ok(self.0.iter().map(piece).collect())
    }
}
