//! Parts of YAML files, whatever their type turns out to be.

use anyhow::Result;
use serde_yaml_ng::Value as Yaml;

use crate::base::error::UserError;

/// The longest file that is read.
const LONGEST: usize = 1024 * 1024;

/// Reads a file.
///
/// # Errors
/// If it is no YAML.
pub(super) fn parse(file_name: &str, text: &str) -> Result<Yaml> {
    if text.len() > LONGEST {
        let error = UserError::invalid(format!("{file_name} has more than 1 MiB"));
        return Err(error.help("this is no workflow that GitHub would run: leave it out").into());
    }
    serde_yaml_ng::from_str(text).map_err(|error| {
        let at = error.location().map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
        let message = error.to_string();
        // The place stands in front already.
        let what = message.split(" at line ").next().unwrap_or_default();
        UserError::invalid(format!("{file_name}{at}: {what}"))
            .help("correct the YAML there, or leave the file out")
            .into()
    })
}

/// A scalar of the file as a text.
pub(super) fn scalar(yaml: &Yaml) -> String {
    match yaml {
        Yaml::String(text) => text.clone(),
        Yaml::Bool(truth) => truth.to_string(),
        Yaml::Number(number) => number.as_f64().map_or_else(String::new, |number| number.to_string()),
        Yaml::Tagged(tagged) => scalar(&tagged.value),
        Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) => String::new(),
    }
}

/// A part of a mapping; what is missing is null.
pub(super) fn part<'y>(yaml: &'y Yaml, name: &str) -> &'y Yaml {
    const NULL: &Yaml = &Yaml::Null;
    match yaml {
        Yaml::Tagged(tagged) => part(&tagged.value, name),
        _ => yaml.as_mapping().and_then(|mapping| mapping.get(name)).unwrap_or(NULL),
    }
}

/// A scalar, or a list of them.
pub(super) fn list(yaml: &Yaml) -> Vec<String> {
    match yaml {
        Yaml::Null => Vec::new(),
        Yaml::Sequence(values) => values.iter().map(scalar).collect(),
        other => vec![scalar(other)],
    }
}

/// The pairs of a mapping, in their order.
pub(super) fn pairs(yaml: &Yaml) -> Vec<(String, &Yaml)> {
    let mapping = yaml.as_mapping().into_iter().flatten();
    mapping.map(|(name, value)| (scalar(name), value)).collect()
}
