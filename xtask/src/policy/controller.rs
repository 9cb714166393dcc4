//! For Sigstore's [policy-controller](https://docs.sigstore.dev/policy-controller/overview/): a `ClusterImagePolicy`.
//!
//! Either of its authorities is enough, so one is for the bundles of cosign 3 and one for the signatures of cosign 2.
//! policy-controller 0.13 reads bundles only as attestations, and only keyless ones: a signature by cosign 3 is one
//! whose predicate is of the type [`SIGNATURE`].

use crate::base::ids::Repository;
use crate::policy::{Key, LOG, Policy, Trust, globs, is_docker_hub, path, quoted};

/// The type of the statement that `cosign sign` signs since version 3.
const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The policy as YAML.
pub fn render(policy: &Policy) -> String {
    let Policy { name, repositories, trust } = policy;
    let name = quoted(name);
    let globs = globs(repositories.iter().flat_map(patterns));
    let why = match trust {
        Trust::Keyless { .. } | Trust::Key(_) => "as matrix.toml says",
        Trust::Local(_) => "by the throw-away key of a local stack (for trying out)",
    };
    let authorities = authorities(trust);
    let (warning, caller) = match trust {
        Trust::Keyless { repository: Some(repository), .. } => (
            format!(
                "\
#
# WARNING: of signatures by cosign 3, policy-controller 0.13 does not tell which repository's workflow ran, so this does not
# check that it was {repository}: a workflow with `workflow_call` in a public repository can be called from any, and then
# signs with the same identity. Sign from a workflow without `workflow_call`. Of signatures by cosign 2 it is checked; where
# there are no others, remove the authority `cosign-3`.
"
            ),
            of_caller(repository),
        ),
        _ => Default::default(),
    };
    format!(
        "\
# Made by `cargo xtask policy --policy-controller`, for Sigstore's policy-controller 0.13 or newer.
# Admits images of these repositories only if they are signed {why},
# in namespaces with the label policy.sigstore.dev/include=true.
{warning}apiVersion: policy.sigstore.dev/v1beta1
kind: ClusterImagePolicy
metadata:
  name: {name}
spec:
  mode: enforce
  images:{globs}
  authorities:
{authorities}{caller}"
    )
}

/// What the policy as a whole demands: the identity names the workflow that defines a job, and anybody may call that of a
/// public repository. Rego in a form that both of its versions read.
///
/// policy-controller 0.13 knows whose certificate a signature by cosign 2 has, and forgets it of a bundle: to demand it there
/// would refuse ours, too. What it does tell has to be right, so a version that tells it checks it.
fn of_caller(repository: &str) -> String {
    let repository = quoted(repository);
    format!(
        "  policy:
    type: rego
    data: |
      package sigstore
      import rego.v1

      # The workflow ran in this repository: a reusable workflow may be called from any.
      default isCompliant := false

      isCompliant if {{
        some match in input.authorityMatches
        some signature in object.get(match, \"signatures\", [])
        signature.githubWorkflowRepo == {repository}
      }}

      isCompliant if {{
        some match in input.authorityMatches
        some signatures in object.get(match, \"attestations\", {{}})
        some signature in signatures
        # policy-controller 0.13 does not tell it of a bundle, whose identity is all that it has checked.
        object.get(signature, \"githubWorkflowRepo\", {repository}) == {repository}
      }}
"
    )
}

/// An image is compared with its name written out: the host of Docker Hub, and `latest` where there is no tag.
fn patterns(repository: &Repository) -> [String; 2] {
    let name = if is_docker_hub(repository) {
        format!("index.docker.io/{}", path(repository))
    } else {
        repository.to_string()
    };
    [format!("{name}:*"), format!("{name}@*")]
}

fn authorities(trust: &Trust) -> String {
    let log = format!("      ctlog:\n        url: {LOG}\n");
    match trust {
        Trust::Keyless { identity, issuer, repository: _ } => {
            let keyless = format!(
                "      keyless:
        url: https://fulcio.sigstore.dev
        identities:
          - issuer: {}
            subjectRegExp: {}
",
                quoted(issuer),
                quoted(identity)
            );
            format!(
                "    - name: cosign-3
      signatureFormat: bundle
{keyless}{log}      attestations:
        - name: signature
          predicateType: {SIGNATURE}
    - name: cosign-2
      signatureFormat: legacy
{keyless}{log}"
            )
        }
        Trust::Key(key) => format!("{}{log}", by_key(key)),
        // Without a log of its own an authority asks none.
        Trust::Local(public) => by_key(&Key::Public(public.clone())),
    }
}

fn by_key(key: &Key) -> String {
    let key = match key {
        Key::Public(public) => format!("data: {}", public.block(10)),
        Key::Service(address) => format!("kms: {}", quoted(address)),
    };
    format!("    - name: cosign-2\n      signatureFormat: legacy\n      key:\n        {key}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PublicKey;
    use crate::policy::tests::{PEM, keyless, outdent, policy};
    use expect_test::expect;

    fn authorities_of(trust: Trust) -> String {
        outdent(render(&policy(trust)).split_once("  authorities:\n").unwrap().1, 4)
    }

    #[test]
    fn by_identity() {
        expect![[r##"
            # Made by `cargo xtask policy --policy-controller`, for Sigstore's policy-controller 0.13 or newer.
            # Admits images of these repositories only if they are signed as matrix.toml says,
            # in namespaces with the label policy.sigstore.dev/include=true.
            #
            # WARNING: of signatures by cosign 3, policy-controller 0.13 does not tell which repository's workflow ran, so this does not
            # check that it was acme/images: a workflow with `workflow_call` in a public repository can be called from any, and then
            # signs with the same identity. Sign from a workflow without `workflow_call`. Of signatures by cosign 2 it is checked; where
            # there are no others, remove the authority `cosign-3`.
            apiVersion: policy.sigstore.dev/v1beta1
            kind: ClusterImagePolicy
            metadata:
              name: "images-of-github-com-acme-images"
            spec:
              mode: enforce
              images:
                - glob: "ghcr.io/acme/app:*"
                - glob: "ghcr.io/acme/app@*"
                - glob: "index.docker.io/acme/app:*"
                - glob: "index.docker.io/acme/app@*"
              authorities:
                - name: cosign-3
                  signatureFormat: bundle
                  keyless:
                    url: https://fulcio.sigstore.dev
                    identities:
                      - issuer: "https://token.actions.githubusercontent.com"
                        subjectRegExp: "^https://github\\.com/acme/images/\\.github/workflows/[^/@]+@refs/.+$"
                  ctlog:
                    url: https://rekor.sigstore.dev
                  attestations:
                    - name: signature
                      predicateType: https://sigstore.dev/cosign/sign/v1
                - name: cosign-2
                  signatureFormat: legacy
                  keyless:
                    url: https://fulcio.sigstore.dev
                    identities:
                      - issuer: "https://token.actions.githubusercontent.com"
                        subjectRegExp: "^https://github\\.com/acme/images/\\.github/workflows/[^/@]+@refs/.+$"
                  ctlog:
                    url: https://rekor.sigstore.dev
              policy:
                type: rego
                data: |
                  package sigstore
                  import rego.v1

                  # The workflow ran in this repository: a reusable workflow may be called from any.
                  default isCompliant := false

                  isCompliant if {
                    some match in input.authorityMatches
                    some signature in object.get(match, "signatures", [])
                    signature.githubWorkflowRepo == "acme/images"
                  }

                  isCompliant if {
                    some match in input.authorityMatches
                    some signatures in object.get(match, "attestations", {})
                    some signature in signatures
                    # policy-controller 0.13 does not tell it of a bundle, whose identity is all that it has checked.
                    object.get(signature, "githubWorkflowRepo", "acme/images") == "acme/images"
                  }
        "##]]
        .assert_eq(&render(&policy(keyless())));
    }

    #[test]
    fn by_key() {
        let public = PublicKey::parse(PEM).unwrap();
        expect![[r#"
                - name: cosign-2
                  signatureFormat: legacy
                  key:
                    data: |
                      -----BEGIN PUBLIC KEY-----
                      MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQmFzZTY0IG9mIGEga2V5
                      -----END PUBLIC KEY-----
                  ctlog:
                    url: https://rekor.sigstore.dev
        "#]]
        .assert_eq(&authorities_of(Trust::Key(Key::Public(public))));
    }

    #[test]
    fn by_key_service() {
        let key = Key::service("awskms:///alias/images").unwrap();
        expect![[r#"
                - name: cosign-2
                  signatureFormat: legacy
                  key:
                    kms: "awskms:///alias/images"
                  ctlog:
                    url: https://rekor.sigstore.dev
        "#]]
        .assert_eq(&authorities_of(Trust::Key(key)));
    }

    #[test]
    fn of_the_local_stack() {
        expect![[r#"
                - name: cosign-2
                  signatureFormat: legacy
                  key:
                    data: |
                      -----BEGIN PUBLIC KEY-----
                      MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQmFzZTY0IG9mIGEga2V5
                      -----END PUBLIC KEY-----
        "#]]
        .assert_eq(&authorities_of(Trust::Local(PublicKey::parse(PEM).unwrap())));
    }
}
