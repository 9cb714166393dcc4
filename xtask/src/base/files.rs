//! Files that are either whole or not there.

use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// The largest JSON file that we read: plans and records are far smaller.
const READ_LIMIT: u64 = 64 << 20;

/// Writes a file by way of a temporary one beside it: a reader, a full disk or
/// a killed process never leaves half of it behind.
///
/// # Errors
/// If the folder or the file cannot be written; what was there before stays.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(|| format!("writing {}", path.display()))
}

/// [`write_atomic`] of a value as indented JSON with a final newline.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write_atomic(path, text.as_bytes())
}

/// Reads a file of bounded size. `None` if there is none.
///
/// # Errors
/// If it exists and cannot be read, is no regular file (a pipe may never end), or is larger than any file of ours.
pub fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    let reading = || format!("reading {}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(reading),
        Ok(found) => anyhow::ensure!(found.is_file(), "{}: it is no regular file", reading()),
    }
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(reading)?;
    file.take(READ_LIMIT + 1).read_to_end(&mut bytes).with_context(reading)?;
    let length = bytes.len() as u64;
    anyhow::ensure!(length <= READ_LIMIT, "{}: it is larger than the limit of {READ_LIMIT} bytes", reading());
    Ok(Some(bytes))
}

/// The end of a text file, from the start of a line: `bytes` of it at most.
///
/// # Errors
/// If it cannot be read.
pub fn end(path: &Path, bytes: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let left_out = file.metadata()?.len().saturating_sub(bytes);
    file.seek(SeekFrom::Start(left_out))?;
    let mut found = Vec::new();
    file.take(bytes).read_to_end(&mut found)?;
    let text = String::from_utf8_lossy(&found).into_owned();
    // The end of a line is more than nothing.
    let first = text.find('\n').map(|at| at + 1).filter(|at| left_out > 0 && *at < text.len()).unwrap_or(0);
    Ok(text.get(first..).unwrap_or_default().to_owned())
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("xtask-files-{}", std::process::id()));
        let path = folder.join("record.json");
        write_atomic(&path, b"old").unwrap();
        // A folder in the place of the target makes the rename fail.
        let blocked = folder.join("blocked");
        fs::create_dir_all(blocked.join("x")).unwrap();
        assert!(write_atomic(&blocked, b"new").is_err());
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["blocked", "record.json"]);
        assert_eq!(read_optional(&path).unwrap().unwrap(), b"old");
        assert!(read_optional(&folder.join("none")).unwrap().is_none());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_end_of_a_long_file_is_read_alone() {
        let path = std::env::temp_dir().join(format!("xtask-end-{}", std::process::id()));
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        for (bytes, expected) in
            [(0, ""), (4, "ree\n"), (6, "three\n"), (8, "three\n"), (100, "one\ntwo\nthree\n")]
        {
            assert_eq!(end(&path, bytes).unwrap(), expected, "{bytes}");
        }
        fs::remove_file(&path).unwrap();
    }
}
