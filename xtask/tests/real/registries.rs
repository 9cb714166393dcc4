//! Registries as people have them: several at once, with a password and a private authority, without deletion.

use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::campaign::Campaign;
use crate::checkout::{Checkout, Done, run};
use crate::kit::{self, Certificate, Fault, Proxy, Service, free_port};
use crate::registry;
use crate::sigstore::{Log, PUBLISHER, Sigstore};

/// Two repositories, one of which cannot be reached: the other is published wholly, the record names both, and the next
/// run does the rest.
pub fn several(_: &Checkout) {
    let campaign = Campaign::start("several", None, Log::None);
    let checkout = &campaign.checkout;
    let registry = checkout.registry();
    let (one, two) = (Proxy::start(checkout, &registry), Proxy::start(checkout, &registry));
    let both = format!("[\"{}/one\", \"{}/two\"]", one.address(), two.address());
    let matrix = checkout.root.join("matrix.toml");
    let text = fs::read_to_string(&matrix).unwrap().replace("[\"registry.example/acme\"]", &both);
    fs::write(&matrix, text).unwrap();
    checkout.commit();
    let publish = |args: &[&str]| checkout.xtask(&[args, &["--to", "publish"]].concat());
    publish(&["build"]).ok();
    let tags = || ["one/app", "two/app"].map(|repository| registry::tags(&registry, repository));
    // The second fails when its tags are about to be set: nothing of it is seen.
    let never = usize::MAX >> 12;
    two.arm(&Fault { matching: "PUT /v2/two/app/manifests/1", times: never, ..Fault::at("503", 1) });
    publish(&["merge"]).fails(1, &["/two/app: tag ", "503"]);
    let [first, second] = tags();
    assert!(first.len() == 5 && second.is_empty(), "{first:?} {second:?}");
    let record = checkout.publication("app.main");
    let names = |list: &Value| list.as_array().unwrap().len();
    assert_eq!((names(&record["repositories"]), names(&record["unfinished"])), (1, 1), "{record}");
    assert!(record["unfinished"][0]["repository"].as_str().unwrap().ends_with("/two/app"), "{record}");
    assert!(record["unfinished"][0]["error"].as_str().unwrap().contains("503"), "{record}");
    let told = publish(&["report"]).fails(1, &["1 of 1 cells are not done"]);
    let not_done = format!("published in 1 of 2 repositories, not in {}/two/app", two.address());
    assert!(told.stdout.contains(&not_done) && told.stderr.contains("503"), "{}", told.all());
    // A second run finishes the rest and changes nothing that was right.
    two.disarm();
    publish(&["merge"]).ok();
    publish(&["report"]).ok();
    let record = checkout.publication("app.main");
    assert_eq!((names(&record["repositories"]), names(&record["unfinished"])), (2, 0), "{record}");
    assert_eq!(tags(), [first.clone(), first], "both hold the same");
    publish(&["verify"]).ok();
    campaign.end();
}

/// TLS by a private authority, a password, no deletion.
pub fn private(_: &Checkout) {
    let mut checkout = Checkout::folder("private", "xtask/tests/real/campaign/");
    let folder = checkout.root.join("target/private");
    let files = Certificate::write(&checkout, &folder);
    fs::write(folder.join("htpasswd"), kit::htpasswd(&checkout, "someone", "something")).unwrap();
    let (_registry, address) = start_private(&checkout, &folder, &files);
    let sigstore = Sigstore::start(&checkout, Log::None);
    let matrix = checkout.root.join("matrix.toml");
    fs::write(&matrix, fs::read_to_string(&matrix).unwrap().replace("ISSUER", &sigstore.issuer())).unwrap();
    checkout.commit();
    // As docs/reference.md says: Go programs take authorities from there, BuildKit is one of them.
    checkout.environment = sigstore.environment();
    let text = |path: &PathBuf| path.display().to_string();
    for (name, value) in [
        ("SSL_CERT_FILE", text(&files.authority)),
        ("DOCKER_CONFIG", text(&folder)),
        ("BUILDX_CONFIG", text(&checkout.local().join("buildx"))),
        // Only a BuildKit that is a process of ours sees our `/etc/hosts`.
        ("DOCKER_HOST", format!("unix://{}", folder.join("no-engine.sock").display())),
        ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
        ("GITHUB_REPOSITORY", PUBLISHER.repository.to_owned()),
    ] {
        checkout.environment.push((name.to_owned(), value));
    }
    let hosts = folder.join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost registry.test\n").unwrap();
    let xtask = |checkout: &Checkout, args: &[&str]| run(&mut in_hosts(&hosts, &checkout.command(args)));
    xtask(&checkout, &["local", "up"]).ok();
    let builder = checkout.status()["builder"].as_str().unwrap().to_owned();
    checkout.environment.push(("BUILDX_BUILDER".to_owned(), builder));
    let to = format!("{address}/private");
    let call = |args: &[&str]| -> Done { xtask(&checkout, &[args, &["--to", &to]].concat()) };
    call(&["build"]).fails(1, &["docker login"]);
    let login = |password: &str| {
        let mut crane = checkout.tool_command("crane");
        run(crane.args(["auth", "login", &address, "-u", "someone", "-p", password])).ok();
    };
    login("wrong");
    call(&["build"]).fails(1, &["docker login"]);
    login("something");
    call(&["build"]).ok();
    call(&["merge"]).ok();
    call(&["verify"]).ok();
    // An index that nothing needs any more; the registry does not let it go.
    call(&["plan", "--fresh"]).ok();
    call(&["build"]).ok();
    call(&["merge"]).ok();
    call(&["plan", "--fresh"]).ok();
    call(&["build"]).ok();
    call(&["merge"]).ok();
    let listed = call(&["gc", "--older-than", "0s"]).ok();
    assert!(listed.stderr.contains("could go") && listed.stdout.contains("app.main"), "{}", listed.all());
    call(&["gc", "--older-than", "0s", "--delete"]).fails(1, &["does not let its clients delete"]);
    call(&["verify"]).ok();
}

/// A command that sees another `/etc/hosts`: BuildKit speaks plain HTTP to whatever is called localhost or 127.0.0.1.
fn in_hosts(hosts: &Path, command: &Command) -> Command {
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside
        .args(["--mount", "sh", "-c", script])
        .arg(hosts)
        .arg(command.get_program())
        .args(command.get_args());
    inside.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside
}

fn start_private(checkout: &Checkout, folder: &Path, files: &Certificate) -> (Service, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let config = json!({
        "version": "0.1",
        "storage": { "filesystem": { "rootdirectory": folder.join("data") }, "delete": { "enabled": false } },
        "http": { "addr": address, "tls": { "certificate": files.certificate, "key": files.key } },
        "auth": { "htpasswd": { "realm": "kit", "path": folder.join("htpasswd") } },
    });
    fs::write(folder.join("config.yml"), config.to_string()).unwrap();
    let mut command = checkout.tool_command("registry");
    command.arg("serve").arg(folder.join("config.yml")).env("OTEL_TRACES_EXPORTER", "none");
    let ready = || TcpStream::connect(&address).is_ok();
    let service = Service::start_at(checkout, command, "private-registry", &address, ready);
    (service, address.replace("127.0.0.1", "registry.test"))
}

/// What earlier runs have left goes; what a tag, a rollback or another index needs stays. With and without the referrers API.
pub fn garbage(_: &Checkout) {
    let home = Checkout::folder("garbage-home", "xtask/tests/real/campaign/");
    let with_referrers = kit::registry(&home);
    for (name, behind) in [("garbage", None), ("garbage-referrers", Some(with_referrers.address()))] {
        let mut campaign = Campaign::start(name, behind, Log::None);
        let mut indexes = Vec::new();
        for _ in 0..3 {
            let run_of = campaign.prepare();
            run(&mut campaign.merge(&run_of)).ok();
            indexes.push(campaign.tags()["latest"].clone());
        }
        let gc = |more: &[&str]| campaign.xtask(&[&["gc", "--older-than", "0s"], more].concat());
        assert!(campaign.xtask(&["gc"]).ok().stderr.contains("nothing to delete"), "all of it is young");
        let before = campaign.tags();
        let listed = gc(&[]).ok();
        assert!(listed.stdout.contains(&indexes[0]), "{}", listed.all());
        for needed in &indexes[1..] {
            assert!(!listed.stdout.contains(needed), "a tag or a rollback needs {needed}: {}", listed.all());
        }
        assert!(campaign.exists(&indexes[0]), "a dry run deletes nothing");
        gc(&["--delete"]).ok();
        assert!(
            !campaign.exists(&indexes[0]) && campaign.exists(&indexes[1]) && campaign.exists(&indexes[2])
        );
        assert_eq!(campaign.tags(), before);
        assert!(gc(&[]).ok().stderr.contains("nothing to delete"));
        // What is left is whole: signed, attested, and one can go back.
        campaign.xtask(&["verify", &campaign.reference("latest")]).ok();
        campaign.watch.lenient();
        campaign.xtask(&["rollback", "app.main"]).ok();
        assert_eq!(campaign.tags()["latest"], indexes[1]);
        campaign.xtask(&["verify", &campaign.reference("latest")]).ok();
        campaign.end();
    }
}
