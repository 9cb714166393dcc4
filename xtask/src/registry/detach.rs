//! Takes away what is attached to a digest and needed no more.
//!
//! A registry with the API of referrers lists what there is, so a manifest is deleted there. Without it what is attached is
//! a list under a tag, which can be written anew, also where nothing can be deleted. Nobody can compare and swap that list,
//! and cosign does as little when it attaches: who writes to one digest does it one after the other, and reads it back.

use anyhow::Result;
use serde_json::Value;

use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository};
use crate::registry::client::locked;
use crate::registry::place::Place;
use crate::registry::referrers::Attachment;
use crate::registry::status::Verdict;
use crate::registry::{FetchedManifest, Passing, Registry, found};

impl Registry {
    /// What an attached bundle of Sigstore holds, as it was written.
    ///
    /// # Errors
    /// As [`Registry::require`], and if it holds nothing.
    pub fn bundle(&self, repository: &Repository, attachment: &Attachment) -> Result<Value> {
        let manifest = self.require(repository, &attachment.digest)?.manifest;
        let layer = manifest.layers.first();
        let layer = layer.ok_or_else(|| UserError::failed(format!("{} is empty", attachment.digest)))?;
        Ok(serde_json::from_slice(&self.blob(repository, layer)?)?)
    }

    /// Detaches manifests from what they are about. `shown`: all that was attached a moment ago. `false`: this registry lets
    /// nobody do that, or it shows something else now.
    ///
    /// # Errors
    /// If it does not answer, or if what it holds then is not what was written.
    pub fn detach(
        &self,
        repository: &Repository,
        subject: &Digest,
        these: &[Digest],
        shown: &[Digest],
    ) -> Result<bool> {
        let place = Place::of(repository);
        if *locked(&self.client.host(&place).referrers) == Some(true) {
            for digest in these {
                let purpose = format!("detach {} from {subject}", repository.at(digest));
                match self.remove(repository, digest, &purpose)? {
                    Err(failure) if failure.verdict == Verdict::Unsupported => return Ok(false),
                    ended => drop(found(ended, &purpose)?),
                }
            }
            return Ok(true);
        }
        let tag = format!("sha256-{}", subject.hex());
        let (held, mut list) = self.list(repository, &tag)?;
        let listed = entries(&mut list)?;
        let has = |digest: &Digest| listed.iter().any(|entry| is_of_digest(entry, digest));
        let is_known = |entry: &Value| shown.iter().any(|digest| is_of_digest(entry, digest));
        if !these.iter().all(has) || !listed.iter().all(is_known) {
            return Ok(false);
        }
        listed.retain(|entry| !these.iter().any(|digest| is_of_digest(entry, digest)));
        let kept = listed.clone();
        self.write_list(repository, &tag, &held, &list)?;
        // Somebody may have written it at the same moment, from what it was before.
        let (held, mut now) = self.list(repository, &tag)?;
        let there = entries(&mut now)?;
        let lost: Vec<Value> = kept.into_iter().filter(|entry| !there.contains(entry)).collect();
        if !lost.is_empty() {
            there.extend(lost);
            self.write_list(repository, &tag, &held, &now)?;
        }
        Ok(true)
    }

    fn list(&self, repository: &Repository, tag: &str) -> Result<(FetchedManifest, Value)> {
        let reference = format!("{repository}:{tag}");
        let held = self.read(&reference)?;
        let held = held.ok_or_else(|| UserError::failed(format!("{reference} does not exist any more")))?;
        let list = serde_json::from_slice(&held.bytes)?;
        Ok((held, list))
    }

    fn write_list(
        &self,
        repository: &Repository,
        tag: &str,
        held: &FetchedManifest,
        list: &Value,
    ) -> Result<()> {
        let bytes = serde_json::to_vec(list)?;
        match self.put_manifest(repository, tag, &held.media_type, &bytes)? {
            Ok(()) => Ok(()),
            Err(Passing { error, .. }) => Err(error.into()),
        }
    }
}

/// What a list holds.
fn entries(list: &mut Value) -> Result<&mut Vec<Value>> {
    let entries = list.get_mut("manifests").and_then(Value::as_array_mut);
    entries.ok_or_else(|| UserError::failed("a list of what is attached is no index").into())
}

fn is_of_digest(entry: &Value, digest: &Digest) -> bool {
    entry.get("digest").and_then(Value::as_str) == Some(digest.as_str())
}
