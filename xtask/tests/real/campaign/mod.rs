//! Publications under faults: whatever a registry, a network or a killed process does to a merge, the tags stay right.
//!
//! A watcher looks at the registry itself, beside the proxy that spoils requests, and counts what must not be.
//! `benches/faults.rs` runs all of it; the tests run samples.

mod watch;

use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::checkout::{Checkout, Done, run, wait};
use crate::kit::{Fault, Proxy};
use crate::registry;
use crate::sigstore::{Log, PUBLISHER, Sigstore};
pub use watch::{Violations, Watch};

/// The only cell.
const CELL: &str = "app.main";

/// Every way in which the proxy can spoil a request.
pub const FAULTS: [&str; 12] = [
    "refuse",
    "reset",
    "delay",
    "429",
    "500",
    "503",
    "nginx-503",
    "cloudflare-520",
    "s3-slow-down",
    "lie-digest",
    "stale-tag",
    "drop-after-commit",
];

/// The requests that set tags for people: those of the matrix begin with these.
const SET_TAG: &str = "^PUT /v2/faults/app/manifests/[1l]";

/// The code date of the first plan; each further one is a second later. 2026-11-21T00:00:00Z.
const CLOCK: u64 = 1_795_219_200;

/// What was counted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Merges that were begun.
    pub runs: usize,
    /// Faults that did something to a request or a process.
    pub faults: usize,
    /// Merges that went through all the same.
    pub survived: usize,
    /// Of those that failed: how many went through when they were run again.
    pub resumed: usize,
}

/// A repository of one image, a registry behind a proxy, a Sigstore, and a watcher.
pub struct Campaign {
    pub checkout: Checkout,
    pub sigstore: Sigstore,
    proxy: Proxy,
    pub watch: Watch,
    plans: u64,
    pub counts: Counts,
}

impl Campaign {
    /// Starts everything. `behind`: the registry, or none for that of the local stack.
    pub fn start(name: &str, behind: Option<&str>, log: Log) -> Self {
        let mut checkout = Checkout::folder(name, "xtask/tests/real/campaign/");
        let sigstore = Sigstore::start(&checkout, log);
        let matrix = std::fs::read_to_string(checkout.root.join("matrix.toml")).unwrap();
        std::fs::write(checkout.root.join("matrix.toml"), matrix.replace("ISSUER", &sigstore.issuer()))
            .unwrap();
        checkout.commit();
        checkout.xtask(&["local", "up"]).ok();
        let status = checkout.status();
        let registry = behind.unwrap_or_else(|| status["registry"].as_str().unwrap()).to_owned();
        let proxy = Proxy::start(&checkout, &registry);
        let text = |name: &str| status[name].as_str().unwrap().to_owned();
        checkout.environment = sigstore.environment();
        for (name, value) in [
            ("BUILDX_CONFIG", checkout.local().join("buildx").display().to_string()),
            ("BUILDX_BUILDER", text("builder")),
            ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
            ("GITHUB_REPOSITORY", PUBLISHER.repository.to_owned()),
        ] {
            checkout.environment.push((name.to_owned(), value));
        }
        let watch = Watch::start(&registry, "faults/app");
        Self { checkout, sigstore, proxy, watch, plans: 0, counts: Counts::default() }
    }

    /// Plans and builds the next publication, undisturbed, from newer code than the one before. Returns its name, for
    /// [`Self::merge`].
    pub fn prepare(&mut self) -> String {
        let clock = self.next_code();
        self.plan_and_build(clock)
    }

    /// As many publications, the one of the oldest code first. They are planned the other way round, as late runs are: the
    /// newest code has the oldest plan.
    pub fn prepare_late(&mut self, count: usize) -> Vec<String> {
        let branch = self.checkout.git_answer(&["rev-parse", "--abbrev-ref", "HEAD"]);
        let codes: Vec<(u64, String)> = (0..count)
            .map(|_| {
                let clock = self.next_code();
                (clock, self.checkout.git_answer(&["rev-parse", "HEAD"]))
            })
            .collect();
        let mut names = Vec::new();
        for (clock, commit) in codes.iter().rev() {
            self.checkout.git(&["checkout", "--quiet", "--detach", commit]);
            names.push(self.plan_and_build(*clock));
        }
        self.checkout.git(&["checkout", "--quiet", &branch]);
        names.reverse();
        names
    }

    /// A commit that is a second newer than the one before.
    pub fn next_code(&mut self) -> u64 {
        self.plans += 1;
        let clock = CLOCK + self.plans;
        self.checkout.commit_at(clock);
        clock
    }

    /// Plans and builds what is checked out.
    pub fn plan_and_build(&self, clock: u64) -> String {
        let name = format!("target/runs/{}", clock - CLOCK);
        let clock = clock.to_string();
        let file = format!("{name}/plan.json");
        std::fs::create_dir_all(self.checkout.root.join(&name)).unwrap();
        let to = self.to();
        let mut plan =
            self.checkout.command(&["plan", "--fresh", "--no-reuse", "--save", &file, "--to", &to]);
        run(plan.env("SOURCE_DATE_EPOCH", &clock)).ok();
        let digests = format!("{name}/digests");
        self.checkout.xtask(&["build", "--plan", &file, "--to", &to, "--digests", &digests]).ok();
        let plan = read(&self.checkout, &file);
        let children = ["amd64", "arm64"].map(|arch| {
            let record = read(&self.checkout, &format!("{digests}/{CELL}/{arch}.json"));
            let digest = record["digest"].as_str().unwrap().to_owned();
            self.watch.image_of(&digest)
        });
        self.watch.expect(plan["code_date"].as_str().unwrap(), children);
        name
    }

    /// A tag as a consumer names it. By way of the proxy: what lies in the local registry counts as signed by its key.
    pub fn reference(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.proxy.address(), self.watch.repository)
    }

    /// What every tag for people holds.
    pub fn tags(&self) -> std::collections::BTreeMap<String, String> {
        registry::tags(&self.watch.registry, &self.watch.repository)
    }

    /// The tool, told where the images go.
    pub fn xtask(&self, args: &[&str]) -> Done {
        let to = self.to();
        self.checkout.xtask(&[args, &["--to", &to]].concat())
    }

    /// Whether the registry has a manifest.
    pub fn exists(&self, digest: &str) -> bool {
        registry::digest(&self.watch.registry, &self.watch.repository, digest).is_some()
    }

    /// The registry as the tool sees it.
    pub fn proxied(&self) -> String {
        self.proxy.address().to_owned()
    }

    fn to(&self) -> String {
        format!("{}/faults", self.proxy.address())
    }

    /// The command that publishes a prepared plan.
    pub fn merge(&self, name: &str) -> Command {
        let [plan, digests, publications] =
            ["plan.json", "digests", "publications"].map(|part| format!("{name}/{part}"));
        let to = self.to();
        self.checkout.command(&[
            "merge",
            "--plan",
            &plan,
            "--to",
            &to,
            "--digests",
            &digests,
            "--publications",
            &publications,
        ])
    }

    /// How many requests an undisturbed merge makes.
    pub fn requests(&mut self) -> usize {
        let name = self.prepare();
        self.proxy.arm(&Fault::at("500", usize::MAX >> 12));
        run(&mut self.merge(&name)).ok();
        let seen = self.proxy.seen();
        self.proxy.disarm();
        self.counts.runs += 1;
        self.complete(&name);
        seen.requests
    }

    /// One merge with one fault, then, undisturbed, the same once more.
    pub fn spoil(&mut self, fault: &Fault<'_>) {
        let name = self.prepare();
        self.proxy.arm(fault);
        let done = run(&mut self.merge(&name));
        let seen = self.proxy.seen();
        self.proxy.disarm();
        self.counts.faults += usize::from(seen.fired);
        self.after(&name, &done, &format!("{} at request {}", fault.kind, fault.n));
    }

    /// One merge that is killed while the proxy holds its `n`-th request back. Its children are not killed: what they
    /// have begun goes on.
    pub fn kill(&mut self, n: usize) {
        self.kill_at("", n);
    }

    /// One merge that is killed while it sets its `n`-th tag.
    pub fn kill_at_tag(&mut self, n: usize) {
        self.kill_at(SET_TAG, n);
    }

    fn kill_at(&mut self, matching: &str, n: usize) {
        let name = self.prepare();
        self.proxy.arm(&Fault { milliseconds: 400, matching, ..Fault::at("delay", n) });
        let mut child = self
            .merge(&name)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            if self.proxy.seen().requests >= n {
                child.kill().unwrap();
                break child.wait().unwrap().code();
            }
            thread::sleep(Duration::from_millis(10));
        };
        self.proxy.disarm();
        self.counts.faults += usize::from(code.is_none());
        let done = Done { code, stdout: String::new(), stderr: "killed".to_owned() };
        self.after(&name, &done, &format!("killed at request {n} {matching}"));
    }

    /// cosign that fails, hangs, or says that all is well and does nothing; buildx that dies half way.
    pub fn shims(&mut self) {
        let answers = "#!/bin/sh\ncase \"$1\" in\n  version) exec 'REAL' \"$@\" ;;\n";
        for (what, tool, body) in [
            (
                "cosign fails",
                "cosign",
                "  sign) echo 'no identity token' >&2; exit 1 ;;\n  *) exec 'REAL' \"$@\" ;;\nesac\n",
            ),
            ("cosign hangs", "cosign", "  sign) sleep 60 ;;\n  *) exec 'REAL' \"$@\" ;;\nesac\n"),
            ("cosign signs nothing", "cosign", "  sign) exit 0 ;;\n  *) exec 'REAL' \"$@\" ;;\nesac\n"),
            ("cosign attaches nothing", "cosign", "  attest) exit 0 ;;\n  *) exec 'REAL' \"$@\" ;;\nesac\n"),
            (
                "cosign dies while it signs",
                "cosign",
                "  sign) kill -KILL $$ ;;\n  *) exec 'REAL' \"$@\" ;;\nesac\n",
            ),
        ] {
            self.with_shim(what, &format!("{answers}{body}"), tool);
        }
    }

    /// One merge with stand-ins before the real tools on PATH.
    pub fn with_shim(&mut self, what: &str, script: &str, tool: &str) {
        let name = self.prepare();
        let folder = self.checkout.root.join(format!("{name}/shims"));
        std::fs::create_dir_all(&folder).unwrap();
        let real = self.checkout.tool_words(tool).join("' '");
        shim(&folder, tool, &script.replace("REAL", &real));
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        let mut command = self.merge(&name);
        // The log takes a second for each signature: only what hangs is given less time than all of them need.
        let limit = if script.contains("sleep") { "3" } else { "60" };
        let done = run(command.env("PATH", path).env("XTASK_CALL_TIMEOUT", limit));
        assert_ne!(done.code, Some(0), "{what}: {}", done.all());
        self.counts.faults += 1;
        self.after(&name, &done, what);
    }

    /// A plan of newer code is merged from beginning to end just before a merge of older code, which has decided, sets its `nth` tag: the
    /// older one has to find out, and to give way.
    pub fn overtaken(&mut self, nth: usize) {
        let [older, newer] = self.prepare_late(2).try_into().unwrap();
        self.watch.lenient();
        self.proxy.arm(&Fault { matching: SET_TAG, ..Fault::at("hold", nth) });
        let log = std::fs::File::create(self.checkout.root.join(&older).join("log")).unwrap();
        let mut command = self.merge(&older);
        let mut late = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        wait("the older merge sets a tag", || self.proxy.seen().held == 1);
        run(&mut self.merge(&newer)).ok();
        self.proxy.release();
        let status = late.wait().unwrap();
        self.proxy.disarm();
        let said = std::fs::read_to_string(self.checkout.root.join(&older).join("log")).unwrap();
        assert!(status.success(), "{status}: {said}");
        self.counts.runs += 2;
        self.counts.faults += 1;
        self.counts.survived += 2;
        self.watch.settle();
        self.rests_at(&newer);
        self.complete(&newer);
        println!("overtaken at tag {nth}");
    }

    /// Every tag of a plan holds that plan's publication, and nothing older.
    fn rests_at(&self, newest: &str) {
        let plan = read(&self.checkout, &format!("{newest}/plan.json"));
        let tags = self.tags();
        for tag in plan["cells"][0]["tags"].as_array().unwrap() {
            let tag = tag["name"].as_str().unwrap();
            let code = self.watch.code_date(&tags[tag]);
            if code != plan["code_date"].as_str().unwrap() {
                self.watch.add(|found| found.backwards += 1, &format!("{tag} rests at {code}"));
            }
        }
    }

    /// One merge whose own disk is full when it wants to write its record down.
    pub fn full_disk(&mut self) {
        let name = self.prepare();
        let folder = self.checkout.root.join(format!("{name}/publications"));
        std::fs::create_dir_all(&folder).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4k", "tmpfs"]).arg(&folder)).ok();
        let _ = std::fs::write(folder.join("filler"), vec![0; 1 << 16]);
        let done = run(&mut self.merge(&name));
        run(Command::new("umount").arg(&folder)).ok();
        done.fails(1, &["No space left on device"]);
        self.counts.faults += 1;
        let done = Done { code: Some(1), stdout: String::new(), stderr: String::new() };
        self.after(&name, &done, "a full disk");
    }

    /// Merges of as many plans at the same time, the newest code planned first, begun in the order of `order`.
    pub fn at_once(&mut self, order: &[usize]) {
        let names = self.prepare_late(order.len());
        let newest = names.last().unwrap().clone();
        self.watch.lenient();
        let children: Vec<_> = order
            .iter()
            .map(|&index| {
                let log = std::fs::File::create(self.checkout.root.join(&names[index]).join("log")).unwrap();
                let mut command = self.merge(&names[index]);
                command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
            })
            .collect();
        for (mut child, &index) in children.into_iter().zip(order) {
            let status = child.wait().unwrap();
            self.counts.runs += 1;
            self.counts.survived += usize::from(status.success());
            if !status.success() {
                let log =
                    std::fs::read_to_string(self.checkout.root.join(&names[index]).join("log")).unwrap();
                println!("{} of {}: {status}\n{log}", names[index], order.len());
            }
        }
        // Older ones may have held a tag for a moment: what counts is where the tags come to rest.
        self.watch.settle();
        self.rests_at(&newest);
        self.complete(&newest);
    }

    /// Looks at what a spoiled merge has left, and runs it again.
    fn after(&mut self, name: &str, done: &Done, what: &str) {
        self.counts.runs += 1;
        if done.code == Some(0) {
            self.counts.survived += 1;
        } else {
            let again = run(&mut self.merge(name));
            self.counts.runs += 1;
            if again.code == Some(0) {
                self.counts.resumed += 1;
            } else {
                self.watch.add(|found| found.stuck += 1, &format!("{what}, then again: {}", again.all()));
            }
        }
        assert!(!done.stderr.contains("panicked"), "{what}: {}", done.all());
        self.complete(name);
        println!("{what}: exit code {:?}", done.code);
    }

    /// Everything that a publication promises, asked of the registry and of the records.
    fn complete(&mut self, name: &str) {
        let plan = read(&self.checkout, &format!("{name}/plan.json"));
        let local = std::fs::read(self.checkout.root.join(format!("{name}/publications/{CELL}.json")));
        let Ok(record) = local.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap()) else {
            return self.watch.add(|found| found.lost += 1, &format!("{name} has no record here"));
        };
        let digest = record["digest"].as_str().unwrap();
        let tags = self.tags();
        for tag in plan["cells"][0]["tags"].as_array().unwrap() {
            let tag = tag["name"].as_str().unwrap();
            if tags.get(tag).map(String::as_str) != Some(digest) {
                self.watch.add(|found| found.wrong += 1, &format!("{tag} does not hold {digest}: {tags:?}"));
            }
        }
        self.signed(digest);
        self.watch.seen().iter().for_each(|digest| self.signed(digest));
    }

    /// The signature of an index and of all that it lists, and the record that is attached to it, once per digest.
    fn signed(&self, digest: &str) {
        if !self.watch.ask(digest) {
            return;
        }
        let reference = |digest: &str| format!("{}/{}@{digest}", self.watch.registry, self.watch.repository);
        let root = self.sigstore.trusted_root().display().to_string();
        let (identity, issuer) = (PUBLISHER.identity(), self.sigstore.issuer());
        let trust = [
            "--trusted-root",
            &root,
            "--certificate-identity",
            &identity,
            "--certificate-oidc-issuer",
            &issuer,
            "--use-signed-timestamps",
            "--insecure-ignore-sct=true",
            if self.sigstore.has_log() {
                "--insecure-ignore-tlog=false"
            } else {
                "--insecure-ignore-tlog=true"
            },
        ];
        let all: Vec<String> = self.watch.all_below(digest).iter().map(|digest| reference(digest)).collect();
        let mut args = vec!["verify"];
        args.extend(trust);
        args.extend(all.iter().map(String::as_str));
        let done = self.checkout.tool("cosign", &args);
        if done.code != Some(0) {
            self.watch.add(|found| found.unsigned += 1, &format!("{digest}: {}", done.all()));
        }
        let index = reference(digest);
        let mut args = vec!["verify-attestation", "--type", "urn:io.xtask:publication:v1"];
        args.extend(trust.iter().chain([&index.as_str()]));
        let done = self.checkout.tool("cosign", &args);
        if done.code != Some(0) {
            self.watch.add(|found| found.lost += 1, &format!("{digest} has no record: {}", done.all()));
        }
    }

    /// Ends it. Returns what was counted and what must not have been.
    pub fn end(self) -> (Counts, Violations) {
        (self.counts, self.watch.end())
    }
}

/// A merge whose own disk is full moves no tag, and the next run goes on.
pub fn full_disk(_: &Checkout) {
    let mut campaign = Campaign::start("full-disk", None, Log::None);
    campaign.full_disk();
    let (counts, violations) = campaign.end();
    assert_eq!((counts.faults, counts.resumed, violations), (1, 1, Violations::default()));
}

/// A stand-in on PATH.
fn shim(folder: &Path, tool: &str, script: &str) {
    let file = folder.join(tool);
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn read(checkout: &Checkout, path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(checkout.root.join(path)).unwrap()).unwrap()
}

/// A sample of everything: what the benchmark does for hours.
pub fn sample(_: &Checkout) {
    let mut campaign = Campaign::start("campaign", None, Log::None);
    let requests = campaign.requests();
    println!("an undisturbed merge makes {requests} requests");
    // Each fault once, spread over the merge.
    for (number, kind) in FAULTS.iter().enumerate() {
        let n = 1 + requests * (2 * number + 1) / (2 * FAULTS.len());
        campaign.spoil(&Fault { milliseconds: 700, ..Fault::at(kind, n) });
    }
    // The tags are what is written last.
    campaign
        .spoil(&Fault { matching: "PUT /v2/faults/app/manifests/1", ..Fault::at("drop-after-commit", 2) });
    campaign.spoil(&Fault { matching: "PUT /v2/faults/app/manifests/1", times: 50, ..Fault::at("503", 2) });
    for part in [1, 2, 3] {
        campaign.kill(requests * part / 4);
    }
    for nth in 1..=5 {
        campaign.kill_at_tag(nth);
    }
    campaign.shims();
    for nth in [1, 3, 5] {
        campaign.overtaken(nth);
    }
    // What the registry sends for the index when a tag is set must not become the content of the tag.
    for n in 1..=4 {
        campaign.spoil(&Fault {
            matching: "GET /v2/faults/app/manifests/sha256:",
            ..Fault::at("lie-digest", 12 * n)
        });
    }
    campaign.at_once(&[3, 0, 5, 1, 4, 2]);
    let (counts, violations) = campaign.end();
    println!("{counts:?}");
    assert_eq!(violations, Violations::default());
    assert!(counts.faults >= 15 && counts.resumed > 0, "{counts:?}");
}
