//! The certificates in what is attached to a digest, as hints: which jobs say that they have signed it.
//!
//! Nothing is verified here; cosign is asked for exactly what was found. Sources: Sigstore's bundle format
//! (<https://github.com/sigstore/protobuf-specs>, `Bundle`); cosign's `specs/SIGNATURE_SPEC.md` for the annotation.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeSet;

use crate::base::certificate;
use crate::base::ids::{Digest, Repository};
use crate::registry::Registry;

/// Where cosign 2 writes the certificate, in PEM.
const ANNOTATION: &str = "dev.sigstore.cosign/certificate";

/// How many attached things are looked into at most: each costs two requests.
const MOST: usize = 64;

impl Registry {
    /// The branches and tags for which jobs say that they have signed a digest, or stated something about it.
    ///
    /// # Errors
    /// If the registry does not answer, or refuses.
    pub fn signed_from(&self, repository: &Repository, digest: &Digest) -> Result<BTreeSet<String>> {
        let mut refs = BTreeSet::new();
        for attachment in self.attached(repository, digest)?.iter().rev().take(MOST) {
            let manifest = self.require(repository, &attachment.digest)?.manifest;
            for layer in &manifest.layers {
                let found = match layer.annotations.get(ANNOTATION) {
                    Some(pem) => certificate::of_pem(pem),
                    None if layer.media_type.starts_with("application/vnd.dev.sigstore.bundle") => {
                        of_bundle(&self.blob(repository, layer)?)
                    }
                    None => None,
                };
                refs.extend(found.as_deref().and_then(certificate::git_ref));
            }
        }
        Ok(refs)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    verification_material: Material,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<Certificate>,
    x509_certificate_chain: Option<Chain>,
}

#[derive(Deserialize)]
struct Chain {
    #[serde(default)]
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    raw_bytes: String,
}

/// The certificate of a bundle, as DER; none if it was signed by a key, or if it is no bundle.
fn of_bundle(text: &[u8]) -> Option<Vec<u8>> {
    let Material { certificate, x509_certificate_chain } =
        serde_json::from_slice::<Bundle>(text).ok()?.verification_material;
    let chain = || x509_certificate_chain?.certificates.into_iter().next();
    STANDARD.decode(certificate.or_else(chain)?.raw_bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_of_bundles() {
        let bundle =
            |material: &str| of_bundle(format!(r#"{{"verificationMaterial":{material}}}"#).as_bytes());
        assert_eq!(bundle(r#"{"certificate":{"rawBytes":"YWI="}}"#), Some(b"ab".to_vec()));
        assert_eq!(
            bundle(r#"{"x509CertificateChain":{"certificates":[{"rawBytes":"YWI="},{"rawBytes":"Yw=="}]}}"#),
            Some(b"ab".to_vec())
        );
        for other in [r#"{"publicKey":{"hint":"x"}}"#, r#"{"certificate":{"rawBytes":"?"}}"#, "1"] {
            assert_eq!(bundle(other), None, "{other}");
        }
    }
}
