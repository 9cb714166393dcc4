//! What the tool costs on top of the calls that it makes, on the real local stack: a cached build beside the very same
//! `buildx build`, a merge beside a serial loop of `imagetools create` and `cosign sign`, a whole run in which nothing has
//! changed beside `buildx bake` and a loop of `buildx build` that find all in the cache. Medians of interleaved rounds.
//!
//! `cargo bench -p xtask-images --bench overhead --profile dev [-- --rounds N --merges N]`;
//! `--profile dev` is what `cargo xtask` runs.
//! docs/performance.md has the numbers. Needs what the tests on the real stack need: run `cargo xtask ci` first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a measurement may panic and print; it uses a part of what the tests share"
)]

#[path = "../xtask/tests/real/checkout.rs"]
mod checkout;

use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Instant;

use checkout::{Checkout, Done, clean, run};

/// The build that is measured.
const CELL: [&str; 6] = ["build", "--no-reuse", "--cell", "php-base", "--arch", "amd64"];

/// How many cells are left as they are, each for two architectures.
const UNCHANGED: usize = 20;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, otherwise: usize| {
        let at = args.iter().position(|arg| arg == name);
        at.map_or(otherwise, |at| args[at + 1].parse().expect("a number of rounds"))
    };
    let rounds = number("--rounds", 5);
    let checkout = Checkout::new("overhead");
    checkout.xtask(&["local", "up"]).ok();
    checkout.xtask(&["build", "--emulate", "--no-reuse"]).ok();
    println!("{:<44} {:>8} {:>8} {:>8} {:>10}", "median", "seconds", "ratio", "CPU s", "processes");
    cached_cell(&checkout, rounds);
    unchanged_files(&checkout, rounds);
    merges(&checkout, number("--merges", rounds));
    drop(checkout);
    unchanged(rounds);
}

/// What one run has cost.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    seconds: f64,
    /// Of the run and all that it waited for: not of BuildKit and the registry.
    cpu: f64,
    /// That were started, the measured one not among them, nor what they start themselves.
    processes: f64,
}

impl Cost {
    fn of(processes: impl FnOnce(&[Done]) -> usize, work: impl FnOnce() -> Vec<Done>) -> Self {
        let (cpu, began) = (children(), Instant::now());
        let done = work();
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), children() - cpu);
        let processes = f64::from(u32::try_from(processes(&done)).unwrap());
        done.into_iter().for_each(|done| drop(done.ok()));
        Self { seconds, cpu, processes }
    }

    /// The tool, which counts its processes itself.
    fn xtask(checkout: &Checkout, args: &[&str]) -> Self {
        let counted = |done: &[Done]| {
            let line = done[0].stderr.lines().find(|line| line.starts_with("all processes"));
            line.expect("--timings").split_whitespace().last().unwrap().parse().unwrap()
        };
        Self::of(counted, || vec![checkout.xtask(&[args, &["--timings"]].concat())])
    }

    /// Command lines as they are typed, one after the other.
    fn lines(checkout: &Checkout, lines: &[String]) -> Self {
        Self::of(<[Done]>::len, || lines.iter().map(|line| typed(checkout, line)).collect())
    }

    /// The median of each.
    fn median(costs: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| {
            let mut values: Vec<f64> = costs.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            seconds: of(|cost| cost.seconds),
            cpu: of(|cost| cost.cpu),
            processes: of(|cost| cost.processes),
        }
    }
}

/// CPU seconds of all children that were waited for, and of theirs: fields 16 and 17 of `/proc/self/stat`, in ticks of
/// 10 ms (`man 5 proc`).
fn children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<f64> = stat.rsplit_once(')').unwrap().1.split_whitespace().flat_map(str::parse).collect();
    // Without the state, which is no number.
    (fields[12] + fields[13]) / 100.0
}

/// A line of `--dry-run`.
fn typed(checkout: &Checkout, line: &str) -> Done {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec env {line}")]).current_dir(&checkout.root);
    clean(&mut command);
    run(&mut command)
}

/// One row for each of two ways, the second with its ratio to the first.
fn print(plain: (&str, &[Cost]), ours: (&str, &[Cost])) {
    let base = Cost::median(plain.1).seconds;
    for (name, costs) in [plain, ours] {
        let Cost { seconds, cpu, processes } = Cost::median(costs);
        println!("{name:<44} {seconds:>8.2} {:>8.2} {cpu:>8.2} {processes:>10}", seconds / base);
    }
}

/// The command of a build, as `--dry-run` prints it.
fn plain_build(checkout: &Checkout) -> Vec<String> {
    let dry = checkout.xtask(&[&CELL[..], &["--dry-run"]].concat()).ok();
    dry.stdout.lines().map(str::to_owned).collect()
}

/// Everything is as it was.
fn cached_cell(checkout: &Checkout, rounds: usize) {
    let plain = plain_build(checkout);
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..=rounds {
        theirs.push(Cost::lines(checkout, &plain));
        ours.push(Cost::xtask(checkout, &CELL));
    }
    // The first of each warms up.
    print(("buildx build, cached", &theirs[1..]), ("xtask build of the same cell", &ours[1..]));
}

/// A commit that changes no file of the image: labels and annotations differ, no layer does.
fn unchanged_files(checkout: &Checkout, rounds: usize) {
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        checkout.commit();
        checkout.xtask(&["plan", "--fresh"]).ok();
        theirs.push(Cost::lines(checkout, &plain_build(checkout)));
        checkout.commit();
        ours.push(Cost::xtask(checkout, &CELL));
    }
    print(
        ("buildx build after an empty commit", &theirs),
        ("xtask plan and build after an empty commit", &ours),
    );
}

/// A run in which nothing has changed since the one before: plan, build and merge of many cells, against their builds alone.
fn unchanged(rounds: usize) {
    let checkout = Checkout::folder("unchanged", "none/");
    let mut matrix = "version = 1\n[publish]\nrepositories = [\"ghcr.io/acme\"]\n[platforms]\namd64 = { platform = \"linux/amd64\" }\narm64 = { platform = \"linux/arm64\" }\n".to_owned();
    for n in 0..UNCHANGED {
        let folder = checkout.root.join(format!("i{n}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY file /file\n").unwrap();
        fs::write(folder.join("file"), n.to_string()).unwrap();
        matrix += &format!(
            "[images.i{n}]\ncontext = \"i{n}\"\nref = {{ value = \"1\" }}\ntags = [\"{{version}}\", \"latest\"]\n"
        );
    }
    fs::write(checkout.root.join("matrix.toml"), matrix).unwrap();
    checkout.commit();
    checkout.xtask(&["build", "--emulate"]).ok();
    checkout.xtask(&["merge"]).ok();
    let (loop_, bake) = plain_builds(&checkout);
    let (mut loops, mut bakes, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..=rounds {
        loops.push(Cost::of(<[Done]>::len, || loop_.iter().map(|line| typed(&checkout, line)).collect()));
        bakes.push(Cost::lines(&checkout, std::slice::from_ref(&bake)));
        let [built, merged] =
            [["build", "--emulate"], ["merge", "--jobs=2"]].map(|args| Cost::xtask(&checkout, &args));
        ours.push(Cost {
            seconds: built.seconds + merged.seconds,
            cpu: built.cpu + merged.cpu,
            processes: built.processes + merged.processes,
        });
    }
    print(
        ("a loop of buildx build, cached", &loops[1..]),
        ("xtask build and merge, nothing changed", &ours[1..]),
    );
    print(("one buildx bake, cached", &bakes[1..]), ("xtask build and merge, nothing changed", &ours[1..]));
}

/// The builds of all cells, pushed by digest: one after the other, and as one call of bake.
fn plain_builds(checkout: &Checkout) -> (Vec<String>, String) {
    let status = checkout.status();
    let (registry, builder) = (status["registry"].as_str().unwrap(), status["builder"].as_str().unwrap());
    let config = checkout.local().join("buildx");
    let program = checkout.root.join("target/tools/bin/docker-buildx");
    let buildx = format!("BUILDX_CONFIG={} {}", config.display(), program.display());
    let (mut lines, mut targets) = (Vec::new(), serde_json::Map::new());
    for n in 0..UNCHANGED {
        for arch in ["amd64", "arm64"] {
            let output = format!(
                "type=image,name={registry}/plain{n},push-by-digest=true,name-canonical=true,push=true,oci-mediatypes=true"
            );
            lines.push(format!("{buildx} build --builder {builder} --platform linux/{arch} --attest type=provenance,mode=max --output {output} i{n}"));
            let target = serde_json::json!({
                "context": format!("i{n}"), "platforms": [format!("linux/{arch}")],
                "attest": ["type=provenance,mode=max"], "output": [output],
            });
            targets.insert(format!("i{n}{arch}"), target);
        }
    }
    let names: Vec<String> = targets.keys().cloned().collect();
    let file = checkout.root.join("target/bake.json");
    fs::write(&file, serde_json::json!({ "target": targets }).to_string()).unwrap();
    let bake = format!("{buildx} bake --builder {builder} --file {} {}", file.display(), names.join(" "));
    (lines, bake)
}

/// Three cells with 16 tags, signed: each time into a repository that holds the builds and nothing else.
fn merges(checkout: &Checkout, rounds: usize) {
    if rounds == 0 {
        return;
    }
    let (mut theirs, mut ours, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let to = filled(checkout, &format!("loop{round}"));
        let cells = cells(checkout, &to);
        theirs.push(Cost::of(<[Done]>::len, || {
            cells.iter().flat_map(|cell| publish(checkout, cell)).collect()
        }));
        let to = filled(checkout, &format!("merge{round}"));
        ours.push(Cost::xtask(checkout, &["merge", "--to", &to]));
        again.push(Cost::xtask(checkout, &["merge", "--to", &to]));
    }
    print(("a loop of imagetools create and cosign sign", &theirs), ("xtask merge", &ours));
    let Cost { seconds, cpu, processes } = Cost::median(&again);
    println!("{:<44} {seconds:>8.2} {:>8} {cpu:>8.2} {processes:>10}", "xtask merge, nothing to do", "");
}

/// A repository of the local registry with every build of a new plan.
fn filled(checkout: &Checkout, name: &str) -> String {
    let to = format!("{}/{name}", checkout.registry());
    checkout.xtask(&["plan", "--fresh", "--to", &to]).ok();
    checkout.xtask(&["build", "--emulate", "--to", &to]).ok();
    to
}

/// What a loop has to know of a cell.
struct Cell {
    repository: String,
    tags: Vec<String>,
    sources: Vec<String>,
}

/// The cells of the plan for a repository.
fn cells(checkout: &Checkout, to: &str) -> Vec<Cell> {
    let plan = checkout.xtask(&["plan", "--json", "--to", to]).ok().stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let cell = |cell: &Value| {
        let (id, repository) = (cell["id"].as_str().unwrap(), cell["repositories"][0].as_str().unwrap());
        let tag = |tag: &Value| format!("{repository}:{}", tag["name"].as_str().unwrap());
        let source =
            |arch| format!("{repository}@{}", checkout.read_record(id, arch)["digest"].as_str().unwrap());
        Cell {
            repository: repository.to_owned(),
            tags: cell["tags"].as_array().unwrap().iter().map(tag).collect(),
            sources: ["amd64", "arm64"].map(source).to_vec(),
        }
    };
    plan["cells"].as_array().unwrap().iter().map(cell).collect()
}

/// The index with all of its tags, its digest, its signatures.
fn publish(checkout: &Checkout, cell: &Cell) -> [Done; 3] {
    let Cell { repository, tags, sources } = cell;
    let flags = tags.iter().flat_map(|tag| ["--tag", tag]);
    let mut create = checkout.tool_command("docker-buildx");
    let created = run(create.args(["imagetools", "create"]).args(flags).args(sources));
    let format = ["imagetools", "inspect", "--format", "{{json .Manifest}}", &tags[0]];
    let inspected = checkout.tool("docker-buildx", &format).ok();
    let manifest: Value = serde_json::from_str(&inspected.stdout).unwrap();
    let keys = checkout.local().join("keys");
    let mut sign = checkout.tool_command("cosign");
    sign.args(["sign", "--yes", "--recursive", "--key"]).arg(keys.join("cosign.key"));
    sign.arg("--signing-config").arg(keys.join("signing-config.json"));
    sign.env("COSIGN_PASSWORD", fs::read_to_string(keys.join("password")).unwrap().trim());
    let signed = run(sign.arg(format!("{repository}@{}", manifest["digest"].as_str().unwrap())));
    [created, inspected, signed]
}
