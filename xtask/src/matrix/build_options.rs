//! How an image is built: secrets, SSH, attestations, compression, caches. Part of the matrix and of the plan.

use serde::{Deserialize, Serialize};

/// Options of `docker buildx build` that are the same for all builds of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Secrets that the build may mount, by id.
    pub secrets: Vec<Secret>,
    /// SSH agents that the build may use, by id: `default` is the one of `SSH_AUTH_SOCK`.
    pub ssh: Vec<String>,
    /// What is told about the build.
    pub attest: Attest,
    /// How layers are packed, if not as BuildKit does by itself.
    pub compression: Option<Compression>,
    /// Where layers of earlier builds are found, first to last.
    pub cache: Vec<CacheKind>,
    /// How long what `RUN` has downloaded counts as current.
    #[serde(default, skip_serializing_if = "Refresh::is_default")]
    pub refresh: Refresh,
}

/// A secret: where it is, never what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// As `RUN --mount=type=secret,id=…` names it.
    pub id: String,
    /// Where it is.
    pub source: SecretSource,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretSource {
    /// In a variable of the environment.
    Env(String),
    /// In a file, relative to `matrix.toml`.
    File(String),
}

/// Attestations of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Attest {
    /// How much the provenance tells.
    pub provenance: Provenance,
    /// Whether the packages in the image are listed.
    pub sbom: Sbom,
}

/// The modes of BuildKit's provenance, see <https://docs.docker.com/build/metadata/attestations/slsa-provenance/>.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Materials and parameters, without build arguments and sources.
    Min,
    /// All that BuildKit knows.
    #[default]
    Max,
}

/// The list of packages in the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sbom {
    /// None.
    #[default]
    Off,
    /// By BuildKit's own generator.
    On,
    /// By another generator, an image.
    Generator(String),
}

/// How layers are packed, see <https://docs.docker.com/build/exporters/>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Compression {
    /// The algorithm.
    pub kind: CompressionKind,
    /// Its level.
    pub level: Option<u8>,
    /// Whether layers of base images are packed anew too.
    pub force: bool,
}

/// The algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CompressionKind {
    /// Not at all.
    Uncompressed,
    /// gzip, levels 0 to 9.
    Gzip,
    /// eStargz, levels 0 to 9.
    Estargz,
    /// zstd, levels 0 to 22.
    Zstd,
}

impl CompressionKind {
    pub(super) const ALL: [(&str, Self); 4] = [
        ("uncompressed", Self::Uncompressed),
        ("gzip", Self::Gzip),
        ("estargz", Self::Estargz),
        ("zstd", Self::Zstd),
    ];

    /// As buildx spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("gzip", |(word, _)| word)
    }

    pub(super) fn highest(self) -> u8 {
        match self {
            Self::Uncompressed => 0,
            Self::Gzip | Self::Estargz => 9,
            Self::Zstd => 22,
        }
    }
}

/// How long what `RUN` has downloaded counts as current: a new period, in UTC, builds again without the layers of before.
/// Where no `RUN` may use the network it makes no difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// For the day of the plan.
    #[default]
    Daily,
    /// Until the next Monday.
    Weekly,
    /// As long as nothing else changes.
    Never,
}

impl Refresh {
    pub(super) const ALL: [(&str, Self); 3] =
        [("daily", Self::Daily), ("weekly", Self::Weekly), ("never", Self::Never)];

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where layers of earlier builds are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CacheKind {
    /// In the cache of GitHub Actions.
    Gha,
    /// Beside the image, under a tag of its own.
    Registry,
    /// In the published image itself, whose signature is verified before it is used.
    Inline,
}
