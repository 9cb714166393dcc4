//! Which version of a tool is ours: `tools/<name>/go.mod` is the one place that states it.

use anyhow::{Context as _, Result};
use semver::{BuildMetadata, Version};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

use crate::base::context::Layout;
use crate::base::error::UserError;
use crate::tools::catalog::{OURS, Tool};

impl Tool {
    /// The version that `tools/<name>/go.mod` pins, with a hash of the sources there if they are ours.
    ///
    /// # Errors
    /// If that file is missing or does not require the module.
    pub fn pinned(self, layout: &Layout) -> Result<Version> {
        let spec = self.spec();
        let folder = self.module(layout);
        let reading = || format!("reading the pinned version of {}", spec.binary);
        let path = folder.join("go.mod");
        let text = fs::read_to_string(&path).with_context(reading)?;
        let mut version = required_version(&text, spec.module).ok_or_else(|| {
            UserError::failed(format!("{} does not require {}", path.display(), spec.module))
        })?;
        if spec.package == OURS {
            version.build = sources(&folder).with_context(reading)?;
        }
        Ok(version)
    }
}

/// A short hash over the files of a folder.
fn sources(folder: &Path) -> Result<BuildMetadata> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files.iter().filter(|file| file.is_file()) {
        let bytes = fs::read(file)?;
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        // With lengths, so that no two folders look alike.
        for part in [name, &bytes] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    let hex: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(BuildMetadata::new(&hex)?)
}

/// The version that a `go.mod` requires of a module.
fn required_version(go_mod: &str, module: &str) -> Option<Version> {
    let words = go_mod.lines().map(|line| line.trim().trim_start_matches("require ").split_whitespace());
    let version =
        words.filter_map(|mut words| (words.next()? == module).then(|| words.next()).flatten()).next()?;
    Version::parse(version.trim_start_matches('v')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_pinned_at_or_above_its_minimum() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let layout = Layout::without_matrix(&root);
        for tool in Tool::ALL {
            assert!(tool.pinned(&layout).unwrap() >= tool.minimum(), "{tool:?}");
        }
    }

    #[test]
    fn a_change_of_our_sources_is_another_version() {
        let folder = std::env::temp_dir().join(format!("xtask-sources-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let hash = |name: &str, text: &str| {
            fs::write(folder.join(name), text).unwrap();
            sources(&folder).unwrap()
        };
        let [one, same] = [hash("a.go", "x"), hash("a.go", "x")];
        let [two, three] = [hash("a.go", "y"), hash("b.go", "")];
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(one, same);
        assert!(one != two && two != three, "{one} {two} {three}");
    }

    #[test]
    fn a_pin_is_read_from_a_block_or_a_line() {
        assert_eq!(required_version("require a/b v1.2.3\n", "a/b"), Some(Version::new(1, 2, 3)));
        assert_eq!(
            required_version("require (\n\ta/c v0.1.0\n\ta/b v1.2.3 // indirect\n)\n", "a/b"),
            Some(Version::new(1, 2, 3))
        );
        assert_eq!(required_version("tool a/b\n", "a/b"), None);
    }
}
