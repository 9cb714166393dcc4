//! What a build gets of the checkout, as one hash: so that two builds of a cell can be told to have had the same.
//!
//! Everything counts that the ignore file leaves, which is the most that BuildKit is sent: it asks for less where a
//! Dockerfile copies less. Of each entry its path, type and permissions, the content of a file, the target of a link, and
//! the extended attributes that a checkout can bear; neither times nor owners, which BuildKit resets. A file that changes while a build runs may
//! have been sent either way, so what was read is compared with what is there when the build has ended.

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::base::context::Layout;
use crate::base::error::UserError;
use crate::base::ids::Digest;
use crate::build::dockerignore::{Ignore, Matched};
use crate::plan::Build;

/// What tells that a file has been changed, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    mode: u32,
    size: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    fn of(found: &fs::Metadata) -> Self {
        let mode = found.mode();
        if found.is_dir() {
            // What comes and goes in it is seen by itself, where it is sent.
            return Self { mode, size: 0, inode: 0, modified: (0, 0), changed: (0, 0) };
        }
        Self {
            mode,
            size: found.size(),
            inode: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// The entries of a context, by their paths in it.
type Entries = BTreeMap<PathBuf, State>;

/// A folder as it was read.
#[derive(Debug)]
struct Tree {
    root: PathBuf,
    ignore: Ignore,
    entries: Entries,
    digest: Digest,
    /// What is sent of it and does not count.
    skipped: Option<PathBuf>,
}

/// What one build gets.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The hash of all of it.
    pub(crate) digest: Digest,
    /// The context, then the named ones.
    trees: Vec<Arc<Tree>>,
    dockerfile: (PathBuf, State),
    /// The hash of the Dockerfile's content.
    pub(crate) dockerfile_digest: Digest,
    shared: Arc<Vec<PathBuf>>,
}

/// Reads each context once, however many builds get it.
#[derive(Debug)]
pub(crate) struct Snapshots {
    root: PathBuf,
    /// Folders that we write into ourselves, and that of git, whose state the revision tells: none of them counts.
    own: Arc<Vec<PathBuf>>,
    trees: Mutex<BTreeMap<Key, Slot>>,
}

/// A context and its ignore file.
type Key = (PathBuf, Option<PathBuf>);

/// A tree, once somebody has read it, or why it cannot be read.
type Slot = Arc<OnceLock<Result<Arc<Tree>, String>>>;

impl Snapshots {
    /// For contexts that are relative to `root`. `own`: what does not count.
    pub(crate) fn new(root: &Path, own: Vec<PathBuf>) -> Self {
        let real = |path: PathBuf| path.canonicalize().unwrap_or(path);
        let git = root.ancestors().map(|folder| folder.join(".git"));
        let own = own.into_iter().chain(git).map(real).collect();
        Self { root: root.to_owned(), own: Arc::new(own), trees: Mutex::default() }
    }

    /// For the contexts of a checkout. What we and cargo write meanwhile does not count, wherever a context begins; nor do
    /// digest records, where they lie elsewhere.
    pub(crate) fn of_checkout(layout: &Layout, digests: Option<PathBuf>) -> Self {
        let Layout { root, workspace, .. } = layout;
        let own = [root.join("target"), workspace.join("target")];
        Self::new(root, own.into_iter().chain(digests).collect())
    }

    /// What a build is about to get.
    ///
    /// # Errors
    /// If some of it cannot be read.
    pub(crate) fn take(&self, build: &Build) -> Result<Snapshot> {
        let named = build.contexts.iter().filter(|named| named.local);
        let named: Vec<_> = named.map(|named| (named.name.as_str(), named.source.as_str())).collect();
        self.of(&build.context, &build.dockerfile, &named)
    }

    /// Of a context, a Dockerfile relative to it, and further contexts by their names.
    fn of(&self, context: &str, dockerfile: &str, named: &[(&str, &str)]) -> Result<Snapshot> {
        let context = self.root.join(context);
        let dockerfile = context.join(dockerfile);
        let (state, content) = read(&dockerfile).with_context(|| reading(&dockerfile))?;
        let mut hash = Sha256::new();
        hash.update(content);
        let dockerfile_digest = Digest::of(&content);
        let specific = PathBuf::from(format!("{}.dockerignore", dockerfile.display()));
        let mut trees = vec![self.tree(&context, [specific, context.join(".dockerignore")])?];
        for (name, source) in named {
            let folder = self.root.join(source);
            trees.push(self.tree(&folder, [folder.join(".dockerignore")])?);
            part(&mut hash, name.as_bytes());
        }
        trees.iter().for_each(|tree| part(&mut hash, tree.digest.as_str().as_bytes()));
        let digest = Digest::of(&hash.finalize());
        let (dockerfile, shared) = ((dockerfile, state), self.own.clone());
        Ok(Snapshot { digest, trees, dockerfile, dockerfile_digest, shared })
    }

    /// The tree of a folder by the first of the ignore files that is there.
    fn tree<const N: usize>(&self, folder: &Path, ignores: [PathBuf; N]) -> Result<Arc<Tree>> {
        let ignore = ignores.into_iter().find(|file| file.is_file());
        let key = (folder.to_owned(), ignore.clone());
        let slot = self.trees.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let read =
            || self.read(folder, ignore.as_deref()).map(Arc::new).map_err(|error| format!("{error:#}"));
        slot.get_or_init(read).clone().map_err(anyhow::Error::msg)
    }

    fn read(&self, folder: &Path, ignore: Option<&Path>) -> Result<Tree> {
        let root = folder.canonicalize().with_context(|| reading(folder))?;
        let patterns = match ignore {
            Some(file) => fs::read(file).with_context(|| reading(file))?,
            None => Vec::new(),
        };
        // More than what is sent can do no harm: it is a reason to build again.
        let ignore = Ignore::parse(&patterns).unwrap_or_default();
        let (entries, skipped) = walk(&root, &ignore, &self.own)?;
        let mut hash = Sha256::new();
        for (path, state) in &entries {
            part(&mut hash, path.as_os_str().as_bytes());
            hash.update(state.mode.to_be_bytes());
            let full = root.join(path);
            match state.mode & KIND {
                FILE => hash.update(content(&full).with_context(|| reading(&full))?),
                LINK => {
                    let target = fs::read_link(&full).with_context(|| reading(&full))?;
                    part(&mut hash, target.as_os_str().as_bytes());
                }
                _ => {}
            }
            attributes(&full, &mut hash).with_context(|| reading(&full))?;
        }
        Ok(Tree { digest: Digest::of(&hash.finalize()), root, ignore, entries, skipped })
    }
}

impl Snapshot {
    /// The hash of each context, the main one first, then the named ones in their order.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = &Digest> {
        self.trees.iter().map(|tree| &tree.digest)
    }

    /// Why what an image gets cannot be told from the hash: something is sent that does not count.
    pub(crate) fn uncompared(&self) -> Option<String> {
        let skipped = self.trees.iter().find_map(|tree| tree.skipped.as_deref())?.display();
        Some(format!("the context holds {skipped}, which changes by itself: add it to .dockerignore"))
    }

    /// Fails if anything has changed since it was taken.
    ///
    /// # Errors
    /// The path that did, relative to `root` where it lies there.
    pub(crate) fn require_unchanged(&self, purpose: &str, root: &Path) -> Result<()> {
        let Some(path) = self.changed().with_context(|| purpose.to_owned())? else { return Ok(()) };
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let shown = path.strip_prefix(&root).unwrap_or(&path).display();
        Err(UserError::failed(format!(
            "{purpose}: {shown} was changed while the build ran: it may hold either"
        ))
        .help("run it again, and change nothing meanwhile")
        .help("what other programs write there and no image needs belongs into .dockerignore")
        .into())
    }

    /// A path that is not any more what it was when it was read, if there is one.
    ///
    /// # Errors
    /// If it cannot be looked at.
    fn changed(&self) -> Result<Option<PathBuf>> {
        let (dockerfile, state) = &self.dockerfile;
        if fs::metadata(dockerfile).map(|found| State::of(&found)).ok() != Some(*state) {
            return Ok(Some(dockerfile.clone()));
        }
        for Tree { root, ignore, entries, .. } in self.trees.iter().map(AsRef::as_ref) {
            let (now, _) = walk(root, ignore, &self.shared)?;
            let other = |(path, state): &(&PathBuf, &State)| entries.get(*path) != Some(state);
            let gone = || entries.keys().find(|path| !now.contains_key(*path));
            if let Some(path) = now.iter().find(other).map(|(path, _)| path).or_else(gone) {
                return Ok(Some(root.join(path)));
            }
        }
        Ok(None)
    }
}

/// The bits of a mode that say what something is, a file and a link among them: `inode(7)`.
const KIND: u32 = 0o170_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

fn reading(path: &Path) -> String {
    format!("reading {}", path.display())
}

/// With its length, so that no two sequences look alike.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// A file that is not among the entries of a context.
fn read(path: &Path) -> io::Result<(State, Sum)> {
    Ok((State::of(&fs::metadata(path)?), content(path)?))
}

type Sum = sha2::digest::Output<Sha256>;

/// The hash of a file, in pieces.
fn content(path: &Path) -> io::Result<Sum> {
    let (mut file, mut hash, mut chunk) = (File::open(path)?, Sha256::new(), vec![0; 1 << 17]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hash.finalize()),
            length => hash.update(chunk.get(..length).unwrap_or_default()),
        }
    }
}

/// What is sent of a folder by the text of an ignore file: the paths in it, sorted.
///
/// # Errors
/// If the folder cannot be read.
pub fn sent(folder: &Path, ignore: &[u8]) -> Result<Vec<PathBuf>> {
    let (entries, _) = walk(folder, &Ignore::parse(ignore).unwrap_or_default(), &[])?;
    Ok(entries.into_keys().collect())
}

/// What is sent of a folder, and what is sent of `own`, which does not count.
fn walk(root: &Path, ignore: &Ignore, own: &[PathBuf]) -> Result<(Entries, Option<PathBuf>)> {
    let mut found = Entries::new();
    let mut walk = Walk { root, ignore, own, skipped: None };
    walk.folder(Path::new(""), &Matched::new(), false, &mut found)?;
    Ok((found, walk.skipped))
}

/// Adds the extended attributes that are part of a file wherever it is checked out: what a security module of this machine
/// has written there is not.
#[cfg(target_os = "linux")]
fn attributes(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    use rustix::fs::{lgetxattr, llistxattr};
    use rustix::io::Errno;
    // The limit of the kernel, for names and for a value: xattr(7).
    const MOST: usize = 1 << 16;
    // Almost no file has any.
    let mut few = [0; 256];
    let mut many = Vec::new();
    let names = match llistxattr(path, &mut few) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Err(Errno::RANGE) => {
            many.resize(MOST, 0);
            let length = llistxattr(path, &mut many)?;
            many.get(..length)
        }
        length => few.get(..length?),
    };
    let names = names.unwrap_or_default().split(|byte| *byte == 0);
    let counts = |name: &&[u8]| name.starts_with(b"user.") || *name == b"security.capability";
    let mut names: Vec<&[u8]> = names.filter(counts).collect();
    names.sort_unstable();
    for name in names {
        let name_text = std::ffi::OsStr::from_bytes(name);
        let mut value = vec![0; MOST];
        let length = lgetxattr(path, name_text, &mut value)?;
        part(hash, name);
        part(hash, value.get(..length).unwrap_or_default());
    }
    Ok(())
}

/// Elsewhere they are not sent in a form that BuildKit keeps.
#[cfg(not(target_os = "linux"))]
fn attributes(_: &Path, _: &mut Sha256) -> io::Result<()> {
    Ok(())
}

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
    own: &'a [PathBuf],
    skipped: Option<PathBuf>,
}

impl Walk<'_> {
    /// A folder that is left out is sent all the same where something in it is.
    fn folder(&mut self, folder: &Path, matched: &[bool], left_out: bool, found: &mut Entries) -> Result<()> {
        let full = self.root.join(folder);
        let entries = match fs::read_dir(&full) {
            Ok(entries) => entries,
            Err(error) if left_out && error.kind() == ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(error).with_context(|| reading(&full)),
        };
        for entry in entries {
            let path = folder.join(entry.with_context(|| reading(&full))?.file_name());
            let full = self.root.join(&path);
            if self.own.contains(&full) {
                let name = path.to_string_lossy();
                if !self.ignore.matches(&name, matched).0 || self.ignore.has_exceptions_below(&name) {
                    self.skipped.get_or_insert(path);
                }
                continue;
            }
            let meta = match fs::symlink_metadata(&full) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                meta => meta.with_context(|| reading(&full))?,
            };
            let name = path.to_string_lossy();
            let (left_out, matched) = self.ignore.matches(&name, matched);
            let before = found.len();
            if meta.is_dir() && (!left_out || self.ignore.has_exceptions_below(&name)) {
                self.folder(&path, &matched, left_out, found)?;
            }
            if !left_out || found.len() > before {
                found.insert(path, State::of(&meta));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "context_hash_tests.rs"]
mod tests;
