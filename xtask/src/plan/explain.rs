//! `plan --explain CELL`: where each value of a cell comes from.

use anyhow::{Context as _, Result};
use std::ops::Range;

use crate::base::ids::CellId;
use crate::base::template::Template;
use crate::base::ui::columns;
use crate::matrix::cells::{CellSpec, cells};
use crate::matrix::{Diagnostics, Matrix, RefSpec, SecretSource, Settings};
use crate::plan::builds::{Origin, cascade};
use crate::plan::inputs::Inputs;
use crate::plan::model::{Build, Cell, Plan};
use crate::plan::pairs::Pair;
use crate::plan::resolve::Resolver;
use crate::plan::reuse::Reuse;
use crate::plan::tags::why_not;
use crate::plan::values::Values;

/// One cell of a plan that was resolved from the same matrix and inputs.
///
/// # Errors
/// If the matrix has no such cell.
pub fn explain(matrix: &Matrix, inputs: &Inputs<'_>, plan: &Plan, id: &CellId) -> Result<String> {
    let (specs, _) = cells(matrix);
    let spec = specs.iter().find(|spec| spec.id == *id).with_context(|| format!("the matrix lacks {id}"))?;
    let cell = plan.cell(id).with_context(|| format!("the plan lacks {id}"))?;
    let resolver = Resolver::new(matrix, inputs);
    let values = resolver.values(spec);
    let values = values.map_err(|error| Diagnostics(vec![error]).into_error(&matrix.source))?;
    let explain = Explain { matrix, cell, spec };
    let mut rows = explain.head();
    rows.extend(explain.state());
    rows.extend(explain.tags(&values, &resolver));
    rows.extend(explain.annotations());
    for build in &cell.builds {
        rows.extend(explain.build(build));
    }
    Ok(columns(&rows))
}

struct Explain<'m> {
    matrix: &'m Matrix,
    cell: &'m Cell,
    spec: &'m CellSpec<'m>,
}

/// What, its value, from where.
type Row = Vec<String>;

fn row(what: &str, value: impl Into<String>, from: impl Into<String>) -> Row {
    vec![what.to_owned(), value.into(), from.into()]
}

impl Explain<'_> {
    /// `matrix.toml:12`.
    fn at(&self, span: &Range<usize>) -> String {
        format!("{}:{}", self.matrix.source.name, self.matrix.source.position(span.start).0)
    }

    fn head(&self) -> Vec<Row> {
        let (cell, spec) = (self.cell, self.spec);
        let reference = spec.reference();
        let kind = match &reference.value {
            RefSpec::File(path) => format!("the file {path}"),
            RefSpec::Value(_) => "a fixed value".to_owned(),
            RefSpec::SelfRef => "this repository".to_owned(),
            RefSpec::Branch { repository, branch } => format!("the branch {branch} of {repository}"),
            RefSpec::Tag { repository, pattern } => {
                format!("the highest tag {} of {repository}", pattern.as_str())
            }
        };
        let from = format!("{kind}, {}", self.at(&reference.span));
        let mut rows = vec![row("cell", cell.id.as_str(), self.at(&spec.image.span))];
        let known = [("version", &cell.version), ("ref", &cell.reference), ("commit", &cell.commit)];
        for (what, value) in known {
            rows.extend(value.as_ref().map(|value| row(what, value, from.clone())));
        }
        rows.extend(cell.axes.iter().map(|axis| row(&axis.key, &axis.value, "axis")));
        let needs = spec.image.needs.iter().zip(&spec.needs);
        rows.extend(needs.map(|(need, (context, cell))| {
            row("needs", format!("{cell} as the context {context}"), self.at(&need.span))
        }));
        if cell.allow_failure {
            rows.push(row("may fail", "the run succeeds without it", ""));
        }
        rows
    }

    /// Whether it is built, and what has changed, where the plan was compared with the registry.
    fn state(&self) -> Vec<Row> {
        match &self.cell.reuse {
            None => Vec::new(),
            Some(Reuse::New { why }) => vec![row("state", "new", format!("it {why}"))],
            Some(Reuse::Kept(kept)) => {
                vec![row("state", "unchanged", format!("{} stays", kept.digest.short()))]
            }
            Some(Reuse::Changed { digest, inputs }) => {
                let since = row("state", "changed", format!("since {} was published", digest.short()));
                let inputs = inputs.iter().map(|input| row("  input", input, ""));
                std::iter::once(since).chain(inputs).collect()
            }
        }
    }

    fn annotations(&self) -> Vec<Row> {
        let origins = cascade(self.spec, None, |settings| &settings.index_annotations);
        let one = |pair: &Pair| {
            let origin = origins.iter().find(|origin| origin.setting.key == pair.key);
            let from = origin.map_or("every index has it".to_owned(), |origin| self.from(origin));
            row("annotation", format!("{}={}", pair.key, pair.value), from)
        };
        self.cell.annotations.iter().map(one).collect()
    }

    /// The tags that it gets, then those that it does not.
    fn tags(&self, values: &Values<'_>, resolver: &Resolver<'_>) -> Vec<Row> {
        let context = resolver.tag_context(self.spec);
        let mut rows = Vec::new();
        let mut left_out = Vec::new();
        for spec in self.spec.tags() {
            let (text, at) = (spec.template.text(), self.at(&spec.span));
            match why_not(spec, values, context) {
                Some(reason) => left_out.push(row("no tag", text, format!("{reason}, {at}"))),
                None => {
                    let expanded = spec.template.expand(|name| values.get(name)).unwrap_or_default();
                    let immutable = if spec.immutable { "immutable, " } else { "" };
                    rows.push(row("tag", expanded, format!("{immutable}{text}, {at}")));
                }
            }
        }
        rows.extend(left_out);
        rows
    }

    fn build(&self, build: &Build) -> Vec<Row> {
        let platform = self.spec.platforms.iter().copied().find(|platform| platform.name == build.arch);
        let image = &self.spec.image;
        let runner = build.runner.as_deref().unwrap_or("no runner");
        let place = platform.map(|platform| self.at(&platform.span)).unwrap_or_default();
        let mut rows = vec![
            row("", "", ""),
            row("build", format!("{} {} on {runner}", build.arch, build.platform), place),
            row("  context", &build.context, self.at(&image.span)),
            row("  dockerfile", &build.dockerfile, ""),
        ];
        if let Some(target) = &image.target {
            rows.push(row("  target", &target.value, self.at(&target.span)));
        }
        if let Some(test) = &image.test {
            rows.push(row("  test", &test.value, self.at(&test.span)));
        }
        for path in &image.binaries {
            rows.push(row("  binary", &path.value, self.at(&path.span)));
        }
        let origins = |kind: fn(&Settings) -> &[_]| cascade(self.spec, platform, kind);
        let kinds = [
            ("  build-arg", &build.build_args, origins(|settings| &settings.build_args)),
            ("  label", &build.labels, origins(|settings| &settings.labels)),
            ("  annotation", &build.annotations, origins(|settings| &settings.annotations)),
        ];
        for (what, pairs, origins) in &kinds {
            for pair in *pairs {
                let origin = origins.iter().find(|origin| origin.setting.key == pair.key);
                let from = origin.map_or("every image has it".to_owned(), |origin| self.from(origin));
                rows.push(row(what, format!("{}={}", pair.key, pair.value), from));
            }
        }
        for (context, written) in build.contexts.iter().zip(&image.contexts) {
            let text = format!("{}={}", context.name, context.source);
            rows.push(row("  build-context", text, self.at(&written.span)));
        }
        for secret in &build.options.secrets {
            let source = match &secret.source {
                SecretSource::Env(name) => format!("the variable {name}"),
                SecretSource::File(path) => format!("the file {path}"),
            };
            rows.push(row("  secret", &secret.id, source));
        }
        rows
    }

    fn from(&self, origin: &Origin<'_>) -> String {
        let Origin { setting, level } = origin;
        let text = setting.value.as_ref().map(Template::text).unwrap_or_default();
        format!("{level}, {text}, {}", self.at(&setting.span))
    }
}
