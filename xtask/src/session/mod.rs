//! What the commands share: the checkout, the destination, the plan, the builder, the signer.

pub mod checkout;
pub mod comparison;
pub mod destination;
pub mod planning;
mod surroundings;

use anyhow::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::argv::Program;
use crate::argv::buildx::Buildx;
use crate::argv::cosign::{CallingJob, Cosign, Signer, Sigstore};
use crate::base::context::{Context, Layout};
use crate::base::error::UserError;
use crate::base::ids::Platform;
use crate::base::ui::Ui;
use crate::local::offline::Base;
use crate::local::{Local, Stack, Wanted};
use crate::matrix::{self, Matrix, Sbom};
use crate::plan::filter::Filter;
use crate::plan::git::Git;
use crate::plan::{Plan, SigningMethod};
use crate::registry::Registry;
use crate::report::{github, plan_table};
use crate::run::Runner;
use crate::session::comparison::Comparison;
use crate::tools::{Tool, Toolbox};

/// One command at work in one checkout.
#[derive(Debug, Clone)]
pub struct Session {
    /// Environment, clock, current folder.
    pub context: Context,
    /// Where things are.
    pub layout: Layout,
    /// Runs commands.
    pub runner: Runner,
    /// What people see.
    pub ui: Ui,
    /// Finds the tools.
    pub tools: Toolbox,
    /// Reads from registries and writes to them.
    registry: Registry,
    /// Says what of a plan is published already; without it, all is built.
    pub comparison: Option<Arc<dyn Comparison>>,
}

impl Session {
    /// Puts the parts together.
    pub fn new(context: Context, layout: Layout, runner: Runner, ui: Ui) -> Self {
        let tools = Toolbox::new(&layout, &context.environment, &runner, ui);
        let registry = Registry::new(&context.environment, &runner, ui);
        Self { context, layout, runner, ui, tools, registry, comparison: None }
    }

    /// The local stack of this checkout.
    pub fn local(&self) -> Local<'_> {
        Local {
            layout: &self.layout,
            environment: &self.context.environment,
            runner: &self.runner,
            tools: &self.tools,
            registry: &self.registry,
            ui: self.ui,
            now: self.context.clock.now(),
        }
    }

    /// `matrix.toml`.
    ///
    /// # Errors
    /// If it is invalid: every error in it.
    pub fn matrix(&self) -> Result<Matrix> {
        matrix::load(&self.layout.matrix)
    }

    /// The state of the git checkout.
    ///
    /// # Errors
    /// As [`checkout::read`].
    pub fn git(&self) -> Result<Git> {
        checkout::read(&self.layout.root, &self.context.environment, &self.runner)
    }

    /// Whether no cell of a plan is meant, as none gets a tag: then it says so.
    ///
    /// # Errors
    /// As [`Filter::cells`].
    pub fn is_idle(&self, plan: &Plan, filter: &Filter) -> Result<bool> {
        let idle = filter.cells(plan)?.is_empty();
        if idle {
            self.ui.out(plan_table::nothing(plan));
        }
        Ok(idle)
    }

    /// The job of GitHub Actions that we are a step of, if any.
    pub fn github(&self) -> Option<github::Job<'_>> {
        github::Job::of(&self.context.environment, self.ui)
    }

    /// The line that checks a published reference from anywhere. `None`: it is not signed.
    ///
    /// # Errors
    /// If the signer cannot be had.
    pub fn verify_command(&self, plan: &Plan, reference: &str) -> Result<Option<String>> {
        if plan.sign == SigningMethod::Local {
            return Ok(Some(format!("cargo xtask verify {reference}")));
        }
        let signer = self.signer(&plan.sign, None)?.map(|signer| signer.at(plan.event.git_ref()));
        Ok(signer.map(|signer| Cosign::verify_plain(&signer, reference).to_string()))
    }

    /// The folder of the digest records: `--digests`, or what is usual.
    pub fn digests(&self, typed: Option<&Path>) -> PathBuf {
        typed.map_or_else(|| self.layout.digests(), |path| self.typed(path))
    }

    /// The folder of the publication records: `--publications`, or what is usual.
    pub fn publications(&self, typed: Option<&Path>) -> PathBuf {
        typed.map_or_else(|| self.layout.publications(), |path| self.typed(path))
    }

    /// A path that was typed: relative to the folder in which it was typed.
    pub fn typed(&self, path: &Path) -> PathBuf {
        self.context.current.join(path)
    }

    /// Starts the local stack, with stand-ins for what the matrix builds upon, and makes its key.
    ///
    /// # Errors
    /// If it does not start.
    pub fn local_up(&self) -> Result<Stack> {
        self.local().up(&self.wanted()?)
    }

    /// Starts what builds need of the local stack, and waits for nothing else: see [`Local::services`].
    ///
    /// # Errors
    /// If it does not start.
    pub fn local_services(&self) -> Result<Stack> {
        self.local().services(&self.wanted()?)
    }

    /// What the local stack has to serve for the matrix.
    fn wanted(&self) -> Result<Wanted> {
        let matrix = self.matrix()?;
        let mut wanted = Wanted::default();
        for image in &matrix.images {
            wanted.bases.extend(Base::read(&self.layout.root.join(&image.context))?);
        }
        wanted.platforms =
            matrix.platforms.iter().map(|platform| platform.platform.clone()).collect::<Vec<Platform>>();
        wanted.scanner = matrix.images.iter().any(|image| image.options.attest.sbom == Sbom::On);
        Ok(wanted)
    }

    /// buildx for a plan: the local stack's builder, or the one that was named or selected.
    ///
    /// # Errors
    /// If buildx is missing, or if the local stack does not start.
    pub fn buildx(&self, plan: &Plan, named: Option<&str>) -> Result<(Buildx, Option<Stack>)> {
        let stack = self.stack(plan)?;
        let program = self.tools.get(Tool::Buildx)?.program;
        let buildx = chosen_builder(program, stack.as_ref(), named);
        Ok((buildx, stack))
    }

    /// The services of the local stack, started, if a plan is for it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn stack(&self, plan: &Plan) -> Result<Option<Stack>> {
        (plan.sign == SigningMethod::Local).then(|| self.local_services()).transpose()
    }

    /// cosign.
    ///
    /// # Errors
    /// If it is missing and cannot be built.
    pub fn cosign(&self) -> Result<Cosign> {
        let found = self.tools.get(Tool::Cosign)?;
        Ok(Cosign { program: found.program, version: found.version })
    }

    /// How a plan's images are signed. `None`: not at all.
    ///
    /// # Errors
    /// If the local key cannot be made.
    pub fn signer(&self, sign: &SigningMethod, stack: Option<&Stack>) -> Result<Option<Signer>> {
        Ok(match sign {
            SigningMethod::None { .. } => None,
            SigningMethod::Keyless { identity, issuer, sigstore, caller } => {
                let sigstore = sigstore.as_ref().map(|found| {
                    let path = |name: &str| self.layout.root.join(name);
                    self.sigstore(path(&found.trusted_root), Some(path(&found.signing_config)))
                });
                let sigstore = sigstore.transpose()?;
                let caller = caller
                    .as_ref()
                    .map(|caller| CallingJob { repository: caller.repository.clone(), git_ref: None });
                let (identity, issuer) = (identity.clone(), issuer.clone());
                Some(Signer::Keyless { identity, issuer, caller, sigstore })
            }
            SigningMethod::Key { key } => {
                Some(Signer::Key { key: key.clone(), public: public_key(key), password: None })
            }
            SigningMethod::Local => {
                if stack.is_none() {
                    self.local_services()?;
                }
                let keys = self.local().keys()?;
                Some(Signer::Offline {
                    key: keys.private,
                    public: keys.public,
                    password: keys.password,
                    signing_config: keys.signing_config,
                })
            }
        })
    }

    /// A Sigstore other than the public one.
    ///
    /// # Errors
    /// If its trusted root cannot be read.
    pub fn sigstore(&self, trusted_root: PathBuf, signing_config: Option<PathBuf>) -> Result<Sigstore> {
        let invalid = |why: String| {
            UserError::invalid(format!("reading the trusted root {}: {why}", self.layout.show(&trusted_root)))
                .help("`cosign trusted-root create` writes one")
        };
        let bytes = crate::base::files::read_optional(&trusted_root)?
            .ok_or_else(|| invalid("there is no such file".to_owned()))?;
        let services = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
        Ok(Sigstore { trusted_root, signing_config, services })
    }

    /// What [`Session::buildx`] would give, without starting or building anything.
    ///
    /// # Errors
    /// If the state of the local stack cannot be read.
    pub fn buildx_of_dry_run(&self, plan: &Plan, named: Option<&str>) -> Result<(Buildx, Option<Stack>)> {
        let docker = || Program { path: "docker".to_owned(), prefix: vec!["buildx".to_owned()] };
        let program = self.tools.look(Tool::Buildx)?.map_or_else(docker, |found| found.program);
        let stack = if plan.sign == SigningMethod::Local { Some(self.local().described()?) } else { None };
        Ok((chosen_builder(program, stack.as_ref(), named), stack))
    }

    /// The client of registries: what it has learnt of one serves the whole session.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }
}

/// The builder that was named, else that of the local stack, else the one that buildx has selected.
fn chosen_builder(program: Program, stack: Option<&Stack>, named: Option<&str>) -> Buildx {
    match (stack, named) {
        (_, Some(name)) => Buildx { program, builder: Some(name.to_owned()), config: None },
        (Some(stack), None) => Buildx {
            program,
            builder: Some(stack.builder.clone()),
            config: Some(stack.buildx_config.clone()),
        },
        (None, None) => Buildx { program, builder: None, config: None },
    }
}

/// The public half of a key: a file beside the private one, the variable of the same form, or the KMS address itself.
pub(crate) fn public_key(key: &str) -> String {
    match key.strip_suffix(".key") {
        Some(stem) => format!("{stem}.pub"),
        None => key.replace("PRIVATE", "PUBLIC"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_halves() {
        assert_eq!(public_key("keys/cosign.key"), "keys/cosign.pub");
        assert_eq!(public_key("env://COSIGN_PRIVATE_KEY"), "env://COSIGN_PUBLIC_KEY");
        assert_eq!(public_key("awskms:///alias/x"), "awskms:///alias/x");
    }
}
