//! A build of the plan as buildx wants it. Pure.

use anyhow::Result;
use std::path::Path;

use crate::argv::bake::target_name;
use crate::argv::buildx::{BuildSpec, NamedContext};
use crate::ids::{CellId, Name};
use crate::plan::resolve::ANNOTATION_CELL;
use crate::plan::{Build, Cell, Pair, Plan};

/// How a needed image enters a build.
pub(super) enum Linked<'a> {
    /// By the digest that was pushed.
    Pushed(&'a dyn Fn(&CellId, &Name) -> Result<NamedContext>),
    /// As another target of the same bake call.
    Targets,
}

/// Everything that decides what one build makes.
pub(super) fn spec(
    plan: &Plan,
    cell: &Cell,
    build: &Build,
    root: &Path,
    linked: &Linked<'_>,
    push: bool,
) -> Result<BuildSpec> {
    let Build {
        arch,
        platform,
        runner: _,
        context,
        dockerfile,
        target,
        emulate: _,
        build_args,
        labels,
        annotations,
        needs,
    } = build;
    let mut contexts = Vec::new();
    for need in needs {
        let source = match linked {
            Linked::Pushed(find) => find(&need.cell, arch)?,
            Linked::Targets => NamedContext::Target(target_name(&format!("{}.{arch}", need.cell))),
        };
        contexts.push((need.context.to_string(), source));
    }
    let context = root.join(context);
    // What a build made tells by itself which cell it belongs to: records cannot be swapped unnoticed.
    let own = [(ANNOTATION_CELL, cell.id.to_string()), ("io.xtask.plan", plan.id.to_string())];
    Ok(BuildSpec {
        name: format!("{}.{arch}", cell.id),
        dockerfile: context.join(dockerfile),
        context,
        target: target.clone(),
        platform: platform.clone(),
        build_args: Pair::tuples(build_args),
        labels: Pair::tuples(labels),
        annotations: Pair::tuples(annotations),
        index_annotations: own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        contexts,
        repositories: cell.repositories.clone(),
        push,
    })
}
