//! What GitHub's runner reads out of the log of a job.

use crate::build::with_image;
use crate::checkout::{Checkout, Done, run};

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
        let done = job(&["build", "--cell", "loud", "--arch", "amd64"]).ok();
        assert!(planted(&done) >= 3, "{}", done.all());
    });
    with_image(checkout, "loud", &instruction("2", ""), |_| {
        let done = job(&["build", "--cell", "loud", "--cell", "php-base", "--arch", "amd64"]).ok();
        assert!(planted(&done) >= 3, "{}", done.all());
    });
    with_image(checkout, "loud", &instruction("3", "&& exit 7"), |_| {
        let done = job(&["build", "--cell", "loud", "--arch", "amd64"]).fails(1, &["loud"]);
        assert!(planted(&done) >= 3, "{}", done.all());
        let done = job(&["build", "--cell", "loud", "--cell", "php-base", "--arch", "amd64"]);
        assert!(planted(&done.fails(1, &["loud"])) >= 6, "in the log and in the error");
    });
    // Outside of a job a log is a log.
    with_image(checkout, "loud", &instruction("4", ""), |checkout| {
        let done = checkout.xtask(&["build", "--cell", "loud", "--arch", "amd64"]).ok();
        assert!(done.stderr.contains("##[error]planted-4"), "{}", done.all());
    });
}
