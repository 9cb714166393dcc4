//! Workflows as a user has them, and what is read of each: those below `xtask/tests/init/`, and small ones.

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};

use super::{Surroundings, read};
use crate::base::error::report;
use crate::init::found::{Found, Secret};

/// A short form of what was found.
fn short(found: &Found) -> String {
    let mut lines = Vec::new();
    lines.push(format!("to {}", found.repositories.join(", ")));
    for image in &found.images {
        lines.push(format!("image {} ({})", image.name, image.origin));
        lines.push(format!(
            "  {} {} {}",
            image.context,
            image.dockerfile,
            image.target.as_deref().unwrap_or("-")
        ));
        lines.extend(image.dockerfiles.iter().map(|(platform, file)| format!("  {file} for {platform}")));
        lines.extend(image.platforms.iter().map(|(platform, runner)| format!("  {platform} on {runner:?}")));
        lines
            .extend(image.axes.iter().map(|(axis, values)| format!("  axis {axis} = {}", values.join(", "))));
        lines.extend(image.left_out.iter().map(|exclude| format!("  without {exclude:?}")));
        lines.extend(image.build_args.iter().map(|(name, value)| format!("  {name}={value}")));
        for (platform, args) in &image.platform_args {
            lines.extend(args.iter().map(|(name, value)| format!("  {name}={value} for {platform}")));
        }
        lines.extend(image.labels.iter().map(|(name, value)| format!("  label {name}={value}")));
        lines.extend(image.annotations.iter().map(|(name, value)| format!("  annotation {name}={value}")));
        lines.extend(image.contexts.iter().map(|(name, value)| format!("  context {name}={value}")));
        lines.extend(image.needs.iter().map(|(name, value)| format!("  needs {name}={value}")));
        lines.extend(image.secrets.iter().map(|(id, secret)| match secret {
            Secret::Env(name) => format!("  secret {id} of ${name}"),
            Secret::File(path) => format!("  secret {id} of {path}"),
        }));
        if !image.cache.is_empty() || image.sbom {
            lines.push(format!("  cache {:?}, sbom {}", image.cache, image.sbom));
        }
        let when = |when: Option<&str>| when.map_or_else(String::new, |when| format!(" when {when}"));
        lines.extend(image.tags.iter().map(|tag| format!("  tag {}{}", tag.text, when(tag.when))));
    }
    lines.push(format!("{:?}", found.triggers));
    lines.extend(found.left.iter().map(|remark| format!("! {remark}")));
    lines.join("\n") + "\n"
}

fn surroundings(owner_and_name: &str, default_branch: &str) -> Surroundings {
    Surroundings {
        owner_and_name: Some(owner_and_name.to_owned()),
        default_branch: default_branch.to_owned(),
    }
}

/// Reads a workflow of a repository below `xtask/tests/init/`.
fn fixture(folder: &str, workflow: &str, surroundings: &Surroundings, expected: &Expect) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/init").join(folder);
    let files = |path: &str| fs::read_to_string(root.join(path)).ok();
    let text = files(&format!(".github/workflows/{workflow}")).unwrap();
    expected.assert_eq(&short(&read(workflow, &text, surroundings, &files).unwrap()));
}

#[test]
fn snipe_it() {
    fixture(
        "snipe-it",
        "build.yml",
        &surroundings("netresearch/snipe-it-stack", "main"),
        &expect![[r#"
            to ghcr.io/netresearch
            image snipe-it (build.yml, job cell > _build-cell.yml, job build)
              images/snipe-it Dockerfile runtime
              linux/amd64 on Some("ubuntu-latest")
              linux/arm64 on Some("ubuntu-24.04-arm")
              axis matrix-composer = pinned, rolling
              axis matrix-track = tag, master, develop
              without {"matrix-composer": "rolling", "matrix-track": "tag"}
              COMPOSER_MODE={matrix-composer}
              VCS_REF={revision}
              label io.snipe-it.track={matrix-track}
              label org.opencontainers.image.licenses=AGPL-3.0-or-later
              secret GH_TOKEN of $GITHUB_TOKEN
              cache {"gha"}, sbom false
            Some(Triggers { branches: ["main"], tags: [], paths: ["images/**", ".github/workflows/*build*.yml"], pull_request: true, schedules: ["17 3 * * *"], release: false })
            ! build.yml: job cell > _build-cell.yml, job build: its continue-on-error is not carried: `allow-failure` is a key of tracks and composer modes
            ! build.yml: job cell > _build-cell.yml, job build, step "Build by digest": the build argument SNIPE_IT_VERSION is ${{ steps.upstream.outputs.ref }}, which only a run can tell: write its value, or a placeholder
            ! build.yml, job cell > _build-cell.yml, job build: the tags of snipe-it are computed by a script (build.yml: job cell > _build-cell.yml, job merge, step "Join"): write them under `tags`
        "#]],
    );
}

#[test]
fn qm_nmr_calc() {
    fixture(
        "qm-nmr-calc",
        "publish-images.yml",
        &surroundings("steinbeck/qm-nmr-calc", "master"),
        &expect![[r#"
            to ghcr.io/steinbeck
            image qm-nmr-calc-api (publish-images.yml, job build-api)
              . Dockerfile.api -
              linux/amd64 on Some("ubuntu-latest")
              linux/arm64 on None
              cache {"gha"}, sbom false
              tag {version} when tag
              tag {major}.{minor} when stable
              tag {latest} when release
            image qm-nmr-calc-worker (publish-images.yml, job build-worker)
              . Dockerfile.worker -
              Dockerfile.worker.arm64 for linux/arm64
              linux/amd64 on Some("ubuntu-latest")
              linux/arm64 on Some("ubuntu-24.04-arm")
              cache {"gha"}, sbom false
              tag {version} when tag
              tag {major}.{minor} when stable
              tag {latest} when release
            Some(Triggers { branches: [], tags: ["v*"], paths: [], pull_request: false, schedules: [], release: false })
            ! publish-images.yml, job build-api: metadata-action takes labels of qm-nmr-calc-api from GitHub: revision, source, created and version are set without it; to keep the others, give the image `description`, `licenses`, `url`, and write org.opencontainers.image.title under `labels`
            ! publish-images.yml, job build-worker: metadata-action takes labels of qm-nmr-calc-worker from GitHub: revision, source, created and version are set without it; to keep the others, give the image `description`, `licenses`, `url`, and write org.opencontainers.image.title under `labels`
        "#]],
    );
}

#[test]
fn multi_arch_of_madness() {
    let around = surroundings("jacobwoffenden/multi-arch-of-madness", "main");
    fixture(
        "multi-arch-of-madness",
        "release.yml",
        &around,
        &expect![[r#"
            to ghcr.io/jacobwoffenden
            image multi-arch-of-madness (release.yml, job build-and-push)
              image Dockerfile -
              linux/amd64 on Some("ubuntu-latest")
              linux/arm64 on Some("ubuntu-24.04-arm")
              cache {}, sbom true
              tag {version} when tag
              tag {latest} when release
            Some(Triggers { branches: [], tags: ["*"], paths: [], pull_request: false, schedules: [], release: false })
            ! release.yml, job build-and-push: metadata-action takes labels of multi-arch-of-madness from GitHub: revision, source, created and version are set without it; to keep the others, give the image `description`, `licenses`, `url`, and write org.opencontainers.image.title under `labels`
        "#]],
    );
    fixture(
        "multi-arch-of-madness",
        "build.yml",
        &around,
        &expect![[r#"
        to 
        image multi-arch-of-madness (build.yml, job build)
          image Dockerfile -
          linux/amd64 on Some("ubuntu-latest")
          linux/arm64 on Some("ubuntu-24.04-arm")
        Some(Triggers { branches: [], tags: [], paths: [], pull_request: true, schedules: [], release: false })
    "#]],
    );
}

#[test]
fn home_assistant() {
    fixture(
        "home-assistant",
        "builder.yml",
        &surroundings("home-assistant/docker-base", "master"),
        &expect![[r#"
            to ghcr.io/home-assistant
            image base (builder.yml, job alpine)
              alpine Dockerfile -
              linux/amd64 on Some("ubuntu-24.04")
              linux/arm64 on Some("ubuntu-24.04-arm")
              axis matrix-version = 3.22, 3.23
              BASHIO_VERSION=0.17.5
              BUILD_VERSION={matrix-version}
              TEMPIO_VERSION=2024.11.2
              BUILD_ARCH=amd64 for linux/amd64
              BUILD_FROM=alpine:{matrix-version} for linux/amd64
              BUILD_ARCH=aarch64 for linux/arm64
              BUILD_FROM=arm64v8/alpine:{matrix-version} for linux/arm64
              label io.hass.base.name=alpine
              label org.opencontainers.image.source=https://github.com/home-assistant/docker-base
              tag {matrix-version} when tag
              tag {matrix-version}-{ref} when tag
            image base-debian (builder.yml, job debian)
              debian Dockerfile -
              linux/amd64 on Some("ubuntu-24.04")
              linux/arm64 on Some("ubuntu-24.04-arm")
              axis matrix-version = bookworm, trixie
              BASHIO_VERSION=0.17.5
              BUILD_VERSION={matrix-version}
              BUILD_ARCH=amd64 for linux/amd64
              BUILD_FROM=debian:{matrix-version}-slim for linux/amd64
              BUILD_ARCH=aarch64 for linux/arm64
              BUILD_FROM=arm64v8/debian:{matrix-version}-slim for linux/arm64
              label io.hass.base.name=debian
              tag {matrix-version} when tag
              tag {matrix-version}-{ref} when tag
            image base-python (builder.yml, job python)
              python/3.13 Dockerfile -
              linux/amd64 on Some("ubuntu-24.04")
              linux/arm64 on Some("ubuntu-24.04-arm")
              axis matrix-version = 3.22, 3.23
              BUILD_VERSION=3.13-alpine{matrix-version}
              PIP_VERSION=25.3
              PYTHON_VERSION=3.13.0
              BUILD_ARCH=amd64 for linux/amd64
              BUILD_FROM=ghcr.io/home-assistant/amd64-base:{matrix-version} for linux/amd64
              BUILD_ARCH=aarch64 for linux/arm64
              BUILD_FROM=ghcr.io/home-assistant/aarch64-base:{matrix-version} for linux/arm64
              label io.hass.base.name=python
              tag 3.13-alpine{matrix-version} when tag
              tag 3.13-alpine{matrix-version}-{ref} when tag
            Some(Triggers { branches: [], tags: [], paths: [], pull_request: true, schedules: [], release: true })
            ! builder.yml: home-assistant/builder publishes an image of its own for each architecture, with that in its name; only the one without it is published now
            ! builder.yml: the labels io.hass.* that home-assistant/builder adds are not carried: write them into the Dockerfile
            ! builder.yml, job alpine: the tag {latest} of base is set for some cells only: add { tag = "{latest}", when = { matrix-version = "3.23", on = "release" } }
            ! builder.yml, job debian: the tag {latest} of base-debian is set for some cells only: add { tag = "{latest}", when = { matrix-version = "trixie", on = "release" } }
            ! builder.yml, job python: base-python is built from python/3.13 and from python/3.14, and an image has one context: declare an image of its own for each; only python/3.13 is written
            ! builder.yml, job python: BUILD_FROM of base-python names base, which is built here too: to build upon that of the same run, add `needs` and write `FROM base`
        "#]],
    );
}

#[test]
fn build_push() {
    fixture(
        "build-push",
        "docker.yml",
        &surroundings("acme/site", "master"),
        &expect![[r#"
            to docker.io/acme, ghcr.io/acme
            image site (docker.yml, job docker)
              site Dockerfile -
              linux/amd64 on Some("ubuntu-latest")
              linux/arm64 on None
              COMMIT={revision}
              GREETING={{"hello":"world"}}
              VERSION={version}
              label org.opencontainers.image.vendor=Acme
              cache {"registry"}, sbom false
              tag master when default-branch
              tag sha-{revision7}
              tag {version} when tag
              tag {major}.{minor} when stable
              tag {latest} when release
            Some(Triggers { branches: ["master"], tags: ["v*"], paths: [], pull_request: true, schedules: [], release: false })
            ! docker.yml: job docker, step "Docker meta": `type=ref,event=pr`: pull requests push nothing; there is no such tag
            ! docker.yml: job docker, step "Log in to Docker Hub": logs in to Docker Hub: add this step to images.yml and cell.yml, beside theirs
            ! docker.yml: job docker, step "Generate assets": runs before the build; images are built from the committed files alone
            ! docker.yml: job docker, step "Scan": a scan belongs before the tags: write its command under `gate` of [publish]
            ! docker.yml: job docker, step "Build and push": the build argument VERSION has another value in runs that are for no tag; `{version}` is the short commit there
            ! docker.yml, job docker: metadata-action takes labels of site from GitHub: revision, source, created and version are set without it; to keep the others, give the image `description`, `licenses`, `url`, and write org.opencontainers.image.title under `labels`
        "#]],
    );
}

/// Reads a workflow of `acme/app`.
pub(super) fn small(text: &str, files: &dyn Fn(&str) -> Option<String>) -> String {
    short(&read("ci.yml", text, &surroundings("acme/app", "main"), files).unwrap())
}

/// A job with one build.
pub(super) fn job(on: &str, steps: &str) -> String {
    format!(
        "on: {on}\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n{steps}"
    )
}

pub(super) fn none(_: &str) -> Option<String> {
    None
}

#[test]
fn tags_that_were_typed() {
    let text = job(
        "{push: {branches: [main], tags: ['v*']}, schedule: [{cron: '0 4 * * *'}], workflow_dispatch: }",
        r#"      - name: Build
        uses: docker/build-push-action@v6
        with:
          push: true
          tags: |
            ghcr.io/acme/app:latest
            ghcr.io/acme/app:${{ github.sha }}
            ghcr.io/acme/app:${{ github.ref_name }}
            ${{ github.ref_type == 'tag' && format('ghcr.io/{0}:stable', github.repository) || '' }}
            ${{ github.event_name == 'schedule' && 'ghcr.io/acme/app:nightly' || 'ghcr.io/acme/app:dev' }}
            ghcr.io/acme/app:${{ github.run_number }}
          build-args: |
            TOKEN=${{ secrets.NPM_TOKEN }}
            NUMBER=${{ github.run_number }}
          secrets: |
            npm=${{ secrets.NPM_TOKEN }}
            "both=${{ secrets.A }}:${{ secrets.B }}"
          secret-envs: key=KEY_OF_APP
          secret-files: cert=./ca/cert.pem
          ssh: default
          outputs: type=image,compression=zstd,compression-level=19
          build-contexts: |
            base=docker-image://alpine:3.23
            shared=./shared
          network: host
          cache-from: type=local,src=/tmp/cache
          sbom: true
"#,
    );
    expect![[r#"
        to ghcr.io/acme
        image app (ci.yml, job build)
          . Dockerfile -
          context base=docker-image://alpine:3.23
          context shared=shared
          secret cert of ca/cert.pem
          secret key of $KEY_OF_APP
          secret npm of $NPM_TOKEN
          cache {}, sbom true
          tag {latest}
          tag {revision}
          tag {ref}
          tag dev when push
          tag dev when dispatch
          tag dev when tag
          tag stable when tag
          tag nightly when schedule
        Some(Triggers { branches: ["main"], tags: ["v*"], paths: [], pull_request: false, schedules: ["0 4 * * *"], release: false })
        ! ci.yml: job build, step "Build": its compression is not carried: add `compression = { type = "zstd", level = 19 }` to the image
        ! ci.yml: job build, step "Build": the value of the secret both is made by the workflow: put it into a variable of the step that builds, and add `secrets = { both = { env = "NAME" } }` to the image
        ! ci.yml: job build, step "Build": its cache of type local is not carried: `gha`, `registry` and `inline` can be
        ! ci.yml: job build, step "Build": its ssh agents are not carried: add `ssh = ["default"]` to the image
        ! ci.yml: job build, step "Build": its input network is not carried: matrix.toml has no key for it
        ! ci.yml: job build, step "Build": the build argument TOKEN is ${{ secrets.NPM_TOKEN }}, which everybody could read in the image: declare `secrets = { TOKEN = { env = "NPM_TOKEN" } }` and mount it in the Dockerfile
        ! ci.yml: job build, step "Build": the build argument NUMBER is ${{ github.run_number }}, which only a run can tell: write its value, or a placeholder
        ! ci.yml, job build: a tag of app holds ${{ github.run_number }}, which only a run can tell: write the tag under `tags`
    "#]].assert_eq(&small(&text, &none));
}

#[test]
fn images_of_a_matrix() {
    let text = r#"
on:
  push:
    branches: [main, "release/**"]
    paths-ignore: [docs/**]
env:
  PREFIX: ghcr.io/${{ github.repository }}
jobs:
  images:
    if: ${{ needs.changes.outputs.any == 'true' }}
    runs-on: ${{ matrix.os }}
    strategy:
      matrix:
        image: [web, worker]
        php: ["8.3", 8.4]
        os: [ubuntu-latest, ubuntu-24.04-arm]
        include:
          - image: web
            context: ./web
          - image: worker
            context: ./worker
            stage: prod
          - image: proxy
            context: proxy
            os: ubuntu-latest
            php: "8.4"
        exclude:
          - image: worker
            php: "8.3"
    steps:
      - uses: docker/build-push-action@v6
        with:
          context: ${{ matrix.context }}
          file: ${{ matrix.context }}/Dockerfile.prod
          target: ${{ matrix.stage }}
          push: ${{ github.ref == 'refs/heads/main' }}
          tags: ${{ env.PREFIX }}/${{ matrix.image }}:${{ matrix.php }}-{x}
          build-args: |
            PHP=${{ matrix.php }}
            UPPER=${{ matrix.php == '8.4' && 'new' || 'old' }}
"#;
    expect![[r#"
        to ghcr.io/acme/app
        image web (ci.yml, job images)
          web Dockerfile.prod -
          linux/amd64 on Some("ubuntu-latest")
          linux/arm64 on Some("ubuntu-24.04-arm")
          PHP=8.3
          UPPER=old
          tag 8.3--x- when default-branch
        image worker (ci.yml, job images)
          worker Dockerfile.prod prod
          linux/amd64 on Some("ubuntu-latest")
          linux/arm64 on Some("ubuntu-24.04-arm")
          PHP=8.4
          UPPER=new
          tag 8.4--x- when default-branch
        image proxy (ci.yml, job images)
          proxy Dockerfile.prod -
          PHP=8.4
          UPPER=new
          tag 8.4--x- when default-branch
        Some(Triggers { branches: ["main", "release/**"], tags: [], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: on.push.paths-ignore: write what starts a run under `paths` instead
        ! ci.yml: on.push: runs for release/** publish only if `refs` of [publish] names these branches
        ! ci.yml: job images: its condition `${{ needs.changes.outputs.any == 'true' }}` is not carried; its images are built in every run
        ! ci.yml: job images, step docker/build-push-action: web is built there with another set of build arguments than before, and an image has one: declare an image of its own for each; only the first is written; left out: tags 8.4-{{x}}; php 8.4
    "#]].assert_eq(&small(text, &none));
}

#[test]
fn an_image_upon_another() {
    let text = r#"
on: {push: {branches: [main]}}
jobs:
  base:
    runs-on: ubuntu-latest
    steps:
      - run: echo "repo=${GITHUB_REPOSITORY,,}" >> $GITHUB_OUTPUT
        id: lower
      - run: docker build -t x . && docker push x
      - run: skopeo copy --all docker://ghcr.io/acme/app/base:1 docker://quay.io/acme/base:1
      - uses: docker/build-push-action@v6
        with: {context: base, push: true, tags: "ghcr.io/${{ steps.lower.outputs.repo }}/base:1"}
  app:
    needs: base
    runs-on: [self-hosted, linux, arm64]
    steps:
      - uses: docker/bake-action@v5
      - uses: ./.github/actions/prepare
      - uses: docker/build-push-action@v6
        if: steps.filter.outputs.app == 'true'
        with:
          context: "{{defaultContext}}:app"
          file: docker/app.Dockerfile
          push: true
          tags: ghcr.io/acme/app/app:1
          build-contexts: base=docker-image://ghcr.io/acme/app/base:1
  remote:
    uses: acme/workflows/.github/workflows/build.yml@v1
  missing:
    uses: ./.github/workflows/missing.yml
  script:
    runs-on: ubuntu-latest
    steps:
      - run: docker buildx imagetools create -t ghcr.io/acme/app/app:latest -t "ghcr.io/acme/app/app:${GITHUB_SHA::7}" x@y
"#;
    expect![[r#"
        to ghcr.io/acme/app
        image base (ci.yml, job base)
          base Dockerfile -
          tag 1 when default-branch
        image app (ci.yml, job app)
          app Dockerfile -
          linux/arm64 on Some("self-hosted, linux, arm64")
          needs base=base
          tag 1 when default-branch
          tag {latest} when default-branch
          tag {revision7} when default-branch
        Some(Triggers { branches: ["main"], tags: [], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: job base, step 2: runs `docker build` in a script, which is not read; add the image by hand
        ! ci.yml: job base, step 3: runs `skopeo copy` in a script, which is not read; every repository of an image belongs under `repositories` of [publish]
        ! ci.yml: job app, step docker/bake-action: bake files are read without --from-workflow
        ! ci.yml: job app, step ./.github/actions/prepare: the local action ./.github/actions/prepare is not read; add what it builds by hand
        ! ci.yml: job app, step docker/build-push-action: its condition `steps.filter.outputs.app == 'true'` is not carried; the image is built in every run
        ! ci.yml: job remote: calls acme/workflows/.github/workflows/build.yml, which is in another repository; what it builds is not read
        ! ci.yml: job missing: calls .github/workflows/missing.yml, which cannot be read
        ! ci.yml: job app, step docker/build-push-action: its Dockerfile docker/app.Dockerfile is outside of its context app: move it there, or build from `.`
    "#]].assert_eq(&small(text, &none));
}

/// What Home Assistant's base images became: a workflow that is called for each of them.
#[test]
fn the_actions_that_follow_the_builder() {
    let called = r#"
on:
  workflow_call:
    inputs:
      architectures: {type: string}
      image-name: {type: string}
      image-tags: {type: string}
      context: {type: string, default: "."}
      push: {type: boolean, default: false}
      version: {type: string}
jobs:
  init:
    runs-on: ubuntu-latest
    outputs:
      matrix: ${{ steps.matrix.outputs.matrix }}
    steps:
      - id: matrix
        uses: home-assistant/builder/actions/prepare-multi-arch-matrix@2026.06.0
        with:
          architectures: ${{ inputs.architectures }}
          image-name: ${{ inputs.image-name }}
  build:
    needs: init
    runs-on: ${{ matrix.os }}
    strategy:
      matrix: ${{ fromJSON(needs.init.outputs.matrix) }}
    steps:
      - uses: actions/checkout@v4
      - uses: home-assistant/builder/actions/build-image@2026.06.0
        with:
          arch: ${{ matrix.arch }}
          build-args: ALPINE_VERSION=${{ inputs.version }}
          context: ${{ inputs.context }}
          image: ${{ matrix.image }}
          image-tags: ${{ inputs.image-tags }}
          push: ${{ inputs.push }}
          version: ${{ inputs.version }}
"#;
    let text = r#"
on: {release: {types: [published]}, push: {branches: [main]}}
env: {LATEST: "3.24"}
jobs:
  meta:
    runs-on: ubuntu-latest
    outputs: {version: "${{ steps.meta.outputs.version }}", push: "${{ steps.meta.outputs.push }}"}
    steps:
      - id: meta
        env: {EVENT: "${{ github.event_name }}", TAG: "${{ github.event.release.tag_name }}"}
        run: |
          if [[ "${EVENT}" == "release" ]]; then
            version="${TAG}"
            push=true
          else
            version="${GITHUB_SHA::7}"
            push=false
          fi
          echo "version=${version}" >> "$GITHUB_OUTPUT"
          echo "push=${push}" >> "$GITHUB_OUTPUT"
  alpine:
    needs: meta
    strategy:
      matrix:
        alpine: ["3.23", "3.24"]
    uses: ./.github/workflows/image.yml
    with:
      architectures: '["amd64", "aarch64"]'
      image-name: base
      context: alpine
      push: ${{ needs.meta.outputs.push == 'true' }}
      version: ${{ matrix.alpine }}
      image-tags: |
        ${{ matrix.alpine }}
        ${{ matrix.alpine }}-${{ needs.meta.outputs.version }}
        ${{ matrix.alpine == env.LATEST && 'latest' || '' }}
"#;
    let files = |path: &str| (path == ".github/workflows/image.yml").then(|| called.to_owned());
    expect![[r#"
        to ghcr.io/acme
        image base (ci.yml, job alpine > image.yml, job build)
          alpine Dockerfile -
          linux/amd64 on Some("ubuntu-24.04")
          linux/arm64 on Some("ubuntu-24.04-arm")
          axis alpine = 3.23, 3.24
          ALPINE_VERSION={alpine}
          BUILD_VERSION={alpine}
          BUILD_ARCH=amd64 for linux/amd64
          BUILD_ARCH=aarch64 for linux/arm64
          label io.hass.version={alpine}
          cache {"gha", "inline"}, sbom false
          tag {alpine} when tag
          tag {alpine}-{ref} when tag
        Some(Triggers { branches: ["main"], tags: [], paths: [], pull_request: false, schedules: [], release: true })
        ! ci.yml: job alpine > image.yml, job build, step home-assistant/builder/actions/build-image: its compression is not carried: add `compression = { type = "zstd", level = 9, force = true }` to the image
        ! ci.yml: job alpine > image.yml, job build, step home-assistant/builder/actions/build-image: the label io.hass.arch has another value for each platform and is not carried: write it into the Dockerfile
        ! ci.yml, job alpine > image.yml, job build: the tag {latest} of base is set for some cells only: add { tag = "{latest}", when = { alpine = "3.24", on = "release" } }
    "#]].assert_eq(&small(text, &files));
}

#[test]
fn what_is_no_workflow_is_told() {
    let told = |text: &str| {
        let read = read("ci.yml", text, &surroundings("acme/app", "main"), &none);
        read.map_or_else(|error| report(&error), |found| short(&found))
    };
    expect![[r#"
        error: ci.yml:2:1: did not find expected node content
        help: correct the YAML there, or leave the file out
        ---
        error: ci.yml: it has no `jobs`, so it is no workflow
        help: name a file of .github/workflows
        ---
        error: ci.yml: it has no `jobs`, so it is no workflow
        help: name a file of .github/workflows
        ---
        to 
        Some(Triggers { branches: ["**"], tags: ["**"], paths: [], pull_request: false, schedules: [], release: false })
        ! ci.yml: on.push: runs for branches other than main publish only if `refs` of [publish] names these
        ! ci.yml: no step builds an image in a way that is read

        ---
        error: ci.yml:1:11: recursion limit exceeded
        help: correct the YAML there, or leave the file out
        ---
        error: ci.yml:1:7: jobs: duplicate entry with key "a"
        help: correct the YAML there, or leave the file out
        ---
        error: ci.yml:1:129: recursion limit exceeded
        help: correct the YAML there, or leave the file out"#]]
    .assert_eq(
        &[
            "jobs: [",
            "",
            "a: b",
            "on: push\njobs: {a: {runs-on: x}}",
            "jobs: {a: &x [*x]}",
            "jobs: {a: b, a: c}",
            &"[".repeat(5000),
        ]
        .map(told)
        .join("\n---\n"),
    );
}

/// Whatever the types are, nothing panics and little time is used.
#[test]
fn hostile_workflows() {
    let bomb = (1..30).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let last = format!("*a{}", n - 1);
        format!("{text}a{n}: &a{n} [{last}, {last}, {last}, {last}, {last}, {last}, {last}, {last}]\n")
    });
    let wide: String = (0..40).map(|key| format!("        k{key}: [0,1,2,3,4,5,6,7,8,9]\n")).collect();
    let jobs: String = (0..400)
        .map(|job| format!("  j{job}:\n    strategy: {{matrix: {{a: [1,2,3,4,5,6,7,8], b: [1,2,3,4,5,6,7,8]}}}}\n    steps: [{{run: x}}]\n"))
        .collect();
    let doubling: String = (0..200)
        .map(|n| format!("      - {{id: s{n}, run: 'echo \"x=${{{{ steps.s{0}.outputs.x || ''ab'' }}}}${{{{ steps.s{0}.outputs.x }}}}\" >> $GITHUB_OUTPUT'}}\n", n.max(1) - 1))
        .collect();
    let texts = [
        format!("{bomb}on: push\njobs: {{}}"),
        "on: 7\njobs: {a: 1, b: [], c: null, d: {steps: 5, strategy: [], needs: {x: y}, runs-on: {group: 1}}}".to_owned(),
        "on: {push: 3, schedule: {a: b}, release: [x]}\njobs: {a: {needs: [b], steps: [1, [], {uses: 4, with: 2}]}, b: {needs: a}}".to_owned(),
        "on: push\njobs: {a: {steps: [{uses: docker/build-push-action@v6, with: {tags: [1], platforms: {a: b}, outputs: null, push: 1e400}}]}}".to_owned(),
        "on: push\njobs: {a: {strategy: {matrix: {include: {a: b}, exclude: 4, x: null, 1: [2]}}, steps: []}}".to_owned(),
        format!("on: push\njobs:\n  a:\n    strategy:\n      matrix:\n{wide}    steps: []\n"),
        format!("on: push\njobs:\n{jobs}"),
        job("push", &format!("      - {{uses: docker/metadata-action@v5, with: {{images: x, tags: '{}'}}}}\n", "{{".repeat(9999))),
        job("push", &format!("      - {{run: '${{{{ {} }}}}'}}\n", "(".repeat(20_000))),
        job("push", &format!("      - {{run: '${{{{ {}1 }}}}'}}\n", "!".repeat(20_000))),
        job("push", &doubling),
        job("push", "      - !x {uses: !y docker/build-push-action, with: !z {push: !w true, tags: 'ä/ö:ü'}}\n"),
        "on: push\njobs: {a: {uses: ./a.yml, strategy: {matrix: {x: [1, 2]}}}}".to_owned(),
    ];
    let start = std::time::Instant::now();
    let own = |_: &str| Some("on: workflow_call\njobs: {a: {uses: ./a.yml}}".to_owned());
    for text in texts {
        let _ = read("x.yml", &text, &Surroundings::default(), &own);
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
