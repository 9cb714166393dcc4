//! What cosign has verified before, in `target/xtask/statements`: nobody asks it twice about the same bytes.
//!
//! A statement that is attached to a digest is a manifest with a digest of its own, so whether it verifies depends on who
//! must have signed it, and on nothing that changes. The registry is asked each time what is attached; only where that is
//! just what was verified is the answer known. What was refused is asked about again.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::answers::Answers;
use crate::base::ids::{Digest, Repository};

/// Raised when a change of this program makes earlier answers worthless.
const RULES: u32 = 1;

/// Everything that decides which statements verify.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    rules: u32,
    /// Who must have signed; none if nothing may be written down about it.
    signers: Option<Digest>,
    repository: Repository,
    subject: Digest,
    /// The type of the statements, or what else is asked.
    kind: String,
    /// The digests of what is attached, sorted.
    attached: Vec<Digest>,
}

impl Question {
    /// Which statements of a type about a digest verify. `signers`: see [`crate::publish::signing::Signing::fingerprint`].
    pub(crate) fn new(
        signers: Option<Digest>,
        (repository, subject): (&Repository, &Digest),
        kind: &str,
        mut attached: Vec<Digest>,
    ) -> Self {
        attached.sort();
        let (repository, subject, kind) = (repository.clone(), subject.clone(), kind.to_owned());
        Self { rules: RULES, signers, repository, subject, kind, attached }
    }
}

/// The answers of one checkout.
#[derive(Debug, Clone)]
pub(crate) struct StatementCache {
    written: Answers,
    /// Those that were given to this command, also where nothing may be written down.
    known: Arc<Mutex<BTreeMap<Question, Vec<String>>>>,
    /// What was attached a moment ago, for the next look and no further one.
    listed: Arc<Mutex<BTreeMap<String, Vec<Digest>>>>,
}

impl StatementCache {
    /// Those in a folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { written: Answers::of(folder), known: Arc::default(), listed: Arc::default() }
    }

    /// Notes what is attached to something, for whoever asks next.
    pub(crate) fn list(&self, about: String, attached: Vec<Digest>) {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(about, attached);
    }

    /// What was noted; once.
    pub(crate) fn take_list(&self, about: &str) -> Option<Vec<Digest>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).remove(about)
    }

    /// The lines of statements that all verified; none if that is not known.
    pub(crate) fn recall(&self, question: &Question) -> Option<Vec<String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(question).cloned();
        let written = || question.signers.as_ref().and_then(|_| self.written.recall(question));
        known.or_else(written)
    }

    /// Keeps an answer. Where nothing can be written cosign is asked again by the next command.
    pub(crate) fn keep(&self, question: Question, lines: &[String]) {
        if question.signers.is_some() {
            self.written.keep(&question, lines);
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(question, lines.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_answer_holds_for_what_was_attached_and_who_must_have_signed() {
        let folder = std::env::temp_dir().join(format!("xtask-statements-{}", std::process::id()));
        let repository: Repository = "ghcr.io/acme/app".parse().unwrap();
        let (subject, one, two) = (Digest::of(b"s"), Digest::of(b"1"), Digest::of(b"2"));
        let ask = |signers: &[u8], attached: &[&Digest]| {
            let attached = attached.iter().map(|digest| (*digest).clone()).collect();
            Question::new(Some(Digest::of(signers)), (&repository, &subject), "kind", attached)
        };
        StatementCache::new(folder.clone()).keep(ask(b"us", &[&two, &one]), &["line".to_owned()]);
        let cache = StatementCache::new(folder.clone());
        assert_eq!(cache.recall(&ask(b"us", &[&one, &two])), Some(vec!["line".to_owned()]));
        for other in [ask(b"them", &[&one, &two]), ask(b"us", &[&one]), ask(b"us", &[])] {
            assert_eq!(cache.recall(&other), None, "{other:?}");
        }
        // Of whom nothing may be written down, an answer holds as long as the command runs.
        let unwritten = Question::new(None, (&repository, &subject), "kind", vec![one]);
        cache.keep(unwritten.clone(), &[]);
        assert_eq!(cache.recall(&unwritten), Some(Vec::new()));
        assert_eq!(StatementCache::new(folder.clone()).recall(&unwritten), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
