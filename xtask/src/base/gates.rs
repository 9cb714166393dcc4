//! Commands of `[publish] gate`: words with placeholders for the publication that they judge.

/// What may stand in braces.
pub const PLACEHOLDERS: [&str; 5] = ["reference", "repository", "digest", "cell", "version"];

/// A word of a command with each placeholder in the place of which its value stands.
///
/// # Errors
/// The first thing in braces that is no placeholder, or a brace without its other half.
pub fn expand(word: &str, value: impl Fn(&str) -> String) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = if let Some(after) = from.strip_prefix("{{") {
            out.push('{');
            after
        } else if let Some(after) = from.strip_prefix("}}") {
            out.push('}');
            after
        } else {
            let inner = from.strip_prefix('{').and_then(|from| from.split_once('}'));
            let (name, after) = inner.ok_or_else(|| from.chars().take(1).collect::<String>())?;
            if !PLACEHOLDERS.contains(&name) {
                return Err(format!("{{{name}}}"));
            }
            out.push_str(&value(name));
            after
        };
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_braces_can_be_written() {
        let expanded = |word: &str| expand(word, |name| format!("<{name}>"));
        assert_eq!(expanded("--image={reference}").unwrap(), "--image=<reference>");
        assert_eq!(expanded("{repository}@{digest}").unwrap(), "<repository>@<digest>");
        assert_eq!(expanded("{{{{.Name}}}}").unwrap(), "{{.Name}}");
        assert_eq!(expanded("plain").unwrap(), "plain");
        for (bad, what) in [("{tag}", "{tag}"), ("a{", "{"), ("a}", "}"), ("{digest", "{")] {
            assert_eq!(expanded(bad).unwrap_err(), what);
        }
    }
}
