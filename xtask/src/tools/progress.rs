//! How far the builds of tools have come, by the packages that Go says it compiles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The packages that a tool consists of: their paths, each with the version of its module.
#[derive(Debug, Clone, Default)]
pub(super) struct Packages(BTreeMap<String, String>);

impl Packages {
    /// From lines of a path and a version; the standard library has none.
    pub(super) fn read(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next().unwrap_or_default().to_owned()))
        });
        Self(pairs.collect())
    }
}

/// What becomes of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Others are built first.
    Waits,
    /// It is being built.
    AtWork,
    /// It can be called.
    Ready,
    /// It was not built.
    Failed,
}

/// A tool, and what is known of its build.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) name: &'a str,
    pub(super) stage: Stage,
    /// `None`: not known yet.
    pub(super) packages: Option<&'a Packages>,
    /// What Go has printed so far: the path of each package that it has compiled.
    pub(super) output: &'a str,
}

/// A package in one version, which is compiled once.
type Package<'a> = (&'a str, &'a str);

impl Packages {
    fn all(&self) -> impl Iterator<Item = Package<'_>> {
        self.0.iter().map(|(path, version)| (path.as_str(), version.as_str()))
    }

    /// Those that Go has named. What it prints beside is no package.
    fn named_in(&self, output: &str) -> impl Iterator<Item = Package<'_>> {
        let known = output.lines().filter_map(|line| self.0.get_key_value(line));
        known.map(|(path, version)| (path.as_str(), version.as_str()))
    }
}

/// The packages that are compiled. What one tool has compiled, the others need not compile again.
fn compiled<'a>(reports: &[Report<'a>]) -> BTreeSet<Package<'a>> {
    let mut done = BTreeSet::new();
    for report in reports {
        match report.packages {
            Some(packages) if report.stage == Stage::Ready => done.extend(packages.all()),
            Some(packages) => done.extend(packages.named_in(report.output)),
            None => {}
        }
    }
    done
}

/// How much time is left if the rest is compiled as fast as what is done. What Go has compiled some other day it
/// takes from its cache without a word, so it may be less. `None`: too little is done to tell.
fn left(reports: &[Report<'_>], done: usize, elapsed: Duration) -> Option<Duration> {
    let all: Option<Vec<&Packages>> = reports.iter().map(|report| report.packages).collect();
    let total = all?.into_iter().flat_map(Packages::all).collect::<BTreeSet<_>>().len();
    let enough = done * 10 >= total && done < total;
    let rest = u32::try_from(total.saturating_sub(done)).ok()?;
    enough.then(|| elapsed.checked_mul(rest)?.checked_div(u32::try_from(done).ok()?)).flatten()
}

/// One line for people, e.g. `compiling: cosign 812 of 1578 packages, buildkitd ready, buildx waits; about 3 min left at this pace`.
pub(super) fn line(reports: &[Report<'_>], elapsed: Duration) -> String {
    let done = compiled(reports);
    let parts = reports.iter().map(|report| {
        let count = report.packages.map(|packages| {
            (packages.all().filter(|package| done.contains(package)).count(), packages.0.len())
        });
        let text = match (report.stage, count) {
            (Stage::Ready, _) => "ready".to_owned(),
            (Stage::Failed, _) => "failed".to_owned(),
            (Stage::Waits, _) => "waits".to_owned(),
            (Stage::AtWork, None) => "at work".to_owned(),
            // The linker comes last, and prints nothing.
            (Stage::AtWork, Some((done, total))) if done >= total => "is linked".to_owned(),
            (Stage::AtWork, Some((done, total))) => format!("{done} of {total} packages"),
        };
        format!("{} {text}", report.name)
    });
    let parts: Vec<String> = parts.collect();
    let rest = match left(reports, done.len(), elapsed) {
        Some(left) if left.as_secs() < 60 => "; less than a minute left".to_owned(),
        Some(left) => format!("; about {} min left at this pace", left.as_secs().div_ceil(60)),
        None => String::new(),
    };
    format!("  … compiling: {}{rest}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report<'a>(
        name: &'a str,
        stage: Stage,
        packages: Option<&'a Packages>,
        output: &'a str,
    ) -> Report<'a> {
        Report { name, stage, packages, output }
    }

    #[test]
    fn what_one_tool_has_compiled_counts_for_the_others() {
        let one = Packages::read("fmt \na.example/x v1.0.0\na.example/y v1.0.0\na.example/cmd v1.0.0\n");
        let two = Packages::read("fmt\na.example/x v1.0.0\na.example/y v2.0.0\nb.example/cmd v1.0.0\n");
        let of_two = |reports: &[Report<'_>]| {
            let done = compiled(reports);
            two.all().filter(|package| done.contains(package)).count()
        };
        let waits = report("two", Stage::Waits, Some(&two), "");
        let ready = [report("one", Stage::Ready, Some(&one), ""), waits];
        assert_eq!(of_two(&ready), 2, "another version is another package");
        let output = "fmt\na.example/y\n# a.example/x\n";
        let at_work = [
            report("one", Stage::AtWork, Some(&one), output),
            report("two", Stage::AtWork, Some(&two), "fmt\n"),
        ];
        assert_eq!((compiled(&at_work).len(), of_two(&at_work)), (2, 1));
    }

    #[test]
    fn a_line_says_what_is_left_and_nothing_that_is_not_known() {
        let some = Packages::read("fmt\na.example/x v1.0.0\na.example/cmd v1.0.0\n");
        let mut reports = [
            report("cosign", Stage::AtWork, Some(&some), "fmt\n"),
            report("buildkitd", Stage::Ready, None, ""),
            report("buildx", Stage::AtWork, None, "fmt\n"),
            report("registry", Stage::Waits, None, ""),
        ];
        let elapsed = Duration::from_secs(61);
        let known = "  … compiling: cosign 1 of 3 packages, buildkitd ready, buildx at work, registry waits";
        assert_eq!(line(&reports, elapsed), known, "of two it is not known how much they are");
        reports.iter_mut().for_each(|report| report.packages = Some(&some));
        reports[1].stage = Stage::Waits;
        let text = line(&reports, elapsed);
        assert!(text.ends_with("; about 3 min left at this pace"), "{text}");
        let text = line(&reports, Duration::from_secs(20));
        assert!(text.ends_with("; less than a minute left"), "{text}");
        reports[0].output = "fmt\na.example/x\na.example/cmd\n";
        assert!(line(&reports, elapsed).starts_with("  … compiling: cosign is linked, "));
        reports[0].output = "";
        reports[2].output = "";
        assert!(!line(&reports, elapsed).contains("left"), "nothing is done yet");
    }
}
