//! The repository that gets this build system: what git and its files tell.

use anyhow::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::argv::{Argv, Program};
use crate::base::error::UserError;
use crate::base::identity;
use crate::init::found;
use crate::plan::git::browser_address;
use crate::run::{Output, Runner};
use crate::scaffold::changes;

/// The repository.
#[derive(Debug)]
pub(crate) struct Repository {
    /// Its top folder.
    pub(crate) root: PathBuf,
    /// Its files, ignored ones left out, relative to the top folder, with slashes.
    pub(crate) files: BTreeSet<String>,
    /// Where it is, `https://github.com/acme/app`; none: it has no remote `origin`.
    pub(crate) address: Option<String>,
    /// The default branch.
    pub(crate) default_branch: String,
    /// Whether that is only a guess.
    pub(crate) is_guessed: bool,
    /// Whether its tags are versions without a `v` in front.
    pub(crate) bare_versions: bool,
}

impl Repository {
    /// Reads the repository whose top folder is `folder`.
    ///
    /// # Errors
    /// If it is not the top folder of a git repository, or if git does not answer.
    pub(crate) fn read(folder: &Path, runner: &Runner) -> Result<Self> {
        let git = Git { folder, runner };
        let top = git.answer(&["rev-parse", "--show-toplevel"])?.ok_or_else(|| {
            UserError::invalid(format!("{} is not in a git repository", folder.display()))
                .help("images carry the commit that they were built from, so begin with: git init")
        })?;
        let root = folder.canonicalize()?;
        if Path::new(&top).canonicalize()? != root {
            return Err(UserError::invalid(format!(
                "{} is not the top folder of its repository",
                root.display()
            ))
            .help(format!("GitHub reads workflows from there alone: run `init` for {top}"))
            .into());
        }
        let files = git.answer(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let remote = git.answer(&["remote", "get-url", "origin"])?;
        let (default_branch, is_guessed) = default_branch(&git)?;
        let tags = git.answer(&["tag", "--list", "--sort=-creatordate"])?.unwrap_or_default();
        Ok(Self {
            root,
            files: files
                .unwrap_or_default()
                .split('\0')
                .filter(|path| !path.is_empty())
                .map(str::to_owned)
                .collect(),
            address: remote.as_deref().and_then(browser_address),
            default_branch,
            is_guessed,
            bare_versions: tags
                .lines()
                .next()
                .is_some_and(|tag| tag.starts_with(|c: char| c.is_ascii_digit())),
        })
    }

    /// `acme/app`, if it has a remote.
    pub(crate) fn owner_and_name(&self) -> Option<String> {
        self.address.as_deref().and_then(identity::owner_and_name)
    }

    /// The name of its own image: that of the repository, else that of the folder.
    pub(crate) fn name(&self) -> String {
        let folder = self.root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let remote = self.owner_and_name().and_then(|both| Some(both.split_once('/')?.1.to_owned()));
        let names = [remote, Some(folder)].into_iter().flatten().map(|text| found::name(&text));
        names.into_iter().find(|name| !name.is_empty()).unwrap_or("app".to_owned())
    }

    /// A text file of it; none: there is no such file, or it is no text.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let below = !Path::new(path).is_absolute() && !path.split('/').any(|part| part == "..");
        below.then(|| changes::read(&self.root, path).ok().flatten()).flatten()
    }

    /// The folders of Rust packages below the top, the outermost ones.
    pub(crate) fn packages(&self) -> Vec<String> {
        let mut folders: Vec<String> = Vec::new();
        for folder in self.files.iter().filter_map(|path| path.strip_suffix("/Cargo.toml")) {
            let is_inside = |outer: &String| folder.starts_with(&format!("{outer}/"));
            if folder != "xtask" && !folders.iter().any(is_inside) {
                folders.push(folder.to_owned());
            }
        }
        folders
    }

    /// Those of some paths that git would ignore.
    pub(crate) fn ignored(&self, paths: &[&str], runner: &Runner) -> Result<Vec<String>> {
        let git = Git { folder: &self.root, runner };
        let answer = git.answer(&[&["check-ignore", "--no-index", "--"], paths].concat())?;
        Ok(answer.unwrap_or_default().lines().map(str::to_owned).collect())
    }

    /// Whether there is a file or a folder of that name.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains(path)
            || self
                .files
                .range(format!("{path}/")..)
                .next()
                .is_some_and(|next| next.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// The default branch, and whether it is only a guess: a clone knows it, another checkout may not.
fn default_branch(git: &Git<'_>) -> Result<(String, bool)> {
    let head = git.answer(&["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"])?;
    if let Some(head) = head.as_deref().and_then(|head| head.strip_prefix("origin/")) {
        return Ok((head.to_owned(), false));
    }
    let list = ["for-each-ref", "--format=%(refname:lstrip=-1)", "refs/heads", "refs/remotes/origin"];
    let list = git.answer(&list)?.unwrap_or_default();
    let all: BTreeSet<&str> = list.lines().collect();
    let usual = ["main", "master"].into_iter().filter(|name| all.contains(name)).collect::<Vec<_>>();
    let current = git.answer(&["symbolic-ref", "--quiet", "--short", "HEAD"])?;
    Ok(match (all.len(), usual.as_slice(), current) {
        (0 | 1, _, Some(current)) => (current, false),
        (_, [one], _) => ((*one).to_owned(), false),
        (1, _, None) => (list.trim().to_owned(), false),
        (_, [first, ..], _) => ((*first).to_owned(), true),
        (_, [], current) => (current.unwrap_or("main".to_owned()), true),
    })
}

struct Git<'a> {
    folder: &'a Path,
    runner: &'a Runner,
}

impl Git<'_> {
    /// What git prints, without the final newline; none: it says no, or nothing.
    fn answer(&self, args: &[&str]) -> Result<Option<String>> {
        let argv = Argv::new("read the repository", &Program::new("git"));
        let argv = argv.args(args.iter().copied()).folder(self.folder).limit(60);
        let answer = self.runner.run(&argv, Output::Capture)?;
        let text = String::from_utf8_lossy(&answer.stdout).trim_end_matches('\n').to_owned();
        Ok((answer.success() && !text.is_empty()).then_some(text))
    }
}
