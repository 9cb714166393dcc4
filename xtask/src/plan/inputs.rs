//! What a plan is made from, beside the matrix.

use anyhow::Result;
use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::base::ids::Name;
use crate::matrix::cells::CellSpec;
use crate::plan::event::Event;
use crate::plan::git::Git;
use crate::plan::model::{Destination, FormerSigner, SigningMethod};
use crate::plan::remote::Remotes;

/// What a plan is made from, beside the matrix.
pub struct Inputs<'a> {
    /// What `{created}` and `{date}` stand for: `SOURCE_DATE_EPOCH`, else the real clock.
    pub now: SystemTime,
    /// The real clock.
    pub planned: SystemTime,
    /// What started the run.
    pub event: Event,
    /// The state of this repository.
    pub git: Git,
    /// Where the images go.
    pub destination: Destination,
    /// How they are signed there.
    pub sign: SigningMethod,
    /// How they were signed before.
    pub formerly: Vec<FormerSigner>,
    /// `--set-version TRACK=X`.
    pub versions: BTreeMap<Name, String>,
    /// What `resolve::queries` asked for.
    pub remotes: Remotes,
    /// Reads a file below the folder of `matrix.toml`.
    pub read: &'a dyn Fn(&str) -> Result<String>,
}

impl Inputs<'_> {
    /// The version of a cell that was set on the command line.
    pub(super) fn set_version(&self, spec: &CellSpec<'_>) -> Option<&str> {
        spec.track.and_then(|track| self.versions.get(&track.name)).map(String::as_str)
    }
}
