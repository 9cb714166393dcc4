//! Provenance of an index: which source it was published from, and by whom, as SLSA 1 says it.
//!
//! Each image has its own, made by BuildKit; this one is about the index, so about what a tag names. Format:
//! <https://slsa.dev/spec/v1.1/provenance>. Tools that look for provenance ask for exactly this type.

use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::base::context::Environment;
use crate::base::ids::Digest;
use crate::base::record::DigestRecord;
use crate::plan::resolve::{ANNOTATION_CELL, ANNOTATION_REVISION};
use crate::plan::{Cell, Plan};

/// The type of the statement.
pub const KIND: &str = "https://slsa.dev/provenance/v1";

/// What kind of build it is about: `docs/reference.md` says what its parameters mean.
const BUILD_TYPE: &str = "urn:io.xtask:publication:v1";

/// The statement about a cell's index. Nothing in it depends on when it is made: a merge that is run again states the same.
pub fn predicate(plan: &Plan, cell: &Cell, records: &[DigestRecord], environment: &Environment) -> Value {
    let source = plan.source.as_deref().map(|address| address_at(address, plan.event.git_ref().as_deref()));
    let commit = plan.revision.trim_end_matches("-dirty");
    let own = source.as_ref().map(|uri| json!({ "uri": uri, "digest": { "gitCommit": commit } }));
    let upstream = cell.commit.as_ref().filter(|upstream| *upstream != commit).map(|upstream| {
        let name = cell.reference.as_deref().or(cell.version.as_deref()).unwrap_or_default();
        json!({ "name": name, "digest": { "gitCommit": upstream } })
    });
    let mut bases: Vec<(&str, &Digest)> = records
        .iter()
        .flat_map(|record| &record.bases)
        .map(|base| (base.image.as_str(), &base.digest))
        .collect();
    bases.sort();
    bases.dedup();
    let bases =
        bases.into_iter().map(|(uri, digest)| json!({ "uri": uri, "digest": { "sha256": digest.hex() } }));
    let builds = records.iter().map(
        |record| json!({ "name": record.platform.to_string(), "digest": { "sha256": record.digest.hex() } }),
    );
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "cell": cell.id,
                "event": plan.event.to_string(),
                "source": own,
                "version": cell.version,
                "platforms": records.iter().map(|record| record.platform.to_string()).collect::<Vec<_>>(),
            },
            "internalParameters": { "plan": plan.id, "revision": plan.revision },
            "resolvedDependencies": own.iter().cloned().chain(upstream).chain(bases).collect::<Vec<_>>(),
        },
        "runDetails": {
            "builder": { "id": builder(environment) },
            "metadata": {
                "invocationId": environment.job(),
                "startedOn": records.iter().map(|record| &record.started).min(),
                "finishedOn": records.iter().map(|record| &record.finished).max(),
            },
            "byproducts": builds.collect::<Vec<_>>(),
        },
    })
}

/// Whether a statement is about this cell and the code of this plan.
pub fn fits(predicate: &Value, plan: &Plan, cell: &Cell) -> bool {
    let text = |pointer: &str| predicate.pointer(pointer).and_then(Value::as_str);
    text("/buildDefinition/externalParameters/cell") == Some(cell.id.as_str())
        && text("/buildDefinition/internalParameters/plan") == Some(plan.id.as_str())
}

/// Whether a statement is about the cell and the code that an index bears in its annotations.
pub fn is_about(predicate: &Value, annotations: &BTreeMap<String, String>) -> bool {
    let text = |pointer: &str| predicate.pointer(pointer).and_then(Value::as_str);
    let annotation = |key: &str| annotations.get(key).map(String::as_str);
    text("/buildDefinition/externalParameters/cell") == annotation(ANNOTATION_CELL)
        && text("/buildDefinition/internalParameters/revision") == annotation(ANNOTATION_REVISION)
}

/// Who says that it has published, in a statement of this tool.
pub fn builder_of(predicate: &Value) -> Option<&str> {
    let kind = predicate.pointer("/buildDefinition/buildType").and_then(Value::as_str);
    kind.filter(|kind| *kind == BUILD_TYPE)?;
    predicate.pointer("/runDetails/builder/id").and_then(Value::as_str)
}

/// As SPDX writes the address of a git repository.
fn address_at(address: &str, name: Option<&str>) -> String {
    let at = name.map(|name| format!("@{name}")).unwrap_or_default();
    format!("git+{address}{at}")
}

/// The workflow that runs, else a machine of which nothing is known.
fn builder(environment: &Environment) -> String {
    let workflow = environment.get("GITHUB_SERVER_URL").zip(environment.get("GITHUB_WORKFLOW_REF"));
    workflow.map_or_else(
        || "urn:io.xtask:builder:local".to_owned(),
        |(server, workflow)| format!("{server}/{workflow}"),
    )
}
