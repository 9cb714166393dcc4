//! What is written down about the stack: `target/xtask/local/state.json`.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};

use crate::base::context::Layout;
use crate::base::files;
use crate::local::process;

/// How the services run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    Processes,
    Containers,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The registry's port on loopback.
    pub(super) port: u16,
    /// Set from the moment that something is started.
    pub(super) mode: Option<Mode>,
    /// Set when everything that was started has come up: an `up` that was killed half way does not count.
    #[serde(default)]
    pub(super) ready: bool,
    pub(super) processes: Vec<process::Id>,
    /// `DOCKER_HOST` when the containers were started: they are stopped where they run.
    #[serde(default)]
    pub(super) docker_host: Option<String>,
    /// What `docker buildx inspect` said of the builder when it had come up: its driver, version and platforms.
    #[serde(default)]
    pub(super) builder: Option<String>,
    /// Whether BuildKit looks for Docker Hub's images among our stand-ins first.
    pub(super) offline: bool,
}

impl State {
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            mode: None,
            ready: false,
            processes: Vec::new(),
            docker_host: None,
            builder: None,
            offline: false,
        }
    }

    pub(super) fn registry(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A state that cannot be understood counts as none: its services, if any, keep their port, and we take another.
    pub(super) fn read(layout: &Layout) -> Result<Option<Self>> {
        let bytes = files::read_optional(&layout.local().join("state.json"))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    pub(super) fn write(&self, layout: &Layout) -> Result<()> {
        files::write_json(&layout.local().join("state.json"), self)
    }
}

/// Only one process at a time changes the stack. Released when dropped, or when the process dies.
pub(super) fn lock(layout: &Layout) -> Result<File> {
    // Beside the data, not in it: `down --purge` removes that.
    let path = layout.local().with_extension("lock");
    let folder = path.parent().unwrap_or(&layout.root);
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    file.lock().context("waiting for another command to finish with the local stack")?;
    Ok(file)
}
