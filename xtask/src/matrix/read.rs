//! The sections of `matrix.toml`, each read into its type.

use std::cell::RefCell;
use std::path::{Component, Path};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::decode::{Errors, Table};
use super::{
    ComposerMode, Condition, Diagnostic, Diagnostics, EventName, Exclude, Image, Located, Matrix, Need,
    OwnLine, PlatformDef, RefSpec, Sign, Source, TagSpec, Track, suggest,
};
use crate::ids::{Name, Repository};

/// Reads the whole file. Where something is wrong the result has a gap and the errors say so.
pub(super) fn matrix(source: &Source) -> (Matrix, Diagnostics) {
    let (document, syntax) = DeTable::parse_recoverable(&source.text);
    let end = source.text.len();
    let errors = Errors { source, found: RefCell::default() };
    for error in &syntax {
        errors.add(Diagnostic::new(error.span().unwrap_or(end..end), error.message().replace('\n', ", ")));
    }
    let root = Table::new(document.get_ref(), "matrix.toml", 0..0, &errors);
    let matrix = sections(source, &root, &errors);
    // After a syntax error the rest of the document is a guess: only what is certain is reported.
    if syntax.is_empty() {
        root.finish();
        return (matrix, Diagnostics(errors.found.into_inner()));
    }
    let certain = errors.found.into_inner().into_iter().take(syntax.len());
    (matrix, Diagnostics(certain.collect()))
}

fn sections(source: &Source, root: &Table<'_>, errors: &Errors<'_>) -> Matrix {
    version(root, errors);
    let platforms: Vec<PlatformDef> = named(root, "platforms", errors, platform);
    let tracks: Vec<Track> = named(root, "tracks", errors, track);
    let composers: Vec<ComposerMode> = named(root, "composer", errors, composer);
    let defaults = Defaults {
        platforms: platforms.iter().map(|platform| platform.name.clone()).collect(),
        tracks: tracks.iter().map(|track| track.name.clone()).collect(),
        composers: composers.iter().map(|mode| mode.name.clone()).collect(),
    };
    let images = named(root, "images", errors, |name, table, errors| image(name, table, errors, &defaults));
    let missing = |what: &str| errors.add(Diagnostic::new(0..0, format!("matrix.toml declares no {what}")));
    if root.get("platforms").is_none() {
        missing("[platforms]");
    }
    if root.get("images").is_none() {
        missing("[images]");
    }
    Matrix {
        source: source.clone(),
        repositories: publish(root, errors),
        sign: sign(root, errors),
        platforms,
        tracks,
        composers,
        excludes: excludes(root, errors),
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
        let name = Located { value: errors.parse(&text)?, span: text.span };
        let result = read(name, &table, errors);
        table.finish();
        result
    };
    root.tables(key).into_iter().filter_map(one).collect()
}

fn publish(root: &Table<'_>, errors: &Errors<'_>) -> Vec<Repository> {
    let Some(value) = root.require("publish") else { return Vec::new() };
    let Some(table) = Table::of(value, "[publish]", value.span(), errors) else { return Vec::new() };
    let mut repositories: Vec<Repository> = Vec::new();
    if table.require("repositories").is_some() {
        let texts = table.strings("repositories").unwrap_or_default();
        if texts.is_empty() {
            errors
                .add(Diagnostic::new(table.span.clone(), "`repositories` must list at least one repository"));
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
    let method = table.required_string("method");
    let text = |key| table.string(key).map(|found: Located<String>| found.value);
    let sign = match method.as_ref().map(|method| method.value.as_str()) {
        Some("keyless") | None => Sign::Keyless { identity: text("identity"), issuer: text("issuer") },
        Some("key") => {
            Sign::Key { key: table.required_string("key").map(|found| found.value).unwrap_or_default() }
        }
        Some("none") => Sign::None {
            reason: table.required_string("reason").map(|found| found.value).unwrap_or_default(),
        },
        Some(_) => {
            let span = method.as_ref().map(|method| method.span.clone()).unwrap_or_default();
            errors.add(Diagnostic::new(span, "`method` must be \"keyless\", \"key\" or \"none\""));
            return default;
        }
    };
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
    Some(Track { name: name.value, reference: reference?, tags: tags?, pull_request, allow_failure })
}

fn reference(value: &Spanned<DeValue<'_>>, errors: &Errors<'_>) -> Option<Located<RefSpec>> {
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
fn relative(path: &Located<String>, errors: &Errors<'_>) -> Option<String> {
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

fn tags<'t>(table: &Table<'t>, errors: &'t Errors<'t>) -> Option<Vec<TagSpec>> {
    table.require("tags")?;
    let values = table.array("tags")?;
    if values.is_empty() {
        errors.add(Diagnostic::new(
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
fn tag_template(text: &Located<String>, errors: &Errors<'_>) -> Option<crate::template::Template> {
    let template = errors.template(text)?;
    if let Some(name) = template.placeholders().find(|name| ["arch", "platform"].contains(name)) {
        let message = format!("`{{{name}}}` in a tag: a tag stands for all architectures");
        errors.add(Diagnostic::new(text.span.clone(), message));
        return None;
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if let Some(bad) = template.literals().flat_map(str::chars).find(|c| !allowed(*c)) {
        let message = format!("`{bad}` cannot be part of a tag: letters, digits, `_`, `.` and `-` can");
        errors.add(Diagnostic::new(text.span.clone(), message));
        return None;
    }
    Some(template)
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

fn composer(name: Located<Name>, table: &Table<'_>, errors: &Errors<'_>) -> Option<ComposerMode> {
    let word = |key: &'static str| {
        let text = table.string(key)?;
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
        build_args: table.templates("build-args"),
        allow_failure: table.bool("allow-failure").unwrap_or_default(),
    })
}

fn excludes(root: &Table<'_>, errors: &Errors<'_>) -> Vec<Exclude> {
    let one = |value: &Spanned<DeValue<'_>>| {
        let table = Table::of(value, "[[exclude]]", value.span(), errors)?;
        let name = |key: &'static str| table.string(key).and_then(|text| errors.parse(&text));
        let (image, track, composer) = (name("image"), name("track"), name("composer"));
        let reason = table.required_string("reason");
        if [&image, &track, &composer].iter().all(|name| name.is_none()) && table.entries().len() <= 1 {
            errors.add(Diagnostic::new(
                value.span(),
                "[[exclude]] names neither an image nor a track nor a composer mode",
            ));
        }
        table.finish();
        Some(Exclude { image, track, composer, reason: reason?.value, span: value.span() })
    };
    root.array("exclude").unwrap_or_default().into_iter().filter_map(one).collect()
}

/// What an image has when it does not say otherwise.
struct Defaults {
    platforms: Vec<Name>,
    tracks: Vec<Name>,
    composers: Vec<Name>,
}

fn image(name: Located<Name>, table: &Table<'_>, errors: &Errors<'_>, defaults: &Defaults) -> Option<Image> {
    let subset = |key: &'static str, kind: &str, all: &[Name]| match table.strings(key) {
        Some(texts) => texts.iter().filter_map(|text| one_of(text, kind, all, errors)).collect(),
        None => all.to_vec(),
    };
    let platforms: Vec<Name> = subset("platforms", "platform", &defaults.platforms);
    let follows = table.get("tracks").is_some();
    let tracks = subset("tracks", "track", &defaults.tracks);
    let composers = subset("composer", "composer mode", &defaults.composers);
    let context = table.required_string("context").and_then(|path| relative(&path, errors));
    let dockerfile =
        table.string("dockerfile").map_or(Some("Dockerfile".to_owned()), |path| relative(&path, errors));
    let own = own_line(table, errors, &name, follows);
    let image = Image {
        name: name.value,
        context: context.unwrap_or_default(),
        dockerfile: dockerfile.unwrap_or_default(),
        target: table.string("target").map(|found| found.value),
        platforms,
        tracks: if own.is_some() { Vec::new() } else { tracks },
        own,
        composers,
        build_args: table.templates("build-args"),
        labels: table.templates("labels"),
        annotations: table.templates("annotations"),
        needs: needs(table, errors),
        emulate: table.bool("emulate").unwrap_or_default(),
        span: name.span,
    };
    if image.platforms.is_empty() && !defaults.platforms.is_empty() {
        errors.add(Diagnostic::new(image.span.clone(), format!("the image {} has no platform", image.name)));
    }
    let none_named = !follows || table.array("tracks").is_none_or(|names| names.is_empty());
    if image.own.is_none() && image.tracks.is_empty() && none_named {
        let diagnostic = Diagnostic::new(
            image.span.clone(),
            format!("the image {} has no track, so it would get no tag", image.name),
        );
        errors.add(diagnostic.help("give it `tracks`, or a `ref` and `tags` of its own"));
    }
    Some(image)
}

/// `ref` and `tags` of an image that follows no track. They come together.
fn own_line<'t>(
    table: &Table<'t>,
    errors: &'t Errors<'t>,
    name: &Located<Name>,
    follows: bool,
) -> Option<OwnLine> {
    let (value, listed) = (table.get("ref"), table.get("tags").is_some());
    if value.is_none() && !listed {
        return None;
    }
    if follows {
        let message = format!("the image {} has both `tracks` and a `ref` or `tags` of its own", name.value);
        errors.add(
            Diagnostic::new(name.span.clone(), message)
                .help("an image follows tracks or has its own version, not both"),
        );
        return None;
    }
    let reference = table.require("ref").and_then(|value| reference(value, errors));
    let tags = tags(table, errors);
    Some(OwnLine {
        reference: reference.unwrap_or(Located { value: RefSpec::SelfRef, span: name.span.clone() }),
        tags: tags.unwrap_or_default(),
    })
}

/// One of the names that the file declares.
fn one_of(text: &Located<String>, kind: &str, all: &[Name], errors: &Errors<'_>) -> Option<Name> {
    let found = all.iter().find(|name| name.as_str() == text.value);
    if found.is_none() {
        errors.add(unknown(kind, text, all));
    }
    found.cloned()
}

/// "There is no such …", with the nearest name.
pub(super) fn unknown(kind: &str, text: &Located<String>, all: &[Name]) -> Diagnostic {
    let diagnostic = Diagnostic::new(text.span.clone(), format!("there is no {kind} `{}`", text.value));
    match suggest::nearest(&text.value, all.iter().map(Name::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None if all.is_empty() => diagnostic,
        None => diagnostic
            .help(format!("there is {}", all.iter().map(Name::as_str).collect::<Vec<_>>().join(", "))),
    }
}

fn needs(table: &Table<'_>, errors: &Errors<'_>) -> Vec<Need> {
    let Some(value) = table.get("needs") else { return Vec::new() };
    if value.get_ref().is_array() {
        let names = table.strings("needs").unwrap_or_default();
        let one = |text: Located<String>| {
            let image: Name = errors.parse(&text)?;
            Some(Need { context: image.clone(), image, track: None, composer: None, span: text.span })
        };
        return names.into_iter().filter_map(one).collect();
    }
    let Some(contexts) = Table::of(value, "`needs`", value.span(), errors) else { return Vec::new() };
    let one = |(name, value): (Located<String>, &Spanned<DeValue<'_>>)| {
        let context = errors.parse(&name)?;
        if let Some(text) = value.get_ref().as_str() {
            let image = errors.parse(&Located { value: text.to_owned(), span: value.span() })?;
            return Some(Need { context, image, track: None, composer: None, span: value.span() });
        }
        let table = Table::of(value, format!("the need `{}`", name.value), value.span(), errors)?;
        let image = table.required_string("image").and_then(|text| errors.parse(&text));
        let name = |key: &'static str| table.string(key).and_then(|text| errors.parse(&text));
        let (track, composer) = (name("track"), name("composer"));
        table.finish();
        Some(Need { context, image: image?, track, composer, span: value.span() })
    };
    contexts.entries().into_iter().filter_map(one).collect()
}
