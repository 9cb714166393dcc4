//! The events under which a workflow is read: once for each that starts it, so that a condition on the event becomes the
//! events for which it holds.

use crate::init::workflow::text::{Map, Origin, Text, Value};

/// What is known about a repository beside its files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// `acme/app`: what GitHub calls it.
    pub(crate) owner_and_name: Option<String>,
    /// Its default branch.
    pub(crate) default_branch: String,
}

/// An event that publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A push to the default branch.
    Push,
    /// A push of a tag.
    Tag,
    /// A release.
    Release,
    /// The clock, on the default branch.
    Schedule,
    /// A person, on the default branch.
    Dispatch,
}

impl Event {
    pub(super) fn is_tag(self) -> bool {
        matches!(self, Self::Tag | Self::Release)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Push | Self::Tag => "push",
            Self::Release => "release",
            Self::Schedule => "schedule",
            Self::Dispatch => "workflow_dispatch",
        }
    }
}

/// A commit that stands for any.
pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The events of a workflow, and which of them is looked at.
#[derive(Debug, Clone)]
pub(super) struct Case<'a> {
    pub(super) event: Event,
    /// A tag that starts the workflow.
    pub(super) tag: &'a str,
    pub(super) surroundings: &'a Surroundings,
}

impl Case<'_> {
    /// The branch or tag of the run.
    pub(super) fn reference(&self) -> &str {
        if self.event.is_tag() { self.tag } else { &self.surroundings.default_branch }
    }

    /// The context `github`, see
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#github-context>.
    pub(super) fn github(&self) -> Value {
        let text = |text: &str| Value::typed(text);
        let reference = Text::placeholder("ref", self.reference());
        let (kind, folder) = if self.event.is_tag() { ("tag", "tags") } else { ("branch", "heads") };
        let mut full = Text::typed(&format!("refs/{folder}/"));
        full.push(reference.clone());
        let revision = || Value::Text(Text::placeholder("revision", COMMIT));
        let mut pairs = vec![
            ("ref", Value::Text(full)),
            ("ref_name", Value::Text(reference.clone())),
            ("ref_type", text(kind)),
            ("event_name", text(self.event.name())),
            ("sha", revision()),
            ("head_ref", text("")),
            ("base_ref", text("")),
            ("workspace", text(".")),
            ("server_url", text("https://github.com")),
            ("token", Value::Text(Text::of("", Origin::Secret("GITHUB_TOKEN".to_owned())))),
        ];
        let mut repository = vec![("default_branch".to_owned(), text(&self.surroundings.default_branch))];
        if let Some((owner, name)) =
            self.surroundings.owner_and_name.as_deref().and_then(|n| n.split_once('/'))
        {
            pairs.push(("repository", text(&format!("{owner}/{name}"))));
            pairs.push(("repository_owner", text(owner)));
            repository.push(("name".to_owned(), text(name)));
            repository.push(("full_name".to_owned(), text(&format!("{owner}/{name}"))));
        }
        let release = match self.event {
            Event::Release => Value::Map(Map::open(vec![
                ("tag_name".to_owned(), Value::Text(reference)),
                ("prerelease".to_owned(), Value::Bool(self.tag.ends_with("-rc.1"))),
                ("draft".to_owned(), Value::Bool(false)),
            ])),
            _ => Value::Null,
        };
        let event = [
            ("repository", Value::Map(Map::open(repository))),
            ("release", release),
            ("pull_request", Value::Null),
            ("action", text(if self.event == Event::Release { "published" } else { "" })),
        ];
        let event = event.map(|(name, value)| (name.to_owned(), value)).to_vec();
        pairs.push(("event", Value::Map(Map::open(event))));
        Value::Map(Map::open(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
    }
}
