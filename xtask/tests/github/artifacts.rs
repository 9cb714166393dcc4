//! Artifacts: files without modes, kept for some days.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};

/// An artifact that is there.
#[derive(Debug, Clone)]
pub struct Artifact {
    pub run: u64,
    pub attempt: u32,
    pub name: String,
    pub id: u64,
    /// Where its files are.
    pub folder: PathBuf,
    /// The day of the model's clock on which it goes.
    pub expires: u64,
    pub digest: String,
}

/// All artifacts of a repository.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    artifacts: Vec<Artifact>,
    serial: u64,
    today: u64,
}

/// Which one of them, and how it is put there.
#[derive(Debug)]
pub struct Upload<'u> {
    pub run: u64,
    pub attempt: u32,
    pub name: &'u str,
    pub overwrite: bool,
    pub days: u64,
}

impl Store {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), state: Mutex::default() }
    }

    /// Keeps files under their names in the artifact.
    ///
    /// A name is taken once in an attempt. A later attempt may take it again: the newest one is what is downloaded
    /// (`latest` in `packages/artifact` of actions/toolkit, "in the case of reruns").
    pub fn upload(&self, upload: &Upload<'_>, files: &[(String, PathBuf)]) -> Result<Artifact, String> {
        let mut state = self.state.lock().unwrap();
        let Upload { run, attempt, name, overwrite, days } = *upload;
        let today = state.today;
        let place =
            |artifact: &Artifact| artifact.run == run && artifact.name == name && artifact.expires > today;
        if overwrite && let Some(at) = state.artifacts.iter().rposition(place) {
            state.artifacts.remove(at);
        }
        if state.artifacts.iter().any(|artifact| place(artifact) && artifact.attempt == attempt) {
            return Err(
                "Failed to CreateArtifact: Received non-retryable error: Failed request: (409) Conflict: an artifact with \
                 this name already exists on the workflow run"
                    .to_owned(),
            );
        }
        state.serial += 1;
        let id = state.serial;
        let folder = self.folder.join(id.to_string());
        let mut sum = Sha256::new();
        for (inside, file) in files {
            let to = folder.join(inside);
            let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            sum.update(inside);
            sum.update(&bytes);
            fs::create_dir_all(to.parent().unwrap()).and_then(|()| fs::write(&to, bytes)).unwrap();
        }
        let digest = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let expires = today + days;
        let artifact = Artifact { run, attempt, name: name.to_owned(), id, folder, expires, digest };
        state.artifacts.push(artifact.clone());
        Ok(artifact)
    }

    /// The newest one of each name, by name.
    pub fn list(&self, run: u64) -> Vec<Artifact> {
        let state = self.state.lock().unwrap();
        let there = state.artifacts.iter().filter(|one| one.run == run && one.expires > state.today);
        let newest: std::collections::BTreeMap<&str, &Artifact> =
            there.map(|artifact| (artifact.name.as_str(), artifact)).collect();
        newest.into_values().cloned().collect()
    }

    /// Deletes artifacts of a run by name; says whether there were any.
    pub fn delete(&self, run: u64, name: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        let before = state.artifacts.len();
        state.artifacts.retain(|artifact| artifact.run != run || artifact.name != name);
        before != state.artifacts.len()
    }

    /// Lets days go by.
    pub fn advance(&self, days: u64) {
        self.state.lock().unwrap().today += days;
    }

    pub fn today(&self) -> u64 {
        self.state.lock().unwrap().today
    }
}
