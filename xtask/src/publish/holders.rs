//! What a tag holds: a publication of ours that has a claim to it, or something else.
//!
//! Where images are signed the newest record decides that is signed by whom we trust and claims this tag in this
//! repository; what an index says of itself counts only where nothing is signed. So who may push and not sign can neither
//! make up a publication from the future, nor put a genuine one of another tag in the way.

use anyhow::{Context as _, Result};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::base::context::Clock;
use crate::base::error::{self, UserError};
use crate::base::hold::Hold;
use crate::base::ids::{CellId, Digest, Repository, Tag};
use crate::base::publication::PublicationClaim;
use crate::base::ui::Ui;
use crate::plan::resolve::{
    ANNOTATION_CELL, ANNOTATION_CODE_DATE, ANNOTATION_OWN_VERSION, ANNOTATION_PLANNED, ANNOTATION_REVISION,
    ANNOTATION_VERSION,
};
use crate::plan::{Cell, Plan};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::tag_rules::{Age, Holder, TagState, is_version, newest};
use crate::registry::FetchedManifest;
use crate::run::{Runner, retry};

/// How far a clock may be ahead of ours. A time beyond that is not believed.
pub const AHEAD: Duration = Duration::from_secs(300);

/// Judges what tags of one repository hold.
#[derive(Debug)]
pub struct Holders<'a> {
    /// Where records are attached; nowhere if nothing is signed.
    pub records: Option<&'a AttestationStore>,
    /// `--replace-untrusted`: what cannot be verified counts as older.
    pub replace_untrusted: bool,
    /// The cell whose holds count; none to move tags in spite of them.
    pub held_for: Option<&'a CellId>,
    /// Tells which times lie in the future.
    pub clock: Clock,
    /// Waits before it looks again.
    pub runner: &'a Runner,
    /// For remarks.
    pub ui: Ui,
    /// The records that were read in this look at the tags.
    known: Mutex<Vec<(Digest, Vec<PublicationClaim>)>>,
    /// The holds that were found, and where there is none.
    holds: Mutex<Vec<(Digest, Option<String>)>>,
}

impl<'a> Holders<'a> {
    /// Of a repository whose records are read from `records`.
    pub fn new(records: Option<&'a AttestationStore>, clock: Clock, runner: &'a Runner, ui: Ui) -> Self {
        Self {
            records,
            replace_untrusted: false,
            held_for: None,
            clock,
            runner,
            ui,
            known: Mutex::default(),
            holds: Mutex::default(),
        }
    }

    /// What a tag that holds this is.
    ///
    /// # Errors
    /// If what is attached to it was not signed by whom we trust, or if that cannot be told.
    pub fn state(&self, repository: &Repository, tag: &Tag, held: &FetchedManifest) -> Result<TagState> {
        let holder = match self.claim(repository, tag, held) {
            Ok(claimed) => self.believed(claimed),
            Err(error) if self.replace_untrusted => {
                self.runner.check_interrupted()?;
                Holder::Other(format!("cannot be trusted: {error:#}"))
            }
            Err(error) => return Err(error),
        };
        // Whatever becomes of its records: somebody may have taken them away, or added one.
        let hold = if annotated(held).is_some() { self.hold(repository, &held.digest)? } else { None };
        Ok(TagState { digest: held.digest.clone(), holder, hold })
    }

    /// Why tags stay at a digest.
    fn hold(&self, repository: &Repository, digest: &Digest) -> Result<Option<String>> {
        let (Some(cell), Some(records)) = (self.held_for, self.records) else { return Ok(None) };
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, hold)) = holds.iter().find(|(known, _)| known == digest) {
            return Ok(hold.clone());
        }
        let all = records.holds(repository, digest)?;
        let hold = Hold::active(&all, cell, repository, self.clock.now()).map(|hold| hold.described());
        holds.push((digest.clone(), hold.clone()));
        Ok(hold)
    }

    /// Records are read anew: one may be attached to an index that is kept while tags are decided about.
    pub fn forget_records(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Holds are read anew: one may be attached while tags are decided about.
    pub fn forget_holds(&self) {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The age of the publication that claims the tag, else why there is none.
    fn claim(
        &self,
        repository: &Repository,
        tag: &Tag,
        held: &FetchedManifest,
    ) -> Result<std::result::Result<Age, String>> {
        let own = annotated(held);
        let (Some(own), Some(records)) = (own.as_ref(), self.records) else {
            return Ok(own.ok_or_else(|| "was published by another tool".to_owned()));
        };
        let found = self.records(records, repository, &held.digest).with_context(|| {
            format!("{} holds {}, which cannot be trusted", repository.tagged(tag), held.digest.short())
        });
        let found = found.map_err(|error| {
            error::helped(
                &error,
                "whether it is newer cannot be told: see who else may push there; once that is clear, --replace-untrusted lets it count as older",
            )
        })?;
        if found.is_empty() {
            return Ok(Err("has no signed record".to_owned()));
        }
        let newest = newest(found, |record| is_about(record, repository, tag, held));
        Ok(newest
            .map(|record| of_record(&record, own))
            .ok_or_else(|| format!("was never published as {tag}")))
    }

    /// The record that decides how new a digest is at a tag; none if nothing that we trust does.
    pub fn record(
        &self,
        repository: &Repository,
        tag: &Tag,
        held: &FetchedManifest,
    ) -> Option<PublicationClaim> {
        annotated(held)?;
        let found = self.records(self.records?, repository, &held.digest).ok()?;
        newest(found, |record| is_about(record, repository, tag, held))
    }

    /// The records of a digest. One that is there may not be shown yet: without any it looks twice.
    fn records(
        &self,
        records: &AttestationStore,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<PublicationClaim>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = known.iter().find(|(known, _)| known == digest) {
            return Ok(found.clone());
        }
        let mut found = records.read_of_all_times(repository, digest)?;
        if found.is_empty() {
            let purpose = format!("read the records of {}", repository.at(digest));
            retry::Tries::new(self.runner, self.ui).again(&purpose, "there is none yet", None)?;
            found = records.read_of_all_times(repository, digest)?;
        }
        known.push((digest.clone(), found.clone()));
        Ok(found)
    }

    /// A time of the future is not believed: it would keep the tag until then.
    fn believed(&self, claimed: std::result::Result<Age, String>) -> Holder {
        let limit = self.clock.now().checked_add(AHEAD);
        match claimed {
            Ok(age) if is_beyond(&age.planned, limit) => {
                Holder::Other(format!("was planned at {}, which has yet to come", age.planned))
            }
            Ok(age) => Holder::Publication(age),
            Err(why) => Holder::Other(why),
        }
    }
}

fn is_about(record: &PublicationClaim, repository: &Repository, tag: &Tag, held: &FetchedManifest) -> bool {
    record.repositories.contains(repository) && record.claims(tag) && record.digest == held.digest
}

/// Refuses a plan that was made by a clock that is wrong: once the time has come, nothing would be newer.
///
/// # Errors
/// If it was made more than [`AHEAD`] from now.
pub fn refuse_future(planned: &str, now: SystemTime) -> Result<()> {
    if !is_beyond(planned, now.checked_add(AHEAD)) {
        return Ok(());
    }
    Err(UserError::failed(format!("publish a plan of {planned}: that time has yet to come"))
        .help("a clock is wrong, that of the machine that planned or this one: set it, and plan again")
        .into())
}

/// Whether a time lies beyond a limit. What is no time does.
pub fn is_beyond(time: &str, limit: Option<SystemTime>) -> bool {
    humantime::parse_rfc3339(time).map_or(true, |time| limit.is_some_and(|limit| time > limit))
}

/// What an index says of itself; none if it is not of this tool.
fn annotated(held: &FetchedManifest) -> Option<Age> {
    let annotation = |key: &str| held.manifest.annotations.get(key).cloned();
    let revision = annotation(ANNOTATION_REVISION).unwrap_or_default();
    let code_date = annotation(ANNOTATION_CODE_DATE).filter(|date| humantime::parse_rfc3339(date).is_ok());
    // Before there was an annotation of our own, the one that users may set was all.
    let older = || annotation(ANNOTATION_VERSION).filter(|_| code_date.is_none());
    let version = annotation(ANNOTATION_OWN_VERSION).or_else(older);
    Some(Age {
        cell: annotation(ANNOTATION_CELL)?,
        version: version.filter(|version| is_version(version, &revision)),
        planned: annotation(ANNOTATION_PLANNED)?,
        revision,
        code_date,
    })
}

/// How new the publication of a plan is.
pub fn of_plan(plan: &Plan, cell: &Cell) -> Age {
    let version = cell.version.clone();
    Age {
        cell: cell.id.to_string(),
        version: version.filter(|version| is_version(version, &plan.revision)),
        revision: plan.revision.clone(),
        code_date: plan.code_date.clone(),
        planned: plan.planned().to_owned(),
    }
}

/// How new a publication is whose index is at hand.
pub fn age(record: &PublicationClaim, index: &FetchedManifest) -> Age {
    of_record(record, &annotated(index).unwrap_or_default())
}

/// What a record says. Records of older versions of this tool leave the times to their index, whose digest they name.
fn of_record(record: &PublicationClaim, index: &Age) -> Age {
    let planned = record.planned.clone().unwrap_or_else(|| index.planned.clone());
    Age { planned, ..Age::of_claim(record) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::manifest::Manifest;

    fn index(annotations: &[(&str, &str)]) -> FetchedManifest {
        let annotations: serde_json::Map<String, serde_json::Value> =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let bytes = serde_json::json!({ "annotations": annotations }).to_string().into_bytes();
        let manifest = Manifest::parse(&bytes).unwrap();
        FetchedManifest { digest: Digest::of(&bytes), media_type: String::new(), manifest, bytes }
    }

    #[test]
    fn an_index_of_another_tool_says_nothing() {
        assert_eq!(annotated(&index(&[])), None);
        assert_eq!(annotated(&index(&[(ANNOTATION_VERSION, "1.2")])), None);
    }

    /// Users may set the version that readers see; which publication is newer does not follow it.
    #[test]
    fn the_version_that_counts_is_our_own() {
        let plain = [
            (ANNOTATION_CELL, "app"),
            (ANNOTATION_PLANNED, "2026-11-21T05:00:00Z"),
            (ANNOTATION_VERSION, "99"),
        ];
        let version = |more: &[(&str, &str)]| annotated(&index(&[&plain, more].concat())).unwrap().version;
        assert_eq!(version(&[]).as_deref(), Some("99"), "of an older version of this tool");
        let dated = (ANNOTATION_CODE_DATE, "2026-11-21T04:00:00Z");
        assert_eq!(version(&[dated]), None);
        assert_eq!(version(&[dated, (ANNOTATION_OWN_VERSION, "8.5.0")]).as_deref(), Some("8.5.0"));
    }

    #[test]
    fn times_of_the_future_are_not_believed() {
        let now = humantime::parse_rfc3339("2026-11-21T05:00:00Z").unwrap();
        for (time, beyond) in [
            ("2026-11-21T04:00:00Z", false),
            ("2026-11-21T05:00:00Z", false),
            ("2026-11-21T05:00:01Z", true),
            ("9999-01-01T00:00:00Z", true),
            ("zzzz", true),
        ] {
            assert_eq!(is_beyond(time, Some(now)), beyond, "{time}");
        }
        assert!(refuse_future("2026-11-21T05:05:00Z", now).is_ok());
        assert!(refuse_future("2026-11-21T05:05:01Z", now).is_err());
    }
}
