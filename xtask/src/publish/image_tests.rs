//! Step 4 of a publication: the image's own test stage, on each platform.

use anyhow::{Context as _, Result};

use crate::argv::Argv;
use crate::argv::buildx::{self, Buildx, NamedContext};
use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Name, Platform, Repository};
use crate::base::record::DigestRecord;
use crate::build::build_spec::{BuildEnv, NeedSource, spec};
use crate::build::builder::Builder;
use crate::build::contexts::Contexts;
use crate::plan::{Cell, Plan};
use crate::run::Output;
use crate::session::Session;

/// What the tests of one merge share.
pub(crate) struct Tests<'a> {
    /// Where things are, and who runs them.
    pub(crate) session: &'a Session,
    /// The plan.
    pub(crate) plan: &'a Plan,
    /// Builds the test stages.
    pub(crate) buildx: &'a Buildx,
    /// Where contexts are sent from.
    pub(crate) contexts: Contexts,
}

impl<'a> Tests<'a> {
    /// Looks whether the builder can run what the cells declare. Without a test nothing is asked.
    ///
    /// # Errors
    /// If a platform is missing and cannot be emulated.
    pub(crate) fn prepare(&self, cells: &[&Cell], local: bool) -> Result<()> {
        let builds = cells.iter().flat_map(|cell| &cell.builds).filter(|build| build.test.is_some());
        let mut platforms: Vec<&Platform> = builds.map(|build| &build.platform).collect();
        platforms.sort();
        platforms.dedup();
        if platforms.is_empty() {
            return Ok(());
        }
        self.contexts.make()?;
        let logs = self.session.layout.logs();
        std::fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
        let builder = Builder::of(self.buildx, &self.session.local())?;
        for platform in platforms.into_iter().filter(|platform| !builder.lists(platform)) {
            if !local {
                return Err(UserError::failed(format!("test for {platform}: the builder does not have that platform"))
                    .help("let it emulate (docker/setup-qemu-action in CI), or name one that has it: --builder NAME")
                    .into());
            }
            self.session.local().ensure_emulation(platform)?;
        }
        Ok(())
    }

    /// The command of a cell's test on one platform.
    ///
    /// # Errors
    /// If the plan lacks what a build needs.
    pub(crate) fn command(
        &self,
        cell: &Cell,
        records: &[DigestRecord],
        arch: &Name,
        repository: &Repository,
    ) -> Result<Argv> {
        let build = cell.build(arch).with_context(|| format!("{} is not built for {arch}", cell.id))?;
        let stage = build.test.as_ref().with_context(|| format!("{} has no test", cell.id))?;
        let record = records.iter().find(|record| record.arch == *arch);
        let digest = record.map_or_else(Digest::unknown, |record| record.digest.clone());
        let image = NamedContext::Image { repository: repository.clone(), digest };
        let around = BuildEnv {
            plan: self.plan,
            root: &self.session.layout.root,
            contexts: &self.contexts,
            push: true,
            builder: None,
            now: "",
        };
        // What the image was built upon stands in its own record: a job that merges one cell has no others. What
        // is not there was not used; a digest of zeros is found nowhere, should the test ask for it all the same.
        let find = |need: &CellId, _: &Name| {
            let needed = self.plan.cell(need).with_context(|| format!("the plan lacks {need}"))?;
            let repository = needed.repositories.first().context("a cell has a repository")?.clone();
            let digest = record.and_then(|record| record.base(&repository)).cloned();
            Ok(NamedContext::Image { repository, digest: digest.unwrap_or_else(Digest::unknown) })
        };
        let spec = spec(&around, cell, build, &NeedSource::Pushed(&find), None)?;
        Ok(buildx::test(self.buildx, &spec, stage, &image))
    }

    /// Runs it.
    ///
    /// # Errors
    /// If it fails: what it printed is in a log.
    pub(crate) fn run(
        &self,
        cell: &Cell,
        records: &[DigestRecord],
        arch: &Name,
        repository: &Repository,
    ) -> Result<()> {
        let argv = self.command(cell, records, arch, repository)?;
        let log = self.session.layout.logs().join(format!("{}.log", argv.purpose.replace(' ', ".")));
        let finished = self.session.runner.run(&argv, Output::Log(&log))?;
        if !finished.success() {
            let shown = self.session.layout.show(&log);
            return Err(finished
                .fault(&argv)
                .help(format!("nothing of {} was signed or tagged; the whole log: {shown}", cell.id))
                .into());
        }
        self.session.ui.note(format!("{}: passed", argv.purpose));
        Ok(())
    }
}
