//! What cannot be known is left out and named: workflows whose proposal would look right and publish something else.

use expect_test::expect;

use super::tests::{job, none, small};

#[test]
fn tags_under_conditions_that_only_a_run_can_tell() {
    let text = job(
        "{push: {branches: [main]}}",
        r#"      - {id: rel, run: ./is-latest.sh}
      - uses: docker/build-push-action@v6
        with: {push: true, tags: "ghcr.io/acme/app:edge"}
      - run: docker buildx imagetools create -t ghcr.io/acme/app:stable ghcr.io/acme/app:edge
        if: steps.rel.outputs.is_latest == 'true'
      - run: |
          if ./is-newest.sh; then
            docker buildx imagetools create -t ghcr.io/acme/app:newest ghcr.io/acme/app:edge
          fi
          docker buildx imagetools create -t ghcr.io/acme/app:dev ghcr.io/acme/app:edge
  promote:
    if: vars.PROMOTE == 'yes'
    needs: build
    runs-on: ubuntu-latest
    steps:
      - run: docker buildx imagetools create -t ghcr.io/acme/app:production ghcr.io/acme/app:edge
  after:
    needs: promote
    runs-on: ubuntu-latest
    steps:
      - id: meta
        uses: docker/metadata-action@v5
        with: {images: ghcr.io/acme/app, tags: "type=raw,value=done"}
      - run: docker buildx imagetools create $(jq -r . <<< "$DOCKER_METADATA_OUTPUT_JSON") ghcr.io/acme/app:edge
"#,
    );
    expect![[r#"
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
          tag edge when default-branch
          tag dev when default-branch
        Some(Triggers { branches: ["main"], tags: [], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: job build, step "rel": runs before the build; images are built from the committed files alone
        ! ci.yml: job build, step 4: the tag stable of app depends on `steps.rel.outputs.is_latest == 'true'`, which only a run can tell; it is left out
        ! ci.yml: job build, step 5: the tag newest of app depends on `if ./is-newest.sh; then`, which only a run can tell; it is left out
        ! ci.yml: job promote, step 1: the tag production of app depends on `vars.PROMOTE == 'yes'`, which only a run can tell; it is left out
        ! ci.yml: job after: the tag done of app depends on `vars.PROMOTE == 'yes'`, which only a run can tell; it is left out
    "#]].assert_eq(&small(&text, &none));
}

/// Where all that is built is under the same condition, the remark about it is enough.
#[test]
fn a_condition_that_builds_and_tags_share() {
    let text = job(
        "{push: {branches: [main]}}",
        r#"      - uses: docker/build-push-action@v6
        if: steps.filter.outputs.app == 'true'
        with: {push: true, tags: "ghcr.io/acme/app:edge"}
      - run: docker buildx imagetools create -t ghcr.io/acme/app:dev ghcr.io/acme/app:edge
        if: ${{ steps.filter.outputs.app == 'true' }}
"#,
    );
    expect![[r#"
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
          tag edge when default-branch
          tag dev when default-branch
        Some(Triggers { branches: ["main"], tags: [], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: job build, step docker/build-push-action: its condition `steps.filter.outputs.app == 'true'` is not carried; the image is built in every run
    "#]].assert_eq(&small(&text, &none));
}
