//! A repository on GitHub, as our strict model has it: the workflow files as they are, run against the local stack.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask_images::scaffold::templates;

use crate::checkout::{Checkout, git, run, wait, workspace};
use crate::github_model::{Event, Report, Run, Service, Settings};
use crate::kit;
use crate::registry;

/// The file that events start.
const IMAGES: &str = ".github/workflows/images.yml";

/// A repository on GitHub, its own checkout, and the stack that its jobs publish to.
pub struct Hub<'c> {
    pub service: Service,
    /// Its working copy.
    pub root: PathBuf,
    stack: &'c Checkout,
    folder: PathBuf,
}

impl<'c> Hub<'c> {
    /// With the repository at `root`, which has the workflow files already.
    pub fn new(root: &Path, stack: &'c Checkout, name: &str, more: impl FnOnce(&mut Settings)) -> Self {
        stack.xtask(&["local", "up"]).ok();
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hub-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let mut settings = Settings::new("acme/images", root, &folder.join("github"));
        settings.vars = BTreeMap::from([("XTASK_TO".to_owned(), "local".to_owned())]);
        settings.environment = vec![
            ("PATH".to_owned(), stand_in_for_cargo(&folder.join("bin"))),
            ("XTASK_LOCAL".to_owned(), stack.local().display().to_string()),
            // One machine plays all runners.
            ("XTASK_EMULATE".to_owned(), "true".to_owned()),
        ];
        // A fork has no variables, so its run would go to the repositories of matrix.toml; the builder is the same everywhere.
        let status = stack.status();
        let builder = status["builder"].as_str().unwrap().to_owned();
        let buildx = stack.local().join("buildx").display().to_string();
        settings
            .environment
            .extend([("BUILDX_BUILDER".to_owned(), builder), ("BUILDX_CONFIG".to_owned(), buildx)]);
        more(&mut settings);
        Self { service: Service::new(settings), root: root.to_owned(), stack, folder }
    }

    pub fn start(&self, event: &Event) -> Run {
        self.service.start(IMAGES, event).expect("the event starts the workflow")
    }

    /// The whole run of an event.
    pub fn report(&self, event: &Event) -> Report {
        self.start(event).wait()
    }

    pub fn git(&self, args: &[&str]) {
        git(&self.root, args);
    }

    /// Commits a file, or takes one away.
    pub fn commit(&self, path: &str, text: Option<&str>) {
        let file = self.root.join(path);
        match text {
            Some(text) => {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            None => fs::remove_file(file).unwrap(),
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", path]);
    }

    pub fn tags(&self, image: &str) -> BTreeMap<String, String> {
        registry::tags(&self.stack.registry(), image)
    }

    pub fn manifests(&self, image: &str) -> usize {
        registry::manifests(self.stack, image)
    }

    /// Waits until a job of a run waits for its turn in a group.
    pub fn until_waiting(&self, job: &str, run: &Run) {
        wait(&format!("{job} waits"), || {
            let line = format!("[{job}] ");
            run.so_far().log.lines().any(|one| {
                one.strip_prefix(&line)
                    .is_some_and(|rest| rest.starts_with("Waiting for the concurrency group "))
            })
        });
    }
}

/// A job would compile the tool first; in this folder `cargo` gives the one that is tested. Returns the `PATH` of a runner.
pub fn stand_in_for_cargo(bin: &Path) -> String {
    let cargo = bin.join("cargo");
    let script = format!(
        "#!/bin/sh\ncase $1 in\n\
         xtask) shift; exec '{0}' \"$@\" ;;\n\
         install) mkdir -p target/handed/bin && exec cp '{0}' target/handed/bin/xtask ;;\n\
         esac\nexit 1\n",
        env!("CARGO_BIN_EXE_xtask")
    );
    fs::create_dir_all(bin).unwrap();
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let (tools, path) = (workspace().join("target/tools/bin"), std::env::var("PATH").unwrap());
    format!("{}:{}:{path}", bin.display(), tools.display())
}

impl Drop for Hub<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Three images for two platforms: one stands on another, one beside both. Nothing runs in them, so nothing is emulated.
const MATRIX: &str = r#"
version = 1
publish.repositories = ["REGISTRY/acme"]

[platforms]
amd64 = { platform = "linux/amd64", runner = "ubuntu-24.04" }
arm64 = { platform = "linux/arm64", runner = "ubuntu-24.04-arm" }

[tracks.release]
ref = { self = true }
tags = [{ tag = "{version}", when = "tag" }, { tag = "edge", when = "default-branch" }, { tag = "{latest}", when = "release" }, "sha-{revision7}"]
pull-request = true

[images.NAME-base]
context = "base"
[images.NAME-app]
context = "app"
needs = ["NAME-base"]
[images.NAME-other]
context = "other"
dockerfile = { default = "Dockerfile", arm64 = "Dockerfile.arm64" }
"#;

/// Triggers of every kind.
const TRIGGERS: &str = r#"  push:
    branches: [main]
    tags: ["*"]
  pull_request:
  release:
    types: [published]
  schedule:
    - cron: "17 4 * * *"
"#;

pub fn matrix(stack: &Checkout, name: &str) -> String {
    MATRIX.replace("NAME", name).replace("REGISTRY", &stack.registry())
}

/// The small repository, with images whose names begin with `name`.
pub fn small<'c>(stack: &'c Checkout, name: &str) -> Hub<'c> {
    small_with(stack, name, |_| {})
}

pub fn small_with<'c>(stack: &'c Checkout, name: &str, more: impl FnOnce(&mut Settings)) -> Hub<'c> {
    stack.xtask(&["local", "up"]).ok();
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("small-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    write_workflow(&root);
    fs::write(root.join("matrix.toml"), matrix(stack, name)).unwrap();
    for (image, from) in
        [("base", "scratch".to_owned()), ("app", format!("{name}-base")), ("other", "scratch".to_owned())]
    {
        fs::create_dir_all(root.join(image)).unwrap();
        fs::write(root.join(image).join("Dockerfile"), format!("FROM {from}\nCOPY file /{image}\n")).unwrap();
        fs::write(root.join(image).join("file"), name).unwrap();
    }
    fs::copy(root.join("other/Dockerfile"), root.join("other/Dockerfile.arm64")).unwrap();
    fs::write(root.join(".gitignore"), "/target\n").unwrap();
    git(&root, &["init", "--quiet", "--initial-branch", "main"]);
    git(&root, &["remote", "add", "origin", "https://github.com/acme/images"]);
    git(&root, &["add", "--all"]);
    git(&root, &["commit", "--quiet", "--message", "start"]);
    Hub::new(&root, stack, name, more)
}

/// The files that `cargo xtask update` keeps current, with triggers of every kind.
fn write_workflow(root: &Path) {
    for template in templates::ALL {
        let to = root.join(template.path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, template.text(Some(TRIGGERS))).unwrap();
    }
}

/// Adds the files of the workflow to a repository, and the remote by which it is GitHub's.
pub fn put_on_github(checkout: &Checkout) {
    write_workflow(&checkout.root);
    checkout.commit();
    checkout.git(&["remote", "add", "origin", "https://github.com/acme/images"]);
}

/// What a repository publishes by its workflow is what the command line would publish: afterwards nothing is left to do. Puts the
/// records of the run where commands look for them. Returns the plan.
pub fn by_workflow(checkout: &Checkout, name: &str, event: &Event, simulated: &str) -> Value {
    if let Some(tag) = event.git_ref().strip_prefix("refs/tags/") {
        checkout.git(&["tag", tag]);
    }
    let (cache, token) = kit::cache(checkout);
    let hub = Hub::new(&checkout.root, checkout, name, |settings| {
        settings.environment.extend(checkout.environment.iter().cloned());
        // As the runner has it for actions in JavaScript, to the letter.
        settings.runtime = [
            ("ACTIONS_RUNTIME_TOKEN", token),
            ("ACTIONS_RESULTS_URL", format!("http://{}/", cache.address())),
            ("ACTIONS_CACHE_SERVICE_V2", "True".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
    });
    let started = hub.start(event);
    let report = started.wait().ok();
    assert!(!report.log.contains("neither finds nor keeps anything"), "{}", report.all());
    let asks = fs::read_to_string(checkout.root.join("matrix.toml")).unwrap().contains("\"gha\"");
    let kept = report.log.contains("exporting to GitHub Actions Cache");
    assert_eq!(kept, asks, "a layer is kept where the matrix asks for it: {}", report.all());
    let mut plan = PathBuf::new();
    for artifact in hub.service.artifacts(&started) {
        let place = match artifact.name.split('@').next().unwrap() {
            "record" => "target/xtask/digests",
            "publication" => "target/xtask/publications",
            "plan" => {
                plan = artifact.folder.join("plan.json");
                continue;
            }
            _ => continue,
        };
        let to = checkout.root.join(place);
        fs::create_dir_all(&to).unwrap();
        run(Command::new("cp").arg("-R").arg(artifact.folder.join(".")).arg(to)).ok();
    }
    checkout.xtask(&["verify", "--plan", plan.to_str().unwrap()]).ok();
    let told = checkout.xtask(&["plan", "--fresh", "--event", simulated]).ok();
    assert!(
        told.stdout.contains("Nothing has changed: no image is built, and no tag is set."),
        "{}",
        told.all()
    );
    serde_json::from_slice(&fs::read(plan).unwrap()).unwrap()
}
