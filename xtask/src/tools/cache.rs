//! What one checkout has made, for the other checkouts of the same user: `$XDG_CACHE_HOME/xtask-images`.
//!
//! An entry is a folder that holds one file and its SHA-256, in the form of `sha256sum --check`. It is written under
//! another name first, so two processes at once do each other no harm. What is damaged, or what somebody else could have
//! written, is not used. The sum finds damage, not malice: who may write here as this user may do anything as this user.
//!
//! It is not used in jobs of GitHub Actions. A machine of one's own keeps its home from job to job, and what another
//! job, perhaps of a pull request, has left there must not become a tool of a job that signs.

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::base::context::Environment;
use crate::base::ui::Ui;

/// The folder below the user's folder for caches.
const FOLDER: &str = "xtask-images";

/// How long what is made from packages of a distribution serves other checkouts: they may have been updated since.
pub const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What the file beside the content ends with.
const SUM: &str = ".sha256";

/// The cache of one user.
#[derive(Debug, Clone)]
pub struct UserCache {
    /// `None`: there is none, or it is not to be used.
    home: Option<PathBuf>,
    user: u32,
    ui: Ui,
}

impl UserCache {
    /// The cache of whoever runs this.
    pub fn of(environment: &Environment, ui: Ui) -> Self {
        Self { home: home(environment), user: rustix::process::geteuid().as_raw(), ui }
    }

    /// Whether there is one at all.
    pub fn is_used(&self) -> bool {
        self.home.is_some()
    }

    /// Copies the file of an entry to `to`, if it is there, whole and ours. What is refused is said. `entry` is a
    /// relative path; its file is called as `to`.
    pub fn take(&self, entry: &str, to: &Path) -> bool {
        let Some(home) = &self.home else { return false };
        match self.copy_out(home, entry, to) {
            Ok(found) => found,
            Err(error) => {
                let place = home.join(FOLDER).join(entry);
                self.ui.warn(format!("not using {}: {error:#}", place.display()));
                false
            }
        }
    }

    /// The same for what goes out of date: an entry that was written longer ago than `age` counts as none.
    pub fn take_recent(&self, entry: &str, to: &Path, now: SystemTime, age: Duration) -> bool {
        let written = self
            .home
            .as_ref()
            .and_then(|home| fs::metadata(home.join(FOLDER).join(entry)).ok()?.modified().ok());
        let recent = |written: SystemTime| now.duration_since(written).unwrap_or_default() <= age;
        written.is_some_and(recent) && self.take(entry, to)
    }

    /// Puts a copy of a file into an entry. Whatever is there under that name gives way. Nothing depends on it: what is
    /// in the way is said.
    pub fn keep(&self, entry: &str, from: &Path) {
        let Some(home) = &self.home else { return };
        if let Err(error) = self.copy_in(home, entry, from) {
            self.ui.note(format!("not kept for other checkouts of this user: {error:#}"));
        }
    }

    fn copy_out(&self, home: &Path, entry: &str, to: &Path) -> Result<bool> {
        let name = to.file_name().context("a file has a name")?.to_string_lossy();
        let Some(folder) = self.trusted_folder(home, entry)? else { return Ok(false) };
        let mut sum = String::new();
        self.open(&folder.join(format!("{name}{SUM}")))?.take(1024).read_to_string(&mut sum)?;
        let source = self.open(&folder.join(&*name))?;
        let mode = source.metadata()?.mode() & 0o755;
        let parent = to.parent().context("a file has a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        let unfinished = parent.join(format!(".{name}.{}", unique()));
        let copied = copy(source, &unfinished, mode).and_then(|found| {
            ensure!(sum == line(&found, &name), "its content does not match its SHA-256");
            fs::rename(&unfinished, to).with_context(|| format!("writing {}", to.display()))
        });
        if copied.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        copied.map(|()| true)
    }

    fn copy_in(&self, home: &Path, entry: &str, from: &Path) -> Result<()> {
        let name = from.file_name().context("a file has a name")?.to_string_lossy();
        let place = home.join(FOLDER).join(entry);
        let parent = place.parent().context("an entry has a folder")?;
        // In a home that is another user's nothing is made, either.
        self.trusted_folder(home, "")?;
        private(parent).with_context(|| format!("creating {}", parent.display()))?;
        let above = Path::new(entry).parent().unwrap_or(Path::new("")).to_string_lossy().into_owned();
        self.trusted_folder(home, &above)?;
        let last = place.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = parent.join(format!(".{last}.{}", unique()));
        let _ = fs::remove_dir_all(&unfinished);
        let write = || {
            DirBuilder::new().mode(0o700).create(&unfinished)?;
            let source = File::open(from)?;
            let mode = source.metadata()?.mode() & 0o755;
            let sum = copy(source, &unfinished.join(&*name), mode)?;
            fs::write(unfinished.join(format!("{name}{SUM}")), line(&sum, &name))?;
            replace(&unfinished, &place)
        };
        let written = write().with_context(|| format!("writing {}", place.display()));
        if written.is_err() {
            let _ = fs::remove_dir_all(&unfinished);
        }
        written
    }

    /// The folder of an entry, if it is there. Each folder on the way to it has to be ours alone.
    fn trusted_folder(&self, home: &Path, entry: &str) -> Result<Option<PathBuf>> {
        let mut folder = home.to_owned();
        // The folder for caches itself is where the user wants it, perhaps behind a link.
        let found = match fs::metadata(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            found => found.with_context(|| format!("reading {}", folder.display()))?,
        };
        self.trust(&folder, &found, true)?;
        for part in Path::new(FOLDER).join(entry).components() {
            folder.push(part);
            match fs::symlink_metadata(&folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                found => {
                    self.trust(
                        &folder,
                        &found.with_context(|| format!("reading {}", folder.display()))?,
                        true,
                    )?;
                }
            }
        }
        Ok(Some(folder))
    }

    /// Opens a file that nobody else could have written. A link is not followed.
    fn open(&self, path: &Path) -> Result<File> {
        let no_links = rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK).bits();
        let flags = i32::try_from(no_links).context("flags of open")?;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.with_context(|| format!("reading {}", path.display()))?;
        self.trust(path, &file.metadata()?, false)?;
        Ok(file)
    }

    fn trust(&self, path: &Path, found: &Metadata, folder: bool) -> Result<()> {
        let kind = if folder { found.is_dir() } else { found.is_file() };
        let why = distrust(kind, found.uid(), found.mode(), self.user);
        why.map_or(Ok(()), |why| Err(anyhow::anyhow!("{} {why}", path.display())))
    }
}

/// The user's folder for caches, by the XDG Base Directory Specification: a relative path counts as none.
fn home(environment: &Environment) -> Option<PathBuf> {
    if environment.get("GITHUB_ACTIONS").is_some() {
        return None;
    }
    let named = environment.get("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || environment.get("HOME").map(|home| Path::new(home).join(".cache"));
    named.or_else(usual).filter(|path| path.is_absolute())
}

/// Why a file or folder is not used, if it is not: who else could have written it.
fn distrust(is_kind: bool, owner: u32, mode: u32, user: u32) -> Option<&'static str> {
    if !is_kind {
        Some("is a link, or of another kind than expected")
    } else if owner != user {
        Some("belongs to another user")
    } else if mode & 0o022 != 0 {
        Some("can be written by other users")
    } else {
        None
    }
}

/// Copies a file that is open, and returns the SHA-256 of what was copied, in hexadecimal digits.
fn copy(mut from: File, to: &Path, mode: u32) -> Result<String> {
    let writing = || format!("writing {}", to.display());
    let mut target = File::create(to).with_context(writing)?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let length = from.read(&mut chunk)?;
        let Some(bytes @ [_, ..]) = chunk.get(..length) else { break };
        hash.update(bytes);
        target.write_all(bytes).with_context(writing)?;
    }
    target.set_permissions(fs::Permissions::from_mode(mode)).with_context(writing)?;
    Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// As `sha256sum` writes it.
fn line(sum: &str, name: &str) -> String {
    format!("{sum}  {name}\n")
}

/// What no other writer uses at the same time.
fn unique() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Folders that only their owner may read, as the XDG Base Directory Specification wants them.
fn private(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Renames a folder to a place where another may be, which is removed.
fn replace(folder: &Path, place: &Path) -> Result<()> {
    if fs::rename(folder, place).is_ok() {
        return Ok(());
    }
    let mut old = folder.as_os_str().to_owned();
    old.push(".old");
    match fs::rename(place, &old) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let _ = fs::remove_dir_all(&old);
    // Another process may have put its own there meanwhile, which is as good.
    match fs::rename(folder, place) {
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(fs::remove_dir_all(folder)?),
        done => Ok(done?),
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
