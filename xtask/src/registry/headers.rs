//! Headers of answers: `WWW-Authenticate`, `Link`, `Retry-After`. Pure.
//!
//! Sources: RFC 9110 (challenges, `Retry-After`), RFC 8288 (`Link`), and distribution's `docs/spec/auth/token.md`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// How a registry wants to be told who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token that another server gives.
    Bearer {
        /// The address of that server.
        realm: String,
        /// What to tell it of this registry; may be empty.
        service: String,
        /// What the token must allow, as the registry says; may be empty.
        scope: String,
    },
}

/// The challenge of an answer: a token where that is offered, else user and password.
pub(super) fn challenge<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
    let mut found = None;
    for (scheme, mut parameters) in headers.into_iter().flat_map(challenges) {
        let mut take = |name: &str| parameters.remove(name).unwrap_or_default();
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => {
                let (realm, service, scope) = (take("realm"), take("service"), take("scope"));
                return Some(Challenge::Bearer { realm, service, scope });
            }
            "basic" => found = Some(Challenge::Basic),
            _ => {}
        }
    }
    found
}

/// The schemes of one header, each with its parameters.
fn challenges(header: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (name, after) = token(rest);
        if name.is_empty() {
            // Not of the grammar: what was read so far counts.
            break;
        }
        rest = after.trim_start();
        if let Some(value) = rest.strip_prefix('=') {
            let (value, after) = value_of(value.trim_start());
            if let Some((_, parameters)) = found.last_mut() {
                parameters.insert(name.to_ascii_lowercase(), value);
            }
            rest = after.trim_start();
        } else {
            found.push((name.to_owned(), BTreeMap::new()));
        }
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    found
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_whitespace() || "=,\"".contains(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

/// The target of the `Link` header that names the next page.
pub(super) fn next_page(header: &str) -> Option<&str> {
    let is_next = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let mut kinds = value.trim_end_matches([',', ' ']).trim_matches([' ', '"']).split(' ');
        (name.trim().eq_ignore_ascii_case("rel") && kinds.any(|kind| kind == "next")).then_some(())
    };
    let links = header.split('<').skip(1).filter_map(|link| link.split_once('>'));
    links
        .into_iter()
        .find(|(_, rest)| rest.split(';').any(|part| is_next(part).is_some()))
        .map(|(target, _)| target)
}

/// How long to wait: seconds, a number with a unit as GitHub's registry writes it (`12.5ms`), or a date, which counts from
/// when the answer was `sent` by the clock that wrote both.
pub(super) fn retry_after(text: &str, sent: Option<SystemTime>) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if let Ok(number) = number.parse::<f64>() {
        let factor = match unit {
            "" | "s" => 1.0,
            "ms" => 1e-3,
            "µs" | "us" => 1e-6,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        return Duration::try_from_secs_f64(number * factor).ok();
    }
    date(text).zip(sent).map(|(date, sent)| date.duration_since(sent).unwrap_or_default())
}

/// A date of HTTP, `Sat, 21 Nov 2026 17:13:20 GMT`.
pub(super) fn date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)? + 1;
    humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: &str, scope: &str) -> Option<Challenge> {
        let text = str::to_owned;
        Some(Challenge::Bearer { realm: text(realm), service: text(service), scope: text(scope) })
    }

    #[test]
    fn challenges_are_read() {
        let table = [
            (
                r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull""#,
                bearer("https://ghcr.io/token", "ghcr.io", "repository:user/image:pull"),
            ),
            (
                r#"Bearer realm="https://auth.example/token", service="a, \"b\"" , scope="repository:a:pull,push",error="insufficient_scope""#,
                bearer("https://auth.example/token", "a, \"b\"", "repository:a:pull,push"),
            ),
            (r#"bearer realm=https://r.example/token"#, bearer("https://r.example/token", "", "")),
            (r#"Basic realm="kit""#, Some(Challenge::Basic)),
            (r#"Basic realm="x", Bearer realm="https://r/t""#, bearer("https://r/t", "", "")),
            ("Negotiate", None),
            ("", None),
            (r#"="#, None),
        ];
        for (header, expected) in table {
            assert_eq!(challenge([header]), expected, "{header}");
        }
        assert_eq!(challenge(["Negotiate", "BASIC"]), Some(Challenge::Basic));
    }

    #[test]
    fn the_next_page_is_found() {
        let table = [
            (r#"</v2/a/tags/list?n=2&last=b>; rel="next""#, Some("/v2/a/tags/list?n=2&last=b")),
            (
                r#"<https://r.example/v2/a/tags/list?last=c>;rel=next"#,
                Some("https://r.example/v2/a/tags/list?last=c"),
            ),
            (r#"</first>; rel="first", </second>; rel="prev next""#, Some("/second")),
            (r#"</first>; rel="first""#, None),
            ("nonsense", None),
            ("", None),
        ];
        for (header, expected) in table {
            assert_eq!(next_page(header), expected, "{header}");
        }
    }

    #[test]
    fn pauses_come_in_three_forms() {
        let now = humantime::parse_rfc3339("2026-11-21T17:13:20Z").unwrap();
        let table = [
            ("120", Some(Duration::from_secs(120))),
            ("1.5", Some(Duration::from_millis(1500))),
            ("12.5ms", Some(Duration::from_micros(12_500))),
            ("2m", Some(Duration::from_secs(120))),
            ("Sat, 21 Nov 2026 17:13:50 GMT", Some(Duration::from_secs(30))),
            ("Sat, 21 Nov 2026 17:00:00 GMT", Some(Duration::ZERO)),
            ("soon", None),
            ("-3", None),
            ("1e400", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(retry_after(text, Some(now)), expected, "{text}");
        }
    }
}
