//! Wrong values of options: exit code 2 before anything else happens, what is wrong, and the way out.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may panic, and start the program")]

use std::process::Command;

#[test]
fn wrong_values_are_refused_with_their_form() {
    let table: [(&[&str], &[&str]); 9] = [
        (&["build", "--cell", "a/b"], &["--cell", "`a/b` is no cell id", "app.tag.pinned"]),
        (&["plan", "--image", "A"], &["--image", "`A` is no valid name"]),
        (&["plan", "--axis", "alpine"], &["--axis", "expected AXIS=VALUE"]),
        (&["plan", "--set-version", "stable"], &["--set-version", "expected TRACK=VERSION"]),
        (&["plan", "--set-version", "a=1 2"], &["--set-version", "expected TRACK=VERSION"]),
        (&["plan", "--set-version", "a=1", "--set-version", "a=2"], &["names one track twice"]),
        (&["plan", "--to", "GHCR.io/A"], &["--to", "expected HOST/PATH in lower case"]),
        (
            &["gc", "--older-than", "5q"],
            &["--older-than", "unknown time unit", "help: e.g. 12h, 7d or 6months"],
        ),
        (&["verify", "x", "--identity", "a", "--issuer", "b"], &["it is not anchored", "help: write '^…$'"]),
    ];
    for (args, expected) in table {
        let done = Command::new(env!("CARGO_BIN_EXE_xtask")).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {text}");
        assert!(
            done.stdout.is_empty() && expected.iter().all(|part| text.contains(part)),
            "{args:?}: {text}"
        );
    }
}

fn xtask(args: &[&str], by_cargo: bool) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    if !by_cargo {
        command.env_remove("CARGO");
    } else {
        command.env("CARGO", "cargo");
    }
    let done = command.args(args).output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn it_is_called_as_it_was_called() {
    assert!(xtask(&["--version"], false).starts_with(concat!("xtask ", env!("CARGO_PKG_VERSION"), " (")));
    assert!(xtask(&["plan", "--help"], false).contains("Usage: xtask plan "));
    assert!(xtask(&["plan", "--help"], true).contains("Usage: cargo xtask plan "));
}

#[test]
fn shells_and_man_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = xtask(&["completions", shell, "--name", "xt"], true);
        for word in ["xt", "rollback", "expect-plan"] {
            assert!(text.contains(word), "{shell} lacks {word}");
        }
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    xtask(&["man", folder.to_str().unwrap()], true);
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(
        page("xtask.1").contains("xtask\\-rollback(1)")
            && page("xtask-merge.1").contains("allow\\-downgrade")
    );
}

/// In a job of GitHub Actions, what is typed may come from a form, and must not command the runner.
#[test]
fn a_wrong_value_commands_nothing() {
    for args in
        [["plan", "--to", "x\n::error::y\r##[error]z"], ["plan", "--plan", "x\n::error::y\r##[error]z"]]
    {
        let done = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(args)
            .env("GITHUB_ACTIONS", "true")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{text}");
        let ours = |line: &str| line.starts_with("::error title=cargo xtask::");
        let lines = || text.split(['\n', '\r']).filter(|line| !ours(line));
        assert!(!lines().any(|line| line.trim_start().starts_with("::") || line.contains("##[")), "{text}");
        assert!(text.contains("| ::error::y"), "{text}");
    }
}

/// A tag of git that names no version, where every tag of the image wants one.
#[test]
fn a_run_with_nothing_to_publish_says_so_and_is_green() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("idle");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("app")).unwrap();
    let matrix = "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[sign]\nmethod = \"none\"\nreason = \"a test\"\n\
                  [platforms]\namd64 = { platform = \"linux/amd64\", runner = \"r\" }\n[images.app]\ncontext = \"app\"\n\
                  ref = { self = true }\ntags = [{ tag = \"{major}\", when = \"stable\" }]\n";
    std::fs::write(folder.join("matrix.toml"), matrix).unwrap();
    std::fs::write(folder.join("app/Dockerfile"), "FROM scratch\n").unwrap();
    let git = |args: &[&str]| {
        let name =
            ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let done = Command::new("git").args(name).args(args).current_dir(&folder).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "start"]);
    let run = |args: &[&str], environment: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GITHUB_") || name == "CI") {
            command.env_remove(name);
        }
        command.args(args).current_dir(&folder).envs(environment.iter().copied()).output().unwrap()
    };
    let sentence = "Nothing to publish: no cell gets a tag in this run.";
    let reason = "excluded app: no condition of its tags holds for this run (tag sometag)";
    let green = |args: &[&str], environment: &[(&str, &str)]| {
        let done = run(args, environment);
        let told =
            format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{args:?}: {told}");
        told
    };
    let saved = green(&["plan", "--event", "tag:sometag", "--save", "plan.json"], &[]);
    assert!(saved.contains(sentence) && saved.contains(reason), "{saved}");
    let output = folder.join("output");
    let github = [("GITHUB_OUTPUT", output.to_str().unwrap())];
    let told = green(&["plan", "--plan", "plan.json", "--github"], &github);
    assert!(told.contains(sentence) && told.contains(reason), "{told}");
    let outputs = std::fs::read_to_string(&output).unwrap();
    assert!(outputs.contains("\nany=false\n") && !outputs.contains("wave-0"), "{outputs}");
    // With the plan of a file as in CI, and with one of their own as on a laptop.
    let typed: [&[&str]; 4] = [&["build"], &["build", "--dry-run"], &["merge"], &["merge", "--dry-run"]];
    for args in typed.into_iter().chain([&["report"][..], &["verify"]]) {
        for how in [&["--plan", "plan.json"][..], &[]] {
            let told = green(&[args, how].concat(), &[]);
            assert!(told.contains(sentence) && !told.contains("CELL"), "{args:?} {how:?}: {told}");
        }
    }
    let difference = green(&["plan", "--event", "tag:sometag", "--diff", "--json"], &[]);
    assert!(difference.contains("\"cells\": []"), "{difference}");
    let filtered = green(&["plan", "--plan", "plan.json", "--image", "app", "--json"], &[]);
    assert!(filtered.contains("\"cells\": []") && filtered.contains("(tag sometag)"), "{filtered}");
    let explained = run(&["plan", "--event", "tag:sometag", "--explain", "app"], &[]);
    let told = String::from_utf8_lossy(&explained.stderr).into_owned();
    assert!(
        explained.status.code() == Some(2) && told.contains("the plan leaves out app: no condition"),
        "{told}"
    );
}
