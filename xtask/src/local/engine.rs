//! The Docker Engine of this machine: whether it can be used, and what its complaints mean.

use anyhow::Result;

use crate::argv::{Argv, Program};
use crate::base::context::Environment;
use crate::base::ui::Ui;
use crate::run::{Output, Runner};

/// Something is wrong with the Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

/// Complaints of the docker CLI, buildx and the Engine, each as a part of its text, with what it means.
///
/// The texts are those of Docker 26 to 28 and buildx 0.29 to 0.37.
const COMPLAINTS: [(&str, &str, &str); 14] = [
    (
        "pull access denied",
        "the registry refuses the image",
        "`docker login`, or check the mirror that the daemon uses",
    ),
    (
        "x509: ",
        "the registry's certificate is not trusted",
        "add the proxy's or registry's CA to the machine and restart the daemon",
    ),
    (
        "Cannot connect to the Docker daemon",
        "no Docker daemon answers",
        "start it (`sudo systemctl start docker`, or Docker Desktop), or set DOCKER_HOST",
    ),
    (
        "failed to connect to the docker API",
        "no Docker daemon answers",
        "start it (`sudo systemctl start docker`, or Docker Desktop), or set DOCKER_HOST",
    ),
    (
        "permission denied while trying to connect",
        "this user may not talk to the Docker daemon",
        "add yourself to the group: `sudo usermod -aG docker $USER`, then log in again",
    ),
    (
        "push-by-digest is currently not implemented for docker driver",
        "the builder uses the `docker` driver, which cannot push by digest",
        "`docker buildx create --use --driver docker-container`",
    ),
    (
        "Multi-platform build is not supported for the docker driver",
        "the builder uses the `docker` driver, which builds for one platform",
        "`docker buildx create --use --driver docker-container`",
    ),
    (
        "unknown command: docker buildx",
        "the docker CLI has no buildx",
        "install the plugin: https://docs.docker.com/build/install-buildx/",
    ),
    (
        "'buildx' is not a docker command",
        "the docker CLI has no buildx",
        "install the plugin: https://docs.docker.com/build/install-buildx/",
    ),
    (
        "unknown flag: --platform",
        "the docker CLI has no buildx",
        "install the plugin: https://docs.docker.com/build/install-buildx/",
    ),
    (
        "no builder \"",
        "there is no builder of that name",
        "`docker buildx ls` lists them, `docker buildx create --name NAME --driver docker-container` makes one",
    ),
    ("toomanyrequests", "the registry limits anonymous pulls", "`docker login`, or wait"),
    ("no such host", "the registry's name cannot be resolved", "check the network and DNS"),
    ("i/o timeout", "the registry does not answer", "check the network and the proxy settings of the daemon"),
];

/// What a complaint means, if it is a known one.
pub fn trouble(stderr: &str) -> Option<Trouble> {
    let known = COMPLAINTS.iter().find(|(text, ..)| stderr.contains(text))?;
    let (_, what, mend) = known;
    Some(Trouble { what: (*what).to_owned(), mend: (*mend).to_owned() })
}

/// Whether an Engine answers and has, or can pull, all `images`. `Err(None)`: there is no docker CLI at all.
///
/// # Errors
/// If we were asked to stop.
pub fn usable(
    environment: &Environment,
    runner: &Runner,
    ui: Ui,
    images: &[String],
) -> Result<Result<(), Option<Trouble>>> {
    if environment.program("docker").is_none() {
        return Ok(Err(None));
    }
    if environment.get("DOCKER_HOST").is_some_and(|host| !host.starts_with("unix://")) {
        return Ok(Err(Some(Trouble {
            what: "the Docker Engine is on another machine, whose loopback is not ours".to_owned(),
            mend: "unset DOCKER_HOST to use the Engine of this machine".to_owned(),
        })));
    }
    let version = docker("ask the Docker Engine for its version")
        .args(["version", "--format", "{{.Server.Version}}"])
        .limit(20);
    let answer = runner.run(&version, Output::Capture)?;
    if !answer.success() {
        return Ok(Err(Some(explain(&answer.stderr, "the Docker Engine does not answer"))));
    }
    for image in images {
        let inspect =
            docker("look for an image").args(["image", "inspect", "--format", "{{.Id}}", image]).limit(20);
        if runner.run(&inspect, Output::Capture)?.success() {
            continue;
        }
        ui.note(format!("pulling {image}"));
        let pulled = runner
            .run(&docker("pull an image").args(["pull", "--quiet", image]).limit(300), Output::Capture)?;
        if !pulled.success() {
            return Ok(Err(Some(explain(&pulled.stderr, &format!("the Docker Engine cannot pull {image}")))));
        }
    }
    Ok(Ok(()))
}

/// A `docker` command.
pub(super) fn docker(purpose: &str) -> Argv {
    Argv::new(purpose, &Program::new("docker"))
}

fn explain(stderr: &str, otherwise: &str) -> Trouble {
    trouble(stderr).unwrap_or_else(|| {
        let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        Trouble { what: format!("{otherwise}: {last}"), mend: "`docker info` tells more".to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_recognised() {
        let table = [
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                "no Docker daemon answers",
            ),
            (
                "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct",
                "no Docker daemon answers",
            ),
            (
                "permission denied while trying to connect to the Docker daemon socket",
                "this user may not talk to the Docker daemon",
            ),
            (
                "ERROR: push-by-digest is currently not implemented for docker driver, please create a new builder instance",
                "the builder uses the `docker` driver, which cannot push by digest",
            ),
            (
                "ERROR: Multi-platform build is not supported for the docker driver.",
                "the builder uses the `docker` driver, which builds for one platform",
            ),
            ("docker: unknown command: docker buildx", "the docker CLI has no buildx"),
            ("unknown flag: --platform\n\nUsage:  docker [OPTIONS] COMMAND", "the docker CLI has no buildx"),
            ("ERROR: no builder \"x\" found", "there is no builder of that name"),
        ];
        for (stderr, expected) in table {
            assert_eq!(trouble(stderr).map(|trouble| trouble.what).as_deref(), Some(expected), "{stderr}");
        }
        assert_eq!(trouble("failed to solve: process \"/bin/sh -c false\" did not complete"), None);
    }
}
