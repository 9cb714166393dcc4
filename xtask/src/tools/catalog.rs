//! What there is to know about each tool: its module, its package, its oldest version.

use semver::Version;

use crate::tools::carried::{self, File};

/// A tool that is pinned as a Go module: in `xtask/tools/` if any user may need it, in `tools/` if only our tests do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// `docker buildx`.
    Buildx,
    /// BuildKit's daemon.
    Buildkitd,
    /// BuildKit's own client.
    Buildctl,
    /// The signer.
    Cosign,
    /// The CNCF distribution registry.
    Registry,
    /// A registry client of another family, for the tests.
    Crane,
    /// Sigstore's certificate authority, for the tests.
    Fulcio,
    /// Sigstore's timestamp authority, for the tests.
    TimestampServer,
    /// Sigstore's transparency log, for the tests.
    RekorServer,
    /// Our own servers for the tests: an issuer of identities, a registry, a proxy that spoils requests.
    Testkit,
    /// Demands of an image what GitHub's `gh attestation verify` demands, for the tests.
    GhVerify,
    /// Checks workflows, for the tests.
    Actionlint,
    /// Runs workflows on this machine, for the tests.
    Act,
    /// What BuildKit runs to list the packages of an image, for where its own image of it cannot be pulled.
    SbomScanner,
}

/// The package of a module that holds sources of our own, relative to the module.
pub(super) const OURS: &str = ".";

/// What there is to know about a tool.
pub(super) struct Spec {
    /// The folder of its module.
    pub(super) folder: &'static str,
    /// The Go module whose version is the tool's.
    pub(super) module: &'static str,
    /// The package to build.
    pub(super) package: &'static str,
    pub(super) binary: &'static str,
    /// The variable that carries the version, for `-ldflags -X`.
    pub(super) variable: &'static str,
    pub(super) version_args: &'static [&'static str],
    /// A word that the version command of the real tool prints: `registry` is a common name.
    pub(super) mark: &'static str,
    pub(super) minimum: Version,
    /// Whether a program of this name from elsewhere may be the tool. That of a name that only we use is something else.
    pub(super) elsewhere: bool,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Buildx,
        Self::Buildkitd,
        Self::Buildctl,
        Self::Cosign,
        Self::Registry,
        Self::Crane,
        Self::Fulcio,
        Self::TimestampServer,
        Self::RekorServer,
        Self::Testkit,
        Self::GhVerify,
        Self::Actionlint,
        Self::Act,
        Self::SbomScanner,
    ];

    pub(super) fn spec(self) -> Spec {
        let spec = |folder, module, package, binary, variable, version_args, mark, minimum: [u64; 3]| {
            let [major, minor, patch] = minimum;
            Spec {
                folder,
                module,
                package,
                binary,
                variable,
                version_args,
                mark,
                minimum: Version::new(major, minor, patch),
                elsewhere: true,
            }
        };
        match self {
            // 0.29 is the oldest that was tried with all that we ask of imagetools.
            Self::Buildx => spec(
                "buildx",
                "github.com/docker/buildx",
                "github.com/docker/buildx/cmd/buildx",
                "docker-buildx",
                "github.com/docker/buildx/version.Version",
                &["version"],
                "docker/buildx",
                [0, 29, 0],
            ),
            Self::Buildkitd => spec(
                "buildkit",
                "github.com/moby/buildkit",
                "github.com/moby/buildkit/cmd/buildkitd",
                "buildkitd",
                "github.com/moby/buildkit/version.Version",
                &["--version"],
                "moby/buildkit",
                [0, 20, 0],
            ),
            Self::Buildctl => spec(
                "buildkit",
                "github.com/moby/buildkit",
                "github.com/moby/buildkit/cmd/buildctl",
                "buildctl",
                "github.com/moby/buildkit/version.Version",
                &["--version"],
                "moby/buildkit",
                [0, 20, 0],
            ),
            // 2.4 is the oldest with the flags that we use.
            Self::Cosign => spec(
                "cosign",
                "github.com/sigstore/cosign/v3",
                "github.com/sigstore/cosign/v3/cmd/cosign",
                "cosign",
                "sigs.k8s.io/release-utils/version.gitVersion",
                &["version"],
                "GitVersion",
                [2, 4, 0],
            ),
            Self::Registry => spec(
                "registry",
                "github.com/distribution/distribution/v3",
                // Its own, without the drivers for clouds. One from elsewhere has them, and is as good.
                OURS,
                "registry",
                "github.com/distribution/distribution/v3/version.version",
                &["--version"],
                "distribution",
                [2, 8, 0],
            ),
            Self::Crane => spec(
                "crane",
                "github.com/google/go-containerregistry",
                "github.com/google/go-containerregistry/cmd/crane",
                "crane",
                "github.com/google/go-containerregistry/cmd/crane/cmd.Version",
                &["version"],
                "",
                [0, 19, 0],
            ),
            Self::Fulcio => spec(
                "fulcio",
                "github.com/sigstore/fulcio",
                "github.com/sigstore/fulcio",
                "fulcio",
                "sigs.k8s.io/release-utils/version.gitVersion",
                &["version"],
                "GitVersion",
                [1, 8, 8],
            ),
            Self::TimestampServer => Spec {
                elsewhere: false,
                ..spec(
                    "timestamp-authority",
                    "github.com/sigstore/timestamp-authority",
                    OURS,
                    "timestamp-server",
                    "main.version",
                    &[],
                    "",
                    [1, 2, 9],
                )
            },
            // 2.4 wants a newer Go than the other tools.
            Self::RekorServer => spec(
                "rekor-server",
                "github.com/sigstore/rekor-tiles/v2",
                "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix",
                "rekor-server",
                "sigs.k8s.io/release-utils/version.gitVersion",
                &["version"],
                "GitVersion",
                [2, 3, 0],
            ),
            Self::Testkit => Spec {
                elsewhere: false,
                ..spec(
                    "testkit",
                    "github.com/google/go-containerregistry",
                    OURS,
                    "testkit",
                    "main.version",
                    &[],
                    "",
                    [0, 22, 1],
                )
            },
            Self::GhVerify => Spec {
                elsewhere: false,
                ..spec(
                    "gh-verify",
                    "github.com/sigstore/sigstore-go",
                    OURS,
                    "gh-verify",
                    "main.version",
                    &[],
                    "",
                    [1, 2, 2],
                )
            },
            Self::Actionlint => spec(
                "actionlint",
                "github.com/rhysd/actionlint",
                "github.com/rhysd/actionlint/cmd/actionlint",
                "actionlint",
                "github.com/rhysd/actionlint.version",
                &["-version"],
                "installed by",
                [1, 7, 12],
            ),
            Self::Act => spec(
                "act",
                "github.com/nektos/act",
                "github.com/nektos/act",
                "act",
                "main.version",
                &["--version"],
                "act version",
                [0, 2, 89],
            ),
            Self::SbomScanner => Spec {
                elsewhere: false,
                ..spec(
                    "sbom-scanner",
                    "github.com/anchore/syft",
                    OURS,
                    "syft-scanner",
                    "main.version",
                    &[],
                    "",
                    [1, 54, 1],
                )
            },
        }
    }

    /// Whether a build or a merge hardly ever calls it: it is for the tests, or for what few ask for.
    pub fn is_rare(self) -> bool {
        !matches!(self, Self::Buildx | Self::Buildkitd | Self::Buildctl | Self::Cosign | Self::Registry)
    }

    /// The files of its module, if this program carries them.
    pub(super) fn carried(self) -> Option<&'static [File]> {
        match self {
            Self::Buildx => Some(carried::BUILDX),
            Self::Buildkitd | Self::Buildctl => Some(carried::BUILDKIT),
            Self::Cosign => Some(carried::COSIGN),
            Self::Registry => Some(carried::REGISTRY),
            Self::SbomScanner => Some(carried::SBOM_SCANNER),
            Self::Crane
            | Self::Fulcio
            | Self::TimestampServer
            | Self::RekorServer
            | Self::Testkit
            | Self::GhVerify
            | Self::Actionlint
            | Self::Act => None,
        }
    }

    /// The name of the binary.
    pub fn binary(self) -> &'static str {
        self.spec().binary
    }

    /// The oldest version that is good enough.
    pub fn minimum(self) -> Version {
        self.spec().minimum
    }
}
