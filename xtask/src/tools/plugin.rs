//! buildx as a plugin of the docker CLI: the file itself, so that no call has to go through `docker`, which looks at
//! every plugin first and runs this one twice.
//!
//! The plugin is a program of its own that reads the same configuration, contexts and variables. Sources: docker/cli,
//! `cli-plugins/manager/manager.go` and `manager_unix.go` for the folders and their order; docker/buildx,
//! `commands/root.go` for what it does without the CLI.

use serde::Deserialize;
use std::path::PathBuf;

use crate::base::context::Environment;
use crate::base::files;

/// The folders of the system, in docker's order.
const SYSTEM: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// The part of docker's `config.json` that names more folders.
#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default, rename = "cliPluginsExtraDirs")]
    extra: Vec<PathBuf>,
}

/// The file that `docker NAME` would run, `name` being e.g. `docker-buildx`. `None`: docker has none where we know to look.
pub(super) fn find(name: &str, environment: &Environment) -> Option<PathBuf> {
    let config = config_folder(environment);
    // What docker cannot read it ignores, too.
    let bytes =
        config.as_ref().and_then(|folder| files::read_optional(&folder.join("config.json")).ok().flatten());
    let folders = folders(config, &bytes.unwrap_or_default());
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())?;
    // It may be called from another folder.
    std::path::absolute(found).ok()
}

/// `DOCKER_CONFIG`, else `.docker` at home.
fn config_folder(environment: &Environment) -> Option<PathBuf> {
    let home = || environment.get("HOME").map(|home| PathBuf::from(home).join(".docker"));
    environment.get("DOCKER_CONFIG").map(PathBuf::from).or_else(home)
}

/// Where docker looks for plugins, in its order: what the configuration names, its own folder, the system's.
fn folders(config: Option<PathBuf>, config_json: &[u8]) -> Vec<PathBuf> {
    let Config { extra } = serde_json::from_slice(config_json).unwrap_or_default();
    let own = config.map(|folder| folder.join("cli-plugins"));
    extra.into_iter().chain(own).chain(SYSTEM.map(PathBuf::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn folders_in_the_order_of_docker() {
        let found =
            folders(Some("/home/x/.docker".into()), br#"{"auths":{},"cliPluginsExtraDirs":["/extra"]}"#);
        let found: Vec<_> = found.iter().filter_map(|folder| folder.to_str()).collect();
        assert_eq!(found[..2], ["/extra", "/home/x/.docker/cli-plugins"]);
        assert_eq!(found[2..], SYSTEM);
        assert_eq!(folders(None, b"not JSON").len(), SYSTEM.len());
        let config = |pairs: &[(&str, &str)]| {
            let environment = match pairs {
                [one] => Environment::from([*one]),
                _ => Environment::from([("HOME", "/home/x"), ("DOCKER_CONFIG", "/etc/d")]),
            };
            config_folder(&environment)
        };
        assert_eq!(config(&[("HOME", "/home/x")]), Some("/home/x/.docker".into()));
        assert_eq!(config(&[]), Some("/etc/d".into()));
    }

    #[test]
    fn the_first_file_of_that_name_is_the_plugin() {
        let folder = std::env::temp_dir().join(format!("xtask-plugin-{}", std::process::id()));
        let (extra, own) = (folder.join("extra"), folder.join("docker/cli-plugins"));
        fs::create_dir_all(&extra).unwrap();
        fs::create_dir_all(&own).unwrap();
        let config = folder.join("docker");
        let environment = Environment::from([("DOCKER_CONFIG", config.to_str().unwrap())]);
        let name = "docker-of-a-test";
        assert_eq!(find(name, &environment), None);
        fs::write(own.join(name), "").unwrap();
        assert_eq!(find(name, &environment), Some(own.join(name)));
        let text = serde_json::json!({ "cliPluginsExtraDirs": [extra] }).to_string();
        fs::write(config.join("config.json"), text).unwrap();
        assert_eq!(find(name, &environment), Some(own.join(name)), "the folder that is named first lacks it");
        fs::write(extra.join(name), "").unwrap();
        assert_eq!(find(name, &environment), Some(extra.join(name)));
        fs::remove_dir_all(&folder).unwrap();
    }
}
