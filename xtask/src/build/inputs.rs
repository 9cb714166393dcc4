//! What decides what a build makes, by name: known before it is built, as far as possible.
//!
//! Secrets are named, and never their values; times and the revision count as what they stand for, so that a new clock alone
//! makes no new build. `docs/reuse.md` is the table for people.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

use crate::base::ids::Digest;
use crate::base::inputs::{
    ANNOTATION, BASE, BUILD_ARG, BuildInputs, CONTEXT, DOCKERFILE, InputValues, Inputs, LABEL, NAMED_CONTEXT,
    NEED, Sources, UPSTREAM,
};
use crate::build::context_hash::Snapshot;
use crate::build::metadata::Metadata;
use crate::matrix::CacheKind;
use crate::plan::{Build, BuildContext, Cell, Need, Pair, Plan, period};

/// What decides a build, before it is known where its images come from. `snapshot`: its files. `needed`: the image that
/// each need is, in their order.
pub(crate) fn stated(
    cell: &Cell,
    build: &Build,
    snapshot: &Snapshot,
    needed: &[Digest],
) -> Result<InputValues> {
    let Build {
        arch: _,
        platform,
        runner: _,
        context,
        dockerfile,
        target,
        test,
        binaries,
        emulate: _,
        build_args,
        labels,
        annotations,
        volatile,
        contexts,
        options,
        bases: _,
        needs,
    } = build;
    let mut values = InputValues::default();
    values.add("platform", platform.as_str());
    values.add("target", text(target));
    values.add("test", text(test));
    values.add("binaries", binaries.join("\n"));
    for (kind, pairs) in [(BUILD_ARG, build_args), (LABEL, labels), (ANNOTATION, annotations)] {
        for Pair { key, value } in pairs {
            let name = format!("{kind}{key}");
            let compared = volatile.iter().find(|one| one.key == name);
            values.add(name, compared.map_or(value, |one| &one.value));
        }
    }
    let mut folders = snapshot.contexts();
    let mut folder = || folders.next().map(Digest::to_string).unwrap_or_default();
    values.add(format!("{DOCKERFILE}{context}/{dockerfile}"), snapshot.dockerfile_digest.as_str());
    values.add(format!("{CONTEXT}{context}"), folder());
    for BuildContext { name, source, local } in contexts {
        let value = if *local { folder() } else { source.clone() };
        values.add(format!("{NAMED_CONTEXT}{name}"), value);
    }
    for (Need { context, cell }, image) in needs.iter().zip(needed) {
        values.add(format!("{NEED}{cell} as {context}"), image.as_str());
    }
    for secret in &options.secrets {
        values.add(format!("secret {}", secret.id), "given");
    }
    for agent in &options.ssh {
        values.add(format!("SSH agent {agent}"), "given");
    }
    values.add("attestations", serde_json::to_string(&options.attest).context("writing `attest`")?);
    values.add("compression", serde_json::to_string(&options.compression).context("writing `compression`")?);
    // An inline cache is written into the image itself.
    values.add("inline cache", options.cache.contains(&CacheKind::Inline).to_string());
    values.add(UPSTREAM, upstream(cell, build).unwrap_or_default());
    Ok(values)
}

/// The upstream's commit, unless that is the one of this repository: it changes without a change of what is built.
fn upstream<'p>(cell: &'p Cell, build: &Build) -> Option<&'p str> {
    cell.commit.as_deref().filter(|_| !build.volatile.iter().any(|one| one.key == UPSTREAM))
}

/// All inputs of a build, with where its images come from.
pub(crate) fn complete(mut values: InputValues, plan: &Plan, build: &Build, sources: Sources) -> BuildInputs {
    for (name, digest) in &sources.images {
        values.add(format!("{BASE}{name}"), digest.as_str());
    }
    if sources.network {
        values.add("refresh period", period(build.options.refresh, plan.planned()).unwrap_or_default());
    }
    BuildInputs { all: Inputs::of(&values), sources }
}

/// Where the contents of a build come from, as its metadata tells. `given`: the digests by which needed images were given.
///
/// # Errors
/// If the Dockerfile cannot be read.
pub(crate) fn sources(
    metadata: &Metadata,
    root: &Path,
    (cell, build): (&Cell, &Build),
    snapshot: &Snapshot,
    given: &[Digest],
) -> Result<Sources> {
    let mut sources = metadata.sources.clone();
    sources.images = std::mem::take(&mut sources.images)
        .into_iter()
        // What is needed is an input of its own, by its image: the digest that a build is given is another each time.
        .filter(|(_, digest)| !given.contains(digest))
        // A name that the plan has resolved is asked for again; one that the Dockerfile fixes is not.
        .map(|(name, digest)| match name.split_once('@') {
            Some((plain, _)) if build.bases.iter().any(|base| is_resolved(base, plain, &digest)) => {
                (plain.to_owned(), digest)
            }
            _ => (name, digest),
        })
        .collect();
    let path = root.join(&build.context).join(&build.dockerfile);
    let written = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    // What names its own content cannot be anything else, as long as the name is among what is compared.
    let lines = written.lines().filter(|line| !line.trim_start().starts_with('#'));
    let compared = |pair: &&Pair| {
        let name = format!("{BUILD_ARG}{}", pair.key);
        !build.volatile.iter().any(|one| one.key == name)
    };
    let args = build.build_args.iter().filter(compared).map(|pair| pair.value.as_str());
    let named = build.contexts.iter().map(|named| named.source.as_str());
    let texts: Vec<&str> = lines.chain(args).chain(named).chain(upstream(cell, build)).collect();
    let fixed = |(address, content): &&(String, String)| is_fixed(&texts, address, content);
    let fetched = metadata.fetched.iter().filter(|one| !fixed(one));
    sources
        .unknown
        .extend(fetched.map(|(address, _)| format!("{address} is not fixed by a checksum or commit")));
    sources.unknown.extend(snapshot.uncompared());
    Ok(sources)
}

/// Whether what is compared says what an address gives: of a repository of git the commit, in the address too, of a file its
/// checksum.
fn is_fixed(texts: &[&str], address: &str, content: &str) -> bool {
    let told = if address.contains(content) { content.to_owned() } else { format!("sha256:{content}") };
    texts.iter().any(|text| text.contains(&told))
}

fn is_resolved(base: &Pair, name: &str, digest: &Digest) -> bool {
    let name = name.strip_suffix(":latest").unwrap_or(name);
    base.key == name && base.value == digest.as_str()
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_is_fixed_by_what_is_compared() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let (file, git) = ("https://example.com/x.tar", format!("https://example.com/x.git#{commit}"));
        let sum = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let add = format!("ADD --checksum=sha256:{sum} https://example.com/x.tar /x");
        assert!(is_fixed(&[&add], file, sum));
        // A checksum that somebody only compares by hand is another thing.
        assert!(!is_fixed(&[&format!("RUN echo {sum} x | sha256sum -c")], file, sum));
        assert!(is_fixed(&[commit], &git, commit));
        // The branch that is asked for is at that commit now, whoever else names it.
        assert!(!is_fixed(&[commit], "https://example.com/x.git#main", commit));
        assert!(!is_fixed(&["{revision}"], &git, commit));
    }
}
