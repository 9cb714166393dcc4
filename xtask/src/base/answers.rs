//! Answers that cannot change, each in a file that is named by the digest of its question.
//!
//! The question is written beside the answer: a file that was put in the place of another answers nothing.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use crate::base::files;
use crate::base::ids::Digest;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<Q, A> {
    question: Q,
    answer: A,
}

/// The answers in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Answers(PathBuf);

impl Answers {
    /// Those in a folder.
    pub(crate) fn of(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The answer to a question. `None`: it is not known, or what is written about it cannot be understood.
    pub(crate) fn recall<Q, A>(&self, question: &Q) -> Option<A>
    where
        Q: Serialize + DeserializeOwned + PartialEq,
        A: DeserializeOwned,
    {
        let bytes = files::read_optional(&self.path(question)?).ok()??;
        let stored: Stored<Q, A> = serde_json::from_slice(&bytes).ok()?;
        (stored.question == *question).then_some(stored.answer)
    }

    /// Keeps an answer. Where nothing can be written the question is asked again next time.
    pub(crate) fn keep<Q: Serialize, A: Serialize + ?Sized>(&self, question: &Q, answer: &A) {
        if let Some(path) = self.path(question) {
            let _ = files::write_json(&path, &Stored { question, answer });
        }
    }

    /// Where the answer to a question is.
    pub(crate) fn path<Q: Serialize>(&self, question: &Q) -> Option<PathBuf> {
        let key = Digest::of(&serde_json::to_vec(question).ok()?);
        Some(self.0.join(key.hex()).with_extension("json"))
    }
}
