//! A stand-in as an image: built and pushed to the local registry, and kept for the other checkouts of the same user.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

use crate::argv::buildx::Buildx;
use crate::argv::{Argv, Program};
use crate::base::files;
use crate::base::ids::{Digest, Platform};
use crate::local::Local;
use crate::run::Output;
use crate::tools::cache;

/// An image that is made for the local registry.
#[derive(Clone, Copy)]
pub(super) struct StandIn<'a> {
    pub(super) local: &'a Local<'a>,
    /// With the builder of the stack.
    pub(super) buildx: &'a Buildx,
    pub(super) platforms: &'a [Platform],
    /// What it is called there.
    pub(super) tags: &'a [String],
}

/// The platforms as buildx wants them.
pub(super) fn names(platforms: &[Platform]) -> String {
    platforms.iter().map(Platform::as_str).collect::<Vec<_>>().join(",")
}

/// An image as one file, an OCI layout in a tar archive.
pub(super) struct Archive {
    /// In this checkout, as long as it is needed.
    file: PathBuf,
    /// In the cache of the user.
    entry: String,
}

impl Archive {
    /// That of what `stamp` says an image is made from, with its files in `folder`.
    pub(super) fn of(folder: &Path, stamp: &str) -> Self {
        let entry = format!("stand-ins/{}", Digest::of(stamp.as_bytes()).short_hex());
        Self { file: folder.join("image.tar"), entry }
    }
}

impl StandIn<'_> {
    /// Builds it from a Dockerfile and a context, and pushes it.
    pub(super) fn push(&self, dockerfile: &Path, context: &Path, options: Vec<String>) -> Result<()> {
        let argv = self
            .buildx
            .argv("build the stand-in")
            .arg("build")
            .args(self.buildx.builder_args())
            .args(["--progress", "plain", "--provenance=false", "--push"])
            .args(["--platform", &names(self.platforms), "--file"])
            .path(dockerfile)
            .args(self.tags.iter().flat_map(|tag| ["--tag".to_owned(), tag.clone()]))
            .args(options)
            .path(context)
            .limit(900);
        self.local.runner.check(&argv, Output::Capture)?;
        Ok(())
    }

    /// The same, and keeps it for the other checkouts of this user.
    pub(super) fn push_and_keep(&self, dockerfile: &Path, context: &Path, archive: &Archive) -> Result<()> {
        let kept = self.local.tools.cache();
        if !kept.is_used() {
            return self.push(dockerfile, context, Vec::new());
        }
        let output = format!("type=oci,dest={}", archive.file.display());
        self.push(dockerfile, context, vec!["--output".to_owned(), output])?;
        kept.keep(&archive.entry, &archive.file);
        let _ = fs::remove_file(&archive.file);
        Ok(())
    }

    /// Pushes what another checkout has made, if there is such an archive and it is not old.
    ///
    /// # Errors
    /// If we were asked to stop. Anything else that is in the way is said, and a reason to make it anew.
    pub(super) fn push_archived(&self, archive: &Archive) -> Result<bool> {
        let Local { runner, tools, ui, now, .. } = *self.local;
        if !tools.cache().take_recent(&archive.entry, &archive.file, now, cache::WEEK) {
            return Ok(false);
        }
        let pushed = self.push_layout(archive);
        runner.check_interrupted()?;
        let _ = fs::remove_file(&archive.file);
        match pushed {
            Ok(()) => ui.note("  … taken from the cache of this user"),
            Err(ref error) => ui.note(format!("not used, what another checkout has made: {error:#}")),
        }
        Ok(pushed.is_ok())
    }

    /// BuildKit reads the layout as the base of an image that adds nothing.
    fn push_layout(&self, archive: &Archive) -> Result<()> {
        let folder = archive.file.with_extension("layout");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let unpack = Argv::new("unpack the stand-in", &Program::new("tar")).arg("-xf").path(&archive.file);
        self.local.runner.check(&unpack.arg("-C").path(&folder).limit(300), Output::Capture)?;
        let index = files::read_optional(&folder.join("index.json"))?.context("the archive has no index")?;
        let digest = digest(&index)?;
        let dockerfile = folder.join("Dockerfile");
        files::write_atomic(&dockerfile, b"FROM image\n")?;
        let context = format!("image=oci-layout://{}@{digest}", folder.display());
        // The layout is no part of the context: nothing of it is copied.
        let empty = folder.join("context");
        fs::create_dir_all(&empty).with_context(|| format!("creating {}", empty.display()))?;
        self.push(&dockerfile, &empty, vec!["--build-context".to_owned(), context])?;
        let _ = fs::remove_dir_all(&folder);
        Ok(())
    }
}

/// The part of the `index.json` of an OCI layout that we read.
#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: Digest,
}

/// The image of an OCI layout. Where it has several names, they are all of one image.
fn digest(index: &[u8]) -> Result<Digest> {
    let Index { manifests } = serde_json::from_slice(index).context("reading the index of the archive")?;
    let digest = manifests.into_iter().next().map(|descriptor| descriptor.digest);
    digest.context("the index of the archive is empty")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_of_a_layout_is_found() {
        let hex = "a".repeat(64);
        let one = format!(r#"{{"mediaType":"x","digest":"sha256:{hex}","size":1}}"#);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{one},{one}]}}"#);
        assert_eq!(digest(index.as_bytes()).unwrap().hex(), hex);
        assert!(digest(br#"{"manifests":[]}"#).is_err() && digest(b"{").is_err());
    }

    #[test]
    fn what_is_made_from_other_things_is_another_archive() {
        let entry = |stamp: &str| Archive::of(Path::new("/x"), stamp).entry;
        assert!(entry("a") == entry("a") && entry("a") != entry("b"));
    }
}
