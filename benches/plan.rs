//! Planning 1,000 cells: reading `matrix.toml`, resolving it, and the plan as JSON.
//!
//! `cargo bench -p xtask-images --bench plan` measures the release profile, `--profile dev` what `cargo xtask` runs.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a bench may panic and prints")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};
use xtask_images::matrix::{self, Source};
use xtask_images::plan::event::Event;
use xtask_images::plan::git::Git;
use xtask_images::plan::inputs::Inputs;
use xtask_images::plan::remote::Remotes;
use xtask_images::plan::resolve::resolve;
use xtask_images::plan::{Destination, DestinationKind, Plan, SigningMethod, jobs};
use xtask_images::report::plan_table;

/// 10 images x 5 tracks x 2 modes x 10 values of an axis, two platforms each: 1,000 cells, 2,000 builds.
fn text() -> String {
    let mut text = String::from(
        "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\n\
         amd64 = { platform = \"linux/amd64\", runner = \"a\" }\narm64 = { platform = \"linux/arm64\", runner = \"b\" }\n\
         [composer.pinned]\n[composer.rolling]\nsuffix = \"-rolling\"\n",
    );
    for track in 0..5 {
        text += &format!(
            "[tracks.t{track}]\nref = {{ value = \"1.{track}.0\" }}\n\
             tags = [\"{{version}}-{{n}}{{suffix}}\", \"{{version}}-{{n}}{{suffix}}-{{date}}\", \"t{track}-{{n}}{{suffix}}\"]\n"
        );
    }
    let values: Vec<String> = (0..10).map(|value| format!("\"v{value}\"")).collect();
    for image in 0..10 {
        // The workflow has jobs for three waves.
        let needs = if image % 3 == 0 { String::new() } else { format!("needs = [\"i{}\"]\n", image - 1) };
        text += &format!(
            "[images.i{image}]\ncontext = \"i{image}\"\naxes = {{ n = [{}] }}\n{needs}\
             build-args = {{ VERSION = \"{{version}}\", ARCH = \"{{arch}}\", N = \"{{n}}\" }}\n",
            values.join(", ")
        );
    }
    text
}

fn plan(text: &str) -> Plan {
    let matrix = matrix::parse(Source { name: "matrix.toml".into(), text: text.into() }).unwrap();
    let inputs = Inputs {
        now: SystemTime::UNIX_EPOCH,
        planned: SystemTime::UNIX_EPOCH,
        event: Event::simulate("push", "main").unwrap(),
        git: Git { commit: "0".repeat(40), ..Git::default() },
        destination: Destination {
            kind: DestinationKind::Publish,
            repositories: matrix.repositories.clone(),
        },
        sign: SigningMethod::None { reason: "a bench".into() },
        formerly: Vec::new(),
        versions: BTreeMap::new(),
        remotes: Remotes::new(),
        // The Dockerfiles.
        read: &|_| {
            Ok("FROM alpine:3.24 AS base\nLABEL org.opencontainers.image.title=app\nFROM base\n".into())
        },
    };
    resolve(&matrix, &inputs).unwrap()
}

fn main() {
    let text = text();
    let mut times: Vec<[Duration; 3]> = Vec::new();
    for _ in 0..11 {
        let began = Instant::now();
        let plan = plan(&text);
        let resolved = began.elapsed();
        let json = serde_json::to_string(&plan).unwrap();
        let printed = began.elapsed();
        let (outputs, table) = (jobs::outputs(&plan).unwrap(), plan_table::table(&plan));
        assert!(plan.cells.len() == 1000 && outputs.iter().any(|(name, _)| name == "wave-2"));
        assert!(json.len() > 1000 && table.len() > 1000);
        times.push([resolved, printed, began.elapsed()]);
    }
    times.sort();
    let median = times.get(times.len() / 2).unwrap();
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let [resolved, printed, all] = median.map(|time| time.as_secs_f64() * 1000.0);
    println!("1,000 cells, {profile} profile, median of {}:", times.len());
    println!("  matrix.toml to plan                  {resolved:.1} ms");
    println!("  and as JSON                          {printed:.1} ms");
    println!("  and as a table and as job matrices   {all:.1} ms");
}
