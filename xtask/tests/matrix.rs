//! `matrix.toml`: what is refused, in which words; and that nothing of it panics.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic too")]

use expect_test::expect_file;
use std::fs;
use std::path::{Path, PathBuf};
use xtask_images::base::error::{Exit, exit_code, report};
use xtask_images::matrix::{self, Source, cells::cells};

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
    assert!(paths.len() >= 60, "{}", paths.len());
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
    // With characters of two to four bytes, and deeper than any parser should follow.
    let accents = good().replace("an advisory", "ä€😀").replace('\n', "\r\n");
    for (end, _) in accents.char_indices() {
        let _ = parse(&accents[..end]);
    }
    let _ = parse(&format!("a = {}", "[".repeat(100_000)));
    let text = good();
    for place in 0..text.len() {
        for byte in [b'"', b'{', b'}', b'[', b'\n', b'=', b'.', b'9'] {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = byte;
            let _ = parse(&String::from_utf8(bytes).unwrap());
        }
    }
}

/// A suffix may be empty, and `[sign]` without a method is keyless.
#[test]
fn what_is_the_default_may_be_written() {
    let text = good()
        .replace("[composer.pinned]", "[composer.pinned]\nsuffix = \"\"")
        .replace("[platforms]", "[sign]\nissuer = \"https://x\"\n\n[platforms]");
    let matrix = parse(&text).unwrap();
    assert_eq!(matrix.composers[0].suffix, "");
    assert!(matches!(
        matrix.sign,
        matrix::SignSection::Keyless {
            issuer: Some(_),
            identity: None,
            workflow: None,
            repository: None,
            sigstore: None
        }
    ));
}

/// Each image needs the two before it: the number of ways doubles with each, the work must not.
#[test]
fn a_lattice_of_needs_is_planned_at_once() {
    let mut text = good();
    for i in 0..200 {
        let needs: Vec<String> =
            (1..=2).filter(|back| *back <= i).map(|back| format!("\"i{}\"", i - back)).collect();
        text += &format!("\n[images.i{i}]\ncontext = \"i\"\nref = {{ value = \"1\" }}\ntags = [\"x\"]\n");
        text += &format!("composer = []\nneeds = [{}]\n", needs.join(", "));
    }
    let matrix = parse(&text).unwrap();
    assert_eq!(cells(&matrix).0.iter().map(|cell| cell.wave).max(), Some(199));
}

#[test]
fn no_file_and_no_text_are_refused() {
    let missing = matrix::load(Path::new("/nonexistent/matrix.toml")).unwrap_err();
    assert_eq!(exit_code(&missing), Exit::Invalid);
    let path = std::env::temp_dir().join(format!("xtask-matrix-{}.toml", std::process::id()));
    fs::write(&path, b"version = 1\n# \xff").unwrap();
    let error = report(&matrix::load(&path).unwrap_err());
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    let large = report(&matrix::load(&path).unwrap_err());
    fs::remove_file(&path).unwrap();
    assert!(error.contains("line 2, column 3 is no UTF-8 text"), "{error}");
    assert!(large.contains("larger than the limit"), "{large}");
}
