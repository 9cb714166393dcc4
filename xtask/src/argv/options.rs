//! Options of `docker buildx build` that bake knows under the same names: secrets, SSH, attestations, compression, caches.
//!
//! Source: <https://docs.docker.com/reference/cli/docker/buildx/build/>.

use std::path::Path;

use crate::base::ids::{Digest, Repository, Tag};
use crate::matrix::{CacheKind, Compression, Options, Provenance, Sbom, SecretSource};

/// The values of the options, each as it follows its flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptionArgs {
    /// `--secret`.
    pub secrets: Vec<String>,
    /// `--ssh`.
    pub ssh: Vec<String>,
    /// `--attest`.
    pub attest: Vec<String>,
    /// `--cache-from`.
    pub cache_from: Vec<String>,
    /// `--cache-to`.
    pub cache_to: Vec<String>,
    /// Fields of `--output`.
    pub output: Vec<String>,
}

/// What a build may use as a cache.
#[derive(Debug, Clone, Copy)]
pub struct CacheScope<'a> {
    /// `<cell>.<arch>`: never shared between architectures, nor between cells.
    pub name: &'a str,
    /// Where the image goes.
    pub repository: &'a Repository,
    /// The published image that may be used, by a digest that was verified.
    pub published: Option<&'a Digest>,
    /// Whether the build may write to the registry.
    pub push: bool,
    /// Who builds, for the provenance: the address of a CI job.
    pub builder: Option<&'a str>,
}

/// The values for one build. Paths of secrets are relative to `root`.
pub fn option_args(options: &Options, root: &Path, scope: CacheScope<'_>) -> OptionArgs {
    let Options { secrets, ssh, attest, compression, cache, refresh: _ } = options;
    let secret = |secret: &crate::matrix::Secret| match &secret.source {
        SecretSource::Env(name) => format!("id={},env={name}", secret.id),
        SecretSource::File(path) => {
            format!("id={},{}", secret.id, field(&format!("src={}", root.join(path).display())))
        }
    };
    let mode = match attest.provenance {
        Provenance::Max => "max",
        Provenance::Min => "min",
    };
    let builder =
        scope.builder.map(|id| format!(",{}", field(&format!("builder-id={id}")))).unwrap_or_default();
    let sbom = match &attest.sbom {
        Sbom::Off => None,
        Sbom::On => Some("type=sbom".to_owned()),
        Sbom::Generator(image) => Some(format!("type=sbom,{}", field(&format!("generator={image}")))),
    };
    OptionArgs {
        secrets: secrets.iter().map(secret).collect(),
        ssh: ssh.clone(),
        attest: std::iter::once(format!("type=provenance,mode={mode}{builder}")).chain(sbom).collect(),
        cache_from: cache.iter().filter_map(|kind| cache_from(*kind, scope)).collect(),
        cache_to: cache.iter().filter_map(|kind| cache_to(*kind, scope)).collect(),
        output: compression.as_ref().map(packing).unwrap_or_default(),
    }
}

fn packing(compression: &Compression) -> Vec<String> {
    let level = compression.level.map(|level| format!("compression-level={level}"));
    let force = compression.force.then(|| "force-compression=true".to_owned());
    let kind = format!("compression={}", compression.kind.as_str());
    std::iter::once(kind).chain(level).chain(force).collect()
}

fn cache_from(kind: CacheKind, scope: CacheScope<'_>) -> Option<String> {
    match kind {
        CacheKind::Gha => Some(format!("type=gha,scope={}", scope.name)),
        CacheKind::Registry => Some(format!("type=registry,ref={}", reference(scope))),
        CacheKind::Inline => {
            scope.published.map(|digest| format!("type=registry,ref={}", scope.repository.at(digest)))
        }
    }
}

/// A cache that cannot be written must not fail a build.
fn cache_to(kind: CacheKind, scope: CacheScope<'_>) -> Option<String> {
    match kind {
        CacheKind::Gha => Some(format!("type=gha,scope={},mode=max,ignore-error=true", scope.name)),
        CacheKind::Registry => scope.push.then(|| {
            let reference = reference(scope);
            format!("type=registry,ref={reference},mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true")
        }),
        CacheKind::Inline => Some("type=inline,ignore-error=true".to_owned()),
    }
}

/// The cache of one scope beside the image. A scope that is too long for a tag is told apart by its digest.
fn reference(scope: CacheScope<'_>) -> String {
    let plain = format!("cache-{}", scope.name);
    match plain.parse::<Tag>() {
        Ok(tag) => scope.repository.tagged(&tag),
        Err(_) => format!("{}:cache-{}", scope.repository, Digest::of(scope.name.as_bytes()).hex()),
    }
}

/// A field of a comma-separated list, quoted where it has to be.
pub(super) fn field(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Attest, CompressionKind, Secret};

    fn scope<'a>(repository: &'a Repository, published: Option<&'a Digest>, push: bool) -> CacheScope<'a> {
        CacheScope { name: "app.tag.arm64", repository, published, push, builder: Some("https://ci/1") }
    }

    #[test]
    fn all_options() {
        let secret = |id: &str, source| Secret { id: id.into(), source };
        let options = Options {
            secrets: vec![
                secret("TOKEN", SecretSource::Env("GITHUB_TOKEN".into())),
                secret("key", SecretSource::File("a,b".into())),
            ],
            ssh: vec!["default".into()],
            attest: Attest { provenance: Provenance::Min, sbom: Sbom::Generator("ghcr.io/x/y:1".into()) },
            compression: Some(Compression { kind: CompressionKind::Zstd, level: Some(9), force: true }),
            cache: vec![CacheKind::Gha, CacheKind::Registry, CacheKind::Inline],
            refresh: crate::matrix::Refresh::Never,
        };
        let (repository, digest) = ("ghcr.io/acme/app".parse().unwrap(), Digest::of(b""));
        let found = option_args(&options, Path::new("/r"), scope(&repository, Some(&digest), true));
        assert_eq!(found.secrets, ["id=TOKEN,env=GITHUB_TOKEN", "id=key,\"src=/r/a,b\""]);
        assert_eq!(
            found.attest,
            ["type=provenance,mode=min,builder-id=https://ci/1", "type=sbom,generator=ghcr.io/x/y:1"]
        );
        assert_eq!(found.output, ["compression=zstd", "compression-level=9", "force-compression=true"]);
        let published = format!("type=registry,ref=ghcr.io/acme/app@{digest}");
        assert_eq!(
            found.cache_from,
            [
                "type=gha,scope=app.tag.arm64",
                "type=registry,ref=ghcr.io/acme/app:cache-app.tag.arm64",
                &published
            ]
        );
        assert!(found.cache_to.iter().all(|cache| cache.ends_with(",ignore-error=true")));
        let quiet = option_args(&options, Path::new("/r"), scope(&repository, None, false));
        assert_eq!(
            (quiet.cache_from.len(), quiet.cache_to.len()),
            (2, 2),
            "a build that pushes nothing writes none"
        );
    }

    #[test]
    fn a_long_scope_is_still_a_tag() {
        let (repository, name) = ("ghcr.io/acme/app".parse().unwrap(), "x".repeat(128));
        let long = CacheScope { name: &name, ..scope(&repository, None, true) };
        let tag = reference(long).rsplit_once(':').unwrap().1.to_owned();
        assert!(tag.parse::<Tag>().is_ok(), "{tag}");
    }
}
