//! What `merge` does to publish a cell, as data: running it, printing it and documenting it are three readers of one list.

use crate::base::ids::Repository;
use crate::base::record::DigestRecord;
use crate::plan::{Cell, Kept, PlannedTag};

/// One step. What it needs beside this stands in the cell and its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Look whether what the cell stands on is published by the same plan.
    CheckBases,
    /// Read the index that is kept, with the signed record that proves it; verify it where tags are to be set.
    KeepIndex(&'a Kept),
    /// Ask the registry for a build: it is there, for its platform, with its attestation, made for this cell.
    CheckBuild(&'a DigestRecord),
    /// Compute the index, check it, push it under its digest, read it back.
    PushIndex,
    /// Sign the index and everything that it lists.
    Sign,
    /// Verify all of it as a consumer would.
    Verify,
    /// Attach signed provenance of the index, and read it back as a consumer would.
    AttachProvenance,
    /// Run a command that judges it.
    PassGate(&'a [String]),
    /// Read what the tags hold, decide, attach the record of it, and read them again.
    AttachRecord,
    /// Set one tag, if it still holds what it held; `merge` decides anew where it does not.
    SetTag(&'a PlannedTag),
    /// Read all tags back.
    ReadTagsBack,
    /// Write the publication record.
    WriteRecord,
}

/// The kind of a step, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Step 1, of all cells before any of them is published.
    ReadRecords,
    /// [`Step::CheckBases`].
    CheckBases,
    /// [`Step::KeepIndex`], which takes the place of those up to [`Step::AttachProvenance`].
    KeepIndex,
    /// [`Step::CheckBuild`].
    CheckBuild,
    /// [`Step::PushIndex`].
    PushIndex,
    /// [`Step::Sign`].
    Sign,
    /// [`Step::Verify`].
    Verify,
    /// [`Step::AttachProvenance`].
    AttachProvenance,
    /// [`Step::PassGate`].
    PassGate,
    /// [`Step::AttachRecord`].
    AttachRecord,
    /// [`Step::SetTag`].
    SetTag,
    /// [`Step::ReadTagsBack`].
    ReadTagsBack,
    /// [`Step::WriteRecord`].
    WriteRecord,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 13] = [
        Self::ReadRecords,
        Self::CheckBases,
        Self::KeepIndex,
        Self::CheckBuild,
        Self::PushIndex,
        Self::Sign,
        Self::Verify,
        Self::AttachProvenance,
        Self::PassGate,
        Self::AttachRecord,
        Self::SetTag,
        Self::ReadTagsBack,
        Self::WriteRecord,
    ];

    /// What it is called in the documentation, and in the output of `merge --dry-run`.
    pub fn title(self) -> &'static str {
        match self {
            Self::ReadRecords => "read the digest records",
            Self::CheckBases => "check what it stands on",
            Self::KeepIndex => "find what is kept",
            Self::CheckBuild => "check the builds",
            Self::PushIndex => "push the index untagged",
            Self::Sign => "sign",
            Self::AttachProvenance => "attach the provenance",
            Self::Verify => "verify",
            Self::PassGate => "pass the gates",
            Self::AttachRecord => "attach the publication record",
            Self::SetTag => "set the tags",
            Self::ReadTagsBack => "read the tags back",
            Self::WriteRecord => "write the publication record",
        }
    }
}

impl Step<'_> {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::CheckBases => Kind::CheckBases,
            Self::KeepIndex(_) => Kind::KeepIndex,
            Self::CheckBuild(_) => Kind::CheckBuild,
            Self::PushIndex => Kind::PushIndex,
            Self::Sign => Kind::Sign,
            Self::AttachProvenance => Kind::AttachProvenance,
            Self::Verify => Kind::Verify,
            Self::PassGate(_) => Kind::PassGate,
            Self::AttachRecord => Kind::AttachRecord,
            Self::SetTag(_) => Kind::SetTag,
            Self::ReadTagsBack => Kind::ReadTagsBack,
            Self::WriteRecord => Kind::WriteRecord,
        }
    }
}

/// A step, and where it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellStep<'a> {
    /// The repository, where it concerns one alone: if it fails, the others go on.
    pub repository: Option<&'a Repository>,
    /// What is done.
    pub step: Step<'a>,
}

/// The steps of a cell in their order: every repository holds the index, signed, verified and let through by the gates,
/// before a tag of any is set. `signed`: the matrix signs its images.
pub fn steps<'a>(
    cell: &'a Cell,
    records: &'a [DigestRecord],
    gates: &'a [Vec<String>],
    signed: bool,
) -> Vec<CellStep<'a>> {
    let kept = cell.kept();
    let needs = cell.needs().next().is_some() && kept.is_none();
    let bases = CellStep { repository: None, step: Step::CheckBases };
    let mut steps: Vec<CellStep<'a>> = needs.then_some(bases).into_iter().collect();
    let mut each = |of: &dyn Fn(&mut Vec<Step<'a>>)| {
        for repository in &cell.repositories {
            let mut found = Vec::new();
            of(&mut found);
            let here = |step| CellStep { repository: Some(repository), step };
            steps.extend(found.into_iter().map(here));
        }
    };
    match kept {
        Some(kept) => each(&|steps| steps.push(Step::KeepIndex(kept))),
        None => each(&|steps| steps.extend(records.iter().map(Step::CheckBuild).chain([Step::PushIndex]))),
    }
    each(&|steps| {
        let trust = [Step::Sign, Step::Verify, Step::AttachProvenance];
        steps.extend(trust.into_iter().filter(|_| signed && kept.is_none()));
        // What tags hold already has passed them.
        let judged = kept.is_none_or(|kept| !kept.lacking.is_empty());
        steps.extend(gates.iter().filter(|_| judged).map(|gate| Step::PassGate(gate)));
    });
    each(&|steps| {
        steps.extend(signed.then_some(Step::AttachRecord));
        steps.extend(cell.tags.iter().map(Step::SetTag).chain([Step::ReadTagsBack]));
    });
    steps.push(CellStep { repository: None, step: Step::WriteRecord });
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_these_steps_in_this_order() {
        let text = include_str!("../../../docs/publication.md");
        let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        let numbered = rows.filter(|(step, _)| step.starts_with(|c: char| c.is_ascii_digit()));
        let documented: Vec<&str> = numbered.map(|(step, _)| step).collect();
        let titles = Kind::ALL.iter().enumerate().map(|(n, kind)| format!("{} {}", n + 1, kind.title()));
        assert_eq!(documented, titles.collect::<Vec<_>>());
    }
}
