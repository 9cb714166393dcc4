//! The tags of an image: under which events each of them is set, and so under which condition of `matrix.toml`.

use std::collections::BTreeSet;

use crate::init::found::Tag;
use crate::init::workflow::axes::{Axes, Cell};
use crate::init::workflow::built::{Built, Steps};
use crate::init::workflow::event::Event;
use crate::init::workflow::text::Text;

/// A tag while it is put together.
struct Found {
    template: String,
    events: BTreeSet<Event>,
    cells: BTreeSet<Cell>,
}

/// The tags of an image, and what of them cannot be carried.
pub(super) fn read(
    name: &str,
    builds: &[(Event, &Built)],
    steps: &Steps,
    axes: &Axes,
    enabled: &[Event],
) -> (Vec<Tag>, Vec<String>) {
    let mut left = Vec::new();
    let mut tags: Vec<Found> = Vec::new();
    let mut add = |event: Event, tag: &Text, cells: BTreeSet<Cell>, left: &mut Vec<String>| {
        if tag.is_empty() {
            return;
        }
        match tag.template(&axes.names, None) {
            Ok(template) => {
                let Some(template) = valid(&template) else { return };
                match tags.iter_mut().find(|known| known.template == template) {
                    Some(known) => {
                        known.events.insert(event);
                        known.cells.extend(cells);
                    }
                    None => tags.push(Found { template, events: BTreeSet::from([event]), cells }),
                }
            }
            Err(unknown) => left.push(format!(
                "a tag of {name} holds {unknown}, which only a run can tell: write the tag under `tags`"
            )),
        }
    };
    for (event, built) in builds {
        for tag in &built.tags {
            add(*event, tag, BTreeSet::from([axes.cell(&built.row)]), &mut left);
        }
    }
    let repositories: BTreeSet<String> =
        builds.iter().flat_map(|(_, built)| &built.repositories).map(Text::plain).collect();
    for (event, tagged) in &steps.tagged {
        let repository = tagged.repository.plain();
        let ours = repositories.contains(&repository) || repository.rsplit('/').next() == Some(name);
        let of_row =
            |cell: &&Cell| cell.iter().all(|(key, value)| tagged.row.get(key).is_none_or(|own| own == value));
        let cells: BTreeSet<Cell> = axes.cells.iter().filter(of_row).cloned().collect();
        // A row of another image, or of what cannot be carried of this one, is none of ours.
        let fits = |built: &Built| {
            built.row.iter().all(|(key, value)| tagged.row.get(key).is_none_or(|other| other == value))
        };
        if ours && builds.iter().any(|(_, built)| fits(built)) {
            for tag in &tagged.tags {
                add(*event, tag, cells.clone(), &mut left);
            }
        }
    }
    let mut made = Vec::new();
    for tag in tags {
        let whens = conditions(&tag, enabled);
        if tag.cells != axes.cells {
            left.push(partial(name, &tag, &whens, axes));
            continue;
        }
        let missing: Vec<String> = axes
            .names
            .values()
            .filter(|axis| !tag.template.contains(&format!("{{{axis}}}")))
            .cloned()
            .collect();
        if let (Some(axis), true) = (missing.first(), axes.cells.len() > 1) {
            left.push(format!(
                "the tag {} of {name} is the same for each value of {axis}, and two cells cannot share one: put {{{axis}}} \
                 into it, or give it a `when`",
                tag.template
            ));
        }
        made.extend(whens.into_iter().map(|when| Tag { text: tag.template.clone(), when }));
    }
    (made, left)
}

/// A template of a tag: metadata-action writes a dash for what a tag cannot hold. None: an empty branch or tag in front
/// leaves no valid tag for this event.
fn valid(template: &str) -> Option<String> {
    if template == "latest" {
        return Some("{latest}".to_owned());
    }
    let mut tag = String::new();
    for c in template.replace("{{", "-").replace("}}", "-").chars() {
        let plain = c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '{' | '}');
        match (plain, tag.ends_with('-')) {
            (true, _) => tag.push(c),
            (false, true) => {}
            (false, false) => tag.push('-'),
        }
    }
    (!tag.starts_with(['-', '.'])).then_some(tag)
}

/// What to write for a tag that only some cells get.
fn partial(name: &str, tag: &Found, whens: &[Option<&'static str>], axes: &Axes) -> String {
    let mut words = Vec::new();
    for (key, all) in &axes.values {
        let ours: BTreeSet<&String> = tag.cells.iter().filter_map(|cell| cell.get(key)).collect();
        if ours.len() < all.len() {
            let values: Vec<String> =
                all.iter().filter(|value| ours.contains(value)).map(|value| format!("\"{value}\"")).collect();
            let values = if values.len() == 1 { values.concat() } else { format!("[{}]", values.join(", ")) };
            words.push(format!("{} = {values}", axes.names.get(key).map_or(key.as_str(), String::as_str)));
        }
    }
    let chosen = |cell: &&Cell| {
        axes.values.keys().all(|key| tag.cells.iter().any(|own| own.get(key) == cell.get(key)))
    };
    let exact = axes.cells.iter().filter(chosen).count() == tag.cells.len();
    words.extend(whens.iter().flatten().map(|when| format!("on = \"{when}\"")).take(1));
    let text = &tag.template;
    if exact {
        format!(
            "the tag {text} of {name} is set for some cells only: add {{ tag = \"{text}\", when = {{ {} }} }}",
            words.join(", ")
        )
    } else {
        format!("the tag {text} of {name} is set for some cells only: add it with a `when` that names them")
    }
}

/// The conditions under which a tag is set in exactly its events.
fn conditions(tag: &Found, enabled: &[Event]) -> Vec<Option<&'static str>> {
    let tagged = |event: &Event| event.is_tag();
    let releases = tag.template.contains("{latest}");
    let on_tag = if releases { "release" } else { "tag" };
    if tag.events.iter().all(tagged) {
        return vec![Some(on_tag)];
    }
    let branches: BTreeSet<Event> = enabled.iter().copied().filter(|event| !event.is_tag()).collect();
    let ours: BTreeSet<Event> = tag.events.iter().copied().filter(|event| !event.is_tag()).collect();
    let any_tag = tag.events.iter().any(tagged);
    if ours == branches && any_tag {
        return vec![None];
    }
    let mut conditions: Vec<Option<&'static str>> = Vec::new();
    if ours == branches && !(ours.len() == 1 && ours.contains(&Event::Schedule)) {
        conditions.push(Some("default-branch"));
    } else {
        for event in ours {
            conditions.push(Some(match event {
                Event::Schedule => "schedule",
                Event::Dispatch => "dispatch",
                _ => "push",
            }));
        }
    }
    conditions.extend(any_tag.then_some(Some(on_tag)));
    conditions
}
