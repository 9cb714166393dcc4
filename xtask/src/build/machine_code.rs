//! For which machine the files of an image were made, and how they are taken out of it. Pure.
//!
//! BuildKit writes the architecture that was asked for into the configuration, whatever the files are: an image for
//! arm64 that stands on a base pinned to amd64 says "arm64". Only the programs themselves do not lie.
//!
//! Source: ELF's header (`e_ident`, `e_machine`) as in `elf(5)`.

use crate::base::ids::Platform;

/// Files to be taken out of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The first of these that exists. None of them has to.
    First(Vec<String>),
    /// All that a pattern matches; at least one has to.
    All(String),
}

/// A Dockerfile that copies files out of the context `image`, those of the n-th wish into the folder `/n/`. It runs
/// nothing, so it needs no emulation.
pub fn dockerfile(wanted: &[Wanted]) -> String {
    let mut folders: Vec<&str> = Vec::new();
    let mut copies = String::new();
    for (number, wish) in wanted.iter().enumerate() {
        let mut sources: Vec<String> = Vec::new();
        match wish {
            Wanted::All(pattern) => sources.push(pattern.clone()),
            Wanted::First(paths) => {
                // A later source replaces an earlier one of the same name.
                for path in paths.iter().rev() {
                    folders.extend(
                        path.rsplit_once('/').map(|(folder, _)| folder).filter(|folder| !folder.is_empty()),
                    );
                    sources.push(optional(path));
                }
            }
        }
        if sources.is_empty() {
            continue;
        }
        sources.push(format!("/{number}/"));
        let list = serde_json::Value::from(sources);
        copies += &format!("COPY --from=probe {list}\n");
    }
    folders.sort_unstable();
    folders.dedup();
    // A pattern may match nothing, but only in a folder that exists.
    let made: String = folders.iter().map(|folder| format!("WORKDIR {folder}\n")).collect();
    format!("FROM image AS probe\n{made}FROM scratch\n{copies}")
}

/// A path as a pattern that matches it or nothing: `/bin/s[h]`.
fn optional(path: &str) -> String {
    let mut text = path.to_owned();
    match text.pop() {
        Some(last) => format!("{text}[{last}]"),
        None => text,
    }
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// Machine code, for this `e_machine`.
    Elf(u16),
    /// A script, and the program that reads it.
    Script(String),
    /// Neither.
    Other,
}

impl File {
    /// Tells by the beginning of a file; 256 bytes are enough.
    pub fn of(bytes: &[u8]) -> Self {
        if let (Some(b"\x7fELF"), Some(order), Some([one, two])) =
            (bytes.get(..4), bytes.get(5), bytes.get(18..20))
        {
            let machine = [*one, *two];
            return Self::Elf(if *order == 2 {
                u16::from_be_bytes(machine)
            } else {
                u16::from_le_bytes(machine)
            });
        }
        let Some(rest) = bytes.strip_prefix(b"#!") else { return Self::Other };
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let mut words = line.split_whitespace().skip_while(|word| word.ends_with("/env") || *word == "-S");
        words.next().map_or(Self::Other, |word| Self::Script(word.to_owned()))
    }
}

/// Architectures by OCI's name, `e_machine` and the name that people know.
const MACHINES: &[(&str, u16)] = &[
    ("386", 3),
    ("amd64", 62),
    ("arm", 40),
    ("arm64", 183),
    ("loong64", 258),
    ("mips64le", 8),
    ("ppc64le", 21),
    ("riscv64", 243),
    ("s390x", 22),
];

/// The `e_machine` of a platform's programs. None where it is not known: then nothing can be told.
pub fn machine_of(platform: &Platform) -> Option<u16> {
    if platform.os() != "linux" {
        return None;
    }
    MACHINES.iter().find(|(name, _)| *name == platform.architecture()).map(|(_, machine)| *machine)
}

/// Whether a machine runs the programs of its 32-bit forerunner, too.
pub fn runs(program: u16, machine: u16) -> bool {
    matches!((program, machine), (3, 62) | (40, 183))
}

/// The name of an `e_machine`.
pub fn machine_name(machine: u16) -> String {
    MACHINES
        .iter()
        .find(|(_, other)| *other == machine)
        .map_or_else(|| format!("machine {machine}"), |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_first_on_the_path_wins_and_none_has_to_be_there() {
        let wanted = [
            Wanted::First(vec!["/usr/local/bin/php".into(), "/bin/php".into()]),
            Wanted::All("/usr/lib/*.so".into()),
        ];
        expect![[r#"
            FROM image AS probe
            WORKDIR /bin
            WORKDIR /usr/local/bin
            FROM scratch
            COPY --from=probe ["/bin/ph[p]","/usr/local/bin/ph[p]","/0/"]
            COPY --from=probe ["/usr/lib/*.so","/1/"]
        "#]]
        .assert_eq(&dockerfile(&wanted));
    }

    #[test]
    fn files_tell_their_machine() {
        let elf = |order: u8, machine: [u8; 2]| {
            let mut bytes = b"\x7fELF\x02".to_vec();
            bytes.push(order);
            bytes.resize(18, 0);
            bytes.extend(machine);
            bytes
        };
        let arm64 = machine_of(&"linux/arm64".parse().unwrap()).unwrap();
        assert_eq!(File::of(&elf(1, [0xb7, 0])), File::Elf(arm64));
        assert_eq!(File::of(&elf(2, [0, 22])), File::Elf(22), "big-endian s390x");
        assert_eq!(File::of(b"\x7fELF\x02\x01"), File::Other, "cut off");
        assert_eq!(File::of(b"#!/bin/sh -e\nx"), File::Script("/bin/sh".into()));
        assert_eq!(File::of(b"#! /usr/bin/env -S php -d x\n"), File::Script("php".into()));
        assert_eq!(
            (File::of(b"#!\n"), File::of(b"hello"), File::of(b"")),
            (File::Other, File::Other, File::Other)
        );
        assert_eq!(machine_of(&"windows/amd64".parse().unwrap()), None);
        assert_eq!((machine_name(62).as_str(), machine_name(9).as_str()), ("amd64", "machine 9"));
    }
}
