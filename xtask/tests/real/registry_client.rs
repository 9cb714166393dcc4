//! The client of registries against real ones: with tokens, with a password and TLS, and behind what spoils requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use xtask_images::base::context::Environment;
use xtask_images::base::ids::{Digest, Repository};
use xtask_images::base::ui::Ui;
use xtask_images::registry::{Registry, Tags};
use xtask_images::run::{Runner, Signals};

use crate::checkout::{Checkout, run};
use crate::kit::{self, Certificate, Fault, Proxy, Service, free_port, push_image};
use crate::registry::http;

/// A client, and what counts its requests.
fn client(environment: &Environment) -> (Registry, Runner) {
    let runner = Runner::new(Signals::default());
    (Registry::new(environment, &runner, Ui::default()), runner)
}

fn plain() -> (Registry, Runner) {
    client(&Environment::default())
}

/// `HOST/NAME`.
fn repository(address: &str, name: &str) -> Repository {
    format!("{address}/{name}").parse().unwrap()
}

fn listed(registry: &Registry, repository: &Repository) -> Vec<String> {
    match registry.tags(repository).unwrap() {
        Tags::Listed(tags) => tags,
        other => panic!("{other:?}"),
    }
}

fn error<T: std::fmt::Debug>(result: anyhow::Result<T>) -> String {
    xtask_images::base::error::report(&result.unwrap_err())
}

/// Everything that is asked of a registry, and each fault at it.
pub fn requests(checkout: &Checkout) {
    checkout.xtask(&["local", "up"]).ok();
    let proxy = Proxy::start(checkout, &checkout.registry());
    let app = repository(proxy.address(), "client");
    let reference = format!("{app}:one");
    push_image(checkout, &reference, "one");
    let (registry, runner) = plain();
    let one = registry.read(&reference).unwrap().unwrap();
    assert_eq!(Digest::of(&one.bytes), one.digest);
    assert_eq!(registry.require(&app, &one.digest).unwrap().bytes, one.bytes);
    assert!(registry.image_config(&app, &one.manifest).is_ok());
    assert!(registry.exists(&reference).unwrap() && !registry.exists(&format!("{app}:none")).unwrap());
    assert!(registry.read(&format!("{app}:none")).unwrap().is_none());
    assert!(matches!(registry.tags(&repository(proxy.address(), "nobody")).unwrap(), Tags::Missing));
    assert!(registry.attached(&app, &one.digest).unwrap().is_empty());
    registry.put_manifest(&app, "two", &one.media_type, &one.bytes).unwrap().unwrap();
    assert_eq!(listed(&registry, &app), ["one", "two"]);
    assert_eq!(registry.read(&format!("{app}:two")).unwrap().unwrap().digest, one.digest);
    assert!(runner.usage().requests() > 8 && runner.usage().processes() == 0);
    // Whatever passes is survived, and nothing that was spoilt is believed.
    for kind in
        ["refuse", "reset", "429", "500", "503", "nginx-503", "cloudflare-520", "s3-slow-down", "lie-digest"]
    {
        proxy.arm(&Fault::at(kind, 1));
        assert_eq!(registry.read(&reference).unwrap().unwrap().bytes, one.bytes, "{kind}");
        assert!(proxy.seen().fired, "{kind}");
    }
    for kind in ["refuse", "reset", "503", "nginx-503", "drop-after-commit"] {
        proxy.arm(&Fault { matching: "^PUT", ..Fault::at(kind, 1) });
        // Who sets a tag has to read it again before another try, so there is one try alone, and its failure is told.
        let passing = registry.put_manifest(&app, "three", &one.media_type, &one.bytes).unwrap().unwrap_err();
        assert!(!passing.reason.is_empty() && proxy.seen().fired, "{kind}: {passing:?}");
        registry.put_manifest(&app, "three", &one.media_type, &one.bytes).unwrap().unwrap();
    }
    // A 404 that nobody has said is asked about again, for what is there and for what is not.
    proxy.arm(&Fault::at("empty-404", 1));
    assert_eq!(registry.read(&reference).unwrap().unwrap().bytes, one.bytes);
    proxy.arm(&Fault::at("empty-404", 1));
    assert!(registry.read(&format!("{app}:none")).unwrap().is_none() && proxy.seen().fired);
    proxy.arm(&Fault { times: usize::MAX >> 12, ..Fault::at("empty-404", 1) });
    for text in [error(registry.read(&reference)), error(registry.tags(&app))] {
        assert!(text.contains("unexpected answer: 404 Not Found"), "{text}");
    }
    // What stays so is an error, and never an absence.
    for (kind, words) in
        [("nginx-503", "503 Service Unavailable: 503 Service Temporarily"), ("refuse", "does not answer")]
    {
        proxy.arm(&Fault { times: usize::MAX >> 12, ..Fault::at(kind, 1) });
        for text in [
            error(registry.read(&reference)),
            error(registry.tags(&app)),
            error(registry.attached(&app, &one.digest)),
        ] {
            assert!(text.contains(words) && text.contains("help: "), "{kind}: {text}");
        }
    }
    proxy.disarm();
    registry.delete(&app, &one.digest).unwrap();
    assert!(registry.read(&reference).unwrap().is_none());
    registry.delete(&app, &one.digest).unwrap();
}

/// A registry with the referrers API.
pub fn referrers(checkout: &Checkout) {
    let service = kit::registry(checkout);
    let app = repository(service.address(), "client");
    push_image(checkout, &format!("{app}:one"), "one");
    let (registry, _) = plain();
    let one = registry.read(&format!("{app}:one")).unwrap().unwrap();
    assert!(registry.attached(&app, &one.digest).unwrap().is_empty());
    let statement = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "config": one.manifest.config.as_ref().map(|config| json!({
            "mediaType": "application/vnd.oci.empty.v1+json", "digest": config.digest, "size": config.size })),
        "layers": [], "annotations": { "dev.sigstore.bundle.predicateType": "urn:x" },
        "subject": { "mediaType": one.media_type, "digest": one.digest, "size": one.bytes.len() },
    })
    .to_string();
    let digest = Digest::of(statement.as_bytes());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    registry.put_manifest(&app, digest.as_str(), kind, statement.as_bytes()).unwrap().unwrap();
    let attached = registry.attached(&app, &one.digest).unwrap();
    assert_eq!(attached.iter().map(|one| &one.digest).collect::<Vec<_>>(), [&digest]);
    let may = |kind: &str| registry.may_state(&app, &attached[0], kind).unwrap();
    assert!(may("urn:x") && !may("urn:y"));
}

/// A registry whose tokens another server gives, to somebody, to nobody and for an identity token.
pub fn tokens(checkout: &Checkout) {
    let folder = checkout.root.join("target/kit/tokens");
    fs::create_dir_all(&folder).unwrap();
    let issuer = Service::start(checkout, "testkit", &["issuer"]);
    let keys = http(issuer.address(), "GET", "/.well-known/jwks").unwrap().2;
    fs::write(folder.join("jwks.json"), keys).unwrap();
    let url = format!("http://{}", issuer.address());
    let auth = json!({ "token": {
        "realm": format!("{url}/registry"), "service": "kit", "issuer": url, "jwks": folder.join("jwks.json"),
    }});
    // crane asks no token server on loopback: what the registry holds comes into it by another door.
    let (open, door) = serve(checkout, &folder, "tokens-open", &json!({}), &json!({}));
    push_image(checkout, &format!("{door}/app:zero"), "zero");
    drop(open);
    let (_service, address) = serve(checkout, &folder, "tokens", &json!({}), &auth);
    let app = repository(&address, "app");
    let someone = login(&folder, &address, &json!({ "auth": STANDARD.encode("someone:something") }));
    let (registry, runner) = client(&someone);
    let zero = registry.read(&format!("{app}:zero")).unwrap().unwrap();
    registry.put_manifest(&app, "one", &zero.media_type, &zero.bytes).unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(registry.read(&format!("{app}:one")).unwrap().unwrap().bytes, zero.bytes);
    }
    let table = runner.usage().table(Duration::ZERO);
    assert_eq!(runner.usage().requests(), 1 + 2 + 5, "one challenge, two tokens, five answers: {table}");
    let identity = json!({ "auth": STANDARD.encode("someone:"), "identitytoken": "something" });
    let identity = client(&login(&folder, &address, &identity)).0;
    identity.put_manifest(&app, "two", &zero.media_type, &zero.bytes).unwrap().unwrap();
    assert_eq!(listed(&identity, &app), ["one", "two", "zero"]);
    // Nobody may read.
    let nobody = plain().0;
    assert!(nobody.exists(&format!("{app}:one")).unwrap());
    let refused = error(nobody.put_manifest(&app, "three", &zero.media_type, &zero.bytes));
    assert!(refused.contains("refuses: 401") && refused.contains("docker login"), "{refused}");
    let wrong = json!({ "auth": STANDARD.encode("someone:wrong") });
    let wrong = client(&login(&folder, &address, &wrong)).0;
    let refused = error(wrong.read(&format!("{app}:one")));
    assert!(refused.contains("token server says 401") && refused.contains("incorrect"), "{refused}");
    assert!(matches!(wrong.tags(&app).unwrap(), Tags::Refused(_)));
    identity.delete(&app, &zero.digest).unwrap();
    assert!(!nobody.exists(&format!("{app}:one")).unwrap());
}

/// TLS by an authority of its own, also on loopback, and a password that a helper of Docker keeps.
pub fn helpers(checkout: &Checkout) {
    let folder = checkout.root.join("target/kit/helpers");
    let files = Certificate::write(checkout, &folder);
    fs::write(folder.join("htpasswd"), kit::htpasswd(checkout, "someone", "something")).unwrap();
    let tls = json!({ "certificate": files.certificate, "key": files.key });
    let auth = json!({ "htpasswd": { "realm": "kit", "path": folder.join("htpasswd") } });
    let (_service, address) = serve(checkout, &folder, "helpers", &tls, &auth);
    let reference = format!("{address}/app:none");
    let untrusted = error(plain().0.read(&reference));
    assert!(untrusted.contains("certificate") && untrusted.contains("SSL_CERT_FILE"), "{untrusted}");
    let trusting = [("SSL_CERT_FILE", files.authority.display().to_string())];
    let refused = error(client(&environment(&trusting)).0.read(&reference));
    assert!(refused.contains("refuses: 401"), "{refused}");
    // As `docker login` leaves it where it keeps passwords elsewhere.
    fs::write(folder.join("config.json"), json!({ "credHelpers": { &address: "kit" } }).to_string()).unwrap();
    let answer = json!({ "ServerURL": address, "Username": "someone", "Secret": "something" });
    let helper = folder.join("docker-credential-kit");
    let script = format!("#!/bin/sh\nread host\n[ \"$1 $host\" = 'get {address}' ] && echo '{answer}'\n");
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let asked = |more: &[(&str, String)]| {
        let mut command = checkout.command(&["verify", &reference]);
        command.env("DOCKER_CONFIG", &folder).env("PATH", &path).env_remove("SSL_CERT_DIR");
        run(command.env_remove("SSL_CERT_FILE").envs(more.iter().cloned()))
    };
    asked(&trusting).fails(1, &["does not exist"]);
    // The same by certs.d, where Docker looks.
    let own = folder.join("certs.d").join(&address);
    fs::create_dir_all(&own).unwrap();
    fs::copy(&files.authority, own.join("ca.crt")).unwrap();
    asked(&[]).fails(1, &["does not exist"]);
    fs::write(&helper, "#!/bin/sh\necho 'the keychain is locked' >&2\nexit 1\n").unwrap();
    asked(&[]).fails(1, &["ask for the credentials", "the keychain is locked", "docker login"]);
}

/// An environment that holds nothing else.
fn environment(pairs: &[(&str, String)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The environment of somebody who is logged in with an entry of `auths`.
fn login(folder: &Path, address: &str, entry: &Value) -> Environment {
    let config = json!({ "auths": { address: entry } });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    environment(&[("DOCKER_CONFIG", folder.display().to_string())])
}

/// Starts a registry on loopback.
fn serve(checkout: &Checkout, folder: &Path, name: &str, tls: &Value, auth: &Value) -> (Service, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let config = json!({
        "version": "0.1",
        "storage": { "filesystem": { "rootdirectory": folder.join("data") }, "delete": { "enabled": true } },
        "http": { "addr": address, "tls": tls },
        "auth": auth,
    });
    let file = folder.join(format!("{name}.yml"));
    fs::write(&file, config.to_string()).unwrap();
    let mut command = checkout.tool_command("registry");
    command.arg("serve").arg(file).env("OTEL_TRACES_EXPORTER", "none");
    let service =
        Service::start_at(checkout, command, name, &address, || TcpStream::connect(&address).is_ok());
    (service, address)
}
