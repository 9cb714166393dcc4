//! Sigstore on loopback: an issuer of identities as GitHub is one, a certificate authority, a timestamp authority and a
//! transparency log. Of what the public instance runs, only the log of certificates is missing.
//!
//! A job is who its token says: cosign's own GitHub provider fetches it, and
//! the certificate in the signature bears what is in it.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

use crate::campaign::Campaign;
use crate::checkout::{Checkout, run};
use crate::kit::{self, Service, free_port};
use crate::registry::http;

/// Which job asks for a token.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The repository whose run it is, `owner/name`.
    pub repository: &'a str,
    /// Its number, which a repository that gets the name of a deleted one does not inherit.
    pub repository_id: u64,
    /// The file of the workflow that was started, below `.github/workflows/`.
    pub workflow: &'a str,
    /// What it was started for, e.g. `refs/heads/main`.
    pub git_ref: &'a str,
    /// The commit that it was started for.
    pub sha: &'a str,
    /// E.g. `push`.
    pub event: &'a str,
    /// The workflow that defines the job, if the one that was started calls another, which may lie in a repository of
    /// somebody else: `owner/name/.github/workflows/FILE@REF`.
    pub called: Option<&'a str>,
}

/// The job that publishes.
pub const PUBLISHER: Job<'static> = Job {
    repository: "acme/images",
    repository_id: 1001,
    workflow: "images.yml",
    git_ref: "refs/heads/main",
    sha: "1234567890abcdef1234567890abcdef12345678",
    event: "push",
    called: None,
};

/// The commit of a called workflow: a job does not choose it.
const CALLED_SHA: &str = "fedcba0987654321fedcba0987654321fedcba09";

impl Job<'_> {
    /// The subject of its certificate: the workflow that defines it, not the repository that runs it.
    pub fn identity(&self) -> String {
        format!("https://github.com/{}", self.job_workflow_ref())
    }

    /// The workflow that was started.
    fn workflow_ref(&self) -> String {
        let Self { repository, workflow, git_ref, .. } = self;
        format!("{repository}/.github/workflows/{workflow}@{git_ref}")
    }

    /// The workflow that defines the job.
    fn job_workflow_ref(&self) -> String {
        self.called.map_or_else(|| self.workflow_ref(), str::to_owned)
    }

    /// What GitHub says about a job.
    pub fn claims(&self) -> Value {
        let Self { repository, repository_id, workflow, git_ref, sha, event, called } = self;
        let owner = repository.split('/').next().unwrap();
        let owner_id: u64 = owner.bytes().map(u64::from).sum();
        json!({
            "sub": format!("repo:{repository}:ref:{git_ref}"),
            "repository": repository,
            "repository_id": repository_id.to_string(),
            "repository_owner": owner,
            "repository_owner_id": owner_id.to_string(),
            "repository_visibility": "public",
            "ref": git_ref,
            "ref_type": if git_ref.starts_with("refs/tags/") { "tag" } else { "branch" },
            "sha": sha,
            "workflow": workflow,
            "workflow_ref": self.workflow_ref(),
            "workflow_sha": sha,
            "job_workflow_ref": self.job_workflow_ref(),
            "job_workflow_sha": if called.is_some() { CALLED_SHA } else { sha },
            "event_name": event,
            "actor": "someone",
            "run_id": "42",
            "run_number": "7",
            "run_attempt": "1",
            "runner_environment": "github-hosted",
        })
    }
}

/// Whether signatures go into a transparency log. Where it is not the matter they do not: one takes a second.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Log {
    Kept,
    None,
}

/// A Sigstore of our own, stopped when dropped.
pub struct Sigstore {
    issuer: Service,
    fulcio: Service,
    timestamps: Service,
    log: Option<Service>,
    folder: PathBuf,
}

impl Sigstore {
    /// Starts everything; the job is [`PUBLISHER`].
    pub fn start(checkout: &Checkout, log: Log) -> Self {
        let folder = checkout.root.join("target/sigstore");
        fs::create_dir_all(&folder).unwrap();
        let claims = folder.join("claims.json");
        let issuer =
            Service::start(checkout, "testkit", &["issuer", "--claims", &claims.display().to_string()]);
        let config = folder.join("fulcio.json");
        fs::write(&config, fulcio_config(&format!("http://{}", issuer.address())).to_string()).unwrap();
        let [port, grpc, metrics] = [free_port(), free_port(), free_port()];
        let mut command = checkout.tool_command("fulcio");
        command.args(["serve", "--ca", "ephemeralca", "--ct-log-url", "", "--host", "127.0.0.1"]);
        command.arg("--config-path").arg(&config);
        command.args(["--port", &port.to_string(), "--grpc-host", "127.0.0.1", "--grpc-port"]);
        command.args([&grpc.to_string(), "--metrics-port", &metrics.to_string()]);
        command.args(["--legacy-unix-domain-socket", &format!("@xtask-fulcio-{port}")]);
        let address = format!("127.0.0.1:{port}");
        let ready = || http(&address, "GET", "/api/v1/rootCert").is_some_and(|(status, ..)| status == 200);
        let fulcio = Service::start_at(checkout, command, "fulcio", &address, ready);
        let timestamps = Service::start(checkout, "timestamp-server", &[]);
        let log = (log == Log::Kept).then(|| transparency_log(checkout, &folder));
        let sigstore = Self { issuer, fulcio, timestamps, log, folder };
        sigstore.become_job(&PUBLISHER);
        sigstore.describe(checkout);
        sigstore
    }

    /// Who signs from now on.
    pub fn become_job(&self, job: &Job<'_>) {
        self.set_claims(&job.claims());
    }

    /// What every token says from now on. It wins over `iss`, `aud` and the times, too.
    pub fn set_claims(&self, claims: &Value) {
        fs::write(self.folder.join("claims.json"), claims.to_string()).unwrap();
    }

    /// What a job has in its environment if it may ask for a token.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = format!("{}/token?api-version=2.0", self.issuer());
        [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "a-request-token"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// The issuer's URL, as a certificate names it.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.issuer.address())
    }

    /// Whether signatures are in a log.
    pub fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// For `--signing-config`: where to get certificates and timestamps, and which log to tell.
    pub fn signing_config(&self) -> PathBuf {
        self.folder.join("signing_config.json")
    }

    /// For `--trusted-root`: whose certificates, timestamps and log count.
    pub fn trusted_root(&self) -> PathBuf {
        self.folder.join("trusted_root.json")
    }

    /// Writes both files for cosign.
    fn describe(&self, checkout: &Checkout) {
        let chain = |service: &Service, path: &str, name: &str| {
            let (status, _, pem) = http(service.address(), "GET", path).unwrap();
            assert_eq!(status, 200, "{pem}");
            let file = self.folder.join(name);
            fs::write(&file, pem).unwrap();
            file.display().to_string()
        };
        let fulcio_chain = chain(&self.fulcio, "/api/v1/rootCert", "fulcio.pem");
        let timestamp_chain = chain(&self.timestamps, "/api/v1/timestamp/certchain", "timestamps.pem");
        let fulcio = format!("url=http://{}", self.fulcio.address());
        let timestamps = format!("url=http://{}/api/v1/timestamp", self.timestamps.address());
        let log = self.log.as_ref().map(|log| format!("url=http://{}", log.address()));
        let log_key = self.folder.join("log.pub").display().to_string();
        let since = "start-time=2026-01-01T00:00:00Z";
        let service = format!("api-version=1,{since},operator=tests");
        let files = [self.trusted_root(), self.signing_config()].map(|path| path.display().to_string());
        let mut trusted = vec![
            format!("--fulcio={fulcio},certificate-chain={fulcio_chain}"),
            format!("--tsa={timestamps},certificate-chain={timestamp_chain}"),
        ];
        let mut signing = vec![
            format!("--fulcio={fulcio},{service}"),
            format!("--oidc-provider=url={},{service}", self.issuer()),
            format!("--tsa={timestamps},{service}"),
        ];
        match &log {
            Some(log) => {
                trusted.push(format!("--rekor={log},public-key={log_key},{since},origin={LOG_ORIGIN}"));
                signing.push(format!("--rekor={log},api-version=2,{since},operator=tests"));
                signing.push("--rekor-config=ANY".to_owned());
            }
            None => [&mut trusted, &mut signing]
                .into_iter()
                .for_each(|args| args.push("--no-default-rekor".to_owned())),
        }
        let mut args = vec!["trusted-root", "create", "--no-default-ctfe"];
        args.extend(trusted.iter().map(String::as_str).chain(["--out", &files[0]]));
        checkout.tool("cosign", &args).ok();
        let mut args = vec!["signing-config", "create", "--tsa-config=ANY"];
        args.extend(signing.iter().map(String::as_str).chain(["--out", &files[1]]));
        checkout.tool("cosign", &args).ok();
    }
}

/// How the log calls itself in what it signs: clients expect the host of its URL, without the port.
const LOG_ORIGIN: &str = "127.0.0.1";

/// Starts the log, with a new key, `log.pub` in `folder`.
fn transparency_log(checkout: &Checkout, folder: &Path) -> Service {
    let mut cosign = checkout.tool_command("cosign");
    cosign.args(["generate-key-pair", "--output-key-prefix", "log"]);
    run(cosign.current_dir(folder).env("COSIGN_PASSWORD", "")).ok();
    let [port, grpc, metrics] = [free_port(), free_port(), free_port()];
    let mut command = checkout.tool_command("rekor-server");
    command.args(["serve", "--hostname", LOG_ORIGIN]);
    // It looks once a second whether an entry is in: everything else is to be done by then.
    command.args(["--batch-max-age", "20ms", "--checkpoint-interval", "100ms", "--tlog-timeout", "100ms"]);
    command.arg("--signer-filepath").arg(folder.join("log.key"));
    command.arg("--storage-dir").arg(folder.join("log"));
    command.args(["--http-port", &port.to_string(), "--grpc-port", &grpc.to_string()]);
    command.args(["--http-metrics-port", &metrics.to_string()]);
    let address = format!("127.0.0.1:{port}");
    let ready = || http(&address, "GET", "/healthz").is_some_and(|(status, ..)| status == 200);
    Service::start_at(checkout, command, "rekor-server", &address, ready)
}

/// Trust in one issuer, with the names of its claims as in the public instance.
///
/// The keys of JSON are not those of YAML, and fulcio tells no one that it knows none of them.
fn fulcio_config(issuer: &str) -> Value {
    json!({
        "OIDCIssuers": { issuer: {
            "IssuerURL": issuer, "ClientID": "sigstore", "Type": "ci-provider",
            "CIProvider": "github-workflow", "ChallengeClaim": "sub",
        }},
        "CIIssuerMetadata": { "github-workflow": {
            "DefaultTemplateValues": { "url": "https://github.com", "environment": "" },
            "SubjectAlternativeNameTemplate": "{{ .url }}/{{ .job_workflow_ref }}",
            "ExtensionTemplates": {
                "GithubWorkflowTrigger": "event_name",
                "GithubWorkflowSHA": "sha",
                "GithubWorkflowName": "workflow",
                "GithubWorkflowRepository": "repository",
                "GithubWorkflowRef": "ref",
                "BuildSignerURI": "{{ .url }}/{{ .job_workflow_ref }}",
                "BuildSignerDigest": "job_workflow_sha",
                "RunnerEnvironment": "runner_environment",
                "SourceRepositoryURI": "{{ .url }}/{{ .repository }}",
                "SourceRepositoryDigest": "sha",
                "SourceRepositoryRef": "ref",
                "SourceRepositoryIdentifier": "repository_id",
                "SourceRepositoryOwnerURI": "{{ .url }}/{{ .repository_owner }}",
                "SourceRepositoryOwnerIdentifier": "repository_owner_id",
                "BuildConfigURI": "{{ .url }}/{{ .workflow_ref }}",
                "BuildConfigDigest": "workflow_sha",
                "BuildTrigger": "event_name",
                "RunInvocationURI":
                    "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
                "SourceRepositoryVisibilityAtSigning": "repository_visibility",
                "DeploymentEnvironment": "environment",
            },
        }},
    })
}

/// What a job publishes bears its identity: `verify` takes it, and nothing of another workflow or repository; with and
/// without the referrers API.
pub fn identities(_: &Checkout) {
    let other_registry = Checkout::folder("keyless-home", "xtask/tests/real/campaign/");
    let with_referrers = kit::registry(&other_registry);
    let referrers = Some(with_referrers.address());
    for (name, behind, log) in [("keyless", None, Log::Kept), ("keyless-referrers", referrers, Log::None)] {
        let mut campaign = Campaign::start(name, behind, log);
        let run_of = campaign.prepare();
        // Without a token there is nobody to sign, and nobody is asked.
        let mut nobody = campaign.merge(&run_of);
        nobody.env_remove("ACTIONS_ID_TOKEN_REQUEST_URL").env_remove("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
        run(&mut nobody).fails(1, &["sign "]);
        assert_eq!(campaign.tags().len(), 0, "nothing is tagged that is not signed");
        // Nor does the signature of another workflow, another repository or a pull request count: merge verifies.
        for stranger in [
            Job { workflow: "other.yml", ..PUBLISHER },
            Job { repository: "stranger/images", repository_id: 2001, ..PUBLISHER },
            Job { git_ref: "refs/pull/7/merge", event: "pull_request", ..PUBLISHER },
        ] {
            campaign.sigstore.become_job(&stranger);
            run(&mut campaign.merge(&run_of))
                .fails(1, &["verify the signatures", "no matching CertificateIdentity", "[sign]"]);
            assert_eq!(campaign.tags().len(), 0);
        }
        campaign.sigstore.become_job(&PUBLISHER);
        run(&mut campaign.merge(&run_of)).ok();
        consumer(&campaign);
        campaign.end();
    }
}

/// Somebody who has a reference, and either the matrix or the name of whom to trust.
fn consumer(campaign: &Campaign) {
    let (checkout, reference) = (&campaign.checkout, campaign.reference("latest"));
    let done = checkout.xtask(&["verify", &reference]).ok();
    assert!(done.stdout.contains("cosign verify --certificate-identity-regexp"), "{}", done.all());
    let (issuer, root) = (campaign.sigstore.issuer(), campaign.sigstore.trusted_root().display().to_string());
    let as_of = |identity: &str| {
        let args = [
            "verify",
            &reference,
            "--identity",
            identity,
            "--issuer",
            &issuer,
            "--trusted-root",
            &root,
            "--json",
        ];
        let mut command = checkout.command(&args);
        // No matrix.toml here or above, so no pinned tools either.
        let path = format!(
            "{}:{}",
            checkout.root.join("target/tools/bin").display(),
            std::env::var("PATH").unwrap()
        );
        run(command.current_dir("/").env("PATH", path))
    };
    let report: Value =
        serde_json::from_str(&as_of("^https://github\\.com/acme/images/.+$").ok().stdout).unwrap();
    assert_eq!(report["verified"][0]["platforms"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["verified"][0]["platforms"][0]["provenance"], "https://slsa.dev/provenance/v1");
    as_of("^https://github\\.com/acme/images/\\.github/workflows/third\\.yml@.+$")
        .fails(1, &["no matching CertificateIdentity"]);
    as_of("^https://github\\.com/nobody/images/.+$").fails(1, &["no matching CertificateIdentity"]);
    as_of("^https://github\\.com/acme/.+$").fails(2, &["any repository may call", "--repository OWNER/NAME"]);
    as_of("https://github.com/acme/images/.+").fails(2, &["it is not anchored"]);
}

/// `gh attestation verify`, as docs/publication.md writes it, with the library that gh uses: see `tools/gh-verify`. It takes
/// our provenance for what it is, and neither for another repository's nor for that of another workflow.
pub fn github_cli(_: &Checkout) {
    let other_registry = Checkout::folder("keyless-gh-home", "xtask/tests/real/campaign/");
    let with_referrers = kit::registry(&other_registry);
    let referrers = Some(with_referrers.address());
    let stranger = Sigstore::start(&other_registry, Log::Kept).trusted_root().display().to_string();
    for (name, behind) in [("keyless-gh", None), ("keyless-gh-referrers", referrers)] {
        let mut campaign = Campaign::start(name, behind, Log::Kept);
        let run_of = campaign.prepare();
        run(&mut campaign.merge(&run_of)).ok();
        let (issuer, root) =
            (campaign.sigstore.issuer(), campaign.sigstore.trusted_root().display().to_string());
        let image = format!("oci://{}", campaign.reference("latest"));
        let trust = ["--bundle-from-oci", "--custom-trusted-root", &root];
        let ours = ["--cert-oidc-issuer", &issuer];
        let verify = |args: &[&str]| campaign.checkout.tool("gh-verify", &[&trust, args, &[&image]].concat());
        let of = |repository: &str, workflow: &str| {
            verify(&[&ours[..], &["--repo", repository, "--signer-workflow", workflow]].concat())
        };
        let workflow = "acme/images/.github/workflows/images.yml";
        let expected = "verified: https://slsa.dev/provenance/v1 signed by \
                        https://github.com/acme/images/.github/workflows/images.yml@refs/heads/main, \
                        a run of https://github.com/acme/images, 1 observed times";
        for accepted in [
            of("acme/images", workflow),
            of("Acme/Images", &format!("github.com/{workflow}")),
            verify(&[&ours[..], &["--repo", "acme/images"]].concat()),
        ] {
            assert!(accepted.ok().stdout.contains(expected));
        }
        // Whose run it was, even if a workflow of ours has signed; which workflow has signed, even if the run was ours.
        of("stranger/images", workflow)
            .fails(1, &["expected SourceRepositoryOwnerURI to be https://github.com/stranger"]);
        of("acme/other", workflow)
            .fails(1, &["expected SourceRepositoryURI to be https://github.com/acme/other"]);
        of("acme/images", "acme/images/.github/workflows/other.yml")
            .fails(1, &["no matching CertificateIdentity"]);
        verify(&[&ours[..], &["--repo", "stranger/images"]].concat())
            .fails(1, &["no matching CertificateIdentity"]);
        // The issuer of GitHub's own tokens is another one than that of the tests.
        verify(&["--repo", "acme/images"]).fails(1, &["expected Issuer to be https://token.actions"]);
        let sbom = ["--repo", "acme/images", "--predicate-type", "https://spdx.dev/Document"];
        verify(&[&ours[..], &sbom].concat()).fails(1, &["is of the type https://spdx.dev/Document"]);
        // It takes both, a log that has the signature and a time that was observed.
        for (part, error) in [
            ("tlogs", "not enough verified"),
            ("timestampAuthorities", "threshold not met for verified signed"),
        ] {
            let mut without: Value = serde_json::from_slice(&fs::read(&root).unwrap()).unwrap();
            assert!(without.as_object_mut().unwrap().remove(part).is_some());
            let file = campaign.checkout.root.join(format!("target/without-{part}.json"));
            fs::write(&file, without.to_string()).unwrap();
            let file = file.display().to_string();
            let args = ["--custom-trusted-root", &file, "--repo", "acme/images", ours[0], ours[1], &image];
            campaign.checkout.tool("gh-verify", &args).fails(1, &[error]);
        }
        // Nor does a Sigstore count that has not issued the certificate.
        let args = ["--custom-trusted-root", &stranger, "--repo", "acme/images", ours[0], ours[1], &image];
        campaign.checkout.tool("gh-verify", &args).fails(1, &["error: verify "]);
        campaign.end();
    }
}
