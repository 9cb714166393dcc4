//! The actions that follow `home-assistant/builder`, see <https://github.com/home-assistant/builder>: `build-image` and
//! those around it.

use serde_yaml_ng::Value as Yaml;
use std::collections::BTreeSet;

use crate::init::workflow::built::Built;
use crate::init::workflow::evaluation::text;
use crate::init::workflow::home_assistant_target::{ARCHITECTURES, Target, without};
use crate::init::workflow::scope::Scope;
use crate::init::workflow::text::{Map, Text, Value};
use crate::init::workflow::yaml::part;

/// The build of `actions/build-image`, and what cannot be carried.
pub(super) fn build_image(scope: &Scope, with: &Yaml) -> (Built, Vec<String>) {
    let input = |name: &str| text(scope, part(with, name)).trim();
    let architecture = input("arch").plain();
    let image = input("image");
    let (folder, name) = {
        let plain = image.plain();
        let at = plain.rfind('/').map_or(0, |at| at + 1);
        (image.cut(0..at), without(plain.get(at..).unwrap_or_default(), &architecture))
    };
    let mut repository = folder;
    repository.push(Text::typed(&name));
    let mut args =
        vec![("BUILD_ARCH".to_owned(), input("arch")), ("BUILD_VERSION".to_owned(), input("version"))];
    args.extend(input("build-args").pairs());
    let mut labels = vec![("io.hass.version".to_owned(), input("version"))];
    labels.extend(input("labels").pairs());
    let pushed = input("push").plain() == "true" || input("push").is_unknown();
    let mut cache = BTreeSet::from(["inline"]);
    cache.extend((input("cache-gha").plain() != "false").then_some("gha"));
    let platforms = ARCHITECTURES.iter().filter(|(name, _)| *name == architecture);
    let built = Built {
        repositories: if image.is_unknown() { vec![image] } else { vec![repository] },
        context: input("context"),
        file: Some(input("file")).filter(|file| !file.is_empty()),
        platforms: platforms.map(|(_, platform)| Text::typed(platform)).collect(),
        args,
        labels,
        cache,
        tags: if pushed { input("image-tags").lines() } else { Vec::new() },
        pushed,
        ..Built::default()
    };
    let compression = "its compression is not carried: add `compression = { type = \"zstd\", level = 9, force = true }` to \
                       the image";
    let label = "the label io.hass.arch has another value for each platform and is not carried: write it into the Dockerfile";
    (built, vec![compression.to_owned(), label.to_owned()])
}

/// The outputs of `actions/prepare-multi-arch-matrix`.
pub(super) fn prepare_matrix(scope: &Scope, with: &Yaml) -> Value {
    let input = |name: &str| text(scope, part(with, name)).trim().plain();
    let Ok(architectures) = serde_json::from_str::<Vec<String>>(&input("architectures")) else {
        return Value::Map(Map::open(Vec::new()));
    };
    let prefix = registry(scope, with).plain();
    let row = |architecture: String| {
        let os = if architecture == "aarch64" { "ubuntu-24.04-arm" } else { "ubuntu-24.04" };
        let image = match input("multi-arch").as_str() {
            "false" => format!("{prefix}/{}", input("image-name")),
            _ => format!("{prefix}/{architecture}-{}", input("image-name")),
        };
        serde_json::json!({ "arch": architecture, "os": os, "image": image })
    };
    let rows: Vec<serde_json::Value> = architectures.into_iter().map(row).collect();
    let matrix = serde_json::json!({ "include": rows }).to_string();
    Value::Map(Map::open(vec![("matrix".to_owned(), Value::typed(&matrix))]))
}

/// The outputs of `home-assistant/actions/helpers/info`: the architectures of a folder.
pub(super) fn info(scope: &Scope, with: &Yaml, files: &dyn Fn(&str) -> Option<String>) -> Value {
    let folder = text(scope, part(with, "path")).plain();
    let folder = folder.trim_start_matches("./").trim_end_matches('/');
    let target = Target::read(if folder.is_empty() { "." } else { folder }, files);
    let architectures = serde_json::json!(target.architectures()).to_string();
    Value::Map(Map::open(vec![("architectures".to_owned(), Value::typed(&architectures))]))
}

/// What `actions/publish-multi-arch-manifest` tags, and how.
pub(super) fn manifest(scope: &Scope, with: &Yaml) -> (Text, Vec<Text>) {
    let input = |name: &str| text(scope, part(with, name)).trim();
    let mut repository = registry(scope, with);
    repository.push(Text::typed("/"));
    repository.push(input("image-name"));
    (repository, input("image-tags").lines())
}

/// The input `registry-prefix`, or what it is by default.
fn registry(scope: &Scope, with: &Yaml) -> Text {
    let given = text(scope, part(with, "registry-prefix")).trim();
    if !given.is_empty() {
        return given;
    }
    let mut prefix = Text::typed("ghcr.io/");
    prefix.push(scope.map("github").get("repository_owner").text().named("${{ github.repository_owner }}"));
    prefix
}
