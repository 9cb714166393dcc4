//! Where a version comes from and which tags it gets: `ref` and `tags` of a track or an image.

use toml::Spanned;
use toml::de::DeValue;

use crate::base::suggest;
use crate::base::template::Template;
use crate::matrix::decode::{Errors, Table};
use crate::matrix::diagnostic::{Diagnostic, Located};
use crate::matrix::model::{Condition, EventName, RefSpec, Selector, TagSpec, When};
use crate::matrix::names::{NameTable, selector};

/// The forms of `ref`, for people.
const FORMS: &str = "one of { file = \"…\" }, { repository = \"…\", branch = \"…\" }, { repository = \"…\", tag = \"…\" }, \
                     { self = true }, { value = \"…\" }";

pub(super) fn reference(value: &Spanned<DeValue<'_>>, errors: &Errors<'_>) -> Option<Located<RefSpec>> {
    let table = Table::of(value, "`ref`", value.span(), errors)?;
    let error = |message: &str| errors.add(Diagnostic::new(value.span(), message).help(FORMS));
    let mut found: Vec<Option<RefSpec>> = Vec::new();
    if let Some(path) = table.string("file") {
        found.push(errors.relative(&path).map(RefSpec::File));
    }
    if let Some(text) = table.string("value") {
        found.push(Some(RefSpec::Value(text.value)));
    }
    if let Some(own) = table.bool("self") {
        if !own {
            error("`self` is true or not given");
        }
        found.push(own.then_some(RefSpec::SelfRef));
    }
    let repository = table.string("repository");
    let (branch, tag) = (table.string("branch"), table.string("tag"));
    let remote = usize::from(repository.is_some()) + usize::from(branch.is_some() || tag.is_some());
    let other = table.entries().len() - table_count(&table, ["repository", "branch", "tag"]);
    table.finish();
    if remote == 0 && other == 1 {
        return found.pop().flatten().map(|spec| Located { value: spec, span: value.span() });
    }
    if remote != 2 || other != 0 || (branch.is_some() && tag.is_some()) {
        error("`ref` must have exactly one of its forms");
        return None;
    }
    let repository = address(&repository?, errors)?;
    let spec = match (branch, tag) {
        (Some(branch), _) => RefSpec::Branch { repository, branch: branch_name(&branch, errors)? },
        (None, Some(tag)) => RefSpec::Tag { repository, pattern: errors.parse(&tag)? },
        (None, None) => return None,
    };
    Some(Located { value: spec, span: value.span() })
}

/// How many of some keys a table has.
fn table_count<const N: usize>(table: &Table<'_>, keys: [&str; N]) -> usize {
    table.entries().iter().filter(|(name, _)| keys.contains(&name.value.as_str())).count()
}

/// The address of a repository, as git takes it. Credentials would end up in plans and messages.
fn address(text: &Located<String>, errors: &Errors<'_>) -> Option<String> {
    let wrong = if holds_credentials(&text.value) {
        Some(("the address holds credentials", "leave them out: git has credential helpers for it"))
    } else if text.value.starts_with('-') || text.value.contains("::") {
        Some(("this is no address of a repository", "expected e.g. https://github.com/acme/app"))
    } else {
        None
    };
    match wrong {
        None => Some(text.value.clone()),
        Some((message, help)) => {
            errors.add(Diagnostic::new(text.span.clone(), message).help(help));
            None
        }
    }
}

/// Whether an address names a password, or over HTTP a user, who may well be a token.
pub(crate) fn holds_credentials(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':') || scheme.starts_with("http"))
}

/// What git accepts as a branch, as far as it matters here: no pattern, no option.
/// See <https://git-scm.com/docs/git-check-ref-format>.
fn branch_name(text: &Located<String>, errors: &Errors<'_>) -> Option<String> {
    let bad = |c: char| c.is_whitespace() || matches!(c, '*' | '?' | '[' | ':' | '~' | '^' | '\\');
    if text.value.contains(bad) || text.value.starts_with(['-', '/']) || text.value.contains("..") {
        errors.add(Diagnostic::new(text.span.clone(), format!("`{}` is no name of a branch", text.value)));
        return None;
    }
    Some(text.value.strip_prefix("refs/heads/").unwrap_or(&text.value).to_owned())
}

pub(super) fn tags<'t>(table: &Table<'t>, errors: &'t Errors<'t>, names: &NameTable) -> Option<Vec<TagSpec>> {
    table.require("tags")?;
    let values = table.array("tags")?;
    if values.is_empty() {
        errors.missing(Diagnostic::new(
            table.span.clone(),
            "`tags` must list at least one tag: a cell without a tag cannot be published",
        ));
    }
    let found: Vec<Option<TagSpec>> = values.iter().map(|value| tag(table, value, errors, names)).collect();
    found.into_iter().collect()
}

fn tag<'t>(
    outer: &Table<'t>,
    value: &'t Spanned<DeValue<'t>>,
    errors: &'t Errors<'t>,
    names: &NameTable,
) -> Option<TagSpec> {
    if !value.get_ref().is_table() {
        let text = outer.as_string("tags", value)?;
        return Some(TagSpec {
            template: tag_template(&text, errors)?,
            when: When::default(),
            immutable: false,
            span: value.span(),
        });
    }
    let table = Table::of(value, "the tag", value.span(), errors)?;
    let text = table.required_string("tag");
    let when = when(&table, errors, names);
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

/// `when`: a word, a list of them, or a table of axis values with the words under `on`.
fn when(table: &Table<'_>, errors: &Errors<'_>, names: &NameTable) -> When {
    if !table.get("when").is_some_and(|value| value.get_ref().is_table()) {
        return When { on: conditions(table, "when", errors), cell: Selector::default() };
    }
    let Some(table) = table.table("when") else { return When::default() };
    let on = conditions(&table, "on", errors);
    let cell = selector(&table, &["image", "track", "composer"], errors, names);
    table.finish();
    When { on, cell }
}

/// The words of a key, one or a list of them.
pub(super) fn conditions(table: &Table<'_>, key: &str, errors: &Errors<'_>) -> Vec<Condition> {
    let texts = match table.get(key) {
        None => return Vec::new(),
        Some(value) if value.get_ref().is_array() => table.strings(key).unwrap_or_default(),
        Some(value) => table.as_string(key, value).into_iter().collect(),
    };
    let one = |text: Located<String>| {
        let known = CONDITIONS.iter().find(|(word, _)| *word == text.value);
        if known.is_none() {
            let words = CONDITIONS.map(|(word, _)| word);
            let help = suggest::help(&text.value, "the conditions are", &words);
            errors.add(Diagnostic::new(text.span, format!("unknown condition `{}`", text.value)).help(help));
        }
        known.map(|(_, condition)| *condition)
    };
    texts.into_iter().filter_map(one).collect()
}
