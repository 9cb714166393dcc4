//! What is asked of git about this checkout: once per command, all questions side by side.

use anyhow::Result;
use std::path::Path;
use xshell::{Cmd, Shell, cmd};

use crate::argv::Argv;
use crate::base::context::Environment;
use crate::base::error::UserError;
use crate::base::parallel;
use crate::plan::git::{Git, github_address};
use crate::plan::history;
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

/// How new the code of a commit is, in seconds since 1970: see [`history::code_date`]. None: the history is cut off
/// (`git clone --depth`), so nobody can tell.
///
/// # Errors
/// If git does not answer.
pub fn code_date(folder: &Path, commit: &str, runner: &Runner) -> Result<Option<u64>> {
    let shell = Shell::new()?;
    shell.change_dir(folder);
    let purpose = format!("read the history of {}", folder.display());
    let shallow = Argv::of(&purpose, cmd!(shell, "git rev-parse --is-shallow-repository")).limit(60);
    if text(&runner.run(&shallow, Output::Capture)?).as_deref() == Some("true") {
        return Ok(None);
    }
    let format = "--format=%ct %h %p";
    let list = cmd!(
        shell,
        "git -c log.showSignature=false log --topo-order --reverse --abbrev=12 {format} {commit}"
    );
    let listed = runner.check(&Argv::of(&purpose, list).limit(300), Output::Capture)?;
    let date = history::code_date(&String::from_utf8_lossy(&listed.stdout), commit);
    // What is printed is kept up to a limit, which some 350,000 commits reach.
    date.map(Some).ok_or_else(|| UserError::failed(format!("{purpose}: it is too long to read")).into())
}

/// Whether a commit is part of a branch's history, as the remote has it, else as it is here. None: the branch is not here.
///
/// # Errors
/// If git does not answer.
pub fn is_part_of(folder: &Path, commit: &str, branch: &str, runner: &Runner) -> Result<Option<bool>> {
    let shell = Shell::new()?;
    shell.change_dir(folder);
    let purpose = format!("ask git whether {commit} is part of {branch}");
    for name in [format!("refs/remotes/origin/{branch}"), format!("refs/heads/{branch}")] {
        let exists = cmd!(shell, "git rev-parse --verify --quiet --end-of-options {name}");
        if !runner.run(&Argv::of(&purpose, exists).limit(60), Output::Capture)?.success() {
            continue;
        }
        let asked = cmd!(shell, "git merge-base --is-ancestor {commit} {name}");
        let argv = Argv::of(&purpose, asked).limit(300);
        let answer = runner.run(&argv, Output::Capture)?;
        // 1 is a no, everything else an error. Source: git-merge-base(1).
        return match answer.code {
            Some(0) => Ok(Some(true)),
            Some(1) => Ok(Some(false)),
            _ => Err(answer.fault(&argv).into()),
        };
    }
    Ok(None)
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
    fn a_real_history() {
        let folder = std::env::temp_dir().join(format!("xtask-history-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let runner = Runner::new(Signals::default());
        let git = |folder: &Path, date: u64, args: &str| {
            let shell = Shell::new().unwrap();
            shell.change_dir(folder);
            shell.set_var("GIT_COMMITTER_DATE", format!("@{date} +0000"));
            let args = args.split(' ');
            let command = cmd!(shell, "git -c user.name=test -c user.email=test@example.com {args...}");
            let done = runner.check(&Argv::of("prepare", command).limit(60), Output::Capture).unwrap();
            String::from_utf8(done.stdout).unwrap().trim().to_owned()
        };
        let commit = |date: u64| {
            git(&folder, date, "-c commit.gpgsign=false commit --quiet --allow-empty --message x");
            git(&folder, date, "rev-parse HEAD")
        };
        git(&folder, 0, "init --quiet --initial-branch main");
        let (first, ahead, behind) = (commit(1_000), commit(9_000), commit(2_000));
        let date = |commit: &str| code_date(&folder, commit, &runner).unwrap();
        assert_eq!((date(&first), date(&ahead), date(&behind)), (Some(1_000), Some(9_000), Some(9_001)));
        let part = |commit: &str, branch: &str| is_part_of(&folder, commit, branch, &runner).unwrap();
        git(&folder, 0, "checkout --quiet -b topic");
        let topic = commit(3_000);
        assert_eq!((part(&first, "main"), part(&topic, "main")), (Some(true), Some(false)));
        assert_eq!((part(&topic, "topic"), part(&topic, "no-such-branch")), (Some(true), None));
        let shallow = folder.join("shallow");
        let source = format!("file://{}", folder.display());
        git(&folder, 0, &format!("clone --quiet --depth 1 {source} {}", shallow.display()));
        assert_eq!(code_date(&shallow, &topic, &runner).unwrap(), None, "its history is cut off");
        fs::remove_dir_all(&folder).unwrap();
    }

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
