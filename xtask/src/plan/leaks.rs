//! Build arguments that look like secrets: provenance of the mode `max` publishes what builds were given.

use std::collections::BTreeSet;

use crate::matrix::Provenance;
use crate::plan::model::Plan;

/// What names of secrets have in common, in upper case.
const TELLING: [&str; 9] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "PRIVATE_KEY",
    "API_KEY",
    "ACCESS_KEY",
];

/// A line for each image and build argument whose value everybody could read.
pub fn warnings(plan: &Plan) -> Vec<String> {
    let mut found = BTreeSet::new();
    for cell in &plan.cells {
        for build in cell.builds.iter().filter(|build| build.options.attest.provenance == Provenance::Max) {
            let telling = |name: &str| TELLING.iter().any(|word| name.to_uppercase().contains(word));
            let args = build.build_args.iter().filter(|arg| telling(&arg.key));
            found.extend(args.map(|arg| (cell.image.clone(), arg.key.clone())));
        }
    }
    let line = |(image, name)| {
        format!(
            "{image}: the build argument {name} looks like a secret, and provenance publishes it: use `secrets` of the image, or attest = {{ provenance = \"min\" }}"
        )
    };
    found.into_iter().map(line).collect()
}
