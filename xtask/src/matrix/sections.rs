//! The sections of `matrix.toml`, each read into its type.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::ids::Name;
use crate::matrix::decode::{Errors, Table};
use crate::matrix::diagnostic::{Diagnostic, Located, Source};
use crate::matrix::images::image;
use crate::matrix::model::{ComposerMode, Exclude, Matrix, PlatformDef, RefSpec, Track};
use crate::matrix::names::{self, NameTable, selector};
use crate::matrix::publishing::{Publish, publish, sign};
use crate::matrix::settings::settings;
use crate::matrix::tracks::{reference, tags};

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
    let axes = names::axes(document.get_ref().get("images")).into_iter().map(|(name, _)| name).collect();
    let errors = Errors::new(source, axes, broken);
    let root = Table::new(document.get_ref(), "matrix.toml", 0..0, &errors);
    let matrix = sections(source, &root, &errors);
    errors.affects_cells(|| root.finish());
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
    let names = NameTable::of(root);
    let platforms: Vec<PlatformDef> = named(root, "platforms", errors, platform);
    let tracks: Vec<Track> =
        named(root, "tracks", errors, |name, table, errors| track(name, table, errors, &names));
    let composers: Vec<ComposerMode> = named(root, "composer", errors, composer);
    let images = named(root, "images", errors, |name, table, errors| {
        Some(errors.affects_cells(|| image(name, table, errors, &names)))
    });
    for (kind, found) in [("platforms", &names.platforms), ("images", &names.images)] {
        let wrong_already = root.get(kind).is_some_and(|value| !value.get_ref().is_table());
        if found.is_empty() && !wrong_already {
            let span = root.get(kind).map_or(0..0, Spanned::span);
            let diagnostic = Diagnostic::new(span, format!("matrix.toml declares nothing in [{kind}]"));
            errors.affects_cells(|| errors.missing(diagnostic));
        }
    }
    let Publish { repositories, refs, when, gates } = publish(root, errors);
    let (sign, formerly) = sign(root, errors);
    Matrix {
        source: source.clone(),
        repositories,
        publish_refs: refs,
        publish_when: when,
        gates,
        sign,
        formerly,
        platforms,
        tracks,
        composers,
        excludes: errors.affects_cells(|| excludes(root, errors, &names)),
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
    key: &str,
    errors: &'t Errors<'t>,
    read: impl Fn(Located<Name>, &Table<'t>, &'t Errors<'t>) -> Option<T>,
) -> Vec<T> {
    let one = |(text, table): (Located<String>, Table<'t>)| {
        let name = Located { value: errors.affects_cells(|| errors.parse(&text))?, span: text.span };
        let result = read(name, &table, errors);
        // A misspelt key of an image may be one that decides its cells.
        if key == "images" {
            errors.affects_cells(|| table.finish())
        } else {
            table.finish()
        }
        result
    };
    errors.affects_cells(|| root.tables(key)).into_iter().filter_map(one).collect()
}

fn platform(name: Located<Name>, table: &Table<'_>, errors: &Errors<'_>) -> Option<PlatformDef> {
    let platform = table.required_string("platform").and_then(|text| errors.parse(&text));
    let runner = table.string("runner").map(|found| found.value);
    let emulate = table.bool("emulate").unwrap_or_default();
    let settings = settings(table, errors);
    if let Some(setting) = settings.index_annotations.first() {
        let message = "an annotation of the index cannot depend on the platform";
        errors.add(Diagnostic::new(setting.span.clone(), message));
    }
    Some(PlatformDef { name: name.value, platform: platform?, runner, emulate, settings, span: name.span })
}

fn track<'t>(
    name: Located<Name>,
    table: &Table<'t>,
    errors: &'t Errors<'t>,
    names: &NameTable,
) -> Option<Track> {
    let reference = table.require("ref").and_then(|value| reference(value, errors));
    let tags = tags(table, errors, names);
    let pull_request = table.bool("pull-request").unwrap_or_default();
    let allow_failure = table.bool("allow-failure").unwrap_or_default();
    // A gap keeps the track: its cells exist, whatever is wrong with their version.
    let reference = reference.unwrap_or(Located { value: RefSpec::SelfRef, span: name.span });
    let settings = settings(table, errors);
    let tags = tags.unwrap_or_default();
    Some(Track { name: name.value, reference, tags, pull_request, allow_failure, settings })
}

fn composer(name: Located<Name>, table: &Table<'_>, errors: &Errors<'_>) -> Option<ComposerMode> {
    let word = |key: &str| {
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
        settings: settings(table, errors),
        allow_failure: table.bool("allow-failure").unwrap_or_default(),
    })
}

fn excludes(root: &Table<'_>, errors: &Errors<'_>, names: &NameTable) -> Vec<Exclude> {
    let one = |value: &Spanned<DeValue<'_>>| {
        let table = Table::of(value, "[[exclude]]", value.span(), errors)?;
        let cells = selector(&table, &["image", "track", "composer"], errors, names);
        let reason = table.required_string("reason");
        if cells.0.is_empty() && table.entries().len() <= 1 {
            errors.missing(Diagnostic::new(
                value.span(),
                "[[exclude]] names neither an image nor a track, a composer mode or an axis",
            ));
        }
        table.finish();
        Some(Exclude { cells, reason: reason?.value, span: value.span() })
    };
    root.array("exclude").unwrap_or_default().into_iter().filter_map(one).collect()
}
