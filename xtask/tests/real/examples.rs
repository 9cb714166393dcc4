//! The published pipelines of `examples/`: built, merged and verified, then looked at with other clients.

use serde_json::Value;
use std::fs;
use std::process::Command;

use crate::checkout::{Checkout, FOREIGN, NATIVE, run};
use crate::github_model::Event;
use crate::hub::{by_workflow, put_on_github};
use crate::registry;

/// Builds everything, joins it, verifies it. Returns the plan.
fn publish(checkout: &Checkout, event: &str) -> Value {
    checkout.xtask(&["build", "--emulate", "--event", event]).ok();
    let plan = checkout.xtask(&["plan", "--json", "--event", event]).ok().stdout;
    checkout.xtask(&["merge", "--event", event]).ok();
    checkout.xtask(&["verify", "--event", event]).ok();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    check_tags(checkout, &plan);
    plan
}

/// Each tag of a plan holds what the publication of its cell says.
fn check_tags(checkout: &Checkout, plan: &Value) {
    let address = checkout.registry();
    for cell in plan["cells"].as_array().unwrap() {
        let digest = checkout.publication(cell["id"].as_str().unwrap())["digest"].clone();
        let held = registry::tags(&address, cell["image"].as_str().unwrap());
        for tag in cell["tags"].as_array().unwrap() {
            let name = tag["name"].as_str().unwrap();
            assert_eq!(held.get(name).map(String::as_str), digest.as_str(), "{name}");
        }
    }
}

/// The same by the files of the workflow, as GitHub runs them.
fn publish_on_github(checkout: &Checkout, name: &str, event: &Event, simulated: &str) -> Value {
    let plan = by_workflow(checkout, name, event, simulated);
    check_tags(checkout, &plan);
    plan
}

/// A file of a published image.
fn file(checkout: &Checkout, reference: &str, platform: &str, path: &str) -> String {
    let tar = checkout.root.join("target/image.tar");
    let args = ["export", "--platform", platform, reference, tar.to_str().unwrap()];
    checkout.tool("crane", &args).ok();
    run(Command::new("tar").arg("-xOf").arg(&tar).arg(path)).ok().stdout
}

/// Branches become commits; the secret reaches the build and nothing else.
pub fn snipe_it(_: &Checkout) {
    let mut checkout = Checkout::example("snipe-it");
    put_on_github(&checkout);
    let upstream = checkout.root.join("target/upstream");
    fs::create_dir_all(&upstream).unwrap();
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
        let done = run(Command::new("git").args(identity).args(args).current_dir(&upstream));
        done.ok().stdout.trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch", "master"]);
    git(&["commit", "--quiet", "--allow-empty", "--message", "one"]);
    git(&["checkout", "--quiet", "-b", "develop"]);
    git(&["commit", "--quiet", "--allow-empty", "--message", "two"]);
    let secret = "hunter2-is-no-secret-of-anybody";
    let redirect = [
        ("GIT_CONFIG_COUNT", "1".to_owned()),
        ("GIT_CONFIG_KEY_0", format!("url.{}.insteadOf", upstream.display())),
        ("GIT_CONFIG_VALUE_0", "https://github.com/grokability/snipe-it".to_owned()),
        ("GITHUB_TOKEN", secret.to_owned()),
    ];
    checkout.environment.extend(redirect.map(|(name, value)| (name.to_owned(), value)));
    let before = git(&["rev-parse", "develop"]);
    checkout.xtask(&["build", "--emulate", "--arch", "amd64"]).ok();
    // The branch moves between the builds of the two architectures.
    git(&["commit", "--quiet", "--allow-empty", "--message", "three"]);
    publish(&checkout, "local:main");
    let image = format!("{}/snipe-it", checkout.registry());
    for platform in ["linux/amd64", "linux/arm64"] {
        for tag in ["develop", "nightly-rolling"] {
            let reference = format!("{image}:{tag}");
            assert_eq!(file(&checkout, &reference, platform, "app/ref").trim(), before, "{tag} {platform}");
        }
        let latest = format!("{image}:latest");
        assert_eq!(file(&checkout, &latest, platform, "app/ref").trim(), "v8.5.0");
        assert_eq!(file(&checkout, &latest, platform, "app/fetched").trim(), "with a token");
        assert_eq!(file(&checkout, &latest, platform, "app/composer").trim(), "install");
        let rolling = format!("{image}:master-rolling");
        assert_eq!(file(&checkout, &rolling, platform, "app/composer").trim(), "update");
    }
    let everywhere = ["-r", "--binary-files=text", "--files-with-matches", secret];
    let found = run(Command::new("grep").args(everywhere).arg(checkout.root.join("target/xtask")));
    assert_eq!((found.code, found.stdout.as_str()), (Some(1), ""), "the secret is on no disk");
    let tags = registry::tags(&checkout.registry(), "snipe-it");
    assert!(!tags.contains_key("8.5.0-rolling"), "that cell is excluded");
    // The day after, by the clock: only what stands on the branch that has moved is built.
    let plan = publish_on_github(&checkout, "snipe-it", &Event::schedule("17 4 * * *", "main"), "schedule");
    let built = |cell: &&Value| cell["reuse"]["state"] != "kept";
    let built: Vec<&str> = plan["cells"]
        .as_array()
        .unwrap()
        .iter()
        .filter(built)
        .map(|cell| cell["track"].as_str().unwrap())
        .collect();
    assert_eq!(built, ["develop", "develop"]);
}

/// Each architecture is built with its own Dockerfile.
pub fn qm_nmr_calc(_: &Checkout) {
    let checkout = Checkout::example("qm-nmr-calc");
    put_on_github(&checkout);
    // Without --emulate: what may be emulated is, the rest is not.
    let done = checkout.xtask(&["build", "--event", "tag:v2.1.0"]).ok();
    assert!(done.stdout.contains(&format!("qm-nmr-calc-api.release     {FOREIGN}")), "{}", done.all());
    assert!(!done.stdout.contains(&format!("qm-nmr-calc-worker.release  {FOREIGN}")), "{}", done.all());
    publish_on_github(&checkout, "qm-nmr-calc", &Event::tag("v2.1.0"), "tag:v2.1.0");
    let worker = format!("{}/qm-nmr-calc-worker:2.1", checkout.registry());
    for (platform, packages) in [("linux/amd64", "the default channels"), ("linux/arm64", "conda-forge")] {
        let found = file(&checkout, &worker, platform, "app/packages");
        assert_eq!(found.trim(), format!("packages of {packages}"));
    }
    let candidate = publish(&checkout, "tag:v2.2.0-rc.1");
    assert_eq!(candidate["cells"][0]["tags"].as_array().unwrap().len(), 1);
    let tags = registry::tags(&checkout.registry(), "qm-nmr-calc-api");
    assert!(tags["latest"] == tags["2.1.0"] && tags["2.2.0-rc.1"] != tags["2.1.0"], "{tags:?}");
}

/// Every platform has its provenance and the list of what really is in it, each about that image.
pub fn multi_arch_of_madness(_: &Checkout) {
    let checkout = Checkout::example("multi-arch-of-madness");
    put_on_github(&checkout);
    publish_on_github(&checkout, "multi-arch-of-madness", &Event::release("1.0.0"), "release:1.0.0");
    let image = format!("{}/multi-arch-of-madness", checkout.registry());
    let reference = format!("{image}:latest");
    let inspect = |field: &str| {
        let format = format!("{{{{json .{field}}}}}");
        let args = ["imagetools", "inspect", &reference, "--format", &format];
        json(&checkout, "docker-buildx", &args)
    };
    let (sbom, provenance) = (inspect("SBOM"), inspect("Provenance"));
    let index = json(&checkout, "crane", &["manifest", &reference]);
    let entries = index["manifests"].as_array().unwrap();
    for (arch, alpine) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        let platform = format!("linux/{arch}");
        assert!(provenance[&platform].to_string().contains("buildDefinition"), "{provenance}");
        let document = &sbom[&platform]["SPDX"];
        assert_eq!(document["spdxVersion"], "SPDX-2.3", "{sbom}");
        let packages = document["packages"].as_array().unwrap();
        // Debian's, of the stand-in, where the file that says so bears the architecture; or that of the official image.
        let is_busybox =
            |package: &&Value| package["name"] == "busybox-static" || package["name"] == "busybox";
        let found: Vec<String> = packages.iter().filter(is_busybox).map(Value::to_string).collect();
        let words = [format!("_{arch},"), format!("arch={alpine}")];
        let bears = |package: &String| words.iter().any(|word| package.contains(word));
        assert!(found.iter().any(bears), "{platform}: {document}");
        let of_arch = |entry: &&Value| entry["platform"]["architecture"] == arch;
        let digest = entries.iter().find(of_arch).unwrap()["digest"].as_str().unwrap();
        let attests = |entry: &&Value| entry["annotations"]["vnd.docker.reference.digest"] == digest;
        let attestation = entries.iter().find(attests).unwrap()["digest"].as_str().unwrap();
        let manifest = json(&checkout, "crane", &["manifest", &format!("{image}@{attestation}")]);
        let mut kinds = Vec::new();
        for layer in manifest["layers"].as_array().unwrap() {
            let blob = format!("{image}@{}", layer["digest"].as_str().unwrap());
            let statement = json(&checkout, "crane", &["blob", &blob]);
            let subjects = statement["subject"].as_array().unwrap();
            let same =
                |subject: &Value| digest.strip_prefix("sha256:") == subject["digest"]["sha256"].as_str();
            assert!(!subjects.is_empty() && subjects.iter().all(same), "{digest}: {subjects:?}");
            kinds.push(statement["predicateType"].as_str().unwrap().to_owned());
        }
        kinds.sort();
        assert_eq!(kinds, ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"], "{platform}");
    }
}

/// What a tool prints.
fn json(checkout: &Checkout, tool: &str, args: &[&str]) -> Value {
    serde_json::from_str(&checkout.tool(tool, args).ok().stdout).unwrap()
}

/// Python stands on the Alpine base of the same run; layers are zstd; what is published serves as a cache.
pub fn home_assistant(_: &Checkout) {
    let checkout = Checkout::example("home-assistant");
    put_on_github(&checkout);
    let plan =
        publish_on_github(&checkout, "home-assistant", &Event::release("2026.11.1"), "release:2026.11.1");
    assert_eq!(plan["cells"].as_array().unwrap().len(), 17);
    let address = checkout.registry();
    for (alpine, arch) in [("3.21", "amd64"), ("3.23", "aarch64")] {
        let python = checkout.read_record(&format!("base-python.3.13.{alpine}"), arch);
        let base = checkout.read_record(&format!("base.{alpine}"), arch);
        let bases: Vec<&str> =
            python["bases"].as_array().unwrap().iter().map(|base| base["digest"].as_str().unwrap()).collect();
        assert!(bases.contains(&base["digest"].as_str().unwrap()), "{bases:?} {base}");
    }
    let python = format!("{address}/base-python:latest");
    assert_eq!(file(&checkout, &python, "linux/arm64", "etc/hass-arch").trim(), "aarch64");
    assert_eq!(file(&checkout, &python, "linux/arm64", "etc/python-version").trim(), "3.14");
    let manifest = checkout.tool("crane", &["manifest", "--platform", "linux/arm64", &python]).ok().stdout;
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        assert!(layer["mediaType"].as_str().unwrap().ends_with("+zstd"), "{manifest}");
    }
    // The plan has verified what is published: a build by its file takes that as its cache, and asks cosign nothing.
    let dockerfile = checkout.root.join("base/Dockerfile");
    let text = fs::read_to_string(&dockerfile).unwrap();
    fs::write(&dockerfile, format!("{text}RUN true\n")).unwrap();
    checkout.commit();
    let event = ["--event", "release:2026.11.1"];
    checkout.xtask(&[&["plan", "--fresh", "--save", "target/changed.json"][..], &event].concat()).ok();
    let by_plan =
        ["build", "--plan", "target/changed.json", "--cell", "base.3.23", "--arch", NATIVE, "--timings"];
    let done = checkout.xtask(&by_plan).ok();
    assert!(done.all().contains("importing cache manifest from"), "{}", done.all());
    assert!(!done.all().contains("process cosign"), "{}", done.all());
    // A builder that knows nothing finds the layers in the published image, whose signature it verifies first.
    let builder = checkout.status()["builder"].as_str().unwrap().to_owned();
    let platform = format!("linux/{NATIVE}");
    let again =
        ["build", "--no-reuse", "--event", "release:2026.11.1", "--cell", "base.3.23", "--arch", &platform];
    let prune = || checkout.tool("docker-buildx", &["prune", "--builder", &builder, "--all", "--force"]);
    prune().ok();
    // The jobs above shared one builder, where a layer may have come from another cell: one that has built it itself knows how.
    checkout
        .xtask(&["build", "--emulate", "--no-reuse", "--event", "release:2026.11.1", "--cell", "base.3.23"])
        .ok();
    checkout.xtask(&["merge", "--event", "release:2026.11.1", "--cell", "base.3.23"]).ok();
    prune().ok();
    let cached = checkout.xtask(&again).ok();
    assert!(cached.all().contains("CACHED"), "{}", cached.all());
    // One that is not signed by us is no cache.
    fs::remove_file(checkout.local().join("keys/cosign.key")).unwrap();
    checkout.xtask(&["local", "down"]).ok();
    prune();
    let foreign = checkout.xtask(&again).ok();
    assert!(foreign.stderr.contains("is no cache: its signature cannot be verified"), "{}", foreign.all());
}
