//! Where things are: references as people write them, and as the API of a registry wants them. Pure.
//!
//! Sources: the OCI distribution specification; `distribution/reference` ("docker.io", "library/").

use anyhow::Result;

use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository};

/// Docker Hub, as references name it.
const HUB: &str = "docker.io";

/// Docker Hub's API.
const HUB_API: &str = "registry-1.docker.io";

/// What Docker calls Docker Hub in a file of credentials.
const HUB_LOGIN: &str = "https://index.docker.io/v1/";

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    host: String,
    name: String,
}

impl Place {
    /// Where a repository is.
    pub(super) fn of(repository: &Repository) -> Self {
        let (host, name) = repository.as_str().split_once('/').unwrap_or((repository.host(), ""));
        Self::new(host, name)
    }

    fn new(host: &str, name: &str) -> Self {
        let hub = matches!(host, HUB | "index.docker.io" | HUB_API);
        let name = if hub && !name.contains('/') { format!("library/{name}") } else { name.to_owned() };
        Self { host: if hub { HUB.to_owned() } else { host.to_owned() }, name }
    }

    /// The repository of a reference, and the tag or digest in it: `alpine:3` is `docker.io/library/alpine` and `3`.
    /// Without either, the tag is `latest`; of both, the digest counts.
    ///
    /// # Errors
    /// If it is no reference.
    pub(super) fn parse(reference: &str) -> Result<(Self, String)> {
        let (rest, digest) =
            reference.split_once('@').map_or((reference, None), |(rest, digest)| (rest, Some(digest)));
        let digest = digest.map(str::parse::<Digest>).transpose()?;
        // A colon after the last slash separates the tag; one before it the port.
        let colon = rest.rfind(':').filter(|at| rest.rfind('/').is_none_or(|slash| slash < *at));
        let (path, tag) =
            colon.and_then(|at| Some((rest.get(..at)?, rest.get(at + 1..)?))).unwrap_or((rest, "latest"));
        let (first, name) = path.split_once('/').unwrap_or(("", path));
        let is_host = first.contains(['.', ':']) || first == "localhost";
        let place = if is_host { Self::new(first, name) } else { Self::new(HUB, path) };
        let valid =
            !name.is_empty() && !tag.is_empty() && path.bytes().all(is_plain) && tag.bytes().all(is_plain);
        if !valid {
            return Err(UserError::invalid(format!("`{reference}` is no reference of an image")).into());
        }
        Ok((place, digest.map_or_else(|| tag.to_owned(), |digest| digest.to_string())))
    }

    /// The registry, as references name it: with its port, if it has one.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The host that answers for the registry.
    pub(super) fn api_host(&self) -> &str {
        if self.host == HUB { HUB_API } else { &self.host }
    }

    /// What the registry is called in a file of credentials.
    pub(super) fn login(&self) -> &str {
        if self.host == HUB { HUB_LOGIN } else { &self.host }
    }

    /// The repository's name within the registry.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:/[]".contains(&byte)
}

/// The host of `HOST:PORT`, `[ADDRESS]:PORT` or `HOST`.
pub(super) fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Whether a host, with or without a port, is this machine: registries there usually speak plain HTTP.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    let address = name.parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_completed_as_docker_does() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = format!("sha256:{hex}");
        let with_digest = format!("ghcr.io/acme/app:1@{digest}");
        let table = [
            ("alpine:3", "docker.io", "library/alpine", "3"),
            ("alpine", "docker.io", "library/alpine", "latest"),
            ("docker.io/library/php:8.2-cli", "docker.io", "library/php", "8.2-cli"),
            ("docker.io/php", "docker.io", "library/php", "latest"),
            ("index.docker.io/acme/app:1", "docker.io", "acme/app", "1"),
            ("acme/app:1", "docker.io", "acme/app", "1"),
            ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000", "a/b", "1"),
            ("[::1]:5000/a", "[::1]:5000", "a", "latest"),
            ("localhost/app", "localhost", "app", "latest"),
            ("ghcr.io/acme/app", "ghcr.io", "acme/app", "latest"),
            (&with_digest, "ghcr.io", "acme/app", &digest),
        ];
        for (reference, host, name, tag) in table {
            let (place, found) = Place::parse(reference).unwrap();
            assert_eq!((place.host(), place.name(), found.as_str()), (host, name, tag), "{reference}");
        }
        for bad in ["", "app:", "ghcr.io/", "a b", "app@sha256:x", "app@", "ghcr.io/a?b", "ghcr.io/a:1%20"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn docker_hub_has_three_names() {
        let hub = Place::of(&"docker.io/acme/app".parse().unwrap());
        assert_eq!((hub.api_host(), hub.login()), ("registry-1.docker.io", "https://index.docker.io/v1/"));
        let other = Place::of(&"ghcr.io/acme/app".parse().unwrap());
        assert_eq!((other.api_host(), other.login(), other.name()), ("ghcr.io", "ghcr.io", "acme/app"));
    }

    #[test]
    fn this_machine_has_several_names() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:1", "127.8.9.1", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["registry.test:5000", "localhost.example", "10.0.0.1:5000", "[fe80::1]", "128.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
