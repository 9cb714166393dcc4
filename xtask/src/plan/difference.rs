//! What a run would change in the registry, as `plan --diff` shows it: plain data, made by `reuse/` and `publish/`.

use serde::Serialize;
use std::collections::BTreeMap;

use crate::base::ids::{CellId, Digest, Name, Platform, Repository, Tag};
use crate::plan::reuse::Reuse;

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// How many digits of a commit people read.
const SHORT_COMMIT: usize = 7;

/// A plan against the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The plan.
    pub plan: Digest,
    /// What starts the run.
    pub event: String,
    /// Whether the run publishes; without it, no tag is compared.
    pub push: bool,
    /// What becomes of each cell, in the order of the plan.
    pub cells: Vec<CellDifference>,
    /// Who builds how much.
    pub runners: Vec<RunnerBuilds>,
}

/// What becomes of one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CellDifference {
    /// The cell.
    pub cell: CellId,
    /// Whether it is built, and why.
    pub reuse: Reuse,
    /// Where its tags go.
    pub publication: Facts,
    /// Its builds; none if it is kept.
    pub builds: Vec<BuildDifference>,
    /// Its tags, repository by repository; none if the run publishes nothing.
    pub repositories: Vec<RepositoryDifference>,
}

/// A build that the run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuildDifference {
    /// The short name of the platform.
    pub arch: Name,
    /// The platform.
    pub platform: Platform,
    /// The CI runner.
    pub runner: Option<String>,
    /// What consumers of the platform pull anew.
    pub pull: Pull,
}

/// What somebody pulls who has the image that is published now: an estimate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// So many bytes, as registries hold them.
    Bytes(u64),
    /// It cannot be told, for this reason: a phrase.
    Unknown(String),
}

/// The builds of one runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunnerBuilds {
    /// The runner; none where `matrix.toml` names none.
    pub runner: Option<String>,
    /// How many.
    pub builds: usize,
}

/// The tags of a cell in one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryDifference {
    /// The repository.
    pub repository: Repository,
    /// The tags as planned.
    pub tags: Vec<TagDifference>,
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagDifference {
    /// The tag.
    pub name: Tag,
    /// Whether it never moves once it is set.
    pub immutable: bool,
    /// What it holds now; none if it is not there.
    pub from: Option<TagHolder>,
    /// What `merge` does with it.
    #[serde(flatten)]
    pub becomes: Becomes,
}

/// What a tag holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagHolder {
    /// The digest.
    pub digest: Digest,
    /// The publication, as its signed record says; none if nothing that we trust says it.
    pub publication: Option<Facts>,
    /// Why it counts as older than every publication, if it does: a sentence without its subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

/// What people know a publication by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Its index; none if it is not built yet.
    pub digest: Option<Digest>,
    /// The cell.
    pub cell: String,
    /// The upstream version.
    pub version: Option<String>,
    /// The upstream commit.
    pub commit: Option<String>,
    /// The commit of this repository.
    pub revision: String,
    /// How new that is; none if an older version of this tool published it.
    pub code_date: Option<String>,
    /// When it was planned.
    pub planned: String,
}

/// What becomes of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Becomes {
    /// It is new.
    Created,
    /// It moves to the publication.
    Moved {
        /// What is worth saying about what it is taken from: a phrase.
        #[serde(skip_serializing_if = "Option::is_none")]
        remark: Option<String>,
    },
    /// It holds the publication already.
    Unchanged,
    /// It keeps what it holds, or stays away.
    Stays {
        /// Why: a phrase.
        why: String,
    },
    /// It goes to another publication, which is newer and claims it.
    Given {
        /// That.
        to: Digest,
    },
    /// `merge` gives up, as publications at the tags are newer than one another in a circle, and what this one holds then
    /// nobody should rely on.
    Undecided,
    /// `merge` fails because of it, and sets no tag of the cell in the repository.
    Refused {
        /// Why: a phrase.
        why: String,
    },
}

impl Difference {
    /// The builds of all cells by their runner.
    pub fn count_runners(cells: &[CellDifference]) -> Vec<RunnerBuilds> {
        let mut counts: BTreeMap<Option<&String>, usize> = BTreeMap::new();
        for build in cells.iter().flat_map(|cell| &cell.builds) {
            *counts.entry(build.runner.as_ref()).or_default() += 1;
        }
        counts.into_iter().map(|(runner, builds)| RunnerBuilds { runner: runner.cloned(), builds }).collect()
    }

    /// The numbers of all of it, e.g. `1 new, 1 changed, 2 unchanged`.
    pub fn summary(&self) -> String {
        let cells = |state: &str| self.cells.iter().filter(|cell| cell.state() == state).count();
        let mut text =
            ["new", "changed", "unchanged"].map(|state| format!("{} {state}", cells(state))).join(", ");
        for RunnerBuilds { runner, builds } in &self.runners {
            let on = runner.as_ref().map(|runner| format!(" on {runner}")).unwrap_or_default();
            text += &format!("; {}{on}", counted(*builds, "build"));
        }
        let tags = || self.cells.iter().flat_map(|cell| &cell.repositories).flat_map(|one| &one.tags);
        for (word, kind) in [("new", '+'), ("moving", '~'), ("staying", '!'), ("refused", 'x')] {
            let count = tags().filter(|tag| tag.becomes.sign() == kind).count();
            if count > 0 {
                text += &format!("; {} {word}", counted(count, "tag"));
            }
        }
        text
    }
}

impl CellDifference {
    /// `new`, `changed` or `unchanged`.
    pub fn state(&self) -> &'static str {
        match self.reuse {
            Reuse::New { .. } => "new",
            Reuse::Changed { .. } => "changed",
            Reuse::Kept(_) => "unchanged",
        }
    }

    /// Why it is built, or what is written although it is not, a line each.
    pub fn reasons(&self) -> Vec<String> {
        match &self.reuse {
            Reuse::New { why } => vec![format!("it {why}")],
            Reuse::Changed { inputs, .. } => inputs.clone(),
            Reuse::Kept(kept) => {
                kept.renewed.iter().map(|why| format!("a new record is attached: {why}")).collect()
            }
        }
    }
}

impl RepositoryDifference {
    /// Whether a tag of it changes.
    pub fn changes(&self) -> bool {
        self.tags.iter().any(|tag| matches!(tag.becomes.sign(), '+' | '~'))
    }
}

impl BuildDifference {
    /// In words: where it is built, and what is pulled.
    pub fn described(&self) -> String {
        let on = self.runner.as_ref().map(|runner| format!(" on {runner}")).unwrap_or_default();
        format!("{}{on}, {}", self.arch, self.pull.described())
    }
}

impl Pull {
    /// In words.
    pub fn described(&self) -> String {
        match self {
            Self::Bytes(0) => "nothing to pull".to_owned(),
            Self::Bytes(bytes) => format!("about {} to pull", amount(*bytes)),
            Self::Unknown(why) => format!("unknown how much to pull: {why}"),
        }
    }
}

impl Facts {
    /// In words: `1.4.2 (commit 0123456, 2026-11-21)`.
    pub fn described(&self) -> String {
        let of = |commit: &str| commit.chars().take(SHORT_COMMIT).collect::<String>();
        let date = self.code_date.as_deref().unwrap_or(&self.planned);
        let date = date.get(..10).unwrap_or(date);
        let upstream = self.commit.as_deref().filter(|commit| commit.len() > SHORT_COMMIT);
        let upstream = upstream.filter(|commit| !self.revision.starts_with(*commit));
        let upstream = upstream.map(|commit| format!("upstream {}, ", of(commit))).unwrap_or_default();
        let known = format!("{upstream}commit {}, {date}", of(&self.revision));
        match self.version.as_deref().filter(|version| !self.revision.starts_with(version)) {
            Some(version) => format!("{version} ({known})"),
            None => known,
        }
    }
}

impl TagHolder {
    /// In words.
    pub fn described(&self) -> String {
        match (&self.publication, &self.other) {
            (Some(facts), None) => facts.described(),
            (Some(facts), Some(why)) => format!("{}, which {why}", facts.described()),
            (None, Some(why)) => format!("{}, which {why}", self.digest.short()),
            (None, None) => self.digest.short().to_owned(),
        }
    }
}

impl TagDifference {
    /// In words, without its name: from what to what, or why it stays.
    pub fn described(&self, to: &Facts) -> String {
        let held = self.from.as_ref().map(TagHolder::described);
        let held = held.as_deref();
        match &self.becomes {
            Becomes::Created => format!("new: {}", to.described()),
            Becomes::Moved { remark } => {
                let remark = remark.as_ref().map(|text| format!("; {text}")).unwrap_or_default();
                format!("{} -> {}{remark}", held.unwrap_or_default(), to.described())
            }
            Becomes::Unchanged => "holds it already".to_owned(),
            Becomes::Stays { why } => match held {
                Some(held) => format!("stays at {held}: {why}"),
                None => format!("is not set: {why}"),
            },
            Becomes::Given { to } => {
                format!("{} -> {}, a newer publication that claims it", held.unwrap_or("nothing"), to.short())
            }
            Becomes::Undecided => {
                "merge gives up: publications are newer than one another in a circle".to_owned()
            }
            Becomes::Refused { why } => format!("refused by merge: it {why}"),
        }
    }
}

impl Becomes {
    /// One character for it, as infrastructure tools write it.
    pub fn sign(&self) -> char {
        match self {
            Self::Created => '+',
            Self::Moved { .. } | Self::Given { .. } => '~',
            Self::Unchanged => '=',
            Self::Stays { .. } => '!',
            Self::Undecided | Self::Refused { .. } => 'x',
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A size for people, as registries show it: 1 MB is 10^6 bytes.
fn amount(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..100_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(version: Option<&str>, commit: Option<&str>) -> Facts {
        Facts {
            digest: None,
            cell: "app".to_owned(),
            version: version.map(str::to_owned),
            commit: commit.map(str::to_owned),
            revision: "0123456789abcdef".to_owned(),
            code_date: Some("2026-11-20T09:00:00Z".to_owned()),
            planned: "2026-11-21T09:00:00Z".to_owned(),
        }
    }

    #[test]
    fn a_publication_is_known_by_version_commit_and_date() {
        for (version, commit, expected) in [
            (Some("1.4.2"), None, "1.4.2 (commit 0123456, 2026-11-20)"),
            (Some("1.4.2"), Some("v1.4.2"), "1.4.2 (commit 0123456, 2026-11-20)"),
            (None, Some("fedcba9876543210"), "upstream fedcba9, commit 0123456, 2026-11-20"),
            (None, Some("0123456789abcdef"), "commit 0123456, 2026-11-20"),
        ] {
            assert_eq!(facts(version, commit).described(), expected);
        }
    }

    #[test]
    fn sizes_are_readable() {
        let sizes = [999, 1_000, 99_999, 100_000, 12_345_678].map(amount);
        assert_eq!(sizes, ["999 B", "1.0 kB", "99.9 kB", "0.1 MB", "12.3 MB"]);
    }

    #[test]
    fn a_tag_says_from_what_to_what() {
        let holder = |publication, other: Option<&str>| TagHolder {
            digest: Digest::of(b"held"),
            publication,
            other: other.map(str::to_owned),
        };
        let tag =
            |from, becomes| TagDifference { name: "1".parse().unwrap(), immutable: false, from, becomes };
        let old = || Some(holder(Some(facts(Some("1.4.1"), None)), None));
        let foreign = || Some(holder(None, Some("was published by another tool")));
        let short = Digest::of(b"held").short().to_owned();
        let table = [
            (tag(None, Becomes::Created), "new: 1.4.2 (commit 0123456, 2026-11-20)".to_owned()),
            (
                tag(old(), Becomes::Moved { remark: None }),
                "1.4.1 (commit 0123456, 2026-11-20) -> 1.4.2 (commit 0123456, 2026-11-20)".to_owned(),
            ),
            (
                tag(foreign(), Becomes::Moved { remark: None }),
                format!("{short}, which was published by another tool -> 1.4.2 (commit 0123456, 2026-11-20)"),
            ),
            (
                tag(old(), Becomes::Stays { why: "it is held".to_owned() }),
                "stays at 1.4.1 (commit 0123456, 2026-11-20): it is held".to_owned(),
            ),
            (
                tag(None, Becomes::Stays { why: "merge refuses 1".to_owned() }),
                "is not set: merge refuses 1".to_owned(),
            ),
        ];
        for (tag, expected) in table {
            assert_eq!(tag.described(&facts(Some("1.4.2"), None)), expected);
        }
    }
}
