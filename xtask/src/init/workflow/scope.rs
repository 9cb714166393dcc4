//! What expressions may name.

use crate::init::workflow::text::{Map, Missing, Value};

/// The contexts of a place in a workflow.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    roots: Map,
}

impl Scope {
    pub(super) fn new(github: Value) -> Self {
        let mut scope = Self { roots: Map::open(Vec::new()) };
        scope.set("github", github);
        scope.set("secrets", Value::Map(Map { pairs: Vec::new(), missing: Missing::Secret }));
        scope.set("env", Value::Map(Map::open(Vec::new())));
        scope.set("steps", Value::Map(Map::open(Vec::new())));
        scope.set("needs", Value::Map(Map::open(Vec::new())));
        scope.set("matrix", Value::Map(Map::default()));
        scope.set("inputs", Value::Map(Map::default()));
        scope
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
