//! A build of the plan as buildx wants it. Pure.

use anyhow::{Context as _, Result};
use std::path::Path;

use crate::argv::bake::target_name;
use crate::argv::buildx::{BuildSpec, NamedContext};
use crate::argv::options::{CacheScope, option_args};
use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Name};
use crate::base::record::{self, DigestRecord};
use crate::build::contexts::Contexts;
use crate::plan::resolve::{ANNOTATION_BUILT, ANNOTATION_CELL, ANNOTATION_PLAN, ANNOTATION_PLANNED};
use crate::plan::{Build, BuildContext, Cell, Pair, Plan, period};

/// How a needed image enters a build.
pub(crate) enum NeedSource<'a> {
    /// By the digest that was pushed.
    Pushed(&'a dyn Fn(&CellId, &Name) -> Result<NamedContext>),
    /// As another target of the same bake call.
    Targets,
}

/// What all builds of one call share.
#[derive(Clone, Copy)]
pub(crate) struct BuildEnv<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) root: &'a Path,
    pub(crate) contexts: &'a Contexts,
    pub(crate) push: bool,
    /// Who builds, for the provenance.
    pub(crate) builder: Option<&'a str>,
    /// The time, RFC 3339 in UTC.
    pub(crate) now: &'a str,
}

/// Everything that decides what one build makes. `published`: the image that may serve as a cache.
pub(crate) fn spec(
    around: &BuildEnv<'_>,
    cell: &Cell,
    build: &Build,
    linked: &NeedSource<'_>,
    published: Option<&Digest>,
) -> Result<BuildSpec> {
    let BuildEnv { plan, root, contexts: sent, push, builder, now } = *around;
    let Build {
        arch,
        platform,
        runner: _,
        context,
        dockerfile,
        target,
        test: _,
        binaries: _,
        emulate: _,
        build_args,
        labels,
        annotations,
        volatile: _,
        contexts: sources,
        options,
        bases,
        needs,
    } = build;
    let mut contexts = Vec::new();
    for need in needs {
        let source = match linked {
            NeedSource::Pushed(find) => find(&need.cell, arch)?,
            NeedSource::Targets => NamedContext::Target(target_name(&format!("{}.{arch}", need.cell))),
        };
        contexts.push((need.context.to_string(), source));
    }
    // An image that the plan has resolved keeps its name, so that a Dockerfile need not know.
    for Pair { key, value } in bases.iter().filter(|base| !sources.iter().any(|own| own.name == base.key)) {
        contexts.push((key.clone(), NamedContext::Source(format!("docker-image://{key}@{value}"))));
    }
    for BuildContext { name, source, local } in sources {
        let source = if *local { sent.path(source).display().to_string() } else { source.clone() };
        contexts.push((name.clone(), NamedContext::Source(source)));
    }
    let context = sent.path(context);
    let name = format!("{}.{arch}", cell.id);
    let repository = cell.repositories.first().context("the plan gives no repository")?;
    let scope = CacheScope { name: &name, repository, published, push, builder };
    let options = option_args(options, root, scope);
    // What a build made tells by itself which cell it belongs to: records cannot be swapped unnoticed.
    let own = [
        (ANNOTATION_CELL, cell.id.to_string()),
        (ANNOTATION_PLAN, plan.id.to_string()),
        (ANNOTATION_PLANNED, plan.created.clone()),
        (ANNOTATION_BUILT, now.to_owned()),
    ];
    Ok(BuildSpec {
        name,
        dockerfile: context.join(dockerfile),
        context,
        target: target.clone(),
        platform: platform.clone(),
        build_args: Pair::tuples(build_args),
        labels: Pair::tuples(labels),
        annotations: Pair::tuples(annotations),
        index_annotations: own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        contexts,
        hosts: hosts(plan, build),
        options,
        repositories: cell.repositories.clone(),
        push,
    })
}

/// A host that no program asks for: BuildKit takes a `RUN` with another one for another `RUN`, so that in a new period none
/// of its layers is taken from the cache, of this machine or of another. Its name cannot exist: RFC 2606.
fn hosts(plan: &Plan, build: &Build) -> Vec<String> {
    let period = period(build.options.refresh, plan.planned());
    period.map(|first| format!("refresh-{first}.invalid:0.0.0.0")).into_iter().collect()
}

/// A needed image: where it is and its digest, out of the record of the same plan and architecture.
///
/// # Errors
/// If there is no such record; in a dry run a digest of zeros stands for it.
pub(crate) fn pushed(
    plan: &Plan,
    digests: &Path,
    cell: &CellId,
    arch: &Name,
    dry: bool,
) -> Result<NamedContext> {
    let repository = plan
        .cell(cell)
        .and_then(|cell| cell.repositories.first())
        .with_context(|| format!("the plan lacks {cell}"))?;
    let kept = plan.cell(cell).and_then(|cell| {
        let (kept, build) = (cell.kept()?, cell.build(arch)?);
        kept.children.iter().find(|child| child.platform == build.platform)
    });
    let digest = match (kept, recorded(plan, digests, cell, arch)) {
        (Some(kept), _) => kept.digest.clone(),
        (None, Some(record)) => record.digest,
        (None, None) if dry => Digest::unknown(),
        (None, None) => {
            return Err(
                UserError::failed(format!("there is no record of {cell} {arch} from this plan")).into()
            );
        }
    };
    Ok(NamedContext::Image { repository: repository.clone(), digest })
}

/// The record that a plan already has of a build, tested where it declares a test.
pub(crate) fn recorded(plan: &Plan, digests: &Path, cell: &CellId, arch: &Name) -> Option<DigestRecord> {
    let path = record::digest_path(digests, cell, arch);
    let record = record::read::<DigestRecord>(&path).ok().flatten();
    let tests = |build: &Build| build.test.is_some();
    let declared = plan.cell(cell).and_then(|cell| cell.build(arch)).is_some_and(tests);
    record.filter(|record| record.plan == plan.id && record.pushed && (record.tested.is_some() || !declared))
}
