//! What users get wrong, and what their machines do to them.

use std::fs;
use std::process::Command;

use xtask_images::base::context::Layout;
use xtask_images::base::ui::Ui;
use xtask_images::run::{Runner, Signals};
use xtask_images::tools::{Tool, Toolbox};

use crate::checkout::{Checkout, run};
use crate::registry;
use crate::tools::environment;

/// A matrix with one thing replaced, what it says, and the exit code.
fn with_matrix(checkout: &Checkout, from: &str, to: &str, parts: &[&str]) {
    let path = checkout.root.join("matrix.toml");
    let before = fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "the matrix has no `{from}`");
    fs::write(&path, before.replacen(from, to, 1)).unwrap();
    for command in ["plan", "build", "merge"] {
        checkout.xtask(&[command]).fails(2, parts);
    }
    fs::write(&path, before).unwrap();
}

pub fn wrong_input(checkout: &Checkout) {
    with_matrix(
        checkout,
        "version = 1",
        "version = ",
        &["error:", "matrix.toml:3:", "1 error in matrix.toml"],
    );
    with_matrix(
        checkout,
        "pull-request = true",
        "pul-request = true",
        &["unknown key `pul-request`", "did you mean `pull-request`?"],
    );
    with_matrix(
        checkout,
        "{version}{suffix}-{date}",
        "{vresion}",
        &["unknown placeholder `{vresion}`", "did you mean `{version}`?"],
    );
    with_matrix(
        checkout,
        "\"{version}{suffix}\"",
        "\"{version}\"",
        &["duplicate tag `1.4.2`", "hello-php.release.pinned", "hello-php.release.rolling"],
    );
    checkout.xtask(&["plan", "--plan", "no-such.json"]).fails(2, &["no-such.json", "there is no such file"]);
    checkout.xtask(&["plan", "--no-such-option"]).fails(2, &["--no-such-option"]);
    checkout.xtask(&["build", "--cell", "nothing"]).fails(2, &["no cell `nothing`", "php-base"]);
    // A changed plan is no plan.
    checkout.xtask(&["plan", "--save", "target/plan.json"]).ok();
    let path = checkout.root.join("target/plan.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("1.4.2", "1.4.3")).unwrap();
    checkout.xtask(&["build", "--plan", "target/plan.json"]).fails(2, &["does not match its id"]);
    // Production has to be typed, and wants a clean tree.
    fs::write(checkout.root.join("untracked"), "x").unwrap();
    let origin = ["remote", "add", "origin", "https://github.com/acme/images.git"];
    checkout.git(&origin);
    checkout
        .xtask(&["build", "--to", "publish", "--dry-run"])
        .fails(1, &["uncommitted changes", "--allow-dirty"]);
    // So does any other place that is not this machine.
    let elsewhere = ["build", "--to", "registry.example/acme", "--dry-run"];
    checkout.xtask(&elsewhere).fails(1, &["uncommitted changes", "--allow-dirty"]);
    checkout.xtask(&[&elsewhere[..], &["--allow-dirty"]].concat()).ok();
    checkout.xtask(&["build", "--to", "127.0.0.1:5000/acme", "--dry-run"]).ok();
    fs::remove_file(checkout.root.join("untracked")).unwrap();
    checkout.git(&["remote", "remove", "origin"]);
}

/// The record cannot be written: the error says so, and what was there stays.
pub fn full_disk(checkout: &Checkout) {
    let folder = checkout.root.join("target/full");
    fs::create_dir_all(&folder).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=8k", "tmpfs"]).arg(&folder)).ok();
    let _ = fs::write(folder.join("filler"), vec![0; 1 << 16]);
    let done = checkout.xtask(&["build", "--cell", "php-base", "--no-reuse", "--digests", "target/full"]);
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    run(Command::new("umount").arg(&folder)).ok();
    done.fails(1, &["php-base", "No space left on device"]);
    assert!(left.iter().all(|name| name == "filler" || name == "php-base"), "{left:?}");
}

/// A registry that nobody serves: named, bounded, exit code 1.
pub fn dead_registry(checkout: &Checkout) {
    checkout.xtask(&["verify", "127.0.0.1:1/app:latest"]).fails(1, &["127.0.0.1:1", "does not answer"]);
    let registry = checkout.registry();
    checkout.xtask(&["verify", &format!("{registry}/hello-php:no-such-tag")]).fails(1, &["does not exist"]);
    // What was never signed is not verified.
    let source = format!("{registry}/php-base:latest");
    let copy = format!("{registry}/unsigned:latest");
    checkout.tool("crane", &["copy", &source, &copy]).ok();
    checkout.xtask(&["verify", &copy]).fails(1, &["verify the signatures"]);
    assert!(registry::tags(&registry, "unsigned").contains_key("latest"));
}

/// No buildx, no Go: what is missing, and both ways to get it.
pub fn missing_tool(checkout: &Checkout) {
    let tools = checkout.root.join("target/tools");
    let target = fs::read_link(&tools).unwrap();
    fs::remove_file(&tools).unwrap();
    fs::create_dir_all(checkout.root.join("target/bin")).unwrap();
    let git = run(Command::new("sh").args(["-c", "command -v git"])).ok().stdout;
    let _ = std::os::unix::fs::symlink(git.trim(), checkout.root.join("target/bin/git"));
    let bare = |args: &[&str]| run(checkout.command(args).env("PATH", checkout.root.join("target/bin")));
    let done = bare(&["build"]);
    let doctor = bare(&["doctor"]);
    fs::remove_dir_all(&tools).unwrap_or_default();
    std::os::unix::fs::symlink(target, &tools).unwrap();
    done.fails(1, &["docker-buildx", "not on PATH", "install Go"]);
    assert_eq!(doctor.code, Some(1), "{}", doctor.all());
    assert!(doctor.stdout.contains("FAIL"), "{}", doctor.all());
}

/// The repository around `tools/` is a Go workspace of something else: our modules are built as they are pinned.
pub fn foreign_workspace(_: &Checkout) {
    let checkout = Checkout::new("workspace");
    let tools = checkout.root.join("target/tools");
    fs::remove_file(&tools).unwrap();
    fs::write(checkout.root.join("go.work"), "go 1.26\n\nuse ./service\n").unwrap();
    fs::create_dir_all(checkout.root.join("service")).unwrap();
    fs::write(checkout.root.join("service/go.mod"), "module example.com/service\n\ngo 1.26\n").unwrap();
    let module = checkout.root.join("tools/testkit");
    let mut go = Command::new("go");
    let plain =
        run(go.arg("-C").arg(&module).args(["list", "-m"]).env_remove("GOWORK").env_remove("GOFLAGS"));
    assert!(!plain.stdout.contains("testkit"), "the workspace is not seen: {}", plain.all());
    let toolbox = Toolbox::new(
        &Layout::without_matrix(&checkout.root),
        &environment(&checkout.root.join("target/cache")),
        &Runner::new(Signals::default()),
        Ui::default(),
    );
    let found = toolbox.get(Tool::Testkit).unwrap();
    assert!(found.program.path.starts_with(&tools.display().to_string()), "{found:?}");
    assert!(run(Command::new(found.program.path).arg("--help")).all().contains("registry"));
}
