//! The build system of this repository, run as `cargo xtask`. The `xtask` of any other repository is the same line.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_images::main()
}
