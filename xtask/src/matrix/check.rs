//! What only the whole matrix can tell: names that refer to nothing, cycles, cells that cannot be.

use std::collections::BTreeMap;

use super::cells::{CellSpec, cells, combinations, is_reachable};
use super::read::unknown;
use super::{Diagnostic, Diagnostics, Image, Located, Matrix, Need};
use crate::ids::{CellId, Name};

/// All errors of a matrix whose parts are each valid.
pub(super) fn check(matrix: &Matrix) -> Diagnostics {
    let mut errors = Vec::new();
    platforms(matrix, &mut errors);
    excludes(matrix, &mut errors);
    let cycle = needs(matrix, &mut errors);
    ids(matrix, &mut errors);
    if errors.is_empty() && !cycle {
        needed_cells(matrix, &mut errors);
    }
    Diagnostics(errors)
}

fn platforms(matrix: &Matrix, errors: &mut Vec<Diagnostic>) {
    for (index, platform) in matrix.platforms.iter().enumerate() {
        if let Some(other) =
            matrix.platforms.iter().take(index).find(|other| other.platform == platform.platform)
        {
            let message = format!("`{}` and `{}` are both {}", other.name, platform.name, platform.platform);
            errors.push(Diagnostic::new(platform.span.clone(), message));
        }
    }
}

fn excludes(matrix: &Matrix, errors: &mut Vec<Diagnostic>) {
    let all = combinations(matrix);
    let images: Vec<Name> = matrix.images.iter().map(|image| image.name.clone()).collect();
    let tracks: Vec<Name> = matrix.tracks.iter().map(|track| track.name.clone()).collect();
    let composers: Vec<Name> = matrix.composers.iter().map(|mode| mode.name.clone()).collect();
    for exclude in &matrix.excludes {
        let named = [
            ("image", &exclude.image, &images),
            ("track", &exclude.track, &tracks),
            ("composer mode", &exclude.composer, &composers),
        ];
        let wrong = named.into_iter().find_map(|(kind, name, known)| {
            let name = name.as_ref().filter(|name| !known.contains(name))?;
            Some(unknown(kind, &Located { value: name.to_string(), span: exclude.span.clone() }, known))
        });
        match wrong {
            Some(diagnostic) => errors.push(diagnostic),
            None if !is_reachable(exclude, &all) => {
                let diagnostic = Diagnostic::new(exclude.span.clone(), "this [[exclude]] matches no cell");
                errors.push(diagnostic.help("remove it, or correct what it names"));
            }
            None => {}
        }
    }
}

/// Needed images that are not there, and circles. Says whether there is one.
fn needs(matrix: &Matrix, errors: &mut Vec<Diagnostic>) -> bool {
    let names: Vec<Name> = matrix.images.iter().map(|image| image.name.clone()).collect();
    let mut circle = false;
    for image in &matrix.images {
        for need in &image.needs {
            if !names.contains(&need.image) {
                errors.push(unknown(
                    "image",
                    &Located { value: need.image.to_string(), span: need.span.clone() },
                    &names,
                ));
            } else if let Some(path) = path_back(matrix, &need.image, &image.name, &mut Vec::new()) {
                circle = true;
                let words: Vec<&str> =
                    std::iter::once(image.name.as_str()).chain(path.iter().map(Name::as_str)).collect();
                errors.push(Diagnostic::new(
                    need.span.clone(),
                    format!("images need each other in a circle: {}", words.join(" -> ")),
                ));
            }
        }
    }
    circle
}

/// The way from an image to another one along `needs`.
fn path_back(matrix: &Matrix, from: &Name, to: &Name, seen: &mut Vec<Name>) -> Option<Vec<Name>> {
    if from == to {
        return Some(vec![to.clone()]);
    }
    if seen.contains(from) {
        return None;
    }
    seen.push(from.clone());
    let image = matrix.images.iter().find(|image| image.name == *from)?;
    let rest = image.needs.iter().find_map(|need| path_back(matrix, &need.image, to, seen))?;
    Some(std::iter::once(from.clone()).chain(rest).collect())
}

/// `a.b` + `c` and `a` + `b.c` would share an id.
fn ids(matrix: &Matrix, errors: &mut Vec<Diagnostic>) {
    let mut taken: BTreeMap<CellId, &Name> = BTreeMap::new();
    for cell in combinations(matrix) {
        if let Some(other) = taken.insert(cell.id.clone(), &cell.image.name) {
            let message = format!(
                "two cells would have the id `{}`: of the images {other} and {}",
                cell.id, cell.image.name
            );
            errors.push(
                Diagnostic::new(cell.image.span.clone(), message).help("rename one of them without a dot"),
            );
        }
    }
}

fn needed_cells(matrix: &Matrix, errors: &mut Vec<Diagnostic>) {
    let (kept, excluded) = cells(matrix);
    for cell in &kept {
        for ((_, id), need) in cell.needs.iter().zip(&cell.image.needs) {
            match kept.iter().find(|other| other.id == *id) {
                Some(needed) => missing_platform(cell, needed, need, errors),
                None => {
                    let why = match excluded.iter().find(|spec| spec.id == *id) {
                        Some(spec) => format!("is excluded: {}", spec.reason),
                        None => "does not exist".to_owned(),
                    };
                    let diagnostic =
                        Diagnostic::new(need.span.clone(), format!("{} needs {id}, which {why}", cell.id));
                    // Once for a need, however many cells have it.
                    if errors.iter().any(|error| error.span == need.span) {
                        continue;
                    }
                    errors.push(diagnostic.help("name its track or mode: needs = { NAME = { image = \"…\", track = \"…\", composer = \"…\" } }"));
                }
            }
        }
    }
}

fn missing_platform(cell: &CellSpec<'_>, needed: &CellSpec<'_>, need: &Need, errors: &mut Vec<Diagnostic>) {
    let has = |image: &Image, name: &Name| image.platforms.contains(name);
    if let Some(platform) = cell.platforms.iter().find(|platform| !has(needed.image, &platform.name)) {
        let message = format!(
            "{} is built for {} but {}, which it needs, is not",
            cell.image.name, platform.name, needed.image.name
        );
        errors.push(Diagnostic::new(need.span.clone(), message));
    }
}
