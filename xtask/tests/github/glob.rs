//! Patterns of paths: `packages/glob` of actions/toolkit, which upload-artifact and `hashFiles` use.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::wildcard;

/// Several lines, of which those with `!` take away what earlier ones have found.
pub struct Globs {
    patterns: Vec<Pattern>,
}

struct Pattern {
    negate: bool,
    /// Without the empty one in front of the root.
    segments: Vec<String>,
    /// With a slash at its end it is a folder, and what is below it.
    folder: bool,
    search: PathBuf,
}

impl Globs {
    pub fn new(lines: &str, workspace: &Path) -> Result<Self, String> {
        let lines =
            lines.split('\n').map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(Self { patterns: lines.map(|line| Pattern::new(line, workspace)).collect::<Result<_, _>>()? })
    }

    /// Where the search begins: paths below another one are left out.
    pub fn search_paths(&self) -> Vec<PathBuf> {
        let paths: Vec<&PathBuf> =
            self.patterns.iter().filter(|pattern| !pattern.negate).map(|pattern| &pattern.search).collect();
        let mut found: Vec<PathBuf> = Vec::new();
        for path in &paths {
            let below = paths.iter().any(|other| other != path && path.starts_with(other));
            if !below && !found.contains(path) {
                found.push((*path).clone());
            }
        }
        found
    }

    /// The files that are found, links followed.
    pub fn files(&self, hidden: bool) -> Vec<PathBuf> {
        let mut found = BTreeSet::new();
        for path in self.search_paths() {
            self.walk(&path, hidden, &mut Vec::new(), &mut found);
        }
        found.into_iter().collect()
    }

    fn walk(&self, path: &Path, hidden: bool, above: &mut Vec<PathBuf>, found: &mut BTreeSet<PathBuf>) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Ok(real) = fs::canonicalize(path) else { return };
        if (!hidden && name.starts_with('.')) || above.contains(&real) {
            return;
        }
        if path.is_file() {
            if self.matches(path) {
                found.insert(path.to_owned());
            }
            return;
        }
        let Ok(entries) = fs::read_dir(path) else { return };
        above.push(real);
        for entry in entries.flatten() {
            self.walk(&entry.path(), hidden, above, found);
        }
        above.pop();
    }

    fn matches(&self, file: &Path) -> bool {
        let segments: Vec<String> = segments(&file.to_string_lossy());
        let mut matched = false;
        for pattern in &self.patterns {
            if pattern.matches(&segments) {
                matched = !pattern.negate;
            }
        }
        matched
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl Pattern {
    fn new(line: &str, workspace: &Path) -> Result<Self, String> {
        let bare = line.trim_start_matches('!');
        let negate = (line.len() - bare.len()) % 2 == 1;
        let bare = bare.trim();
        let relative = |(at, part): (usize, &str)| part == ".." || (part == "." && at > 0);
        if bare.split('/').filter(|part| !part.is_empty()).enumerate().any(relative) {
            return Err(format!("Invalid pattern '{bare}'. Relative pathing '.' and '..' is not allowed."));
        }
        let root = |rest: &str| {
            let mut all: Vec<String> = segments(&workspace.to_string_lossy());
            for part in &mut all {
                // The workspace is meant literally.
                *part = part.replace('[', "[[]");
            }
            all.extend(segments(rest));
            all
        };
        let all = match bare {
            "." => root(""),
            _ if bare.starts_with('/') => segments(bare),
            _ if bare.starts_with('~') => return Err(format!("{bare}: a home folder is not modelled")),
            _ => root(bare.strip_prefix("./").unwrap_or(bare)),
        };
        let literal: PathBuf = all.iter().map_while(|part| wildcard::literal(part)).collect();
        Ok(Self { negate, folder: bare.ends_with('/'), search: Path::new("/").join(literal), segments: all })
    }

    /// A pattern means its descendants too.
    fn matches(&self, path: &[String]) -> bool {
        let exact = !self.folder && segments_match(&self.segments, path, false);
        exact || segments_match(&self.segments, path, true)
    }
}

/// Whether the parts of a path match: `**` is any number of them; with `below`, further ones may follow.
fn segments_match(pattern: &[String], path: &[String], below: bool) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => !below,
        (None, Some(_)) => below,
        (Some((first, rest)), _) if first == "**" => {
            if rest.is_empty() {
                return true;
            }
            (0..=path.len()).any(|skip| segments_match(rest, &path[skip..], below))
        }
        (Some((first, rest)), Some((name, others))) => {
            wildcard::matches(first, name, true) && segments_match(rest, others, below)
        }
        (Some(_), None) => false,
    }
}
