//! The configuration of an image: its platform, and what a container of it starts. Pure.
//!
//! Source: the OCI image specification, "image configuration".

use serde::{Deserialize, Serialize};

use crate::base::ids::Platform;
use crate::base::patterns::plain;

/// The configuration of one platform's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// E.g. `arm64`.
    pub architecture: String,
    /// E.g. `linux`.
    pub os: String,
    /// E.g. `v7`.
    #[serde(default)]
    pub variant: Option<String>,
    /// How it is started.
    #[serde(default)]
    config: Config,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
}

/// Debian's, and Docker's where an image sets none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl ImageConfig {
    /// Whether the configuration says that it is for a platform.
    pub fn is_for(&self, platform: &Platform) -> bool {
        platform.matches(&self.os, &self.architecture, self.variant.as_deref())
    }

    /// The program that a container starts: the first word of the entrypoint, else of the command.
    pub fn program(&self) -> Option<&str> {
        let first = |words: &Option<Vec<String>>| words.as_ref().and_then(|words| words.first().cloned());
        let none = first(&self.config.entrypoint).is_none();
        let words = if none { &self.config.cmd } else { &self.config.entrypoint };
        words.as_ref()?.first().map(String::as_str).filter(|word| !word.is_empty())
    }

    /// The paths at which a program can be, the first one that exists is it. None if its name cannot be written down
    /// in a Dockerfile.
    pub fn paths(&self, program: &str) -> Vec<String> {
        let absolute =
            |folder: &str, name: &str| format!("/{}/{name}", folder.trim_matches('/')).replace("//", "/");
        let working = self.config.working_dir.as_deref().unwrap_or("/");
        let paths = if program.starts_with('/') {
            vec![program.to_owned()]
        } else if program.contains('/') {
            vec![absolute(working, program.trim_start_matches("./"))]
        } else {
            let path = self.config.env.iter().flatten().find_map(|entry| entry.strip_prefix("PATH="));
            let folders = path.unwrap_or(DEFAULT_PATH).split(':').filter(|folder| folder.starts_with('/'));
            folders.map(|folder| absolute(folder, program)).collect()
        };
        if paths.iter().all(|path| plain(path)) { paths } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(config: &str) -> ImageConfig {
        serde_json::from_str(&format!(r#"{{"architecture":"arm64","os":"linux","config":{config}}}"#))
            .unwrap()
    }

    #[test]
    fn programs_are_found_as_a_container_finds_them() {
        let php = image(r#"{"Entrypoint":["php","x"],"Cmd":["y"],"Env":["PATH=/usr/local/bin:bad:/bin/"]}"#);
        assert_eq!(php.program(), Some("php"));
        assert_eq!(php.paths("php"), ["/usr/local/bin/php", "/bin/php"]);
        assert_eq!(php.paths("/usr/bin/x"), ["/usr/bin/x"]);
        assert_eq!(image(r#"{"Cmd":["./run"],"WorkingDir":"/app"}"#).paths("./run"), ["/app/run"]);
        assert_eq!(image(r#"{"Entrypoint":[],"Cmd":["x"]}"#).program(), Some("x"));
        assert_eq!(image("{}").program(), None);
        assert!(image("{}").paths("a b").is_empty() && image("{}").paths("/x/$HOME").is_empty());
        assert!(php.is_for(&"linux/arm64".parse().unwrap()) && !php.is_for(&"linux/amd64".parse().unwrap()));
    }
}
