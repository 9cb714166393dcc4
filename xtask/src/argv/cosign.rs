//! `cosign sign` and `cosign verify`, for cosign 2.4 and later and for cosign 3.

use semver::Version;
use serde::Deserialize;
use std::path::{Path, PathBuf};

use crate::argv::{Argv, Program};
use crate::base::ids::{Digest, Repository};

/// Signing talks to an OIDC provider, a certificate authority and a log: generous, but bounded. In seconds.
const LIMIT: u64 = 180;

/// Which cosign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosign {
    /// cosign itself.
    pub program: Program,
    /// Its version: the flags of 2 and 3 differ.
    pub version: Version,
}

/// How the images of a run are signed, and what a consumer has to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// By the identity of the workflow, through OIDC.
    Keyless {
        /// A regular expression, anchored at both ends, that the certificate's identity must match.
        identity: String,
        /// The OIDC issuer, exactly.
        issuer: String,
        /// Whose workflow must have run; none where the identity is of no workflow of GitHub.
        caller: Option<CallingJob>,
        /// A Sigstore other than the public one.
        sigstore: Option<Sigstore>,
    },
    /// By a key: a file, `env://NAME` or a KMS address.
    Key {
        /// The private key, as cosign's `--key` wants it.
        key: String,
        /// The public key; the address itself where cosign can derive it.
        public: String,
        /// The file that holds the password of the key. Without it, `COSIGN_PASSWORD` is inherited.
        password: Option<PathBuf>,
    },
    /// The throw-away key of the local stack: nothing leaves the machine, so there is no transparency log.
    Offline {
        /// The private key.
        key: PathBuf,
        /// The public key.
        public: PathBuf,
        /// The file that holds the password.
        password: PathBuf,
        /// cosign 3: a signing configuration without any service.
        signing_config: Option<PathBuf>,
    },
}

/// The job whose workflow runs, as opposed to the workflow that defines it: anybody may call a reusable workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallingJob {
    /// Its repository, `owner/name`.
    pub repository: String,
    /// Its branch or tag by the full name, exactly; any if none is given.
    pub git_ref: Option<String>,
}

impl Signer {
    /// For the runs of one branch or tag alone, where it is a workflow that signs.
    #[must_use]
    pub fn at(mut self, name: Option<String>) -> Self {
        if let Self::Keyless { caller: Some(caller), .. } = &mut self {
            caller.git_ref = name;
        }
        self
    }
}

/// A Sigstore other than the public one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sigstore {
    /// Whom a consumer trusts: certificate authorities, logs, timestamp authorities.
    pub trusted_root: PathBuf,
    /// Who signs. A consumer needs none.
    pub signing_config: Option<PathBuf>,
    /// What the trusted root has.
    pub services: Services,
}

/// The services of a Sigstore: what it does not run cannot be asked for.
///
/// The trusted root's format: <https://github.com/sigstore/protobuf-specs>, `TrustedRoot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "TrustedRoot")]
pub struct Services {
    /// A transparency log of signatures.
    pub log: bool,
    /// A log of certificates.
    pub certificate_log: bool,
    /// A timestamp authority.
    pub timestamps: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct TrustedRoot {
    tlogs: Vec<serde_json::Value>,
    ctlogs: Vec<serde_json::Value>,
    timestamp_authorities: Vec<serde_json::Value>,
}

impl From<TrustedRoot> for Services {
    fn from(root: TrustedRoot) -> Self {
        Self {
            log: !root.tlogs.is_empty(),
            certificate_log: !root.ctlogs.is_empty(),
            timestamps: !root.timestamp_authorities.is_empty(),
        }
    }
}

impl Cosign {
    fn argv(&self, purpose: String, command: &str) -> Argv {
        Argv::new(purpose, &self.program).arg(command).limit(LIMIT)
    }

    /// Signs a digest and, below an index, everything that it lists.
    pub fn sign(&self, signer: &Signer, repository: &Repository, digest: &Digest) -> Argv {
        let argv = self.argv(format!("sign {repository}"), "sign").args(["--yes", "--recursive"]);
        self.signing(argv, signer).arg(repository.at(digest))
    }

    /// Attaches a signed statement about a digest: the JSON file `predicate`, of the type `kind`, a URI.
    pub fn attest(
        &self,
        signer: &Signer,
        repository: &Repository,
        digest: &Digest,
        kind: &str,
        predicate: &Path,
    ) -> Argv {
        let argv = self.argv(format!("attach a record to {}", repository.at(digest)), "attest").arg("--yes");
        let argv = self.signing(argv, signer).args(["--type", kind, "--predicate"]).path(predicate);
        argv.arg(repository.at(digest))
    }

    /// The statements of a type about a digest, verified, one JSON envelope (DSSE) per line.
    pub fn attestations(
        &self,
        signer: &Signer,
        repository: &Repository,
        digest: &Digest,
        kind: &str,
    ) -> Argv {
        let reference = repository.at(digest);
        self.attestations_of(signer, &format!("read the records of {reference}"), &[reference], kind)
    }

    /// The same of several references at once.
    pub fn attestations_of(&self, signer: &Signer, purpose: &str, references: &[String], kind: &str) -> Argv {
        let argv = self.argv(purpose.to_owned(), "verify-attestation");
        argv.args(verify_args(signer)).args(["--type", kind]).args(references)
    }

    /// What `sign` and `attest` want to know of the signer.
    fn signing(&self, argv: Argv, signer: &Signer) -> Argv {
        match signer {
            // Without it cosign would wait for somebody to type a code into a browser.
            Signer::Keyless { sigstore: None, .. } => argv.arg("--fulcio-auth-flow=token"),
            Signer::Keyless { sigstore: Some(sigstore), .. } => {
                let argv =
                    argv.args(["--fulcio-auth-flow=token", "--trusted-root"]).path(&sigstore.trusted_root);
                match &sigstore.signing_config {
                    Some(config) => argv.arg("--signing-config").path(config),
                    None => argv,
                }
            }
            Signer::Key { key, password, .. } => {
                let argv = argv.args(["--key", key]);
                match password {
                    Some(file) => argv.secret_env("COSIGN_PASSWORD", file),
                    None => argv,
                }
            }
            Signer::Offline { key, password, signing_config, .. } => {
                let argv = argv.arg("--key").path(key).secret_env("COSIGN_PASSWORD", password);
                match signing_config {
                    Some(config) if self.version.major >= 3 => argv.arg("--signing-config").path(config),
                    _ => argv.arg("--tlog-upload=false"),
                }
            }
        }
    }

    /// Checks the signature of every digest, as a consumer would. All of them must be signed.
    pub fn verify(&self, signer: &Signer, repository: &Repository, digests: &[Digest]) -> Argv {
        let argv = self.argv(format!("verify the signatures of {repository}"), "verify");
        let argv = argv.args(verify_args(signer)).args(["--output", "json"]);
        argv.args(digests.iter().map(|digest| repository.at(digest)))
    }

    /// The command that a reader can paste to check one reference.
    pub fn verify_plain(signer: &Signer, reference: &str) -> Argv {
        let cosign = Program::new("cosign");
        Argv::new("verify", &cosign).arg("verify").args(verify_args(signer)).arg(reference)
    }
}

/// What `cosign verify` demands of a signature.
fn verify_args(signer: &Signer) -> Vec<String> {
    match signer {
        Signer::Keyless { identity, issuer, caller, sigstore } => {
            let mut args = vec![
                "--certificate-identity-regexp".to_owned(),
                identity.clone(),
                "--certificate-oidc-issuer".to_owned(),
                issuer.clone(),
            ];
            if let Some(CallingJob { repository, git_ref }) = caller {
                args.extend(["--certificate-github-workflow-repository".to_owned(), repository.clone()]);
                let named = |name: &String| ["--certificate-github-workflow-ref".to_owned(), name.clone()];
                args.extend(git_ref.iter().flat_map(named));
            }
            if let Some(Sigstore { trusted_root, signing_config: _, services }) = sigstore {
                args.extend(["--trusted-root".to_owned(), trusted_root.display().to_string()]);
                let Services { log, certificate_log, timestamps } = *services;
                let flags = [
                    (timestamps, "--use-signed-timestamps"),
                    (!log, "--insecure-ignore-tlog=true"),
                    (!certificate_log, "--insecure-ignore-sct=true"),
                ];
                args.extend(flags.iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| (*flag).to_owned()));
            }
            args
        }
        Signer::Key { public, .. } => vec!["--key".to_owned(), public.clone()],
        Signer::Offline { public, .. } => {
            vec!["--key".to_owned(), public.display().to_string(), "--insecure-ignore-tlog=true".to_owned()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(version: &str, signer: &Signer, expected: &Expect) {
        let cosign = Cosign { program: Program::new("cosign"), version: version.parse().unwrap() };
        let repository: Repository = "127.0.0.1:5000/app".parse().unwrap();
        let digest = Digest::of(b"");
        let sign = cosign.sign(signer, &repository, &digest).to_string();
        let verify = cosign.verify(signer, &repository, &[digest]).to_string();
        let text = format!("{sign}\n{verify}")
            .replace("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "D");
        expected.assert_eq(&text);
    }

    fn offline() -> Signer {
        Signer::Offline {
            key: "k/cosign.key".into(),
            public: "k/cosign.pub".into(),
            password: "k/password".into(),
            signing_config: Some("k/sc.json".into()),
        }
    }

    #[test]
    fn offline_with_cosign_3() {
        check(
            "3.1.3",
            &offline(),
            &expect![[r#"
            COSIGN_PASSWORD="$(cat k/password)" cosign sign --yes --recursive --key k/cosign.key --signing-config k/sc.json 127.0.0.1:5000/app@sha256:D
            cosign verify --key k/cosign.pub --insecure-ignore-tlog=true --output json 127.0.0.1:5000/app@sha256:D"#]],
        );
    }

    #[test]
    fn offline_with_cosign_2() {
        check(
            "2.4.1",
            &offline(),
            &expect![[r#"
            COSIGN_PASSWORD="$(cat k/password)" cosign sign --yes --recursive --key k/cosign.key --tlog-upload=false 127.0.0.1:5000/app@sha256:D
            cosign verify --key k/cosign.pub --insecure-ignore-tlog=true --output json 127.0.0.1:5000/app@sha256:D"#]],
        );
    }

    #[test]
    fn records() {
        let cosign = Cosign { program: Program::new("cosign"), version: "3.1.3".parse().unwrap() };
        let (repository, digest) = ("127.0.0.1:5000/app".parse().unwrap(), Digest::of(b""));
        let attest =
            cosign.attest(&offline(), &repository, &digest, "urn:x", Path::new("r.json")).to_string();
        let read = cosign.attestations(&offline(), &repository, &digest, "urn:x").to_string();
        expect![[r#"
            COSIGN_PASSWORD="$(cat k/password)" cosign attest --yes --key k/cosign.key --signing-config k/sc.json --type urn:x --predicate r.json 127.0.0.1:5000/app@sha256:D
            cosign verify-attestation --key k/cosign.pub --insecure-ignore-tlog=true --type urn:x 127.0.0.1:5000/app@sha256:D"#]].assert_eq(&format!("{attest}\n{read}").replace(digest.hex(), "D"));
    }

    #[test]
    fn keyless() {
        let signer = Signer::Keyless {
            identity: "^https://github\\.com/acme/images/\\.github/workflows/images\\.yml@refs/heads/main$"
                .into(),
            issuer: "https://token.actions.githubusercontent.com".into(),
            caller: Some(CallingJob { repository: "acme/images".into(), git_ref: None }),
            sigstore: None,
        };
        check(
            "3.1.3",
            &signer,
            &expect![[r#"
                cosign sign --yes --recursive --fulcio-auth-flow=token 127.0.0.1:5000/app@sha256:D
                cosign verify --certificate-identity-regexp '^https://github\.com/acme/images/\.github/workflows/images\.yml@refs/heads/main$' --certificate-oidc-issuer https://token.actions.githubusercontent.com --certificate-github-workflow-repository acme/images --output json 127.0.0.1:5000/app@sha256:D"#]],
        );
    }

    #[test]
    fn the_ref_of_the_calling_job() {
        let signer = Signer::Keyless {
            identity: "^https://github\\.com/acme/images/.+$".into(),
            issuer: "https://token.actions.githubusercontent.com".into(),
            caller: Some(CallingJob { repository: "acme/images".into(), git_ref: None }),
            sigstore: None,
        };
        let line = Cosign::verify_plain(&signer.at(Some("refs/tags/v1".into())), "ghcr.io/acme/app:1");
        expect![[r#"cosign verify --certificate-identity-regexp '^https://github\.com/acme/images/.+$' --certificate-oidc-issuer https://token.actions.githubusercontent.com --certificate-github-workflow-repository acme/images --certificate-github-workflow-ref refs/tags/v1 ghcr.io/acme/app:1"#]].assert_eq(&line.to_string());
    }

    #[test]
    fn what_a_sigstore_does_not_run_is_not_asked_for() {
        let root =
            r#"{"mediaType":"x","certificateAuthorities":[{}],"timestampAuthorities":[{}],"tlogs":[]}"#;
        let signer = Signer::Keyless {
            identity: "^https://git\\.example/.+$".into(),
            issuer: "https://git.example".into(),
            caller: None,
            sigstore: Some(Sigstore {
                trusted_root: "root.json".into(),
                signing_config: Some("config.json".into()),
                services: serde_json::from_str(root).unwrap(),
            }),
        };
        check(
            "3.1.3",
            &signer,
            &expect![[r#"
                cosign sign --yes --recursive --fulcio-auth-flow=token --trusted-root root.json --signing-config config.json 127.0.0.1:5000/app@sha256:D
                cosign verify --certificate-identity-regexp '^https://git\.example/.+$' --certificate-oidc-issuer https://git.example --trusted-root root.json --use-signed-timestamps --insecure-ignore-tlog=true --insecure-ignore-sct=true --output json 127.0.0.1:5000/app@sha256:D"#]],
        );
    }

    #[test]
    fn by_key() {
        let signer = Signer::Key {
            key: "env://COSIGN_PRIVATE_KEY".into(),
            public: "cosign.pub".into(),
            password: None,
        };
        check(
            "3.1.3",
            &signer,
            &expect![[r#"
            cosign sign --yes --recursive --key env://COSIGN_PRIVATE_KEY 127.0.0.1:5000/app@sha256:D
            cosign verify --key cosign.pub --output json 127.0.0.1:5000/app@sha256:D"#]],
        );
    }
}
