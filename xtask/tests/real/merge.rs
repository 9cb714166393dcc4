//! merge, with what can go wrong before and during it.

use serde_json::Value;
use std::fs;

use crate::build::CELLS;
use crate::checkout::{Checkout, FOREIGN, NATIVE, run};
use crate::registry::{self, Watcher};
use crate::shim::Shims;

/// A published matrix with all of its records.
fn prepared(checkout: &Checkout) {
    checkout.xtask(&["plan", "--fresh", "--no-reuse"]).ok();
    checkout.xtask(&["build", "--emulate"]).ok();
    checkout.xtask(&["merge"]).ok();
}

/// Changes one record, expects a refusal that says `parts` and moves nothing, and puts it back.
fn refused(checkout: &Checkout, cell: &str, arch: &str, parts: &[&str], change: impl Fn(&mut Value)) {
    let path = checkout.record(cell, arch);
    let before = fs::read(&path).unwrap();
    let mut record: Value = serde_json::from_slice(&before).unwrap();
    change(&mut record);
    fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
    untouched(checkout, parts);
    fs::write(&path, before).unwrap();
}

/// Merge fails with `parts`, and no registry knows that it ran.
fn untouched(checkout: &Checkout, parts: &[&str]) {
    let registry = checkout.registry();
    let state = || {
        let repositories = ["hello-php", "php-base"];
        repositories.map(|repository| {
            (registry::tags(&registry, repository), registry::manifests(checkout, repository))
        })
    };
    let before = state();
    let done = checkout.xtask(&["merge"]);
    assert!(matches!(done.code, Some(1 | 2)), "{}", done.all());
    for part in parts {
        assert!(done.stderr.contains(part), "stderr lacks `{part}`: {}", done.all());
    }
    assert_eq!(state(), before, "{}", done.all());
}

pub fn wrong_records(checkout: &Checkout) {
    prepared(checkout);
    let (pinned, rolling) = ("hello-php.release.pinned", "hello-php.release.rolling");
    // Deleted.
    let path = checkout.record(pinned, "arm64");
    let whole = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    untouched(checkout, &["hello-php.release.pinned/arm64.json: missing"]);
    // Cut off.
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    untouched(checkout, &["arm64.json: damaged"]);
    // Not JSON at all.
    fs::write(&path, b"\0\xff").unwrap();
    untouched(checkout, &["arm64.json: damaged"]);
    // Those of two architectures swapped.
    fs::copy(checkout.record(pinned, "amd64"), &path).unwrap();
    untouched(checkout, &["its arch is amd64, expected arm64", "two architectures claim one digest"]);
    // Those of two cells swapped.
    fs::copy(checkout.record(rolling, "arm64"), &path).unwrap();
    untouched(checkout, &["its cell is hello-php.release.rolling, expected hello-php.release.pinned"]);
    fs::write(&path, &whole).unwrap();
    // One more than the plan has.
    let extra = checkout.record(pinned, "riscv64");
    fs::copy(&path, &extra).unwrap();
    untouched(checkout, &["riscv64.json: the plan has no such build"]);
    fs::remove_file(&extra).unwrap();
    // Of another plan, another commit, another schema.
    let other = format!("sha256:{}", "0".repeat(64));
    refused(checkout, pinned, "arm64", &["its plan is sha256:000000000000"], |record| {
        record["plan"] = Value::from(other.clone())
    });
    refused(checkout, pinned, "arm64", &["its revision is abc"], |record| {
        record["revision"] = Value::from("abc")
    });
    refused(checkout, pinned, "arm64", &["schema 2 is not supported"], |record| {
        record["schema"] = Value::from(2)
    });
    refused(checkout, pinned, "arm64", &["its platform is linux/amd64"], |record| {
        record["platform"] = Value::from("linux/amd64")
    });
    refused(checkout, pinned, "arm64", &["its repository is example.com/x"], |record| {
        record["repositories"] = serde_json::json!(["example.com/x"])
    });
    // Not tested, or written before tests were recorded; what declares no test needs none.
    refused(checkout, pinned, "arm64", &["it was not tested"], |record| record["tested"] = Value::Null);
    refused(checkout, pinned, "arm64", &["it was not tested"], |record| {
        record.as_object_mut().unwrap().remove("tested");
    });
    // The fields are right and the digest is not: only the registry can tell.
    let foreign = |cell: &str, arch: &str| checkout.read_record(cell, arch)["digest"].clone();
    let only = ["merge", "--cell", pinned];
    let (by_platform, by_cell, by_nobody) =
        (foreign(rolling, "amd64"), foreign(rolling, "arm64"), Value::from(other));
    for (digest, message) in [
        (by_platform, "holds an image for linux/amd64, expected linux/arm64"),
        (by_cell, "was built for the cell hello-php.release.rolling"),
        (by_nobody, "does not hold sha256:0000"),
    ] {
        let registry = checkout.registry();
        let before = (registry::tags(&registry, "hello-php"), registry::manifests(checkout, "hello-php"));
        let mut record = checkout.read_record(pinned, "arm64");
        record["digest"] = digest;
        fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
        checkout.xtask(&only).fails(1, &[message]);
        assert_eq!(
            (registry::tags(&registry, "hello-php"), registry::manifests(checkout, "hello-php")),
            before
        );
        fs::write(&path, &whole).unwrap();
    }
    // A record of an older plan, as it lies there after a new plan was made.
    checkout.xtask(&["plan", "--fresh", "--no-reuse"]).ok();
    untouched(checkout, &["its plan is", "expected"]);
    prepared(checkout);
}

/// Two jobs build, each says what its record is, and a third one replaces a record on the way to the merge.
pub fn record_hashes(checkout: &Checkout) {
    checkout.xtask(&["plan", "--fresh", "--no-reuse"]).ok();
    let outputs = checkout.root.join("target/outputs");
    let _ = fs::remove_file(&outputs);
    for (arch, number) in [("amd64", "record-0"), ("arm64", "record-1")] {
        let build = ["build", "--cell", "php-base", "--emulate", "--arch", arch, "--github-output", number];
        // A record that lies there already may have come with an artifact of another job: this one vouches for its own only.
        run(checkout.command(&build).env("GITHUB_OUTPUT", checkout.root.join("target/earlier"))).ok();
        let anew =
            run(checkout.command(&build).env("GITHUB_OUTPUT", checkout.root.join("target/earlier"))).ok();
        assert!(anew.stderr.contains("building php-base"), "{}", anew.all());
        run(checkout.command(&build).env("GITHUB_OUTPUT", &outputs)).ok();
    }
    let text = fs::read_to_string(&outputs).unwrap();
    let said: Vec<&str> = text.lines().map(|line| line.split_once('=').unwrap().1).collect();
    let hashes = format!("{},,", said.join(","));
    let merge = |hashes: &str| checkout.xtask(&["merge", "--cell", "php-base", "--expect-records", hashes]);
    // Another build of the same plan, cell and architecture: nothing in it is wrong but who made it.
    let path = checkout.record("php-base", "arm64");
    let before = fs::read(&path).unwrap();
    checkout.xtask(&["build", "--cell", "php-base", "--emulate", "--arch", "arm64", "--no-reuse"]).ok();
    let state = || registry::tags(&checkout.registry(), "php-base");
    let tags = state();
    merge(&hashes).fails(2, &["php-base/arm64.json: it was replaced", "nothing was pushed"]);
    fs::write(&path, before).unwrap();
    merge(said[0]).fails(2, &["php-base/arm64.json: --expect-records does not name it"]);
    merge("").fails(2, &["php-base/amd64.json: --expect-records does not name it"]);
    merge("php-base/arm64").fails(2, &["expected CELL/ARCH=sha256:"]);
    // A record whose digest was pushed for another plan, in the place of this one's.
    let mut record = checkout.read_record("php-base", "arm64");
    let own = record["plan"].clone();
    let ours = fs::read(&path).unwrap();
    // Two plans of one commit and one second are one.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    checkout.xtask(&["plan", "--fresh", "--no-reuse"]).ok();
    checkout.xtask(&["build", "--cell", "php-base", "--emulate"]).ok();
    let plan = checkout.plan()["id"].clone();
    assert_ne!(own, plan);
    record["plan"] = plan;
    fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
    let foreign = format!("was built for the plan {}", own.as_str().unwrap());
    checkout.xtask(&["merge", "--cell", "php-base"]).fails(1, &[&foreign]);
    assert_eq!(state(), tags);
    fs::write(&path, ours).unwrap();
    prepared(checkout);
}

/// SIGKILL after every call of a tool that merge makes, and once more from the beginning. `publications_survive_faults`
/// kills it at each tag that it sets, `benches/faults.rs` at every request.
pub fn killed(checkout: &Checkout) {
    let registry = checkout.registry();
    let shims = Shims::new(checkout);
    let watcher = Watcher::start(&registry, "php-base");
    let merge = ["merge", "--cell", "php-base", "--jobs", "1"];
    let mut kills = 0;
    for n in 1.. {
        checkout.xtask(&["plan", "--fresh", "--no-reuse"]).ok();
        checkout.xtask(&["build", "--cell", "php-base", "--emulate"]).ok();
        let mut command = checkout.command(&merge);
        shims.arm(&mut command, n);
        let done = run(&mut command);
        if done.code == Some(0) {
            assert!(shims.calls() < n, "{}", done.all());
            break;
        }
        assert_eq!(done.code, None, "killed, not failed: {}", done.all());
        kills += 1;
        checkout.xtask(&merge).ok();
        let digest = checkout.publication("php-base")["digest"].as_str().unwrap().to_owned();
        let tags = registry::tags(&registry, "php-base");
        for tag in checkout.plan()["cells"][0]["tags"].as_array().unwrap() {
            assert_eq!(tags[tag["name"].as_str().unwrap()], digest, "after call {n}: {tags:?}");
        }
        checkout.xtask(&["verify", "--cell", "php-base"]).ok();
    }
    println!("merge was killed after {kills} of its calls");
    assert!(kills >= 6, "a merge has more steps than that");
    watcher.end();
}

/// A plan that finishes late does not move what a newer one has published.
pub fn older_plan(checkout: &Checkout) {
    checkout.xtask(&["plan", "--fresh", "--no-reuse", "--save", "target/older.json"]).ok();
    checkout.xtask(&["build", "--emulate", "--plan", "target/older.json", "--digests", "target/older"]).ok();
    prepared(checkout);
    let registry = checkout.registry();
    let before = registry::tags(&registry, "hello-php");
    let late = [
        "merge",
        "--plan",
        "target/older.json",
        "--digests",
        "target/older",
        "--publications",
        "target/late",
    ];
    let done = checkout.xtask(&late).ok();
    assert!(done.stderr.contains("it holds a newer publication"), "{}", done.all());
    assert_eq!(registry::tags(&registry, "hello-php"), before);
    // People who mean it may.
    let mut forced = late.to_vec();
    forced.push("--allow-downgrade");
    checkout.xtask(&forced).ok();
    assert_ne!(registry::tags(&registry, "hello-php"), before);
    checkout.xtask(&["merge", "--cell", CELLS[1]]).ok();
}

/// The image's own test fails on one architecture: that build has no record, pushed or not, so nothing of it is
/// published; the other images are.
pub fn failing_test(checkout: &Checkout) {
    let (file, address) = (checkout.root.join("images/hello-php/tests/image.php"), checkout.registry());
    let original = fs::read_to_string(&file).unwrap();
    let broken =
        "<?php if (php_uname('m') === 'aarch64') { fwrite(STDERR, \"broken on arm\\n\"); exit(1); }\n";
    fs::write(&file, broken).unwrap();
    checkout.commit();
    let before = registry::tags(&address, "hello-php");
    let words = [
        "test hello-php.release.pinned.amd64: passed",
        "broken on arm",
        "nothing of hello-php.release.pinned arm64 is recorded",
        "2 of 6 builds are missing",
    ];
    let records = ["target/xtask/digests", "target/unpushed"];
    for (folder, more) in [(records[0], None), (records[1], Some("--no-push"))] {
        let _ = fs::remove_dir_all(checkout.root.join(folder));
        let mut build = vec!["build", "--emulate", "--no-reuse", "--digests", folder];
        build.extend(more);
        checkout.xtask(&build).fails(1, &words);
        for cell in ["hello-php.release.pinned", "hello-php.release.rolling"] {
            let arches = ["amd64", "arm64"]
                .map(|arch| checkout.root.join(folder).join(cell).join(format!("{arch}.json")).is_file());
            assert_eq!(arches, [true, false], "{folder} {cell}");
        }
    }
    checkout.xtask(&["merge"]).fails(2, &["hello-php.release.pinned/arm64.json: missing"]);
    let done = checkout.xtask(&["merge", "--cell", "php-base"]).ok();
    assert!(done.stdout.contains("php-base"), "{}", done.all());
    assert_eq!(registry::tags(&address, "hello-php"), before);
    fs::write(&file, original).unwrap();
    checkout.commit();
    checkout.xtask(&["build", "--emulate", "--no-reuse"]).ok();
    assert_eq!(checkout.read_record("hello-php.release.pinned", NATIVE)["tested"], "native");
    assert_eq!(checkout.read_record("hello-php.release.pinned", FOREIGN)["tested"], "emulated");
    assert_eq!(checkout.read_record("php-base", "arm64")["tested"], Value::Null);
    checkout.xtask(&["merge", "--image", "php-base"]).ok();
    // As a job that has the records of its own image only.
    fs::remove_dir_all(checkout.root.join("target/xtask/digests/php-base")).unwrap();
    checkout.xtask(&["merge", "--image", "hello-php"]).ok();
    assert_ne!(registry::tags(&address, "hello-php"), before);
}

/// From the registry's own record, without any file of ours: tags go back, and what they hold is signed.
pub fn rolled_back(checkout: &Checkout) {
    let (cell, address) = ("hello-php.release.pinned", checkout.registry());
    checkout.xtask(&["build", "--emulate"]).ok();
    checkout.xtask(&["merge"]).ok();
    let before = registry::tags(&address, "hello-php");
    fs::write(checkout.root.join("images/hello-php/.version"), "1.4.3\n").unwrap();
    checkout.commit();
    checkout.xtask(&["build", "--emulate"]).ok();
    checkout.xtask(&["merge"]).ok();
    let published = registry::tags(&address, "hello-php");
    assert_ne!(published["latest"], before["latest"]);
    fs::remove_dir_all(checkout.root.join("target/xtask/publications")).unwrap();
    let dry = checkout.xtask(&["rollback", cell, "--dry-run"]).ok();
    assert!(
        dry.stdout.contains("imagetools create") && dry.stdout.contains(&before["latest"]),
        "{}",
        dry.all()
    );
    assert_eq!(registry::tags(&address, "hello-php"), published, "a dry run moves nothing");
    let done = checkout.xtask(&["rollback", cell]).ok();
    let after = registry::tags(&address, "hello-php");
    for tag in ["latest", "1", "1.4"] {
        assert_eq!(after[tag], before[tag], "{tag}");
    }
    assert_eq!(after["1.4.3"], published["1.4.3"], "it held nothing before");
    assert!(done.stderr.contains("1.4.3 stays: it held nothing before"), "{}", done.all());
    assert_eq!(after["rolling"], published["rolling"], "another cell");
    checkout.xtask(&["verify", &format!("{address}/hello-php:latest")]).ok();
    checkout.xtask(&["rollback", "nothing"]).fails(2, &["no cell `nothing`"]);
    // The next merge leaves alone what somebody has taken back, says so and is green; so is `verify`.
    let done = checkout.xtask(&["merge"]).ok();
    assert!(done.stderr.contains("latest stays: hello-php.release.pinned is held since"), "{}", done.all());
    assert_eq!(registry::tags(&address, "hello-php")["latest"], before["latest"]);
    let done = checkout.xtask(&["verify", "--cell", cell]).ok();
    assert!(done.stdout.contains("is held since"), "{}", done.all());
    // Until it is released.
    checkout.xtask(&["release", cell]).ok();
    checkout.xtask(&["release", cell]).fails(1, &["is held"]);
    checkout.xtask(&["merge"]).ok();
    assert_eq!(registry::tags(&address, "hello-php")["latest"], published["latest"]);
    // A hold by hand, and one that is over.
    checkout
        .xtask(&["hold", cell, "--reason", "x", "--until", "2020-01-01T00:00:00Z"])
        .fails(2, &["is over"]);
    checkout.xtask(&["hold", cell, "--reason", "x", "--until", "soon"]).fails(2, &["2026-12-24T08:00:00Z"]);
    checkout.xtask(&["hold", cell, "--reason", "being looked at"]).ok();
    checkout.xtask(&["release", cell]).ok();
    checkout.git(&["revert", "--no-edit", "HEAD"]);
}
