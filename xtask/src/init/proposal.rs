//! From what was found to the files that are to be written.

use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::path::Path;

use crate::argv::{Argv, Program};
use crate::base::error::UserError;
use crate::init::bake;
use crate::init::crate_files::{self, CrateSource};
use crate::init::dockerfiles;
use crate::init::found::{Found, Image, Tag};
use crate::init::matrix_text;
use crate::init::other_files;
use crate::init::repository::Repository;
use crate::init::workflow::{self, Surroundings};
use crate::matrix::{self, Source};
use crate::run::{Output, Runner};
use crate::scaffold::changes::{self, Change};
use crate::scaffold::templates;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// Workflows to read, relative to the repository.
    pub workflows: Vec<String>,
    /// Where images are published, instead of what the files say: `HOST/PATH`.
    pub repositories: Vec<String>,
    /// Where the crate comes from.
    pub source: CrateSource,
    /// Whether files that are there may be replaced.
    pub overwrite: bool,
}

/// What is proposed.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The images, each as a row: name, where it was found, context, platforms.
    pub images: Vec<[String; 4]>,
    /// The files.
    pub changes: Vec<Change>,
    /// What could not be carried over, each a sentence without a full stop.
    pub left: Vec<String>,
}

/// Reads a repository and says what to write. `buildx`: asks for it where a bake or Compose file is read.
///
/// # Errors
/// If the repository or a file that was named cannot be read, or if nothing is found that builds an image.
pub fn propose(
    folder: &Path,
    wishes: &Wishes,
    runner: &Runner,
    buildx: impl Fn() -> Result<Program>,
) -> Result<Proposal> {
    let repository = Repository::read(folder, runner)?;
    let mut found = find(&repository, wishes, runner, buildx)?;
    if !wishes.repositories.is_empty() {
        found.repositories.clone_from(&wishes.repositories);
    }
    if found.repositories.is_empty() && repository.address.is_none() {
        found.left.push(
            "matrix.toml: this repository has no remote `origin`, so ghcr.io/acme stands where images are published; put yours there"
                .to_owned(),
        );
    }
    elsewhere(&repository, &mut found);
    always_a_tag(&mut found);
    let text = matrix_text::text(&found, &repository);
    // It is read as any command will read it.
    let source = Source { name: "matrix.toml".to_owned(), text: text.clone() };
    matrix::parse(source).context("the matrix.toml that would be proposed is invalid")?;
    let mut proposal = Proposal { images: rows(&found), changes: Vec::new(), left: found.left.clone() };
    let add = &mut |path: &str, kind: Kind, after: &dyn Fn(Option<&str>) -> Option<String>| {
        proposal.add(&repository, wishes.overwrite, path, kind, after)
    };
    add("matrix.toml", Kind::Whole, &|_| Some(text.clone()))?;
    add("Cargo.toml", Kind::Part, &crate_files::workspace)?;
    add(".cargo/config.toml", Kind::Part, &crate_files::cargo_config)?;
    add("xtask/Cargo.toml", Kind::Whole, &|_| Some(crate_files::manifest(&wishes.source)))?;
    add("xtask/src/main.rs", Kind::Whole, &|_| Some(crate_files::MAIN.to_owned()))?;
    let triggers =
        other_files::triggers(found.triggers.as_ref(), &repository.default_branch, repository.bare_versions);
    for template in templates::ALL {
        add(template.path, Kind::Whole, &|_| Some(template.text(Some(&triggers))))?;
    }
    add(".gitignore", Kind::Part, &|before| Some(other_files::gitignore(before)))?;
    let rust = repository.has("Cargo.toml");
    if found.images.iter().any(|image| image.context == ".") {
        add(".dockerignore", Kind::Optional, &|before| other_files::dockerignore(before, rust))?;
    }
    // An update bot that is there has an owner with a mind of their own.
    let bots = ["dependabot.yml", "dependabot.yaml", "renovate.json", "renovate.json5"];
    let has_bot = bots.iter().any(|bot| repository.has(&format!(".github/{bot}")) || repository.has(bot));
    if !has_bot {
        let folder = |image: &Image| {
            let file =
                if image.context == "." { image.dockerfile.clone() } else { format!("{}/x", image.context) };
            format!("/{}", file.rsplit_once('/').map_or("", |(folder, _)| folder))
        };
        let folders: BTreeSet<String> = found.images.iter().map(folder).collect();
        add(".github/dependabot.yml", Kind::Whole, &|_| Some(other_files::dependabot(&folders)))?;
    }
    Ok(proposal)
}

/// Gives every image a tag without a condition, since every run has to know what it would publish, also that of a pull request or
/// of a laptop. Where no image had one, the conditions become those of publishing at all.
fn always_a_tag(found: &mut Found) {
    let conditional =
        |image: &Image| !image.tags.is_empty() && image.tags.iter().all(|tag| tag.when.is_some());
    let events = |tag: &Tag| match tag.when? {
        "release" | "stable" => Some("tag"),
        when => Some(when),
    };
    if found.images.iter().all(conditional) {
        let when: BTreeSet<&str> =
            found.images.iter().flat_map(|image| &image.tags).filter_map(events).collect();
        found.publish_when = when.into_iter().collect();
    }
    let all_alike = !found.publish_when.is_empty();
    for image in found.images.iter_mut().filter(|image| conditional(image)) {
        let versioned = |tag: &&mut Tag| tag.text.contains("{version}") || tag.text.contains("{ref}");
        let text = match image.tags.iter_mut().find(versioned) {
            Some(tag) => {
                tag.when = None;
                tag.text.clone()
            }
            None => {
                let axes: String = image.axes.keys().map(|axis| format!("-{{{axis}}}")).collect();
                let text = format!("{{version}}{axes}");
                image.tags.insert(0, Tag { text: text.clone(), when: None });
                text
            }
        };
        if !all_alike {
            found.left.push(format!(
                "matrix.toml: every run needs a tag, so {} gets {text} in every one; in that of a branch it is the short commit",
                image.name
            ));
        }
    }
}

/// What the workflow cannot know of registries and machines that are not GitHub's.
fn elsewhere(repository: &Repository, found: &mut Found) {
    let hosts: BTreeSet<&str> = found
        .repositories
        .iter()
        .filter_map(|place| place.split('/').next())
        .filter(|host| *host != "ghcr.io")
        .collect();
    found.left.extend(hosts.into_iter().map(|host| {
        format!(
            "images.yml, cell.yml: the steps docker/login-action log in to ghcr.io; for {host} change their registry, username and password, which `cargo xtask update` keeps"
        )
    }));
    if repository.address.as_ref().is_some_and(|address| !address.starts_with("https://github.com/")) {
        found.left.push(
            "images.yml, cell.yml: they are workflows of GitHub Actions; on another system run `cargo xtask plan`, `build` and `merge` in its jobs".to_owned(),
        );
    }
}

/// How a file is written that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is ours: another one stays, unless it may be replaced.
    Whole,
    /// It gets a few lines more; where that cannot be, somebody has to write them.
    Part,
    /// It gets a few lines more if they are of use.
    Optional,
}

impl Proposal {
    fn add(
        &mut self,
        repository: &Repository,
        overwrite: bool,
        path: &str,
        kind: Kind,
        after: &dyn Fn(Option<&str>) -> Option<String>,
    ) -> Result<()> {
        let before = changes::read(&repository.root, path)?;
        let Some(after) = after(before.as_deref()) else {
            if kind == Kind::Part {
                self.left.push(format!("{path}: it has another form than expected, so it stays as it is; docs/adopt.md has the lines that it needs"));
            }
            return Ok(());
        };
        if before.as_ref().is_some_and(|before| *before != after) && kind == Kind::Whole && !overwrite {
            self.left
                .push(format!("{path}: it is there already, so it stays as it is; --overwrite replaces it"));
            return Ok(());
        }
        self.changes.push(Change { path: path.to_owned(), before, after });
        Ok(())
    }
}

/// What builds images here: the workflows that were named, else a bake or Compose file, else Dockerfiles.
fn find(
    repository: &Repository,
    wishes: &Wishes,
    runner: &Runner,
    buildx: impl Fn() -> Result<Program>,
) -> Result<Found> {
    let mut found = Found::default();
    for path in &wishes.workflows {
        add(&mut found, read_workflow(repository, path)?);
    }
    if found.images.is_empty() {
        let file = bake::FILES.iter().find(|file| repository.has(file));
        if let Some(file) = file {
            let json = printed(repository, file, runner, &buildx()?)?;
            add(&mut found, bake::read(file, &json, &repository.name())?);
        }
    }
    let named = |image: &Image| {
        let place = |file: &String| {
            let path = if image.context == "." { file.clone() } else { format!("{}/{file}", image.context) };
            path.trim_start_matches("./").to_owned()
        };
        image.dockerfiles.values().chain([&image.dockerfile]).map(place).collect::<Vec<_>>()
    };
    let taken: BTreeSet<String> = found.images.iter().flat_map(named).collect();
    let others = dockerfiles::read(repository, &taken);
    if found.images.is_empty() {
        add(&mut found, others);
    } else {
        found.left.extend(others.images.iter().map(|image| {
            format!("{}: nothing that was read builds it, so it is not in matrix.toml", image.origin)
        }));
    }
    if found.images.is_empty() {
        let fault = UserError::invalid(format!("nothing builds an image in {}", repository.root.display()))
            .help("there is no Dockerfile, bake file or Compose file with `build` that git does not ignore");
        return Err(found.left.iter().fold(fault, |fault, left| fault.help(left.clone())).into());
    }
    old_workflows(repository, wishes, &mut found);
    Ok(found)
}

fn read_workflow(repository: &Repository, path: &str) -> Result<Found> {
    let text = repository.text(path).ok_or_else(|| {
        UserError::invalid(format!("--from-workflow {path}: there is no such text file"))
            .help("name it relative to the repository, e.g. .github/workflows/build.yml")
    })?;
    let surroundings = Surroundings {
        owner_and_name: repository.owner_and_name(),
        default_branch: repository.default_branch.clone(),
    };
    workflow::read(path, &text, &surroundings, &|path| repository.text(path))
}

/// Workflows that build images, too: both would set the same tags.
fn old_workflows(repository: &Repository, wishes: &Wishes, found: &mut Found) {
    for path in repository.files.iter().filter(|path| path.starts_with(".github/workflows/")) {
        let text = repository.text(path).unwrap_or_default();
        let ours = templates::stamp(&text).is_some();
        let marks = [
            "docker/build-push-action@",
            "docker/bake-action@",
            "home-assistant/builder",
            "docker buildx build",
        ];
        if ours || !marks.iter().any(|mark| text.contains(mark)) {
            continue;
        }
        let called = |by: &String| repository.text(by).unwrap_or_default().contains(&format!("./{path}"));
        found.left.push(if wishes.workflows.iter().any(|read| read == path || called(read)) {
            format!("{path}: it publishes the same tags, so remove it in the same commit as images.yml begins to publish")
        } else {
            format!("{path}: it builds images, too, and was not read; read it with --from-workflow {path}, or remove it")
        });
    }
}

/// Adds what another file says.
fn add(found: &mut Found, more: Found) {
    for image in more.images {
        if found.images.iter().any(|other| other.name == image.name) {
            found.left.push(format!(
                "{}: there is an image {} already, so it is left out",
                image.origin, image.name
            ));
        } else {
            found.images.push(image);
        }
    }
    let new = more.repositories.into_iter().filter(|new| !found.repositories.contains(new));
    let new: Vec<String> = new.collect();
    found.repositories.extend(new);
    found.triggers = found.triggers.take().or(more.triggers);
    found.left.extend(more.left);
}

/// What `docker buildx bake` makes of a file: its default group, else all targets.
fn printed(repository: &Repository, file: &str, runner: &Runner, buildx: &Program) -> Result<String> {
    let bake = |more: &[&str]| {
        Argv::new(format!("read {file}"), buildx)
            .args(["bake", "--file", file])
            .args(more.iter().copied())
            .folder(&repository.root)
            .limit(60)
    };
    let default = bake(&["--print"]);
    let printed = runner.run(&default, Output::Capture)?;
    if printed.success() {
        return Ok(String::from_utf8_lossy(&printed.stdout).into_owned());
    }
    if !printed.stderr.contains("failed to find target default") {
        return Err(printed.fault(&default).into());
    }
    let listed = runner.text(&bake(&["--list=type=targets,format=json"]))?;
    let listed: Vec<serde_json::Value> =
        serde_json::from_str(&listed).with_context(|| format!("reading the targets of {file}"))?;
    let single = listed.iter().filter(|target| target.get("group").is_none());
    let names: Vec<&str> = single.filter_map(|target| target.get("name")?.as_str()).collect();
    runner.text(&bake(&["--print"]).args(names))
}

/// The images, for people.
fn rows(found: &Found) -> Vec<[String; 4]> {
    let row = |image: &Image| {
        let platforms: Vec<String> =
            matrix_text::platforms_of(image).into_iter().map(matrix_text::arch).collect();
        [image.name.clone(), image.origin.clone(), image.context.clone(), platforms.join(" ")]
    };
    found.images.iter().map(row).collect()
}
