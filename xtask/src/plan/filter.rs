//! `--image`, `--track`, `--composer`, `--cell`, `--arch`: which part of a plan is meant.

use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::UserError;
use crate::base::ids::{CellId, Name};
use crate::plan::model::{Build, Cell, Plan};
use crate::plan::pairs::Pair;

/// What was asked for. An empty list asks for all; several values of one kind are alternatives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Images.
    pub images: Vec<Name>,
    /// Tracks.
    pub tracks: Vec<Name>,
    /// Composer modes.
    pub composers: Vec<Name>,
    /// Axes and the values asked for.
    pub axes: Vec<(Name, String)>,
    /// Cells.
    pub cells: Vec<CellId>,
    /// Short names or platforms.
    pub arches: Vec<String>,
}

impl Filter {
    /// The cell of an id.
    ///
    /// # Errors
    /// If the plan has none of that id.
    pub fn cell<'p>(plan: &'p Plan, id: &CellId) -> Result<&'p Cell> {
        let filter = Self { cells: vec![id.clone()], ..Self::default() };
        filter.cells(plan)?.into_iter().next().context("the plan lacks the cell")
    }

    /// Whether a cell is meant.
    pub fn wants(&self, cell: &Cell) -> bool {
        let one_of = |wanted: &[Name], found: Option<&Name>| {
            wanted.is_empty() || found.is_some_and(|name| wanted.contains(name))
        };
        one_of(&self.images, Some(&cell.image))
            && one_of(&self.tracks, cell.track.as_ref())
            && one_of(&self.composers, cell.composer.as_ref())
            && self.axes.iter().all(|(axis, _)| {
                let fits = |pair: &Pair| self.axes.iter().any(|(name, value)| is_at(pair, name, value));
                cell.axes.iter().any(|pair| pair.key == axis.as_str() && fits(pair))
            })
            && (self.cells.is_empty() || self.cells.contains(&cell.id))
    }

    /// Whether a build is one of those that `--arch` names. Without `--arch`, every one is.
    pub fn wants_arch(&self, build: &Build) -> bool {
        self.arches.is_empty()
            || self.arches.iter().any(|arch| arch == build.arch.as_str() || arch == build.platform.as_str())
    }

    /// The cells that are meant.
    ///
    /// # Errors
    /// If there is none, or if a name occurs nowhere in the plan. Where only cells are meant that get no tag in this run, there
    /// is nothing to do, unless one is named by its id.
    pub fn cells<'p>(&self, plan: &'p Plan) -> Result<Vec<&'p Cell>> {
        let cells: Vec<&Cell> = plan.cells.iter().filter(|cell| self.wants(cell)).collect();
        // Where nothing at all is in the plan, a name is only known from what gets no tag.
        let names = !(self.images.is_empty()
            && self.tracks.is_empty()
            && self.composers.is_empty()
            && self.axes.is_empty());
        let unknown = names && plan.excluded.iter().any(|excluded| excluded.untagged);
        let idle = plan.cells.is_empty() && !unknown || self.wants_untagged(plan);
        if cells.is_empty() && self.cells.is_empty() && idle {
            return Ok(cells);
        }
        self.check_names(plan)?;
        if cells.is_empty() && !plan.cells.is_empty() {
            return Err(UserError::invalid("no cell matches all of the filters together")
                .help(format!("the plan's cells: {}", join(plan.cells.iter().map(|cell| &cell.id))))
                .into());
        }
        Ok(cells)
    }

    /// Whether a cell is meant that gets no tag in this run: one with all these names among the parts of its id.
    fn wants_untagged(&self, plan: &Plan) -> bool {
        let axes = self.axes.iter().map(|(_, value)| value.as_str());
        let names = [&self.images, &self.tracks, &self.composers].into_iter().flatten().map(Name::as_str);
        let parts: Vec<String> = names.chain(axes).map(|name| format!(".{name}.")).collect();
        let has_all = |id: String| parts.iter().all(|part| id.contains(part.as_str()));
        let untagged = plan.excluded.iter().filter(|excluded| excluded.untagged);
        !parts.is_empty() && untagged.map(|excluded| format!(".{}.", excluded.cell)).any(has_all)
    }

    /// The plan with nothing but the cells that are meant and what they need.
    ///
    /// # Errors
    /// As [`Filter::cells`].
    pub fn narrow(&self, plan: &Plan) -> Result<Plan> {
        let mut kept = BTreeSet::new();
        for cell in self.cells(plan)? {
            kept.insert(&cell.id);
            kept.extend(needed(plan, cell));
        }
        let mut narrow = plan.clone();
        narrow.cells.retain(|cell| kept.contains(&cell.id));
        narrow.seal()
    }

    fn check_names(&self, plan: &Plan) -> Result<()> {
        let known = |kind: &str, wanted: &[Name], found: Vec<&Name>| -> Result<()> {
            match wanted.iter().find(|name| !found.contains(name)) {
                None => Ok(()),
                Some(name) => Err(unknown(kind, name.as_str(), &join(found.into_iter()))),
            }
        };
        known("image", &self.images, plan.cells.iter().map(|cell| &cell.image).collect())?;
        known("track", &self.tracks, plan.cells.iter().filter_map(|cell| cell.track.as_ref()).collect())?;
        known(
            "composer mode",
            &self.composers,
            plan.cells.iter().filter_map(|cell| cell.composer.as_ref()).collect(),
        )?;
        for (axis, value) in &self.axes {
            let pairs = || plan.cells.iter().flat_map(|cell| &cell.axes);
            if !pairs().any(|pair| is_at(pair, axis, value)) {
                let known = join(pairs().map(|pair| format!("{}={}", pair.key, pair.value)));
                return Err(unknown("axis value", &format!("{axis}={value}"), &known));
            }
        }
        for id in &self.cells {
            if let Some(excluded) = plan.excluded.iter().find(|excluded| excluded.cell == *id) {
                return Err(
                    UserError::invalid(format!("the plan leaves out {id}: {}", excluded.reason)).into()
                );
            }
            if plan.cell(id).is_none() {
                return Err(unknown("cell", id.as_str(), &join(plan.cells.iter().map(|cell| &cell.id))));
            }
        }
        let builds = || plan.cells.iter().flat_map(|cell| &cell.builds);
        for arch in &self.arches {
            if !builds().any(|build| build.arch.as_str() == arch || build.platform.as_str() == arch) {
                return Err(unknown("architecture", arch, &join(builds().map(|build| &build.arch))));
            }
        }
        Ok(())
    }
}

/// All cells on which a cell stands, directly or not.
pub fn needed<'p>(plan: &'p Plan, cell: &'p Cell) -> BTreeSet<&'p CellId> {
    let by_id: BTreeMap<&CellId, &Cell> = plan.cells.iter().map(|cell| (&cell.id, cell)).collect();
    let mut found = BTreeSet::new();
    let mut open = vec![cell];
    while let Some(cell) = open.pop() {
        for id in cell.needs() {
            if found.insert(id) {
                open.extend(by_id.get(id));
            }
        }
    }
    found
}

fn is_at(pair: &Pair, axis: &Name, value: &str) -> bool {
    pair.key == axis.as_str() && pair.value == value
}

fn unknown(kind: &str, name: &str, known: &str) -> anyhow::Error {
    UserError::invalid(format!("the plan has no {kind} `{name}`"))
        .help(if known.is_empty() { "it has none".to_owned() } else { format!("it has: {known}") })
        .into()
}

/// The distinct names, in order, joined by commas.
fn join<T: ToString>(names: impl Iterator<Item = T>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for name in names.map(|name| name.to_string()) {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen.join(", ")
}
