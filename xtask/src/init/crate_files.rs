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

/// A workspace for the crate alone.
const WORKSPACE: &str = "\
[workspace]
members = [\"xtask\"]
resolver = \"3\"

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

/// `Cargo.toml` with `xtask` among the members of its workspace. None: it cannot be told where to write it.
pub(crate) fn workspace(before: Option<&str>) -> Option<String> {
    let Some(text) = before else { return Some(WORKSPACE.to_owned()) };
    let CargoToml { workspace } = toml::from_str(text).ok()?;
    let added = "members = [\"xtask\"]\n";
    match workspace {
        // A package alone becomes the root of a workspace.
        None => Some(format!("{}\n\n[workspace]\n{added}", text.trim_end())),
        Some(Workspace { members: None }) => insert_after_line(text, "[workspace]", added),
        Some(Workspace { members: Some(members) }) => {
            let is_member = |member: &String| member == "xtask" || member == "*";
            if members.get_ref().iter().any(is_member) {
                return Some(text.to_owned());
            }
            let Range { start, end } = members.span();
            let list = text.get(start..end)?;
            let inner = list.strip_prefix('[')?.strip_suffix(']')?;
            // In the form that is there: one member a line, or all in one.
            let inner = match inner.trim_end().rsplit_once('\n') {
                Some((_, last)) => {
                    let indent: String = last.chars().take_while(|c| c.is_whitespace()).collect();
                    let comma = if inner.trim_end().ends_with(',') { "" } else { "," };
                    format!("{}{comma}\n{indent}\"xtask\",\n", inner.trim_end())
                }
                None if inner.trim().is_empty() => "\"xtask\"".to_owned(),
                None => format!("{}, \"xtask\"", inner.trim_end().trim_end_matches(',')),
            };
            Some(format!("{}[{inner}]{}", text.get(..start)?, text.get(end..)?))
        }
    }
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
            (None, Some(WORKSPACE)),
            (
                Some("[package]\nname = \"app\"\n"),
                Some("[package]\nname = \"app\"\n\n[workspace]\nmembers = [\"xtask\"]\n"),
            ),
            (
                Some("[workspace]\nmembers = [\"a\"]\nresolver = \"2\"\n"),
                Some("[workspace]\nmembers = [\"a\", \"xtask\"]\nresolver = \"2\"\n"),
            ),
            (
                Some("[workspace]\nmembers = [\n    \"a\",\n    \"b\"\n]\n"),
                Some("[workspace]\nmembers = [\n    \"a\",\n    \"b\",\n    \"xtask\",\n]\n"),
            ),
            (Some("[workspace]\nmembers = []\n"), Some("[workspace]\nmembers = [\"xtask\"]\n")),
            (
                Some("[workspace]\nresolver = \"3\"\n"),
                Some("[workspace]\nmembers = [\"xtask\"]\nresolver = \"3\"\n"),
            ),
            (Some("[workspace]\nmembers = [\"xtask\"]\n"), Some("[workspace]\nmembers = [\"xtask\"]\n")),
            (Some("[workspace"), None),
        ];
        for (before, after) in table {
            let found = workspace(before);
            assert_eq!(found.as_deref(), after, "{before:?}");
            if let Some(text) = found {
                toml::from_str::<toml::Table>(&text).unwrap();
            }
        }
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
