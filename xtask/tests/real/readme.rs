//! The README promises commands: every one of them is run.

use crate::checkout::{Checkout, workspace};

/// Every line `cargo xtask …` in a code block of the README, in its order, in one checkout.
pub fn commands(checkout: &Checkout) {
    let text = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let mut inside = false;
    let mut count = 0;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        }
        let line = line.trim().trim_start_matches("$ ");
        let Some(command) = line.strip_prefix("cargo xtask ").filter(|_| inside) else { continue };
        let command = command.split(" #").next().unwrap().trim();
        // This is run by `ci`; `quickstart` is a scenario of its own.
        if ["ci", "quickstart"].contains(&command) {
            continue;
        }
        for part in command.split("&& cargo xtask").map(str::trim) {
            let part = part.trim_end_matches("&&").replace("127.0.0.1:5000", &checkout.registry());
            let args: Vec<&str> = part.split_whitespace().collect();
            println!("cargo xtask {part}");
            checkout.xtask(&args).ok();
            count += 1;
        }
    }
    assert!(count >= 5, "the README shows its commands");
}
