//! `docker buildx imagetools`: reading manifests, joining them, tagging.

use std::path::PathBuf;

use crate::argv::Argv;
use crate::argv::buildx::Buildx;
use crate::base::ids::{Digest, Repository, Tag};

/// A registry may be slow, but never this slow. In seconds.
const LIMIT: u64 = 120;

/// The bytes of a manifest or an index, exactly as the registry holds them.
pub fn raw(buildx: &Buildx, reference: &str) -> Argv {
    let argv = buildx.argv(format!("read {reference}")).args(["imagetools", "inspect"]);
    argv.args(buildx.builder_args()).args(["--raw", reference]).limit(LIMIT)
}

/// What buildx makes of an image or an index, by a Go template.
pub fn describe(buildx: &Buildx, reference: &str, template: &str) -> Argv {
    let argv = buildx.argv(format!("describe {reference}")).args(["imagetools", "inspect"]);
    argv.args(buildx.builder_args()).args(["--format", template, reference]).limit(LIMIT)
}

/// An index over several builds: its sources in order, its annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The repository that holds the sources.
    pub repository: Repository,
    /// The digests to join, sorted by platform: their order is part of the index, so of its digest.
    pub sources: Vec<Digest>,
    /// Annotations of the index.
    pub annotations: Vec<(String, String)>,
}

impl Join {
    fn tail(&self, argv: Argv) -> Argv {
        let annotations = self.annotations.iter();
        argv.args(
            annotations.flat_map(|(key, value)| ["--annotation".to_owned(), format!("index:{key}={value}")]),
        )
        .args(self.sources.iter().map(|digest| self.repository.at(digest)))
        .limit(LIMIT)
    }

    /// Prints the index without pushing it. Fails when a source is missing.
    pub fn dry_run(&self, buildx: &Buildx) -> Argv {
        let argv =
            buildx.argv(format!("compute the index of {}", self.repository)).args(["imagetools", "create"]);
        self.tail(argv.args(buildx.builder_args()).arg("--dry-run"))
    }

    /// Pushes the index under no name but its digest.
    pub fn push_untagged(&self, buildx: &Buildx, digest: &Digest) -> Argv {
        let argv =
            buildx.argv(format!("push the index of {}", self.repository)).args(["imagetools", "create"]);
        let argv = argv.args(buildx.builder_args()).args(["--progress", "plain", "--tag"]);
        self.tail(argv.arg(self.repository.at(digest)))
    }
}

/// Where the bytes come from that a tag is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From the registry, a carbon copy. buildx takes what it is sent for a digest without comparing it with the digest.
    Registry,
    /// From the descriptors of what the index lists, one per file, and from its annotations: buildx puts the same bytes
    /// together again, whatever the registry answers.
    Parts {
        /// The files, in the order of the index.
        files: Vec<PathBuf>,
        /// The annotations of the index.
        annotations: Vec<(String, String)>,
    },
}

impl Source {
    fn tail(&self, argv: Argv, repository: &Repository, digest: &Digest) -> Argv {
        match self {
            Self::Registry => argv.arg(repository.at(digest)),
            Self::Parts { files, annotations } => {
                let notes = annotations.iter();
                let notes = notes
                    .flat_map(|(key, value)| ["--annotation".to_owned(), format!("index:{key}={value}")]);
                let files = files.iter().flat_map(|file| ["--file".to_owned(), file.display().to_string()]);
                argv.args(notes).args(files)
            }
        }
    }
}

/// Prints what [`tag`] would push.
pub fn rebuild(buildx: &Buildx, repository: &Repository, digest: &Digest, source: &Source) -> Argv {
    let argv = buildx.argv(format!("put {} together again", repository.at(digest)));
    let argv = argv.args(["imagetools", "create"]).args(buildx.builder_args());
    let argv = argv.args(["--dry-run", "--tag"]).arg(repository.at(digest));
    source.tail(argv, repository, digest).limit(LIMIT)
}

/// Sets a tag to an index.
pub fn tag(buildx: &Buildx, repository: &Repository, digest: &Digest, tag: &Tag, source: &Source) -> Argv {
    let argv = buildx.argv(format!("tag {repository} as {tag}")).args(["imagetools", "create"]);
    let argv = argv.args(buildx.builder_args()).args(["--progress", "plain", "--tag"]);
    source.tail(argv.arg(repository.tagged(tag)), repository, digest).limit(LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argv::Program;
    use expect_test::expect;

    #[test]
    fn join_then_tag() {
        let buildx =
            Buildx { program: Program::new("docker-buildx"), builder: None, config: Some("/c".into()) };
        let repository: Repository = "ghcr.io/acme/app".parse().unwrap();
        let join = Join {
            repository: repository.clone(),
            sources: vec![Digest::of(b"a")],
            annotations: vec![("io.xtask.cell".into(), "app".into())],
        };
        let latest: Tag = "latest".parse().unwrap();
        let lines = [
            join.dry_run(&buildx).to_string(),
            join.push_untagged(&buildx, &Digest::of(b"i")).to_string(),
            tag(&buildx, &repository, &Digest::of(b"i"), &latest, &Source::Registry).to_string(),
            tag(
                &buildx,
                &repository,
                &Digest::of(b"i"),
                &latest,
                &Source::Parts {
                    files: vec!["0.json".into(), "1.json".into()],
                    annotations: vec![("io.xtask.cell".into(), "app".into())],
                },
            )
            .to_string(),
        ];
        expect![[r#"
            BUILDX_CONFIG=/c docker-buildx imagetools create --dry-run --annotation index:io.xtask.cell=app ghcr.io/acme/app@sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb
            BUILDX_CONFIG=/c docker-buildx imagetools create --progress plain --tag ghcr.io/acme/app@sha256:de7d1b721a1e0632b7cf04edf5032c8ecffa9f9a08492152b926f1a5a7e765d7 --annotation index:io.xtask.cell=app ghcr.io/acme/app@sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb
            BUILDX_CONFIG=/c docker-buildx imagetools create --progress plain --tag ghcr.io/acme/app:latest ghcr.io/acme/app@sha256:de7d1b721a1e0632b7cf04edf5032c8ecffa9f9a08492152b926f1a5a7e765d7
            BUILDX_CONFIG=/c docker-buildx imagetools create --progress plain --tag ghcr.io/acme/app:latest --annotation index:io.xtask.cell=app --file 0.json --file 1.json"#]]
        .assert_eq(&lines.join("\n"));
    }
}
