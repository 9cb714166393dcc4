//! Stands in for actions/upload-artifact and actions/download-artifact.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::actions::{Inputs, beyond, flag};
use super::artifacts::{Artifact, Upload};
use super::glob::Globs;
use super::machine::Machine;
use super::wildcard::name_matches;

const IN_NO_PATH: [char; 9] = ['"', ':', '<', '>', '|', '*', '?', '\r', '\n'];

/// `src/upload/upload-artifact.ts` and `src/shared/search.ts`.
pub fn upload(machine: &mut Machine<'_>, inputs: &Inputs) -> Result<BTreeMap<String, String>, String> {
    beyond(inputs, &[("archive", "true")])?;
    let (overwrite, hidden) = (flag(inputs, "overwrite")?, flag(inputs, "include-hidden-files")?);
    if !matches!(inputs["compression-level"].parse(), Ok(0..=9)) {
        return Err("Invalid compression-level. Valid values are 0-9".to_owned());
    }
    let globs = Globs::new(&inputs["path"], &machine.workspace)?;
    let files = globs.files(hidden);
    if files.is_empty() {
        let path = &inputs["path"];
        let message =
            format!("No files were found with the provided path: {path}. No artifacts will be uploaded.");
        return match inputs["if-no-files-found"].as_str() {
            "error" => Err(message),
            "warn" => {
                machine.annotate("warning", &message);
                Ok(BTreeMap::new())
            }
            "ignore" => Ok(BTreeMap::new()),
            other => Err(format!("Unrecognized if-no-files-found input. Provided: {other}")),
        };
    }
    let name = &inputs["name"];
    if name.is_empty() {
        return Err("Provided artifact name input during validation is empty".to_owned());
    }
    if let Some(c) = name.chars().find(|c| IN_NO_PATH.contains(c) || matches!(c, '/' | '\\')) {
        return Err(format!("The artifact name is not valid: {name}. Contains the following character: {c}"));
    }
    let root = root(&globs.search_paths(), &files);
    let inside = |file: &PathBuf| {
        let inside = file
            .strip_prefix(&root)
            .map_err(|_| format!("{} is not in {}", file.display(), root.display()))?;
        let inside = inside.to_string_lossy().into_owned();
        match inside.chars().find(|c| IN_NO_PATH.contains(c)) {
            Some(c) => Err(format!(
                "The path for one of the files in artifact is not valid: /{inside}. Contains the following character: {c}"
            )),
            None => Ok((inside, file.clone())),
        }
    };
    let files: Vec<(String, PathBuf)> = files.iter().map(inside).collect::<Result<_, _>>()?;
    let attempt = machine.task.attempt;
    let most = attempt.world.settings.retention;
    let days = match inputs["retention-days"].as_str() {
        "" | "0" => most,
        text => text.parse::<u64>().map_err(|_| "Invalid retention-days".to_owned())?.min(most),
    };
    let upload = Upload { run: attempt.id, attempt: attempt.attempt, name, overwrite, days };
    let artifact = attempt.world.store.upload(&upload, &files)?;
    machine.log(&format!("Artifact {name} has been successfully uploaded: {} file(s)", files.len()));
    let url = format!(
        "https://github.com/{}/actions/runs/{}/artifacts/{}",
        attempt.world.settings.repository, attempt.id, artifact.id
    );
    Ok([
        ("artifact-id".to_owned(), artifact.id.to_string()),
        ("artifact-url".to_owned(), url),
        ("artifact-digest".to_owned(), artifact.digest),
    ]
    .into())
}

/// What paths in an artifact begin at: with several search paths, the least common ancestor of them.
fn root(searched: &[PathBuf], files: &[PathBuf]) -> PathBuf {
    if let ([path], [file]) = (searched, files)
        && path == file
    {
        return file.parent().map(Path::to_owned).unwrap_or_default();
    }
    let mut common = searched[0].clone();
    while !searched.iter().all(|path| path.starts_with(&common)) {
        common.pop();
    }
    common
}

/// `src/download-artifact.ts`.
pub fn download(machine: &mut Machine<'_>, inputs: &Inputs) -> Result<BTreeMap<String, String>, String> {
    let run = machine.task.attempt.id.to_string();
    let settings = &machine.task.attempt.world.settings;
    beyond(
        inputs,
        &[
            ("artifact-ids", ""),
            ("github-token", ""),
            ("repository", &settings.repository),
            ("run-id", &run),
            ("skip-decompress", "false"),
            ("digest-mismatch", "error"),
        ],
    )?;
    let merge = flag(inputs, "merge-multiple")?;
    let mut all: Vec<Artifact> = machine.task.attempt.world.store.list(machine.task.attempt.id);
    let (name, pattern) = (&inputs["name"], &inputs["pattern"]);
    if !name.is_empty() {
        all.retain(|artifact| artifact.name == *name);
        if all.is_empty() {
            return Err(format!("Unable to download artifact(s): Artifact not found for name: {name}"));
        }
    } else if !pattern.is_empty() {
        let mut matching = Vec::new();
        for artifact in all {
            if name_matches(pattern, &artifact.name)? {
                matching.push(artifact);
            }
        }
        all = matching;
    }
    let to = machine.workspace.join(inputs["path"].trim_start_matches("./"));
    // One that matches is unpacked as if it was asked for by name.
    let flat = !name.is_empty() || merge || all.len() == 1;
    if flat && name.is_empty() && !merge {
        let text = format!(
            "{}: pattern {pattern:?} matches one artifact, which lands in the path itself",
            machine.task.name
        );
        machine.task.attempt.recorder.change(|report| report.warnings.push(text));
    }
    let mut seen: BTreeMap<PathBuf, String> = BTreeMap::new();
    for artifact in &all {
        let folder = if flat { to.clone() } else { to.join(&artifact.name) };
        for file in files(&artifact.folder) {
            let target = folder.join(file.strip_prefix(&artifact.folder).unwrap());
            if let Some(other) = seen.insert(target.clone(), artifact.name.clone()) {
                let text = format!(
                    "{} comes from both {other} and {}: one of them stays",
                    target.display(),
                    artifact.name
                );
                machine.task.attempt.recorder.change(|report| report.warnings.push(text));
            }
            // Modes are not kept.
            let write = || {
                fs::create_dir_all(target.parent().unwrap())?;
                let _ = fs::remove_file(&target);
                fs::write(&target, fs::read(&file)?)
            };
            write()
                .map_err(|error| format!("Unable to download artifact(s): {}: {error}", target.display()))?;
        }
    }
    machine.log(&format!("Total of {} artifact(s) downloaded", all.len()));
    Ok([("download-path".to_owned(), to.display().to_string())].into())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}
