//! The build system of this repository's images: `cargo xtask --help`.

fn main() -> std::process::ExitCode {
    xtask_images::main()
}
