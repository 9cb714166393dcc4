//! Matrix and context to plan. Pure: files, git state and the clock come in from outside.

use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Name, Repository, Tag};
use crate::base::oci_keys;
use crate::matrix::cells::{CellSpec, cells};
use crate::matrix::{Diagnostic, Diagnostics, Matrix, TagSpec};
use crate::plan::builds::{builds, cascade, expand, merge, standing, volatile};
use crate::plan::dockerfiles::Dockerfiles;
use crate::plan::event::Event;
use crate::plan::inputs::Inputs;
use crate::plan::model::{Cell, DestinationKind, Excluded, Plan, PlannedTag, SCHEMA};
use crate::plan::pairs::Pair;
use crate::plan::remote::{self, Queries};
use crate::plan::standard::Standard;
use crate::plan::tags::{TagContext, event_is, tags};
use crate::plan::untagged::{Tagged, Tags, idle};
use crate::plan::upstream::{Upstream, Upstreams};
use crate::plan::values::Values;

/// The clock of the plan as an annotation of the index: what makes one publication newer than another.
pub const ANNOTATION_PLANNED: &str = "io.xtask.planned";
/// The annotation of a build that says when it was begun, RFC 3339 in UTC: a plan's clock may be set by hand.
pub const ANNOTATION_BUILT: &str = "io.xtask.built";
/// The plan's id as an annotation of each build's own index.
pub const ANNOTATION_PLAN: &str = "io.xtask.plan";
/// The cell as an annotation of the index, and of each build's own index.
pub const ANNOTATION_CELL: &str = "io.xtask.cell";
/// The revision as an annotation of the index.
pub const ANNOTATION_REVISION: &str = oci_keys::REVISION;
/// The code date of the revision as an annotation of the index.
pub const ANNOTATION_CODE_DATE: &str = "io.xtask.code-date";
/// The upstream version as an annotation of the index, for the order of publications: the other one is for readers, and
/// users may set it.
pub const ANNOTATION_OWN_VERSION: &str = "io.xtask.version";
/// The version as an annotation of the index.
pub const ANNOTATION_VERSION: &str = oci_keys::VERSION;

/// Resolves a matrix.
///
/// # Errors
/// If a version cannot be read, a placeholder has no value, two cells share a tag, or a cell has none that another one
/// needs: all of them, with file and line.
pub fn resolve(matrix: &Matrix, inputs: &Inputs<'_>) -> Result<Plan> {
    check_overrides(matrix, &inputs.versions)?;
    let (specs, left_out) = cells(matrix);
    let resolver = Resolver::new(matrix, inputs);
    let mut errors = Vec::new();
    let mut taken: BTreeMap<(Name, Tag), CellId> = BTreeMap::new();
    let mut planned = Vec::new();
    let wanted = wanted(&specs, &inputs.event);
    let wanted = specs.iter().filter(|spec| wanted.contains(&spec.id));
    let tagged: Vec<Tagged<'_>> = wanted.map(|spec| (spec, resolver.tags(spec))).collect();
    // A run that publishes nothing needs no tag.
    let idle = if resolver.push { idle(&tagged, &inputs.event, &mut errors) } else { BTreeSet::new() };
    let (untagged, tagged): (Vec<_>, Vec<_>) =
        tagged.into_iter().partition(|(spec, _)| idle.contains(&spec.id));
    for (spec, tags) in tagged {
        match resolver.cell(spec, tags) {
            Ok((cell, origins)) => {
                errors.extend(collisions(&cell, &origins, &mut taken));
                planned.push(cell);
            }
            Err(found) => errors.extend(found),
        }
    }
    if !errors.is_empty() {
        return Err(Diagnostics(errors).into_error(&matrix.source));
    }
    let excluded = |cell: &CellId, reason: &str, untagged: bool| Excluded {
        cell: cell.clone(),
        reason: reason.to_owned(),
        untagged,
    };
    let reason = format!("no condition of its tags holds for this run ({})", inputs.event);
    let untagged = untagged.iter().map(|(spec, _)| excluded(&spec.id, &reason, true));
    let excluded = left_out.iter().map(|spec| excluded(&spec.id, spec.reason, false)).chain(untagged);
    let Resolver { created, planned: time, code_date, revision, push, upstreams, .. } = resolver;
    let plan = Plan {
        schema: SCHEMA,
        id: Digest::of(b""),
        planned: (time != created).then_some(time),
        code_date,
        created,
        event: inputs.event.clone(),
        revision,
        source: inputs.git.source.clone(),
        matrix: Digest::of(matrix.source.text.as_bytes()),
        destination: inputs.destination.clone(),
        sign: inputs.sign.clone(),
        formerly: inputs.formerly.clone(),
        gates: matrix.gates.clone(),
        push,
        upstreams: upstreams.used(),
        cells: planned,
        excluded: excluded.collect(),
    };
    plan.seal()
}

/// The code date, which no wrong clock of a commit brings beyond the plan's own time.
fn code_date(inputs: &Inputs<'_>) -> Option<String> {
    let date = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(inputs.git.code_date?));
    let date = date.unwrap_or(inputs.planned).min(inputs.planned);
    Some(humantime::format_rfc3339_seconds(date).to_string())
}

/// What has to be asked of other repositories before the matrix can be resolved.
pub fn queries(matrix: &Matrix, event: &Event, versions: &BTreeMap<Name, String>) -> Queries {
    let (specs, _) = cells(matrix);
    let wanted = wanted(&specs, event);
    remote::queries(specs.iter().filter(|spec| wanted.contains(&spec.id)), versions)
}

/// A pull request builds only the tracks that say so, and what those stand on.
fn wanted<'s>(specs: &'s [CellSpec<'_>], event: &Event) -> BTreeSet<&'s CellId> {
    let belongs = |spec: &CellSpec<'_>| match event {
        Event::PullRequest { .. } => spec.track.is_none_or(|track| track.pull_request),
        _ => true,
    };
    let mut wanted = BTreeSet::new();
    // In the order of waves, so that a walk from the end meets everything that is needed.
    for spec in specs.iter().rev() {
        if belongs(spec) || wanted.contains(&spec.id) {
            wanted.insert(&spec.id);
            wanted.extend(spec.needs.iter().map(|(_, cell)| cell));
        }
    }
    wanted
}

/// A pull request pushes nothing anywhere; what `publish.refs` or `publish.when` leaves out is built but not published.
fn pushes(matrix: &Matrix, inputs: &Inputs<'_>) -> bool {
    let (event, when) = (&inputs.event, &matrix.publish_when);
    let named = || when.is_empty() || when.iter().any(|condition| event_is(*condition, event));
    let wanted =
        inputs.destination.kind != DestinationKind::Publish || (publishes_from(matrix, inputs) && named());
    wanted && !matches!(event, Event::PullRequest { .. })
}

/// Whether `publish.refs` has the branch or tag of the run. By default: the default branch, and commits of its history, since
/// whoever may push a tag could name a commit so that nobody has reviewed.
fn publishes_from(matrix: &Matrix, inputs: &Inputs<'_>) -> bool {
    let event = &inputs.event;
    match (&matrix.publish_refs, event) {
        (Some(refs), _) => {
            event.git_ref().is_some_and(|name| refs.iter().any(|pattern| pattern.matches(&name)))
        }
        (None, Event::Tag { .. } | Event::Local { branch: None, .. }) => inputs.git.reviewed == Some(true),
        (None, _) => event.on_default_branch(),
    }
}

fn check_overrides(matrix: &Matrix, versions: &BTreeMap<Name, String>) -> Result<()> {
    match versions.keys().find(|name| !matrix.tracks.iter().any(|track| track.name == **name)) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<&str> = matrix.tracks.iter().map(|track| track.name.as_str()).collect();
            let fault = UserError::invalid(format!(
                "--set-version names the track `{name}`, which matrix.toml does not have"
            ));
            Err(fault.help(format!("it has: {}", known.join(", "))).into())
        }
    }
}

/// Two cells of one image that want the same tag: the later of them is the error.
fn collisions(
    cell: &Cell,
    origins: &[TagSpec],
    taken: &mut BTreeMap<(Name, Tag), CellId>,
) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    for (tag, origin) in cell.tags.iter().zip(origins) {
        let key = (cell.image.clone(), tag.name.clone());
        if let Some(other) = taken.get(&key) {
            errors.push(Diagnostic {
                span: origin.span.clone(),
                message: format!("duplicate tag `{}`: both {other} and {} would set it", tag.name, cell.id),
                help: vec![
                    "tell them apart with {suffix}, {composer}, {track} or an axis, or exclude one of them"
                        .to_owned(),
                ],
            });
        } else {
            taken.insert(key, cell.id.clone());
        }
    }
    errors
}

/// Resolves cell after cell.
pub(super) struct Resolver<'a> {
    inputs: &'a Inputs<'a>,
    created: String,
    planned: String,
    code_date: Option<String>,
    revision: String,
    /// Whether the run pushes.
    push: bool,
    upstreams: Upstreams<'a>,
    dockerfiles: Dockerfiles<'a>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(matrix: &Matrix, inputs: &'a Inputs<'a>) -> Self {
        Self {
            inputs,
            push: pushes(matrix, inputs),
            created: humantime::format_rfc3339_seconds(inputs.now).to_string(),
            planned: humantime::format_rfc3339_seconds(inputs.planned).to_string(),
            code_date: code_date(inputs),
            revision: inputs.git.revision(),
            upstreams: Upstreams::new(inputs),
            dockerfiles: Dockerfiles::new(inputs),
        }
    }

    /// What the placeholders of a cell stand for.
    pub(super) fn values<'m>(&'m self, spec: &'m CellSpec<'m>) -> Result<Values<'m>, Diagnostic> {
        Ok(Values {
            spec,
            upstream: self.upstreams.of(spec)?,
            commit: &self.inputs.git.commit,
            revision: &self.revision,
            created: &self.created,
            arch: None,
        })
    }

    /// What the conditions of its tags look at.
    pub(super) fn tag_context<'m>(&'m self, spec: &CellSpec<'m>) -> TagContext<'m> {
        TagContext {
            event: &self.inputs.event,
            reference: &spec.reference().value,
            overridden: self.inputs.set_version(spec).is_some(),
        }
    }

    /// The tags of a cell, in the order in which they are set.
    fn tags(&self, spec: &CellSpec<'_>) -> Tags {
        let values = self.values(spec).map_err(|error| vec![error])?;
        tags(spec.tags(), &values, self.tag_context(spec))
    }

    fn cell(&self, spec: &CellSpec<'_>, tags: Tags) -> Result<(Cell, Vec<TagSpec>), Vec<Diagnostic>> {
        // Without its version there is nothing else to say of it.
        let Ok(values) = self.values(spec) else { return Err(tags.err().unwrap_or_default()) };
        let (tagged, mut errors) = match tags {
            Ok(found) => (found, Vec::new()),
            Err(found) => (Vec::new(), found),
        };
        let labels = self.standard(&values);
        let builds = builds(&values, &self.inputs.event, &labels, &self.dockerfiles, &mut errors);
        let (annotations, volatile) = self.index_annotations(&values, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let (tags, origins): (Vec<PlannedTag>, Vec<TagSpec>) = tagged.into_iter().unzip();
        let repositories: Vec<Repository> = self
            .inputs
            .destination
            .repositories
            .iter()
            .map(|repository| repository.join(&spec.image.name))
            .collect();
        let Upstream { version, reference, commit, .. } = values.upstream.as_ref().clone();
        let cell = Cell {
            id: spec.id.clone(),
            image: spec.image.name.clone(),
            track: spec.track.map(|track| track.name.clone()),
            composer: spec.composer.map(|mode| mode.name.clone()),
            axes: spec
                .axes
                .iter()
                .map(|(name, value)| Pair { key: name.to_string(), value: value.to_string() })
                .collect(),
            annotations,
            volatile,
            version,
            reference,
            commit,
            repositories,
            tags,
            allow_failure: spec.track.is_some_and(|track| track.allow_failure)
                || spec.composer.is_some_and(|mode| mode.allow_failure),
            wave: spec.wave,
            builds,
            reuse: None,
        };
        Ok((cell, origins))
    }

    fn standard(&self, values: &Values<'_>) -> Vec<Standard> {
        Standard::of(values, self.inputs.git.source.as_deref())
    }

    /// The annotations of the index, and those among them that change without a change of what is built, as they are
    /// compared.
    fn index_annotations(&self, values: &Values<'_>, errors: &mut Vec<Diagnostic>) -> (Vec<Pair>, Vec<Pair>) {
        let labels = cascade(values.spec, None, |settings| &settings.labels);
        // A label that is switched off is no annotation either, but for the one that `verify` compares with the provenance.
        let is_off = |one: &Standard| {
            labels.iter().any(|label| label.setting.key == one.key && label.setting.value.is_none())
        };
        let mut standard = self.standard(values);
        standard.retain(|one| one.key == ANNOTATION_REVISION || !is_off(one));
        let found = cascade(values.spec, None, |settings| &settings.index_annotations);
        let standard = standing(&standard, &found);
        let mut annotations = Standard::pairs(&standard);
        merge(&mut annotations, expand(&found, values, errors));
        let mut changing = volatile("", &found, values);
        merge(&mut changing, Standard::volatile("", &standard));
        let own = self.own_annotations(values);
        merge(&mut annotations, Standard::pairs(&own));
        merge(&mut changing, Standard::volatile("", &own));
        (annotations, changing)
    }

    /// What merge itself relies on.
    fn own_annotations(&self, values: &Values<'_>) -> Vec<Standard> {
        let one = |key, value: &str, compared: Option<&str>| {
            let compared = compared.map(|name| format!("{{{name}}}"));
            Standard { key, value: value.to_owned(), compared }
        };
        let dated = |date: &str| one(ANNOTATION_CODE_DATE, date, Some("code-date"));
        let volatile = values.is_volatile("version", true).then_some("version");
        let versioned = |text: &str| one(ANNOTATION_OWN_VERSION, text, volatile);
        let mut own = vec![
            one(ANNOTATION_CELL, values.spec.id.as_str(), None),
            one(ANNOTATION_PLANNED, &self.planned, Some("planned")),
        ];
        own.extend(self.code_date.as_deref().map(dated));
        own.extend(values.upstream.version.as_deref().map(versioned));
        own
    }
}
