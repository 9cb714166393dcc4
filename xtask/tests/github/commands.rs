//! What a step says to its runner: commands in its log, and the files of `GITHUB_OUTPUT` and its like.
//! `ActionCommandManager.cs` and `FileCommandManager.cs` of actions/runner.

use std::collections::BTreeMap;

/// A command in a log.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    pub name: String,
    pub properties: BTreeMap<String, String>,
    pub message: String,
}

/// `::name key=value,key=value::message`, or the older `##[name key=value;]message`.
pub fn parse(line: &str) -> Option<Command> {
    let trimmed = line.trim_start();
    if let Some(rest) = trimmed.strip_prefix("::") {
        let (head, message) = rest.split_once("::")?;
        return command(
            head,
            ',',
            message,
            &[("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")],
        );
    }
    let (head, message) = line.split_once("##[")?.1.split_once(']')?;
    command(head, ';', message, &[("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%25", "%")])
}

fn command(head: &str, between: char, message: &str, escapes: &[(&str, &str)]) -> Option<Command> {
    let decode = |text: &str| escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let (name, rest) = head.trim().split_once(' ').unwrap_or((head.trim(), ""));
    if name.is_empty() {
        return None;
    }
    let pair = |pair: &str| pair.split_once('=').map(|(key, value)| (key.trim().to_owned(), decode(value)));
    let properties = rest.split(between).filter_map(pair).collect();
    Some(Command { name: name.to_owned(), properties, message: decode(message) })
}

/// The pairs of a file: `NAME=VALUE`, or `NAME<<MARK`, lines, `MARK`.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (equals, mark) = (line.find('='), line.find("<<"));
        match (equals, mark) {
            (Some(at), mark) if mark.is_none_or(|mark| at < mark) => {
                found.push((line[..at].to_owned(), line[at + 1..].to_owned()));
            }
            (_, Some(at)) => {
                let (name, mark) = (&line[..at], &line[at + 2..]);
                if name.is_empty() || mark.is_empty() {
                    return Err(format!(
                        "Invalid format '{line}'. Name must not be empty and delimiter must not be empty"
                    ));
                }
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some(line) if line == mark => break,
                        Some(line) => value.push(line),
                        None => return Err(format!("Invalid value. Matching delimiter not found '{mark}'")),
                    }
                }
                found.push((name.to_owned(), value.join("\n")));
            }
            _ => return Err(format!("Invalid format '{line}'")),
        }
    }
    Ok(found)
}
