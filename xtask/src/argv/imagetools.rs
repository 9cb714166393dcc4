//! `docker buildx imagetools`: joining the images of several platforms to one index.

use crate::argv::Argv;
use crate::argv::buildx::Buildx;
use crate::base::ids::{Digest, Repository};

/// A registry may be slow, but never this slow. In seconds.
const LIMIT: u64 = 120;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argv::Program;
    use expect_test::expect;

    #[test]
    fn joined_and_pushed() {
        let buildx =
            Buildx { program: Program::new("docker-buildx"), builder: None, config: Some("/c".into()) };
        let repository: Repository = "ghcr.io/acme/app".parse().unwrap();
        let join = Join {
            repository: repository.clone(),
            sources: vec![Digest::of(b"a")],
            annotations: vec![("io.xtask.cell".into(), "app".into())],
        };
        let lines =
            [join.dry_run(&buildx).to_string(), join.push_untagged(&buildx, &Digest::of(b"i")).to_string()];
        expect![[r#"
            BUILDX_CONFIG=/c docker-buildx imagetools create --dry-run --annotation index:io.xtask.cell=app ghcr.io/acme/app@sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb
            BUILDX_CONFIG=/c docker-buildx imagetools create --progress plain --tag ghcr.io/acme/app@sha256:de7d1b721a1e0632b7cf04edf5032c8ecffa9f9a08492152b926f1a5a7e765d7 --annotation index:io.xtask.cell=app ghcr.io/acme/app@sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"#]]
        .assert_eq(&lines.join("\n"));
    }
}
