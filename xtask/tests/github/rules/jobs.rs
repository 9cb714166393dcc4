//! Jobs: what depends on what, matrices, outputs.

use super::bench::{Bench, push, refused};
use crate::model::Outcome;

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#status-check-functions>: `success()`
/// looks at all ancestors, so that a job below a skipped one is skipped.
#[test]
fn status_functions_look_at_all_ancestors() {
    let report = push(
        "  bad: { runs-on: x, steps: [{ run: 'false' }] }
  good: { runs-on: x, steps: [{ run: 'true' }] }
  below: { needs: [bad, good], runs-on: x, steps: [{ run: 'true' }] }
  deep: { needs: below, runs-on: x, steps: [{ run: 'true' }] }
  rescued: { needs: below, if: always(), runs-on: x, steps: [{ run: 'test ${{ needs.below.result }} = skipped' }] }
  failed: { needs: deep, if: failure(), runs-on: x, steps: [{ run: 'true' }] }
  chosen: { needs: [bad, good], if: needs.good.result == 'success', runs-on: x, steps: [{ run: 'true' }] }
  never: { if: false, runs-on: x, steps: [{ run: 'true' }] }
  under: { needs: never, runs-on: x, steps: [{ run: 'true' }] }
  again: { needs: under, if: '!cancelled()', runs-on: x, steps: [{ run: 'true' }] }
  onwards: { needs: again, runs-on: x, steps: [{ run: 'true' }] }
",
    );
    for (job, expected) in [
        ("bad", Outcome::Failure),
        ("good", Outcome::Success),
        ("below", Outcome::Skipped),
        ("deep", Outcome::Skipped),
        ("rescued", Outcome::Success),
        ("failed", Outcome::Success),
        ("chosen", Outcome::Skipped),
        ("under", Outcome::Skipped),
        ("again", Outcome::Success),
        ("onwards", Outcome::Skipped),
    ] {
        assert_eq!(report.result(job), expected, "{job}: {}", report.all());
    }
    assert_eq!(report.conclusion, Outcome::Failure);
}

/// <https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations>: the example of
/// `include`, and `exclude`.
#[test]
fn matrices_expand_as_the_example_says() {
    let report = push(
        "  job:
    runs-on: x
    strategy:
      matrix:
        fruit: [apple, pear]
        animal: [cat, dog]
        include:
          - color: green
          - color: pink
            animal: cat
          - fruit: apple
            shape: circle
          - fruit: banana
          - fruit: banana
            animal: cat
        exclude:
          - fruit: pear
            animal: dog
    name: ${{ join(matrix.*, '+') }} ${{ strategy.job-index }} of ${{ strategy.job-total }}
    steps: [{ run: 'true' }]
",
    )
    .ok();
    let names: Vec<&str> = report.jobs.keys().map(String::as_str).collect();
    let expected = [
        "apple+cat+pink+circle 0 of 5",
        "apple+dog+green+circle 1 of 5",
        "banana 3 of 5",
        "banana+cat 4 of 5",
        "pear+cat+pink 2 of 5",
    ];
    assert_eq!(names, expected);
}

/// The same page: at most 256 rows; an empty vector is an error.
#[test]
fn matrices_have_rows_and_not_too_many() {
    let with = |matrix: &str| {
        push(&format!(
            "  job:\n    strategy:\n      matrix: {matrix}\n    runs-on: x\n    steps: [{{ run: 'true' }}]\n"
        ))
    };
    let twenty: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    for (matrix, words) in [
        ("{ a: [] }".to_owned(), "Matrix vector 'a' does not contain any values"),
        ("${{ fromJSON('{}') }}".to_owned(), "Matrix must define at least one vector"),
        ("{ a: [1], exclude: [{ a: 1 }] }".to_owned(), "Matrix must define at least one vector"),
        (format!("{{ a: [{0}], b: [{0}] }}", twenty.join(",")), "Matrix has 289 rows"),
        ("${{ fromJSON('{\"a\":3}') }}".to_owned(), "strategy.matrix.a"),
    ] {
        let report = with(&matrix);
        assert_eq!(report.result("job"), Outcome::Failure);
        assert!(report.has_error(words), "{matrix}: {}", report.all());
    }
    let report = with("{ a: [1, x], b: [{ c: d, e: f }] }").ok();
    assert_eq!(report.jobs.keys().collect::<Vec<_>>(), ["job (1, d, f)", "job (x, d, f)"]);
}

/// `strategy.fail-fast`, `strategy.max-parallel` and `continue-on-error` of the syntax.
#[test]
fn a_failed_row_stops_the_others_unless_told() {
    let jobs = |more: &str| {
        format!(
            "  job:
    strategy:
      max-parallel: 1
{more}
      matrix: {{ row: [1, 2, 3] }}
    continue-on-error: ${{{{ matrix.row == 3 }}}}
    runs-on: x
    steps: [{{ run: 'test ${{{{ matrix.row }}}} = 2' }}]
"
        )
    };
    let report = push(&jobs(""));
    assert_eq!(report.result("job (1)"), Outcome::Failure);
    assert_eq!(
        (report.result("job (2)"), report.result("job (3)")),
        (Outcome::Cancelled, Outcome::Cancelled)
    );
    let report = push(&jobs("      fail-fast: false"));
    assert_eq!(report.result("job (2)"), Outcome::Success);
    let third = report.job("job (3)");
    assert_eq!((third.result, third.conclusion), (Outcome::Success, Outcome::Failure));
}

/// `jobs.<job_id>.outputs` of the syntax, and `JobExtension.cs` of actions/runner: an empty one is not set, so that it
/// takes nothing away; of several rows the last one to end wins.
#[test]
fn outputs_of_a_matrix_are_those_of_its_last_row() {
    let report = push(
        "  job:
    strategy: { max-parallel: 1, matrix: { row: [a, b, c] } }
    runs-on: x
    outputs:
      all: ${{ matrix.row }}
      some: ${{ matrix.row != 'c' && matrix.row || '' }}
      own-a: ${{ matrix.row == 'a' && 'A' || '' }}
      broken: ${{ steps.none.outputs.x }}
    steps: [{ run: 'true' }]
  after:
    needs: job
    runs-on: x
    steps:
      - run: test \"$V\" = 'c b A '
        env: { V: '${{ needs.job.outputs.all }} ${{ needs.job.outputs.some }} ${{ needs.job.outputs.own-a }} ${{ needs.job.outputs.broken }}' }
",
    );
    report.ok();
}

/// A matrix that calls a workflow which has a matrix of its own: the page on reusable workflows.
#[test]
fn a_matrix_may_call_a_workflow_with_a_matrix() {
    let bench = Bench::new(
        "on: push
jobs:
  outer:
    name: ${{ matrix.cell.name }}
    strategy: { matrix: { cell: [{ name: a, rows: [1, 2] }, { name: b, rows: [3] }] } }
    uses: ./.github/workflows/called.yml
    with: { cell: '${{ toJSON(matrix.cell) }}' }
",
    );
    bench.commit(
        ".github/workflows/called.yml",
        "on: { workflow_call: { inputs: { cell: { type: string } } } }
jobs:
  inner:
    strategy: { matrix: { row: '${{ fromJSON(inputs.cell).rows }}' } }
    runs-on: x
    steps: [{ run: 'true' }]
  end: { needs: inner, runs-on: x, steps: [{ run: 'true' }] }
",
    );
    let report = bench.push().ok();
    let names: Vec<&str> = report.jobs.keys().map(String::as_str).collect();
    assert_eq!(names, ["a", "a / end", "a / inner (1)", "a / inner (2)", "b", "b / end", "b / inner (3)"]);
}

/// `JobExtension.cs` of actions/runner: an output that may hold a secret is dropped.
#[test]
fn a_secret_is_no_output() {
    let bench = Bench::new(
        "on: push
jobs:
  job:
    runs-on: x
    outputs:
      plain: ${{ steps.s.outputs.plain }}
      leaked: ${{ steps.s.outputs.leaked }}
      masked: ${{ steps.s.outputs.masked }}
    steps:
      - id: s
        run: |
          echo plain=word >>$GITHUB_OUTPUT
          echo \"leaked=x$S\" >>$GITHUB_OUTPUT
          echo '::add-mask::hidden'
          echo masked=a-hidden-word >>$GITHUB_OUTPUT
          echo \"$S and a-hidden-word\"
        env: { S: '${{ secrets.S }}' }
",
    );
    let mut settings = bench.settings();
    settings.secrets.insert("S".to_owned(), "very-secret".to_owned());
    let report = bench.start(&crate::model::Service::new(settings)).wait().ok();
    assert_eq!(report.job("job").outputs.len(), 1, "{}", report.all());
    let dropped = |name: &str| format!("Skip output '{name}' since it may contain secret.");
    for name in ["leaked", "masked"] {
        assert!(report.annotations.iter().any(|one| one.message == dropped(name)), "{}", report.all());
    }
    assert!(
        report.log.contains("] *** and a-***-word\n") || report.log.contains("] *** and a-***"),
        "{}",
        report.log
    );
    assert!(!report.log.contains("hidden-") && !report.log.contains("very"), "{}", report.log);
}

/// The limits of `jobs.<job_id>.outputs`: 1 MB of UTF-16 a job, 50 MB a run.
#[test]
fn outputs_are_not_too_large() {
    let job = |bytes: usize| {
        push(&format!(
            "  job:
    runs-on: x
    outputs: {{ o: \"${{{{ steps.s.outputs.o }}}}\" }}
    steps:
      - id: s
        run: (printf o=; head -c {bytes} /dev/zero | tr '\\0' a) >>$GITHUB_OUTPUT
"
        ))
    };
    job(500_000).ok();
    let report = job(600_000);
    assert!(report.has_error("The outputs of a job may have 1048576 bytes"), "{:?}", report.annotations);
    let rows: Vec<String> = (0..53).map(|row| row.to_string()).collect();
    let report = push(&format!(
        "  job:
    strategy: {{ matrix: {{ row: [{}] }} }}
    runs-on: x
    outputs: {{ o: \"${{{{ steps.s.outputs.o }}}}\" }}
    steps: [{{ id: s, run: '(printf o=; head -c 500000 /dev/zero | tr ''\\0'' a) >>$GITHUB_OUTPUT' }}]
",
        rows.join(",")
    ));
    assert!(report.has_error("The outputs of a run may have 52428800 bytes"), "{:?}", report.annotations);
}

/// `jobs.<job_id>.timeout-minutes`, `runs-on`: a job needs a machine.
#[test]
fn a_job_has_a_machine_and_an_end() {
    refused(&push("  job: { runs-on: '${{ runner.os }}', steps: [{ run: 'true' }] }\n"), "'runner'");
    let report = push("  job: { runs-on: '${{ vars.none }}', steps: [{ run: 'true' }] }\n");
    assert!(report.has_error("runs-on: Unexpected value ''"), "{}", report.all());
    let report = push(
        "  job: { runs-on: x, timeout-minutes: 0.005, steps: [{ run: sleep 60 }, { run: echo later }, { run: echo tidy, if: always() }] }\n",
    );
    assert_eq!(report.result("job"), Outcome::Cancelled, "{}", report.all());
    assert!(!report.log.contains("] later\n") && report.log.contains("] tidy\n"), "{}", report.all());
    assert!(report.has_error("exceeded the maximum execution time"), "{}", report.all());
    let report = push(
        "  job: { runs-on: ubuntu-24.04-arm, steps: [{ run: 'test $RUNNER_ARCH = ${{ runner.arch }} -a $RUNNER_ARCH = ARM64' }] }\n",
    );
    report.ok();
}
