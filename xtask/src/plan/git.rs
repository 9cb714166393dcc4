//! The state of this repository, out of what git answers. `session/checkout.rs` asks.

use crate::base::context::Environment;

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
    /// The code date of the commit, in seconds since 1970, once it was asked for: see [`crate::plan::history`].
    pub code_date: Option<u64>,
    /// Whether the commit is part of the default branch's history, once that was asked for.
    pub reviewed: Option<bool>,
}

impl Git {
    /// Reads git's answers, each without the final newline: `status` in the form of `--porcelain=v2 --branch`, `head` as
    /// the short name that `refs/remotes/origin/HEAD` stands for, `remote` as the address of `origin`. `None`: there is no
    /// commit. Source: <https://git-scm.com/docs/git-status>.
    pub fn parse(
        status: &str,
        head: Option<&str>,
        remote: Option<&str>,
        environment: &Environment,
    ) -> Option<Self> {
        let header = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.strip_prefix("# ")?.strip_prefix(name));
            lines.next().map(str::trim)
        };
        let commit = header("branch.oid ").filter(|commit| *commit != "(initial)")?.to_owned();
        let branch = header("branch.head ").filter(|branch| *branch != "(detached)").map(str::to_owned);
        let dirty = status.lines().any(|line| !line.is_empty() && !line.starts_with("# "));
        let default = head.map(|head| head.trim_start_matches("origin/").to_owned());
        let usual = branch.clone().filter(|branch| branch == "main" || branch == "master");
        let default_branch = default.or(usual).unwrap_or_else(|| "main".to_owned());
        let on_default_branch = branch.as_ref() == Some(&default_branch);
        let source = github_address(environment).or_else(|| remote.and_then(browser_address));
        Some(Self {
            commit,
            dirty,
            branch,
            on_default_branch,
            default_branch,
            source,
            code_date: None,
            reviewed: None,
        })
    }

    /// The commit, marked when the tree differs from it.
    pub fn revision(&self) -> String {
        if self.dirty { format!("{}-dirty", self.commit) } else { self.commit.clone() }
    }
}

/// The address of the repository, where a job of GitHub Actions tells it.
pub(crate) fn github_address(environment: &Environment) -> Option<String> {
    Some(format!("{}/{}", environment.get("GITHUB_SERVER_URL")?, environment.get("GITHUB_REPOSITORY")?))
}

/// `git@host:a/b.git`, `ssh://git@host/a/b` and `https://user:token@host/a/b.git` all become `https://host/a/b`.
/// A path on this machine is nothing to publish.
pub(crate) fn browser_address(remote: &str) -> Option<String> {
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

    fn parse(status: &str, head: Option<&str>) -> Option<Git> {
        let environment = Environment::default();
        Git::parse(status, head, Some("git@github.com:acme/images.git"), &environment)
    }

    #[test]
    fn a_clean_checkout_of_the_default_branch() {
        let status =
            "# branch.oid 0123abc\n# branch.head trunk\n# branch.upstream origin/trunk\n# branch.ab +0 -0";
        let git = parse(status, Some("origin/trunk")).unwrap();
        assert_eq!((git.revision().as_str(), git.branch.as_deref()), ("0123abc", Some("trunk")));
        assert!(git.on_default_branch && git.default_branch == "trunk");
        assert_eq!(git.source.as_deref(), Some("https://github.com/acme/images"));
    }

    #[test]
    fn what_is_changed_or_new_makes_it_dirty() {
        let head = "# branch.oid 0123abc\n# branch.head main\n";
        for line in [
            "1 .M N... 100644 100644 100644 1 1 f",
            "? new",
            "u UU N... 1 1 1 1 1 1 1 f",
            "2 R. N... 1 1 1 1 1 R1 a\tb",
        ] {
            let git = parse(&format!("{head}{line}"), None).unwrap();
            assert_eq!(git.revision(), "0123abc-dirty", "{line}");
            assert!(git.on_default_branch, "main counts as the default where the remote does not tell");
        }
        assert!(!parse(head, None).unwrap().dirty);
    }

    #[test]
    fn a_detached_head_is_on_no_branch() {
        let git = parse("# branch.oid 0123abc\n# branch.head (detached)", None).unwrap();
        assert_eq!((git.branch, git.on_default_branch, git.default_branch.as_str()), (None, false, "main"));
        assert_eq!(parse("# branch.oid (initial)\n# branch.head main\n? new", None), None, "no commit");
        assert_eq!(parse("", None), None);
    }

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
