//! What `.dockerignore` leaves of a context, exactly as BuildKit understands it. Pure.
//!
//! Source: `github.com/moby/patternmatcher` (`ignorefile.ReadAll`, `PatternMatcher.MatchesUsingParentResults`,
//! `Pattern.compile`) and `github.com/tonistiigi/fsutil` (`filterFS.Walk`). The last pattern that matches a path or a
//! folder above it decides.

/// The patterns of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// It begins with `!`: what it matches is sent.
    exception: bool,
    /// As it is written, cleaned.
    text: String,
    form: Form,
}

/// How a pattern is compared: moby takes these ways, of which only the last one knows escapes and classes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// `a/b`
    Exact,
    /// `a/**`
    Prefix(String),
    /// `**/b`
    Suffix(String),
    /// `a*/[bc]?`
    Tokens(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Star,
    /// `**/`, and `**` before anything else: folders, or none.
    Folders,
    /// `**` at the end.
    Rest,
    /// `[a-c]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `^` within a pattern, which no text fulfils but at its start: nobody has escaped it.
    Start,
}

/// Which patterns have matched a folder, for what is in it.
pub(crate) type Matched = Vec<bool>;

impl Ignore {
    /// Reads a file. `None`: it says what BuildKit refuses, or what only Go's regular expressions understand.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).ok()?;
        let mut patterns = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let (exception, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            let text = clean(line);
            let text = text.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&text).to_owned();
            // `!` alone is an error there, and a space behind the slash is not.
            if line.is_empty() || text.trim() != text {
                return None;
            }
            // Behind a slash, the mark of an exception is seen as well.
            let (exception, text) = match text.strip_prefix('!').filter(|_| !exception) {
                Some("") => return None,
                Some(rest) => (true, rest.to_owned()),
                None => (exception, text),
            };
            let form = compile(&text)?;
            patterns.push(Pattern { exception, text, form });
        }
        Some(Self { patterns })
    }

    /// Whether a path is left out, and what to know about it for what is in it. `parent`: the same of its folder, empty at
    /// the top.
    pub(crate) fn matches(&self, path: &str, parent: &[bool]) -> (bool, Matched) {
        let (mut left_out, mut found) = (false, Vec::with_capacity(self.patterns.len()));
        for (index, pattern) in self.patterns.iter().enumerate() {
            let of_parent = parent.get(index).copied().unwrap_or_default();
            // Nobody asks whether a pattern matches that would change nothing.
            let matched = of_parent || pattern.exception == left_out && pattern.matches(path);
            if matched {
                left_out = !pattern.exception;
            }
            found.push(matched);
        }
        (left_out, found)
    }

    /// Whether something in a folder that is left out may be sent all the same.
    pub(crate) fn has_exceptions_below(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        self.patterns.iter().filter(|pattern| pattern.exception).any(|pattern| {
            let text = pattern.text.strip_suffix("/**").unwrap_or(&pattern.text);
            let text = text.strip_suffix("/*").unwrap_or(text);
            text.contains(['*', '[', ']', '?', '^', '\\']) || format!("{text}/").starts_with(&folder)
        })
    }
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        match &self.form {
            Form::Exact => path == self.text,
            Form::Prefix(start) => path.starts_with(start),
            Form::Suffix(end) => path.ends_with(end) || end.strip_prefix('/') == Some(path),
            Form::Tokens(tokens) => {
                let path: Vec<char> = path.chars().collect();
                fits(tokens, &path, 0)
            }
        }
    }
}

/// Go's `path.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".to_owned(),
        (false, rest) => rest,
    }
}

/// How a pattern is compared. `None` if it is wrong, or not for us.
fn compile(text: &str) -> Option<Form> {
    let mut chars = text.chars().peekable();
    let (mut tokens, mut plain, mut suffix, mut prefix) = (Vec::new(), true, false, false);
    while let Some(c) = chars.next() {
        let first = tokens.is_empty();
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                if chars.peek().is_some() {
                    (plain, prefix) = (false, false);
                    tokens.push(Token::Folders);
                } else {
                    prefix = plain && !suffix;
                    plain = false;
                    tokens.push(Token::Rest);
                }
                suffix = first;
                continue;
            }
            '*' => tokens.push(Token::Star),
            '?' => tokens.push(Token::One),
            '[' => tokens.push(class(&mut chars)?),
            '\\' => tokens.push(Token::Char(chars.next().filter(|c| !c.is_alphanumeric())?)),
            ']' => tokens.push(Token::Char(']')),
            '^' => {
                tokens.push(Token::Start);
                continue;
            }
            c => {
                tokens.push(Token::Char(c));
                continue;
            }
        }
        // What is neither a letter nor `**` makes it a regular expression.
        (plain, suffix) = (false, false);
    }
    let end = |count: usize| text.get(..text.len() - count).unwrap_or_default().to_owned();
    Some(if suffix {
        Form::Suffix(text.get(2..).unwrap_or_default().to_owned())
    } else if prefix {
        Form::Prefix(end(2))
    } else if plain {
        Form::Exact
    } else {
        Form::Tokens(tokens)
    })
}

/// The rest of a class, behind its `[`. Go's regular expressions see more in some of them than the pattern's author.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = chars.next_if_eq(&'^').is_some();
    let plain = |c: &char| !matches!(c, '[' | ']' | '\\' | '*' | '?' | '^' | '-');
    let mut ranges = Vec::new();
    while chars.next_if_eq(&']').is_none() {
        let from = chars.next().filter(plain)?;
        let to = if chars.next_if_eq(&'-').is_some() { chars.next().filter(plain)? } else { from };
        ranges.push((from, to));
    }
    let sound = !ranges.is_empty() && ranges.iter().all(|(from, to)| from <= to);
    sound.then_some(Token::Class { negated, ranges })
}

/// Whether tokens fit all that is left of a path, from `at` on.
fn fits(tokens: &[Token], path: &[char], at: usize) -> bool {
    let Some((token, rest)) = tokens.split_first() else { return at == path.len() };
    let here = path.get(at);
    let next = |fit: bool| fit && fits(rest, path, at + 1);
    match token {
        Token::Char(c) => next(here == Some(c)),
        Token::One => next(here.is_some_and(|c| *c != '/')),
        Token::Class { negated, ranges } => next(here.is_some_and(|c| {
            let within = ranges.iter().any(|(from, to)| (from..=to).contains(&c));
            within != *negated
        })),
        Token::Start => at == 0 && fits(rest, path, at),
        Token::Rest => true,
        Token::Star => {
            let reach = path.iter().skip(at).take_while(|c| **c != '/').count();
            (at..=at + reach).any(|at| fits(rest, path, at))
        }
        Token::Folders => {
            let ends = (at..path.len()).filter(|end| path.get(*end) == Some(&'/')).map(|end| end + 1);
            std::iter::once(at).chain(ends).any(|at| fits(rest, path, at))
        }
    }
}

#[cfg(test)]
#[path = "dockerignore_tests.rs"]
mod tests;
