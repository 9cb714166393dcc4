//! Paths in an image, and patterns of them, as `matrix.toml` may write them. Pure.

/// Whether a path of a file means itself, and nothing else, in a Dockerfile and in a pattern.
pub fn plain(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@:,~=%".contains(c)) && !path.ends_with('/')
}

/// Whether a text is the absolute path of a file, or a pattern of such paths with `*` in it.
pub fn pattern(text: &str) -> bool {
    text.starts_with('/') && plain(&text.replace('*', "x"))
}
