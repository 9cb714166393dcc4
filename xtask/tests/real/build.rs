//! quickstart and build.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::checkout::{Checkout, Done, FOREIGN, NATIVE, run, wait};
use crate::registry;

pub const CELLS: [&str; 3] = ["php-base", "hello-php.release.pinned", "hello-php.release.rolling"];

/// One command, and then what other clients say.
pub fn quickstart(checkout: &Checkout) {
    let done = checkout.xtask(&["quickstart"]).ok();
    let registry = checkout.registry();
    let key = checkout.status()["public_key"].as_str().unwrap().to_owned();
    for cell in checkout.plan()["cells"].as_array().unwrap() {
        let published = checkout.publication(cell["id"].as_str().unwrap());
        let digest = published["digest"].as_str().unwrap();
        assert!(done.stdout.contains(digest), "{}", done.all());
        let repository = cell["repositories"][0].as_str().unwrap();
        for tag in cell["tags"].as_array().unwrap() {
            let reference = format!("{repository}:{}", tag["name"].as_str().unwrap());
            assert_eq!(
                checkout.tool("crane", &["digest", &reference]).ok().stdout.trim(),
                digest,
                "{reference}"
            );
        }
        let reference = format!("{repository}@{digest}");
        checkout.tool("cosign", &["verify", "--key", &key, "--insecure-ignore-tlog=true", &reference]).ok();
        for child in published["children"].as_array().unwrap() {
            let child = format!("{repository}@{}", child["digest"].as_str().unwrap());
            checkout.tool("cosign", &["verify", "--key", &key, "--insecure-ignore-tlog=true", &child]).ok();
        }
        let inspected = checkout.tool("docker-buildx", &["imagetools", "inspect", &reference]).ok().stdout;
        assert!(inspected.contains("linux/amd64") && inspected.contains("linux/arm64"), "{inspected}");
        for platform in ["linux/amd64", "linux/arm64"] {
            let config = checkout.tool("crane", &["config", "--platform", platform, &reference]).ok().stdout;
            let config: serde_json::Value = serde_json::from_str(&config).unwrap();
            assert_eq!(config["architecture"], platform.trim_start_matches("linux/"));
            assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], cell["version"]);
        }
    }
    assert!(registry::tags(&registry, "hello-php").contains_key("latest"));
    consumer(checkout, &registry);
    // From a sub-folder, with everything there already.
    let mut again = checkout.command(&["verify"]);
    run(again.current_dir(checkout.root.join("images/php-base"))).ok();
}

/// From any folder; with the wrong key; with the wrong identity and no matrix at all.
fn consumer(checkout: &Checkout, registry: &str) {
    let reference = format!("{registry}/hello-php:latest");
    let elsewhere = checkout.root.join("target/elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    let verify = |args: &[&str]| {
        let mut command = checkout.command(&[&["verify", &reference], args].concat());
        let path = format!(
            "{}:{}",
            checkout.root.join("target/tools/bin").display(),
            std::env::var("PATH").unwrap()
        );
        run(command.current_dir("/").env("PATH", path))
    };
    let matrix = checkout.root.join("matrix.toml");
    let found = verify(&["--json", "--matrix", matrix.to_str().unwrap()]).ok();
    let found: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(
        (&found["verified"][0]["signed"], found["failed"].as_array().unwrap().len()),
        (&true.into(), 0)
    );
    assert_eq!(found["verified"][0]["platforms"].as_array().unwrap().len(), 2);
    fs::write(elsewhere.join("wrong.pub"), "-----BEGIN PUBLIC KEY-----\n").unwrap();
    verify(&["--key", elsewhere.join("wrong.pub").to_str().unwrap()]).fails(1, &["cosign"]);
    verify(&["--identity", "^x$", "--issuer", "https://example.com"]).fails(1, &["cosign"]);
    verify(&["--identity", "x", "--issuer", "https://example.com"]).fails(2, &["it is not anchored"]);
}

/// The locked version in one mode, a newer one in the other; asked of the image, then of its own test stage.
pub fn dependencies(checkout: &Checkout) {
    let lock = fs::read_to_string(checkout.root.join("images/hello-php/composer.lock")).unwrap();
    let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
    let version = |packages: &serde_json::Value| {
        let greeter = packages
            .as_array()
            .unwrap()
            .iter()
            .find(|package| package["name"] == "acme/greeter")
            .unwrap()
            .clone();
        greeter["version"].as_str().unwrap().to_owned()
    };
    let locked = version(&lock["packages"]);
    for (mode, rolling) in [("pinned", "false"), ("rolling", "true")] {
        let cell = format!("hello-php.release.{mode}");
        for arch in ["amd64", "arm64"] {
            let (app, base) = (checkout.read_record(&cell, arch), checkout.read_record("php-base", arch));
            let reference =
                format!("{}@{}", app["repositories"][0].as_str().unwrap(), app["digest"].as_str().unwrap());
            let tar = checkout.root.join("target/image.tar");
            let platform = format!("linux/{arch}");
            checkout
                .tool("crane", &["export", "--platform", &platform, &reference, tar.to_str().unwrap()])
                .ok();
            let file = run(std::process::Command::new("tar")
                .arg("-xOf")
                .arg(&tar)
                .arg("app/vendor/composer/installed.json"))
            .ok()
            .stdout;
            let installed: serde_json::Value = serde_json::from_str(&file).unwrap();
            let found = version(&installed["packages"]);
            assert_eq!(
                found == locked,
                mode == "pinned",
                "{cell} {arch} has {found}, the lock says {locked}"
            );
            let based = format!(
                "php-base=docker-image://{}@{}",
                base["repositories"][0].as_str().unwrap(),
                base["digest"].as_str().unwrap()
            );
            let builder = checkout.status()["builder"].as_str().unwrap().to_owned();
            let arguments = [
                "build",
                "--builder",
                &builder,
                "--target",
                "test",
                "--platform",
                &platform,
                "--build-context",
                &based,
                "--build-context",
                &format!("runtime=docker-image://{reference}"),
                "--build-arg",
                &format!("ROLLING_DEPS={rolling}"),
                "--build-arg",
                "HELLO_VERSION=1.4.2",
                "images/hello-php",
            ];
            checkout.tool("docker-buildx", &arguments).ok();
            // The provenance names the base that the record of the same architecture names.
            let bases = app["bases"].to_string();
            assert!(bases.contains(base["digest"].as_str().unwrap()), "{bases}");
        }
    }
}

/// Typed one after the other: one run.
pub fn two_builds_then_merge(checkout: &Checkout) {
    checkout.xtask(&["plan", "--fresh", "--no-reuse"]).ok();
    checkout.xtask(&["build", "--arch", NATIVE]).ok();
    let done = checkout.xtask(&["build", "--arch", &format!("linux/{FOREIGN}"), "--emulate"]).ok();
    assert!(done.stderr.contains("using the current plan"), "{}", done.all());
    checkout.xtask(&["merge"]).ok();
    checkout.xtask(&["verify"]).ok();
    let before = registry::tags(&checkout.registry(), "hello-php");
    // Again: the same digests, nothing signed twice.
    let done = checkout.xtask(&["merge"]).ok();
    assert!(done.stderr.contains("is signed already"), "{}", done.all());
    assert_eq!(registry::tags(&checkout.registry(), "hello-php"), before);
}

/// A plan as a file, records in folders that are brought together, in CI.
pub fn two_runners_share_a_plan(checkout: &Checkout) {
    checkout.xtask(&["plan", "--fresh", "--no-reuse", "--save", "target/plan.json"]).ok();
    let ci = |args: &[&str]| run(checkout.command(args).env("CI", "true"));
    let common = ["--plan", "target/plan.json", "--to", "local", "--cell", "php-base"];
    for arch in ["amd64", "arm64"] {
        let folder = format!("target/records-{arch}");
        let mut args = vec!["build", "--arch", arch, "--emulate", "--digests", &folder];
        args.extend(common);
        ci(&args).ok();
    }
    let mut merge = vec!["merge", "--digests", "target/records-amd64", "--publications", "target/published"];
    merge.extend(common);
    ci(&merge).fails(2, &["arm64.json: missing", "nothing was pushed"]);
    fs::copy(
        checkout.root.join("target/records-arm64/php-base/arm64.json"),
        checkout.root.join("target/records-amd64/php-base/arm64.json"),
    )
    .unwrap();
    ci(&merge).ok();
    assert!(checkout.root.join("target/published/php-base.json").is_file());
    // Two runners never resolve on their own.
    ci(&["build"]).fails(2, &["--plan FILE"]);
    ci(&["merge"]).fails(2, &["--plan FILE"]);
}

/// One image that cannot be built, beside others that can.
pub fn failing_build(checkout: &Checkout) {
    with_image(checkout, "broken", "RUN echo a-line-of-the-log && exit 7", |checkout| {
        let done = checkout.xtask(&["build", "--no-reuse"]);
        let done = done.fails(1, &["a-line-of-the-log", "1 of 4 builds is missing"]);
        assert!(
            done.stdout.lines().any(|line| line.starts_with("broken") && line.contains("failed")),
            "{}",
            done.all()
        );
        assert_eq!(done.stdout.matches(" built ").count(), 3, "{}", done.all());
    });
}

/// Complete builds, and not one request that writes.
pub fn no_push(checkout: &Checkout) {
    let before = registry::manifests(checkout, "hello-php") + registry::manifests(checkout, "php-base");
    checkout.xtask(&["build", "--no-push", "--digests", "target/unpushed"]).ok();
    let after = registry::manifests(checkout, "hello-php") + registry::manifests(checkout, "php-base");
    assert_eq!(before, after);
    let path = checkout.root.join(format!("target/unpushed/hello-php.release.rolling/{NATIVE}.json"));
    let record: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(record["pushed"], false);
    checkout.xtask(&["merge", "--digests", "target/unpushed"]).fails(2, &["without being pushed"]);
}

/// A cached build starts the build itself and what git has to say: no version, no builder, no second look into the image,
/// also where a commit has changed its labels.
pub fn nothing_twice(checkout: &Checkout) {
    let build = ["build", "--cell", "php-base", "--arch", NATIVE, "--timings", "--no-reuse"];
    let count = |done: &Done, name: &str| -> usize {
        let rows = done.stderr.lines().filter_map(|line| line.strip_prefix("process ")?.strip_prefix(name));
        rows.map(|row| row.split_whitespace().find_map(|word| word.parse::<usize>().ok()).unwrap()).sum()
    };
    checkout.xtask(&build).ok();
    // A new commit makes a new plan, and how new its code is stands in the history.
    for (round, git) in [("as it was", 3), ("after an empty commit", 5)] {
        let done = checkout.xtask(&build).ok();
        assert_eq!(count(&done, "docker-buildx build "), 1, "{round}: {}", done.all());
        assert_eq!(count(&done, "git "), git, "{round}: {}", done.all());
        assert!(done.stderr.contains("all processes"), "{round}: {}", done.all());
        for asked in ["docker-buildx version", "docker-buildx inspect", "docker "] {
            assert_eq!(count(&done, asked), 0, "{round}: {asked}: {}", done.all());
        }
        checkout.commit();
    }
    // What is known of another image is of no use.
    with_image(checkout, "other", "RUN echo other >/other", |checkout| {
        let done = checkout.xtask(&["build", "--cell", "other", "--arch", NATIVE, "--timings"]).ok();
        assert_eq!(count(&done, "docker-buildx build "), 2, "{}", done.all());
    });
}

/// An interrupted build: no record, no process, exit code 1.
pub fn ctrl_c(checkout: &Checkout) {
    with_image(checkout, "slow", "RUN sleep 600", |checkout| {
        let mut child = checkout
            .command(&["build", "--cell", "slow"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let metadata = format!("slow.{NATIVE}.metadata.json");
        wait("buildx runs", || processes_with(&metadata) > 0);
        thread::sleep(Duration::from_secs(2));
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let mut ended = None;
        wait("the build ends", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(1));
        assert_eq!(processes_with(&metadata), 0);
        assert!(!checkout.record("slow", NATIVE).parent().unwrap().exists());
    });
}

/// A platform that would be emulated is an error that says how.
pub fn foreign_arch(checkout: &Checkout) {
    checkout
        .xtask(&["build", "--arch", FOREIGN])
        .fails(1, &["does not have that platform natively", "--emulate", "--builder NAME"]);
    checkout.xtask(&["build", "--arch", "mips"]).fails(2, &["no architecture `mips`", "amd64"]);
    let dry = checkout.xtask(&["build", "--arch", FOREIGN, "--dry-run", "--fresh", "--no-reuse"]).ok();
    // Three builds, two of which have a test.
    assert_eq!(dry.stdout.lines().count(), 5, "{}", dry.all());
    let platform = format!("--platform linux/{FOREIGN}");
    assert!(
        dry.stdout.lines().all(|line| line.contains(" build ") && line.contains(&platform)),
        "{}",
        dry.all()
    );
}

/// Runs `test` with one more image, and takes it away again.
pub fn with_image(checkout: &Checkout, name: &str, instruction: &str, test: impl Fn(&Checkout)) {
    let matrix = checkout.root.join("matrix.toml");
    let before = fs::read_to_string(&matrix).unwrap();
    let folder = checkout.root.join("images").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Dockerfile"), format!("FROM php:8.2-cli-bookworm\nUSER root\n{instruction}\n"))
        .unwrap();
    let image = format!(
        "\n[images.{name}]\ncontext = \"images/{name}\"\nref = {{ value = \"1\" }}\ntags = [\"{{version}}\"]\ncomposer = []\n"
    );
    fs::write(&matrix, before.clone() + &image).unwrap();
    checkout.commit();
    // Other scenarios follow, whatever becomes of this one.
    let done = catch_unwind(AssertUnwindSafe(|| test(checkout)));
    fs::write(&matrix, before).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    checkout.commit();
    done.unwrap_or_else(|panic| resume_unwind(panic));
}

/// How many processes have `text` in their command line.
pub fn processes_with(text: &str) -> usize {
    let entries =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    entries.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

/// Two contexts whose folders have one name, and in them files of one name, size and time: BuildKit mixes those up.
pub fn same_names(_: &Checkout) {
    let checkout = Checkout::new("same-names");
    let mut matrix = String::from(
        "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\namd64 = { platform = \"linux/amd64\" }\narm64 = { platform = \"linux/arm64\" }\n",
    );
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for side in ["left", "right"] {
        let folder = checkout.root.join(side).join("app");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY which /which\n").unwrap();
        fs::write(folder.join("which"), format!("{side:>5}")).unwrap();
        for file in ["Dockerfile", "which"] {
            fs::File::options().write(true).open(folder.join(file)).unwrap().set_modified(time).unwrap();
        }
        matrix += &format!(
            "[images.{side}]\ncontext = \"{side}/app\"\nref = {{ value = \"1\" }}\ntags = [\"{{version}}\"]\n"
        );
    }
    fs::write(checkout.root.join("matrix.toml"), matrix).unwrap();
    checkout.commit();
    for round in 0..2 {
        checkout.xtask(&["build", "--emulate", "--jobs", "1"]).ok();
        for side in ["left", "right"] {
            let record = checkout.read_record(side, "amd64");
            let reference = format!(
                "{}@{}",
                record["repositories"][0].as_str().unwrap(),
                record["digest"].as_str().unwrap()
            );
            let tar = checkout.root.join("target/image.tar");
            let args = ["export", "--platform", "linux/amd64", &reference, tar.to_str().unwrap()];
            checkout.tool("crane", &args).ok();
            let found = run(std::process::Command::new("tar").arg("-xOf").arg(&tar).arg("which")).ok().stdout;
            assert_eq!(found.trim(), side, "round {round}");
        }
    }
}
