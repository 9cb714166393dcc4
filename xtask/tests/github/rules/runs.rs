//! Several runs at once, and runs that are stopped or run again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::bench::{Bench, PATH, refused};
use crate::model::groups::{Entry, Groups};
use crate::model::{Event, Fault, Moment, Outcome, Report, Service};

/// A workflow with one job that a test may hold, in a group of concurrency.
fn grouped(concurrency: &str) -> Bench {
    Bench::new(&format!(
        "on: [push, workflow_dispatch]
concurrency: {concurrency}
jobs:
  job:
    runs-on: x
    steps: [{{ run: echo works }}]
"
    ))
}

/// Three runs, of which the first is held until the third has come.
fn three(bench: &Bench) -> [Report; 3] {
    let service = bench.service();
    let hold = service.hold(Moment::job("job"));
    let first = bench.start(&service);
    hold.reached();
    let second = bench.start(&service);
    std::thread::sleep(Duration::from_millis(150));
    let third = bench.start(&service);
    std::thread::sleep(Duration::from_millis(150));
    hold.release();
    [first.wait(), second.wait(), third.wait()]
}

/// <https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency>: one
/// is pending, and a newer one takes its place; `cancel-in-progress`; `queue: max`; names have no case.
#[test]
fn runs_of_a_group_wait_for_each_other() {
    let conclusions = |concurrency: &str| three(&grouped(concurrency)).map(|report| report.conclusion);
    let (good, gone) = (Outcome::Success, Outcome::Cancelled);
    assert_eq!(conclusions("one"), [good, gone, good]);
    assert_eq!(conclusions("{ group: one, queue: max }"), [good, good, good]);
    // The second one is not held, and ends before the third comes.
    assert_eq!(conclusions("{ group: one, cancel-in-progress: true }"), [gone, good, good]);
    assert_eq!(conclusions("{ group: '${{ github.run_id }}' }"), [good, good, good]);
    let reports = three(&grouped("one"));
    assert!(reports[1].has_error("Canceling since a higher priority waiting request for 'one' exists"));
    let bench = grouped("one");
    let service = bench.service();
    let hold = service.hold(Moment::job("job"));
    let first = bench.start(&service);
    hold.reached();
    let second = bench.start(&service);
    second.cancel();
    assert!(second.wait().jobs.is_empty());
    hold.release();
    first.wait().ok();
    // What never ran is run by "Re-run failed jobs".
    assert_eq!(service.rerun_failed(&second).wait().ok().result("job"), good);
}

/// The same page: the two are refused together, as the changelog of 2026-05-07 says.
#[test]
fn a_queue_cancels_nothing() {
    refused(
        &grouped("{ group: a, queue: max, cancel-in-progress: true }").push(),
        "'queue: max' cannot be combined",
    );
    refused(
        &grouped("{ group: a, queue: max, cancel-in-progress: '${{ github.ref_name == ''main'' }}' }").push(),
        "'queue: max' cannot be combined",
    );
    refused(&grouped("{ group: a, queue: few }").push(), "concurrency.queue: Unexpected value 'few'");
}

/// The same page: jobs have groups too, also those of called workflows; a group within itself is a deadlock.
#[test]
fn jobs_of_a_group_wait_for_each_other() {
    let bench = Bench::new(
        "on: push
jobs:
  one: { uses: ./.github/workflows/called.yml, with: { group: Same } }
  two: { uses: ./.github/workflows/called.yml, with: { group: same } }
",
    );
    bench.commit(
        ".github/workflows/called.yml",
        "on: { workflow_call: { inputs: { group: { type: string } } } }
jobs:
  job:
    concurrency: { group: 'g-${{ inputs.group }}', cancel-in-progress: false }
    runs-on: x
    steps: [{ run: sleep 0.3 }]
",
    );
    let service = bench.service();
    let hold = service.hold(Moment::job("*/ job"));
    let run = bench.start(&service);
    hold.reached();
    run.until("Waiting for the concurrency group");
    hold.release();
    run.wait().ok();
    let bench = grouped("own");
    let text = std::fs::read_to_string(bench.root().join(PATH)).unwrap();
    bench.commit(PATH, &text.replace("    runs-on", "    concurrency: OWN\n    runs-on"));
    let report = bench.push();
    assert!(report.has_error("a deadlock was detected for concurrency group: 'OWN'"), "{}", report.all());
    assert_eq!(report.conclusion, Outcome::Cancelled);
}

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation>
#[test]
fn a_cancelled_run_cleans_up() {
    let bench = Bench::new(
        "on: push
jobs:
  job:
    runs-on: x
    steps:
      - run: |
          trap 'echo interrupted; exit 1' INT
          echo ready; while :; do sleep 0.05; done
      - run: echo never
      - { if: failure(), run: echo not-failed }
      - { if: cancelled(), run: 'echo cleaned ${{ job.status }}' }
      - { if: always(), run: echo at-last }
  stubborn:
    runs-on: x
    steps: [{ run: \"trap '' INT TERM; echo deaf; while :; do sleep 0.05; done\" }]
  spared:
    if: always()
    runs-on: x
    steps: [{ run: 'echo begun; sleep 0.6; echo ended' }, { run: 'true' }]
  later: { needs: job, runs-on: x, steps: [{ run: 'true' }] }
  anyway: { needs: job, if: always(), runs-on: x, steps: [{ run: 'echo ${{ needs.job.result }}' }] }
",
    );
    let service = bench.service();
    let run = bench.start(&service);
    for words in ["[job] ready", "[stubborn] deaf", "[spared] begun"] {
        run.until(words);
    }
    run.cancel();
    let report = run.wait();
    assert_eq!(report.conclusion, Outcome::Cancelled);
    for (job, expected) in [
        ("job", Outcome::Cancelled),
        ("stubborn", Outcome::Cancelled),
        ("spared", Outcome::Success),
        ("later", Outcome::Skipped),
        ("anyway", Outcome::Success),
    ] {
        assert_eq!(report.result(job), expected, "{job}: {}", report.all());
    }
    for words in ["[job] interrupted", "cleaned cancelled", "at-last", "[spared] ended", "[anyway] cancelled"]
    {
        assert!(report.log.contains(words), "{words}: {}", report.all());
    }
    assert!(!report.log.contains("] never") && !report.log.contains("not-failed"), "{}", report.all());
}

/// A runner that dies: no later step runs, not even one with `always()`, and no process is left.
#[test]
fn a_dead_runner_runs_nothing_more() {
    let bench = Bench::new(
        "on: push
jobs:
  job:
    runs-on: x
    outputs: { o: set }
    steps:
      - id: work
        run: |
          (while :; do date +%N >\"$ALIVE\"; sleep 0.02; done) &
          while [ ! -s \"$ALIVE\" ]; do sleep 0.01; done; echo 'half done'; sleep 60
      - { if: always(), run: echo later }
  after: { needs: job, if: always(), runs-on: x, steps: [{ run: 'echo ${{ needs.job.result }} [${{ needs.job.outputs.o }}]' }] }
",
    );
    let mut settings = bench.settings();
    let alive = bench.folder.join("alive");
    settings.environment.push(("ALIVE".to_owned(), alive.display().to_string()));
    let service = Service::new(settings);
    service.plan(Moment::line("job", "work", "half done"), Fault::Kill);
    let run = bench.start(&service);
    let report = run.wait();
    assert!(report.has_error("The hosted runner lost communication with the server."), "{}", report.all());
    assert!(
        report.log.contains("[after] failure []") && !report.log.contains("[job] later"),
        "{}",
        report.all()
    );
    let read = || std::fs::read_to_string(&alive).unwrap();
    let before = read();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(read(), before);
    let again = service.rerun_failed(&run);
    again.until("half done");
    again.kill("job");
    assert_eq!(again.wait().result("job"), Outcome::Failure);
}

/// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>: failed jobs and what depends
/// on them; outputs and artifacts of the others stay, the commit too.
#[test]
fn failed_jobs_run_again_on_what_is_kept() {
    let bench = Bench::new(
        "on: push
jobs:
  plan:
    runs-on: x
    outputs: { o: '${{ steps.s.outputs.o }}' }
    steps:
      - { id: s, run: 'echo o=of-attempt-$GITHUB_RUN_ATTEMPT >>$GITHUB_OUTPUT; echo $GITHUB_RUN_ATTEMPT >a' }
      - { uses: UPLOAD, with: { name: plan, path: a } }
  rows:
    needs: plan
    strategy: { fail-fast: false, matrix: { row: [good, bad] } }
    runs-on: x
    outputs: { good: \"${{ steps.s.outputs.good }}\", bad: \"${{ steps.s.outputs.bad }}\" }
    steps:
      - { uses: DOWNLOAD, with: { name: plan } }
      - { id: s, run: 'test ${{ matrix.row }} = good -o $GITHUB_RUN_ATTEMPT = 2; test $(cat a) = 1; echo ${{ matrix.row }}=$GITHUB_RUN_ATTEMPT >>$GITHUB_OUTPUT; echo $GITHUB_RUN_ATTEMPT >b' }
      - { uses: UPLOAD, if: always(), with: { name: 'row-${{ matrix.row }}', path: b, if-no-files-found: ignore } }
  calls: { needs: plan, uses: ./.github/workflows/called.yml }
  below: { needs: rows, runs-on: x, steps: [{ run: 'test ${{ needs.rows.outputs.good }}${{ needs.rows.outputs.bad }} = 12' }] }
  report:
    needs: [plan, rows, calls, below]
    if: always()
    runs-on: x
    steps: [{ run: 'test ${{ needs.plan.outputs.o }} = of-attempt-1' }]
",
    );
    bench.commit(
        ".github/workflows/called.yml",
        "on: workflow_call
jobs:
  first: { runs-on: x, steps: [{ run: 'true' }] }
  second: { needs: first, runs-on: x, steps: [{ run: 'test $GITHUB_RUN_ATTEMPT = 2' }] }
  third: { needs: second, runs-on: x, steps: [{ run: 'true' }] }
",
    );
    let service = bench.service();
    let run = bench.start(&service);
    let first = run.wait();
    assert_eq!(
        (first.result("rows (good)"), first.result("rows (bad)")),
        (Outcome::Success, Outcome::Failure)
    );
    assert_eq!(
        (first.result("below"), first.result("report")),
        (Outcome::Skipped, Outcome::Success),
        "{}",
        first.all()
    );
    assert_eq!(first.result("calls / third"), Outcome::Skipped);
    bench.commit(".github/workflows/called.yml", "on: push\njobs: {}\n");
    let again = service.rerun_failed(&run);
    assert_eq!((again.sha(), again.attempt(), again.id()), (run.sha(), 2, run.id()));
    let second = again.wait().ok();
    let attempts: Vec<(&str, u32)> =
        second.jobs.values().map(|job| (job.name.as_str(), job.attempt)).collect();
    let expected = [
        ("below", 2),
        ("calls", 2),
        ("calls / first", 1),
        ("calls / second", 2),
        ("calls / third", 2),
        ("plan", 1),
        ("report", 2),
        ("rows (bad)", 2),
        ("rows (good)", 1),
    ];
    assert_eq!(attempts, expected, "{}", second.all());
    assert_eq!(service.artifacts(&run).len(), 3);
    // All of them again: names that an earlier attempt has taken are free, and the newest artifact is what is found.
    let all = service.rerun_all(&again).wait();
    assert!(all.jobs.values().all(|job| job.attempt == 3 || job.result == Outcome::Skipped), "{}", all.all());
    assert_eq!(service.artifacts(&run).iter().map(|one| one.attempt).max(), Some(3));
}

/// The same page: an artifact that is gone is gone for the next attempt, too.
#[test]
fn a_rerun_finds_what_is_left() {
    let bench = Bench::new(
        "on: push
jobs:
  one:
    runs-on: x
    steps: [{ run: touch a }, { uses: UPLOAD, with: { name: a, path: a, retention-days: 1 } }]
  two:
    needs: one
    runs-on: x
    steps: [{ uses: DOWNLOAD, with: { name: a } }, { run: 'test $GITHUB_RUN_ATTEMPT = 2' }]
",
    );
    let service = bench.service();
    let run = bench.start(&service);
    assert_eq!(run.wait().result("two"), Outcome::Failure);
    service.advance(2);
    let report = service.rerun_failed(&run).wait();
    assert!(report.has_error("Artifact not found for name: a"), "{}", report.all());
    service.advance(29);
    refused(&service.rerun_failed(&run).wait(), "created over 30 days ago");
}

/// The page on concurrency: a hundred may wait, one more is cancelled; they begin in the order in which they came.
#[test]
fn a_queue_is_not_endless() {
    let groups: Arc<Groups> = Arc::default();
    let entry = Entry { group: "g".to_owned(), cancel: false, queue: true, who: "test".to_owned() };
    let enter = |entry: &Entry| Groups::enter(&groups, entry, &Arc::default(), &[], || {});
    let first = enter(&entry).unwrap();
    let order = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..100 {
            let (entry, groups, order) = (&entry, &groups, &order);
            let (send, waits) = std::sync::mpsc::channel();
            scope.spawn(move || {
                let waiting = || send.send(()).unwrap();
                let place = Groups::enter(groups, entry, &Arc::default(), &[], waiting).unwrap();
                order.lock().unwrap().push(number);
                drop(place);
            });
            waits.recv().unwrap();
        }
        assert!(enter(&entry).unwrap_err().contains("100 requests wait for 'g' already"));
        drop(first);
    });
    assert_eq!(order.into_inner().unwrap(), (0..100).collect::<Vec<_>>());
}

/// So many jobs run at once as there are machines, in the order in which they came.
#[test]
fn machines_are_few() {
    let bench = Bench::new(
        "on: push
jobs:
  job:
    strategy: { matrix: { row: [1, 2, 3, 4] } }
    runs-on: x
    steps: [{ run: 'echo begins; sleep 0.1; echo ends' }]
",
    );
    let mut settings = bench.settings();
    settings.runners = 1;
    let report = bench.start(&Service::new(settings)).wait().ok();
    let lines: Vec<&str> =
        report.log.lines().filter_map(|line| line.split_once("] ").map(|(_, text)| text)).collect();
    let words: Vec<&str> = lines.into_iter().filter(|line| *line == "begins" || *line == "ends").collect();
    assert_eq!(words, ["begins", "ends"].repeat(4));
}

/// Many runs of one event each: a tag and its branch do not share a group that names the ref.
#[test]
fn groups_are_told_apart_by_their_names() {
    let bench = grouped("'x-${{ github.ref }}'");
    bench.git(&["tag", "v1"]);
    let service = bench.service();
    let hold = service.hold(Moment::step("job", "echo works"));
    let branch = bench.start(&service);
    hold.reached();
    // What is planned for one run is not for another.
    service.plan(Moment::step("job", "echo works").of(branch.id()), Fault::Kill);
    service.start(PATH, &Event::tag("v1")).unwrap().wait().ok();
    assert!(!branch.is_done());
    hold.release();
    branch.wait().ok();
}
