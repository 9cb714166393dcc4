//! What somebody can do who has a part of what publishing takes, and what becomes of it. docs/security.md has the table.

use serde_json::{Value, json};
use std::fs;
use xtask_images::base::ids::Digest;

use crate::campaign::Campaign;
use crate::checkout::{Checkout, run};
use crate::registry::{self, send};
use crate::sigstore::{Job, Log, PUBLISHER};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The workflow of ours that anybody may call.
const OURS: &str = "acme/images/.github/workflows/images.yml@refs/heads/main";

/// A run of another repository that calls our workflow: its certificate bears our identity.
const STRANGER: Job<'static> =
    Job { repository: "eve/images", repository_id: 6666, called: Some(OURS), ..PUBLISHER };

/// A run of a branch of ours that calls the workflow as it is on `main`.
const BRANCH: Job<'static> = Job { git_ref: "refs/heads/topic", called: Some(OURS), ..PUBLISHER };

/// Somebody with our identity and not our repository, or not our branch: with all that the public Sigstore runs, but for the
/// log of certificates.
pub fn borrowed(_: &Checkout) {
    let mut campaign = Campaign::start("borrowed", None, Log::Kept);
    borrowed_identity(&mut campaign);
    let first = campaign.prepare();
    run(&mut campaign.merge(&first)).ok();
    let published = campaign.tags()["latest"].clone();
    signed_by_a_stranger(&mut campaign, &published);
    // The watcher has seen what the attackers did.
    let _ = campaign.end();
}

/// Somebody without our key, a late run, a lying clock, a gate, another signer.
pub fn attacks(_: &Checkout) {
    let mut campaign = Campaign::start("attacks", None, Log::None);
    let first = campaign.prepare();
    run(&mut campaign.merge(&first)).ok();
    hold_of_a_stranger(&mut campaign);
    from_the_future(&mut campaign);
    of_another_tag(&mut campaign);
    late_run(&mut campaign);
    judged_by_a_gate(&mut campaign);
    another_workflow(&mut campaign);
    let _ = campaign.end();
}

/// The run is of another repository, or of a branch that nobody has reviewed: nothing is tagged.
fn borrowed_identity(campaign: &mut Campaign) {
    let planned = campaign.prepare();
    assert_eq!(STRANGER.identity(), PUBLISHER.identity(), "the certificate names the workflow alone");
    campaign.sigstore.become_job(&STRANGER);
    run(&mut campaign.merge(&planned))
        .fails(1, &["verify the signatures", "GithubWorkflowRepository", "[sign]"]);
    campaign.sigstore.become_job(&BRANCH);
    run(&mut campaign.merge(&planned)).fails(
        1,
        &["verify the signatures", "a run of refs/heads/topic has signed it", "`refs` of [publish]"],
    );
    assert_eq!(campaign.tags().len(), 0);
    campaign.sigstore.become_job(&PUBLISHER);
    run(&mut campaign.merge(&planned)).ok();
}

/// A stranger puts an index of their own at `latest`, signed with our identity and with a record that claims the tag.
fn signed_by_a_stranger(campaign: &mut Campaign, published: &str) {
    let forged = forge(campaign, published, "9999-01-01T00:00:00Z");
    let reference = format!("{}/{}@{forged}", campaign.watch.registry, campaign.watch.repository);
    let record = record_of(campaign, published, &forged);
    campaign.sigstore.become_job(&STRANGER);
    cosign(campaign, &["sign", "--recursive"], &reference);
    let kind = "urn:io.xtask:publication:v1";
    cosign(campaign, &["attest", "--type", kind, "--predicate", record.to_str().unwrap()], &reference);
    campaign.sigstore.become_job(&PUBLISHER);
    put(campaign, "latest", &forged);
    // Everything that verifies refuses it: `verify`, the identity by hand, the printed command.
    let latest = campaign.reference("latest");
    campaign.checkout.xtask(&["verify", &latest]).fails(1, &["GithubWorkflowRepository"]);
    let issuer = campaign.sigstore.issuer();
    let trusted = campaign.sigstore.trusted_root().display().to_string();
    let by_hand = |repository: &[&str]| {
        let identity = r"^https://github\.com/acme/images/\.github/workflows/images\.yml@.+$";
        let args =
            ["verify", &latest, "--identity", identity, "--issuer", &issuer, "--trusted-root", &trusted];
        campaign.checkout.xtask(&[&args, repository].concat())
    };
    by_hand(&[]).fails(1, &["GithubWorkflowRepository"]);
    let printed = by_hand(&["--repository", "eve/images"]).ok();
    assert!(
        printed.stdout.contains("--certificate-github-workflow-repository eve/images"),
        "{}",
        printed.all()
    );
    // Who publishes is told, and no tag moves, until somebody says that it may.
    let next = campaign.prepare();
    let before = campaign.tags();
    run(&mut campaign.merge(&next)).fails(1, &["cannot be trusted", "--replace-untrusted"]);
    assert_eq!(campaign.tags(), before);
    run(campaign.merge(&next).arg("--replace-untrusted")).ok();
    assert_ne!(campaign.tags()["latest"], forged);
}

/// A hold that we have not signed holds nothing, and stops nobody.
fn hold_of_a_stranger(campaign: &mut Campaign) {
    let latest = campaign.tags()["latest"].clone();
    let reference = format!("{}/{}@{latest}", campaign.watch.registry, campaign.watch.repository);
    let repository = format!("{}/{}", campaign.proxied(), campaign.watch.repository);
    let hold = json!({ "schema": 1, "cell": "app.main", "repository": repository, "held": true,
        "reason": "by a stranger", "since": "2999-01-01T00:00:00.000000Z", "until": null });
    let file = campaign.checkout.root.join("target/hold.json");
    fs::write(&file, hold.to_string()).unwrap();
    campaign.sigstore.become_job(&STRANGER);
    cosign(
        campaign,
        &["attest", "--type", "urn:io.xtask:hold:v1", "--predicate", file.to_str().unwrap()],
        &reference,
    );
    campaign.sigstore.become_job(&PUBLISHER);
    let next = campaign.prepare();
    let done = run(&mut campaign.merge(&next)).ok();
    assert!(done.stderr.contains("the others are signed by somebody else"), "{}", done.all());
    assert_ne!(campaign.tags()["latest"], latest);
    // One of ours at the same index counts, and can be taken back.
    campaign.xtask(&["rollback", "app.main"]).ok();
    assert_eq!(campaign.tags()["latest"], latest);
    let later = campaign.prepare();
    let done = run(&mut campaign.merge(&later)).ok();
    assert!(done.stderr.contains("latest stays: app.main is held since"), "{}", done.all());
    campaign.xtask(&["release", "app.main"]).ok();
    run(&mut campaign.merge(&later)).ok();
    assert_ne!(campaign.tags()["latest"], latest);
}

/// Who may push and not sign claims to be newer than everything, for ever.
fn from_the_future(campaign: &mut Campaign) {
    let planned = campaign.prepare();
    run(&mut campaign.merge(&planned)).ok();
    let older = campaign.tags()["latest"].clone();
    let forged = forge(campaign, &older, "9999-01-01T00:00:00Z");
    put(campaign, "latest", &forged);
    let verify = |campaign: &Campaign| verify_plan(campaign, &planned);
    verify(campaign).fails(1, &["latest holds", "the publication is"]);
    let next = campaign.prepare();
    let done = run(&mut campaign.merge(&next)).ok();
    assert!(
        done.stderr.contains("latest held") && done.stderr.contains("has no signed record"),
        "{}",
        done.all()
    );
    let published = campaign.tags()["latest"].clone();
    assert_ne!(published, forged);
    verify_plan(campaign, &next).ok();
    verify_elsewhere(campaign, &next).ok();
    // A genuine publication that was replaced: `verify` tells, and the same merge again mends it.
    put(campaign, "latest", &older);
    verify_plan(campaign, &next).fails(1, &["latest holds", "the publication is"]);
    verify_elsewhere(campaign, &next).fails(1, &["latest holds", "the publication is"]);
    // All of them at once tell no other story.
    let tags: Vec<String> =
        campaign.tags().into_iter().filter(|(_, held)| *held == published).map(|(tag, _)| tag).collect();
    tags.iter().for_each(|tag| put(campaign, tag, &older));
    verify_elsewhere(campaign, &next).fails(1, &["which is older than this plan"]);
    run(&mut campaign.merge(&next)).ok();
    assert_eq!(campaign.tags()["latest"], published);
}

/// A genuine publication of newer code, at a tag that it was never published as.
fn of_another_tag(campaign: &mut Campaign) {
    let file = campaign.checkout.root.join("matrix.toml");
    let matrix = fs::read_to_string(&file).unwrap();
    let code = campaign.next_code();
    let older = campaign.checkout.git_answer(&["rev-parse", "HEAD"]);
    let (before, rest) = matrix.split_once("tags = [").unwrap();
    let (_, after) = rest.split_once("]\n").unwrap();
    fs::write(&file, format!("{before}tags = [\"develop\"]\n{after}")).unwrap();
    let newer = campaign.next_code();
    let develop = campaign.plan_and_build(newer);
    campaign.checkout.git(&["checkout", "--quiet", "--detach", &older]);
    let mine = campaign.plan_and_build(code);
    campaign.checkout.git(&["checkout", "--quiet", "-"]);
    fs::write(&file, matrix).unwrap();
    campaign.checkout.commit();
    run(&mut campaign.merge(&develop)).ok();
    let other = campaign.tags()["develop"].clone();
    put(campaign, "latest", &other);
    let done = run(&mut campaign.merge(&mine)).ok();
    assert!(done.stderr.contains("was never published as latest"), "{}", done.all());
    assert_ne!(campaign.tags()["latest"], other);
    // Nor does anybody go back to it.
    let here = campaign.tags()["latest"].clone();
    let done = campaign.xtask(&["rollback", "app.main", "--no-hold"]).ok();
    assert!(done.stderr.contains("latest stays: it held"), "{}", done.all());
    assert_eq!(campaign.tags()["latest"], here);
    run(&mut campaign.merge(&mine)).ok();
}

/// "Re-run all jobs" of a run of last week: a newer plan of older code.
fn late_run(campaign: &mut Campaign) {
    let [older, newer] = campaign.prepare_late(2).try_into().unwrap();
    run(&mut campaign.merge(&newer)).ok();
    let before = campaign.tags();
    let done = run(&mut campaign.merge(&older)).ok();
    assert!(done.stderr.contains("latest stays: it holds newer code, commit "), "{}", done.all());
    assert_eq!(campaign.tags(), before);
    // `verify` of the late run knows that its tags are held by what is newer.
    verify_plan(campaign, &older).ok();
}

/// A gate that refuses what is to be published.
fn judged_by_a_gate(campaign: &mut Campaign) {
    let file = campaign.checkout.root.join("matrix.toml");
    let matrix = fs::read_to_string(&file).unwrap();
    let gate = |command: &str| matrix.replace("[publish]\n", &format!("[publish]\ngate = [{command}]\n"));
    fs::write(&file, gate(r#"["test", "{cell}", "=", "app.main"], ["sh", "-c", "echo 3 bad packages in $0; exit 1", "{digest}"]"#)).unwrap();
    campaign.checkout.commit();
    let before = campaign.tags();
    let refused = campaign.prepare();
    run(&mut campaign.merge(&refused))
        .fails(1, &["ask the gate `sh`", "3 bad packages in sha256:", "no tag was set"]);
    assert_eq!(campaign.tags(), before);
    fs::write(&file, gate(r#"["test", "{cell}", "=", "app.main"]"#)).unwrap();
    campaign.checkout.commit();
    let passed = campaign.prepare();
    let done = run(&mut campaign.merge(&passed)).ok();
    assert!(done.stderr.contains("passed the gate test"), "{}", done.all());
    assert_ne!(campaign.tags(), before);
    fs::write(&file, matrix).unwrap();
    campaign.checkout.commit();
}

/// Another workflow signs from now on: what the one before has published is judged until the day that `matrix.toml` says.
fn another_workflow(campaign: &mut Campaign) {
    let file = campaign.checkout.root.join("matrix.toml");
    let matrix = fs::read_to_string(&file).unwrap();
    let moved = matrix.replace("\"images.yml\"", "\"release.yml\"");
    let issuer = campaign.sigstore.issuer();
    let formerly = |until: &str| {
        let identity = r"^https://github\.com/acme/images/\.github/workflows/images\.yml@refs/heads/main$";
        format!(
            "formerly = [{{ until = '{until}', identity = '{identity}', issuer = '{issuer}' }}]\n\n[platforms]"
        )
    };
    campaign.sigstore.become_job(&Job { workflow: "release.yml", ..PUBLISHER });
    for (formerly, refused) in
        [(String::from("[platforms]"), true), (formerly("2026-01-01"), true), (formerly("2999-01-01"), false)]
    {
        fs::write(&file, moved.replace("[platforms]", &formerly)).unwrap();
        let next = campaign.prepare();
        let before = campaign.tags();
        let done = run(&mut campaign.merge(&next));
        if refused {
            done.fails(1, &["cannot be trusted", "no matching CertificateIdentity"]);
            assert_eq!(campaign.tags(), before);
        } else {
            done.ok();
            assert_ne!(campaign.tags()["latest"], before["latest"]);
            // And back to what the workflow before has signed.
            campaign.xtask(&["rollback", "app.main", "--no-hold"]).ok();
            assert_eq!(campaign.tags()["latest"], before["latest"]);
        }
    }
}

/// cosign as whoever the job is now.
fn cosign(campaign: &Campaign, args: &[&str], reference: &str) {
    let signing = campaign.sigstore.signing_config().display().to_string();
    let trusted = campaign.sigstore.trusted_root().display().to_string();
    let mut command = campaign.checkout.tool_command("cosign");
    command.args(args).args(["--yes", "--signing-config", &signing, "--trusted-root", &trusted]);
    run(command.arg(reference).envs(campaign.sigstore.environment())).ok();
}

/// The same plan on another machine, which has no record of what it has published.
fn verify_elsewhere(campaign: &Campaign, name: &str) -> crate::checkout::Done {
    let plan = format!("{name}/plan.json");
    campaign.xtask(&["verify", "--plan", &plan, "--publications", "target/no-publications"])
}

fn verify_plan(campaign: &Campaign, name: &str) -> crate::checkout::Done {
    let [plan, publications] = ["plan.json", "publications"].map(|part| format!("{name}/{part}"));
    campaign.xtask(&["verify", "--plan", &plan, "--publications", &publications])
}

/// An index like a published one that says that it was planned at another time, pushed under its digest.
fn forge(campaign: &Campaign, published: &str, planned: &str) -> String {
    let (registry, repository) = (&campaign.watch.registry, &campaign.watch.repository);
    let mut index = manifest(registry, repository, published);
    index["annotations"]["io.xtask.planned"] = planned.into();
    index["annotations"]["io.xtask.code-date"] = planned.into();
    let body = index.to_string();
    let digest = Digest::of(body.as_bytes()).to_string();
    let path = format!("/v2/{repository}/manifests/{digest}");
    let (status, ..) = send(registry, "PUT", &path, INDEX, &body).unwrap();
    assert_eq!(status, 201);
    digest
}

/// Sets a tag, as anybody may who has a token to push.
fn put(campaign: &Campaign, tag: &str, digest: &str) {
    let (registry, repository) = (&campaign.watch.registry, &campaign.watch.repository);
    let path = format!("/v2/{repository}/manifests/{digest}");
    let (_, _, body) = registry::http(registry, "GET", &path).unwrap();
    let path = format!("/v2/{repository}/manifests/{tag}");
    let (status, ..) = send(registry, "PUT", &path, INDEX, &body).unwrap();
    assert_eq!(status, 201);
    assert_eq!(campaign.tags()[tag], digest);
}

/// A file with the record of a publication, made out for another digest.
fn record_of(campaign: &Campaign, published: &str, forged: &str) -> std::path::PathBuf {
    let records = fs::read_dir(campaign.checkout.root.join("target/runs")).unwrap();
    let mut records = records.filter_map(|run| {
        let file = run.unwrap().path().join("publications/app.main.json");
        serde_json::from_slice::<Value>(&fs::read(file).ok()?).ok()
    });
    let mut record = records.find(|record| record["digest"] == published).unwrap();
    record["digest"] = forged.into();
    record["planned"] = "9999-01-01T00:00:00Z".into();
    let file = campaign.checkout.root.join("target/forged.json");
    fs::write(&file, json!(record).to_string()).unwrap();
    file
}

fn manifest(registry: &str, repository: &str, digest: &str) -> Value {
    let path = format!("/v2/{repository}/manifests/{digest}");
    serde_json::from_str(&registry::http(registry, "GET", &path).unwrap().2).unwrap()
}
