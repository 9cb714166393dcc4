//! What BuildKit is sent of a context, and what comes of files that are not the same for all builds of a cell.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::Duration;

use xtask_images::build::context_hash;

use crate::build::{processes_with, with_image};
use crate::checkout::{Checkout, run, wait};

/// Ignore files that are easily misread.
const IGNORES: [&str; 20] = [
    "",
    "*\n!a",
    "folder\n!folder/deep/x",
    "**/x",
    "**/*.txt\n!folder/y.txt",
    "folder/*\n!folder/deep",
    "*\n!**/x",
    "/other/\n./folder//deep/../y.txt",
    "\u{feff}a\n# other\n  # other\n",
    "[ab]*\n",
    "?\r\n",
    "**\n!folder/**\nfolder/deep",
    "folder/**",
    "li*\nempty",
    "f**/z.txt",
    "sp\\ ace\numl-?",
    "!folder\nfolder/x\n!folder/x\nfolder",
    "*\n!folder\nfolder/*\n!folder/deep\n**/deep/x",
    "**/deep/**\n!**/z.txt",
    ".*\n..\n/\n",
];

/// The image of a whole context holds exactly what our reading of the ignore file leaves.
pub fn sent(checkout: &Checkout) {
    checkout.xtask(&["local", "up"]).ok();
    let builder = checkout.status()["builder"].as_str().unwrap().to_owned();
    let folder = checkout.root.join("target/sent");
    let context = folder.join("context");
    for path in
        ["a", "b.txt", ".hidden", "folder/x", "folder/y.txt", "folder/deep/x", "folder/deep/z.txt", "other/x"]
    {
        write(&context.join(path), path);
    }
    write(&context.join("sp ace"), "");
    write(&context.join("uml-ü"), "");
    fs::create_dir(context.join("empty")).unwrap();
    symlink("folder", context.join("link")).unwrap();
    write(&folder.join("Dockerfile"), "FROM scratch\nCOPY . /\n");
    for ignore in IGNORES {
        fs::write(folder.join("Dockerfile.dockerignore"), ignore).unwrap();
        let paths = [folder.join("Dockerfile"), folder.join("image.tar"), context.clone()];
        let [dockerfile, tar, from] = paths.map(|path| path.display().to_string());
        let output = format!("type=tar,dest={tar}");
        let build = ["build", "--builder", &builder, "--file", &dockerfile, "--output", &output, &from];
        checkout.tool("docker-buildx", &build).ok();
        let listed =
            run(std::process::Command::new("tar").args(["--quoting-style=literal", "-tf", &tar])).ok();
        let found: BTreeSet<&str> = listed
            .stdout
            .lines()
            .map(|path| path.trim_end_matches('/'))
            .filter(|path| !path.is_empty())
            .collect();
        let ours = context_hash::sent(&context, ignore.as_bytes()).unwrap();
        let ours: BTreeSet<&str> = ours.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(ours, found, "{ignore:?}");
    }
}

/// One plan of a dirty tree, and a file that is edited between its builds, or during one.
pub fn other_files(checkout: &Checkout) {
    with_image(checkout, "moving", "COPY file /file", |checkout| {
        let file = checkout.root.join("images/moving/file");
        let build = |arch: &str| checkout.xtask(&["build", "--cell", "moving", "--emulate", "--arch", arch]);
        let merge = || checkout.xtask(&["merge", "--cell", "moving"]);
        write(&file, "one");
        build("amd64").ok();
        write(&file, "two");
        build("arm64").ok();
        merge().fails(2, &["amd64 and arm64 got different files", "`images/moving`", "nothing was pushed"]);
        build("amd64").ok();
        merge().ok();
        assert!(checkout.read_record("moving", "amd64")["context"].as_str().unwrap().starts_with("sha256:"));
    });
    with_image(checkout, "moving", "COPY file /file\nRUN sleep 5", |checkout| {
        let file = checkout.root.join("images/moving/file");
        write(&file, "three");
        let record = checkout.record("moving", "amd64");
        let _ = fs::remove_file(&record);
        let done = thread::scope(|scope| {
            let build = scope
                .spawn(|| checkout.xtask(&["build", "--cell", "moving", "--emulate", "--arch", "amd64"]));
            wait("buildx runs", || processes_with("moving.amd64.metadata.json") > 0);
            thread::sleep(Duration::from_secs(2));
            write(&file, "four");
            build.join().unwrap()
        });
        done.fails(1, &["images/moving/file was changed while the build ran", "run it again"]);
        assert!(!record.exists());
    });
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
