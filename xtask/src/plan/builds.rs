//! The builds of a cell: what each platform gets, and from where.

use std::path::{Component, Path};

use crate::base::ids::Name;
use crate::base::inputs::{ANNOTATION, BUILD_ARG, LABEL, UPSTREAM};
use crate::matrix::cells::CellSpec;
use crate::matrix::tracks::holds_credentials;
use crate::matrix::{Diagnostic, NamedContext, Options, PlatformDef, Setting, Settings};
use crate::plan::dockerfiles::Dockerfiles;
use crate::plan::event::Event;
use crate::plan::model::{Build, BuildContext, Need};
use crate::plan::pairs::Pair;
use crate::plan::standard::Standard;
use crate::plan::values::Values;

/// A setting and the place in the matrix that it comes from, for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'m> {
    pub(super) setting: &'m Setting,
    /// E.g. `composer mode`.
    pub(super) level: &'static str,
}

/// The settings of one kind that hold for a build, or, without a platform, for the index: one per key, sorted by key.
///
/// The more specific place wins: platform, track, composer mode, image, the overrides of the image in their order.
pub(super) fn cascade<'m>(
    spec: &CellSpec<'m>,
    platform: Option<&'m PlatformDef>,
    kind: impl Fn(&'m Settings) -> &'m [Setting],
) -> Vec<Origin<'m>> {
    let arch = platform.map(|platform| &platform.name);
    let overrides = spec.image.overrides.iter().filter(|entry| spec.fits(&entry.builds, arch));
    let places = [
        ("image", Some(&spec.image.describing)),
        ("platform", platform.map(|platform| &platform.settings)),
        ("track", spec.track.map(|track| &track.settings)),
        ("composer mode", spec.composer.map(|mode| &mode.settings)),
        ("image", Some(&spec.image.settings)),
    ];
    let places = places.into_iter().chain(overrides.map(|entry| ("override", Some(&entry.settings))));
    let mut found: Vec<Origin<'m>> = Vec::new();
    for (level, settings) in places {
        for setting in settings.into_iter().flat_map(&kind) {
            found.retain(|earlier| earlier.setting.key != setting.key);
            found.push(Origin { setting, level });
        }
    }
    found.sort_by(|one, two| one.setting.key.cmp(&two.setting.key));
    found
}

/// Puts values into settings. What has none is noted, each at its own place.
pub(super) fn expand(found: &[Origin<'_>], values: &Values<'_>, errors: &mut Vec<Diagnostic>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for Origin { setting: Setting { key, value, span }, .. } in found {
        let Some(value) = value else { continue };
        match value.expand(|name| values.get(name)) {
            Ok(value) => pairs.push(Pair { key: key.clone(), value }),
            Err(missing) => {
                let image = &values.spec.image.name;
                let message = format!("`{{{}}}` in {key} has no value for {image}", missing.placeholder);
                errors.push(Diagnostic::new(span.clone(), message));
            }
        }
    }
    pairs
}

/// The settings whose values change without a change of what is built, as they are compared, each key after `prefix`.
pub(super) fn volatile(prefix: &str, found: &[Origin<'_>], values: &Values<'_>) -> Vec<Pair> {
    let one = |Origin { setting: Setting { key, value, .. }, .. }: &Origin<'_>| {
        // A program may do something with the commit that it is given; a label only tells it.
        let is_volatile = |name: &str| values.is_volatile(name, prefix != BUILD_ARG);
        let value = value.as_ref()?;
        let changes = value.placeholders().any(is_volatile);
        let compared = |name: &str| match is_volatile(name) {
            true => Some(format!("{{{name}}}")),
            false => values.get(name),
        };
        let value = value.expand(compared).ok().filter(|_| changes)?;
        Some(Pair { key: format!("{prefix}{key}"), value })
    };
    found.iter().filter_map(one).collect()
}

/// Those that images and indexes get by themselves, without those that are set or switched off.
pub(super) fn standing(standard: &[Standard], found: &[Origin<'_>]) -> Vec<Standard> {
    let own = |key: &str| found.iter().any(|origin| origin.setting.key == key);
    standard.iter().filter(|one| !own(one.key)).cloned().collect()
}

/// Later values replace earlier ones under the same key; the result is sorted by key.
pub(super) fn merge(into: &mut Vec<Pair>, more: Vec<Pair>) {
    into.retain(|pair| !more.iter().any(|new| new.key == pair.key));
    into.extend(more);
    into.sort();
}

/// One build for each platform of a cell. `labels` are those that images get by themselves.
pub(super) fn builds(
    values: &Values<'_>,
    event: &Event,
    labels: &[Standard],
    dockerfiles: &Dockerfiles<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Vec<Build> {
    let platforms = values.spec.platforms.clone();
    platforms
        .into_iter()
        .map(|platform| build(values, platform, event, labels, dockerfiles, errors))
        .collect()
}

fn build<'m>(
    values: &Values<'m>,
    platform: &'m PlatformDef,
    event: &Event,
    labels: &[Standard],
    dockerfiles: &Dockerfiles<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Build {
    let spec = values.spec;
    let values = Values { arch: Some((&platform.name, &platform.platform)), ..values.clone() };
    let own = || Pair { key: UPSTREAM.to_owned(), value: "{commit}".to_owned() };
    let mut changing: Vec<Pair> = values.upstream.own.then(own).into_iter().collect();
    let mut get = |kind: fn(&Settings) -> &[Setting], name: &str, standard: &[Standard]| {
        let found = cascade(spec, Some(platform), kind);
        changing.extend(volatile(name, &found, &values));
        let standard = standing(standard, &found);
        changing.extend(Standard::volatile(name, &standard));
        let mut pairs = Standard::pairs(&standard);
        merge(&mut pairs, expand(&found, &values, errors));
        pairs
    };
    let build_args = get(|settings| &settings.build_args, BUILD_ARG, &[]);
    let set = dockerfiles.labels(spec, platform, &build_args);
    let labels: Vec<Standard> = labels.iter().filter(|one| !set.contains(one.key)).cloned().collect();
    let labels = get(|settings| &settings.labels, LABEL, &labels);
    let annotations = get(|settings| &settings.annotations, ANNOTATION, &[]);
    let need = |(context, cell): &(Name, _)| Need { context: context.clone(), cell: Clone::clone(cell) };
    Build {
        arch: platform.name.clone(),
        platform: platform.platform.clone(),
        runner: platform.runner.clone(),
        context: spec.image.context.clone(),
        dockerfile: spec.image.dockerfile.of(&platform.name).to_owned(),
        target: spec.image.target.as_ref().map(|target| target.value.clone()),
        test: spec.image.test.as_ref().map(|test| test.value.clone()),
        binaries: spec.image.binaries.iter().map(|path| path.value.clone()).collect(),
        emulate: spec.image.emulate || platform.emulate,
        build_args,
        labels,
        annotations,
        volatile: changing,
        contexts: spec.image.contexts.iter().filter_map(|entry| context(entry, &values, errors)).collect(),
        options: options(&spec.image.options, event),
        bases: Vec::new(),
        needs: spec.needs.iter().map(need).collect(),
    }
}

/// A pull request of a fork runs code that nobody has read: it gets no secret.
fn options(options: &Options, event: &Event) -> Options {
    match event {
        Event::PullRequest { fork: true, .. } => {
            Options { secrets: Vec::new(), ssh: Vec::new(), ..options.clone() }
        }
        _ => options.clone(),
    }
}

fn context(entry: &NamedContext, values: &Values<'_>, errors: &mut Vec<Diagnostic>) -> Option<BuildContext> {
    let NamedContext { name, source, span } = entry;
    let mut error = |message: String| errors.push(Diagnostic::new(span.clone(), message));
    let source = match source.expand(|name| values.get(name)) {
        Ok(source) => source,
        Err(missing) => {
            error(format!("`{{{}}}` in the context `{name}` has no value", missing.placeholder));
            return None;
        }
    };
    if holds_credentials(&source) {
        error(format!(
            "the address of the context `{name}` holds credentials, which plans and commands would show"
        ));
        return None;
    }
    // As buildx tells them apart: an address has a scheme, or is git's short form.
    let local = !source.contains("://") && !source.starts_with("git@");
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if local && (source.is_empty() || !Path::new(&source).components().all(inside)) {
        error(format!("the context `{name}`, `{source}`, leaves the folder of matrix.toml"));
        return None;
    }
    Some(BuildContext { name: name.clone(), source, local })
}
