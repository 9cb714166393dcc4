//! The publication record of a cell, before its tags are decided about.

use anyhow::Result;
use std::collections::BTreeMap;

use crate::argv::cosign::Signer;
use crate::base::context::Clock;
use crate::base::ids::Repository;
use crate::base::inputs::CellInputs;
use crate::base::publication::{PublicationClaim, SignatureFacts};
use crate::base::record::{self, DigestRecord};
use crate::plan::{Cell, Plan, SigningMethod};
use crate::publish::index;
use crate::registry::FetchedManifest;

/// What the records of one call share.
pub(crate) struct Claims<'a> {
    pub(crate) plan: &'a Plan,
    /// Who signs; none if nothing is signed.
    pub(crate) signer: Option<&'a Signer>,
    /// The public key of the signatures, as people know it.
    pub(crate) public_key: Option<&'a str>,
    pub(crate) clock: Clock,
}

impl Claims<'_> {
    /// The record as it is attached; its tags are not known yet.
    ///
    /// # Errors
    /// If the index does not hold the images of the cell.
    pub(crate) fn claim(
        &self,
        cell: &Cell,
        repository: &Repository,
        index: &FetchedManifest,
        inputs: Option<CellInputs>,
    ) -> Result<PublicationClaim> {
        Ok(PublicationClaim {
            schema: record::SCHEMA,
            plan: self.plan.id.clone(),
            planned: Some(self.plan.planned().to_owned()),
            cell: cell.id.clone(),
            version: cell.version.clone(),
            commit: cell.commit.clone(),
            revision: self.plan.revision.clone(),
            code_date: self.plan.code_date.clone(),
            repositories: vec![repository.clone()],
            unfinished: Vec::new(),
            digest: index.digest.clone(),
            children: index::children(&index.manifest, cell)?,
            tags: Vec::new(),
            skipped: Vec::new(),
            inputs,
            signature: self.signature(),
            published: self.clock.precise(),
        })
    }

    /// What decided what the index is, as its builds have told; none if one of them could not.
    ///
    /// # Errors
    /// Never in practice: it is plain data.
    pub(crate) fn inputs(&self, cell: &Cell, records: &[DigestRecord]) -> Result<Option<CellInputs>> {
        let one = |record: &DigestRecord| Some((record.arch.clone(), record.inputs.clone()?));
        let builds: Option<BTreeMap<_, _>> = records.iter().map(one).collect();
        let index = cell.index_inputs(self.plan)?;
        Ok(builds.map(|builds| CellInputs { index, builds }))
    }

    /// The facts about the signatures.
    fn signature(&self) -> SignatureFacts {
        let method = match &self.plan.sign {
            SigningMethod::Local => "local",
            SigningMethod::Keyless { .. } => "keyless",
            SigningMethod::Key { .. } => "key",
            SigningMethod::None { .. } => "none",
        };
        let identity = match self.signer {
            Some(Signer::Keyless { identity, .. }) => Some(identity.clone()),
            _ => None,
        };
        SignatureFacts { method: method.to_owned(), identity, key: self.public_key.map(str::to_owned) }
    }
}
