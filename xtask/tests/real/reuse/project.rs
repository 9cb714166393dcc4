//! A small project in which everything can be changed that decides what a build makes.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::checkout::{Checkout, run, workspace};
use crate::registry;

/// The time of all plans: labels that hold it are no change.
const EPOCH: &str = "1700000000";

/// The cells.
pub const CELLS: [&str; 8] = ["app.rel", "lib", "top", "tool", "odd", "fetched", "fixed", "whole"];
/// Those that the changes are about.
pub const CHANGING: [&str; 5] = ["app.rel", "lib", "top", "tool", "odd"];
/// Those of which nobody can tell whether they would be the same.
pub const NEVER: [&str; 2] = ["fetched", "whole"];

pub struct Project {
    pub checkout: Checkout,
    pub address: String,
    /// Files that are put back, with their modes; what is not among them is removed.
    files: BTreeMap<PathBuf, (Vec<u8>, u32)>,
}

impl Project {
    /// Published once, from a checkout with an uncommitted file: its revision is the same with every change.
    pub fn publish() -> Self {
        let mut checkout = Checkout::folder("reuse", "none/");
        checkout.environment.push(("SOURCE_DATE_EPOCH".to_owned(), EPOCH.to_owned()));
        write(
            &checkout.root,
            "matrix.toml",
            "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[sign]\nmethod = \"none\"\nreason = \"a test\"\n[platforms]\namd64 = { platform = \"linux/amd64\" }\n[images.x]\ncontext = \"x\"\nref = { value = \"1\" }\ntags = [\"1\"]\n",
        );
        checkout.commit();
        checkout.xtask(&["local", "up"]).ok();
        let address = checkout.registry();
        let mut project = Self { checkout, address, files: BTreeMap::new() };
        project.lay_out();
        project.checkout.commit();
        write(&project.checkout.root, "uncommitted", "");
        project.files = project.read();
        project.checkout.xtask(&["build", "--fresh"]).ok();
        project.checkout.xtask(&["merge"]).ok();
        project
    }

    fn lay_out(&self) {
        for text in ["one", "two"] {
            self.push_image("ground", if text == "one" { "1" } else { "2" }, text);
        }
        self.push_frontend("one");
        self.checkout.git(&["init", "--quiet", "--bare", "target/upstream.git"]);
        self.move_upstream();
        let address = &self.address;
        let root = &self.checkout.root;
        write(root, "matrix.toml", &matrix("rel", "target = \"runtime\"\n"));
        write(root, "rel/.version", "1.2.3\n");
        write(
            root,
            "app/Dockerfile",
            &format!(
                "# syntax={address}/frontend:1\nARG GROUND=1\nARG PLACE=src\nFROM {address}/ground:${{GROUND}} AS files\nARG PLACE\nCOPY --link src /$PLACE\nCOPY *.list /lists/\nFROM files AS runtime\nCOPY --from=extra note /note\nARG FLAVOUR=plain\nENV FLAVOUR=$FLAVOUR\nCOPY <<FILE /here\ntext\nFILE\nFROM runtime AS other\nENV OTHER=1\nFROM runtime AS test\nENV TEST=1\n"
            ),
        );
        write(root, "app/.dockerignore", "# what is not sent\nignored\n*.list\n!b.list\n!a.list\na.list\n");
        for (path, text) in [
            ("src/a", "aaa"),
            ("src/b", "bbb"),
            ("src/deep/c", "ccc"),
            ("ignored", "x"),
            ("a.list", "a"),
            ("b.list", "b"),
            ("unused", "x"),
        ] {
            write(root, &format!("app/{path}"), text);
        }
        std::os::unix::fs::symlink("a", root.join("app/src/link")).unwrap();
        write(root, "extra/note", "note");
        write(root, "extra2/note", "note");
        write(root, "lib/Dockerfile", "FROM scratch\nCOPY lib /lib\n");
        write(root, "lib/lib", "lib");
        write(root, "top/Dockerfile", "FROM lib\n");
        write(
            root,
            "tool/Dockerfile",
            "FROM scratch\nCOPY write /write\nARG WORD=one\nARG COMMIT\nRUN [\"/write\"]\n",
        );
        self.compile();
        write(root, "odd/Dockerfile", "FROM scratch\nCOPY . /\n");
        write(root, "odd/deep/file", "file");
        write(root, "fetched/Dockerfile", &format!("FROM scratch\nADD http://{address}/v2/ /v2\n"));
        // `{}`, which is what a registry answers there.
        let sum = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let add = format!("FROM scratch\nADD --checksum=sha256:{sum} http://{address}/v2/ /v2\n");
        write(root, "fixed/Dockerfile", &add);
        write(root, "whole.Dockerfile", "FROM scratch\nCOPY matrix.toml /\n");
    }

    /// A program that needs no other file, to be run by a build.
    fn compile(&self) {
        let source = "package main\nimport \"os\"\nfunc main() { os.WriteFile(\"/word\", []byte(os.Getenv(\"WORD\")+os.Getenv(\"COMMIT\")), 0o644) }\n";
        let folder = self.checkout.root.join("target/write");
        write(&folder, "main.go", source);
        let mut build = std::process::Command::new("go");
        build.args(["build", "-trimpath", "-o"]).arg(self.checkout.root.join("tool/write")).arg("main.go");
        run(build.env("CGO_ENABLED", "0").env("GOARCH", "amd64").env("GOWORK", "off").current_dir(folder))
            .ok();
    }

    /// A new commit on the upstream branch.
    pub fn move_upstream(&self) {
        let root = &self.checkout.root;
        let upstream = root.join("target/upstream.git");
        let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        let git = |args: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
            run(std::process::Command::new("git").args(identity).args(args).current_dir(&upstream)).ok()
        };
        git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
        let now = format!("{:?}", std::time::Instant::now());
        let commit = git(&["commit-tree", tree, "-m", &now]).stdout.trim().to_owned();
        git(&["update-ref", "refs/heads/main", &commit]);
    }

    /// An image that is not of the matrix: one file, under a tag that can be moved.
    pub fn push_image(&self, name: &str, tag: &str, text: &str) {
        let folder = self.checkout.root.join("target/outside");
        write(&folder, "Dockerfile", "FROM scratch\nCOPY ground /ground\n");
        write(&folder, "ground", text);
        self.push(&folder, name, tag);
    }

    /// BuildKit's own frontend, as an image.
    pub fn push_frontend(&self, label: &str) {
        let folder = self.checkout.root.join("target/frontend");
        let program = folder.join("dockerfile-frontend");
        if !program.exists() {
            fs::create_dir_all(&folder).unwrap();
            let mut build = std::process::Command::new("go");
            build.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(&program);
            build.arg("github.com/moby/buildkit/frontend/dockerfile/cmd/dockerfile-frontend");
            let module = workspace().join("xtask/tools/buildkit");
            run(build
                .env("CGO_ENABLED", "0")
                .env("GOARCH", "amd64")
                .env("GOWORK", "off")
                .current_dir(module))
            .ok();
        }
        write(
            &folder,
            "Dockerfile",
            &format!(
                "FROM scratch\nCOPY dockerfile-frontend /bin/f\nENTRYPOINT [\"/bin/f\"]\nLABEL x={label} moby.buildkit.frontend.caps=\"moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts\"\n"
            ),
        );
        self.push(&folder, "frontend", "1");
    }

    fn push(&self, folder: &Path, name: &str, tag: &str) {
        let builder = self.checkout.status()["builder"].as_str().unwrap().to_owned();
        let output = format!("type=image,name={}/{name}:{tag},push=true,oci-mediatypes=true", self.address);
        let args = [
            "build",
            "--builder",
            &builder,
            "--provenance=false",
            "--output",
            &output,
            folder.to_str().unwrap(),
        ];
        self.checkout.tool("docker-buildx", &args).ok();
    }

    /// The files of the project, and their modes.
    fn read(&self) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
        let mut found = BTreeMap::new();
        let mut open = vec![PathBuf::new()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(self.checkout.root.join(&folder)).unwrap() {
                let path = folder.join(entry.unwrap().file_name());
                let full = self.checkout.root.join(&path);
                let meta = fs::symlink_metadata(&full).unwrap();
                let mode = std::os::unix::fs::MetadataExt::mode(&meta);
                if [".git", "target", "tools"].contains(&path.to_str().unwrap_or_default()) {
                    continue;
                }
                if meta.is_dir() {
                    found.insert(path.clone(), (Vec::new(), mode));
                    open.push(path);
                } else if meta.is_symlink() {
                    let target = fs::read_link(&full).unwrap();
                    found.insert(path, (target.into_os_string().into_encoded_bytes(), mode));
                } else {
                    found.insert(path, (fs::read(&full).unwrap(), mode));
                }
            }
        }
        found
    }

    /// As it was published, but for the times of what has changed.
    pub fn restore(&self) {
        let _ = rustix::fs::removexattr(self.path("odd/deep/file"), "user.x");
        let now = self.read();
        for path in now.keys().rev().filter(|path| now.get(*path) != self.files.get(*path)) {
            let full = self.checkout.root.join(path);
            if fs::symlink_metadata(&full).is_ok_and(|meta| !meta.is_dir()) {
                fs::remove_file(&full).unwrap();
            } else {
                let _ = fs::remove_dir_all(&full);
            }
        }
        for (path, (content, mode)) in &self.files {
            let full = self.checkout.root.join(path);
            let kind = mode & 0o170_000;
            if fs::symlink_metadata(&full).is_err() {
                match kind {
                    0o040_000 => fs::create_dir_all(&full).unwrap(),
                    0o120_000 => {
                        let target = std::str::from_utf8(content).unwrap();
                        std::os::unix::fs::symlink(target, &full).unwrap();
                    }
                    _ => fs::write(&full, content).unwrap(),
                }
            }
            if kind != 0o120_000 {
                set_mode(&full, mode & 0o7777);
            }
        }
    }

    /// What the tool says of each cell now: whether it is kept, and else why not.
    pub fn verdicts(&self) -> BTreeMap<String, Result<(), String>> {
        let done = self.checkout.xtask(&["plan", "--fresh", "--json"]).ok();
        let plan: Value = serde_json::from_str(&done.stdout).unwrap();
        let one = |cell: &Value| {
            let kept = cell["reuse"]["state"] == "kept";
            (
                cell["id"].as_str().unwrap().to_owned(),
                if kept { Ok(()) } else { Err(cell["reuse"].to_string()) },
            )
        };
        plan["cells"].as_array().unwrap().iter().map(one).collect()
    }

    /// What BuildKit makes of these cells now: the digest of the image itself, or none if it cannot be built.
    pub fn images(&self, cells: &[&str]) -> BTreeMap<String, Option<String>> {
        let list = cells.join(",");
        let build = ["build", "--fresh", "--no-reuse", "--arch", "amd64", "--cell", &list];
        let done = self.checkout.xtask(&build);
        // A change may be one that cannot be built.
        assert!(done.stderr.contains("new plan"), "{}", done.all());
        cells.iter().map(|cell| ((*cell).to_owned(), self.image(cell))).collect()
    }

    fn image(&self, cell: &str) -> Option<String> {
        let record = self.checkout.record(cell, "amd64");
        let record: Value = serde_json::from_slice(&fs::read(record).ok()?).unwrap();
        let plan = fs::read(self.checkout.root.join("target/xtask/plan.json")).unwrap();
        let plan: Value = serde_json::from_slice(&plan).unwrap();
        if record["plan"] != plan["id"] {
            return None;
        }
        let repository = record["repositories"][0].as_str().unwrap().split_once('/').unwrap().1.to_owned();
        let index = registry::manifest(&self.address, &repository, record["digest"].as_str().unwrap());
        Some(index["manifests"][0]["digest"].as_str().unwrap().to_owned())
    }

    /// Changes `matrix.toml`.
    pub fn edit(&self, from: &str, to: &str) {
        edit(&self.checkout.root, "matrix.toml", from, to);
    }

    pub fn write(&self, path: &str, text: &str) {
        write(&self.checkout.root, path, text);
    }

    pub fn replace(&self, path: &str, from: &str, to: &str) {
        edit(&self.checkout.root, path, from, to);
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.checkout.root.join(path)
    }
}

pub fn matrix(track: &str, more: &str) -> String {
    format!(
        r#"version = 1
[publish]
repositories = ["ghcr.io/acme"]
[sign]
method = "none"
reason = "a test"
[platforms]
amd64 = {{ platform = "linux/amd64", emulate = true }}
[tracks.{track}]
ref = {{ file = "rel/.version" }}
tags = ["{{version}}", "latest"]
[images.app]
context = "app"
{more}build-args = {{ FLAVOUR = "plain", PLACE = "src" }}
labels = {{ "x.one" = "1", "x.two" = "2" }}
annotations = {{ "x.note" = "n", "index:x.index" = "i" }}
contexts = {{ extra = "extra" }}
[images.lib]
context = "lib"
ref = {{ value = "1" }}
tags = ["1"]
[images.top]
context = "top"
ref = {{ value = "1" }}
tags = ["1"]
needs = ["lib"]
[images.tool]
context = "tool"
ref = {{ repository = "target/upstream.git", branch = "main" }}
tags = ["main"]
build-args = {{ COMMIT = "{{commit}}", WHEN = "{{created}} {{revision}}" }}
[images.odd]
context = "odd"
ref = {{ value = "1" }}
tags = ["1"]
[images.fetched]
context = "fetched"
ref = {{ value = "1" }}
tags = ["1"]
[images.fixed]
context = "fixed"
ref = {{ value = "1" }}
tags = ["1"]
[images.whole]
context = "."
dockerfile = "whole.Dockerfile"
ref = {{ value = "1" }}
tags = ["1"]
"#
    )
}

pub fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn edit(root: &Path, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(root.join(path)).unwrap();
    assert!(text.contains(from), "{path} holds no {from}");
    fs::write(root.join(path), text.replacen(from, to, 1)).unwrap();
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}
