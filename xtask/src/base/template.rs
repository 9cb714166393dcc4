//! Texts with placeholders: `{version}{suffix}-{date}`. `{{` and `}}` are literal braces.

use std::ops::Range;

use crate::base::ids::Name;
use crate::base::suggest;

/// Every placeholder that is no axis, see the table in `docs/reference.md`.
pub const PLACEHOLDERS: [&str; 19] = [
    "version",
    "major",
    "minor",
    "patch",
    "prerelease",
    "ref",
    "commit",
    "commit7",
    "revision",
    "revision7",
    "date",
    "created",
    "track",
    "composer",
    "suffix",
    "latest",
    "arch",
    "platform",
    "image",
];

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Placeholder(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Where, in bytes of the text.
    pub range: Range<usize>,
    /// What.
    pub message: String,
    /// The mend.
    pub help: Option<String>,
}

/// A placeholder has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub placeholder: String,
}

impl Template {
    /// Parses a text. `axes` are placeholders too.
    ///
    /// # Errors
    /// If a brace stands alone, or a placeholder is unknown.
    pub fn parse(text: &str, axes: &[Name]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            let offset = text.len() - from.len();
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let (name, after) = placeholder(from, offset, axes)?;
                parts.push(Part::Literal(std::mem::take(&mut literal)));
                parts.push(Part::Placeholder(name.to_owned()));
                rest = after;
            }
        }
        literal.push_str(rest);
        parts.push(Part::Literal(literal));
        parts.retain(|part| !matches!(part, Part::Literal(text) if text.is_empty()));
        Ok(Self { text: text.to_owned(), parts })
    }

    /// What is wrong with a text, up to ten places: [`Template::parse`] stops at the first.
    pub fn errors(text: &str, axes: &[Name]) -> Vec<TemplateError> {
        let mut errors = Vec::new();
        let mut rest = text.to_owned();
        // What is wrong is blanked out in place, so that the offsets of the rest stay.
        while let (Err(error), true) = (Self::parse(&rest, axes), errors.len() < 10) {
            let blank = " ".repeat(error.range.len());
            let (Some(before), Some(after)) = (rest.get(..error.range.start), rest.get(error.range.end..))
            else {
                break;
            };
            rest = format!("{before}{blank}{after}");
            errors.push(error);
        }
        errors
    }

    /// Puts values in the place of placeholders.
    ///
    /// # Errors
    /// If one has none.
    pub fn expand(&self, value: impl Fn(&str) -> Option<String>) -> Result<String, Missing> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Placeholder(name) => {
                    text.push_str(&value(name).ok_or_else(|| Missing { placeholder: name.clone() })?);
                }
            }
        }
        Ok(text)
    }

    /// The placeholders in it.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The text between them.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Placeholder(_) => None,
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The placeholder at the start of `from`, and what follows it.
fn placeholder<'t>(from: &'t str, offset: usize, axes: &[Name]) -> Result<(&'t str, &'t str), TemplateError> {
    let error = |length: usize, message: String, help: Option<String>| TemplateError {
        range: offset..offset + length,
        message,
        help,
    };
    let Some(body) = from.strip_prefix('{') else {
        return Err(error(
            1,
            "`}` without `{`".to_owned(),
            Some("a literal brace is written twice: }}".to_owned()),
        ));
    };
    let closed = body.split_once('}').filter(|(name, _)| !name.contains('{'));
    let Some((name, after)) = closed else {
        // Up to the next brace: what follows may well be a placeholder.
        let length = 1 + body.find('{').unwrap_or(body.len());
        return Err(error(
            length,
            "`{` without `}`".to_owned(),
            Some("a literal brace is written twice: {{".to_owned()),
        ));
    };
    let known: Vec<&str> = PLACEHOLDERS.into_iter().chain(axes.iter().map(Name::as_str)).collect();
    if known.contains(&name) {
        return Ok((name, after));
    }
    let list = || known.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(" ");
    let help = suggest::nearest(name, known.iter().copied()).map_or_else(
        || format!("the placeholders are {}", list()),
        |near| format!("did you mean `{{{near}}}`?"),
    );
    Err(error(name.len() + 2, format!("unknown placeholder `{{{name}}}`"), Some(help)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> String {
        Template::parse(text, &[])
            .unwrap()
            .expand(|name| (name != "patch").then(|| name.to_uppercase()))
            .unwrap()
    }

    #[test]
    fn expands() {
        assert_eq!(expand("{version}{suffix}-{date}"), "VERSIONSUFFIX-DATE");
        assert_eq!(expand("a{{b}}c"), "a{b}c");
        assert_eq!(expand("{{{version}}}"), "{VERSION}");
        assert_eq!(expand(""), "");
        let missing = Template::parse("x{patch}", &[]).unwrap().expand(|_| None).unwrap_err();
        assert_eq!(missing.placeholder, "patch");
    }

    #[test]
    fn errors_point_at_the_place() {
        let error = |text: &str| Template::parse(text, &[]).unwrap_err();
        assert_eq!(error("a-{vresion}").range, 2..11);
        assert_eq!(error("a-{vresion}").help.unwrap(), "did you mean `{version}`?");
        assert_eq!(error("ä{version").range, 2..10);
        assert_eq!(error("a}b").range, 1..2);
        assert!(error("{}").message.contains("unknown placeholder"));
        let axes = ["alpine".parse().unwrap()];
        assert_eq!(Template::parse("{alpin}", &axes).unwrap_err().help.unwrap(), "did you mean `{alpine}`?");
        assert!(Template::parse("{alpine}", &axes).is_ok() && Template::parse("{alpine}", &[]).is_err());
    }

    #[test]
    fn all_errors_of_a_text() {
        let found: Vec<_> =
            Template::errors("{vresion}-ä{sufix}}x{", &[]).into_iter().map(|error| error.range).collect();
        assert_eq!(found, [0..9, 12..19, 19..20, 21..22]);
        let open = Template::errors("{version-{date}", &[]);
        assert_eq!((open.len(), open[0].range.clone()), (1, 0..9));
        assert!(Template::errors("{version}", &[]).is_empty());
    }
}
