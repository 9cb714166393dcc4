//! The workflow files as they are, run by our strict model of GitHub, against the local stack.

use std::collections::BTreeMap;
use std::fs;

use crate::checkout::Checkout;
use crate::github_model::{Access, Event, Fault, Moment, Outcome, Report};
use crate::hub::{matrix, small, small_with};

/// The jobs that ran, each with its result; those of the plan and the report are named by the test where they matter.
fn jobs(report: &Report) -> Vec<(String, Outcome)> {
    let ran = report.jobs.values().filter(|job| !job.steps.is_empty());
    ran.map(|job| (job.name.clone(), job.result))
        .filter(|(name, _)| !["plan", "report"].contains(&name.as_str()))
        .collect()
}

/// Who logged in where.
fn logins(report: &Report) -> Vec<(String, String)> {
    let calls = report.calls.iter().filter(|call| call.action == "docker/login-action");
    calls.map(|call| (call.job.clone(), call.inputs["registry"].clone())).collect()
}

/// Every event that a repository has.
pub fn events(stack: &Checkout) {
    let hub = small_with(stack, "ev", |settings| {
        settings.vars.insert("REGISTRY".to_owned(), "docker.io".to_owned());
        // It occurs in every name, which a secret may not.
        settings.vars.insert("REGISTRY_USERNAME".to_owned(), "ev".to_owned());
        settings.secrets.insert("REGISTRY_PASSWORD".to_owned(), "no-password-of-anybody".to_owned());
        settings.secrets.insert("REGISTRY_PULL_PASSWORD".to_owned(), "may-only-read".to_owned());
    });
    let images = ["ev-base", "ev-app", "ev-other"];
    let state = || images.map(|image| (hub.tags(image), hub.manifests(image)));
    // A pull request, before anything is published: everything is built, nothing is pushed.
    let before = state();
    hub.git(&["checkout", "--quiet", "-b", "topic"]);
    hub.commit("app/file", Some("topic"));
    hub.git(&["checkout", "--quiet", "main"]);
    let own = hub.report(&Event::pull_request(1, "topic", "main")).ok();
    let built = jobs(&own);
    assert_eq!(built.len(), 6, "{built:?}");
    assert!(built.iter().all(|(_, result)| *result == Outcome::Success), "{built:?}");
    let told = logins(&own);
    // `plan` and each build, at both registries.
    assert_eq!(told.len(), 2 * 7, "{told:?}");
    let writes =
        own.jobs.values().filter(|job| job.permissions.0.values().any(|access| *access == Access::Write));
    assert_eq!(writes.map(|job| job.name.as_str()).collect::<Vec<_>>(), Vec::<&str>::new());
    let fork = hub.report(&Event::pull_request(2, "topic", "main").of_a_fork()).ok();
    assert!(
        fork.summary.contains("The pull request of a fork gets no login and no secret"),
        "{}",
        fork.summary
    );
    assert!(logins(&fork).iter().all(|(job, _)| job == "plan"), "{:?}", logins(&fork));
    assert_eq!(jobs(&fork).len(), 6);
    assert_eq!(state(), before);
    // A push publishes; the same commit by the clock finds nothing to do, with one more tag a single merge.
    let pushed = hub.report(&Event::push("main")).ok();
    let count =
        |report: &Report, part: &str| jobs(report).iter().filter(|(name, _)| name.contains(part)).count();
    assert_eq!((count(&pushed, "merge"), jobs(&pushed).len()), (3, 9), "{}", pushed.all());
    for image in images {
        let tags = hub.tags(image);
        assert_eq!((tags.len(), tags.contains_key("edge")), (2, true), "{image}: {tags:?}");
    }
    let nightly = hub.report(&Event::schedule("17 4 * * *", "main")).ok();
    assert_eq!(jobs(&nightly), []);
    assert!(
        nightly.log.contains("Nothing has changed: no image is built, and no tag is set."),
        "{}",
        nightly.all()
    );
    hub.git(&["tag", "1.0.0"]);
    let tagged = hub.report(&Event::tag("1.0.0")).ok();
    assert_eq!(jobs(&tagged).len(), 9, "its version is a label: {}", tagged.all());
    for image in images {
        let tags = hub.tags(image);
        assert!(tags["1.0.0"] == tags["latest"] && tags["latest"] != tags["edge"], "{image}: {tags:?}");
    }
    // The release of the same tag comes right after its push.
    let released = hub.report(&Event::release("1.0.0")).ok();
    assert_eq!(jobs(&released), []);
    // The form: one track, another version, everything anew.
    let inputs = [("track", "release"), ("version", "9.9.9"), ("no-reuse", "true")];
    let asked = hub.report(&Event::dispatch("main", &inputs)).ok();
    assert_eq!(jobs(&asked).len(), 9, "{}", asked.all());
    assert!(asked.log.contains("ev-app.release    9.9.9"), "{}", asked.all());
    assert!(!hub.tags("ev-app").contains_key("9.9.9"), "it is no tag's event");
    // A tag that is no version: only what is not about versions is published, and nothing fails.
    hub.git(&["tag", "sometag"]);
    let sometag = hub.report(&Event::tag("sometag")).ok();
    let tags = hub.tags("ev-app");
    assert!(tags["latest"] == tags["1.0.0"] && tags["latest"] != tags["edge"], "{tags:?} {}", sometag.all());
    // Nothing that a pull request builds.
    let matrix = fs::read_to_string(hub.root.join("matrix.toml")).unwrap();
    hub.commit("matrix.toml", Some(&matrix.replace("pull-request = true", "")));
    hub.git(&["branch", "--force", "topic", "main"]);
    let empty = hub.report(&Event::pull_request(3, "topic", "main")).ok();
    assert_eq!(jobs(&empty), []);
}

/// A push, a release and the clock at once: each merge gets its turn, and none is cancelled.
pub fn at_once(stack: &Checkout) {
    let hub = small(stack, "once");
    let held = hub.service.hold(Moment::step("once-other.release / cell / merge", "merge"));
    let first = hub.start(&Event::push("main"));
    held.reached();
    hub.git(&["tag", "1.0.0"]);
    let second = hub.start(&Event::tag("1.0.0"));
    hub.until_waiting("once-other.release / cell / merge", &second);
    let third = hub.start(&Event::schedule("17 4 * * *", "main"));
    hub.until_waiting("once-other.release / cell / merge", &third);
    held.release();
    for run in [first, second, third] {
        let report = run.wait().ok();
        let wrong: Vec<_> =
            jobs(&report).into_iter().filter(|(_, result)| *result != Outcome::Success).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    for image in ["once-base", "once-app", "once-other"] {
        let tags = hub.tags(image);
        let names: Vec<&str> =
            tags.keys().map(String::as_str).filter(|tag| !tag.starts_with("sha-")).collect();
        assert_eq!(names, ["1.0.0", "edge", "latest"], "{image}: {tags:?}");
    }
}

/// What fails stops what it has to, and nothing else; the next attempt does the rest.
pub fn failures(stack: &Checkout) {
    let hub = small(stack, "fail");
    let result = |report: &Report, job: &str| report.result(job);
    // An architecture that fails.
    let dockerfile = fs::read_to_string(hub.root.join("other/Dockerfile")).unwrap();
    hub.commit("other/Dockerfile.arm64", Some("FROM scratch\nCOPY missing /\n"));
    let report = hub.report(&Event::push("main"));
    for (job, expected) in [
        ("fail-other.release / cell / amd64", Outcome::Success),
        ("fail-other.release / cell / arm64", Outcome::Failure),
        ("fail-other.release / cell / merge", Outcome::Skipped),
        ("fail-base.release and 1 more / fail-app.release / merge", Outcome::Success),
        ("report", Outcome::Failure),
    ] {
        assert_eq!(result(&report, job), expected, "{job}: {}", report.all());
    }
    assert!(report.has_error("1 of 3 cells are not done"), "{}", report.all());
    assert!(
        report.summary.contains("cargo xtask build --cell fail-other.release --arch arm64"),
        "{}",
        report.summary
    );
    assert_eq!(hub.tags("fail-other").len(), 0);
    // The same where it is allowed to.
    let matrix = fs::read_to_string(hub.root.join("matrix.toml")).unwrap();
    hub.commit(
        "matrix.toml",
        Some(&matrix.replace("pull-request = true", "pull-request = true\nallow-failure = true")),
    );
    let report = hub.report(&Event::push("main")).ok();
    assert!(
        report.summary.contains("(allowed)") && report.has_error("missing"),
        "it is shown: {}",
        report.all()
    );
    assert_eq!(hub.tags("fail-other").len(), 0);
    hub.commit("matrix.toml", Some(&matrix));
    hub.commit("other/Dockerfile.arm64", Some(&dockerfile));
    // A base that fails: what stands on it says which record it lacks, and nothing of it is published.
    hub.commit("base/Dockerfile", Some("FROM scratch\nCOPY missing /\n"));
    let report = hub.report(&Event::push("main"));
    for (job, expected) in [
        ("fail-other.release / cell / merge", Outcome::Success),
        ("fail-base.release and 1 more / fail-base.release / merge", Outcome::Skipped),
        ("fail-base.release and 1 more / fail-app.release / amd64", Outcome::Failure),
        ("fail-base.release and 1 more / fail-app.release / merge", Outcome::Skipped),
    ] {
        assert_eq!(result(&report, job), expected, "{job}: {}", report.all());
    }
    assert!(report.has_error("fail-base.release"), "{}", report.all());
}

/// Failed jobs run again after a day, by the same plan; what was done is not done again.
pub fn again(stack: &Checkout) {
    let hub = small(stack, "again");
    // A runner dies while it builds, another one in the middle of a publication.
    hub.service.plan(Moment::step("again-other.release / cell / arm64", "build"), Fault::Kill);
    hub.service.plan(
        Moment::line("again-base.release and 1 more / again-base.release / merge", "merge", "sign"),
        Fault::Kill,
    );
    let first = hub.start(&Event::push("main"));
    let report = first.wait();
    assert_eq!(report.conclusion, Outcome::Failure, "{}", report.all());
    assert_eq!(report.result("again-other.release / cell / merge"), Outcome::Skipped);
    let unsigned = hub.tags("again-base");
    assert_eq!(unsigned, BTreeMap::new(), "nothing of it is visible");
    hub.service.advance(1);
    let second = hub.service.rerun_failed(&first);
    let report = second.wait().ok();
    let attempts = |attempt: u32| -> Vec<&str> {
        let ran = report.jobs.values().filter(|job| job.attempt == attempt && !job.steps.is_empty());
        ran.map(|job| job.name.as_str()).collect()
    };
    assert!(
        attempts(1).contains(&"plan") && attempts(1).contains(&"again-other.release / cell / amd64"),
        "{:?}",
        attempts(1)
    );
    assert!(
        attempts(2).contains(&"again-other.release / cell / arm64") && !attempts(2).contains(&"plan"),
        "{:?}",
        attempts(2)
    );
    for image in ["again-base", "again-app", "again-other"] {
        assert!(hub.tags(image).contains_key("edge"), "{image}");
    }
    // All jobs of an old run, after a newer one: it is green, and no tag goes back.
    hub.commit("other/file", Some("newer"));
    hub.commit("base/file", Some("newer"));
    let newer = hub.start(&Event::push("main"));
    newer.wait().ok();
    let now = ["again-base", "again-app", "again-other"].map(|image| hub.tags(image)["edge"].clone());
    let old = hub.service.rerun_all(&second);
    let report = old.wait().ok();
    assert_eq!(old.attempt(), 3);
    assert_eq!(
        ["again-base", "again-app", "again-other"].map(|image| hub.tags(image)["edge"].clone()),
        now,
        "{}",
        report.all()
    );
    // Somebody has deleted an artifact: what needs it says so, and changes nothing.
    hub.service.plan(Moment::step("again-other.release / cell / merge", "merge"), Fault::Kill);
    hub.commit("other/file", Some("newest"));
    let last = hub.start(&Event::push("main"));
    last.wait();
    hub.service.expire(&last, "plan");
    let report = hub.service.rerun_failed(&last).wait();
    assert_eq!(report.conclusion, Outcome::Failure);
    assert!(report.has_error("plan"), "{}", report.all());
    assert_eq!(hub.tags("again-other")["edge"], now[2]);
}

/// A record that expired, or that somebody deleted, before the build that stands on it began.
pub fn expired(stack: &Checkout) {
    let hub = small(stack, "gone");
    let held = hub.service.hold(Moment::job("gone-base.release and 1 more / gone-app.release / arm64"));
    let run = hub.start(&Event::push("main"));
    held.reached();
    hub.service.expire(&run, "record@gone-base.release@arm64");
    held.release();
    let report = run.wait();
    assert_eq!(
        report.result("gone-base.release and 1 more / gone-app.release / arm64"),
        Outcome::Failure,
        "{}",
        report.all()
    );
    assert!(report.has_error("gone-base.release"), "{}", report.all());
    assert_eq!(report.result("gone-other.release / cell / merge"), Outcome::Success);
    assert_eq!(hub.tags("gone-app").len(), 0);
}

/// Each artifact that one job hands to another is replaced by a third one, between the builds and the merge: the merge, which may
/// sign, refuses it.
pub fn replaced(stack: &Checkout) {
    let hub = small(stack, "forged");
    let forge = "python3 -c \"import hashlib,json;p=json.load(open('replaced/plan.json'));p['created']='2026-01-02T03:04:05Z';p['id']='sha256:'+hashlib.sha256().hexdigest();p['id']='sha256:'+hashlib.sha256(json.dumps(p,separators=(',',':'),ensure_ascii=False).encode()).hexdigest();json.dump(p,open('replaced/plan.json','w'))\"";
    let program = "printf '%s\\n' '#!/bin/sh' 'echo the evil program runs' >replaced/xtask";
    let record = "sed -i 's/\"size\":./\"size\":1/' replaced/forged-other.release/amd64.json";
    let path = ".github/workflows/cell.yml";
    let cell = fs::read_to_string(hub.root.join(path)).unwrap();
    for (artifact, change, words) in [
        ("plan", forge, "the file was replaced after the plan was made"),
        ("xtask", program, "target/handed/bin/xtask: FAILED"),
        ("record@forged-other.release@amd64", record, "forged-other.release/amd64.json: it was replaced"),
    ] {
        let job = format!(
            r#"
  attack:
    needs: build
    if: contains(inputs.cell, 'forged-other')
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1
        with:
          name: {artifact}
          path: replaced
      - run: {change}
      - uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0
        with:
          name: {artifact}
          path: replaced
          overwrite: true

  merge:
"#
        );
        let attacked = cell
            .replace("\n  merge:\n", &job)
            .replace("    needs: build\n    # `build`", "    needs: [build, attack]\n    # `build`");
        assert!(attacked.contains("[build, attack]"));
        hub.commit(path, Some(&attacked));
        let report = hub.report(&Event::push("main"));
        assert_eq!(
            report.result("forged-other.release / cell / merge"),
            Outcome::Failure,
            "{}",
            report.all()
        );
        assert!(report.log.contains(words), "{artifact}: {}", report.all());
        assert!(!report.log.contains("] the evil program runs"), "{}", report.all());
        assert_eq!(hub.tags("forged-other"), BTreeMap::new(), "{artifact}");
    }
}

/// As many cells as no single matrix holds: each has its own build and its own merge. What the jobs do is left out, how they come
/// to be is not.
pub fn three_hundred(stack: &Checkout) {
    let hub = small_with(stack, "many", |settings| settings.runners = 8);
    let values: Vec<String> = (0..300).map(|value| format!("\"v{value}\"")).collect();
    let matrix = matrix(stack, "many").replace(
        "[images.many-other]",
        &format!(
            "[images.many-other]\naxes = {{ n = [{}] }}\ntags = [\"{{n}}\"]\nref = {{ value = \"1\" }}",
            values.join(", ")
        ),
    );
    let cell = fs::read_to_string(hub.root.join(".github/workflows/cell.yml")).unwrap();
    let mut short = String::new();
    let mut steps = false;
    for line in cell.lines() {
        if line == "    steps:" {
            steps = true;
            short += "    steps:\n      - run: \"true\"\n";
        } else if line.starts_with("  ") && !line.starts_with("   ") {
            steps = false;
        }
        if !steps && !line.contains("steps.build.outputs") && line != "    outputs:" {
            short += line;
            short.push('\n');
        }
    }
    fs::write(hub.root.join("matrix.toml"), matrix).unwrap();
    hub.commit(".github/workflows/cell.yml", Some(&short));
    let report = hub.report(&Event::push("main"));
    let merged =
        report.jobs.values().filter(|job| job.name.ends_with(" / merge") && !job.steps.is_empty()).count();
    let built = report.jobs.values().filter(|job| job.name.ends_with("64") && !job.steps.is_empty()).count();
    assert_eq!((merged, built), (302, 604), "{}", report.all());
}
