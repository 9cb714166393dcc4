//! The sections of `matrix.toml`, each read into its type.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::gates;
use crate::base::git_refs::RefPattern;
use crate::base::identity;
use crate::base::ids::{Name, Repository};
use crate::base::patterns::anchored;
use crate::base::suggest;
use crate::matrix::decode::{Errors, Table};
use crate::matrix::diagnostic::{Diagnostic, Located, Source};
use crate::matrix::images::image;
use crate::matrix::model::{
    ComposerMode, Condition, Exclude, Matrix, PlatformDef, RefSpec, SignSection, Sigstore, Track,
};
use crate::matrix::names::{self, NameTable, selector};
use crate::matrix::settings::settings;
use crate::matrix::tracks::{conditions, reference, tags};

/// The words of `sign.method`.
const METHODS: [&str; 3] = ["keyless", "key", "none"];

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
    Matrix {
        source: source.clone(),
        repositories,
        publish_refs: refs,
        publish_when: when,
        gates,
        sign: sign(root, errors),
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

/// `[publish]`.
#[derive(Default)]
struct Publish {
    repositories: Vec<Repository>,
    refs: Option<Vec<RefPattern>>,
    when: Vec<Condition>,
    gates: Vec<Vec<String>>,
}

fn publish(root: &Table<'_>, errors: &Errors<'_>) -> Publish {
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
    let refs = table.get("refs").is_some().then(|| {
        let texts = table.strings("refs").unwrap_or_default();
        texts.iter().filter_map(|text| errors.parse(text)).collect::<Vec<RefPattern>>()
    });
    if let (Some(value), Some([])) = (table.get("refs"), refs.as_deref())
        && value.get_ref().as_array().is_some_and(|list| list.is_empty())
    {
        errors.add(
            Diagnostic::new(value.span(), "`refs` is empty, so no run would publish")
                .help("leave it out for the default branch and the tags of its history"),
        );
    }
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

fn sign(root: &Table<'_>, errors: &Errors<'_>) -> SignSection {
    let default = SignSection::Keyless {
        identity: None,
        workflow: None,
        repository: None,
        issuer: None,
        sigstore: None,
    };
    let Some(value) = root.get("sign") else { return default };
    let Some(table) = Table::of(value, "[sign]", value.span(), errors) else { return default };
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
    table.finish();
    sign
}

fn keyless_sign(table: &Table<'_>, errors: &Errors<'_>) -> SignSection {
    let identity = table.string("identity");
    if let Some(found) = identity.as_ref().filter(|found| !anchored(&found.value)) {
        let message = "`identity` is not anchored, so it would match more than it says";
        let help = "write '^…$', with alternatives in parentheses and without `(?`";
        errors.add(Diagnostic::new(found.span.clone(), message).help(help));
    }
    let workflow = table.string("workflow");
    if let (Some(found), Some(_)) = (&workflow, &identity) {
        errors.add(Diagnostic::new(found.span.clone(), "`workflow` and `identity` exclude each other"));
    } else if let Some(found) = workflow.as_ref().filter(|found| found.value.contains(['/', '@'])) {
        let message = "`workflow` must be the name of a file in .github/workflows, e.g. \"cell.yml\"";
        errors.add(Diagnostic::new(found.span.clone(), message));
    }
    let repository = table.string("repository");
    if let Some(found) = repository.as_ref().filter(|found| !is_owner_and_name(&found.value)) {
        let message = "`repository` must be OWNER/NAME, e.g. \"acme/images\"";
        errors.add(Diagnostic::new(found.span.clone(), message));
    }
    if let (Some(found), None) = (&identity, &repository)
        && anchored(&found.value)
        && identity::is_open(&found.value)
    {
        let message = "`identity` names a workflow that any repository may call";
        errors.add(
            Diagnostic::new(found.span.clone(), message)
                .help("say whose runs count: repository = \"OWNER/NAME\""),
        );
    }
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

fn is_owner_and_name(text: &str) -> bool {
    let valid = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    text.split_once('/').is_some_and(|(owner, name)| valid(owner) && valid(name))
}

fn platform(name: Located<Name>, table: &Table<'_>, errors: &Errors<'_>) -> Option<PlatformDef> {
    let platform = table.required_string("platform").and_then(|text| errors.parse(&text));
    let runner = table.string("runner").map(|found| found.value);
    let settings = settings(table, errors);
    if let Some(setting) = settings.index_annotations.first() {
        let message = "an annotation of the index cannot depend on the platform";
        errors.add(Diagnostic::new(setting.span.clone(), message));
    }
    Some(PlatformDef { name: name.value, platform: platform?, runner, settings, span: name.span })
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
