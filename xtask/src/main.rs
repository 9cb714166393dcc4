//! Parse, find the checkout, dispatch, exit code. The only reader of the process's environment.

mod cli;

use anyhow::Result;
use clap::Parser as _;
use std::process::ExitCode;
use std::time::Instant;

use xtask::base::context::{Context, Layout};
use xtask::base::error::{self, Fault};
use xtask::base::ui::Ui;
use xtask::commands::build;
use xtask::commands::ci;
use xtask::commands::doctor;
use xtask::commands::gc;
use xtask::commands::local;
use xtask::commands::merge;
use xtask::commands::plan;
use xtask::commands::policy;
use xtask::commands::quickstart;
use xtask::commands::report;
use xtask::commands::rollback;
use xtask::commands::schema;
use xtask::commands::verify;
use xtask::plan::filter::Filter;
use xtask::run::{Runner, Signals};
use xtask::session::Session;
use xtask::session::planning::{PlanOptions, To};

fn main() -> ExitCode {
    // A wrong option ends here: clap prints its own message and exits with 2.
    let cli = cli::Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Ui.note(error::report(&error));
            ExitCode::from(error::exit_code(&error).code())
        }
    }
}

fn run(cli: cli::Cli) -> Result<()> {
    // An editor may ask before there is a matrix.
    if let cli::Command::Schema { plan } = cli.command {
        schema::run(Ui, if plan { schema::Options::Plan } else { schema::Options::Matrix });
        return Ok(());
    }
    let began = Instant::now();
    let context = Context::from_process()?;
    let found = Layout::find(&context.current, cli.matrix.as_deref());
    let mut layout = match &cli.command {
        // Who is told whom to trust needs no matrix.
        cli::Command::Verify(args) if args.key.is_some() || args.identity.is_some() => {
            found.unwrap_or_else(|_| Layout::without_matrix(&context.current))
        }
        _ => found?,
    };
    layout.stack = context.environment.get("XTASK_LOCAL").map(|folder| context.current.join(folder));
    let runner = Runner::new(Signals::listen()?).with_limit(context.environment.call_limit()?);
    let session = Session::new(context, layout, runner, Ui);
    let result = dispatch(&session, cli.command);
    if cli.timings {
        Ui.note(session.runner.usage().table(began.elapsed()));
    }
    if let (Err(error), Some(job)) = (&result, session.github()) {
        let marks = error::marks(error);
        if marks.is_empty() {
            job.error("cargo xtask", &error::report(error));
        }
        job.marks(&marks, &session.layout.matrix);
    }
    result
}

fn dispatch(session: &Session, command: cli::Command) -> Result<()> {
    match command {
        cli::Command::Plan(args) => plan::run(session, &plan_options(args)?),
        cli::Command::Build(args) => build::run(session, &build_options(args)?),
        cli::Command::Merge(args) => merge::run(session, &merge_options(args)?),
        cli::Command::Verify(args) => verify::run(session, &verify_options(args)?),
        cli::Command::Rollback(args) => rollback::run(session, &rollback_options(args)?),
        cli::Command::Policy(args) => policy::run(session, &policy_options(args)?),
        cli::Command::Gc(args) => gc::run(session, &gc_options(args)?),
        cli::Command::Report(args) => report::run(session, &report_options(args)?),
        cli::Command::Local(args) => local::run(session, local_options(args)),
        cli::Command::Quickstart => quickstart::run(session),
        cli::Command::Doctor => doctor::run(session),
        cli::Command::Ci => ci::run(session),
        cli::Command::Schema { .. } => Ok(()),
    }
}

fn plan_options(args: cli::Plan) -> Result<plan::Options> {
    let cli::Plan { plan, cells, arch, json, explain, github, save } = args;
    let explain = explain.map(|id| id.parse()).transpose()?;
    // What another event would do is a question; what is built for this one stays current.
    let plan = PlanOptions { look: plan.event.is_some(), ..how(plan)? };
    Ok(plan::Options { plan, filter: filter(cells, arch)?, json, explain, github, save })
}

fn build_options(args: cli::Build) -> Result<build::Options> {
    let cli::Build { plan, cells, arch, emulate, no_push, dry_run, builder, digests, jobs } = args;
    Ok(build::Options {
        plan: how(plan)?,
        filter: filter(cells, arch)?,
        emulate,
        no_push,
        dry_run,
        builder,
        digests,
        jobs,
    })
}

fn merge_options(args: cli::Merge) -> Result<merge::Options> {
    let cli::Merge { plan, cells, dry_run, allow_downgrade, builder, digests, publications, jobs } = args;
    let (plan, filter) = (how(plan)?, filter(cells, Vec::new())?);
    Ok(merge::Options { plan, filter, dry_run, allow_downgrade, builder, digests, publications, jobs })
}

fn verify_options(args: cli::Verify) -> Result<verify::Options> {
    let cli::Verify { reference, plan, cells, key, identity, issuer, trusted_root, json, publications } =
        args;
    let identity = identity.zip(issuer);
    if let Some((identity, _)) = identity.as_ref().filter(|(text, _)| !xtask::matrix::anchored(text)) {
        return Err(Fault::invalid(format!(
            "--identity {identity}: it is not anchored, so it would match more than it says"
        ))
        .help("write '^…$', with alternatives in parentheses and without `(?`")
        .into());
    }
    let expected = key.map(verify::Expected::Key).or_else(|| {
        identity.map(|(identity, issuer)| verify::Expected::Identity { identity, issuer, trusted_root })
    });
    let (plan, filter) = (how(plan)?, filter(cells, Vec::new())?);
    Ok(verify::Options { plan, filter, reference, expected, json, publications })
}

fn rollback_options(args: cli::Rollback) -> Result<rollback::Options> {
    let cli::Rollback { cell, plan, dry_run, publications } = args;
    Ok(rollback::Options {
        plan: PlanOptions { look: true, ..how(plan)? },
        cell: cell.parse()?,
        dry_run,
        publications,
    })
}

fn gc_options(args: cli::Gc) -> Result<gc::Options> {
    let cli::Gc { to, image, older_than, delete } = args;
    let age = humantime::parse_duration(&older_than).map_err(|error| {
        Fault::invalid(format!("--older-than {older_than}: {error}")).help("e.g. 12h, 7d or 6months")
    })?;
    let images = image.iter().map(|name| name.parse()).collect::<Result<_>>()?;
    Ok(gc::Options { to: destination(to)?, images, older_than: age, delete })
}

fn policy_options(args: cli::Policy) -> Result<policy::Options> {
    // Exactly one of them is set.
    let cli::Policy { kyverno, policy_controller: _, to } = args;
    let controller = if kyverno { policy::Controller::Kyverno } else { policy::Controller::PolicyController };
    Ok(policy::Options { controller, to: destination(to)? })
}

fn report_options(args: cli::Report) -> Result<report::Options> {
    let cli::Report { plan, digests, publications } = args;
    Ok(report::Options { plan: how(plan)?, digests, publications })
}

fn local_options(args: cli::Local) -> local::Options {
    match args {
        cli::Local::Up => local::Options::Up,
        cli::Local::Down { purge } => local::Options::Down { purge },
        cli::Local::Status { json } => local::Options::Status { json },
    }
}

fn how(args: cli::PlanArgs) -> Result<PlanOptions> {
    let cli::PlanArgs { plan, to, fresh, set_version, event, allow_dirty } = args;
    let to = destination(to)?;
    let versions = set_version.iter().map(|text| {
        let (track, version) = text
            .split_once('=')
            .filter(|(_, version)| !version.is_empty() && !version.contains(char::is_whitespace))
            .ok_or_else(|| Fault::invalid(format!("--set-version {text}: expected TRACK=VERSION")))?;
        Ok((track.parse()?, version.to_owned()))
    });
    let pairs: Vec<(xtask::base::ids::Name, String)> = versions.collect::<Result<_>>()?;
    let distinct: std::collections::BTreeMap<_, _> = pairs.iter().cloned().collect();
    if distinct.len() < pairs.len() {
        return Err(Fault::invalid("--set-version names one track twice").into());
    }
    Ok(PlanOptions { file: plan, to, fresh, allow_dirty, versions: distinct, event, look: false })
}

fn destination(to: Option<String>) -> Result<Option<To>> {
    to.map(|to| to.parse()).transpose()
}

fn filter(args: cli::CellArgs, arches: Vec<String>) -> Result<Filter> {
    fn parse<T: std::str::FromStr<Err = anyhow::Error>>(texts: &[String]) -> Result<Vec<T>> {
        texts.iter().map(|text| text.parse()).collect()
    }
    let cli::CellArgs { image, track, composer, axis, cell } = args;
    let axes = axis.iter().map(|text| {
        let pair = text
            .split_once('=')
            .ok_or_else(|| Fault::invalid(format!("--axis {text}: expected AXIS=VALUE")))?;
        Ok((pair.0.parse()?, pair.1.to_owned()))
    });
    Ok(Filter {
        images: parse(&image)?,
        tracks: parse(&track)?,
        composers: parse(&composer)?,
        axes: axes.collect::<Result<_>>()?,
        cells: parse(&cell)?,
        arches,
    })
}
