//! Reads and writes the publication records that are attached to an index.
//!
//! Whether there is a record is told by the registry, never by what cosign prints. `cosign verify-attestation` says the
//! same of an index without a record and of one whose records are signed by somebody else (3.1.3: "none of the
//! attestations matched the predicate type"), so it is asked only where something is attached that can hold a record:
//! a bundle whose annotation `dev.sigstore.bundle.predicateType` names our type, or one (of cosign 2, or of another
//! tool) that does not say. Then it has to verify one; anything else is tried again, and is an error if it stays so.

use anyhow::Result;
use serde_json::Value;
use std::path::{Path, PathBuf};

use crate::argv::Argv;
use crate::argv::cosign::Signer;
use crate::base::context::Layout;
use crate::base::error::UserError;
use crate::base::files;
use crate::base::hold::{self, Hold};
use crate::base::ids::{CellId, Digest, Repository};
use crate::base::publication::PublicationClaim;
use crate::plan::Kept;
use crate::publish::signing::Signing;
use crate::publish::statement_cache::{Question, StatementCache};
use crate::publish::statements::{KIND, claims, known, predicates};
use crate::publish::tag_rules::newest;
use crate::run::{Output, retry};

/// How often a record is attached before we say that it cannot be.
const ATTEMPTS: usize = 3;

/// How many of the statements that are attached have to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    All,
    One,
    None,
}

/// Whose statements count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signers {
    Now,
    /// Those of `[[sign.formerly]]` too.
    NowAndBefore,
}

/// The records of the indexes of any repository.
#[derive(Debug, Clone)]
pub struct AttestationStore {
    /// Who signs records, and who must have signed them.
    pub signing: Signing,
    /// Where cosign finds the records that it attaches.
    scratch: PathBuf,
    /// What was verified before.
    pub(super) cache: StatementCache,
    /// [`Signing::fingerprint`], which reads files.
    pub(super) fingerprint: Option<Digest>,
}

impl AttestationStore {
    /// Of what a registry holds.
    pub fn new(signing: Signing, layout: &Layout) -> Self {
        let (fingerprint, cache) = (signing.fingerprint(), StatementCache::new(layout.statements()));
        Self { signing, scratch: layout.logs(), cache, fingerprint }
    }

    /// The records of an index, the newest last. None is no error: an older version of this tool attached none.
    ///
    /// # Errors
    /// If the registry or cosign cannot tell, or if what is attached was not signed by whom we trust.
    pub fn read(&self, repository: &Repository, digest: &Digest) -> Result<Vec<PublicationClaim>> {
        self.records(repository, digest, Signers::Now)
    }

    /// The same, and what those who signed before have stated counts as well.
    ///
    /// # Errors
    /// As [`AttestationStore::read`].
    pub fn read_of_all_times(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<PublicationClaim>> {
        self.records(repository, digest, Signers::NowAndBefore)
    }

    fn records(
        &self,
        repository: &Repository,
        digest: &Digest,
        signers: Signers,
    ) -> Result<Vec<PublicationClaim>> {
        let mut records = claims(self.stated(repository, digest, KIND, Demand::All, signers)?)?;
        records.retain(|record| record.digest == *digest);
        Ok(records)
    }

    /// What is stated about a digest in statements of a type, where others may have attached some too, as GitHub does: one
    /// that verifies is enough.
    ///
    /// # Errors
    /// If none of those that are attached verifies.
    pub fn stated_among_others(
        &self,
        repository: &Repository,
        digest: &Digest,
        kind: &str,
    ) -> Result<Vec<Value>> {
        self.stated(repository, digest, kind, Demand::One, Signers::Now)
    }

    /// What we have stated about a digest. What others have attached does not count, which is said.
    ///
    /// # Errors
    /// If the registry cannot tell.
    pub fn stated_by_us(&self, repository: &Repository, digest: &Digest, kind: &str) -> Result<Vec<Value>> {
        self.stated(repository, digest, kind, Demand::None, Signers::Now)
    }

    /// Every hold that we have ever attached to a digest.
    ///
    /// # Errors
    /// If the registry cannot tell, or if one is of a version that this program does not know.
    pub fn holds(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Hold>> {
        known(self.stated_by_us(repository, digest, hold::KIND)?, hold::SCHEMA)
    }

    fn stated(
        &self,
        repository: &Repository,
        digest: &Digest,
        kind: &str,
        demand: Demand,
        signers: Signers,
    ) -> Result<Vec<Value>> {
        let mut attached = match self.cache.take_list(&format!("{kind} {}", repository.at(digest))) {
            Some(attached) => attached,
            None => self.attached(repository, digest, kind)?,
        };
        let wanted =
            |attached: &[Digest]| if demand == Demand::One { attached.len().min(1) } else { attached.len() };
        if attached.is_empty() {
            return Ok(Vec::new());
        }
        let question = self.question(repository, digest, kind, attached.clone(), signers);
        if let Some(known) = self.cache.recall(&question) {
            return Ok(predicates(known.iter().map(String::as_str), kind));
        }
        // To cosign a bundle that it could not fetch is one that is not there; the registry has just said otherwise. It
        // succeeds if there is another one, so what it prints is counted.
        let Signing { runner, ui, .. } = &self.signing;
        let purpose = format!("read the statements about {}", repository.at(digest));
        let mut tries = retry::Tries::new(runner, *ui);
        let mut looks = 0;
        let (statements, refused) = loop {
            let (statements, refused) =
                self.verified(repository, digest, kind, wanted(&attached), signers)?;
            looks += 1;
            // What somebody else has attached stays so: where it does not matter one more look is enough.
            let enough = demand == Demand::None && looks > 1;
            if enough
                || statements.len() >= wanted(&attached)
                || !tries.again(&purpose, "one that the registry shows was not read", None)?
            {
                break (statements, refused);
            }
            // Another run may have put a newer record in the place of an older one.
            attached = self.attached(repository, digest, kind)?;
        };
        let expected = wanted(&attached);
        let question = self.question(repository, digest, kind, attached.clone(), signers);
        match (statements.len(), refused) {
            (found, _) if found >= attached.len() => self.cache.keep(question, &statements),
            (found, _) if found >= expected => {}
            (found, _) if demand == Demand::None => {
                ui.warn(format!("{purpose}: {expected} of the type {kind} are attached, {found} of them count: the others are signed by somebody else"));
            }
            (0, refused) => {
                let refused = refused.unwrap_or_else(|| UserError::failed(purpose));
                let refused = self.signing.explained(refused, repository, digest)?;
                return Err(refused
                    .help("the registry holds a statement about this index, and none that is signed as [sign] of matrix.toml says: see who else publishes there")
                    .into());
            }
            (found, _) => {
                return Err(UserError::failed(format!("{purpose}: {expected} are attached, and {found} could be verified"))
                    .help("somebody else has attached one to this index, or the registry does not send all of them: `cosign verify-attestation` and `cosign tree` show them")
                    .into());
            }
        }
        Ok(predicates(statements.iter().map(String::as_str), kind))
    }

    /// The statements that verify, as cosign prints them, and why it refused if there is none.
    fn verified(
        &self,
        repository: &Repository,
        digest: &Digest,
        kind: &str,
        expected: usize,
        signers: Signers,
    ) -> Result<(Vec<String>, Option<UserError>)> {
        let (mut statements, mut refused) = (Vec::new(), None);
        if let Some(signer) = self.signing.likely() {
            refused = self.ask(repository, digest, kind, signer, &mut statements)?.or(refused);
        }
        if statements.len() < expected {
            let others = match signers {
                Signers::Now => self.signing.others(repository, digest)?,
                Signers::NowAndBefore => self.signing.everybody(repository, digest)?,
            };
            for signer in others {
                refused = self.ask(repository, digest, kind, &signer, &mut statements)?.or(refused);
            }
        }
        Ok((statements, refused))
    }

    /// Adds what one signer has stated.
    fn ask(
        &self,
        repository: &Repository,
        digest: &Digest,
        kind: &str,
        signer: &Signer,
        statements: &mut Vec<String>,
    ) -> Result<Option<UserError>> {
        let argv = self.signing.cosign.attestations(signer, repository, digest, kind);
        let finished = self.signing.runner.run(&argv, Output::Capture)?;
        if !finished.success() {
            return Ok(Some(finished.fault(&argv)));
        }
        let text = String::from_utf8_lossy(&finished.stdout);
        let found: Vec<String> =
            text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        // Of two signers who both fit, each finds the same.
        let more: Vec<String> = found.into_iter().filter(|line| !statements.contains(line)).collect();
        statements.extend(more);
        Ok(None)
    }

    /// The record of an index that a cell keeps: of those that state the inputs with which it was compared, the one that says
    /// that it is the newest.
    ///
    /// # Errors
    /// As [`AttestationStore::read`], and if there is none.
    pub fn of_kept(&self, repository: &Repository, cell: &CellId, kept: &Kept) -> Result<PublicationClaim> {
        let proves = |record: &PublicationClaim| {
            record.cell == *cell
                && record.repositories.contains(repository)
                && inputs_of(record).as_ref() == Some(&kept.inputs)
        };
        let found = newest(self.read(repository, &kept.digest)?, proves);
        found.ok_or_else(|| {
            let at = repository.at(&kept.digest);
            UserError::failed(format!(
                "keep {at}: no signed record of {cell} there states the inputs of the plan"
            ))
            .help("make a new plan: the image that this one reuses is no longer published")
            .into()
        })
    }

    /// The newest record of an index that a plan has attached: it knows what the tags held before, since they may be set
    /// already.
    ///
    /// # Errors
    /// As [`AttestationStore::read`].
    pub fn of_plan(
        &self,
        repository: &Repository,
        digest: &Digest,
        plan: &Digest,
    ) -> Result<Option<PublicationClaim>> {
        let mut earlier = self.read(repository, digest)?;
        earlier.retain(|record| record.plan == *plan);
        Ok(earlier.pop())
    }

    /// What is attached to a digest that can be a statement of a type.
    pub(crate) fn attached(
        &self,
        repository: &Repository,
        digest: &Digest,
        kind: &str,
    ) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        let registry = &self.signing.registry;
        for attachment in registry.attached(repository, digest)? {
            if registry.may_state(repository, &attachment, kind)? {
                found.push(attachment.digest);
            }
        }
        Ok(found)
    }

    /// Which of these statements verify.
    pub(super) fn question(
        &self,
        repository: &Repository,
        digest: &Digest,
        kind: &str,
        attached: Vec<Digest>,
        signers: Signers,
    ) -> Question {
        let kind = format!("{kind}, {signers:?}");
        Question::new(self.fingerprint.clone(), (repository, digest), &kind, attached)
    }

    /// Attaches a record to its index.
    ///
    /// # Errors
    /// As [`AttestationStore::attach`].
    pub fn write(&self, repository: &Repository, claim: &PublicationClaim) -> Result<()> {
        self.attach(repository, &claim.digest, KIND, &claim.cell, &serde_json::to_value(claim)?)
    }

    /// Attaches a statement to a digest.
    ///
    /// # Errors
    /// If it cannot be written or signed.
    pub fn attach(
        &self,
        repository: &Repository,
        digest: &Digest,
        kind: &str,
        cell: &CellId,
        predicate: &Value,
    ) -> Result<()> {
        // Of this process, repository and type alone: another merge of the cell may be at work in the same checkout.
        let name = Digest::of(format!("{repository} {kind} {}", std::process::id()).as_bytes());
        let file = file(&self.scratch, cell, name.short().trim_start_matches("sha256:"));
        files::write_json(&file, predicate)?;
        let Signing { cosign, signer, .. } = &self.signing;
        let argv = cosign.attest(signer, repository, digest, kind, &file);
        // Whatever was listed before it is attached is no answer any more.
        self.cache.take_list(&format!("{kind} {}", repository.at(digest)));
        let is_there = || {
            let stated = self.stated_by_us(repository, digest, kind)?;
            Ok(stated.iter().any(|stated| stated == predicate))
        };
        let done = self.insist(&argv, is_there);
        // What remains of it is in the registry, or will be written anew.
        let _ = std::fs::remove_file(&file);
        done
    }

    /// Attaches until it can be read. Where the registry has no referrers API, all that is attached to a digest is one
    /// list that is read, changed and written: of two writers at once one is lost.
    fn insist(&self, argv: &Argv, is_there: impl Fn() -> Result<bool>) -> Result<()> {
        let Signing { runner, ui, .. } = &self.signing;
        for _ in 0..ATTEMPTS {
            retry::check(runner, *ui, argv)?;
            if is_there()? {
                return Ok(());
            }
            // A registry may need a moment to show it.
            let mut tries = retry::Tries::new(runner, *ui);
            if tries.again(&argv.purpose, "what was attached is not there yet", None)? && is_there()? {
                return Ok(());
            }
        }
        Err(UserError::failed(format!(
            "{}: cosign has attached it, and the registry does not show it",
            argv.purpose
        ))
        .into())
    }
}

/// What the inputs of a publication are told by: the SHA-256 of their JSON form. None if it does not state them.
pub fn inputs_of(claim: &PublicationClaim) -> Option<Digest> {
    Some(Digest::of(&serde_json::to_vec(claim.inputs.as_ref()?).ok()?))
}

/// The file that `cosign attest` reads a record from.
pub fn file(folder: &Path, cell: &CellId, name: &str) -> PathBuf {
    folder.join(format!("{cell}.{name}.publication.json"))
}
