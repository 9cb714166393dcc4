//! What programs have said about themselves, so that no later run has to ask again: `target/xtask/tools.json`.
//!
//! An answer holds for one file as it was: its path, its size and the time of its last change. What a script or a link
//! of another name says may change while the file stays: that is asked every time.

use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::base::files;

/// The version of the form of the file.
const SCHEMA: u32 = 1;

/// An answer that is longer is none that we look for. In bytes.
const LONGEST: usize = 4096;

/// The file, as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: u32,
    answers: Vec<Answer>,
}

/// What one program answered to one question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    program: Identity,
    /// The arguments.
    question: Vec<String>,
    /// What it printed.
    text: String,
}

/// A program file in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    /// Absolute, without links.
    path: PathBuf,
    /// In bytes.
    size: u64,
    /// In nanoseconds since 1970.
    modified: u64,
}

impl Identity {
    /// `None` where the file does not tell which program runs.
    fn of(program: &Path) -> Option<Self> {
        let path = fs::canonicalize(program).ok()?;
        // A link of another name leads to a program that looks at its name, such as a manager of versions.
        let same_name = path.file_name() == program.file_name();
        if !same_name || is_script(&path)? {
            return None;
        }
        let found = fs::metadata(&path).ok()?;
        let modified = found.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Self { path, size: found.len(), modified: u64::try_from(modified.as_nanos()).ok()? })
    }
}

fn is_script(path: &Path) -> Option<bool> {
    let mut start = [0; 2];
    File::open(path).ok()?.read_exact(&mut start).ok()?;
    Some(start == *b"#!")
}

/// The answers of one checkout. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// `None`: nothing is kept.
    file: Option<PathBuf>,
    /// `None`: not read yet.
    answers: Arc<Mutex<Option<Vec<Answer>>>>,
}

impl Memory {
    /// What is kept in a file; one that cannot be understood is as good as none.
    pub(super) fn of(file: PathBuf) -> Self {
        Self { file: Some(file), answers: Arc::default() }
    }

    /// What `program` printed when it was asked this before, else what `ask` gives, which is kept.
    pub(super) fn ask<E>(
        &self,
        program: &Path,
        question: &[&str],
        ask: impl FnOnce() -> Result<Option<String>, E>,
    ) -> Result<Option<String>, E> {
        let Some(identity) = Identity::of(program).filter(|_| self.file.is_some()) else { return ask() };
        if let Some(known) = self.recall(&identity, question) {
            return Ok(Some(known));
        }
        let answer = ask()?;
        if let Some(text) = answer.as_ref().filter(|text| text.len() <= LONGEST) {
            self.learn(identity, question, text);
        }
        Ok(answer)
    }

    fn recall(&self, program: &Identity, question: &[&str]) -> Option<String> {
        self.with(|answers| {
            let same = |answer: &&Answer| answer.program == *program && answer.question == question;
            answers.iter().find(same).map(|answer| answer.text.clone())
        })
    }

    fn learn(&self, program: Identity, question: &[&str], text: &str) {
        let Some(file) = &self.file else { return };
        self.with(|answers| {
            // What it said before it was changed is of no use.
            answers.retain(|old| old.program.path != program.path || old.question != question);
            let question = question.iter().map(|&word| word.to_owned()).collect();
            answers.push(Answer { program, question, text: text.to_owned() });
            // Where nothing can be written it is asked again next time.
            let _ = files::write_json(file, &Stored { schema: SCHEMA, answers: answers.clone() });
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Answer>) -> T) -> T {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        work(answers.get_or_insert_with(|| self.file.as_deref().map(read).unwrap_or_default()))
    }
}

fn read(file: &Path) -> Vec<Answer> {
    let bytes = files::read_optional(file).ok().flatten().unwrap_or_default();
    let stored: Stored = serde_json::from_slice(&bytes).unwrap_or_default();
    if stored.schema == SCHEMA { stored.answers } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::os::unix::fs::symlink;

    struct Case {
        folder: PathBuf,
        asked: Cell<usize>,
    }

    impl Case {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-memory-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self { folder, asked: Cell::new(0) }
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.join(name);
            fs::write(&path, text).unwrap();
            path
        }

        /// Asks as a new run would. Returns the answer, which counts how often it was really asked.
        fn ask(&self, program: &Path) -> String {
            let memory = Memory::of(self.folder.join("tools.json"));
            let answer = memory.ask(program, &["version"], || {
                self.asked.set(self.asked.get() + 1);
                Ok::<_, ()>(Some(self.asked.get().to_string()))
            });
            answer.unwrap().unwrap()
        }
    }

    impl Drop for Case {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn a_program_is_asked_again_when_it_has_changed() {
        let case = Case::new("change");
        let program = case.file("program", "\x7fELF one");
        assert_eq!([case.ask(&program), case.ask(&program)], ["1", "1"]);
        case.file("program", "\x7fELF other");
        assert_eq!([case.ask(&program), case.ask(&program)], ["2", "2"], "another size");
        let file = File::options().write(true).open(&program).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!([case.ask(&program), case.ask(&program)], ["3", "3"], "another time");
        assert_eq!(read(&case.folder.join("tools.json")).len(), 1, "what is out of date goes");
    }

    #[test]
    fn what_is_no_file_of_ours_is_ignored() {
        let case = Case::new("foreign");
        let program = case.file("program", "\x7fELF");
        for (text, expected) in [("{", "1"), ("[]", "2"), (r#"{"schema":2,"answers":[]}"#, "3")] {
            case.file("tools.json", text);
            assert_eq!(case.ask(&program), expected, "{text}");
        }
        let whole = fs::read_to_string(case.folder.join("tools.json")).unwrap();
        case.file("tools.json", &whole.replace("\"text\"", "\"words\""));
        assert_eq!(case.ask(&program), "4", "a field that we do not know");
    }

    #[test]
    fn what_may_be_another_program_tomorrow_is_not_kept() {
        let case = Case::new("wrapper");
        let script = case.file("script", "#!/bin/sh\nexec other \"$@\"\n");
        assert_eq!([case.ask(&script), case.ask(&script)], ["1", "2"]);
        let link = case.folder.join("link");
        symlink(case.file("manager", "\x7fELF"), &link).unwrap();
        assert_eq!([case.ask(&link), case.ask(&link)], ["3", "4"]);
        let memory = Memory::default();
        let program = case.file("program", "\x7fELF");
        let ask = |text: &str| memory.ask(&program, &[], || Ok::<_, ()>(Some(text.to_owned()))).unwrap();
        assert_eq!([ask("a"), ask("b")].map(Option::unwrap), ["a", "b"], "no file, no memory");
    }
}
