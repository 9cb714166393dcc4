//! What started the run, from GitHub's variables or, outside CI, from the local checkout.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

use crate::base::context::Environment;
use crate::base::error::UserError;
use crate::base::files;
use crate::plan::git::Git;

/// The event of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
        /// Whether it comes from a fork: it gets no secret.
        fork: bool,
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
            Self::PullRequest { reference, .. } => Some(reference),
        }
    }

    /// The full name of the branch or tag that the run is for; a pull request has none that counts.
    pub fn git_ref(&self) -> Option<String> {
        match self {
            Self::Tag { tag } => Some(format!("refs/tags/{tag}")),
            Self::PullRequest { .. } => None,
            _ => self.reference().map(|branch| format!("refs/heads/{branch}")),
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
        let payload = Payload::read(environment)?;
        let name = environment.get("GITHUB_EVENT_NAME").unwrap_or("push");
        let reference = environment.get("GITHUB_REF").unwrap_or_default();
        let fork = payload.comes_from_fork(environment.get("GITHUB_REPOSITORY"));
        Ok(Self::from_github(name, reference, &payload.default_branch(), fork))
    }

    /// `--event EVENT[:REF]`: what such an event would give. Without a ref: the default branch.
    ///
    /// # Errors
    /// If there is no such event, or if a tag is missing.
    pub fn simulate(text: &str, default: &str) -> Result<Self> {
        let (name, reference) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let reference = reference.filter(|reference| !reference.is_empty());
        let branch = reference.unwrap_or(default).to_owned();
        let default_branch = branch == default;
        let pull_request = |fork| {
            let reference = reference.unwrap_or("1/merge").to_owned();
            Ok(Self::PullRequest { reference, fork })
        };
        match (name, reference) {
            ("push", _) => Ok(Self::Push { branch, default_branch }),
            ("schedule", _) => Ok(Self::Schedule { branch, default_branch }),
            ("dispatch", _) => Ok(Self::Dispatch { branch, default_branch }),
            ("local", _) => Ok(Self::Local { branch: Some(branch), default_branch }),
            ("tag" | "release", Some(tag)) => Ok(Self::Tag { tag: tag.to_owned() }),
            ("tag" | "release", None) => Err(UserError::invalid(format!("--event {name}: which tag?"))
                .help(format!("e.g. --event {name}:v1.2.3"))
                .into()),
            ("pull-request", _) => pull_request(false),
            ("fork", _) => pull_request(true),
            _ => Err(UserError::invalid(format!("--event {name}: there is no such event"))
                .help(
                    "the events are push, tag, release, pull-request, fork (a pull request of one), schedule, \
                     dispatch, local",
                )
                .into()),
        }
    }

    /// The rules of GitHub's variables, see
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>.
    fn from_github(name: &str, reference: &str, default: &str, fork: bool) -> Self {
        // A merge queue tests what is not merged yet.
        if name.starts_with("pull_request") || name == "merge_group" {
            let reference = reference.trim_start_matches("refs/pull/").trim_start_matches("refs/heads/");
            return Self::PullRequest { reference: reference.to_owned(), fork };
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

/// The default branch: what the payload of GitHub's event says, else what git knows.
///
/// # Errors
/// If the payload exists and cannot be read.
pub fn default_branch(environment: &Environment, git: &Git) -> Result<String> {
    if environment.get("GITHUB_ACTIONS") != Some("true") {
        return Ok(git.default_branch.clone());
    }
    Ok(Payload::read(environment)?.default_branch())
}

/// What a person typed into the form of a `workflow_dispatch`. An input that was left empty is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct DispatchInputs {
    /// The input `track`: only its cells.
    #[serde(default)]
    pub track: Option<String>,
    /// The input `version`: in the place of the one that the track would give.
    #[serde(default)]
    pub version: Option<String>,
    /// The input `no-reuse`, a boolean, which GitHub has as text in some places.
    #[serde(default, rename = "no-reuse")]
    no_reuse: Option<Value>,
}

impl DispatchInputs {
    /// Whether every cell is to be built.
    pub fn builds_all(&self) -> bool {
        self.no_reuse.as_ref().is_some_and(|value| *value == true || *value == "true")
    }

    /// From the payload of the event that GitHub's variables name.
    ///
    /// # Errors
    /// If the payload exists and cannot be read.
    pub fn read(environment: &Environment) -> Result<Self> {
        if environment.get("GITHUB_ACTIONS") != Some("true")
            || environment.get("GITHUB_EVENT_NAME") != Some("workflow_dispatch")
        {
            return Ok(Self::default());
        }
        let typed =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let inputs = Payload::read(environment)?.inputs.unwrap_or_default();
        Ok(Self { track: typed(inputs.track), version: typed(inputs.version), no_reuse: inputs.no_reuse })
    }
}

/// The part of the event's payload that we read, see
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads>.
#[derive(Default, Deserialize)]
struct Payload {
    repository: Option<PayloadRepository>,
    pull_request: Option<PayloadPullRequest>,
    inputs: Option<DispatchInputs>,
}

#[derive(Deserialize)]
struct PayloadRepository {
    default_branch: Option<String>,
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct PayloadPullRequest {
    head: Option<PayloadHead>,
}

#[derive(Deserialize)]
struct PayloadHead {
    repo: Option<PayloadRepository>,
}

impl Payload {
    /// Without a payload, or with one of another form, nothing is known.
    fn read(environment: &Environment) -> Result<Self> {
        let bytes = match environment.get("GITHUB_EVENT_PATH") {
            Some(path) => files::read_optional(path.as_ref())?,
            None => None,
        };
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// GitHub names the default branch only here.
    fn default_branch(&self) -> String {
        let named = self.repository.as_ref().and_then(|repository| repository.default_branch.clone());
        named.unwrap_or_else(|| "main".to_owned())
    }

    /// Whether a pull request comes from another repository than this one. What cannot be told counts as a fork:
    /// a fork that was deleted has no repository any more.
    fn comes_from_fork(&self, repository: Option<&str>) -> bool {
        let head = self.pull_request.as_ref().and_then(|pull_request| pull_request.head.as_ref());
        let name = head.and_then(|head| head.repo.as_ref()).and_then(|repo| repo.full_name.as_deref());
        name.is_none() || name != repository
    }
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
            (
                "merge_group",
                "refs/heads/gh-readonly-queue/main/pr-1",
                "pull-request gh-readonly-queue/main/pr-1",
            ),
            ("schedule", "refs/heads/main", "schedule main"),
            ("workflow_dispatch", "refs/heads/feature/x", "dispatch feature/x"),
        ];
        for (name, reference, expected) in table {
            assert_eq!(Event::from_github(name, reference, "main", false).to_string(), expected);
        }
        assert!(!Event::from_github("push", "refs/heads/develop", "main", false).on_default_branch());
        assert!(!Event::from_github("pull_request", "refs/pull/1/merge", "main", false).on_default_branch());
    }

    #[test]
    fn the_form_of_a_dispatch() {
        let file = std::env::temp_dir().join(format!("xtask-dispatch-{}.json", std::process::id()));
        std::fs::write(&file, r#"{"inputs": {"track": " release ", "version": "", "other": 1}}"#).unwrap();
        let path = file.display().to_string();
        let inputs = |event: &str| {
            let environment = Environment::from([
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_EVENT_NAME", event),
                ("GITHUB_EVENT_PATH", path.as_str()),
            ]);
            DispatchInputs::read(&environment).unwrap()
        };
        let expected = DispatchInputs { track: Some("release".to_owned()), ..DispatchInputs::default() };
        assert_eq!(inputs("workflow_dispatch"), expected);
        assert_eq!(inputs("push"), DispatchInputs::default());
        for (written, builds_all) in
            [("\"true\"", true), ("true", true), ("\"false\"", false), ("false", false)]
        {
            std::fs::write(&file, format!(r#"{{"inputs": {{"no-reuse": {written}}}}}"#)).unwrap();
            assert_eq!(inputs("workflow_dispatch").builds_all(), builds_all, "{written}");
        }
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn simulated_events() {
        let table = [
            ("push", "push main"),
            ("push:feature/x", "push feature/x"),
            ("tag:v1.2.3", "tag v1.2.3"),
            ("release:v1.2.3", "tag v1.2.3"),
            ("pull-request", "pull-request 1/merge"),
            ("fork:27/merge", "pull-request 27/merge"),
            ("schedule", "schedule main"),
            ("dispatch:develop", "dispatch develop"),
            ("local", "local main"),
        ];
        for (text, expected) in table {
            assert_eq!(Event::simulate(text, "main").unwrap().to_string(), expected);
        }
        assert!(Event::simulate("push", "main").unwrap().on_default_branch());
        assert!(!Event::simulate("push:x", "main").unwrap().on_default_branch());
        assert!(Event::simulate("tag", "main").is_err() && Event::simulate("pr", "main").is_err());
    }

    #[test]
    fn forks_are_told_by_the_payload() {
        let fork =
            |text: &str| serde_json::from_str::<Payload>(text).unwrap().comes_from_fork(Some("acme/images"));
        assert!(!fork(r#"{"pull_request":{"head":{"repo":{"full_name":"acme/images"}}}}"#));
        assert!(fork(r#"{"pull_request":{"head":{"repo":{"full_name":"eve/images"}}}}"#));
        assert!(fork(r#"{"pull_request":{"head":{"repo":null}}}"#) && fork("{}"));
    }
}
