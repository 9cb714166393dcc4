//! Admission policies for a Kubernetes cluster: the images of a matrix are admitted only as `matrix.toml` signs them.
//!
//! Nothing here reads or asks: repositories and who is trusted go in, YAML comes out. Every text that is not ours is a
//! JSON string there, which YAML reads as it is, or a checked public key.

pub mod controller;
pub mod kyverno;

use anyhow::Result;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::base::error::UserError;
use crate::base::ids::Repository;

/// The public transparency log of Sigstore, to which `cosign sign` writes.
const LOG: &str = "https://rekor.sigstore.dev";

/// How long the name of a resource may be: it is used as a label, too.
const LONGEST_NAME: usize = 63;

/// The addresses of key services that both controllers know, as cosign writes them.
const KEY_SERVICES: [&str; 4] = ["awskms://", "azurekms://", "gcpkms://", "hashivault://"];

/// What a policy demands, of which images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The name of the resource, from [`name`].
    pub name: String,
    /// The repositories, exactly.
    pub repositories: BTreeSet<Repository>,
    /// Who must have signed.
    pub trust: Trust,
}

/// Who must have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// A workflow, through OIDC.
    Keyless {
        /// A regular expression, anchored at both ends, for the certificate's identity.
        identity: String,
        /// The OIDC issuer, exactly.
        issuer: String,
        /// The repository whose workflow must have run, `owner/name`.
        repository: Option<String>,
    },
    /// The owner of a key. Its signatures are in the public transparency log.
    Key(Key),
    /// The throw-away key of the local stack. Its signatures are in no log.
    Local(PublicKey),
}

/// A key that a cluster can check with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// The public key itself.
    Public(PublicKey),
    /// The address of a key service, which the cluster must be allowed to ask.
    Service(String),
}

impl Key {
    /// The address of a key service, if that is what a text is.
    pub fn service(text: &str) -> Option<Self> {
        let known = KEY_SERVICES.iter().any(|scheme| text.starts_with(scheme));
        known.then(|| Self::Service(text.to_owned()))
    }
}

/// A public key in PEM. It can be nothing else: a private key never gets into a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(Vec<String>);

impl PublicKey {
    /// Reads one from the text of a file or variable.
    ///
    /// # Errors
    /// If the text is no public key.
    pub fn parse(text: &str) -> Result<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let base64 = |line: &&str| line.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
        match lines.as_slice() {
            ["-----BEGIN PUBLIC KEY-----", body @ .., "-----END PUBLIC KEY-----"]
                if !body.is_empty() && body.iter().all(base64) =>
            {
                Ok(Self(lines.iter().map(|line| (*line).to_owned()).collect()))
            }
            // What it is instead is not said: it may be a private key.
            _ => Err(UserError::invalid("it is not one public key in PEM").into()),
        }
    }

    /// A YAML block under a key of its own, each line of it behind `indent` spaces.
    fn block(&self, indent: usize) -> String {
        self.0.iter().fold("|".to_owned(), |mut out, line| {
            let _ = write!(out, "\n{:indent$}{line}", "");
            out
        })
    }
}

/// A name for the policy of what a repository publishes: a label of Kubernetes (RFC 1123).
///
/// Another checkout of the same repository gives the same name, so that applying a policy again replaces it.
pub fn name(source: &str) -> String {
    let source = source.split_once("://").map_or(source, |(_, rest)| rest).to_ascii_lowercase();
    let mut name = "images-of".to_owned();
    for part in source.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()) {
        name.push('-');
        name.push_str(part);
    }
    name.truncate(LONGEST_NAME);
    name.trim_end_matches('-').to_owned()
}

/// A YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// One `- glob:` for each pattern, sorted, each once.
fn globs(patterns: impl Iterator<Item = String>) -> String {
    patterns
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|pattern| format!("\n    - glob: {}", quoted(&pattern)))
        .collect()
}

/// What Docker Hub is called where names are written out.
fn is_docker_hub(repository: &Repository) -> bool {
    ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(&repository.host())
}

/// A repository without its host.
fn path(repository: &Repository) -> &str {
    repository.as_str().split_once('/').map_or("", |(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::report;

    pub(super) const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQmFzZTY0IG9mIGEga2V5\n-----END PUBLIC KEY-----\n";

    pub(super) fn policy(trust: Trust) -> Policy {
        let repositories = ["ghcr.io/acme/app", "docker.io/acme/app"];
        Policy {
            name: name("https://github.com/acme/images"),
            repositories: repositories.iter().map(|text| text.parse().unwrap()).collect(),
            trust,
        }
    }

    pub(super) fn keyless() -> Trust {
        Trust::Keyless {
            identity: r"^https://github\.com/acme/images/\.github/workflows/[^/@]+@refs/.+$".to_owned(),
            issuer: "https://token.actions.githubusercontent.com".to_owned(),
            repository: Some("acme/images".to_owned()),
        }
    }

    /// A part of a policy, as if it stood at the margin.
    pub(super) fn outdent(text: &str, by: usize) -> String {
        text.lines().map(|line| format!("{}\n", &line[by..])).collect()
    }

    #[test]
    fn names() {
        assert_eq!(name("https://github.com/Acme/images.git"), "images-of-github-com-acme-images-git");
        assert_eq!(name("127.0.0.1:5000"), "images-of-127-0-0-1-5000");
        let long = name(&format!("ghcr.io/{}/x", "a".repeat(45)));
        assert_eq!(long, format!("images-of-ghcr-io-{}", "a".repeat(45)));
    }

    #[test]
    fn public_keys_and_nothing_else() {
        let key = PublicKey::parse(&format!("\r\n{PEM}")).unwrap();
        assert_eq!(key, PublicKey::parse(PEM).unwrap());
        let private = PEM.replace("PUBLIC", "ENCRYPTED SIGSTORE PRIVATE");
        for text in [
            "",
            "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
            &private,
            &format!("{PEM}{PEM}"),
            &PEM.replace("MFkw", "kind: #"),
        ] {
            let error = report(&PublicKey::parse(text).unwrap_err());
            assert_eq!(error, "error: it is not one public key in PEM");
        }
    }

    #[test]
    fn services() {
        assert!(Key::service("awskms:///alias/x").is_some());
        for other in ["cosign.key", "env://KEY", "pkcs11:token=x", "k8s://ns/name"] {
            assert_eq!(Key::service(other), None, "{other}");
        }
    }
}
