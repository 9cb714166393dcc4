//! `matrix.toml` as written: types, decoding, validation.

pub mod cells;
mod check;
mod decode;
mod diagnostic;
mod images;
mod lines;
mod read;
pub mod suggest;

use anyhow::Result;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

pub use diagnostic::{Diagnostic, Diagnostics, Source};

use crate::error::Fault;
use crate::ids::{Name, Platform, Repository};
use crate::template::Template;
pub use crate::version::TagPattern;

/// A `matrix.toml` is written by people: one larger than this is a mistake. In bytes.
const LIMIT: u64 = 1 << 20;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where, in bytes of the source.
    pub span: Range<usize>,
}

/// The whole file. Lists are in the order of the file.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The file itself.
    pub source: Source,
    /// `publish.repositories`.
    pub repositories: Vec<Repository>,
    /// `[sign]`.
    pub sign: Sign,
    /// `[platforms]`.
    pub platforms: Vec<PlatformDef>,
    /// `[tracks]`.
    pub tracks: Vec<Track>,
    /// `[composer]`.
    pub composers: Vec<ComposerMode>,
    /// `[[exclude]]`.
    pub excludes: Vec<Exclude>,
    /// `[images]`.
    pub images: Vec<Image>,
}

/// How published images are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// By OIDC.
    Keyless {
        /// What `verify` demands of the certificate; derived from the repository if not given.
        identity: Option<String>,
        /// The OIDC issuer; GitHub's if not given.
        issuer: Option<String>,
    },
    /// By a key: a file, `env://NAME`, a KMS address.
    Key {
        /// As cosign's `--key` wants it.
        key: String,
    },
    /// Not at all.
    None {
        /// Why not.
        reason: String,
    },
}

/// A platform and its names.
#[derive(Debug, Clone)]
pub struct PlatformDef {
    /// The short name.
    pub name: Name,
    /// The platform.
    pub platform: Platform,
    /// The CI runner that builds it natively.
    pub runner: Option<String>,
    /// Where its name stands.
    pub span: Range<usize>,
}

/// A stream of upstream versions.
#[derive(Debug, Clone)]
pub struct Track {
    /// Its name.
    pub name: Name,
    /// Where its version comes from.
    pub reference: Located<RefSpec>,
    /// Its tags.
    pub tags: Vec<TagSpec>,
    /// Whether pull requests build it.
    pub pull_request: bool,
    /// Whether a run succeeds without it.
    pub allow_failure: bool,
}

/// Where a version comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefSpec {
    /// A file that holds it, relative to `matrix.toml`.
    File(String),
    /// It is fixed.
    Value(String),
    /// This repository's own event.
    SelfRef,
    /// A branch of another repository.
    Branch {
        /// Its address, or the path of a repository on this machine, relative to `matrix.toml`.
        repository: String,
        /// The branch.
        branch: String,
    },
    /// The highest tag of another repository that a pattern selects.
    Tag {
        /// As for a branch.
        repository: String,
        /// Which tags are meant.
        pattern: TagPattern,
    },
}

/// A tag as written.
#[derive(Debug, Clone)]
pub struct TagSpec {
    /// Its name.
    pub template: Template,
    /// It is given if one of these holds, or if there is none.
    pub when: Vec<Condition>,
    /// It never moves to another digest.
    pub immutable: bool,
    /// Where it stands.
    pub span: Range<usize>,
}

/// When a tag is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// A released version, on the default branch or a tag.
    Release,
    /// No pre-release.
    Stable,
    /// A run for the default branch.
    DefaultBranch,
    /// Even for a pre-release.
    Always,
    /// A kind of run.
    Event(EventName),
}

/// The kinds of runs that a tag can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventName {
    /// Commits on a branch.
    Push,
    /// A tag or release.
    Tag,
    /// The clock.
    Schedule,
    /// A person on GitHub.
    Dispatch,
    /// A person at a terminal.
    Local,
}

/// A build argument, a label or an annotation as written.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Template,
    /// Where the value stands.
    pub span: Range<usize>,
}

/// How dependencies are resolved.
#[derive(Debug, Clone)]
pub struct ComposerMode {
    /// Its name.
    pub name: Name,
    /// `{suffix}`.
    pub suffix: String,
    /// `{latest}`.
    pub latest: String,
    /// Build arguments of every image in this mode.
    pub build_args: Vec<Setting>,
    /// Whether a run succeeds without it.
    pub allow_failure: bool,
}

/// Cells that are left out: those that match all that is given.
#[derive(Debug, Clone)]
pub struct Exclude {
    /// The image.
    pub image: Option<Name>,
    /// The track.
    pub track: Option<Name>,
    /// The composer mode.
    pub composer: Option<Name>,
    /// Why.
    pub reason: String,
    /// Where it stands.
    pub span: Range<usize>,
}

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its name.
    pub name: Name,
    /// Its context, relative to `matrix.toml`.
    pub context: String,
    /// Its Dockerfile, relative to the context.
    pub dockerfile: String,
    /// The stage.
    pub target: Option<String>,
    /// Its platforms.
    pub platforms: Vec<Name>,
    /// Its tracks; none if it has a version of its own.
    pub tracks: Vec<Name>,
    /// A version and tags of its own instead of tracks.
    pub own: Option<OwnLine>,
    /// Its composer modes.
    pub composers: Vec<Name>,
    /// Build arguments.
    pub build_args: Vec<Setting>,
    /// Labels.
    pub labels: Vec<Setting>,
    /// Annotations.
    pub annotations: Vec<Setting>,
    /// Images of this matrix that it is built upon.
    pub needs: Vec<Need>,
    /// Whether its platforms may be emulated.
    pub emulate: bool,
    /// Where its name stands.
    pub span: Range<usize>,
}

/// The version and tags of an image that follows no track.
#[derive(Debug, Clone)]
pub struct OwnLine {
    /// Where the version comes from.
    pub reference: Located<RefSpec>,
    /// Its tags.
    pub tags: Vec<TagSpec>,
}

/// A needed image.
#[derive(Debug, Clone)]
pub struct Need {
    /// The name of the build context.
    pub context: Name,
    /// The image.
    pub image: Name,
    /// The track, if not the same.
    pub track: Option<Name>,
    /// The composer mode, if not the same.
    pub composer: Option<Name>,
    /// Where it stands.
    pub span: Range<usize>,
}

/// Reads and validates a file.
///
/// # Errors
/// If it cannot be read or is invalid: every error in it.
pub fn load(path: &Path) -> Result<Matrix> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let cannot = |why: &str| Fault::invalid(format!("reading {}: {why}", path.display()));
    let mut bytes = Vec::new();
    // One byte more than the limit is enough to know, also of a device that never ends.
    File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
        .map_err(|error| cannot(&error.to_string()))?;
    if bytes.len() as u64 > LIMIT {
        return Err(cannot(&format!("it is larger than the limit of {LIMIT} bytes")).into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let (line, column) = Source { name: name.clone(), text }.position(valid);
        cannot(&format!("line {line}, column {column} is no UTF-8 text")).help("save it as UTF-8")
    })?;
    parse(Source { name, text })
}

/// Validates a text.
///
/// # Errors
/// Every error in it.
pub fn parse(mut source: Source) -> Result<Matrix> {
    // A byte order mark is no character of the first line.
    if let Some(text) = source.text.strip_prefix('\u{feff}') {
        source.text = text.to_owned();
    }
    let (matrix, mut errors, clear) = read::matrix(&source);
    errors.extend(check::check(&matrix, clear));
    if errors.is_empty() { Ok(matrix) } else { Err(Diagnostics(errors).into_error(&source)) }
}
