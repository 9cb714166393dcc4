//! Texts that must have a form, because other programs read them: paths in an image, patterns, regular expressions.

/// Whether a path of a file means itself, and nothing else, in a Dockerfile and in a pattern.
pub fn plain(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@:,~=%".contains(c)) && !path.ends_with('/')
}

/// Whether a text is the absolute path of a file, or a pattern of such paths with `*` in it.
pub fn pattern(text: &str) -> bool {
    text.starts_with('/') && plain(&text.replace('*', "x"))
}

/// Whether a regular expression (RE2) says how the text begins and how it ends: `^…$`, where the last `$` is not escaped,
/// no alternative stands outside of parentheses, and no flag changes what `^` and `$` mean.
pub fn anchored(expression: &str) -> bool {
    let Some(inner) = expression.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) else {
        return false;
    };
    let (mut depth, mut class, mut escaped) = (0_usize, false, false);
    for c in inner.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return false,
            _ => {}
        }
    }
    !escaped && !inner.contains("(?")
}

#[cfg(test)]
mod tests {
    use super::anchored;

    #[test]
    fn what_is_anchored_matches_no_more_than_it_says() {
        for good in ["^a$", r"^https://x/(a|b)\.yml@refs/(heads|tags)/.+$", r"^[^|(]\|$", r"^a\\$"] {
            assert!(anchored(good), "{good}");
        }
        for bad in ["a", "^a", "a$", r"^a\$", "^a|b$", "^(?m)a$", "^(a)|b$", "^a$|^b$", ""] {
            assert!(!anchored(bad), "{bad}");
        }
    }
}
