//! What builds the images of a repository today, as far as its files tell: what every reader of them makes, and what
//! `matrix.toml` is written from.

use std::collections::{BTreeMap, BTreeSet};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The images, in the order in which they were found.
    pub(crate) images: Vec<Image>,
    /// Where they are published, without their names, e.g. `ghcr.io/acme`; empty: nothing says so.
    pub(crate) repositories: Vec<String>,
    /// The runs that publish, as `when` of `[publish]` has them; empty: all.
    pub(crate) publish_when: Vec<&'static str>,
    /// What starts a run of the workflow that was read, if one was.
    pub(crate) triggers: Option<Triggers>,
    /// What could not be carried over, each a sentence without a full stop that says where it stands and what to do.
    pub(crate) left: Vec<String>,
}

/// An image.
///
/// `build_args`, `labels`, `annotations` and `tags` are templates of `matrix.toml`: braces of the original are doubled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Image {
    /// Its name: what follows the last slash of its repository.
    pub(crate) name: String,
    /// Where it was found, for a comment, e.g. `docker-bake.hcl, target app`.
    pub(crate) origin: String,
    /// The context, relative to the repository: `.` or `images/app`.
    pub(crate) context: String,
    /// The Dockerfile, relative to the context.
    pub(crate) dockerfile: String,
    /// Other Dockerfiles, by platform (`linux/arm64`).
    pub(crate) dockerfiles: BTreeMap<String, String>,
    /// The stage.
    pub(crate) target: Option<String>,
    /// The platforms, with the label of the runner that built each, where that was known. Empty: nothing says so.
    pub(crate) platforms: BTreeMap<String, Option<String>>,
    /// The build arguments.
    pub(crate) build_args: BTreeMap<String, String>,
    /// Build arguments that only a platform gets.
    pub(crate) platform_args: BTreeMap<String, BTreeMap<String, String>>,
    /// The labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// The annotations.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Further lists of values that multiply it.
    pub(crate) axes: BTreeMap<String, Vec<String>>,
    /// Combinations of axes that are left out.
    pub(crate) left_out: Vec<BTreeMap<String, String>>,
    /// The tags. Empty: nothing says so.
    pub(crate) tags: Vec<Tag>,
    /// Named contexts, relative to the repository or addresses.
    pub(crate) contexts: BTreeMap<String, String>,
    /// Other images of these that it is built upon: the name of the context, and that of the image.
    pub(crate) needs: BTreeMap<String, String>,
    /// Secrets of `RUN --mount=type=secret`, by id.
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// Where layers are kept: `gha`, `registry`, `inline`.
    pub(crate) cache: BTreeSet<&'static str>,
    /// Whether it gets an SBOM.
    pub(crate) sbom: bool,
}

impl Image {
    /// A file of its context, relative to the repository.
    pub(crate) fn in_context(&self, file: &str) -> String {
        let path = if self.context == "." { file.to_owned() } else { format!("{}/{file}", self.context) };
        path.trim_start_matches("./").to_owned()
    }

    /// The Dockerfile, relative to the repository.
    pub(crate) fn dockerfile_path(&self) -> String {
        self.in_context(&self.dockerfile)
    }

    /// Whether another one is the same image under other tags.
    pub(crate) fn is_built_like(&self, other: &Self) -> bool {
        let how = |image: &Self| Self {
            origin: String::new(),
            tags: Vec::new(),
            platforms: BTreeMap::new(),
            cache: BTreeSet::new(),
            ..image.clone()
        };
        how(self) == how(other)
    }
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag {
    /// Its template.
    pub(crate) text: String,
    /// The condition under which it is set, one of `matrix.toml`, e.g. `release`; none: always.
    pub(crate) when: Option<&'static str>,
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// An environment variable.
    Env(String),
    /// A file, relative to the repository.
    File(String),
}

/// What starts a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Triggers {
    /// `push` to these branches; none: no push to a branch.
    pub(crate) branches: Vec<String>,
    /// `push` of these tags.
    pub(crate) tags: Vec<String>,
    /// `push` and `pull_request` only where these files changed.
    pub(crate) paths: Vec<String>,
    /// Pull requests.
    pub(crate) pull_request: bool,
    /// The times, as in `cron`.
    pub(crate) schedules: Vec<String>,
    /// The publication of a release.
    pub(crate) release: bool,
}

/// A text as a template that stands for itself.
pub(crate) fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A text as a name of `matrix.toml`: in lower case, with a dash for whatever a name may not hold. Empty: it holds nothing
/// else.
pub(crate) fn name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let text: String = text.to_ascii_lowercase().chars().map(plain).collect();
    text.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// With a host: Docker Hub's may be left out. Source:
/// <https://github.com/distribution/reference/blob/main/normalize.go>.
pub(crate) fn qualified(place: &str) -> String {
    let place = place.to_ascii_lowercase();
    let first = place.split('/').next().unwrap_or_default();
    let is_host = first.contains(['.', ':']) || first == "localhost";
    if is_host { place } else { format!("docker.io/{place}") }
}

/// One of our kinds of caches.
pub(crate) fn cache_kind(kind: &str) -> Option<&'static str> {
    ["gha", "inline", "registry"].into_iter().find(|known| *known == kind)
}
