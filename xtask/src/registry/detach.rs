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
use crate::registry::{Passing, Registry, found};

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

    /// Detaches manifests from what they are about. `false`: this registry lets nobody do that.
    ///
    /// # Errors
    /// If it does not answer, or if what it holds then is not what was written.
    pub fn detach(&self, repository: &Repository, subject: &Digest, these: &[Digest]) -> Result<bool> {
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
        let Some(held) = self.read(&format!("{repository}:{tag}"))? else { return Ok(true) };
        let mut list: Value = serde_json::from_slice(&held.bytes)?;
        let is_meant = |entry: &Value| {
            let digest = entry.get("digest").and_then(Value::as_str);
            these.iter().any(|digest_of| digest == Some(digest_of.as_str()))
        };
        if let Some(entries) = list.get_mut("manifests").and_then(Value::as_array_mut) {
            entries.retain(|entry| !is_meant(entry));
        }
        let bytes = serde_json::to_vec(&list)?;
        match self.put_manifest(repository, &tag, &held.media_type, &bytes)? {
            Ok(()) => Ok(true),
            Err(Passing { error, .. }) => Err(error.into()),
        }
    }
}
