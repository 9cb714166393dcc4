//! Where a version comes from and which tags it gets: `ref` and `tags` of a track or an image.

use std::path::{Component, Path};
use toml::Spanned;
use toml::de::DeValue;

use super::decode::{Errors, Table};
use super::{Condition, Diagnostic, EventName, Located, RefSpec, TagSpec, suggest};
use crate::template::Template;

pub(super) fn reference(value: &Spanned<DeValue<'_>>, errors: &Errors<'_>) -> Option<Located<RefSpec>> {
    let table = Table::of(value, "`ref`", value.span(), errors)?;
    let remote = ["repository", "branch", "tag"]
        .iter()
        .any(|key| table.entries().iter().any(|(name, _)| name.value == *key));
    let error = |message: &str| {
        errors.add(
            Diagnostic::new(value.span(), message)
                .help("one of { file = \"…\" }, { value = \"…\" }, { self = true }"),
        )
    };
    if remote {
        error("refs of other repositories are not supported by this version");
        return None;
    }
    let mut found: Vec<RefSpec> = Vec::new();
    if let Some(path) = table.string("file") {
        found.extend(relative(&path, errors).map(RefSpec::File));
    }
    if let Some(text) = table.string("value") {
        found.push(RefSpec::Value(text.value));
    }
    match table.bool("self") {
        Some(true) => found.push(RefSpec::SelfRef),
        Some(false) => error("`self` is true or not given"),
        None => {}
    }
    let count = table.entries().len();
    table.finish();
    if count != 1 {
        error("`ref` must have exactly one key");
    }
    found.pop().filter(|_| count == 1).map(|value_of| Located { value: value_of, span: value.span() })
}

/// A path below the folder of `matrix.toml`.
pub(super) fn relative(path: &Located<String>, errors: &Errors<'_>) -> Option<String> {
    let inside = Path::new(&path.value)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside {
        return Some(path.value.clone());
    }
    errors.add(Diagnostic::new(
        path.span.clone(),
        format!("`{}` leaves the folder of matrix.toml", path.value),
    ));
    None
}

pub(super) fn tags<'t>(table: &Table<'t>, errors: &'t Errors<'t>) -> Option<Vec<TagSpec>> {
    table.require("tags")?;
    let values = table.array("tags")?;
    if values.is_empty() {
        errors.missing(Diagnostic::new(
            table.span.clone(),
            "`tags` must list at least one tag: a cell without a tag cannot be published",
        ));
    }
    let found: Vec<Option<TagSpec>> = values.iter().map(|value| tag(table, value, errors)).collect();
    found.into_iter().collect()
}

fn tag<'t>(outer: &Table<'t>, value: &'t Spanned<DeValue<'t>>, errors: &'t Errors<'t>) -> Option<TagSpec> {
    if !value.get_ref().is_table() {
        let text = outer.as_string("tags", value)?;
        return Some(TagSpec {
            template: tag_template(&text, errors)?,
            when: Vec::new(),
            immutable: false,
            span: value.span(),
        });
    }
    let table = Table::of(value, "the tag", value.span(), errors)?;
    let text = table.required_string("tag");
    let when = conditions(&table, errors);
    let immutable = table.bool("immutable").unwrap_or_default();
    table.finish();
    Some(TagSpec { template: tag_template(&text?, errors)?, when, immutable, span: value.span() })
}

/// A template that can become a tag.
fn tag_template(text: &Located<String>, errors: &Errors<'_>) -> Option<Template> {
    let template = errors.template(text)?;
    let mut valid = true;
    let mut wrong = |part: &str, message: String| {
        let at = text.value.find(part).unwrap_or_default();
        errors.add(Diagnostic::new(errors.within(text, at..at + part.len()), message));
        valid = false;
    };
    for name in
        ["arch", "platform"].iter().filter(|name| template.placeholders().any(|found| found == **name))
    {
        wrong(&format!("{{{name}}}"), format!("`{{{name}}}` in a tag: a tag stands for all architectures"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if let Some(bad) = template.literals().flat_map(str::chars).find(|c| !allowed(*c)) {
        // A literal brace is written twice.
        let written = if matches!(bad, '{' | '}') { format!("{bad}{bad}") } else { bad.to_string() };
        wrong(&written, format!("`{bad}` cannot be part of a tag: letters, digits, `_`, `.` and `-` can"));
    }
    if text.value.starts_with(['.', '-']) {
        wrong(
            text.value.get(..1).unwrap_or_default(),
            "a tag begins with a letter, a digit or `_`".to_owned(),
        );
    }
    valid.then_some(template)
}

/// The words that `when` knows.
const CONDITIONS: [(&str, Condition); 9] = [
    ("release", Condition::Release),
    ("stable", Condition::Stable),
    ("default-branch", Condition::DefaultBranch),
    ("always", Condition::Always),
    ("push", Condition::Event(EventName::Push)),
    ("tag", Condition::Event(EventName::Tag)),
    ("schedule", Condition::Event(EventName::Schedule)),
    ("dispatch", Condition::Event(EventName::Dispatch)),
    ("local", Condition::Event(EventName::Local)),
];

fn conditions(table: &Table<'_>, errors: &Errors<'_>) -> Vec<Condition> {
    let texts = match table.get("when") {
        None => return Vec::new(),
        Some(value) if value.get_ref().is_array() => table.strings("when").unwrap_or_default(),
        Some(value) => table.as_string("when", value).into_iter().collect(),
    };
    let one = |text: Located<String>| {
        let known = CONDITIONS.iter().find(|(word, _)| *word == text.value);
        if known.is_none() {
            let words = CONDITIONS.map(|(word, _)| word);
            let help = suggest::nearest(&text.value, words).map_or_else(
                || format!("the conditions are {}", words.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            errors.add(Diagnostic::new(text.span, format!("unknown condition `{}`", text.value)).help(help));
        }
        known.map(|(_, condition)| *condition)
    };
    texts.into_iter().filter_map(one).collect()
}
