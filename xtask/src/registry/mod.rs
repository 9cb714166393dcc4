//! What registries hold: a client of the OCI distribution API.
//!
//! Source: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>. Nothing is believed that is not
//! the content of the digest that was asked for, and nothing counts as missing that the registry has not said to be.

pub mod attestations;
mod auth;
mod authorities;
mod certificates;
mod client;
mod contents;
mod credentials;
mod detach;
mod failure;
mod headers;
pub mod image_config;
pub mod manifest;
mod place;
mod referrers;
mod settings;
mod status;
mod tags;
mod tokens;
mod transport;

use anyhow::Result;
use std::fmt;
use std::time::Duration;

use crate::base::context::Environment;
use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository};
use crate::base::ui::Ui;
use crate::registry::client::{Call, Client, Ended};
use crate::registry::failure::Failure;
use crate::registry::manifest::Manifest;
use crate::registry::place::Place;
use crate::registry::settings::Settings;
use crate::registry::status::Verdict;
use crate::registry::transport::Answer;
use crate::run::Runner;

pub use referrers::Attachment;
pub use tags::Tags;

/// The manifests that we understand, an index before what it lists.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Reads from registries and writes to them. Clones share their connections and tokens.
#[derive(Clone)]
pub struct Registry {
    client: Client,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

/// A manifest and its digest.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    /// The SHA-256 of the bytes that the registry sent, which is what the digest means.
    pub digest: Digest,
    /// The media type: what the manifest says, else what the registry does.
    pub media_type: String,
    /// The manifest.
    pub manifest: Manifest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What a reference holds, as far as the registry tells without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The digest.
    pub digest: Digest,
    /// Whether it lists an image for each platform, and is not one image.
    pub is_index: bool,
}

/// A failure that may be gone the next time.
#[derive(Debug)]
pub struct Passing {
    /// What was tried.
    pub purpose: String,
    /// What the registry has said, or what has become of the connection.
    pub reason: String,
    /// How long the registry wants us to wait.
    pub pause: Option<Duration>,
    /// The error, should nobody try again.
    pub error: UserError,
}

impl Registry {
    /// A client with the credentials, proxies and authorities that the environment names.
    pub fn new(environment: &Environment, runner: &Runner, ui: Ui) -> Self {
        Self { client: Client::new(Settings::new(environment), runner, ui) }
    }

    /// Whether a repository lies on this machine, as far as its name tells.
    pub fn is_on_loopback(repository: &Repository) -> bool {
        place::is_loopback(repository.host())
    }

    /// What a reference holds, `REPO:TAG` or `REPO@DIGEST`. `None`: the registry says that there is nothing.
    ///
    /// # Errors
    /// If the registry does not answer, refuses, or sends something else than the manifest.
    pub fn read(&self, reference: &str) -> Result<Option<FetchedManifest>> {
        let (place, name) = Place::parse(reference)?;
        self.fetch(&place, &name, &format!("read {reference}"), false)
    }

    /// What a repository holds under a digest that was pushed before: registries may need a moment to show it.
    ///
    /// # Errors
    /// As [`Registry::read`], and if there is nothing.
    pub fn require(&self, repository: &Repository, digest: &Digest) -> Result<FetchedManifest> {
        let purpose = format!("read {}", repository.at(digest));
        self.fetch(&Place::of(repository), digest.as_str(), &purpose, true)?.ok_or_else(|| {
            UserError::failed(format!("{repository} does not hold {digest}"))
                .help("build it again with the same plan: the registry has lost it, or the record names another repository's digest")
                .into()
        })
    }

    /// Whether a reference holds anything, without reading it.
    ///
    /// # Errors
    /// If the registry does not answer, or refuses.
    pub fn exists(&self, reference: &str) -> Result<bool> {
        let (place, name) = Place::parse(reference)?;
        let call = manifest_call("HEAD", &place, &name, format!("look for {reference}"));
        found(self.client.call(&call, false, |_| Ok(()))?, &call.purpose).map(|found| found.is_some())
    }

    /// Whether a reference can be read within a time, at the first try.
    ///
    /// # Errors
    /// If it cannot even be asked for.
    pub fn answers(&self, reference: &str, within: Duration) -> Result<bool> {
        let (place, name) = Place::parse(reference)?;
        let call = manifest_call("HEAD", &place, &name, format!("look for {reference}"));
        Ok(self.client.attempt(&call, within)?.is_ok())
    }

    /// The digest that a reference has, asked for once and within a time. `None`: there is no such reference.
    ///
    /// # Errors
    /// If it cannot even be asked for. The inner error is what the registry has said, or what has become of the connection.
    pub fn digest(&self, reference: &str, within: Duration) -> Result<Result<Option<Held>, String>> {
        let (place, name) = Place::parse(reference)?;
        // HEAD counts for no limit of Docker Hub: <https://docs.docker.com/docker-hub/usage/pulls/>.
        let call = manifest_call("HEAD", &place, &name, format!("look for {reference}"));
        Ok(match self.client.attempt(&call, within)? {
            Ok(answer) => match claimed(&answer) {
                Some(digest) => Ok(Some(Held {
                    digest,
                    is_index: answer.header("content-type").is_some_and(manifest::is_index),
                })),
                None => Err("the registry does not say which digest it has".to_owned()),
            },
            Err(failure) if failure.verdict == Verdict::Missing => Ok(None),
            Err(failure) => Err(failure.reason),
        })
    }

    /// Puts a manifest under a name: a tag, or its own digest.
    ///
    /// # Errors
    /// If the registry refuses, does not answer, or makes something else of it.
    pub fn put_manifest(
        &self,
        repository: &Repository,
        name: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Result<(), Passing>> {
        let (place, digest) = (Place::of(repository), Digest::of(bytes));
        let call = Call {
            body: bytes,
            kind: Some(("content-type", media_type.to_owned())),
            ..manifest_call("PUT", &place, name, format!("tag {repository} as {name}"))
        };
        let stored = |answer: Answer| match claimed(&answer).filter(|claimed| *claimed != digest) {
            Some(other) => Err(Failure::spoilt(format!("it has stored {other} when sent {digest}"))),
            None => Ok(()),
        };
        let done = self.client.attempt(&call, client::LIMIT)?.and_then(stored);
        match done {
            Ok(()) => Ok(Ok(())),
            Err(failure) if failure.verdict == Verdict::Temporary => Ok(Err(Passing {
                purpose: call.purpose.clone(),
                reason: failure.reason.clone(),
                pause: failure.pause,
                error: failure.fault(&call.purpose),
            })),
            Err(failure) => Err(failure.fault(&call.purpose).into()),
        }
    }

    /// The line that `--dry-run` prints for [`Registry::put_manifest`].
    pub fn describe_put(repository: &Repository, name: &str) -> String {
        let place = Place::of(repository);
        let protocol = if place::is_loopback(place.api_host()) { "http" } else { "https" };
        format!("PUT {protocol}://{}/v2/{}/manifests/{name}", place.api_host(), place.name())
    }

    /// Deletes a manifest, and with it every tag that holds it. What is not there needs no deleting.
    ///
    /// # Errors
    /// If the registry refuses, or lets nobody delete.
    pub fn delete(&self, repository: &Repository, digest: &Digest) -> Result<()> {
        let purpose = format!("delete {}", repository.at(digest));
        match self.remove(repository, digest, &purpose)? {
            Err(failure) if failure.verdict == Verdict::Unsupported => Err(failure
                .fault(&purpose)
                .help("this registry does not let its clients delete: delete the versions above on its own pages, or set a retention there")
                .into()),
            ended => found(ended, &purpose).map(drop),
        }
    }

    fn remove(&self, repository: &Repository, digest: &Digest, purpose: &str) -> Result<Ended<()>> {
        let place = Place::of(repository);
        let call = manifest_call("DELETE", &place, digest.as_str(), purpose.to_owned());
        self.client.call(&call, false, |_| Ok(()))
    }

    fn fetch(&self, place: &Place, name: &str, purpose: &str, lags: bool) -> Result<Option<FetchedManifest>> {
        let call = manifest_call("GET", place, name, purpose.to_owned());
        found(self.client.call(&call, lags, |answer| fetched(name, answer))?, purpose)
    }
}

fn manifest_call<'a>(method: &'static str, place: &'a Place, name: &str, purpose: String) -> Call<'a> {
    Call {
        purpose,
        method,
        place,
        path: format!("manifests/{name}"),
        kind: Some(("accept", ACCEPT.to_owned())),
        body: &[],
        limit: manifest::LIMIT,
    }
}

/// What is missing is not an error here.
fn found<T>(ended: Ended<T>, purpose: &str) -> Result<Option<T>> {
    match ended {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.verdict == Verdict::Missing => Ok(None),
        Err(failure) => Err(failure.fault(purpose).into()),
    }
}

/// The manifest in an answer, if it is what the name means.
fn fetched(name: &str, answer: Answer) -> Result<FetchedManifest, Failure> {
    if let Some(expected) = name.parse::<Digest>().ok().or_else(|| claimed(&answer)) {
        is_of(&expected, &answer.body)?;
    }
    let manifest = Manifest::parse(&answer.body).map_err(|error| Failure::broken(format!("{error:#}")))?;
    let said = answer.header("content-type").unwrap_or_default();
    let media_type = if manifest.media_type.is_empty() { said } else { &manifest.media_type }.to_owned();
    Ok(FetchedManifest { digest: Digest::of(&answer.body), media_type, manifest, bytes: answer.body })
}

/// The digest that the registry says its answer has.
fn claimed(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.parse().ok()
}

fn is_of(digest: &Digest, bytes: &[u8]) -> Result<(), Failure> {
    let found = Digest::of(bytes);
    if found == *digest {
        return Ok(());
    }
    Err(Failure::spoilt(format!("it has sent {} bytes of {found} for {digest}", bytes.len())))
}

/// The query of the page that follows an answer, with its `?`. The path is known: no more is taken from what is sent.
fn next_query(answer: &Answer) -> Option<String> {
    let target = answer.all("link").find_map(headers::next_page)?;
    target.get(target.find('?')?..).map(str::to_owned)
}
