//! Artifacts.

use super::bench::{Bench, steps};
use crate::model::Outcome;

/// Uploads these lines of `path`, and gives the files of the artifact.
fn uploaded(path: &str, more: &str) -> Vec<String> {
    let lines: String = path.lines().map(|line| format!("            {line}\n")).collect();
    let bench = Bench::new(&format!(
        "on: push
jobs:
  job:
    runs-on: x
    steps:
      - run: |
          mkdir -p a/b/c a/.hidden other && touch a/1 a/b/2 a/b/c/3 a/.hidden/4 a/.dot other/5 single
          chmod +x a/1 && mkdir a/empty && ln -s ../single a/link
      - uses: UPLOAD
        with:
          name: files
          path: |
{lines}{more}
"
    ));
    let service = bench.service();
    let run = bench.start(&service);
    let report = run.wait();
    assert_eq!(report.conclusion, Outcome::Success, "{}", report.all());
    let mut found = Vec::new();
    for artifact in service.artifacts(&run) {
        let mut open = vec![artifact.folder.clone()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push(path.strip_prefix(&artifact.folder).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
    }
    found.sort();
    found
}

/// `src/shared/search.ts` of actions/upload-artifact and `packages/glob` of actions/toolkit: the least common ancestor of
/// the search paths, `!`, hidden files.
#[test]
fn paths_in_an_artifact_begin_where_the_search_did() {
    assert_eq!(uploaded("a", ""), ["1", "b/2", "b/c/3", "link"]);
    assert_eq!(uploaded("a/b/2", ""), ["2"]);
    assert_eq!(uploaded("a/b/\nother", ""), ["a/b/2", "a/b/c/3", "other/5"]);
    assert_eq!(uploaded("a/1\na/b/2", ""), ["1", "b/2"]);
    assert_eq!(uploaded("a\n!a/b", ""), ["1", "link"]);
    assert_eq!(uploaded("a\n!a/b\na/b/c", ""), ["1", "b/c/3", "link"]);
    assert_eq!(uploaded("a/**/3", ""), ["b/c/3"]);
    assert_eq!(uploaded("a/*\n!**/link", ""), ["1", "b/2", "b/c/3"]);
    assert_eq!(uploaded("a/?\nsin*", ""), ["a/1", "a/b/2", "a/b/c/3", "single"]);
    assert_eq!(uploaded("a/b/[0-9]", ""), ["2"]);
    assert_eq!(uploaded("a/.hidden", ""), [""; 0]);
    assert_eq!(uploaded("a", "          include-hidden-files: true\n").len(), 6);
}

/// `action.yml` and `src/upload` of the action.
#[test]
fn uploads_are_refused_as_the_action_does() {
    let upload = |with: &str| {
        steps(&format!("      - run: touch a\n      - {{ uses: UPLOAD, with: {{ {with} }} }}\n"))
    };
    for (with, words) in [
        ("name: 'a/b', path: a", "The artifact name is not valid: a/b. Contains the following character: /"),
        ("name: 'a:b', path: a", "Contains the following character: :"),
        ("name: '', path: a", "artifact name input during validation is empty"),
        ("name: a", "Input required and not supplied: path"),
        ("name: a, path: ../a", "Relative pathing '.' and '..' is not allowed"),
        (
            "name: a, path: none, if-no-files-found: error",
            "No files were found with the provided path: none.",
        ),
        ("name: a, path: a, overwrite: 'yes'", "YAML 1.2 \"Core Schema\" specification: overwrite"),
        ("name: a, path: a, retention: 3", "Unexpected input(s) 'retention'"),
    ] {
        let report = upload(with);
        assert!(report.has_error(words) && report.conclusion == Outcome::Failure, "{with}: {}", report.all());
    }
    let report = upload("name: a, path: none").ok();
    assert!(
        report
            .annotations
            .iter()
            .any(|one| one.level == "warning" && one.message.contains("No files were found"))
    );
    let report = steps("      - run: touch a:b\n      - { uses: UPLOAD, with: { path: 'a*' } }\n");
    assert!(
        report.has_error("The path for one of the files in artifact is not valid: /a:b"),
        "{}",
        report.all()
    );
    let twice = |more: &str| {
        steps(&format!(
            "      - run: touch a b\n      - {{ uses: UPLOAD, with: {{ path: a }} }}\n      - {{ uses: UPLOAD, with: {{ path: b{more} }} }}\n"
        ))
    };
    assert!(
        twice("").has_error("(409) Conflict: an artifact with this name already exists on the workflow run")
    );
    twice(", overwrite: true").ok();
}

/// `src/download-artifact.ts`: by name or by pattern; one that matches lands in the path itself.
#[test]
fn downloads_land_where_the_action_puts_them() {
    let report = steps(
        "      - run: mkdir 1 2 && echo one >1/x && echo two >2/y && chmod +x 1/x
      - { uses: UPLOAD, with: { name: r@a, path: 1 } }
      - { uses: UPLOAD, with: { name: r@a-b, path: 2 } }
      - { uses: UPLOAD, with: { name: '{odd}', path: 2 } }
      - { uses: DOWNLOAD, with: { name: r@a, path: by-name }, id: named }
      - run: test -f by-name/x -a ! -x by-name/x && test '${{ steps.named.outputs.download-path }}' = \"$PWD/by-name\"
      - { uses: DOWNLOAD, with: { pattern: 'r@*', path: several } }
      - run: test -f several/r@a/x -a -f several/r@a-b/y
      - { uses: DOWNLOAD, with: { pattern: 'r@*', path: merged, merge-multiple: true } }
      - run: test -f merged/x -a -f merged/y
      - { uses: DOWNLOAD, with: { pattern: 'r@a-*', path: one } }
      - run: test -f one/y
      - { uses: DOWNLOAD, with: { pattern: '{r@a,nothing}', path: braces } }
      - run: test -f braces/x
      - { uses: DOWNLOAD, with: { pattern: '{odd}', path: literal } }
      - run: test -f literal/y
      - { uses: DOWNLOAD, with: { pattern: 'none*', path: empty } }
      - run: test ! -e empty
      - { uses: DOWNLOAD, with: { path: all } }
      - run: test -f all/r@a/x -a -f 'all/{odd}/y'
      - { uses: DOWNLOAD, with: { name: missing }, continue-on-error: true }
",
    )
    .ok();
    assert!(
        report.has_error("Unable to download artifact(s): Artifact not found for name: missing"),
        "{}",
        report.all()
    );
    assert_eq!(report.warnings.iter().filter(|text| text.contains("lands in the path itself")).count(), 3);
}

/// `retention-days` of upload-artifact; an artifact that was deleted or has expired is not found.
#[test]
fn artifacts_do_not_last() {
    let bench = Bench::new(
        "on: push
jobs:
  one:
    runs-on: x
    steps:
      - run: touch a
      - { uses: UPLOAD, with: { name: day, path: a, retention-days: 1 } }
      - { uses: UPLOAD, with: { name: month, path: a, retention-days: 30 } }
      - { uses: UPLOAD, with: { name: long, path: a } }
  two:
    needs: one
    runs-on: x
    steps: [{ uses: DOWNLOAD, with: { name: day } }]
",
    );
    let service = bench.service();
    let run = bench.start(&service);
    run.wait().ok();
    let names = || service.artifacts(&run).into_iter().map(|artifact| artifact.name).collect::<Vec<_>>();
    assert_eq!(names(), ["day", "long", "month"]);
    service.advance(1);
    assert_eq!(names(), ["long", "month"]);
    service.advance(30);
    assert_eq!(names(), ["long"]);
    service.expire(&run, "long");
    assert_eq!(names(), [""; 0]);
}
