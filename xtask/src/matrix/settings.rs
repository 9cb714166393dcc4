//! `build-args`, `labels` and `annotations`, which may stand at several places; and the parts of a cell that select.

use toml::Spanned;
use toml::de::DeValue;

use crate::base::ids::Name;
use crate::base::suggest;
use crate::matrix::decode::{Errors, Table, kind};
use crate::matrix::read::Declared;
use crate::matrix::{Diagnostic, Located, Selector, Setting, Settings};

/// All settings of a table.
pub(super) fn settings(table: &Table<'_>, errors: &Errors<'_>) -> Settings {
    let mut found = Settings {
        build_args: entries(table, "build-args", errors),
        labels: entries(table, "labels", errors),
        ..Settings::default()
    };
    for setting in entries(table, "annotations", errors) {
        // As buildx spells it: <https://docs.docker.com/build/metadata/annotations/>.
        let (levels, key) = setting.key.split_once(':').unwrap_or(("manifest", &setting.key));
        if key.is_empty() {
            errors.add(Diagnostic::new(setting.span.clone(), format!("`{}` names no key", setting.key)));
            continue;
        }
        let named = Setting { key: key.to_owned(), ..setting.clone() };
        for level in levels.split(',') {
            match level {
                "manifest" => found.annotations.push(named.clone()),
                "index" => found.index_annotations.push(named.clone()),
                _ => errors.add(
                    Diagnostic::new(setting.span.clone(), format!("an annotation has no level `{level}`"))
                        .help("it is `index:KEY`, `manifest:KEY`, `manifest,index:KEY`, or KEY alone for the manifest"),
                ),
            }
        }
    }
    found
}

/// A table of strings that are templates.
pub(super) fn entries(table: &Table<'_>, key: &str, errors: &Errors<'_>) -> Vec<Setting> {
    let Some(value) = table.get(key) else { return Vec::new() };
    let Some(table) = Table::of(value, format!("`{key}`"), value.span(), errors) else {
        return Vec::new();
    };
    let one = |(name, value): (Located<String>, &Spanned<DeValue<'_>>)| {
        let unfit = |c: char| c == '=' || c.is_whitespace() || c.is_control();
        let problem = match value.get_ref() {
            _ if name.value.is_empty() || name.value.contains(unfit) => {
                let message = format!("`{}` is no name for an entry of `{key}`", name.value);
                errors.add(Diagnostic::new(name.span, message));
                return None;
            }
            DeValue::String(text) if text.contains('\0') => "holds a NUL, which no argument can".to_owned(),
            DeValue::String(text) => {
                let text = Located { value: text.clone().into_owned(), span: value.span() };
                let template = errors.template(&text)?;
                return Some(Setting { key: name.value, value: template, span: text.span });
            }
            other => format!("must be a string, not {}", kind(other)),
        };
        errors.add(Diagnostic::new(value.span(), format!("`{}` {problem}", name.value)));
        None
    };
    table.entries().into_iter().filter_map(one).collect()
}

/// The parts of cells that a table names: those of `words`, and axes. Each is a value or a list of them.
pub(super) fn selector(
    table: &Table<'_>,
    words: &[&str],
    errors: &Errors<'_>,
    declared: &Declared,
) -> Selector {
    let axes = declared.axes.iter().map(|(name, values)| (name.clone(), "value", values.as_slice()));
    let known = |word: &&str| -> Option<(Name, &'static str, &[Name])> {
        let (kind, values) = match *word {
            "image" => ("image", &declared.images),
            "track" => ("track", &declared.tracks),
            "composer" => ("composer mode", &declared.composers),
            "arch" => ("platform", &declared.platforms),
            _ => return None,
        };
        Some((word.parse().ok()?, kind, values))
    };
    let parts = words.iter().filter_map(known).chain(axes);
    let read = |(name, kind, values): (Name, &str, &[Name])| {
        let value = table.get(name.as_str())?;
        let texts = match value.get_ref() {
            DeValue::Array(_) => table.strings(name.as_str())?,
            _ => vec![table.as_string(name.as_str(), value)?],
        };
        if texts.is_empty() {
            errors.add(Diagnostic::new(value.span(), format!("`{name}` lists nothing")));
        }
        let chosen = texts.iter().filter_map(|text| one_of(text, kind, values, errors));
        Some((name, chosen.map(|found| found.to_string()).collect()))
    };
    Selector(parts.filter_map(read).collect())
}

/// One of the names that the file declares.
pub(super) fn one_of(text: &Located<String>, kind: &str, all: &[Name], errors: &Errors<'_>) -> Option<Name> {
    let found = all.iter().find(|name| name.as_str() == text.value);
    if found.is_none() {
        errors.missing(unknown(kind, text, all));
    }
    found.cloned()
}

/// "There is no such …", with the nearest name.
fn unknown(kind: &str, text: &Located<String>, all: &[Name]) -> Diagnostic {
    let diagnostic = Diagnostic::new(text.span.clone(), format!("there is no {kind} `{}`", text.value));
    match suggest::nearest(&text.value, all.iter().map(Name::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None if all.is_empty() => diagnostic,
        None => diagnostic
            .help(format!("there is {}", all.iter().map(Name::as_str).collect::<Vec<_>>().join(", "))),
    }
}
