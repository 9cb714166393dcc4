//! Stand-ins for official images, made from the machine's own Debian packages.
//!
//! A context may hold `offline/base.toml` and `offline/Dockerfile`. Where Docker
//! Hub cannot be reached, the local stack serves what they make under the
//! official names, as a mirror: the images' own Dockerfiles stay as they are.
//! The scanner that BuildKit runs for an SBOM is such an image too: its stand-in holds Syft, built from `xtask/tools/`.
//! Nothing of it leaves this machine: only the local stack has the mirror.
//! What one checkout has made, the others of the same user take from its archive.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::argv::Argv;
use crate::argv::buildx::Buildx;
use crate::base::error::UserError;
use crate::base::ids::{Digest, Platform};
use crate::local::stand_in::{Archive, StandIn, names};
use crate::local::{Local, Stack, Wanted};
use crate::registry::Registry;
use crate::run::Output;
use crate::tools::Tool;

/// Where the local registry keeps the stand-ins.
pub(super) const NAMESPACE: &str = "offline";

/// How long a hub may take to answer before it counts as out of reach.
const PATIENCE: Duration = Duration::from_secs(10);

/// What BuildKit runs for an SBOM, see `defaultSBOMGenerator` in its `frontend/attestations/parse.go`.
const SCANNER: &str = "docker.io/docker/buildkit-syft-scanner:stable-1";

/// Writes down which packages were unpacked, as images without dpkg do: a file for each, where scanners look for it.
///
/// dpkg itself, which would write its own list, is not run: it could not run for a foreign platform.
const STATE: &str = r#"set -eu; cd "$1"; mkdir -p var/lib/dpkg/status.d
for deb in var/cache/apt/archives/*.deb; do
  dpkg-deb --field "$deb" >"var/lib/dpkg/status.d/$(basename "$deb" .deb)"
done"#;

/// A stand-in: `offline/base.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    /// The official images that it stands in for, e.g. `docker.io/library/php:8.2-cli-bookworm`.
    replaces: Vec<String>,
    /// The Debian suite.
    suite: String,
    /// The packages.
    packages: Vec<String>,
}

/// A stand-in and where its files are.
#[derive(Debug, Clone)]
pub struct Base {
    folder: PathBuf,
    recipe: Recipe,
}

impl Base {
    /// The stand-in that a context holds, if it holds one.
    ///
    /// # Errors
    /// If its `base.toml` is not as expected.
    pub fn read(context: &Path) -> Result<Option<Self>> {
        let folder = context.join("offline");
        let path = folder.join("base.toml");
        let Some(bytes) = crate::base::files::read_optional(&path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let invalid = |why: &str| UserError::invalid(format!("reading {}: {why}", path.display()));
        let recipe: Recipe = toml::from_str(&text).map_err(|error| invalid(&error.to_string()))?;
        let known = |reference: &String| reference.starts_with("docker.io/") && reference.contains(':');
        if recipe.replaces.is_empty() || !recipe.replaces.iter().all(known) {
            return Err(invalid("`replaces` must list references like docker.io/library/php:8.2-cli").into());
        }
        Ok(Some(Self { folder, recipe }))
    }

    /// What the stand-in is made from, as far as it is in our hands.
    fn stamp(&self, platforms: &[Platform]) -> Result<String> {
        let mut bytes = fs::read(self.folder.join("base.toml"))?;
        bytes.extend(fs::read(self.folder.join("Dockerfile")).context("reading the stand-in's Dockerfile")?);
        bytes.extend(names(platforms).into_bytes());
        bytes.extend(STATE.as_bytes());
        Ok(Digest::of(&bytes).to_string())
    }
}

/// Whether stand-ins are needed: one of the official images does not answer from here.
pub(super) fn needed(wanted: &Wanted, registry: &Registry) -> Result<bool> {
    let bases = wanted.bases.iter().flat_map(|base| base.recipe.replaces.first()).map(String::as_str);
    for reference in bases.chain(wanted.scanner.then_some(SCANNER)) {
        if !registry.answers(reference, PATIENCE)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes the stand-ins that the registry does not have yet.
pub(super) fn serve(local: &Local<'_>, stack: &Stack, wanted: &Wanted) -> Result<()> {
    let buildx = Buildx { builder: Some(stack.builder.clone()), ..local.buildx()? };
    let home = local.layout.local().join(NAMESPACE);
    for base in &wanted.bases {
        let folder = home.join(Digest::of(base.folder.display().to_string().as_bytes()).hex());
        let tags: Vec<String> =
            base.recipe.replaces.iter().map(|reference| stand_in(&stack.registry, reference)).collect();
        let stamp = base.stamp(&wanted.platforms)?;
        unless_made(local, &folder, &stamp, &tags, || {
            let names = base.recipe.replaces.iter().map(|r| r.trim_start_matches("docker.io/library/"));
            local.ui.note(format!(
                "Docker Hub cannot be reached: {} made from Debian packages, for the local stack only",
                names.collect::<Vec<_>>().join(" and ")
            ));
            let image = StandIn { local, buildx: &buildx, platforms: &wanted.platforms, tags: &tags };
            let archive = Archive::of(&folder, &stamp);
            if image.push_archived(&archive)? { Ok(()) } else { make(&image, base, &folder, &archive) }
        })?;
    }
    if wanted.scanner {
        let tool = Tool::SbomScanner;
        let version = tool.pinned(local.layout)?.to_string();
        let tags = [stand_in(&stack.registry, SCANNER)];
        unless_made(local, &home.join(tool.binary()), &version, &tags, || {
            let binary = PathBuf::from(local.tools.get(tool)?.program.path);
            let folder = binary.parent().context("a binary has a folder")?;
            let dockerfile = tool.module(local.layout)?.join("Dockerfile");
            let platforms = [Platform::host()];
            let image = StandIn { local, buildx: &buildx, platforms: &platforms, tags: &tags };
            image.push(&dockerfile, folder, Vec::new())
        })?;
    }
    Ok(())
}

/// Calls `make`, unless that was done for this stamp and the registry still has the result.
fn unless_made(
    local: &Local<'_>,
    folder: &Path,
    stamp: &str,
    tags: &[String],
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let made = folder.join("stamp");
    let same = crate::base::files::read_optional(&made)?.is_some_and(|old| old == stamp.as_bytes());
    if same && all_there(local.registry, tags)? {
        return Ok(());
    }
    make()?;
    crate::base::files::write_atomic(&made, stamp.as_bytes())
}

fn stand_in(registry: &str, reference: &str) -> String {
    format!("{registry}/{NAMESPACE}/{}", reference.trim_start_matches("docker.io/"))
}

fn all_there(registry: &Registry, references: &[String]) -> Result<bool> {
    for reference in references {
        if !registry.exists(reference)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn make(image: &StandIn<'_>, base: &Base, folder: &Path, archive: &Archive) -> Result<()> {
    let StandIn { local, platforms, .. } = *image;
    let scratch = folder.join("scratch");
    fs::create_dir_all(&scratch).with_context(|| format!("creating {}", scratch.display()))?;
    let mmdebstrap = local.mmdebstrap()?;
    let mirror = debian_mirror()?;
    for platform in platforms {
        local.ensure_emulation_unless_native(platform)?;
        let arch = debian_arch(platform)?;
        local.ui.note(format!(
            "  … unpacking {} packages and what they need for {platform}",
            base.recipe.packages.len()
        ));
        let rootfs = folder.join(format!("rootfs-{}.tar", platform.architecture()));
        let argv = Argv::new(format!("make a root file system for {platform}"), &mmdebstrap)
            .env("TMPDIR", scratch.display().to_string());
        let argv = if rustix::process::geteuid().is_root() {
            argv
        } else {
            // Nothing is run in it, so that nobody has to be root; what is in it belongs to root all the same.
            argv.env("TAR_OPTIONS", "--owner=0 --group=0 --numeric-owner").arg("--mode=chrootless")
        };
        let argv = argv
            .args(["--variant=extract".to_owned(), format!("--architectures={arch}")])
            .arg(format!("--include={}", base.recipe.packages.join(",")))
            .arg(format!("--extract-hook={STATE}"))
            .arg(&base.recipe.suite)
            .path(&rootfs)
            .arg(&mirror)
            .limit(900);
        local.runner.check(&argv, Output::Capture)?;
    }
    image.push_and_keep(&base.folder.join("Dockerfile"), folder, archive)?;
    // The archives are large and only of use here.
    for platform in platforms {
        let _ = fs::remove_file(folder.join(format!("rootfs-{}.tar", platform.architecture())));
    }
    Ok(())
}

impl Local<'_> {
    fn ensure_emulation_unless_native(&self, platform: &Platform) -> Result<()> {
        let native = platform.architecture() == Platform::host().architecture();
        if native { Ok(()) } else { self.ensure_emulation(platform) }
    }
}

/// Debian's name of an architecture.
fn debian_arch(platform: &Platform) -> Result<&'static str> {
    match (platform.architecture(), platform.variant()) {
        ("amd64", _) => Ok("amd64"),
        ("arm64", _) => Ok("arm64"),
        ("386", _) => Ok("i386"),
        ("arm", Some("v7") | None) => Ok("armhf"),
        ("ppc64le", _) => Ok("ppc64el"),
        ("s390x", _) => Ok("s390x"),
        ("riscv64", _) => Ok("riscv64"),
        _ => Err(UserError::failed(format!("Debian has no packages for {platform}")).into()),
    }
}

/// The mirror that this machine itself uses.
fn debian_mirror() -> Result<String> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let more = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = more.collect();
    files.sort();
    files.insert(0, PathBuf::from("/etc/apt/sources.list"));
    let texts = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.into_iter().find_map(|text| mirror_in(&text)).ok_or_else(|| {
        UserError::failed("make a stand-in for an official image: this machine has no Debian package source")
            .help("connect it to Docker Hub, or run on Debian")
            .into()
    })
}

/// The first address of Debian's main archive in a list of sources, in either of apt's two formats.
///
/// Sources: `man sources.list`, both the one-line and the deb822 style.
fn mirror_in(text: &str) -> Option<String> {
    let addresses = text.lines().map(str::trim).filter(|line| !line.starts_with('#')).flat_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let meant = matches!(words.first(), Some(&"deb" | &"URIs:"));
        words.into_iter().filter(move |word| meant && word.contains("://"))
    });
    addresses
        .map(|address| address.trim_end_matches('/'))
        .find(|address| address.ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_found_in_both_formats() {
        let deb822 = "Types: deb\n# URIs: http://old.example/debian\nURIs: http://security.example/debian-security http://mirror.example/debian/\nSuites: bookworm\n";
        assert_eq!(mirror_in(deb822).as_deref(), Some("http://mirror.example/debian"));
        let one_line = "deb [signed-by=/x.gpg] https://mirror.example/debian bookworm main\n";
        assert_eq!(mirror_in(one_line).as_deref(), Some("https://mirror.example/debian"));
        assert_eq!(mirror_in("deb https://mirror.example/ubuntu noble main"), None);
    }
}
