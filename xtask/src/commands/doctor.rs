//! `cargo xtask doctor`: what is here, what is missing, how to mend it.

use anyhow::Result;

use crate::base::error::UserError;
use crate::base::parallel;
use crate::base::ui::columns;
use crate::local::engine;
use crate::matrix::{Matrix, SignSection};
use crate::scaffold::changes;
use crate::scaffold::templates;
use crate::scaffold::update::{self, State};
use crate::session::Session;
use crate::tools::{Origin, Tool};

/// One finding.
struct Finding {
    what: String,
    /// `ok`, `note` or `FAIL`.
    state: &'static str,
    detail: String,
    mend: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// If something that every build needs is missing.
pub fn run(session: &Session) -> Result<()> {
    let go = session.context.environment.program("go").is_some();
    let tools: Vec<Tool> = Tool::ALL.into_iter().filter(|tool| !tool.is_rare()).collect();
    let (found, docker) = parallel::join(
        || parallel::map(&tools, tools.len(), |tool| tool_finding(session, *tool, go)),
        || docker(session),
    );
    let mut findings = vec![matrix(session)];
    findings.extend(workflows(session)?);
    for finding in found.into_iter().chain([docker, local(session)]) {
        findings.push(finding?);
    }
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| vec![finding.state.to_owned(), finding.what.clone(), finding.detail.clone()])
        .collect();
    session.ui.out(columns(&rows));
    for finding in &findings {
        if let Some(mend) = &finding.mend {
            session.ui.out(format!("help: {}: {mend}", finding.what));
        }
    }
    match findings.iter().filter(|finding| finding.state == "FAIL").count() {
        0 => Ok(()),
        1 => Err(UserError::failed("1 finding needs mending").into()),
        more => Err(UserError::failed(format!("{more} findings need mending")).into()),
    }
}

fn matrix(session: &Session) -> Finding {
    let what = "matrix.toml".to_owned();
    match session.matrix() {
        Ok(Matrix { sign: SignSection::None { reason }, .. }) => {
            let detail = format!("its images are NOT SIGNED: {reason}");
            Finding { what, state: "note", detail, mend: None }
        }
        Ok(matrix) => {
            let count =
                |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
            let detail = format!(
                "{}, {}",
                count(matrix.images.len(), "image"),
                count(matrix.platforms.len(), "platform")
            );
            Finding { what, state: "ok", detail, mend: None }
        }
        Err(_) => Finding {
            what,
            state: "FAIL",
            detail: "invalid".to_owned(),
            mend: Some("`cargo xtask plan` lists every error".to_owned()),
        },
    }
}

/// Whether the workflow files are those of this version. None: there are none, so that something else builds here.
fn workflows(session: &Session) -> Result<Option<Finding>> {
    let root = update::top(&session.layout.workspace, &session.runner)?;
    let state = |template: &templates::Template| {
        let text = changes::read(&root, template.path)?;
        Ok((template.path, State::of(*template, text.as_deref())))
    };
    let states = templates::ALL.iter().map(state).collect::<Result<Vec<_>>>()?;
    if states.iter().all(|(_, state)| matches!(state, State::Missing | State::Foreign)) {
        return Ok(None);
    }
    let in_state = |state: State| states.iter().filter(|(_, found)| *found == state).count();
    let old = in_state(State::Missing) + in_state(State::Outdated);
    let what = "workflow files".to_owned();
    if in_state(State::Undecided) > 0 {
        let detail = "conflict markers are left, or the comments around the triggers are gone".to_owned();
        let mend = Some("`cargo xtask update` says in which file".to_owned());
        return Ok(Some(Finding { what, state: "FAIL", detail, mend }));
    }
    Ok(Some(match (old, in_state(State::Edited)) {
        (0, 0) => Finding { what, state: "ok", detail: "match this version".to_owned(), mend: None },
        (0, edited) => {
            let detail = format!("match this version, with changes of this repository in {edited}");
            Finding { what, state: "ok", detail, mend: None }
        }
        (old, _) => Finding {
            what,
            state: "note",
            detail: format!("{old} of {} do not match this version", states.len()),
            mend: Some("`cargo xtask update` shows what would change".to_owned()),
        },
    }))
}

fn tool_finding(session: &Session, tool: Tool, go: bool) -> Result<Finding> {
    let what = tool.binary().to_owned();
    let pinned =
        tool.pinned(&session.layout).map_or_else(|_| "nothing".to_owned(), |version| version.to_string());
    if let Some(found) = session.tools.look(tool)? {
        let origin = match found.origin {
            Origin::Path => "on PATH",
            Origin::Plugin => "as a plugin of docker",
            Origin::Built => "built here",
        };
        let detail = format!("{} {origin} (minimum {}, pinned {pinned})", found.version, tool.minimum());
        return Ok(Finding { what, state: "ok", detail, mend: None });
    }
    let old: Vec<String> = session
        .tools
        .offered(tool)?
        .into_iter()
        .filter_map(|(_, version)| version)
        .map(|v| v.to_string())
        .collect();
    let found =
        if old.is_empty() { "not found".to_owned() } else { format!("{} is too old", old.join(", ")) };
    let detail = format!("{found} (minimum {}, pinned {pinned})", tool.minimum());
    if go {
        let mend = format!("nothing to do: {pinned} is built from its sources when it is needed");
        return Ok(Finding { what, state: "note", detail, mend: Some(mend) });
    }
    let needed = matches!(tool, Tool::Buildx | Tool::Cosign);
    let mend = "install it, or install Go (https://go.dev/doc/install): it is built from its sources then"
        .to_owned();
    Ok(Finding { what, state: if needed { "FAIL" } else { "note" }, detail, mend: Some(mend) })
}

fn docker(session: &Session) -> Result<Finding> {
    let what = "docker engine".to_owned();
    Ok(match engine::usable(&session.context.environment, &session.runner, session.ui, &[])? {
        Ok(()) => Finding { what, state: "ok", detail: "answers".to_owned(), mend: None },
        Err(None) => Finding {
            what,
            state: "note",
            detail: "no docker CLI: the local stack runs as processes".to_owned(),
            mend: None,
        },
        Err(Some(trouble)) => Finding { what, state: "note", detail: trouble.what, mend: Some(trouble.mend) },
    })
}

fn local(session: &Session) -> Result<Finding> {
    let status = session.local().status()?;
    let detail = match status.mode {
        Some(mode) => format!("{} as {mode}", status.registry),
        None => format!("{}, not running", status.registry),
    };
    Ok(Finding {
        what: "local stack".to_owned(),
        state: if status.running { "ok" } else { "note" },
        detail,
        mend: None,
    })
}
