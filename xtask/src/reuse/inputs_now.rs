//! The inputs of all builds as they are now, compared with those that a publication was made from.

use std::collections::BTreeMap;

use crate::base::ids::{CellId, Digest, Platform};
use crate::base::inputs::{BuildInputs, Sources};
use crate::base::parallel;
use crate::build::context_hash::{Snapshot, Snapshots};
use crate::build::inputs::{complete, stated};
use crate::plan::{Build, Cell, Kept, Plan};
use crate::reuse::bases::BaseImages;
use crate::reuse::published::Candidate;

/// The files of one build, or why they cannot be read.
type Files = Result<Snapshot, String>;

/// What the checkout holds.
#[derive(Debug)]
pub(super) struct InputsNow {
    /// The files of each build, cell by cell.
    files: BTreeMap<CellId, Vec<Files>>,
}

/// The images of the cells that are kept.
pub(super) type KeptImages = BTreeMap<CellId, Vec<(Platform, Digest)>>;

/// How a publication compares with the checkout.
#[derive(Debug)]
pub(super) struct Compared {
    /// What is not as it was, each as a phrase.
    pub(super) changes: Vec<String>,
    /// The hash of all files; none if some cannot be read.
    pub(super) files: Option<Digest>,
}

impl InputsNow {
    /// Reads each context once.
    pub(super) fn gather(cells: &[&Cell], snapshots: &Snapshots) -> Self {
        let builds: Vec<(&CellId, &Build)> =
            cells.iter().flat_map(|cell| cell.builds.iter().map(move |build| (&cell.id, build))).collect();
        let taken = parallel::map(&builds, parallel::default_jobs(), |(_, build)| {
            snapshots.take(build).map_err(|error| format!("{error:#}"))
        });
        let mut files: BTreeMap<CellId, Vec<Files>> = BTreeMap::new();
        for ((id, _), taken) in builds.into_iter().zip(taken) {
            files.entry(id.clone()).or_default().push(taken);
        }
        Self { files }
    }

    /// What is not as it was when a publication was made. `kept`: the images of the cells before, as far as they are kept.
    pub(super) fn changes(
        &self,
        plan: &Plan,
        cell: &Cell,
        candidate: &Candidate,
        bases: &BaseImages,
        kept: &KeptImages,
    ) -> Compared {
        let mut changes = Vec::new();
        let add = |changes: &mut Vec<String>, text: String| {
            if !changes.contains(&text) {
                changes.push(text);
            }
        };
        match cell.index_inputs(plan) {
            Ok(index) => {
                let told = index.changes(&candidate.inputs.index);
                told.iter().for_each(|change| add(&mut changes, change.to_string()));
            }
            Err(error) => add(&mut changes, format!("{error:#}")),
        }
        if candidate.claim.revision.ends_with("-dirty") && !plan.dirty() {
            add(&mut changes, "it was made from a checkout with uncommitted changes".to_owned());
        }
        let files = self.files.get(&cell.id).map(Vec::as_slice).unwrap_or_default();
        for (build, files) in cell.builds.iter().zip(files) {
            let Some(before) = candidate.inputs.builds.get(&build.arch) else {
                add(&mut changes, format!("the build for {} is new", build.arch));
                continue;
            };
            match compared(plan, cell, build, (files, before), bases, kept) {
                Ok(told) => told.into_iter().for_each(|text| add(&mut changes, text)),
                Err(why) => add(&mut changes, why),
            }
        }
        Compared { changes, files: self.hash(cell) }
    }

    /// Whether the files of a cell are those that were compared.
    pub(super) fn holds(&self, cell: &Cell, kept: &Kept) -> bool {
        self.hash(cell).is_some_and(|files| files == kept.files)
    }

    fn hash(&self, cell: &Cell) -> Option<Digest> {
        let mut text = String::new();
        for files in self.files.get(&cell.id)? {
            text += files.as_ref().ok()?.digest.as_str();
        }
        Some(Digest::of(text.as_bytes()))
    }
}

/// The changes of one build, or why it cannot be compared.
fn compared(
    plan: &Plan,
    cell: &Cell,
    build: &Build,
    (files, before): (&Files, &BuildInputs),
    bases: &BaseImages,
    kept: &KeptImages,
) -> Result<Vec<String>, String> {
    if let Some(unknown) = before.sources.unknown.first() {
        return Err(unknown.clone());
    }
    let files = files.as_ref().map_err(|why| format!("its files cannot be read: {why}"))?;
    if let Some(why) = files.uncompared() {
        return Err(why);
    }
    let mut needed = Vec::new();
    for need in &build.needs {
        let images = kept.get(&need.cell).map(Vec::as_slice).unwrap_or_default();
        let image = images.iter().find(|(platform, _)| *platform == build.platform);
        needed.push(image.ok_or_else(|| format!("needed image {} is rebuilt", need.cell))?.1.clone());
    }
    let mut images = BTreeMap::new();
    for (name, digest) in &before.sources.images {
        let now = if name.contains('@') { digest.clone() } else { bases.digest(name)? };
        images.insert(name.clone(), now);
    }
    let values = stated(cell, build, files, &needed).map_err(|error| format!("{error:#}"))?;
    let sources = Sources { images, ..before.sources.clone() };
    let now = complete(values, plan, build, sources);
    Ok(now.all.changes(&before.all).iter().map(ToString::to_string).collect())
}
