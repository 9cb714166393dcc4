//! Actions of other repositories: those that are known are stood in for, with the inputs of their own `action.yml`.

use std::collections::BTreeMap;

use super::availability::Key;
use super::machine::Machine;
use super::report::{Call, Outcome};
use super::steps::{Acted, Doing};
use super::template::expand_text;
use super::{checkout, transfer};

/// The inputs of a call, defaults included.
pub type Inputs = BTreeMap<String, String>;

/// What a stand-in does: its outputs, or why it fails.
type Run = fn(&mut Machine<'_>, &Inputs) -> Result<BTreeMap<String, String>, String>;

/// An action at the version that this project pins.
struct Known {
    name: &'static str,
    /// `name`, or `name=default`, or `name!` for a required one.
    inputs: &'static [&'static str],
    run: Run,
}

const KNOWN: &[Known] = &[
    // v7.0.1
    Known {
        name: "actions/checkout",
        inputs: &[
            "repository=${{ github.repository }}",
            "ref",
            "token=${{ github.token }}",
            "ssh-key",
            "ssh-known-hosts",
            "ssh-strict=true",
            "ssh-user=git",
            "persist-credentials=true",
            "path",
            "clean=true",
            "filter",
            "sparse-checkout",
            "sparse-checkout-cone-mode=true",
            "fetch-depth=1",
            "fetch-tags=false",
            "show-progress=true",
            "lfs=false",
            "submodules=false",
            "set-safe-directory=true",
            "github-server-url",
            "allow-unsafe-pr-checkout=false",
        ],
        run: checkout::run,
    },
    // v7.0.0
    Known {
        name: "actions/upload-artifact",
        inputs: &[
            "name=artifact",
            "path!",
            "if-no-files-found=warn",
            "retention-days",
            "compression-level=6",
            "overwrite=false",
            "include-hidden-files=false",
            "archive=true",
        ],
        run: transfer::upload,
    },
    // v8.0.1
    Known {
        name: "actions/download-artifact",
        inputs: &[
            "name",
            "artifact-ids",
            "path",
            "pattern",
            "merge-multiple=false",
            "github-token",
            "repository=${{ github.repository }}",
            "run-id=${{ github.run_id }}",
            "skip-decompress=false",
            "digest-mismatch=error",
        ],
        run: transfer::download,
    },
    // v4.1.0
    Known {
        name: "docker/login-action",
        inputs: &["registry", "username", "password", "ecr", "scope", "logout=true", "registry-auth"],
        run: login,
    },
    // v4.3.0
    Known {
        name: "docker/setup-buildx-action",
        inputs: &[
            "version",
            "driver=docker-container",
            "driver-opts",
            "buildkitd-flags",
            "buildkitd-config",
            "buildkitd-config-inline",
            "use=true",
            "name",
            "endpoint",
            "platforms",
            "append",
            "keep-state=false",
            "cache-binary=true",
            "cleanup=true",
        ],
        run: buildx,
    },
    // v4.2.0
    Known {
        name: "docker/setup-qemu-action",
        inputs: &[
            "image=docker.io/tonistiigi/binfmt:latest",
            "platforms=all",
            "reset=false",
            "cache-image=true",
        ],
        run: qemu,
    },
    // v4.1.2
    Known {
        name: "sigstore/cosign-installer",
        inputs: &["cosign-release=v3.0.6", "install-dir=$HOME/.cosign", "use-sudo=false"],
        run: cosign,
    },
    // v2.20.1
    Known {
        name: "step-security/harden-runner",
        inputs: &[
            "allowed-endpoints",
            "egress-policy=block",
            "token=${{ github.token }}",
            "disable-telemetry=false",
            "disable-sudo=false",
            "disable-sudo-and-containers=false",
            "disable-file-monitoring=false",
            "policy",
            "api-key",
            "use-policy-store=false",
            "deploy-on-self-hosted-vm=false",
        ],
        run: harden,
    },
];

impl Machine<'_> {
    /// A step with `uses`.
    pub fn uses(&mut self, doing: &Doing<'_>, uses: &str, given: &[(String, String)]) -> Acted {
        if let Some(path) = uses.strip_prefix("./") {
            let folder = self.workspace.join(path);
            return self.local(doing, &folder, given);
        }
        let Some((name, version)) = uses.split_once('@') else {
            return Acted::failed(format!(
                "{uses}: expected OWNER/NAME@VERSION, or a path that begins with ./"
            ));
        };
        if version.len() != 40 || !version.chars().all(|c| c.is_ascii_hexdigit()) {
            return Acted::failed(format!("{uses}: an action is pinned by the 40 digits of a commit"));
        }
        if let Some(folder) = self.task.attempt.world.settings.actions.get(name).cloned() {
            self.note(name, &given.iter().cloned().collect());
            return self.local(doing, &folder, given);
        }
        let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
            return Acted::failed(format!("Unable to resolve action {uses}: it is unknown to the model"));
        };
        let inputs = match known.read(given, doing) {
            Ok(inputs) => inputs,
            Err(problem) => return Acted::failed(problem),
        };
        self.note(name, &inputs);
        match (known.run)(self, &inputs) {
            Ok(outputs) => Acted { outcome: Outcome::Success, outputs, error: None },
            Err(problem) => Acted::failed(problem),
        }
    }

    /// For the test to look at.
    fn note(&self, action: &str, inputs: &Inputs) {
        let inputs = inputs.iter().map(|(name, value)| (name.clone(), self.masked(value))).collect();
        let (job, attempt) = (self.task.name.to_owned(), self.task.attempt.attempt);
        let call = Call { job, attempt, action: action.to_owned(), inputs };
        self.task.attempt.recorder.change(|report| report.calls.push(call));
    }
}

impl Known {
    fn read(&self, given: &[(String, String)], doing: &Doing<'_>) -> Result<Inputs, String> {
        let name = |input: &'static str| input.split(['=', '!']).next().unwrap_or_default();
        let same = |one: &str, two: &str| one.eq_ignore_ascii_case(two);
        if let Some((unknown, _)) =
            given.iter().find(|(given, _)| !self.inputs.iter().any(|input| same(name(input), given)))
        {
            let known: Vec<&str> = self.inputs.iter().map(|input| name(input)).collect();
            return Err(format!("Unexpected input(s) '{unknown}', valid inputs are {known:?}"));
        }
        let mut found = Inputs::new();
        for input in self.inputs {
            let own = given
                .iter()
                .find(|(given, _)| same(given, name(input)))
                .map(|(_, value)| value.trim().to_owned());
            let default = input.split_once('=').map(|(_, default)| default);
            let value = match (own, default) {
                (Some(value), _) => value,
                (None, Some(default)) => expand_text(default, Key::ActionDefault, &doing.scope)?.to_text(),
                (None, None) => String::new(),
            };
            if value.is_empty() && input.ends_with('!') {
                return Err(format!("Input required and not supplied: {}", name(input)));
            }
            found.insert(name(input).to_owned(), value);
        }
        Ok(found)
    }
}

/// `getBooleanInput` of actions/toolkit.
pub fn flag(inputs: &Inputs, name: &str) -> Result<bool, String> {
    match inputs[name].as_str() {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        other => Err(format!(
            "TypeError: Input does not meet YAML 1.2 \"Core Schema\" specification: {name} = {other:?}"
        )),
    }
}

/// What an input may not be here: it is no part of the model.
pub fn beyond(inputs: &Inputs, names: &[(&str, &str)]) -> Result<(), String> {
    let other = names.iter().find(|(name, default)| inputs[*name] != *default);
    other.map_or(Ok(()), |(name, _)| Err(format!("the input {name}: {} is not modelled", inputs[*name])))
}

fn none() -> Result<BTreeMap<String, String>, String> {
    Ok(BTreeMap::new())
}

/// `src/context.ts` of the action: without a user it asks for one.
fn login(_: &mut Machine<'_>, inputs: &Inputs) -> Result<BTreeMap<String, String>, String> {
    beyond(inputs, &[("ecr", ""), ("scope", ""), ("registry-auth", "")])?;
    flag(inputs, "logout")?;
    if inputs["username"].is_empty() || inputs["password"].is_empty() {
        return Err("Username and password required".to_owned());
    }
    none()
}

fn buildx(_: &mut Machine<'_>, inputs: &Inputs) -> Result<BTreeMap<String, String>, String> {
    for name in ["use", "keep-state", "cache-binary", "cleanup"] {
        flag(inputs, name)?;
    }
    let name = if inputs["name"].is_empty() { "builder-of-the-model" } else { &inputs["name"] };
    let driver = inputs["driver"].clone();
    Ok([("name".to_owned(), name.to_owned()), ("driver".to_owned(), driver)].into())
}

fn qemu(_: &mut Machine<'_>, inputs: &Inputs) -> Result<BTreeMap<String, String>, String> {
    flag(inputs, "reset")?;
    flag(inputs, "cache-image")?;
    Ok([("platforms".to_owned(), inputs["platforms"].clone())].into())
}

/// The program is that on the `PATH` of the model.
fn cosign(machine: &mut Machine<'_>, inputs: &Inputs) -> Result<BTreeMap<String, String>, String> {
    flag(inputs, "use-sudo")?;
    let path = machine.environment().remove("PATH").unwrap_or_default();
    if !path.split(':').any(|folder| std::path::Path::new(folder).join("cosign").is_file()) {
        return Err("cosign is not on PATH: the stand-in installs nothing".to_owned());
    }
    none()
}

fn harden(_: &mut Machine<'_>, inputs: &Inputs) -> Result<BTreeMap<String, String>, String> {
    match inputs["egress-policy"].as_str() {
        "audit" | "block" => none(),
        other => Err(format!("egress-policy must be either audit or block, not {other:?}")),
    }
}
