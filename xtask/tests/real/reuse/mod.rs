//! Nothing is built twice, and nothing is kept that BuildKit would have made anew.

pub mod late;
mod project;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checkout::Checkout;
use project::{CELLS, CHANGING, NEVER, Project, set_mode};

/// What has to come of a change.
#[derive(Clone, Copy, PartialEq)]
enum Must {
    /// A cell is built, whatever BuildKit thinks of its image.
    Build(&'static str),
    /// No cell is built that was not before.
    Keep,
    /// Whatever BuildKit does.
    Either,
}
use Must::{Build, Either, Keep};

type Change = (&'static str, Must, fn(&Project));

const APP: &str = "app.rel";

/// Every kind of change.
const CHANGES: &[Change] = &[
    ("nothing", Keep, |_| {}),
    ("content of the same size and time", Build(APP), |p| {
        let time = fs::metadata(p.path("app/src/a")).unwrap().modified().unwrap();
        p.write("app/src/a", "AAA");
        fs::File::options().write(true).open(p.path("app/src/a")).unwrap().set_modified(time).unwrap();
    }),
    ("content", Build(APP), |p| p.write("app/src/deep/c", "changed")),
    ("a program", Build(APP), |p| set_mode(&p.path("app/src/a"), 0o755)),
    ("a private file", Build(APP), |p| set_mode(&p.path("app/src/a"), 0o600)),
    ("the mode of a folder", Build(APP), |p| set_mode(&p.path("app/src/deep"), 0o700)),
    ("another target of a link", Build(APP), |p| {
        fs::remove_file(p.path("app/src/link")).unwrap();
        symlink("b", p.path("app/src/link")).unwrap();
    }),
    ("a link in the place of a file", Build(APP), |p| {
        fs::remove_file(p.path("app/src/b")).unwrap();
        symlink("a", p.path("app/src/b")).unwrap();
    }),
    ("a file in the place of a link", Build(APP), |p| {
        fs::remove_file(p.path("app/src/link")).unwrap();
        p.write("app/src/link", "aaa");
    }),
    ("another name", Build(APP), |p| fs::rename(p.path("app/src/a"), p.path("app/src/z")).unwrap()),
    ("a name in capitals", Build(APP), |p| fs::rename(p.path("app/src/a"), p.path("app/src/A")).unwrap()),
    ("a new file", Build(APP), |p| p.write("app/src/new", "")),
    ("a file with an odd name", Build(APP), |p| p.write("app/src/line\nfeed \u{e9}", "")),
    ("a file that is gone", Build(APP), |p| fs::remove_file(p.path("app/src/b")).unwrap()),
    ("an empty folder", Build(APP), |p| fs::create_dir(p.path("app/src/empty")).unwrap()),
    ("a file of the whole context", Build("odd"), |p| p.write("odd/new", "")),
    ("an extended attribute", Either, |p| {
        let flags = rustix::fs::XattrFlags::empty();
        // Some file systems have none.
        let _ = rustix::fs::setxattr(p.path("odd/deep/file"), "user.x", b"1", flags);
    }),
    ("a file that no instruction copies", Either, |p| p.write("app/unused", "changed")),
    ("a time", Keep, |p| {
        let file = fs::File::options().write(true).open(p.path("app/src/a")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }),
    ("a file that is ignored", Keep, |p| p.write("app/ignored", "changed")),
    ("a new file that is ignored", Keep, |p| p.write("app/new.list", "")),
    ("a pattern that ignores more", Build(APP), |p| {
        p.replace("app/.dockerignore", "ignored\n", "ignored\nsrc/deep\n");
    }),
    ("an exception", Build(APP), |p| p.replace("app/.dockerignore", "a.list\n", "a.list\n!a.list\n")),
    ("another order of patterns", Build(APP), |p| {
        p.replace("app/.dockerignore", "!a.list\na.list\n", "a.list\n!a.list\n");
    }),
    ("a comment among patterns", Either, |p| p.replace("app/.dockerignore", "# what", "# this")),
    ("an ignore file of the Dockerfile's own", Build(APP), |p| {
        p.write("app/Dockerfile.dockerignore", "*.list\n");
    }),
    ("a comment in the Dockerfile", Either, |p| p.replace("app/Dockerfile", "ARG GROUND", "# x\nARG GROUND")),
    ("an instruction", Build(APP), |p| p.replace("app/Dockerfile", "FLAVOUR=$", "TASTE=$")),
    ("another order of instructions", Build(APP), |p| {
        let (first, second) = ("COPY --link src /$PLACE\n", "COPY *.list /lists/\n");
        p.replace("app/Dockerfile", &format!("{first}{second}"), &format!("{second}{first}"));
    }),
    ("the text of a heredoc", Build(APP), |p| p.replace("app/Dockerfile", "\ntext\n", "\nother\n")),
    ("a default that is overridden", Either, |p| p.replace("app/Dockerfile", "PLACE=src", "PLACE=other")),
    ("a default that is not", Build("tool"), |p| p.replace("tool/Dockerfile", "WORD=one", "WORD=two")),
    ("another base by its tag", Build(APP), |p| p.replace("app/Dockerfile", "GROUND=1", "GROUND=2")),
    ("a Dockerfile of another name", Either, |p| {
        fs::rename(p.path("app/Dockerfile"), p.path("app/Containerfile")).unwrap();
        p.edit("context = \"app\"", "context = \"app\"\ndockerfile = \"Containerfile\"");
    }),
    ("a build argument", Build(APP), |p| p.edit("FLAVOUR = \"plain\"", "FLAVOUR = \"sweet\"")),
    ("a build argument in a path", Build(APP), |p| p.edit("PLACE = \"src\"", "PLACE = \"dst\"")),
    ("a build argument of a program", Build("tool"), |p| p.edit("{ COMMIT", "{ WORD = \"x\", COMMIT")),
    ("a build argument that nobody reads", Either, |p| p.edit("{ FLAVOUR", "{ NOBODY = \"1\", FLAVOUR")),
    ("a build argument that is gone", Build(APP), |p| p.edit(", PLACE = \"src\"", ", PLACE = \"\"")),
    ("another order of build arguments", Keep, |p| {
        p.edit("FLAVOUR = \"plain\", PLACE = \"src\"", "PLACE = \"src\", FLAVOUR = \"plain\"");
    }),
    ("a label", Build(APP), |p| p.edit("\"x.one\" = \"1\"", "\"x.one\" = \"9\"")),
    ("a new label", Build(APP), |p| p.edit("\"x.one\"", "\"x.three\" = \"3\", \"x.one\"")),
    ("a label that is gone", Build(APP), |p| p.edit(", \"x.two\" = \"2\"", "")),
    ("labels that swap their values", Build(APP), |p| {
        p.edit("\"x.one\" = \"1\", \"x.two\" = \"2\"", "\"x.one\" = \"2\", \"x.two\" = \"1\"");
    }),
    ("an annotation of the image", Build(APP), |p| p.edit("\"x.note\" = \"n\"", "\"x.note\" = \"m\"")),
    ("an annotation of the index", Build(APP), |p| p.edit("x.index\" = \"i\"", "x.index\" = \"j\"")),
    ("another target", Build(APP), |p| p.edit("target = \"runtime\"", "target = \"other\"")),
    ("a test", Build(APP), |p| p.edit("target = \"runtime\"", "target = \"runtime\"\ntest = \"test\"")),
    ("a file that must be machine code", Build("tool"), |p| {
        p.edit("context = \"tool\"", "context = \"tool\"\nbinaries = [\"/write\"]");
    }),
    ("another platform", Build(APP), |p| {
        p.edit("[tracks", "arm64 = { platform = \"linux/arm64\" }\n[tracks");
    }),
    ("less provenance", Build(APP), |p| {
        p.edit("context = \"app\"", "context = \"app\"\nattest = { provenance = \"min\" }")
    }),
    ("a compression", Build(APP), |p| {
        p.edit("context = \"app\"", "context = \"app\"\ncompression = { type = \"zstd\", force = true }");
    }),
    ("an inline cache", Build(APP), |p| {
        p.edit("context = \"app\"", "context = \"app\"\ncache = [\"inline\"]")
    }),
    ("a secret", Build(APP), |p| {
        p.edit("context = \"app\"", "context = \"app\"\nsecrets = { X = { file = \"matrix.toml\" } }")
    }),
    ("a weekly refresh", Build("tool"), |p| {
        p.edit("context = \"tool\"", "context = \"tool\"\nrefresh = \"never\"")
    }),
    ("a refresh of what no program downloads", Keep, |p| {
        p.edit("context = \"lib\"", "context = \"lib\"\nrefresh = \"never\"")
    }),
    ("a file of a named context", Build(APP), |p| p.write("extra/note", "other")),
    ("a named context of the same content", Either, |p| p.edit("\"extra\" }", "\"extra2\" }")),
    ("another named context", Build(APP), |p| {
        p.write("extra2/note", "other");
        p.edit("\"extra\" }", "\"extra2\" }");
    }),
    ("what it needs", Build("top"), |p| p.write("lib/lib", "other")),
    ("a version", Build(APP), |p| p.write("rel/.version", "1.2.4\n")),
    ("a version that no label tells", Keep, |p| p.edit("tags = [\"main\"]", "tags = [\"main\", \"more\"]")),
    ("a base that has moved", Build(APP), |p| p.push_image("ground", "1", "moved")),
    ("a base that has moved back", Keep, |p| p.push_image("ground", "1", "one")),
    ("a frontend that has moved", Build(APP), |p| p.push_frontend("two")),
    ("a frontend that has moved back", Keep, |p| p.push_frontend("one")),
];

/// Each change on the real builder: what is kept is what BuildKit makes again, and what counts is built.
pub fn no_wrong_reuse(_: &Checkout) {
    let project = Project::publish();
    let before = project.images(&CHANGING);
    let mut told = Told::default();
    let verdicts = project.verdicts();
    for cell in CELLS {
        assert_eq!(verdicts[cell].is_err(), NEVER.contains(&cell), "{cell}: {verdicts:?}");
    }
    for (name, must, change) in CHANGES {
        change(&project);
        told.look(&project, name, *must, &before);
        project.restore();
    }
    // Several at once: of what lies in files, since the others are not put back.
    let files = &CHANGES[..CHANGES.len() - 4];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..12 {
        let mut names = BTreeSet::new();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            names.insert(usize::try_from(state >> 33).unwrap() % files.len());
        }
        // Two changes of one line cannot both be made.
        let made = |n: &usize| catch_unwind(AssertUnwindSafe(|| (files[*n].2)(&project))).is_ok();
        let done: Vec<&str> = names.into_iter().filter(made).map(|n| files[n].0).collect();
        told.look(&project, &format!("{round}: {}", done.join(", ")), Either, &before);
        project.restore();
    }
    project.move_upstream();
    told.look(&project, "an upstream that has moved", Build("tool"), &before);
    println!("{}", told.table());
    assert!(told.wrong.is_empty(), "{}", told.wrong.join("\n"));
}

/// What was seen.
#[derive(Default)]
struct Told {
    rows: Vec<String>,
    wrong: Vec<String>,
    needless: usize,
}

impl Told {
    fn look(&mut self, project: &Project, name: &str, must: Must, before: &BTreeMap<String, Option<String>>) {
        let asked = match must {
            Build(cell) => vec![cell],
            Keep | Either => CHANGING.to_vec(),
        };
        let (verdicts, images) = (project.verdicts(), project.images(&asked));
        let changed: Vec<&str> =
            asked.iter().copied().filter(|cell| images[*cell] != before[*cell]).collect();
        let built: Vec<&str> =
            CHANGING.iter().copied().filter(|cell| verdicts.get(*cell).is_none_or(Result::is_err)).collect();
        for cell in changed.iter().filter(|cell| !built.contains(cell)) {
            self.wrong.push(format!("{name}: {cell} is kept, and BuildKit makes another image"));
        }
        let same = asked.iter().filter(|cell| built.contains(cell) && !changed.contains(cell));
        self.needless += same.count();
        match must {
            Build(cell) if !built.contains(&cell) => {
                self.wrong.push(format!("{name}: {cell} has to be built"))
            }
            Keep if !built.is_empty() => {
                let why: Vec<&String> =
                    built.iter().filter_map(|cell| verdicts[*cell].as_ref().err()).collect();
                self.wrong
                    .push(format!("{name}: nothing has changed, and {built:?} would be built: {why:?}"));
            }
            _ => {}
        }
        self.rows.push(format!("| {name} | {} | {} |", list(&built), list(&changed)));
    }

    fn table(&self) -> String {
        let head = "| change | built by the tool | another image by BuildKit |\n| --- | --- | --- |";
        format!(
            "{head}\n{}\n{} builds that BuildKit would not have needed",
            self.rows.join("\n"),
            self.needless
        )
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}
