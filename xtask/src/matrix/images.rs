//! `[images.NAME]`.

use std::ops::Range;
use toml::Spanned;
use toml::de::DeValue;

use crate::base::ids::{Name, Repository};
use crate::base::template::PLACEHOLDERS;
use crate::matrix::decode::{Errors, Table};
use crate::matrix::diagnostic::{Diagnostic, Located};
use crate::matrix::model::{
    Axis, Dockerfile, Image, NamedContext, Need, Override, OwnLine, RefSpec, Setting,
};
use crate::matrix::names::{NameTable, one_of, selector};
use crate::matrix::options::options;
use crate::matrix::settings::{describing, entries, settings};
use crate::matrix::tracks::{reference, tags};

/// One image. What is wrong in it leaves a gap.
pub(super) fn image<'t>(
    name: Located<Name>,
    table: &Table<'t>,
    errors: &'t Errors<'t>,
    names: &NameTable,
) -> Image {
    let subset = |key: &str, kind: &str, all: &[Name]| match table.strings(key) {
        Some(texts) => texts.iter().filter_map(|text| one_of(text, kind, all, errors)).collect(),
        None => all.to_vec(),
    };
    let platforms = subset("platforms", "platform", &names.platforms);
    let tracks = subset("tracks", "track", &names.tracks);
    let composers = subset("composer", "composer mode", &names.composers);
    let context = table.required_string("context").and_then(|path| errors.relative(&path));
    let dockerfile = dockerfile(table, errors, names);
    let own = own_line(table, errors, &name, names);
    let image = Image {
        name: name.value,
        context: context.unwrap_or_default(),
        dockerfile,
        target: table.string("target"),
        test: table.string("test"),
        binaries: binaries(table, errors),
        platforms,
        tracks: if own.is_some() { Vec::new() } else { tracks },
        own,
        composers,
        axes: axes(table, errors),
        describing: describing(table, errors),
        settings: settings(table, errors),
        overrides: overrides(table, errors, names),
        contexts: contexts(table, errors),
        options: options(table, errors),
        needs: needs(table, errors, names),
        emulate: table.bool("emulate").unwrap_or_default(),
        span: name.span,
    };
    if format!("host.example/{}", image.name).parse::<Repository>().is_err() {
        let message =
            format!("`{}` cannot be the name of an image: it becomes part of a repository", image.name);
        errors.add(Diagnostic::new(image.span.clone(), message).help(
            "expected letters and digits, between them single dots, one or two underscores, or dashes",
        ));
    }
    lacking(&image, table, errors, names);
    inner(&image, errors);
    image
}

/// `dockerfile = "PATH"` or `{ default = "PATH", ARCH = "PATH" }`.
fn dockerfile(table: &Table<'_>, errors: &Errors<'_>, names: &NameTable) -> Dockerfile {
    let usual = || "Dockerfile".to_owned();
    let plain =
        |default: Option<String>| Dockerfile { default: default.unwrap_or_else(usual), arches: Vec::new() };
    let Some(value) = table.get("dockerfile") else { return plain(None) };
    if !value.get_ref().is_table() {
        return plain(table.as_string("dockerfile", value).and_then(|path| errors.relative(&path)));
    }
    let Some(table) = table.table("dockerfile") else { return plain(None) };
    let path = |key: &str| table.string(key).and_then(|path| errors.relative(&path));
    let default = path("default");
    let arches = names.platforms.iter().filter_map(|arch| Some((arch.clone(), path(arch.as_str())?)));
    let dockerfile = Dockerfile { arches: arches.collect(), ..plain(default) };
    table.finish();
    dockerfile
}

/// `[images.NAME.axes]`.
fn axes(table: &Table<'_>, errors: &Errors<'_>) -> Vec<Axis> {
    let Some(table) = table.table("axes") else { return Vec::new() };
    let mut axes = Vec::new();
    for (text, value) in table.entries() {
        let values = table.strings(&text.value).unwrap_or_default();
        let Some(name) = errors.parse::<Name>(&text) else { continue };
        if is_reserved(name.as_str()) {
            let message = format!("an axis cannot be called `{name}`: that word has a meaning already");
            errors.add(Diagnostic::new(text.span, message));
            continue;
        }
        if values.is_empty() && value.get_ref().as_array().is_some_and(|array| array.is_empty()) {
            errors.missing(Diagnostic::new(value.span(), format!("the axis `{name}` has no value")));
        }
        let mut found: Vec<Name> = Vec::new();
        for text in values {
            match errors.parse::<Name>(&text) {
                Some(value) if found.contains(&value) => {
                    errors.add(Diagnostic::new(text.span, format!("`{value}` is listed twice")));
                }
                value => found.extend(value),
            }
        }
        axes.push(Axis { name, values: found });
    }
    axes
}

/// Words that placeholders, selectors and needs use.
fn is_reserved(word: &str) -> bool {
    PLACEHOLDERS.contains(&word)
        || matches!(word, "image" | "on" | "reason" | "build-args" | "labels" | "annotations")
}

/// `[[images.NAME.override]]`.
fn overrides(table: &Table<'_>, errors: &Errors<'_>, names: &NameTable) -> Vec<Override> {
    let one = |value: &Spanned<DeValue<'_>>| {
        let table = Table::of(value, "the override", value.span(), errors)?;
        let builds = selector(&table, &["track", "composer", "arch"], errors, names);
        let settings = settings(&table, errors);
        if builds.0.is_empty() {
            errors.missing(Diagnostic::new(value.span(), "the override says for nothing what it is").help(
                "name an arch, a track, a composer mode or an axis; what is for all builds goes to the image",
            ));
        }
        table.finish();
        Some(Override { builds, settings, span: value.span() })
    };
    table.array("override").unwrap_or_default().into_iter().filter_map(one).collect()
}

/// `binaries = ["/usr/lib/x/*.so"]`.
fn binaries(table: &Table<'_>, errors: &Errors<'_>) -> Vec<Located<String>> {
    let paths = table.strings("binaries").unwrap_or_default();
    for path in &paths {
        if !crate::base::patterns::pattern(&path.value) {
            let message = format!("`{}` is no absolute path of a file", path.value);
            let help =
                "begin with /, end with a name; `*` is allowed, spaces and other special characters are not";
            errors.add(Diagnostic::new(path.span.clone(), message).help(help));
        }
    }
    paths
}

/// `contexts = { NAME = "PATH or address" }`.
fn contexts(table: &Table<'_>, errors: &Errors<'_>) -> Vec<NamedContext> {
    let entries = entries(table, "contexts", errors);
    let one = |Setting { key, value, span }: Setting| Some(NamedContext { name: key, source: value?, span });
    entries.into_iter().filter_map(one).collect()
}

/// What only the whole image can tell.
fn inner(image: &Image, errors: &Errors<'_>) {
    for context in &image.contexts {
        if image.needs.iter().any(|need| need.context.as_str() == context.name) {
            let message = format!("`{}` is a context and a need", context.name);
            errors.add(Diagnostic::new(context.span.clone(), message));
        }
    }
    if let (Some(test), None) = (&image.test, &image.target) {
        let message = "`test` needs a `target`: the stage whose place the finished image takes in the test";
        errors.add(Diagnostic::new(test.span.clone(), message));
    }
    for (_, template) in image.needs.iter().flat_map(|need| &need.axes) {
        let axis = |name: &str| image.axes.iter().any(|axis| axis.name.as_str() == name);
        for name in template.placeholders().filter(|name| !axis(name)) {
            let message = format!("`{{{name}}}` is no axis of the image {}", image.name);
            let need = image.needs.iter().find(|need| need.axes.iter().any(|(_, other)| other == template));
            let span = need.map_or(image.span.clone(), |need| need.span.clone());
            errors.add(Diagnostic::new(span, message));
        }
    }
}

/// An image needs a platform to be built for and something that gives it tags.
fn lacking(image: &Image, table: &Table<'_>, errors: &Errors<'_>, names: &NameTable) {
    // A list of names that are all wrong is an error already.
    let none_named =
        |key| table.get(key).is_none_or(|value| value.get_ref().as_array().is_some_and(|a| a.is_empty()));
    if image.platforms.is_empty() && !names.platforms.is_empty() && none_named("platforms") {
        errors.missing(Diagnostic::new(
            image.span.clone(),
            format!("the image {} has no platform", image.name),
        ));
    }
    if image.own.is_none() && image.tracks.is_empty() && none_named("tracks") {
        let message = format!("the image {} has no track, so it would get no tag", image.name);
        errors.missing(
            Diagnostic::new(image.span.clone(), message)
                .help("give it `tracks`, or a `ref` and `tags` of its own"),
        );
    }
}

/// `ref` and `tags` of an image that follows no track. They come together.
fn own_line<'t>(
    table: &Table<'t>,
    errors: &'t Errors<'t>,
    name: &Located<Name>,
    names: &NameTable,
) -> Option<OwnLine> {
    let (value, listed) = (table.get("ref"), table.get("tags").is_some());
    if value.is_none() && !listed {
        return None;
    }
    if table.get("tracks").is_some() {
        let message = format!("the image {} has both `tracks` and a `ref` or `tags` of its own", name.value);
        errors.add(
            Diagnostic::new(name.span.clone(), message)
                .help("an image follows tracks or has its own version, not both"),
        );
        return None;
    }
    let reference = table.require("ref").and_then(|value| reference(value, errors));
    let tags = tags(table, errors, names);
    Some(OwnLine {
        reference: reference.unwrap_or(Located { value: RefSpec::SelfRef, span: name.span.clone() }),
        tags: tags.unwrap_or_default(),
    })
}

/// The images whose builds enter as named contexts.
fn needs(table: &Table<'_>, errors: &Errors<'_>, names: &NameTable) -> Vec<Need> {
    let Some(value) = table.get("needs") else { return Vec::new() };
    let image_of = |text: &Located<String>| one_of(text, "image", &names.images, errors);
    if value.get_ref().as_array().is_some() {
        let mut found: Vec<Need> = Vec::new();
        for text in table.strings("needs").unwrap_or_default() {
            let Some(image) = image_of(&text) else { continue };
            if found.iter().any(|other| other.image == image) {
                errors.add(Diagnostic::new(text.span, format!("`{image}` is listed twice")));
                continue;
            }
            found.push(plain_need(image.clone(), image, text.span));
        }
        return found;
    }
    if !value.get_ref().is_table() {
        let message = "`needs` must be an array of images or a table of contexts";
        errors.add(Diagnostic::new(value.span(), message));
        return Vec::new();
    }
    let Some(contexts) = table.table("needs") else { return Vec::new() };
    let one = |(name, value)| need(&name, value, errors, names);
    contexts.entries().into_iter().filter_map(one).collect()
}

/// One entry of `needs` as a table: CONTEXT = "image" or CONTEXT = { image, track, composer }.
fn need(
    context: &Located<String>,
    value: &Spanned<DeValue<'_>>,
    errors: &Errors<'_>,
    names: &NameTable,
) -> Option<Need> {
    let name = errors.parse(context);
    if let Some(text) = value.get_ref().as_str() {
        let text = Located { value: text.to_owned(), span: value.span() };
        let image = one_of(&text, "image", &names.images, errors)?;
        return Some(plain_need(name?, image, text.span));
    }
    let table = Table::of(value, format!("the need `{}`", context.value), value.span(), errors)?;
    let image = table.required_string("image");
    let image = image.and_then(|text| one_of(&text, "image", &names.images, errors));
    let named = |key: &str, kind: &str, all: &[Name]| {
        table.string(key).and_then(|text| one_of(&text, kind, all, errors))
    };
    let track = named("track", "track", &names.tracks);
    let composer = named("composer", "composer mode", &names.composers);
    let axis = |(axis, _): &(Name, Vec<Name>)| {
        let text = table.string(axis.as_str())?;
        Some((axis.clone(), errors.template(&text)?))
    };
    let axes = names.axes.iter().filter_map(axis).collect();
    table.finish();
    Some(Need { context: name?, image: image?, track, composer, axes, span: value.span() })
}

/// The same track, mode and axes.
fn plain_need(context: Name, image: Name, span: Range<usize>) -> Need {
    Need { context, image, track: None, composer: None, axes: Vec::new(), span }
}
