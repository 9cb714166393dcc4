//! What can be typed, and its help. `options.rs` has what it becomes.

mod scaffold;
mod values;

use clap::{ArgGroup, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

use crate::base::ids::{CellId, Digest, Name};
use crate::base::record_hashes::RecordHashes;
use crate::session::destination::To;

pub(crate) use crate::cli::scaffold::Update;
#[cfg(feature = "standalone")]
pub(crate) use crate::cli::scaffold::{Completions, Init, Man};

/// Build, sign and publish multi-architecture container images from one matrix.toml.
#[derive(Debug, Parser)]
#[command(version = env!("XTASK_VERSION"), disable_help_subcommand = true, propagate_version = true)]
pub(crate) struct Cli {
    /// Use this matrix.toml instead of the nearest one above the current folder.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) matrix: Option<PathBuf>,
    /// At the end, print what the command cost: processes, registry requests, bytes and seconds.
    #[arg(long, global = true)]
    pub(crate) timings: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be typed, as clap has it. `by_cargo`: as `cargo xtask`, not as `xtask`.
pub(crate) fn command(by_cargo: bool) -> clap::Command {
    let name = if by_cargo { "cargo xtask" } else { "xtask" };
    Cli::command().name(name).bin_name(name)
}

/// What was typed.
///
/// # Errors
/// If it cannot be: the message is clap's own. Help and version come this way, too.
pub(crate) fn parse(by_cargo: bool) -> Result<Cli, clap::Error> {
    let mut command = command(by_cargo);
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what a run would build and publish.
    Plan(Plan),
    /// Build cells by digest and write one digest record for each.
    Build(Build),
    /// Join the records of each cell into one index; sign, verify, then tag it.
    Merge(Merge),
    /// Check published images as a consumer would.
    Verify(Verify),
    /// Move a cell's tags back to what its last publication replaced, and hold them there.
    Rollback(Rollback),
    /// Keep a cell's tags where they are: merge leaves them alone until they are released.
    Hold(Hold),
    /// Let the tags of a held cell move again.
    Release(Release),
    /// Show what a run built and published; fail if something of its plan is missing.
    Report(Report),
    /// Print a policy by which a Kubernetes cluster admits these images only as they are signed.
    Policy(Policy),
    /// List what earlier runs have left in the registry and nothing needs any more, or delete it.
    Gc(Gc),
    /// Start, stop or show the local registry and builder.
    #[command(subcommand)]
    Local(Local),
    /// From a fresh clone to signed, verified images in the local registry.
    Quickstart,
    /// Add this build system to a repository: propose matrix.toml and the other files that it needs.
    #[cfg(feature = "standalone")]
    Init(Init),
    /// Bring the workflow files that `init` wrote to the state of this version, as a diff.
    Update(Update),
    /// Check tools, Docker Engine, local stack, matrix.toml and workflow files.
    Doctor,
    /// Print the JSON Schema of matrix.toml, for editors.
    Schema {
        /// That of plans instead.
        #[arg(long)]
        plan: bool,
    },
    /// Print a completion script for a shell.
    #[cfg(feature = "standalone")]
    Completions(Completions),
    /// Write the manual: a page for each command.
    #[cfg(feature = "standalone")]
    Man(Man),
    /// Run what CI of xtask-images itself runs: format, lints, unit tests, tests on the real stack.
    #[cfg(feature = "standalone")]
    Ci {
        /// Leave out the tests that only root can run. They are named.
        #[arg(long)]
        without_root: bool,
    },
}

/// How the plan is found.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Use this plan instead of resolving matrix.toml.
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// Refuse the file of --plan unless it is the plan with this id.
    #[arg(long, value_name = "sha256:…", requires = "plan")]
    pub(crate) expect_plan: Option<Digest>,
    /// Where the images go: local, publish, or a repository [default: $XTASK_TO, else local, in CI publish].
    #[arg(long, value_name = "local|publish|HOST/PATH")]
    pub(crate) to: Option<To>,
    /// Make a new plan instead of using the current one. This forces no rebuild: see `plan --no-reuse`.
    #[arg(long, conflicts_with = "plan")]
    pub(crate) fresh: bool,
    /// Override the version of a track: a version, or where it follows another repository a tag, branch or commit.
    #[arg(long, value_name = "TRACK=X", conflicts_with = "plan", value_parser = values::track_version)]
    pub(crate) set_version: Vec<(Name, String)>,
    /// Plan as if this had started the run: push, tag, release, pull-request, fork, schedule, dispatch or local,
    /// with a branch or tag where it has one, e.g. push:develop or tag:v1.2.3.
    #[arg(long, value_name = "EVENT[:REF]", conflicts_with = "plan")]
    pub(crate) event: Option<String>,
    /// Push, to wherever is not this machine, although the checkout has uncommitted changes.
    #[arg(long)]
    pub(crate) allow_dirty: bool,
}

/// Which cells are meant. Every option may be repeated.
#[derive(Debug, Args)]
pub(crate) struct CellArgs {
    /// Only cells of this image.
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Vec<Name>,
    /// Only cells of this track.
    #[arg(long, value_name = "NAME")]
    pub(crate) track: Vec<Name>,
    /// Only cells of this composer mode.
    #[arg(long, value_name = "MODE")]
    pub(crate) composer: Vec<Name>,
    /// Only cells with this value on an axis, e.g. alpine=3.24.
    #[arg(long, value_name = "AXIS=VALUE", value_parser = values::axis_value)]
    pub(crate) axis: Vec<(Name, String)>,
    /// Only this cell, e.g. app.tag.pinned; several separated by commas.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) cell: Vec<CellId>,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    #[command(flatten)]
    pub(crate) cells: CellArgs,
    /// Show only this architecture or platform. A saved plan keeps all: merge must not publish half.
    #[arg(long, value_name = "ARCH", value_delimiter = ',', conflicts_with_all = ["json", "save"])]
    pub(crate) arch: Vec<String>,
    /// Print the plan as JSON; with --diff, the differences.
    #[arg(long)]
    pub(crate) json: bool,
    /// Compare with the registry: what becomes of each cell and of each tag, and what is built for it.
    #[arg(long)]
    pub(crate) diff: bool,
    /// Show where each value of a cell comes from.
    #[arg(long, value_name = "CELL", conflicts_with_all = ["json", "save", "plan", "arch", "diff"])]
    pub(crate) explain: Option<CellId>,
    /// Write the job matrices to $GITHUB_OUTPUT; where that is not set, print them.
    #[arg(long, conflicts_with_all = ["json", "explain", "arch"])]
    pub(crate) github: bool,
    /// Write the plan to a file, for --plan.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Plan to build every cell, even if its inputs are unchanged. BuildKit's cache is still used.
    #[arg(long, conflicts_with = "plan")]
    pub(crate) no_reuse: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    #[command(flatten)]
    pub(crate) cells: CellArgs,
    /// Only this architecture or platform, e.g. arm64 or linux/arm64 [default: what the builder has natively].
    #[arg(long, value_name = "ARCH", value_delimiter = ',')]
    pub(crate) arch: Vec<String>,
    /// Build platforms that the builder has to emulate; so does XTASK_EMULATE=true.
    #[arg(long)]
    pub(crate) emulate: bool,
    /// Build completely but push nothing.
    #[arg(long)]
    pub(crate) no_push: bool,
    /// Print the commands instead of running them.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Use this buildx builder.
    #[arg(long, value_name = "NAME")]
    pub(crate) builder: Option<String>,
    /// Write the digest records here [default: target/xtask/digests].
    #[arg(long, value_name = "DIR")]
    pub(crate) digests: Option<PathBuf>,
    /// Build every cell, even if it is published or already built from the same inputs.
    #[arg(long)]
    pub(crate) no_reuse: bool,
    /// Build this many cells side by side.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Write the SHA-256 of the digest records to $GITHUB_OUTPUT under this name, for `merge --expect-records`.
    #[arg(long, value_name = "NAME")]
    pub(crate) github_output: Option<Name>,
}

#[derive(Debug, Args)]
pub(crate) struct Merge {
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    #[command(flatten)]
    pub(crate) cells: CellArgs,
    /// Print the commands instead of running them.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Let tags move back to an older publication.
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
    /// Treat a tag whose records fail verification as older, instead of failing the cell.
    #[arg(long)]
    pub(crate) replace_untrusted: bool,
    /// Use this buildx builder.
    #[arg(long, value_name = "NAME")]
    pub(crate) builder: Option<String>,
    /// Read the digest records from here [default: target/xtask/digests].
    #[arg(long, value_name = "DIR")]
    pub(crate) digests: Option<PathBuf>,
    /// Refuse digest records other than these, separated by commas: what `build --github-output` has written.
    #[arg(long, value_name = "CELL/ARCH=sha256:…,…")]
    pub(crate) expect_records: Option<RecordHashes>,
    /// Write the publication records here [default: target/xtask/publications].
    #[arg(long, value_name = "DIR")]
    pub(crate) publications: Option<PathBuf>,
    /// Publish this many cells side by side.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A reference, e.g. ghcr.io/acme/app:latest [default: every tag of the plan].
    #[arg(value_name = "REF")]
    pub(crate) reference: Option<String>,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    #[command(flatten)]
    pub(crate) cells: CellArgs,
    /// Check against this public key.
    #[arg(long, value_name = "FILE", requires = "reference", conflicts_with_all = ["identity", "issuer"])]
    pub(crate) key: Option<PathBuf>,
    /// Demand this identity of the certificate: a regular expression, anchored at both ends.
    #[arg(long, value_name = "REGEXP", requires_all = ["reference", "issuer"])]
    pub(crate) identity: Option<String>,
    /// Demand this OIDC issuer of the certificate.
    #[arg(long, value_name = "URL", requires = "identity")]
    pub(crate) issuer: Option<String>,
    /// Demand that a workflow of this repository ran: OWNER/NAME [default: the one that the identity names].
    #[arg(long, value_name = "OWNER/NAME", requires = "identity")]
    pub(crate) repository: Option<String>,
    /// Trust this Sigstore instead of the public one: a file of `cosign trusted-root create`.
    #[arg(long, value_name = "FILE", requires = "identity")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Read the publication records from here [default: target/xtask/publications].
    #[arg(long, value_name = "DIR")]
    pub(crate) publications: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The cell, e.g. app.tag.pinned.
    #[arg(value_name = "CELL")]
    pub(crate) cell: CellId,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// Print the commands instead of running them.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave the tags free: the next merge moves them forward again.
    #[arg(long)]
    pub(crate) no_hold: bool,
    /// Read the publication records from here, where the registry has none [default: target/xtask/publications].
    #[arg(long, value_name = "DIR")]
    pub(crate) publications: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// The cell, e.g. app.tag.pinned.
    #[arg(value_name = "CELL")]
    pub(crate) cell: CellId,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// Why; merge and report repeat it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Let the tags move again from then on: 2026-12-24T08:00:00Z [default: until they are released].
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The cell, e.g. app.tag.pinned.
    #[arg(value_name = "CELL")]
    pub(crate) cell: CellId,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("controller").required(true)))]
pub(crate) struct Policy {
    /// For Kyverno 1.17 or newer: an ImageValidatingPolicy.
    #[arg(long, group = "controller")]
    pub(crate) kyverno: bool,
    /// For Sigstore's policy-controller 0.13 or newer: a ClusterImagePolicy.
    #[arg(long, group = "controller")]
    pub(crate) policy_controller: bool,
    /// Whose images: local, publish, or a repository [default: publish].
    #[arg(long, value_name = "local|publish|HOST/PATH")]
    pub(crate) to: Option<To>,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Whose images: local, publish, or a repository [default: local; in CI: publish].
    #[arg(long, value_name = "local|publish|HOST/PATH")]
    pub(crate) to: Option<To>,
    /// Only this image; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Vec<Name>,
    /// What was planned less than this ago stays, e.g. 12h, 7d, 6months.
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = values::age)]
    pub(crate) older_than: Duration,
    /// Delete it. Without this nothing is changed.
    #[arg(long)]
    pub(crate) delete: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// Read the digest records from here [default: target/xtask/digests].
    #[arg(long, value_name = "DIR")]
    pub(crate) digests: Option<PathBuf>,
    /// Read the publication records from here [default: target/xtask/publications].
    #[arg(long, value_name = "DIR")]
    pub(crate) publications: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Local {
    /// Start the registry and the builder. Quick when they run.
    Up,
    /// Stop them.
    Down {
        /// Remove their data and the signing key too.
        #[arg(long)]
        purge: bool,
    },
    /// Show whether and where they run.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}
