//! What started the run, from GitHub's variables or, outside CI, from the local checkout.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;

use super::git::Git;
use crate::context::Environment;
use crate::files;

/// The event of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A command typed by a person.
    Local {
        /// The branch that is checked out, if one is.
        branch: Option<String>,
        /// Whether it is the default branch.
        default_branch: bool,
    },
    /// Commits on a branch.
    Push {
        /// The branch.
        branch: String,
        /// Whether it is the default branch.
        default_branch: bool,
    },
    /// A tag of this repository, pushed or released.
    Tag {
        /// The tag.
        tag: String,
    },
    /// A pull request: it pushes nothing.
    PullRequest {
        /// The ref that GitHub tests, e.g. `27/merge`.
        reference: String,
    },
    /// The clock.
    Schedule {
        /// The branch.
        branch: String,
        /// Whether it is the default branch.
        default_branch: bool,
    },
    /// A person, on GitHub.
    Dispatch {
        /// The branch.
        branch: String,
        /// Whether it is the default branch.
        default_branch: bool,
    },
}

impl Event {
    /// Whether the run is for the default branch.
    pub fn on_default_branch(&self) -> bool {
        match self {
            Self::Local { default_branch, .. }
            | Self::Push { default_branch, .. }
            | Self::Schedule { default_branch, .. }
            | Self::Dispatch { default_branch, .. } => *default_branch,
            Self::Tag { .. } | Self::PullRequest { .. } => false,
        }
    }

    /// The branch, tag or pull request, as the placeholder `{ref}` of a `self` track.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Local { branch, .. } => branch.as_deref(),
            Self::Push { branch, .. } | Self::Schedule { branch, .. } | Self::Dispatch { branch, .. } => {
                Some(branch)
            }
            Self::Tag { tag } => Some(tag),
            Self::PullRequest { reference } => Some(reference),
        }
    }

    /// From `GITHUB_*` where `GITHUB_ACTIONS` is set, else from the checkout.
    ///
    /// # Errors
    /// If the event's payload exists and cannot be read.
    pub fn detect(environment: &Environment, git: &Git) -> Result<Self> {
        if environment.get("GITHUB_ACTIONS") != Some("true") {
            return Ok(Self::Local { branch: git.branch.clone(), default_branch: git.on_default_branch });
        }
        let default = default_branch(environment)?;
        let name = environment.get("GITHUB_EVENT_NAME").unwrap_or("push");
        let reference = environment.get("GITHUB_REF").unwrap_or_default();
        Ok(Self::from_github(name, reference, &default))
    }

    /// The rules of GitHub's variables, see
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>.
    fn from_github(name: &str, reference: &str, default: &str) -> Self {
        if name.starts_with("pull_request") {
            let reference = reference.trim_start_matches("refs/pull/").trim_start_matches("refs/heads/");
            return Self::PullRequest { reference: reference.to_owned() };
        }
        if let Some(tag) = reference.strip_prefix("refs/tags/") {
            return Self::Tag { tag: tag.to_owned() };
        }
        let branch = reference.trim_start_matches("refs/heads/").to_owned();
        let default_branch = branch == default;
        match name {
            "schedule" => Self::Schedule { branch, default_branch },
            "workflow_dispatch" => Self::Dispatch { branch, default_branch },
            _ => Self::Push { branch, default_branch },
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Local { .. } => "local",
            Self::Push { .. } => "push",
            Self::Tag { .. } => "tag",
            Self::PullRequest { .. } => "pull-request",
            Self::Schedule { .. } => "schedule",
            Self::Dispatch { .. } => "dispatch",
        };
        match self.reference() {
            Some(reference) => write!(f, "{name} {reference}"),
            None => f.write_str(name),
        }
    }
}

/// The part of the event's payload that we read.
#[derive(Deserialize)]
struct Payload {
    repository: Option<PayloadRepository>,
}

#[derive(Deserialize)]
struct PayloadRepository {
    default_branch: Option<String>,
}

/// GitHub names the default branch only in the payload of the event.
fn default_branch(environment: &Environment) -> Result<String> {
    let bytes = match environment.get("GITHUB_EVENT_PATH") {
        Some(path) => files::read_optional(path.as_ref())?,
        None => None,
    };
    let payload = bytes.and_then(|bytes| serde_json::from_slice::<Payload>(&bytes).ok());
    let named =
        payload.and_then(|payload| payload.repository).and_then(|repository| repository.default_branch);
    Ok(named.unwrap_or_else(|| "main".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn github_events() {
        let table = [
            ("push", "refs/heads/main", "push main"),
            ("push", "refs/tags/v1.2.3", "tag v1.2.3"),
            ("release", "refs/tags/v1.2.3", "tag v1.2.3"),
            ("pull_request", "refs/pull/27/merge", "pull-request 27/merge"),
            ("pull_request_target", "refs/heads/main", "pull-request main"),
            ("schedule", "refs/heads/main", "schedule main"),
            ("workflow_dispatch", "refs/heads/feature/x", "dispatch feature/x"),
        ];
        for (name, reference, expected) in table {
            assert_eq!(Event::from_github(name, reference, "main").to_string(), expected);
        }
        assert!(!Event::from_github("push", "refs/heads/develop", "main").on_default_branch());
        assert!(!Event::from_github("pull_request", "refs/pull/1/merge", "main").on_default_branch());
    }
}
