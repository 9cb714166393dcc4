//! `docker buildx build` and `docker buildx inspect`.

use std::path::{Path, PathBuf};

use crate::argv::options::OptionArgs;
use crate::argv::{Argv, Program};
use crate::base::ids::{Digest, Platform, Repository};

/// Which buildx, and which builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buildx {
    /// buildx itself.
    pub program: Program,
    /// `--builder`; without it buildx uses the one that is selected.
    pub builder: Option<String>,
    /// `BUILDX_CONFIG`, where the builder is registered privately.
    pub config: Option<PathBuf>,
}

impl Buildx {
    /// A buildx command line without sub-command yet.
    pub fn argv(&self, purpose: impl Into<String>) -> Argv {
        let argv = Argv::new(purpose, &self.program);
        match &self.config {
            Some(config) => argv.env("BUILDX_CONFIG", config.display().to_string()),
            None => argv,
        }
    }

    /// `inspect --bootstrap`: the driver, the nodes and their platforms.
    pub fn inspect(&self) -> Argv {
        let argv = self.argv("look at the builder").arg("inspect").args(&self.builder).arg("--bootstrap");
        argv.limit(180)
    }

    /// The options that choose the builder.
    pub fn builder_args(&self) -> Vec<String> {
        self.builder.iter().flat_map(|name| ["--builder".to_owned(), name.clone()]).collect()
    }
}

/// A named context of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// An image that this run has pushed, by digest.
    Image {
        /// Its repository.
        repository: Repository,
        /// Its digest.
        digest: Digest,
    },
    /// Another target of the same bake call.
    Target(String),
    /// A path, or an address that BuildKit knows.
    Source(String),
}

impl NamedContext {
    /// As `--build-context NAME=VALUE` and bake's `contexts` spell it.
    pub fn value(&self) -> String {
        match self {
            Self::Image { repository, digest } => format!("docker-image://{}", repository.at(digest)),
            Self::Target(target) => format!("target:{target}"),
            Self::Source(source) => source.clone(),
        }
    }
}

/// Everything that decides what one build makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec {
    /// `<cell>.<arch>`: unique, and a valid bake target.
    pub name: String,
    /// The context, relative to the root or absolute.
    pub context: PathBuf,
    /// The Dockerfile, likewise.
    pub dockerfile: PathBuf,
    /// `--target`.
    pub target: Option<String>,
    /// `--platform`.
    pub platform: Platform,
    /// `--build-arg`.
    pub build_args: Vec<(String, String)>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// Annotations of the image manifest.
    pub annotations: Vec<(String, String)>,
    /// Annotations of the index that joins the image and its attestations.
    pub index_annotations: Vec<(String, String)>,
    /// `--build-context`.
    pub contexts: Vec<(String, NamedContext)>,
    /// `--add-host`, each `NAME:ADDRESS`.
    pub hosts: Vec<String>,
    /// Secrets, attestations, caches, and fields of `--output`.
    pub options: OptionArgs,
    /// Where the digest goes.
    pub repositories: Vec<Repository>,
    /// Whether it is pushed.
    pub push: bool,
}

impl BuildSpec {
    /// `--output`: by digest, canonical name, OCI media types; one field may hold several names.
    pub fn output(&self) -> String {
        let names: Vec<&str> = self.repositories.iter().map(Repository::as_str).collect();
        let name = match names.as_slice() {
            [one] => format!("name={one}"),
            // A comma inside a CSV field asks for quotes around the field.
            many => format!("\"name={}\"", many.join(",")),
        };
        let push = if self.push { "push-by-digest=true,name-canonical=true,push=true" } else { "push=false" };
        let packing: String = self.options.output.iter().map(|field| format!(",{field}")).collect();
        format!("type=image,{name},{push},oci-mediatypes=true{packing}")
    }

    /// `--annotation` values: of the manifest as they are, of the index with the prefix that buildx wants.
    fn annotation_args(&self) -> impl Iterator<Item = String> + '_ {
        let manifest = self.annotations.iter().map(|(key, value)| format!("manifest:{key}={value}"));
        let index = self.index_annotations.iter().map(|(key, value)| format!("index:{key}={value}"));
        manifest.chain(index)
    }

    /// All annotations, for the definition of bake.
    pub fn annotation_list(&self) -> Vec<String> {
        self.annotation_args().collect()
    }
}

/// One plain build. `metadata` receives the digest and the provenance.
pub fn build(buildx: &Buildx, spec: &BuildSpec, metadata: &Path) -> Argv {
    let BuildSpec {
        name,
        context,
        dockerfile,
        target,
        platform,
        build_args,
        labels,
        annotations: _,
        index_annotations: _,
        contexts,
        hosts,
        options,
        repositories: _,
        push: _,
    } = spec;
    let OptionArgs { secrets, ssh, attest, cache_from, cache_to, output: _ } = options;
    let argv = start(buildx, &format!("build {name}"), platform, dockerfile);
    argv.args(each("--target", target))
        .args(each("--build-arg", pairs(build_args)))
        .args(each("--label", pairs(labels)))
        .args(each("--annotation", spec.annotation_args()))
        .args(each("--build-context", named(contexts)))
        .args(each("--add-host", hosts))
        .args(each("--secret", secrets))
        .args(each("--ssh", ssh))
        .args(each("--cache-from", cache_from))
        .args(each("--cache-to", cache_to))
        .args(each("--attest", attest))
        .args(["--output", &spec.output(), "--metadata-file"])
        .path(metadata)
        .path(context)
        // The warnings about base images of another platform, and the steps: whether one may use the network.
        .env("BUILDX_METADATA_WARNINGS", "true")
        .env("BUILDX_METADATA_PROVENANCE", "max")
}

/// Without provenance there is nothing that would state what buildx asks of git, in six processes.
/// Source: <https://docs.docker.com/build/building/variables/#buildx_git_info>.
const NO_GIT: (&str, &str) = ("BUILDX_GIT_INFO", "false");

/// Copies files out of an image into a folder. `dockerfile` names the image as the context `image`.
pub fn extract(
    buildx: &Buildx,
    name: &str,
    platform: &Platform,
    image: &NamedContext,
    dockerfile: &Path,
    folder: &Path,
) -> Argv {
    let argv = start(buildx, &format!("look into {name}"), platform, dockerfile).env(NO_GIT.0, NO_GIT.1);
    argv.args(each("--build-context", [format!("image={}", image.value())]))
        .args(["--provenance=false", "--output"])
        .arg(format!("type=local,{}", crate::argv::options::field(&format!("dest={}", folder.display()))))
        .path(dockerfile.parent().unwrap_or(Path::new(".")))
}

/// Runs a stage that tests an image which is built already: the image takes the place of the stage that it was built
/// from, so that nothing but the test runs. Without `image` that stage is the one that the builder has in its cache.
/// What the test makes is thrown away.
pub fn test(buildx: &Buildx, spec: &BuildSpec, stage: &str, image: Option<&NamedContext>) -> Argv {
    let replaced = spec.target.iter().zip(image).map(|(target, image)| format!("{target}={}", image.value()));
    let argv = start(buildx, &format!("test {}", spec.name), &spec.platform, &spec.dockerfile);
    argv.env(NO_GIT.0, NO_GIT.1)
        .args(["--target", stage])
        .args(each("--build-arg", pairs(&spec.build_args)))
        .args(each("--build-context", named(&spec.contexts).chain(replaced)))
        .args(each("--add-host", &spec.hosts))
        .args(each("--secret", &spec.options.secrets))
        .args(each("--ssh", &spec.options.ssh))
        .args(["--provenance=false", "--output", "type=cacheonly"])
        .path(&spec.context)
}

/// What every build begins with.
fn start(buildx: &Buildx, purpose: &str, platform: &Platform, dockerfile: &Path) -> Argv {
    buildx
        .argv(purpose)
        .arg("build")
        .args(buildx.builder_args())
        .args(["--progress", "plain", "--platform", platform.as_str(), "--file"])
        .path(dockerfile)
}

/// A flag before each value.
fn each<I>(flag: &'static str, values: I) -> impl Iterator<Item = String>
where
    I: IntoIterator,
    I::Item: Into<String>,
{
    values.into_iter().flat_map(move |value| [flag.to_owned(), value.into()])
}

/// `KEY=VALUE`.
fn pairs(pairs: &[(String, String)]) -> impl Iterator<Item = String> + '_ {
    pairs.iter().map(|(key, value)| format!("{key}={value}"))
}

/// `NAME=SOURCE`.
fn named(contexts: &[(String, NamedContext)]) -> impl Iterator<Item = String> + '_ {
    contexts.iter().map(|(context, source)| format!("{context}={}", source.value()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use expect_test::expect;

    pub(in crate::argv) fn spec() -> BuildSpec {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        BuildSpec {
            name: "app.tag.pinned.arm64".into(),
            context: "images/app".into(),
            dockerfile: "images/app/Dockerfile".into(),
            target: Some("runtime".into()),
            platform: "linux/arm64".parse().unwrap(),
            build_args: vec![pair("VERSION", "1.2.3")],
            labels: vec![pair("org.opencontainers.image.version", "1.2.3")],
            annotations: vec![],
            index_annotations: vec![pair("io.xtask.cell", "app.tag.pinned")],
            contexts: vec![(
                "base".into(),
                NamedContext::Image {
                    repository: "ghcr.io/acme/base".parse().unwrap(),
                    digest: Digest::of(b""),
                },
            )],
            hosts: vec!["refresh-2026-11-21.invalid:0.0.0.0".into()],
            options: OptionArgs { attest: vec!["type=provenance,mode=max".into()], ..OptionArgs::default() },
            repositories: vec!["ghcr.io/acme/app".parse().unwrap()],
            push: true,
        }
    }

    #[test]
    fn one_build() {
        let buildx = Buildx {
            program: Program { path: "docker".into(), prefix: vec!["buildx".into()] },
            builder: Some("b".into()),
            config: None,
        };
        let argv = build(&buildx, &spec(), Path::new("/tmp/m.json"));
        expect!["BUILDX_METADATA_WARNINGS=true BUILDX_METADATA_PROVENANCE=max docker buildx build --builder b --progress plain --platform linux/arm64 --file images/app/Dockerfile --target runtime --build-arg VERSION=1.2.3 --label org.opencontainers.image.version=1.2.3 --annotation index:io.xtask.cell=app.tag.pinned --build-context base=docker-image://ghcr.io/acme/base@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 --add-host refresh-2026-11-21.invalid:0.0.0.0 --attest type=provenance,mode=max --output type=image,name=ghcr.io/acme/app,push-by-digest=true,name-canonical=true,push=true,oci-mediatypes=true --metadata-file /tmp/m.json images/app"].assert_eq(&argv.to_string());
    }

    #[test]
    fn a_test_of_a_finished_image() {
        let buildx = Buildx { program: Program::new("docker-buildx"), builder: None, config: None };
        let image =
            NamedContext::Image { repository: "ghcr.io/acme/app".parse().unwrap(), digest: Digest::of(b"i") };
        let argv = test(&buildx, &spec(), "test", Some(&image));
        expect!["BUILDX_GIT_INFO=false docker-buildx build --progress plain --platform linux/arm64 --file images/app/Dockerfile --target test --build-arg VERSION=1.2.3 --build-context base=docker-image://ghcr.io/acme/base@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 --build-context runtime=docker-image://ghcr.io/acme/app@sha256:de7d1b721a1e0632b7cf04edf5032c8ecffa9f9a08492152b926f1a5a7e765d7 --add-host refresh-2026-11-21.invalid:0.0.0.0 --provenance=false --output type=cacheonly images/app"].assert_eq(&argv.to_string());
    }

    #[test]
    fn several_repositories_share_one_field() {
        let mut spec = spec();
        spec.repositories.push("docker.io/acme/app".parse().unwrap());
        assert!(spec.output().contains("\"name=ghcr.io/acme/app,docker.io/acme/app\""), "{}", spec.output());
    }
}
