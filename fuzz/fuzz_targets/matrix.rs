//! `matrix.toml`: any text is a matrix or a list of errors, and a matrix is a plan or a list of errors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::time::SystemTime;
use xtask_images::matrix::{Source, parse};
use xtask_images::plan::event::Event;
use xtask_images::plan::git::Git;
use xtask_images::plan::remote::{RemoteRef, Remotes};
use xtask_images::plan::inputs::Inputs;
use xtask_images::plan::resolve::{queries, resolve};
use xtask_images::report::plan_table;
use xtask_images::plan::{Destination, DestinationKind, SigningMethod, jobs};

fuzz_target!(|text: &str| {
    let Ok(matrix) = parse(Source { name: "matrix.toml".into(), text: text.into() }) else { return };
    let event = Event::Push { branch: "feature/x".into(), default_branch: true };
    // Every repository that is asked holds whatever it is asked for.
    let answers = queries(&matrix, &event, &BTreeMap::new()).into_iter().map(|(repository, patterns)| {
        let refs = patterns.into_iter().map(|name| RemoteRef { name: name.replace('*', "v1.2.3"), commit: "1".repeat(40) });
        (repository, refs.collect())
    });
    let inputs = Inputs {
        now: SystemTime::UNIX_EPOCH,
        planned: SystemTime::UNIX_EPOCH,
        planned: SystemTime::UNIX_EPOCH,
        event,
        git: Git { commit: "0".repeat(40), ..Git::default() },
        destination: Destination {
            kind: DestinationKind::Publish,
            repositories: matrix.repositories.clone(),
        },
        sign: SigningMethod::None { reason: "fuzzing".into() },
        formerly: Vec::new(),
        versions: BTreeMap::new(),
        remotes: answers.collect::<Remotes>(),
        read: &|_| Ok("v8.5.0-rc1".into()),
    };
    if let Ok(plan) = resolve(&matrix, &inputs) {
        let _ = jobs::outputs(&plan);
        assert!(!plan_table::table(&plan).is_empty());
    }
});
