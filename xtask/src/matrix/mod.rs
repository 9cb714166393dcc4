//! `matrix.toml` as written: types, decoding, validation.

mod build_options;
pub mod cells;
mod check;
mod decode;
mod diagnostic;
mod images;
mod model;
mod names;
mod options;
mod publishing;
mod sections;
mod settings;
pub(crate) mod tracks;

use anyhow::Result;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::base::error::UserError;

pub use crate::matrix::build_options::{
    Attest, CacheKind, Compression, CompressionKind, Options, Provenance, Refresh, Sbom, Secret, SecretSource,
};
pub use crate::matrix::diagnostic::{Diagnostic, Diagnostics, Located, Source};
pub use crate::matrix::model::{
    Axis, ComposerMode, Condition, Dockerfile, EventName, Exclude, FormerMethod, FormerSigner, Image, Matrix,
    NamedContext, Need, Override, OwnLine, PlatformDef, RefSpec, Selector, Setting, Settings, SignSection,
    Sigstore, TagSpec, Track, When,
};

/// A `matrix.toml` is written by people: one larger than this is a mistake. In bytes.
const LIMIT: u64 = 1 << 20;

/// Reads and validates a file.
///
/// # Errors
/// If it cannot be read or is invalid: every error in it.
pub fn load(path: &Path) -> Result<Matrix> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let cannot = |why: &str| UserError::invalid(format!("reading {}: {why}", path.display()));
    let mut bytes = Vec::new();
    // One byte more than the limit is enough to know, also of a device that never ends.
    File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
        .map_err(|error| cannot(&error.to_string()))?;
    if bytes.len() as u64 > LIMIT {
        return Err(cannot(&format!("it is larger than the limit of {LIMIT} bytes")).into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let (line, column) = Source { name: name.clone(), text }.position(valid);
        cannot(&format!("line {line}, column {column} is no UTF-8 text")).help("save it as UTF-8")
    })?;
    parse(Source { name, text })
}

/// Validates a text.
///
/// # Errors
/// Every error in it.
pub fn parse(mut source: Source) -> Result<Matrix> {
    // A byte order mark is no character of the first line.
    if let Some(text) = source.text.strip_prefix('\u{feff}') {
        source.text = text.to_owned();
    }
    let (matrix, mut errors, clear) = sections::matrix(&source);
    errors.extend(check::check(&matrix, clear));
    if errors.is_empty() { Ok(matrix) } else { Err(Diagnostics(errors).into_error(&source)) }
}
