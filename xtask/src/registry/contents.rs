//! What manifests name: the configurations of images, and statements about images.

use anyhow::{Context as _, Result};

use crate::base::error::UserError;
use crate::base::ids::{Digest, Repository};
use crate::registry::attestations::Statements;
use crate::registry::client::Call;
use crate::registry::image_config::ImageConfig;
use crate::registry::manifest::{BlobDescriptor, Manifest};
use crate::registry::place::Place;
use crate::registry::transport::Answer;
use crate::registry::{Registry, is_of};

/// The largest blob that is read, in bytes: configurations and statements. Larger statements are not looked into.
const BLOB_LIMIT: u64 = 16 << 20;

impl Registry {
    /// The configuration of an image.
    ///
    /// # Errors
    /// As [`Registry::require`], and if it is not one.
    pub fn image_config(&self, repository: &Repository, image: &Manifest) -> Result<ImageConfig> {
        let config = image
            .config
            .as_ref()
            .with_context(|| format!("an image in {repository} has no configuration"))?;
        let bytes = self.blob(repository, config)?;
        serde_json::from_slice(&bytes).with_context(|| {
            format!("{} in {repository} is not the configuration of an image", config.digest)
        })
    }

    /// What is stated about an image that an index lists, each statement checked against its image.
    ///
    /// # Errors
    /// If it has no attestation, or one that is about something else.
    pub fn statements(
        &self,
        repository: &Repository,
        index: &Manifest,
        image: &Digest,
    ) -> Result<Statements> {
        let entry = index.attestations(image).next();
        let entry = entry.ok_or_else(|| UserError::failed(format!("{image} has no attestation")))?;
        let fetched = self.require(repository, &entry.digest)?;
        let mut statements = Statements::default();
        for (kind, blob) in Statements::listed(&fetched.manifest, image)? {
            if blob.size > BLOB_LIMIT {
                statements.add_unread(kind);
            } else {
                statements.add(kind, &self.blob(repository, blob)?, image)?;
            }
        }
        Ok(statements)
    }

    /// A small blob that a manifest names.
    pub(super) fn blob(&self, repository: &Repository, blob: &BlobDescriptor) -> Result<Vec<u8>> {
        let digest: Digest = blob.digest.parse()?;
        if blob.size > BLOB_LIMIT {
            let text = format!(
                "{} has {} bytes, more than the limit of {BLOB_LIMIT}",
                repository.at(&digest),
                blob.size
            );
            return Err(UserError::failed(text).into());
        }
        let place = Place::of(repository);
        let call = Call {
            purpose: format!("read {}", repository.at(&digest)),
            method: "GET",
            place: &place,
            path: format!("blobs/{digest}"),
            kind: None,
            body: &[],
            limit: usize::try_from(blob.size)?.saturating_add(1),
        };
        let read = |answer: Answer| is_of(&digest, &answer.body).map(|()| answer.body);
        self.client.call(&call, true, read)?.map_err(|failure| failure.fault(&call.purpose).into())
    }
}
