//! `secrets`, `ssh`, `attest`, `compression` and `cache` of an image.

use toml::Spanned;
use toml::de::DeValue;

use crate::base::suggest;
use crate::matrix::build_options::{
    Attest, CacheKind, Compression, CompressionKind, Options, Provenance, Refresh, Sbom, Secret, SecretSource,
};
use crate::matrix::decode::{Errors, Table, kind};
use crate::matrix::diagnostic::{Diagnostic, Located};

/// Reads the options of an image.
pub(super) fn options(table: &Table<'_>, errors: &Errors<'_>) -> Options {
    Options {
        secrets: secrets(table, errors),
        ssh: ssh(table, errors),
        attest: attest(table, errors).unwrap_or_default(),
        compression: compression(table, errors),
        cache: cache(table, errors),
        refresh: refresh(table, errors).unwrap_or_default(),
    }
}

/// `ssh = ["default"]`: agents by id. A key in a file is not for a repository, nor its path for a command line.
fn ssh(table: &Table<'_>, errors: &Errors<'_>) -> Vec<String> {
    let one = |text: Located<String>| {
        let valid = text.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if !valid {
            errors.add(
                Diagnostic::new(text.span, format!("`{}` is no id of an SSH agent", text.value))
                    .help("load the key into an agent (ssh-add) and name that: ssh = [\"default\"]"),
            );
        }
        valid.then_some(text.value)
    };
    table.strings("ssh").unwrap_or_default().into_iter().filter_map(one).collect()
}

/// `secrets = { ID = { env = "NAME" } }` or `{ file = "PATH" }`.
fn secrets(table: &Table<'_>, errors: &Errors<'_>) -> Vec<Secret> {
    let Some(outer) = table.table("secrets") else { return Vec::new() };
    let mut secrets = Vec::new();
    for (id, value) in outer.entries() {
        if id.value.is_empty()
            || id.value.contains(|c: char| matches!(c, ',' | '=' | '"') || c.is_whitespace())
        {
            errors.add(Diagnostic::new(id.span, format!("`{}` is no id of a secret", id.value)));
            continue;
        }
        let name = format!("the secret `{}`", id.value);
        let Some(table) = Table::of(value, name.clone(), value.span(), errors) else { continue };
        let (env, file) = (table.string("env"), table.string("file"));
        let source = match (env, file) {
            (Some(env), None) if is_variable(&env.value) => Some(SecretSource::Env(env.value)),
            (Some(env), None) => {
                errors.add(
                    Diagnostic::new(env.span, format!("`{}` is no name of a variable", env.value))
                        .help("name the variable that holds the secret, not the secret"),
                );
                None
            }
            (None, Some(file)) => errors.relative(&file).map(SecretSource::File),
            _ => {
                let message = format!("{name} must have `env` or `file`, and only one of them");
                errors.add(Diagnostic::new(value.span(), message));
                None
            }
        };
        table.finish();
        secrets.extend(source.map(|source| Secret { id: id.value, source }));
    }
    secrets
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `attest = { provenance = "max", sbom = true }`.
fn attest(table: &Table<'_>, errors: &Errors<'_>) -> Option<Attest> {
    let table = table.table("attest")?;
    let provenance = table.get("provenance").map(|value| match value.get_ref().as_str() {
        Some("max") => Provenance::Max,
        Some("min") => Provenance::Min,
        _ => {
            errors.add(
                Diagnostic::new(value.span(), "`provenance` must be \"max\" or \"min\"")
                    .help("merge needs it to tell which build an image is from, so it cannot be turned off"),
            );
            Provenance::default()
        }
    });
    let sbom = table.get("sbom").map(|value| sbom(value, errors));
    table.finish();
    Some(Attest { provenance: provenance.unwrap_or_default(), sbom: sbom.unwrap_or_default() })
}

fn sbom(value: &Spanned<DeValue<'_>>, errors: &Errors<'_>) -> Sbom {
    match value.get_ref() {
        DeValue::Boolean(true) => Sbom::On,
        DeValue::Boolean(false) => Sbom::Off,
        DeValue::String(image) if !image.is_empty() && !image.contains([',', '"', ' ', '\n']) => {
            Sbom::Generator(image.clone().into_owned())
        }
        other => {
            let message =
                format!("`sbom` must be true, false or the image of a generator, not {}", kind(other));
            errors.add(Diagnostic::new(value.span(), message));
            Sbom::Off
        }
    }
}

/// `compression = { type = "zstd", level = 9, force = true }`.
fn compression(table: &Table<'_>, errors: &Errors<'_>) -> Option<Compression> {
    let table = table.table("compression")?;
    let text = table.required_string("type");
    let kind = text.as_ref().and_then(|text| word(text.value.as_str(), CompressionKind::ALL));
    if let (Some(text), None) = (&text, kind) {
        let words = CompressionKind::ALL.map(|(word, _)| word);
        errors.add(Diagnostic {
            span: text.span.clone(),
            message: format!("there is no compression `{}`", text.value),
            help: vec![suggest::help(&text.value, "there is", &words)],
        });
    }
    let highest = kind.map_or(u8::MAX, CompressionKind::highest);
    let level = table.get("level").and_then(|value| {
        let number = value.get_ref().as_integer().and_then(|number| number.as_str().parse::<u8>().ok());
        let valid = number.filter(|number| *number <= highest);
        if valid.is_none() {
            let message = format!("`level` must be a number from 0 to {highest}");
            errors.add(Diagnostic::new(value.span(), message));
        }
        valid
    });
    let force = table.bool("force").unwrap_or_default();
    table.finish();
    Some(Compression { kind: kind?, level, force })
}

/// `cache = ["gha", "registry", "inline"]`.
fn cache(table: &Table<'_>, errors: &Errors<'_>) -> Vec<CacheKind> {
    const KINDS: [(&str, CacheKind); 3] =
        [("gha", CacheKind::Gha), ("registry", CacheKind::Registry), ("inline", CacheKind::Inline)];
    let mut found = Vec::new();
    for text in table.strings("cache").unwrap_or_default() {
        match word(&text.value, KINDS) {
            Some(kind) if found.contains(&kind) => {
                errors.add(Diagnostic::new(text.span, format!("`{}` is listed twice", text.value)));
            }
            Some(kind) => found.push(kind),
            None => errors.add(
                Diagnostic::new(text.span, format!("there is no cache `{}`", text.value))
                    .help(suggest::help(&text.value, "there is", &KINDS.map(|(word, _)| word))),
            ),
        }
    }
    found
}

/// `refresh = "weekly"`.
fn refresh(table: &Table<'_>, errors: &Errors<'_>) -> Option<Refresh> {
    let text = table.string("refresh")?;
    let found = word(&text.value, Refresh::ALL);
    if found.is_none() {
        errors.add(
            Diagnostic::new(text.span, format!("`refresh` cannot be `{}`", text.value)).help(suggest::help(
                &text.value,
                "it is one of",
                &Refresh::ALL.map(|(word, _)| word),
            )),
        );
    }
    found
}

fn word<T: Copy, const N: usize>(text: &str, words: [(&str, T); N]) -> Option<T> {
    words.into_iter().find(|(word, _)| *word == text).map(|(_, value)| value)
}
