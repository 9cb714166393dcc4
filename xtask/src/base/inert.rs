//! Text that commands nothing. GitHub's runner takes commands out of whatever a step prints, so also out of what a
//! Dockerfile, a dependency's install script or a registry's answer makes a tool print.
//!
//! Source: actions/runner, `ActionCommand.cs` and `ProcessInvoker.cs`: a line ends at `\n`, at `\r` or at both; `::` at
//! its start, blanks aside, is a command, and so is `##[` anywhere in it. Its comparisons may pass over characters that
//! are not seen. The page of a log shows `##[error]`, even where the runner no longer listens: that is why such text is
//! changed instead of being put between `::stop-commands::`.

use std::borrow::Cow;

/// The longest line that is kept whole, in bytes.
const LONGEST: usize = 1 << 16;

/// One line without its end, in which no command is left.
pub fn line(text: &str) -> Cow<'_, str> {
    let seen: String = text.chars().filter(|c| (' '..='~').contains(c)).collect();
    let marked = seen.contains("##[");
    if !marked && !seen.trim_start().starts_with("::") {
        return Cow::Borrowed(text);
    }
    let text = if marked { text.replace('[', " [") } else { text.to_owned() };
    Cow::Owned(format!("| {text}"))
}

/// Several lines, in which no command is left.
pub fn text(text: &str) -> String {
    let mut lines = Vec::new();
    let mut parts = Lines::default();
    parts.push(text.as_bytes(), &mut |line| lines.push(line.to_owned()));
    parts.end(&mut |line| lines.push(line.to_owned()));
    let end = if text.ends_with('\n') { "\n" } else { "" };
    lines.join("\n") + end
}

/// JSON, in which no command is left and that means the same: within strings `[` may be written by its number.
pub fn json(text: &str) -> String {
    text.replace("##[", "##\\u005b")
}

/// Parts a stream into lines that command nothing.
#[derive(Debug, Default)]
pub struct Lines {
    open: Vec<u8>,
    after_return: bool,
}

impl Lines {
    /// Takes more of the stream, and gives `sink` each line that ends there, without its end.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(&str)) {
        for &byte in bytes {
            let second = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                _ if second => {}
                b'\n' | b'\r' => self.close(sink),
                byte => {
                    self.open.push(byte);
                    if self.open.len() == LONGEST {
                        self.close(sink);
                    }
                }
            }
        }
    }

    /// The stream has ended: what is left is a line, too.
    pub fn end(mut self, sink: &mut impl FnMut(&str)) {
        if !self.open.is_empty() {
            self.close(sink);
        }
    }

    fn close(&mut self, sink: &mut impl FnMut(&str)) {
        sink(&line(&String::from_utf8_lossy(&self.open)));
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_a_command() {
        let table = [
            ("#5 0.1 ok", "#5 0.1 ok"),
            ("a::b", "a::b"),
            ("::error::x", "| ::error::x"),
            ("  \t::set-env name=PATH::x", "|   \t::set-env name=PATH::x"),
            ("\u{a0}::error::x", "| \u{a0}::error::x"),
            ("\u{200d}::error::x", "| \u{200d}::error::x"),
            ("#7 1.2 ##[error]y", "| #7 1.2 ## [error]y"),
            ("##[group]a[0]", "| ## [group]a [0]"),
            ("##\u{ad}[error]y", "| ##\u{ad} [error]y"),
            ("## [x]", "## [x]"),
        ];
        for (from, to) in table {
            assert_eq!(line(from), to, "{from:?}");
            assert_eq!(line(&line(from)), to, "{from:?} twice");
        }
    }

    #[test]
    fn a_line_ends_where_the_runner_ends_it() {
        let table = [
            ("a\nb", "a\nb"),
            ("a\r\n\r\nb\n", "a\n\nb\n"),
            ("10%\r::error::x\r100%\n", "10%\n| ::error::x\n100%\n"),
            ("a\n\r::x::\n", "a\n\n| ::x::\n"),
            ("", ""),
            ("\n", "\n"),
        ];
        for (from, to) in table {
            assert_eq!(text(from), to, "{from:?}");
        }
    }

    #[test]
    fn a_stream_comes_in_any_pieces() {
        let whole = "a\r\n::x::\r\r\n\nb ##[error]\n##[c";
        let read = |size: usize| {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in whole.as_bytes().chunks(size) {
                lines.push(piece, &mut |line| found.push(line.to_owned()));
            }
            lines.end(&mut |line| found.push(line.to_owned()));
            found
        };
        let expected = ["a", "| ::x::", "", "", "| b ## [error]", "| ## [c"];
        for size in 1..whole.len() {
            assert_eq!(read(size), expected, "{size}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let (mut lines, mut longest) = (Lines::default(), 0);
        let mut sink = |line: &str| longest = longest.max(line.len());
        for _ in 0..100 {
            lines.push(&[b'x'; 5000], &mut sink);
        }
        assert!(lines.open.len() < LONGEST);
        assert_eq!(longest, LONGEST);
    }

    #[test]
    fn json_stays_the_same() {
        let value = serde_json::json!({ "a": ["##[error]x", "::y"], "##[": 1 });
        let text = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.contains("##["));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
