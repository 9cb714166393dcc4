//! `docker buildx bake`, for builds that stand on each other and push nothing.
//!
//! A needed image that is not pushed cannot be named by digest. Bake links it as
//! `target:NAME` instead, so that a change to the base is built into what stands on it.

use serde_json::{Map, Value, json};
use std::path::Path;

use crate::argv::Argv;
use crate::argv::buildx::{BuildSpec, Buildx};

/// The definition: one target per spec, in bake's JSON form.
///
/// Source: <https://docs.docker.com/build/bake/reference/>.
pub fn definition(specs: &[BuildSpec]) -> Value {
    let targets: Map<String, Value> =
        specs.iter().map(|spec| (target_name(&spec.name), target(spec))).collect();
    json!({ "target": targets })
}

/// The same with the first target turned into the stage that tests it, whose result is thrown away.
pub fn test_definition(specs: &[BuildSpec], stage: &str) -> Value {
    let mut definition = definition(specs);
    let name = specs.first().map(|spec| target_name(&spec.name)).unwrap_or_default();
    if let Some(target) = definition.pointer_mut(&format!("/target/{name}")).and_then(Value::as_object_mut) {
        target.insert("target".to_owned(), json!(stage));
        target.insert("output".to_owned(), json!(["type=cacheonly"]));
        target.insert("attest".to_owned(), json!(["type=provenance,disabled=true"]));
        target.insert("cache-to".to_owned(), json!([]));
    }
    definition
}

/// Bake's target names may not hold a dot.
pub fn target_name(name: &str) -> String {
    name.replace('.', "_")
}

fn target(spec: &BuildSpec) -> Value {
    let BuildSpec {
        name: _,
        context,
        dockerfile,
        target,
        platform,
        build_args,
        labels,
        annotations: _,
        index_annotations: _,
        contexts,
        hosts,
        options,
        repositories: _,
        push: _,
    } = spec;
    let map = |pairs: &[(String, String)]| -> Map<String, Value> {
        pairs.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect()
    };
    let contexts: Map<String, Value> =
        contexts.iter().map(|(context, source)| (context.clone(), Value::String(source.value()))).collect();
    let mut found = literal(json!({
        "context": context,
        // A relative Dockerfile would be looked for below the context.
        "dockerfile": dockerfile,
        "target": target,
        "platforms": [platform],
        "args": map(build_args),
        "labels": map(labels),
        "annotations": spec.annotation_list(),
        "contexts": contexts,
        "secret": options.secrets,
        "ssh": options.ssh,
        "cache-from": options.cache_from,
        "cache-to": options.cache_to,
        "attest": options.attest,
        "output": [spec.output()],
    }));
    // Older versions do not know the field.
    if let (false, Some(fields)) = (hosts.is_empty(), found.as_object_mut()) {
        let pairs = hosts.iter().filter_map(|host| host.split_once(':'));
        fields
            .insert("extra-hosts".to_owned(), pairs.map(|(name, at)| (name.to_owned(), json!(at))).collect());
    }
    found
}

/// Bake expands `${…}` and `%{…}` in every string; what we give is meant as it is.
///
/// Source: <https://github.com/hashicorp/hcl/blob/main/json/spec.md>, expressions.
fn literal(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${", "$${").replace("%{", "%%{")),
        Value::Array(values) => values.into_iter().map(literal).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, literal(value))).collect(),
        other => other,
    }
}

/// One call that builds `targets` of the definition in `file`.
pub fn bake(buildx: &Buildx, purpose: &str, file: &Path, targets: &[String], metadata: &Path) -> Argv {
    buildx
        .argv(purpose)
        .arg("bake")
        .args(buildx.builder_args())
        // What the matrix names may be read: it is the user's own file.
        .args(["--allow", "fs.read=*", "--allow", "ssh", "--progress", "plain", "--metadata-file"])
        .path(metadata)
        .arg("--file")
        .path(file)
        .args(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::argv::buildx::{NamedContext, tests::spec};

    #[test]
    fn a_linked_target_is_named_in_the_contexts() {
        let mut spec = spec();
        spec.contexts = vec![("base".into(), NamedContext::Target(target_name("base.arm64")))];
        spec.build_args = vec![("PRICE".into(), "${HOME}".into())];
        spec.annotations = vec![("share".into(), "100%{x}".into())];
        let definition = definition(&[spec]);
        let target = &definition["target"]["app_tag_pinned_arm64"];
        assert_eq!(target["contexts"]["base"], "target:base_arm64");
        assert_eq!(target["args"]["PRICE"], "$${HOME}");
        assert_eq!(target["annotations"][0], "manifest:share=100%%{x}");
        assert_eq!(target["platforms"], json!(["linux/arm64"]));
    }

    #[test]
    fn a_test_leaves_nothing_behind() {
        let mut base = spec();
        base.name = "base.arm64".into();
        let (specs, names) = ([spec(), base], ["app_tag_pinned_arm64", "base_arm64"]);
        let [built, tested] = [definition(&specs), test_definition(&specs, "test")];
        let [app, base] = names.map(|name| &tested["target"][name]);
        assert_eq!((&app["target"], &app["output"]), (&json!("test"), &json!(["type=cacheonly"])));
        assert_eq!(app["args"], built["target"][names[0]]["args"]);
        assert_eq!(*base, built["target"][names[1]]);
    }
}
