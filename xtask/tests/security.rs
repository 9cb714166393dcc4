//! `docs/security.md` claims nothing that no test shows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All sources and tests.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The last column of the table names a function, a scenario or a file for every row.
#[test]
fn every_claim_names_a_test_that_there_is() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 4).collect();
    assert!(rows.len() > 20, "the table is gone");
    let mut all = String::new();
    sources(&root().join("xtask/src"), &mut all);
    sources(&root().join("xtask/tests"), &mut all);
    for row in rows.iter().skip(2) {
        let shown = row.trim_end_matches('|').rsplit(" | ").next().unwrap();
        let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || shown.contains("the same"), "nothing shows: {row}");
        for name in names {
            let file = [format!("xtask/src/{name}"), name.to_owned()];
            let there = all.contains(&format!("fn {name}("))
                || all.contains(&format!("(\"{name}\","))
                || file.iter().any(|file| name.ends_with(".rs") && root().join(file).is_file());
            assert!(there, "there is no `{name}`: {row}");
        }
    }
}
