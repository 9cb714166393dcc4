//! Values of options that are more than a text.

use anyhow::Result;
use std::time::Duration;

use crate::base::error::UserError;
use crate::base::ids::Name;

fn pair(text: &str, form: &str) -> Result<(Name, String)> {
    let (key, value) = text.split_once('=').ok_or_else(|| UserError::invalid(format!("expected {form}")))?;
    Ok((key.parse()?, value.to_owned()))
}

pub(super) fn axis_value(text: &str) -> Result<(Name, String)> {
    pair(text, "AXIS=VALUE")
}

pub(super) fn track_version(text: &str) -> Result<(Name, String)> {
    pair(text, "TRACK=VERSION").and_then(|(track, version)| {
        let valid = !version.is_empty() && !version.contains(char::is_whitespace);
        valid.then_some((track, version)).ok_or_else(|| UserError::invalid("expected TRACK=VERSION").into())
    })
}

pub(super) fn time(text: &str) -> Result<String, String> {
    let time =
        humantime::parse_rfc3339(text).map_err(|_| "expected a time in UTC, e.g. 2026-12-24T08:00:00Z")?;
    Ok(humantime::format_rfc3339_seconds(time).to_string())
}

pub(super) fn age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}\nhelp: e.g. 12h, 7d or 6months"))
}
