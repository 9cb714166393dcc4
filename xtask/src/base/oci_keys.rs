//! The keys of labels and annotations that this tool knows.
//! Source: <https://github.com/opencontainers/image-spec/blob/main/annotations.md>.

/// When an image was built.
pub const CREATED: &str = "org.opencontainers.image.created";
/// The commit that it was built from.
pub const REVISION: &str = "org.opencontainers.image.revision";
/// Where that commit is.
pub const SOURCE: &str = "org.opencontainers.image.source";
/// The version of what is packaged.
pub const VERSION: &str = "org.opencontainers.image.version";

/// The labels that images get by themselves, as far as nobody says otherwise.
pub const AUTOMATIC: [&str; 4] = [CREATED, REVISION, SOURCE, VERSION];

/// The keys of an image in `matrix.toml` that become a label and an annotation, and under which key.
pub const DESCRIBING: [(&str, &str); 3] = [
    ("description", "org.opencontainers.image.description"),
    ("licenses", "org.opencontainers.image.licenses"),
    ("url", "org.opencontainers.image.url"),
];

/// What annotations of this tool begin with.
pub const OWN: &str = "io.xtask.";
