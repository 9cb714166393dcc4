//! What `matrix.toml` can hold of what was found: whatever is proposed, every command can read it.

use anyhow::Result;
use std::collections::BTreeSet;

use crate::base::error::{self, UserError};
use crate::init::found::{Found, Image, Tag};
use crate::init::matrix_text;
use crate::init::repository::Repository;
use crate::matrix::{self, Source};

/// Gives every image a tag without a condition: a run that gives a cell no tag leaves it out, and a laptop's would have nothing
/// to build. Where all conditions are one event, publishing itself gets it, and nothing changes; else a tag is added.
pub(crate) fn always_a_tag(found: &mut Found) {
    let conditional =
        |image: &Image| !image.tags.is_empty() && image.tags.iter().all(|tag| tag.when.is_some());
    let event = |tag: &Tag| match tag.when? {
        "release" | "stable" => Some("tag"),
        when => Some(when),
    };
    if !found.images.is_empty() && found.images.iter().all(conditional) {
        let events = found.images.iter().flat_map(|image| &image.tags).filter_map(event);
        found.publish_when = events.collect::<BTreeSet<_>>().into_iter().collect();
    }
    for image in found.images.iter_mut().filter(|image| conditional(image)) {
        let only = match found.publish_when.as_slice() {
            [only] => {
                let fits = |tag: &Tag| tag.when == Some(*only);
                let versioned =
                    |tag: &Tag| fits(tag) && (tag.text.contains("{version}") || tag.text.contains("{ref}"));
                let at = image.tags.iter().position(versioned).or(image.tags.iter().position(fits));
                at.and_then(|at| image.tags.get_mut(at))
            }
            _ => None,
        };
        if let Some(tag) = only {
            tag.when = None;
            continue;
        }
        let text = format!("{}{}", matrix_text::ALWAYS, matrix_text::axes_suffix(image));
        found.left.push(format!(
            "matrix.toml: all tags of {} have a condition, and a run that gives it none leaves it out, so \"{text}\" was added",
            image.name
        ));
        image.tags.retain(|tag| tag.text != text);
        image.tags.insert(0, Tag { text, when: None });
    }
}

/// Leaves out what no `matrix.toml` can say, and says so.
///
/// # Errors
/// If nothing is left.
pub(crate) fn drop_invalid(found: &mut Found, repository: &Repository) -> Result<()> {
    let check = |images: Vec<Image>| {
        let text = matrix_text::text(&Found { images, ..found.clone() }, repository);
        matrix::parse(Source { name: "matrix.toml".to_owned(), text })
    };
    let (mut valid, mut left) = (Vec::new(), Vec::new());
    for image in &found.images {
        // What it is built upon is not there while it is looked at alone.
        match check(vec![Image { needs: Default::default(), ..image.clone() }]) {
            Ok(_) => valid.push(image.clone()),
            Err(error) => {
                let report = error::report(&error);
                let why = report.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
                left.push(format!("{}: the image {} was left out: {why}", image.origin, image.name));
            }
        }
    }
    let names: BTreeSet<String> = valid.iter().map(|image| image.name.clone()).collect();
    for image in &mut valid {
        let missing: Vec<String> =
            image.needs.values().filter(|name| !names.contains(*name)).cloned().collect();
        image.needs.retain(|_, name| names.contains(name));
        left.extend(
            missing
                .iter()
                .map(|name| format!("{}: it is built upon {name}, which was left out", image.origin)),
        );
    }
    found.left.append(&mut left);
    if valid.is_empty() {
        let fault =
            UserError::invalid(format!("no image of {} can be carried over", repository.root.display()));
        return Err(found.left.iter().fold(fault, |fault, left| fault.help(left.clone())).into());
    }
    matrix::parse(Source {
        name: "matrix.toml".to_owned(),
        text: matrix_text::text(&Found { images: valid.clone(), ..found.clone() }, repository),
    })?;
    found.images = valid;
    Ok(())
}
