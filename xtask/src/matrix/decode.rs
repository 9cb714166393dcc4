//! Tables of a TOML document, read key by key: what is wrong is written down and reading goes on.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::{Component, Path};
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::ids::Name;
use crate::base::suggest;
use crate::base::template::Template;
use crate::matrix::diagnostic::{Diagnostic, Located, Source};

/// The errors found so far.
pub(super) struct Errors<'s> {
    source: &'s Source,
    /// The names of all axes: placeholders of every template.
    axes: Vec<Name>,
    found: RefCell<Vec<Diagnostic>>,
    /// The file is no TOML: what is missing may be there all the same.
    broken: bool,
    /// Something is wrong that decides which cells there are.
    unclear: Cell<bool>,
}

impl<'s> Errors<'s> {
    pub(super) fn new(source: &'s Source, axes: Vec<Name>, syntax: Vec<Diagnostic>) -> Self {
        let broken = !syntax.is_empty();
        Self { source, axes, found: RefCell::new(syntax), broken, unclear: Cell::new(broken) }
    }

    pub(super) fn add(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    /// An error about something that is not there, or not there yet.
    pub(super) fn missing(&self, diagnostic: Diagnostic) {
        if !self.broken {
            self.add(diagnostic);
        }
    }

    /// Reads something that decides which cells there are. After an error in it nothing is said
    /// of cells that do not exist: it may be the cause.
    pub(super) fn affects_cells<T>(&self, read: impl FnOnce() -> T) -> T {
        let before = self.found.borrow().len();
        let result = read();
        self.unclear.set(self.unclear.get() || self.found.borrow().len() > before);
        result
    }

    /// All errors, and whether it is clear which cells there are.
    pub(super) fn finish(self) -> (Vec<Diagnostic>, bool) {
        (self.found.into_inner(), !self.unclear.get())
    }

    /// A part of a string, where that is written without escapes; else all of it.
    pub(super) fn within(&self, text: &Located<String>, range: Range<usize>) -> Range<usize> {
        let inner = text.span.start + 1..text.span.end.saturating_sub(1);
        let plain = self.source.text.get(inner.clone()) == Some(text.value.as_str());
        if plain { inner.start + range.start..inner.start + range.end } else { text.span.clone() }
    }

    /// Parses a text; an error points at it.
    pub(super) fn parse<T: FromStr<Err = anyhow::Error>>(&self, text: &Located<String>) -> Option<T> {
        text.value
            .parse()
            .map_err(|error: anyhow::Error| self.add(Diagnostic::new(text.span.clone(), error.to_string())))
            .ok()
    }

    /// A path below the folder of `matrix.toml`.
    pub(super) fn relative(&self, path: &Located<String>) -> Option<String> {
        let inside = Path::new(&path.value)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            let message = format!("`{}` leaves the folder of matrix.toml", path.value);
            self.add(Diagnostic::new(path.span.clone(), message));
        }
        inside.then(|| path.value.clone())
    }

    /// Parses a template; errors point at the placeholders.
    pub(super) fn template(&self, text: &Located<String>) -> Option<Template> {
        for error in Template::errors(&text.value, &self.axes) {
            let span = self.within(text, error.range);
            self.add(Diagnostic { span, message: error.message, help: error.help.into_iter().collect() });
        }
        Template::parse(&text.value, &self.axes).ok()
    }
}

/// One table and what has been asked of it.
pub(super) struct Table<'t> {
    table: &'t DeTable<'t>,
    /// As people write it: `[tracks.tag]`.
    name: String,
    /// Where an error about what is missing points.
    pub(super) span: Range<usize>,
    errors: &'t Errors<'t>,
    asked: RefCell<Vec<String>>,
}

impl<'t> Table<'t> {
    pub(super) fn new(
        table: &'t DeTable<'t>,
        name: impl Into<String>,
        span: Range<usize>,
        errors: &'t Errors<'t>,
    ) -> Self {
        Self { table, name: name.into(), span, errors, asked: RefCell::default() }
    }

    /// A value as a table. Anything else is an error.
    pub(super) fn of(
        value: &'t Spanned<DeValue<'t>>,
        name: impl Into<String>,
        span: Range<usize>,
        errors: &'t Errors<'t>,
    ) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::new(table, name, span, errors)),
            other => {
                let message = format!("{} must be a table, not {}", name.into(), kind(other));
                errors.add(Diagnostic::new(value.span(), message));
                None
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        if !self.asked.borrow().iter().any(|asked| asked == key) {
            self.asked.borrow_mut().push(key.to_owned());
        }
        self.table.get(key)
    }

    /// The table under a key. Anything else is an error and counts as none.
    pub(super) fn table(&self, key: &str) -> Option<Table<'t>> {
        let value = self.get(key)?;
        Table::of(value, format!("`{key}`"), value.span(), self.errors)
    }

    /// A value that must be there.
    pub(super) fn require(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        let found = self.get(key);
        if found.is_none() {
            self.errors.missing(Diagnostic::new(self.span.clone(), format!("{} lacks `{key}`", self.name)));
        }
        found
    }

    pub(super) fn string(&self, key: &str) -> Option<Located<String>> {
        self.get(key).and_then(|value| self.as_string(key, value))
    }

    pub(super) fn required_string(&self, key: &str) -> Option<Located<String>> {
        self.require(key).and_then(|value| self.as_string(key, value))
    }

    /// A string that is not empty and has one line.
    pub(super) fn as_string(&self, key: &str, value: &Spanned<DeValue<'t>>) -> Option<Located<String>> {
        match value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() && !text.contains(char::is_control) => {
                Some(Located { value: text.clone().into_owned(), span: value.span() })
            }
            DeValue::String(_) => self.wrong(value, format!("`{key}` must be one line of text, not empty")),
            other => self.wrong(value, format!("`{key}` must be a string, not {}", kind(other))),
        }
    }

    pub(super) fn bool(&self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => self.wrong(value, format!("`{key}` must be true or false, not {}", kind(other))),
        }
    }

    /// The elements of an array. Anything else is an error and counts as none.
    pub(super) fn array(&self, key: &str) -> Option<Vec<&'t Spanned<DeValue<'t>>>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Array(array) => Some(array.iter().collect()),
            other => self.wrong(value, format!("`{key}` must be an array, not {}", kind(other))),
        }
    }

    pub(super) fn strings(&self, key: &str) -> Option<Vec<Located<String>>> {
        let array = self.array(key)?;
        Some(array.into_iter().filter_map(|value| self.as_string(key, value)).collect())
    }

    /// The tables below a key, by name, in the order of the file.
    pub(super) fn tables(&self, key: &str) -> Vec<(Located<String>, Table<'t>)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(outer) = Table::of(value, format!("[{key}]"), value.span(), self.errors) else {
            return Vec::new();
        };
        let tables = outer.entries().into_iter().filter_map(|(name, value)| {
            let table = Table::of(value, format!("[{key}.{}]", name.value), name.span.clone(), self.errors)?;
            Some((name, table))
        });
        tables.collect()
    }

    /// The names of the tables below a key, whatever is in those.
    pub(super) fn names(&self, key: &str) -> Vec<String> {
        let table = self.get(key).and_then(|value| value.get_ref().as_table());
        table.into_iter().flatten().map(|(name, _)| name.get_ref().clone().into_owned()).collect()
    }

    /// All entries, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(Located<String>, &'t Spanned<DeValue<'t>>)> {
        let entry = |(key, value): (&Spanned<_>, &'t Spanned<DeValue<'t>>)| {
            let text: &std::borrow::Cow<'_, str> = key.get_ref();
            (Located { value: text.clone().into_owned(), span: key.span() }, value)
        };
        let mut entries: Vec<_> = self.table.iter().map(entry).collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }

    /// Every key that nobody has asked for is an error.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        for (key, _) in self.entries().into_iter().filter(|(key, _)| !asked.contains(&key.value.as_str())) {
            let message = format!("unknown key `{}` in {}", key.value, self.name);
            let help = suggest::help(&key.value, "it may have:", &asked);
            self.errors.add(Diagnostic::new(key.span, message).help(help));
        }
    }

    fn wrong<T>(&self, value: &Spanned<DeValue<'_>>, message: String) -> Option<T> {
        self.errors.add(Diagnostic::new(value.span(), message));
        None
    }
}

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
