//! The rules of `hold` and `release`: which indexes of a cell say that its tags stay.

use anyhow::Result;
use std::time::Duration;

use crate::base::context::Clock;
use crate::base::error::UserError;
use crate::base::hold::{Hold, KIND, SCHEMA};
use crate::base::ids::{Digest, Repository, Tag};
use crate::base::ui::Ui;
use crate::plan::Cell;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::holders::Holders;
use crate::publish::tag_rules::{Holder, TagState};
use crate::registry::Registry;
use crate::run::Runner;

/// Holds the tags of one cell, and lets them go.
pub struct Holding<'a> {
    /// The cell.
    pub cell: &'a Cell,
    /// Reads.
    pub registry: &'a Registry,
    /// Where holds are attached.
    pub records: &'a AttestationStore,
    /// Says since when.
    pub clock: Clock,
    /// Notices when we are asked to stop.
    pub runner: &'a Runner,
    /// For remarks.
    pub ui: Ui,
}

/// Why tags stay, and until when.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Why.
    pub reason: String,
    /// When it ends by itself, RFC 3339 in UTC.
    pub until: Option<String>,
}

impl Holding<'_> {
    /// Holds every moving tag of the cell where it is. Gives the tags.
    ///
    /// # Errors
    /// If no tag holds a publication of the cell, or if the hold cannot be signed.
    pub fn hold(&self, repository: &Repository, terms: &Terms) -> Result<Vec<(Tag, Digest)>> {
        let found = self.found(repository)?;
        let tags: Vec<(Tag, Digest)> = found.into_iter().map(|(tag, digest, _)| (tag, digest)).collect();
        if tags.is_empty() {
            return Err(UserError::failed(format!("no tag of {repository} holds a publication of {}", self.cell.id))
                .help("tags are looked for under the names that the plan gives the cell now; if the version has changed since, add --set-version TRACK=X with the one that was published")
                .into());
        }
        self.state(repository, &tags, true, terms)?;
        Ok(tags)
    }

    /// Lets the tags go. Gives those that were held.
    ///
    /// # Errors
    /// If none is held, or if that cannot be signed.
    pub fn release(&self, repository: &Repository) -> Result<Vec<(Tag, Digest)>> {
        let mut held = self.found(repository)?;
        held.retain(|(_, _, hold)| hold.is_some());
        let held: Vec<(Tag, Digest)> = held.into_iter().map(|(tag, digest, _)| (tag, digest)).collect();
        if held.is_empty() {
            return Err(
                UserError::failed(format!("no tag of {} in {repository} is held", self.cell.id)).into()
            );
        }
        let terms = Terms { reason: "released".to_owned(), until: None };
        self.state(repository, &held, false, &terms)?;
        Ok(held)
    }

    /// States it about each index once.
    ///
    /// # Errors
    /// If it cannot be signed or attached.
    pub fn state(
        &self,
        repository: &Repository,
        tags: &[(Tag, Digest)],
        held: bool,
        terms: &Terms,
    ) -> Result<()> {
        let mut digests: Vec<&Digest> = tags.iter().map(|(_, digest)| digest).collect();
        digests.sort();
        digests.dedup();
        for digest in digests {
            let hold = Hold {
                schema: SCHEMA,
                cell: self.cell.id.clone(),
                repository: repository.clone(),
                held,
                reason: terms.reason.clone(),
                since: self.since(repository, digest)?,
                until: terms.until.clone(),
            };
            self.records.attach(repository, digest, KIND, &self.cell.id, &serde_json::to_value(hold)?)?;
        }
        Ok(())
    }

    /// Now, and after every earlier one: a clock that was ahead must not make a hold that nobody can end.
    fn since(&self, repository: &Repository, digest: &Digest) -> Result<String> {
        let earlier = self.records.holds(repository, digest)?;
        let latest = earlier.iter().filter_map(|hold| humantime::parse_rfc3339(&hold.since).ok()).max();
        let next = latest.and_then(|latest| latest.checked_add(Duration::from_micros(1)));
        let since = next.map_or(self.clock.now(), |next| next.max(self.clock.now()));
        Ok(humantime::format_rfc3339_micros(since).to_string())
    }

    /// The moving tags that hold a publication of the cell, and why they stay there.
    fn found(&self, repository: &Repository) -> Result<Vec<(Tag, Digest, Option<String>)>> {
        let mut holders = Holders::new(Some(self.records), self.clock, self.runner, self.ui);
        holders.held_for = Some(&self.cell.id);
        let mut found = Vec::new();
        for tag in self.cell.tags.iter().filter(|tag| !tag.immutable) {
            let Some(held) = self.registry.read(&repository.tagged(&tag.name))? else { continue };
            let TagState { digest, holder, hold } = holders.state(repository, &tag.name, &held)?;
            if matches!(holder, Holder::Publication(age) if age.cell == self.cell.id.as_str()) {
                found.push((tag.name.clone(), digest, hold));
            }
        }
        Ok(found)
    }
}
