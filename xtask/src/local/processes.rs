//! Registry and BuildKit as processes of this machine: no Docker Engine needed.

use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::argv::{Argv, Program};
use crate::base::error::UserError;
use crate::local::engine::Trouble;
use crate::local::process::Id;
use crate::local::state::{Mode, State};
use crate::local::{Local, registry_answers, wait_for};
use crate::run::Output;
use crate::tools::Tool;

/// How long a service may take to come up.
const LIMIT: Duration = Duration::from_secs(30);

/// A Unix socket's path has room for 107 bytes (`man 7 unix`).
const SOCKET_LIMIT: usize = 100;

/// Fails, with all ways out, where processes of our own cannot be the stack.
pub(super) fn possible(trouble: Option<&Trouble>) -> Result<()> {
    let refuse = |why: &str| {
        let fault = UserError::failed(format!("start the local stack: {why}"));
        let fault =
            fault.help("start a Docker Engine that can pull images: https://docs.docker.com/engine/install/");
        match trouble {
            Some(trouble) => {
                Err(fault.help(format!("the one that is here: {}; {}", trouble.what, trouble.mend)).into())
            }
            None => Err(fault.into()),
        }
    };
    if !cfg!(target_os = "linux") {
        return refuse("BuildKit runs without a Docker Engine on Linux only");
    }
    if !rustix::process::geteuid().is_root() {
        return refuse("BuildKit without a Docker Engine has to run as root");
    }
    Ok(())
}

/// Processes of this checkout's stack that nobody has written down.
pub(super) fn strays(local: &Local<'_>) -> Vec<Id> {
    let folder = local.layout.local();
    let configs = [("registry", "registry.yml"), ("buildkitd", "buildkitd.toml")];
    configs.iter().flat_map(|(program, config)| Id::find(program, &folder.join(config))).collect()
}

/// Starts both and registers the builder.
pub(super) fn start(local: &Local<'_>, state: &mut State) -> Result<()> {
    let folder = local.layout.local();
    state.processes.clear();
    state.write(local.layout)?;
    state.processes.push(start_registry(local, state)?);
    state.write(local.layout)?;
    let socket = socket(local)?;
    state.processes.push(start_buildkitd(local, state, &socket)?);
    state.write(local.layout)?;
    wait_for("the local registry", LIMIT, local.runner, &folder.join("registry.log"), || {
        registry_answers(state.port)
    })?;
    wait_for("BuildKit", LIMIT, local.runner, &folder.join("buildkitd.log"), || {
        UnixStream::connect(&socket).is_ok()
    })?;
    register(local, &socket)
}

fn start_registry(local: &Local<'_>, state: &State) -> Result<Id> {
    let folder = local.layout.local();
    let data = folder.join("registry");
    fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;
    let config = folder.join("registry.yml");
    crate::base::files::write_atomic(&config, registry_config(&data, state.port).as_bytes())?;
    let registry = local.tools.get(Tool::Registry)?;
    let argv = Argv::new("start the local registry", &registry.program)
        // Distribution 3 sends traces to a collector unless it is told not to.
        .env("OTEL_TRACES_EXPORTER", "none")
        .arg("serve")
        .path(&config);
    Id::start("registry", &argv, &folder.join("registry.log"))
}

/// <https://distribution.github.io/distribution/about/configuration/>
fn registry_config(data: &Path, port: u16) -> String {
    // JSON is YAML, and quotes any path.
    let path = serde_json::Value::String(data.display().to_string());
    format!(
        "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {path}}}\n  delete: {{enabled: true}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n"
    )
}

fn start_buildkitd(local: &Local<'_>, state: &State, socket: &Path) -> Result<Id> {
    let folder = local.layout.local();
    let runc = local.tools.system(local.now).runc()?;
    let root = folder.join("buildkit");
    fs::create_dir_all(&root).with_context(|| format!("creating {}", root.display()))?;
    // A JSON string is a TOML basic string.
    let quoted = |text: String| serde_json::Value::String(text).to_string();
    let head = format!(
        "root = {}\n\n[grpc]\naddress = [{}]\n\n[worker.containerd]\nenabled = false\n\n[worker.oci]\nenabled = true\nbinary = {}\n",
        quoted(root.display().to_string()),
        quoted(format!("unix://{}", socket.display())),
        quoted(runc.display().to_string()),
    );
    let config = folder.join("buildkitd.toml");
    crate::base::files::write_atomic(
        &config,
        (head + GC + &registries(&state.registry(), state.offline)).as_bytes(),
    )?;
    let buildkitd = local.tools.get(Tool::Buildkitd)?;
    let argv = Argv::new("start BuildKit", &buildkitd.program).arg("--config").path(&config);
    Id::start("buildkitd", &argv, &folder.join("buildkitd.log"))
}

/// BuildKit's default keeps most of the disk free and so drops its cache at once on a full one.
pub(super) const GC: &str =
    "gc = true\nreservedSpace = \"5GB\"\nmaxUsedSpace = \"20GB\"\nminFreeSpace = \"1GB\"\n";

/// The registries in BuildKit's configuration: ours speaks plain HTTP and may stand in for Docker Hub.
pub(super) fn registries(registry: &str, offline: bool) -> String {
    let mut text = format!("\n[registry.\"{registry}\"]\nhttp = true\n");
    if offline {
        text += &format!(
            "\n[registry.\"docker.io\"]\nmirrors = [\"{registry}/{}\"]\n",
            crate::local::offline::NAMESPACE
        );
    }
    text
}

/// Below the data, or, where that path is too long for a socket, in a private folder for temporary files.
fn socket(local: &Local<'_>) -> Result<PathBuf> {
    let path = local.layout.local().join("buildkitd.sock");
    if path.as_os_str().len() <= SOCKET_LIMIT {
        return Ok(path);
    }
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    let folder = std::env::temp_dir().join(local.builder());
    if let Err(error) = fs::DirBuilder::new().mode(0o700).create(&folder) {
        let ours = fs::symlink_metadata(&folder)
            .is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw());
        if !ours {
            return Err(error).with_context(|| format!("creating {}", folder.display()));
        }
    }
    Ok(folder.join("buildkitd.sock"))
}

/// Makes the builder known to buildx, in a configuration of our own.
fn register(local: &Local<'_>, socket: &Path) -> Result<()> {
    let buildx = local.buildx()?;
    let builder = local.builder();
    if local.buildx_config().join("instances").join(&builder).is_file() {
        let remove = buildx.argv("forget the old builder").args(["rm", "--keep-state", &builder]).limit(60);
        local.runner.check(&remove, Output::Capture)?;
    }
    let create = buildx
        .argv("register the local builder")
        .args(["create", "--name", &builder, "--driver", "remote"])
        .arg(format!("unix://{}", socket.display()))
        .limit(60);
    local.runner.check(&create, Output::Capture)?;
    Ok(())
}

impl Local<'_> {
    /// The emulator of a platform, for builds that this stack has to emulate.
    ///
    /// # Errors
    /// If the machine cannot be made to run that platform's programs.
    pub fn ensure_emulation(&self, platform: &crate::base::ids::Platform) -> Result<()> {
        // BuildKit's image brings emulators of its own: nobody has to be root for them. Among its platforms BuildKit lists
        // only what the kernel emulates, see `getEmulator` in its `solver/llbsolver/ops/exec_binfmt.go`.
        let contained = State::read(self.layout)?.is_some_and(|state| state.mode == Some(Mode::Containers));
        if contained { Ok(()) } else { self.tools.system(self.now).emulator(platform) }
    }

    /// mmdebstrap, for the stand-ins.
    pub(super) fn mmdebstrap(&self) -> Result<Program> {
        Ok(Program::new(self.tools.system(self.now).mmdebstrap()?.display().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_are_a_mirror_only_when_asked_for() {
        assert!(!registries("127.0.0.1:5000", false).contains("docker.io"));
        let text = registries("127.0.0.1:5000", true);
        assert!(text.contains("mirrors = [\"127.0.0.1:5000/offline\"]"), "{text}");
        assert!(toml::from_str::<toml::Table>(&text).is_ok());
    }

    #[test]
    fn paths_are_quoted_in_the_configuration() {
        assert!(registry_config(Path::new("/a b/\"c\""), 5000).contains(r#"rootdirectory: "/a b/\"c\"""#));
    }
}
