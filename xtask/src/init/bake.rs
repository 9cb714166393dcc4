//! Bake files and Compose files, as `docker buildx bake --print` resolves them: variables, functions, inheritance and
//! matrices are buildx's own.

use anyhow::Result;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::UserError;
use crate::init::found::{self, Found, Image, Secret, literal};

/// The files that are looked for in the top folder; the first one that is there is read.
///
/// Source: <https://docs.docker.com/build/bake/reference/#file-format>.
pub(crate) const FILES: [&str; 6] = [
    "docker-bake.hcl",
    "docker-bake.json",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// What changes a bake file on this machine or in CI, if it is there.
pub(crate) const OVERRIDES: [&str; 2] = ["docker-bake.override.hcl", "docker-bake.override.json"];

/// The fields of a target that say nothing about what is published.
const MOOT: [&str; 4] = ["description", "output", "call", "entitlements"];

/// What `--print` prints.
#[derive(Debug, Default, Deserialize)]
struct Printed {
    #[serde(default)]
    target: BTreeMap<String, Target>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Target {
    context: Option<String>,
    contexts: BTreeMap<String, String>,
    dockerfile: Option<String>,
    dockerfile_inline: Option<String>,
    args: BTreeMap<String, Option<String>>,
    labels: BTreeMap<String, Option<String>>,
    annotations: Vec<String>,
    tags: Vec<String>,
    platforms: Vec<String>,
    target: Option<String>,
    cache_from: Vec<Cache>,
    #[serde(rename = "cache-to")]
    cache_exports: Vec<Cache>,
    secret: Vec<Mounted>,
    attest: Vec<serde_json::Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

/// A cache, as an object or, by older versions, as a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Cache {
    Object { r#type: String },
    Text(String),
}

/// A secret, as an object or, by older versions, as a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Mounted {
    Object { id: String, src: Option<String>, env: Option<String> },
    Text(String),
}

/// Reads what was printed for a file. `own`: the name of the repository's own image, for a target without tags that is
/// called `default`.
///
/// # Errors
/// If it is not what buildx prints.
pub(crate) fn read(file: &str, json: &str, own: &str) -> Result<Found> {
    let printed: Printed = serde_json::from_str(json).map_err(|error| {
        UserError::failed(format!("reading what `docker buildx bake --print` says of {file}: {error}"))
    })?;
    let mut found = Found::default();
    let names = names(file, &printed, own, &mut found.left);
    for (name, target) in &printed.target {
        let origin = format!("{file}, target {name}");
        let place = target.context.as_deref().unwrap_or(".");
        let outside = place.contains("://")
            || place.starts_with(['/', '~'])
            || place.split('/').any(|part| part == "..");
        if target.dockerfile_inline.is_some() {
            found.left.push(format!("{origin}: left out, since its Dockerfile is written in the file itself: move it to a file of its own"));
        } else if outside {
            found.left.push(format!(
                "{origin}: left out, since its context {place} is not a folder of this repository"
            ));
        } else {
            let image = image(&origin, name, target, &names, &mut found.left);
            published(&image, target, &mut found.repositories, &mut found.left);
            found.images.push(image);
        }
    }
    Ok(found)
}

/// The names of the images, by target.
fn names<'a>(
    file: &str,
    printed: &'a Printed,
    own: &str,
    left: &mut Vec<String>,
) -> BTreeMap<&'a str, String> {
    let mut names: BTreeMap<&str, String> =
        printed.target.iter().map(|(name, target)| (name.as_str(), image_name(name, target, own))).collect();
    // Several targets that go to one repository under different tags are told apart by their own names.
    let all: Vec<String> = names.values().cloned().collect();
    for (target, name) in &mut names {
        if all.iter().filter(|other| *other == name).count() > 1 {
            left.push(format!(
                "{file}, target {target}: other targets are published as {name}, too; here it is an image of its own, {}",
                found::name(target)
            ));
            *name = found::name(target);
        }
    }
    names
}

/// Where an image is published, as far as all images can be.
fn published(image: &Image, target: &Target, repositories: &mut Vec<String>, left: &mut Vec<String>) {
    let origin = &image.origin;
    if !target.tags.is_empty() {
        left.push(format!(
            "{origin}: not carried over are its tags ({}): the `tags` in matrix.toml take their place",
            target.tags.join(", ")
        ));
    }
    let places = target.tags.iter().map(|tag| split(tag));
    let places: BTreeSet<(String, &str)> =
        places.filter_map(|(folder, last)| Some((found::qualified(folder?), last))).collect();
    let folders: BTreeSet<&String> = places.iter().map(|(folder, _)| folder).collect();
    if let Some((folder, last)) = places.iter().find(|(_, last)| found::name(last) != image.name) {
        left.push(format!(
            "{origin}: it is published as {folder}/{last}, too; an image has one name, here {}",
            image.name
        ));
    }
    if folders.is_empty() {
        return;
    }
    if repositories.is_empty() {
        repositories.extend(folders.into_iter().cloned());
    } else if folders != repositories.iter().collect() {
        let folders: Vec<&str> = folders.into_iter().map(String::as_str).collect();
        left.push(format!(
            "{origin}: it is published to {}, and all images of a matrix.toml go to the same place: {}",
            folders.join(", "),
            repositories.join(", ")
        ));
    }
}

/// What the variables of a bake or Compose file mean for what was read: nothing of the environment has been asked.
pub(crate) fn variables(file: &str, text: &str) -> Option<String> {
    let compose = !file.starts_with("docker-bake");
    let named: BTreeSet<&str> = if compose {
        let after = text.split('$').skip(1).map(|rest| rest.trim_start_matches('{'));
        after
            .map(|rest| {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
                rest.get(..end).unwrap_or_default()
            })
            .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
            .collect()
    } else {
        let blocks = text.lines().filter_map(|line| line.trim().strip_prefix("variable")?.split('"').nth(1));
        blocks.collect()
    };
    let names: Vec<&str> = named.into_iter().collect();
    (!names.is_empty()).then(|| {
        format!(
            "{file}: its variables {} have their defaults here, not what the environment or a .env says; \
             what is secret belongs into `secrets`, never into `build-args`",
            names.join(", ")
        )
    })
}

/// The repository without its last part, and that part: `ghcr.io/acme/app:1` is `ghcr.io/acme` and `app`.
fn split(reference: &str) -> (Option<&str>, &str) {
    let at = reference.split('@').next().unwrap_or(reference);
    let (folder, last) = at.rsplit_once('/').map_or((None, at), |(folder, last)| (Some(folder), last));
    (folder, last.split(':').next().unwrap_or(last))
}

fn image_name(target: &str, content: &Target, own: &str) -> String {
    let tagged = content.tags.first().map(|tag| found::name(split(tag).1));
    let plain = if target == "default" { own.to_owned() } else { found::name(target) };
    tagged.filter(|name| !name.is_empty()).unwrap_or(plain)
}

fn image(
    origin: &str,
    name: &str,
    target: &Target,
    names: &BTreeMap<&str, String>,
    left: &mut Vec<String>,
) -> Image {
    let context = target.context.as_deref().unwrap_or(".").trim_start_matches("./").trim_end_matches('/');
    let mut image = Image {
        name: names.get(name).cloned().unwrap_or_default(),
        origin: origin.to_owned(),
        context: if context.is_empty() { ".".to_owned() } else { context.to_owned() },
        dockerfile: target.dockerfile.clone().unwrap_or("Dockerfile".to_owned()),
        target: target.target.clone().filter(|stage| !stage.is_empty()),
        platforms: target.platforms.iter().map(|platform| (platform.clone(), None)).collect(),
        ..Image::default()
    };
    for (key, value) in &target.args {
        match value {
            Some(value) => drop(image.build_args.insert(key.clone(), literal(value))),
            None => left.push(format!(
                "{origin}: the build argument {key} comes from the environment; give it a value"
            )),
        }
    }
    let labels =
        target.labels.iter().filter_map(|(key, value)| Some((key.clone(), literal(value.as_deref()?))));
    image.labels = labels.collect();
    let annotations = target.annotations.iter().filter_map(|text| text.split_once('='));
    image.annotations = annotations.map(|(key, value)| (key.to_owned(), literal(value))).collect();
    for (context, place) in &target.contexts {
        match place.strip_prefix("target:").and_then(|other| names.get(other)) {
            Some(needed) => drop(image.needs.insert(context.clone(), needed.clone())),
            None => drop(image.contexts.insert(context.clone(), literal(place))),
        }
    }
    let caches = target.cache_from.iter().chain(&target.cache_exports);
    image.cache = caches.filter_map(|cache| found::cache_kind(cache.kind())).collect();
    for secret in &target.secret {
        match secret.parts() {
            Some((id, place)) => drop(image.secrets.insert(id, place)),
            None => left.push(format!(
                "{origin}: a secret has neither a variable nor a file; say where it comes from"
            )),
        }
    }
    let moot = |value: &serde_json::Value| {
        value.is_null() || value == false || value == "" || value.as_array().is_some_and(Vec::is_empty)
    };
    let compressed =
        |name: &str, value: &serde_json::Value| name == "output" && value.to_string().contains("compression");
    for (field, value) in &target.rest {
        if compressed(field, value) || !(moot(value) || MOOT.contains(&field.as_str())) {
            left.push(format!("{origin}: `{field}` is not carried over"));
        }
    }
    let sbom = |value: &serde_json::Value| {
        value.get("type").is_some_and(|kind| kind == "sbom")
            || value.as_str().is_some_and(|text| text.contains("type=sbom"))
    };
    image.sbom = target.attest.iter().any(sbom);
    image
}

impl Cache {
    fn kind(&self) -> &str {
        match self {
            Self::Object { r#type } => r#type,
            Self::Text(text) => {
                let fields = text.split(',').find_map(|field| field.strip_prefix("type="));
                // A reference alone is a cache in a registry.
                fields.unwrap_or("registry")
            }
        }
    }
}

impl Mounted {
    fn parts(&self) -> Option<(String, Secret)> {
        match self {
            Self::Object { id, src: Some(src), .. } => Some((id.clone(), Secret::File(src.clone()))),
            Self::Object { id, env: Some(env), .. } => Some((id.clone(), Secret::Env(env.clone()))),
            Self::Object { .. } => None,
            Self::Text(text) => {
                let field = |name: &str| text.split(',').find_map(|field| field.strip_prefix(name));
                let id = field("id=")?.to_owned();
                let file = field("src=").or(field("source=")).map(|path| Secret::File(path.to_owned()));
                Some((id, file.or(field("env=").map(|name| Secret::Env(name.to_owned())))?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `docker buildx bake --print` prints it: objects since 0.21, texts before.
    #[test]
    fn both_forms_of_print_are_read() {
        let json = r#"{"group":{"default":{"targets":["default","tools"]}},"target":{
            "default":{"context":"./","args":{"A":"{x}","B":null},"cache-from":["type=gha,scope=a"],"cache-to":["inline/cache:1"],
                "secret":["id=token,env=TOKEN","id=key,src=./key"],"attest":["type=sbom,disabled=false"],"tags":["ghcr.io/Acme/App:1"]},
            "tools":{"context":"tools","cache-from":[{"type":"registry","ref":"x"}],"secret":[{"id":"token","env":"TOKEN"},{"id":"none"}],
                "contexts":{"base":"target:default","src":"https://example.com/a.git"},"target":""},
            "inline":{"dockerfile-inline":"FROM scratch"}}}"#;
        let found = read("docker-bake.hcl", json, "app").unwrap();
        let [app, tools] = found.images.as_slice() else { panic!("{found:?}") };
        assert_eq!((app.name.as_str(), app.context.as_str(), app.sbom), ("app", ".", true));
        assert_eq!(app.build_args, BTreeMap::from([("A".to_owned(), "{{x}}".to_owned())]));
        assert_eq!(app.cache.iter().copied().collect::<Vec<_>>(), ["gha", "registry"]);
        assert_eq!(app.secrets["key"], Secret::File("./key".to_owned()));
        assert_eq!(tools.needs, BTreeMap::from([("base".to_owned(), "app".to_owned())]));
        assert_eq!(
            (tools.target.as_deref(), tools.contexts["src"].as_str()),
            (None, "https://example.com/a.git")
        );
        assert_eq!(found.repositories, ["ghcr.io/acme"]);
        expect_test::expect![[r#"
            docker-bake.hcl, target default: the build argument B comes from the environment; give it a value
            docker-bake.hcl, target default: not carried over are its tags (ghcr.io/Acme/App:1): the `tags` in matrix.toml take their place
            docker-bake.hcl, target inline: left out, since its Dockerfile is written in the file itself: move it to a file of its own
            docker-bake.hcl, target tools: a secret has neither a variable nor a file; say where it comes from"#]]
        .assert_eq(&found.left.join("\n"));
        assert!(read("docker-bake.hcl", "1", "app").is_err());
    }

    #[test]
    fn what_goes_to_one_repository_keeps_its_own_names() {
        let json = r#"{"target":{"app-a":{"tags":["acme/app:a"]},"app-b":{"tags":["acme/app:b"]},"c":{"tags":["acme/other"]}}}"#;
        let names: Vec<String> =
            read("f", json, "x").unwrap().images.into_iter().map(|image| image.name).collect();
        assert_eq!(names, ["app-a", "app-b", "other"]);
    }
}
