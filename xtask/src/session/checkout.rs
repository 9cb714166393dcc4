//! What is asked of git about this checkout: once per command, all questions side by side.

use anyhow::Result;
use std::path::Path;
use xshell::{Cmd, Shell, cmd};

use crate::argv::Argv;
use crate::base::context::Environment;
use crate::base::error::UserError;
use crate::base::parallel;
use crate::plan::git::{Git, github_address};
use crate::run::{Finished, Output, Runner};

/// Reads the checkout that holds `folder`.
///
/// # Errors
/// If it is no git checkout, or one without a commit, or if git does not answer in time.
pub fn read(folder: &Path, environment: &Environment, runner: &Runner) -> Result<Git> {
    let Questions { status, head, remote } = Questions::about(folder)?;
    // A job of GitHub Actions knows the address without git.
    let remote = Some(remote).filter(|_| github_address(environment).is_none());
    let ask = |argv: &Argv| runner.run(argv, Output::Capture);
    let (state, (head, remote)) = parallel::join(
        || ask(&status),
        || parallel::join(|| ask(&head), || remote.map(|remote| ask(&remote)).transpose()),
    );
    let state = state?;
    if !state.success() {
        return Err(state.fault(&status).help(HELP).into());
    }
    let (head, remote) = (text(&head?), remote?.as_ref().and_then(text));
    let status = text(&state).unwrap_or_default();
    let git = Git::parse(&status, head.as_deref(), remote.as_deref(), environment);
    git.ok_or_else(|| {
        UserError::failed(format!("{} is a git checkout without a commit", folder.display()))
            .help(HELP)
            .into()
    })
}

const HELP: &str = "images carry the commit that they were built from; where there is none yet: `git init && git add . && git commit`";

/// What is asked. Each is a process of a few milliseconds; there is no one question that tells all of it.
struct Questions {
    /// Commit, branch and changes.
    status: Argv,
    /// The default branch of the remote, which it may not have told.
    head: Argv,
    /// The address of the remote, which there may not be.
    remote: Argv,
}

impl Questions {
    fn about(folder: &Path) -> Result<Self> {
        let shell = Shell::new()?;
        shell.change_dir(folder);
        let purpose = format!("ask git whether {} has changes", folder.display());
        let ask = |command: Cmd<'_>| Argv::of(&purpose, command).limit(120);
        Ok(Self {
            // Whatever git's configuration says of untracked files: they can be part of a context.
            status: ask(cmd!(
                shell,
                "git status --porcelain=v2 --branch --no-ahead-behind --untracked-files=normal"
            )),
            head: ask(cmd!(shell, "git symbolic-ref --quiet --short refs/remotes/origin/HEAD")),
            remote: ask(cmd!(shell, "git remote get-url origin")),
        })
    }
}

/// What was answered, if anything.
fn text(answer: &Finished) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    (answer.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Signals;
    use std::fs;

    #[test]
    fn a_real_checkout() {
        let folder = std::env::temp_dir().join(format!("xtask-checkout-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).unwrap();
        let runner = Runner::new(Signals::default());
        let git = |args: &str| {
            let shell = Shell::new().unwrap();
            shell.change_dir(&folder);
            let args = args.split(' ');
            let command = cmd!(shell, "git -c user.name=test -c user.email=test@example.com {args...}");
            runner.check(&Argv::of("prepare", command).limit(60), Output::Capture).unwrap();
        };
        let read = || read(&folder.join("below"), &Environment::default(), &runner);
        let error = format!("{:#}", read().unwrap_err());
        assert!(error.starts_with("ask git whether "), "{error}");
        git("init --quiet --initial-branch work");
        assert!(format!("{:#}", read().unwrap_err()).contains("without a commit"));
        git("-c commit.gpgsign=false commit --quiet --allow-empty --message start");
        git("remote add origin https://user:token@example.com/a/b.git");
        let clean = read().unwrap();
        assert_eq!((clean.branch.as_deref(), clean.default_branch.as_str()), (Some("work"), "main"));
        assert_eq!((clean.source.as_deref(), clean.dirty), (Some("https://example.com/a/b"), false));
        assert_eq!(clean.commit.len(), 40);
        git("config status.showUntrackedFiles no");
        fs::write(folder.join("new"), "").unwrap();
        git("update-ref refs/remotes/origin/work HEAD");
        git("symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/work");
        let dirty = read().unwrap();
        assert!(dirty.dirty && dirty.on_default_branch && dirty.default_branch == "work", "{dirty:?}");
        git("checkout --quiet --detach");
        assert_eq!(read().unwrap().branch, None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
