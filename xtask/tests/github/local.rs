//! Actions with an `action.yml`: composite ones, and those of `node`.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax>

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_yaml_ng::Value as Yaml;

use super::availability::Key;
use super::document::{Action, Step};
use super::fields::Fields;
use super::machine::Machine;
use super::report::Outcome;
use super::steps::{Acted, Doing, Frame};
use super::template::{check, condition, expand, expand_text};
use super::value::Value;

/// `CompositeActionsMaxDepth` of actions/runner.
const DEPTH: usize = 9;

/// What an action does when its job ends.
#[derive(Debug, Clone)]
pub struct Post {
    argv: Vec<String>,
    condition: Option<String>,
    env: BTreeMap<String, String>,
    step: Step,
}

/// `action.yml`.
struct Metadata {
    inputs: Vec<(String, Input)>,
    outputs: Vec<(String, Option<Yaml>)>,
    runs: Runs,
}

struct Input {
    required: bool,
    default: Option<String>,
}

enum Runs {
    Composite(Vec<Step>),
    Node { main: String, post: Option<String>, post_if: Option<String> },
}

impl Metadata {
    fn read(folder: &Path) -> Result<Self, String> {
        let text =
            ["action.yml", "action.yaml"].iter().find_map(|name| fs::read_to_string(folder.join(name)).ok());
        let text = text.ok_or_else(|| {
            format!(
                "Can't find 'action.yml', 'action.yaml' or 'Dockerfile' under '{}'. Did you forget to run actions/checkout \
                 before running your local action?",
                folder.display()
            )
        })?;
        let yaml: Yaml =
            serde_yaml_ng::from_str(&text).map_err(|error| format!("{}: {error}", folder.display()))?;
        let known = ["name", "description", "author", "branding", "inputs", "outputs", "runs"];
        let fields = Fields::new("action.yml", &yaml, &known, &[])?;
        let input = |(name, yaml): (String, &Yaml)| {
            let known = ["description", "required", "default", "deprecationMessage"];
            let fields = Fields::new(&format!("inputs.{name}"), yaml, &known, &[])?;
            let default = fields.text("default")?;
            expand_check(default.as_deref(), Key::ActionDefault)?;
            Ok((name, Input { required: fields.flag("required")?, default }))
        };
        let output = |(name, yaml): (String, &Yaml)| {
            let fields = Fields::new(&format!("outputs.{name}"), yaml, &["description", "value"], &[])?;
            let value = fields.get("value").cloned();
            value.as_ref().map(|value| check(value, Key::ActionOutput, &mut |_| {})).transpose()?;
            Ok((name, value))
        };
        Ok(Self {
            inputs: fields.entries("inputs")?.into_iter().map(input).collect::<Result<_, String>>()?,
            outputs: fields.entries("outputs")?.into_iter().map(output).collect::<Result<_, String>>()?,
            runs: Runs::read(fields.need("runs")?)?,
        })
    }
}

fn expand_check(text: Option<&str>, key: Key) -> Result<(), String> {
    text.map_or(Ok(()), |text| check(&Yaml::String(text.to_owned()), key, &mut |_| {}))
}

impl Runs {
    fn read(yaml: &Yaml) -> Result<Self, String> {
        let known = ["using", "steps", "main", "post", "post-if"];
        let fields = Fields::new("runs", yaml, &known, &["pre", "pre-if", "image", "plugin"])?;
        match fields.text("using")?.as_deref() {
            Some("composite") => {
                let steps =
                    fields.need("steps")?.as_sequence().ok_or("runs.steps: A sequence was expected")?;
                let steps = Step::list("runs.steps", steps, false)?;
                steps.iter().try_for_each(check_step)?;
                Ok(Self::Composite(steps))
            }
            Some("node20" | "node24") => Ok(Self::Node {
                main: fields.need("main").map(|_| fields.text("main"))??.unwrap_or_default(),
                post: fields.text("post")?,
                post_if: fields.text("post-if")?,
            }),
            other => Err(format!("'using: {}' is not supported or not modelled", other.unwrap_or_default())),
        }
    }
}

fn check_step(step: &Step) -> Result<(), String> {
    let all = |list: &[(String, Yaml)]| {
        list.iter().try_for_each(|(_, yaml)| check(yaml, Key::ActionStep, &mut |_| {}))
    };
    if let Some(text) = &step.condition {
        condition(text, Key::ActionStepIf)?;
    }
    all(&step.env)?;
    for yaml in [&step.name, &step.continue_on_error].into_iter().flatten() {
        check(yaml, Key::ActionStep, &mut |_| {})?;
    }
    match &step.action {
        Action::Uses { with, .. } => all(with),
        Action::Run { script, shell, directory } => {
            let texts = [Some(script), shell.as_ref(), directory.as_ref()];
            texts.into_iter().flatten().try_for_each(|yaml| check(yaml, Key::ActionStep, &mut |_| {}))
        }
    }
}

impl Machine<'_> {
    /// Runs the action of a folder.
    pub fn local(&mut self, doing: &Doing<'_>, folder: &Path, given: &[(String, String)]) -> Acted {
        let metadata = match Metadata::read(folder) {
            Ok(metadata) => metadata,
            Err(problem) => return Acted::failed(problem),
        };
        let inputs = match inputs(&metadata, given, doing) {
            Ok(inputs) => inputs,
            Err(problem) => return Acted::failed(problem),
        };
        match &metadata.runs {
            Runs::Composite(steps) => self.composite(doing, folder, steps, &metadata.outputs, &inputs),
            Runs::Node { main, post, post_if } => {
                let mut env = doing.env.clone();
                for (name, value) in &inputs {
                    env.insert(format!("INPUT_{}", name.replace(' ', "_").to_uppercase()), value.clone());
                }
                env.extend(self.task.attempt.world.settings.runtime.iter().cloned());
                self.add_identity(&mut env);
                let argv = |script: &str| vec![node(), folder.join(script).display().to_string()];
                let (mut acted, state) = self.process(doing, argv(main), self.workspace.clone(), env.clone());
                let declared = |name: &String| {
                    metadata.outputs.is_empty() || metadata.outputs.iter().any(|(known, _)| known == name)
                };
                acted.outputs.retain(|name, _| declared(name));
                if let Some(post) = post {
                    env.extend(state.into_iter().map(|(name, value)| (format!("STATE_{name}"), value)));
                    let (argv, condition) = (argv(post), post_if.clone());
                    self.posts.push(Post { argv, condition, env, step: doing.step.clone() });
                }
                acted
            }
        }
    }

    fn composite(
        &mut self,
        doing: &Doing<'_>,
        folder: &Path,
        steps: &[Step],
        outputs: &[(String, Option<Yaml>)],
        inputs: &[(String, String)],
    ) -> Acted {
        if doing.frame.depth >= DEPTH {
            return Acted::failed(format!("Composite action depth exceeded max depth {DEPTH}"));
        }
        let inputs = inputs.iter().map(|(name, value)| (name.as_str(), Value::text(value.as_str())));
        let frame = Frame {
            inputs: Some(Value::object(inputs)),
            action: Some(folder.to_owned()),
            env: doing.env.clone(),
            deadline: doing.deadline,
            spared: doing.spared,
            depth: doing.frame.depth + 1,
        };
        let done = self.sequence(steps, &frame);
        let mut acted = Acted { outcome: done.outcome, ..Acted::default() };
        for (name, value) in outputs {
            let Some(value) = value else { continue };
            match expand(value, Key::ActionOutput, &self.scope(&frame, &done.context)) {
                Ok(value) => drop(acted.outputs.insert(name.clone(), value.to_text())),
                Err(problem) => return Acted::failed(format!("outputs.{name}: {problem}")),
            }
        }
        acted
    }

    /// What an action does when its job ends.
    pub fn post(&mut self, post: &Post) {
        let frame = Frame::job();
        let workspace: PathBuf = self.workspace.clone();
        let mut scope = self.scope(&frame, &[]);
        scope.status.success = self.status == Outcome::Success;
        scope.status.failure = self.status == Outcome::Failure;
        scope.status.cancelled = self.status == Outcome::Cancelled;
        let holds = match &post.condition {
            None => Ok(true),
            Some(text) => condition(text, Key::StepIf)
                .and_then(|condition| super::template::holds(Some(&condition), &scope)),
        };
        if !holds.unwrap_or(false) {
            return;
        }
        let scope = super::expression::Scope {
            contexts: scope.contexts,
            status: scope.status,
            workspace: Some(&workspace),
        };
        let names = vec!["post"];
        let doing = Doing {
            step: &post.step,
            names,
            frame: &frame,
            scope,
            env: BTreeMap::new(),
            deadline: None,
            spared: true,
        };
        let (acted, _) = self.process(&doing, post.argv.clone(), workspace.clone(), post.env.clone());
        if let Some(error) = &acted.error {
            self.annotate("error", error);
            self.status = Outcome::Failure;
        }
    }
}

/// The inputs of an action: what it does not know is refused, which on GitHub is a warning that nobody reads.
fn inputs(
    metadata: &Metadata,
    given: &[(String, String)],
    doing: &Doing<'_>,
) -> Result<Vec<(String, String)>, String> {
    let same = |one: &str, two: &str| one.eq_ignore_ascii_case(two);
    if let Some((name, _)) =
        given.iter().find(|(name, _)| !metadata.inputs.iter().any(|(known, _)| same(known, name)))
    {
        let known: Vec<&str> = metadata.inputs.iter().map(|(name, _)| name.as_str()).collect();
        return Err(format!("Unexpected input(s) '{name}', valid inputs are {known:?}"));
    }
    let mut found = Vec::new();
    for (name, input) in &metadata.inputs {
        let value = given.iter().find(|(given, _)| same(given, name)).map(|(_, value)| value.clone());
        let value = match (value, &input.default) {
            (Some(value), _) => value,
            (None, Some(default)) => expand_text(default, Key::ActionDefault, &doing.scope)?.to_text(),
            (None, None) if input.required => return Err(format!("Input required and not supplied: {name}")),
            (None, None) => String::new(),
        };
        found.push((name.clone(), value));
    }
    Ok(found)
}

/// What a runner has for actions in JavaScript, whatever the `PATH` of steps is: the one that `cargo xtask ci` installs, else that of
/// the machine.
fn node() -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/node");
    if own.is_file() { own.display().to_string() } else { "node".to_owned() }
}
