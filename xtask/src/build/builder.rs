//! What a builder is and which platforms it has natively, out of `docker buildx inspect`.

use anyhow::Result;

use crate::argv::buildx::Buildx;
use crate::base::error::UserError;
use crate::base::ids::Platform;
use crate::local::{Local, engine};
use crate::run::{Output, Runner};

/// A builder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builder {
    /// `docker-container`, `remote`, `kubernetes` or `docker`.
    pub driver: String,
    /// The version of BuildKit on the first node that tells one.
    pub buildkit: Option<String>,
    /// The platforms that its nodes list, the first of each node being the node's own.
    pub nodes: Vec<Vec<Platform>>,
}

impl Builder {
    /// What is known of the local stack's builder; of any other one buildx is asked.
    ///
    /// # Errors
    /// If there is no such builder, it does not start, or it cannot push by digest.
    pub fn of(buildx: &Buildx, local: &Local<'_>) -> Result<Self> {
        match local.inspected(buildx)? {
            Some(text) => Ok(Self::parse(&text)),
            None => Self::inspect(buildx, local.runner),
        }
    }

    /// Asks buildx, which starts the builder if it has to.
    fn inspect(buildx: &Buildx, runner: &Runner) -> Result<Self> {
        let argv = buildx.inspect();
        let finished = runner.run(&argv, Output::Capture)?;
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        // buildx reports some of a node's troubles in its table and exits with 0.
        let complaint =
            text.lines().find_map(|line| line.strip_prefix("Error:")).map(str::trim).unwrap_or_default();
        if !finished.success() || !complaint.is_empty() {
            let trouble = engine::trouble(&finished.stderr).or_else(|| engine::trouble(complaint));
            return Err(match trouble {
                Some(trouble) => {
                    UserError::failed(format!("look at the builder: {}", trouble.what)).help(trouble.mend)
                }
                None if complaint.is_empty() => finished.fault(&argv),
                None => UserError::failed(format!("look at the builder: {complaint}")),
            }
            .into());
        }
        let builder = Self::parse(&text);
        if builder.driver == "docker" {
            return Err(UserError::failed("the builder uses the `docker` driver, which cannot push by digest")
                .help("make one that can: docker buildx create --name multi --driver docker-container, then --builder multi")
                .into());
        }
        Ok(builder)
    }

    fn parse(text: &str) -> Self {
        let mut builder = Self::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            match key.trim() {
                "Driver" => value.trim().clone_into(&mut builder.driver),
                "BuildKit version" if builder.buildkit.is_none() => {
                    builder.buildkit = Some(value.trim().to_owned())
                }
                // A star marks a platform that was set by hand when the node was added.
                "Platforms" => builder.nodes.push(
                    value.split(',').filter_map(|p| p.trim().trim_end_matches('*').parse().ok()).collect(),
                ),
                _ => {}
            }
        }
        builder
    }

    /// Whether a node runs a platform's programs at all: natively, by the kernel's emulator, or by one of BuildKit's own.
    pub fn lists(&self, platform: &Platform) -> bool {
        let same =
            |listed: &Platform| listed.matches(platform.os(), platform.architecture(), platform.variant());
        self.nodes.iter().flatten().any(same)
    }

    /// Whether a node runs a platform's programs without an emulator.
    ///
    /// BuildKit lists a node's own platform first and then what the kernel emulates,
    /// without telling them apart; a processor also runs its older variants.
    pub fn is_native(&self, platform: &Platform) -> bool {
        self.nodes.iter().filter_map(|node| node.first()).any(|own| {
            own.matches(platform.os(), platform.architecture(), platform.variant())
                || (own.architecture() == "amd64" && platform.architecture() == "386")
                || (own.architecture() == "amd64" && platform.architecture() == "amd64")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_NODES: &str = "Name:          multi\nDriver:        remote\nLast Activity: 2026-11-21 05:00:00 +0000 UTC\n\nNodes:\nName:             multi0\nEndpoint:         unix:///a.sock\nStatus:           running\nBuildKit version: v0.33.1\nPlatforms:        linux/amd64, linux/amd64/v2, linux/386, linux/arm/v7\nName:             multi1\nEndpoint:         tcp://arm:1234\nStatus:           running\nBuildKit version: v0.33.1\nPlatforms:        linux/arm64*\n";

    #[test]
    fn nodes_are_native_to_their_first_platform() {
        let builder = Builder::parse(TWO_NODES);
        assert_eq!((builder.driver.as_str(), builder.buildkit.as_deref()), ("remote", Some("v0.33.1")));
        let native = |platform: &str| builder.is_native(&platform.parse().unwrap());
        assert!(
            native("linux/amd64") && native("linux/arm64") && native("linux/386") && native("linux/amd64/v2")
        );
        assert!(!native("linux/arm/v7") && !native("linux/riscv64"));
    }
}
