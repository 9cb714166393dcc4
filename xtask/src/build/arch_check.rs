//! Looks into an image that was just built: is it what its platform says?

use anyhow::{Context as _, Result};
use std::fs::{self, File as Opened};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::argv::buildx::{self, Buildx, NamedContext};
use crate::base::error::Fault;
use crate::base::ids::{Digest, Repository};
use crate::build::machine_code::{self, File, Wanted};
use crate::matrix::Sbom;
use crate::plan::{Build, Cell};
use crate::registry::image_config::ImageConfig;
use crate::registry::{FetchedManifest, Registry};
use crate::run::retry;
use crate::session::Session;

/// The shell, which reads most scripts: it is taken along with the first look.
const SHELL: &str = "/bin/sh";

/// Looks into the images of one call.
pub(crate) struct Looker<'a> {
    pub(crate) session: &'a Session,
    pub(crate) buildx: &'a Buildx,
    pub(crate) registry: Registry,
}

impl Looker<'_> {
    /// Checks a pushed build: its configuration, its attestations, and the machine code of the program that a
    /// container starts and of the files that `matrix.toml` names. Returns the size of the image in bytes.
    ///
    /// # Errors
    /// If one of them is for another platform, or if something declared is missing.
    pub(crate) fn check(&self, cell: &Cell, build: &Build, held: &FetchedManifest) -> Result<u64> {
        let (repository, digest) =
            (cell.repositories.first().context("a cell has a repository")?, &held.digest);
        let entry = held.manifest.images().find(|entry| entry.is_for(&build.platform));
        let entry = entry.with_context(|| format!("{digest} holds no image for {}", build.platform))?;
        if build.options.attest.sbom != Sbom::Off {
            self.sbom(repository, held, &entry.digest)?;
        }
        let manifest = self.registry.require(repository, &entry.digest)?.manifest;
        let image = self.registry.image_config(repository, &manifest)?;
        if !image.is_for(&build.platform) {
            let text = format!(
                "its configuration says {}/{}, expected {}",
                image.os, image.architecture, build.platform
            );
            return Err(Fault::failed(text).into());
        }
        self.machine_code(cell, build, repository, digest, &image)?;
        Ok(manifest.size())
    }

    fn sbom(&self, repository: &Repository, held: &FetchedManifest, image: &Digest) -> Result<()> {
        if self.registry.statements(repository, &held.manifest, image)?.sbom() {
            return Ok(());
        }
        Err(Fault::failed("`attest` declares an SBOM, and the build has none")
            .help("look what the generator printed in the log of the build")
            .into())
    }

    fn machine_code(
        &self,
        cell: &Cell,
        build: &Build,
        repository: &Repository,
        digest: &Digest,
        image: &ImageConfig,
    ) -> Result<()> {
        let name = format!("{} {}", cell.id, build.arch);
        let Some(expected) = machine_code::machine_of(&build.platform) else {
            self.session.ui.note(format!("{name}: the machine code for {} is not checked", build.platform));
            return Ok(());
        };
        let folder = self.session.layout.logs().join(format!(
            "{}.{}.{}.files",
            cell.id,
            build.arch,
            std::process::id()
        ));
        let context = NamedContext::Image { repository: repository.clone(), digest: digest.clone() };
        let files = Files { looker: self, build, name: &name, context, folder: &folder };
        let checked = files.check(image, expected);
        let _ = fs::remove_dir_all(&folder);
        checked
    }
}

/// The files of one image.
struct Files<'a> {
    looker: &'a Looker<'a>,
    build: &'a Build,
    name: &'a str,
    context: NamedContext,
    folder: &'a Path,
}

impl Files<'_> {
    fn check(&self, image: &ImageConfig, expected: u16) -> Result<()> {
        let ui = self.looker.session.ui;
        let program = image.program();
        let paths = program.map(|program| image.paths(program)).unwrap_or_default();
        if program.is_none() && self.build.binaries.is_empty() {
            ui.note(format!("{}: it starts no program, so no machine code was checked", self.name));
            return Ok(());
        }
        if program.is_some() {
            let wanted = [Wanted::First(paths), Wanted::First(vec![SHELL.to_owned()])];
            let found = self.extract(&wanted).and_then(|found| match found.as_slice() {
                [started, shell] => self.program(image, started, shell, 1),
                _ => Ok(None),
            });
            match found {
                Ok(Some((path, machine))) => self.expect(&path, machine, expected)?,
                Ok(None) => {
                    ui.note(format!(
                        "{}: what it starts is no machine code that could be checked",
                        self.name
                    ));
                }
                // A strange PATH is no reason to refuse an image.
                Err(error) => {
                    self.looker.session.runner.check_interrupted()?;
                    ui.warn(format!("{}: the machine code could not be checked: {error:#}", self.name));
                }
            }
        }
        // What is named has to be there.
        let wanted: Vec<Wanted> = self.build.binaries.iter().cloned().map(Wanted::All).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        for (pattern, files) in self.build.binaries.iter().zip(self.extract(&wanted)?) {
            self.named(pattern, &files, expected)?;
        }
        Ok(())
    }

    /// The machine of what is started: of the interpreter, if it is a script.
    fn program(
        &self,
        image: &ImageConfig,
        started: &[PathBuf],
        shell: &[PathBuf],
        hops: usize,
    ) -> Result<Option<(String, u16)>> {
        let Some(path) = started.first() else { return Ok(None) };
        match kind(path)? {
            File::Elf(machine) => Ok(Some((base_name(path), machine))),
            File::Script(reader) if reader == SHELL => self.program(image, shell, &[], hops),
            File::Script(reader) if hops > 0 => {
                let mut found = self.extract(&[Wanted::First(image.paths(&reader))])?;
                self.program(image, &found.pop().unwrap_or_default(), shell, hops - 1)
            }
            File::Script(_) | File::Other => Ok(None),
        }
    }

    fn named(&self, pattern: &str, files: &[PathBuf], expected: u16) -> Result<()> {
        let mut any = false;
        for path in files {
            if let File::Elf(machine) = kind(path)? {
                self.expect(&base_name(path), machine, expected)?;
                any = true;
            }
        }
        if any {
            return Ok(());
        }
        Err(Fault::failed(format!("`binaries` names {pattern}, and that is no machine code in the image"))
            .into())
    }

    fn expect(&self, file: &str, machine: u16, expected: u16) -> Result<()> {
        if machine == expected || machine_code::runs(machine, expected) {
            return Ok(());
        }
        Err(Fault::failed(format!(
            "it is called an image for {}, and {file} in it is a program for {}",
            self.build.platform,
            machine_code::machine_name(machine)
        ))
        .help("is a base image pinned to a digest of one platform, or a file downloaded for another? Pin the digest of the index; in a Dockerfile use $TARGETARCH")
        .into())
    }

    /// Takes files out of the image. Returns those of each wish.
    fn extract(&self, wanted: &[Wanted]) -> Result<Vec<Vec<PathBuf>>> {
        let _ = fs::remove_dir_all(self.folder);
        let (source, out) = (self.folder.join("source"), self.folder.join("out"));
        let dockerfile = source.join("Dockerfile");
        crate::base::files::write_atomic(&dockerfile, machine_code::dockerfile(wanted).as_bytes())?;
        let argv = buildx::extract(
            self.looker.buildx,
            self.name,
            &self.build.platform,
            &self.context,
            &dockerfile,
            &out,
        );
        retry::check(&self.looker.session.runner, self.looker.session.ui, &argv)?;
        (0..wanted.len()).map(|number| files_below(&out.join(number.to_string()))).collect()
    }
}

/// Every regular file below a folder, in the order of their paths; none if there is no such folder.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
            let kind = entry.file_type().with_context(|| format!("reading {}", folder.display()))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn kind(path: &Path) -> Result<File> {
    let mut bytes = Vec::new();
    let reading = || format!("reading {}", path.display());
    let file = Opened::open(path).with_context(reading)?;
    file.take(256).read_to_end(&mut bytes).with_context(reading)?;
    Ok(File::of(&bytes))
}

fn base_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
