//! The state of this repository, asked of git once.

use anyhow::Result;
use std::path::Path;
use xshell::{Shell, cmd};

use crate::base::context::Environment;
use crate::base::error::Fault;

/// What a plan wants to know of the checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Git {
    /// The commit, 40 hex digits.
    pub commit: String,
    /// Whether tracked files differ from it or untracked ones are there.
    pub dirty: bool,
    /// The branch, unless the head is detached.
    pub branch: Option<String>,
    /// Whether that is the default branch.
    pub on_default_branch: bool,
    /// The default branch: what the remote says, else the current one if it is called so, else `main`.
    pub default_branch: String,
    /// The address of the repository, without credentials, as a browser would open it.
    pub source: Option<String>,
}

impl Git {
    /// Reads the checkout that holds `folder`.
    ///
    /// # Errors
    /// If it is no git checkout, or one without a commit.
    pub fn read(folder: &Path, environment: &Environment) -> Result<Self> {
        let shell = Shell::new()?;
        shell.change_dir(folder);
        let ask = |command: xshell::Cmd<'_>| {
            command.quiet().ignore_stderr().read().ok().filter(|text| !text.is_empty())
        };
        let commit = ask(cmd!(shell, "git rev-parse --verify HEAD")).ok_or_else(|| {
            Fault::failed(format!("{} is no git checkout with a commit", folder.display())).help(
                "images carry the commit that they were built from: `git init && git add . && git commit`",
            )
        })?;
        // Whatever git's configuration says of untracked files: they can be part of a context.
        let status = cmd!(shell, "git status --porcelain --untracked-files=normal").quiet().ignore_stderr();
        let dirty = !status
            .read()
            .map_err(|error| {
                Fault::failed(format!("ask git whether {} has changes: {error}", folder.display()))
                    .help("see what `git status` says there")
            })?
            .is_empty();
        let branch = ask(cmd!(shell, "git symbolic-ref --quiet --short HEAD"));
        let head = ask(cmd!(shell, "git symbolic-ref --quiet --short refs/remotes/origin/HEAD"));
        let default = head.as_deref().map(|head| head.trim_start_matches("origin/").to_owned());
        let usual = branch.clone().filter(|branch| branch == "main" || branch == "master");
        let default_branch = default.or(usual).unwrap_or_else(|| "main".to_owned());
        let on_default_branch = branch.as_ref() == Some(&default_branch);
        let remote = ask(cmd!(shell, "git remote get-url origin"));
        let source = github_address(environment).or_else(|| remote.as_deref().and_then(browser_address));
        Ok(Self { commit, dirty, branch, on_default_branch, default_branch, source })
    }

    /// The commit, marked when the tree differs from it.
    pub fn revision(&self) -> String {
        if self.dirty { format!("{}-dirty", self.commit) } else { self.commit.clone() }
    }
}

fn github_address(environment: &Environment) -> Option<String> {
    Some(format!("{}/{}", environment.get("GITHUB_SERVER_URL")?, environment.get("GITHUB_REPOSITORY")?))
}

/// `git@host:a/b.git`, `ssh://git@host/a/b` and `https://user:token@host/a/b.git` all become `https://host/a/b`.
/// A path on this machine is nothing to publish.
fn browser_address(remote: &str) -> Option<String> {
    let rest = match remote.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) => rest.to_owned(),
        Some(_) => return None,
        None => {
            let (host, path) = remote.split_once(':')?;
            host.contains('@').then(|| format!("{host}/{path}"))?
        }
    };
    let (host, path) = rest.split_once('/')?;
    let host = host.rsplit('@').next().unwrap_or(host);
    Some(format!("https://{host}/{}", path.trim_end_matches('/').trim_end_matches(".git")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_credentials() {
        let table = [
            ("git@github.com:acme/images.git", Some("https://github.com/acme/images")),
            ("https://user:token@github.com/acme/images.git", Some("https://github.com/acme/images")),
            ("ssh://git@git.example.com/acme/images", Some("https://git.example.com/acme/images")),
            ("/srv/git/images.git", None),
            ("file:///srv/git/images.git", None),
        ];
        for (remote, expected) in table {
            assert_eq!(browser_address(remote).as_deref(), expected, "{remote}");
        }
    }
}
