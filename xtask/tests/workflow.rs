//! The workflow files and the tool agree; and what the tool tells GitHub.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests may panic, and start what they test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use expect_test::expect;
use xtask::plan::jobs::{RECORDS, WAVES};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn there_is_a_job_for_each_wave() {
    let text = read(".github/workflows/images.yml");
    for wave in 0..WAVES {
        assert!(text.contains(&format!("\n  wave-{wave}:\n")), "no job wave-{wave}");
        assert!(text.contains(&format!("fromJSON(needs.plan.outputs.wave-{wave})")));
        assert!(text.contains(&format!("      wave-{wave}: ${{{{ steps.plan.outputs.wave-{wave} }}}}\n")));
    }
    assert!(!text.contains(&format!("wave-{WAVES}")));
    assert!(text.contains(&format!("needs: [plan, check, {}]", waves().join(", "))), "report waits for all");
}

fn waves() -> Vec<String> {
    (0..WAVES).map(|wave| format!("wave-{wave}")).collect()
}

#[test]
fn fetch_takes_as_many_records_as_the_plan_allows() {
    let text = read(".github/actions/fetch/action.yml");
    for n in 0..RECORDS {
        assert_eq!(text.matches(&format!("fromJSON(inputs.names)[{n}] }}}}")).count(), 2, "{n}");
    }
    assert_eq!(text.matches("actions/download-artifact@").count(), RECORDS);
}

/// A pin is forty digits and says which version they are; one action has one pin.
#[test]
fn actions_are_pinned_alike_everywhere() {
    let mut pins = std::collections::BTreeMap::new();
    let files = [
        "workflows/images.yml",
        "workflows/cell.yml",
        "workflows/ci.yml",
        "actions/fetch/action.yml",
        "actions/xtask/action.yml",
    ];
    for file in files {
        let text = read(&format!(".github/{file}"));
        for line in text.lines().filter_map(|line| Some(line.split_once("uses: ")?.1)) {
            let Some((action, pin)) = line.split_once('@') else { continue };
            let (sha, version) = pin.split_once(" # v").expect(line);
            assert!(sha.len() == 40 && sha.bytes().all(|b| b.is_ascii_hexdigit()), "{file}: {line}");
            assert_eq!(
                pins.entry(action.to_owned()).or_insert_with(|| pin.to_owned()),
                pin,
                "{file}: {version}"
            );
        }
    }
    assert!(pins.len() >= 8);
}

/// The update bot sees every place that pins something.
#[test]
fn the_update_bot_knows_every_pin() {
    let bot = read(".github/dependabot.yml");
    for entry in fs::read_dir(root().join("tools")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(bot.contains(&format!("/tools/{name}")), "{name}");
    }
}

fn plan(matrix: &str, folder: &str) -> Output {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(folder.join("images")).unwrap();
    fs::write(folder.join("images/matrix.toml"), matrix).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    for (name, _) in std::env::vars() {
        if name.starts_with("GITHUB_") || name.starts_with("XTASK_") {
            command.env_remove(name);
        }
    }
    command.args(["plan"]).current_dir(folder.join("images"));
    command.env("GITHUB_ACTIONS", "true").env("CI", "true");
    command.env("GITHUB_WORKSPACE", folder.canonicalize().unwrap()).output().unwrap()
}

#[test]
fn errors_of_the_matrix_are_annotations() {
    let output = plan("version = 1\nx = 1\n[publish]\nrepository = [\"ghcr.io/acme\"]\n", "annotations");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("::")).collect();
    expect![[r#"
        ::error file=images/matrix.toml,line=1,col=1::matrix.toml declares nothing in [images]
        ::error file=images/matrix.toml,line=1,col=1::matrix.toml declares nothing in [platforms]
        ::error file=images/matrix.toml,line=2,col=1::unknown key `x` in matrix.toml%0Ahelp: it may have: version, platforms, tracks, composer, images, publish, sign, exclude
        ::error file=images/matrix.toml,line=3,col=1::[publish] lacks `repositories`
        ::error file=images/matrix.toml,line=4,col=1::unknown key `repository` in [publish]%0Ahelp: did you mean `repositories`?"#]].assert_eq(&lines.join("\n"));
    assert_eq!(output.status.code(), Some(2));
}
