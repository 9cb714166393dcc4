//! Mappings of a file whose keys are known: another one is refused, as GitHub does.

use serde_yaml_ng::{Mapping, Value as Yaml};

/// A mapping, and where it stands.
pub struct Fields<'y> {
    pub place: String,
    map: &'y Mapping,
}

impl<'y> Fields<'y> {
    /// With the keys that may be in it, and those that GitHub knows and this model does not.
    pub fn new(place: &str, yaml: &'y Yaml, known: &[&str], beyond: &[&str]) -> Result<Self, String> {
        let map = yaml.as_mapping().ok_or_else(|| format!("{place}: A mapping was expected"))?;
        for key in map.keys() {
            let key = key.as_str().unwrap_or_default();
            if beyond.contains(&key) {
                return Err(format!("{place}: {key} is not modelled"));
            }
            if !known.contains(&key) {
                return Err(format!("{place}: Unexpected value '{key}'"));
            }
        }
        Ok(Self { place: place.to_owned(), map })
    }

    pub fn get(&self, key: &str) -> Option<&'y Yaml> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub fn need(&self, key: &str) -> Result<&'y Yaml, String> {
        self.get(key).ok_or_else(|| format!("{}: Required property is missing: {key}", self.place))
    }

    pub fn text(&self, key: &str) -> Result<Option<String>, String> {
        let Some(yaml) = self.get(key) else { return Ok(None) };
        scalar(yaml).map(Some).ok_or_else(|| format!("{}.{key}: A string was expected", self.place))
    }

    pub fn flag(&self, key: &str) -> Result<bool, String> {
        match self.get(key) {
            None => Ok(false),
            Some(Yaml::Bool(value)) => Ok(*value),
            Some(_) => Err(format!("{}.{key}: A boolean was expected", self.place)),
        }
    }

    /// One text, or a list of them.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, String> {
        let Some(yaml) = self.get(key) else { return Ok(None) };
        let items: Vec<&Yaml> = yaml.as_sequence().map_or_else(|| vec![yaml], |items| items.iter().collect());
        let texts: Option<Vec<String>> = items.into_iter().map(scalar).collect();
        texts.map(Some).ok_or_else(|| format!("{}.{key}: A sequence of strings was expected", self.place))
    }

    /// The entries of a mapping, in order.
    pub fn entries(&self, key: &str) -> Result<Vec<(String, &'y Yaml)>, String> {
        let Some(yaml) = self.get(key) else { return Ok(Vec::new()) };
        let map = yaml.as_mapping().ok_or_else(|| format!("{}.{key}: A mapping was expected", self.place))?;
        let entry = |(name, value): (&Yaml, &'y Yaml)| {
            let name = scalar(name).filter(|name| !name.is_empty());
            name.map(|name| (name, value)).ok_or_else(|| format!("{}.{key}: Unexpected value ''", self.place))
        };
        map.iter().map(|(name, value)| entry((name, value))).collect()
    }

    /// The same with scalars as values, e.g. `env`.
    pub fn scalars(&self, key: &str) -> Result<Vec<(String, Yaml)>, String> {
        let entries = self.entries(key)?;
        let entries = entries.into_iter().map(|(name, value)| match value {
            Yaml::Sequence(_) | Yaml::Mapping(_) => {
                Err(format!("{}.{key}.{name}: A scalar was expected", self.place))
            }
            _ => Ok((name, value.clone())),
        });
        entries.collect()
    }
}

/// A scalar as it is written.
pub fn scalar(yaml: &Yaml) -> Option<String> {
    match yaml {
        Yaml::Null => Some(String::new()),
        Yaml::String(text) => Some(text.clone()),
        Yaml::Bool(value) => Some(value.to_string()),
        Yaml::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A name of a job, step, input or output.
pub fn identifier(place: &str, name: &str) -> Result<(), String> {
    let right = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if right && name.len() <= 100 && !name.starts_with("__") {
        return Ok(());
    }
    Err(format!(
        "{place}: The identifier '{name}' is invalid. IDs may only contain alphanumeric characters, '_', and '-'. IDs must \
         start with a letter or '_' and must be less than 100 characters"
    ))
}
