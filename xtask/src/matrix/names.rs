//! The names that a file declares, and what refers to them.

use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

use crate::base::ids::Name;
use crate::base::suggest;
use crate::matrix::decode::{Errors, Table};
use crate::matrix::diagnostic::{Diagnostic, Located};
use crate::matrix::model::Selector;

/// The names that the file declares, also those of what is wrong otherwise.
pub(super) struct NameTable {
    pub(super) platforms: Vec<Name>,
    pub(super) tracks: Vec<Name>,
    pub(super) composers: Vec<Name>,
    pub(super) images: Vec<Name>,
    /// Each axis with its values, those of all images together.
    pub(super) axes: Vec<(Name, Vec<Name>)>,
}

impl NameTable {
    pub(super) fn of(root: &Table<'_>) -> Self {
        let names = |key| root.names(key).iter().filter_map(|name| name.parse().ok()).collect();
        Self {
            platforms: names("platforms"),
            tracks: names("tracks"),
            composers: names("composer"),
            images: names("images"),
            axes: axes(root.get("images")),
        }
    }
}

/// All axes of all images, whatever else is wrong there.
pub(super) fn axes(images: Option<&Spanned<DeValue<'_>>>) -> Vec<(Name, Vec<Name>)> {
    let mut found: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
    let images = images.and_then(|images| images.get_ref().as_table());
    for (_, image) in images.into_iter().flatten() {
        let axes = image.get_ref().as_table().and_then(|image| image.get("axes"));
        for (name, values) in axes.and_then(|axes| axes.get_ref().as_table()).into_iter().flatten() {
            let Ok(name) = name.get_ref().parse::<Name>() else { continue };
            let known = found.entry(name).or_default();
            let values = values.get_ref().as_array().into_iter().flatten();
            for value in values.filter_map(|value| value.get_ref().as_str()?.parse::<Name>().ok()) {
                if !known.contains(&value) {
                    known.push(value);
                }
            }
        }
    }
    found.into_iter().collect()
}

/// The parts of cells that a table names: those of `words`, and axes. Each is a value or a list of them.
pub(super) fn selector(
    table: &Table<'_>,
    words: &[&str],
    errors: &Errors<'_>,
    names: &NameTable,
) -> Selector {
    let axes = names.axes.iter().map(|(name, values)| (name.clone(), "value", values.as_slice()));
    let known = |word: &&str| -> Option<(Name, &'static str, &[Name])> {
        let (kind, values) = match *word {
            "image" => ("image", &names.images),
            "track" => ("track", &names.tracks),
            "composer" => ("composer mode", &names.composers),
            "arch" => ("platform", &names.platforms),
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
        let diagnostic = Diagnostic::new(text.span.clone(), format!("there is no {kind} `{}`", text.value));
        let all: Vec<&str> = all.iter().map(Name::as_str).collect();
        let help = (!all.is_empty()).then(|| suggest::help(&text.value, "there is", &all));
        errors.missing(Diagnostic { help: help.into_iter().collect(), ..diagnostic });
    }
    found.cloned()
}
