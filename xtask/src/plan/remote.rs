//! Refs of other repositories: what to ask, what was answered, which answer is meant. Pure.
//!
//! Each repository is asked once for all its tracks. What was chosen goes into the
//! plan, so that a branch that moves while a run is under way changes nothing.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::base::error::UserError;
use crate::base::ids::Name;
use crate::base::version::TagPattern;
use crate::matrix::RefSpec;
use crate::matrix::cells::CellSpec;

/// A ref and the commit that it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoteRef {
    /// Its full name, e.g. `refs/heads/develop`.
    pub name: String,
    /// The commit, 40 or 64 hex digits. An annotated tag is followed to its commit.
    #[cfg_attr(test, schemars(extend("pattern" = "^([0-9a-f]{40}|[0-9a-f]{64})$")))]
    pub commit: String,
}

/// The refs of repositories by the address that `matrix.toml` gives.
pub type Remotes = BTreeMap<String, Vec<RemoteRef>>;

/// The patterns to ask each repository for.
pub type Queries = BTreeMap<String, BTreeSet<String>>;

/// What the cells of a run need to know. A version that was set on the command line is looked for by its name.
pub fn queries<'m>(
    specs: impl IntoIterator<Item = &'m CellSpec<'m>>,
    versions: &BTreeMap<Name, String>,
) -> Queries {
    let mut queries = Queries::new();
    for spec in specs {
        let set = spec.track.and_then(|track| versions.get(&track.name));
        let (repository, wanted) = match (&spec.reference().value, set) {
            (RefSpec::Branch { repository, .. } | RefSpec::Tag { repository, .. }, Some(version)) => {
                if is_commit(version) {
                    continue;
                }
                // git names the commit of an annotated tag only where that is asked for.
                let names = candidates(version);
                let commits = names.iter().filter(|name| name.starts_with("refs/tags/"));
                let commits: Vec<String> = commits.map(|name| format!("{name}^{{}}")).collect();
                (repository, [names, commits].concat())
            }
            (RefSpec::Branch { repository, branch }, None) => (repository, vec![head(branch)]),
            (RefSpec::Tag { repository, .. }, None) => (repository, vec!["refs/tags/*".to_owned()]),
            (RefSpec::File(_) | RefSpec::Value(_) | RefSpec::SelfRef, _) => continue,
        };
        queries.entry(repository.clone()).or_default().extend(wanted);
    }
    queries
}

/// Reads what `git ls-remote` printed: commit, tab, name. `NAME^{}` is the commit of the annotated tag NAME.
///
/// # Errors
/// If a line has another form.
pub fn parse(text: &str) -> Result<Vec<RemoteRef>> {
    let mut refs: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        let (commit, name) =
            line.split_once('\t').filter(|(commit, _)| is_commit(commit)).ok_or_else(|| {
                UserError::failed(format!("read the answer of git ls-remote: `{}`", line.escape_default()))
            })?;
        match name.strip_suffix("^{}") {
            Some(tag) => refs.insert(tag, commit),
            None => refs.insert(name, refs.get(name).copied().unwrap_or(commit)),
        };
    }
    let owned =
        refs.into_iter().map(|(name, commit)| RemoteRef { name: name.to_owned(), commit: commit.to_owned() });
    Ok(owned.collect())
}

/// The branch of a name.
pub(super) fn branch<'r>(refs: &'r [RemoteRef], branch: &str) -> Option<&'r RemoteRef> {
    let name = head(branch);
    refs.iter().find(|found| found.name == name)
}

/// The highest tag that a pattern selects, and its short name.
pub(super) fn tag<'r>(refs: &'r [RemoteRef], pattern: &TagPattern) -> Option<(&'r RemoteRef, &'r str)> {
    let short = |found: &'r RemoteRef| found.name.strip_prefix("refs/tags/");
    let highest = pattern.highest(refs.iter().filter_map(short))?;
    refs.iter().find(|found| short(found) == Some(highest)).map(|found| (found, highest))
}

/// A version that was set: the tag of that name, with or without `v`, else the branch. The flag says whether it is a tag.
pub(super) fn named<'r>(refs: &'r [RemoteRef], version: &str) -> Option<(&'r RemoteRef, bool)> {
    let wanted = candidates(version);
    let found = wanted.iter().find_map(|name| refs.iter().find(|found| found.name == *name))?;
    Some((found, found.name.starts_with("refs/tags/")))
}

fn candidates(version: &str) -> Vec<String> {
    vec![format!("refs/tags/{version}"), format!("refs/tags/v{version}"), head(version)]
}

fn head(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// SHA-1 or SHA-256, in full.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotated_tags_are_followed() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let text = format!("{one}\trefs/heads/main\n{one}\trefs/tags/v1\n{two}\trefs/tags/v1^{{}}\n");
        let refs = parse(&text).unwrap();
        assert_eq!(refs.iter().map(|found| found.commit.as_str()).collect::<Vec<_>>(), [&one, &two]);
        assert_eq!(tag(&refs, &"*".parse().unwrap()).unwrap().1, "v1");
        assert_eq!(named(&refs, "1"), Some((&refs[1], true)));
        assert_eq!(named(&refs, "main"), Some((&refs[0], false)));
        assert!(parse("x\ty").is_err());
        assert!(parse("warning: something").is_err());
    }
}
