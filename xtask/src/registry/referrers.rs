//! What is attached to a digest: signatures, statements and whatever else refers to it.
//!
//! Sources: the OCI distribution specification 1.1 ("Listing Referrers", "Unavailable Referrers API"); cosign's
//! `specs/SIGNATURE_SPEC.md` (tags) and its bundles as cosign 3.1.3 writes them.

use anyhow::Result;

use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository};
use crate::registry::client::{Call, Host, locked};
use crate::registry::failure::Failure;
use crate::registry::manifest::{LIMIT, Manifest};
use crate::registry::place::Place;
use crate::registry::status::Verdict;
use crate::registry::transport::Answer;
use crate::registry::{Registry, next_query};

/// How many pages of a list are read at most.
const PAGES: usize = 100;

/// The media type of a list of referrers.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The annotation of a bundle that names the type of its statement.
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// How registries say that they lack the API: by the specification 404, and what go-containerregistry, with which
/// cosign writes, takes for the same; 303 is GitHub's.
const LACKING: [u16; 6] = [303, 400, 404, 405, 406, 501];

/// In what form something is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A bundle of Sigstore, of a signature or of a statement: what cosign 3 writes.
    Bundle,
    /// cosign 2's statements, all in one manifest.
    Statements,
    /// Anything that holds no statement.
    Other,
}

/// Something that refers to a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its own digest.
    pub digest: Digest,
    form: Form,
    /// The type of its statement, where the list tells it.
    predicate_type: Option<String>,
}

impl Registry {
    /// Everything that is attached to a digest: by the API of referrers, else by the tag `sha256-HEX` that takes its
    /// place, and by the tags of cosign 2, `sha256-HEX.att` and `sha256-HEX.sig`.
    ///
    /// # Errors
    /// If the registry does not answer, or refuses: then there may be something.
    pub fn attached(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Attachment>> {
        let place = Place::of(repository);
        let tag = format!("sha256-{}", digest.hex());
        let mut found = match self.referrers(&place, digest)? {
            Some(found) => found,
            None => match self.fetch(&place, &tag, &format!("read {repository}:{tag}"), false)? {
                Some(fetched) => attachments(&fetched.manifest),
                None => Vec::new(),
            },
        };
        for (suffix, form) in [(".att", Form::Statements), (".sig", Form::Other)] {
            let tag = format!("{tag}{suffix}");
            if let Some(fetched) = self.fetch(&place, &tag, &format!("read {repository}:{tag}"), false)? {
                found.push(Attachment { digest: fetched.digest, form, predicate_type: None });
            }
        }
        Ok(found)
    }

    /// Whether something that is attached can hold a statement of a type: `false` only if its own manifest rules it out.
    ///
    /// # Errors
    /// As [`Registry::read`].
    pub fn may_state(&self, repository: &Repository, attachment: &Attachment, kind: &str) -> Result<bool> {
        match (attachment.form, &attachment.predicate_type) {
            (Form::Other, _) => Ok(false),
            (Form::Bundle, Some(named)) => Ok(named == kind),
            (form, _) => {
                let manifest = self.require(repository, &attachment.digest)?.manifest;
                Ok(states(form, &manifest, kind))
            }
        }
    }

    /// The list of the API. `None`: this registry lacks it.
    fn referrers(&self, place: &Place, digest: &Digest) -> Result<Option<Vec<Attachment>>> {
        let host = self.client.host(place);
        if *locked(&host.referrers) == Some(false) {
            return Ok(None);
        }
        let purpose = format!("list what is attached to {}/{}@{digest}", place.host(), place.name());
        let mut found = Vec::new();
        let mut next = Some(String::new());
        for _ in 0..PAGES {
            let Some(query) = next else { return Ok(Some(found)) };
            let path = format!("referrers/{digest}{query}");
            let kind = Some(("accept", INDEX.to_owned()));
            let (method, purpose) = ("GET", purpose.clone());
            let call = Call { purpose, method, place, path, kind, body: &[], limit: LIMIT };
            match self.client.call(&call, false, page)? {
                Ok((mut more, query)) => {
                    *locked(&host.referrers) = Some(true);
                    found.append(&mut more);
                    next = query;
                }
                Err(failure) => return self.lacks_referrers(&host, &call, &failure),
            }
        }
        Err(UserError::failed(format!("{purpose}: the list has more than {PAGES} pages")).into())
    }

    /// Whether a failure says that the registry lacks the API. What has answered once lacks nothing: there only the
    /// repository can be missing. A page of a proxy says nothing about the registry.
    fn lacks_referrers(
        &self,
        host: &Host,
        call: &Call<'_>,
        failure: &Failure,
    ) -> Result<Option<Vec<Attachment>>> {
        let known = *locked(&host.referrers);
        if known == Some(true) && failure.verdict == Verdict::Missing {
            return Ok(Some(Vec::new()));
        }
        // Another thread may have come to the same answer meanwhile.
        let by_registry = !failure.by_login && !failure.page && failure.verdict != Verdict::Temporary;
        if known != Some(true) && by_registry && LACKING.contains(&failure.status) {
            *locked(&host.referrers) = Some(false);
            return Ok(None);
        }
        Err(failure.fault(&call.purpose).into())
    }
}

/// What one answer lists, and the query of the next page.
fn page(answer: Answer) -> Result<(Vec<Attachment>, Option<String>), Failure> {
    let manifest = Manifest::parse(&answer.body).map_err(|error| Failure::spoilt(format!("{error:#}")))?;
    if !manifest.is_index() {
        return Err(Failure::broken(format!("a list of referrers of the type `{}`", manifest.media_type)));
    }
    Ok((attachments(&manifest), next_query(&answer)))
}

/// What a list of referrers names.
fn attachments(list: &Manifest) -> Vec<Attachment> {
    let entries = list.manifests.iter().map(|entry| Attachment {
        digest: entry.digest.clone(),
        form: form(&entry.artifact_type),
        predicate_type: entry.annotations.get(PREDICATE_TYPE).cloned(),
    });
    entries.collect()
}

/// What an artifact type says of the form. A list may leave it out, or name an empty configuration instead, as that of
/// cosign 3.0 does: then it can be a bundle.
fn form(artifact_type: &str) -> Form {
    let bundle = ["", "application/vnd.oci.empty.v1+json"].contains(&artifact_type)
        || artifact_type.starts_with("application/vnd.dev.sigstore.bundle");
    match bundle {
        true => Form::Bundle,
        false if artifact_type.starts_with("application/vnd.dev.cosign.artifact.att") => Form::Statements,
        false => Form::Other,
    }
}

/// Whether a manifest can hold a statement of a type.
fn states(form: Form, manifest: &Manifest, kind: &str) -> bool {
    let is = |named: Option<&String>| named.is_none_or(|named| named == kind);
    match form {
        Form::Bundle => is(manifest.annotations.get(PREDICATE_TYPE)),
        Form::Statements => manifest.layers.iter().any(|layer| is(layer.annotations.get("predicateType"))),
        Form::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_list_tells_what_can_hold_a_statement() {
        let entry = |more: &str| format!(r#"{{"mediaType":"m","size":1,"digest":"sha256:{HEX}"{more}}}"#);
        let entries = [
            entry(r#","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json""#),
            entry(
                r#","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json","annotations":{"dev.sigstore.bundle.predicateType":"urn:x"}"#,
            ),
            entry(r#","artifactType":"application/vnd.oci.empty.v1+json""#),
            entry(""),
            entry(r#","artifactType":"application/vnd.dev.cosign.artifact.att.v1+json""#),
            entry(r#","artifactType":"application/spdx+json""#),
        ];
        let text = format!(r#"{{"mediaType":"{INDEX}","manifests":[{}]}}"#, entries.join(","));
        let found = attachments(&Manifest::parse(text.as_bytes()).unwrap());
        let forms: Vec<Form> = found.iter().map(|one| one.form).collect();
        use Form::{Bundle, Other, Statements};
        assert_eq!(forms, [Bundle, Bundle, Bundle, Bundle, Statements, Other]);
        let named: Vec<Option<&str>> = found.iter().map(|one| one.predicate_type.as_deref()).collect();
        assert_eq!(named.get(1), Some(&Some("urn:x")));
    }

    #[test]
    fn a_manifest_rules_out_what_it_names_otherwise() {
        let parse = |text: &str| Manifest::parse(text.as_bytes()).unwrap();
        let bundle = parse(r#"{"annotations":{"dev.sigstore.bundle.predicateType":"urn:x"}}"#);
        assert!(states(Form::Bundle, &bundle, "urn:x") && !states(Form::Bundle, &bundle, "urn:y"));
        assert!(states(Form::Bundle, &parse("{}"), "urn:y"), "it does not say");
        let many = parse(
            r#"{"layers":[{"annotations":{"predicateType":"urn:x"}},{"annotations":{"predicateType":"urn:y"}}]}"#,
        );
        assert!(states(Form::Statements, &many, "urn:y") && !states(Form::Statements, &many, "urn:z"));
        assert!(!states(Form::Statements, &parse("{}"), "urn:x"));
        assert!(!states(Form::Other, &many, "urn:x"));
    }
}
