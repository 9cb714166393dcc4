//! Tells the program which commit it was compiled from, where that is fixed: in a checkout of one commit, as Cargo makes it of
//! a git dependency and CI of a run, and in a published package. In a checkout of a branch every commit would compile
//! the crate again.

use std::fs;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Of a package. Source: https://doc.rust-lang.org/cargo/commands/cargo-package.html#cargo_vcs_infojson-format
    let package = fs::read_to_string(here.join(".cargo_vcs_info.json")).unwrap_or_default();
    let packaged = package.split("\"sha1\"").nth(1).and_then(|rest| rest.split('"').nth(1));
    let head = here.join("../.git/HEAD");
    if head.is_file() {
        println!("cargo:rerun-if-changed={}", head.display());
    }
    let mut head = fs::read_to_string(head).unwrap_or_default();
    // Cargo's checkout of a git dependency stays at its commit, though git has it on a branch.
    if let Some(branch) = head.strip_prefix("ref: ").filter(|_| here.join("../.cargo-ok").is_file()) {
        head = fs::read_to_string(here.join("../.git").join(branch.trim())).unwrap_or_default();
    }
    let commit = packaged.unwrap_or(head.trim());
    // Elsewhere a branch stands there by its name.
    let known = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let version = env!("CARGO_PKG_VERSION");
    let whole = match commit.get(..12).filter(|_| known) {
        Some(commit) => format!("{version} ({commit})"),
        None => format!("{version} (of a working copy)"),
    };
    println!("cargo:rustc-env=XTASK_VERSION={whole}");
}
