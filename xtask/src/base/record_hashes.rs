//! The SHA-256 of digest records, as the jobs that wrote them said it: a record that travels as an artifact of a run can
//! be replaced by any job of that run, an output of a job cannot.

use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Name};

/// Hashes by record, as text `CELL/ARCH=sha256:…`, separated by commas. Empty parts do not count: they are the outputs of
/// jobs that do not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordHashes(BTreeMap<(CellId, Name), Digest>);

impl RecordHashes {
    /// Adds a record.
    pub fn add(&mut self, cell: &CellId, arch: &Name, bytes: &[u8]) {
        self.0.insert((cell.clone(), arch.clone()), Digest::of(bytes));
    }

    /// What is wrong with a record that was read, if something is.
    pub fn disagreement(&self, cell: &CellId, arch: &Name, bytes: &[u8]) -> Option<String> {
        let found = Digest::of(bytes);
        match self.0.get(&(cell.clone(), arch.clone())) {
            Some(expected) if *expected == found => None,
            Some(expected) => Some(format!(
                "it was replaced: its SHA-256 is {}, and the job that wrote it said {}",
                found.short(),
                expected.short()
            )),
            None => Some("--expect-records does not name it: no job of this run has written it".to_owned()),
        }
    }
}

impl fmt::Display for RecordHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.iter().map(|((cell, arch), digest)| format!("{cell}/{arch}={digest}"));
        f.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for RecordHashes {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let mut hashes = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let named = part.split_once('=').and_then(|(name, digest)| Some((name.split_once('/')?, digest)));
            let Some(((cell, arch), digest)) = named else {
                let message = format!("`{part}`: expected CELL/ARCH=sha256:…");
                return Err(UserError::invalid(message).into());
            };
            let digest: Digest = digest.parse()?;
            let earlier = hashes.insert((cell.parse()?, arch.parse()?), digest.clone());
            if earlier.is_some_and(|earlier| earlier != digest) {
                return Err(UserError::invalid(format!("{cell}/{arch} has two hashes")).into());
            }
        }
        Ok(Self(hashes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_what_its_job_said() {
        let (cell, arch, other) =
            ("app.tag".parse().unwrap(), "amd64".parse().unwrap(), "arm64".parse().unwrap());
        let mut hashes = RecordHashes::default();
        hashes.add(&cell, &arch, b"record");
        let hashes: RecordHashes = format!(",,{hashes},").parse().unwrap();
        assert_eq!(hashes.disagreement(&cell, &arch, b"record"), None);
        let why = |arch, bytes| hashes.disagreement(&cell, arch, bytes).unwrap();
        assert!(why(&arch, b"another").starts_with("it was replaced"));
        assert!(why(&other, b"record").contains("does not name it"));
        // Where no job has said anything nothing is right.
        let none: RecordHashes = ",".parse().unwrap();
        assert!(none.disagreement(&cell, &arch, b"record").is_some());
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let digest = Digest::of(b"");
        let twice = format!("a/b={digest},a/b={}", Digest::of(b"x"));
        for text in ["x", "a=b", "a/b=c", &format!("a={digest}"), &format!("A b/c={digest}"), &twice] {
            assert!(text.parse::<RecordHashes>().is_err(), "{text}");
        }
    }
}
