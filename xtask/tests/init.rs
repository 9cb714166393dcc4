//! `init` in the repositories below `tests/init`: what it finds, what it proposes, what it says that it cannot carry over. The
//! real scenario `init_serves_other_repositories` builds and publishes what is proposed here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic, and start what they test"
)]

use expect_test::expect_file;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "init/repositories.rs"]
mod repositories;

use repositories::REPOSITORIES;

struct Repository(PathBuf);

impl Repository {
    /// A copy of one below `tests/init`, as a git repository with a remote.
    fn new(name: &str, copy: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("init-{copy}"));
        let _ = fs::remove_dir_all(&root);
        copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/init").join(name), &root);
        let repository = Self(root);
        let branch = if ["build-push", "home-assistant"].contains(&name) { "master" } else { "main" };
        repository.git(&["init", "--quiet", "--initial-branch", branch]);
        repository.git(&["remote", "add", "origin", &format!("git@github.com:acme/{name}.git")]);
        repository
    }

    fn git(&self, args: &[&str]) {
        assert!(Command::new("git").args(args).current_dir(&self.0).status().unwrap().success());
    }

    fn init(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GITHUB_") || name == "CI") {
            command.env_remove(name);
        }
        command.arg("init").args(args).current_dir(&self.0).output().unwrap()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let args = ["ls-files", "--others", "--exclude-standard"];
        let output = Command::new("git").args(args).current_dir(&self.0).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Not `bake` and `compose`, which buildx reads: the real scenario has them.
#[test]
fn what_is_proposed() {
    let by_buildx = |name: &str| ["bake", "compose"].contains(&name);
    for (name, workflows) in REPOSITORIES.into_iter().filter(|(name, _)| !by_buildx(name)) {
        let repository = Repository::new(name, name);
        let mut args = vec!["--write"];
        args.extend(workflows.iter().flat_map(|workflow| ["--from-workflow", *workflow]));
        let output = repository.init(&args);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let said = stderr(&output);
        let said = said.split("\nNext, in").next().unwrap().replace(". Next, in", "\nNext, in");
        let said = said.split("\nNext, in").next().unwrap();
        let images = repository.read(".github/workflows/images.yml");
        let triggers =
            images.split("workflow_dispatch:").next().unwrap().split("\non:\n").nth(1).unwrap().trim_end();
        let text =
            format!("{said}\n\n== matrix.toml\n{}\n== on:\n{triggers}\n", repository.read("matrix.toml"));
        expect_file![format!("init/{name}.txt")].assert_eq(text.trim_start());
    }
}

#[test]
fn one_dockerfile_costs_little() {
    let repository = Repository::new("one", "little");
    let before = repository.files().len();
    assert!(repository.init(&["--write"]).status.success());
    let files = repository.files();
    let lines: usize = files.iter().map(|path| repository.read(path).lines().count()).sum();
    assert!(files.len() - before <= 14 && lines <= 700, "{} files, {lines} lines", files.len() - before);
}

#[test]
fn nothing_is_written_or_replaced_without_being_told() {
    let repository = Repository::new("one", "untold");
    let files = repository.files();
    let shown = repository.init(&[]);
    assert!(shown.status.success() && repository.files() == files, "{}", stderr(&shown));
    let diff = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(diff.contains("+++ b/matrix.toml") && !diff.contains('\u{1b}'), "{diff}");
    // What is shown is what would be written.
    fs::write(repository.0.join("../init-untold.diff"), &diff).unwrap();
    repository.git(&["apply", "--index", "../init-untold.diff"]);
    assert!(stderr(&repository.init(&["--write"])).contains("nothing to write"));
    fs::write(repository.0.join("matrix.toml"), "# ours\n").unwrap();
    let again = stderr(&repository.init(&["--write"]));
    assert!(
        again.contains("matrix.toml: exists and was not changed")
            && repository.read("matrix.toml") == "# ours\n",
        "{again}"
    );
    assert!(repository.init(&["--write", "--overwrite"]).status.success());
    assert!(repository.read("matrix.toml").contains("[images.one]"));
}

/// What init adds breaks nothing that was there.
#[test]
fn what_was_there_goes_on_working() {
    let write = |repository: &Repository, path: &str, text: &str| {
        let path = repository.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let fresh = |name: &str| Repository::new("one", &format!("odd-{name}"));

    let package = fresh("package");
    write(&package, "server/Cargo.toml", "[package]\nname = \"server\"\nversion = \"1.0.0\"\n");
    assert!(package.init(&["--write"]).status.success());
    assert!(package.read("Cargo.toml").contains("exclude = [\"server\"]"), "{}", package.read("Cargo.toml"));

    let other = fresh("other");
    write(&other, "xtask/Cargo.toml", "[package]\nname = \"xtask\"\n");
    let refused = other.init(&["--write", "--overwrite"]);
    assert!(stderr(&refused).contains("xtask/ is another program already"), "{}", stderr(&refused));
    assert!(!other.0.join("matrix.toml").exists());

    let config = fresh("config");
    write(&config, ".cargo/config", "[net]\nretry = 3\n");
    write(&config, ".gitignore", "Cargo.lock\n");
    write(&config, "Dockerfile", "FROM scratch\nCOPY .git /git\nCOPY greeting /\n");
    let said = stderr(&config.init(&["--write"]));
    assert!(
        config.read(".cargo/config").contains("[alias]") && !config.0.join(".cargo/config.toml").exists()
    );
    assert!(said.contains("Cargo.lock: git ignores it"), "{said}");
    let ignored = config.read(".dockerignore");
    assert!(
        !ignored.contains("/.git\n") && !ignored.contains("/.cargo\n") && ignored.contains("/xtask\n"),
        "{ignored}"
    );

    let latin = fresh("latin");
    fs::write(latin.0.join(".gitignore"), b"caf\xe9\n").unwrap();
    let said = stderr(&latin.init(&["--write"]));
    assert!(said.contains(".gitignore: not changed") && latin.0.join("matrix.toml").exists(), "{said}");

    let linked = fresh("linked");
    let outside = linked.0.with_extension("outside");
    fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, linked.0.join(".github")).unwrap();
    let said = stderr(&linked.init(&["--write"]));
    assert!(said.contains("is a symbolic link") && !linked.0.join("matrix.toml").exists(), "{said}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);

    let named = fresh("named");
    write(&named, "a\u{1b}[31m\nb/Dockerfile", "FROM scratch\nCOPY x /\n");
    let said = stderr(&named.init(&["--write"]));
    assert!(!said.contains('\u{1b}') && named.read("matrix.toml").contains("[images.one]"), "{said}");
}

/// Another default branch than the one that happens to be checked out.
#[test]
fn the_default_branch_is_looked_for() {
    let repository = Repository::new("one", "branch");
    repository.git(&[
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        "x",
    ]);
    repository.git(&["checkout", "--quiet", "-b", "topic"]);
    assert!(repository.init(&["--write"]).status.success());
    assert!(repository.read(".github/workflows/images.yml").contains("branches: [main]"));
    repository.git(&["branch", "--quiet", "--move", "main", "trunk"]);
    let said = stderr(&repository.init(&[]));
    assert!(said.contains("git does not know the default branch; topic is assumed"), "{said}");
}

#[test]
fn where_there_is_nothing_to_do_it_says_why() {
    let empty = Repository::new("one", "empty");
    fs::remove_file(empty.0.join("Dockerfile")).unwrap();
    let folder = empty.0.join("below");
    fs::create_dir_all(&folder).unwrap();
    let table: [(&[&str], &str); 4] = [
        (&[], "nothing builds an image in"),
        (&["below"], "is not the top folder of its repository"),
        (&["no-such-folder"], "no-such-folder"),
        (&["--from-workflow", "none.yml"], "there is no such text file"),
    ];
    for (args, expected) in table {
        let output = empty.init(args);
        let text = stderr(&output);
        assert!(
            output.status.code().is_some_and(|code| code > 0) && text.contains(expected),
            "{args:?}: {text}"
        );
        assert!(!text.contains("panicked"), "{text}");
    }
    let outside = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["init", "/"]).output().unwrap();
    assert!(stderr(&outside).contains("help: images carry the commit"), "{}", stderr(&outside));
}
