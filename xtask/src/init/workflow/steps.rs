//! The steps of a job for one row of its matrix: what they build, tag and hand on, and what of it cannot be carried.

use serde_yaml_ng::Value as Yaml;
use std::collections::BTreeMap;

use crate::init::workflow::build_push::{self, step_name};
use crate::init::workflow::built::{Built, Steps, Tagged};
use crate::init::workflow::evaluation::{enter, text, value};
use crate::init::workflow::event::Case;
use crate::init::workflow::expression::{bare, condition};
use crate::init::workflow::home_assistant;
use crate::init::workflow::home_assistant_actions;
use crate::init::workflow::metadata_action::{self, Inputs};
use crate::init::workflow::scope::Scope;
use crate::init::workflow::script;
use crate::init::workflow::text::{Map, Text, Value};
use crate::init::workflow::yaml::{part, scalar};

/// A row of a job.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file_name: String,
    /// The job, for remarks.
    pub(super) at: String,
    pub(super) id: String,
    /// The keys of the matrix with their values, those of a calling job included.
    pub(super) row: BTreeMap<String, String>,
    pub(super) left_out: Vec<BTreeMap<String, String>>,
    pub(super) runner: Option<Text>,
    /// The conditions of the job that only a run can tell.
    pub(super) conditions: Vec<String>,
}

/// What scans an image: a command of `[publish] gate` does that before any tag is set.
const SCANNERS: [&str; 5] = [
    "aquasecurity/trivy-action",
    "anchore/scan-action",
    "snyk/actions",
    "docker/scout-action",
    "azure/container-scan",
];

/// Actions that build images and are not read.
const BUILDERS: [&str; 6] = [
    "redhat-actions/buildah-build",
    "elgohr/publish-docker-github-action",
    "mr-smithers-excellent/docker-build-push",
    "depot/build-push-action",
    "int128/kaniko-action",
    "aevea/action-kaniko",
];

/// A job while its steps are read.
struct Job<'a> {
    case: &'a Case<'a>,
    files: &'a dyn Fn(&str) -> Option<String>,
    all: &'a mut Steps,
    place: &'a Place,
    /// What may have changed the files since they were checked out.
    prepared: Vec<String>,
    /// The images and tags of each metadata-action that a script may use.
    metadata: Vec<(String, metadata_action::Metadata)>,
    built: bool,
    /// The conditions of the step at hand that only a run can tell, those of the job included.
    conditions: Vec<String>,
    /// The steps that may run, each as text, with the conditions under which it does.
    ran: Vec<(String, Vec<String>)>,
}

/// Reads the steps of a job.
pub(super) fn read(
    case: &Case<'_>,
    files: &dyn Fn(&str) -> Option<String>,
    all: &mut Steps,
    place: &Place,
    job: &Yaml,
    scope: &mut Scope,
) {
    let steps = part(job, "steps").as_sequence().map(Vec::as_slice).unwrap_or_default();
    let mut job = Job {
        case,
        files,
        all,
        place,
        prepared: Vec::new(),
        metadata: Vec::new(),
        built: false,
        conditions: Vec::new(),
        ran: Vec::new(),
    };
    for (index, step) in steps.iter().enumerate() {
        let at = format!("{}, {}", place.at, step_name(step, index));
        let written = scalar(part(step, "if"));
        let holds = if written.is_empty() { Some(true) } else { condition(&written, scope) };
        if holds == Some(false) {
            continue;
        }
        job.conditions.clone_from(&place.conditions);
        job.conditions.extend(holds.is_none().then(|| bare(&written)));
        let builds = job.all.builds.len();
        let mut inner = scope.clone();
        enter(&mut inner, part(step, "env"));
        let outputs = job.step(&at, index, step, &inner, scope);
        job.ran.push((serde_yaml_ng::to_string(step).unwrap_or_default(), job.conditions.clone()));
        let id = scalar(part(step, "id"));
        if !id.is_empty() {
            let result = vec![("outputs".to_owned(), outputs)];
            scope.put("steps", &id, Value::Map(Map::open(result)));
        }
        if holds.is_none() && job.all.builds.len() > builds {
            let condition = written.trim();
            job.all.leave(format!(
                "{at}: its condition `{condition}` is not carried; the image is built in every run"
            ));
        }
    }
    job.tag_by_metadata();
}

impl Job<'_> {
    /// Reads a step, and says what its outputs are.
    fn step(&mut self, at: &str, index: usize, step: &Yaml, inner: &Scope, scope: &mut Scope) -> Value {
        let uses = scalar(part(step, "uses")).to_ascii_lowercase();
        let action = uses.split('@').next().unwrap_or_default();
        let with = part(step, "with");
        match action {
            "" => return self.run(at, step, inner, scope),
            "actions/checkout" => self.checkout(at, inner, with),
            "docker/build-push-action" => {
                let (mut built, left) = build_push::read(inner, with);
                let labels = scalar(part(with, "labels"));
                built.labels_of_github =
                    labels.contains(".outputs.labels") || labels.contains(".outputs.json");
                self.build(at, &index.to_string(), built, left);
            }
            "docker/metadata-action" | "crazy-max/ghaction-docker-meta" => {
                return self.metadata(at, step, inner, with);
            }
            "docker/bake-action" => {
                self.all.leave(format!("{at}: bake files are read without --from-workflow"));
            }
            "docker/login-action" => self.login(at, &text(inner, part(with, "registry"))),
            "home-assistant/builder" => {
                self.home_assistant(at, index, inner, with);
            }
            "home-assistant/actions/helpers/info" => {
                return home_assistant_actions::info(inner, with, self.files);
            }
            "home-assistant/builder/actions/build-image" => {
                let (built, left) = home_assistant_actions::build_image(inner, with);
                self.build(at, &index.to_string(), built, left);
            }
            "home-assistant/builder/actions/prepare-multi-arch-matrix" => {
                return home_assistant_actions::prepare_matrix(inner, with);
            }
            "home-assistant/builder/actions/publish-multi-arch-manifest" => {
                let (repository, tags) = home_assistant_actions::manifest(inner, with);
                self.tag(at, repository, tags, Vec::new());
            }
            "actions/download-artifact" => {
                let what =
                    "downloads an artifact before the build; images are built from the committed files alone";
                self.prepared.push(format!("{at}: {what}"));
            }
            local if local.starts_with("./") => {
                self.all
                    .leave(format!("{at}: the local action {local} is not read; add what it builds by hand"));
            }
            other if SCANNERS.iter().any(|scanner| other.starts_with(scanner)) => {
                self.all.leave(format!(
                    "{at}: a scan belongs before the tags: write its command under `gate` of [publish]"
                ));
            }
            other if BUILDERS.contains(&other) => {
                self.all
                    .leave(format!("{at}: {other} builds an image and is not read; add the image by hand"));
            }
            _ => {}
        }
        Value::Map(Map::open(Vec::new()))
    }

    fn metadata(&mut self, at: &str, step: &Yaml, inner: &Scope, with: &Yaml) -> Value {
        let metadata = metadata(inner, with, self.case);
        // Without `tags`, the ones of another step count wherever these are not used.
        if !part(with, "tags").is_null() {
            metadata.left.iter().for_each(|remark| self.all.leave(format!("{at}: {remark}")));
        }
        for (image, known) in &metadata.disabled {
            self.all.disabled.push(image.plain());
            if !known {
                let image = image.plain();
                self.all
                    .leave(format!("{at}: only a run can tell whether {image} is enabled; it is left out"));
            }
        }
        let outputs = metadata.outputs();
        self.metadata.push((scalar(part(step, "id")), metadata));
        outputs
    }

    fn home_assistant(&mut self, at: &str, index: usize, inner: &Scope, with: &Yaml) {
        let (builds, left) = home_assistant::arguments(inner, with, self.files);
        for (part, built) in builds.into_iter().enumerate() {
            self.build(at, &format!("{index}.{part}"), built, Vec::new());
        }
        left.into_iter().for_each(|remark| self.all.leave(format!("{at}: {remark}")));
        if self.all.builds.iter().any(|(_, built)| built.pushed) {
            let file = &self.place.file_name;
            home_assistant::REMARKS.iter().for_each(|remark| self.all.leave(format!("{file}: {remark}")));
        }
    }

    /// What is checked out beside the commit of the run, or in its place.
    fn checkout(&mut self, at: &str, inner: &Scope, with: &Yaml) {
        let github = inner.map("github");
        for name in ["repository", "ref", "path", "submodules", "lfs"] {
            let value = text(inner, part(with, name)).trim();
            let plain = value.plain();
            let usual = match name {
                "repository" => github.get("repository").text().plain() == plain,
                "ref" => ["ref", "ref_name", "sha"].iter().any(|own| github.get(own).text().plain() == plain),
                "path" => matches!(plain.as_str(), "." | "./"),
                _ => plain == "false",
            };
            if plain.is_empty() || (usual && !value.is_unknown()) {
                continue;
            }
            let written = scalar(part(with, name));
            self.prepared.push(format!(
                "{at}: checks out with `{name}: {}`; images are built from the committed files of this repository alone",
                written.trim()
            ));
        }
    }

    fn build(&mut self, at: &str, part: &str, mut built: Built, left: Vec<String>) {
        if built.pushed || !self.all.builds.iter().any(|(_, other)| other.pushed) {
            for remark in
                left.into_iter().map(|remark| format!("{at}: {remark}")).chain(self.prepared.drain(..))
            {
                self.all.leave(remark);
            }
        }
        let Place { id, row, left_out, runner, .. } = self.place;
        built.id = format!("{id}/{part}");
        at.clone_into(&mut built.at);
        built.origin = self.place.at.replace(": job", ", job");
        built.row = row.clone();
        built.left_out.clone_from(left_out);
        built.runner.clone_from(runner);
        built.conditions.clone_from(&self.conditions);
        self.all.builds.push((self.case.event, built));
        self.built = true;
    }

    fn tag(&mut self, at: &str, repository: Text, tags: Vec<Text>, more: Vec<String>) {
        let (at, row) = (at.to_owned(), self.place.row.clone());
        let conditions = self.conditions.iter().cloned().chain(more).collect();
        self.all.tagged.push((self.case.event, Tagged { at, row, repository, tags, conditions }));
    }

    fn login(&mut self, at: &str, registry: &Text) {
        let name = match registry.plain().trim_start_matches("https://").split('/').next().unwrap_or_default()
        {
            "ghcr.io" => return,
            "" | "docker.io" | "index.docker.io" => "Docker Hub".to_owned(),
            _ if registry.is_unknown() => registry.unknowns().next().unwrap_or_default(),
            other => other.to_owned(),
        };
        self.all.leave(format!(
            "{at}: logs in to {name}: add this step to images.yml and cell.yml, beside theirs"
        ));
    }

    fn run(&mut self, at: &str, step: &Yaml, inner: &Scope, scope: &mut Scope) -> Value {
        let script = script::read(&text(inner, part(step, "run")), inner);
        for (name, value) in &script.variables {
            scope.put("env", name, known(value));
        }
        if let Some(command) = script.builds {
            self.all.leave(format!(
                "{at}: runs `{command}` in a script, which is not read; add the image by hand"
            ));
        } else if let Some(command) = script.copies {
            self.all.leave(format!(
                "{at}: runs `{command}` in a script, which is not read; every repository of an image belongs under \
                 `repositories` of [publish]"
            ));
        } else if !script.only_tells && !self.built {
            let what = "runs before the build; images are built from the committed files alone";
            self.prepared.push(format!("{at}: {what}"));
        }
        for (reference, conditions) in script.tags {
            let (repository, tag) = reference.reference();
            self.tag(at, repository, tag.into_iter().collect(), conditions);
        }
        // The tags of metadata-action that it sets by itself are under the same conditions.
        self.conditions.extend(script.computed_if);
        let by_metadata = scalar(part(step, "run")).contains("DOCKER_METADATA_OUTPUT")
            || self
                .metadata
                .iter()
                .any(|(id, _)| scalar(part(step, "run")).contains(&format!("steps.{id}.outputs")));
        if script.tags_computed && !by_metadata && !self.all.scripts.contains(&at.to_owned()) {
            self.all.scripts.push(at.to_owned());
        }
        let outputs = script.outputs.iter().map(|(name, value)| (name.clone(), known(value)));
        Value::Map(Map::open(outputs.collect()))
    }

    /// In a job that builds nothing, the tags of metadata-action go to what other jobs have pushed.
    fn tag_by_metadata(&mut self) {
        if self.built || self.metadata.is_empty() {
            return;
        }
        let ran = std::mem::take(&mut self.ran);
        self.conditions.clear();
        for (id, metadata) in std::mem::take(&mut self.metadata) {
            let uses = |(text, _): &&(String, Vec<String>)| {
                text.contains("DOCKER_METADATA_OUTPUT")
                    || (!id.is_empty()
                        && ["tags", "json", "tag-names"]
                            .iter()
                            .any(|output| text.contains(&format!("steps.{id}.outputs.{output}"))))
            };
            // The step with the fewest conditions decides.
            if let Some((_, conditions)) =
                ran.iter().filter(uses).min_by_key(|(_, conditions)| conditions.len())
            {
                for image in metadata.images {
                    let at = self.place.at.clone();
                    self.tag(&at, image, metadata.tags.clone(), conditions.clone());
                }
            }
        }
    }
}

/// What only a run can tell is no text.
fn known(value: &Text) -> Value {
    if value.is_unknown() { Value::Unknown } else { Value::Text(value.clone()) }
}

fn metadata(scope: &Scope, with: &Yaml, case: &Case<'_>) -> metadata_action::Metadata {
    let input = |name: &str| match value(scope, part(with, name)) {
        Value::Null => Text::default(),
        value => value.text(),
    };
    let inputs = Inputs {
        images: input("images"),
        tags: input("tags"),
        flavor: input("flavor"),
        labels: input("labels"),
        annotations: input("annotations"),
    };
    metadata_action::read(&inputs, case)
}
