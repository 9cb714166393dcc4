//! Step 1: exactly the records that the plan demands, or none at all.

use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::base::error::UserError;
use crate::base::files;
use crate::base::ids::Digest;
use crate::base::record::{self, DigestRecord};
use crate::base::record_hashes::RecordHashes;
use crate::plan::{Build, Cell, Plan};

/// Reads the records of a cell, one for each of its builds, in the order of their platforms. `expected`: what the jobs that
/// built them said about them.
///
/// # Errors
/// Missing, extra, damaged, foreign, unpushed or untested records: one error that lists them all.
pub fn read_all(
    folder: &Path,
    plan: &Plan,
    cell: &Cell,
    expected: Option<&RecordHashes>,
) -> Result<Vec<DigestRecord>> {
    let mut problems = extra(folder, cell);
    let mut records = Vec::new();
    for build in &cell.builds {
        let path = record::digest_path(folder, &cell.id, &build.arch);
        if let (Some(expected), Some(bytes)) = (expected, files::read_optional(&path)?) {
            let wrong = expected.disagreement(&cell.id, &build.arch, &bytes);
            problems.extend(wrong.map(|what| format!("{}: {what}", shown(&path))));
        }
        match record::read::<DigestRecord>(&path) {
            Ok(None) => problems.push(format!("{}: missing", shown(&path))),
            Err(error) => problems.push(format!("{}: {}", shown(&path), cause(&error))),
            Ok(Some(record)) => {
                problems.extend(
                    disagreements(&record, plan, cell, build)
                        .into_iter()
                        .map(|what| format!("{}: {what}", shown(&path))),
                );
                records.push(record);
            }
        }
    }
    problems.extend(other_files(cell, &records));
    if let Some(twice) = records
        .iter()
        .enumerate()
        .find(|(n, one)| records.iter().skip(n + 1).any(|two| two.digest == one.digest))
    {
        problems.push(format!("two architectures claim one digest, {}", twice.1.digest));
    }
    if problems.is_empty() {
        records.sort_by(|one, two| one.platform.cmp(&two.platform));
        return Ok(records);
    }
    let list: Vec<String> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    Err(UserError::invalid(format!(
        "merge {}: its records are not those of plan {}:{}",
        cell.id,
        plan.id.short(),
        list.concat()
    ))
    .help(format!(
        "build what is missing or stale with this plan: cargo xtask build --cell {} --arch ARCH",
        cell.id
    ))
    .into())
}

/// Files in the cell's folder that no build of the plan has written.
fn extra(folder: &Path, cell: &Cell) -> Vec<String> {
    let entries = fs::read_dir(folder.join(cell.id.as_str())).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let known = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A build that was killed may leave a temporary file, which nobody reads.
        name.starts_with('.') || cell.builds.iter().any(|build| name == format!("{}.json", build.arch))
    };
    paths
        .iter()
        .filter(|path| !known(path))
        .map(|path| format!("{}: the plan has no such build (remove the file)", shown(path)))
        .collect()
}

/// Where a record and the plan say different things.
fn disagreements(record: &DigestRecord, plan: &Plan, cell: &Cell, build: &Build) -> Vec<String> {
    let DigestRecord {
        schema: _,
        plan: of_plan,
        cell: of_cell,
        arch,
        platform,
        repositories,
        digest: _,
        media_type: _,
        version: _,
        commit,
        revision,
        bases: _,
        context: _,
        inputs: _,
        buildx: _,
        buildkit: _,
        started: _,
        finished: _,
        size: _,
        pushed,
        tested,
    } = record;
    let mut found = Vec::new();
    let mut differs = |what: &str, theirs: String, ours: String| {
        if theirs != ours {
            found.push(format!("its {what} is {theirs}, expected {ours}"));
        }
    };
    differs("plan", of_plan.short().to_owned(), plan.id.short().to_owned());
    differs("cell", of_cell.to_string(), cell.id.to_string());
    differs("arch", arch.to_string(), build.arch.to_string());
    differs("platform", platform.to_string(), build.platform.to_string());
    let text = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "none".to_owned());
    differs("commit", text(commit), text(&cell.commit));
    differs("revision", revision.clone(), plan.revision.clone());
    if *pushed {
        let list = |repositories: &[crate::base::ids::Repository]| {
            repositories.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        differs("repository", list(repositories), list(&cell.repositories));
    } else {
        found.push("it was built without being pushed".to_owned());
    }
    if build.test.is_some() && tested.is_none() {
        found.push("it was not tested".to_owned());
    }
    found
}

/// What the plan gives a build: a context, a Dockerfile, and further contexts by name.
type Given<'p> = (&'p str, &'p str, Vec<(&'p str, &'p str)>);

/// Builds that the plan gives the same and that got different files.
fn other_files(cell: &Cell, records: &[DigestRecord]) -> Vec<String> {
    let got = records.iter().filter_map(|record| {
        let build = cell.build(&record.arch)?;
        let named = build.contexts.iter().map(|named| (named.name.as_str(), named.source.as_str()));
        let given = (build.context.as_str(), build.dockerfile.as_str(), named.collect());
        Some((given, record.context.as_ref()?, record.arch.as_str()))
    });
    disagreeing(got)
}

fn disagreeing<'p>(got: impl Iterator<Item = (Given<'p>, &'p Digest, &'p str)>) -> Vec<String> {
    let mut found: BTreeMap<Given<'_>, BTreeMap<&Digest, Vec<&str>>> = BTreeMap::new();
    for (given, hash, arch) in got {
        found.entry(given).or_default().entry(hash).or_default().push(arch);
    }
    let differ = |((context, ..), by_hash): (Given<'_>, BTreeMap<&Digest, Vec<&str>>)| {
        let mut groups: Vec<String> = by_hash.values().map(|arches| arches.join(", ")).collect();
        groups.sort();
        (groups.len() > 1).then(|| {
            format!(
                "{} got different files from the context `{context}`: they were changed between the builds, or one machine has others than another (build all of them from one state)",
                groups.join(" and ")
            )
        })
    };
    found.into_iter().filter_map(differ).collect()
}

/// The record's place below the digests folder: the rest of the path is known to who typed it.
fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// What is wrong with a file, without its path.
fn cause(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.split_once(" is damaged: ").map_or(text.clone(), |(_, why)| format!("damaged ({why})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_that_are_given_the_same_have_to_get_the_same() {
        let [one, two] = [Digest::of(b"one"), Digest::of(b"two")];
        let given = |dockerfile| ("app", dockerfile, vec![("lib", "lib")]);
        let told = |rows: &[(Given<'static>, &Digest, &'static str)]| {
            disagreeing(rows.iter().map(|(given, hash, arch)| (given.clone(), *hash, *arch)))
        };
        let same = [(given("Dockerfile"), &one, "amd64"), (given("Dockerfile"), &one, "arm64")];
        assert!(told(&same).is_empty() && told(&[]).is_empty());
        // Another Dockerfile for one of them is what the plan wants.
        let per_arch = [(given("Dockerfile"), &one, "amd64"), (given("Dockerfile.arm64"), &two, "arm64")];
        assert!(told(&per_arch).is_empty());
        let [amd64, arm64] = same;
        let found = told(&[amd64, arm64, (given("Dockerfile"), &two, "armv7")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("amd64, arm64 and armv7 got different files from the context `app`"));
    }
}
