//! `cargo xtask gc`: what earlier runs have left in the registry and nothing needs any more.

use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::argv::cosign::{Cosign, Signer};
use crate::base::error::Fault;
use crate::base::ids::{Digest, Name, Repository};
use crate::base::parallel;
use crate::base::record::{self, DigestRecord, Publication};
use crate::base::ui::columns;
use crate::plan::resolve::{ANNOTATION_BUILT, ANNOTATION_CELL, ANNOTATION_PLANNED};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::garbage::{Dead, Known, Node, subject};
use crate::registry::{Registry, Tags};
use crate::session::Session;
use crate::session::planning::To;

/// How many manifests are read side by side.
const READERS: usize = 4;

/// What was typed.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--to`.
    pub to: Option<To>,
    /// Only these images; all if none is named.
    pub images: Vec<Name>,
    /// What is younger stays.
    pub older_than: Duration,
    /// `--delete`.
    pub delete: bool,
}

/// Runs the command.
///
/// # Errors
/// If a repository cannot be read, or if something cannot be deleted.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let to = session.to(options.to.as_ref())?;
    let matrix = session.matrix()?;
    let destination = session.destination(&to, &matrix)?;
    if let Some(unknown) =
        options.images.iter().find(|name| !matrix.images.iter().any(|image| image.name == **name))
    {
        return Err(Fault::invalid(format!("no image `{unknown}` in matrix.toml")).into());
    }
    let limit = session
        .context
        .clock
        .now()
        .checked_sub(options.older_than)
        .context("--older-than goes back too far")?;
    let limit = humantime::format_rfc3339_seconds(limit).to_string();
    let sign = session.signing(&to)?;
    let stack = if to == To::Local { Some(session.local_up()?) } else { None };
    let walker = Walker {
        session,
        registry: session.registry(),
        cosign: session.cosign()?,
        signer: session.signer(&sign, stack.as_ref())?,
    };
    let mut rows = vec![["REPOSITORY", "DIGEST", "OF", "PLANNED"].map(str::to_owned).to_vec()];
    let (mut found, mut seen) = (0, 0);
    let wanted = |name: &Name| options.images.is_empty() || options.images.contains(name);
    for repository in &destination.repositories {
        for image in matrix.images.iter().filter(|image| wanted(&image.name)) {
            let repository = repository.join(&image.name);
            let (known, tags) =
                walker.walk(&repository).with_context(|| format!("look through {repository}"))?;
            let dead = known.dead(&limit);
            (found, seen) = (found + dead.len(), seen + known.nodes.len());
            for Dead { digest, index, cell, planned } in &dead {
                let of = if digest == index { cell.clone() } else { format!("{cell}, {}", index.short()) };
                rows.push(vec![repository.to_string(), digest.to_string(), of, planned.clone()]);
            }
            if options.delete && !dead.is_empty() {
                walker.delete(&repository, &dead, &tags)?;
            }
        }
    }
    if found > 0 {
        session.ui.out(columns(&rows));
    }
    let done = match (found, options.delete) {
        (0, _) => "nothing to delete".to_owned(),
        (_, true) => format!(
            "{found} manifests deleted; the registry frees their blobs when it collects its own garbage"
        ),
        (_, false) => format!("{found} manifests could go: --delete removes them"),
    };
    session.ui.note(format!("{seen} manifests known; {done}"));
    Ok(())
}

/// A tag, what it holds, and for a tag of signatures what it is about.
struct Tagged {
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

struct Walker<'a> {
    session: &'a Session,
    registry: Registry,
    cosign: Cosign,
    signer: Option<Signer>,
}

impl Walker<'_> {
    /// Everything that can be found of a repository: by its tags, by the signatures in it, by the records that are
    /// attached to what tags hold, and by the records on this machine.
    fn walk(&self, repository: &Repository) -> Result<(Known, Vec<Tagged>)> {
        let tags = self.tags(repository)?;
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

    /// The tags of a repository and what they hold; none if there is no such repository, or if it is not shown to us:
    /// then nothing can be deleted there either.
    fn tags(&self, repository: &Repository) -> Result<Vec<Tagged>> {
        let names = match self.registry.tags(repository)? {
            Tags::Listed(names) => names,
            Tags::Missing => return Ok(Vec::new()),
            Tags::Refused(fault) => {
                let report = crate::base::error::report(&fault.into());
                self.session.ui.warn(format!("{repository} is left out; it may not exist yet: {report}"));
                return Ok(Vec::new());
            }
        };
        let held = parallel::map(&names, READERS, |name| self.registry.read(&format!("{repository}:{name}")));
        let mut tags = Vec::new();
        for (name, held) in names.into_iter().zip(held) {
            if let Some(held) = held? {
                tags.push(Tagged { about: subject(&name), name, digest: held.digest });
            }
        }
        Ok(tags)
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
        let Some(signer) = &self.signer else { return Ok(Vec::new()) };
        let (session, registry, cosign) = (self.session, &self.registry, &self.cosign);
        let records = AttestationStore { session, registry, cosign, signer }.read(repository, digest)?;
        let tags = records.iter().flat_map(|record| record.tags_in(repository));
        Ok(tags.filter_map(|tag| tag.moved_from.clone()).collect())
    }

    /// What the records on this machine know of a repository. A damaged one knows nothing.
    fn recorded(&self, repository: &Repository) -> Result<Vec<Recorded>> {
        let mut found = Vec::new();
        for path in json_below(&self.session.layout.digests())? {
            if let Ok(Some(record)) = record::read::<DigestRecord>(&path)
                && record.repositories.contains(repository)
            {
                found.push(Recorded { digest: record.digest, before: Vec::new() });
            }
        }
        for path in json_below(&self.session.layout.publications())? {
            if let Ok(Some(record)) = record::read::<Publication>(&path)
                && record.repositories.contains(repository)
            {
                let before = record.tags_in(repository).filter_map(|tag| tag.moved_from.clone()).collect();
                found.push(Recorded { digest: record.digest, before });
            }
        }
        Ok(found)
    }

    /// Deletes manifests and the signatures of them, unless a tag has moved since we looked.
    fn delete(&self, repository: &Repository, dead: &[Dead], before: &[Tagged]) -> Result<()> {
        let holds = |tags: &[Tagged]| -> BTreeSet<(String, Digest)> {
            let holding = tags.iter().filter(|tag| tag.about.is_none());
            holding.map(|tag| (tag.name.clone(), tag.digest.clone())).collect()
        };
        for one in dead {
            // Once for each index: what follows it are its parts.
            if one.digest == one.index && holds(&self.tags(repository)?) != holds(before) {
                return Err(Fault::failed(format!("a tag of {repository} has moved meanwhile"))
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
fn json_below(folder: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
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
