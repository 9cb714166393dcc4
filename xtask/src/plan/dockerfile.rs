//! Which images a Dockerfile names, as far as its text tells.
//!
//! What is found is resolved once for all platforms of a run. Finding too much does no harm, and what is missed BuildKit
//! resolves itself, so this is no parser: only names are taken that cannot be those of a stage.
//! Source: <https://docs.docker.com/reference/dockerfile/>.

use std::collections::{BTreeMap, BTreeSet};

/// The images that `FROM`, `COPY --from` and `RUN --mount=…,from=` name, in the form in which BuildKit looks for named
/// contexts: without Docker Hub's own name and without `:latest`. What is fixed by a digest is left out.
pub fn images<'a>(text: &str, build_args: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeSet<String> {
    let given: BTreeMap<&str, &str> = build_args.into_iter().collect();
    let mut args: BTreeMap<String, String> = BTreeMap::new();
    let mut found = BTreeSet::new();
    let mut before_stages = true;
    for line in instructions(text).0 {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        let named: Vec<&str> = match instruction.as_str() {
            "ARG" if before_stages => {
                for (name, default) in words.filter_map(|word| word.split_once('=')) {
                    let value = given.get(name).map_or(default.trim_matches(['"', '\'']), |value| *value);
                    args.insert(name.to_owned(), value.to_owned());
                }
                continue;
            }
            "FROM" => {
                before_stages = false;
                words.find(|word| !word.starts_with("--")).into_iter().collect()
            }
            "COPY" | "RUN" | "ADD" => {
                words.take_while(|word| word.starts_with("--")).flat_map(from).collect()
            }
            _ => continue,
        };
        found.extend(named.into_iter().filter_map(|name| context_name(&expanded(name, &args)?)));
    }
    found
}

/// The instructions, each on one line, without comments and without the bodies of here-documents; and what escapes a character
/// in them.
pub(super) fn instructions(text: &str) -> (Vec<String>, char) {
    let escape = escape(text);
    let mut found = Vec::new();
    let mut open = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let begins = line.trim_start();
        if begins.is_empty() || begins.starts_with('#') {
            continue;
        }
        open += if open.is_empty() { begins } else { line };
        // What escapes the end of the line, unless that is escaped itself.
        let rest = open.trim_end().strip_suffix(escape);
        if let Some(rest) = rest.filter(|rest| !rest.ends_with(escape)) {
            open.truncate(rest.len());
            continue;
        }
        let whole = std::mem::take(&mut open);
        for (end, indented) in heredocs(&whole, escape) {
            let body = |line: &str| if indented { line.trim_start_matches('\t') != end } else { line != end };
            let _ = lines.by_ref().find(|line| !body(line));
        }
        found.push(whole);
    }
    found.push(open);
    (found, escape)
}

/// The character that escapes, of which a directive at the top may say that it is another one.
fn escape(text: &str) -> char {
    let directive = |line: &str| {
        let (key, value) = line.trim().strip_prefix('#')?.split_once('=')?;
        Some((key.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    let mut directives = text.trim_start_matches('\u{feff}').lines().map_while(directive);
    match directives.any(|(key, value)| key == "escape" && value == "`") {
        true => '`',
        false => '\\',
    }
}

/// The words that end the here-documents of an instruction, and whether tabs may stand before them.
fn heredocs(instruction: &str, escape: char) -> Vec<(String, bool)> {
    let takes_them =
        |word: &str| ["RUN", "COPY", "ADD", "ONBUILD"].iter().any(|name| word.eq_ignore_ascii_case(name));
    if !instruction.split_whitespace().next().is_some_and(takes_them) {
        return Vec::new();
    }
    let one = |word: String| {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
        let (name, indented) = rest.strip_prefix('-').map_or((rest, false), |name| (name, true));
        let name = name.trim_matches(['"', '\'']);
        (!name.is_empty() && !name.contains('<')).then(|| (name.to_owned(), indented))
    };
    words(instruction, escape).into_iter().filter_map(one).collect()
}

/// The words of an instruction, with their quotes: spaces in quotes, and those that are escaped, part none.
pub(super) fn words(text: &str, escape: char) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                words.push(std::mem::take(&mut word));
                continue;
            }
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
        if c == escape && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// What a flag copies or mounts from.
fn from(flag: &str) -> impl Iterator<Item = &str> {
    let whole = flag.strip_prefix("--from=");
    let mounted = flag.strip_prefix("--mount=").into_iter().flat_map(|fields| fields.split(','));
    whole.into_iter().chain(mounted.filter_map(|field| field.strip_prefix("from=")))
}

/// With the values of arguments; none if one has no value here.
pub(super) fn expanded(text: &str, args: &BTreeMap<String, String>) -> Option<String> {
    let mut whole = String::new();
    let mut rest = text.trim_matches('"');
    while let Some((before, after)) = rest.split_once('$') {
        let (name, left) = match after.strip_prefix('{') {
            Some(inner) => inner.split_once('}')?,
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at_checked(end)?
            }
        };
        let (name, default) = name.split_once(":-").map_or((name, None), |(name, text)| (name, Some(text)));
        let value = args.get(name).map(String::as_str).filter(|value| !value.is_empty()).or(default)?;
        whole = whole + before + value;
        rest = left;
    }
    Some(whole + rest)
}

/// The name of the context that takes the place of an image. None for what may be a stage, or is fixed already.
fn context_name(image: &str) -> Option<String> {
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    let image = image.strip_prefix("library/").unwrap_or(image);
    let image = image.strip_suffix(":latest").unwrap_or(image);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':');
    // Names of stages have neither.
    let is_image = image.contains([':', '/']);
    (is_image && image.chars().all(plain)).then(|| image.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_and_not_of_stages() {
        let text = r#"# syntax=docker/dockerfile:1
ARG PHP=8.2 SUITE="bookworm"
ARG EMPTY
FROM --platform=$BUILDPLATFORM php:${PHP}-cli-$SUITE AS php
FROM php AS next
# FROM comment:1
COPY --from=docker.io/library/composer:2 /a /b
copy --link --from=ghcr.io/acme/tool:latest \
  /a /b
RUN --mount=type=bind,from=acme/lib:1,target=/x --mount=type=cache,target=/y true --from=no:1
FROM busybox@sha256:abc
FROM ${EMPTY}:1
FROM ${OTHER:-alpine}:3.24
FROM debian
"#;
        let found =
            |args: &[(&str, &str)]| images(text, args.iter().copied()).into_iter().collect::<Vec<_>>();
        assert_eq!(
            found(&[("PHP", "8.3")]),
            ["acme/lib:1", "alpine:3.24", "composer:2", "ghcr.io/acme/tool", "php:8.3-cli-bookworm"]
        );
        assert!(found(&[]).contains(&"php:8.2-cli-bookworm".to_owned()));
    }

    #[test]
    fn an_instruction_is_one_line() {
        let lines =
            |text: &str| instructions(text).0.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>();
        let text = "FROM a\n  RUN x \\\n\n# no\n  y \\  \n z\nRUN b \\\\\nRUN <<A cat <<-'B' && c \"d <<C\"\nLABEL no=1\nA\n\tB2\n\tB\nLABEL a=1\n";
        let expected =
            ["FROM a", "RUN x   y  z", "RUN b \\\\", "RUN <<A cat <<-'B' && c \"d <<C\"", "LABEL a=1"];
        assert_eq!(lines(text), expected);
        assert_eq!(
            lines("# syntax=x\n# escape=`\nRUN a `\n b\nRUN c \\\nRUN $((1<<2))\n"),
            ["RUN a  b", "RUN c \\", "RUN $((1<<2))"]
        );
        assert_eq!(words(r#" a="b c" 'd e'=f\ g  h"#, '\\'), ["a=\"b c\"", "'d e'=f\\ g", "h"]);
    }

    #[test]
    fn no_text_is_too_odd() {
        for text in
            ["FROM", "FROM ${", "FROM $", "COPY --from=", "\\", "FROM \u{e9}$\u{e9}:1", "ARG =\nFROM $:1"]
        {
            assert_eq!(images(text, []), BTreeSet::new(), "{text}");
        }
    }
}
