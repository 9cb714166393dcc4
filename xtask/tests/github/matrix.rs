//! The rows of a matrix.
//! <https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations>

use super::value::Value;

/// `strategy` of a job, evaluated.
#[derive(Debug)]
pub struct Rows {
    /// The context `matrix` of each; `None` for a job without one.
    pub rows: Vec<Option<Value>>,
    pub fail_fast: bool,
    pub at_once: usize,
}

const MOST: usize = 256;

pub fn rows(strategy: Option<&Value>) -> Result<Rows, String> {
    let Some(strategy) = strategy else { return Ok(Rows { rows: vec![None], fail_fast: true, at_once: 1 }) };
    let Value::Object(entries) = strategy else { return Err("strategy: Unexpected value".to_owned()) };
    let fail_fast = match entries.get("fail-fast") {
        None => true,
        Some(Value::Bool(value)) => *value,
        Some(other) => return Err(format!("strategy.fail-fast: Unexpected value '{}'", other.to_text())),
    };
    let rows = match entries.get("matrix") {
        None => vec![None],
        Some(matrix) => expand(matrix)?.into_iter().map(Some).collect(),
    };
    let at_once = match entries.get("max-parallel") {
        None => rows.len(),
        Some(Value::Number(number)) if *number >= 1.0 => *number as usize,
        Some(other) => return Err(format!("strategy.max-parallel: Unexpected value '{}'", other.to_text())),
    };
    Ok(Rows { rows, fail_fast, at_once })
}

type Row = Vec<(String, Value)>;

fn expand(matrix: &Value) -> Result<Vec<Value>, String> {
    let Value::Object(matrix) = matrix else {
        return Err(format!("strategy.matrix: Unexpected value '{}'", matrix.to_text()));
    };
    let mut rows: Vec<Row> = Vec::new();
    let vectors: Vec<_> =
        matrix.entries.iter().filter(|(key, _)| key != "include" && key != "exclude").collect();
    for (at, (name, values)) in vectors.iter().enumerate() {
        let Value::Array(values) = values else {
            return Err(format!("strategy.matrix.{name}: A sequence was not expected or the value is none"));
        };
        if values.items.is_empty() {
            return Err(format!("Matrix vector '{name}' does not contain any values"));
        }
        let before = if at == 0 { vec![Row::new()] } else { rows };
        let product = before.iter().flat_map(|row| {
            values.items.iter().map(|value| {
                let mut row = row.clone();
                row.push((name.clone(), value.clone()));
                row
            })
        });
        rows = product.take(100_000).collect();
    }
    let excludes = filters(matrix.get("exclude"), "exclude")?;
    rows.retain(|row| {
        !excludes.iter().any(|exclude| exclude.iter().all(|(key, value)| has(row, key, value)))
    });
    let include = filters(matrix.get("include"), "include")?;
    let originals = rows.clone();
    for more in include {
        let mut fits = false;
        for (row, original) in rows.iter_mut().zip(&originals) {
            // What was in the row from the begin is not overwritten, what another `include` has added is.
            if more.iter().all(|(key, value)| get(original, key).is_none_or(|own| same(own, value))) {
                fits = true;
                for (key, value) in &more {
                    match row.iter_mut().find(|(name, _)| name == key) {
                        Some(entry) => entry.1 = value.clone(),
                        None => row.push((key.clone(), value.clone())),
                    }
                }
            }
        }
        if !fits {
            rows.push(more);
        }
    }
    if rows.is_empty() {
        return Err("Matrix must define at least one vector".to_owned());
    }
    if rows.len() > MOST {
        return Err(format!("Matrix has {} rows, of at most {MOST} per workflow run", rows.len()));
    }
    Ok(rows.into_iter().map(Value::object).collect())
}

fn filters(value: Option<&Value>, name: &str) -> Result<Vec<Row>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let Value::Array(items) = value else { return Err(format!("strategy.matrix.{name}: Unexpected value")) };
    let rows = items.items.iter().map(|item| match item {
        Value::Object(object) => Ok(object.entries.clone()),
        _ => Err(format!("strategy.matrix.{name}: Unexpected value '{}'", item.to_text())),
    });
    rows.collect()
}

fn get<'r>(row: &'r Row, key: &str) -> Option<&'r Value> {
    row.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

fn has(row: &Row, key: &str, value: &Value) -> bool {
    get(row, key).is_some_and(|own| same(own, value))
}

fn same(one: &Value, two: &Value) -> bool {
    one.to_json() == two.to_json()
}

/// What stands in brackets behind the name of a job that has none of its own.
pub fn label(row: &Value) -> String {
    fn leaves(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(array) => array.items.iter().for_each(|item| leaves(item, found)),
            Value::Object(object) => object.entries.iter().for_each(|(_, value)| leaves(value, found)),
            other => found.push(other.to_text()),
        }
    }
    let mut found = Vec::new();
    leaves(row, &mut found);
    found.join(", ")
}
