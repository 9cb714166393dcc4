//! What `policy` prints is what the controllers of a cluster read.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::checkout::{Checkout, run, workspace};
use crate::kit;

/// The option, the module of the controller, its definition of the resource, the version in use.
const CONTROLLERS: [(&str, &str, &str, &str); 2] = [
    (
        "--kyverno",
        "github.com/kyverno/kyverno",
        "config/crds/policies.kyverno.io/policies.kyverno.io_imagevalidatingpolicies.yaml",
        "v1",
    ),
    (
        "--policy-controller",
        "github.com/sigstore/policy-controller",
        "config/300-clusterimagepolicy.yaml",
        "v1beta1",
    ),
];

/// Every method of signing, for both controllers, against their own definitions.
pub fn policies_fit_their_schemas(_: &Checkout) {
    let mut checkout = Checkout::new("policy");
    checkout.git(&["remote", "add", "origin", "https://github.com/acme/images.git"]);
    checkout.environment = vec![("COSIGN_PASSWORD".to_owned(), String::new())];
    for (option, module, file, version) in CONTROLLERS {
        let schema = Schema::of(module, file, version);
        let policy = |args: &[&str]| checkout.xtask(&[&["policy", option], args].concat());
        let check = |args: &[&str]| -> Value {
            let done = policy(args).ok();
            let value: Value = serde_yaml_ng::from_str(&done.stdout)
                .unwrap_or_else(|error| panic!("no YAML: {error}\n{}", done.all()));
            schema.check(&value).unwrap_or_else(|error| panic!("{error}\n{}", done.all()));
            value
        };
        let keyless = check(&[]);
        let text = keyless.to_string();
        assert!(text.contains(r"^https://github\\.com/acme/images/\\.github/workflows/"), "{text}");
        for image in ["ghcr.io/acme/hello-php", "ghcr.io/acme/php-base"] {
            assert!(text.contains(&format!("\"{image}:*\"")) && text.contains(&format!("\"{image}@*\"")));
        }
        // A validator that accepts everything would prove nothing.
        let misspelt: Value = serde_json::from_str(&text.replace("subjectRegExp", "subjectRegex")).unwrap();
        assert!(schema.check(&misspelt).is_err(), "{misspelt}");

        signed_by(&checkout, "method = \"key\"\nkey = \"cosign.key\"");
        policy(&[]).fails(2, &["there is no public key", "cosign public-key --key cosign.key"]);
        checkout.tool("cosign", &["generate-key-pair"]).ok();
        let public = fs::read_to_string(checkout.root.join("cosign.pub")).unwrap();
        assert!(holds(&check(&[]), &public));
        signed_by(&checkout, "method = \"key\"\nkey = \"env://COSIGN_PRIVATE_KEY\"");
        policy(&[]).fails(2, &["$COSIGN_PUBLIC_KEY", "cosign public-key --key env://COSIGN_PRIVATE_KEY"]);
        signed_by(&checkout, "method = \"key\"\nkey = \"awskms:///alias/images\"");
        assert!(holds(&check(&[]), "awskms:///alias/images"));
        // The private key in the place of the public one.
        fs::rename(checkout.root.join("cosign.key"), checkout.root.join("cosign.pub")).unwrap();
        signed_by(&checkout, "method = \"key\"\nkey = \"cosign.key\"");
        let refused = policy(&[]).fails(2, &["cosign.pub: it is not one public key in PEM"]);
        assert!(!refused.all().contains("PRIVATE KEY"), "{}", refused.all());
        fs::remove_file(checkout.root.join("cosign.pub")).unwrap();
        signed_by(&checkout, "method = \"none\"\nreason = \"we try things out\"");
        policy(&[]).fails(2, &["not signed: we try things out", "choose another"]);

        policy(&["--to", "local"]).fails(2, &["there is no public key", "cargo xtask local up"]);
        let keys = checkout.local().join("keys");
        fs::create_dir_all(&keys).unwrap();
        fs::write(keys.join("cosign.pub"), &public).unwrap();
        assert!(holds(&check(&["--to", "local"]), &public));
        fs::remove_dir_all(&keys).unwrap();
        assert_eq!(checkout.status()["running"], false, "a policy starts nothing");
        signed_by(&checkout, "method = \"keyless\"\nworkflow = \"cell.yml\"");
        assert_eq!(check(&[]), keyless);
    }
}

/// Which authorities were content with what, as policy-controller tells it, and whether our policy is, too.
const MATCHES: [(&str, bool); 9] = [
    (r#""cosign-2": {"signatures": [{"subject": "S", "githubWorkflowRepo": "acme/images"}]}"#, true),
    (r#""cosign-2": {"signatures": [{"subject": "S", "githubWorkflowRepo": "eve/images"}]}"#, false),
    (r#""cosign-2": {"signatures": [{"subject": "S", "githubWorkflowRepo": "acme/images2"}]}"#, false),
    (r#""cosign-2": {"signatures": [{"subject": "S"}]}"#, false),
    (
        r#""cosign-2": {"signatures": [{"githubWorkflowRepo": "eve/x"}, {"githubWorkflowRepo": "acme/images"}]}"#,
        true,
    ),
    // All that 0.13.1 tells of a bundle.
    (r#""cosign-3": {"attestations": {"signature": [{"id": "e3", "digest": "sha256:a5"}]}}"#, true),
    // What a version would tell that remembers the certificate.
    (r#""cosign-3": {"attestations": {"signature": [{"githubWorkflowRepo": "acme/images"}]}}"#, true),
    (r#""cosign-3": {"attestations": {"signature": [{"githubWorkflowRepo": "eve/images"}]}}"#, false),
    ("", false),
];

/// cosign evaluates the Rego of an attestation's policy as policy-controller does that of its own: here the statement
/// holds what policy-controller would give it.
pub fn whose_run_it_was(_: &Checkout) {
    let mut checkout = Checkout::new("policy-rego");
    checkout.git(&["remote", "add", "origin", "https://github.com/acme/images.git"]);
    checkout.environment = vec![("COSIGN_PASSWORD".to_owned(), String::new())];
    let printed = checkout.xtask(&["policy", "--policy-controller"]).ok();
    assert!(
        printed.stderr.contains("does not check that the workflow ran in acme/images"),
        "{}",
        printed.all()
    );
    let policy: Value = serde_yaml_ng::from_str(&printed.stdout).unwrap();
    let write = |name: &str, text: &str| fs::write(checkout.root.join(name), text).unwrap();
    write("policy.rego", policy["spec"]["policy"]["data"].as_str().unwrap());
    let results = MATCHES.map(|(matches, _)| format!(r#"{{"authorityMatches": {{{matches}}}}}"#));
    write("results.json", &format!(r#"{{"results": [{}]}}"#, results.join(",")));

    let registry = kit::registry(&checkout);
    let image = format!("{}/rego:latest", registry.address());
    kit::push_image(&checkout, &image, "rego");
    checkout.tool("cosign", &["generate-key-pair"]).ok();
    let nobody = ["--no-default-rekor", "--no-default-fulcio", "--no-default-oidc", "--no-default-tsa"];
    checkout
        .tool("cosign", &[&["signing-config", "create", "--out", "nobody.json"], &nobody[..]].concat())
        .ok();
    let kind = ["--type", "https://policy.example/results"];
    let sign = [
        "attest",
        "--yes",
        "--key",
        "cosign.key",
        "--signing-config",
        "nobody.json",
        "--predicate",
        "results.json",
    ];
    checkout.tool("cosign", &[&sign, &kind[..], &[&image]].concat()).ok();
    let is = |index: usize, compliant: bool| {
        let with = format!("with input as input.predicate.results[{index}]");
        let allow =
            format!("package signature\nallow {{ data.sigstore.isCompliant == {compliant} {with} }}\n");
        write("allow.rego", &allow);
        let verify = ["verify-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog=true"];
        let policies = ["--policy", "policy.rego", "--policy", "allow.rego", &image];
        checkout.tool("cosign", &[&verify, &kind[..], &policies].concat())
    };
    for (index, (matches, compliant)) in MATCHES.into_iter().enumerate() {
        let done = is(index, compliant);
        assert_eq!(done.code, Some(0), "{matches}: {}", done.all());
        is(index, !compliant).fails(1, &["validation errors occurred"]);
    }
}

/// Puts another `[sign]` into the matrix.
fn signed_by(checkout: &Checkout, lines: &str) {
    let path = checkout.root.join("matrix.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("[sign]\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    fs::write(&path, format!("{before}[sign]\n{lines}\n\n{after}")).unwrap();
}

/// Whether a text stands somewhere in a value, just as it is.
fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found.trim_end() == text.trim_end(),
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(fields) => fields.values().any(|field| holds(field, text)),
        _ => false,
    }
}

/// The definition of a resource, strict: Kubernetes drops fields that it does not know, this refuses them.
struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn of(module: &str, file: &str, version: &str) -> Self {
        let text = fs::read_to_string(folder(module).join(file)).unwrap();
        let definition: Value = serde_yaml_ng::from_str(&text).unwrap();
        let spec = &definition["spec"];
        let versions = spec["versions"].as_array().unwrap();
        let found = versions.iter().find(|found| found["name"] == version && found["served"] == true);
        let mut schema = found.unwrap()["schema"]["openAPIV3Schema"].clone();
        close(&mut schema);
        let api = format!("{}/{version}", spec["group"].as_str().unwrap());
        schema["properties"]["apiVersion"] = json!({ "const": api });
        schema["properties"]["kind"] = json!({ "const": spec["names"]["kind"] });
        // An API server knows these without being told.
        schema["properties"]["metadata"] = json!({ "type": "object", "required": ["name"] });
        schema["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", schema).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        self.0.validate(value, self.1).map_err(|error| format!("{error:#}"))
    }
}

/// Refuses what a schema does not name.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type") {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Where Go keeps a module, in the version that `tools/policies` pins.
fn folder(module: &str) -> PathBuf {
    let mut command = Command::new("go");
    command.arg("-C").arg(workspace().join("tools/policies")).args(["mod", "download", "-json", module]);
    let done = run(command.env("GOFLAGS", "-mod=readonly").env("GOWORK", "off")).ok();
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    PathBuf::from(found["Dir"].as_str().unwrap_or_else(|| panic!("{}", done.all())))
}
