//! Under which path each context is sent.
//!
//! BuildKit tells contexts apart by the last part of their path: two that share it, and hold a file of the same name,
//! size and time, get each other's file (<https://github.com/moby/buildkit/issues/4950>, open). Where that can happen a
//! context is sent through a link that bears a name of its own.

use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::base::ids::Digest;
use crate::plan::Plan;

/// The local contexts of a plan, by their path relative to the root: where to send each from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contexts {
    root: PathBuf,
    links: BTreeMap<String, PathBuf>,
}

impl Contexts {
    /// Finds those that need a link, which lies in `folder`.
    pub(crate) fn of(plan: &Plan, root: &Path, folder: &Path) -> Self {
        let builds = || plan.cells.iter().flat_map(|cell| &cell.builds);
        let named = builds().flat_map(|build| &build.contexts).filter(|context| context.local);
        let paths: BTreeSet<&str> = builds()
            .map(|build| build.context.as_str())
            .chain(named.map(|context| context.source.as_str()))
            .collect();
        let last = |path: &str| clean(root, path).file_name().map(OsStr::to_owned);
        let shared = |path: &&str| {
            let same = |other: &&str| last(other) == last(path) && clean(root, other) != clean(root, path);
            paths.iter().any(same)
        };
        let link = |path: &str| {
            let whole = clean(root, path);
            let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let key = Digest::of(whole.display().to_string().as_bytes());
            (path.to_owned(), folder.join(format!("{name}-{}", key.hex().get(..12).unwrap_or_default())))
        };
        Self {
            root: root.to_owned(),
            links: paths.iter().copied().filter(|path| shared(path)).map(link).collect(),
        }
    }

    /// The path of a context for a command line.
    pub(crate) fn path(&self, context: &str) -> PathBuf {
        self.links.get(context).cloned().unwrap_or_else(|| self.root.join(context))
    }

    /// Makes the links.
    ///
    /// # Errors
    /// If one cannot be made.
    pub(crate) fn make(&self) -> Result<()> {
        for (context, link) in &self.links {
            let target = clean(&self.root, context);
            if fs::read_link(link).is_ok_and(|found| found == target) {
                continue;
            }
            let parent = link.parent().unwrap_or(link);
            fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
            let _ = fs::remove_file(link);
            // Another build may have been quicker.
            match symlink(&target, link) {
                Err(error) if !link.exists() => {
                    return Err(error).with_context(|| format!("linking {}", link.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Without `.` parts: `a/./b` and `a/b` are one context.
fn clean(root: &Path, path: &str) -> PathBuf {
    root.join(path).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::event::Event;
    use crate::plan::git::Git;
    use crate::plan::inputs::Inputs;
    use crate::plan::resolve::resolve;
    use crate::plan::{BuildContext, Destination, DestinationKind, SigningMethod};

    fn contexts(paths: &[&str], named: &[&str]) -> Contexts {
        let text = include_str!("../../tests/good.toml").into();
        let matrix = crate::matrix::parse(crate::matrix::Source { name: "m".into(), text }).unwrap();
        let inputs = Inputs {
            now: std::time::SystemTime::UNIX_EPOCH,
            planned: std::time::SystemTime::UNIX_EPOCH,
            event: Event::simulate("push", "main").unwrap(),
            git: Git::default(),
            destination: Destination {
                kind: DestinationKind::Publish,
                repositories: matrix.repositories.clone(),
            },
            sign: SigningMethod::Local,
            formerly: Vec::new(),
            versions: BTreeMap::new(),
            remotes: BTreeMap::new(),
            read: &|_| Ok("1.0.0".into()),
        };
        let mut plan = resolve(&matrix, &inputs).unwrap();
        let mut builds: Vec<_> = plan.cells.iter_mut().flat_map(|cell| &mut cell.builds).collect();
        for (index, build) in builds.iter_mut().enumerate() {
            build.context = paths[index % paths.len()].to_owned();
            build.contexts = named
                .iter()
                .map(|source| BuildContext { name: "x".into(), source: (*source).into(), local: true })
                .collect();
        }
        Contexts::of(&plan, Path::new("/r"), Path::new("/r/target/contexts"))
    }

    #[test]
    fn only_contexts_of_one_name_get_links() {
        let found = contexts(&["a/app", "b/app", "base", "./base"], &["vendor"]);
        assert_eq!(found.links.keys().collect::<Vec<_>>(), ["a/app", "b/app"]);
        assert_ne!(found.path("a/app").file_name(), found.path("b/app").file_name());
        assert!(found.path("a/app").starts_with("/r/target/contexts"));
        assert_eq!(found.path("base"), Path::new("/r/base"));
        assert_eq!(contexts(&["a/src"], &["vendor/src"]).links.len(), 2, "named contexts count too");
    }
}
