//! `matrix.toml` as types. Lists are in the order of the file.

use serde::{Deserialize, Serialize};
use std::ops::Range;

use crate::base::git_refs::RefPattern;
use crate::base::ids::{Name, Platform, Repository};
use crate::base::template::Template;
use crate::base::version::TagPattern;
use crate::matrix::build_options::Options;
use crate::matrix::diagnostic::{Located, Source};

/// The whole file. Lists are in the order of the file.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The file itself.
    pub source: Source,
    /// `publish.repositories`.
    pub repositories: Vec<Repository>,
    /// `publish.refs`: the branches and tags from which a run may publish. None: the default branch, and tags whose commit
    /// is reachable from it.
    pub publish_refs: Option<Vec<RefPattern>>,
    /// `publish.when`: the runs that publish; every one if empty.
    pub publish_when: Vec<Condition>,
    /// `publish.gate`: commands that judge each index before it is tagged: see [`crate::base::gates`].
    pub gates: Vec<Vec<String>>,
    /// `[sign]`.
    pub sign: SignSection,
    /// `[[sign.formerly]]`.
    pub formerly: Vec<FormerSigner>,
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
pub enum SignSection {
    /// By OIDC.
    Keyless {
        /// What `verify` demands of the certificate; derived from the repository if not given.
        identity: Option<String>,
        /// The workflow that signs, e.g. `cell.yml`; any of the repository if not given.
        workflow: Option<String>,
        /// The repository whose workflow must have run, `owner/name`; the one of the identity if not given.
        repository: Option<String>,
        /// The OIDC issuer; GitHub's if not given.
        issuer: Option<String>,
        /// A Sigstore of one's own; the public one if not given.
        sigstore: Option<Sigstore>,
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

/// Who signed until some day, and counts until then for what was published before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerSigner {
    /// RFC 3339 in UTC.
    pub until: String,
    /// By what.
    pub method: FormerMethod,
}

/// By what images were signed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormerMethod {
    /// By OIDC.
    Keyless {
        /// What the certificate says: an anchored regular expression.
        identity: String,
        /// The repository whose workflow ran; the one of the identity if not given.
        repository: Option<String>,
        /// The OIDC issuer; GitHub's if not given.
        issuer: Option<String>,
        /// From which branches and tags; those of `publish.refs` if not given.
        refs: Option<Vec<RefPattern>>,
    },
    /// By a key: the public one, a file, `env://NAME`, a KMS address.
    Key(String),
}

/// A Sigstore other than the public one: two files as cosign 3 writes and reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sigstore {
    /// Whom a consumer trusts (`cosign trusted-root create`), relative to the folder of `matrix.toml`.
    pub trusted_root: String,
    /// Who signs (`cosign signing-config create`), likewise.
    pub signing_config: String,
}

/// A platform and its names.
#[derive(Debug, Clone)]
pub struct PlatformDef {
    /// The short name.
    pub name: Name,
    /// The platform.
    pub platform: Platform,
    /// The CI runner that builds it, natively unless it is emulated.
    pub runner: Option<String>,
    /// Whether it may be emulated, beside platforms that are built natively.
    pub emulate: bool,
    /// What its builds get.
    pub settings: Settings,
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
    /// What its builds get.
    pub settings: Settings,
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
    /// When it is given.
    pub when: When,
    /// It never moves to another digest.
    pub immutable: bool,
    /// Where it stands.
    pub span: Range<usize>,
}

/// When a tag is given: both must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// One of these holds, or there is none.
    pub on: Vec<Condition>,
    /// The cell is one of these.
    pub cell: Selector,
}

/// Parts of a cell, by name (`image`, `track`, `composer`, `arch`, an axis), and the values that each may have.
/// All must fit; no part at all fits every cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(pub Vec<(Name, Vec<String>)>);

impl Selector {
    /// Whether what has these parts is meant.
    pub fn fits<'p>(&self, part: impl Fn(&str) -> Option<&'p str>) -> bool {
        self.0.iter().all(|(name, values)| {
            part(name.as_str()).is_some_and(|found| values.iter().any(|value| value == found))
        })
    }
}

/// A circumstance of a run.
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
    /// Its value; none for an automatic label that is switched off.
    pub value: Option<Template>,
    /// Where the value stands.
    pub span: Range<usize>,
}

/// What builds get, wherever it is written. The more specific place wins, key by key:
/// platform, track, composer mode, image, the overrides of the image in their order.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Build arguments.
    pub build_args: Vec<Setting>,
    /// Labels.
    pub labels: Vec<Setting>,
    /// Annotations of each platform's manifest.
    pub annotations: Vec<Setting>,
    /// Annotations of the index.
    pub index_annotations: Vec<Setting>,
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
    /// What the builds of every image in this mode get.
    pub settings: Settings,
    /// Whether a run succeeds without it.
    pub allow_failure: bool,
}

/// Cells that are left out: those that match all that is given.
#[derive(Debug, Clone)]
pub struct Exclude {
    /// Which.
    pub cells: Selector,
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
    pub dockerfile: Dockerfile,
    /// The stage.
    pub target: Option<Located<String>>,
    /// The stage that tests the finished image before it is signed. It takes the place of `target`.
    pub test: Option<Located<String>>,
    /// Files that must be machine code for the platform, beside the program that a container starts.
    pub binaries: Vec<Located<String>>,
    /// Its platforms.
    pub platforms: Vec<Name>,
    /// Its tracks; none if it has a version of its own.
    pub tracks: Vec<Name>,
    /// A version and tags of its own instead of tracks.
    pub own: Option<OwnLine>,
    /// Its composer modes.
    pub composers: Vec<Name>,
    /// Further lists of values that multiply it.
    pub axes: Vec<Axis>,
    /// `description`, `licenses` and `url`, where nothing else is said: labels, and annotations of the index.
    pub describing: Settings,
    /// What its builds get.
    pub settings: Settings,
    /// What some of its builds get on top.
    pub overrides: Vec<Override>,
    /// Named contexts that are no images of this matrix.
    pub contexts: Vec<NamedContext>,
    /// How it is built.
    pub options: Options,
    /// Images of this matrix that it is built upon.
    pub needs: Vec<Need>,
    /// Whether its platforms may be emulated.
    pub emulate: bool,
    /// Where its name stands.
    pub span: Range<usize>,
}

/// The Dockerfile of an image.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// For every platform that is not named.
    pub default: String,
    /// For one platform, by its short name.
    pub arches: Vec<(Name, String)>,
}

impl Dockerfile {
    /// The one for a platform.
    pub fn of(&self, arch: &Name) -> &str {
        let own = self.arches.iter().find(|(name, _)| name == arch);
        own.map_or(&self.default, |(_, path)| path)
    }
}

/// A list of values that multiplies an image.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Its name, also the name of a placeholder.
    pub name: Name,
    /// Its values, each a part of a cell's id.
    pub values: Vec<Name>,
}

/// What some builds of an image get.
#[derive(Debug, Clone)]
pub struct Override {
    /// Which builds.
    pub builds: Selector,
    /// What they get.
    pub settings: Settings,
    /// Where it stands.
    pub span: Range<usize>,
}

/// A build context beside the main one.
#[derive(Debug, Clone)]
pub struct NamedContext {
    /// Its name, as `FROM` and `COPY --from` use it.
    pub name: String,
    /// A path below the folder of `matrix.toml`, or an address that BuildKit knows.
    pub source: Template,
    /// Where it stands.
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
    /// The values of axes that are not the same: a value or `{axis}`.
    pub axes: Vec<(Name, Template)>,
    /// Where it stands.
    pub span: Range<usize>,
}
