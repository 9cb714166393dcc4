//! Errors in `matrix.toml`: where, the line itself, what, and the mend. All of them at once.

use std::ops::Range;

use crate::error::Fault;

/// The longest part of a line that is shown, in characters.
const WIDTH: usize = 120;

/// A file as read.
#[derive(Debug, Clone)]
pub struct Source {
    /// As shown in errors.
    pub name: String,
    /// The content.
    pub text: String,
}

impl Source {
    /// Line and column of a byte offset, both from 1; a column is a character.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.before(offset);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The text up to an offset, which may lie past the end or inside a character.
    fn before(&self, offset: usize) -> &str {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.get(..end).unwrap_or_default()
    }
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where, in bytes of the source.
    pub span: Range<usize>,
    /// What.
    pub message: String,
    /// The mends, a line each.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error without a mend yet.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: Vec::new() }
    }

    /// Adds a mend.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    fn render(&self, source: &Source) -> String {
        let (line, column) = source.position(self.span.start);
        let text = source.text.lines().nth(line - 1).unwrap_or_default();
        let length = source
            .text
            .get(self.span.clone())
            .map_or(1, |part| part.lines().next().unwrap_or_default().chars().count());
        let (shown, column_shown) = window(text, column);
        let carets = length.clamp(1, shown.chars().count().saturating_sub(column_shown - 1).max(1));
        let margin = " ".repeat(line.to_string().len());
        // A tab in front stays a tab, so that the caret stands below its character.
        let indent: String =
            shown.chars().take(column_shown - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let padding = " ".repeat((column_shown - 1).saturating_sub(shown.chars().count()));
        let mut out = format!(
            "error: {}\n{margin}--> {}:{line}:{column}\n{margin} |\n{line} | {shown}\n{margin} | {indent}{padding}{}",
            self.message,
            source.name,
            "^".repeat(carets)
        );
        for help in &self.help {
            out += &format!("\n{margin} = help: {help}");
        }
        out
    }
}

/// The part of a line around a column, and the column in it.
fn window(line: &str, column: usize) -> (String, usize) {
    let from = if column > WIDTH { column - WIDTH / 2 } else { 0 };
    (line.chars().skip(from).take(WIDTH).collect(), column - from)
}

/// All errors of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// As text, in the order of the file, each once.
    pub fn render(&self, source: &Source) -> String {
        let mut sorted: Vec<&Diagnostic> = self.0.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.span.start);
        sorted.dedup();
        let blocks: Vec<String> = sorted.iter().map(|diagnostic| diagnostic.render(source)).collect();
        let count = match blocks.len() {
            1 => "1 error".to_owned(),
            more => format!("{more} errors"),
        };
        format!("{}\n\n{count} in {}", blocks.join("\n\n"), source.name)
    }

    /// As an error with exit code 2.
    pub fn into_error(self, source: &Source) -> anyhow::Error {
        Fault::invalid(self.render(source)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn render(text: &str, span: Range<usize>) -> String {
        let source = Source { name: "matrix.toml".into(), text: text.into() };
        Diagnostics(vec![Diagnostic::new(span, "wrong").help("mend it")]).render(&source)
    }

    #[test]
    fn points_at_characters() {
        expect![[r#"
            error: wrong
             --> matrix.toml:2:6
              |
            2 | 	ä = "x"
              | 	    ^^^
              = help: mend it

            1 error in matrix.toml"#]]
        .assert_eq(&render("a = 1\r\n\tä = \"x\"\r\n", 13..16));
    }

    #[test]
    fn survives_odd_places() {
        for span in [0..0, 5..5, 4..6, 99..120] {
            assert!(render("a = ä", span).contains("matrix.toml:1:"));
        }
        let long = format!("x = \"{}\" y", "z".repeat(500));
        assert!(render(&long, 507..508).lines().all(|line| line.chars().count() < 140));
    }
}
