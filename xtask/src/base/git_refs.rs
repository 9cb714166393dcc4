//! Branches and tags of this repository by their full names, and patterns of them.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::base::error::UserError;

/// How many stars a pattern may have: each multiplies the ways in which a name can be divided.
const MOST_STARS: usize = 4;

/// A pattern of full ref names: `refs/heads/main`, `refs/tags/v*`. `*` stands for any text without a slash, `**` for any
/// text, as in the filters of GitHub's workflows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(extend("pattern" = "^refs/(heads|tags)/.+$")))]
#[serde(try_from = "String", into = "String")]
pub struct RefPattern(String);

impl RefPattern {
    /// Every tag.
    pub fn any_tag() -> Self {
        Self("refs/tags/**".to_owned())
    }

    /// One branch and no other.
    ///
    /// # Errors
    /// If it is no name of a branch.
    pub fn branch(name: &str) -> Result<Self> {
        format!("refs/heads/{name}").parse()
    }

    /// Whether a full ref name is meant.
    pub fn matches(&self, name: &str) -> bool {
        fits(&self.pieces(), name)
    }

    /// The same as a regular expression (RE2), without anchors.
    pub fn expression(&self) -> String {
        let piece = |piece: &Piece<'_>| match piece {
            Piece::Text(text) => escape(text),
            Piece::Segment => "[^/]+".to_owned(),
            Piece::Any => ".+".to_owned(),
        };
        self.pieces().iter().map(piece).collect()
    }

    fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let mut rest = self.0.as_str();
        while let Some((text, after)) = rest.split_once('*') {
            pieces.extend((!text.is_empty()).then_some(Piece::Text(text)));
            let deep = after.strip_prefix('*');
            pieces.push(if deep.is_some() { Piece::Any } else { Piece::Segment });
            rest = deep.unwrap_or(after);
        }
        pieces.extend((!rest.is_empty()).then_some(Piece::Text(rest)));
        pieces
    }
}

/// A part of a pattern. What a star stands for is never empty: no ref has an empty part.
enum Piece<'a> {
    Text(&'a str),
    /// `*`
    Segment,
    /// `**`
    Any,
}

fn fits(pieces: &[Piece<'_>], name: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return name.is_empty() };
    let longest = match first {
        Piece::Text(text) => return name.strip_prefix(text).is_some_and(|name| fits(rest, name)),
        Piece::Segment => name.find('/').unwrap_or(name.len()),
        Piece::Any => name.len(),
    };
    let ends = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= longest);
    ends.into_iter().any(|end| name.get(end..).is_some_and(|name| fits(rest, name)))
}

impl FromStr for RefPattern {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        // What git forbids in a ref (git-check-ref-format), but for the star.
        let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?[\\@{".contains(c);
        let name = text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/"));
        match name {
            Some(name)
                if !name.is_empty()
                    && !name.contains(forbidden)
                    && name.matches('*').count() <= MOST_STARS =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(UserError::invalid(format!(
                "`{text}` is no branch or tag by its full name, as refs/heads/main or refs/tags/v*"
            ))
            .into()),
        }
    }
}

impl TryFrom<String> for RefPattern {
    type Error = anyhow::Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<RefPattern> for String {
    fn from(pattern: RefPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for RefPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Escapes a text for a regular expression (Go's RE2 syntax).
pub fn escape(text: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_say() {
        let table = [
            ("refs/heads/main", "refs/heads/main", true),
            ("refs/heads/main", "refs/heads/main2", false),
            ("refs/heads/main", "refs/tags/main", false),
            ("refs/tags/v*", "refs/tags/v1.2.3", true),
            ("refs/tags/v*", "refs/tags/v", false),
            ("refs/tags/v*", "refs/tags/v1/x", false),
            ("refs/tags/**", "refs/tags/v1/x", true),
            ("refs/heads/release/*", "refs/heads/release/8.5", true),
            ("refs/heads/*/ok", "refs/heads/a/b/ok", false),
            ("refs/heads/**/ok", "refs/heads/a/b/ok", true),
            ("refs/heads/a*c*e", "refs/heads/abcde", true),
        ];
        for (pattern, name, expected) in table {
            let found = pattern.parse::<RefPattern>().unwrap().matches(name);
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn expressions_are_exact() {
        let expression = |text: &str| text.parse::<RefPattern>().unwrap().expression();
        assert_eq!(expression("refs/heads/x.y+z"), r"refs/heads/x\.y\+z");
        assert_eq!(expression("refs/tags/v*"), "refs/tags/v[^/]+");
        assert_eq!(expression("refs/tags/**"), "refs/tags/.+");
        assert_eq!(
            escape("https://github.com/a/b/.github/w.yml@refs/heads/x+y"),
            r"https://github\.com/a/b/\.github/w\.yml@refs/heads/x\+y"
        );
    }

    #[test]
    fn only_branches_and_tags() {
        for text in
            ["main", "refs/pull/7/merge", "refs/heads/", "refs/heads/a b", "refs/tags/a^", "refs/**", ""]
        {
            assert!(text.parse::<RefPattern>().is_err(), "{text}");
        }
    }
}
