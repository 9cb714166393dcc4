//! The cases of moby/patternmatcher, and what its reader of files does before.

use super::*;

/// Asks from folder to folder, as a walk does.
fn left_out(file: &str, path: &str) -> bool {
    let ignore = Ignore::parse(file.as_bytes()).unwrap_or_else(|| panic!("{file:?} is not understood"));
    let (mut whole, mut answer, mut matched) = (String::new(), false, Matched::new());
    for part in path.split('/') {
        whole = if whole.is_empty() { part.to_owned() } else { format!("{whole}/{part}") };
        (answer, matched) = ignore.matches(&whole, &matched);
    }
    answer
}

#[test]
fn single_patterns() {
    for (pattern, path, expected) in [
        ("**", "file", true),
        ("**/", "file", true),
        ("**", "dir/file", true),
        ("**/", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir3/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**/file", "dir/file", true),
        ("**file", "dir/dir/file", true),
        ("**/file", "dir/dir/file", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("**/**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a/*.txt**", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abc.def", true),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        ("a\\\\", "a\\", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/dir2/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("a(b)c/def", "a(b)c/def", true),
        ("a(b)c/def", "a(b)c/xyz", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", true),
        ("*c", "abc", true),
        ("a*", "ab/c", true),
        ("a*/b", "abc/b", true),
        ("a*/b", "a/c/b", false),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("a?b", "a☺b", true),
        ("a???b", "a☺b", false),
        ("[a-ζ]*", "α", true),
        ("*[a-ζ]", "A", false),
        ("a?b", "a/b", false),
        ("a^b", "a^b", true),
        ("*^b", "a^b", false),
        ("Dockerfile*", "Dockerfile.arm64", true),
        ("foo", "bar/foo", false),
        ("foo", "foobar", false),
    ] {
        assert_eq!(left_out(pattern, path), expected, "{pattern:?} and {path:?}");
    }
}

#[test]
fn the_last_one_that_matches_decides() {
    for (file, path, expected) in [
        ("*.go\n!fileutils.go", "fileutils.go", false),
        ("!fileutils.go\n*.go", "fileutils.go", true),
        ("docs\n!docs/README.md", "docs/README.md", false),
        ("docs/\n!docs/README.md", "docs/README.md", false),
        ("docs/*\n!docs/README.md", "docs/README.md", false),
        ("docs\n!docs/README.md", "docs/other", true),
        ("**\n!util/docker/web", "util/docker/web/foo", false),
        ("**\n!util/docker/web\nutil/docker/web/foo", "util/docker/web/foo", true),
        ("**\n!dist/*.whl", "dist/a+b.whl", false),
        ("*\n!src\nsrc/**/*.tmp", "src/a/b.tmp", true),
        ("*\n!src\nsrc/**/*.tmp", "src/a/b.rs", false),
        ("*\n/!a", "a", false),
        ("*\n!!a", "!a", false),
        ("*\n!!a", "a", true),
    ] {
        assert_eq!(left_out(file, path), expected, "{file:?} and {path:?}");
    }
}

#[test]
fn a_file_is_cleaned() {
    for (file, path, expected) in [
        ("\u{feff}a", "a", true),
        ("# a\n", "a", false),
        (" #a", "#a", true),
        ("  a \r\n\tb\t\n", "b", true),
        ("/a/b/", "a/b", true),
        ("./a//b/../c", "a/c", true),
        ("a\n! /a/b", "a/b", false),
        ("../a", "a", false),
        ("/", "a", false),
        (".", "a", false),
        ("", "a", false),
    ] {
        assert_eq!(left_out(file, path), expected, "{file:?} and {path:?}");
    }
}

#[test]
fn what_is_not_for_us_is_told() {
    for file in ["!", "a[", "[]a]", "[a-]", "[x-a]", "a\\", "\\d", "[*]", "[[:alpha:]]", "/ a"] {
        assert_eq!(Ignore::parse(file.as_bytes()), None, "{file:?}");
    }
    assert_eq!(Ignore::parse(b"\xff"), None);
}

#[test]
fn folders_are_looked_into_for_exceptions() {
    let below = |file: &str, folder: &str| {
        Ignore::parse(file.as_bytes()).is_some_and(|ignore| ignore.has_exceptions_below(folder))
    };
    assert!(!below("a", "a") && !below("a\n!b", "a") && !below("a\n!ab", "a"));
    assert!(below("a\n!a/b/c", "a") && below("a\n!a/b/c", "a/b") && !below("a\n!a/b/c", "a/d"));
    assert!(below("a\n!a/b/**", "a/b") && below("a\n!**/c", "a/d"));
}
