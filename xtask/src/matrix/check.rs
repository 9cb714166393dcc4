//! What only the whole matrix can tell: names that refer to nothing, cycles, cells that cannot be.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ids::{CellId, Name};
use crate::matrix::cells::{CellSpec, ExcludedSpec, cells, combinations, needed_id, waves};
use crate::matrix::diagnostic::Diagnostic;
use crate::matrix::model::{Image, Matrix, Need, PlatformDef};

/// The most cells of a matrix.
const MOST: usize = 20_000;

/// The errors between the parts of a matrix. It may have gaps, where something is wrong already:
/// then `clear` says whether they leave it clear which cells there are.
pub(super) fn check(matrix: &Matrix, clear: bool) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    platforms(matrix, &mut errors);
    let circle = circles(matrix, &mut errors);
    if too_many(matrix, &mut errors) {
        return errors;
    }
    if clear {
        let all = combinations(matrix);
        excludes(matrix, &all, &mut errors);
        overrides(&all, &mut errors);
        let distinct = ids(&all, &mut errors);
        if distinct && !circle {
            needed_cells(matrix, &mut errors);
        }
    }
    errors
}

/// More cells than anybody wants: an axis too many multiplies them beyond what a machine can hold.
fn too_many(matrix: &Matrix, errors: &mut Vec<Diagnostic>) -> bool {
    let mut total: usize = 0;
    for image in &matrix.images {
        let lengths = [image.tracks.len(), image.composers.len()].into_iter();
        let lengths = lengths.chain(image.axes.iter().map(|axis| axis.values.len()));
        let cells = lengths.map(|length| length.max(1)).fold(1, usize::saturating_mul);
        total = total.saturating_add(cells);
        if total > MOST {
            let message = format!("with the image {} there are more than {MOST} cells", image.name);
            let help = "an image has as many as its tracks, composer modes and axes multiply to";
            errors.push(Diagnostic::new(image.span.clone(), message).help(help));
            return true;
        }
    }
    false
}

fn platforms(matrix: &Matrix, errors: &mut Vec<Diagnostic>) {
    for (index, platform) in matrix.platforms.iter().enumerate() {
        let this = &platform.platform;
        // `linux/arm64` and `linux/arm64/v8` are one.
        let same =
            |other: &&PlatformDef| other.platform.matches(this.os(), this.architecture(), this.variant());
        if let Some(other) = matrix.platforms.iter().take(index).find(same) {
            let message = format!("`{}` and `{}` are both {this}", other.name, platform.name);
            errors.push(Diagnostic::new(platform.span.clone(), message));
        }
    }
}

fn excludes(matrix: &Matrix, all: &[CellSpec<'_>], errors: &mut Vec<Diagnostic>) {
    // Of several that match a cell the first one leaves it out.
    let first =
        |cell: &CellSpec<'_>| matrix.excludes.iter().position(|exclude| cell.fits(&exclude.cells, None));
    let used: BTreeSet<usize> = all.iter().filter_map(first).collect();
    let unused = matrix.excludes.iter().enumerate().filter(|(index, _)| !used.contains(index));
    for (_, exclude) in unused {
        let matches = all.iter().any(|cell| cell.fits(&exclude.cells, None));
        let message = if matches {
            "this [[exclude]] matches only cells that an earlier one leaves out"
        } else {
            "this [[exclude]] matches no cell"
        };
        let diagnostic = Diagnostic::new(exclude.span.clone(), message);
        errors.push(diagnostic.help("remove it, or correct what it names"));
    }
}

/// Overrides that no build of their image matches.
fn overrides(all: &[CellSpec<'_>], errors: &mut Vec<Diagnostic>) {
    let mut images: BTreeMap<&Name, Vec<&CellSpec<'_>>> = BTreeMap::new();
    for cell in all {
        images.entry(&cell.image.name).or_default().push(cell);
    }
    for cells in images.values() {
        let Some(image) = cells.first().map(|cell| cell.image) else { continue };
        for entry in &image.overrides {
            let mut builds =
                cells.iter().flat_map(|cell| cell.platforms.iter().map(move |platform| (cell, platform)));
            if !builds.any(|(cell, platform)| cell.fits(&entry.builds, Some(&platform.name))) {
                let message = format!("this override matches no build of the image {}", image.name);
                errors.push(
                    Diagnostic::new(entry.span.clone(), message).help("remove it, or correct what it names"),
                );
            }
        }
    }
}

/// Images that need each other, once for each circle. Says whether there is one.
fn circles(matrix: &Matrix, errors: &mut Vec<Diagnostic>) -> bool {
    let mut reported: Vec<Name> = Vec::new();
    // What has a wave stands on no circle, so the search is short.
    let waves = waves(matrix);
    for image in matrix.images.iter().filter(|image| !waves.contains_key(&image.name)) {
        if reported.contains(&image.name) {
            continue;
        }
        let around = |need: &Need| path_back(matrix, &need.image, &image.name, &mut BTreeSet::new());
        if let Some((need, path)) = image.needs.iter().find_map(|need| Some((need, around(need)?))) {
            let words: Vec<&str> =
                std::iter::once(image.name.as_str()).chain(path.iter().map(Name::as_str)).collect();
            let message = format!("images need each other in a circle: {}", words.join(" -> "));
            errors.push(Diagnostic::new(need.span.clone(), message));
            reported.extend(path);
        }
    }
    !reported.is_empty()
}

/// The way from an image to another one along `needs`.
fn path_back(matrix: &Matrix, from: &Name, to: &Name, seen: &mut BTreeSet<Name>) -> Option<Vec<Name>> {
    if from == to {
        return Some(vec![to.clone()]);
    }
    if !seen.insert(from.clone()) {
        return None;
    }
    let image = matrix.images.iter().find(|image| image.name == *from)?;
    let rest = image.needs.iter().find_map(|need| path_back(matrix, &need.image, to, seen))?;
    Some(std::iter::once(from.clone()).chain(rest).collect())
}

/// `a.b` + `c` and `a` + `b.c` would share an id. Says whether all differ.
fn ids(all: &[CellSpec<'_>], errors: &mut Vec<Diagnostic>) -> bool {
    let mut taken: BTreeMap<&CellId, &CellSpec<'_>> = BTreeMap::new();
    let before = errors.len();
    for cell in all {
        if cell.id.as_str().parse::<CellId>().is_err() {
            let message = format!("the id `{}` is longer than 128 characters", cell.id);
            errors.push(Diagnostic::new(cell.image.span.clone(), message).help("shorten one of its parts"));
        }
        if let Some(other) = taken.insert(&cell.id, cell) {
            let message =
                format!("two cells would have the id `{}`: {} and {}", cell.id, parts(other), parts(cell));
            let diagnostic = Diagnostic::new(cell.image.span.clone(), message);
            errors.push(diagnostic.help("rename one of these parts: a dot in a name also joins the parts"));
        }
    }
    errors.len() == before
}

/// The parts of a cell by name.
fn parts(cell: &CellSpec<'_>) -> String {
    let track = cell.track.map(|track| format!(" track {}", track.name)).unwrap_or_default();
    let composer = cell.composer.map(|mode| format!(" composer mode {}", mode.name)).unwrap_or_default();
    let axis = |(name, value): &(&Name, &Name)| format!(" {name} {value}");
    let axes: String = cell.axes.iter().map(axis).collect();
    format!("image {}{track}{composer}{axes}", cell.image.name)
}

/// Every need of every cell must lead to a cell of the image that it names.
fn needed_cells(matrix: &Matrix, errors: &mut Vec<Diagnostic>) {
    let (kept, excluded) = cells(matrix);
    let by_id: BTreeMap<&CellId, &CellSpec<'_>> = kept.iter().map(|cell| (&cell.id, cell)).collect();
    // Once for a need, however many cells have it.
    let mut done: Vec<&Need> = Vec::new();
    for cell in &kept {
        for need in &cell.image.needs {
            let Some(image) = matrix.images.iter().find(|image| image.name == need.image) else { continue };
            if done.iter().any(|other| other.span == need.span) {
                continue;
            }
            if let Some(message) = superfluous(need, image) {
                errors.push(Diagnostic::new(need.span.clone(), message));
                done.push(need);
                continue;
            }
            let id = needed_id(need, image, cell);
            // Another image's cell may bear that id: it is not the one that is meant.
            let diagnostic = match by_id.get(&id) {
                Some(needed) if needed.image.name == need.image => missing_platform(cell, needed, need),
                Some(_) => Some(no_such_cell(cell, &id, need, "is a cell of another image")),
                None => Some(no_such_cell(cell, &id, need, &absence(&id, &excluded))),
            };
            if let Some(diagnostic) = diagnostic {
                errors.push(diagnostic);
                done.push(need);
            }
        }
    }
}

/// What a need names and the needed image does not have.
fn superfluous(need: &Need, image: &Image) -> Option<String> {
    let axis = need.axes.iter().find(|(name, _)| !image.axes.iter().any(|axis| axis.name == *name));
    let what = match (axis, &need.track, &need.composer) {
        (Some((name, _)), ..) => format!("an axis `{name}`"),
        (None, Some(_), _) if image.tracks.is_empty() => "a track".to_owned(),
        (None, _, Some(_)) if image.composers.is_empty() => "a composer mode".to_owned(),
        _ => return None,
    };
    Some(format!("the need names {what}, but the image {} has none", image.name))
}

/// Why there is no cell of an id.
fn absence(id: &CellId, excluded: &[ExcludedSpec<'_>]) -> String {
    let spec = excluded.iter().find(|spec| spec.id == *id);
    spec.map_or("does not exist".to_owned(), |spec| format!("is excluded: {}", spec.reason))
}

fn no_such_cell(cell: &CellSpec<'_>, id: &CellId, need: &Need, why: &str) -> Diagnostic {
    let message = format!("{} needs {id}, which {why}", cell.id);
    Diagnostic::new(need.span.clone(), message).help(
        "name its track, mode or axis: needs = { NAME = { image = \"…\", track = \"…\", composer = \"…\" } }",
    )
}

fn missing_platform(cell: &CellSpec<'_>, needed: &CellSpec<'_>, need: &Need) -> Option<Diagnostic> {
    let has = |name: &Name| needed.image.platforms.contains(name);
    let missing = cell.platforms.iter().map(|platform| &platform.name).filter(|name| !has(name));
    let missing: Vec<&str> = missing.map(Name::as_str).collect();
    if missing.is_empty() {
        return None;
    }
    let (this, other) = (&cell.image.name, &needed.image.name);
    let message = format!("{this} is built for {} but {other}, which it needs, is not", missing.join(", "));
    Some(Diagnostic::new(need.span.clone(), message))
}
