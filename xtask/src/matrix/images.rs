//! `[images.NAME]`.

use toml::Spanned;
use toml::de::DeValue;

use super::decode::{Errors, Table};
use super::lines::{reference, relative, tags};
use super::read::{Declared, one_of};
use super::{Diagnostic, Image, Located, Need, OwnLine, RefSpec};
use crate::ids::Name;

/// One image. What is wrong in it leaves a gap.
pub(super) fn image(
    name: Located<Name>,
    table: &Table<'_>,
    errors: &Errors<'_>,
    declared: &Declared,
) -> Image {
    let subset = |key: &'static str, kind: &str, all: &[Name]| match table.strings(key) {
        Some(texts) => texts.iter().filter_map(|text| one_of(text, kind, all, errors)).collect(),
        None => all.to_vec(),
    };
    let platforms = subset("platforms", "platform", &declared.platforms);
    let tracks = subset("tracks", "track", &declared.tracks);
    let composers = subset("composer", "composer mode", &declared.composers);
    let context = table.required_string("context").and_then(|path| relative(&path, errors));
    let dockerfile =
        table.string("dockerfile").map_or(Some("Dockerfile".to_owned()), |path| relative(&path, errors));
    let own = own_line(table, errors, &name);
    let image = Image {
        name: name.value,
        context: context.unwrap_or_default(),
        dockerfile: dockerfile.unwrap_or_default(),
        target: table.string("target").map(|found| found.value),
        platforms,
        tracks: if own.is_some() { Vec::new() } else { tracks },
        own,
        composers,
        build_args: table.settings("build-args"),
        labels: table.settings("labels"),
        annotations: table.settings("annotations"),
        needs: needs(table, errors, declared),
        emulate: table.bool("emulate").unwrap_or_default(),
        span: name.span,
    };
    lacking(&image, table, errors, declared);
    image
}

/// An image needs a platform to be built for and something that gives it tags.
fn lacking(image: &Image, table: &Table<'_>, errors: &Errors<'_>, declared: &Declared) {
    // A list of names that are all wrong is an error already.
    let none_named =
        |key| table.get(key).is_none_or(|value| value.get_ref().as_array().is_some_and(|a| a.is_empty()));
    if image.platforms.is_empty() && !declared.platforms.is_empty() && none_named("platforms") {
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
fn own_line<'t>(table: &Table<'t>, errors: &'t Errors<'t>, name: &Located<Name>) -> Option<OwnLine> {
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
    let tags = tags(table, errors);
    Some(OwnLine {
        reference: reference.unwrap_or(Located { value: RefSpec::SelfRef, span: name.span.clone() }),
        tags: tags.unwrap_or_default(),
    })
}

/// The images whose builds enter as named contexts.
fn needs(table: &Table<'_>, errors: &Errors<'_>, declared: &Declared) -> Vec<Need> {
    let Some(value) = table.get("needs") else { return Vec::new() };
    let image_of = |text: &Located<String>| one_of(text, "image", &declared.images, errors);
    if value.get_ref().as_array().is_some() {
        let mut found: Vec<Need> = Vec::new();
        for text in table.strings("needs").unwrap_or_default() {
            let Some(image) = image_of(&text) else { continue };
            if found.iter().any(|other| other.image == image) {
                errors.add(Diagnostic::new(text.span, format!("`{image}` is listed twice")));
                continue;
            }
            found.push(Need { context: image.clone(), image, track: None, composer: None, span: text.span });
        }
        return found;
    }
    if !value.get_ref().is_table() {
        let message = "`needs` must be an array of images or a table of contexts";
        errors.add(Diagnostic::new(value.span(), message));
        return Vec::new();
    }
    let Some(contexts) = Table::of(value, "`needs`", value.span(), errors) else { return Vec::new() };
    let one = |(name, value)| need(&name, value, errors, declared);
    contexts.entries().into_iter().filter_map(one).collect()
}

/// One entry of `needs` as a table: CONTEXT = "image" or CONTEXT = { image, track, composer }.
fn need(
    context: &Located<String>,
    value: &Spanned<DeValue<'_>>,
    errors: &Errors<'_>,
    declared: &Declared,
) -> Option<Need> {
    let name = errors.parse(context);
    if let Some(text) = value.get_ref().as_str() {
        let text = Located { value: text.to_owned(), span: value.span() };
        let image = one_of(&text, "image", &declared.images, errors)?;
        return Some(Need { context: name?, image, track: None, composer: None, span: text.span });
    }
    let table = Table::of(value, format!("the need `{}`", context.value), value.span(), errors)?;
    let image = table.required_string("image");
    let image = image.and_then(|text| one_of(&text, "image", &declared.images, errors));
    let named = |key: &'static str, kind: &str, all: &[Name]| {
        table.string(key).and_then(|text| one_of(&text, kind, all, errors))
    };
    let track = named("track", "track", &declared.tracks);
    let composer = named("composer", "composer mode", &declared.composers);
    table.finish();
    Some(Need { context: name?, image: image?, track, composer, span: value.span() })
}
