//! What the names of base images stand for now: asked once for all builds of a run.

use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::base::ids::{Digest, Repository};
use crate::base::parallel;
use crate::plan::{Build, Pair, Plan, SigningMethod, dockerfile};
use crate::registry::{Held, Registry};
use crate::session::Session;

/// How long a registry may take to tell what a name stands for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The names that were asked for.
#[derive(Debug)]
pub(super) struct BaseImages {
    registry: Registry,
    /// The registry that stands in for Docker Hub, where it cannot be reached.
    mirror: Option<String>,
    /// The repositories of this matrix, whose images are no bases but needed.
    own: Vec<Repository>,
    known: BTreeMap<String, Result<Held, String>>,
}

impl BaseImages {
    /// Of a plan's builds.
    ///
    /// # Errors
    /// If the state of the local stack cannot be read.
    pub(super) fn new(session: &Session, plan: &Plan) -> Result<Self> {
        let own = plan.cells.iter().flat_map(|cell| &cell.repositories).cloned().collect();
        let local = plan.sign == SigningMethod::Local;
        let mirror = if local { session.local().mirror()? } else { None };
        Ok(Self { registry: session.registry(), mirror, own, known: BTreeMap::new() })
    }

    /// Asks for names that were not asked for before.
    pub(super) fn resolve(&mut self, names: BTreeSet<String>) {
        let new: Vec<String> = names.into_iter().filter(|name| !self.known.contains_key(name)).collect();
        let answers = parallel::map(&new, parallel::default_jobs(), |name| self.ask(name));
        self.known.extend(new.into_iter().zip(answers));
    }

    /// Where a name can be read, the most likely place first.
    fn places(&self, name: &str) -> Vec<String> {
        let whole = reference(name);
        let mirrored = self.mirror.as_ref().zip(whole.strip_prefix("docker.io/"));
        let mirrored = mirrored.map(|(mirror, path)| format!("{mirror}/{path}"));
        mirrored.into_iter().chain([whole]).collect()
    }

    /// Where the content of a name can be read.
    pub(super) fn at(&self, name: &str, digest: &Digest) -> Vec<String> {
        let plain = name.split_once('@').map_or(name, |(plain, _)| plain);
        let untagged = |place: String| {
            let place =
                place.rsplit_once(':').map_or(place.as_str(), |(repository, _)| repository).to_owned();
            format!("{place}@{digest}")
        };
        self.places(plain).into_iter().map(untagged).collect()
    }

    fn ask(&self, name: &str) -> Result<Held, String> {
        let mut why = String::new();
        for place in self.places(name) {
            match self.registry.digest(&place, PATIENCE) {
                Ok(Ok(Some(held))) => return Ok(held),
                Ok(Ok(None)) => why = "not found".to_owned(),
                Ok(Err(reason)) => why = reason,
                Err(error) => why = format!("{error:#}"),
            }
        }
        Err(format!("cannot resolve base image {name}: {why}"))
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub(super) fn digest(&self, name: &str) -> Result<Digest, String> {
        match self.known.get(name) {
            Some(known) => known.clone().map(|held| held.digest),
            None => Err(format!("the base image {name} was not asked for")),
        }
    }

    /// Gives every build the images that its Dockerfile names, as far as they can be told: BuildKit asks for the others.
    ///
    /// An image of one platform is left out: what is given as a context BuildKit (0.33) does not compare with the platform
    /// that is built, so a wrong one would pass.
    pub(super) fn pin(&mut self, plan: &mut Plan, root: &Path) {
        let builds: Vec<&mut Build> = plan.cells.iter_mut().flat_map(|cell| &mut cell.builds).collect();
        let names: Vec<BTreeSet<String>> = builds.iter().map(|build| named(build, root)).collect();
        self.resolve(names.iter().flatten().cloned().collect());
        for (build, names) in builds.into_iter().zip(names) {
            let pair = |name: String| {
                let held = self.known.get(&name)?.as_ref().ok().filter(|held| held.is_index)?;
                Some(Pair { value: held.digest.to_string(), key: name })
            };
            build.bases = names.into_iter().filter(|name| !self.is_own(name)).filter_map(pair).collect();
        }
    }

    fn is_own(&self, name: &str) -> bool {
        let whole = reference(name);
        self.own.iter().any(|own| whole.strip_prefix(own.as_str()).is_some_and(|rest| rest.starts_with(':')))
    }
}

/// The images that the Dockerfile of a build names.
pub(super) fn named(build: &Build, root: &Path) -> BTreeSet<String> {
    let path = root.join(&build.context).join(&build.dockerfile);
    let text = fs::read_to_string(path).unwrap_or_default();
    let args = build.build_args.iter().map(|pair| (pair.key.as_str(), pair.value.as_str()));
    dockerfile::images(&text, args)
}

/// The whole name of an image, with its registry and its tag: `php:8.2` is `docker.io/library/php:8.2`.
/// Source: `ParseNormalizedNamed` of github.com/distribution/reference.
fn reference(name: &str) -> String {
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let tagged = if has_tag { name.to_owned() } else { format!("{name}:latest") };
    match tagged.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => tagged,
        Some(_) => format!("docker.io/{tagged}"),
        None => format!("docker.io/library/{tagged}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names() {
        for (name, whole) in [
            ("php:8.2", "docker.io/library/php:8.2"),
            ("acme/app", "docker.io/acme/app:latest"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
            ("ghcr.io/acme/app:1", "ghcr.io/acme/app:1"),
            ("localhost/app:1", "localhost/app:1"),
        ] {
            assert_eq!(reference(name), whole);
        }
    }
}
