//! A service whose image is built from sources that another step compiles.

fn main() {}
