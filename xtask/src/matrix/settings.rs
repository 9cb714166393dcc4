//! `build-args`, `labels` and `annotations`, which may stand at several places.

use std::ops::Range;
use toml::Spanned;
use toml::de::DeValue;

use crate::base::oci_keys::{AUTOMATIC, DESCRIBING, OWN, REVISION};
use crate::matrix::decode::{Errors, Table, kind};
use crate::matrix::diagnostic::{Diagnostic, Located};
use crate::matrix::model::{Setting, Settings};

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
                "manifest" | "index" if key.starts_with(OWN) || (level == "index" && key == REVISION) => {
                    let message = format!("the tool itself relies on the annotation `{key}`");
                    let help = "it always has the value that the tool gives it; choose another key";
                    errors.add(Diagnostic::new(setting.span.clone(), message).help(help));
                    break;
                }
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

/// `description`, `licenses` and `url` of an image: each a label and an annotation of the index.
pub(super) fn describing(table: &Table<'_>, errors: &Errors<'_>) -> Settings {
    let one = |(name, key): (&str, &str)| {
        let text = table.string(name)?;
        Some(Setting { key: key.to_owned(), value: Some(errors.template(&text)?), span: text.span })
    };
    let found: Vec<Setting> = DESCRIBING.into_iter().filter_map(one).collect();
    Settings { labels: found.clone(), index_annotations: found, ..Settings::default() }
}

/// A table of strings that are templates. `labels` may switch automatic ones off.
pub(super) fn entries(table: &Table<'_>, key: &str, errors: &Errors<'_>) -> Vec<Setting> {
    let Some(table) = table.table(key) else { return Vec::new() };
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
                return Some(Setting { key: name.value, value: Some(template), span: text.span });
            }
            DeValue::Boolean(on) if key == "labels" => return switched(name, *on, value.span(), errors),
            other => format!("must be a string, not {}", kind(other)),
        };
        errors.add(Diagnostic::new(value.span(), format!("`{}` {problem}", name.value)));
        None
    };
    table.entries().into_iter().filter_map(one).collect()
}

/// `KEY = false` among labels.
fn switched(key: Located<String>, on: bool, span: Range<usize>, errors: &Errors<'_>) -> Option<Setting> {
    let automatic = AUTOMATIC.contains(&key.value.as_str());
    let message = match (on, automatic) {
        (false, true) => return Some(Setting { key: key.value, value: None, span }),
        (false, false) => format!("`{}` is no automatic label, so it cannot be switched off", key.value),
        (true, _) => {
            format!("`{}` must be a string, or false, which switches an automatic label off", key.value)
        }
    };
    let help = match (on, automatic) {
        (true, true) => "leave it out: automatic labels are on by default".to_owned(),
        _ => format!("the automatic labels are {}", AUTOMATIC.join(", ")),
    };
    errors.add(Diagnostic::new(span, message).help(help));
    None
}
