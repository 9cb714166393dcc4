//! Which contexts and functions an expression may use where it stands: the table "Context availability" of
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts> and, for actions, `action_yaml.json` of
//! actions/runner.

/// The place of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    RunName,
    Concurrency,
    WorkflowEnv,
    JobConcurrency,
    JobContinue,
    JobDefaults,
    JobEnv,
    JobIf,
    JobName,
    JobOutput,
    JobSecret,
    JobTimeout,
    JobWith,
    RunsOn,
    Strategy,
    Step,
    StepIf,
    CallDefault,
    CallOutput,
    ActionDefault,
    ActionOutput,
    ActionStep,
    ActionStepIf,
}

const JOB: &[&str] = &["github", "needs", "strategy", "matrix", "inputs", "vars"];
const STEP: &[&str] =
    &["github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "secrets", "steps", "inputs"];
const ACTION: &[&str] = &["github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env"];

impl Key {
    pub fn contexts(self) -> &'static [&'static str] {
        match self {
            Self::RunName | Self::Concurrency | Self::CallDefault => &["github", "inputs", "vars"],
            Self::WorkflowEnv => &["github", "secrets", "inputs", "vars"],
            Self::JobConcurrency
            | Self::JobContinue
            | Self::JobName
            | Self::JobTimeout
            | Self::JobWith
            | Self::RunsOn => JOB,
            Self::JobDefaults => &["github", "needs", "strategy", "matrix", "env", "vars", "inputs"],
            Self::JobEnv | Self::JobSecret => {
                &["github", "needs", "strategy", "matrix", "vars", "secrets", "inputs"]
            }
            Self::JobIf | Self::Strategy => &["github", "needs", "vars", "inputs"],
            Self::JobOutput | Self::Step => STEP,
            Self::StepIf => {
                &["github", "needs", "strategy", "matrix", "job", "runner", "env", "vars", "steps", "inputs"]
            }
            Self::CallOutput => &["github", "jobs", "vars", "inputs"],
            Self::ActionDefault => &["github", "strategy", "matrix", "job", "runner"],
            Self::ActionOutput | Self::ActionStep | Self::ActionStepIf => ACTION,
        }
    }

    /// Whether `success()` and its like are known.
    pub fn is_condition(self) -> bool {
        matches!(self, Self::JobIf | Self::StepIf | Self::ActionStepIf)
    }

    /// Whether `hashFiles()` is: there is a machine.
    pub fn has_files(self) -> bool {
        matches!(
            self,
            Self::Step | Self::StepIf | Self::ActionDefault | Self::ActionStep | Self::ActionStepIf
        )
    }
}
