//! What GitHub's runner reads out of the log of a job.

use std::fs;

use crate::build::with_image;
use crate::checkout::{Checkout, Done, NATIVE, run};
use crate::kit;

/// The commands that are ours to give.
const OURS: [&str; 3] = ["::group::build ", "::endgroup::", "::error title="];

/// What a Dockerfile makes its build print. `N` is another number each time, since a layer from the cache prints nothing.
const LOUD: &str =
    r"RUN printf '##[error]planted-N\n1%%\r::error::planted-N\n::set-output name=x::planted-N\n' CODE";

/// The lines as the runner parts them, none of which is a command but those of ours. Returns how many were planted.
#[track_caller]
fn planted(done: &Done) -> usize {
    let text = format!("{}\n{}", done.stdout, done.stderr);
    let lines: Vec<&str> = text.split(['\n', '\r']).collect();
    for line in &lines {
        let command = line.trim_start().starts_with("::") && !OURS.iter().any(|ours| line.starts_with(ours));
        // GitHub reads a command once: what stands in the text of an error is text.
        let marked = line.contains("##[") && !line.starts_with("::error title=");
        assert!(!command && !marked, "{line:?} is a command: {}", done.all());
    }
    lines.iter().filter(|line| line.contains("planted-") && !line.contains("printf")).count()
}

/// One build shows its progress, several their logs, and one that fails the end of its log in an error.
pub fn logs(checkout: &Checkout) {
    let job = |args: &[&str]| run(checkout.command(args).env("GITHUB_ACTIONS", "true"));
    let instruction =
        |number: &str, code: &str| LOUD.replace("-N", &format!("-{number}")).replace("CODE", code);
    with_image(checkout, "loud", &instruction("1", ""), |_| {
        let done = job(&["build", "--cell", "loud", "--arch", NATIVE]).ok();
        assert!(planted(&done) >= 3, "{}", done.all());
    });
    with_image(checkout, "loud", &instruction("2", ""), |_| {
        let done = job(&["build", "--cell", "loud", "--cell", "php-base", "--arch", NATIVE]).ok();
        assert!(planted(&done) >= 3, "{}", done.all());
    });
    with_image(checkout, "loud", &instruction("3", "&& exit 7"), |_| {
        let done = job(&["build", "--cell", "loud", "--arch", NATIVE]).fails(1, &["loud"]);
        assert!(planted(&done) >= 3, "{}", done.all());
        let done = job(&["build", "--cell", "loud", "--cell", "php-base", "--arch", NATIVE]);
        assert!(planted(&done.fails(1, &["loud"])) >= 6, "in the log and in the error");
    });
    // Outside of a job a log is a log.
    with_image(checkout, "loud", &instruction("4", ""), |checkout| {
        let done = checkout.xtask(&["build", "--cell", "loud", "--arch", NATIVE]).ok();
        assert!(done.stderr.contains("##[error]planted-4"), "{}", done.all());
    });
}

/// Layers are found again by a builder that knows nothing, in the cache of GitHub; a step that cannot reach it says so.
pub fn cache(checkout: &Checkout) {
    checkout.xtask(&["local", "up"]).ok();
    let (service, token) = kit::cache(checkout);
    let (address, builder) =
        (service.address().to_owned(), checkout.status()["builder"].as_str().unwrap().to_owned());
    let build = |handed: bool| {
        let mut command = checkout.command(&["build", "--cell", "cached", "--arch", NATIVE, "--no-reuse"]);
        command.env("GITHUB_ACTIONS", "true");
        if handed {
            // What `.github/actions/cache` hands to the step.
            command.env("ACTIONS_RUNTIME_TOKEN", &token);
            command.env("ACTIONS_RESULTS_URL", format!("http://{address}/"));
            command.env("ACTIONS_CACHE_SERVICE_V2", "true");
        }
        checkout.tool("docker-buildx", &["prune", "--builder", &builder, "--all", "--force"]).ok();
        run(&mut command).ok()
    };
    // What is larger than a mebibyte is uploaded in blocks.
    let layer = "RUN head -c 3000000 /dev/urandom >/random\nRUN date +%s%N >/when";
    with_image(checkout, "cached", layer, |checkout| {
        let matrix = checkout.root.join("matrix.toml");
        let text = fs::read_to_string(&matrix).unwrap();
        fs::write(&matrix, text.replace("[images.cached]", "[images.cached]\ncache = [\"gha\"]")).unwrap();
        let digest = |done: &Done| {
            let record = checkout.read_record("cached", NATIVE);
            (record["digest"].clone(), done.all().contains("neither finds nor keeps anything"))
        };
        // A base that the builder has is said to be cached, too.
        let cached = |done: &Done| {
            let steps = done.stderr.lines().filter_map(|line| line.split_once(" [")).filter(|(_, step)| {
                step.split_once("] ").is_some_and(|(_, instruction)| instruction.starts_with("RUN "))
            });
            let said = |number: &str| done.stderr.lines().any(|line| line == format!("{number} CACHED"));
            steps.filter(|(number, _)| said(number)).count()
        };
        let lost = build(false);
        let (first, warned) = digest(&lost);
        assert!(warned && cached(&lost) == 0, "{}", lost.all());
        let saved = build(true);
        let (second, warned) = digest(&saved);
        assert!(!warned && first != second, "nothing was kept before: {}", saved.all());
        let found = build(true);
        assert!(cached(&found) >= 2, "{}", found.all());
    });
}
