//! The plan as types, and as a file.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

use crate::base::error::UserError;
use crate::base::files;
use crate::base::git_refs::RefPattern;
use crate::base::ids::{CellId, Digest, Name, Platform, Repository, Tag};
use crate::matrix::{Options, Sigstore};
use crate::plan::event::Event;
use crate::plan::pairs::{self, Pair};
use crate::plan::remote::Remotes;
use crate::plan::reuse::{Kept, Reuse};

/// The version of the plan's JSON form.
pub const SCHEMA: u32 = 1;

/// A resolved run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The version of this form.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: u32,
    /// SHA-256 of the canonical form: the plan as compact JSON, its keys in the order of these fields, with the
    /// digest of nothing in the place of this one.
    pub id: Digest,
    /// The plan's clock, RFC 3339 in UTC, whole seconds.
    #[cfg_attr(test, schemars(extend("pattern" = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")))]
    pub created: String,
    /// The real clock, where [`Plan::created`] is what `SOURCE_DATE_EPOCH` says. The same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<String>,
    /// The code date of the revision: how new the code is, whatever the clock of the plan says. RFC 3339 in UTC, whole
    /// seconds; none in older plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_date: Option<String>,
    /// What started the run.
    pub event: Event,
    /// The commit of this repository; ends in `-dirty` when the tree had changes.
    pub revision: String,
    /// The address of this repository, where known.
    pub source: Option<String>,
    /// The digest of `matrix.toml`.
    pub matrix: Digest,
    /// Where the images go.
    pub destination: Destination,
    /// How they are signed.
    pub sign: SigningMethod,
    /// How images were signed before: what was published then is ordered, and can be gone back to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formerly: Vec<FormerSigner>,
    /// Commands that judge each index before it is tagged: see [`crate::base::gates`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Vec<String>>,
    /// Whether the run pushes at all. A pull request never does.
    pub push: bool,
    /// The refs of other repositories that were chosen, by the address that `matrix.toml` gives.
    pub upstreams: Remotes,
    /// What gets tags, in the order of waves.
    pub cells: Vec<Cell>,
    /// What `[[exclude]]` left out, and what gets no tag in this run.
    pub excluded: Vec<Excluded>,
}

/// Where the images of a plan go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Which rules apply.
    pub kind: DestinationKind,
    /// The repositories under which each image has its own.
    pub repositories: Vec<Repository>,
}

/// The values of `--to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DestinationKind {
    /// The local stack.
    Local,
    /// The repositories of `matrix.toml`.
    Publish,
    /// A repository named on the command line.
    Repository,
}

/// How the images of a plan are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum SigningMethod {
    /// By the throw-away key of the local stack.
    Local,
    /// By OIDC.
    Keyless {
        /// An anchored regular expression for the certificate's identity.
        identity: String,
        /// The OIDC issuer.
        issuer: String,
        /// A Sigstore other than the public one.
        sigstore: Option<Sigstore>,
        /// Whose workflow must have run. None where the identity is of no workflow of GitHub, and in older plans.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caller: Option<Caller>,
    },
    /// By a key.
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

/// Who signed until some time, and counts until then for what was published before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FormerSigner {
    /// RFC 3339 in UTC.
    pub until: String,
    /// By what; a key is the public one.
    pub sign: SigningMethod,
}

/// The repository whose workflow runs, and from which refs: a reusable workflow may be called by anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// `owner/name`.
    pub repository: String,
    /// The branches and tags that count.
    pub refs: Vec<RefPattern>,
}

/// Image x track x composer mode: the unit that gets tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Its id.
    pub id: CellId,
    /// The image.
    pub image: Name,
    /// The track, where it has one.
    pub track: Option<Name>,
    /// The composer mode, where it has one.
    pub composer: Option<Name>,
    /// Its value on each axis of the image, in the order of the id.
    #[serde(with = "pairs")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub axes: Vec<Pair>,
    /// The upstream version.
    pub version: Option<String>,
    /// The upstream ref as written or found, e.g. a branch.
    pub reference: Option<String>,
    /// The upstream commit.
    pub commit: Option<String>,
    /// Where the image goes, one full repository for each of the destination's.
    pub repositories: Vec<Repository>,
    /// Its tags in the order in which they are set.
    pub tags: Vec<PlannedTag>,
    /// Whether the run succeeds without it.
    pub allow_failure: bool,
    /// 0 needs nothing of this run, 1 needs something of wave 0, and so on.
    pub wave: usize,
    /// Annotations of the index: what is needed to know later which publication is the newer one.
    #[serde(with = "pairs")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub annotations: Vec<Pair>,
    /// The annotations whose values change without a change of what is built, as they are compared: `{created}` unexpanded.
    #[serde(default, with = "pairs", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub volatile: Vec<Pair>,
    /// One per platform.
    pub builds: Vec<Build>,
    /// What is published of it already; none in a plan that was not compared with the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Reuse>,
}

/// A tag to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlannedTag {
    /// The tag.
    pub name: Tag,
    /// Once set it never moves to another digest.
    pub immutable: bool,
    /// It stands for the highest version that it can hold, as `{major}` and `{latest}` do.
    #[serde(rename = "highest")]
    pub floating: bool,
}

/// Cell x platform: one `docker buildx build`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The short name of the platform.
    pub arch: Name,
    /// The platform.
    pub platform: Platform,
    /// The CI runner that builds it natively.
    pub runner: Option<String>,
    /// The context, relative to the folder of `matrix.toml`.
    pub context: String,
    /// The Dockerfile, relative to the context.
    pub dockerfile: String,
    /// The stage to build.
    pub target: Option<String>,
    /// The stage that tests the finished image.
    pub test: Option<String>,
    /// Files that must be machine code for the platform, beside the program that a container starts.
    pub binaries: Vec<String>,
    /// May be built by emulation without being asked.
    pub emulate: bool,
    /// Build arguments.
    #[serde(with = "pairs")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub build_args: Vec<Pair>,
    /// Labels of the image.
    #[serde(with = "pairs")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub labels: Vec<Pair>,
    /// Annotations of the image manifest.
    #[serde(with = "pairs")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub annotations: Vec<Pair>,
    /// What of these changes without a change of what is built, as it is compared: by kind and key, as in `label KEY`.
    #[serde(default, with = "pairs", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub volatile: Vec<Pair>,
    /// Named contexts that are no images of this matrix.
    pub contexts: Vec<BuildContext>,
    /// Secrets, attestations, compression, caches.
    pub options: Options,
    /// The base images that were resolved, by the names that the Dockerfile gives them, each with its digest: what a name
    /// stands for cannot change while the platforms are built.
    #[serde(default, with = "pairs", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schemars(with = "std::collections::BTreeMap<String, String>"))]
    pub bases: Vec<Pair>,
    /// Images of the same run and architecture that enter as named contexts.
    pub needs: Vec<Need>,
}

/// A build context beside the main one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BuildContext {
    /// Its name.
    pub name: String,
    /// A path relative to the folder of `matrix.toml`, or an address.
    pub source: String,
    /// Whether it is a path.
    pub local: bool,
}

/// A needed image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// The name of the context.
    pub context: Name,
    /// The cell that makes it.
    pub cell: CellId,
}

/// A cell that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// Its id.
    pub cell: CellId,
    /// The reason that `matrix.toml` gives, or that its tags have.
    pub reason: String,
    /// It gets no tag in this run; no `[[exclude]]` leaves it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untagged: bool,
}

impl Plan {
    /// Fills in [`Plan::id`].
    ///
    /// # Errors
    /// Never in practice: a plan is plain data.
    pub(crate) fn seal(mut self) -> Result<Self> {
        self.id = Digest::of(b"");
        self.id = Digest::of(&serde_json::to_vec(&self)?);
        Ok(self)
    }

    /// Reads a plan that `plan --save` wrote.
    ///
    /// # Errors
    /// If there is none, if it is no plan of this version, or if it was changed after it was written.
    pub fn read(path: &Path) -> Result<Self> {
        let invalid = |why: String| {
            UserError::invalid(format!("reading the plan {}: {why}", path.display()))
                .help("write one with `cargo xtask plan --save FILE`")
        };
        let bytes = files::read_optional(path)?.ok_or_else(|| invalid("there is no such file".to_owned()))?;
        let mut plan: Self = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        if plan.schema != SCHEMA {
            return Err(invalid(format!("schema {} is not supported, expected {SCHEMA}", plan.schema)).into());
        }
        let claimed = plan.id.clone();
        plan = plan.seal()?;
        if plan.id != claimed {
            return Err(invalid(
                "its content does not match its id: it was changed after it was written".to_owned(),
            )
            .into());
        }
        Ok(plan)
    }

    /// Without what was found out about what is published: the run as it follows from the checkout alone.
    ///
    /// # Errors
    /// As [`Plan::seal`].
    pub(crate) fn bare(&self) -> Result<Self> {
        let mut plan = self.clone();
        for cell in &mut plan.cells {
            cell.reuse = None;
            cell.builds.iter_mut().for_each(|build| build.bases.clear());
        }
        plan.seal()
    }

    /// Whether it was compared with what is published.
    pub fn is_compared(&self) -> bool {
        self.cells.iter().any(|cell| cell.reuse.is_some())
    }

    /// When it was made, by the real clock.
    pub fn planned(&self) -> &str {
        self.planned.as_deref().unwrap_or(&self.created)
    }

    /// A cell by its id.
    pub fn cell(&self, id: &CellId) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.id == *id)
    }

    /// Whether the revision had uncommitted changes.
    pub fn dirty(&self) -> bool {
        self.revision.ends_with("-dirty")
    }
}

impl Cell {
    /// The cells that its builds stand on, once for each build.
    pub fn needs(&self) -> impl Iterator<Item = &CellId> {
        self.builds.iter().flat_map(|build| &build.needs).map(|need| &need.cell)
    }

    /// The publication that it keeps, if it is not built.
    pub fn kept(&self) -> Option<&Kept> {
        match &self.reuse {
            Some(Reuse::Kept(kept)) => Some(kept),
            _ => None,
        }
    }

    /// The build for an architecture.
    pub fn build(&self, arch: &Name) -> Option<&Build> {
        self.builds.iter().find(|build| build.arch == *arch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;

    /// `xtask/schema/plan.schema.json` is made from these types. `UPDATE_EXPECT=1` writes it.
    #[test]
    fn the_schema_is_that_of_these_types() {
        let settings = schemars::generate::SchemaSettings::draft07().for_serialize();
        let schema = settings.into_generator().into_root_schema_for::<Plan>();
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        expect_file!["../../schema/plan.schema.json"].assert_eq(&text);
    }
}
