//! Stand-ins on PATH that call the real tools and kill their caller after the n-th call.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout::Checkout;

/// A folder for PATH.
pub struct Shims {
    pub folder: PathBuf,
}

impl Shims {
    pub fn new(checkout: &Checkout) -> Self {
        let folder = checkout.root.join("target/shims");
        fs::create_dir_all(&folder).unwrap();
        for tool in ["docker-buildx", "cosign"] {
            let path = folder.join(tool);
            fs::write(&path, script(&folder.display().to_string(), &checkout.tool_words(tool).join("' '")))
                .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        as_plugin(&folder);
        Self { folder }
    }

    /// Makes a command use the stand-ins. The caller dies after call number `n`.
    pub fn arm(&self, command: &mut Command, n: usize) {
        let path = format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap());
        let _ = fs::remove_file(self.folder.join("count"));
        let _ = fs::remove_dir(self.folder.join("killed"));
        command.env("PATH", path).env("DOCKER_CONFIG", &self.folder).env("SHIM_KILL_AFTER", n.to_string());
    }

    /// How many calls were made.
    pub fn calls(&self) -> usize {
        fs::read_to_string(self.folder.join("count")).map_or(0, |text| text.lines().count())
    }
}

/// Where there is a docker CLI its plugin is found first: with this folder as `DOCKER_CONFIG`, that is the stand-in.
pub fn as_plugin(folder: &Path) {
    let plugins = folder.join("cli-plugins");
    fs::create_dir_all(&plugins).unwrap();
    let _ = symlink("../docker-buildx", plugins.join("docker-buildx"));
}

fn script(folder: &str, real: &str) -> String {
    format!(
        "#!/bin/sh\n\
         # The question for the version is not a step.\n\
         [ \"$1\" = version ] && exec '{real}' \"$@\"\n\
         echo \"$0 $*\" >>'{folder}/count'\n\
         n=$(wc -l <'{folder}/count')\n\
         '{real}' \"$@\"\n\
         code=$?\n\
         # Calls side by side may count past the number: the first that sees it kills.\n\
         [ \"$n\" -ge \"$SHIM_KILL_AFTER\" ] && mkdir '{folder}/killed' 2>/dev/null && kill -KILL $PPID\n\
         exit $code\n"
    )
}
