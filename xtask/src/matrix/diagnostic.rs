//! Errors in `matrix.toml`: where, the line itself, what, and the mend. All of them at once.

use std::ops::Range;

use crate::base::error::{Annotation, UserError};

/// The longest part of a line that is shown, in characters.
const WIDTH: usize = 120;

/// The most errors that are printed: a file with more is no matrix.
const SHOWN: usize = 1000;

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

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where, in bytes of the source.
    pub span: Range<usize>,
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

    fn render(&self, source: &Source, lines: &Lines<'_>) -> String {
        let (line, text, column) = lines.find(source, self.span.start);
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
        let quoted = format!("{line} | {shown}");
        let mut out = format!(
            "error: {}\n{margin}--> {}:{line}:{column}\n{margin} |\n{}\n{margin} | {indent}{padding}{}",
            visible(&self.message),
            source.name,
            quoted.trim_end(),
            "^".repeat(carets)
        );
        for help in &self.help {
            out += &format!("\n{margin} = help: {}", visible(help));
        }
        out
    }
}

/// Where each line begins, so that a file of many errors is searched once and not for each of them.
struct Lines<'s>(Vec<(usize, &'s str)>);

impl<'s> Lines<'s> {
    fn of(source: &'s Source) -> Self {
        let mut start = 0;
        let line = |text: &'s str| {
            let begin = start;
            start += text.len() + 1;
            (begin, text.trim_end_matches('\r'))
        };
        Self(source.text.split('\n').map(line).collect())
    }

    /// The number of the line at an offset, its text, and the column.
    fn find(&self, source: &Source, offset: usize) -> (usize, &'s str, usize) {
        let offset = source.before(offset).len();
        let number = self.0.partition_point(|(start, _)| *start <= offset).max(1);
        let (start, text) = self.0.get(number - 1).copied().unwrap_or_default();
        let before = source.text.get(start..offset).unwrap_or_default();
        (number, text, before.chars().count() + 1)
    }
}

/// A text in which nothing moves the cursor or begins a line: a runner obeys a line that begins with `::`,
/// and a name in the file may hold any character.
fn visible(text: &str) -> String {
    text.chars().flat_map(|c| if is_hidden(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Control characters, and those that turn the direction of what follows.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The part of a line around a column, and the column in it.
fn window(line: &str, column: usize) -> (String, usize) {
    let from = if column > WIDTH { column - WIDTH / 2 } else { 0 };
    // The part keeps its width: a character that is not shown as it is becomes one that is.
    let shown = |c: char| if is_hidden(c) && c != '\t' { '\u{fffd}' } else { c };
    (line.chars().skip(from).take(WIDTH).map(shown).collect(), column - from)
}

/// All errors of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// As text, in the order of the file, each once.
    pub fn render(&self, source: &Source) -> String {
        let sorted = self.sorted();
        let lines = Lines::of(source);
        let shown = sorted.iter().take(SHOWN).map(|diagnostic| diagnostic.render(source, &lines));
        let blocks: Vec<String> = shown.collect();
        let count = match sorted.len() {
            1 => "1 error".to_owned(),
            more if more > SHOWN => format!("{more} errors, the first {SHOWN} of them above,"),
            more => format!("{more} errors"),
        };
        format!("{}\n\n{count} in {}", blocks.join("\n\n"), source.name)
    }

    fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.0.iter().collect();
        sorted.sort_by_key(|error| (error.span.start, error.span.end, &error.message));
        sorted.dedup();
        sorted
    }

    /// The places, in the order of the file.
    fn annotations(&self, source: &Source) -> Vec<Annotation> {
        let lines = Lines::of(source);
        let annotation = |error: &&Diagnostic| {
            let (line, _, column) = lines.find(source, error.span.start);
            let help = error.help.iter().map(|help| format!("\nhelp: {}", visible(help)));
            Annotation { line, column, message: visible(&error.message) + &help.collect::<String>() }
        };
        self.sorted().iter().take(SHOWN).map(annotation).collect()
    }

    /// As an error with exit code 2.
    pub fn into_error(self, source: &Source) -> anyhow::Error {
        UserError::invalid(self.render(source)).annotations(self.annotations(source)).into()
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
        // A span that ends before it begins, too.
        for span in [0..0, 5..5, 4..6, 99..120, Range { start: 4, end: 2 }] {
            assert!(render("a = ä", span).contains("matrix.toml:1:"));
        }
        let long = format!("x = \"{}\" y", "z".repeat(500));
        assert!(render(&long, 507..508).lines().all(|line| line.chars().count() < 140));
    }

    #[test]
    fn nothing_of_the_file_begins_a_line_or_moves_the_cursor() {
        let source = Source { name: "matrix.toml".into(), text: "a\u{1b}[31m = 1".into() };
        let error = Diagnostic::new(0..1, "no `x\n::error::y\u{1b}\u{202e}`").help("did you mean `\r::x`?");
        expect![[r#"
            error: no `x\n::error::y\u{1b}\u{202e}`
             --> matrix.toml:1:1
              |
            1 | a�[31m = 1
              | ^
              = help: did you mean `\r::x`?

            1 error in matrix.toml"#]]
        .assert_eq(&Diagnostics(vec![error]).render(&source));
    }

    #[test]
    fn many_errors_take_no_time_and_come_once() {
        let text = "a\n".repeat(200_000);
        let errors = (0..200_000).flat_map(|line| [line * 2, line * 2]);
        let errors = Diagnostics(errors.map(|at| Diagnostic::new(at..at + 1, "wrong")).collect());
        let source = Source { name: "matrix.toml".into(), text };
        assert!(
            errors.render(&source).ends_with("200000 errors, the first 1000 of them above, in matrix.toml")
        );
    }
}
