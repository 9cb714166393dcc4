//! `docs/architecture.md` against the source: which room may use which, no circle of files, how long a file may be,
//! and which files a usual change touches.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may panic too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The longest file, in lines, its unit tests included.
const LONGEST: usize = 400;

/// The lines of all commands together.
const COMMANDS: usize = 2200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One source file.
struct File {
    /// Relative to `xtask/src`, e.g. `plan/tags.rs`.
    path: String,
    text: String,
}

impl File {
    /// Its module, e.g. `plan::tags`; that of `plan/mod.rs` is `plan`.
    fn module(&self) -> String {
        let path = self.path.strip_suffix(".rs").unwrap();
        path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
    }

    /// What is compiled without tests: comments and the tests at the end are blank, so that line numbers stay.
    fn code(&self) -> String {
        let text = self.text.split_once("\n#[cfg(test)]").map_or(self.text.as_str(), |(code, _)| code);
        let line =
            |line: &str| if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn room(path: &str) -> &str {
    path.split_once('/').map_or(path, |(room, _)| room)
}

/// Every file below `xtask/src`, sorted.
fn files() -> Vec<File> {
    let source = root().join("xtask/src");
    let (mut files, mut open) = (Vec::new(), vec![source.clone()]);
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else if !path.to_str().unwrap().ends_with("_tests.rs") {
                let name = path.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
                files.push(File { path: name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    files.sort_by(|one, two| one.path.cmp(&two.path));
    files
}

/// The rows of the table in `docs/architecture.md` whose first column has a title.
fn table(title: &str) -> Vec<Vec<String>> {
    let text = read("docs/architecture.md");
    let rows = text.lines().skip_while(|line| !line.starts_with(&format!("| {title} "))).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rooms, each with its place; a larger one is higher. The files beside the rooms share one.
fn rooms() -> BTreeMap<String, usize> {
    let rows = table("room (`xtask/src/`)");
    let count = rows.len();
    let places = rows.iter().enumerate().flat_map(|(index, row)| {
        let names = quoted(&row[0]).into_iter().map(|name| name.trim_end_matches('/').to_owned());
        names.map(move |name| (name, count - index)).collect::<Vec<_>>()
    });
    places.collect()
}

/// The paths at the start of a text, behind `crate::`: `a::{b, c::D}` is `a::b` and `a::c::D`.
fn paths(code: &str) -> Vec<String> {
    if let Some(group) = code.strip_prefix('{') {
        return parts(group).into_iter().flat_map(paths).collect();
    }
    let end = code.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(code.len());
    let (name, rest) = code.split_at(end);
    match rest.strip_prefix("::") {
        Some(rest) => paths(rest).into_iter().map(|path| format!("{name}::{path}")).collect(),
        None => vec![name.to_owned()],
    }
}

/// What commas part, up to the brace that closes.
fn parts(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        if depth == 0 && matches!(c, ',' | '}') {
            found.push(group[start..at].trim());
            start = at + 1;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    found.retain(|part| !part.is_empty());
    found
}

/// A file that another one names: where, and in which words.
struct Arrow<'f> {
    from: &'f str,
    to: &'f str,
    line: usize,
    path: String,
}

impl std::fmt::Display for Arrow<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "xtask/src/{}:{}: {} ({})", self.from, self.line, self.path, self.to)
    }
}

/// Every absolute path to another file, outside of tests.
fn arrows(files: &[File]) -> Vec<Arrow<'_>> {
    let modules: BTreeMap<String, &str> =
        files.iter().map(|file| (file.module(), file.path.as_str())).collect();
    let mut arrows = Vec::new();
    for file in files {
        let code = file.code();
        let roots = ["crate::", "xtask_images::"].into_iter().flat_map(|root| code.match_indices(root));
        for (at, root) in roots {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':')) {
                continue;
            }
            let line = code[..at].matches('\n').count() + 1;
            for path in paths(&code[at + root.len()..]) {
                let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
                let found = ends.filter_map(|end| modules.get(&path[..end])).last();
                if let Some(to) = found.filter(|to| **to != file.path) {
                    arrows.push(Arrow { from: &file.path, to, line, path });
                }
            }
        }
    }
    arrows
}

fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn every_room_is_in_the_document_and_there() {
    let documented: BTreeSet<String> = rooms().into_keys().collect();
    let found: BTreeSet<String> =
        files().iter().map(|file| room(&file.path).to_owned()).filter(|room| room != "lib.rs").collect();
    assert_eq!(found, documented);
}

#[test]
fn no_arrow_points_up() {
    let (files, rooms) = (files(), rooms());
    let place = |path: &str| rooms[room(path)];
    let arrows = arrows(&files);
    assert!(arrows.len() > 300, "{}", arrows.len());
    let up = arrows.iter().filter(|arrow| place(arrow.to) > place(arrow.from));
    none("a room uses one above it in docs/architecture.md", &up.map(Arrow::to_string).collect::<Vec<_>>());
}

#[test]
fn no_circle_of_files() {
    let files = files();
    let arrows = arrows(&files);
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in &arrows {
        next.entry(arrow.from).or_default().insert(arrow.to);
    }
    // What can be reached from a file; an arrow back from there closes a circle.
    let reach = |from| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            open.extend(next.get(file).into_iter().flatten().copied().filter(|file| seen.insert(*file)));
        }
        seen
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        files.iter().map(|file| (&*file.path, reach(&*file.path))).collect();
    let mut closed: Vec<&Arrow<'_>> =
        arrows.iter().filter(|arrow| reach[arrow.to].contains(arrow.from)).collect();
    closed.dedup_by_key(|arrow| (arrow.from, arrow.to));
    none(
        "files import each other in a circle",
        &closed.into_iter().map(Arrow::to_string).collect::<Vec<_>>(),
    );
}

#[test]
fn imports_are_absolute() {
    let relative = files().into_iter().flat_map(|file| {
        let code = file.code();
        let lines =
            code.lines().enumerate().filter(|(_, line)| line.contains("super::") || line.contains("self::"));
        lines.map(|(at, line)| format!("xtask/src/{}:{}: {line}", file.path, at + 1)).collect::<Vec<_>>()
    });
    none("these paths begin where they stand", &relative.collect::<Vec<_>>());
}

#[test]
fn every_file_of_commands_is_a_command() {
    let cli = read("xtask/src/cli/mod.rs");
    let variants = cli.split_once("pub(crate) enum Command {\n").unwrap().1;
    let variants = variants.split("\n}\n").next().unwrap();
    let named = |line: &str| {
        let name = line.strip_prefix("    ")?;
        let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
        name.starts_with(char::is_uppercase).then(|| format!("commands/{}.rs", name[..end].to_lowercase()))
    };
    let commands: BTreeSet<String> = variants.lines().filter_map(named).collect();
    let files = files();
    let rooms: Vec<&File> = files.iter().filter(|file| room(&file.path) == "commands").collect();
    let found: BTreeSet<String> = rooms.iter().map(|file| file.path.clone()).collect();
    let others: Vec<&String> = found.symmetric_difference(&commands).collect();
    assert_eq!(others, ["commands/mod.rs"]);
    let lines: usize = rooms.iter().map(|file| file.text.lines().count()).sum();
    assert!(lines <= COMMANDS, "the commands have {lines} lines, of at most {COMMANDS}");
}

#[test]
fn no_file_is_too_long() {
    let lengths = files().into_iter().map(|file| (file.text.lines().count(), file.path));
    let long = lengths.filter(|(lines, _)| *lines > LONGEST);
    let long = long.map(|(lines, path)| format!("xtask/src/{path}: {lines} lines, of at most {LONGEST}"));
    none("split these", &long.collect::<Vec<_>>());
}

/// Each row names a word that stands for such a change, and of `xtask/src` exactly the files that have it; with each file
/// a text that shows the place. Beside those it names files that are no source.
#[test]
fn usual_changes_touch_what_the_document_says() {
    let (files, rows) = (files(), table("usual change"));
    assert_eq!(rows.len(), 5);
    for row in rows {
        let [change, word, places] = row.as_slice() else { panic!("{row:?}") };
        let word = quoted(word)[0];
        let mut documented: BTreeSet<&str> = BTreeSet::new();
        for place in quoted(places).chunks(2) {
            let [path, marker] = place else { panic!("{change}: {place:?} lacks what stands there") };
            assert!(read(path).contains(marker), "{change}: {path} lacks `{marker}`");
            documented.extend(path.strip_prefix("xtask/src/"));
        }
        let is_word =
            |code: &str| code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|part| part == word);
        let found: BTreeSet<&str> =
            files.iter().filter(|file| is_word(&file.code())).map(|file| file.path.as_str()).collect();
        assert_eq!(found, documented, "{change}: the files that have `{word}`");
    }
}

#[test]
fn groups_of_paths_are_taken_apart() {
    let table: [(&str, &[&str]); 6] = [
        ("plan::Plan;", &["plan::Plan"]),
        (
            "plan::{self, Plan, tags::{One, Two}};\nuse x::{y};",
            &["plan::self", "plan::Plan", "plan::tags::One", "plan::tags::Two"],
        ),
        ("{plan::{Plan, tags::One}, run}, x", &["plan::Plan", "plan::tags::One", "run"]),
        ("plan::tags::*;", &["plan::tags::"]),
        ("run::{\n    Finished,\n    retry,\n};", &["run::Finished", "run::retry"]),
        ("run::retry::check(a, b)", &["run::retry::check"]),
    ];
    for (code, expected) in table {
        assert_eq!(paths(code), expected, "{code}");
    }
}
