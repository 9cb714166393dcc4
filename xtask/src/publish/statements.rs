//! Publication records that are attached to the index in the registry, as signed in-toto statements.
//!
//! So another machine finds them, and knows who wrote them. Formats: <https://github.com/in-toto/attestation> and
//! <https://github.com/secure-systems-lab/dsse>.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

use crate::base::error::UserError;
use crate::base::ids::Digest;
use crate::base::publication::PublicationClaim;
use crate::base::record;

/// The type of the statements.
pub const KIND: &str = "urn:io.xtask:publication:v1";

/// What `cosign verify-attestation` prints per line.
#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    predicate: Value,
    #[serde(default)]
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// What the lines that `cosign verify-attestation` printed state, if it is of a type.
pub fn predicates<'a>(lines: impl Iterator<Item = &'a str>, kind: &str) -> Vec<Value> {
    let predicate = |line: &str| {
        let statement = statement(line)?;
        (statement.predicate_type == kind).then_some(statement.predicate)
    };
    lines.filter_map(predicate).collect()
}

fn statement(line: &str) -> Option<Statement> {
    let envelope: Envelope = serde_json::from_str(line).ok()?;
    serde_json::from_slice(&STANDARD.decode(envelope.payload).ok()?).ok()
}

/// Whether a line is a statement about a digest. cosign prints only what is about an image that it was asked for.
pub fn is_about(line: &str, digest: &Digest) -> bool {
    let is_meant = |subject: &Subject| subject.digest.get("sha256").is_some_and(|hex| hex == digest.hex());
    statement(line).is_some_and(|statement| statement.subject.iter().any(is_meant))
}

/// The record that a bundle of Sigstore holds, whoever has signed it; none if it holds none.
///
/// Source: `bundle.proto` of <https://github.com/sigstore/protobuf-specs>.
pub fn of_bundle(bundle: &Value) -> Option<PublicationClaim> {
    let line = serde_json::to_string(bundle.get("dsseEnvelope")?).ok()?;
    claims(predicates(std::iter::once(line.as_str()), KIND)).ok()?.pop()
}

/// The records among what was stated, the newest last.
///
/// # Errors
/// If one is of a version that this program does not know: it must not be taken for none.
pub fn claims(predicates: Vec<Value>) -> Result<Vec<PublicationClaim>> {
    let mut found: Vec<PublicationClaim> = known(predicates, record::SCHEMA)?;
    found.sort_by(|one, two| one.published.cmp(&two.published));
    Ok(found)
}

/// What was stated in a form that this program knows. What has no version is not of this tool.
///
/// # Errors
/// If it is of this tool and of another version.
pub fn known<T: DeserializeOwned>(predicates: Vec<Value>, schema: u32) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for predicate in predicates {
        let Some(version) = predicate.get("schema").cloned() else { continue };
        let unknown = |why: String| {
            UserError::failed(format!("a signed statement of the version {version} cannot be read: {why}"))
                .help("a newer version of this tool has attached it: use that one")
        };
        if version != schema {
            return Err(unknown(format!("this program knows {schema}")).into());
        }
        found.push(serde_json::from_value(predicate).map_err(|error| unknown(error.to_string()))?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_are_read() {
        let record = r#"{"schema":1,"plan":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","cell":"app",
            "version":null,"commit":null,"revision":"r","repositories":[],"unfinished":[],"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "children":[],"tags":[],"signature":{"method":"local","identity":null,"key":null},"published":"PUBLISHED"}"#;
        let line = |kind: &str, predicate: &str| {
            let statement = format!(r#"{{"_type":"x","predicateType":"{kind}","predicate":{predicate}}}"#);
            format!(r#"{{"payload":"{}","payloadType":"p","signatures":[]}}"#, STANDARD.encode(statement))
        };
        let of = |published: &str| line(KIND, &record.replace("PUBLISHED", published));
        let lines = [
            of("2026-11-22"),
            of("2026-11-21"),
            line("urn:other", record),
            line(KIND, "{}"),
            "no JSON".into(),
        ];
        let found = claims(predicates(lines.iter().map(String::as_str), KIND)).unwrap();
        let times: Vec<&str> = found.iter().map(|publication| publication.published.as_str()).collect();
        assert_eq!(times, ["2026-11-21", "2026-11-22"]);
        // What a newer version has written is there, and must not read as nothing.
        for newer in [
            record.replace("\"schema\":1", "\"schema\":2"),
            record.replace("\"schema\":1", "\"schema\":1,\"more\":1"),
        ] {
            let error = claims(vec![serde_json::from_str(&newer).unwrap()]).unwrap_err();
            assert!(format!("{error:#}").contains("cannot be read"), "{error:#}");
        }
    }
}
