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

#[test]
fn variants_of_an_image() {
    let rows = r#"
on: {push: {branches: [main]}}
jobs:
  build:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        include:
          - {variant: debian, file: Dockerfile}
          - {variant: alpine, file: Dockerfile.alpine}
    steps:
      - uses: docker/build-push-action@v6
        with: {push: true, file: "${{ matrix.file }}", tags: "ghcr.io/acme/app:${{ matrix.variant }}"}
"#;
    let stages = job(
        "{push: {branches: [main]}}",
        r#"      - uses: docker/build-push-action@v6
        with: {push: true, target: full, tags: "ghcr.io/acme/app:full"}
      - uses: docker/build-push-action@v6
        with: {push: true, target: slim, tags: "ghcr.io/acme/app:slim"}
  merge:
    runs-on: ubuntu-latest
    steps:
      - run: docker buildx imagetools create -t ghcr.io/acme/app:latest x
"#,
    );
    let flavors = job(
        "{push: {branches: [main], tags: [v*]}}",
        r#"      - uses: docker/build-push-action@v6
        with: {push: true, build-args: FLAVOR=full, tags: "ghcr.io/acme/app:${{ github.ref_name }}"}
      - uses: docker/build-push-action@v6
        with: {push: true, build-args: FLAVOR=debug, tags: "ghcr.io/acme/app:${{ github.ref_name }}-debug"}
"#,
    );
    let found = [rows, &stages, &flavors].map(|text| small(text, &none)).join("---\n");
    expect![[r#"
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
          tag debian when default-branch
        Some(Triggers { branches: ["main"], tags: [], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: job build, step docker/build-push-action: app is built there with another Dockerfile than before, and an image has one: declare an image of its own for each; only the first is written; left out: tags alpine; file Dockerfile.alpine; variant alpine
        ---
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile full
          tag full when default-branch
        Some(Triggers { branches: ["main"], tags: [], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: job build, step docker/build-push-action: app is built there with another stage than before, and an image has one: declare an image of its own for each; only the first is written; left out: tags slim
        ! ci.yml: job merge, step 1: the tags latest may be those of a variant of app that is left out, and so they are too
        ---
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
          FLAVOR=full
          tag {ref}
        Some(Triggers { branches: ["main"], tags: ["v*"], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: job build, step docker/build-push-action: app is built there with another set of build arguments than before, and an image has one: declare an image of its own for each; only the first is written; left out: tags {ref}-debug
    "#]].assert_eq(&found);
}

/// A Dockerfile and an argument by platform, and an argument that is an axis, are no variants.
#[test]
fn what_is_no_variant() {
    let text = r#"
on: {push: {branches: [main]}}
jobs:
  build:
    runs-on: ${{ matrix.os }}
    strategy:
      matrix:
        php: ["8.3", "8.4"]
        os: [ubuntu-latest, ubuntu-24.04-arm]
        include:
          - {os: ubuntu-latest, file: Dockerfile, arch: x86}
          - {os: ubuntu-24.04-arm, file: Dockerfile.arm, arch: arm}
    steps:
      - uses: docker/build-push-action@v6
        with:
          push: true
          file: ${{ matrix.file }}
          platforms: ${{ matrix.arch == 'arm' && 'linux/arm64' || 'linux/amd64' }}
          build-args: |
            PHP=${{ matrix.php }}
            ARCH=${{ matrix.arch }}
          tags: ghcr.io/acme/app:${{ matrix.php }}
"#;
    expect![[r#"
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
          Dockerfile.arm for linux/arm64
          linux/amd64 on Some("ubuntu-latest")
          linux/arm64 on Some("ubuntu-24.04-arm")
          axis php = 8.3, 8.4
          PHP={php}
          ARCH=x86 for linux/amd64
          ARCH=arm for linux/arm64
          tag {php} when default-branch
        Some(Triggers { branches: ["main"], tags: [], paths: [], pull_request: false, schedules: [], release: false })
    "#]].assert_eq(&small(text, &none));
}

#[test]
fn conditions_on_the_name_of_a_tag() {
    let text = job(
        "{push: {tags: ['v*', 'nightly-*', 'v1.*']}}",
        r#"      - id: meta
        uses: docker/metadata-action@v5
        with:
          images: ghcr.io/acme/app
          tags: |
            type=semver,pattern={{version}}
            type=semver,pattern={{major}}.{{minor}},enable=${{ !contains(github.ref_name, '-') }}
            type=semver,pattern={{major}},enable=${{ !startsWith(github.ref, 'refs/tags/v0.') }}
            type=raw,value=stable,enable=${{ !contains(github.ref_name,'rc') }}
            type=raw,value=testing,enable=${{ contains(github.ref_name,'rc') }}
      - uses: docker/build-push-action@v6
        with:
          push: true
          tags: ${{ steps.meta.outputs.tags }}
          build-args: |
            CHANNEL=${{ contains(github.ref_name, '-rc') && 'testing' || 'stable' }}
            VERSION=${{ github.ref_name }}
"#,
    );
    let jobs = r#"
on: {push: {tags: ['v*']}}
jobs:
  build:
    if: ${{ !contains(github.ref, '-rc') }}
    runs-on: ubuntu-latest
    steps:
      - uses: docker/build-push-action@v6
        with: {outputs: "type=image,name=ghcr.io/acme/app,push-by-digest=true,push=true"}
  merge:
    needs: build
    runs-on: ubuntu-latest
    steps:
      - run: |
          docker buildx imagetools create -t ghcr.io/acme/app:${{ github.ref_name }} x
          if [[ "$GITHUB_REF_NAME" != v0.* ]]; then
            docker buildx imagetools create -t ghcr.io/acme/app:latest x
          fi
"#;
    let found = [text.as_str(), jobs].map(|text| small(text, &none)).join("---\n");
    expect![[r#"
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
          VERSION={ref}
          tag {version} when tag
          tag {major}.{minor} when stable
          tag {latest} when release
        Some(Triggers { branches: [], tags: ["v*", "v1.*"], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: on.push.tags: what a tag like nightly-1.2.3 gets is not what v1.2.3 gets (`!contains(github.ref_name, '-')`): the pattern nightly-* is left out
        ! ci.yml: job build, step docker/build-push-action: {major} is set in a run for v1.2.3 and not in one for v0.1.0 (`!startsWith(github.ref, 'refs/tags/v0.')`), and no `when` can say that; the tag is left out
        ! ci.yml: job build, step docker/build-push-action: stable is set in a run for v1.2.3 and not in one for v1.2.3-rc.1 (`!contains(github.ref_name, '-')`, `!contains(github.ref_name,'rc')`, `contains(github.ref_name, '-rc') && 'testing' || 'stable'`, `contains(github.ref_name,'rc')`), and no `when` can say that; the tag is left out
        ! ci.yml: job build, step docker/build-push-action: testing is set in a run for v1.2.3-rc.1 and not in one for v1.2.3 (`!contains(github.ref_name, '-')`, `!contains(github.ref_name,'rc')`, `contains(github.ref_name, '-rc') && 'testing' || 'stable'`, `contains(github.ref_name,'rc')`), and no `when` can say that; the tag is left out
        ! ci.yml: job build, step docker/build-push-action: the build argument CHANNEL is another one in runs for v1.2.3 and for v1.2.3-rc.1 (`!contains(github.ref_name, '-')`, `!contains(github.ref_name,'rc')`, `contains(github.ref_name, '-rc') && 'testing' || 'stable'`, `contains(github.ref_name,'rc')`); it is left out
        ---
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
        Some(Triggers { branches: [], tags: ["v*"], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: job merge, step 1: latest is set in a run for v1.2.3 and not in one for v0.1.0 (`[[ "$GITHUB_REF_NAME" != v0.* ]]`), and no `when` can say that; the tag is left out
        ! ci.yml: job merge, step 1: {ref} is set in a run for v1.2.3 and not in one for v1.2.3-rc.1 (`!contains(github.ref, '-rc')`), and no `when` can say that; the tag is left out
    "#]].assert_eq(&found);
}

#[test]
fn what_is_around_a_build() {
    let text = r#"
on: {push: {branches: [main], tags: ['v*']}}
jobs:
  lint:
    runs-on: ubuntu-latest
    steps: [{run: cargo clippy}]
  test:
    needs: lint
    uses: ./.github/workflows/test.yml
  meta:
    needs: test
    runs-on: ubuntu-latest
    outputs: {name: app}
    steps: [{run: "true"}]
  build:
    needs: meta
    environment: {name: production, url: "https://example.org"}
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with: {ref: "${{ github.sha }}", repository: "${{ github.repository }}", submodules: false, fetch-depth: 0}
      - uses: actions/checkout@v4
        with: {repository: acme/themes, path: themes, ref: v2, submodules: recursive, lfs: true}
      - id: meta
        uses: docker/metadata-action@v5
        with:
          images: |
            ghcr.io/acme/app
            name=docker.io/acme/app,enable=${{ github.ref_type == 'tag' }}
            name=quay.io/acme/app,enable=${{ vars.QUAY == 'yes' }}
          labels: org.opencontainers.image.licenses=MIT
      - uses: docker/build-push-action@v6
        with:
          push: true
          tags: ${{ steps.meta.outputs.tags }}
          labels: ${{ steps.meta.outputs.labels }}
"#;
    let called =
        |_: &str| Some("on: workflow_call\njobs: {a: {runs-on: x, steps: [{run: cargo test}]}}".to_owned());
    expect![[r#"
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
          label org.opencontainers.image.licenses=MIT
          tag main when default-branch
          tag {ref} when tag
          tag {latest} when release
        Some(Triggers { branches: ["main"], tags: ["v*"], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: job build, step "meta": only a run can tell whether quay.io/acme/app is enabled; it is left out
        ! ci.yml: job build, step actions/checkout: checks out with `repository: acme/themes`; images are built from the committed files of this repository alone
        ! ci.yml: job build, step actions/checkout: checks out with `ref: v2`; images are built from the committed files of this repository alone
        ! ci.yml: job build, step actions/checkout: checks out with `path: themes`; images are built from the committed files of this repository alone
        ! ci.yml: job build, step actions/checkout: checks out with `submodules: recursive`; images are built from the committed files of this repository alone
        ! ci.yml: job build, step actions/checkout: checks out with `lfs: true`; images are built from the committed files of this repository alone
        ! ci.yml: job build needs the job lint first, which builds no image that is read: make it a required check
        ! ci.yml: job build needs the job test first, which builds no image that is read: make it a required check
        ! ci.yml: job build: its environment production is not carried, with its approvals, secrets and variables: add `environment` to the jobs of images.yml that publish
        ! ci.yml: job build, step docker/build-push-action: docker.io/acme/app is not enabled under each event, and an image goes to all `repositories` of [publish] in each run; it is left out
        ! ci.yml, job build: metadata-action takes labels of app from GitHub: revision, source, created and version are set without it; to keep the others, give the image `description`, `url`, and write org.opencontainers.image.title under `labels`
    "#]].assert_eq(&small(text, &called));
}

/// A build under a condition beside one without: its tags are left out too.
#[test]
fn a_build_that_promotes() {
    let text = job(
        "{push: {branches: [main]}}",
        r#"      - uses: docker/build-push-action@v6
        with: {push: true, tags: "ghcr.io/acme/app:edge"}
      - uses: docker/build-push-action@v6
        if: vars.PROMOTE == 'yes'
        with: {push: true, tags: "ghcr.io/acme/app:stable"}
"#,
    );
    expect![[r#"
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
          tag edge when default-branch
        Some(Triggers { branches: ["main"], tags: [], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: job build, step docker/build-push-action: its condition `vars.PROMOTE == 'yes'` is not carried; the image is built in every run
        ! ci.yml: job build, step docker/build-push-action: the tag stable of app depends on `vars.PROMOTE == 'yes'`, which only a run can tell; it is left out
    "#]].assert_eq(&small(&text, &none));
}
