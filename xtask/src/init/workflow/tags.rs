//! The tags of an image: under which events each of them is set, and so under which condition of `matrix.toml`.

use std::collections::BTreeSet;

use crate::init::found::Tag;
use crate::init::workflow::axes::{Axes, Cell};
use crate::init::workflow::built::{Built, Steps, Tagged};
use crate::init::workflow::event::Event;
use crate::init::workflow::text::Text;

/// A tag while it is put together.
struct Found {
    template: String,
    events: BTreeSet<Event>,
    cells: BTreeSet<Cell>,
}

/// What the tags of an image are read from.
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    /// The job, for remarks.
    pub(super) origin: &'a str,
    pub(super) builds: &'a [(Event, &'a Built)],
    /// Builds of other variants, which are left out.
    pub(super) others: &'a [(Event, &'a Built)],
    pub(super) steps: &'a Steps,
    pub(super) axes: &'a Axes,
    pub(super) enabled: &'a [Event],
}

/// Tags while they are collected.
struct Tags<'a> {
    source: &'a Source<'a>,
    tags: Vec<Found>,
    /// Those that depend on what only a run can tell.
    conditional: Vec<Conditional>,
    left: Vec<String>,
}

/// A tag that depends on what only a run can tell.
struct Conditional {
    event: Event,
    template: String,
    at: String,
    conditions: Vec<String>,
}

/// The tags of an image, and what of them cannot be carried.
pub(super) fn read(source: &Source<'_>) -> (Vec<Tag>, Vec<String>) {
    let mut tags = Tags { source, tags: Vec::new(), conditional: Vec::new(), left: Vec::new() };
    for (event, built) in source.builds {
        let cells = BTreeSet::from([source.axes.cell(&built.row)]);
        for tag in &built.tags {
            tags.add(*event, tag, &cells, &built.at, &built.conditions);
        }
    }
    for (event, tagged) in source.steps.tagged.iter().filter(|(_, tagged)| source.has(tagged)) {
        if source.others.iter().any(|(_, built)| fits(built, tagged)) {
            tags.ambiguous(tagged);
            continue;
        }
        let cells = source.cells(tagged);
        for tag in &tagged.tags {
            tags.add(*event, tag, &cells, &tagged.at, &tagged.conditions);
        }
    }
    tags.made()
}

impl Source<'_> {
    /// Whether tags are those of a build of the image.
    fn has(&self, tagged: &Tagged) -> bool {
        let repository = tagged.repository.plain();
        let known = self.builds.iter().flat_map(|(_, built)| &built.repositories);
        let ours = known.map(Text::plain).any(|known| known == repository)
            || repository.rsplit('/').next() == Some(self.name);
        // A row of another image, or of what cannot be carried of this one, is none of ours.
        ours && self.builds.iter().any(|(_, built)| fits(built, tagged))
    }

    fn cells(&self, tagged: &Tagged) -> BTreeSet<Cell> {
        let of_row =
            |cell: &&Cell| cell.iter().all(|(key, value)| tagged.row.get(key).is_none_or(|own| own == value));
        self.axes.cells.iter().filter(of_row).cloned().collect()
    }

    /// Conditions that all builds of an event have: a remark says that these are not carried.
    fn is_common(&self, event: Event, condition: &String) -> bool {
        let mut builds = self.builds.iter().filter(|(other, _)| *other == event).peekable();
        builds.peek().is_some() && builds.all(|(_, built)| built.conditions.contains(condition))
    }
}

/// Whether a row may tag what another one has built.
fn fits(built: &Built, tagged: &Tagged) -> bool {
    built.row.iter().all(|(key, value)| tagged.row.get(key).is_none_or(|other| other == value))
}

impl Tags<'_> {
    fn add(&mut self, event: Event, tag: &Text, cells: &BTreeSet<Cell>, at: &str, conditions: &[String]) {
        let Source { name, origin, axes, .. } = self.source;
        if tag.is_empty() {
            return;
        }
        let template = match tag.template(&axes.names, None) {
            Ok(template) => template,
            Err(unknown) => {
                self.left.push(format!(
                    "{origin}: a tag of {name} holds {unknown}, which only a run can tell: write the tag under `tags`"
                ));
                return;
            }
        };
        let Some(template) = valid(&template) else { return };
        let mut conditions = conditions.to_vec();
        conditions.retain(|condition| !self.source.is_common(event, condition));
        conditions.dedup();
        if !conditions.is_empty() {
            self.conditional.push(Conditional { event, template, at: at.to_owned(), conditions });
            return;
        }
        match self.tags.iter_mut().find(|known| known.template == template) {
            Some(known) => {
                known.events.insert(event);
                known.cells.extend(cells.iter().cloned());
            }
            None => {
                self.tags.push(Found { template, events: BTreeSet::from([event]), cells: cells.clone() });
            }
        }
    }

    /// Tags of which nothing says that they are those of the variant that is written.
    fn ambiguous(&mut self, tagged: &Tagged) {
        let one = |tag: &Text| tag.template(&self.source.axes.names, None).unwrap_or_else(|unknown| unknown);
        let tags: Vec<String> = tagged.tags.iter().map(one).collect();
        if !tags.is_empty() {
            let remark = format!(
                "{}: the tags {} may be those of a variant of {} that is left out, and so they are too",
                tagged.at,
                tags.join(", "),
                self.source.name
            );
            self.left.push(remark);
        }
    }

    fn made(mut self) -> (Vec<Tag>, Vec<String>) {
        let Source { name, origin, axes, enabled, .. } = self.source;
        for Conditional { event, template, at, conditions } in self.conditional {
            let sure = |tag: &Found| tag.template == template && tag.events.contains(&event);
            if !self.tags.iter().any(sure) {
                self.left.push(format!(
                    "{at}: the tag {template} of {name} depends on `{}`, which only a run can tell; it is left out",
                    conditions.join("` and `")
                ));
            }
        }
        let mut made = Vec::new();
        for tag in self.tags {
            let whens = conditions(&tag, enabled);
            if tag.cells != axes.cells {
                self.left.push(format!("{origin}: {}", partial(name, &tag, &whens, axes)));
                continue;
            }
            let in_tag = |axis: &&String| tag.template.contains(&format!("{{{axis}}}"));
            let missing = axes.names.values().find(|axis| !in_tag(axis));
            if let (Some(axis), true) = (missing, axes.cells.len() > 1) {
                self.left.push(format!(
                    "{origin}: the tag {} of {name} is the same for each value of {axis}, and two cells cannot share one: \
                     put {{{axis}}} into it, or give it a `when`",
                    tag.template
                ));
            }
            made.extend(whens.into_iter().map(|when| Tag { text: tag.template.clone(), when }));
        }
        (made, self.left)
    }
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
    let names = |parts: &[&str]| parts.iter().any(|part| tag.template.contains(part));
    // A git tag that is no version has no number to name.
    let on_tag = match () {
        () if names(&["{latest}"]) => "release",
        () if names(&["{major}", "{minor}", "{patch}"]) => "stable",
        () => "tag",
    };
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
