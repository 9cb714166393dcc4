//! What decides what an index is, beside the images that it joins.

use anyhow::Result;

use crate::base::ids::Repository;
use crate::base::inputs::{ANNOTATION, InputValues, Inputs};
use crate::plan::model::{Cell, Plan};
use crate::plan::pairs::Pair;

impl Cell {
    /// What decides what its index is, beside its images, and who has judged it.
    ///
    /// # Errors
    /// Never in practice: it is plain data.
    pub fn index_inputs(&self, plan: &Plan) -> Result<Inputs> {
        let mut values = InputValues::default();
        for Pair { key, value } in &self.annotations {
            let compared = self.volatile.iter().find(|one| one.key == *key);
            values.add(format!("index {ANNOTATION}{key}"), compared.map_or(value, |one| &one.value));
        }
        let lines = |all: &mut dyn Iterator<Item = &str>| all.collect::<Vec<_>>().join("\n");
        values.add("platforms", lines(&mut self.builds.iter().map(|build| build.platform.as_str())));
        values.add("repositories", lines(&mut self.repositories.iter().map(Repository::as_str)));
        values.add("signer", serde_json::to_string(&plan.sign)?);
        values.add("gates", serde_json::to_string(&plan.gates)?);
        Ok(Inputs::of(&values))
    }
}
