//! Where and for what an image is built: its context, its Dockerfiles, its platforms and their runners.

use std::collections::{BTreeMap, BTreeSet};

use crate::init::found::Image;
use crate::init::workflow::axes::{Axes, Cell, platform};
use crate::init::workflow::built::Built;
use crate::init::workflow::settings::{files, path};
use crate::init::workflow::text::Text;

/// The context, the Dockerfile of each platform and the stage, which is that of each build: see `variants`.
pub(super) fn places(image: &mut Image, builds: &[&Built], left: &mut Vec<String>) {
    ".".clone_into(&mut image.context);
    let mut dockerfiles: Vec<(String, String)> = Vec::new();
    for built in builds {
        let (context, dockerfile) = match files(built) {
            Ok(found) => found,
            Err(why) => {
                left.push(format!("{}: {why}", built.at));
                let folder = path(&built.context.plain());
                if !built.context.is_unknown() && !folder.contains([':', '@']) {
                    image.context = folder;
                }
                continue;
            }
        };
        image.context = context;
        let pair = (platform(built), dockerfile);
        if !dockerfiles.contains(&pair) {
            dockerfiles.push(pair);
        }
        image.target = built.target.as_ref().filter(|target| !target.is_unknown()).map(Text::plain);
    }
    let platforms: BTreeSet<&String> = dockerfiles.iter().map(|(platform, _)| platform).collect();
    let names: BTreeSet<&String> = dockerfiles.iter().map(|(_, dockerfile)| dockerfile).collect();
    let usual = dockerfiles.iter().find(|(platform, _)| platform == "linux/amd64").or(dockerfiles.first());
    let usual = usual.map_or_else(|| "Dockerfile".to_owned(), |(_, dockerfile)| dockerfile.clone());
    if names.len() > 1
        && platforms.len() == dockerfiles.len()
        && !platforms.iter().any(|name| name.contains(','))
    {
        image.dockerfiles =
            dockerfiles.iter().filter(|(_, dockerfile)| *dockerfile != usual).cloned().collect();
    } else if names.len() > 1 {
        let names: Vec<String> = names.into_iter().cloned().collect();
        left.push(format!(
            "{}: the Dockerfile of {} is {} by the row of its matrix, and one image has one: declare an image of its own for \
             each; the first is written",
            image.origin,
            image.name,
            names.join(", ")
        ));
    }
    image.dockerfile = usual;
}

/// The platforms, each with the label of the runner that builds it natively.
pub(super) fn platforms(builds: &[&Built], left: &mut Vec<String>) -> BTreeMap<String, Option<String>> {
    let mut platforms: BTreeMap<String, Option<String>> = BTreeMap::new();
    let is_arm = |runner: &str| runner.to_lowercase().contains("arm") || runner.contains("aarch64");
    let on_arm = |built: &&Built| built.runner.as_ref().is_some_and(|runner| is_arm(&runner.plain()));
    for built in builds {
        let runner = built.runner.as_ref().filter(|runner| !runner.is_unknown()).map(Text::plain);
        for unknown in built.platforms.iter().filter(|one| one.is_unknown()).flat_map(Text::unknowns) {
            left.push(format!(
                "{}: a platform is {unknown}, which only a run can tell: declare it under [platforms]",
                built.at
            ));
        }
        let mut ours: Vec<String> =
            built.platforms.iter().filter(|one| !one.is_unknown()).map(Text::plain).map(usual).collect();
        if built.platforms.is_empty() && builds.iter().any(on_arm) {
            ours.push(if on_arm(built) { "linux/arm64" } else { "linux/amd64" }.to_owned());
        }
        let several = ours.len() > 1;
        for platform in ours {
            let native = runner.clone().filter(|runner| {
                !several || platform == if is_arm(runner) { "linux/arm64" } else { "linux/amd64" }
            });
            let known = platforms.entry(platform).or_default();
            *known = known.take().or(native);
        }
    }
    platforms
}

/// The usual name of a platform.
fn usual(platform: String) -> String {
    match platform.as_str() {
        "linux/arm64/v8" | "linux/aarch64" => "linux/arm64".to_owned(),
        "linux/x86_64" | "linux/x86-64" => "linux/amd64".to_owned(),
        _ => platform,
    }
}

/// Each cell should be built for the same platforms.
pub(super) fn cells(image: &Image, builds: &[&Built], axes: &Axes, left: &mut Vec<String>) {
    let mut of_cell: BTreeMap<Cell, BTreeSet<String>> = BTreeMap::new();
    for built in builds {
        let platforms = built.platforms.iter().map(Text::plain).map(usual);
        of_cell.entry(axes.cell(&built.row)).or_default().extend(platforms);
    }
    for (cell, platforms) in of_cell {
        let missing: Vec<&str> =
            image.platforms.keys().filter(|name| !platforms.contains(*name)).map(String::as_str).collect();
        if !missing.is_empty() && !platforms.is_empty() {
            let cell: Vec<String> =
                axes.named(&cell).iter().map(|(axis, value)| format!("{axis} {value}")).collect();
            left.push(format!(
                "{} is not built for {} with {}; each cell is built for all platforms of its image",
                image.name,
                missing.join(", "),
                cell.join(", ")
            ));
        }
    }
}
