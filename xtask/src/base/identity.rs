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
/// one open, or where it is no workflow of GitHub.
pub fn repository_of(expression: &str) -> Option<String> {
    if !is_of_github(expression) {
        return None;
    }
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

/// Whether an identity may be that of a workflow of GitHub, and does not say of which repository.
pub fn is_open(expression: &str) -> bool {
    is_of_github(expression) && repository_of(expression).is_none()
}

/// Whether it can be that of a workflow of GitHub, on whatever host.
fn is_of_github(expression: &str) -> bool {
    expression.contains("github") || expression.contains("workflows")
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
            (r"^https://gitlab\.example/acme/images//\.gitlab-ci\.yml@refs/heads/main$", None),
            (r"^https://github\.com/acme/images/.+$", Some("acme/images")),
            (r"^https://github\.com/acme/images/?\.github/workflows/x$", None),
            (r"^https://github\.com/acme/images.*$", None),
            (r"^https://github\.com/acme/\w/x$", None),
        ];
        for (expression, expected) in table {
            assert_eq!(repository_of(expression).as_deref(), expected, "{expression}");
        }
        assert!(is_open(r"^https://github\.com/acme/.+$"));
        assert!(!is_open(r"^https://gitlab\.example/acme/images//\.gitlab-ci\.yml@refs/heads/main$"));
        assert_eq!(owner_and_name("https://github.com/acme/images/more"), None);
    }
}
