use super::*;
use std::os::unix::fs::symlink;

/// What is done to the folder of an entry.
type Spoil = fn(&Path);

/// Variables of an environment.
type Pairs = &'static [(&'static str, &'static str)];

/// A cache in a folder of its own, gone when dropped.
struct Case {
    folder: PathBuf,
    cache: UserCache,
}

impl Case {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("xtask-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        private(&folder).unwrap();
        let environment = Environment::from([("XDG_CACHE_HOME", folder.to_str().unwrap())]);
        Self { cache: UserCache::of(&environment, Ui::default()), folder }
    }

    /// Keeps a program under an entry, and returns the entry's folder.
    fn keep(&self, entry: &str, text: &str) -> PathBuf {
        let from = self.folder.join("made/program");
        fs::create_dir_all(from.parent().unwrap()).unwrap();
        fs::write(&from, text).unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o775)).unwrap();
        self.cache.keep(entry, &from);
        self.folder.join(FOLDER).join(entry)
    }

    /// What another checkout finds.
    fn take(&self, entry: &str) -> Option<String> {
        let to = self.folder.join("other/checkout/program");
        let _ = fs::remove_file(&to);
        let found = self.cache.take(entry, &to);
        assert_eq!(found, to.exists());
        let left = fs::read_dir(to.parent().unwrap()).map_or(0, Iterator::count);
        assert_eq!(left, usize::from(found), "nothing unfinished is left");
        found.then(|| {
            assert_eq!(fs::metadata(&to).unwrap().mode() & 0o777, 0o755);
            fs::read_to_string(to).unwrap()
        })
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn what_one_checkout_keeps_another_takes() {
    let case = Case::new("take");
    assert_eq!(case.take("tools/a-1"), None);
    let folder = case.keep("tools/a-1", "one");
    assert_eq!(case.take("tools/a-1").as_deref(), Some("one"));
    assert_eq!(case.take("tools/a-2"), None);
    case.keep("tools/a-1", "other");
    assert_eq!(case.take("tools/a-1").as_deref(), Some("other"), "what is kept later is whole, too");
    let names: Vec<_> =
        fs::read_dir(folder.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["a-1"]);
    assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn what_is_damaged_or_open_to_others_is_refused() {
    let spoil: [(&str, Spoil); 7] = [
        ("content", |folder| fs::write(folder.join("program"), "two").unwrap()),
        ("sum", |folder| fs::write(folder.join("program.sha256"), "0  program\n").unwrap()),
        ("no sum", |folder| fs::remove_file(folder.join("program.sha256")).unwrap()),
        ("file", |folder| mode(&folder.join("program"), 0o777)),
        ("folder", |folder| mode(folder, 0o770)),
        ("parent", |folder| mode(folder.parent().unwrap(), 0o1777)),
        ("link", |folder| {
            fs::rename(folder.join("program"), folder.join("real")).unwrap();
            symlink("real", folder.join("program")).unwrap();
        }),
    ];
    for (name, spoil) in spoil {
        let case = Case::new(&format!("spoilt-{}", name.replace(' ', "-")));
        let folder = case.keep("tools/a-1", "one");
        spoil(&folder);
        assert_eq!(case.take("tools/a-1"), None, "{name}");
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn who_else_could_have_written_it() {
    let table = [
        (true, 1000, 0o100_644, None),
        (true, 1000, 0o100_600, None),
        (false, 1000, 0o120_777, Some("is a link, or of another kind than expected")),
        (true, 0, 0o100_644, Some("belongs to another user")),
        (true, 1000, 0o100_664, Some("can be written by other users")),
        (true, 1000, 0o100_646, Some("can be written by other users")),
    ];
    for (is_kind, owner, mode, expected) in table {
        assert_eq!(distrust(is_kind, owner, mode, 1000), expected, "{owner} {mode:o}");
    }
}

#[test]
fn a_damaged_entry_gives_way() {
    let case = Case::new("repair");
    let folder = case.keep("tools/a-1", "one");
    fs::write(folder.join("program"), "two").unwrap();
    assert_eq!(case.take("tools/a-1"), None);
    case.keep("tools/a-1", "one");
    assert_eq!(case.take("tools/a-1").as_deref(), Some("one"));
}

#[test]
fn several_at_once_leave_a_whole_entry() {
    let case = Case::new("race");
    let paths: Vec<PathBuf> = (0..4).map(|n| case.folder.join(format!("from-{n}/program"))).collect();
    std::thread::scope(|scope| {
        for (n, path) in paths.iter().enumerate() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, n.to_string().repeat(1 << 16)).unwrap();
            mode(path, 0o755);
            let cache = &case.cache;
            scope.spawn(move || (0..20).for_each(|_| cache.keep("tools/a-1", path)));
        }
    });
    assert_eq!(case.take("tools/a-1").map(|text| text.len()), Some(1 << 16));
}

#[test]
fn what_is_old_counts_as_none() {
    let case = Case::new("old");
    let written = fs::metadata(case.keep("packages/a", "one")).unwrap().modified().unwrap();
    let to = case.folder.join("other/program");
    let [hour, day] = [3600, 86400].map(Duration::from_secs);
    assert!(case.cache.take_recent("packages/a", &to, written + hour, day));
    assert!(!case.cache.take_recent("packages/a", &to, written + day + hour, day));
    assert!(!case.cache.take_recent("packages/b", &to, written, day));
}

#[test]
fn where_the_cache_is() {
    let table: [(Pairs, Option<&str>); 6] = [
        (&[("HOME", "/home/a")], Some("/home/a/.cache")),
        (&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "/x")], Some("/x")),
        (&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "relative")], Some("/home/a/.cache")),
        (&[("HOME", "relative")], None),
        (&[], None),
        (&[("HOME", "/home/a"), ("GITHUB_ACTIONS", "true")], None),
    ];
    for (pairs, expected) in table {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        assert_eq!(home(&pairs.collect()), expected.map(PathBuf::from));
    }
}
