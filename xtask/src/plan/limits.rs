//! What GitHub allows a run: <https://docs.github.com/en/actions/reference/limits>. Pure.

use anyhow::Result;

use crate::base::error::UserError;

/// A matrix of GitHub has at most as many rows.
pub(super) const MOST: usize = 256;

/// What the outputs of a job may be in all, in bytes of UTF-16.
const OUTPUTS: usize = 1 << 20;

/// Whether outputs are small enough; said here, where somebody can do something about it.
///
/// # Errors
/// If they are not.
pub(super) fn check_size(outputs: &[(String, String)]) -> Result<()> {
    let units = |text: &str| 2 * text.encode_utf16().count();
    let size: usize = outputs.iter().map(|(name, value)| units(name) + units(value)).sum();
    if size < OUTPUTS {
        return Ok(());
    }
    Err(UserError::invalid(format!(
        "make the jobs: their matrix takes {} KiB, and the outputs of a job may take {} KiB",
        size / 1024,
        OUTPUTS / 1024
    ))
    .help("split matrix.toml, or start the workflow by hand with its input `track`")
    .into())
}

/// Cuts each kind into parts, as many as there is room for in all.
pub(super) fn split<T: Clone>(kinds: Vec<Vec<T>>, room: usize) -> Result<Vec<Vec<T>>> {
    if kinds.len() > room {
        return Err(UserError::invalid(format!(
            "make the jobs: {} kinds of runners and architectures, and a matrix of GitHub holds {MOST} jobs",
            kinds.len()
        ))
        .help("split matrix.toml, or start the workflow by hand with its input `track`")
        .into());
    }
    let total = |each: usize| kinds.iter().map(|kind| kind.len().div_ceil(each)).sum::<usize>();
    let each = (1..).find(|each| total(*each) <= room).unwrap_or(usize::MAX);
    Ok(kinds.iter().flat_map(|kind| kind.chunks(each)).map(<[T]>::to_vec).collect())
}
