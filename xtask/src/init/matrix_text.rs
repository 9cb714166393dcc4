//! The `matrix.toml` that is proposed, with comments for who reads one for the first time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::init::found::{Found, Image, Secret};
use crate::init::repository::Repository;

/// What a run publishes where nothing says so.
const TAGS: [(&str, Option<&str>); 5] = [
    ("{version}", Some("tag")),
    ("{major}.{minor}", Some("stable")),
    ("{latest}", Some("release")),
    ("edge", Some("default-branch")),
    (ALWAYS, None),
];

/// What every run can set, whatever it is for.
pub(crate) const ALWAYS: &str = "sha-{revision7}";

/// The platforms where nothing says so.
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// The text for what was found.
pub(crate) fn text(found: &Found, repository: &Repository) -> String {
    let mut text = HEAD.to_owned();
    let repositories =
        if found.repositories.is_empty() { vec![registry(repository)] } else { found.repositories.clone() };
    let places: Vec<String> = repositories.iter().map(|repository| quoted(repository)).collect();
    let _ = write!(text, "\n[publish]\nrepositories = [{}]\n", places.join(", "));
    text += &match found.publish_when.as_slice() {
        [] => String::new(),
        [one] => format!("when = {} # other runs build and push nothing\n", quoted(one)),
        several => format!(
            "when = {} # other runs build and push nothing\n",
            list(several.iter().map(|when| (*when).to_owned()))
        ),
    };
    text += SIGN;
    text += &platforms(&found.images);
    let all = all_platforms(&found.images);
    for (index, image) in found.images.iter().enumerate() {
        text += &section(image, &all, index == 0);
    }
    for image in &found.images {
        for left_out in &image.left_out {
            let pairs: String =
                left_out.iter().map(|(key, value)| format!("{key} = {}\n", quoted(value))).collect();
            let _ = write!(
                text,
                "\n[[exclude]]\nimage = {}\n{pairs}reason = {}\n",
                quoted(&image.name),
                quoted(&format!("left out by {}", origin(image)))
            );
        }
    }
    text
}

const HEAD: &str = "\
# Which images are built, and under which names and tags they are published. `cargo xtask plan` shows what a run would do;
# `cargo xtask schema` prints the JSON Schema for editors; docs/reference.md of xtask-images explains every key.
version = 1 # of this format
";

const SIGN: &str = "
[sign]
workflow = \"cell.yml\" # the workflow that signs; `verify` accepts no other
";

/// Where an image was found, in one line: a file may have any name.
fn origin(image: &Image) -> String {
    image.origin.chars().filter(|c| !c.is_control()).collect()
}

/// Where images go if nothing says so.
fn registry(repository: &Repository) -> String {
    let owner =
        repository.owner_and_name().and_then(|both| Some(both.split_once('/')?.0.to_ascii_lowercase()));
    format!("ghcr.io/{}", owner.unwrap_or("acme".to_owned()))
}

/// The short name of a platform.
pub(crate) fn arch(platform: &str) -> String {
    let short = platform.strip_prefix("linux/").unwrap_or(platform);
    if short == "386" { "i386".to_owned() } else { short.replace("arm/", "arm").replace('/', "-") }
}

/// GitHub's runner that builds a platform natively. Source:
/// <https://docs.github.com/en/actions/reference/runners/github-hosted-runners>.
fn runner(platform: &str) -> Option<&'static str> {
    match platform {
        "linux/amd64" => Some("ubuntu-24.04"),
        "linux/arm64" => Some("ubuntu-24.04-arm"),
        _ => None,
    }
}

/// The platforms of an image.
pub(crate) fn platforms_of(image: &Image) -> BTreeSet<&str> {
    if image.platforms.is_empty() {
        PLATFORMS.into_iter().collect()
    } else {
        image.platforms.keys().map(String::as_str).collect()
    }
}

fn all_platforms(images: &[Image]) -> BTreeSet<&str> {
    images.iter().flat_map(platforms_of).collect()
}

fn platforms(images: &[Image]) -> String {
    let mut text = "\n# Each platform, and the runner that builds it natively.\n[platforms]\n".to_owned();
    let all = all_platforms(images);
    let width = all.iter().map(|platform| arch(platform).len()).max().unwrap_or_default();
    for platform in all {
        let known = images.iter().find_map(|image| image.platforms.get(platform)?.clone());
        let known = known.or(runner(platform).map(str::to_owned));
        let runner = known.unwrap_or("ubuntu-24.04".to_owned());
        let name = arch(platform);
        let _ = writeln!(
            text,
            "{name:width$} = {{ platform = {}, runner = {} }}",
            quoted(platform),
            quoted(&runner)
        );
    }
    text
}

fn section(image: &Image, all: &BTreeSet<&str>, first: bool) -> String {
    let mut text = format!("\n# From {}.\n[images.{}]\n", origin(image), key(&image.name));
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name} = {value}");
    };
    line("context", quoted(&image.context));
    if !image.dockerfiles.is_empty() {
        let files = image.dockerfiles.iter().map(|(platform, file)| (arch(platform), file.clone()));
        let files: BTreeMap<String, String> = files.collect();
        let all = table(&files).replacen("{ ", &format!("{{ default = {}, ", quoted(&image.dockerfile)), 1);
        line("dockerfile", all);
    } else if image.dockerfile != "Dockerfile" {
        line("dockerfile", quoted(&image.dockerfile));
    }
    if let Some(target) = &image.target {
        line("target", quoted(target));
    }
    let own = platforms_of(image);
    if own != *all {
        line("platforms", list(own.iter().map(|platform| arch(platform))));
    }
    let comment =
        if first { " # the version is that of the git tag; on a branch it is the short commit" } else { "" };
    line("ref", format!("{{ self = true }}{comment}"));
    line("tags", tags(image));
    if !image.axes.is_empty() {
        let axes: Vec<String> = image
            .axes
            .iter()
            .map(|(axis, values)| format!("{} = {}", key(axis), list(values.iter().cloned())))
            .collect();
        line("axes", format!("{{ {} }}", axes.join(", ")));
    }
    if own.iter().any(|platform| {
        runner(platform).is_none() && image.platforms.get(*platform).is_none_or(Option::is_none)
    }) {
        line(
            "emulate",
            "true # GitHub has no runner for some of its platforms: one job builds all of them".to_owned(),
        );
    }
    for (name, values) in [
        ("needs", &image.needs),
        ("contexts", &image.contexts),
        ("build-args", &image.build_args),
        ("labels", &image.labels),
        ("annotations", &image.annotations),
    ] {
        if !values.is_empty() {
            line(name, table(values));
        }
    }
    if !image.secrets.is_empty() {
        line("secrets", secrets(&image.secrets));
    }
    if !image.cache.is_empty() {
        line("cache", list(image.cache.iter().map(|kind| (*kind).to_owned())));
    }
    if image.sbom {
        line("attest", "{ sbom = true }".to_owned());
    }
    for (platform, args) in &image.platform_args {
        let _ = write!(
            text,
            "\n[[images.{}.override]]\narch = {}\nbuild-args = {}\n",
            key(&image.name),
            quoted(&arch(platform)),
            table(args)
        );
    }
    text
}

/// The values of all axes, for a tag: no two cells may set one.
pub(crate) fn axes_suffix(image: &Image) -> String {
    image.axes.keys().map(|axis| format!("-{{{axis}}}")).collect()
}

fn tags(image: &Image) -> String {
    let one = |text: &str, when: Option<&str>| match when {
        None => quoted(text),
        Some(when) => format!("{{ tag = {}, when = {} }}", quoted(text), quoted(when)),
    };
    let axes = axes_suffix(image);
    let all: Vec<String> = if image.tags.is_empty() {
        TAGS.iter().map(|(text, when)| one(&format!("{text}{axes}"), *when)).collect()
    } else {
        image.tags.iter().map(|tag| one(&tag.text, tag.when)).collect()
    };
    let lines: String = all.iter().map(|tag| format!("    {tag},\n")).collect();
    format!("[\n{lines}]")
}

fn secrets(secrets: &BTreeMap<String, Secret>) -> String {
    let one = |(id, secret): (&String, &Secret)| match secret {
        Secret::Env(name) => format!("{} = {{ env = {} }}", key(id), quoted(name)),
        Secret::File(path) => format!("{} = {{ file = {} }}", key(id), quoted(path)),
    };
    format!("{{ {} }}", secrets.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn table(values: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        values.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.map(|value| quoted(&value)).collect::<Vec<_>>().join(", "))
}

/// A string of TOML. Every string of JSON is one.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// A key of TOML.
fn key(text: &str) -> String {
    let bare =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::found::Tag;
    use crate::matrix::{Source, parse};

    fn repository() -> Repository {
        Repository {
            root: "/r".into(),
            files: BTreeSet::new(),
            address: Some("https://github.com/Acme/App".to_owned()),
            default_branch: "main".to_owned(),
            is_guessed: false,
            bare_versions: false,
        }
    }

    /// Whatever is found, what is written is TOML with the same meaning.
    #[test]
    fn strange_texts_stay_what_they_are() {
        let strange = "a \"quoted\" \\ 'text' = [x] # {{no}} placeholder\n\ttwo lines \u{e9}";
        let image = Image {
            name: "php-8.4".to_owned(),
            origin: "a\nfile = \"with lines\"".to_owned(),
            context: ".".to_owned(),
            dockerfile: "Dockerfile".to_owned(),
            dockerfiles: BTreeMap::from([("linux/arm/v7".to_owned(), "Dockerfile.arm".to_owned())]),
            platforms: ["linux/amd64", "linux/arm/v7", "linux/386"].map(|p| (p.to_owned(), None)).into(),
            build_args: BTreeMap::from([("A".to_owned(), strange.to_owned())]),
            labels: BTreeMap::from([("com.example/a.b".to_owned(), strange.to_owned())]),
            axes: BTreeMap::from([("alpine".to_owned(), vec!["3.23".to_owned(), "3.24".to_owned()])]),
            tags: vec![Tag { text: "{alpine}-{version}".to_owned(), when: Some("tag") }],
            left_out: vec![BTreeMap::from([("alpine".to_owned(), "3.23".to_owned())])],
            platform_args: BTreeMap::from([(
                "linux/386".to_owned(),
                BTreeMap::from([("BUILD_FROM".to_owned(), "i386/alpine".to_owned())]),
            )]),
            secrets: BTreeMap::from([("a.b".to_owned(), Secret::Env("A".to_owned()))]),
            sbom: true,
            ..Image::default()
        };
        let found = Found { images: vec![image], ..Found::default() };
        let text = text(&found, &repository());
        assert!(
            text.contains("repositories = [\"ghcr.io/acme\"]") && text.contains("emulate = true"),
            "{text}"
        );
        let matrix = parse(Source { name: "matrix.toml".to_owned(), text: text.clone() }).unwrap();
        let image = &matrix.images[0];
        assert_eq!(
            (image.overrides.len(), image.platforms.len(), matrix.excludes.len()),
            (1, 3, 1),
            "{text}"
        );
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table["images"]["php-8.4"]["build-args"]["A"].as_str(), Some(strange));
    }
}
