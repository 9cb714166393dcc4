//! The files beside a Dockerfile that `home-assistant/builder` reads: `build.yaml` and, of an app, `config.yaml`. See
//! <https://developers.home-assistant.io/docs/apps/configuration>.

use serde_yaml_ng::Value as Yaml;

use crate::init::workflow::yaml::{pairs, parse, part, scalar};

/// The architectures of the builder with their platforms.
pub(super) const ARCHITECTURES: [(&str, &str); 5] = [
    ("amd64", "linux/amd64"),
    ("aarch64", "linux/arm64"),
    ("armv7", "linux/arm/v7"),
    ("armhf", "linux/arm/v6"),
    ("i386", "linux/386"),
];

/// What a folder says about its image.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// `ghcr.io/acme/{arch}-base`.
    pub(super) image: Option<String>,
    /// The version of an app.
    pub(super) version: Option<String>,
    pub(super) args: Vec<(String, String)>,
    pub(super) labels: Vec<(String, String)>,
    /// The base image of each architecture.
    from: Vec<(String, String)>,
    /// What cannot be carried.
    pub(super) left: Vec<String>,
}

impl Target {
    /// Reads the files of a folder.
    pub(super) fn read(folder: &str, files: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut left = Vec::new();
        let mut file = |name: &str| {
            let path = |ending: &str| match folder {
                "." => format!("{name}.{ending}"),
                _ => format!("{folder}/{name}.{ending}"),
            };
            // JSON is YAML.
            let (path, text) = ["yaml", "yml", "json"]
                .iter()
                .find_map(|ending| Some((path(ending), files(&path(ending))?)))?;
            let parsed = parse(&path, &text);
            if parsed.is_err() {
                left.push(format!("{path} cannot be read"));
            }
            parsed.ok().map(|yaml| (path, yaml))
        };
        let (build, config) = (file("build"), file("config"));
        if build.is_none() && config.is_none() {
            left.push(format!(
                "{folder} has neither a build.yaml nor a config.yaml, so its image is not known"
            ));
        }
        let yaml =
            |found: &Option<(String, Yaml)>| found.as_ref().map_or(Yaml::Null, |(_, yaml)| yaml.clone());
        let (of_build, of_config) = (yaml(&build), yaml(&config));
        let given = |yaml: &Yaml, name: &str| Some(scalar(part(yaml, name))).filter(|text| !text.is_empty());
        let texts = |yaml: &Yaml, name: &str| {
            pairs(part(yaml, name)).into_iter().map(|(name, value)| (name, scalar(value))).collect()
        };
        let version = given(&of_config, "version");
        if let (Some(version), Some((path, _))) = (&version, &config) {
            left.push(format!(
                "the tag {version} is the version in {path}: keep it in a file of its own and name that in `ref`"
            ));
        }
        Self {
            image: given(&of_build, "image").or_else(|| given(&of_config, "image")),
            version,
            args: texts(&of_build, "args"),
            labels: texts(&of_build, "labels"),
            from: texts(&of_build, "build_from"),
            left,
        }
    }

    /// The architectures that have a base image; without any, all.
    pub(super) fn architectures(&self) -> Vec<String> {
        if self.from.is_empty() {
            return ARCHITECTURES.iter().take(2).map(|(name, _)| (*name).to_owned()).collect();
        }
        self.from.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The base image of an architecture.
    pub(super) fn from(&self, architecture: &str) -> Option<&str> {
        self.from.iter().find(|(name, _)| name == architecture).map(|(_, image)| image.as_str())
    }
}

/// The name of an image without the architecture: `{arch}-base` and `amd64-base` are `base`.
pub(super) fn without(name: &str, architecture: &str) -> String {
    let mut name = name.to_owned();
    for part in ["{arch}", architecture] {
        for (form, rest) in [(format!("{part}-"), ""), (format!("-{part}"), "")] {
            name = name.replace(&form, rest);
        }
    }
    name
}
