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
    /// The references that `imagetools create` or `manifest` gets, each with the conditions that only a run can tell.
    pub(super) tags: Vec<(Text, Vec<String>)>,
    /// It tags images, by names that it computes.
    pub(super) tags_computed: bool,
    /// The conditions under which it does that.
    pub(super) computed_if: Vec<String>,
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

/// What is taken to run at least once.
const LOOPS: [&str; 3] = ["for", "while", "until"];

/// Commands that make an index with names of its own.
const TAGGERS: [&str; 3] = ["docker buildx imagetools create", "imagetools create", "docker manifest create"];

/// Whether the lines of a block run.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    /// None: only a run can tell.
    runs: Option<bool>,
    /// Whether an earlier branch has run.
    ran: Option<bool>,
    /// The line that decides about it. None: a loop, which is taken to run.
    condition: Option<String>,
}

/// A script while it is read.
struct Reader<'a> {
    scope: &'a Scope,
    locals: Vec<(String, Text)>,
    blocks: Vec<Block>,
    /// Conditions under which the script has ended before.
    guards: Vec<String>,
    ended: bool,
    found: Script,
}

/// Reads a script whose expressions are evaluated.
pub(super) fn read(script: &Text, scope: &Scope) -> Script {
    let plain = script.plain();
    let found = Script {
        only_tells: true,
        builds: BUILDERS.into_iter().find(|command| runs(&plain, command)),
        copies: COPIERS.into_iter().find(|command| runs(&plain, command)),
        ..Script::default()
    };
    let (locals, blocks, guards) = (Vec::new(), Vec::new(), Vec::new());
    let mut reader = Reader { scope, locals, blocks, guards, ended: false, found };
    for line in joined(script) {
        if !reader.ended && !reader.block(&line) {
            reader.command(&line);
        }
    }
    let mut found = reader.found;
    let hands_on = plain.contains("GITHUB_OUTPUT") || plain.contains("GITHUB_ENV");
    found.only_tells |= hands_on || plain.contains("GITHUB_STEP_SUMMARY");
    found
}

impl Reader<'_> {
    /// Takes a line that begins, parts or ends a block. False: it is another one.
    fn block(&mut self, line: &Text) -> bool {
        let text = line.plain();
        let word = first_word(&text);
        let ends = END.contains(&word) || text == "}";
        let branch = || shell_condition::holds(&condition_of(line), self.scope, &self.locals);
        match (word, self.blocks.last_mut()) {
            _ if is_closed(&text) => return false,
            ("if", _) => {
                let runs = branch();
                self.blocks.push(Block { runs, ran: runs, condition: Some(text) });
            }
            ("elif", Some(block)) => {
                let runs = branch();
                block.runs = both(not(block.ran), runs);
                block.ran = not(both(not(block.ran), not(block.runs)));
                block.condition = Some(text);
            }
            ("else", Some(block)) => {
                block.runs = not(block.ran);
                block.condition = block.condition.take().map(|condition| format!("{condition} … else"));
            }
            _ if ends => {
                self.blocks.pop();
            }
            _ if BEGIN.contains(&word) || text.ends_with('{') => {
                let condition = (!LOOPS.contains(&word)).then_some(text);
                self.blocks.push(Block { runs: None, ran: None, condition });
            }
            _ => return false,
        }
        true
    }

    fn command(&mut self, line: &Text) {
        let runs = all_of(&self.blocks);
        if runs == Some(false) {
            return;
        }
        let text = line.plain();
        let word = first_word(&text);
        let sure = runs == Some(true) && !is_closed(&text);
        if let Some(at) = TAGGERS.iter().find_map(|tagger| text.find(tagger)) {
            if let Some(conditions) = self.conditions(line, at) {
                tags(line, self.scope, &self.locals, conditions, &mut self.found);
            }
        } else if let Some((name, value, target)) = handed(line) {
            let value = if sure { expand(&value, self.scope, &self.locals) } else { computed(&name) };
            let found = &mut self.found;
            let all = if target.contains("GITHUB_ENV") { &mut found.variables } else { &mut found.outputs };
            all.retain(|(known, _)| known != &name);
            all.push((name, value));
        } else if let Some((name, value)) = assignment(line) {
            let value = if sure { expand(&value, self.scope, &self.locals) } else { computed(&name) };
            self.locals.retain(|(known, _)| known != &name);
            self.locals.push((name, value));
        } else if !text.is_empty() && !is_harmless(word) {
            self.found.only_tells = false;
        }
        if let Some(at) = end_of_script(&text) {
            match self.conditions(line, at) {
                None => {}
                Some(conditions) if conditions.is_empty() => self.ended = true,
                Some(conditions) => self.guards.extend(conditions),
            }
        }
    }

    /// What only a run can tell of the conditions of a command that begins at a place of a line. None: it does not run.
    fn conditions(&self, line: &Text, at: usize) -> Option<Vec<String>> {
        let unknown = self.blocks.iter().filter(|block| block.runs.is_none());
        let unknown = unknown.filter_map(|block| block.condition.clone());
        let mut conditions: Vec<String> = self.guards.iter().cloned().chain(unknown).collect();
        let text = line.plain();
        let mut before = text.get(..at).unwrap_or_default();
        let holds = |condition: &Text| shell_condition::holds(condition, self.scope, &self.locals);
        if is_closed(&text) && first_word(&text) == "if" {
            let (condition, rest) = before.split_once("; then ").unwrap_or((before, ""));
            match holds(&condition_of(&line.cut(0..condition.len()))) {
                Some(true) if !rest.contains("else ") && !condition.contains("elif ") => {}
                Some(false) if !rest.contains("else ") && !rest.contains("elif ") => return None,
                _ => conditions.push(condition.trim().trim_end_matches(';').to_owned()),
            }
            before = rest;
        }
        // `./is-newest.sh && docker …`: what cannot fail in a way that goes on is no condition.
        let start = before.rfind(';').map_or(0, |at| at + 1);
        let start = text.get(..at).unwrap_or_default().len() - before.len() + start;
        let joint = text.get(start..at).unwrap_or_default();
        let end = joint.rfind("&&").or_else(|| joint.rfind("||"));
        if let Some(end) = end {
            let condition = line.cut(start..start + end).trim();
            let plain = condition.plain();
            let alternative = joint.contains("||");
            let plainly =
                |part: &str| is_harmless(first_word(part.trim())) || first_word(part.trim()) == "cd";
            let wanted = !joint.get(end..).is_some_and(|rest| rest.starts_with("||"));
            match holds(&condition) {
                Some(truth) if truth == wanted => {}
                Some(_) => return None,
                None if !alternative && plain.split("&&").all(plainly) => {}
                None => conditions.push(plain),
            }
        }
        Some(conditions)
    }
}

fn first_word(text: &str) -> &str {
    text.split([' ', ';', '(']).next().unwrap_or_default()
}

/// Whether a block begins and ends in one line.
fn is_closed(text: &str) -> bool {
    END.iter().any(|end| text.ends_with(&format!("; {end}")))
}

/// Where a line ends the script without a failure.
fn end_of_script(text: &str) -> Option<usize> {
    let places = text.match_indices("exit").map(|(at, _)| at);
    let ends = |at: &usize| {
        let before = text.get(..*at).unwrap_or_default();
        let after = text.get(at + 4..).unwrap_or_default();
        let after = after.split([';', '}', '#']).next().unwrap_or_default().trim();
        let starts = before.trim_end().is_empty()
            || ["&&", "||", ";", "then", "else", "{"].iter().any(|sign| before.trim_end().ends_with(sign));
        starts && matches!(after, "" | "0")
    };
    places.into_iter().find(ends)
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
fn tags(line: &Text, scope: &Scope, locals: &[(String, Text)], conditions: Vec<String>, found: &mut Script) {
    let words = line.split(' ');
    let (mut named, mut computed) = (false, false);
    for (word, next) in words.iter().zip(words.iter().skip(1)) {
        let plain = word.plain();
        if matches!(plain.as_str(), "-t" | "--tag")
            || (plain == "create" && line.plain().contains("manifest create"))
        {
            let reference = expand(&unquoted(next), scope, locals);
            named = true;
            if reference.is_unknown() {
                computed = true;
            } else {
                found.tags.push((reference, conditions.clone()));
            }
        }
    }
    computed |= !named;
    found.tags_computed |= computed;
    found.computed_if.extend(conditions.into_iter().filter(|_| computed));
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
