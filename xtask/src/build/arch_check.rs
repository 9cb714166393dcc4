//! Looks into an image that was just built: is it what its platform says?

use anyhow::{Context as _, Result};
use std::fs::{self, File as Opened};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::argv::buildx::{self, Buildx, NamedContext};
use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository};
use crate::base::ui::Ui;
use crate::build::machine_code::{self, File, Wanted};
use crate::build::verdicts::{Question, Verdicts};
use crate::matrix::Sbom;
use crate::plan::{Build, Cell};
use crate::registry::image_config::ImageConfig;
use crate::registry::{FetchedManifest, Registry};
use crate::run::{Runner, retry};

/// The shell, which reads most scripts: it is taken along with the first look.
const SHELL: &str = "/bin/sh";

/// Looks into the images of one call.
pub(crate) struct ArchCheck<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) ui: Ui,
    pub(crate) buildx: &'a Buildx,
    /// Where files are put for a moment.
    pub(crate) scratch: PathBuf,
    pub(crate) registry: Registry,
    /// What was found in images before.
    pub(crate) verdicts: Verdicts,
}

impl ArchCheck<'_> {
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
        let name = format!("{} {}", cell.id, build.arch);
        let found = self.registry.require(repository, &entry.digest)?;
        let question = Question::image(&entry.digest, build);
        let remarks = match self.verdicts.recall(&question) {
            Some(remarks) => remarks,
            None => self.look(&name, build, repository, digest, &found, &question)?,
        };
        for remark in remarks {
            self.ui.note(format!("{name}: {remark}"));
        }
        Ok(found.manifest.size())
    }

    /// Reads the configuration of an image that is not known yet, and looks into it unless its contents are known.
    fn look(
        &self,
        name: &str,
        build: &Build,
        repository: &Repository,
        digest: &Digest,
        held: &FetchedManifest,
        question: &Question,
    ) -> Result<Vec<String>> {
        let image = self.registry.image_config(repository, &held.manifest)?;
        if !image.is_for(&build.platform) {
            let text = format!(
                "its configuration says {}/{}, expected {}",
                image.os, image.architecture, build.platform
            );
            return Err(UserError::failed(text).into());
        }
        let contents = Question::contents(&held.bytes, &image, build)?;
        let Findings { remarks, whole } = match self.verdicts.recall(&contents) {
            Some(remarks) => Findings { remarks, whole: true },
            None => self.machine_code(name, build, repository, digest, &image)?,
        };
        if whole {
            self.verdicts.keep(&contents, &remarks);
            self.verdicts.keep(question, &remarks);
        }
        Ok(remarks)
    }

    fn sbom(&self, repository: &Repository, held: &FetchedManifest, image: &Digest) -> Result<()> {
        if self.registry.statements(repository, &held.manifest, image)?.sbom() {
            return Ok(());
        }
        Err(UserError::failed("`attest` declares an SBOM, and the build has none")
            .help("look what the generator printed in the log of the build")
            .into())
    }

    fn machine_code(
        &self,
        name: &str,
        build: &Build,
        repository: &Repository,
        digest: &Digest,
        image: &ImageConfig,
    ) -> Result<Findings> {
        let Some(expected) = machine_code::machine_of(&build.platform) else {
            return Ok(Findings::of(format!("the machine code for {} is not checked", build.platform)));
        };
        let folder = format!("{}.{}.files", name.replace(' ', "."), std::process::id());
        let folder = self.scratch.join(folder);
        let context = NamedContext::Image { repository: repository.clone(), digest: digest.clone() };
        let files = Files { call: self, build, name, context, folder: &folder };
        let checked = files.check(image, expected);
        let _ = fs::remove_dir_all(&folder);
        checked
    }
}

/// What was found in an image in which nothing was wrong.
struct Findings {
    /// For people.
    remarks: Vec<String>,
    /// Whether everything could be looked at.
    whole: bool,
}

impl Findings {
    fn of(remark: String) -> Self {
        Self { remarks: vec![remark], whole: true }
    }
}

/// The files of one image.
struct Files<'a> {
    call: &'a ArchCheck<'a>,
    build: &'a Build,
    name: &'a str,
    context: NamedContext,
    folder: &'a Path,
}

impl Files<'_> {
    fn check(&self, image: &ImageConfig, expected: u16) -> Result<Findings> {
        if image.program().is_none() && self.build.binaries.is_empty() {
            let remark = "it starts no program, so no machine code was checked";
            return Ok(Findings::of(remark.to_owned()));
        }
        let findings = self.started(image, expected)?;
        // What is named has to be there.
        let wanted: Vec<Wanted> = self.build.binaries.iter().cloned().map(Wanted::All).collect();
        if !wanted.is_empty() {
            for (pattern, files) in self.build.binaries.iter().zip(self.extract(&wanted)?) {
                self.named(pattern, &files, expected)?;
            }
        }
        Ok(findings)
    }

    /// Checks the program that a container starts, if it starts one.
    fn started(&self, image: &ImageConfig, expected: u16) -> Result<Findings> {
        let fine = Findings { remarks: Vec::new(), whole: true };
        let Some(program) = image.program() else { return Ok(fine) };
        let wanted = [Wanted::First(image.paths(program)), Wanted::First(vec![SHELL.to_owned()])];
        let found = self.extract(&wanted).and_then(|found| match found.as_slice() {
            [started, shell] => self.program(image, started, shell, 1),
            _ => Ok(None),
        });
        match found {
            Ok(Some((path, machine))) => self.expect(&path, machine, expected).map(|()| fine),
            Ok(None) => {
                Ok(Findings::of("what it starts is no machine code that could be checked".to_owned()))
            }
            // A strange PATH is no reason to refuse an image.
            Err(error) => {
                let ArchCheck { runner, ui, .. } = self.call;
                runner.check_interrupted()?;
                ui.warn(format!("{}: the machine code could not be checked: {error:#}", self.name));
                Ok(Findings { whole: false, ..fine })
            }
        }
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
        Err(UserError::failed(format!(
            "`binaries` names {pattern}, and that is no machine code in the image"
        ))
        .into())
    }

    fn expect(&self, file: &str, machine: u16, expected: u16) -> Result<()> {
        if machine == expected || machine_code::runs(machine, expected) {
            return Ok(());
        }
        Err(UserError::failed(format!(
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
            self.call.buildx,
            self.name,
            &self.build.platform,
            &self.context,
            &dockerfile,
            &out,
        );
        retry::check(self.call.runner, self.call.ui, &argv)?;
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
