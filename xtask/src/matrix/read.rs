//! The sections of `matrix.toml`, each read into its type.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::decode::{Errors, Table};
use super::images::image;
use super::lines::{reference, tags};
use super::{
    ComposerMode, Diagnostic, Exclude, Located, Matrix, PlatformDef, RefSpec, Sign, Source, Track, suggest,
};
use crate::ids::{Name, Repository};

/// The words of `sign.method`.
const METHODS: [&str; 3] = ["keyless", "key", "none"];

/// The names that the file declares, also those of what is wrong otherwise.
pub(super) struct Declared {
    pub(super) platforms: Vec<Name>,
    pub(super) tracks: Vec<Name>,
    pub(super) composers: Vec<Name>,
    pub(super) images: Vec<Name>,
}

impl Declared {
    fn of(root: &Table<'_>) -> Self {
        let names = |key| root.names(key).iter().filter_map(|name| name.parse().ok()).collect();
        Self {
            platforms: names("platforms"),
            tracks: names("tracks"),
            composers: names("composer"),
            images: names("images"),
        }
    }
}

/// Reads the whole file. Where something is wrong the result has a gap and the errors say so.
/// The flag says whether the gaps leave it clear which cells there are.
pub(super) fn matrix(source: &Source) -> (Matrix, Vec<Diagnostic>, bool) {
    let (document, syntax) = DeTable::parse_recoverable(&source.text);
    let end = source.text.len();
    let broken: Vec<Diagnostic> = syntax
        .iter()
        .map(|error| Diagnostic::new(error.span().unwrap_or(end..end), error.message().replace('\n', ", ")))
        .collect();
    // From the line of the first syntax error on the document is a guess: only what is certain is reported.
    let certain = broken.iter().map(|error| error.span.start).min().map(|first| {
        let before = source.text.get(..first).unwrap_or(&source.text);
        before.rfind('\n').map_or(0, |newline| newline + 1)
    });
    let errors = Errors::new(source, broken);
    let root = Table::new(document.get_ref(), "matrix.toml", 0..0, &errors);
    let matrix = sections(source, &root, &errors);
    errors.shaping(|| root.finish());
    let (mut found, clear) = errors.finish();
    let mut position = 0;
    found.retain(|error| {
        position += 1;
        position <= syntax.len() || certain.is_none_or(|limit| error.span.end <= limit)
    });
    (matrix, found, clear)
}

fn sections(source: &Source, root: &Table<'_>, errors: &Errors<'_>) -> Matrix {
    version(root, errors);
    let platforms: Vec<PlatformDef> = named(root, "platforms", errors, platform);
    let tracks: Vec<Track> = named(root, "tracks", errors, track);
    let composers: Vec<ComposerMode> = named(root, "composer", errors, composer);
    let declared = Declared::of(root);
    let images = named(root, "images", errors, |name, table, errors| {
        Some(errors.shaping(|| image(name, table, errors, &declared)))
    });
    for (kind, names) in [("platforms", &declared.platforms), ("images", &declared.images)] {
        let wrong_already = root.get(kind).is_some_and(|value| !value.get_ref().is_table());
        if names.is_empty() && !wrong_already {
            let span = root.get(kind).map_or(0..0, Spanned::span);
            let diagnostic = Diagnostic::new(span, format!("matrix.toml declares nothing in [{kind}]"));
            errors.shaping(|| errors.missing(diagnostic));
        }
    }
    Matrix {
        source: source.clone(),
        repositories: publish(root, errors),
        sign: sign(root, errors),
        platforms,
        tracks,
        composers,
        excludes: errors.shaping(|| excludes(root, errors, &declared)),
        images,
    }
}

fn version(root: &Table<'_>, errors: &Errors<'_>) {
    let Some(value) = root.require("version") else { return };
    if value.get_ref().as_integer().map(toml::de::DeInteger::as_str) != Some("1") {
        errors.add(Diagnostic::new(value.span(), "this version of the tool reads `version = 1` only"));
    }
}

/// The tables of a section whose names are valid.
fn named<'t, T>(
    root: &Table<'t>,
    key: &'static str,
    errors: &'t Errors<'t>,
    read: impl Fn(Located<Name>, &Table<'t>, &'t Errors<'t>) -> Option<T>,
) -> Vec<T> {
    let one = |(text, table): (Located<String>, Table<'t>)| {
        let name = Located { value: errors.shaping(|| errors.parse(&text))?, span: text.span };
        let result = read(name, &table, errors);
        // A misspelt key of an image may be one that decides its cells.
        if key == "images" {
            errors.shaping(|| table.finish())
        } else {
            table.finish()
        }
        result
    };
    errors.shaping(|| root.tables(key)).into_iter().filter_map(one).collect()
}

fn publish(root: &Table<'_>, errors: &Errors<'_>) -> Vec<Repository> {
    let Some(value) = root.require("publish") else { return Vec::new() };
    let Some(table) = Table::of(value, "[publish]", value.span(), errors) else { return Vec::new() };
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
    table.finish();
    repositories
}

fn sign(root: &Table<'_>, errors: &Errors<'_>) -> Sign {
    let default = Sign::Keyless { identity: None, issuer: None };
    let Some(value) = root.get("sign") else { return default };
    let Some(table) = Table::of(value, "[sign]", value.span(), errors) else { return default };
    let method = table.string("method");
    let word = method.as_ref().map_or("keyless", |method| method.value.as_str());
    // The keys that belong to another method.
    for (key, owner) in [("key", "key"), ("reason", "none"), ("identity", "keyless"), ("issuer", "keyless")] {
        let known = METHODS.contains(&word);
        if let Some(value) = table.get(key).filter(|_| known && owner != word) {
            let message = format!("`{key}` goes with method = \"{owner}\" only");
            errors.add(Diagnostic::new(value.span(), message).help(format!("the method is \"{word}\"")));
        }
    }
    let text = |key| table.string(key).map(|found: Located<String>| found.value);
    let required = |key| table.required_string(key).map(|found| found.value).unwrap_or_default();
    let sign = match word {
        "key" => Sign::Key { key: required("key") },
        "none" => Sign::None { reason: required("reason") },
        "keyless" => Sign::Keyless { identity: text("identity"), issuer: text("issuer") },
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
    table.finish();
    sign
}

fn platform(name: Located<Name>, table: &Table<'_>, errors: &Errors<'_>) -> Option<PlatformDef> {
    let platform = table.required_string("platform").and_then(|text| errors.parse(&text));
    let runner = table.string("runner").map(|found| found.value);
    Some(PlatformDef { name: name.value, platform: platform?, runner, span: name.span })
}

fn track(name: Located<Name>, table: &Table<'_>, errors: &Errors<'_>) -> Option<Track> {
    let reference = table.require("ref").and_then(|value| reference(value, errors));
    let tags = tags(table, errors);
    let pull_request = table.bool("pull-request").unwrap_or_default();
    let allow_failure = table.bool("allow-failure").unwrap_or_default();
    // A gap keeps the track: its cells exist, whatever is wrong with their version.
    let reference = reference.unwrap_or(Located { value: RefSpec::SelfRef, span: name.span });
    Some(Track { name: name.value, reference, tags: tags.unwrap_or_default(), pull_request, allow_failure })
}

fn composer(name: Located<Name>, table: &Table<'_>, errors: &Errors<'_>) -> Option<ComposerMode> {
    let word = |key: &'static str| {
        // An empty suffix is a suffix.
        let empty = key == "suffix" && table.get(key)?.get_ref().as_str() == Some("");
        let text = (!empty).then(|| table.string(key)).flatten()?;
        let valid = text.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if !valid {
            errors.add(Diagnostic::new(
                text.span.clone(),
                format!("`{key}` becomes part of tags: letters, digits, `_`, `.` and `-` only"),
            ));
        }
        valid.then_some(text.value)
    };
    Some(ComposerMode {
        name: name.value,
        suffix: word("suffix").unwrap_or_default(),
        latest: word("latest").unwrap_or_else(|| "latest".to_owned()),
        build_args: table.settings("build-args"),
        allow_failure: table.bool("allow-failure").unwrap_or_default(),
    })
}

fn excludes(root: &Table<'_>, errors: &Errors<'_>, declared: &Declared) -> Vec<Exclude> {
    let one = |value: &Spanned<DeValue<'_>>| {
        let table = Table::of(value, "[[exclude]]", value.span(), errors)?;
        let name = |key: &'static str, kind: &str, all: &[Name]| {
            table.string(key).and_then(|text| one_of(&text, kind, all, errors))
        };
        let image = name("image", "image", &declared.images);
        let track = name("track", "track", &declared.tracks);
        let composer = name("composer", "composer mode", &declared.composers);
        let reason = table.required_string("reason");
        if [&image, &track, &composer].iter().all(|name| name.is_none()) && table.entries().len() <= 1 {
            errors.missing(Diagnostic::new(
                value.span(),
                "[[exclude]] names neither an image nor a track nor a composer mode",
            ));
        }
        table.finish();
        Some(Exclude { image, track, composer, reason: reason?.value, span: value.span() })
    };
    root.array("exclude").unwrap_or_default().into_iter().filter_map(one).collect()
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
