//! What happens to the repository, and starts runs.

use serde_json::{Value as Json, json};

/// An event. `repository` and the commits are added to its payload when a run starts.
#[derive(Debug, Clone)]
pub struct Event {
    name: &'static str,
    git_ref: String,
    /// `None`: what the ref is when the run starts.
    sha: Option<String>,
    payload: Json,
    pub(super) actor: String,
    pub(super) fork: bool,
    /// The branch that a pull request brings.
    pub(super) head: Option<String>,
}

impl Event {
    fn new(name: &'static str, git_ref: String, payload: Json) -> Self {
        Self { name, git_ref, sha: None, payload, actor: "octocat".to_owned(), fork: false, head: None }
    }

    /// A push to a branch.
    pub fn push(branch: &str) -> Self {
        let git_ref = format!("refs/heads/{branch}");
        Self::new("push", git_ref.clone(), json!({ "ref": git_ref, "created": false, "deleted": false }))
    }

    /// A push of a tag.
    pub fn tag(name: &str) -> Self {
        let git_ref = format!("refs/tags/{name}");
        Self::new("push", git_ref.clone(), json!({ "ref": git_ref, "created": true, "deleted": false }))
    }

    /// Pull request `number`, which wants to bring the branch `head` into `base`; the action is `opened`.
    pub fn pull_request(number: u32, head: &str, base: &str) -> Self {
        let payload = json!({ "action": "opened", "number": number, "pull_request": {
            "number": number, "draft": false, "merged": false,
            "head": { "ref": head }, "base": { "ref": base }
        } });
        let mut event = Self::new("pull_request", format!("refs/pull/{number}/merge"), payload);
        event.head = Some(head.to_owned());
        event
    }

    /// The pull request comes from a fork: no secrets, no variables, a token that may only read.
    pub fn of_a_fork(mut self) -> Self {
        self.fork = true;
        self
    }

    /// The time of a line of `schedule`; its run is one of the default branch.
    pub fn schedule(cron: &str, default_branch: &str) -> Self {
        Self::new("schedule", format!("refs/heads/{default_branch}"), json!({ "schedule": cron }))
    }

    /// The form, filled in on a branch.
    pub fn dispatch(branch: &str, inputs: &[(&str, &str)]) -> Self {
        let git_ref = format!("refs/heads/{branch}");
        let inputs: Json =
            inputs.iter().map(|(name, value)| ((*name).to_owned(), Json::from(*value))).collect();
        Self::new("workflow_dispatch", git_ref.clone(), json!({ "ref": git_ref, "inputs": inputs }))
    }

    /// A release of a tag was `published`.
    pub fn release(tag: &str) -> Self {
        let release = json!({ "tag_name": tag, "name": tag, "draft": false, "prerelease": false });
        Self::new("release", format!("refs/tags/{tag}"), json!({ "action": "published", "release": release }))
    }

    /// Another `action` of a pull request or release, e.g. `closed`.
    pub fn with_action(mut self, action: &str) -> Self {
        self.payload["action"] = Json::from(action);
        self
    }

    /// The event is one of this commit, wherever its ref is now.
    pub fn at(mut self, sha: &str) -> Self {
        self.sha = Some(sha.to_owned());
        self
    }

    pub fn by(mut self, actor: &str) -> Self {
        self.actor = actor.to_owned();
        self
    }

    /// More of the payload: what is named takes the place of what is there.
    pub fn with_payload(mut self, more: &Json) -> Self {
        merge(&mut self.payload, more);
        self
    }

    pub fn name(&self) -> &str {
        self.name
    }

    pub fn git_ref(&self) -> &str {
        &self.git_ref
    }

    pub fn action(&self) -> Option<&str> {
        self.payload["action"].as_str()
    }

    pub fn base(&self) -> &str {
        self.payload["pull_request"]["base"]["ref"].as_str().unwrap_or_default()
    }

    pub fn cron(&self) -> Option<&str> {
        self.payload["schedule"].as_str()
    }

    pub fn sha(&self) -> Option<&str> {
        self.sha.as_deref()
    }

    pub fn input(&self, name: &str) -> Option<&str> {
        self.payload["inputs"][name].as_str()
    }

    pub fn inputs(&self) -> Vec<&String> {
        self.payload["inputs"].as_object().map(|inputs| inputs.keys().collect()).unwrap_or_default()
    }

    /// The whole payload: with the repository and what is known of the commits.
    pub fn payload(&self, repository: &Json, sha: &str, head: Option<&str>, base: Option<&str>) -> Json {
        let mut payload = json!({
            "repository": repository,
            "sender": { "login": self.actor, "type": "User" }
        });
        if self.name == "push" {
            payload["after"] = Json::from(sha);
            payload["before"] = Json::from("0".repeat(40));
            payload["head_commit"] = json!({ "id": sha });
        }
        if let (Some(head), Some(base)) = (head, base) {
            let mut from = repository.clone();
            if self.fork {
                let name = repository["name"].as_str().unwrap_or_default();
                from["full_name"] = Json::from(format!("{}/{name}", self.actor));
                from["owner"]["login"] = Json::from(self.actor.as_str());
            }
            from["fork"] = Json::from(self.fork);
            payload["pull_request"] = json!({
                "head": { "sha": head, "repo": from }, "base": { "sha": base, "repo": repository },
                "user": { "login": self.actor }
            });
        }
        merge(&mut payload, &self.payload);
        payload
    }
}

fn merge(into: &mut Json, more: &Json) {
    match (into, more) {
        (Json::Object(into), Json::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.as_str()).or_insert(Json::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}
