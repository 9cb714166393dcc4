//! Files that are to be written: shown as a diff first, then written.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

use crate::argv::{Argv, Program};
use crate::base::error::UserError;
use crate::base::files;
use crate::run::{Output, Runner};
use crate::scaffold::scratch::Scratch;

/// A file, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Relative to the repository.
    pub path: String,
    /// What it holds; none: there is no such file.
    pub before: Option<String>,
    /// What it is to hold.
    pub after: String,
}

impl Change {
    /// Whether it holds that already.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.before.as_deref() == Some(self.after.as_str())
    }
}

/// Reads a text file of a repository.
///
/// # Errors
/// If it is there and cannot be read, or is not UTF-8.
pub fn read(root: &Path, path: &str) -> Result<Option<String>> {
    let Some(bytes) = files::read_optional(&root.join(path))? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).with_context(|| format!("reading {path}: it is not UTF-8 text"))
}

/// Writes the files that do not hold it already, all or, where a place is not as expected, none.
///
/// # Errors
/// If a file would be written through a link, or to where something else is than a file; if one cannot be written.
pub fn write(root: &Path, changes: &[Change]) -> Result<()> {
    for change in changes.iter().filter(|change| !change.is_done()) {
        is_plain(root, &change.path)?;
    }
    for change in changes.iter().filter(|change| !change.is_done()) {
        files::write_atomic(&root.join(&change.path), change.after.as_bytes())?;
    }
    Ok(())
}

/// Whether nothing on the way to a file is a link, which could lead out of the repository.
fn is_plain(root: &Path, path: &str) -> Result<()> {
    let mut place = root.to_owned();
    for part in path.split('/') {
        place.push(part);
        let Ok(found) = fs::symlink_metadata(&place) else { return Ok(()) };
        if found.is_symlink() {
            return Err(UserError::failed(format!("write {path}: {} is a symbolic link", place.display()))
                .help(
                    "nothing was written; put a folder or a file of its own there, or write the file by hand",
                )
                .into());
        }
    }
    Ok(())
}

/// The changes in the form of `git diff`, which `git apply -p1` understands.
///
/// # Errors
/// If git fails, or if no temporary file can be written.
pub fn diff(changes: &[Change], colour: bool, runner: &Runner) -> Result<String> {
    let scratch = Scratch::new()?;
    for change in changes {
        let sides = [("a", change.before.as_ref()), ("b", Some(&change.after))];
        for (side, text) in sides {
            fs::create_dir_all(scratch.path().join(side))?;
            if let Some(text) = text {
                files::write_atomic(&scratch.path().join(side).join(&change.path), text.as_bytes())?;
            }
        }
    }
    if changes.is_empty() {
        return Ok(String::new());
    }
    let colour = if colour { "--color=always" } else { "--color=never" };
    let argv = Argv::new("show what would change", &Program::new("git"))
        // Whatever the user's configuration says of prefixes, pagers and programs that show differences.
        .args([
            "--no-pager",
            "diff",
            "--no-index",
            "--no-ext-diff",
            "--no-prefix",
            "--no-renames",
            colour,
            "a",
            "b",
        ])
        .folder(scratch.path())
        .limit(60);
    let shown = runner.run(&argv, Output::Capture)?;
    match shown.code {
        // 1: they differ.
        Some(0 | 1) => Ok(String::from_utf8_lossy(&shown.stdout).trim_end().to_owned()),
        _ => Err(shown.fault(&argv).into()),
    }
}

/// A text with the changes that lead from `base` to `theirs` applied to `ours`, and how many places could not be decided:
/// these are between conflict markers.
///
/// # Errors
/// If git fails, or if no temporary file can be written. Source: git-merge-file(1).
pub fn merge(base: &str, ours: &str, theirs: &str, runner: &Runner) -> Result<(String, i32)> {
    let scratch = Scratch::new()?;
    for (name, text) in [("base", base), ("ours", ours), ("theirs", theirs)] {
        files::write_atomic(&scratch.path().join(name), text.as_bytes())?;
    }
    let labels = ["-L", "your changes", "-L", "as it was written", "-L", "the new version"];
    let argv = Argv::new("merge your changes with the new version", &Program::new("git"))
        .args(["merge-file", "--stdout", "--diff3"])
        .args(labels)
        .args(["ours", "base", "theirs"])
        .folder(scratch.path())
        .limit(60);
    let merged = runner.run(&argv, Output::Capture)?;
    match merged.code {
        Some(conflicts @ 0..=127) => Ok((String::from_utf8_lossy(&merged.stdout).into_owned(), conflicts)),
        _ => Err(merged.fault(&argv).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Signals;

    fn change(path: &str, before: Option<&str>, after: &str) -> Change {
        Change { path: path.to_owned(), before: before.map(str::to_owned), after: after.to_owned() }
    }

    #[test]
    fn a_diff_can_be_applied() {
        let runner = Runner::new(Signals::default());
        let changes = [
            change("a/new", None, "one\n"),
            change("same", Some("x\n"), "x\n"),
            change("old", Some("1\n"), "2\n"),
        ];
        let text = diff(&changes, false, &runner).unwrap();
        expect_test::expect![[r#"
            diff --git b/a/new b/a/new
            new file mode 100644
            index 0000000..5626abf
            --- /dev/null
            +++ b/a/new
            @@ -0,0 +1 @@
            +one
            diff --git a/old b/old
            index d00491f..0cfbf08 100644
            --- a/old
            +++ b/old
            @@ -1 +1 @@
            -1
            +2"#]]
        .assert_eq(&text);
        assert!(diff(&[], false, &runner).unwrap().is_empty());
        assert_eq!(changes.map(|change| change.is_done()), [false, true, false]);
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let scratch = Scratch::new().unwrap();
        let root = scratch.path().join("root");
        fs::create_dir_all(&root).unwrap();
        std::os::unix::fs::symlink("..", root.join("linked")).unwrap();
        let error =
            write(&root, &[change("plain", None, "x"), change("linked/file", None, "x")]).unwrap_err();
        assert!(format!("{error:#}").contains("linked is a symbolic link"), "{error:#}");
        assert!(!root.join("plain").exists() && !scratch.path().join("file").exists());
    }

    #[test]
    fn two_kinds_of_changes_are_merged() {
        let runner = Runner::new(Signals::default());
        let base = "a\nb\nc\nd\ne\n";
        let merged = |ours: &str, theirs: &str| merge(base, ours, theirs, &runner).unwrap();
        assert_eq!(merged("A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n"), ("A\nb\nc\nd\nE\n".to_owned(), 0));
        let (text, conflicts) = merged("a\nb\nX\nd\ne\n", "a\nb\nY\nd\ne\n");
        assert!(conflicts == 1 && text.contains("<<<<<<< your changes\nX\n"), "{text}");
    }
}
