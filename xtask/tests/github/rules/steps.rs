//! Steps: scripts, the files of GitHub, actions of the repository.

use super::bench::{Bench, PATH, steps};
use crate::model::{Event, Outcome, Service};

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell>: without
/// `shell` there is no pipefail.
#[test]
fn the_shell_is_that_of_the_table() {
    let step = |more: &str| steps(&format!("      - run: false | true\n{more}")).conclusion;
    assert_eq!(step(""), Outcome::Success);
    assert_eq!(step("        shell: bash\n"), Outcome::Failure);
    assert_eq!(step("        shell: sh\n"), Outcome::Success);
    let report = steps(
        "      - run: 'false; true'\n      - run: print(1)\n        if: always()\n        shell: python3 {0}\n",
    );
    assert_eq!(report.conclusion, Outcome::Failure);
    assert!(report.log.contains("] 1\n"));
    assert!(report.has_error("Process completed with exit code 1."));
    assert!(steps("      - run: a\n        shell: fish\n").has_error("Invalid shell option fish"));
}

/// `defaults` and `working-directory` of the syntax.
#[test]
fn defaults_hold_where_a_step_says_nothing() {
    let bench = Bench::new(
        "on: push
defaults: { run: { shell: bash, working-directory: a } }
env: { A: workflow, B: workflow, C: workflow }
jobs:
  job:
    runs-on: x
    env: { B: job, C: job }
    defaults: { run: { working-directory: b } }
    steps:
      - { run: mkdir a b, working-directory: . }
      - { run: 'test $(basename $PWD) = b && test $A-$B-$C-${{ env.C }} = workflow-job-step-step', env: { C: step } }
      - { run: 'test $(basename $PWD) = a', working-directory: a }
      - { run: 'true', working-directory: none, continue-on-error: true }
      - { run: 'false | true', continue-on-error: true, id: piped }
      - { run: 'test ${{ steps.piped.outcome }}-${{ steps.piped.conclusion }} = failure-success' }
",
    );
    let report = bench.push().ok();
    assert!(report.has_error("An error occurred trying to start process"), "{}", report.all());
}

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>: the files.
#[test]
fn files_of_github_are_read() {
    let report = steps(
        "      - id: one
        run: |
          echo 'a=b=c' >>$GITHUB_OUTPUT
          printf 'lines<<END\\nx\\n\\ny\\nEND\\n' >>$GITHUB_OUTPUT
          echo FROM_ENV=kept >>$GITHUB_ENV
          mkdir tools && printf '#!/bin/sh\\necho mine\\n' >tools/mine && chmod +x tools/mine
          echo \"$PWD/tools\" >>$GITHUB_PATH
          echo '# Summary' >>$GITHUB_STEP_SUMMARY
          test -z \"$FROM_ENV\" && test -z \"$GITHUB_TOKEN\" && test \"$GITHUB_REPOSITORY\" = acme/images
          test \"$(python3 -c 'import json,os;print(json.load(open(os.environ[\"GITHUB_EVENT_PATH\"]))[\"repository\"][\"full_name\"])')\" = acme/images
      - run: |
          test \"$V\" = \"$(printf 'b=c x\\n\\ny')\" && test \"$FROM_ENV-${{ env.FROM_ENV }}\" = kept-kept && test \"$(mine)\" = mine
        env: { V: '${{ steps.one.outputs.a }} ${{ steps.one.outputs.lines }}' }
      - run: echo NODE_OPTIONS=x >>$GITHUB_ENV
      - run: test -z \"$NODE_OPTIONS\"
      - run: head -c 1048577 /dev/zero | tr '\\0' a >>$GITHUB_STEP_SUMMARY
",
    )
    .ok();
    assert_eq!(report.summary, "# Summary\n");
    assert!(report.has_error("Can't store NODE_OPTIONS"), "{}", report.all());
    assert!(report.has_error(
        "$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of 1024k, got 1024k."
    ));
    let wrong = |line: &str| steps(&format!("      - run: printf '{line}\\n' >>$GITHUB_OUTPUT\n"));
    assert!(wrong("x").has_error("Unable to process file command 'output' successfully. Invalid format 'x'"));
    assert!(wrong("x<<END\\ny").has_error("Matching delimiter not found 'END'"));
}

/// The same page: commands in the log; `set-env` and `add-path` are gone (`ActionCommandManager.cs`).
#[test]
fn commands_in_the_log_are_obeyed() {
    let report = steps(
        "      - run: |
          echo '::error title=Bad::one%0Atwo'
          echo '  ::warning file=a.rs,line=3::careful'
          echo '##[notice]older'
          echo '::stop-commands::stop-here'
          echo '::error::planted'
          echo '::stop-here::'
          echo '::set-output name=x::y'
          echo '::nothing::'
        id: s
      - run: test '${{ steps.s.outputs.x }}' = y
",
    )
    .ok();
    let found: Vec<(&str, &str, &str)> =
        report.annotations.iter().map(|one| (&*one.level, &*one.title, &*one.message)).collect();
    let deprecated = "The `set-output` command is deprecated and will be disabled soon.";
    assert_eq!(
        found,
        [
            ("error", "Bad", "one\ntwo"),
            ("warning", "", "careful"),
            ("notice", "", "older"),
            ("warning", "", deprecated)
        ]
    );
    for command in ["::set-env name=A::b", "::add-path::/x"] {
        let report = steps(&format!("      - run: echo '{command}'\n"));
        assert!(report.has_error("command is disabled"), "{}", report.all());
        assert_eq!(report.conclusion, Outcome::Failure);
    }
}

/// `timeout-minutes` of a step, and what runs after it.
#[test]
fn a_step_has_an_end() {
    let report = steps(
        "      - { run: sleep 60, timeout-minutes: 0.005 }\n      - { run: echo later, if: failure() }\n",
    );
    assert!(report.has_error("has timed out"), "{}", report.all());
    assert!(report.log.contains("] later\n") && report.conclusion == Outcome::Failure);
}

const ACTION: &str = "
name: own
description: One of the tests.
inputs:
  word: { description: A word., required: true }
  other: { description: Another., default: '${{ github.ref_name }}' }
outputs:
  out: { description: Both., value: '${{ steps.s.outputs.o }}' }
runs:
  using: composite
  steps:
    - id: s
      shell: bash
      run: |
        echo \"o=$W-$OUTER-$(basename $PWD)-$(basename $GITHUB_ACTION_PATH)\" >>$GITHUB_OUTPUT
        echo FROM_ACTION=yes >>$GITHUB_ENV
      env: { W: '${{ inputs.word }}.${{ inputs.other }}' }
    - if: inputs.word == 'bad'
      shell: bash
      run: exit 3
    - if: failure()
      shell: bash
      run: echo cleaned
";

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax>, and `CompositeActionHandler.cs`.
#[test]
fn composite_actions_run_in_the_workspace() {
    let bench = Bench::new(
        "on: push
jobs:
  job:
    runs-on: x
    steps:
      - { uses: ./.github/actions/own, continue-on-error: true, id: early }
      - uses: CHECKOUT
      - { uses: ./.github/actions/own, id: own, with: { word: hello }, env: { OUTER: set } }
      - run: test '${{ steps.own.outputs.out }}' = hello.main-set-images-own && test $FROM_ACTION = yes
      - { uses: ./.github/actions/own, id: bad, with: { word: bad }, continue-on-error: true }
      - { uses: ./.github/actions/own, id: unknown, with: { word: x, wrod: y }, continue-on-error: true }
      - { uses: ./.github/actions/own, id: missing, continue-on-error: true }
      - run: test '${{ steps.bad.outcome }} ${{ steps.bad.conclusion }} ${{ steps.unknown.outcome }} ${{ steps.missing.outcome }}' = 'failure success failure failure'
",
    );
    bench.commit(".github/actions/own/action.yml", ACTION);
    let report = bench.push().ok();
    assert!(report.log.contains("] cleaned\n"), "{}", report.all());
    for words in [
        "Did you forget to run actions/checkout before running your local action?",
        "Unexpected input(s) 'wrod', valid inputs are [\"word\", \"other\"]",
        "Input required and not supplied: word",
        "Process completed with exit code 3.",
    ] {
        assert!(report.has_error(words), "{words}: {}", report.all());
    }
    for (change, words) in [
        ("      shell: bash\n      run: exit 3", "Required property is missing: shell"),
        ("inputs.word == 'bad'", "Unrecognized named-value: 'secrets'"),
    ] {
        let text = if change.contains("shell") {
            ACTION.replace(change, "      run: exit 3")
        } else {
            ACTION.replace(change, "secrets.X")
        };
        bench.commit(".github/actions/own/action.yml", &text);
        let report = bench.push();
        assert!(report.has_error(words), "{words}: {}", report.all());
    }
}

/// `NodeScriptActionHandler.cs` of actions/runner: a JavaScript action gets the token of the runtime, a `run` step does not.
#[test]
fn javascript_actions_get_what_scripts_do_not() {
    let bench = Bench::new(
        "on: push
permissions: { contents: read, id-token: write }
jobs:
  job:
    runs-on: x
    steps:
      - uses: CHECKOUT
      - { uses: ./js, id: js, with: { my-word: hello } }
      - run: |
          test '${{ steps.js.outputs.got }}' = 'hello runtime-token' && test -z \"$ACTIONS_RUNTIME_TOKEN\"
          test \"$ACTIONS_ID_TOKEN_REQUEST_URL\" = http://127.0.0.1/id
  none:
    permissions: {}
    runs-on: x
    steps: [{ run: 'test -z \"$ACTIONS_ID_TOKEN_REQUEST_URL\"' }]
",
    );
    bench.commit("js/action.yml", "name: js\ndescription: x\ninputs: { my-word: { description: x } }\noutputs: { got: { description: x } }\nruns: { using: node24, main: main.js, post: post.js }\n");
    bench.commit("js/main.js", "const fs = require('fs'); const e = process.env;\nfs.appendFileSync(e.GITHUB_OUTPUT, `got=${e['INPUT_MY-WORD']} ${e.ACTIONS_RUNTIME_TOKEN}\\n`);\nfs.appendFileSync(e.GITHUB_STATE, 'kept=state\\n');\n");
    bench.commit("js/post.js", "console.log(`after ${process.env.STATE_kept}`)\n");
    let mut settings = bench.settings();
    settings.runtime.push(("ACTIONS_RUNTIME_TOKEN".to_owned(), "runtime-token".to_owned()));
    settings.identity.push(("ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(), "http://127.0.0.1/id".to_owned()));
    let report = bench.start(&Service::new(settings)).wait().ok();
    assert!(report.log.contains("] after state\n"), "{}", report.all());
}

/// actions/checkout: `action.yml`, `src/git-source-provider.ts`, `src/ref-helper.ts`.
#[test]
fn checkout_takes_the_commit_of_the_run() {
    let bench = Bench::new(
        "on: [push, pull_request]
jobs:
  job:
    runs-on: x
    steps:
      - { uses: CHECKOUT, with: { persist-credentials: false } }
      - run: |
          test \"$(git rev-parse HEAD)\" = \"$GITHUB_SHA\" && test \"$(git rev-list --count HEAD)\" = 1
          test \"$(git remote get-url origin)\" = https://github.com/acme/images
          ! grep -r 'x-access[-]token' .git $RUNNER_TEMP
      - { uses: CHECKOUT, with: { fetch-depth: 0, filter: 'blob:none' }, id: all }
      - run: |
          test \"$(git rev-list --count HEAD)\" -gt 1 && test '${{ steps.all.outputs.commit }}' = \"$GITHUB_SHA\"
          git show HEAD~1:old >/dev/null
          grep -rq 'x-access[-]token' $RUNNER_TEMP
      - { uses: CHECKOUT, with: { ref: v1, path: tagged } }
      - { run: test -f old -a ! -f new, working-directory: tagged }
      - { uses: CHECKOUT, with: { ref: none }, continue-on-error: true }
      - { uses: CHECKOUT, with: { depth: 1 }, continue-on-error: true }
",
    );
    bench.commit("old", "old");
    bench.git(&["tag", "v1"]);
    bench.git(&["branch", "topic"]);
    bench.commit("old", "older");
    bench.commit("new", "new");
    let service = bench.service();
    let run = bench.start(&service);
    let first = run.sha().to_owned();
    bench.commit("newer", "");
    let report = run.wait().ok();
    assert!(report.has_error("A branch or tag with the name 'none' could not be found"), "{}", report.all());
    assert!(report.has_error("Unexpected input(s) 'depth'"), "{}", report.all());
    service.rerun_all(&run).wait().ok();
    assert_eq!(bench.start(&service).wait().ok().conclusion, Outcome::Success);
    assert_ne!(first, bench.git(&["rev-parse", "HEAD"]));
    bench.git(&["checkout", "--quiet", "topic"]);
    bench.commit("of-topic", "");
    service.start(PATH, &Event::pull_request(1, "topic", "main")).unwrap().wait();
}

/// The README of actions/checkout: a private repository needs `contents: read`, and what a filter has left out needs the
/// credentials that `persist-credentials: false` takes away.
#[test]
fn a_private_repository_wants_credentials() {
    let bench = Bench::new(
        "on: push
permissions: {}
jobs:
  none: { runs-on: x, steps: [{ uses: CHECKOUT }] }
  job:
    permissions: { contents: read }
    strategy: { fail-fast: false, matrix: { persist: [true, false] } }
    runs-on: x
    steps:
      - { uses: CHECKOUT, with: { fetch-depth: 0, filter: 'blob:none', persist-credentials: '${{ matrix.persist }}' } }
      - run: git show HEAD~1:old
",
    );
    bench.commit("old", "old");
    bench.commit("old", "new");
    let mut settings = bench.settings();
    settings.private = true;
    let report = bench.start(&Service::new(settings)).wait();
    assert!(report.has_error("repository 'https://github.com/acme/images/' not found"), "{}", report.all());
    assert_eq!(report.result("job (true)"), Outcome::Success, "{}", report.all());
    assert_eq!(report.result("job (false)"), Outcome::Failure, "{}", report.all());
}

/// An action is pinned; what it is told is noted, without secrets.
#[test]
fn actions_are_pinned_and_known() {
    let report = steps(
        "      - { uses: actions/checkout@v7, continue-on-error: true }
      - { uses: acme/unknown@3d3c42e5aac5ba805825da76410c181273ba90b1, continue-on-error: true }
      - { uses: LOGIN, with: { registry: ghcr.io, username: me, password: '${{ github.token }}' } }
      - { uses: LOGIN, with: { registry: ghcr.io, username: me }, continue-on-error: true }
",
    )
    .ok();
    for words in ["is pinned by the 40 digits", "acme/unknown@", "Username and password required"] {
        assert!(report.has_error(words), "{words}: {}", report.all());
    }
    let call = &report.calls[0];
    assert_eq!((call.job.as_str(), call.action.as_str()), ("job", "docker/login-action"));
    assert_eq!((call.inputs["registry"].as_str(), call.inputs["password"].as_str()), ("ghcr.io", "***"));
}
