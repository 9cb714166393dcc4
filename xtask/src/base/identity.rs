//! What a keyless signature says about a workflow of GitHub, and what to ask of it.
//!
//! Fulcio's certificate names the workflow that *defines* the job (`job_workflow_ref`). Anybody may call a reusable
//! workflow of a public repository, and such a job runs the caller's checkout: the repository whose workflow runs is in an
//! extension of its own. Source: <https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>.

use crate::base::git_refs::{RefPattern, escape};

/// The identity that GitHub's OIDC token gives a workflow of a repository, as an anchored regular expression.
///
/// `address`: as a browser would open it. `workflow`: a file of `.github/workflows`; any of them if not given.
/// Source: <https://docs.github.com/en/actions/concepts/security/openid-connect>, claim `job_workflow_ref`.
pub fn of_workflow(address: &str, workflow: Option<&str>, refs: &[RefPattern]) -> String {
    let workflow = workflow.map_or_else(|| "[^/@]+".to_owned(), escape);
    let refs: Vec<String> = refs.iter().map(RefPattern::expression).collect();
    let refs = match refs.as_slice() {
        [one] => one.clone(),
        several => format!("({})", several.join("|")),
    };
    format!("^{}/\\.github/workflows/{workflow}@{refs}$", escape(address))
}

/// `owner/name` of an address.
pub fn owner_and_name(address: &str) -> Option<String> {
    let (_, rest) = address.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (owner, name) = (parts.next()?, parts.next()?);
    parts.next().is_none().then(|| format!("{owner}/{name}"))
}

/// The repository that an identity, as a regular expression, names without a choice: `owner/name`. None where it leaves
/// one open.
pub fn repository_of(expression: &str) -> Option<String> {
    let literal = literal(expression.strip_prefix('^')?);
    let mut parts = literal.split_once("://")?.1.split('/');
    let (host, owner, name) = (parts.next()?, parts.next()?, parts.next()?);
    // Only a slash says that the name is complete. An unescaped dot is often meant as one, and it is asked for exactly.
    parts.next()?;
    let complete = [host, owner, name].iter().all(|part| !part.is_empty());
    complete.then(|| format!("{owner}/{name}"))
}

/// What a regular expression (RE2) begins with whatever follows. A dot counts as a dot.
fn literal(expression: &str) -> String {
    let mut literal = String::new();
    let mut chars = expression.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next().filter(|c| !c.is_ascii_alphanumeric()) {
                Some(escaped) => literal.push(escaped),
                None => break,
            },
            // The character before need not be there.
            '?' | '*' | '{' => {
                literal.pop();
                break;
            }
            '+' | '(' | ')' | '|' | '[' | ']' | '}' | '^' | '$' => break,
            c => literal.push(c),
        }
    }
    literal
}

/// The OIDC issuer of GitHub's own workflows.
pub const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// Whether signatures of an issuer with this identity can be those of workflows of GitHub, on whatever host: then anybody
/// may call one that is reusable, and the repository that runs it has to be asked for.
pub fn is_of_github(expression: &str, issuer: Option<&str>) -> bool {
    // A server of one's own: <https://docs.github.com/enterprise-server/actions/reference/security/oidc>.
    let by_issuer = issuer.is_none_or(|issuer| issuer == GITHUB || issuer.ends_with("/_services/token"));
    let plain = expression.replace('\\', "");
    by_issuer || plain.contains("/.github/workflows/") || plain.starts_with("^https://github.com/")
}

/// The repository to ask for beside an identity: the one that is given, else the one that the identity names. None where
/// there is no such thing.
///
/// # Errors
/// If the identity can be that of a workflow of any repository.
pub fn caller(
    expression: &str,
    issuer: Option<&str>,
    given: Option<String>,
) -> Result<Option<String>, String> {
    if given.is_some() || !is_of_github(expression, issuer) {
        return Ok(given);
    }
    let open = || "names a workflow that any repository may call".to_owned();
    repository_of(expression).map(Some).ok_or_else(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_exact() {
        let refs =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<RefPattern>>();
        assert_eq!(
            of_workflow("https://github.com/acme/images", Some("cell.yml"), &refs(&["refs/heads/main"])),
            r"^https://github\.com/acme/images/\.github/workflows/cell\.yml@refs/heads/main$"
        );
        assert_eq!(
            of_workflow("https://github.com/acme/images", None, &refs(&["refs/heads/main", "refs/tags/**"])),
            r"^https://github\.com/acme/images/\.github/workflows/[^/@]+@(refs/heads/main|refs/tags/.+)$"
        );
    }

    #[test]
    fn repositories_of_identities() {
        let table = [
            (
                r"^https://github\.com/acme/images/\.github/workflows/cell\.yml@refs/heads/main$",
                Some("acme/images"),
            ),
            (r"^https://github.com/acme/images/\.github/workflows/.+$", Some("acme/images")),
            (r"^https://github\.com/acme/.+$", None),
            (r"^https://github\.com/acme/[^/]+/\.github/workflows/x$", None),
            (r"^https://github\.com/(acme|eve)/images/\.github/workflows/x$", None),
            (r"^https://github\.com/acme/images/.+$", Some("acme/images")),
            (r"^https://github\.com/acme/images/?\.github/workflows/x$", None),
            (r"^https://github\.com/acme/images.*$", None),
            (r"^https://github\.com/acme/\w/x$", None),
        ];
        for (expression, expected) in table {
            assert_eq!(repository_of(expression).as_deref(), expected, "{expression}");
        }
        let asked = |expression: &str, issuer: Option<&str>| caller(expression, issuer, None);
        let gitlab = r"^https://gitlab\.example/acme/github-mirror//\.gitlab-ci\.yml@refs/heads/main$";
        assert_eq!(asked(gitlab, Some("https://gitlab.example")), Ok(None));
        assert_eq!(
            asked(r"^https://github\.com/acme/images/.+$", Some("http://127.0.0.1:1")),
            Ok(Some("acme/images".into()))
        );
        for open in [r"^.+@refs/heads/main$", "^.+$", r"^https://github\.com/acme/.+$"] {
            assert!(asked(open, None).is_err() && asked(open, Some(GITHUB)).is_err(), "{open}");
            assert!(asked(open, Some("https://git.example/_services/token")).is_err(), "{open}");
            assert_eq!(caller(open, None, Some("acme/images".into())), Ok(Some("acme/images".into())));
        }
        assert_eq!(owner_and_name("https://github.com/acme/images/more"), None);
    }
}
