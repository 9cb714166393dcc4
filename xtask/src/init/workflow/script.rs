//! Scripts of `run` steps: what their plain lines hand to later steps, which tags they set, what else they do.

use crate::init::workflow::scope::Scope;
use crate::init::workflow::shell::{expand, unquoted};
use crate::init::workflow::shell_condition;
use crate::init::workflow::text::Text;

/// What was read of a script.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Script {
    /// What it appends to `$GITHUB_OUTPUT`.
    pub(super) outputs: Vec<(String, Text)>,
    /// What it appends to `$GITHUB_ENV`.
    pub(super) variables: Vec<(String, Text)>,
    /// The references that `imagetools create` or `manifest` gets.
    pub(super) tags: Vec<Text>,
    /// It tags images, by names that it computes.
    pub(super) tags_computed: bool,
    /// The command that builds or pushes.
    pub(super) builds: Option<&'static str>,
    /// The command that copies images to another name.
    pub(super) copies: Option<&'static str>,
    /// It does nothing but hand on values or talk.
    pub(super) only_tells: bool,
}

/// Commands that make images.
const BUILDERS: [&str; 12] = [
    "docker buildx build",
    "docker buildx bake",
    "docker image build",
    "docker build",
    "docker push",
    "docker image push",
    "docker compose build",
    "podman build",
    "buildah bud",
    "buildah build",
    "buildah push",
    "/kaniko/executor",
];

/// Commands that give images other names.
const COPIERS: [&str; 6] =
    ["skopeo copy", "crane copy", "crane tag", "regctl image copy", "docker tag", "docker image tag"];

/// Words that begin and end what may be skipped, or run more than once.
const BEGIN: [&str; 6] = ["if", "for", "while", "until", "case", "select"];
const END: [&str; 3] = ["fi", "done", "esac"];

/// Whether the lines of a block run.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block {
    /// None: only a run can tell.
    runs: Option<bool>,
    /// Whether an earlier branch has run.
    ran: Option<bool>,
}

/// Reads a script whose expressions are evaluated.
pub(super) fn read(script: &Text, scope: &Scope) -> Script {
    let plain = script.plain();
    let mut found = Script { only_tells: true, ..Script::default() };
    found.builds = BUILDERS.into_iter().find(|command| runs(&plain, command));
    found.copies = COPIERS.into_iter().find(|command| runs(&plain, command));
    let mut locals: Vec<(String, Text)> = Vec::new();
    let mut blocks: Vec<Block> = Vec::new();
    for line in joined(script) {
        let text = line.plain();
        let word = text.split([' ', ';', '(']).next().unwrap_or_default();
        let ends = END.contains(&word) || text == "}";
        let closed = END.iter().any(|end| text.ends_with(&format!("; {end}")));
        match (word, blocks.last_mut()) {
            _ if closed => {}
            ("if", _) => {
                let runs = shell_condition::holds(&condition_of(&line), scope, &locals);
                blocks.push(Block { runs, ran: runs });
                continue;
            }
            ("elif", Some(block)) => {
                let runs = shell_condition::holds(&condition_of(&line), scope, &locals);
                block.runs = both(not(block.ran), runs);
                block.ran = not(both(not(block.ran), not(block.runs)));
                continue;
            }
            ("else", Some(block)) => {
                block.runs = not(block.ran);
                continue;
            }
            _ if ends => {
                blocks.pop();
                continue;
            }
            _ if BEGIN.contains(&word) || text.ends_with('{') => {
                blocks.push(Block { runs: None, ran: None });
                continue;
            }
            _ => {}
        }
        let runs = all_of(&blocks);
        if runs == Some(false) {
            continue;
        }
        let sure = runs == Some(true) && !closed;
        if text.contains("imagetools create") || text.contains("docker manifest create") {
            tags(&line, scope, &locals, &mut found);
        } else if let Some((name, value, target)) = handed(&line) {
            let value = if sure { expand(&value, scope, &locals) } else { computed(&name) };
            let all = if target.contains("GITHUB_ENV") { &mut found.variables } else { &mut found.outputs };
            all.retain(|(known, _)| known != &name);
            all.push((name, value));
        } else if let Some((name, value)) = assignment(&line) {
            let value = if sure { expand(&value, scope, &locals) } else { computed(&name) };
            locals.retain(|(known, _)| known != &name);
            locals.push((name, value));
        } else if !text.is_empty() && !is_harmless(word) {
            found.only_tells = false;
        }
    }
    let hands_on = plain.contains("GITHUB_OUTPUT") || plain.contains("GITHUB_ENV");
    found.only_tells |= hands_on || plain.contains("GITHUB_STEP_SUMMARY");
    found
}

/// Whether a line in some blocks runs.
fn all_of(blocks: &[Block]) -> Option<bool> {
    let mut runs = Some(true);
    for block in blocks {
        runs = both(runs, block.runs);
    }
    runs
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| !truth)
}

fn both(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// What stands between `if` and `then`.
fn condition_of(line: &Text) -> Text {
    let plain = line.plain();
    let start = plain.find(' ').unwrap_or(plain.len());
    let end = plain.rfind("; then").or_else(|| plain.rfind(";then")).unwrap_or(plain.len());
    line.cut(start..end.max(start)).trim()
}

/// Whether a script has a command, and not only one whose name is longer.
fn runs(script: &str, command: &str) -> bool {
    let mut rest = script;
    while let Some((_, after)) = rest.split_once(command) {
        if after.is_empty() || after.starts_with(char::is_whitespace) {
            return true;
        }
        rest = after;
    }
    false
}

fn computed(name: &str) -> Text {
    Text::unknown(&format!("${name}"))
}

/// Commands that change no file.
fn is_harmless(word: &str) -> bool {
    matches!(
        word,
        "echo"
            | "printf"
            | "set"
            | "docker"
            | "cat"
            | "ls"
            | "env"
            | "df"
            | "exit"
            | "cosign"
            | "export"
            | "then"
            | "else"
            | "{"
            | "}"
            | ":"
            | "true"
            | "uname"
            | "gh"
    ) || BEGIN.contains(&word)
        || END.contains(&word)
}

/// The commands, with lines that a backslash breaks put together, and without comments.
fn joined(script: &Text) -> Vec<Text> {
    let mut lines: Vec<Text> = Vec::new();
    let mut open: Option<Text> = None;
    for line in script.lines() {
        let plain = line.plain();
        let mut whole = open.take().unwrap_or_default();
        match plain.strip_suffix('\\') {
            Some(rest) => {
                whole.push(line.cut(0..rest.len()));
                whole.push(Text::typed(" "));
                open = Some(whole);
            }
            None => {
                whole.push(line);
                lines.push(whole);
            }
        }
    }
    lines.extend(open);
    lines
}

/// `echo "NAME=VALUE" >> $GITHUB_OUTPUT`: name, value and where it goes.
fn handed(line: &Text) -> Option<(String, Text, String)> {
    let plain = line.plain();
    let (command, target) = plain.split_once(">>")?;
    if !target.contains("GITHUB_OUTPUT") && !target.contains("GITHUB_ENV") {
        return None;
    }
    let start = command.find("echo ")? + 5;
    let said = unquoted(&line.cut(start..command.len()));
    let (name, value) = said.split_once('=')?;
    let name = name.plain();
    is_name(&name).then(|| (name, unquoted(&value), target.to_owned()))
}

/// `NAME=VALUE`.
fn assignment(line: &Text) -> Option<(String, Text)> {
    let (name, value) = line.split_once('=')?;
    let name = name.plain();
    let name = name.strip_prefix("export ").unwrap_or(&name).trim_end_matches('+').to_owned();
    is_name(&name).then(|| (name, unquoted(&value)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// The references behind `-t`, `--tag`, `create` and so on of a command that makes an index.
fn tags(line: &Text, scope: &Scope, locals: &[(String, Text)], found: &mut Script) {
    let words = line.split(' ');
    let mut named = false;
    for (word, next) in words.iter().zip(words.iter().skip(1)) {
        let plain = word.plain();
        if matches!(plain.as_str(), "-t" | "--tag")
            || (plain == "create" && line.plain().contains("manifest create"))
        {
            let reference = expand(&unquoted(next), scope, locals);
            named = true;
            if reference.is_unknown() {
                found.tags_computed = true;
            } else {
                found.tags.push(reference);
            }
        }
    }
    found.tags_computed |= !named;
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
