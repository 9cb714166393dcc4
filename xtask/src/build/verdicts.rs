//! What was found in images before: the same files are not taken out of an image twice for the same question.
//!
//! The digest of an image's manifest fixes its configuration and its layers, so the answer cannot change. A new label
//! makes another image of the same layers, started in the same way: the answer holds for that one, too. Only that
//! nothing is wrong is kept, in `target/xtask/checked`; what was refused is looked at again.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use crate::base::answers::Answers;
use crate::base::ids::{Digest, Platform};
use crate::plan::Build;
use crate::registry::image_config::ImageConfig;

/// Raised when a change of the check makes earlier answers worthless.
const RULES: u32 = 1;

/// Everything that decides what the check of an image finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    rules: u32,
    /// The digest of an image's own manifest, or that of its layers and of how it is started.
    subject: Digest,
    platform: Platform,
    /// The patterns of `binaries`.
    binaries: Vec<String>,
}

/// The layers that an image's manifest lists.
#[derive(Debug, Serialize, Deserialize)]
struct Layers {
    layers: Vec<Layer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Layer {
    digest: Digest,
}

impl Question {
    /// About one image, by the digest of its manifest.
    pub(crate) fn image(image: &Digest, build: &Build) -> Self {
        Self::new(image.clone(), &build.platform, &build.binaries)
    }

    /// About every image that holds what this one does.
    ///
    /// # Errors
    /// If `manifest` is not that of an image.
    pub(crate) fn contents(manifest: &[u8], image: &ImageConfig, build: &Build) -> Result<Self> {
        let layers: Layers = serde_json::from_slice(manifest).context("reading the layers of an image")?;
        Ok(Self::new(subject(&layers, image)?, &build.platform, &build.binaries))
    }

    fn new(subject: Digest, platform: &Platform, binaries: &[String]) -> Self {
        Self { rules: RULES, subject, platform: platform.clone(), binaries: binaries.to_vec() }
    }
}

fn subject(layers: &Layers, image: &ImageConfig) -> Result<Digest> {
    Ok(Digest::of(&serde_json::to_vec(&(layers, image))?))
}

/// The answers of one checkout.
#[derive(Debug, Clone)]
pub(crate) struct Verdicts(Answers);

impl Verdicts {
    /// Those in a folder.
    pub(crate) fn of(folder: PathBuf) -> Self {
        Self(Answers::of(folder))
    }

    /// What there was to say about an image in which nothing was wrong: what a person was told, without the name of the
    /// build. `None`: it was not looked into, or what is written about that cannot be understood.
    pub(crate) fn recall(&self, question: &Question) -> Option<Vec<String>> {
        self.0.recall(question)
    }

    /// Keeps an answer. Where nothing can be written the image is looked into again next time.
    pub(crate) fn keep(&self, question: &Question, remarks: &[String]) {
        self.0.keep(question, remarks);
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
        let question = Question::new(Digest::of(b"i"), &amd64, &[]);
        assert_eq!(verdicts.recall(&question), None);
        verdicts.keep(&question, &["it starts no program".to_owned()]);
        assert_eq!(verdicts.recall(&question), Some(vec!["it starts no program".to_owned()]));
        let others = [
            Question::new(Digest::of(b"other"), &amd64, &[]),
            Question::new(Digest::of(b"i"), &arm64, &[]),
            Question::new(Digest::of(b"i"), &amd64, &["/opt/*.so".to_owned()]),
            Question { rules: 0, ..question.clone() },
        ];
        for other in &others {
            assert_eq!(verdicts.recall(other), None, "{other:?}");
        }
        // One that was put in the place of another, and one that is damaged.
        fs::copy(verdicts.0.path(&question).unwrap(), verdicts.0.path(&others[0]).unwrap()).unwrap();
        assert_eq!(verdicts.recall(&others[0]), None);
        fs::write(verdicts.0.path(&question).unwrap(), "{").unwrap();
        assert_eq!(verdicts.recall(&question), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_label_changes_nothing_and_a_layer_does() {
        let hex = |text: &str| Digest::of(text.as_bytes());
        let manifest = |layer: &str, config: &str| {
            let text = serde_json::json!({
                "config": { "digest": hex(config) }, "layers": [{ "digest": hex(layer), "size": 7 }],
            });
            text.to_string().into_bytes()
        };
        let image = |program: &str, label: &str| -> ImageConfig {
            let text = serde_json::json!({
                "architecture": "amd64", "os": "linux", "created": label,
                "config": { "Entrypoint": [program], "Labels": { "x": label } },
            });
            serde_json::from_value(text).unwrap()
        };
        let subject = |manifest: &[u8], image: &ImageConfig| {
            let layers: Layers = serde_json::from_slice(manifest).unwrap();
            subject(&layers, image).unwrap()
        };
        let first = subject(&manifest("a", "1"), &image("app", "1"));
        assert_eq!(first, subject(&manifest("a", "2"), &image("app", "2")));
        assert_ne!(first, subject(&manifest("b", "1"), &image("app", "1")));
        assert_ne!(first, subject(&manifest("a", "1"), &image("other", "1")));
        assert!(serde_json::from_slice::<Layers>(b"{\"manifests\":[]}").is_err(), "an index has no layers");
    }
}
