//! `matrix.toml`: what is refused, in which words; and that nothing of it panics.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic too")]

use expect_test::expect_file;
use std::fs;
use std::path::{Path, PathBuf};
use xtask::error::{Exit, exit_code, report};
use xtask::matrix::{self, Source, cells::cells};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn good() -> String {
    fs::read_to_string(folder().join("good.toml")).unwrap()
}

fn parse(text: &str) -> anyhow::Result<matrix::Matrix> {
    matrix::parse(Source { name: "matrix.toml".into(), text: text.into() })
}

/// Every file of `bad/` against the text beside it. `UPDATE_EXPECT=1` writes those.
#[test]
fn bad_files_are_refused_in_these_words() {
    let entries = fs::read_dir(folder().join("bad")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    paths.sort();
    assert!(paths.len() >= 45, "{}", paths.len());
    for path in paths {
        let Err(error) = matrix::load(&path) else { panic!("{} is accepted", path.display()) };
        assert_eq!(exit_code(&error), Exit::Invalid);
        expect_file![path.with_extension("txt")].assert_eq(&(report(&error) + "\n"));
    }
}

#[test]
fn the_good_file_has_these_cells() {
    let matrix = parse(&good()).unwrap();
    let (kept, excluded) = cells(&matrix);
    let found: Vec<String> = kept.iter().map(|cell| format!("{} {}", cell.wave, cell.id)).collect();
    assert_eq!(found, ["0 base", "1 app.tag.pinned", "1 app.edge.pinned", "1 app.edge.rolling"]);
    assert!(kept[1..].iter().all(|cell| cell.needs == [("base".parse().unwrap(), "base".parse().unwrap())]));
    assert_eq!(excluded.len(), 1);
    assert_eq!(
        (excluded[0].id.as_str(), excluded[0].reason),
        ("app.tag.rolling", "an advisory covers every version")
    );
}

/// Cut off anywhere, or with one byte replaced: an error or a matrix, never a panic.
#[test]
fn damaged_files_do_not_panic() {
    let text = good();
    for end in 0..text.len() {
        let _ = parse(&text[..end]);
    }
    for place in 0..text.len() {
        for byte in [b'"', b'{', b'}', b'[', b'\n', b'=', b'.', b'9'] {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = byte;
            let _ = parse(&String::from_utf8(bytes).unwrap());
        }
    }
}
