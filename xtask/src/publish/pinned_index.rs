//! Sets tags to exactly the bytes of an index, whatever the registry answers meanwhile.
//!
//! `imagetools create -t REPO:TAG REPO@DIGEST` pushes what it is sent for the digest and does not compare the two: a
//! registry or a proxy that sends something else once makes that the content of the tag, unsigned. Put together from the
//! descriptors that the index holds, the bytes are a matter of this machine alone.

use anyhow::{Context as _, Result};
use serde_json::Value;
use std::path::PathBuf;

use crate::argv::buildx::Buildx;
use crate::argv::imagetools::{self, Source};
use crate::base::error::Fault;
use crate::base::ids::{Digest, Repository, Tag};
use crate::publish::index::digest_of_dry_run;
use crate::registry::Held;
use crate::run::retry;
use crate::session::Session;

/// How often buildx is asked to put an index together.
const ATTEMPTS: usize = 3;

/// An index whose bytes can be had without the registry.
pub(crate) struct Exact<'a> {
    session: &'a Session,
    buildx: &'a Buildx,
    repository: &'a Repository,
    digest: Digest,
    source: Source,
    /// Holds the descriptors; removed in the end.
    folder: PathBuf,
}

impl<'a> Exact<'a> {
    /// Prepares the descriptors of an index of this tool, and makes sure that they give its digest.
    ///
    /// # Errors
    /// If they do not.
    pub(crate) fn of(
        session: &'a Session,
        buildx: &'a Buildx,
        repository: &'a Repository,
        held: &Held,
    ) -> Result<Self> {
        let exact = Self::prepare(session, buildx, repository, held)?;
        if exact.source == Source::Registry {
            return Err(Fault::failed(format!(
                "buildx does not put {} together again",
                repository.at(&held.digest)
            ))
            .help("run it again; if it stays so, this version of buildx writes indexes in another form")
            .into());
        }
        Ok(exact)
    }

    /// The same, of an index that any tool may have made: where its bytes cannot be put together again, the registry is
    /// trusted to send them.
    pub(crate) fn of_any(
        session: &'a Session,
        buildx: &'a Buildx,
        repository: &'a Repository,
        held: &Held,
    ) -> Result<Self> {
        Self::prepare(session, buildx, repository, held)
    }

    fn prepare(
        session: &'a Session,
        buildx: &'a Buildx,
        repository: &'a Repository,
        held: &Held,
    ) -> Result<Self> {
        let name = Digest::of(format!("{repository} {} {}", held.digest, std::process::id()).as_bytes());
        let folder = session.layout.logs().join(format!("{}.descriptors", name.hex()));
        let digest = held.digest.clone();
        let mut exact = Self { session, buildx, repository, digest, source: Source::Registry, folder };
        if !held.manifest.is_index() {
            return Ok(exact);
        }
        let index: Value = serde_json::from_slice(&held.bytes).context("an index is JSON")?;
        let mut files = Vec::new();
        for (number, entry) in
            index.get("manifests").and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            let file = exact.folder.join(format!("{number}.json"));
            crate::base::files::write_json(&file, entry)?;
            files.push(file);
        }
        let annotations = held.manifest.annotations.clone().into_iter().collect();
        let parts = Source::Parts { files, annotations };
        for _ in 0..ATTEMPTS {
            let argv = imagetools::rebuild(buildx, repository, &held.digest, &parts);
            let printed = retry::check(&session.runner, session.ui, &argv)?;
            if digest_of_dry_run(&printed.stdout) == held.digest {
                exact.source = parts;
                break;
            }
        }
        Ok(exact)
    }

    /// Sets a tag.
    ///
    /// # Errors
    /// If the registry refuses, or does not answer for long.
    pub(crate) fn tag(&self, tag: &Tag) -> Result<()> {
        let argv = imagetools::tag(self.buildx, self.repository, &self.digest, tag, &self.source);
        retry::check(&self.session.runner, self.session.ui, &argv).map(drop)
    }
}

impl Drop for Exact<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
