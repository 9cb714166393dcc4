//! The modules of the tools that any user may need. They travel inside the program: a repository that depends on this
//! crate has no `tools/` of its own, and a job that was handed the program has not even the crate.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

use crate::base::files;

/// A file of a module: its name, and what it holds.
pub(super) type File = (&'static str, &'static str);

/// The files of `xtask/tools/NAME`.
macro_rules! module {
    ($folder:literal: $($file:literal),+) => {
        &[$(($file, include_str!(concat!("../../tools/", $folder, "/", $file)))),+]
    };
}

pub(super) const BUILDX: &[File] = module!("buildx": "go.mod", "go.sum");
pub(super) const BUILDKIT: &[File] = module!("buildkit": "go.mod", "go.sum");
pub(super) const COSIGN: &[File] = module!("cosign": "go.mod", "go.sum");
pub(super) const REGISTRY: &[File] = module!("registry": "go.mod", "go.sum", "main.go");
pub(super) const SBOM_SCANNER: &[File] = module!("sbom-scanner": "Dockerfile", "go.mod", "go.sum", "main.go");

/// Writes a module into a folder, where Go can build it.
///
/// # Errors
/// If it cannot be written.
pub(super) fn unpack(module: &[File], folder: &Path) -> Result<()> {
    for (name, text) in module {
        let path = folder.join(name);
        // What is there is what would be written: the folder bears a hash of it. A file that was changed by hand is not.
        if files::read_optional(&path)?.is_none_or(|bytes| bytes != text.as_bytes()) {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
            files::write_atomic(&path, text.as_bytes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_module_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
        let carried = [
            ("buildx", BUILDX),
            ("buildkit", BUILDKIT),
            ("cosign", COSIGN),
            ("registry", REGISTRY),
            ("sbom-scanner", SBOM_SCANNER),
        ];
        assert_eq!(fs::read_dir(&root).unwrap().count(), carried.len());
        for (folder, files) in carried {
            let mut names: Vec<String> = fs::read_dir(root.join(folder))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(names, files.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{folder}");
        }
    }

    #[test]
    fn what_was_changed_by_hand_is_written_again() {
        let folder = std::env::temp_dir().join(format!("xtask-carried-{}", std::process::id()));
        unpack(REGISTRY, &folder).unwrap();
        fs::write(folder.join("go.mod"), "module other\n").unwrap();
        unpack(REGISTRY, &folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("go.mod")).unwrap(), REGISTRY[0].1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
