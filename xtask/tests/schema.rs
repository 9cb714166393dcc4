//! `xtask/schema/matrix.schema.json` against what the tool itself reads, by a validator of its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use xtask_images::commands::schema::{MATRIX, PLAN};
use xtask_images::matrix;
use xtask_images::plan::event::Event;
use xtask_images::plan::git::Git;
use xtask_images::plan::inputs::Inputs;
use xtask_images::plan::remote::{RemoteRef, Remotes};
use xtask_images::plan::resolve::resolve;
use xtask_images::plan::{Destination, DestinationKind, SigningMethod};

/// What the schema cannot know: names that refer to others, numbers in texts, cells, placeholders.
const ONLY_THE_TOOL: &[&str] = &[
    "all-kinds",
    "axis-placeholder-near",
    "context-and-need",
    "dockerfile-arch",
    "exclude-axis-name",
    "exclude-axis-other-image",
    "exclude-axis-value",
    "exclude-shadowed",
    "exclude-unknown",
    "exclude-unreachable",
    "id-long",
    "ids-collide",
    "key-unknown-exclude",
    "key-unknown-need",
    "long-line",
    "need-axis-missing",
    "need-axis-name",
    "need-axis-placeholder",
    "need-axis-value",
    "need-superfluous-axis",
    "need-superfluous-track",
    "needs-circle",
    "needs-excluded",
    "needs-itself",
    "needs-not-declared-mode",
    "needs-other-image",
    "needs-platform",
    "needs-track-unknown",
    "needs-unknown",
    "override-arch",
    "override-unreachable",
    "placeholder-in-build-arg",
    "placeholder-unknown",
    "platform-same-variant",
    "platform-twice",
    "platform-unknown",
    "ref-pattern",
    "sign-identity-borrowed",
    "too-many-cells",
    "track-unknown",
    "values-and-cells",
    "when-axis-name",
    "when-axis-value",
    "when-type",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

struct Validator(Schemas, SchemaIndex);

impl Validator {
    fn new(text: &str) -> Self {
        let schema: Value = serde_json::from_str(text).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", schema).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn check(&self, path: &Path) -> Result<(), String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        self.check_value(&toml::from_str(&text).map_err(|error| error.to_string())?)
    }

    fn check_value(&self, value: &Value) -> Result<(), String> {
        self.0.validate(value, self.1).map_err(|error| format!("{error:#}"))
    }
}

fn files(folder: &str, name: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| name(path)).collect();
    paths.sort();
    paths
}

#[test]
fn what_the_tool_reads_the_schema_accepts() {
    let validator = Validator::new(MATRIX);
    let examples = files("examples", |path| path.is_dir()).into_iter().map(|path| path.join("matrix.toml"));
    let ours =
        ["matrix.toml", "xtask/tests/good.toml", "xtask/tests/all-keys.toml"].map(|path| root().join(path));
    for path in examples.chain(ours) {
        assert!(matrix::load(&path).is_ok(), "{}", path.display());
        validator.check(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn what_the_tool_refuses_the_schema_refuses_where_it_can() {
    let validator = Validator::new(MATRIX);
    let bad = files("xtask/tests/bad", |path| path.extension().is_some_and(|extension| extension == "toml"));
    let accepted: BTreeSet<String> = bad
        .iter()
        .filter(|path| validator.check(path).is_ok())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let expected: BTreeSet<String> = ONLY_THE_TOOL.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(accepted, expected);
}

/// The keys that the tool says a table may have: those of the schema, no more and no fewer.
#[test]
fn both_know_the_same_keys() {
    let schema: Value = serde_json::from_str(MATRIX).unwrap();
    let text = fs::read_to_string(root().join("xtask/tests/all-keys.toml")).unwrap();
    let image = "/properties/images/additionalProperties";
    let places = [
        ("version = 1\n", "", ""),
        ("[publish]\n", "", "/properties/publish"),
        ("[sign]\n", "", "/properties/sign"),
        ("amd64 = {", ",", "/properties/platforms/additionalProperties"),
        ("[tracks.file]\n", "", "/properties/tracks/additionalProperties"),
        ("ref           = {", ",", "/definitions/ref"),
        ("tags          = [\"{version}{suffix}-{alpine}\", {", ",", "/definitions/tags/items/anyOf/1"),
        ("[composer.pinned]\n", "", "/properties/composer/additionalProperties"),
        ("[[exclude]]\n", "", "/properties/exclude/items"),
        ("[images.app]\n", "", image),
        ("secrets     = { TOKEN = {", ",", &format!("{image}/properties/secrets/additionalProperties")),
        ("attest      = {", ",", &format!("{image}/properties/attest")),
        ("compression = {", ",", &format!("{image}/properties/compression")),
        ("[[images.app.override]]\n", "", &format!("{image}/properties/override/items")),
    ];
    for (place, separator, pointer) in places {
        assert_eq!(text.matches(place).count(), 1, "{place}");
        let end = if separator.is_empty() { "\n" } else { separator };
        let broken = text.replace(place, &format!("{place} zzzzzzzz = 1{end}"));
        let error = matrix::parse(matrix::Source { name: "m".into(), text: broken }).unwrap_err();
        let message = format!("{error:#}");
        let list = message.split_once("it may have: ").unwrap_or_else(|| panic!("{place}: {message}")).1;
        let known: BTreeSet<&str> = list.lines().next().unwrap().split(", ").collect();
        // Axes are keys of this file only.
        let known: BTreeSet<&str> =
            known.into_iter().filter(|key| !["alpine", "flavour"].contains(key)).collect();
        let table = schema.pointer(pointer).unwrap();
        let variants = table["oneOf"].as_array().cloned().unwrap_or_default();
        let all = std::iter::once(table).chain(&variants).filter_map(|table| table["properties"].as_object());
        let properties: BTreeSet<&str> = all.flatten().map(|(key, _)| key.as_str()).collect();
        assert_eq!(known, properties, "{pointer}");
    }
}

/// Plans of every kind, and one with a key more.
#[test]
fn plans_are_as_their_schema_says() {
    let validator = Validator::new(PLAN);
    let git = Git { commit: "0".repeat(40), ..Git::default() };
    let head = |name: &str| RemoteRef { name: format!("refs/heads/{name}"), commit: "1".repeat(40) };
    let tag = RemoteRef { name: "refs/tags/v1.5.0".into(), commit: "2".repeat(40) };
    let remotes = Remotes::from([
        ("https://github.com/grokability/snipe-it".to_owned(), vec![head("master"), head("develop")]),
        ("https://git.example.com/a.git".to_owned(), vec![head("feature/x")]),
        ("git@git.example.com:a/b.git".to_owned(), vec![tag]),
    ]);
    let examples = files("examples", |path| path.is_dir()).into_iter().map(|path| path.join("matrix.toml"));
    for path in examples.chain(["matrix.toml", "xtask/tests/all-keys.toml"].map(|path| root().join(path))) {
        let matrix = matrix::load(&path).unwrap();
        for event in ["push", "tag:v1.2.3", "pull-request", "fork", "schedule", "dispatch", "local"] {
            for sign in [
                SigningMethod::Local,
                SigningMethod::Key { key: "k".into() },
                SigningMethod::None { reason: "r".into() },
            ] {
                let inputs = Inputs {
                    now: SystemTime::UNIX_EPOCH,
                    planned: SystemTime::UNIX_EPOCH,
                    event: Event::simulate(event, "main").unwrap(),
                    git: git.clone(),
                    destination: Destination {
                        kind: DestinationKind::Publish,
                        repositories: matrix.repositories.clone(),
                    },
                    sign,
                    formerly: Vec::new(),
                    versions: BTreeMap::new(),
                    remotes: remotes.clone(),
                    read: &|_| Ok("v8.2.0".into()),
                };
                let plan =
                    resolve(&matrix, &inputs).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
                let mut value = serde_json::to_value(&plan).unwrap();
                validator.check_value(&value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                if let Some(cell) = value["cells"].as_array_mut().and_then(|cells| cells.first_mut()) {
                    cell["more"] = true.into();
                    assert!(validator.check_value(&value).is_err());
                }
            }
        }
    }
}
