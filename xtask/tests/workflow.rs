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
use std::str::FromStr as _;

use expect_test::expect;
use xtask_images::base::context::Layout;
use xtask_images::plan::families::WAVES;
use xtask_images::plan::jobs::RECORDS;
use xtask_images::tools::Tool;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn there_is_a_job_for_each_wave() {
    let text = read(".github/workflows/family.yml");
    for wave in 0..WAVES {
        assert!(text.contains(&format!("\n  wave-{wave}:\n")), "no job wave-{wave}");
        assert!(text.contains(&format!("matrix: ${{{{ fromJSON(inputs.waves)[{wave}] }}}}\n")));
        let before: Vec<String> = (0..wave).map(|wave| format!("wave-{wave}")).collect();
        let needs = format!("    needs: [{}]\n", before.join(", "));
        assert!(wave == 0 || text.contains(&needs), "a wave waits for all before it");
    }
    assert!(!text.contains(&format!("wave-{WAVES}")) && !text.contains(&format!("[{WAVES}]")));
    assert!(
        read(".github/workflows/images.yml").contains("needs: [plan, check, images]"),
        "report waits for all"
    );
}

/// A called workflow has the secrets that its caller names: by fixed names, all the way to the step that uses them.
#[test]
fn secrets_have_fixed_names() {
    const NAMES: [&str; 3] = ["REGISTRY_PASSWORD", "COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD"];
    let files = ["images", "family", "cell"].map(|name| read(&format!(".github/workflows/{name}.yml")));
    for name in NAMES {
        let passed = format!("      {name}: ${{{{ secrets.{name} }}}}\n");
        let counts = files.each_ref().map(|text| text.matches(&passed).count());
        assert_eq!(counts[..2], [1, WAVES], "{name}");
        for text in &files[1..] {
            assert!(text.contains(&format!("      {name}: {{ required: false }}\n")), "{name}");
        }
    }
    let all = files.concat() + &read(".github/actions/xtask/action.yml");
    assert!(!all.contains("secrets: inherit"));
    for (at, _) in all.match_indices("secrets.") {
        let name = all[at + "secrets.".len()..].split(' ').next().unwrap();
        assert!(NAMES.contains(&name) || name == "REGISTRY_PULL_PASSWORD", "{name}");
    }
    // What a pull request runs has no password that may write: its plan and its builds have one of their own.
    let own = files[0].split_once("\n  images:\n").unwrap().0;
    assert!(!own.contains("secrets.REGISTRY_PASSWORD"));
    assert_eq!(own.matches("password: ${{ secrets.REGISTRY_PULL_PASSWORD }}").count(), 2);
    assert_eq!(all.matches("secrets.REGISTRY_PULL_PASSWORD").count(), 2);
    // A user's name is no secret: GitHub drops outputs in which one occurs, and images often bear their owner's name.
    assert_eq!(all.matches("username: ${{ vars.REGISTRY_USERNAME }}").count(), 4);
    // The key signs: no job but `merge` has it.
    let merge = files[2].split_once("\n  merge:\n").unwrap();
    assert!(!merge.0.contains("secrets.COSIGN") && merge.1.contains("secrets.COSIGN_PRIVATE_KEY"));
}

/// The token of the cache is that of the job; with `id-token: write` it asks for signatures too. `merge` has neither.
#[test]
fn only_builds_get_the_token_of_the_cache() {
    let (images, cell) = (read(".github/workflows/images.yml"), read(".github/workflows/cell.yml"));
    let (build, merge) = cell.split_once("\n  merge:\n").unwrap();
    let (before, check) = images.split_once("\n  check:\n").unwrap();
    let (check, after) = check.split_once("\n  images:\n").unwrap();
    let wants = |job: &str| job.contains("actions/cache") || job.contains("ACTIONS_");
    assert!(wants(build) && wants(check) && ![merge, before, after].into_iter().any(wants));
    for job in [build, check] {
        assert!(!job.contains("id-token"), "a job that has the token asks for no identity");
        assert!(
            job.contains(
                "      - id: cache\n        if: matrix.gha\n        uses: ./.github/actions/cache\n"
            )
        );
        for (name, output) in [
            ("ACTIONS_RUNTIME_TOKEN", "token"),
            ("ACTIONS_RESULTS_URL", "url"),
            ("ACTIONS_CACHE_SERVICE_V2", "v2"),
        ] {
            assert!(
                job.contains(&format!("          {name}: ${{{{ steps.cache.outputs.{output} }}}}\n")),
                "{name}"
            );
        }
    }
    let script = read(".github/actions/cache/main.cjs");
    let masked = script.find("::add-mask::").unwrap();
    assert!(masked < script.find("token=${token}").unwrap(), "masked before it is an output");
}

/// What may publish is neither cancelled nor kept waiting by another run; merges of one cell take turns, all of them.
#[test]
fn no_run_cancels_a_release() {
    let (images, cell) = (read(".github/workflows/images.yml"), read(".github/workflows/cell.yml"));
    assert!(images.contains(
        "  group: images-${{ github.event_name == 'pull_request' && github.ref || github.run_id }}\n  cancel-in-progress: ${{ github.event_name == 'pull_request' }}\n"
    ));
    assert!(cell.contains("      cancel-in-progress: false\n      queue: max\n"));
}

/// Nobody has to edit the files for another registry, runner or key.
#[test]
fn places_come_from_settings() {
    let (images, cell) = (read(".github/workflows/images.yml"), read(".github/workflows/cell.yml"));
    for text in [&images, &cell] {
        let count = |what: &str| text.matches(what).count();
        assert_eq!(count("registry: ghcr.io\n"), 2);
        assert_eq!(count("registry: ${{ vars.REGISTRY }}\n"), 2);
        assert_eq!(count("vars.REGISTRY != ''\n"), 2);
        assert_eq!(count("registry: "), 4);
    }
    let runners: Vec<&str> = [&images, &cell]
        .into_iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.split_once("runs-on: "))
        .map(|(_, runner)| runner)
        .collect();
    let (own, plan) = ("${{ vars.XTASK_RUNNER || 'ubuntu-24.04' }}", "${{ matrix.runner }}");
    assert_eq!(runners, [own, plan, own, plan, "${{ fromJSON(inputs.cell).merge.runner }}"]);
}

/// Artifacts can be replaced by any job of a run, outputs cannot: what is handed on is compared with them.
#[test]
fn what_is_handed_on_is_compared_with_outputs() {
    let (images, cell) = (read(".github/workflows/images.yml"), read(".github/workflows/cell.yml"));
    for (key, output) in [("plan", "plan-id"), ("xtask", "xtask-sha256")] {
        assert!(images.contains(&format!("\"{key}\": \"${{{{ steps.plan.outputs.{output} }}}}\"")), "{key}");
    }
    let outputs = cell.matches(": ${{ steps.build.outputs.record-").count();
    assert_eq!(outputs, RECORDS, "each job of a matrix has an output of its own");
    for n in 0..RECORDS {
        assert!(cell.contains(&format!("      record-{n}: ${{{{ steps.build.outputs.record-{n} }}}}\n")));
    }
    assert!(cell.contains("RECORDS: ${{ join(fromJSON(toJSON(needs.build.outputs)).*, ',') }}\n"));
    for text in [&images, &cell] {
        let count = |what: &str| text.matches(what).count();
        assert_eq!(count("./.github/actions/xtask"), 2, "the program");
        let plans = count("--plan target/handed/plan/plan.json --expect-plan \"$PLAN\"");
        assert_eq!((plans, count("--plan ")), (2, 2), "the plan");
    }
    assert!(cell.contains("--expect-records \"$RECORDS\"\n"));
    assert!(read(".github/actions/xtask/action.yml").contains("SHA256: ${{ fromJSON(inputs.run).xtask }}\n"));
}

/// GitHub fails on an empty matrix, unless the job is skipped before it reads it; what needs a skipped job is skipped as
/// well, unless it says otherwise.
#[test]
fn a_call_without_builds_is_merged() {
    let cell = read(".github/workflows/cell.yml");
    assert!(
        cell.contains("    if: fromJSON(inputs.cell).builds.include[0].name != ''\n    strategy:\n"),
        "the job `build`"
    );
    assert!(cell.contains("      - if: fromJSON(inputs.cell).merge.records != ''\n"), "its records");
    assert!(cell.contains(
        "    if: ${{ !cancelled() && (needs.build.result == 'success' || needs.build.result == 'skipped') }}\n"
    ));
    // What `--expect-records` is then given names no record.
    let none: xtask_images::base::record_hashes::RecordHashes = "".parse().unwrap();
    assert_eq!(none, xtask_images::base::record_hashes::RecordHashes::default());
}

/// What is published is only looked at: neither what installs cosign nor the login may fail a run that cannot do so.
#[test]
fn the_plan_is_made_without_a_login_too() {
    let images = read(".github/workflows/images.yml");
    let job = images.split_once("\n  plan:\n").unwrap().1.split_once("\n  check:\n").unwrap().0;
    for action in ["sigstore/cosign-installer@", "docker/login-action@"] {
        for step in job.split("      - ").filter(|step| step.contains(action)) {
            assert!(step.contains("        continue-on-error: true\n"), "{step}");
        }
        let before = job.find(action).unwrap() < job.find("cargo xtask plan").unwrap();
        assert!(before, "{action}");
    }
    assert!(job.contains("      packages: read ") && !job.contains(": write"), "it only reads");
    let release =
        format!("cosign-release: v{}\n", Tool::Cosign.pinned(&Layout::without_matrix(&root())).unwrap());
    assert!(job.contains(&release));
}

/// The very line of the action.
#[test]
fn a_program_that_was_replaced_does_not_run() {
    let action = read(".github/actions/xtask/action.yml");
    let lines: Vec<&str> = action.lines().filter_map(|line| line.trim().strip_prefix("run: ")).collect();
    let [check, first_run, ..] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(check.contains("sha256sum") && first_run.contains("--version"), "compared before it runs");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("handed");
    let program = folder.join("target/handed/bin/xtask");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    let run = |sha256: &str| {
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", check]);
        bash.env("SHA256", sha256).current_dir(&folder).output().unwrap().status.success()
    };
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let good = xtask_images::base::ids::Digest::of(b"#!/bin/sh\n");
    assert!(run(good.hex()));
    for wrong in ["", "x", "$(true)", &good.hex()[1..], &format!("{}\n", "0".repeat(64))] {
        assert!(!run(wrong), "{wrong}");
    }
    fs::write(&program, "#!/bin/sh\nevil\n").unwrap();
    assert!(!run(good.hex()));
}

#[test]
fn a_plan_that_was_replaced_is_refused() {
    let matrix = "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\namd64 = { platform = \"linux/amd64\", runner = \"r\" }\n[sign]\nmethod = \"none\"\nreason = \"a test\"\n[images.app]\ncontext = \"app\"\nref = { value = \"1\" }\ntags = [\"{version}\"]\n";
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replaced");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("matrix.toml"), matrix).unwrap();
    for args in [
        &["init", "--quiet", "--initial-branch", "main"][..],
        &["add", "--all"],
        &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--message", "x"],
    ] {
        assert!(Command::new("git").args(args).current_dir(&folder).status().unwrap().success());
    }
    let (mut ids, mut programs) = (Vec::new(), Vec::new());
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for (name, _) in std::env::vars() {
            if name.starts_with("GITHUB_") || name.starts_with("XTASK_") || name == "CI" {
                command.env_remove(name);
            }
        }
        command.args(args).current_dir(&folder).output().unwrap()
    };
    for epoch in ["1.0", "2.0"] {
        fs::write(
            folder.join("matrix.toml"),
            matrix.replace("value = \"1\"", &format!("value = \"{epoch}\"")),
        )
        .unwrap();
        let file = format!("{epoch}.json");
        let done = run(&["plan", "--to", "publish", "--fresh", "--github", "--save", &file]);
        let text = String::from_utf8(done.stdout).unwrap();
        let find = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        ids.push(find("plan-id="));
        programs.push(find("xtask-sha256="));
    }
    assert_ne!(ids[0], ids[1]);
    let program = fs::read(env!("CARGO_BIN_EXE_xtask")).unwrap();
    assert_eq!(programs[0], xtask_images::base::ids::Digest::of(&program).hex());
    for command in ["build", "merge", "report", "verify", "plan"] {
        let done = run(&[command, "--plan", "2.0.json", "--expect-plan", &ids[0]]);
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{command}: {stderr}");
        assert!(stderr.contains(&format!("expected {}", ids[0])), "{command}: {stderr}");
        assert!(stderr.contains("the file was replaced"), "{command}: {stderr}");
    }
    let done = run(&["plan", "--plan", "2.0.json", "--expect-plan", &ids[1]]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done = run(&["build", "--expect-plan", &ids[1]]);
    assert_eq!(done.status.code(), Some(2), "without --plan there is nothing to compare");
}

/// A pin is forty digits and says which version they are; one action has one pin.
#[test]
fn actions_are_pinned_alike_everywhere() {
    let mut pins = std::collections::BTreeMap::new();
    let files =
        ["workflows/images.yml", "workflows/cell.yml", "workflows/ci.yml", "actions/xtask/action.yml"];
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

/// What actions pull and run with all rights is pinned like them: the images in `tools/images`, the tools where `xtask/tools/`
/// pins them. The job that may sign has neither a builder nor an emulator, and nobody takes a tool out of a cache that
/// other runs fill.
#[test]
fn what_actions_pull_is_what_is_pinned() {
    let images = read("tools/images/Dockerfile");
    let image = |name: &str| {
        let line = images.lines().find_map(|line| line.strip_prefix(&format!("FROM {name}:"))).unwrap();
        format!("{name}:{}", line.split(' ').next().unwrap())
    };
    let (buildkit, binfmt, rust) = (image("moby/buildkit"), image("tonistiigi/binfmt"), image("rust"));
    let layout = Layout::without_matrix(&root());
    let pinned = |tool: Tool| format!("v{}", tool.pinned(&layout).unwrap());
    assert!(
        buildkit.starts_with(&format!("moby/buildkit:{}@sha256:", pinned(Tool::Buildkitd))),
        "{buildkit}"
    );
    for image in [&buildkit, &binfmt, &rust] {
        xtask_images::base::ids::Digest::from_str(image.split_once('@').unwrap().1).unwrap();
    }
    let mut builders = 0;
    for (file, workflow) in [("images.yml", "check"), ("cell.yml", "build"), ("cell.yml", "merge")] {
        let text = read(&format!(".github/workflows/{file}"));
        let job = text.split_once(&format!("\n  {workflow}:\n")).unwrap().1;
        let job: Vec<&str> = job
            .lines()
            .take_while(|line| line.len() < 3 || line.starts_with("   ") || line.trim().starts_with('#'))
            .collect();
        let job = job.join("\n");
        let has = |line: &str| job.contains(&format!("          {line}"));
        assert!(has(&format!("version: {}\n", pinned(Tool::Buildx))), "{workflow}");
        assert!(has("cache-binary: false"), "{workflow}");
        if workflow == "merge" {
            assert!(has("driver: docker ") && has(&format!("cosign-release: {}\n", pinned(Tool::Cosign))));
            assert!(!job.contains("setup-qemu") && !job.contains("driver-opts"), "no builder, no emulator");
        } else {
            assert!(has(&format!("driver-opts: image={buildkit}\n")), "{workflow}");
            assert!(has(&format!("image: {binfmt}\n")) && has("cache-image: false"), "{workflow}");
            builders += 1;
        }
    }
    let all =
        ["images.yml", "cell.yml", "ci.yml"].map(|file| read(&format!(".github/workflows/{file}"))).concat();
    assert_eq!(
        all.matches(&format!("      image: {rust}\n")).count(),
        1,
        "the container of the tests that need root"
    );
    assert_eq!(all.matches("docker/setup-buildx-action@").count(), builders + 1);
    assert_eq!(all.matches("docker/setup-qemu-action@").count(), builders);
    assert_eq!(all.matches("sigstore/cosign-installer@").count(), 2, "`plan` verifies, `merge` signs");
}

/// The update bot sees every place that pins something.
#[test]
fn the_update_bot_knows_every_pin() {
    let bot = read(".github/dependabot.yml");
    for folder in ["tools", "xtask/tools"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(bot.contains(&format!(" /{folder}/{name}")), "{folder}/{name}");
        }
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
