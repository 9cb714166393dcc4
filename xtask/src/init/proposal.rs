//! From what was found to the files that are to be written.

use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

use crate::argv::Program;
use crate::base::error::UserError;
use crate::init::crate_files::{self, CrateSource};
use crate::init::dockerfiles;
use crate::init::found::{Found, Image};
use crate::init::matrix_text;
use crate::init::other_files;
use crate::init::remarks;
use crate::init::repository::Repository;
use crate::init::sources;
use crate::init::validity;
use crate::run::Runner;
use crate::scaffold::changes::{self, Change};
use crate::scaffold::templates;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// Workflows to read, relative to the repository.
    pub workflows: Vec<String>,
    /// Where images are published, instead of what the files say: `HOST/PATH`.
    pub repositories: Vec<String>,
    /// Where the crate comes from.
    pub source: CrateSource,
    /// Whether files that are there may be replaced.
    pub overwrite: bool,
}

/// What is proposed.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The images, each as a row: name, where it was found, context, platforms.
    pub images: Vec<[String; 4]>,
    /// The files.
    pub changes: Vec<Change>,
    /// What could not be carried over, each a sentence without a full stop.
    pub left: Vec<String>,
}

/// Reads a repository and says what to write. `buildx`: asks for it where a bake or Compose file is read.
///
/// # Errors
/// If the repository or a file that was named cannot be read, if nothing is found that builds an image, or if its `xtask` is
/// another program.
pub fn propose(
    folder: &Path,
    wishes: &Wishes,
    runner: &Runner,
    buildx: impl Fn() -> Result<Program>,
) -> Result<Proposal> {
    let repository = Repository::read(folder, runner)?;
    is_free(&repository)?;
    let mut found = sources::find(&repository, &wishes.workflows, runner, buildx)?;
    if !wishes.repositories.is_empty() {
        found.repositories.clone_from(&wishes.repositories);
    }
    validity::always_a_tag(&mut found);
    validity::drop_invalid(&mut found, &repository)?;
    remarks::about(&repository, &mut found);
    let mut proposal = Proposal { images: Vec::new(), changes: Vec::new(), left: found.left.clone() };
    proposal.files(&repository, &found, wishes)?;
    let paths: Vec<&str> = proposal.changes.iter().map(|change| change.path.as_str()).collect();
    let ignored = repository.ignored(&[paths.as_slice(), &["Cargo.lock"]].concat(), runner)?;
    proposal.left.extend(ignored.into_iter().map(|path| {
        format!("{path}: git ignores it, and the workflow needs it: change .gitignore, or `git add --force {path}`")
    }));
    // Names come from files that anybody may have written, and end up in a terminal.
    let plain = |text: &String| text.chars().filter(|c| !c.is_control()).collect::<String>();
    proposal.images = rows(&found).iter().map(|row| row.each_ref().map(plain)).collect();
    proposal.left = proposal.left.iter().map(plain).collect();
    Ok(proposal)
}

/// Whether no other program is called `xtask` here.
fn is_free(repository: &Repository) -> Result<()> {
    let manifest = repository.text("xtask/Cargo.toml").unwrap_or_default();
    if manifest.is_empty() || manifest.contains(env!("CARGO_PKG_NAME")) {
        return Ok(());
    }
    Err(UserError::invalid("xtask/ is another program already")
        .help("rename its package, folder and alias, and run `init` again")
        .help("or let it do both: add the dependency of docs/adopt.md to it, and call the crate's `main` for what it does not know")
        .into())
}

/// How a file is written that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is ours: another one stays, unless it may be replaced.
    Whole,
    /// It gets a few lines more; where that cannot be done, a remark says so.
    Part,
    /// It gets a few lines more if they are of use.
    Optional,
}

impl Proposal {
    /// Adds every file.
    fn files(&mut self, repository: &Repository, found: &Found, wishes: &Wishes) -> Result<()> {
        let mut add = |path: &str, kind: Kind, after: &dyn Fn(Option<&str>) -> Option<String>| {
            self.add(repository, wishes.overwrite, path, kind, after)
        };
        let text = matrix_text::text(found, repository);
        add("matrix.toml", Kind::Whole, &|_| Some(text.clone()))?;
        let packages = repository.packages();
        add("Cargo.toml", Kind::Part, &|before| crate_files::workspace(before, &packages))?;
        // Cargo prefers the old name where both are.
        let config = if repository.has(".cargo/config") { ".cargo/config" } else { ".cargo/config.toml" };
        add(config, Kind::Part, &crate_files::cargo_config)?;
        add("xtask/Cargo.toml", Kind::Whole, &|_| Some(crate_files::manifest(&wishes.source)))?;
        add("xtask/src/main.rs", Kind::Whole, &|_| Some(crate_files::MAIN.to_owned()))?;
        let triggers = other_files::triggers(
            found.triggers.as_ref(),
            &repository.default_branch,
            repository.bare_versions,
        );
        for template in templates::ALL {
            add(template.path, Kind::Whole, &|_| Some(template.text(Some(&triggers))))?;
        }
        add(".gitignore", Kind::Part, &|before| Some(other_files::gitignore(before)))?;
        let at_top: Vec<&Image> = found.images.iter().filter(|image| image.context == ".").collect();
        let texts: String = at_top.iter().filter_map(|image| repository.text(&image.dockerfile)).collect();
        let wanted = |path: &str| {
            let named = dockerfiles::names(&texts, path);
            // What was there before may be part of an image; of this folder only the workflows are known.
            named || (repository.has(path) && path != ".github")
        };
        if !at_top.is_empty() {
            add(".dockerignore", Kind::Optional, &|before| other_files::dockerignore(before, &wanted))?;
        }
        // An update bot that is configured is left to its owners.
        let bots = ["dependabot.yml", "dependabot.yaml", "renovate.json", "renovate.json5"];
        let has_bot = bots.iter().any(|bot| repository.has(&format!(".github/{bot}")) || repository.has(bot));
        if !has_bot {
            let folders: BTreeSet<String> = found.images.iter().map(folder_of).collect();
            add(".github/dependabot.yml", Kind::Whole, &|_| Some(other_files::dependabot(&folders)))?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        repository: &Repository,
        overwrite: bool,
        path: &str,
        kind: Kind,
        after: &dyn Fn(Option<&str>) -> Option<String>,
    ) -> Result<()> {
        let before = match changes::read(&repository.root, path) {
            Ok(before) => before,
            Err(error) if kind == Kind::Whole => return Err(error),
            Err(error) => {
                self.left.push(format!(
                    "{path}: not changed: {error:#}; docs/adopt.md has the lines that it needs"
                ));
                return Ok(());
            }
        };
        let Some(after) = after(before.as_deref()) else {
            if kind == Kind::Part {
                self.left.push(format!(
                    "{path}: not changed, since it has a form that `init` cannot edit; docs/adopt.md has the lines that it needs"
                ));
            }
            return Ok(());
        };
        let differs = before.as_ref().is_some_and(|before| *before != after);
        if differs && kind == Kind::Whole && !overwrite {
            self.left.push(format!("{path}: exists and was not changed; --overwrite replaces it"));
            return Ok(());
        }
        self.changes.push(Change { path: path.to_owned(), before, after });
        Ok(())
    }
}

/// The folder of an image's Dockerfile, as the update bot names it.
fn folder_of(image: &Image) -> String {
    let path = image.dockerfile_path();
    format!("/{}", path.rsplit_once('/').map_or("", |(folder, _)| folder))
}

/// The images, for people.
fn rows(found: &Found) -> Vec<[String; 4]> {
    let row = |image: &Image| {
        let platforms: Vec<String> =
            matrix_text::platforms_of(image).into_iter().map(matrix_text::arch).collect();
        [image.name.clone(), image.origin.clone(), image.context.clone(), platforms.join(" ")]
    };
    found.images.iter().map(row).collect()
}
