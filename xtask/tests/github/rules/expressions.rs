//! Expressions.

use super::bench::{push, refused, steps};
use crate::model::Outcome;

/// Evaluates expressions in a step and gives what each of them is.
fn values(expressions: &[&str]) -> Vec<String> {
    let mut text = String::from("      - run: |\n");
    for at in 0..expressions.len() {
        text.push_str(&format!("          printf '%s\\n' \"value {at}: $V{at}\"\n"));
    }
    text.push_str("        env:\n");
    for (at, expression) in expressions.iter().enumerate() {
        text.push_str(&format!(
            "          V{at}: \"${{{{ {} }}}}\"\n",
            expression.replace('\\', "\\\\").replace('"', "\\\"")
        ));
    }
    let report = steps(&text).ok();
    let line = |at: usize| {
        let mark = format!("] value {at}: ");
        report.log.lines().find_map(|line| line.split_once(&mark).map(|(_, value)| value.to_owned())).unwrap()
    };
    (0..expressions.len()).map(line).collect()
}

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions>: literals, operators, conversions.
#[test]
fn operators_convert_as_github_does() {
    let table = [
        ("'It''s'", "It's"),
        ("0xff", "255"),
        ("-9.2", "-9.2"),
        ("2.5e2", "250"),
        ("1e20", "1E+20"),
        ("1 == '1'", "true"),
        ("null == 0", "true"),
        ("'' == 0", "true"),
        ("true == 1", "true"),
        ("'a' == 0", "false"),
        ("NaN == NaN", "false"),
        ("'ABC' == 'abc'", "true"),
        ("'b' > 'A'", "true"),
        ("2 < 10", "true"),
        ("'2' < '10'", "false"),
        ("!''", "true"),
        ("'x' && 'y' || 'z'", "y"),
        ("'' && 'y' || 'z'", "z"),
        ("(1 == 2) == false", "true"),
        ("fromJSON('[1]') == fromJSON('[1]')", "false"),
        ("github.nothing.at.all", ""),
        ("fromJSON('{\"A-b\":{\"c\":7}}').a-B['C']", "7"),
        ("fromJSON('[[1,2],[3]]').*[0]", "Array"),
        ("join(fromJSON('[[1,2],[3]]').*[0], '+')", "1+3"),
        ("join(fromJSON('[{\"a\":1},{\"b\":2},{\"a\":3}]').*.a)", "1,3"),
        ("fromJSON('[5,6]')[1]", "6"),
        ("fromJSON('[5,6]')[-1]", ""),
        ("true && fromJSON('{}')", "Object"),
    ];
    let found = values(&table.map(|(expression, _)| expression));
    for ((expression, expected), found) in table.iter().zip(found) {
        assert_eq!(found, *expected, "{expression}");
    }
}

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#functions>, `case`: `Case.cs`.
#[test]
fn functions_do_what_their_page_says() {
    let table = [
        ("contains('Hello world', 'LLO')", "true"),
        ("contains(fromJSON('[\"push\", \"pull\"]'), 'Push')", "true"),
        ("contains(fromJSON('[\"push\"]'), 'pus')", "false"),
        ("startsWith('Hello world', 'he')", "true"),
        ("endsWith('Hello world', 'LD')", "true"),
        ("format('Hello {0} {1} {0}', 'a', 2)", "Hello a 2 a"),
        ("format('{{{0}}}', 'a')", "{a}"),
        ("join(fromJSON('[1,null,\"x\"]'), ', ')", "1, , x"),
        ("join('alone')", "alone"),
        ("toJSON(fromJSON('[]'))", "[]"),
        ("fromJSON(toJSON('a\"b'))", "a\"b"),
        ("fromJSON('3.10')", "3.1"),
        ("case(false, 'a', true, 'b', 'c')", "b"),
        ("case(false, 'a', 'c')", "c"),
        ("hashFiles('nothing/**')", ""),
    ];
    let found = values(&table.map(|(expression, _)| expression));
    for ((expression, expected), found) in table.iter().zip(found) {
        assert_eq!(found, *expected, "{expression}");
    }
    let pretty = steps("      - run: printf '%s\\n' \"$V\"\n        env:\n          V: ${{ toJSON(fromJSON('{\"b\":1,\"a\":[true,{}]}')) }}\n").ok();
    let lines = ["{", "  \"b\": 1,", "  \"a\": [", "    true,", "    {}", "  ]", "}"];
    assert!(lines.iter().all(|line| pretty.log.contains(&format!("] {line}\n"))), "{}", pretty.log);
}

/// `hashFiles`: the page above; the sum of the sums, as `hashFiles/index.js` of actions/runner makes it.
#[test]
fn files_are_hashed() {
    let report = steps(
        "      - run: printf abc >a && mkdir d && printf def >d/b
      - run: |
          expected=$( (printf abc | sha256sum; printf def | sha256sum) | cut -c1-64 | xxd -r -p | sha256sum | cut -c1-64)
          [ \"$expected\" = \"${{ hashFiles('a', 'd/*') }}\" ]
",
    );
    report.ok();
}

/// An expression that cannot be parsed makes the file invalid: `Unrecognized named-value` of `ParseException.cs`.
#[test]
fn what_is_unknown_is_refused_before_anything_runs() {
    let job =
        |line: &str| format!("  job:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo \"{line}\"\n");
    for (expression, words) in [
        (
            "${{ foo.bar }}",
            "Unrecognized named-value: 'foo'. Located at position 1 within expression: foo.bar",
        ),
        ("${{ nope() }}", "Unrecognized function: 'nope'"),
        ("${{ contains('a') }}", "Too few parameters supplied: 'contains'"),
        ("${{ toJSON(1, 2) }}", "Too many parameters supplied"),
        ("${{ always() }}", "Unrecognized function: 'always'"),
        ("${{ 1 + 2 }}", "Unexpected symbol: '+'"),
        ("${{ github. }}", "Unexpected end of expression"),
        ("${{ 'open }}", "The expression is not closed"),
        ("${{ github.sha", "The expression is not closed"),
        ("${{ }}", "An expression was expected"),
        ("${{ True }}", "Unrecognized named-value: 'True'"),
    ] {
        refused(&push(&job(expression)), words);
    }
}

/// The table "Context availability" of <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts>.
#[test]
fn a_context_is_known_where_the_table_says_it() {
    let job = |lines: &str, step: &str| {
        push(&format!("  job:\n    runs-on: ubuntu-24.04\n{lines}    steps:\n      - run: 'true'\n{step}"))
    };
    for (lines, step, name) in [
        ("    if: secrets.A\n", "", "secrets"),
        ("    if: matrix.a\n", "", "matrix"),
        ("    if: env.A\n", "", "env"),
        ("    if: hashFiles('a')\n", "", "hashFiles"),
        ("    name: ${{ env.A }}\n", "", "env"),
        ("    name: ${{ secrets.A }}\n", "", "secrets"),
        ("    env: { A: '${{ env.A }}' }\n", "", "env"),
        ("    timeout-minutes: ${{ runner.os }}\n", "", "runner"),
        ("    concurrency: ${{ secrets.A }}\n", "", "secrets"),
        ("    strategy: { matrix: { a: ['${{ matrix.a }}'] } }\n", "", "matrix"),
        ("", "        if: secrets.A\n", "secrets"),
    ] {
        refused(&job(lines, step), &format!("'{name}'"));
    }
    refused(&push("  job:\n    runs-on: a\n    steps: [{ run: 'true', if: jobs.a }]\n"), "'jobs'");
    let top = |line: &str| {
        super::bench::Bench::new(&format!(
            "on: push\n{line}\njobs:\n  job:\n    runs-on: a\n    steps: [{{ run: 'true' }}]\n"
        ))
        .push()
    };
    refused(&top("concurrency: '${{ needs.a }}'"), "'needs'");
    refused(&top("run-name: ${{ secrets.a }}"), "'secrets'");
    refused(&top("env: { A: '${{ env.B }}' }"), "'env'");
}

/// `fromJSON` of what is no JSON fails the step, or the job where a key of the job has it.
#[test]
fn what_cannot_be_evaluated_fails_its_step_or_job() {
    let report =
        steps("      - run: echo ${{ fromJSON('x') }}\n      - if: failure()\n        run: echo later\n");
    assert_eq!(report.result("job"), Outcome::Failure);
    assert!(report.has_error("Error parsing fromJson") && report.log.contains("] later"), "{}", report.all());
    let report = push(
        "  job:\n    runs-on: a\n    strategy: { matrix: '${{ fromJSON('''') }}' }\n    steps: [{ run: 'true' }]\n",
    );
    assert!(report.has_error("Error when evaluating 'strategy' for job 'job'"), "{}", report.all());
    let report = steps("      - run: echo ${{ format('{1}', 'a') }}\n");
    assert!(report.has_error("references more arguments than were supplied"), "{}", report.all());
}

/// A condition with text around `${{ }}` is a text, and so true; nobody means it, so that it is refused here.
#[test]
fn a_condition_is_one_expression() {
    refused(
        &push("  job:\n    if: ${{ false }} && false\n    runs-on: a\n    steps: [{ run: 'true' }]\n"),
        "text around",
    );
    let report = push("  job:\n    if: ${{ false }}\n    runs-on: a\n    steps: [{ run: 'true' }]\n");
    assert_eq!(report.result("job"), Outcome::Skipped);
}

/// Names that are null whatever happens are told, which GitHub does not do.
#[test]
fn names_that_are_not_there_are_told() {
    let report = steps("      - run: echo ${{ needs.nobody.result }} ${{ steps.nothing.outputs.x }}\n").ok();
    assert_eq!(report.warnings.len(), 2, "{:?}", report.warnings);
}
