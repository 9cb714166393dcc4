//! The contexts of a run: `github`, `vars`, `inputs`.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#github-context>

use std::collections::BTreeMap;

use serde_json::json;

use super::document::Workflow;
use super::expression::Scope;
use super::service::Attempt;
use super::value::Value;

/// Contexts by name.
pub type Contexts = BTreeMap<&'static str, Value>;

/// What a run begins with; an error: what was typed into the form is wrong.
pub fn of_run(attempt: &Attempt, workflow: &Workflow) -> Result<Contexts, String> {
    let settings = &attempt.world.settings;
    let event = &attempt.event;
    let git_ref = event.git_ref();
    let short =
        ["refs/heads/", "refs/tags/", "refs/pull/"].iter().find_map(|part| git_ref.strip_prefix(part));
    let owner = settings.repository.split('/').next().unwrap_or_default();
    let github = json!({
        "token": settings.token,
        "event": attempt.payload,
        "event_name": event.name(),
        "sha": attempt.sha,
        "ref": git_ref,
        "ref_name": short.unwrap_or(git_ref),
        "ref_type": if git_ref.starts_with("refs/tags/") { "tag" } else { "branch" },
        "ref_protected": "false",
        "head_ref": event.head.as_deref().unwrap_or_default(),
        "base_ref": event.base(),
        "repository": settings.repository,
        "repository_id": "1",
        "repository_owner": owner,
        "repository_owner_id": "2",
        "repository_visibility": if settings.private { "private" } else { "public" },
        "repositoryUrl": format!("git://github.com/{}.git", settings.repository),
        "actor": event.actor,
        "actor_id": "3",
        "triggering_actor": event.actor,
        "run_id": attempt.id.to_string(),
        "run_number": "1",
        "run_attempt": attempt.attempt.to_string(),
        "retention_days": settings.retention.to_string(),
        "workflow": workflow.name,
        "workflow_ref": format!("{}/{}@{git_ref}", settings.repository, attempt.path),
        "workflow_sha": attempt.sha,
        "server_url": "https://github.com",
        "api_url": "https://api.github.com",
        "graphql_url": "https://api.github.com/graphql",
        "secret_source": if event.fork { "None" } else { "Actions" },
    });
    // Nothing of the settings reaches a pull request of a fork; of variables that is told in cilium/cilium#23169 only.
    let vars = if event.fork { &BTreeMap::new() } else { &settings.vars };
    let inputs = match &workflow.on.dispatch {
        Some(inputs) if event.name() == "workflow_dispatch" => {
            if let Some(name) =
                event.inputs().into_iter().find(|name| !inputs.iter().any(|(known, _)| known == *name))
            {
                return Err(format!("Unexpected inputs provided: [\"{name}\"]"));
            }
            let value = |(name, input): &(String, super::triggers::Input)| {
                Ok::<_, String>((name.clone(), input.of_form(name, event.input(name))?))
            };
            Value::object(inputs.iter().map(value).collect::<Result<Vec<_>, _>>()?)
        }
        _ => Value::object::<String>([]),
    };
    Ok([("github", Value::from(&github)), ("vars", Value::texts(vars)), ("inputs", inputs)].into())
}

pub fn scope(contexts: &Contexts) -> Scope<'static> {
    Scope { contexts: contexts.clone(), ..Scope::default() }
}

/// A context with more in it.
pub fn with(context: Option<&Value>, more: Vec<(&str, Value)>) -> Value {
    let mut entries: Vec<(String, Value)> = match context {
        Some(Value::Object(object)) => object.entries.clone(),
        _ => Vec::new(),
    };
    for (key, value) in more {
        entries.retain(|(name, _)| name != key);
        entries.push((key.to_owned(), value));
    }
    Value::object(entries)
}
