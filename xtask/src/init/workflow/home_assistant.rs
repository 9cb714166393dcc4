//! `home-assistant/builder` and the actions that follow it, see <https://github.com/home-assistant/builder>; what its
//! arguments mean is written in `builder.sh` of the release 2025.11.0.

use serde_yaml_ng::Value as Yaml;

use crate::init::workflow::built::Built;
use crate::init::workflow::evaluation::text;
use crate::init::workflow::home_assistant_target::{ARCHITECTURES, Target, without};
use crate::init::workflow::scope::Scope;
use crate::init::workflow::shell::{expand, unquoted};
use crate::init::workflow::text::Text;
use crate::init::workflow::yaml::part;

/// The arguments of a call.
#[derive(Debug, Default)]
struct Arguments {
    architectures: Vec<String>,
    /// All that the target has.
    all: bool,
    target: Text,
    image: Option<Text>,
    hub: Option<Text>,
    version: Option<Text>,
    /// `--base` and `--generic` name a version too, and come before `--version`.
    main: Option<Text>,
    base: bool,
    from: Option<Text>,
    tags: Vec<Text>,
    test: bool,
    no_latest: bool,
    release_tag: bool,
    unknown: Vec<String>,
}

/// What is different for whoever used the builder.
pub(super) const REMARKS: [&str; 2] = [
    "home-assistant/builder publishes an image of its own for each architecture, with that in its name; only the one \
     without it is published now",
    "the labels io.hass.* that home-assistant/builder adds are not carried: write them into the Dockerfile",
];

/// The builds of a call, one for each architecture, and what cannot be carried.
pub(super) fn arguments(
    scope: &Scope,
    with: &Yaml,
    files: &dyn Fn(&str) -> Option<String>,
) -> (Vec<Built>, Vec<String>) {
    let arguments = parse(&text(scope, part(with, "args")), scope);
    let mut left: Vec<String> = arguments
        .unknown
        .iter()
        .map(|unknown| {
            format!("its arguments hold {unknown}, which only a run can tell: look for tags in it")
        })
        .collect();
    let folder = arguments.target.plain();
    let folder = folder.trim_start_matches("/data").trim_matches('/').to_owned();
    let folder = if folder.is_empty() { ".".to_owned() } else { folder };
    let target = Target::read(&folder, files);
    left.extend(target.left.iter().cloned());
    let mut architectures = arguments.architectures.clone();
    if arguments.all || architectures.is_empty() {
        architectures.extend(target.architectures());
    }
    let known = |name: &&String| ARCHITECTURES.iter().any(|(known, _)| *known == name.as_str());
    let mut builds = Vec::new();
    for name in architectures.iter().filter(known) {
        builds.push(build(&arguments, &target, name, &folder, files));
    }
    (builds, left)
}

fn build(
    arguments: &Arguments,
    target: &Target,
    architecture: &str,
    folder: &str,
    files: &dyn Fn(&str) -> Option<String>,
) -> Built {
    let whole = target.image.clone().unwrap_or_default();
    let (repository, name) = whole.rsplit_once('/').unwrap_or(("", &whole));
    let name = arguments.image.as_ref().map_or_else(|| name.to_owned(), Text::plain);
    let repository = arguments.hub.as_ref().map_or_else(|| repository.to_owned(), Text::plain);
    let name = without(&name, architecture);
    let published = if repository.is_empty() { name } else { format!("{repository}/{name}") };
    let typed = |text: &str| Text::typed(text);
    let version = arguments.main.clone().or_else(|| arguments.version.clone());
    let version = version.or_else(|| target.version.as_deref().map(typed)).unwrap_or_default();
    let mut tags = vec![version.clone()];
    tags.extend((!arguments.no_latest).then(|| typed("latest")));
    tags.extend(arguments.tags.iter().cloned());
    tags.extend(arguments.version.clone().filter(|_| arguments.release_tag));
    tags.retain(|tag| !tag.is_empty());
    let mut args: Vec<(String, Text)> =
        target.args.iter().map(|(name, value)| (name.clone(), typed(value))).collect();
    let mut from = typed(target.from(architecture).unwrap_or_default());
    if from.plain().ends_with(':') {
        let other = arguments.from.clone().filter(|_| arguments.base);
        from.push(other.unwrap_or_else(|| version.clone()));
    }
    if from.is_empty() && !arguments.base {
        from = typed(&format!("ghcr.io/home-assistant/{architecture}-base:latest"));
    }
    args.push(("BUILD_FROM".to_owned(), from));
    args.push(("BUILD_VERSION".to_owned(), version));
    args.push(("BUILD_ARCH".to_owned(), typed(architecture)));
    let own = format!(
        "{}Dockerfile.{architecture}",
        if folder == "." { String::new() } else { format!("{folder}/") }
    );
    Built {
        repositories: vec![typed(&published)].into_iter().filter(|name| !name.is_empty()).collect(),
        // What stands in the path of the target decides the context, and is no axis.
        context: match folder {
            "." => typed("."),
            _ => arguments.target.clone(),
        },
        file: files(&own).map(|_| typed(&own)),
        platforms: ARCHITECTURES
            .iter()
            .filter(|(name, _)| *name == architecture)
            .map(|(_, platform)| typed(platform))
            .collect(),
        args,
        labels: target.labels.iter().map(|(name, value)| (name.clone(), typed(value))).collect(),
        tags: if arguments.test { Vec::new() } else { tags },
        pushed: !arguments.test,
        ..Built::default()
    }
}

fn parse(text: &Text, scope: &Scope) -> Arguments {
    let mut arguments = Arguments::default();
    let words: Vec<Text> = expand(text, scope, &[])
        .lines()
        .iter()
        .flat_map(|line| line.split(' '))
        .filter(|word| word.plain() != "\\")
        .collect();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let plain = word.plain();
        if word.is_unknown() {
            match plain.starts_with("--") {
                // `--${{ matrix.arch }}`: an architecture of the target.
                true => arguments.all = true,
                false => arguments.unknown.extend(word.unknowns()),
            }
            continue;
        }
        let value = if takes_value(&plain) {
            words.next().map(|value| unquoted(&value)).unwrap_or_default()
        } else {
            Text::default()
        };
        match plain.as_str() {
            "-t" | "--target" => arguments.target = relative(&value),
            "-i" | "--image" => arguments.image = Some(value),
            "-d" | "--docker-hub" => arguments.hub = Some(value),
            "-v" | "--version" => arguments.version = Some(value),
            "--base" => (arguments.main, arguments.base) = (Some(value), true),
            "--generic" => arguments.main = Some(value),
            "--version-from" => arguments.from = Some(value),
            "--additional-tag" => arguments.tags.push(value),
            "--test" => arguments.test = true,
            "--no-latest" => arguments.no_latest = true,
            "--release-tag" => arguments.release_tag = true,
            "--all" => arguments.all = true,
            flag => {
                let name = flag.trim_start_matches("--");
                if ARCHITECTURES.iter().any(|(known, _)| *known == name) {
                    arguments.architectures.push(name.to_owned());
                }
            }
        }
    }
    arguments
}

/// Whether a word follows a flag.
fn takes_value(flag: &str) -> bool {
    matches!(
        flag,
        "-t" | "--target"
            | "-i"
            | "--image"
            | "-d"
            | "--docker-hub"
            | "-v"
            | "--version"
            | "--base"
            | "--generic"
            | "--version-from"
            | "--additional-tag"
            | "--release"
            | "--cache-tag"
            | "--machine"
            | "-r"
            | "--repository"
            | "-b"
            | "--branch"
            | "--docker-user"
            | "--docker-password"
    )
}

/// The repository is `/data` in the builder.
fn relative(target: &Text) -> Text {
    let plain = target.plain();
    let rest = plain.strip_prefix("/data").unwrap_or(&plain).trim_start_matches('/');
    target.cut(plain.len() - rest.len()..plain.len())
}
