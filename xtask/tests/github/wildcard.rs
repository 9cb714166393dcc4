//! What `minimatch` makes of one name: `*`, `?`, `[a-z]` and, for names of artifacts, `{a,b}`, `!` and `#`.

/// Whether a name matches. Without `dot`, a dot at its begin is matched by a dot only.
pub fn matches(pattern: &str, name: &str, dot: bool) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    if !dot && name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    walk(&pattern, &name)
}

fn walk(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|skip| walk(rest, &name[skip..])),
        ['?', rest @ ..] => !name.is_empty() && walk(rest, &name[1..]),
        ['\\', c, rest @ ..] => name.first() == Some(c) && walk(rest, &name[1..]),
        ['[', rest @ ..] => match class(rest) {
            Some((set, after)) => name.first().is_some_and(|c| in_class(set, *c)) && walk(after, &name[1..]),
            None => name.first() == Some(&'[') && walk(rest, &name[1..]),
        },
        [c, rest @ ..] => name.first() == Some(c) && walk(rest, &name[1..]),
    }
}

/// The set behind `[`, and what follows it.
fn class(rest: &[char]) -> Option<(&[char], &[char])> {
    let skip = usize::from(matches!(rest.first(), Some('!' | '^'))) + 1;
    let end = rest.iter().skip(skip).position(|c| *c == ']')? + skip;
    Some((&rest[..end], &rest[end + 1..]))
}

fn in_class(set: &[char], c: char) -> bool {
    let (negate, set) = match set {
        ['!' | '^', set @ ..] => (true, set),
        _ => (false, set),
    };
    let ranged = set.windows(3).any(|range| range[1] == '-' && (range[0]..=range[2]).contains(&c));
    (ranged || set.contains(&c)) != negate
}

/// A segment without wildcards as the name that it stands for.
pub fn literal(segment: &str) -> Option<String> {
    let segment = segment.replace("[[]", "\u{0}");
    (!segment.contains(['*', '?', '['])).then(|| segment.replace('\u{0}', "["))
}

/// The pattern of a name of an artifact, by the defaults of `minimatch`.
pub fn name_matches(pattern: &str, name: &str) -> Result<bool, String> {
    if ["+(", "@(", "?(", "*(", "!("].iter().any(|sign| pattern.contains(sign)) {
        return Err(format!("pattern {pattern:?}: groups are not modelled"));
    }
    if pattern.starts_with('#') {
        return Ok(false);
    }
    let bare = pattern.trim_start_matches('!');
    let negate = (pattern.len() - bare.len()) % 2 == 1;
    Ok(braces(bare)?.iter().any(|pattern| matches(pattern, name, false)) != negate)
}

/// `a{b,c}` is `ab` and `ac`. Braces around one word are the braces themselves.
pub fn braces(pattern: &str) -> Result<Vec<String>, String> {
    for (at, _) in pattern.match_indices('{') {
        let (mut depth, mut commas, mut end) = (0_usize, Vec::new(), None);
        for (place, c) in pattern[at..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => {
                    end = Some(at + place);
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 1 => commas.push(at + place),
                _ => {}
            }
        }
        let Some(end) = end else { continue };
        if pattern[at..end].contains("..") {
            return Err(format!("pattern {pattern:?}: a range in braces is not modelled"));
        }
        if commas.is_empty() {
            continue;
        }
        let starts = std::iter::once(at).chain(commas.iter().copied());
        let ends = commas.iter().copied().chain([end]);
        let mut found = Vec::new();
        for (start, stop) in starts.zip(ends) {
            let (before, after) = (&pattern[..at], &pattern[end + 1..]);
            found.extend(braces(&format!("{before}{}{after}", &pattern[start + 1..stop]))?);
        }
        return Ok(found);
    }
    Ok(vec![pattern.to_owned()])
}
