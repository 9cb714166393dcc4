//! What was found in images before: an image with the same digest is not taken apart twice for the same question.
//!
//! The digest of an image's manifest fixes its configuration and its layers, so the answer cannot change. Only that
//! nothing is wrong is kept, in `target/xtask/checked`: what was refused is looked at again.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use crate::base::files;
use crate::base::ids::{Digest, Platform};

/// Raised when a change of the check makes earlier answers worthless.
const RULES: u32 = 1;

/// Everything that decides what the check of an image finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    rules: u32,
    /// Of the image's own manifest, not of an index.
    image: Digest,
    platform: Platform,
    /// The patterns of `binaries`.
    binaries: Vec<String>,
}

impl Question {
    pub(crate) fn new(image: &Digest, platform: &Platform, binaries: &[String]) -> Self {
        Self { rules: RULES, image: image.clone(), platform: platform.clone(), binaries: binaries.to_vec() }
    }
}

/// One answer, as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    question: Question,
    /// What a person was told, without the name of the build.
    remarks: Vec<String>,
}

/// The answers of one checkout.
#[derive(Debug, Clone)]
pub(crate) struct Verdicts(PathBuf);

impl Verdicts {
    /// Those in a folder.
    pub(crate) fn of(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// What there was to say about an image in which nothing was wrong. `None`: it was not looked into, or what is
    /// written about that cannot be understood.
    pub(crate) fn recall(&self, question: &Question) -> Option<Vec<String>> {
        let bytes = files::read_optional(&self.path(question)?).ok()??;
        let stored: Stored = serde_json::from_slice(&bytes).ok()?;
        (stored.question == *question).then_some(stored.remarks)
    }

    /// Keeps an answer. Where nothing can be written the image is looked into again next time.
    pub(crate) fn keep(&self, question: Question, remarks: Vec<String>) {
        if let Some(path) = self.path(&question) {
            let _ = files::write_json(&path, &Stored { question, remarks });
        }
    }

    fn path(&self, question: &Question) -> Option<PathBuf> {
        let key = Digest::of(&serde_json::to_vec(question).ok()?);
        Some(self.0.join(Path::new(key.hex()).with_extension("json")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_answer_holds_for_its_own_question_only() {
        let folder = std::env::temp_dir().join(format!("xtask-verdicts-{}", std::process::id()));
        let verdicts = Verdicts::of(folder.clone());
        let (amd64, arm64) = ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap());
        let question = Question::new(&Digest::of(b"i"), &amd64, &[]);
        assert_eq!(verdicts.recall(&question), None);
        verdicts.keep(question.clone(), vec!["it starts no program".to_owned()]);
        assert_eq!(verdicts.recall(&question), Some(vec!["it starts no program".to_owned()]));
        let others = [
            Question::new(&Digest::of(b"other"), &amd64, &[]),
            Question::new(&Digest::of(b"i"), &arm64, &[]),
            Question::new(&Digest::of(b"i"), &amd64, &["/opt/*.so".to_owned()]),
            Question { rules: 0, ..question.clone() },
        ];
        for other in &others {
            assert_eq!(verdicts.recall(other), None, "{other:?}");
        }
        // One that was put in the place of another, and one that is damaged.
        fs::copy(verdicts.path(&question).unwrap(), verdicts.path(&others[0]).unwrap()).unwrap();
        assert_eq!(verdicts.recall(&others[0]), None);
        fs::write(verdicts.path(&question).unwrap(), "{").unwrap();
        assert_eq!(verdicts.recall(&question), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
