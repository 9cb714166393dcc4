//! What only the system can give: runc with seccomp, an emulator, mmdebstrap.
//!
//! Found on PATH, else taken from the distribution's package and unpacked under
//! `target/tools/system` (nothing is installed), else named with the command that installs it.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::argv::{Argv, Program};
use crate::base::context::{Environment, Layout};
use crate::base::error::UserError;
use crate::base::ids::{Digest, Platform};
use crate::base::ui::Ui;
use crate::run::{Output, Runner};
use crate::tools::cache::{self, UserCache};
use crate::tools::memory::Memory;

/// Where the kernel keeps its interpreters.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// Where packages have the lines that are written there.
const BINFMT_LINES: [&str; 2] = ["usr/lib/binfmt.d", "usr/share/qemu/binfmt.d"];

/// Finds what the system gives.
pub struct System<'a> {
    /// The checkout.
    pub layout: &'a Layout,
    /// For PATH.
    pub environment: &'a Environment,
    /// Runs the package tools.
    pub runner: &'a Runner,
    /// For remarks.
    pub ui: Ui,
    /// What programs have said before.
    pub(super) memory: &'a Memory,
    /// What other checkouts have downloaded.
    pub(super) cache: UserCache,
    /// By the real clock.
    pub(super) now: SystemTime,
}

impl System<'_> {
    /// A runc that was built with seccomp: without it every `RUN` fails.
    ///
    /// # Errors
    /// If there is none and none can be unpacked.
    pub fn runc(&self) -> Result<PathBuf> {
        let inside = ["usr/sbin/runc", "usr/bin/runc"];
        let path = self.program("runc", &inside)?;
        if self.has_seccomp(&path)? {
            return Ok(path);
        }
        // One that somebody built by hand: the distribution's own is better.
        let packaged = self.package("runc", &inside)?;
        if self.has_seccomp(&packaged)? {
            return Ok(packaged);
        }
        Err(UserError::failed(format!("{} was built without seccomp, which BuildKit needs", path.display()))
            .help("install the distribution's own: apt-get install runc, dnf install runc")
            .into())
    }

    fn has_seccomp(&self, runc: &Path) -> Result<bool> {
        let program = Program::new(runc.display().to_string());
        let question = ["--version"];
        let argv = Argv::new("ask runc for its version", &program).args(question).limit(20);
        let text = self.memory.ask(runc, &question, || self.runner.text(&argv).map(Some))?;
        Ok(text.is_some_and(|text| text.contains("libseccomp")))
    }

    /// mmdebstrap, which makes a root file system out of Debian packages.
    ///
    /// # Errors
    /// If there is none and none can be unpacked.
    pub fn mmdebstrap(&self) -> Result<PathBuf> {
        self.program("mmdebstrap", &["usr/bin/mmdebstrap"])
    }

    /// Sees to it that this machine can run programs of another platform.
    ///
    /// # Errors
    /// If the kernel has no interpreter for it and we cannot register one.
    pub fn emulator(&self, platform: &Platform) -> Result<()> {
        let name = qemu_name(platform);
        let entry = Path::new(BINFMT).join(format!("qemu-{name}"));
        let failed = |error: anyhow::Error| no_emulation(platform, &format!("{error:#}"));
        if rustix::process::geteuid().is_root() {
            // A container may have the kernel's emulators without seeing them.
            self.mount_binfmt().map_err(failed)?;
        }
        match fs::read_to_string(&entry) {
            // F: the interpreter is opened when it is registered, so that it works inside builds.
            Ok(text)
                if text.starts_with("enabled")
                    && text.lines().any(|l| l.starts_with("flags:") && l.contains('F')) =>
            {
                Ok(())
            }
            Ok(_) => {
                let why = format!("{} is disabled, or lacks the flag F", entry.display());
                Err(no_emulation(platform, &why)
                    .help(format!("remove it and try again: echo -1 > {}", entry.display()))
                    .into())
            }
            Err(_) if !rustix::process::geteuid().is_root() => {
                let why = "only root may register an emulator with the kernel";
                Err(no_emulation(platform, why).into())
            }
            Err(_) => {
                self.register(name).map_err(failed)?;
                self.ui.note(format!(
                    "registered the emulator of {platform} with the kernel; to undo it: echo -1 > {}",
                    entry.display()
                ));
                Ok(())
            }
        }
    }

    /// Lets us see what is registered with the kernel.
    fn mount_binfmt(&self) -> Result<()> {
        if !Path::new(BINFMT).join("register").exists() {
            let mount = Argv::new("mount binfmt_misc", &Program::new("mount"));
            let mount = mount.args(["-t", "binfmt_misc", "binfmt_misc", BINFMT]);
            self.runner.check(&mount, Output::Capture)?;
        }
        Ok(())
    }

    /// QEMU as one static program. Since Debian 13 that is all of `qemu-user`, and `qemu-user-static` holds a link to it.
    fn qemu(&self, name: &str) -> Result<PathBuf> {
        self.program("qemu-user-static", &[&format!("usr/bin/qemu-{name}-static")])
            .or_else(|_| self.program("qemu-user", &[&format!("usr/bin/qemu-{name}")]))
    }

    /// Makes an emulator known to the kernel, which opens it now (flag F): its path need not exist inside a build.
    fn register(&self, name: &str) -> Result<()> {
        let program = self.qemu(name)?;
        let root = program.ancestors().nth(3).context("an unpacked package has a root")?.to_owned();
        let mut files = BINFMT_LINES.iter().map(|folder| root.join(folder).join(format!("qemu-{name}.conf")));
        let line = files
            .find_map(|file| fs::read_to_string(file).ok())
            .with_context(|| format!("{} comes without its line for binfmt_misc", program.display()))?;
        let line = if root == Path::new("/") {
            line
        } else {
            line.trim().replacen(":/usr/", &format!(":{}/usr/", root.display()), 1)
        };
        Ok(fs::write(Path::new(BINFMT).join("register"), line.trim())?)
    }

    /// A program from PATH, or from the package of the same name.
    fn program(&self, package: &str, inside: &[&str]) -> Result<PathBuf> {
        let names = inside.iter().filter_map(|path| Path::new(path).file_name());
        let path = self.environment.get("PATH").unwrap_or_default().to_owned() + ":/usr/sbin:/sbin";
        for name in names {
            if let Ok(found) = which::which_in(name, Some(&path), "/") {
                return Ok(found);
            }
        }
        self.package(package, inside)
    }

    /// A program from an unpacked package.
    fn package(&self, package: &str, inside: &[&str]) -> Result<PathBuf> {
        let root = self.layout.tools().join("system").join(package);
        let unpacked = |root: &Path| inside.iter().map(|path| root.join(path)).find(|path| path.exists());
        if let Some(found) = unpacked(&root) {
            return Ok(found);
        }
        self.unpack(package, &root)?;
        unpacked(&root).ok_or_else(|| {
            UserError::failed(format!("the package {package} does not hold {}", inside.join(" or "))).into()
        })
    }

    /// Downloads a Debian package and unpacks it into `root`.
    fn unpack(&self, package: &str, root: &Path) -> Result<()> {
        let missing = |why: &str| {
            UserError::failed(format!("{package} is not installed{why}")).help(format!(
                "install it: apt-get install {package}, dnf install {package}, apk add {package}"
            ))
        };
        if ["apt-get", "dpkg"].iter().any(|name| self.environment.program(name).is_none()) {
            return Err(missing("").into());
        }
        self.ui.note(format!("unpacking the package {package} under target/tools (it is not installed)"));
        let parent = root.parent().context("a package folder has a parent")?;
        let scratch = parent.join(format!(".{package}.{}", std::process::id()));
        fs::create_dir_all(&scratch).with_context(|| format!("creating {}", scratch.display()))?;
        let result = self.archive(package, &scratch).and_then(|deb| {
            let extract = Argv::new(format!("unpack {package}"), &Program::new("dpkg"))
                .arg("-x")
                .path(&deb)
                .path(&scratch.join("root"));
            self.runner.check(&extract, Output::Capture)?;
            // Another process may have been faster: its result is as good.
            if fs::rename(scratch.join("root"), root).is_err() && !root.exists() {
                anyhow::bail!("cannot write {}", root.display());
            }
            Ok(())
        });
        let _ = fs::remove_dir_all(&scratch);
        result.map_err(|error| missing(&format!(", and its package cannot be had: {error:#}")).into())
    }

    /// The package as a file in a folder: what another checkout has downloaded this week, else a download.
    fn archive(&self, package: &str, folder: &Path) -> Result<PathBuf> {
        let kept = folder.join(format!("{package}.deb"));
        let entry = entry(package, &fs::read_to_string("/etc/os-release").unwrap_or_default());
        if self.cache.take_recent(&entry, &kept, self.now, cache::WEEK) {
            return Ok(kept);
        }
        let downloaded = self.download(package, folder)?;
        fs::rename(&downloaded, &kept).with_context(|| format!("writing {}", kept.display()))?;
        self.cache.keep(&entry, &kept);
        Ok(kept)
    }

    /// Downloads with the lists of the machine, or, when those are missing or old, with fresh ones of our own.
    fn download(&self, package: &str, folder: &Path) -> Result<PathBuf> {
        let get = |options: &[String]| {
            Argv::new(format!("download the package {package}"), &Program::new("apt-get"))
                .folder(folder)
                .args(options.iter().cloned())
                .args(["-o", "APT::Sandbox::User=root", "download", package])
                .limit(300)
        };
        if self.runner.check(&get(&[]), Output::Capture).is_err() {
            let state = self.layout.tools().join("apt");
            fs::create_dir_all(state.join("lists/partial"))?;
            fs::create_dir_all(state.join("cache/archives/partial"))?;
            let options: Vec<String> = ["Dir::State::Lists", "Dir::Cache"]
                .into_iter()
                .zip(["lists", "cache"])
                .flat_map(|(key, name)| ["-o".to_owned(), format!("{key}={}", state.join(name).display())])
                .collect();
            let update = Argv::new("read the package lists", &Program::new("apt-get"))
                .args(options.iter().cloned())
                .args(["-o", "APT::Sandbox::User=root", "update"])
                .limit(300);
            self.runner.check(&update, Output::Capture)?;
            self.runner.check(&get(&options), Output::Capture)?;
        }
        let debs = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        debs.into_iter()
            .find(|path| path.extension().is_some_and(|e| e == "deb"))
            .context("apt-get wrote no package")
    }
}

/// Where a package is in the user's cache. Another release of the distribution has another one.
fn entry(package: &str, release: &str) -> String {
    let hash = Digest::of(release.as_bytes());
    format!("packages/{package}-{}-{}", std::env::consts::ARCH, hash.short_hex())
}

fn no_emulation(platform: &Platform, why: &str) -> UserError {
    UserError::failed(format!("set up the emulation of {platform}: {why}"))
        .help("with a Docker Engine: docker run --privileged --rm tonistiigi/binfmt --install all")
        .help("on Debian or Ubuntu, as root: apt-get install qemu-user-static")
}

/// QEMU's name for an architecture.
fn qemu_name(platform: &Platform) -> &str {
    match platform.architecture() {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "386" => "i386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_release_has_other_packages() {
        let [one, other] = ["VERSION_CODENAME=bookworm\n", "VERSION_CODENAME=trixie\n"];
        assert_eq!(entry("runc", one), entry("runc", one));
        assert!(
            entry("runc", one) != entry("runc", other) && entry("runc", one).starts_with("packages/runc-")
        );
    }
}
