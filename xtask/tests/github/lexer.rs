//! The words of an expression: `LexicalAnalyzer.cs` of actions/runner.

use super::value::parse_number;

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Name(String),
    Text(String),
    Number(f64),
    /// `(`, `&&` and all others.
    Sign(&'static str),
}

const SIGNS: [&str; 17] =
    ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", ".", "*", "\u{0}"];

fn is_boundary(c: char) -> bool {
    c.is_whitespace() || "()[],.!><=&|".contains(c)
}

fn is_keyword(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// The words with their places, counted from 1 as GitHub does.
pub fn tokens(source: &str) -> Result<Vec<(usize, Token)>, String> {
    let mut found: Vec<(usize, Token)> = Vec::new();
    let mut at = 0;
    while let Some(c) = source[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let rest = &source[at..];
        // A dot begins a number only where no value is in front of it.
        let after_value = match found.last() {
            None => false,
            Some((_, Token::Sign(sign))) => ["]", ")", "*", "."].contains(sign),
            Some(_) => true,
        };
        let is_number = c.is_ascii_digit() || c == '-' || c == '+' || (c == '.' && !after_value);
        let (token, length) = if c == '\'' {
            text(rest).ok_or_else(|| unexpected(source, rest, at))?
        } else if is_number {
            let length = rest[1..].find(|c| is_boundary(c) && c != '.').map_or(rest.len(), |end| end + 1);
            let number = parse_number(&rest[..length]);
            if number.is_nan() {
                return Err(unexpected(source, &rest[..length], at));
            }
            (Token::Number(number), length)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            let length = rest.find(is_boundary).unwrap_or(rest.len()).max(1);
            let word = rest.get(..length).unwrap_or(rest);
            if !is_keyword(word) {
                return Err(unexpected(source, word, at));
            }
            (Token::Name(word.to_owned()), length)
        };
        found.push((at + 1, token));
        at += length;
    }
    Ok(found)
}

/// A text in single quotes, in which two of them are one.
fn text(rest: &str) -> Option<(Token, usize)> {
    let (mut text, mut at) = (String::new(), 1);
    loop {
        let end = at + rest[at..].find('\'')?;
        text.push_str(&rest[at..end]);
        at = end + 1;
        if !rest[at..].starts_with('\'') {
            return Some((Token::Text(text), at));
        }
        text.push('\'');
        at += 1;
    }
}

pub fn unexpected(source: &str, word: &str, at: usize) -> String {
    format!("Unexpected symbol: '{word}'. Located at position {} within expression: {source}", at + 1)
}
