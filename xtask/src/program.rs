//! Parse, find the checkout, dispatch, exit code. The only reader of the process's environment.

use anyhow::Result;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use crate::base::context::{Context, Layout};
use crate::base::error;
use crate::base::ui::Ui;
use crate::cli;
use crate::commands::{
    build, doctor, gc, hold, local, merge, plan, policy, quickstart, release, report, rollback, schema,
    update, verify,
};
#[cfg(feature = "standalone")]
use crate::commands::{ci, completions, init, man};
use crate::reuse::PublishedImages;
use crate::run::{Runner, Signals};
use crate::session::Session;

/// Runs the program that was typed: what `main` of a repository's `xtask` returns.
#[must_use]
pub fn main() -> ExitCode {
    let context = Context::from_process();
    let ui = context.as_ref().map(|context| Ui::of(&context.environment)).unwrap_or_default();
    // Cargo tells what it runs where it is; the installed program is called by its own name.
    let by_cargo = context.as_ref().is_ok_and(|context| context.environment.get("CARGO").is_some());
    let cli = match cli::parse(by_cargo) {
        Ok(cli) => cli,
        // In a job, a value may come from whoever has started it by hand.
        Err(error) if ui.is_obeyed() && error.use_stderr() => {
            ui.note(error.to_string());
            return ExitCode::from(error::Exit::Invalid.code());
        }
        // clap prints its own message, and exits with 2.
        Err(error) => error.exit(),
    };
    match context.and_then(|context| run(cli, context, ui)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui.note(error::report(&error));
            ExitCode::from(error::exit_code(&error).code())
        }
    }
}

fn run(cli: cli::Cli, context: Context, ui: Ui) -> Result<()> {
    // An editor may ask before there is a matrix.
    if let cli::Command::Schema { plan } = cli.command {
        schema::run(ui, if plan { schema::Options::Plan } else { schema::Options::Matrix });
        return Ok(());
    }
    #[cfg(feature = "standalone")]
    match cli.command {
        cli::Command::Completions(args) => return completions::run(ui, cli::command(false), &args.into()),
        cli::Command::Man(args) => {
            return man::run(ui, cli::command(false), &context.current.join(args.folder));
        }
        _ => {}
    }
    let began = Instant::now();
    let found = Layout::find(&context.current, cli.matrix.as_deref());
    let mut layout = match &cli.command {
        // Who is told whom to trust needs no matrix.
        cli::Command::Verify(args) if args.key.is_some() || args.identity.is_some() => {
            found.unwrap_or_else(|_| Layout::without_matrix(&context.current))
        }
        #[cfg(feature = "standalone")]
        cli::Command::Init(args) => Layout::without_matrix(&context.current.join(&args.folder)),
        _ => found?,
    };
    layout.stack = context.environment.get("XTASK_LOCAL").map(|folder| context.current.join(folder));
    let runner = Runner::new(Signals::listen()?).with_limit(context.environment.call_limit()?).with_ui(ui);
    let mut session = Session::new(context, layout, runner, ui);
    session.comparison = Some(Arc::new(PublishedImages::new(&session)));
    let result = dispatch(&session, cli.command);
    session.tools.finish();
    if cli.timings {
        ui.note(session.runner.usage().table(began.elapsed()));
    }
    if let (Err(error), Some(job)) = (&result, session.github()) {
        let annotations = error::annotations(error);
        if annotations.is_empty() {
            job.error("cargo xtask", &error::report(error));
        }
        job.annotations(&annotations, &session.layout.matrix);
    }
    result
}

fn dispatch(session: &Session, command: cli::Command) -> Result<()> {
    match command {
        cli::Command::Plan(args) => plan::run(session, &args.options()?),
        cli::Command::Build(args) => build::run(session, &args.options()?),
        cli::Command::Merge(args) => merge::run(session, &args.options()?),
        cli::Command::Verify(args) => verify::run(session, &args.options()?),
        cli::Command::Rollback(args) => rollback::run(session, &args.options()?),
        cli::Command::Hold(args) => hold::run(session, &args.options()?),
        cli::Command::Release(args) => release::run(session, &args.options()?),
        cli::Command::Policy(args) => policy::run(session, &args.into()),
        cli::Command::Gc(args) => gc::run(session, &args.into()),
        cli::Command::Report(args) => report::run(session, &args.options()?),
        cli::Command::Local(args) => local::run(session, args.into()),
        cli::Command::Quickstart => quickstart::run(session),
        cli::Command::Update(args) => update::run(session, args.into()),
        cli::Command::Doctor => doctor::run(session),
        #[cfg(feature = "standalone")]
        cli::Command::Ci { without_root } => ci::run(session, without_root),
        #[cfg(feature = "standalone")]
        cli::Command::Init(args) => init::run(session, &args.into()),
        #[cfg(feature = "standalone")]
        cli::Command::Completions(_) | cli::Command::Man(_) => Ok(()),
        cli::Command::Schema { .. } => Ok(()),
    }
}
