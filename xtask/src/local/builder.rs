//! The builder of the local stack, as `docker buildx inspect` described it when it came up: as long as the stack runs, it
//! is the same one, and no build has to ask again.

use anyhow::Result;
use std::path::PathBuf;

use crate::argv::buildx::Buildx;
use crate::base::ids::Digest;
use crate::local::state::State;
use crate::local::{Local, Stack};
use crate::run::Output;
use crate::tools::Tool;

impl Local<'_> {
    /// What is known of a builder. `None`: it is not that of this stack, or nothing is known.
    ///
    /// # Errors
    /// If the state of the stack cannot be read.
    pub fn inspected(&self, buildx: &Buildx) -> Result<Option<String>> {
        let ours = buildx.builder == Some(self.builder()) && buildx.config == Some(self.buildx_config());
        let state = if ours { State::read(self.layout)? } else { None };
        Ok(state.filter(|state| state.ready).and_then(|state| state.builder))
    }

    /// Asks. An answer that lacks something is not kept: who needs it asks again, and hears why.
    pub(super) fn inspect(&self, stack: &Stack) -> Result<Option<String>> {
        let buildx = Buildx { builder: Some(stack.builder.clone()), ..self.buildx()? };
        let finished = self.runner.run(&buildx.inspect(), Output::Capture)?;
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        Ok(Some(text).filter(|text| finished.success() && text.contains("\nPlatforms:")))
    }

    /// buildx without a builder, with our own configuration.
    pub(super) fn buildx(&self) -> Result<Buildx> {
        Ok(Buildx {
            program: self.tools.get(Tool::Buildx)?.program,
            builder: None,
            config: Some(self.buildx_config()),
        })
    }

    pub(super) fn buildx_config(&self) -> PathBuf {
        self.layout.local().join("buildx")
    }

    /// One name per checkout: containers of two checkouts share an engine.
    pub(super) fn builder(&self) -> String {
        let data = self.layout.local();
        let checkout = data.ancestors().nth(3).unwrap_or(&data);
        let path = checkout.display().to_string();
        let hash: String = Digest::of(path.as_bytes()).hex().chars().take(10).collect();
        format!("xtask-{hash}")
    }
}
