//! Which manifests of a repository nobody needs any more. Pure.
//!
//! A registry lists tags, not manifests: what is known here was found by tags, signatures and records. What is not known
//! is not touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ids::Digest;

/// A manifest that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The cell that an index of this tool names; none for everything else.
    pub cell: Option<String>,
    /// The clock of its plan (RFC 3339, UTC, whole seconds), if it names one.
    pub planned: Option<String>,
    /// What it lists.
    pub children: Vec<Digest>,
}

/// What is known of a repository.
#[derive(Debug, Default)]
pub struct Known {
    /// What was found.
    pub nodes: BTreeMap<Digest, Node>,
    /// What has to stay whatever its age: what tags hold, and what `rollback` would need.
    pub roots: BTreeSet<Digest>,
}

/// A manifest that can go, and with which index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// The manifest.
    pub digest: Digest,
    /// The index that it is, or is a part of.
    pub index: Digest,
    /// The cell of that index.
    pub cell: String,
    /// The clock of that index's plan.
    pub planned: String,
}

impl Known {
    /// What can go: indexes of this tool that nothing needs and whose plans are older than `limit` (RFC 3339, UTC), each
    /// followed by those of its parts that no other index lists.
    pub fn dead(&self, limit: &str) -> Vec<Dead> {
        let old = |node: &Node| {
            node.cell.is_some() && node.planned.as_deref().is_some_and(|planned| planned < limit)
        };
        // What is too young, of unknown age or not ours stays, and with it all that it lists.
        let kept = self.nodes.iter().filter(|(_, node)| !node.children.is_empty() && !old(node));
        let mut alive: BTreeSet<&Digest> = BTreeSet::new();
        let mut next: Vec<&Digest> = self.roots.iter().chain(kept.map(|(digest, _)| digest)).collect();
        while let Some(digest) = next.pop() {
            if alive.insert(digest) {
                next.extend(self.nodes.get(digest).into_iter().flat_map(|node| &node.children));
            }
        }
        let mut dead: Vec<Dead> = Vec::new();
        let mut seen: BTreeSet<&Digest> = BTreeSet::new();
        for (digest, node) in self.nodes.iter().filter(|(digest, node)| old(node) && !alive.contains(digest))
        {
            let (Some(cell), Some(planned)) = (&node.cell, &node.planned) else { continue };
            for part in std::iter::once(digest).chain(&node.children) {
                if !alive.contains(part) && seen.insert(part) {
                    dead.push(Dead {
                        digest: part.clone(),
                        index: digest.clone(),
                        cell: cell.clone(),
                        planned: planned.clone(),
                    });
                }
            }
        }
        dead
    }
}

/// The digest that a tag of signatures or attestations is about: `sha256-HEX` (the fallback for registries without the
/// referrers API, OCI distribution spec 1.1), or cosign 2's `sha256-HEX.sig`, `.att` and `.sbom`.
pub fn subject(tag: &str) -> Option<Digest> {
    let hex = tag.strip_prefix("sha256-")?;
    let hex = hex.split_once('.').map_or(hex, |(hex, _)| hex);
    format!("sha256:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn known(nodes: &[(&str, Option<&str>, &[&str])], roots: &[&str]) -> Known {
        let node = |(name, planned, children): &(&str, Option<&str>, &[&str])| {
            let cell = (!children.is_empty() && !name.starts_with("foreign")).then(|| "app".to_owned());
            let children = children.iter().map(|child| digest(child)).collect();
            (digest(name), Node { cell, planned: planned.map(str::to_owned), children })
        };
        Known {
            nodes: nodes.iter().map(node).collect(),
            roots: roots.iter().map(|root| digest(root)).collect(),
        }
    }

    fn names(dead: &[Dead], of: &[&str]) -> Vec<String> {
        of.iter()
            .filter(|name| dead.iter().any(|one| one.digest == digest(name)))
            .map(|name| (*name).to_owned())
            .collect()
    }

    const OLD: Option<&str> = Some("2026-01-01T00:00:00Z");
    const YOUNG: Option<&str> = Some("2026-11-01T00:00:00Z");
    const LIMIT: &str = "2026-10-01T00:00:00Z";

    #[test]
    fn what_something_needs_stays() {
        let known = known(
            &[
                ("tagged", OLD, &["shared", "own"]),
                ("gone", OLD, &["shared", "lone", "attestation"]),
                ("young", YOUNG, &["fresh"]),
                ("build", OLD, &["fresh", "lost"]),
                ("ageless", None, &["kept"]),
                ("foreign", OLD, &["theirs"]),
                ("theirs", None, &[]),
            ],
            &["tagged"],
        );
        let all = [
            "tagged",
            "shared",
            "own",
            "gone",
            "lone",
            "attestation",
            "young",
            "fresh",
            "build",
            "lost",
            "ageless",
            "kept",
            "foreign",
            "theirs",
        ];
        assert_eq!(names(&known.dead(LIMIT), &all), ["gone", "lone", "attestation", "build", "lost"]);
        assert!(known.dead("2025-01-01T00:00:00Z").is_empty(), "nothing is that old");
    }

    #[test]
    fn an_index_goes_before_its_parts() {
        let known = known(&[("gone", OLD, &["a", "b"])], &[]);
        let dead = known.dead(LIMIT);
        assert_eq!(
            dead.iter().map(|one| one.digest.clone()).collect::<Vec<_>>(),
            ["gone", "a", "b"].map(digest)
        );
    }

    #[test]
    fn tags_of_signatures_name_their_subject() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for tag in [format!("sha256-{hex}"), format!("sha256-{hex}.sig"), format!("sha256-{hex}.att")] {
            assert_eq!(subject(&tag), Some(Digest::of(b"")), "{tag}");
        }
        assert_eq!(
            (subject("latest"), subject("sha256-abc"), subject("sha-pinned-1234567")),
            (None, None, None)
        );
    }
}
