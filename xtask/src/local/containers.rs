//! Registry and BuildKit as containers of the machine's Docker Engine: the path of most users.

use anyhow::{Context as _, Result};
use std::fs;
use std::time::Duration;

use crate::base::context::Layout;
use crate::local::engine::docker;
use crate::local::state::State;
use crate::local::{Local, registry_answers, wait_for};
use crate::run::Output;
use crate::tools::Tool;

/// How long the registry may take to come up.
const LIMIT: Duration = Duration::from_secs(30);

/// The images of both services, in the versions that `xtask/tools/` pins.
pub(super) fn images(layout: &Layout) -> Result<Vec<String>> {
    Ok(vec![buildkit_image(layout)?, registry_image(layout)?])
}

fn buildkit_image(layout: &Layout) -> Result<String> {
    Ok(format!("moby/buildkit:v{}", Tool::Buildkitd.pinned(layout)?))
}

/// Docker Hub has no tag for every release of distribution, but one for each major version.
fn registry_image(layout: &Layout) -> Result<String> {
    Ok(format!("registry:{}", Tool::Registry.pinned(layout)?.major))
}

/// Starts both and registers the builder.
pub(super) fn start(local: &Local<'_>, state: &mut State) -> Result<()> {
    state.processes.clear();
    state.docker_host = local.environment.get("DOCKER_HOST").map(str::to_owned);
    state.write(local.layout)?;
    // What is left of a stack whose data was deleted has our names.
    stop(local, state, false)?;
    start_registry(local, state)?;
    let log = local.layout.local().join("registry.log");
    wait_for("the local registry", LIMIT, local.runner, &log, || registry_answers(state.port))?;
    start_builder(local, state)
}

/// The container of the registry; the builder's is named by buildx after the builder.
fn container(local: &Local<'_>) -> String {
    format!("{}-registry", local.builder())
}

fn start_registry(local: &Local<'_>, state: &State) -> Result<()> {
    let data = local.layout.local().join("registry");
    fs::create_dir_all(&data).with_context(|| format!("creating {}", data.display()))?;
    let port = state.port;
    let argv = docker("start the local registry").args(["run", "--detach", "--name", &container(local)]);
    let argv = argv.args(["--label", "io.xtask.local"]);
    // On Linux the builder and we share the host's loopback. A virtual machine in between needs a forwarded port.
    let argv = if cfg!(target_os = "linux") {
        argv.args(["--network", "host", "--env", &format!("REGISTRY_HTTP_ADDR=127.0.0.1:{port}")])
    } else {
        argv.args(["--publish", &format!("127.0.0.1:{port}:5000")])
    };
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let argv = argv
        // What the container writes below target/ belongs to the user.
        .args(["--user", &format!("{uid}:{gid}")])
        .args(["--volume", &format!("{}:/var/lib/registry", data.display())])
        .args(["--env", "REGISTRY_STORAGE_DELETE_ENABLED=true", "--env", "OTEL_TRACES_EXPORTER=none"])
        .arg(registry_image(local.layout)?)
        .limit(120);
    local.runner.check(&argv, Output::Capture)?;
    Ok(())
}

fn start_builder(local: &Local<'_>, state: &State) -> Result<()> {
    let config = local.layout.local().join("buildkitd.toml");
    let text = format!(
        "[worker.oci]\n{}{}",
        crate::local::processes::GC,
        crate::local::processes::registries(&state.registry(), state.offline)
    );
    crate::base::files::write_atomic(&config, text.as_bytes())?;
    let image = buildkit_image(local.layout)?;
    let argv = local
        .buildx()?
        .argv("start the local builder")
        .args(["create", "--name", &local.builder(), "--driver", "docker-container", "--bootstrap"])
        // The registry is on the host's loopback.
        .args(["--driver-opt", &format!("image={image},network=host"), "--buildkitd-config"])
        .path(&config)
        .limit(180);
    // buildx splits the value at commas itself.
    local.runner.check(&argv, Output::Capture)?;
    Ok(())
}

/// Removes both containers and the builder's registration. The builder's cache stays in its volume unless it is purged.
pub(super) fn stop(local: &Local<'_>, state: &State, purge: bool) -> Result<()> {
    let there = |argv: crate::argv::Argv| match &state.docker_host {
        Some(host) => argv.env("DOCKER_HOST", host),
        None => argv,
    };
    let builder = local.builder();
    if local.buildx_config().join("instances").join(&builder).is_file() {
        let keep = if purge { None } else { Some("--keep-state") };
        let argv =
            local.buildx()?.argv("stop the local builder").args(["rm", "--force"]).args(keep).arg(&builder);
        local.runner.check(&there(argv.limit(60)), Output::Capture)?;
    }
    let names = [container(local), format!("buildx_buildkit_{builder}0")];
    let remove = docker("stop the local stack").args(["rm", "--force", "--volumes"]).args(names);
    local.runner.check(&there(remove.limit(60)), Output::Capture)?;
    Ok(())
}
