//! Step 4: the index that joins the platforms.

use anyhow::Result;

use crate::base::error::UserError;
use crate::base::ids::{Digest, Platform};
use crate::base::publication::Child;
use crate::plan::Cell;
use crate::registry::manifest::{Descriptor, Manifest};

/// The digest that a push of what `imagetools create --dry-run` printed would get: the bytes without the last newline.
pub fn digest_of_dry_run(stdout: &[u8]) -> Digest {
    Digest::of(stdout.strip_suffix(b"\n").unwrap_or(stdout))
}

/// The image of every platform of a cell, and nothing else.
///
/// # Errors
/// If a platform is missing or double, if a foreign one is listed, or if an image lacks its attestation.
pub fn children(index: &Manifest, cell: &Cell) -> Result<Vec<Child>> {
    let platforms = cell.builds.iter().map(|build| &build.platform);
    let mut children: Vec<Child> = platforms.map(|platform| child(index, platform)).collect::<Result<_>>()?;
    children.sort_by(|one, two| one.platform.cmp(&two.platform));
    let listed: Vec<&Descriptor> = index.images().collect();
    if listed.len() == children.len() {
        return Ok(children);
    }
    let foreign = listed.iter().filter(|entry| !children.iter().any(|child| child.digest == entry.digest));
    let names: Vec<String> = foreign.map(|entry| entry.platform_text()).collect();
    Err(UserError::failed(format!(
        "the index of {} lists images that no build made: {}",
        cell.id,
        names.join(", ")
    ))
    .into())
}

fn child(index: &Manifest, platform: &Platform) -> Result<Child> {
    let entries: Vec<&Descriptor> = index.images().filter(|entry| entry.is_for(platform)).collect();
    let [entry] = entries.as_slice() else {
        return Err(UserError::failed(format!(
            "the index holds {} images for {platform}, expected one",
            entries.len()
        ))
        .into());
    };
    if index.attestations(&entry.digest).next().is_none() {
        return Err(
            UserError::failed(format!("the index holds no attestation of its image for {platform}")).into()
        );
    }
    Ok(Child { platform: platform.clone(), digest: entry.digest.clone() })
}

/// The index and everything that it lists: what has to be signed.
pub fn all_digests(digest: &Digest, index: &Manifest) -> Vec<Digest> {
    std::iter::once(digest).chain(index.manifests.iter().map(|entry| &entry.digest)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_newline_is_not_part_of_the_index() {
        assert_eq!(digest_of_dry_run(b"{}\n"), Digest::of(b"{}"));
        assert_eq!(digest_of_dry_run(b"{}\n\n"), Digest::of(b"{}\n"));
    }
}
