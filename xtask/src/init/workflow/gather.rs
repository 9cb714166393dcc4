//! From the builds of a workflow to images: builds of one name are one image, its rows are its platforms and axes.

use std::collections::{BTreeMap, BTreeSet};

use crate::init::found::{self, Found, Image};
use crate::init::workflow::axes::Axes;
use crate::init::workflow::built::{Built, Steps};
use crate::init::workflow::event::Event;
use crate::init::workflow::home_assistant_target::{ARCHITECTURES, without};
use crate::init::workflow::places::{cells, places, platforms};
use crate::init::workflow::settings::{files, merged};
use crate::init::workflow::tags;
use crate::init::workflow::text::Text;
use crate::init::workflow::variants;

/// The images of the steps that were read under each of some events.
pub(super) fn found(mut steps: Steps, enabled: &[Event], fallback: &str) -> Found {
    if steps.builds.iter().any(|(_, built)| built.pushed) {
        steps.builds.retain(|(_, built)| built.pushed);
    } else {
        // What is only tested says nothing about tags.
        steps.builds.iter_mut().for_each(|(_, built)| built.tags.clear());
    }
    let mut found = Found::default();
    let mut left = std::mem::take(&mut steps.left);
    let mut names: Vec<String> = Vec::new();
    let mut of_name: BTreeMap<String, Vec<(Event, &Built)>> = BTreeMap::new();
    for (event, built) in &steps.builds {
        let name = name(built, fallback, &mut left);
        if !names.contains(&name) {
            names.push(name.clone());
        }
        of_name.entry(name).or_default().push((*event, built));
    }
    for name in &names {
        let builds = of_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let builds = &of_one_folder(name, builds, &mut left);
        let (builds, others) = &variants::first(name, builds, &mut left);
        repositories(name, builds, &steps.disabled, &mut found.repositories, &mut left);
        found.images.push(image(name, builds, others, &steps, enabled, &mut left));
    }
    needs(&mut found.images, &names);
    left.extend(found.images.iter().filter_map(|image| based(image, &names, &found.repositories)));
    for remark in left {
        if !found.left.contains(&remark) {
            found.left.push(remark);
        }
    }
    found
}

/// The builds that have the first context: an image has one.
fn of_one_folder<'b>(
    name: &str,
    builds: &[(Event, &'b Built)],
    left: &mut Vec<String>,
) -> Vec<(Event, &'b Built)> {
    let folder = |built: &Built| files(built).ok().map(|(context, _)| context);
    let mut folders: Vec<String> = Vec::new();
    for found in builds.iter().filter_map(|(_, built)| folder(built)) {
        if !folders.contains(&found) {
            folders.push(found);
        }
    }
    let [first, others @ ..] = folders.as_slice() else { return builds.to_vec() };
    if let (false, Some((_, built))) = (others.is_empty(), builds.first()) {
        left.push(format!(
            "{}: {name} is built from {first} and from {}, and an image has one context: declare an image of its own for \
             each; only {first} is written",
            built.origin,
            others.join(", ")
        ));
    }
    builds.iter().filter(|(_, built)| folder(built).is_none_or(|one| &one == first)).copied().collect()
}

/// The name of an image: the last part of its repository, else that of its folder.
fn name(built: &Built, fallback: &str, left: &mut Vec<String>) -> String {
    for repository in &built.repositories {
        let plain = repository.plain();
        let at = plain.rfind('/').map_or(0, |at| at + 1);
        let last = repository.cut(at..plain.len());
        let name = found::name(&last.plain());
        if !last.is_unknown() && !name.is_empty() {
            return name;
        }
    }
    let context = found::name(built.context.plain().rsplit('/').next().unwrap_or_default());
    let name = if context.is_empty() || built.context.is_unknown() { fallback.to_owned() } else { context };
    if let Some(unknown) = built.repositories.iter().flat_map(Text::unknowns).next() {
        let remark = format!(
            "{}: the name of the image is {unknown}, which only a run can tell; it is called {name} here",
            built.at
        );
        if !left.contains(&remark) {
            left.push(remark);
        }
    }
    name
}

/// Adds where an image is published.
fn repositories(
    name: &str,
    builds: &[(Event, &Built)],
    disabled: &[String],
    all: &mut Vec<String>,
    left: &mut Vec<String>,
) {
    let mut ours: Vec<String> = Vec::new();
    for (_, built) in builds.iter().filter(|(_, built)| built.pushed) {
        for repository in &built.repositories {
            if repository.is_unknown() {
                let unknown = repository.unknowns().next().unwrap_or_default();
                let remark = "which only a run can tell: write it under `repositories` of [publish]";
                left.push(format!("{}: where it is published holds {unknown}, {remark}", built.at));
                continue;
            }
            if disabled.contains(&repository.plain()) {
                left.push(format!(
                    "{}: {} is not enabled under each event, and an image goes to all `repositories` of [publish] in each run; \
                     it is left out",
                    built.at,
                    repository.plain()
                ));
                continue;
            }
            let plain = repository.plain().to_lowercase();
            if !plain.contains('/') {
                continue;
            }
            let whole = found::qualified(&plain);
            let Some((folder, last)) = whole.rsplit_once('/') else { continue };
            if found::name(last) != name {
                left.push(format!(
                    "{}: the image is called {last} in {folder} and {name} elsewhere; it gets one name everywhere",
                    built.at
                ));
            } else if !ours.iter().any(|known| known == folder) {
                ours.push(folder.to_owned());
            }
        }
    }
    if !all.is_empty() && !ours.is_empty() && *all != ours {
        left.push(format!(
            "{name} is published to {}, other images to {}: each image goes to all `repositories` of [publish]",
            ours.join(" and "),
            all.join(" and ")
        ));
    }
    for folder in ours {
        if !all.contains(&folder) {
            all.push(folder);
        }
    }
}

fn image(
    name: &str,
    builds: &[(Event, &Built)],
    others: &[(Event, &Built)],
    steps: &Steps,
    enabled: &[Event],
    left: &mut Vec<String>,
) -> Image {
    let all: Vec<&Built> = builds.iter().map(|(_, built)| *built).collect();
    let axes = Axes::of(&all);
    let origin = all.first().map(|built| built.origin.clone()).unwrap_or_default();
    left.extend(axes.left.iter().map(|remark| format!("{origin}: {remark}")));
    let mut image = Image {
        name: name.to_owned(),
        origin,
        axes: axes.written(),
        left_out: axes.left_out(&all),
        platforms: platforms(&all, left),
        secrets: all.iter().flat_map(|built| built.secrets.clone()).collect(),
        cache: all.iter().flat_map(|built| built.cache.iter().copied()).collect(),
        sbom: all.iter().any(|built| built.sbom),
        ..Image::default()
    };
    places(&mut image, &all, left);
    cells(&image, &all, &axes, left);
    settings(&mut image, builds, &axes, left);
    left.extend(labels_of_github(&image, &all));
    let origin = &image.origin;
    let (tags, remarks) =
        tags::read(&tags::Source { name, origin, builds, others, steps, axes: &axes, enabled });
    if tags.is_empty() && remarks.is_empty() && !steps.differs && all.iter().any(|built| built.pushed) {
        let scripts = match steps.scripts.as_slice() {
            [] => String::new(),
            scripts => format!(" ({})", scripts.join("; ")),
        };
        left.push(format!(
            "{}: the tags of {name} are computed by a script{scripts}: write them under `tags`",
            image.origin
        ));
    }
    image.tags = tags;
    left.extend(remarks);
    image
}

/// Arguments, labels, annotations and contexts.
fn settings(image: &mut Image, builds: &[(Event, &Built)], axes: &Axes, left: &mut Vec<String>) {
    let args = merged("build argument", builds, axes, |built| &built.args);
    let labels = merged("label", builds, axes, |built| &built.labels);
    let annotations = merged("annotation", builds, axes, |built| &built.annotations);
    let contexts = merged("context", builds, axes, |built| &built.contexts);
    image.contexts = contexts
        .common
        .into_iter()
        .map(|(name, path)| (name, path.trim_start_matches("./").to_owned()))
        .collect();
    for (kind, settings) in [("label", &labels), ("annotation", &annotations)] {
        for name in settings.platforms.values().flat_map(|settings| settings.keys()).collect::<BTreeSet<_>>()
        {
            left.push(format!(
                "{}: the {kind} {name} has another value for each platform: write it under `[[images.{}.override]]`",
                image.origin, image.name
            ));
        }
    }
    let remarks = [args.left, labels.left, annotations.left, contexts.left].concat();
    left.extend(
        remarks.iter().map(|remark| remark.replace("images.NAME", &format!("images.{}", image.name))),
    );
    image.build_args = args.common;
    image.platform_args = args.platforms;
    image.labels = labels.common;
    image.annotations = annotations.common;
}

/// What metadata-action takes from GitHub for labels that nothing else sets.
fn labels_of_github(image: &Image, builds: &[&Built]) -> Option<String> {
    let unset = |name: &&str| !image.labels.contains_key(&format!("org.opencontainers.image.{name}"));
    let names: Vec<&str> = ["description", "licenses", "url"].into_iter().filter(unset).collect();
    let named = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let title = unset(&"title").then_some("write org.opencontainers.image.title under `labels`");
    let keys = (!names.is_empty()).then(|| format!("give the image {named}"));
    let ways: Vec<String> = keys.into_iter().chain(title.map(str::to_owned)).collect();
    (builds.iter().any(|built| built.labels_of_github) && !ways.is_empty()).then(|| {
        format!(
            "{}: metadata-action takes labels of {} from GitHub: revision, source, created and version are set without it; \
             to keep the others, {}",
            image.origin,
            image.name,
            ways.join(", and ")
        )
    })
}

/// Contexts that are other images of the same workflow.
fn needs(images: &mut [Image], names: &[String]) {
    for image in images {
        for (context, address) in image.contexts.clone() {
            let Some(reference) = address.strip_prefix("docker-image://") else { continue };
            let (repository, _) = Text::typed(reference).reference();
            let other = repository.plain().rsplit('/').next().map(str::to_owned).unwrap_or_default();
            if names.contains(&other) && other != image.name && reference.contains('/') {
                image.contexts.remove(&context);
                image.needs.insert(context, other);
            }
        }
    }
}

/// An argument that names another image of the same workflow, as Home Assistant's `BUILD_FROM` does.
fn based(image: &Image, names: &[String], repositories: &[String]) -> Option<String> {
    let args = image.platform_args.values().chain([&image.build_args]).flatten();
    args.filter_map(|(arg, value)| {
        let (repository, _) = Text::typed(value).reference();
        let repository = repository.plain();
        let (folder, last) = repository.rsplit_once('/')?;
        let known = ARCHITECTURES.iter().fold(last.to_owned(), |last, (name, _)| without(&last, name));
        let ours = repositories.iter().any(|known| known == folder) && known != image.name;
        (ours && names.contains(&known)).then(|| {
            format!(
                "{}: {arg} of {} names {known}, which is built here too: to build upon that of the same run, add `needs` and \
                 write `FROM {known}`",
                image.origin, image.name
            )
        })
    })
    .next()
}
