//! What expressions may name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::init::workflow::text::{Map, Missing, Value};

/// What expressions are, as far as a file tells, in all places in which they stand.
pub(super) type Logged = BTreeMap<String, BTreeSet<String>>;

/// The same while a workflow is read.
pub(super) type Log = Rc<RefCell<Logged>>;

/// The most expressions that are kept in mind.
const MOST: usize = 2000;

/// The contexts of a place in a workflow.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    roots: Map,
    log: Log,
}

impl Scope {
    pub(super) fn new(github: Value, log: Log) -> Self {
        let mut scope = Self { roots: Map::open(Vec::new()), log };
        scope.set("github", github);
        scope.set("secrets", Value::Map(Map { pairs: Vec::new(), missing: Missing::Secret }));
        scope.set("env", Value::Map(Map::open(Vec::new())));
        scope.set("steps", Value::Map(Map::open(Vec::new())));
        scope.set("needs", Value::Map(Map::open(Vec::new())));
        scope.set("matrix", Value::Map(Map::default()));
        scope.set("inputs", Value::Map(Map::default()));
        scope
    }

    /// Keeps in mind what an expression is; placeholders are the same for each tag.
    pub(super) fn log(&self, expression: &str, value: &Value) {
        let value = match value {
            Value::Text(text) => text.template(&BTreeMap::new(), None).ok(),
            value => value.truth().map(|truth| truth.to_string()),
        };
        let mut log = self.log.borrow_mut();
        if let Some(value) = value.filter(|value| value.len() < MOST && log.len() < MOST) {
            log.entry(expression.trim().to_owned()).or_default().insert(value);
        }
    }

    /// What a name of a context stands for.
    pub(super) fn get(&self, name: &str) -> Value {
        self.roots.get(name)
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.roots.set(name, value);
    }

    pub(super) fn map(&self, name: &str) -> Map {
        match self.roots.get(name) {
            Value::Map(map) => map,
            _ => Map::default(),
        }
    }

    /// Sets one name of a context.
    pub(super) fn put(&mut self, root: &str, name: &str, value: Value) {
        let mut map = self.map(root);
        map.set(name, value);
        self.set(root, Value::Map(map));
    }
}
