//! Matrix and circumstances to plan: no git, no Docker, no clock.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use xtask_images::base::error::{Exit, exit_code, report};
use xtask_images::matrix::{self, Source};
use xtask_images::plan::event::Event;
use xtask_images::plan::filter::Filter;
use xtask_images::plan::git::Git;
use xtask_images::plan::inputs::Inputs;
use xtask_images::plan::leaks;
use xtask_images::plan::remote::{RemoteRef, Remotes};
use xtask_images::plan::resolve::resolve;
use xtask_images::plan::{Cell, Destination, DestinationKind, Kept, Plan, Reuse, SigningMethod};

const OURS: &str = include_str!("../../matrix.toml");

/// 2026-11-21T05:00:00Z.
const NOW: u64 = 1_795_237_200;

/// What a plan is made from, with everything at its usual value.
struct Case {
    text: String,
    version: &'static str,
    event: Event,
    versions: BTreeMap<xtask_images::base::ids::Name, String>,
    remotes: Remotes,
    dirty: bool,
    reviewed: Option<bool>,
    destination: DestinationKind,
    now: u64,
    /// Files by their path; every other one holds the version.
    files: BTreeMap<&'static str, &'static str>,
}

impl Case {
    fn new(text: &str) -> Self {
        let event = Event::Push { branch: "main".into(), default_branch: true };
        Self {
            text: text.into(),
            version: "8.5.1\n",
            event,
            versions: BTreeMap::new(),
            remotes: Remotes::new(),
            dirty: false,
            reviewed: Some(true),
            destination: DestinationKind::Publish,
            now: NOW,
            files: BTreeMap::new(),
        }
    }

    /// One image whose tags are given; its version comes from a file.
    fn tags(tags: &str) -> Self {
        let text = format!(
            "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\namd64 = {{ platform = \"linux/amd64\" }}\n\
             [tracks.t]\nref = {{ file = \"V\" }}\ntags = [{tags}]\n[images.app]\ncontext = \"app\"\n"
        );
        Self::new(&text)
    }

    fn with(self, text: &str) -> Self {
        Self { text: text.into(), ..self }
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let matrix = matrix::parse(Source { name: "matrix.toml".into(), text: self.text.clone() })?;
        let read = |path: &str| Ok((*self.files.get(path).unwrap_or(&self.version)).to_owned());
        resolve(
            &matrix,
            &Inputs {
                now: SystemTime::UNIX_EPOCH + Duration::from_secs(self.now),
                planned: SystemTime::UNIX_EPOCH + Duration::from_secs(self.now),
                event: self.event.clone(),
                git: Git {
                    commit: "0123456789abcdef0123456789abcdef01234567".into(),
                    dirty: self.dirty,
                    reviewed: self.reviewed,
                    source: Some("https://github.com/acme/images".into()),
                    ..Git::default()
                },
                destination: Destination {
                    kind: self.destination,
                    repositories: matrix.repositories.clone(),
                },
                sign: SigningMethod::None { reason: "a test".into() },
                formerly: Vec::new(),
                versions: self.versions.clone(),
                remotes: self.remotes.clone(),
                read: &read,
            },
        )
    }

    fn names(&self) -> Vec<String> {
        names(&self.plan().unwrap().cells[0])
    }

    fn error(&self) -> String {
        let error = self.plan().unwrap_err();
        assert_eq!(exit_code(&error), Exit::Invalid);
        report(&error)
    }
}

fn names(cell: &Cell) -> Vec<String> {
    cell.tags.iter().map(|tag| tag.name.to_string()).collect()
}

#[test]
fn the_matrix_of_this_repository() {
    let plan = Case::new(OURS).plan().unwrap();
    let ids: Vec<(&str, usize)> = plan.cells.iter().map(|cell| (cell.id.as_str(), cell.wave)).collect();
    assert_eq!(ids, [("php-base", 0), ("hello-php.release.pinned", 1), ("hello-php.release.rolling", 1)]);
    let (base, pinned, rolling) = (&plan.cells[0], &plan.cells[1], &plan.cells[2]);
    assert_eq!(names(base), ["8.5.1-20261121", "8.5.1", "8.5", "latest"]);
    assert_eq!(names(pinned), ["8.5.1-20261121", "sha-pinned-0123456", "8.5.1", "8.5", "8", "latest"]);
    assert_eq!(
        names(rolling),
        [
            "8.5.1-rolling-20261121",
            "sha-rolling-0123456",
            "8.5.1-rolling",
            "8.5-rolling",
            "8-rolling",
            "rolling"
        ]
    );
    assert_eq!(rolling.repositories[0].as_str(), "ghcr.io/acme/hello-php");
    let args: Vec<(&str, &str)> =
        rolling.builds[1].build_args.iter().map(|pair| (&*pair.key, &*pair.value)).collect();
    assert_eq!(args, [("HELLO_VERSION", "8.5.1"), ("ROLLING_DEPS", "true")]);
    assert_eq!(rolling.builds[1].runner.as_deref(), Some("ubuntu-24.04-arm"));
    assert_eq!(rolling.builds[0].needs[0].cell.as_str(), "php-base");
}

#[test]
fn a_pre_release_moves_no_tag_that_promises_stability() {
    let all = r#""{version}", "{major}.{minor}.{patch}", "{major}.{minor}", "{major}", "{latest}", { tag = "next-{major}", when = "always" }"#;
    let mut case = Case::tags(all);
    assert_eq!(case.names(), ["8.5.1", "8.5", "8", "next-8", "latest"]);
    case.version = "v9.0.0-rc1";
    assert_eq!(case.names(), ["9.0.0-rc1", "next-9"]);
    for odd in ["9.0.0rc1", "9.0.0.rc1", "9.0b2"] {
        case.version = odd;
        assert_eq!(case.names(), [odd, "next-9"]);
    }
}

#[test]
fn a_release_is_of_the_default_branch_or_a_tag_and_not_overridden() {
    let mut case = Case::tags(r#""{version}", { tag = "{latest}", when = "release" }"#);
    assert_eq!(case.names(), ["8.5.1", "latest"]);
    case.event = Event::Tag { tag: "v1".into() };
    assert_eq!(case.names(), ["8.5.1", "latest"]);
    case.event = Event::Push { branch: "develop".into(), default_branch: false };
    assert_eq!(case.names(), ["8.5.1"]);
    case.event = Event::Schedule { branch: "main".into(), default_branch: true };
    case.versions.insert("t".parse().unwrap(), "7.0.0".into());
    assert_eq!(case.names(), ["7.0.0"]);
}

#[test]
fn immutable_tags_are_set_first() {
    let case = Case::tags(r#""{latest}", "{version}-{date}", { tag = "{version}", immutable = true }"#);
    assert_eq!(case.names(), ["8.5.1", "8.5.1-20261121", "latest"]);
    assert!(case.plan().unwrap().cells[0].tags[0].immutable);
}

#[test]
fn refs_of_this_repository() {
    let mut case = Case::tags(r#""{ref}", "{version}""#);
    case.text = case.text.replace("{ file = \"V\" }", "{ self = true }");
    case.event = Event::Push { branch: "feature/x".into(), default_branch: false };
    assert_eq!(case.names(), ["0123456", "feature-x"]);
    case.event = Event::Tag { tag: "v2.0.0".into() };
    assert_eq!(case.names(), ["2.0.0", "v2.0.0"]);
    assert_eq!(
        case.plan().unwrap().cells[0].commit.as_deref(),
        Some("0123456789abcdef0123456789abcdef01234567")
    );
    case.event = Event::Push { branch: "x".repeat(129), default_branch: false };
    assert!(case.error().contains("expands to an invalid tag"));
}

#[test]
fn what_has_no_value_is_an_error_with_its_place() {
    let mut case = Case::tags(r#""{version}", "{patch}""#);
    case.version = "3.24";
    let error = case.error();
    assert!(
        error.contains("`{patch}` has no value here") && error.contains("--> matrix.toml:8:22"),
        "{error}"
    );
    for bad in ["", "1.2 3", "1\n2"] {
        case.version = bad;
        assert!(case.error().contains("must hold one version"));
    }
}

/// A tag can hold no `+`: the build of a version is set off by a hyphen, as everybody does.
#[test]
fn a_plus_in_a_version_is_a_hyphen_in_a_tag() {
    let mut case = Case::tags("\"{version}\", \"{major}.{minor}\"");
    case.version = "1.2.3+build.5\n";
    let plan = case.plan().unwrap();
    let names: Vec<&str> = plan.cells[0].tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["1.2.3-build.5", "1.2"]);
    assert_eq!(plan.cells[0].version.as_deref(), Some("1.2.3+build.5"));
}

#[test]
fn duplicate_tags_name_both_cells() {
    let text = OURS.replace("\"{major}{suffix}\"", "\"{major}\"");
    let error = Case::new(&text).error();
    assert!(
        error.contains("duplicate tag `8`: both hello-php.release.pinned and hello-php.release.rolling"),
        "{error}"
    );
}

#[test]
fn a_pull_request_builds_its_tracks_and_what_they_need() {
    let mut case = Case::new(OURS);
    case.event = Event::PullRequest { reference: "27/merge".into(), fork: false };
    let plan = case.plan().unwrap();
    assert!(!plan.push);
    assert_eq!(plan.cells.len(), 3);
    case.text = OURS.replace("pull-request = true", "pull-request = false");
    assert_eq!(case.plan().unwrap().cells.len(), 1);
}

#[test]
fn the_id_is_that_of_the_content() {
    let id = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new(OURS);
        change(&mut case);
        case.plan().unwrap().id
    };
    let first = id(&|_| {});
    assert_eq!(first, id(&|_| {}));
    let changes: [&dyn Fn(&mut Case); 4] =
        [&|case| case.dirty = true, &|case| case.now += 1, &|case| case.version = "8.5.2", &|case| {
            case.event = Event::Tag { tag: "v1".into() }
        }];
    for change in changes {
        assert_ne!(first, id(change));
    }
}

#[test]
fn a_plan_survives_its_file_and_a_changed_one_does_not() {
    let plan = Case::new(OURS).plan().unwrap();
    let path = std::env::temp_dir().join(format!("xtask-plan-{}.json", std::process::id()));
    xtask_images::plan::current::write(&path, &plan).unwrap();
    assert_eq!(Plan::read(&path).unwrap(), plan);
    let text = std::fs::read_to_string(&path).unwrap();
    for changed in [
        text.replace("8.5.1", "8.5.2"),
        text.replace("\"schema\": 1", "\"schema\": 2"),
        text[..text.len() / 2].to_owned(),
    ] {
        std::fs::write(&path, changed).unwrap();
        let error = Plan::read(&path).unwrap_err();
        assert_eq!(exit_code(&error), Exit::Invalid, "{error:#}");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn filters_keep_what_is_needed_and_name_what_there_is() {
    let plan = Case::new(OURS).plan().unwrap();
    let filter = Filter { composers: vec!["rolling".parse().unwrap()], ..Filter::default() };
    let narrow = filter.narrow(&plan).unwrap();
    let ids: Vec<&str> = narrow.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids, ["php-base", "hello-php.release.rolling"]);
    assert_ne!(narrow.id, plan.id);
    let unknown = Filter { images: vec!["hello".parse().unwrap()], ..Filter::default() };
    let text = report(&unknown.cells(&plan).unwrap_err());
    assert!(text.contains("no image `hello`") && text.contains("php-base, hello-php"), "{text}");
    let none = Filter {
        images: vec!["php-base".parse().unwrap()],
        tracks: vec!["release".parse().unwrap()],
        ..Filter::default()
    };
    assert!(report(&none.cells(&plan).unwrap_err()).contains("no cell matches"));
}

/// Two images on tracks of which pull requests build one, and a need across them.
fn across(needs: &str) -> Case {
    let text = format!(
        "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\namd64 = {{ platform = \"linux/amd64\" }}\n\
         [tracks.a]\nref = {{ value = \"1.0.0\" }}\ntags = [\"a\"]\npull-request = true\n\
         [tracks.b]\nref = {{ value = \"2.0.0\" }}\ntags = [\"b\"]\n\
         [images.base]\ncontext = \"base\"\n[images.app]\ncontext = \"app\"\nneeds = {needs}\n"
    );
    Case::new(&text)
}

/// A plan that names a cell which is not in it cannot be built.
#[test]
fn what_a_pull_request_needs_is_built_on_any_track() {
    let mut case = across(r#"{ base = { image = "base", track = "b" } }"#);
    case.event = Event::PullRequest { reference: "27/merge".into(), fork: false };
    let plan = case.plan().unwrap();
    let ids: Vec<&str> = plan.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids, ["base.a", "base.b", "app.a"]);
    case.text = across(r#"["base"]"#).text;
    let plan = case.plan().unwrap();
    let ids: Vec<&str> = plan.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids, ["base.a", "app.a"]);
}

#[test]
fn an_immutable_tag_stays_so_when_it_is_listed_twice() {
    let case = Case::tags(r#""{version}", { tag = "{version}", when = "release", immutable = true }"#);
    let plan = case.plan().unwrap();
    assert_eq!(names(&plan.cells[0]), ["8.5.1"]);
    assert!(plan.cells[0].tags[0].immutable);
}

/// Each image needs the two before it: the number of ways doubles with each, the work must not.
#[test]
fn what_a_deep_lattice_needs_is_found_at_once() {
    let mut text = Case::tags(r#""{version}""#).text;
    for i in 0..60 {
        let needs: Vec<String> =
            (1..=2).filter(|back| *back <= i).map(|back| format!("\"i{}\"", i - back)).collect();
        text += &format!("[images.i{i}]\ncontext = \"i\"\nneeds = [{}]\n", needs.join(", "));
    }
    let plan = Case::new(&text).plan().unwrap();
    let top = Filter { images: vec!["i59".parse().unwrap()], ..Filter::default() };
    assert_eq!(top.narrow(&plan).unwrap().cells.len(), 60);
}

#[test]
fn a_build_argument_without_a_value_is_an_error_at_its_own_place() {
    let mut case = Case::tags(r#""{version}""#);
    case.text += "build-args = { A = \"{version}\", B = \"{patch}\" }\n[composer.x]\nbuild-args = { C = \"{commit7}\" }\n";
    case.version = "3.24";
    let error = case.error();
    assert!(
        error.contains("`{commit7}` in C has no value") && error.contains("matrix.toml:13:20"),
        "{error}"
    );
    case.text = case.text.replace("{commit7}", "{version}");
    let error = case.error();
    assert!(error.contains("`{patch}` in B has no value") && error.contains("matrix.toml:11:37"), "{error}");
    assert!(error.contains("1 error in matrix.toml"), "{error}");
}

const AXES: &str = r#"version = 1
[publish]
repositories = ["ghcr.io/acme"]
when = ["tag", "default-branch"]
[platforms]
amd64 = { platform = "linux/amd64", build-args = { A = "platform", B = "platform", C = "platform" } }
arm64 = { platform = "linux/arm64" }
[tracks.t]
ref = { file = "V" }
tags = ["{version}-{alpine}{suffix}", { tag = "{latest}", when = { alpine = ["3.24"], composer = "pinned", on = "release" } }]
build-args = { B = "track", C = "track", D = "track" }
[composer.pinned]
build-args = { C = "mode", D = "mode" }
[composer.rolling]
suffix = "-rolling"
[[exclude]]
alpine = "3.23"
composer = "rolling"
reason = "it is old"
[images.app]
context = "app"
dockerfile = { arm64 = "Dockerfile.arm" }
axes = { alpine = ["3.23", "3.24"] }
build-args = { D = "image {alpine}", E = "image" }
annotations = { "index:about" = "{image} on {alpine}", "manifest,index:both" = "{version}", plain = "{arch}" }
contexts = { src = "https://example.com/a.git#v{version}", here = "vendor/{arch}" }
secrets = { TOKEN = { env = "GITHUB_TOKEN" } }
ssh = ["default"]
[[images.app.override]]
arch = "arm64"
alpine = "3.24"
build-args = { E = "arm on {alpine}" }
"#;

fn pairs(pairs: &[xtask_images::plan::Pair]) -> Vec<String> {
    pairs.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect()
}

/// Platform, track, mode, image, override: the more specific place wins, key by key.
#[test]
fn settings_cascade() {
    let plan = Case::new(AXES).plan().unwrap();
    let ids: Vec<&str> = plan.cells.iter().map(|cell| cell.id.as_str()).collect();
    assert_eq!(ids, ["app.t.pinned.3.23", "app.t.pinned.3.24", "app.t.rolling.3.24"]);
    assert_eq!(plan.excluded[0].cell.as_str(), "app.t.rolling.3.23");
    let args = |cell: usize, build: usize| pairs(&plan.cells[cell].builds[build].build_args);
    assert_eq!(args(0, 0), ["A=platform", "B=track", "C=mode", "D=image 3.23", "E=image"]);
    assert_eq!(args(1, 1), ["B=track", "C=mode", "D=image 3.24", "E=arm on 3.24"]);
    assert_eq!(args(2, 0), ["A=platform", "B=track", "C=track", "D=image 3.24", "E=image"]);
    assert_eq!(args(2, 1)[3], "E=arm on 3.24");
}

#[test]
fn tags_of_axes() {
    let plan = Case::new(AXES).plan().unwrap();
    let found: Vec<Vec<String>> = plan.cells.iter().map(names).collect();
    assert_eq!(found, [vec!["8.5.1-3.23"], vec!["8.5.1-3.24", "latest"], vec!["8.5.1-3.24-rolling"]]);
    let mut lost = Case::new(&AXES.replace("-{alpine}{suffix}", "{suffix}"));
    lost.text = lost.text.replace("tags = [\"{version}{suffix}\"", "tags = [\"{version}\"");
    let error = lost.error();
    assert!(error.contains("both app.t.pinned.3.23 and app.t.pinned.3.24 would set it"), "{error}");
}

#[test]
fn per_image_keys_reach_the_builds() {
    let plan = Case::new(AXES).plan().unwrap();
    let cell = &plan.cells[1];
    assert_eq!(cell.builds[0].dockerfile, "Dockerfile");
    assert_eq!(cell.builds[1].dockerfile, "Dockerfile.arm");
    assert_eq!(pairs(&cell.builds[1].annotations), ["both=8.5.1", "plain=arm64"]);
    let index = pairs(&cell.annotations);
    assert!(index.contains(&"about=app on 3.24".to_owned()) && index.contains(&"both=8.5.1".to_owned()));
    let contexts: Vec<(&str, bool)> =
        cell.builds[1].contexts.iter().map(|context| (context.source.as_str(), context.local)).collect();
    assert_eq!(contexts, [("https://example.com/a.git#v8.5.1", false), ("vendor/arm64", true)]);
    let escaped = Case::new(&AXES.replace("vendor/{arch}", "../{arch}")).error();
    assert!(escaped.contains("`../arm64`, leaves the folder") && escaped.contains("2 errors"), "{escaped}");
}

#[test]
fn a_fork_gets_no_secret_and_some_runs_publish_nothing() {
    let mut case = Case::new(&AXES.replace("[tracks.t]", "[tracks.t]\npull-request = true"));
    for (event, secrets, push) in [
        (Event::PullRequest { reference: "1/merge".into(), fork: false }, 1, false),
        (Event::PullRequest { reference: "1/merge".into(), fork: true }, 0, false),
        (Event::Tag { tag: "v1".into() }, 1, true),
        (Event::Push { branch: "topic".into(), default_branch: false }, 1, false),
    ] {
        case.event = event;
        let plan = case.plan().unwrap();
        let options = &plan.cells[0].builds[0].options;
        assert_eq!((options.secrets.len(), options.ssh.len(), plan.push), (secrets, secrets, push));
        // It has no login either: what comes of that is told before a build fails.
        let told = "The pull request of a fork gets no login and no secret";
        let texts =
            [xtask_images::report::plan_table::table(&plan), xtask_images::report::markdown::plan(&plan)];
        assert!(texts.iter().all(|text| text.contains(told) == (secrets == 0)), "{texts:?}");
    }
}

#[test]
fn cells_are_chosen_by_axis() {
    let plan = Case::new(AXES).plan().unwrap();
    let chosen = |axes: &[(&str, &str)]| {
        let axes = axes.iter().map(|(axis, value)| (axis.parse().unwrap(), (*value).to_owned())).collect();
        let filter = Filter { axes, ..Filter::default() };
        filter.cells(&plan).map(|cells| cells.len()).map_err(|error| report(&error))
    };
    assert_eq!(chosen(&[("alpine", "3.24")]), Ok(2));
    assert_eq!(chosen(&[("alpine", "3.24"), ("alpine", "3.23")]), Ok(3));
    assert!(chosen(&[("alpine", "3.22")]).unwrap_err().contains("it has: alpine=3.23, alpine=3.24"));
}

/// A pull request sets no tag, so it needs none; a run that publishes leaves out what gets none, and says why.
#[test]
fn what_gets_no_tag_is_left_out_of_a_run_that_publishes() {
    let mut case = Case::tags(r#"{ tag = "{version}", when = "release" }"#);
    case.text = case.text.replace("[tracks.t]", "[tracks.t]\npull-request = true");
    case.event = Event::PullRequest { reference: "1/merge".into(), fork: false };
    assert!(case.plan().unwrap().cells[0].tags.is_empty());
    case.event = Event::Push { branch: "topic".into(), default_branch: false };
    case.text = case.text.replace("[publish]", "[publish]\nrefs = [\"refs/heads/**\"]");
    // What a build argument lacks does not matter where nothing is built.
    case.text += "build-args = { PATCH = \"{prerelease}\" }\n";
    let plan = case.plan().unwrap();
    assert!(plan.push && plan.cells.is_empty());
    let reason = "no condition of its tags holds for this run (push topic)";
    assert_eq!((plan.excluded[0].cell.as_str(), plan.excluded[0].reason.as_str()), ("app.t", reason));
    let sentence = "Nothing to publish: no cell gets a tag in this run.";
    let table = xtask_images::report::plan_table::table(&plan);
    assert!(table.ends_with(&format!("\n\n{sentence}\n\nexcluded app.t: {reason}")), "{table}");
    let page = xtask_images::report::markdown::plan(&plan);
    assert!(page.ends_with(&format!("\n\n{sentence}\n\nExcluded `app.t`: {reason}\n\n")), "{page}");
    let found = outputs(&plan);
    assert_eq!((found["any"].as_str(), found["push"].as_str()), ("false", "true"));
    assert!(!["check", "images"].iter().any(|name| found.contains_key(*name)), "{found:?}");
    let id: xtask_images::base::ids::CellId = "app.t".parse().unwrap();
    let told = report(&Filter::cell(&plan, &id).unwrap_err());
    assert!(told.contains(&format!("the plan leaves out app.t: {reason}")), "{told}");
    let image = Filter { images: vec!["app".parse().unwrap()], ..Filter::default() };
    assert!(image.narrow(&plan).unwrap().cells.is_empty());
    let typo = Filter { images: vec!["ap".parse().unwrap()], ..Filter::default() };
    assert!(report(&typo.narrow(&plan).unwrap_err()).contains("`ap`"));
}

/// Two images with a need, of which one gets a tag only for a release.
#[test]
fn what_gets_no_tag_and_is_needed_is_an_error() {
    let image = |name: &str, tags: &str, more: &str| {
        format!("[images.{name}]\ncontext = \"{name}\"\nref = {{ self = true }}\ntags = [{tags}]\n{more}\n")
    };
    let only = r#"{ tag = "{version}", when = "stable" }"#;
    let head = Case::tags(r#""x""#).text;
    let head = head.split("[tracks").next().unwrap();
    let needs = r#"needs = ["base"]"#;
    let text = |app: &str| format!("{head}{}{}", image("base", only, ""), image("app", app, needs));
    let error = Case::new(&text(r#""{version}""#)).error();
    assert!(
        error.contains("app needs the cell base, which gets no tag: no condition of its tags holds for this run (push main)")
            && error.contains("matrix.toml:8:7")
            && error.contains("give the tags of both the same conditions"),
        "{error}"
    );
    // Without the one that needs it, both are left out.
    let plan = Case::new(&text(only)).plan().unwrap();
    let left_out: Vec<&str> = plan.excluded.iter().map(|excluded| excluded.cell.as_str()).collect();
    assert_eq!((plan.cells.len(), left_out), (0, vec!["base", "app"]));
    // What gets a tag is published all the same.
    let plan = Case::new(&text(only).replace(needs, "").replacen(only, "\"edge\"", 1)).plan().unwrap();
    assert_eq!((plan.cells.len(), plan.cells[0].id.as_str(), plan.excluded.len()), (1, "base", 1));
    // Who asks for what is left out gets a run with nothing to do; who misspells a name is told.
    let image = |name: &str| Filter { images: vec![name.parse().unwrap()], ..Filter::default() };
    let narrow = image("app").narrow(&plan).unwrap();
    assert!(narrow.cells.is_empty() && outputs(&narrow)["any"] == "false");
    assert!(report(&image("ap").narrow(&plan).unwrap_err()).contains("the plan has no image `ap`"));
    // What [[exclude]] leaves out does not count as that.
    let old = Filter {
        composers: vec!["rolling".parse().unwrap()],
        axes: vec![("alpine".parse().unwrap(), "3.23".to_owned())],
        ..Filter::default()
    };
    assert!(report(&old.cells(&Case::new(AXES).plan().unwrap()).unwrap_err()).contains("no cell matches"));
}

/// As docker/metadata-action, which takes a git tag for a version only if it is a semantic one.
#[test]
fn what_is_no_version_is_neither_stable_nor_a_release() {
    let tags = r#"
        { tag = "{ref}", when = "tag" }, { tag = "{major}", when = "stable" },
        { tag = "{major}.{minor}", when = "stable" }, { tag = "{major}.{minor}.{patch}", when = "stable" },
        { tag = "stable", when = "stable" }, { tag = "latest", when = "release" }"#;
    let mut case = Case::tags(tags);
    let own = case.text.replace("{ file = \"V\" }", "{ self = true }");
    let file = std::mem::replace(&mut case.text, own);
    for (tag, expected) in [
        ("sometag", "sometag"),
        ("v1", "v1"),
        ("nightly-20261121", "nightly-20261121"),
        ("v2.1.0-rc.1", "v2.1.0-rc.1"),
        ("v2.1", "2.1 2 v2.1 stable latest"),
        ("v2.1.0", "2.1.0 2.1 2 v2.1.0 stable latest"),
        ("app-v2.1.0", "2.1.0 2.1 2 app-v2.1.0 stable latest"),
    ] {
        case.event = Event::Tag { tag: tag.into() };
        assert_eq!(case.names().join(" "), expected, "{tag}");
    }
    // A branch has no version.
    case.event = Event::Push { branch: "main".into(), default_branch: true };
    assert!(case.plan().unwrap().cells.is_empty());
    // A file or a value says that what it holds is a version: one number is enough.
    case.text = file.replace("{ tag = \"{ref}\", when = \"tag\" },", "");
    for (version, expected) in [("43", "43 stable latest"), ("3.24", "3.24 3 stable latest"), ("edge", "")] {
        case.version = version;
        let found = case.plan().unwrap();
        assert_eq!(found.cells.first().map(names).unwrap_or_default().join(" "), expected);
    }
    // Without the condition it is an error still.
    let mut bare = Case::tags(r#""{major}""#);
    bare.text = bare.text.replace("{ file = \"V\" }", "{ self = true }");
    bare.event = Event::Tag { tag: "sometag".into() };
    assert!(bare.error().contains("`{major}` has no value here: the version of app is `sometag`"));
}

/// Whoever may push a branch or a tag could publish what nobody has reviewed.
#[test]
fn only_reviewed_code_is_published() {
    let branch = |name: &str, default_branch| Event::Dispatch { branch: name.into(), default_branch };
    let tag = || Event::Tag { tag: "v9.9.9".into() };
    let table = [
        (None, branch("main", true), None, true),
        (None, branch("topic", false), None, false),
        (None, tag(), Some(true), true),
        (None, tag(), Some(false), false),
        (None, tag(), None, false),
        (Some("refs/heads/release/*"), branch("release/8", false), None, true),
        (Some("refs/heads/release/*"), branch("main", true), None, false),
        (Some("refs/tags/v*"), tag(), None, true),
        (Some("refs/tags/v8*"), tag(), Some(true), false),
        (Some("refs/heads/**"), Event::Local { branch: None, default_branch: false }, None, false),
        (Some("refs/heads/**"), Event::PullRequest { reference: "1/merge".into(), fork: false }, None, false),
    ];
    for (refs, event, reviewed, expected) in table {
        let mut case = Case::tags(r#""{version}""#);
        if let Some(refs) = refs {
            case.text = case.text.replace("[publish]", &format!("[publish]\nrefs = [\"{refs}\"]"));
        }
        (case.event, case.reviewed) = (event.clone(), reviewed);
        assert_eq!(case.plan().unwrap().push, expected, "{refs:?} {event} {reviewed:?}");
    }
}

/// Provenance of the mode `max` holds the values of build arguments.
#[test]
fn build_arguments_that_look_like_secrets_are_told() {
    let mut case = Case::tags(r#""{version}""#);
    let args = r#"build-args = { GH_TOKEN = "x", VERSION = "{version}", Db_Password = "y" }"#;
    case.text.push_str(args);
    let told = leaks::warnings(&case.plan().unwrap());
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("app: the build argument Db_Password") && told[1].contains("GH_TOKEN"));
    case.text.push_str("\nattest = { provenance = \"min\" }\n");
    assert!(leaks::warnings(&case.plan().unwrap()).is_empty());
}

/// What is built for trying out may come from anywhere.
#[test]
fn refs_are_about_publishing() {
    let mut case = Case::tags(r#""{version}""#);
    case.destination = DestinationKind::Repository;
    case.event = Event::Dispatch { branch: "topic".into(), default_branch: false };
    assert!(case.plan().unwrap().push);
}

/// A commit that begins with a digit is no pre-release of that number.
#[test]
fn a_short_commit_is_no_pre_release() {
    let mut case = Case::tags(r#""{version}", { tag = "{latest}", when = "stable" }"#);
    case.text = case.text.replace(r#"{ file = "V" }"#, "{ self = true }");
    assert_eq!(case.names(), ["0123456"]);
    case.text = case.text.replace("{version}", "{major}");
    assert!(case.error().contains("`{major}` has no value"));
}

/// The tag of this repository says nothing about a branch of another one.
#[test]
fn a_branch_or_a_fixed_value_is_no_release() {
    let mut case = Case::tags(r#""x", { tag = "{latest}", when = "release" }"#);
    case.event = Event::Tag { tag: "v1.2.3".into() };
    let branch = r#"{ repository = "https://git.example.com/a", branch = "main" }"#;
    let head = RemoteRef { name: "refs/heads/main".into(), commit: "1".repeat(40) };
    case.remotes.insert("https://git.example.com/a".into(), vec![head]);
    for reference in [branch, r#"{ value = "v3.24" }"#] {
        let mut other = Case { text: case.text.replace(r#"{ file = "V" }"#, reference), ..Case::tags("") };
        (other.event, other.remotes) = (case.event.clone(), case.remotes.clone());
        assert_eq!(other.names(), ["x"], "{reference}");
    }
    let own = case.text.replace(r#"{ file = "V" }"#, "{ self = true }");
    let mut own = Case::new(&own);
    for (tag, expected) in
        [("v1.2.3", vec!["x", "latest"]), ("app-v2.0.0-rc1", vec!["x"]), ("v2.0rc1", vec!["x"])]
    {
        own.event = Event::Tag { tag: tag.into() };
        assert_eq!(own.names(), expected, "{tag}");
    }
}

/// What is compared unexpanded: times and the revision; the commit of an image that follows this repository only where it is
/// told, as a program may do something with it.
#[test]
fn what_changes_by_itself_is_compared_by_its_name() {
    let mut case = Case::tags(r#""x""#);
    case.text = case.text.replace(r#"{ file = "V" }"#, "{ self = true }")
        + "build-args = { WHEN = \"{created} {track}\", COMMIT = \"{commit}\", VERSION = \"{version}\" }\n"
        + "labels = { commit = \"{commit}\", fixed = \"{track}\", \"org.opencontainers.image.created\" = \"never\" }\n";
    let volatile = |case: &Case| pairs(&case.plan().unwrap().cells[0].builds[0].volatile);
    let own = [
        "build argument WHEN={created} t",
        "label commit={commit}",
        "label org.opencontainers.image.revision={revision}",
        "label org.opencontainers.image.version=main-{date}-{commit7}",
        "upstream commit={commit}",
    ];
    let mut found = volatile(&case);
    found.sort();
    assert_eq!(found, own);
    // A tag is a version, and that of another place is the same each time.
    case.event = Event::Tag { tag: "v1.2.3".into() };
    assert!(!volatile(&case).contains(&own[3].to_owned()));
    let elsewhere =
        Case { text: case.text.replace("{ self = true }", r#"{ file = "V" }"#), ..Case::tags("") };
    let found = volatile(&elsewhere);
    assert!(found.iter().all(|one| !one.contains("commit")), "{found:?}");
}

/// Some labels or annotations, without what their keys begin with.
fn told(pairs: &[xtask_images::plan::Pair]) -> BTreeMap<String, String> {
    let name = |key: &str| key.strip_prefix("org.opencontainers.image.").unwrap_or(key).to_owned();
    pairs.iter().map(|pair| (name(&pair.key), pair.value.clone())).collect()
}

fn keys(pairs: &[xtask_images::plan::Pair]) -> String {
    told(pairs).into_keys().collect::<Vec<_>>().join(" ")
}

/// The Dockerfile is the single source of what it sets: of each platform that which is built there.
#[test]
fn automatic_labels_override_nothing_that_the_dockerfile_sets() {
    let mut case = Case::new(AXES);
    let labels = |case: &Case, build: usize| keys(&case.plan().unwrap().cells[0].builds[build].labels);
    assert_eq!(labels(&case, 0), "created revision source version");
    case.files.insert(
        "app/Dockerfile",
        "FROM alpine AS base\nLABEL org.opencontainers.image.version=$V\nFROM base\nLABEL org.opencontainers.image.source=x\n",
    );
    case.files
        .insert("app/Dockerfile.arm", "FROM alpine\nLABEL \"org.opencontainers.image.created\"=\"$D\"\n");
    assert_eq!(
        (labels(&case, 0), labels(&case, 1)),
        ("created revision".into(), "revision source version".into())
    );
    let plan = case.plan().unwrap();
    let volatile = |build: usize| pairs(&plan.cells[0].builds[build].volatile).join("\n");
    assert!(volatile(0).contains("image.created") && !volatile(1).contains("image.created"));
    assert!(keys(&plan.cells[0].annotations).contains("created"), "the index has no Dockerfile");
    // What matrix.toml says wins, and only the stages count that the target stands on.
    case.text = case.text.replace(
        "ssh =",
        "labels = { \"org.opencontainers.image.source\" = \"y\" }\ntarget = \"base\"\nssh =",
    );
    assert_eq!(told(&case.plan().unwrap().cells[0].builds[0].labels)["source"], "y");
    assert_eq!(labels(&case, 0), "created revision source");
}

#[test]
fn automatic_labels_are_switched_off_one_by_one() {
    let off = |key: &str| format!("labels = {{ \"org.opencontainers.image.{key}\" = false }}");
    let mut case = Case::new(
        &AXES
            .replace("\"platform\" } }", &format!("\"platform\" }}, {} }}", off("source")))
            .replace("suffix = \"-rolling\"", &format!("suffix = \"-rolling\"\n{}", off("version")))
            .replace("[[images.app.override]]", &format!("{}\n[[images.app.override]]", off("created")))
            .replace(
                "arch = \"arm64\"\n",
                "arch = \"arm64\"\nlabels = { \"org.opencontainers.image.created\" = \"again\" }\n",
            ),
    );
    let plan = case.plan().unwrap();
    let labels = |cell: usize, build: usize| keys(&plan.cells[cell].builds[build].labels);
    assert_eq!((labels(0, 0), labels(0, 1)), ("revision version".into(), "revision source version".into()));
    assert_eq!((labels(2, 0), labels(2, 1)), ("revision".into(), "created revision source".into()));
    let volatile = pairs(&plan.cells[0].builds[0].volatile).join("\n");
    assert!(!volatile.contains("image.created") && volatile.contains("image.revision"), "{volatile}");
    // What holds for the whole cell holds for its index too, but for what `verify` relies on.
    let index = |plan: &Plan, cell: usize| keys(&plan.cells[cell].annotations);
    let own = "about both io.xtask.cell io.xtask.planned io.xtask.version revision source";
    assert_eq!((index(&plan, 0), index(&plan, 2)), (format!("{own} version"), own.to_owned()));
    assert!(!pairs(&plan.cells[0].volatile).join("\n").contains("image.created"));
    case.text = case
        .text
        .replace(
            "image.created\" = false }",
            "image.created\" = false, \"org.opencontainers.image.revision\" = false }",
        )
        .replace("plain = ", "\"index:org.opencontainers.image.created\" = \"{date}\", plain = ");
    let plan = case.plan().unwrap();
    assert_eq!(keys(&plan.cells[0].builds[0].labels), "version");
    let index = told(&plan.cells[0].annotations);
    assert_eq!((index["created"].as_str(), index.contains_key("revision")), ("20261121", true));
}

/// Given once, they are labels and annotations of the index; what is said of one of these alone wins.
#[test]
fn what_describes_an_image_is_given_once() {
    let describing = "description = \"{image} on {alpine}\"\nlicenses = \"MIT\"\nurl = \"https://example.com/{version}\"\n";
    let mut case = Case::new(&AXES.replace("ssh =", &format!("{describing}ssh =")));
    let expected =
        [("description", "app on 3.23"), ("licenses", "MIT"), ("url", "https://example.com/8.5.1")];
    let cell = &case.plan().unwrap().cells[0];
    for (key, value) in expected {
        for found in [&cell.builds[0].labels, &cell.builds[1].labels, &cell.annotations] {
            assert_eq!(told(found)[key], value);
        }
    }
    assert!(!keys(&cell.annotations).contains("title") && !keys(&cell.builds[0].labels).contains("title"));
    case.text = case
        .text
        .replace(
            "\"platform\" } }",
            "\"platform\" }, labels = { \"org.opencontainers.image.licenses\" = \"GPL\" } }",
        )
        .replace("plain = ", "\"index:org.opencontainers.image.url\" = \"elsewhere\", plain = ");
    let cell = &case.plan().unwrap().cells[0];
    let of = |found: &[xtask_images::plan::Pair]| {
        [&told(found)["licenses"], &told(found)["url"]].map(Clone::clone)
    };
    assert_eq!(of(&cell.builds[0].labels), ["GPL", "https://example.com/8.5.1"]);
    assert_eq!(of(&cell.annotations), ["MIT", "elsewhere"]);
    case.text = case.text.replace("{image} on {alpine}\"\nlic", "{patch} {arch}\"\nlic");
    let error = case.error();
    assert!(error.contains("`{arch}` in org.opencontainers.image.description has no value"), "{error}");
}

/// As the pipeline of seed 000 names what it builds from a branch. The day alone rebuilds nothing.
#[test]
fn a_branch_has_a_version_for_readers() {
    let mut case = Case::tags(r#""x""#);
    let version = |case: &Case| {
        let cell = &case.plan().unwrap().cells[0];
        let one = |found: &[xtask_images::plan::Pair]| told(found)["version"].clone();
        let compared = |found: &[xtask_images::plan::Pair], key: &str| {
            found.iter().find(|pair| pair.key == key).map(|pair| pair.value.clone()).unwrap_or_default()
        };
        let label = one(&cell.builds[0].labels);
        assert_eq!(label, one(&cell.annotations));
        let key = "org.opencontainers.image.version";
        let volatile = compared(&cell.volatile, key);
        assert_eq!(volatile, compared(&cell.builds[0].volatile, &format!("label {key}")));
        (label, volatile)
    };
    assert_eq!(version(&case), ("8.5.1".into(), String::new()));
    let file = case.text.clone();
    let branch = r#"{ repository = "https://git.example.com/a", branch = "release/v8" }"#;
    case.text = file.replace(r#"{ file = "V" }"#, branch);
    let head = RemoteRef { name: "refs/heads/release/v8".into(), commit: "9".repeat(40) };
    case.remotes.insert("https://git.example.com/a".into(), vec![head]);
    assert_eq!(version(&case), ("release-v8-20261121-9999999".into(), "release-v8-{date}-9999999".into()));
    case.versions.insert("t".parse().unwrap(), "release/v8".into());
    assert_eq!(version(&case).0, "release-v8-20261121-9999999");
    case.versions.clear();
    case.text = file.replace(r#"{ file = "V" }"#, "{ self = true }");
    case.text = case.text.replace("[tracks.t]", "[tracks.t]\npull-request = true");
    let own = |event: Event| version(&Case { event, ..Case::tags("") }.with(&case.text));
    let push = Event::Push { branch: "main".into(), default_branch: true };
    assert_eq!(own(push), ("main-20261121-0123456".into(), "main-{date}-{commit7}".into()));
    let local = Event::Local { branch: None, default_branch: false };
    assert_eq!(own(local), ("0123456".into(), "{version}".into()));
    assert_eq!(own(Event::Tag { tag: "v1.2.3".into() }), ("1.2.3".into(), String::new()));
    assert_eq!(own(Event::PullRequest { reference: "1/merge".into(), fork: false }).0, "0123456");
}

#[test]
fn credentials_never_reach_a_plan() {
    let case =
        Case::new(&AXES.replace("https://example.com/a.git", "https://{version}:hunter2@example.com/a.git"));
    let error = case.error();
    assert!(error.contains("the context `src` holds credentials"), "{error}");
}

/// A merge downloads its records one by one.
#[test]
fn too_many_platforms_are_told() {
    let mut text = String::from("version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\n");
    for n in 0..257 {
        text += &format!("p{n} = {{ platform = \"linux/a{n}\", runner = \"r{n}\" }}\n");
    }
    text += "[images.app]\ncontext = \"app\"\nref = { value = \"1\" }\ntags = [\"{version}\"]\n";
    let plan = Case::new(&text).plan().unwrap();
    let error = report(&xtask_images::plan::jobs::outputs(&plan).unwrap_err());
    assert!(error.contains("it has 257 builds"), "{error}");
}

/// What `--github` says, by name.
fn outputs(plan: &Plan) -> BTreeMap<String, String> {
    xtask_images::plan::jobs::outputs(plan).unwrap().into_iter().collect()
}

fn include(outputs: &BTreeMap<String, String>, name: &str) -> Vec<serde_json::Value> {
    let value: serde_json::Value = serde_json::from_str(&outputs[name]).unwrap();
    value["include"].as_array().unwrap().clone()
}

#[test]
fn jobs_of_a_workflow() {
    let mut case = Case::new(OURS);
    let found = outputs(&case.plan().unwrap());
    assert_eq!((found["any"].as_str(), found["push"].as_str()), ("true", "true"));
    let [family] = include(&found, "images").try_into().unwrap();
    assert_eq!(family["name"], "php-base and 2 more");
    let job = |arch: &str, runner: &str, output: &str| {
        serde_json::json!({
            "name": arch, "arches": arch, "runner": runner, "record": format!("record@php-base@{arch}"), "output": output
        })
    };
    let expected = serde_json::json!({
        "name": "php-base", "cells": "php-base",
        "builds": { "include": [job("amd64", "ubuntu-24.04", "record-0"), job("arm64", "ubuntu-24.04-arm", "record-1")] },
        "merge": {
            "runner": "ubuntu-24.04", "publication": "publication@php-base",
            "records": "{record@php-base@amd64,record@php-base@arm64}"
        }
    });
    assert_eq!(family["waves"][0]["include"], serde_json::json!([expected]));
    let app = &family["waves"][1]["include"][0];
    let built = &app["builds"]["include"][1];
    assert_eq!(built["bases"], "record@php-base@arm64", "of the same architecture");
    assert_eq!(built["without"], "!target/xtask/digests/php-base");
    assert_eq!(app["merge"]["bases"], "publication@php-base");
    assert_eq!(app["merge"]["without"], "!target/xtask/publications/php-base.json");
    let second = family["waves"][1]["include"].as_array().unwrap();
    assert_eq!((second.len(), found.contains_key("check"), found["fork"].as_str()), (2, false, "false"));
    case.text = case.text.replace("runner = \"ubuntu-24.04-arm\"", "runner = \"self-hosted, arm64\"");
    let found = outputs(&case.plan().unwrap());
    let runner = &include(&found, "images")[0]["waves"][0]["include"][0]["builds"]["include"][1]["runner"];
    assert_eq!(*runner, serde_json::json!(["self-hosted", "arm64"]));
    case.event = Event::PullRequest { reference: "1/merge".into(), fork: false };
    let found = outputs(&case.plan().unwrap());
    assert_eq!((found["push"].as_str(), found.contains_key("images")), ("false", false));
    let checks = include(&found, "check");
    assert_eq!((checks.len(), &checks[1]["name"]), (6, &serde_json::json!("php-base arm64")));
    case.text = OURS
        .replace("platform = \"linux/arm64\", runner = \"ubuntu-24.04-arm\"", "platform = \"linux/arm64\"");
    let error = report(&xtask_images::plan::jobs::outputs(&case.plan().unwrap()).unwrap_err());
    assert!(error.contains("arm64 has no runner"), "{error}");
}

/// A plan some of whose cells keep what is published; each with the tags that it lacks.
fn with_kept(case: &Case, kept: &[(&str, &[&str])]) -> Plan {
    let mut plan = case.plan().unwrap();
    let digest = plan.id.clone();
    for cell in &mut plan.cells {
        let found = kept.iter().find(|(id, _)| cell.id.as_str() == *id);
        cell.reuse = Some(found.map_or_else(
            || Reuse::New { why: "is not published under any tag of this plan".into() },
            |(_, lacking)| {
                Reuse::Kept(Kept {
                    digest: digest.clone(),
                    children: Vec::new(),
                    inputs: digest.clone(),
                    files: digest.clone(),
                    lacking: lacking.iter().map(|tag| tag.parse().unwrap()).collect(),
                    renewed: None,
                })
            },
        ));
    }
    plan
}

const BASE: &str = "php-base";
const PINNED: &str = "hello-php.release.pinned";
const ROLLING: &str = "hello-php.release.rolling";

/// The cells of each wave, a list for each row.
fn rows(outputs: &BTreeMap<String, String>) -> Vec<Vec<Vec<String>>> {
    let name = |call: &serde_json::Value| call["cells"].as_str().unwrap().to_owned();
    let wave = |wave: &serde_json::Value| wave["include"].as_array().unwrap().iter().map(name).collect();
    let waves = |row: &serde_json::Value| row["waves"].as_array().unwrap().iter().map(wave).collect();
    include(outputs, "images").iter().map(waves).collect()
}

#[test]
fn what_is_unchanged_gets_no_job() {
    let mut case = Case::new(OURS);
    let done = with_kept(&case, &[(BASE, &[]), (PINNED, &[]), (ROLLING, &[])]);
    let found = outputs(&done);
    assert_eq!((found["any"].as_str(), found["push"].as_str()), ("false", "true"));
    assert!(!["check", "images"].iter().any(|name| found.contains_key(*name)));
    // Of a run that pushes nothing only the others are checked; that they lack tags does not count.
    case.event = Event::PullRequest { reference: "1/merge".into(), fork: false };
    let found = outputs(&with_kept(&case, &[(BASE, &["x"]), (PINNED, &[])]));
    let checks = include(&found, "check");
    assert_eq!((checks.len(), found["any"].as_str()), (2, "true"));
    assert!(checks.iter().all(|job| job["cells"] == ROLLING), "{checks:?}");
    let found = outputs(&with_kept(&case, &[(BASE, &["x"]), (PINNED, &[]), (ROLLING, &[])]));
    assert_eq!((found["any"].as_str(), found.contains_key("check")), ("false", false));
}

/// New tags of unchanged cells, such as that of a new day, are one job without a build.
#[test]
fn new_tags_of_what_is_unchanged_are_one_merge() {
    let case = Case::new(OURS);
    let found = outputs(&with_kept(&case, &[(BASE, &["a"]), (PINNED, &[]), (ROLLING, &["b", "c"])]));
    let expected = serde_json::json!([{
        "name": "php-base and 1 more",
        "waves": [{ "include": [{
            "name": "unchanged", "cells": "php-base,hello-php.release.rolling",
            "merge": { "runner": "ubuntu-24.04", "publication": "publication@php-base+and+1+more" }
        }] }]
    }]);
    assert_eq!(
        (found["any"].as_str(), serde_json::Value::from(include(&found, "images"))),
        ("true", expected)
    );
    // So is a record that has to be renewed.
    let mut renewed = with_kept(&case, &[(BASE, &[]), (PINNED, &[]), (ROLLING, &[])]);
    if let Some(Reuse::Kept(kept)) = &mut renewed.cells[1].reuse {
        kept.renewed = Some("a commit since 0123456 touched images".into());
    }
    assert_eq!(rows(&outputs(&renewed)), [[[PINNED]]]);
}

/// What stands on a cell that is kept neither waits for it nor fetches anything that it would have written.
#[test]
fn what_is_built_does_not_wait_for_what_is_kept() {
    let case = Case::new(OURS);
    let found = outputs(&with_kept(&case, &[(BASE, &[]), (PINNED, &[])]));
    assert_eq!(rows(&found), [[[ROLLING]]]);
    let row = &include(&found, "images")[0];
    let call = &row["waves"][0]["include"][0];
    assert_eq!((&row["name"], &call["name"]), (&ROLLING.into(), &"cell".into()), "it is not said twice");
    let jobs = call["builds"]["include"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    for part in jobs.iter().chain([&call["merge"]]) {
        assert_eq!((&part["bases"], &part["without"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    }
    let found = outputs(&with_kept(&case, &[(BASE, &["a"]), (PINNED, &["b"])]));
    assert_eq!(rows(&found), [[[format!("{BASE},{PINNED}")]], [[ROLLING.to_owned()]]]);
    // A base that is built is waited for, and what stands on it is built again.
    let found = outputs(&with_kept(&case, &[]));
    assert_eq!(rows(&found), [[vec![BASE.to_owned()], vec![PINNED.to_owned(), ROLLING.to_owned()]]]);
}

/// What is kept has neither records nor, where nothing had to be written, a publication.
#[test]
fn a_report_misses_nothing_of_what_is_kept() {
    let told = |plan: &Plan| -> Vec<(String, bool)> {
        let row = |cell| {
            let result = xtask_images::report::results::Ended::of(plan, cell, None, &["amd64".to_owned()]);
            let row = xtask_images::report::results::CellResult { cell, result, verify: None };
            (row.told().0, row.is_wrong())
        };
        plan.cells.iter().map(row).collect()
    };
    let mut plan = with_kept(&Case::new(OURS), &[(BASE, &[]), (PINNED, &["a"])]);
    let expected = [("unchanged", false), ("unchanged, not merged", true), ("not built: amd64", true)];
    assert_eq!(told(&plan), expected.map(|(text, wrong)| (text.to_owned(), wrong)));
    plan.push = false;
    assert_eq!(told(&plan)[1], ("unchanged".to_owned(), false));
    plan.cells[2].allow_failure = true;
    assert_eq!(told(&plan)[2], ("not built: amd64 (allowed)".to_owned(), false));
}

/// The limits of the workflow are those of what is built.
#[test]
fn what_is_kept_counts_towards_no_limit() {
    let values: Vec<String> = (0..300).map(|value| format!("\"v{value}\"")).collect();
    let text = format!(
        "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\namd64 = {{ platform = \"linux/amd64\", runner = \"r\" }}\n\
         [images.app]\ncontext = \"app\"\nref = {{ value = \"1\" }}\ntags = [\"{{n}}\"]\naxes = {{ n = [{}] }}\n",
        values.join(", ")
    );
    let case = Case::new(&text);
    let ids: Vec<String> = case.plan().unwrap().cells.iter().map(|cell| cell.id.to_string()).collect();
    let kept = |count: usize| -> BTreeMap<String, String> {
        let cells: Vec<(&str, &[&str])> =
            ids.iter().take(count).map(|id| (id.as_str(), &["x"][..])).collect();
        outputs(&with_kept(&case, &cells))
    };
    // With the merge of what is kept, 255 cells fill a matrix; 256 share rows, each with a matrix of its own.
    for (count, expected) in [(45, 256), (44, 129), (299, 2), (300, 1)] {
        assert_eq!(include(&kept(count), "images").len(), expected, "{count} are kept");
    }
}

/// A matrix with `count` images that stand on one, and one image beside them.
fn wide(count: usize) -> String {
    let mut text = String::from(
        "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\namd64 = { platform = \"linux/amd64\", runner = \"r\" }\n",
    );
    let mut image = |name: &str, more: &str| {
        text += &format!(
            "[images.{name}]\ncontext = \"a\"\nref = {{ value = \"1\" }}\ntags = [\"{{version}}\"]\n{more}"
        );
    };
    image("stranger", "");
    image("base", "");
    for n in 0..count {
        image(&format!("i{n}"), "needs = [\"base\"]\n");
    }
    text
}

/// A cell waits for what it stands on, and for nothing else of the run.
#[test]
fn nobody_waits_for_strangers() {
    let found = rows(&outputs(&Case::new(&wide(2)).plan().unwrap()));
    assert_eq!(found, [vec![vec!["stranger"]], vec![vec!["base"], vec!["i0", "i1"]]]);
}

/// A wave that is too long for one matrix goes on in the next one; what has no room at all is told.
#[test]
fn waves_have_the_length_of_a_matrix() {
    let lengths = |count: usize| -> Vec<usize> {
        rows(&outputs(&Case::new(&wide(count)).plan().unwrap()))[1].iter().map(Vec::len).collect()
    };
    assert_eq!(lengths(256), [1, 256]);
    assert_eq!(lengths(300), [1, 256, 44]);
    let error =
        report(&xtask_images::plan::jobs::outputs(&Case::new(&wide(513)).plan().unwrap()).unwrap_err());
    assert!(
        error.contains("base and the 513 images that are connected with it: they take 4 waves"),
        "{error}"
    );
}

/// The outputs of a job are limited, in UTF-16.
#[test]
fn outputs_are_as_small_as_github_wants() {
    let large = |axis: usize| {
        let values: Vec<String> = (0..axis).map(|value| format!("\"v{value}\"")).collect();
        let axes = format!("[images.stranger]\naxes = {{ n = [{}] }}", values.join(", "));
        let text =
            wide(0).replace("[images.stranger]", &axes).replace("[\"{version}\"]", "[\"{version}-{n}\"]");
        Case::new(&text.replace("[images.base]\n", "[images.base]\naxes = { n = [\"0\"] }\n")).plan().unwrap()
    };
    let found = outputs(&large(1500));
    let units: usize = found.iter().map(|(name, value)| 2 * (name.len() + value.len())).sum();
    assert!(units < 1 << 20 && found["images"].len() > 300_000, "{units}");
    let error = report(&xtask_images::plan::jobs::outputs(&large(4000)).unwrap_err());
    assert!(error.contains("the outputs of a job may take 1024 KiB"), "{error}");
}

/// One platform is emulated beside others that are native: in a job of its own, on a runner that is there.
#[test]
fn a_platform_is_emulated_beside_native_ones() {
    let emulated = "runner = \"r\" }\narmv7 = { platform = \"linux/arm/v7\", emulate = true }\n";
    let text = wide(0).replace("runner = \"r\" }\n", emulated);
    let case = Case::new(&text);
    let plan = case.plan().unwrap();
    let builds = |image: &str| -> Vec<(String, bool)> {
        let cell = plan.cells.iter().find(|cell| cell.image.as_str() == image).unwrap();
        cell.builds.iter().map(|build| (build.arch.to_string(), build.emulate)).collect()
    };
    assert_eq!(builds("base"), [("amd64".to_owned(), false), ("armv7".to_owned(), true)]);
    let jobs = |row: &serde_json::Value| row["waves"][0]["include"][0]["builds"]["include"].clone();
    let job = |arch: &str, output: &str| serde_json::json!({ "name": arch, "arches": arch, "runner": "r", "record": format!("record@base@{arch}"), "output": output });
    let mut second = job("armv7", "record-1");
    second["qemu"] = true.into();
    assert_eq!(
        jobs(&include(&outputs(&plan), "images")[1]),
        serde_json::json!([job("amd64", "record-0"), second])
    );
}

/// GitHub fails on an empty matrix, so the workflow gets none.
#[test]
fn a_plan_without_cells_says_so() {
    let mut case = Case::tags(r#""{version}""#);
    case.event = Event::PullRequest { reference: "1/merge".into(), fork: true };
    let found = outputs(&case.plan().unwrap());
    assert_eq!((found["any"].as_str(), found["fork"].as_str()), ("false", "true"));
    assert!(!["check", "images"].iter().any(|name| found.contains_key(*name)));
}

#[test]
fn more_cells_than_a_matrix_has_rows() {
    let values: Vec<String> = (0..300).map(|value| format!("\"v{value}\"")).collect();
    let text = OURS.replace(
        "[images.php-base]",
        &format!("[images.php-base]\naxes = {{ n = [{}] }}", values.join(", ")),
    );
    let text = text.replace("needs      = [\"php-base\"]", "").replace("\"{version}\", \"{version}-{date}\", \"{major}.{minor}\", { tag = \"{latest}\", when = \"release\" }", "\"{n}\"");
    let mut case = Case::new(&text);
    let check_all = |jobs: &[serde_json::Value]| {
        assert!(jobs.len() <= 256, "{}", jobs.len());
        let mut built: Vec<(String, String)> = Vec::new();
        for job in jobs {
            let arch = job["arches"].as_str().unwrap();
            let cells = job["cells"].as_str().unwrap().split(',');
            built.extend(cells.map(|cell| (cell.to_owned(), arch.to_owned())));
        }
        built.sort();
        built.dedup();
        assert_eq!(built.len(), 2 * 302, "every build is in one job");
        let records: std::collections::BTreeSet<_> = jobs.iter().map(|job| job["record"].as_str()).collect();
        assert_eq!(records.len(), jobs.len(), "no two jobs write one artifact");
    };
    // Each cell still has its own builds and its own merge: rows hold several, next to each other.
    let found = rows(&outputs(&case.plan().unwrap()));
    assert!(found.len() <= 256 && found.iter().all(|row| row.len() == 1 && row[0].len() <= 2), "{found:?}");
    let mut cells: Vec<&String> = found.iter().flatten().flatten().collect();
    assert!(cells.iter().all(|cells| !cells.contains(',')));
    cells.dedup();
    assert_eq!(cells.len(), 302);
    case.event = Event::PullRequest { reference: "1/merge".into(), fork: false };
    check_all(&include(&outputs(&case.plan().unwrap()), "check"));
}

/// What the page of a run shows of it.
#[test]
fn the_summary_of_a_plan() {
    let mut case = Case::new(OURS);
    case.event = Event::Push { branch: "main".into(), default_branch: true };
    let plan = case.plan().unwrap();
    let text = xtask_images::report::markdown::plan(&plan).replace(plan.id.short(), "PLAN");
    expect_test::expect![[r#"
        ### Plan `PLAN`

        `push main` at `0123456789abcdef0123456789abcdef01234567` publishes to `ghcr.io/acme`, **not signed**: a test.

        | cell | version | platforms | tags |
        | --- | --- | --- | --- |
        | `php-base` | `8.5.1` | amd64, arm64 | `8.5.1-20261121` `8.5.1` `8.5` `latest` |
        | `hello-php.release.pinned` | `8.5.1` | amd64, arm64 | `8.5.1-20261121` `sha-pinned-0123456` `8.5.1` `8.5` `8` `latest` |
        | `hello-php.release.rolling` | `8.5.1` | amd64, arm64 | `8.5.1-rolling-20261121` `sha-rolling-0123456` `8.5.1-rolling` `8.5-rolling` `8-rolling` `rolling` |

    "#]].assert_eq(&text);
    let mixed = with_kept(&case, &[(BASE, &["8.5"]), (PINNED, &[])]);
    let kept = |plan: &Plan| plan.cells[0].kept().unwrap().digest.short().to_owned();
    let text = xtask_images::report::markdown::plan(&mixed).replace(&kept(&mixed), "DIGEST");
    let text = text.lines().filter(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n");
    expect_test::expect![[r#"
        | cell | version | platforms | tags | inputs |
        | --- | --- | --- | --- | --- |
        | `php-base` | `8.5.1` | amd64, arm64 | `8.5.1-20261121` `8.5.1` `8.5` `latest` | unchanged: DIGEST; lacks the tag 8.5 |
        | `hello-php.release.pinned` | `8.5.1` | amd64, arm64 | `8.5.1-20261121` `sha-pinned-0123456` `8.5.1` `8.5` `8` `latest` | unchanged: DIGEST |
        | `hello-php.release.rolling` | `8.5.1` | amd64, arm64 | `8.5.1-rolling-20261121` `sha-rolling-0123456` `8.5.1-rolling` `8.5-rolling` `8-rolling` `rolling` | new: it is not published under any tag of this plan |"#]].assert_eq(&text);
    let text = xtask_images::report::plan_table::table(&mixed).replace(&kept(&mixed), "DIGEST");
    let text = text.lines().skip_while(|line| !line.starts_with(BASE)).collect::<Vec<_>>().join("\n");
    expect_test::expect![[r#"
        php-base                   8.5.1    amd64,arm64  ubuntu-24.04,ubuntu-24.04-arm
            8.5.1-20261121 8.5.1 8.5 latest
            unchanged: DIGEST; lacks the tag 8.5
        hello-php.release.pinned   8.5.1    amd64,arm64  ubuntu-24.04,ubuntu-24.04-arm
            8.5.1-20261121 sha-pinned-0123456 8.5.1 8.5 8 latest
            unchanged: DIGEST
        hello-php.release.rolling  8.5.1    amd64,arm64  ubuntu-24.04,ubuntu-24.04-arm
            8.5.1-rolling-20261121 sha-rolling-0123456 8.5.1-rolling 8.5-rolling
            8-rolling rolling
            new: it is not published under any tag of this plan"#]]
    .assert_eq(&text);
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    let done = with_kept(&case, &[(BASE, &[]), (PINNED, &[]), (ROLLING, &[])]);
    let text = xtask_images::report::plan_table::table(&done);
    assert!(text.ends_with("\n\nNothing has changed: no image is built, and no tag is set."), "{text}");
    let text = xtask_images::report::markdown::plan(&done);
    assert!(text.ends_with("|\n\nNothing has changed: no image is built, and no tag is set.\n\n"), "{text}");
    let cell = &done.cells[0];
    let result = xtask_images::report::results::Ended::Unchanged(cell.kept().unwrap());
    let unchanged = xtask_images::report::results::CellResult { cell, result, verify: None };
    let text = xtask_images::report::markdown::publications("Run", &[unchanged]);
    let row = text
        .lines()
        .rfind(|line| line.starts_with('|'))
        .unwrap()
        .replace(cell.kept().unwrap().digest.as_str(), "DIGEST");
    expect_test::expect![
        "| `php-base` | unchanged | `DIGEST` |  | `8.5.1-20261121` `8.5.1` `8.5` `latest` |"
    ]
    .assert_eq(&row);
    let cell = &plan.cells[0];
    let result = xtask_images::report::results::Ended::Missing("a|b\nc".into());
    let missing = xtask_images::report::results::CellResult { cell, result, verify: None };
    expect_test::expect![[r#"
        ### Run

        | cell | result | digest | platforms | tags |
        | --- | --- | --- | --- | --- |
        | `php-base` | a\|b c |  |  |  |

    "#]]
    .assert_eq(&xtask_images::report::markdown::publications("Run", &[missing]));
    let failed = xtask_images::report::markdown::Built {
        cell,
        arch: &cell.builds[0].arch,
        result: "failed".into(),
        digest: None,
        size: None,
        seconds: None,
        again: Some("cargo xtask build".into()),
    };
    expect_test::expect![[r#"
        ### Builds

        | cell | platform | result | digest | size | seconds |
        | --- | --- | --- | --- | --- | --- |
        | `php-base` | amd64 | failed |  |  |  |

        To repeat php-base amd64:

        ```sh
        cargo xtask build
        ```

    "#]]
    .assert_eq(&xtask_images::report::markdown::builds(&[failed]));
}

#[test]
fn more_waves_than_the_workflow_has_are_told() {
    let mut text = String::from(
        "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\namd64 = { platform = \"linux/amd64\", runner = \"r\" }\n",
    );
    for n in 0..4 {
        let needs = if n > 0 { format!("needs = [\"i{}\"]\n", n - 1) } else { String::new() };
        text += &format!(
            "[images.i{n}]\ncontext = \"i{n}\"\nref = {{ value = \"1\" }}\ntags = [\"{{version}}\"]\n{needs}"
        );
    }
    let case = Case::new(&text);
    let error = report(&xtask_images::plan::jobs::outputs(&case.plan().unwrap()).unwrap_err());
    assert!(error.contains("take 4 waves"), "{error}");
    assert_eq!(rows(&outputs(&with_kept(&case, &[("i0", &[])]))), [[["i1"], ["i2"], ["i3"]]]);
}
