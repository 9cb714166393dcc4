//! Which of a repository's files say what its images are.

use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::path::Path;

use crate::argv::{Argv, Program};
use crate::base::error::UserError;
use crate::init::bake;
use crate::init::dockerfiles;
use crate::init::found::{Found, Image, Triggers};
use crate::init::repository::Repository;
use crate::init::workflow::{self, Surroundings};
use crate::run::{Output, Runner};
use crate::scaffold::scratch::Scratch;
use crate::scaffold::templates;

/// What builds images here: the workflows that were named, else a bake or Compose file, else Dockerfiles.
///
/// # Errors
/// If a workflow that was named cannot be read, or if nothing builds an image.
pub(crate) fn find(
    repository: &Repository,
    workflows: &[String],
    runner: &Runner,
    buildx: impl Fn() -> Result<Program>,
) -> Result<Found> {
    let mut found = Found::default();
    let mut whole: BTreeSet<&str> = BTreeSet::new();
    for path in workflows {
        if add(&mut found, read_workflow(repository, path)?) {
            whole.insert(path);
        }
    }
    if workflows.is_empty() {
        match baked(repository, runner, buildx) {
            Ok(Some(more)) => drop(add(&mut found, more)),
            Ok(None) => {}
            Err(error) => {
                let text = format!("{error:#}");
                found.left.push(format!("{}; it was not read", text.lines().next().unwrap_or_default()));
            }
        }
    }
    let named = |image: &Image| {
        let others = image.dockerfiles.values().map(|file| image.in_context(file));
        others.chain([image.dockerfile_path()]).collect::<Vec<_>>()
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
    old_workflows(repository, workflows, &whole, &mut found);
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
fn old_workflows(repository: &Repository, read: &[String], whole: &BTreeSet<&str>, found: &mut Found) {
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
        let calls = |by: &str| repository.text(by).unwrap_or_default().contains(&format!("./{path}"));
        let is_part_of = |of: &str| of == path || calls(of);
        found.left.push(if whole.iter().any(|of| is_part_of(of)) {
            format!("{path}: remove its jobs that publish these images when images.yml begins to: both would set the same tags")
        } else if read.iter().any(|of| is_part_of(of)) {
            format!("{path}: a part of it was not carried over (see above): keep that part, and remove the rest")
        } else {
            format!("{path}: it builds images and was not read: read it with --from-workflow {path}, or remove it")
        });
    }
}

/// Adds what another file says, and says whether that was all of it.
fn add(found: &mut Found, more: Found) -> bool {
    let mut all = true;
    for image in more.images {
        match found.images.iter_mut().find(|other| other.name == image.name) {
            None => found.images.push(image),
            // Two workflows that build the same, one for branches and one for tags, say.
            Some(other) if other.is_built_like(&image) => {
                let new: Vec<_> = image.tags.into_iter().filter(|tag| !other.tags.contains(tag)).collect();
                other.tags.extend(new);
            }
            Some(other) => {
                all = false;
                let tags: Vec<&str> = image.tags.iter().map(|tag| tag.text.as_str()).collect();
                found.left.push(format!(
                    "{}: {} is built in another way than by {}, so this was left out, and with it the tags {}",
                    image.origin,
                    image.name,
                    other.origin,
                    tags.join(", ")
                ));
            }
        }
    }
    let new = more.repositories.into_iter().filter(|new| !found.repositories.contains(new));
    let new: Vec<String> = new.collect();
    found.repositories.extend(new);
    found.triggers = match (found.triggers.take(), more.triggers) {
        (Some(one), Some(other)) => Some(both(one, other)),
        (one, other) => one.or(other),
    };
    found.left.extend(more.left);
    all
}

/// What starts one or the other.
fn both(one: Triggers, other: Triggers) -> Triggers {
    let join = |one: Vec<String>, other: Vec<String>| {
        let new: Vec<String> = other.into_iter().filter(|value| !one.contains(value)).collect();
        [one, new].concat()
    };
    // One that runs whatever has changed makes the filter of the other moot.
    let filtered = !one.paths.is_empty() && !other.paths.is_empty();
    Triggers {
        branches: join(one.branches, other.branches),
        tags: join(one.tags, other.tags),
        paths: if filtered { join(one.paths, other.paths) } else { Vec::new() },
        pull_request: one.pull_request || other.pull_request,
        schedules: join(one.schedules, other.schedules),
        release: one.release || other.release,
    }
}

/// What a bake or Compose file says, if there is one.
fn baked(
    repository: &Repository,
    runner: &Runner,
    buildx: impl Fn() -> Result<Program>,
) -> Result<Option<Found>> {
    let Some(file) = bake::FILES.iter().find(|file| repository.has(file)) else { return Ok(None) };
    let overrides: &[&str] = if file.starts_with("docker-bake") { &bake::OVERRIDES } else { &[] };
    let files: Vec<&str> =
        std::iter::once(file).chain(overrides).copied().filter(|file| repository.has(file)).collect();
    let json = printed(repository, &files, runner, &buildx()?)?;
    let mut found = bake::read(file, &json, &repository.name())?;
    let texts: String = files.iter().filter_map(|file| repository.text(file)).collect();
    found.left.extend(bake::variables(file, &texts));
    Ok(Some(found))
}

/// What `docker buildx bake` makes of some files: their default group, else all targets.
///
/// Nothing of the environment of whoever runs this may get into `matrix.toml`: no variable, and no `.env`, which is read from the
/// current folder. Source: docker/buildx, `bake/compose.go`.
fn printed(repository: &Repository, files: &[&str], runner: &Runner, buildx: &Program) -> Result<String> {
    let scratch = Scratch::new()?;
    let absolute = |file: &&str| repository.root.join(file).display().to_string();
    let bake = |more: &[&str]| {
        Argv::new(format!("read {}", files.join(" and ")), buildx)
            .env("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP", "1")
            .env("SSH_AUTH_SOCK", "/dev/null")
            .arg("bake")
            .args(files.iter().flat_map(|file| ["--file".to_owned(), absolute(file)]))
            .args(more.iter().copied())
            .folder(Path::new(scratch.path()))
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
        serde_json::from_str(&listed).context("reading the list of targets that buildx prints")?;
    let single = listed.iter().filter(|target| target.get("group").is_none());
    let names: Vec<&str> = single.filter_map(|target| target.get("name")?.as_str()).collect();
    runner.text(&bake(&["--print"]).args(names))
}
