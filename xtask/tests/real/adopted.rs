//! Other repositories that depend on the crate: `init`, then every command that publishes, by their own `cargo xtask`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout::{Checkout, Done, clean, run, workspace};
use crate::repositories::REPOSITORIES;

/// A repository whose `cargo xtask` is compiled in a folder that all of them share.
struct Adopter {
    checkout: Checkout,
    stack: Option<PathBuf>,
}

impl Adopter {
    fn new(place: &str, name: &str, stack: Option<PathBuf>) -> Self {
        let checkout = Checkout::folder(place, &format!("xtask/tests/init/{name}/"));
        // The versions that this repository was tested with.
        fs::copy(workspace().join("Cargo.lock"), checkout.root.join("Cargo.lock")).unwrap();
        checkout.git(&["remote", "add", "origin", &format!("https://github.com/acme/{name}.git")]);
        Self { checkout, stack }
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.checkout.root);
        clean(&mut command);
        command.env("MODE", "confidential");
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("adopted"));
        if let Some(stack) = &self.stack {
            command.env("XTASK_LOCAL", stack);
        }
        command
    }

    /// Its own `cargo xtask`.
    fn xtask(&self, args: &[&str]) -> Done {
        run(&mut self.command("cargo", &[&["xtask"], args].concat()))
    }

    /// `init`, by the program that was installed.
    fn init(&self, args: &[&str]) -> Done {
        run(&mut self.command(env!("CARGO_BIN_EXE_xtask"), &[&["init"], args].concat()))
    }
}

pub fn repositories(_: &Checkout) {
    let crate_folder = workspace().join("xtask").display().to_string();
    // Whose stack all of them use.
    let first = Adopter::new("adopted-first", "one", None);
    first.init(&["--path", &crate_folder, "--write"]).ok();
    let registry = first.checkout.registry();
    let first = &first.checkout;
    for (name, workflows) in REPOSITORIES {
        // A stack gets its stand-ins when it starts, here that of what BuildKit runs for an SBOM.
        let own = name == "multi-arch-of-madness";
        let adopter = Adopter::new(&format!("adopted-{name}"), name, (!own).then(|| first.local()));
        let mut args = vec!["--path", &crate_folder, "--write"];
        args.extend(workflows.iter().flat_map(|workflow| ["--from-workflow", workflow]));
        // Neither this nor a variable of whoever runs it may end up in a file that is committed.
        fs::write(adopter.checkout.root.join(".env"), "MODE=confidential\n").unwrap();
        adopter.init(&args).ok();
        fs::remove_file(adopter.checkout.root.join(".env")).unwrap();
        let matrix = fs::read_to_string(adopter.checkout.root.join("matrix.toml")).unwrap();
        assert!(!matrix.contains("confidential"), "{name}: {matrix}");
        let again = adopter.init(&args).ok();
        assert!(again.stderr.contains("nothing to write"), "{name}: {}", again.all());
        // Cargo leaves in Cargo.lock what this repository needs.
        adopter.xtask(&["--version"]).ok();
        adopter.checkout.commit();
        if ["bake", "compose"].contains(&name) {
            expect_test::expect_file![format!("../init/{name}.txt")].assert_eq(&matrix);
        }
        // Their images have the same names here and there.
        let place = format!("{registry}/{name}");
        let to = ["--to", if own { "local" } else { place.as_str() }];
        let plan = adopter.xtask(&[&["plan"][..], &to].concat()).ok();
        println!("{name}\n{}", plan.stdout);
        adopter.xtask(&[&["build", "--emulate"][..], &to].concat()).ok();
        adopter.xtask(&[&["merge"][..], &to].concat()).ok();
        let verified = adopter.xtask(&[&["verify"][..], &to].concat()).ok();
        assert!(!verified.stdout.is_empty(), "{name}: {}", verified.all());
        let doctor = adopter.xtask(&["doctor"]).ok();
        assert!(doctor.stdout.contains("workflow files  match this version"), "{name}: {}", doctor.all());
    }
}

/// From one version of the crate to the next, by changing its tag.
pub fn update(_: &Checkout) {
    let upstream = Checkout::new("upstream");
    upstream.git(&["tag", "v0.1.0"]);
    let adopter = Adopter::new("adopted-updated", "one", None);
    let url = format!("file://{}", upstream.root.display());
    let init = ["--git", &url, "--tag", "v0.1.0", "--write"];
    adopter.init(&init).ok();
    // No line of ours but these: the sources are Cargo's to fetch.
    let ours: Vec<String> = adopter
        .checkout
        .git_answer(&["ls-files", "--others", "--exclude-standard"])
        .lines()
        .map(str::to_owned)
        .filter(|path| path.ends_with(".rs") || path.ends_with(".toml"))
        .collect();
    assert_eq!(
        ours,
        [".cargo/config.toml", "Cargo.toml", "matrix.toml", "xtask/Cargo.toml", "xtask/src/main.rs"]
    );
    let version = adopter.xtask(&["--version"]).ok();
    let commit = upstream.git_answer(&["rev-parse", "--short=12", "HEAD"]);
    assert!(version.stdout.contains(&format!("({commit})")), "{}", version.all());
    adopter.checkout.commit();
    // The next version has another limit of time, and one step more.
    let edit = |root: &Path, path: &str, from: &str, to: &str| {
        let path = root.join(path);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{}: {from}", path.display());
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    let (images, cell) = (".github/workflows/images.yml", ".github/workflows/cell.yml");
    edit(&upstream.root, cell, "timeout-minutes: 60", "timeout-minutes: 75");
    edit(&upstream.root, "Cargo.toml", "version = \"0.1.0\"", "version = \"0.2.0\"");
    upstream.commit();
    upstream.git(&["tag", "v0.2.0"]);
    // This repository has triggers of its own, and another registry.
    let root = &adopter.checkout.root;
    edit(root, images, "cron: \"17 4 * * *\"", "cron: \"3 2 * * 1\"");
    edit(root, cell, "registry: ghcr.io", "registry: registry.example.com");
    adopter.checkout.commit();
    adopter.xtask(&["update", "--check"]).ok();
    edit(root, "xtask/Cargo.toml", "v0.1.0", "v0.2.0");
    let doctor = adopter.xtask(&["doctor"]).ok();
    assert!(doctor.stdout.contains("workflow files  1 of "), "{}", doctor.all());
    adopter.xtask(&["update", "--check"]).fails(1, &["do not match this version of the crate"]);
    let shown = adopter.xtask(&["update"]).ok();
    println!("{}", shown.stdout);
    let of_cell = shown.stdout.split("diff --git").find(|part| part.contains("a/.github/workflows/cell.yml"));
    let lines = of_cell.unwrap().lines().filter(|line| line.starts_with(['+', '-'])).count();
    assert_eq!(lines, 6, "two names of the file, its first line, the limit: {}", shown.all());
    assert!(shown.stdout.contains("+    timeout-minutes: 75"), "{}", shown.all());
    adopter.xtask(&["update", "--write"]).ok();
    let text = fs::read_to_string(root.join(cell)).unwrap();
    assert!(
        text.contains("timeout-minutes: 75") && text.contains("registry: registry.example.com"),
        "{text}"
    );
    let text = fs::read_to_string(root.join(images)).unwrap();
    assert!(text.contains("3 2 * * 1"), "{text}");
    adopter.xtask(&["update", "--check"]).ok();
    assert!(
        root.join(".github/as-written/workflows/cell.yml").is_file(),
        "no commit has the file without the change"
    );
    // What both have changed is for people to decide.
    adopter.checkout.commit();
    edit(root, cell, "timeout-minutes: 75", "timeout-minutes: 30");
    adopter.checkout.commit();
    edit(&upstream.root, cell, "timeout-minutes: 75", "timeout-minutes: 80");
    upstream.commit();
    upstream.git(&["tag", "v0.3.0"]);
    edit(root, "xtask/Cargo.toml", "v0.2.0", "v0.3.0");
    let conflict =
        adopter.xtask(&["update", "--write"]).fails(1, &["cell.yml", "1 place", "conflict markers"]);
    let text = fs::read_to_string(root.join(cell)).unwrap();
    assert!(
        text.contains("<<<<<<< your changes") && text.contains("timeout-minutes: 80"),
        "{}",
        conflict.all()
    );
}
