//! `git ls-remote`.

use std::path::Path;

use crate::argv::{Argv, Program};

/// Asks a repository for some of its refs. `root` is the folder to which a path of a local repository is relative.
///
/// git never asks a person for a password here: without credentials it fails.
/// Source: <https://git-scm.com/docs/git-ls-remote>.
pub fn ls_remote(repository: &str, patterns: &[String], root: &Path) -> Argv {
    Argv::new(format!("read the refs of {repository}"), &Program::new("git"))
        .env("GIT_TERMINAL_PROMPT", "0")
        // A desktop sets it, and git would open a window.
        .env("SSH_ASKPASS", "")
        .args(["ls-remote", "--", repository])
        .args(patterns)
        .folder(root)
        .limit(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_follows_is_an_option() {
        let argv = ls_remote("https://example.com/a.git", &["refs/tags/*".to_owned()], Path::new("/r"));
        assert_eq!(
            argv.to_string(),
            "cd /r && GIT_TERMINAL_PROMPT=0 SSH_ASKPASS='' git ls-remote -- https://example.com/a.git 'refs/tags/*'"
        );
    }
}
