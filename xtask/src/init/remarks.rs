//! What nobody can carry over, since it depends on people, machines or registries.

use std::collections::BTreeSet;

use crate::init::dockerfiles;
use crate::init::found::{Found, Secret};
use crate::init::repository::Repository;

/// Adds the remarks about a repository and what was found in it.
pub(crate) fn about(repository: &Repository, found: &mut Found) {
    let mut left = Vec::new();
    if found.repositories.is_empty() && repository.address.is_none() {
        left.push(
            "matrix.toml: this repository has no remote `origin`, so ghcr.io/acme is a placeholder: set `repositories`"
                .to_owned(),
        );
    }
    if repository.is_guessed {
        left.push(format!(
            "images.yml: git does not know the default branch; {} is assumed (`git remote set-head origin --auto` asks for it)",
            repository.default_branch
        ));
    }
    left.extend(elsewhere(repository, found));
    let read =
        found.images.iter().filter(|image| image.tags.is_empty() && image.origin.starts_with(".github/"));
    left.extend(read.map(|image| {
        format!(
            "{}: no tag of {} could be carried over; the usual ones are proposed",
            image.origin, image.name
        )
    }));
    if found.images.iter().any(|image| image.platforms.is_empty()) {
        left.push(
            "matrix.toml: nothing says for which platforms, so it has amd64 and arm64: remove arm64 where an image does not build for it"
                .to_owned(),
        );
    }
    for image in &found.images {
        for (id, secret) in &image.secrets {
            if let Secret::Env(name) = secret
                && name != "GITHUB_TOKEN"
            {
                left.push(format!(
                    "images.yml, family.yml, cell.yml: pass the secret {name} on to the steps that build, for {id} of {}: docs/adopt.md has the lines",
                    image.name
                ));
            }
        }
        let path = image.dockerfile_path();
        if !repository.has(&path) {
            left.push(format!(
                "{}: there is no file {path} in this repository; if a step makes it, commit it or write another one",
                image.origin
            ));
        }
        let text = repository.text(&path).unwrap_or_default();
        let member = image.context == "." && repository.has("Cargo.toml");
        if member && dockerfiles::names(&text, "Cargo.toml") && !dockerfiles::names(&text, "xtask") {
            left.push(format!(
                "{path}: it copies Cargo.toml, which has the member `xtask` now: copy xtask/ as well before cargo runs there"
            ));
        }
    }
    if repository.has("rust-toolchain.toml") || repository.has("rust-toolchain") {
        left.push(format!(
            "rust-toolchain: `cargo xtask` needs Rust {} or newer",
            env!("CARGO_PKG_RUST_VERSION")
        ));
    }
    found.left.extend(left);
}

/// What the workflow cannot know of registries and machines that are not GitHub's.
fn elsewhere(repository: &Repository, found: &Found) -> Vec<String> {
    let hosts = found.repositories.iter().filter_map(|place| place.split('/').next());
    let hosts: BTreeSet<&str> = hosts.filter(|host| *host != "ghcr.io").collect();
    let mut left = Vec::new();
    let mut hosts = hosts.into_iter();
    left.extend(hosts.next().map(|host| {
        format!(
            "{host}: set the variables REGISTRY (to {host}) and REGISTRY_USERNAME, and the secrets REGISTRY_PASSWORD and \
             REGISTRY_PULL_PASSWORD, in the settings of the repository; for a login without a password see docs/adopt.md"
        )
    }));
    left.extend(hosts.map(|host| {
        format!(
            "images.yml, cell.yml: they log in to ghcr.io and one more registry; commit the files, then add a step docker/login-action \
             for {host} beside each of theirs, see docs/adopt.md: `cargo xtask update` keeps such changes"
        )
    }));
    if repository.address.as_ref().is_some_and(|address| !address.starts_with("https://github.com/")) {
        left.push(
            "images.yml, cell.yml: these are workflows of GitHub Actions; elsewhere run `cargo xtask plan`, `build` and `merge` in \
             jobs of your own"
                .to_owned(),
        );
    }
    left
}
