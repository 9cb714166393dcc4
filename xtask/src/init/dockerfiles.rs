//! The Dockerfiles of a repository that no other file speaks of: which image each is, and from which context.

use std::collections::{BTreeMap, BTreeSet};

use crate::init::found::{self, Found, Image};
use crate::init::repository::Repository;

/// Folders that say what lies in them, not what the image is called.
const GENERIC: [&str; 9] =
    ["docker", "build", "deploy", "deployment", "container", "containers", "package", "packaging", "ci"];

/// Folders whose Dockerfiles build nothing that is published.
const OTHERS: [&str; 8] =
    ["test", "tests", "testdata", "fixtures", "examples", "docs", "vendor", "node_modules"];

/// The Dockerfiles of one image, by platform; none: for all others.
type Files<'a> = BTreeMap<Option<&'static str>, &'a str>;

/// Reads them. `taken`: those that another file speaks of, relative to the repository.
pub(crate) fn read(repository: &Repository, taken: &BTreeSet<String>) -> Found {
    let mut found = Found::default();
    // By folder and variant.
    let mut images: BTreeMap<(&str, Option<&str>), Files<'_>> = BTreeMap::new();
    for path in &repository.files {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(kind) = kind(file).filter(|_| !taken.contains(path)) else { continue };
        let other = folder.split('/').find(|part| OTHERS.contains(part) || part.starts_with('.'));
        if let Some(other) = other {
            found.left.push(format!("{path}: left out, since it lies in a folder `{other}`"));
            continue;
        }
        let (variant, platform) = platform_of(kind);
        images.entry((folder, variant)).or_default().insert(platform, file);
    }
    for ((folder, variant), files) in images {
        image(repository, folder, variant, &files, &mut found);
    }
    found
}

fn image(repository: &Repository, folder: &str, variant: Option<&str>, files: &Files<'_>, found: &mut Found) {
    let Some(main) = files.get(&None).or(files.values().next()).copied() else { return };
    let place = |file: &str| if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
    let text = repository.text(&place(main)).unwrap_or_default();
    let context = context(repository, folder, &text);
    let in_context = |file: &str| if context == "." { place(file) } else { file.to_owned() };
    let mut image = Image {
        name: unique(&name(repository, folder, variant), &found.images),
        origin: place(main),
        dockerfile: in_context(main),
        context: context.clone(),
        ..Image::default()
    };
    let other = files.iter().filter_map(|(platform, file)| Some(((*platform)?, *file)));
    image.dockerfiles = other
        .filter(|(_, file)| *file != main)
        .map(|(platform, file)| (platform.to_owned(), in_context(file)))
        .collect();
    // Without one for all others, each is for its platform alone.
    if !files.contains_key(&None) {
        image.platforms = files.keys().flatten().map(|platform| ((*platform).to_owned(), None)).collect();
    }
    found.left.extend(remarks(&place(main), &text));
    found.images.push(image);
}

/// The variant in the name of a Dockerfile: nothing for `Dockerfile`, `api` for `Dockerfile.api`. None: it is none.
fn kind(file: &str) -> Option<Option<&str>> {
    match file.split_once('.') {
        None => ["Dockerfile", "Containerfile"].contains(&file).then_some(None),
        Some(("Dockerfile" | "Containerfile", variant)) => {
            (!variant.is_empty() && !variant.ends_with("dockerignore")).then_some(Some(variant))
        }
        _ => file.strip_suffix(".Dockerfile").or(file.strip_suffix(".dockerfile")).map(Some),
    }
}

/// What a variant says of the image and of the platform: `worker.arm64` is `worker` for `linux/arm64`.
fn platform_of(variant: Option<&str>) -> (Option<&str>, Option<&'static str>) {
    let Some(text) = variant else { return (None, None) };
    let (rest, last) = text.rsplit_once(['.', '-']).map_or((None, text), |(rest, last)| (Some(rest), last));
    let platform = match last {
        "amd64" | "x86_64" => "linux/amd64",
        "arm64" | "aarch64" => "linux/arm64",
        "armv7" | "armhf" => "linux/arm/v7",
        _ => return (Some(text), None),
    };
    (rest, Some(platform))
}

/// The folder that the Dockerfile copies from: its own where all of what it copies is there, else the top folder.
fn context(repository: &Repository, folder: &str, text: &str) -> String {
    if folder.is_empty() {
        return ".".to_owned();
    }
    let all_in = |place: &str| {
        sources(text).iter().all(|source| {
            let path = if place.is_empty() { source.clone() } else { format!("{place}/{source}") };
            let fixed = path.split(['*', '?', '[']).next().unwrap_or_default();
            let whole = fixed.len() == path.len();
            if whole {
                repository.has(&path)
            } else {
                repository.files.iter().any(|file| file.starts_with(fixed))
            }
        })
    };
    let generic = folder.rsplit('/').next().is_some_and(|last| GENERIC.contains(&last));
    let own = match (all_in(folder), all_in("")) {
        (true, true) => !generic,
        (own, _) => own || !all_in(""),
    };
    if own { folder.to_owned() } else { ".".to_owned() }
}

/// Whether Dockerfiles copy a path by its name.
pub(crate) fn names(texts: &str, path: &str) -> bool {
    let is_below = |source: &String| source == path || source.starts_with(&format!("{path}/"));
    sources(texts).iter().any(is_below) || texts.contains(&format!("source={path}"))
}

/// What a Dockerfile copies from its context, but for the whole of it.
fn sources(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let copies = lines.filter_map(|line| {
        let (instruction, rest) = line.split_once(char::is_whitespace)?;
        let copies = ["COPY", "ADD"].contains(&instruction.to_ascii_uppercase().as_str());
        (copies && !rest.contains("--from=") && !rest.contains("<<")).then_some(rest)
    });
    let words = copies.flat_map(|rest| {
        let plain: Vec<String> = rest
            .trim_matches(['[', ']'])
            .split([' ', '\t', ','])
            .map(|word| word.trim_matches('"').to_owned())
            .filter(|word| !word.is_empty() && !word.starts_with("--") && word != "\\")
            .collect();
        let count = plain.len().saturating_sub(1);
        plain.into_iter().take(count)
    });
    words
        .map(|word| word.trim_start_matches("./").trim_matches('/').to_owned())
        .filter(|word| !word.is_empty() && word != "." && !word.contains("://") && !word.contains('$'))
        .collect()
}

fn name(repository: &Repository, folder: &str, variant: Option<&str>) -> String {
    let parts: Vec<&str> =
        folder.split('/').filter(|part| !part.is_empty() && !GENERIC.contains(part)).collect();
    let own = match parts.as_slice() {
        [] => repository.name(),
        // `php/8.4` is php-8.4: a version alone is no name.
        [.., one, last] if last.starts_with(|c: char| c.is_ascii_digit()) => format!("{one}-{last}"),
        [.., last] => (*last).to_owned(),
    };
    found::name(&variant.map_or(own.clone(), |variant| format!("{own}-{variant}")))
}

/// A name that no other image has.
fn unique(name: &str, others: &[Image]) -> String {
    let name = if name.is_empty() { "app" } else { name };
    let free = |name: &String| !others.iter().any(|other| other.name == *name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(free).unwrap_or_default()
}

/// What a Dockerfile wants that nobody but its owner knows.
fn remarks(path: &str, text: &str) -> Vec<String> {
    let mut remarks = Vec::new();
    for line in text.lines().map(str::trim) {
        let argument = line.strip_prefix("ARG ").map(str::trim).filter(|rest| !rest.contains(['=', ' ']));
        // BuildKit sets these. Source: https://docs.docker.com/reference/dockerfile/#predefined-args
        let known =
            ["TARGET", "BUILD", "HTTP", "http", "NO_PROXY", "no_proxy", "ALL_PROXY", "SOURCE_DATE_EPOCH"];
        if let Some(argument) = argument.filter(|name| !known.iter().any(|start| name.starts_with(start))) {
            remarks.push(format!(
                "{path}: ARG {argument} has no default; give it in `build-args`, e.g. {{ {argument} = \"{{version}}\" }}"
            ));
        }
        if line.contains("type=secret") {
            let id = line.split("id=").nth(1).and_then(|rest| rest.split([',', ' ']).next()).unwrap_or("ID");
            remarks.push(format!(
                "{path}: RUN mounts the secret {id}; say where it comes from: secrets = {{ {id} = {{ env = \"NAME\" }} }}"
            ));
        }
    }
    remarks.dedup();
    remarks
}
