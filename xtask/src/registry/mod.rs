//! What registries hold, read through `imagetools`.

pub mod attestations;
pub mod image_config;
pub mod manifest;

use anyhow::Result;

use crate::argv::buildx::Buildx;
use crate::argv::imagetools;
use crate::base::error::Fault;
use crate::base::ids::{Digest, Repository};
use crate::base::ui::Ui;
use crate::registry::attestations::Statements;
use crate::registry::manifest::Manifest;
use crate::run::{Finished, Runner, retry};

/// Reads from registries.
#[derive(Debug, Clone)]
pub struct Registry {
    /// buildx, which knows the user's credentials.
    pub buildx: Buildx,
    /// Runs it.
    pub runner: Runner,
    /// For retries.
    pub ui: Ui,
}

/// A manifest and its digest.
#[derive(Debug, Clone)]
pub struct Held {
    /// The SHA-256 of the bytes that the registry sent, which is what the digest means.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Registry {
    /// What a reference holds. `None`: the registry says that there is nothing.
    ///
    /// # Errors
    /// If the registry does not answer, refuses, or sends no manifest.
    pub fn read(&self, reference: &str) -> Result<Option<Held>> {
        self.read_while(reference, retry::is_temporary)
    }

    /// What a repository holds under a digest that was pushed before: registries may need a moment to show it.
    ///
    /// # Errors
    /// As [`Registry::read`], and if there is nothing, or something with another digest.
    pub fn expect(&self, repository: &Repository, digest: &Digest) -> Result<Held> {
        let reference = repository.at(digest);
        let held =
            self.read_while(&reference, |finished| retry::is_temporary(finished) || is_missing(finished))?;
        match held {
            None => Err(Fault::failed(format!("{repository} does not hold {digest}"))
                .help("build it again with the same plan: the registry has lost it, or the record names another repository's digest")
                .into()),
            Some(held) if held.digest != *digest => {
                Err(Fault::failed(format!("{repository} answers {} when asked for {digest}", held.digest)).into())
            }
            Some(held) => Ok(held),
        }
    }

    /// What buildx makes of a reference, by a Go template.
    ///
    /// # Errors
    /// As [`Registry::read`], and if there is nothing.
    pub fn describe(&self, reference: &str, template: &str) -> Result<Vec<u8>> {
        let argv = imagetools::describe(&self.buildx, reference, template);
        Ok(retry::check(&self.runner, self.ui, &argv)?.stdout)
    }

    /// The kinds of statements in the attestation of an image that an index lists.
    ///
    /// # Errors
    /// If it has none, or one that is about something else.
    pub fn statements(
        &self,
        repository: &Repository,
        index: &Manifest,
        image: &Digest,
    ) -> Result<Statements> {
        let entry = index.attestations(image).next();
        let entry = entry.ok_or_else(|| Fault::failed(format!("{image} has no attestation")))?;
        let held = self.expect(repository, &entry.digest)?;
        Statements::of(&held.manifest, image)
    }

    fn read_while(&self, reference: &str, again: impl Fn(&Finished) -> bool) -> Result<Option<Held>> {
        let argv = imagetools::raw(&self.buildx, reference);
        let finished = retry::run(&self.runner, self.ui, &argv, again)?;
        if finished.success() {
            let digest = Digest::of(&finished.stdout);
            let manifest = Manifest::parse(&finished.stdout)?;
            return Ok(Some(Held { digest, manifest, bytes: finished.stdout }));
        }
        if is_missing(&finished) {
            Ok(None)
        } else {
            Err(explain(&finished, &argv.purpose).unwrap_or_else(|| finished.fault(&argv)).into())
        }
    }
}

/// Whether a registry said that there is no such thing. It says the same of what it does not want to show.
fn is_missing(finished: &Finished) -> bool {
    let text = finished.stderr.to_lowercase();
    finished.timed_out.is_none()
        && (text.contains(": not found")
            || text.contains("manifest unknown")
            || text.contains("name unknown"))
}

/// Failures that have a known mend.
fn explain(finished: &Finished, purpose: &str) -> Option<Fault> {
    let last = finished.stderr.lines().rev().find(|line| !line.trim().is_empty())?.trim();
    if retry::is_temporary(finished) {
        return Some(Fault::failed(format!("{purpose}: the registry does not answer: {last}")).help(
            "check that it runs and can be reached from here; `cargo xtask local up` starts the local one",
        ));
    }
    None
}
