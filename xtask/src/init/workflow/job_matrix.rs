//! The rows of `strategy.matrix`, see
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstrategymatrix>.

use crate::init::workflow::text::{Map, Value};

/// The most jobs of one matrix: GitHub's limit.
pub(super) const MOST: usize = 256;

/// A combination: the keys with their values.
pub(super) type Row = Vec<(String, Value)>;

/// The rows of a matrix, and what it leaves out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// The entries of `exclude`.
    pub(super) left_out: Vec<Row>,
    /// There are more than GitHub runs.
    pub(super) too_many: bool,
    /// Keys whose values only a run can tell.
    pub(super) unknown: Vec<String>,
}

/// Expands a matrix. Without one there is one row without keys.
pub(super) fn expand(matrix: &Value) -> Rows {
    let mut found = Rows { rows: vec![Row::new()], ..Rows::default() };
    let Value::Map(matrix) = matrix else {
        if !matches!(matrix, Value::Null) {
            found.unknown.push("matrix".to_owned());
        }
        return found;
    };
    let mut keys = 0;
    for (key, values) in &matrix.pairs {
        if matches!(key.as_str(), "include" | "exclude") {
            continue;
        }
        keys += 1;
        let values = match values {
            Value::List(values) => values.clone(),
            unknown => {
                found.unknown.push(key.clone());
                vec![unknown.clone()]
            }
        };
        let longer = |row: &Row, value: &Value| {
            let mut row = row.clone();
            row.push((key.clone(), value.clone()));
            row
        };
        let pairs = found.rows.iter().flat_map(|row| values.iter().map(move |value| longer(row, value)));
        // Exclusions may leave fewer, so that this is only what memory and time are limited to.
        let mut rows: Vec<Row> = pairs.take(MOST * 16 + 1).collect();
        found.too_many |= rows.len() > MOST * 16;
        rows.truncate(MOST * 16);
        found.rows = rows;
    }
    found.left_out = objects(&matrix.get("exclude"));
    found.rows.retain(|row| !found.left_out.iter().any(|exclude| is_excluded(row, exclude)));
    let includes = objects(&matrix.get("include"));
    if keys == 0 && !includes.is_empty() {
        found.rows.clear();
    }
    include(&mut found.rows, includes);
    for key in ["include", "exclude"] {
        if !matches!(matrix.get(key), Value::Null | Value::List(_)) {
            found.unknown.push(key.to_owned());
        }
    }
    found.too_many |= found.rows.len() > MOST;
    found.rows.truncate(MOST);
    for row in found.rows.iter_mut().chain(&mut found.left_out) {
        for (key, value) in row.iter_mut() {
            *value = std::mem::replace(value, Value::Null).of_matrix(key);
        }
    }
    found
}

/// An entry extends each combination of which it changes no value; one that extends none is a row of its own.
fn include(rows: &mut Vec<Row>, includes: Vec<Row>) {
    let originals = rows.clone();
    for entry in includes.into_iter().take(MOST) {
        let mut extended = false;
        for (row, original) in rows.iter_mut().zip(&originals) {
            let fits = |(key, value): &(String, Value)| {
                original.iter().all(|(known, old)| known != key || same(old, value))
            };
            if entry.iter().all(fits) {
                extended = true;
                let mut map = Map::closed(std::mem::take(row));
                entry.iter().for_each(|(key, value)| map.set(key, value.clone()));
                *row = map.pairs;
            }
        }
        if !extended {
            rows.push(entry);
        }
    }
}

/// Whether a row has all that an entry of `exclude` names.
fn is_excluded(row: &Row, exclude: &Row) -> bool {
    let has = |(key, wanted): &(String, Value)| {
        row.iter().any(|(known, value)| known == key && contains(value, wanted))
    };
    !exclude.is_empty() && exclude.iter().all(has)
}

/// Of maps, `exclude` may name a part.
fn contains(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Map(value), Value::Map(wanted)) => {
            wanted.pairs.iter().all(|(name, wanted)| contains(&value.get(name), wanted))
        }
        _ => same(value, wanted),
    }
}

/// Whether two values are the same: `1` and `"1"` are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Map(_) | Value::List(_), _) | (_, Value::Map(_) | Value::List(_)) => one == other,
        _ => one.text().plain() == other.text().plain(),
    }
}

/// The maps of a list.
fn objects(value: &Value) -> Vec<Row> {
    let Value::List(values) = value else { return Vec::new() };
    let maps = values.iter().filter_map(|value| match value {
        Value::Map(map) => Some(map.pairs.clone()),
        _ => None,
    });
    maps.collect()
}

/// The keys of a row with their values as texts; those of a map are `key.name`.
pub(super) fn flat(row: &Row) -> Vec<(String, String)> {
    let mut flat = Vec::new();
    for (key, value) in row {
        match value {
            Value::Map(map) => {
                let inner = map.pairs.iter().map(|(name, value)| (format!("{key}.{name}"), value.clone()));
                flat.extend(inner.map(|(name, value)| (name, value.text().plain())));
            }
            Value::List(_) => {}
            value if value.text().is_unknown() => {}
            value => flat.push((key.clone(), value.text().plain())),
        }
    }
    flat
}

#[cfg(test)]
#[path = "job_matrix_tests.rs"]
mod tests;
