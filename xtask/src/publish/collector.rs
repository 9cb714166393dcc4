//! What `gc` finds in a repository, and how it deletes. [`garbage`](crate::publish::garbage) decides what can go.

use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::base::error::{UserError, report};
use crate::base::ids::{Digest, Repository};
use crate::base::parallel;
use crate::base::publication::Publication;
use crate::base::record::{self, DigestRecord};
use crate::base::ui::Ui;
use crate::plan::resolve::{ANNOTATION_BUILT, ANNOTATION_CELL, ANNOTATION_PLANNED};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::garbage::{Dead, Known, Node, subject};
use crate::registry::{Registry, Tags};

/// How many manifests are read side by side.
const READERS: usize = 4;

/// A tag, what it holds, and for a tag of signatures what it is about.
pub struct Tagged {
    name: String,
    about: Option<Digest>,
    digest: Digest,
}

/// What a record on this machine names.
struct Recorded {
    digest: Digest,
    /// What its tags held before.
    before: Vec<Digest>,
}

/// Looks through repositories and deletes what is not needed any more.
pub struct Collector {
    /// Reads and deletes.
    pub registry: Registry,
    /// Where records are attached; nowhere if nothing is signed.
    pub records: Option<AttestationStore>,
    /// The digest records of this machine.
    pub digests: PathBuf,
    /// The publication records of this machine.
    pub publications: PathBuf,
    /// For remarks.
    pub ui: Ui,
}

impl Collector {
    /// Everything that can be found of a repository: by its tags, by the signatures in it, by the records that are
    /// attached to what tags hold, and by the records on this machine.
    ///
    /// # Errors
    /// If the registry or cosign cannot tell: then something could be missed that is needed.
    pub fn walk(&self, repository: &Repository) -> Result<(Known, Vec<Tagged>)> {
        // Without its tags nobody knows what a repository needs: it is left out as a whole.
        let Some(tags) = self.tags(repository)? else { return Ok((Known::default(), Vec::new())) };
        let mut known = Known::default();
        let holding = tags.iter().filter(|tag| tag.about.is_none());
        known.roots = holding.map(|tag| tag.digest.clone()).collect();
        let about = tags.iter().filter_map(|tag| tag.about.clone());
        let recorded = self.recorded(repository)?;
        // `rollback` of what a tag holds would need it; for what is not signed only the record here says so.
        let before = recorded
            .iter()
            .filter(|one| known.roots.contains(&one.digest))
            .flat_map(|one| one.before.clone());
        let needed: Vec<Digest> = before.collect();
        known.roots.extend(needed);
        let records = recorded.into_iter().flat_map(|one| one.before.into_iter().chain([one.digest]));
        let mut next: BTreeSet<Digest> = about.chain(known.roots.clone()).chain(records).collect();
        // A registry with the referrers API has no tag for a signature: there each publication leads to the one before.
        let listed = tags.iter().any(|tag| tag.about.is_some());
        while !next.is_empty() {
            let now: Vec<Digest> = std::mem::take(&mut next).into_iter().collect();
            let nodes = parallel::map(&now, READERS, |digest| self.node(repository, digest));
            for (digest, node) in now.into_iter().zip(nodes) {
                let Some(node) = node? else { continue };
                let root = known.roots.contains(&digest);
                if node.cell.is_some() && (root || !listed) {
                    let before = self.replaced(repository, &digest)?;
                    next.extend(before.iter().filter(|digest| !known.nodes.contains_key(*digest)).cloned());
                    // `rollback` of what a tag holds would need it.
                    if root && tags.iter().any(|tag| tag.about.is_none() && tag.digest == digest) {
                        known.roots.extend(before);
                    }
                }
                next.extend(node.children.iter().filter(|child| !known.nodes.contains_key(*child)).cloned());
                known.nodes.insert(digest, node);
            }
            next.retain(|digest| !known.nodes.contains_key(digest));
        }
        Ok((known, tags))
    }

    /// The tags of a repository and what they hold. `None`: the registry does not tell.
    fn tags(&self, repository: &Repository) -> Result<Option<Vec<Tagged>>> {
        let names = match self.registry.tags(repository)? {
            Tags::Listed(names) => names,
            Tags::Missing => return Ok(Some(Vec::new())),
            Tags::Refused(fault) => {
                let report = report(&fault.into());
                self.ui.warn(format!("{repository} is left out; it may not exist yet: {report}"));
                return Ok(None);
            }
        };
        let held = parallel::map(&names, READERS, |name| self.registry.read(&format!("{repository}:{name}")));
        let mut tags = Vec::new();
        for (name, held) in names.into_iter().zip(held) {
            if let Some(held) = held? {
                tags.push(Tagged { about: subject(&name), name, digest: held.digest });
            }
        }
        Ok(Some(tags))
    }

    fn node(&self, repository: &Repository, digest: &Digest) -> Result<Option<Node>> {
        let Some(held) = self.registry.read(&repository.at(digest))? else { return Ok(None) };
        let annotation = |key: &str| held.manifest.annotations.get(key).cloned();
        Ok(Some(Node {
            cell: annotation(ANNOTATION_CELL),
            // The clock of a plan may have been set back; a build tells when it really was.
            planned: annotation(ANNOTATION_PLANNED).max(annotation(ANNOTATION_BUILT)),
            children: held.manifest.manifests.iter().map(|entry| entry.digest.clone()).collect(),
        }))
    }

    /// What the tags of a publication held before it, as its records say.
    fn replaced(&self, repository: &Repository, digest: &Digest) -> Result<Vec<Digest>> {
        let Some(records) = &self.records else { return Ok(Vec::new()) };
        let records = records.read_of_all_times(repository, digest)?;
        let tags = records.iter().flat_map(|record| &record.tags);
        Ok(tags.filter_map(|tag| tag.moved_from.clone()).collect())
    }

    /// What the records on this machine know of a repository. A damaged one knows nothing.
    fn recorded(&self, repository: &Repository) -> Result<Vec<Recorded>> {
        let mut found = Vec::new();
        for path in json_below(&self.digests)? {
            if let Ok(Some(record)) = record::read::<DigestRecord>(&path)
                && record.repositories.contains(repository)
            {
                found.push(Recorded { digest: record.digest, before: Vec::new() });
            }
        }
        for path in json_below(&self.publications)? {
            if let Ok(Some(record)) = record::read::<Publication>(&path)
                && record.repositories.contains(repository)
            {
                let before = record.tags_in(repository).filter_map(|tag| tag.moved_from.clone()).collect();
                found.push(Recorded { digest: record.digest, before });
            }
        }
        Ok(found)
    }

    /// Deletes manifests and the signatures of them, unless a tag has moved since `before` was read.
    ///
    /// # Errors
    /// If the registry refuses, or if a tag has moved.
    pub fn delete(&self, repository: &Repository, dead: &[Dead], before: &[Tagged]) -> Result<()> {
        let holds = |tags: &[Tagged]| -> BTreeSet<(String, Digest)> {
            let holding = tags.iter().filter(|tag| tag.about.is_none());
            holding.map(|tag| (tag.name.clone(), tag.digest.clone())).collect()
        };
        for one in dead {
            // Once for each index: what follows it are its parts.
            if one.digest == one.index
                && self.tags(repository)?.map(|tags| holds(&tags)) != Some(holds(before))
            {
                return Err(UserError::failed(format!("a tag of {repository} has moved meanwhile"))
                    .help("run it again, when nothing is published at the same time: what could still go was not deleted")
                    .into());
            }
            self.registry.delete(repository, &one.digest)?;
            for tag in before.iter().filter(|tag| tag.about.as_ref() == Some(&one.digest)) {
                let parts = self.node(repository, &tag.digest)?.map(|node| node.children).unwrap_or_default();
                for digest in std::iter::once(&tag.digest).chain(&parts) {
                    self.registry.delete(repository, digest)?;
                }
            }
        }
        Ok(())
    }
}

/// Every `.json` file in a folder and in those below it.
fn json_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
        if path.is_dir() {
            found.extend(json_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    Ok(found)
}
