//! Which keys of a matrix are axes of an image: those that decide neither its platform and runner nor what it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::template::PLACEHOLDERS;
use crate::init::found;
use crate::init::workflow::built::Built;

/// The values of the axes of one build, by the key of the matrix.
pub(super) type Cell = BTreeMap<String, String>;

/// The axes of an image.
#[derive(Debug, Default)]
pub(super) struct Axes {
    /// The key of each with the name that it gets.
    pub(super) names: BTreeMap<String, String>,
    /// By key, in the order of the matrix.
    pub(super) values: BTreeMap<String, Vec<String>>,
    /// The combinations that are built.
    pub(super) cells: BTreeSet<Cell>,
    /// What cannot be carried.
    pub(super) left: Vec<String>,
}

impl Axes {
    /// Finds the axes among the keys of some builds of one image.
    pub(super) fn of(builds: &[&Built]) -> Self {
        let mut axes = Self::default();
        let mut keys: Vec<&String> = builds.iter().flat_map(|built| built.row.keys()).collect();
        keys.sort();
        keys.dedup();
        let deciding: BTreeSet<&str> = builds.iter().flat_map(|built| deciding(built)).collect();
        let used: BTreeSet<&str> = builds.iter().flat_map(|built| used(built)).collect();
        keys.retain(|key| {
            !deciding.contains(key.as_str())
                && builds.iter().all(|built| built.row.contains_key(*key))
                && values(builds, key).len() > 1
                && !determined(builds, key, &|built| vec![platform(built)])
        });
        // A name or a number of a row says nothing that another key does not say.
        for key in keys.clone().into_iter().filter(|key| !used.contains(key.as_str())) {
            let others: Vec<&String> = keys.iter().copied().filter(|other| *other != key).collect();
            let cell =
                |built: &Built| others.iter().filter_map(|other| built.row.get(*other).cloned()).collect();
            if !others.is_empty() && determined(builds, key, &cell) {
                keys = others;
            }
        }
        for key in keys {
            axes.add(builds, key);
        }
        axes.cells = builds.iter().map(|built| axes.cell(&built.row)).collect();
        axes
    }

    fn add(&mut self, builds: &[&Built], key: &str) {
        let name = found::name(&key.replace('.', "-"));
        // The same words as in `matrix/images.rs`.
        let reserved = PLACEHOLDERS.contains(&name.as_str())
            || matches!(name.as_str(), "on" | "reason" | "build-args" | "labels" | "annotations");
        let name = if reserved { format!("matrix-{name}") } else { name };
        let values = values(builds, key);
        for value in &values {
            let valid = found::name(value);
            if &valid != value {
                self.left.push(format!(
                    "matrix.{key} has the value `{value}`, and a value of an axis is in lower case and without \
                     spaces: {{{name}}} is `{valid}`"
                ));
            }
        }
        self.names.insert(key.to_owned(), name);
        self.values.insert(key.to_owned(), values);
    }

    /// The part of a row that names a cell.
    pub(super) fn cell(&self, row: &BTreeMap<String, String>) -> Cell {
        row.iter()
            .filter(|(key, _)| self.names.contains_key(*key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// The axes with their values, as `matrix.toml` has them.
    pub(super) fn written(&self) -> BTreeMap<String, Vec<String>> {
        let one = |(key, values): (&String, &Vec<String>)| {
            let values = values.iter().map(|value| found::name(value)).collect();
            (self.names.get(key).cloned().unwrap_or_default(), values)
        };
        self.values.iter().map(one).collect()
    }

    /// The same for values of some axes.
    pub(super) fn named(&self, cell: &Cell) -> BTreeMap<String, String> {
        let one = |(key, value): (&String, &String)| Some((self.names.get(key)?.clone(), found::name(value)));
        cell.iter().filter_map(one).collect()
    }

    /// The combinations that are not built: as the matrix excludes them, else one by one.
    pub(super) fn left_out(&self, builds: &[&Built]) -> Vec<BTreeMap<String, String>> {
        let mut missing: Vec<Cell> = vec![Cell::new()];
        for (key, values) in &self.values {
            let longer = |cell: &Cell| {
                let one = |value: &String| {
                    let mut cell = cell.clone();
                    cell.insert(key.clone(), value.clone());
                    cell
                };
                values.iter().map(one).collect::<Vec<_>>()
            };
            missing = missing.iter().flat_map(longer).take(65_536).collect();
        }
        missing.retain(|cell| !self.cells.contains(cell));
        let mut found = Vec::new();
        for exclude in builds.iter().flat_map(|built| &built.left_out) {
            let covers = |cell: &Cell| exclude.iter().all(|(key, value)| cell.get(key) == Some(value));
            let ours = exclude.keys().all(|key| self.names.contains_key(key));
            if ours && !self.cells.iter().any(covers) && missing.iter().any(covers) {
                missing.retain(|cell| !covers(cell));
                found.push(self.named(exclude));
            }
        }
        found.extend(missing.iter().map(|cell| self.named(cell)));
        found
    }
}

/// The keys that decide what is built, where, and for what.
fn deciding(built: &Built) -> Vec<&str> {
    let texts = built.repositories.iter().chain([&built.context]).chain(&built.file).chain(&built.target);
    texts.chain(&built.platforms).chain(&built.runner).flat_map(|text| text.keys()).collect()
}

/// The keys whose values an image gets.
fn used(built: &Built) -> Vec<&str> {
    let pairs = built.args.iter().chain(&built.labels).chain(&built.annotations).chain(&built.contexts);
    pairs.map(|(_, text)| text).chain(&built.tags).flat_map(|text| text.keys()).collect()
}

/// The platforms of a build, or the runner where nothing is said about them.
pub(super) fn platform(built: &Built) -> String {
    let platforms: Vec<String> =
        built.platforms.iter().map(crate::init::workflow::text::Text::plain).collect();
    match (&built.runner, platforms.is_empty()) {
        (Some(runner), true) => runner.plain(),
        _ => platforms.join(","),
    }
}

/// The values of a key, in their order.
fn values(builds: &[&Built], key: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for value in builds.iter().filter_map(|built| built.row.get(key)) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    values
}

/// Whether something tells the value of a key.
fn determined(builds: &[&Built], key: &str, by: &dyn Fn(&Built) -> Vec<String>) -> bool {
    let mut told: BTreeMap<Vec<String>, &String> = BTreeMap::new();
    builds.iter().all(|built| match built.row.get(key) {
        Some(value) => *told.entry(by(built)).or_insert(value) == value,
        None => true,
    })
}
