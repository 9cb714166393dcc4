//! A build as a step of a workflow describes it, for one row of its matrix and one event.

use std::collections::{BTreeMap, BTreeSet};

use crate::init::found::Secret;
use crate::init::workflow::event::Event;
use crate::init::workflow::text::Text;

/// A build.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Built {
    /// Which one it is: the same under each event.
    pub(super) id: String,
    /// The step, for remarks: `release.yml: job build, step "Build"`.
    pub(super) at: String,
    /// The job, for comments: `release.yml, job build`.
    pub(super) origin: String,
    /// The keys of the matrix with their values.
    pub(super) row: BTreeMap<String, String>,
    /// What the matrix leaves out.
    pub(super) left_out: Vec<BTreeMap<String, String>>,
    /// Where it is published, image's name included.
    pub(super) repositories: Vec<Text>,
    pub(super) context: Text,
    /// Relative to the repository.
    pub(super) file: Option<Text>,
    pub(super) target: Option<Text>,
    pub(super) platforms: Vec<Text>,
    /// The labels of its runner.
    pub(super) runner: Option<Text>,
    pub(super) args: Vec<(String, Text)>,
    pub(super) labels: Vec<(String, Text)>,
    pub(super) annotations: Vec<(String, Text)>,
    pub(super) contexts: Vec<(String, Text)>,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) cache: BTreeSet<&'static str>,
    pub(super) sbom: bool,
    pub(super) tags: Vec<Text>,
    /// Whether it goes to a registry.
    pub(super) pushed: bool,
    /// Its labels are those that metadata-action takes from GitHub.
    pub(super) labels_of_github: bool,
    /// The conditions of it that only a run can tell.
    pub(super) conditions: Vec<String>,
}

/// Tags that a job gives to an image that another one has pushed by its digest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tagged {
    /// The step, for remarks.
    pub(super) at: String,
    pub(super) row: BTreeMap<String, String>,
    pub(super) repository: Text,
    pub(super) tags: Vec<Text>,
    /// The conditions of it that only a run can tell.
    pub(super) conditions: Vec<String>,
}

/// All that the steps of a workflow do, under each event.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) builds: Vec<(Event, Built)>,
    pub(super) tagged: Vec<(Event, Tagged)>,
    /// Steps whose scripts tag images in a way that is not read.
    pub(super) scripts: Vec<String>,
    /// What cannot be carried.
    pub(super) left: Vec<String>,
    /// Some of it is not the same for each tag, and was left out.
    pub(super) differs: bool,
    /// Repositories for which metadata-action makes no tags under some event.
    pub(super) disabled: Vec<String>,
}

impl Steps {
    /// Adds those of another event.
    pub(super) fn add(&mut self, other: Self) {
        self.builds.extend(other.builds);
        self.tagged.extend(other.tagged);
        self.differs |= other.differs;
        self.disabled.extend(other.disabled);
        for script in other.scripts {
            if !self.scripts.contains(&script) {
                self.scripts.push(script);
            }
        }
        other.left.into_iter().for_each(|remark| self.leave(remark));
    }

    /// Adds a remark unless it is there.
    pub(super) fn leave(&mut self, remark: String) {
        if !self.left.contains(&remark) {
            self.left.push(remark);
        }
    }
}
