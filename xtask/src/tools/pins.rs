//! Which version of a tool is ours: the `go.mod` of its module is the one place that states it.

use anyhow::{Context as _, Result};
use semver::{BuildMetadata, Version};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use crate::base::context::Layout;
use crate::base::error::UserError;
use crate::tools::carried;
use crate::tools::catalog::{OURS, Tool};

/// The files of a module: their names, and what they hold.
type Files = Vec<(String, Cow<'static, [u8]>)>;

impl Tool {
    /// The version that its `go.mod` pins, with a hash of the sources beside it if they are ours.
    ///
    /// # Errors
    /// If that file cannot be read or does not require the module.
    pub fn pinned(self, layout: &Layout) -> Result<Version> {
        let spec = self.spec();
        let files = self.files(layout)?;
        let go_mod = files.iter().find(|(name, _)| name == "go.mod").map(|(_, bytes)| bytes.as_ref());
        let go_mod = String::from_utf8_lossy(go_mod.unwrap_or_default());
        let mut version = required_version(&go_mod, spec.module).ok_or_else(|| {
            UserError::failed(format!("the go.mod of {} does not require {}", spec.folder, spec.module))
        })?;
        if spec.package == OURS {
            version.build = hash(&files)?;
        }
        Ok(version)
    }

    /// A hash of the files of its module and of what else makes its binary another one.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn hash_with(self, layout: &Layout, more: &[&str]) -> Result<BuildMetadata> {
        let mut files = self.files(layout)?;
        files.extend(more.iter().map(|text| (String::new(), Cow::Owned(text.as_bytes().to_owned()))));
        hash(&files)
    }

    /// The folder of its module. What this program carries is written there first.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn module(self, layout: &Layout) -> Result<PathBuf> {
        let Some(carried) = self.carried() else { return Ok(self.beside(layout)) };
        let folder =
            layout.tools().join(format!("modules/{}-{}", self.spec().folder, hash(&self.files(layout)?)?));
        carried::unpack(carried, &folder)?;
        Ok(folder)
    }

    /// Whether its module can be had here.
    pub(super) fn has_module(self, layout: &Layout) -> bool {
        self.carried().is_some() || self.beside(layout).join("go.mod").is_file()
    }

    /// Where the module of a tool is that is not carried: in the checkout of this project.
    fn beside(self, layout: &Layout) -> PathBuf {
        layout.tool_modules().join(self.spec().folder)
    }

    fn files(self, layout: &Layout) -> Result<Files> {
        match self.carried() {
            Some(carried) => Ok(carried
                .iter()
                .map(|(name, text)| ((*name).to_owned(), Cow::Borrowed(text.as_bytes())))
                .collect()),
            None => read(&self.beside(layout))
                .with_context(|| format!("reading the pinned version of {}", self.binary())),
        }
    }
}

/// The files of a folder, sorted by name.
fn read(folder: &Path) -> Result<Files> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let file = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, Cow::Owned(fs::read(path)?)))
    };
    paths.iter().filter(|path| path.is_file()).map(file).collect()
}

/// A short hash over the files of a module.
fn hash(files: &Files) -> Result<BuildMetadata> {
    let mut hash = Sha256::new();
    for (name, bytes) in files {
        // With lengths, so that no two folders look alike.
        for part in [name.as_bytes(), bytes.as_ref()] {
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
        let with = |name: &str, text: &str| {
            fs::write(folder.join(name), text).unwrap();
            hash(&read(&folder).unwrap()).unwrap()
        };
        let [one, same] = [with("a.go", "x"), with("a.go", "x")];
        let [two, three] = [with("a.go", "y"), with("b.go", "")];
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
