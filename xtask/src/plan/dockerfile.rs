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
    for line in instructions(text) {
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

/// The lines without comments, those that end in a backslash joined with the next.
fn instructions(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        match line.strip_suffix('\\') {
            Some(part) => open += &format!("{part} "),
            None => lines.push(std::mem::take(&mut open) + line),
        }
    }
    lines.push(open);
    lines
}

/// What a flag copies or mounts from.
fn from(flag: &str) -> impl Iterator<Item = &str> {
    let whole = flag.strip_prefix("--from=");
    let mounted = flag.strip_prefix("--mount=").into_iter().flat_map(|fields| fields.split(','));
    whole.into_iter().chain(mounted.filter_map(|field| field.strip_prefix("from=")))
}

/// With the values of arguments; none if one has no value here.
fn expanded(text: &str, args: &BTreeMap<String, String>) -> Option<String> {
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
    fn no_text_is_too_odd() {
        for text in
            ["FROM", "FROM ${", "FROM $", "COPY --from=", "\\", "FROM \u{e9}$\u{e9}:1", "ARG =\nFROM $:1"]
        {
            assert_eq!(images(text, []), BTreeSet::new(), "{text}");
        }
    }
}
