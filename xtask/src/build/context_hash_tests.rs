//! What changes a hash, and what is seen to have changed.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A folder with a context `app`, a named context `lib` and a place of our own, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("xtask-context-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        let scratch = Self(root.canonicalize().unwrap());
        for (path, text) in [
            ("app/Dockerfile", "FROM scratch\nCOPY . /\n"),
            ("app/a", "a"),
            ("app/folder/b", "b"),
            ("app/empty/.keep", ""),
            ("lib/c", "c"),
        ] {
            scratch.write(path, text);
        }
        fs::remove_file(scratch.0.join("app/empty/.keep")).unwrap();
        scratch
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn take(&self, context: &str, named: &[(&str, &str)]) -> Snapshot {
        Snapshots::new(&self.0, vec![self.0.join("app/target")]).of(context, "Dockerfile", named).unwrap()
    }

    fn hash(&self) -> Digest {
        self.take("app", &[]).digest
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn whatever_is_sent_counts() {
    let scratch = Scratch::new("counts");
    let path = |path: &str| scratch.0.join(path);
    let steps: [(&str, &dyn Fn()); 9] = [
        ("another content", &|| scratch.write("app/a", "A")),
        ("another file", &|| scratch.write("app/folder/new", "")),
        ("another name", &|| fs::rename(path("app/folder/new"), path("app/folder/old")).unwrap()),
        ("permissions", &|| fs::set_permissions(path("app/a"), fs::Permissions::from_mode(0o755)).unwrap()),
        ("permissions of a folder", &|| {
            fs::set_permissions(path("app/folder"), fs::Permissions::from_mode(0o700)).unwrap();
        }),
        ("a link", &|| symlink("a", path("app/link")).unwrap()),
        ("another target", &|| {
            fs::remove_file(path("app/link")).unwrap();
            symlink("b", path("app/link")).unwrap();
        }),
        ("an empty folder less", &|| fs::remove_dir(path("app/empty")).unwrap()),
        ("the Dockerfile", &|| scratch.write("app/Dockerfile", "FROM scratch\n")),
    ];
    let mut seen = vec![scratch.hash()];
    for (what, step) in steps {
        step();
        let hash = scratch.hash();
        assert!(!seen.contains(&hash), "{what}");
        seen.push(hash);
    }
}

#[test]
fn what_is_not_sent_does_not() {
    let scratch = Scratch::new("not");
    scratch.write("app/.dockerignore", "Dockerfile\n.dockerignore\nlog\ncache\n!cache/kept\n");
    scratch.write("app/cache/kept", "");
    let before = scratch.hash();
    for path in ["app/log/1", "app/cache/other", "app/target/debug/x", ".git/HEAD", "lib/more"] {
        scratch.write(path, "x");
        assert_eq!(scratch.hash(), before, "{path}");
    }
    // Times and owners are none of an image's business.
    let file = File::options().write(true).open(scratch.0.join("app/a")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(scratch.hash(), before);
    scratch.write("app/cache/kept", "x");
    let kept = scratch.hash();
    assert_ne!(kept, before);
    // It is left out of the context, and is what is built.
    scratch.write("app/Dockerfile", "FROM scratch\n");
    assert_ne!(scratch.hash(), kept);
}

#[test]
fn the_ignore_file_of_a_dockerfile_comes_first() {
    let scratch = Scratch::new("first");
    scratch.write("app/.dockerignore", "a");
    scratch.write("app/Dockerfile.dockerignore", "folder");
    let before = scratch.hash();
    scratch.write("app/folder/b", "other");
    assert_eq!(scratch.hash(), before);
    scratch.write("app/a", "other");
    assert_ne!(scratch.hash(), before);
    // What we do not understand leaves nothing out.
    scratch.write("app/Dockerfile.dockerignore", "folder\n[[:alpha:]]");
    let before = scratch.hash();
    scratch.write("app/folder/b", "again");
    assert_ne!(scratch.hash(), before);
}

#[test]
fn named_contexts_count_by_name_and_content() {
    let scratch = Scratch::new("named");
    let hash = |named: &[(&str, &str)]| scratch.take("app", named).digest;
    let before = [hash(&[]), hash(&[("lib", "lib")]), hash(&[("other", "lib")])];
    assert!(before[0] != before[1] && before[1] != before[2]);
    scratch.write("lib/.dockerignore", "c\n.dockerignore");
    assert_ne!(hash(&[("lib", "lib")]), before[1]);
}

#[test]
fn what_changes_meanwhile_is_named() {
    let scratch = Scratch::new("changes");
    scratch.write("app/.dockerignore", "log");
    let named = [("lib", "lib")];
    let changed = |step: &dyn Fn()| {
        let taken = scratch.take("app", &named);
        step();
        taken.changed().unwrap().map(|path| path.strip_prefix(&scratch.0).unwrap().display().to_string())
    };
    assert_eq!(changed(&|| ()), None);
    assert_eq!(changed(&|| scratch.write("app/log/1", "x")), None);
    assert_eq!(changed(&|| scratch.write("app/target/x", "x")), None);
    assert_eq!(changed(&|| scratch.write("app/a", "b")).as_deref(), Some("app/a"));
    assert_eq!(changed(&|| scratch.write("lib/new", "")).as_deref(), Some("lib/new"));
    let gone = || fs::remove_file(scratch.0.join("app/folder/b")).unwrap();
    assert_eq!(changed(&gone).as_deref(), Some("app/folder/b"));
    assert_eq!(changed(&|| scratch.write("app/Dockerfile", "FROM x")).as_deref(), Some("app/Dockerfile"));
    let taken = scratch.take("app", &named);
    scratch.write("app/a", "c");
    let error = taken.require_unchanged("build app amd64", &scratch.0).unwrap_err().to_string();
    assert!(error.starts_with("build app amd64: app/a was changed while the build ran"), "{error}");
}

#[test]
fn a_context_is_read_once() {
    let scratch = Scratch::new("once");
    let snapshots = Snapshots::new(&scratch.0, Vec::new());
    let take = || snapshots.of("app", "Dockerfile", &[]).unwrap();
    let first = take();
    scratch.write("app/a", "other");
    let second = take();
    assert_eq!(first.digest, second.digest);
    assert!(second.changed().unwrap().is_some(), "and what has changed since is found after the build");
}

#[test]
fn what_cannot_be_read_is_told() {
    let scratch = Scratch::new("unread");
    let snapshots = Snapshots::new(&scratch.0, Vec::new());
    let error = format!("{:#}", snapshots.of("none", "Dockerfile", &[]).unwrap_err());
    assert!(error.contains("none/Dockerfile"), "{error}");
}

/// BuildKit compares them too: a capability is one.
#[cfg(target_os = "linux")]
#[test]
fn extended_attributes_count() {
    let scratch = Scratch::new("attributes");
    let before = scratch.hash();
    let set = |name: &str, value: &[u8]| {
        rustix::fs::setxattr(scratch.0.join("app/a"), name, value, rustix::fs::XattrFlags::empty())
    };
    // Some file systems have none.
    if set("user.x", b"1").is_err() {
        return;
    }
    let one = scratch.hash();
    set("user.x", b"2").unwrap();
    let two = scratch.hash();
    assert!(before != one && one != two && two != before);
}

#[test]
fn what_we_write_ourselves_is_told_where_it_is_sent() {
    let scratch = Scratch::new("skipped");
    let target = "the context holds target, which changes by itself: add it to .dockerignore".to_owned();
    assert_eq!(scratch.take("app", &[]).uncompared(), None);
    scratch.write("app/target/x", "x");
    assert_eq!(scratch.take("app", &[]).uncompared(), Some(target.clone()));
    scratch.write("app/.dockerignore", "target");
    assert_eq!(scratch.take("app", &[]).uncompared(), None);
    scratch.write("app/.dockerignore", "target\n!target/x");
    assert_eq!(scratch.take("app", &[]).uncompared(), Some(target.clone()));
}
