//! Image x track x composer mode x axes, less what is excluded.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ids::{CellId, Name};
use crate::matrix::diagnostic::Located;
use crate::matrix::model::{
    Axis, ComposerMode, Image, Matrix, Need, PlatformDef, RefSpec, Selector, TagSpec, Track,
};

/// A cell before anything of it is resolved.
#[derive(Debug, Clone)]
pub struct CellSpec<'m> {
    /// Its id.
    pub id: CellId,
    /// The image.
    pub image: &'m Image,
    /// The track, unless the image has its own version.
    pub track: Option<&'m Track>,
    /// The composer mode, if it has one.
    pub composer: Option<&'m ComposerMode>,
    /// Its value on each axis of the image, in the order of the file.
    pub axes: Vec<(&'m Name, &'m Name)>,
    /// Its platforms.
    pub platforms: Vec<&'m PlatformDef>,
    /// The context's name and the cell that it is made from.
    pub needs: Vec<(Name, CellId)>,
    /// 0 needs nothing, 1 needs something of wave 0, and so on.
    pub wave: usize,
}

/// A cell that is left out.
#[derive(Debug, Clone)]
pub struct ExcludedSpec<'m> {
    /// Its id.
    pub id: CellId,
    /// Why.
    pub reason: &'m str,
}

impl<'m> CellSpec<'m> {
    /// Where its version comes from.
    pub fn reference(&self) -> &'m Located<RefSpec> {
        static NOTHING: Located<RefSpec> = Located { value: RefSpec::SelfRef, span: 0..0 };
        let own = self.image.own.as_ref().map(|own| &own.reference);
        own.or_else(|| self.track.map(|track| &track.reference)).unwrap_or(&NOTHING)
    }

    /// A part of it: `image`, `track`, `composer` or an axis.
    pub fn part(&self, name: &str) -> Option<&'m str> {
        match name {
            "image" => Some(self.image.name.as_str()),
            "track" => self.track.map(|track| track.name.as_str()),
            "composer" => self.composer.map(|mode| mode.name.as_str()),
            axis => self.axes.iter().find(|(name, _)| name.as_str() == axis).map(|(_, value)| value.as_str()),
        }
    }

    /// Whether a selector means it, or, with an architecture, its build for that.
    pub fn fits(&self, selector: &Selector, arch: Option<&Name>) -> bool {
        selector.fits(|name| if name == "arch" { arch.map(Name::as_str) } else { self.part(name) })
    }

    /// Its tags as written.
    pub fn tags(&self) -> &'m [TagSpec] {
        let own = self.image.own.as_ref().map(|own| own.tags.as_slice());
        own.or_else(|| self.track.map(|track| track.tags.as_slice())).unwrap_or_default()
    }
}

/// All cells of a valid matrix in the order of waves, then of the file; and those that are excluded.
pub fn cells(matrix: &Matrix) -> (Vec<CellSpec<'_>>, Vec<ExcludedSpec<'_>>) {
    let mut excluded = Vec::new();
    let mut kept = Vec::new();
    for cell in combinations(matrix) {
        match matrix.excludes.iter().find(|exclude| cell.fits(&exclude.cells, None)) {
            Some(exclude) => excluded.push(ExcludedSpec { id: cell.id, reason: &exclude.reason }),
            None => kept.push(cell),
        }
    }
    let waves = waves(matrix);
    for cell in &mut kept {
        cell.wave = waves.get(&cell.image.name).copied().unwrap_or_default();
    }
    kept.sort_by_key(|cell| cell.wave);
    (kept, excluded)
}

/// Every combination, excluded or not.
pub(super) fn combinations(matrix: &Matrix) -> Vec<CellSpec<'_>> {
    let mut cells = Vec::new();
    for image in &matrix.images {
        for track in optional(&image.tracks, &matrix.tracks, |track| &track.name) {
            for composer in optional(&image.composers, &matrix.composers, |mode| &mode.name) {
                for axes in products(&image.axes) {
                    cells.push(cell(matrix, image, track, composer, axes));
                }
            }
        }
    }
    cells
}

/// What an image uses of a list; `None` once if it uses nothing of it.
fn optional<'m, T>(wanted: &[Name], all: &'m [T], name: impl Fn(&T) -> &Name) -> Vec<Option<&'m T>> {
    let chosen: Vec<Option<&'m T>> =
        all.iter().filter(|item| wanted.contains(name(item))).map(Some).collect();
    if chosen.is_empty() { vec![None] } else { chosen }
}

/// Every combination of the values of some axes; the last axis changes first. No axis: one combination of nothing.
fn products(axes: &[Axis]) -> Vec<Vec<(&Name, &Name)>> {
    axes.iter().fold(vec![Vec::new()], |so_far, axis| {
        let longer = |values: &Vec<_>| {
            let values = values.clone();
            axis.values.iter().map(move |value| [values.as_slice(), &[(&axis.name, value)]].concat())
        };
        so_far.iter().flat_map(longer).collect()
    })
}

fn cell<'m>(
    matrix: &'m Matrix,
    image: &'m Image,
    track: Option<&'m Track>,
    composer: Option<&'m ComposerMode>,
    axes: Vec<(&'m Name, &'m Name)>,
) -> CellSpec<'m> {
    let platforms = matrix.platforms.iter().filter(|platform| image.platforms.contains(&platform.name));
    let parts = [Some(&image.name), track.map(|track| &track.name), composer.map(|mode| &mode.name)];
    let parts = parts.into_iter().flatten().chain(axes.iter().map(|(_, value)| *value));
    let mut cell = CellSpec {
        id: CellId::from_parts(parts),
        image,
        track,
        composer,
        platforms: platforms.collect(),
        axes,
        needs: Vec::new(),
        wave: 0,
    };
    let needs = image.needs.iter().filter_map(|need| {
        let needed = matrix.images.iter().find(|other| other.name == need.image)?;
        Some((need.context.clone(), needed_id(need, needed, &cell)))
    });
    cell.needs = needs.collect();
    cell
}

/// The cell of a needed image that goes with a cell: of the same track, mode and axes, as far as it has any.
pub(super) fn needed_id(need: &Need, needed: &Image, cell: &CellSpec<'_>) -> CellId {
    let track =
        need.track.as_ref().or(cell.track.map(|track| &track.name)).filter(|_| !needed.tracks.is_empty());
    let composer = need
        .composer
        .as_ref()
        .or(cell.composer.map(|mode| &mode.name))
        .filter(|_| !needed.composers.is_empty());
    let axis = |axis: &Axis| -> Option<Name> {
        let own = need.axes.iter().find(|(name, _)| *name == axis.name);
        let text = match own {
            Some((_, template)) => template.expand(|name| cell.part(name).map(str::to_owned)).ok()?,
            None => cell.part(axis.name.as_str())?.to_owned(),
        };
        text.parse().ok()
    };
    let axes: Vec<Name> = needed.axes.iter().filter_map(axis).collect();
    CellId::from_parts([Some(&needed.name), track, composer].into_iter().flatten().chain(&axes))
}

/// The wave of each image: one more than the highest of what it needs. An image on a circle, or above one, has none.
pub(super) fn waves(matrix: &Matrix) -> BTreeMap<&Name, usize> {
    let mut missing: BTreeMap<&Name, usize> = BTreeMap::new();
    let mut above: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
    let known: BTreeSet<&Name> = matrix.images.iter().map(|image| &image.name).collect();
    for image in &matrix.images {
        // What refers to nothing is an error already, and must not hide circles.
        let needs: BTreeSet<&Name> =
            image.needs.iter().map(|need| &need.image).filter(|name| known.contains(name)).collect();
        missing.insert(&image.name, needs.len());
        for need in needs {
            above.entry(need).or_default().push(&image.name);
        }
    }
    let mut waves = BTreeMap::new();
    let mut open: Vec<&Name> =
        missing.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    for wave in 0.. {
        let mut next = Vec::new();
        for name in std::mem::take(&mut open) {
            waves.insert(name, wave);
            for other in above.get(name).into_iter().flatten() {
                if let Some(count) = missing.get_mut(other) {
                    *count -= 1;
                    if *count == 0 {
                        next.push(*other);
                    }
                }
            }
        }
        if next.is_empty() {
            break;
        }
        open = next;
    }
    waves
}
