//! The labels and annotations that images and indexes get by themselves.

use crate::base::oci_keys::{CREATED, REVISION, SOURCE, VERSION};
use crate::plan::pairs::Pair;
use crate::plan::values::Values;

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Standard {
    pub(super) key: &'static str,
    pub(super) value: String,
    /// What is compared in its place, where its value changes without a change of what is built.
    pub(super) compared: Option<String>,
}

impl Standard {
    /// As they are written.
    pub(super) fn pairs(standard: &[Self]) -> Vec<Pair> {
        standard.iter().map(|one| Pair { key: one.key.to_owned(), value: one.value.clone() }).collect()
    }

    /// As they are compared, each key after `prefix`, where they change without a change of what is built.
    pub(super) fn volatile(prefix: &str, standard: &[Self]) -> Vec<Pair> {
        let pair =
            |one: &Self| Some(Pair { key: format!("{prefix}{}", one.key), value: one.compared.clone()? });
        standard.iter().filter_map(pair).collect()
    }

    /// Those of a cell. `source`: the address of this repository, where known.
    pub(super) fn of(values: &Values<'_>, source: Option<&str>) -> Vec<Self> {
        let told = |name: &str| (values.get(name), Some(format!("{{{name}}}")));
        let entries = [
            (CREATED, told("created")),
            (REVISION, told("revision")),
            (SOURCE, (source.map(str::to_owned), None)),
            (VERSION, version(values)),
        ];
        let one = |(key, (value, compared)): (&'static str, (Option<String>, _))| {
            Some(Self { key, value: value?, compared })
        };
        entries.into_iter().filter_map(one).collect()
    }
}

/// The version, and what is compared in its place. A branch has none: its name, the day and the commit are what a reader of
/// the image can use.
fn version(values: &Values<'_>) -> (Option<String>, Option<String>) {
    let upstream = &values.upstream;
    let branch = upstream.branch.as_deref().zip(values.get("date")).zip(values.get("commit7"));
    if let Some(((branch, date), commit)) = branch {
        let branch = branch.replace('/', "-");
        let compared = if upstream.own { "{commit7}" } else { commit.as_str() };
        return (Some(format!("{branch}-{date}-{commit}")), Some(format!("{branch}-{{date}}-{compared}")));
    }
    let compared = values.is_volatile("version", true).then(|| "{version}".to_owned());
    (upstream.version.clone().or_else(|| upstream.reference.clone()), compared)
}
