//! What the token of a job may do.

use std::collections::BTreeMap;

use serde_yaml_ng::Value as Yaml;

/// How much of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Access {
    #[default]
    None,
    Read,
    Write,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

/// `permissions` of the workflow syntax; the words are those of `workflow-v1.0.json` of actions/languageservices.
const SCOPES: [&str; 18] = [
    "actions",
    "artifact-metadata",
    "attestations",
    "checks",
    "code-quality",
    "contents",
    "copilot-requests",
    "deployments",
    "discussions",
    "id-token",
    "issues",
    "models",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "security-events",
    "statuses",
];

/// The access to each scope; what is not named is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions(pub BTreeMap<String, Access>);

impl Permissions {
    /// What a repository gives that has the restricted default of Settings > Actions.
    pub fn restricted() -> Self {
        Self([("contents".to_owned(), Access::Read), ("packages".to_owned(), Access::Read)].into())
    }

    fn all(access: Access) -> Self {
        Self(SCOPES.iter().map(|scope| ((*scope).to_owned(), access)).collect())
    }

    pub fn parse(yaml: &Yaml) -> Result<Self, String> {
        match yaml {
            Yaml::String(text) if text == "read-all" => Ok(Self::all(Access::Read)),
            Yaml::String(text) if text == "write-all" => Ok(Self::all(Access::Write)),
            Yaml::Mapping(entries) => {
                let entries = entries.iter().map(|(scope, level)| {
                    let (scope, level) =
                        (scope.as_str().unwrap_or_default(), level.as_str().unwrap_or_default());
                    let access = match (scope, level) {
                        (_, _) if !SCOPES.contains(&scope) => None,
                        (_, "none") => Some(Access::None),
                        ("id-token" | "copilot-requests", "read") | ("models", "write") => None,
                        (_, "read") => Some(Access::Read),
                        (_, "write") => Some(Access::Write),
                        _ => None,
                    };
                    let access = access
                        .ok_or_else(|| format!("Unexpected value '{scope}: {level}' in permissions"))?;
                    Ok((scope.to_owned(), access))
                });
                Ok(Self(entries.collect::<Result<_, String>>()?))
            }
            _ => Err(format!("Unexpected value '{yaml:?}' for permissions")),
        }
    }

    pub fn of(&self, scope: &str) -> Access {
        self.0.get(scope).copied().unwrap_or_default()
    }

    /// What is asked beyond a limit.
    pub fn beyond(&self, limit: &Self) -> Option<(&str, Access, Access)> {
        let more = self.0.iter().find(|(scope, access)| **access > limit.of(scope));
        more.map(|(scope, access)| (scope.as_str(), *access, limit.of(scope)))
    }

    /// What a pull request of a fork gets: nothing more than to read, and no identity.
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions>
    pub fn of_a_fork(&self) -> Self {
        let reduced = self.0.iter().filter(|(scope, _)| *scope != "id-token");
        Self(reduced.map(|(scope, access)| (scope.clone(), (*access).min(Access::Read))).collect())
    }
}
