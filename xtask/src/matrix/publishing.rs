//! `[publish]` and `[sign]`: where images go, from which refs, what judges them, and who signs.

use toml::Spanned;
use toml::de::DeValue;

use crate::base::gates;
use crate::base::git_refs::RefPattern;
use crate::base::identity;
use crate::base::ids::Repository;
use crate::base::patterns::anchored;
use crate::base::suggest;
use crate::matrix::decode::{Errors, Table};
use crate::matrix::diagnostic::{Diagnostic, Located};
use crate::matrix::model::{Condition, FormerMethod, FormerSigner, SignSection, Sigstore};
use crate::matrix::tracks::conditions;

/// The words of `sign.method`.
const METHODS: [&str; 3] = ["keyless", "key", "none"];

/// `[publish]`.
#[derive(Default)]
pub(super) struct Publish {
    pub(super) repositories: Vec<Repository>,
    pub(super) refs: Option<Vec<RefPattern>>,
    pub(super) when: Vec<Condition>,
    pub(super) gates: Vec<Vec<String>>,
}

pub(super) fn publish(root: &Table<'_>, errors: &Errors<'_>) -> Publish {
    let Some(value) = root.require("publish") else { return Default::default() };
    let Some(table) = Table::of(value, "[publish]", value.span(), errors) else { return Default::default() };
    let mut repositories: Vec<Repository> = Vec::new();
    if table.require("repositories").is_some() {
        let texts = table.strings("repositories").unwrap_or_default();
        if texts.is_empty() {
            let message = "`repositories` must list at least one repository";
            errors.missing(Diagnostic::new(table.span.clone(), message));
        }
        for text in texts {
            match errors.parse::<Repository>(&text) {
                Some(repository) if repositories.contains(&repository) => {
                    errors.add(Diagnostic::new(text.span, format!("`{repository}` is listed twice")));
                }
                found => repositories.extend(found),
            }
        }
    }
    let refs = refs(&table, errors);
    let when = conditions(&table, "when", errors);
    let words = [Condition::Release, Condition::Stable, Condition::Always];
    if let (Some(value), true) = (table.get("when"), when.iter().any(|word| words.contains(word))) {
        let message = "`when` of [publish] is about the whole run: `default-branch` or events";
        errors.add(Diagnostic::new(value.span(), message));
    }
    let gates = gates(&table, errors);
    table.finish();
    Publish { repositories, refs, when, gates }
}

/// Branches and tags by their full names; none if nothing is said.
fn refs(table: &Table<'_>, errors: &Errors<'_>) -> Option<Vec<RefPattern>> {
    let refs = table.get("refs").is_some().then(|| {
        let texts = table.strings("refs").unwrap_or_default();
        texts.iter().filter_map(|text| errors.parse(text)).collect::<Vec<RefPattern>>()
    });
    if let (Some(value), Some([])) = (table.get("refs"), refs.as_deref())
        && value.get_ref().as_array().is_some_and(|list| list.is_empty())
    {
        errors.add(
            Diagnostic::new(value.span(), "`refs` is empty, so nothing would count")
                .help("leave it out for the default branch and tags"),
        );
    }
    refs
}

/// Commands, each a list of words.
fn gates(table: &Table<'_>, errors: &Errors<'_>) -> Vec<Vec<String>> {
    let one = |value: &Spanned<DeValue<'_>>| {
        let words: Vec<Spanned<&str>> = match value.get_ref().as_array() {
            Some(list) if !list.is_empty() => list
                .iter()
                .filter_map(|word| Some(Spanned::new(word.span(), word.get_ref().as_str()?)))
                .collect(),
            _ => Vec::new(),
        };
        if words.len() != value.get_ref().as_array().map_or(1, |list| list.len()) || words.is_empty() {
            let message = "a gate is a command as a list of words";
            errors.add(
                Diagnostic::new(value.span(), message)
                    .help("e.g. gate = [[\"trivy\", \"image\", \"--exit-code\", \"1\", \"{reference}\"]]"),
            );
        }
        for word in &words {
            if let Err(what) = gates::expand(word.get_ref(), |_| String::new()) {
                let known = gates::PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(" ");
                errors.add(
                    Diagnostic::new(word.span(), format!("`{what}` is nothing that a gate can be told"))
                        .help(format!("there are {known}; a brace of its own is written twice")),
                );
            }
        }
        words.into_iter().map(|word| (*word.get_ref()).to_owned()).collect()
    };
    table.array("gate").unwrap_or_default().into_iter().map(one).collect()
}

pub(super) fn sign(root: &Table<'_>, errors: &Errors<'_>) -> (SignSection, Vec<FormerSigner>) {
    let default = SignSection::Keyless {
        identity: None,
        workflow: None,
        repository: None,
        issuer: None,
        sigstore: None,
    };
    let Some(value) = root.get("sign") else { return (default, Vec::new()) };
    let Some(table) = Table::of(value, "[sign]", value.span(), errors) else { return (default, Vec::new()) };
    let method = table.string("method");
    let word = method.as_ref().map_or("keyless", |method| method.value.as_str());
    // The keys that belong to another method.
    let keyless = ["identity", "workflow", "repository", "issuer", "trusted-root", "signing-config"]
        .map(|key| (key, "keyless"));
    for (key, owner) in [("key", "key"), ("reason", "none")].into_iter().chain(keyless) {
        let known = METHODS.contains(&word);
        if let Some(value) = table.get(key).filter(|_| known && owner != word) {
            let message = format!("`{key}` goes with method = \"{owner}\" only");
            errors.add(Diagnostic::new(value.span(), message).help(format!("the method is \"{word}\"")));
        }
    }
    let required = |key| table.required_string(key).map(|found| found.value).unwrap_or_default();
    let sign = match word {
        "key" => SignSection::Key { key: required("key") },
        "none" => SignSection::None { reason: required("reason") },
        "keyless" => keyless_sign(&table, errors),
        _ => default,
    };
    if let Some(method) = method.filter(|method| !METHODS.contains(&method.value.as_str())) {
        let message = "`method` must be \"keyless\", \"key\" or \"none\"";
        let near = suggest::nearest(&method.value, METHODS).map(|near| format!("did you mean `{near}`?"));
        errors.add(Diagnostic {
            span: method.span,
            message: message.into(),
            help: near.into_iter().collect(),
        });
    }
    let formerly = table.array("formerly").unwrap_or_default();
    let formerly = formerly.into_iter().filter_map(|value| former(value, errors)).collect();
    table.finish();
    (sign, formerly)
}

/// Who signed before, and until when that counts.
fn former(value: &Spanned<DeValue<'_>>, errors: &Errors<'_>) -> Option<FormerSigner> {
    let table = Table::of(value, "[[sign.formerly]]", value.span(), errors)?;
    let until = table.require("until").and_then(|value| match date(value.get_ref()) {
        Some(until) => Some(until),
        None => {
            let message = "`until` must be a day or a time in UTC: 2027-03-01, or 2027-03-01T08:00:00Z";
            errors.add(Diagnostic::new(value.span(), message));
            None
        }
    });
    let (key, identity) = (table.string("key"), identity_of(&table, errors));
    let (repository, issuer) = (repository_of(&table, errors), table.string("issuer"));
    let refs = refs(&table, errors);
    table.finish();
    let text = |found: Located<String>| found.value;
    let method = match (key, identity) {
        (Some(key), None) if repository.is_none() && issuer.is_none() && refs.is_none() => {
            FormerMethod::Key(key.value)
        }
        (None, Some(identity)) => FormerMethod::Keyless {
            identity: identity.value,
            repository: repository.map(text),
            issuer: issuer.map(text),
            refs,
        },
        _ => {
            let message =
                "[[sign.formerly]] needs either `key`, or `identity` with `repository` and `issuer`";
            errors.add(Diagnostic::new(value.span(), message));
            return None;
        }
    };
    Some(FormerSigner { until: until?, method })
}

/// A day means its beginning.
fn date(value: &DeValue<'_>) -> Option<String> {
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        _ => return None,
    };
    let whole = if text.len() == "2027-03-01".len() { format!("{text}T00:00:00Z") } else { text };
    let time = humantime::parse_rfc3339(&whole).ok()?;
    Some(humantime::format_rfc3339_seconds(time).to_string())
}

/// An identity that matches no more than it says, of a repository that is known.
fn identity_of(table: &Table<'_>, errors: &Errors<'_>) -> Option<Located<String>> {
    let identity = table.string("identity")?;
    if !anchored(&identity.value) {
        let message = "`identity` is not anchored, so it would match more than it says";
        let help = "write '^…$', with alternatives in parentheses and without `(?`";
        errors.add(Diagnostic::new(identity.span.clone(), message).help(help));
        return Some(identity);
    }
    let text = |key: &str| table.get(key).and_then(|value| value.get_ref().as_str());
    let given = text("repository").map(str::to_owned);
    if let Err(why) = identity::caller(&identity.value, text("issuer"), given) {
        errors.add(
            Diagnostic::new(identity.span.clone(), format!("`identity` {why}"))
                .help("say whose runs count: repository = \"OWNER/NAME\""),
        );
    }
    Some(identity)
}

fn keyless_sign(table: &Table<'_>, errors: &Errors<'_>) -> SignSection {
    let identity = identity_of(table, errors);
    let workflow = table.string("workflow");
    if let (Some(found), Some(_)) = (&workflow, &identity) {
        errors.add(Diagnostic::new(found.span.clone(), "`workflow` and `identity` exclude each other"));
    } else if let Some(found) = workflow.as_ref().filter(|found| found.value.contains(['/', '@'])) {
        let message = "`workflow` must be the name of a file in .github/workflows, e.g. \"cell.yml\"";
        errors.add(Diagnostic::new(found.span.clone(), message));
    }
    let repository = repository_of(table, errors);
    let (trusted_root, signing_config) = (table.string("trusted-root"), table.string("signing-config"));
    if let Some((one, other)) = match (&trusted_root, &signing_config) {
        (Some(found), None) => Some((found, "signing-config")),
        (None, Some(found)) => Some((found, "trusted-root")),
        _ => None,
    } {
        let message = format!("a Sigstore of one's own needs `{other}`, too");
        errors.add(
            Diagnostic::new(one.span.clone(), message).help("one is for who signs, one for who verifies"),
        );
    }
    let value = |found: Located<String>| found.value;
    SignSection::Keyless {
        identity: identity.map(value),
        workflow: workflow.map(value),
        repository: repository.map(value),
        issuer: table.string("issuer").map(value),
        sigstore: trusted_root
            .zip(signing_config)
            .map(|(root, config)| Sigstore { trusted_root: root.value, signing_config: config.value }),
    }
}

/// The repository whose workflow must have run.
fn repository_of(table: &Table<'_>, errors: &Errors<'_>) -> Option<Located<String>> {
    let repository = table.string("repository");
    if let Some(found) = repository.as_ref().filter(|found| !is_owner_and_name(&found.value)) {
        let message = "`repository` must be OWNER/NAME, e.g. \"acme/images\"";
        errors.add(Diagnostic::new(found.span.clone(), message));
    }
    repository
}

fn is_owner_and_name(text: &str) -> bool {
    let valid = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    text.split_once('/').is_some_and(|(owner, name)| valid(owner) && valid(name))
}
