//! What `merge --dry-run` prints: the commands of every step, in the order in which they would run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::argv::buildx::Buildx;
use crate::argv::cosign::{Cosign, Signer};
use crate::base::ids::{CellId, Digest, Repository};
use crate::base::record::DigestRecord;
use crate::plan::{Cell, Kept, Plan};
use crate::publish::attestation_store;
use crate::publish::gates;
use crate::publish::pinned_index;
use crate::publish::provenance;
use crate::publish::publisher::join;
use crate::publish::statements::KIND;
use crate::publish::steps::{CellStep, Step, steps};
use crate::registry::Registry;

/// What the commands are made of. Nothing is asked, so a digest of zeros stands for that of the index.
pub(crate) struct Preview<'a> {
    /// The plan.
    pub(crate) plan: &'a Plan,
    /// The folder of `matrix.toml`.
    pub(crate) root: &'a Path,
    /// The cells that are published.
    pub(crate) cells: BTreeSet<&'a CellId>,
    /// Joins the architectures.
    pub(crate) buildx: &'a Buildx,
    /// Signs; none if the matrix says that images are not signed.
    pub(crate) signing: Option<(&'a Cosign, &'a Signer)>,
    /// The folder of the records that cosign would attach.
    pub(crate) scratch: PathBuf,
}

impl Preview<'_> {
    /// The lines of a cell: a comment for each kind of step, then its commands, which can be pasted.
    pub(crate) fn lines(&self, cell: &Cell, records: &[DigestRecord]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut last = None;
        for one in steps(cell, records, &self.plan.gates, self.signing.is_some()) {
            let place = (one.repository, one.step.kind());
            if last.replace(place) != Some(place) {
                let at = one.repository.map(|repository| format!(" in {repository}")).unwrap_or_default();
                lines.push(format!("# {}: {}{at}", cell.id, one.step.kind().title()));
            }
            lines.extend(self.commands(cell, records, &one));
        }
        lines
    }

    fn commands(&self, cell: &Cell, records: &[DigestRecord], one: &CellStep<'_>) -> Vec<String> {
        let index = cell.kept().map_or_else(Digest::unknown, |kept| kept.digest.clone());
        let first = cell.repositories.first();
        let Some(repository) = one.repository.or(first) else { return Vec::new() };
        match one.step {
            Step::CheckBases => self.bases(cell),
            Step::KeepIndex(kept) => self.kept(repository, kept),
            Step::CheckBuild(record) => vec![get(repository, record.digest.as_str())],
            Step::PushIndex => {
                let join = join(cell, records, repository);
                let push = join.push_untagged(self.buildx, &index).to_string();
                vec![join.dry_run(self.buildx).to_string(), push]
            }
            Step::Sign => self.signed(|cosign, signer| cosign.sign(signer, repository, &index).to_string()),
            Step::AttachProvenance => self.signed(|cosign, signer| {
                let file = attestation_store::file(&self.scratch, &cell.id, "provenance");
                cosign.attest(signer, repository, &index, provenance::KIND, &file).to_string()
            }),
            Step::PassGate(words) => {
                let argv = gates::command(self.root, words, cell, repository, &index);
                vec![argv.map_or_else(|error| error.to_string(), |argv| argv.to_string())]
            }
            Step::Verify => self.signed(|cosign, signer| {
                cosign.verify(signer, repository, std::slice::from_ref(&index)).to_string()
            }),
            Step::AttachRecord => self.signed(|cosign, signer| {
                let file = attestation_store::file(&self.scratch, &cell.id, "merge");
                cosign.attest(signer, repository, &index, KIND, &file).to_string()
            }),
            Step::SetTag(tag) => vec![pinned_index::dry_run(repository, &index, &tag.name)],
            Step::ReadTagsBack => cell.tags.iter().map(|tag| get(repository, tag.name.as_str())).collect(),
            Step::WriteRecord => Vec::new(),
        }
    }

    fn kept(&self, repository: &Repository, kept: &Kept) -> Vec<String> {
        let read = get(repository, kept.digest.as_str());
        let records = |cosign: &Cosign, signer: &Signer| {
            cosign.attestations(signer, repository, &kept.digest, KIND).to_string()
        };
        let verify = |cosign: &Cosign, signer: &Signer| {
            cosign.verify(signer, repository, std::slice::from_ref(&kept.digest)).to_string()
        };
        let verified = if kept.is_unfinished() { self.signed(verify) } else { Vec::new() };
        std::iter::once(read).chain(self.signed(records)).chain(verified).collect()
    }

    /// What is not published by the same call is looked for in the registry.
    fn bases(&self, cell: &Cell) -> Vec<String> {
        let needs: BTreeSet<&CellId> = cell.needs().collect();
        let needed = needs.into_iter().filter(|need| !self.cells.contains(need));
        let repositories =
            needed.filter_map(|need| self.plan.cell(need)?.repositories.first()).collect::<Vec<_>>();
        let index = Digest::unknown();
        let line = |repository: &&Repository| match self.signing {
            Some((cosign, signer)) => cosign.attestations(signer, repository, &index, KIND).to_string(),
            None => get(repository, index.as_str()),
        };
        repositories.iter().map(line).collect()
    }

    fn signed(&self, line: impl Fn(&Cosign, &Signer) -> String) -> Vec<String> {
        self.signing.map(|(cosign, signer)| line(cosign, signer)).into_iter().collect()
    }
}

/// A read, as it is shown: it is no command, but a request of this tool.
fn get(repository: &Repository, name: &str) -> String {
    Registry::describe_put(repository, name).replacen("PUT", "GET", 1)
}
