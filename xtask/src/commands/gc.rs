//! `cargo xtask gc`: what earlier runs have left in the registry and nothing needs any more.

use anyhow::{Context as _, Result};
use std::time::Duration;

use crate::base::error::UserError;
use crate::base::ids::Name;
use crate::base::ui::columns;
use crate::publish::attestation_store::AttestationStore;
use crate::publish::collector::Collector;
use crate::publish::garbage::Dead;
use crate::publish::signing::Signing;
use crate::session::Session;
use crate::session::destination::To;

/// What was typed.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--to`.
    pub to: Option<To>,
    /// Only these images; all if none is named.
    pub images: Vec<Name>,
    /// What is younger stays.
    pub older_than: Duration,
    /// `--delete`.
    pub delete: bool,
}

/// Runs the command.
///
/// # Errors
/// If a repository cannot be read, or if something cannot be deleted.
pub fn run(session: &Session, options: &Options) -> Result<()> {
    let to = session.to(options.to.as_ref())?;
    let matrix = session.matrix()?;
    let destination = session.destination(&to, &matrix)?;
    if let Some(unknown) =
        options.images.iter().find(|name| !matrix.images.iter().any(|image| image.name == **name))
    {
        return Err(UserError::invalid(format!("no image `{unknown}` in matrix.toml")).into());
    }
    let limit = session
        .context
        .clock
        .now()
        .checked_sub(options.older_than)
        .context("--older-than goes back too far")?;
    let limit = humantime::format_rfc3339_seconds(limit).to_string();
    let (sign, formerly) = session.signing(&to)?;
    let stack = if to == To::Local { Some(session.local_up()?) } else { None };
    let registry = session.registry();
    let signing = Signing::of(session, (&sign, &formerly), None, stack.as_ref())?;
    let collector = Collector {
        records: signing.map(|signing| AttestationStore::new(signing, &session.layout)),
        registry,
        digests: session.digests(None),
        publications: session.publications(None),
        ui: session.ui,
    };
    let mut rows = vec![["REPOSITORY", "DIGEST", "OF", "PLANNED"].map(str::to_owned).to_vec()];
    let (mut found, mut seen) = (0, 0);
    let wanted = |name: &Name| options.images.is_empty() || options.images.contains(name);
    for repository in &destination.repositories {
        for image in matrix.images.iter().filter(|image| wanted(&image.name)) {
            let repository = repository.join(&image.name);
            let (known, tags) =
                collector.walk(&repository).with_context(|| format!("look through {repository}"))?;
            let dead = known.dead(&limit);
            (found, seen) = (found + dead.len(), seen + known.nodes.len());
            for Dead { digest, index, cell, planned } in &dead {
                let of = if digest == index { cell.clone() } else { format!("{cell}, {}", index.short()) };
                rows.push(vec![repository.to_string(), digest.to_string(), of, planned.clone()]);
            }
            if options.delete && !dead.is_empty() {
                collector.delete(&repository, &dead, &tags)?;
            }
        }
    }
    if found > 0 {
        session.ui.out(columns(&rows));
    }
    let done = match (found, options.delete) {
        (0, _) => "nothing to delete".to_owned(),
        (_, true) => format!(
            "{found} manifests deleted; the registry frees their blobs when it collects its own garbage"
        ),
        (_, false) => format!("{found} manifests could go: --delete removes them"),
    };
    session.ui.note(format!("{seen} manifests known; {done}"));
    Ok(())
}
