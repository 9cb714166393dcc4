//! The four published pipelines of `examples/`: the cells, platforms, runners and tags of each, for every event.
//!
//! The tables below were written by hand from what the originals publish, not taken from a run.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use xtask_images::matrix;
use xtask_images::plan::event::Event;
use xtask_images::plan::git::Git;
use xtask_images::plan::inputs::Inputs;
use xtask_images::plan::remote::{RemoteRef, Remotes};
use xtask_images::plan::resolve::resolve;
use xtask_images::plan::{Destination, DestinationKind, Plan, SigningMethod};

/// 2026-11-21T05:00:00Z.
const NOW: u64 = 1_795_237_200;
const MASTER: &str = "aaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const DEVELOP: &str = "dddddddeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";

fn folder(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example)
}

fn remotes() -> Remotes {
    let head = |name: &str, commit: &str| RemoteRef {
        name: format!("refs/heads/{name}"),
        commit: commit.to_owned(),
    };
    let refs = vec![head("develop", DEVELOP), head("master", MASTER)];
    Remotes::from([("https://github.com/grokability/snipe-it".to_owned(), refs)])
}

fn plan(example: &str, event: &str, set: &[(&str, &str)]) -> Plan {
    let root = folder(example);
    let matrix = matrix::load(&root.join("matrix.toml")).unwrap();
    let read = |path: &str| Ok(fs::read_to_string(root.join(path))?);
    let versions: BTreeMap<_, _> =
        set.iter().map(|(track, version)| (track.parse().unwrap(), (*version).to_owned())).collect();
    let inputs = Inputs {
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        planned: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        event: Event::simulate(event, "main").unwrap(),
        git: Git {
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            reviewed: Some(true),
            ..Git::default()
        },
        destination: Destination {
            kind: DestinationKind::Publish,
            repositories: matrix.repositories.clone(),
        },
        sign: SigningMethod::None { reason: "a test".into() },
        formerly: Vec::new(),
        versions,
        remotes: remotes(),
        read: &read,
    };
    resolve(&matrix, &inputs).unwrap()
}

/// One line per cell: its id, `may fail` where it may, and its tags.
fn cells(plan: &Plan) -> String {
    let mut text = String::new();
    for cell in &plan.cells {
        let tags: Vec<&str> = cell.tags.iter().map(|tag| tag.name.as_str()).collect();
        let may_fail = if cell.allow_failure { " (may fail)" } else { "" };
        writeln!(text, "{}{may_fail}: {}", cell.id, tags.join(" ")).unwrap();
    }
    text
}

/// One line per cell: the platforms with the runners that build them.
fn runners(plan: &Plan) -> Vec<String> {
    let build = |build: &xtask_images::plan::Build| {
        format!("{} {} on {}", build.arch, build.platform, build.runner.as_deref().unwrap_or("-"))
    };
    plan.cells.iter().map(|cell| cell.builds.iter().map(build).collect::<Vec<_>>().join(", ")).collect()
}

#[track_caller]
fn expect(plan: &Plan, table: &str, push: bool) {
    let expected: String = table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(cells(plan), expected, "{}", plan.event);
    assert_eq!(plan.push, push, "{}", plan.event);
}

const NATIVE: &str = "amd64 linux/amd64 on ubuntu-latest, arm64 linux/arm64 on ubuntu-24.04-arm";

#[test]
fn snipe_it_on_the_default_branch() {
    let table = "
        snipe-it.tag.pinned: 8.5.0-20261121 sha-pinned-0123456 8.5.0 8.5 8 latest
        snipe-it.master.pinned: master-20261121-aaaaaaa master
        snipe-it.master.rolling (may fail): master-20261121-aaaaaaa-rolling sha-rolling-0123456 master-rolling
        snipe-it.develop.pinned: develop-20261121-ddddddd develop nightly
        snipe-it.develop.rolling (may fail): develop-20261121-ddddddd-rolling develop-rolling nightly-rolling";
    for event in ["push", "schedule", "dispatch"] {
        let plan = plan("snipe-it", event, &[]);
        expect(&plan, table, true);
        assert_eq!(runners(&plan), [NATIVE; 5]);
        assert_eq!(plan.cells.iter().map(|cell| cell.builds.len()).sum::<usize>(), 10);
        assert_eq!(plan.excluded.len(), 1);
        assert_eq!(plan.excluded[0].cell.as_str(), "snipe-it.tag.rolling");
        assert!(plan.excluded[0].reason.contains("symfony/dom-crawler"));
    }
}

/// Both architectures get the commit, where the original gives each the name of a branch that may move in between.
#[test]
fn snipe_it_builds_commits() {
    let plan = plan("snipe-it", "schedule", &[]);
    let arguments = |cell: usize| {
        let of = |build: &xtask_images::plan::Build, key: &str| {
            build.build_args.iter().find(|pair| pair.key == key).map(|pair| pair.value.clone())
        };
        let found = |key: &str| {
            let values: Vec<_> = plan.cells[cell].builds.iter().map(|build| of(build, key)).collect();
            assert_eq!(values[0], values[1], "{key} is the same for both");
            values[0].clone()
        };
        (found("SNIPE_IT_VERSION").unwrap(), found("ROLLING_DEPS"))
    };
    assert_eq!(arguments(0), ("v8.5.0".to_owned(), None));
    assert_eq!(arguments(1), (MASTER.to_owned(), None));
    assert_eq!(arguments(2), (MASTER.to_owned(), Some("true".to_owned())));
    assert_eq!(arguments(4), (DEVELOP.to_owned(), Some("true".to_owned())));
}

#[test]
fn snipe_it_elsewhere() {
    // Only the release line, nothing pushed, and no secret for a fork.
    let line = "snipe-it.tag.pinned: 8.5.0-20261121 sha-pinned-0123456 8.5.0 8.5 8";
    for event in ["pull-request", "fork"] {
        let plan = plan("snipe-it", event, &[]);
        expect(&plan, line, false);
        assert_eq!(plan.cells[0].builds[0].options.secrets.is_empty(), event == "fork");
    }
    // Not the default branch: all but `latest`.
    let other = plan("snipe-it", "push:topic", &[]);
    assert!(cells(&other).starts_with(line) && !cells(&other).contains("latest"));
    // A version that was set is no release of the file.
    let set = plan("snipe-it", "dispatch", &[("tag", "v8.4.9")]);
    assert!(cells(&set).starts_with("snipe-it.tag.pinned: 8.4.9-20261121 sha-pinned-0123456 8.4.9 8.4 8\n"));
    // Nor does a pre-release get the moving tags.
    let candidate = plan("snipe-it", "dispatch", &[("tag", "v9.0.0-rc1")]);
    assert!(
        cells(&candidate)
            .starts_with("snipe-it.tag.pinned: 9.0.0-rc1-20261121 sha-pinned-0123456 9.0.0-rc1\n")
    );
}

#[test]
fn qm_nmr_calc() {
    let release = plan("qm-nmr-calc", "tag:v2.1.0", &[]);
    let table = "
        qm-nmr-calc-api.release: 2.1.0 2.1 latest
        qm-nmr-calc-worker.release: 2.1.0 2.1 latest";
    expect(&release, table, true);
    assert_eq!(runners(&release), [NATIVE; 2]);
    let dockerfiles = |cell: usize| {
        release.cells[cell].builds.iter().map(|build| build.dockerfile.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(dockerfiles(0), ["Dockerfile.api"; 2]);
    assert_eq!(dockerfiles(1), ["Dockerfile.worker", "Dockerfile.worker.arm64"]);
    let emulated: Vec<bool> = release.cells.iter().map(|cell| cell.builds[1].emulate).collect();
    assert_eq!(emulated, [true, false]);
    let outputs: BTreeMap<String, String> =
        xtask_images::plan::jobs::outputs(&release).unwrap().into_iter().collect();
    let rows: serde_json::Value = serde_json::from_str(&outputs["images"]).unwrap();
    let rows = rows["include"].as_array().unwrap().iter();
    let calls = rows.flat_map(|row| row["waves"][0]["include"].as_array().unwrap());
    let jobs: Vec<(&str, &str)> = calls
        .flat_map(|call| call["builds"]["include"].as_array().unwrap())
        .map(|job| (job["arches"].as_str().unwrap(), job["runner"].as_str().unwrap()))
        .collect();
    let expected =
        [("amd64,arm64", "ubuntu-latest"), ("amd64", "ubuntu-latest"), ("arm64", "ubuntu-24.04-arm")];
    assert_eq!(jobs, expected, "one job for the small image, native runners for the large one");
    expect(
        &plan("qm-nmr-calc", "tag:v2.1.0-rc.1", &[]),
        "qm-nmr-calc-api.release: 2.1.0-rc.1
         qm-nmr-calc-worker.release: 2.1.0-rc.1",
        true,
    );
    for event in ["push", "pull-request", "dispatch", "schedule"] {
        let built = plan("qm-nmr-calc", event, &[]);
        assert!(!built.push, "the original publishes tags only");
    }
}

#[test]
fn multi_arch_of_madness() {
    let release = plan("multi-arch-of-madness", "tag:1.0.0", &[]);
    expect(&release, "multi-arch-of-madness: 1.0.0 latest", true);
    assert_eq!(runners(&release), [NATIVE]);
    expect(&plan("multi-arch-of-madness", "tag:0.0.1-rc18", &[]), "multi-arch-of-madness: 0.0.1-rc18", true);
    expect(
        &plan("multi-arch-of-madness", "release:0.1.0-beta", &[]),
        "multi-arch-of-madness: 0.1.0-beta",
        true,
    );
    expect(&plan("multi-arch-of-madness", "pull-request", &[]), "multi-arch-of-madness: 0123456", false);
    let attest = &release.cells[0].builds[1].options.attest;
    assert_eq!(attest.provenance, matrix::Provenance::Max);
    assert_eq!(attest.sbom, matrix::Sbom::On);
}

#[test]
fn home_assistant() {
    let release = plan("home-assistant", "release:2026.11.1", &[]);
    let table = "
        base.3.21: 3.21-2026.11.1 3.21
        base.3.22: 3.22-2026.11.1 3.22
        base.3.23: 3.23-2026.11.1 3.23 latest
        base-debian.bookworm: bookworm-2026.11.1 bookworm
        base-debian.trixie: trixie-2026.11.1 trixie latest
        base-ubuntu.22.04: 22.04-2026.11.1 22.04
        base-ubuntu.24.04: 24.04-2026.11.1 24.04
        base-ubuntu.26.04: 26.04-2026.11.1 26.04 latest
        base-python.3.12.3.21: 3.12-alpine3.21-2026.11.1 3.12-alpine3.21
        base-python.3.12.3.22: 3.12-alpine3.22-2026.11.1 3.12-alpine3.22
        base-python.3.12.3.23: 3.12-alpine3.23-2026.11.1 3.12-alpine3.23 3.12
        base-python.3.13.3.21: 3.13-alpine3.21-2026.11.1 3.13-alpine3.21
        base-python.3.13.3.22: 3.13-alpine3.22-2026.11.1 3.13-alpine3.22
        base-python.3.13.3.23: 3.13-alpine3.23-2026.11.1 3.13-alpine3.23 3.13
        base-python.3.14.3.21: 3.14-alpine3.21-2026.11.1 3.14-alpine3.21
        base-python.3.14.3.22: 3.14-alpine3.22-2026.11.1 3.14-alpine3.22
        base-python.3.14.3.23: 3.14-alpine3.23-2026.11.1 3.14-alpine3.23 3.14 latest";
    expect(&release, table, true);
    let native = "amd64 linux/amd64 on ubuntu-24.04, aarch64 linux/arm64 on ubuntu-24.04-arm";
    assert_eq!(runners(&release), [native; 17]);
    for cell in release.cells.iter().filter(|cell| cell.image.as_str() == "base-python") {
        let alpine = &cell.axes.iter().find(|axis| axis.key == "alpine").unwrap().value;
        for build in &cell.builds {
            let needs: Vec<&str> = build.needs.iter().map(|need| need.cell.as_str()).collect();
            assert_eq!(needs, [format!("base.{alpine}")]);
        }
        assert_eq!(cell.wave, 1, "after the base");
    }
    let compression = release.cells[0].builds[0].options.compression.as_ref().unwrap();
    assert_eq!(
        (compression.kind, compression.level, compression.force),
        (matrix::CompressionKind::Zstd, Some(9), true)
    );
    assert_eq!(release.cells[0].builds[0].options.cache, [matrix::CacheKind::Gha, matrix::CacheKind::Inline]);
    // A push keeps the caches warm and publishes nothing; its version is the short commit.
    for event in ["push", "pull-request", "schedule"] {
        let built = plan("home-assistant", event, &[]);
        assert!(!built.push);
        assert!(cells(&built).starts_with("base.3.21: 3.21-0123456 3.21\n"), "{}", cells(&built));
        assert_eq!(built.cells.len(), 17);
    }
}
