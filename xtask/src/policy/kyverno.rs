//! For [Kyverno](https://kyverno.io): an `ImageValidatingPolicy`.
//!
//! That is what took the place of `verifyImages` in a `ClusterPolicy`, which Kyverno 1.17 deprecates. It finds out by
//! itself whether a signature is a Sigstore bundle, as cosign 3 makes them, or in the older form of cosign 2.

use crate::base::ids::Repository;
use crate::policy::{Key, LOG, Policy, PublicKey, Trust, globs, is_docker_hub, path, quoted};

/// The kinds of containers of a pod.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The policy as YAML.
pub fn render(policy: &Policy) -> String {
    let Policy { name, repositories, trust } = policy;
    let name = quoted(name);
    let globs = globs(repositories.iter().flat_map(patterns));
    let (why, registry) = match trust {
        Trust::Keyless { .. } | Trust::Key(_) => ("as matrix.toml says", ""),
        Trust::Local(_) => (
            "by the throw-away key of a local stack (for trying out)",
            "  credentials:\n    allowInsecureRegistry: true\n",
        ),
    };
    let signer = signer(trust);
    let caller = match trust {
        Trust::Keyless { repository: Some(repository), .. } => format!(
            "\
#
# WARNING: Kyverno 1.19 does not read `additionalExtensions` of an ImageValidatingPolicy (kyverno/kyverno#15809), so it does
# not check that the workflow ran in {repository}: a workflow with `workflow_call` in a public repository can be called from
# any, and then signs with the same identity. Sign from a workflow without `workflow_call`.
"
        ),
        _ => String::new(),
    };
    let validations: String = CONTAINERS.iter().map(|kind| validation(kind)).collect();
    format!(
        "\
# Made by `cargo xtask policy --kyverno`, for Kyverno 1.17 or newer.
# Admits images of these repositories only if they are signed {why}, and pins them to their digests.
{caller}apiVersion: policies.kyverno.io/v1
kind: ImageValidatingPolicy
metadata:
  name: {name}
spec:
  validationActions: [Deny]
  failurePolicy: Fail
  webhookConfiguration:
    timeoutSeconds: 30
  matchConstraints:
    resourceRules:
      - apiGroups: [\"\"]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [pods]
  matchImageReferences:{globs}
{registry}  validationConfigurations:
    mutateDigest: true
    verifyDigest: true
    required: true
  attestors:
    - name: signer
      cosign:
{signer}  validations:
{validations}"
    )
}

/// An image is compared as the pod spells it, and an image without a tag means `latest`.
fn patterns(repository: &Repository) -> Vec<String> {
    let mut spellings = vec![repository.to_string()];
    if is_docker_hub(repository) {
        let path = path(repository);
        spellings = vec![path.to_owned(), format!("docker.io/{path}"), format!("index.docker.io/{path}")];
    }
    spellings.iter().flat_map(|name| [name.clone(), format!("{name}:*"), format!("{name}@*")]).collect()
}

fn signer(trust: &Trust) -> String {
    match trust {
        Trust::Keyless { identity, issuer, repository } => format!(
            "        keyless:
          identities:
            - issuer: {}
              subjectRegExp: {}
{}        ctlog:
          url: {LOG}
",
            quoted(issuer),
            quoted(identity),
            repository.as_deref().map(extensions).unwrap_or_default()
        ),
        Trust::Key(Key::Public(public)) => format!("{}        ctlog:\n          url: {LOG}\n", key(public)),
        Trust::Key(Key::Service(address)) => format!(
            "        key:\n          kms: {}\n        ctlog:\n          url: {LOG}\n",
            quoted(address)
        ),
        Trust::Local(public) => format!(
            "{}        ctlog:\n          insecureIgnoreTlog: true\n          insecureIgnoreSCT: true\n",
            key(public)
        ),
    }
}

/// What the certificate has to say beside the identity, for the day on which Kyverno reads it.
fn extensions(repository: &str) -> String {
    format!(
        "          additionalExtensions:
            githubWorkflowRepository: {}
",
        quoted(repository)
    )
}

fn key(public: &PublicKey) -> String {
    format!("        key:\n          data: {}\n", public.block(12))
}

fn validation(containers: &str) -> String {
    format!(
        "    - expression: >-
        images.{containers}.map(image, verifyImageSignatures(image, [attestors.signer])).all(count, count > 0)
      message: an image is not signed as its repository demands ({containers})
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{PEM, keyless, outdent, policy};
    use expect_test::expect;

    fn signer_of(trust: Trust) -> String {
        let text = render(&policy(trust));
        let (_, rest) = text.split_once("      cosign:\n").unwrap();
        outdent(rest.split_once("  validations:").unwrap().0, 8)
    }

    #[test]
    fn by_identity() {
        expect![[r##"
            # Made by `cargo xtask policy --kyverno`, for Kyverno 1.17 or newer.
            # Admits images of these repositories only if they are signed as matrix.toml says, and pins them to their digests.
            #
            # WARNING: Kyverno 1.19 does not read `additionalExtensions` of an ImageValidatingPolicy (kyverno/kyverno#15809), so it does
            # not check that the workflow ran in acme/images: a workflow with `workflow_call` in a public repository can be called from
            # any, and then signs with the same identity. Sign from a workflow without `workflow_call`.
            apiVersion: policies.kyverno.io/v1
            kind: ImageValidatingPolicy
            metadata:
              name: "images-of-github-com-acme-images"
            spec:
              validationActions: [Deny]
              failurePolicy: Fail
              webhookConfiguration:
                timeoutSeconds: 30
              matchConstraints:
                resourceRules:
                  - apiGroups: [""]
                    apiVersions: [v1]
                    operations: [CREATE, UPDATE]
                    resources: [pods]
              matchImageReferences:
                - glob: "acme/app"
                - glob: "acme/app:*"
                - glob: "acme/app@*"
                - glob: "docker.io/acme/app"
                - glob: "docker.io/acme/app:*"
                - glob: "docker.io/acme/app@*"
                - glob: "ghcr.io/acme/app"
                - glob: "ghcr.io/acme/app:*"
                - glob: "ghcr.io/acme/app@*"
                - glob: "index.docker.io/acme/app"
                - glob: "index.docker.io/acme/app:*"
                - glob: "index.docker.io/acme/app@*"
              validationConfigurations:
                mutateDigest: true
                verifyDigest: true
                required: true
              attestors:
                - name: signer
                  cosign:
                    keyless:
                      identities:
                        - issuer: "https://token.actions.githubusercontent.com"
                          subjectRegExp: "^https://github\\.com/acme/images/\\.github/workflows/[^/@]+@refs/.+$"
                      additionalExtensions:
                        githubWorkflowRepository: "acme/images"
                    ctlog:
                      url: https://rekor.sigstore.dev
              validations:
                - expression: >-
                    images.containers.map(image, verifyImageSignatures(image, [attestors.signer])).all(count, count > 0)
                  message: an image is not signed as its repository demands (containers)
                - expression: >-
                    images.initContainers.map(image, verifyImageSignatures(image, [attestors.signer])).all(count, count > 0)
                  message: an image is not signed as its repository demands (initContainers)
                - expression: >-
                    images.ephemeralContainers.map(image, verifyImageSignatures(image, [attestors.signer])).all(count, count > 0)
                  message: an image is not signed as its repository demands (ephemeralContainers)
        "##]].assert_eq(&render(&policy(keyless())));
    }

    #[test]
    fn by_key() {
        let public = PublicKey::parse(PEM).unwrap();
        expect![[r#"
                    key:
                      data: |
                        -----BEGIN PUBLIC KEY-----
                        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQmFzZTY0IG9mIGEga2V5
                        -----END PUBLIC KEY-----
                    ctlog:
                      url: https://rekor.sigstore.dev
        "#]]
        .assert_eq(&signer_of(Trust::Key(Key::Public(public))));
    }

    #[test]
    fn by_key_service() {
        let key = Key::service("awskms:///alias/images").unwrap();
        expect![[r#"
                    key:
                      kms: "awskms:///alias/images"
                    ctlog:
                      url: https://rekor.sigstore.dev
        "#]]
        .assert_eq(&signer_of(Trust::Key(key)));
    }

    #[test]
    fn of_the_local_stack() {
        let mut policy = policy(Trust::Local(PublicKey::parse(PEM).unwrap()));
        policy.repositories = ["127.0.0.1:5000/app".parse().unwrap()].into();
        expect![[r##"
            # Made by `cargo xtask policy --kyverno`, for Kyverno 1.17 or newer.
            # Admits images of these repositories only if they are signed by the throw-away key of a local stack (for trying out), and pins them to their digests.
            apiVersion: policies.kyverno.io/v1
            kind: ImageValidatingPolicy
            metadata:
              name: "images-of-github-com-acme-images"
            spec:
              validationActions: [Deny]
              failurePolicy: Fail
              webhookConfiguration:
                timeoutSeconds: 30
              matchConstraints:
                resourceRules:
                  - apiGroups: [""]
                    apiVersions: [v1]
                    operations: [CREATE, UPDATE]
                    resources: [pods]
              matchImageReferences:
                - glob: "127.0.0.1:5000/app"
                - glob: "127.0.0.1:5000/app:*"
                - glob: "127.0.0.1:5000/app@*"
              credentials:
                allowInsecureRegistry: true
              validationConfigurations:
                mutateDigest: true
                verifyDigest: true
                required: true
              attestors:
                - name: signer
                  cosign:
                    key:
                      data: |
                        -----BEGIN PUBLIC KEY-----
                        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQmFzZTY0IG9mIGEga2V5
                        -----END PUBLIC KEY-----
                    ctlog:
                      insecureIgnoreTlog: true
                      insecureIgnoreSCT: true
              validations:
                - expression: >-
                    images.containers.map(image, verifyImageSignatures(image, [attestors.signer])).all(count, count > 0)
                  message: an image is not signed as its repository demands (containers)
                - expression: >-
                    images.initContainers.map(image, verifyImageSignatures(image, [attestors.signer])).all(count, count > 0)
                  message: an image is not signed as its repository demands (initContainers)
                - expression: >-
                    images.ephemeralContainers.map(image, verifyImageSignatures(image, [attestors.signer])).all(count, count > 0)
                  message: an image is not signed as its repository demands (ephemeralContainers)
        "##]].assert_eq(&render(&policy));
    }
}
