//! The command lines of Go, for our modules alone: whatever workspace, vendored modules or habits the repository around
//! them has.

use semver::Version;
use std::path::Path;

use crate::argv::{Argv, Program};
use crate::tools::catalog::Spec;

/// What makes the binaries small, and the same wherever they are built.
const TRIM: [&str; 2] = ["-trimpath", "-v"];

/// Lower than everything else that runs, so that what is needed first is ready first.
const NICENESS: &str = "10";

/// How urgent a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Something waits for it.
    Now,
    /// It takes what others leave. Where there is no program `nice`, it is as urgent as they are.
    Later,
}

/// Go in a module, with the environment that our modules are built in.
fn go(purpose: String, program: &Program, module: &Path) -> Argv {
    Argv::new(purpose, program)
        .env("CGO_ENABLED", "0")
        .env("GO111MODULE", "on")
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off")
        .args(["-C"])
        .path(module)
}

fn plain() -> Program {
    Program::new("go")
}

/// Builds a package of a module into a file, and prints the name of each package that is compiled for it.
pub(super) fn build(
    spec: &Spec,
    version: &Version,
    module: &Path,
    to: &Path,
    (urgency, has_nice): (Urgency, bool),
) -> Argv {
    let program = match urgency {
        Urgency::Later if has_nice => {
            let prefix = ["-n", NICENESS, "go"].map(str::to_owned).to_vec();
            Program { path: "nice".to_owned(), prefix }
        }
        Urgency::Later | Urgency::Now => plain(),
    };
    go(format!("build {} {version}", spec.binary), &program, module)
        .arg("build")
        .args(TRIM)
        .args(["-ldflags".to_owned(), link_flags(spec, version), "-o".to_owned()])
        .path(to)
        .arg(spec.package)
}

/// What the linker is told: no symbols, and the version.
pub(super) fn link_flags(spec: &Spec, version: &Version) -> String {
    format!("-s -w -X {}=v{version}", spec.variable)
}

/// Lists the packages that a build may compile, as lines of a path and the version of its module.
pub(super) fn list(spec: &Spec, module: &Path) -> Argv {
    go(format!("list the packages of {}", spec.binary), &plain(), module)
        .args(["list", "-deps", "-f"])
        .arg("{{.ImportPath}} {{with .Module}}{{.Version}}{{end}}")
        .arg(spec.package)
}

/// Asks for everything about Go and the target that makes a binary another one.
pub(super) fn describe(module: &Path) -> Argv {
    go("ask Go for its version and target".to_owned(), &plain(), module)
        .args(["env", "GOVERSION", "GOOS", "GOARCH", "GOAMD64", "GOARM", "GOARM64", "GO386", "GOEXPERIMENT"])
        .limit(60)
}
