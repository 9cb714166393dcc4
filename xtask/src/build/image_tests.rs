//! The image's own test stage: it runs where the image was built, before the build is recorded.

use std::path::Path;

use anyhow::Result;

use crate::argv::Argv;
use crate::argv::bake;
use crate::argv::buildx::{self, BuildSpec, Buildx, NamedContext};
use crate::base::error::UserError;
use crate::base::ids::Platform;
use crate::base::record::Tested;
use crate::build::builder::Builder;
use crate::plan::Build;

/// The command that tests a build. `specs`: the build, and after it what is linked to it as a target, where nothing is
/// pushed. `image`: what was pushed, which takes the place of the stage that it was built from; without it, that is the
/// stage in the builder's cache. `logs`: where bake finds its definition.
///
/// # Errors
/// If the definition cannot be written.
pub(crate) fn command(
    buildx: &Buildx,
    specs: &[BuildSpec],
    stage: &str,
    image: Option<&NamedContext>,
    logs: &Path,
) -> Result<Option<Argv>> {
    let [main, linked @ ..] = specs else { return Ok(None) };
    if linked.is_empty() {
        return Ok(Some(buildx::test(buildx, main, stage, image)));
    }
    let file = logs.join(format!("{}.test.bake.json", main.name));
    crate::base::files::write_json(&file, &bake::test_definition(specs, stage))?;
    let metadata = logs.join(format!("{}.test.metadata.json", main.name));
    let target = bake::target_name(&main.name);
    Ok(Some(bake::bake(buildx, &format!("test {}", main.name), &file, &[target], &metadata)))
}

/// How a test on this builder runs, for the record.
pub(crate) fn tested(builder: &Builder, platform: &Platform) -> Tested {
    if builder.is_native(platform) { Tested::Native } else { Tested::Emulated }
}

/// Looks whether the builder can run what the builds declare, before anything is built.
///
/// # Errors
/// If it has not the platform of one that declares a test, neither natively nor by emulation.
pub(crate) fn check_builder<'b>(
    builder: &Builder,
    mut builds: impl Iterator<Item = &'b Build>,
) -> Result<()> {
    match builds.find(|build| build.test.is_some() && !builder.lists(&build.platform)) {
        None => Ok(()),
        Some(build) => Err(UserError::failed(format!(
            "test for {}: the builder does not have that platform",
            build.platform
        ))
        .help("let it emulate (docker/setup-qemu-action in CI), or name one that has it: --builder NAME")
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_native_is_emulated() {
        let platforms = ["linux/amd64", "linux/386", "linux/arm64"];
        let node = platforms.iter().map(|platform| platform.parse().unwrap()).collect();
        let builder = Builder { nodes: vec![node], ..Builder::default() };
        let found = platforms.map(|platform| tested(&builder, &platform.parse().unwrap()));
        assert_eq!(found, [Tested::Native, Tested::Native, Tested::Emulated]);
    }
}
