//! What a registry holds under a record's digest: `build` checks what it pushed, `merge` what it joins.

use anyhow::Result;

use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Platform};
use crate::plan::resolve::{ANNOTATION_CELL, ANNOTATION_PLAN};
use crate::registry::FetchedManifest;
use crate::registry::manifest::Descriptor;

/// Checks one build's result: an index of one image for the platform, with one attestation, made for this cell of this
/// plan.
///
/// # Errors
/// If it is anything else.
pub fn check<'h>(
    held: &'h FetchedManifest,
    plan: &Digest,
    cell: &CellId,
    platform: &Platform,
) -> Result<&'h Descriptor> {
    let refuse = |why: String| Err(UserError::failed(why).into());
    if !held.manifest.is_index() {
        return refuse(format!(
            "{} is no index of an image and its attestation but `{}`",
            held.digest.short(),
            held.manifest.media_type
        ));
    }
    let images: Vec<&Descriptor> = held.manifest.images().collect();
    let [image] = images.as_slice() else {
        return refuse(format!(
            "{} holds {} images, expected one for {platform}",
            held.digest.short(),
            images.len()
        ));
    };
    if !image.is_for(platform) {
        return refuse(format!(
            "{} holds an image for {}, expected {platform}",
            held.digest.short(),
            image.platform_text()
        ));
    }
    match held.manifest.attestations(&image.digest).count() {
        1 => {}
        count => {
            return refuse(format!(
                "{} holds {count} attestations of its image, expected one",
                held.digest.short()
            ));
        }
    }
    let annotation = |key: &str| held.manifest.annotations.get(key).map(String::as_str);
    match (annotation(ANNOTATION_CELL), annotation(ANNOTATION_PLAN)) {
        (Some(made_for), Some(by)) if made_for == cell.as_str() && by == plan.as_str() => Ok(image),
        (Some(made_for), Some(by)) if made_for == cell.as_str() => {
            refuse(format!("{} was built for the plan {by}, expected {plan}", held.digest.short()))
        }
        (Some(other), _) if other != cell.as_str() => {
            refuse(format!("{} was built for the cell {other}, expected {cell}", held.digest.short()))
        }
        _ => refuse(format!(
            "{} does not say for which cell and plan it was built: it is not of this tool",
            held.digest.short()
        )),
    }
}
