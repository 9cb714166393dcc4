//! The few lines of Cargo by which a repository depends on this crate.

use std::ops::Range;

use toml::Spanned;

use serde::Deserialize;

/// Where the crate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrateSource {
    /// A git repository and one of its tags.
    Git {
        /// Its address.
        url: String,
        /// The tag.
        tag: String,
    },
    /// A folder of this machine, for trying a change of the crate.
    Path(String),
}

/// `xtask/Cargo.toml`.
pub(crate) fn manifest(source: &CrateSource) -> String {
    let quoted = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
    let place = match source {
        CrateSource::Git { url, tag } => format!("git = {}, tag = {}", quoted(url), quoted(tag)),
        CrateSource::Path(path) => format!("path = {}", quoted(path)),
    };
    format!(
        "\
[package]
name = \"xtask\"
version = \"0.0.0\"
edition = \"2024\"
publish = false

# After a change of the version: cargo xtask update
[dependencies]
{} = {{ {place}, default-features = false }}
",
        env!("CARGO_PKG_NAME")
    )
}

/// `xtask/src/main.rs`: our own.
pub(crate) const MAIN: &str = include_str!("../main.rs");

/// The alias.
const ALIAS: &str = "xtask = \"run --quiet --package xtask --\"\n";

/// A workspace for the crate alone, `{exclude}` being what must not become a part of it.
const WORKSPACE: &str = "\
[workspace]
members = [\"xtask\"]
{exclude}resolver = \"3\"

# The tool spends its time in other programs: what counts is how fast it compiles.
[profile.dev]
debug = \"line-tables-only\"

[profile.dev.package.sha2]
opt-level = 3
";

/// The part of a `Cargo.toml` that says what belongs to the workspace.
#[derive(Debug, Deserialize)]
struct CargoToml {
    workspace: Option<Workspace>,
}

#[derive(Debug, Deserialize)]
struct Workspace {
    members: Option<Spanned<Vec<String>>>,
}

/// `Cargo.toml` with `xtask` among the members of its workspace. `packages`: the folders of other packages, which a new
/// workspace leaves alone. None: it cannot be told where to write it.
pub(crate) fn workspace(before: Option<&str>, packages: &[String]) -> Option<String> {
    let Some(text) = before else {
        let list = serde_json::Value::from(packages.to_vec()).to_string().replace("\",\"", "\", \"");
        let exclude = if packages.is_empty() { String::new() } else { format!("exclude = {list}\n") };
        return Some(WORKSPACE.replace("{exclude}", &exclude));
    };
    let CargoToml { workspace } = toml::from_str(text).ok()?;
    let added = "members = [\"xtask\"]\n";
    let (old, after) = match workspace {
        // A package alone becomes the root of a workspace.
        None => (Vec::new(), format!("{}\n\n[workspace]\n{added}", text.trim_end())),
        Some(Workspace { members: None }) => (Vec::new(), insert_after_line(text, "[workspace]", added)?),
        Some(Workspace { members: Some(members) }) => {
            let Range { start, .. } = members.span();
            let old = members.into_inner();
            if old.iter().any(|member| member == "xtask" || member == "*") {
                return Some(text.to_owned());
            }
            // At the front, where neither a comment nor a comma can be in the way.
            let (head, rest) = text.split_at_checked(start + 1)?;
            let list = match rest.chars().next()? {
                '\n' | '\r' => {
                    let line = rest.trim_start_matches(['\r', '\n']);
                    let indent: String = line.chars().take_while(|c| [' ', '\t'].contains(c)).collect();
                    format!("\n{indent}\"xtask\",")
                }
                _ if old.is_empty() => "\"xtask\"".to_owned(),
                _ => "\"xtask\", ".to_owned(),
            };
            (old, format!("{head}{list}{rest}"))
        }
    };
    // What was written is read again, so that no strange form is spoilt.
    let CargoToml { workspace } = toml::from_str(&after).ok()?;
    let mut members = workspace?.members?.into_inner();
    members.retain(|member| member != "xtask");
    (members == old).then_some(after)
}

/// `.cargo/config.toml` with the alias. None: there is one of that name which does something else.
pub(crate) fn cargo_config(before: Option<&str>) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        alias: Option<toml::Table>,
    }
    let Some(text) = before else { return Some(format!("[alias]\n{ALIAS}")) };
    let Config { alias } = toml::from_str(text).ok()?;
    match alias {
        None => Some(format!("{}\n\n[alias]\n{ALIAS}", text.trim_end())),
        Some(alias) => match alias.get("xtask") {
            None => insert_after_line(text, "[alias]", ALIAS),
            Some(value) => {
                let words = value.as_str().map(str::to_owned).or_else(|| {
                    let words = value.as_array()?.iter().map(|word| word.as_str().unwrap_or_default());
                    Some(words.collect::<Vec<_>>().join(" "))
                });
                words.is_some_and(|words| words.contains("xtask")).then(|| text.to_owned())
            }
        },
    }
}

/// A text with more lines after the one that is `line`.
fn insert_after_line(text: &str, line: &str, added: &str) -> Option<String> {
    let mut whole = String::new();
    let mut done = false;
    for old in text.split_inclusive('\n') {
        whole += old;
        if !done && old.trim() == line {
            if !old.ends_with('\n') {
                whole.push('\n');
            }
            whole += added;
            done = true;
        }
    }
    done.then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_gets_a_member() {
        let table = [
            (
                Some("[package]\nname = \"app\"\n"),
                Some("[package]\nname = \"app\"\n\n[workspace]\nmembers = [\"xtask\"]\n"),
            ),
            (
                Some("[workspace]\nmembers = [\"a\"]\nresolver = \"2\"\n"),
                Some("[workspace]\nmembers = [\"xtask\", \"a\"]\nresolver = \"2\"\n"),
            ),
            (
                Some("[workspace]\nmembers = [\n    \"a\",\n    \"b\" # last\n]\n"),
                Some("[workspace]\nmembers = [\n    \"xtask\",\n    \"a\",\n    \"b\" # last\n]\n"),
            ),
            (
                Some("[workspace]\nmembers = [\"a\" # x\n]\n"),
                Some("[workspace]\nmembers = [\"xtask\", \"a\" # x\n]\n"),
            ),
            (Some("workspace.members = [\"a\"]\n"), Some("workspace.members = [\"xtask\", \"a\"]\n")),
            (Some("[workspace]\nmembers = []\n"), Some("[workspace]\nmembers = [\"xtask\"]\n")),
            (
                Some("[workspace]\nresolver = \"3\"\n"),
                Some("[workspace]\nmembers = [\"xtask\"]\nresolver = \"3\"\n"),
            ),
            (Some("[workspace]\nmembers = [\"xtask\"]\n"), Some("[workspace]\nmembers = [\"xtask\"]\n")),
            (Some("[workspace"), None),
        ];
        for (before, after) in table {
            let found = workspace(before, &[]);
            assert_eq!(found.as_deref(), after, "{before:?}");
            if let Some(text) = found {
                toml::from_str::<toml::Table>(&text).unwrap();
            }
        }
    }

    #[test]
    fn a_new_workspace_leaves_other_packages_alone() {
        let text = workspace(None, &["server".to_owned(), "a/b".to_owned()]).unwrap();
        assert!(text.contains("members = [\"xtask\"]\nexclude = [\"server\", \"a/b\"]\nresolver"), "{text}");
        assert!(workspace(None, &[]).unwrap().contains("members = [\"xtask\"]\nresolver"));
    }

    #[test]
    fn an_alias_is_added_once() {
        let alias = "[alias]\nxtask = \"run --quiet --package xtask --\"\n";
        let table = [
            (None, Some(alias.to_owned())),
            (Some("[net]\nretry = 3\n"), Some(format!("[net]\nretry = 3\n\n{alias}"))),
            (Some("[alias]\nb = \"build\"\n"), Some(format!("{alias}b = \"build\"\n"))),
            (Some(alias), Some(alias.to_owned())),
            (
                Some("[alias]\nxtask = [\"run\", \"-p\", \"xtask\"]\n"),
                Some("[alias]\nxtask = [\"run\", \"-p\", \"xtask\"]\n".to_owned()),
            ),
            (Some("[alias]\nxtask = \"run --manifest-path tools/Cargo.toml --\"\n"), None),
            (Some("alias = 3"), None),
        ];
        for (before, after) in table {
            assert_eq!(cargo_config(before), after, "{before:?}");
        }
    }

    #[test]
    fn the_manifest_is_toml() {
        let git = CrateSource::Git { url: "https://example.com/a b\"c".to_owned(), tag: "v1.2.3".to_owned() };
        for source in [git, CrateSource::Path("../images/xtask".to_owned())] {
            let table: toml::Table = toml::from_str(&manifest(&source)).unwrap();
            let ours = &table["dependencies"]["xtask-images"];
            assert_eq!(ours["default-features"].as_bool(), Some(false), "{ours:?}");
        }
    }
}
