//! Files, triggers and calls.

use super::bench::{Bench, PATH, push, refused};
use crate::model::{Access, Event, Outcome};

const JOB: &str = "    runs-on: ubuntu-24.04\n    steps: [{ run: 'true' }]\n";

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>, by `workflow-v1.0.json` of
/// actions/languageservices.
#[test]
fn a_file_has_the_keys_of_the_syntax_only() {
    for (jobs, words) in [
        ("  a:\n    runs-on: x\n    step: []\n", "jobs.a: Unexpected value 'step'"),
        ("  a:\n    steps: []\n", "jobs.a: Required property is missing: runs-on"),
        ("  a: { runs-on: x, steps: [{ run: a, uses: b }] }\n", "Unexpected value 'uses'"),
        ("  a: { runs-on: x, steps: [{ name: a }] }\n", "Required property is missing: uses"),
        ("  1a: { runs-on: x, steps: [{ run: a }] }\n", "The identifier '1a' is invalid"),
        (
            "  a: { runs-on: x, steps: [{ id: b, run: a }, { id: b, run: a }] }\n",
            "may not be used more than once",
        ),
        ("  a: { runs-on: x, container: y, steps: [{ run: a }] }\n", "container is not modelled"),
        ("  a: { runs-on: x, runs-on: y, steps: [{ run: a }] }\n", "duplicate entry"),
        ("  a: { runs-on: x, permissions: { content: read }, steps: [{ run: a }] }\n", "content: read"),
        ("  a: { runs-on: x, permissions: { id-token: read }, steps: [{ run: a }] }\n", "id-token: read"),
        ("  a: { runs-on: x, strategy: { matrx: {} }, steps: [{ run: a }] }\n", "Unexpected value 'matrx'"),
        ("  a: { uses: ./.github/workflows/b.yml, runs-on: x }\n", "Unexpected value 'runs-on'"),
    ] {
        refused(&push(jobs), words);
    }
}

/// `jobs.<job_id>.needs` of the same page.
#[test]
fn needs_are_jobs_and_no_circle() {
    let job = |name: &str, needs: &str| format!("  {name}:\n    needs: {needs}\n{JOB}");
    refused(&push(&job("a", "b")), "Job 'a' depends on unknown job 'b'.");
    refused(&push(&format!("{}{}", job("a", "[b]"), job("b", "[a]"))), "a cycle of `needs`");
}

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>
#[test]
fn triggers_start_what_they_say() {
    let (main, tag) = (Event::push("main"), Event::tag("v1.2"));
    let request = |action: &str| Event::pull_request(7, "release/2", "main").with_action(action);
    let table = [
        ("push", main.clone(), true),
        ("[pull_request]", main.clone(), false),
        ("{ push: { branches: [main] } }", main.clone(), true),
        ("{ push: { branches: [main] } }", tag.clone(), false),
        ("{ push: { tags: ['v*'] } }", tag.clone(), true),
        ("{ push: { tags: ['v*'] } }", main.clone(), false),
        ("{ push: { branches: ['**', '!main'] } }", main.clone(), false),
        ("{ push: { branches-ignore: [main] } }", main.clone(), false),
        ("{ push: { branches: ['release/*'] } }", Event::push("release/2"), true),
        ("{ push: { branches: ['release/*'] } }", Event::push("release/3/x"), false),
        ("{ push: { branches: ['release/**'] } }", Event::push("release/3/x"), true),
        ("pull_request", request("opened"), true),
        ("pull_request", request("labeled"), false),
        ("{ pull_request: { types: [labeled] } }", request("labeled"), true),
        ("{ pull_request: { branches: [other] } }", request("opened"), false),
        ("{ release: { types: [published] } }", Event::release("v1.2"), true),
        ("{ release: { types: [created] } }", Event::release("v1.2"), false),
        ("{ schedule: [{ cron: '1 2 * * *' }] }", Event::schedule("1 2 * * *", "main"), true),
        ("{ schedule: [{ cron: '1 2 * * *' }] }", Event::schedule("3 2 * * *", "main"), false),
        ("workflow_dispatch", Event::dispatch("main", &[]), true),
    ];
    let path = |at: usize| format!(".github/workflows/w{at}.yml");
    let bench = Bench::new(&format!("on: {{ push: {{ paths: [a] }} }}\njobs:\n  a:\n{JOB}"));
    for (at, (on, _, _)) in table.iter().enumerate() {
        bench.write(&path(at), &format!("on: {on}\njobs:\n  a:\n{JOB}"));
    }
    bench.commit("all", "");
    bench.git(&["tag", "v1.2"]);
    bench.git(&["branch", "release/2"]);
    bench.git(&["branch", "release/3/x"]);
    let service = bench.service();
    for (at, (on, event, expected)) in table.iter().enumerate() {
        let run = service.start(&path(at), event);
        assert_eq!(
            run.map(|run| run.wait().conclusion) == Some(Outcome::Success),
            *expected,
            "{on} {event:?}"
        );
    }
    let bench = Bench::new(&format!("on: {{ push: {{ paths: [a] }} }}\njobs:\n  a:\n{JOB}"));
    refused(&bench.push(), "paths is not modelled");
}

/// `workflow_dispatch` of the same page: the context `inputs` has types, `github.event.inputs` has texts.
#[test]
fn the_form_has_types_and_defaults() {
    let bench = Bench::new(
        "on:
  workflow_dispatch:
    inputs:
      word: { type: string, required: true }
      flag: { type: boolean }
      kind: { type: choice, options: [a, b], default: b }
jobs:
  job:
    runs-on: x
    steps:
      - run: test \"$V\" = 'word true b Object'
        env: { V: \"${{ inputs.word }} ${{ inputs.flag == true }} ${{ inputs.kind }} ${{ github.event.inputs }}\" }
      - if: inputs.flag
        run: test '${{ github.event.inputs.flag }}' = true
",
    );
    let dispatch = |inputs: &[(&str, &str)]| {
        bench.service().start(PATH, &Event::dispatch("main", inputs)).unwrap().wait()
    };
    dispatch(&[("word", "word"), ("flag", "true")]).ok();
    refused(&dispatch(&[]), "Required input 'word' not provided");
    refused(&dispatch(&[("word", "a"), ("kind", "c")]), "Provided value 'c' for input 'kind'");
    refused(&dispatch(&[("word", "a"), ("other", "c")]), "Unexpected inputs provided: [\"other\"]");
}

/// A caller, and what it calls.
fn call(caller: &str, called: &str) -> crate::model::Report {
    let bench = Bench::new(&format!(
        "on: push\npermissions: {{ contents: read }}\njobs:\n  call:\n    uses: ./.github/workflows/called.yml\n{caller}"
    ));
    bench.commit(".github/workflows/called.yml", called);
    let mut settings = bench.settings();
    settings.secrets.insert("ONE".to_owned(), "first-secret".to_owned());
    bench.start(&crate::model::Service::new(settings)).wait()
}

/// <https://docs.github.com/en/actions/how-tos/reuse-automations/reuse-workflows>
#[test]
fn calls_give_what_the_called_file_takes() {
    let called = format!(
        "on:\n  workflow_call:\n    inputs:\n      a: {{ type: string, required: true }}\n      n: {{ type: number, default: 3 }}\n    secrets:\n      S: {{ required: true }}\njobs:\n  job:\n{JOB}"
    );
    refused(&call("", &called), "Input a is required, but not provided while calling.");
    refused(
        &call("    with: { a: x, b: y }\n", &called),
        "Invalid input, b is not defined in the referenced workflow.",
    );
    refused(&call("    with: { a: x }\n", &called), "Secret S is required, but not provided while calling.");
    let secret = "    secrets: { S: '${{ secrets.ONE }}', T: x }\n";
    refused(&call(&format!("    with: {{ a: x }}\n{secret}"), &called), "Invalid secret, T is not defined");
    call("    with: { a: x }\n    secrets: inherit\n", &called).ok();
    let report = call("    with: { a: x, n: word }\n    secrets: inherit\n", &called);
    assert!(report.has_error("The value for input 'n' is no number: 'word'"), "{}", report.all());
    refused(&call("", &format!("on: push\njobs:\n  job:\n{JOB}")), "missing a `on.workflow_call` trigger");
}

/// The same page: outputs of a called workflow are mapped from those of its jobs, secrets are passed or inherited.
#[test]
fn outputs_come_back_from_a_call() {
    let report = call(
        "    with: { word: '${{ github.ref_name }}' }
    secrets: { own: '${{ secrets.ONE }}' }
  after:
    needs: call
    runs-on: x
    steps:
      - run: test '${{ needs.call.outputs.result }}-${{ needs.call.result }}' = 'got main-success'
",
        "on:
  workflow_call:
    inputs: { word: { type: string } }
    secrets: { own: {} }
    outputs: { result: { value: \"${{ jobs.job.outputs.word }}\" } }
jobs:
  job:
    name: inner ${{ inputs.word }}
    runs-on: x
    outputs: { word: \"${{ steps.s.outputs.word }}\" }
    steps:
      - id: s
        run: |
          test \"$(printf %s \"$OWN\" | wc -c)\" = 12 && test -z '${{ secrets.ONE }}'
          echo word=got ${{ inputs.word }} >>\"$GITHUB_OUTPUT\"
        env: { OWN: '${{ secrets.own }}' }
",
    );
    assert_eq!(report.result("call / inner main"), Outcome::Success, "{}", report.all());
    report.ok();
}

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/reusing-workflow-configurations>: permissions can
/// only be kept or reduced in a chain of calls.
#[test]
fn a_called_file_asks_no_more_than_its_caller_grants() {
    let called = |permissions: &str| {
        format!("on: workflow_call\njobs:\n  job:\n    permissions: {permissions}\n{JOB}")
    };
    refused(
        &call("", &called("{ contents: read, packages: write }")),
        "The nested job 'job' is requesting 'packages: write', but is only allowed 'packages: none'.",
    );
    let report = call("    permissions: { packages: write }\n", &called("{ packages: read }")).ok();
    assert_eq!(report.job("call / job").permissions.of("packages"), Access::Read);
    assert_eq!(report.job("call / job").permissions.of("contents"), Access::None);
    let report = call("", &format!("on: workflow_call\njobs:\n  job:\n{JOB}")).ok();
    assert_eq!(report.job("call / job").permissions.of("contents"), Access::Read, "inherited");
}

/// The same page: ten levels, fifty files, no loops; `uses` names a file of `.github/workflows`.
#[test]
fn calls_are_nested_so_deep_and_no_deeper() {
    let chain = |last: usize| {
        let bench = Bench::new("on: push\njobs: { a: { uses: ./.github/workflows/w2.yml } }\n");
        for level in 2..last {
            let text = format!(
                "on: workflow_call\njobs: {{ a: {{ uses: ./.github/workflows/w{}.yml }} }}\n",
                level + 1
            );
            bench.write(&format!(".github/workflows/w{level}.yml"), &text);
        }
        bench.commit(
            &format!(".github/workflows/w{last}.yml"),
            &format!("on: workflow_call\njobs:\n  a:\n{JOB}"),
        );
        bench.push()
    };
    chain(10).ok();
    refused(&chain(11), "nested deeper than 10 levels");
    let own = |uses: &str| push(&format!("  a: {{ uses: {uses} }}\n"));
    refused(&own("./.github/workflows/test.yml"), "loops are not permitted");
    refused(&own("./other/test.yml"), "must be defined at the top level of the .github/workflows/ directory");
    refused(&own("acme/other/.github/workflows/x.yml@main"), "only files of this repository are modelled");
    let mut jobs = String::new();
    let bench = Bench::new("on: push\njobs: {}\n");
    for number in 0..51 {
        jobs.push_str(&format!("  j{number}: {{ uses: ./.github/workflows/w{number}.yml }}\n"));
        let file = bench.root().join(format!(".github/workflows/w{number}.yml"));
        std::fs::write(file, format!("on: workflow_call\njobs:\n  a:\n{JOB}")).unwrap();
    }
    bench.commit(PATH, &format!("on: push\njobs:\n{jobs}"));
    refused(&bench.push(), "51 files are called, of at most 50");
}

/// `vars` and secrets of a fork: <https://docs.github.com/en/actions/how-tos/security-for-github-actions/security-guides/using-secrets-in-github-actions>
/// and cilium/cilium#23169; its token: `permissions` of the syntax.
#[test]
fn a_fork_gets_nothing_of_the_settings() {
    let bench = Bench::new(
        "on: pull_request
permissions: { contents: write, id-token: write }
jobs:
  job:
    runs-on: x
    steps:
      - run: echo \"secret [$S] var [${{ vars.V }}] head [${{ github.event.pull_request.head.repo.full_name }}] $GITHUB_REF\"
        env: { S: '${{ secrets.S }}' }
      - run: test \"$(git rev-parse HEAD)\" = \"$GITHUB_SHA\"
        if: false
",
    );
    bench.git(&["branch", "topic"]);
    bench.commit("later", "");
    let mut settings = bench.settings();
    settings.secrets.insert("S".to_owned(), "deep-secret".to_owned());
    settings.vars.insert("V".to_owned(), "value".to_owned());
    let service = crate::model::Service::new(settings);
    let request = Event::pull_request(3, "topic", "main").by("somebody");
    let own = service.start(PATH, &request).unwrap().wait().ok();
    assert!(own.log.contains("secret [***] var [value] head [acme/images] refs/pull/3/merge"), "{}", own.log);
    assert_eq!(own.job("job").permissions.of("id-token"), Access::Write);
    let fork = service.start(PATH, &request.of_a_fork()).unwrap().wait().ok();
    assert!(fork.log.contains("secret [] var [] head [somebody/images]"), "{}", fork.log);
    assert_eq!(fork.job("job").permissions.of("contents"), Access::Read);
    assert_eq!(fork.job("job").permissions.of("id-token"), Access::None);
}
