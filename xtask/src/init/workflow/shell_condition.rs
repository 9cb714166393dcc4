//! Conditions of the shell: `[[ "$A" == b ]]`, joined by `&&` and `||`.

use crate::init::workflow::scope::Scope;
use crate::init::workflow::shell::{expand, unquoted};
use crate::init::workflow::text::{Text, Value};

/// The longest condition that is read: each part of it takes some of the stack.
const LONGEST: usize = 2000;

/// Whether a condition holds. None: only a run can tell, or it is another command.
pub(super) fn holds(condition: &Text, scope: &Scope, locals: &[(String, Text)]) -> Option<bool> {
    let truth = command(condition, scope, locals);
    scope.log(&condition.plain(), &truth.map_or(Value::Unknown, Value::Bool));
    truth
}

fn command(condition: &Text, scope: &Scope, locals: &[(String, Text)]) -> Option<bool> {
    let plain = condition.plain();
    if plain.len() > LONGEST {
        return None;
    }
    let inner = [("[[", "]]"), ("[", "]")].iter().find_map(|(open, close)| {
        let inner = plain.strip_prefix(open)?.strip_suffix(close)?;
        (!inner.contains(close)).then_some((open.len(), inner.len()))
    });
    match inner {
        Some((start, length)) => joint(&condition.cut(start..start + length).trim(), scope, locals, test),
        None if plain.contains("&&") || plain.contains("||") => joint(condition, scope, locals, command),
        None => None,
    }
}

/// How one of several conditions is looked at.
type One = fn(&Text, &Scope, &[(String, Text)]) -> Option<bool>;

/// Conditions that are joined: both signs bind alike in the shell, from left to right.
fn joint(conditions: &Text, scope: &Scope, locals: &[(String, Text)], one: One) -> Option<bool> {
    let plain = conditions.plain();
    let last = ["&&", "||"].iter().filter_map(|sign| plain.rfind(sign).map(|at| (at, *sign))).max();
    let Some((at, sign)) = last else { return one(conditions, scope, locals) };
    let before = joint(&conditions.cut(0..at).trim(), scope, locals, one);
    let after = one(&conditions.cut(at + 2..plain.len()).trim(), scope, locals);
    match (sign, before, after) {
        ("&&", Some(false), _) | ("&&", _, Some(false)) => Some(false),
        ("||", Some(true), _) | ("||", _, Some(true)) => Some(true),
        (_, Some(before), Some(after)) => Some(if sign == "&&" { before && after } else { before || after }),
        _ => None,
    }
}

/// What stands between brackets.
fn test(condition: &Text, scope: &Scope, locals: &[(String, Text)]) -> Option<bool> {
    let words = condition.split(' ');
    let value = |word: &Text| {
        let value = expand(&unquoted(word), scope, locals);
        (!value.is_unknown()).then(|| value.plain())
    };
    match words.as_slice() {
        [word] => Some(!value(word)?.is_empty()),
        [operator, word] => match operator.plain().as_str() {
            "-n" => Some(!value(word)?.is_empty()),
            "-z" => Some(value(word)?.is_empty()),
            _ => None,
        },
        [one, operator, other] => {
            let (one, pattern) = (value(one)?, value(other)?);
            let fits = match pattern.strip_suffix('*') {
                Some(start) if !start.contains('*') => one.starts_with(start),
                None if !pattern.contains('*') => one == pattern,
                _ => return None,
            };
            match operator.plain().as_str() {
                "==" | "=" => Some(fits),
                "!=" => Some(!fits),
                _ => None,
            }
        }
        _ => None,
    }
}
