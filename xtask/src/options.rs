//! What was typed as the options of commands: no type of clap goes further than this.

use anyhow::Result;
use std::collections::BTreeMap;

use crate::base::error::UserError;
use crate::base::identity;
use crate::base::ids::Name;
use crate::base::patterns::anchored;
#[cfg(feature = "standalone")]
use crate::cli::{Completions, Init};
use crate::commands::{
    build, gc, hold, local, merge, plan, policy, release, report, rollback, update, verify,
};
#[cfg(feature = "standalone")]
use crate::commands::{completions, init};
#[cfg(feature = "standalone")]
use crate::init::{CrateSource, Wishes};
use crate::plan::filter::Filter;
use crate::publish::holding::Terms;
use crate::session::planning::{PlanOptions, Published};

use crate::cli::{
    Build, CellArgs, Gc, Hold, Local, Merge, Plan, PlanArgs, Policy, Release, Report, Rollback, Update,
    Verify,
};

impl PlanArgs {
    fn options(self) -> Result<PlanOptions> {
        let Self { plan, expect_plan, to, fresh, set_version, event, allow_dirty } = self;
        let count = set_version.len();
        let versions: BTreeMap<Name, String> = set_version.into_iter().collect();
        if versions.len() < count {
            return Err(UserError::invalid("--set-version names one track twice").into());
        }
        let (file, expect) = (plan, expect_plan);
        let (ephemeral, published, no_reuse) = (false, Published::Ignored, false);
        Ok(PlanOptions {
            file,
            expect,
            to,
            fresh,
            allow_dirty,
            versions,
            event,
            ephemeral,
            published,
            no_reuse,
        })
    }
}

impl CellArgs {
    fn filter(self, arches: Vec<String>) -> Filter {
        let Self { image, track, composer, axis, cell } = self;
        Filter { images: image, tracks: track, composers: composer, axes: axis, cells: cell, arches }
    }
}

impl Plan {
    pub(crate) fn options(self) -> Result<plan::Options> {
        let Self { plan, cells, arch, json, diff, explain, github, save, no_reuse } = self;
        // What another event would do is a question; what is built for this one stays current.
        let published = if diff { Published::Demanded } else { Published::Begins };
        let ephemeral = plan.event.is_some();
        let plan = PlanOptions { ephemeral, published, no_reuse, ..plan.options()? };
        Ok(plan::Options { plan, filter: cells.filter(arch), json, diff, explain, github, save })
    }
}

impl Build {
    pub(crate) fn options(self) -> Result<build::Options> {
        let Self {
            plan,
            cells,
            arch,
            emulate,
            no_push,
            dry_run,
            builder,
            digests,
            no_reuse,
            jobs,
            github_output,
        } = self;
        let plan = PlanOptions { published: Published::Begins, no_reuse, ..plan.options()? };
        Ok(build::Options {
            plan,
            filter: cells.filter(arch),
            emulate,
            no_push,
            dry_run,
            builder,
            digests,
            jobs,
            github_output,
        })
    }
}

impl Merge {
    pub(crate) fn options(self) -> Result<merge::Options> {
        let Self {
            plan,
            cells,
            dry_run,
            allow_downgrade,
            replace_untrusted,
            builder,
            digests,
            expect_records,
            publications,
            jobs,
        } = self;
        let plan = PlanOptions { published: Published::Compared, ..plan.options()? };
        let filter = cells.filter(Vec::new());
        Ok(merge::Options {
            plan,
            filter,
            dry_run,
            allow_downgrade,
            replace_untrusted,
            builder,
            digests,
            expected: expect_records,
            publications,
            jobs,
        })
    }
}

impl Verify {
    pub(crate) fn options(self) -> Result<verify::Options> {
        let Self {
            reference,
            plan,
            cells,
            key,
            identity,
            issuer,
            repository,
            trusted_root,
            json,
            publications,
        } = self;
        if let Some(identity) = identity.as_ref().filter(|text| !anchored(text)) {
            return Err(UserError::invalid(format!(
                "--identity {identity}: it is not anchored, so it would match more than it says"
            ))
            .help("write '^…$', with alternatives in parentheses and without `(?`")
            .into());
        }
        let identity = identity.zip(issuer);
        let repository = match &identity {
            Some((identity, issuer)) => {
                identity::caller(identity, Some(issuer), repository).map_err(|why| {
                    UserError::invalid(format!("--identity {identity} {why}"))
                        .help("say whose runs count: --repository OWNER/NAME")
                })?
            }
            None => repository,
        };
        let expected = key.map(verify::Expected::Key).or_else(|| {
            identity.map(|(identity, issuer)| verify::Expected::Identity {
                identity,
                issuer,
                repository,
                trusted_root,
            })
        });
        let (plan, filter) = (plan.options()?, cells.filter(Vec::new()));
        Ok(verify::Options { plan, filter, reference, expected, json, publications })
    }
}

impl Rollback {
    pub(crate) fn options(self) -> Result<rollback::Options> {
        let Self { cell, plan, dry_run, no_hold, publications } = self;
        let plan = PlanOptions { ephemeral: true, ..plan.options()? };
        Ok(rollback::Options { plan, cell, dry_run, no_hold, publications })
    }
}

impl Hold {
    pub(crate) fn options(self) -> Result<hold::Options> {
        let Self { cell, plan, reason, until } = self;
        let plan = PlanOptions { ephemeral: true, ..plan.options()? };
        Ok(hold::Options { plan, cell, terms: Terms { reason, until } })
    }
}

impl Release {
    pub(crate) fn options(self) -> Result<release::Options> {
        let Self { cell, plan } = self;
        let plan = PlanOptions { ephemeral: true, ..plan.options()? };
        Ok(release::Options { plan, cell })
    }
}

impl Report {
    pub(crate) fn options(self) -> Result<report::Options> {
        let Self { plan, digests, publications } = self;
        Ok(report::Options { plan: plan.options()?, digests, publications })
    }
}

impl From<Policy> for policy::Options {
    fn from(Policy { kyverno, policy_controller: _, to }: Policy) -> Self {
        // Exactly one of them is set.
        let controller =
            if kyverno { policy::Controller::Kyverno } else { policy::Controller::PolicyController };
        Self { controller, to }
    }
}

impl From<Gc> for gc::Options {
    fn from(Gc { to, image, older_than, delete }: Gc) -> Self {
        Self { to, images: image, older_than, delete }
    }
}

#[cfg(feature = "standalone")]
impl From<Init> for init::Options {
    fn from(args: Init) -> Self {
        let Init { folder, from_workflow, repository, git, tag, path, write, overwrite } = args;
        let source = path.map_or(CrateSource::Git { url: git, tag }, CrateSource::Path);
        let wishes = Wishes { workflows: from_workflow, repositories: repository, source, overwrite };
        Self { folder, wishes, write }
    }
}

#[cfg(feature = "standalone")]
impl From<Completions> for completions::Options {
    fn from(Completions { shell, name }: Completions) -> Self {
        Self { shell, name }
    }
}

impl From<Update> for update::Options {
    fn from(Update { write, check, overwrite }: Update) -> Self {
        Self { write, check, overwrite }
    }
}

impl From<Local> for local::Options {
    fn from(args: Local) -> Self {
        match args {
            Local::Up => Self::Up,
            Local::Down { purge } => Self::Down { purge },
            Local::Status { json } => Self::Status { json },
        }
    }
}
