//! What the builds of one image have in common: their arguments, labels, files.

use std::collections::BTreeMap;

use crate::init::workflow::axes::Axes;
use crate::init::workflow::built::Built;
use crate::init::workflow::event::Event;
use crate::init::workflow::text::Text;

/// Settings by name.
pub(super) type Settings = BTreeMap<String, String>;

/// Settings of the builds of an image.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Those of all.
    pub(super) common: Settings,
    /// Those of a platform.
    pub(super) platforms: BTreeMap<String, Settings>,
    /// What cannot be carried.
    pub(super) left: Vec<String>,
}

/// One kind of settings, e.g. `build argument`.
pub(super) fn merged(
    kind: &str,
    builds: &[(Event, &Built)],
    axes: &Axes,
    of: fn(&Built) -> &Vec<(String, Text)>,
) -> Merged {
    let mut merged = Merged::default();
    let mut names: Vec<&str> =
        builds.iter().flat_map(|(_, built)| of(built)).map(|(name, _)| name.as_str()).collect();
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(*name);
            true
        }
    });
    for name in names {
        one(kind, name, builds, axes, of, &mut merged);
    }
    merged
}

fn one(
    kind: &str,
    name: &str,
    builds: &[(Event, &Built)],
    axes: &Axes,
    of: fn(&Built) -> &Vec<(String, Text)>,
    merged: &mut Merged,
) {
    let at = builds.first().map(|(_, built)| built.at.as_str()).unwrap_or_default();
    let mut values: Vec<(String, Option<String>)> = Vec::new();
    for (_, built) in builds {
        let platforms: Vec<String> = built.platforms.iter().map(Text::plain).collect();
        let platform = if let [platform] = platforms.as_slice() { Some(platform.as_str()) } else { None };
        match value(name, built, axes, platform, of).transpose() {
            Ok(value) => values.push((platforms.join(","), value)),
            Err(why) => return leave(format!("{}: the {kind} {name} is {why}", built.at), merged),
        }
    }
    let Some((_, Some(first))) = values.iter().find(|(_, value)| value.is_some()) else { return };
    if values.iter().all(|(_, value)| value.as_ref() == Some(first)) {
        merged.common.insert(name.to_owned(), first.clone());
        return;
    }
    let mut platforms: BTreeMap<&str, &Option<String>> = BTreeMap::new();
    let by_platform =
        values.iter().all(|(platform, value)| *platforms.entry(platform).or_insert(value) == value);
    if by_platform && !platforms.keys().any(|platform| platform.contains(',') || platform.is_empty()) {
        for (platform, value) in platforms {
            let settings = merged.platforms.entry(platform.to_owned()).or_default();
            settings.extend(value.clone().map(|value| (name.to_owned(), value)));
        }
        return;
    }
    by_event(kind, name, at, &values, merged);
}

/// A setting that differs by event or by row.
fn by_event(kind: &str, name: &str, at: &str, values: &[(String, Option<String>)], merged: &mut Merged) {
    let mut all: Vec<&str> = values.iter().filter_map(|(_, value)| value.as_deref()).collect();
    // A version is that of the tag, and in other runs the short commit.
    if let Some(version) = all.iter().find(|value| value.contains("{version}")) {
        merged.common.insert(name.to_owned(), (*version).to_owned());
        let remark = format!(
            "{at}: the {kind} {name} has another value in runs that are for no tag; `{{version}}` is the short commit there"
        );
        return leave(remark, merged);
    }
    all.sort_unstable();
    all.dedup();
    if let [tag, commit] = all.as_slice() {
        let version = tag.replace("{ref}", "{version}");
        if version != **tag && version == commit.replace("{revision7}", "{version}") {
            let remark = format!(
                "{at}: the {kind} {name} is the tag in runs for one and the short commit in others: `{{version}}` is both, \
                 without a leading v"
            );
            merged.common.insert(name.to_owned(), version);
            return leave(remark, merged);
        }
    }
    let all = all.join(", ");
    leave(
        format!(
            "{at}: the {kind} {name} is {all} by event or by row: write it under `[[images.NAME.override]]`"
        ),
        merged,
    );
}

fn leave(remark: String, merged: &mut Merged) {
    if !merged.left.contains(&remark) {
        merged.left.push(remark);
    }
}

/// The value for a build, or why it cannot be carried. None: the build has none.
fn value(
    name: &str,
    built: &Built,
    axes: &Axes,
    platform: Option<&str>,
    of: fn(&Built) -> &Vec<(String, Text)>,
) -> Option<Result<String, String>> {
    let (_, text) = of(built).iter().rev().find(|(known, _)| known == name)?;
    let mend = |unknown: String| match text.secret() {
        Some(secret) => format!(
            "{unknown}, which everybody could read in the image: declare `secrets = {{ {name} = {{ env = \"{secret}\" }} }}` \
             and mount it in the Dockerfile"
        ),
        None => format!("{unknown}, which only a run can tell: write its value, or a placeholder"),
    };
    Some(text.template(&axes.names, platform).map_err(mend))
}

/// The folder and the Dockerfile of a build, the latter relative to the former.
///
/// # Errors
/// Why that cannot be carried.
pub(super) fn files(built: &Built) -> Result<(String, String), String> {
    let context = path(&built.context.plain());
    if built.context.is_unknown() {
        let unknown = built.context.unknowns().next().unwrap_or_default();
        return Err(format!("its context is {unknown}, which only a run can tell: write the folder"));
    }
    if context.contains("://") || context.starts_with("git@") {
        return Err(format!(
            "its context {context} is no folder of this repository: check it out as a submodule"
        ));
    }
    let Some(file) = &built.file else { return Ok((context, "Dockerfile".to_owned())) };
    if file.is_unknown() {
        let unknown = file.unknowns().next().unwrap_or_default();
        return Err(format!("its Dockerfile is {unknown}, which only a run can tell: write the path"));
    }
    let file = path(&file.plain());
    if context == "." {
        return Ok((context, file));
    }
    match file.strip_prefix(&format!("{context}/")) {
        Some(inside) => Ok((context.clone(), inside.to_owned())),
        None => Err(format!(
            "its Dockerfile {file} is outside of its context {context}: move it there, or build from `.`"
        )),
    }
}

/// A path without what changes nothing.
pub(super) fn path(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    match () {
        () if text.contains("://") => text.to_owned(),
        () if parts.is_empty() => ".".to_owned(),
        () => parts.join("/"),
    }
}
