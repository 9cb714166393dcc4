//! The repositories below this folder, and the workflows of each that `init` reads.

pub const REPOSITORIES: [(&str, &[&str]); 10] = [
    ("one", &[]),
    ("family", &[]),
    ("bake", &[]),
    ("compose", &[]),
    ("rust", &[]),
    ("snipe-it", &[".github/workflows/build.yml"]),
    ("qm-nmr-calc", &[".github/workflows/publish-images.yml"]),
    ("multi-arch-of-madness", &[".github/workflows/release.yml"]),
    ("home-assistant", &[".github/workflows/builder.yml"]),
    ("build-push", &[".github/workflows/docker.yml"]),
];
