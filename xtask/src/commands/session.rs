//! What the commands share: the checkout, the destination, the plan, the builder, the signer.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::argv::Program;
use crate::argv::buildx::Buildx;
use crate::argv::cosign::{Cosign, Signer};
use crate::context::{Context, Layout};
use crate::error::Fault;
use crate::ids::{Name, Platform, Repository};
use crate::local::offline::Base;
use crate::local::{Local, Stack, Wanted};
use crate::matrix::{self, Matrix};
use crate::plan::event::Event;
use crate::plan::git::Git;
use crate::plan::resolve::{Inputs, resolve};
use crate::plan::{Destination, DestinationKind, Plan, Sign, current};
use crate::registry::Registry;
use crate::run::Runner;
use crate::tools::{Tool, Toolbox};
use crate::ui::Ui;

/// `--to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// The local stack.
    Local,
    /// The repositories of `matrix.toml`.
    Publish,
    /// One repository.
    Repository(Repository),
}

/// How a command gets its plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// `--plan FILE`.
    pub file: Option<PathBuf>,
    /// `--to`.
    pub to: Option<To>,
    /// `--fresh`.
    pub fresh: bool,
    /// `--allow-dirty`.
    pub allow_dirty: bool,
    /// `--set-version TRACK=X`.
    pub versions: BTreeMap<Name, String>,
}

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
}

impl Session {
    /// Puts the parts together.
    pub fn new(context: Context, layout: Layout, runner: Runner, ui: Ui) -> Self {
        let tools = Toolbox::new(&layout, &context.environment, &runner, ui);
        Self { context, layout, runner, ui, tools }
    }

    /// The local stack of this checkout.
    pub fn local(&self) -> Local<'_> {
        Local {
            layout: &self.layout,
            environment: &self.context.environment,
            runner: &self.runner,
            tools: &self.tools,
            ui: self.ui,
        }
    }

    /// `matrix.toml`.
    ///
    /// # Errors
    /// If it is invalid: every error in it.
    pub fn matrix(&self) -> Result<Matrix> {
        matrix::load(&self.layout.matrix)
    }

    /// A path that was typed: relative to the folder in which it was typed.
    pub fn typed(&self, path: &Path) -> PathBuf {
        self.context.current.join(path)
    }

    /// The plan of a `build`, `merge` or `verify`: the file that was named, else the current plan of the checkout.
    ///
    /// # Errors
    /// If there is no valid plan, if it is for another destination than the one asked for, or if CI gives none.
    pub fn plan(&self, options: &PlanOptions) -> Result<Plan> {
        let plan = match &options.file {
            Some(file) => self.plan_of_file(&self.typed(file), options)?,
            None => self.current_plan(options, true)?,
        };
        if plan.destination.kind == DestinationKind::Publish && plan.dirty() && !options.allow_dirty {
            return Err(Fault::failed(format!(
                "publish {}: the checkout has uncommitted changes",
                plan.revision
            ))
            .help("commit them, or say --allow-dirty: the revision then ends in -dirty")
            .into());
        }
        Ok(plan)
    }

    fn plan_of_file(&self, file: &Path, options: &PlanOptions) -> Result<Plan> {
        let plan = Plan::read(file)?;
        let kind = plan.destination.kind;
        let refuse = |why: String, help: &str| {
            Err(Fault::invalid(format!("use the plan {}: {why}", file.display())).help(help).into())
        };
        let wanted = options.to.as_ref().map(|to| self.destination(to, &self.matrix()?)).transpose()?;
        if let Some(wanted) = wanted
            && wanted != plan.destination
        {
            return refuse(
                "it is for another destination than --to says".to_owned(),
                "make a new plan with the same --to",
            );
        }
        if kind == DestinationKind::Publish && options.to.is_none() && !self.context.environment.ci() {
            return refuse(
                "it publishes to the repositories of matrix.toml".to_owned(),
                "outside CI that has to be typed: --to publish",
            );
        }
        if kind == DestinationKind::Local
            && plan.destination != self.destination(&To::Local, &self.matrix()?)?
        {
            return refuse(
                "it is for the local stack of another checkout".to_owned(),
                "make a new one here: cargo xtask plan --save FILE",
            );
        }
        Ok(plan)
    }

    /// The plan on disk if it is still right, else a new one, which becomes the current plan.
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub fn current_plan(&self, options: &PlanOptions, for_work: bool) -> Result<Plan> {
        let to =
            options.to.clone().unwrap_or(if self.context.environment.ci() { To::Publish } else { To::Local });
        if for_work && self.context.environment.ci() && to != To::Local {
            return Err(Fault::invalid("in CI a build or merge needs --plan FILE")
                .help("make the plan once, in a job of its own: cargo xtask plan --save plan.json; two runners that resolve on their own may build different commits")
                .into());
        }
        let path = self.layout.plan();
        let matrix = self.matrix()?;
        let fresh = self.resolve(&matrix, &to, options, self.context.now)?;
        if let Some(held) = current::read(&path)
            .filter(|held| !options.fresh && current::same_day(&held.created, &fresh.created))
        {
            let clock =
                humantime::parse_rfc3339(&held.created).context("reading the clock of the current plan")?;
            let pinned = self.context.environment.get("SOURCE_DATE_EPOCH").is_some();
            let again = if pinned { fresh.clone() } else { self.resolve(&matrix, &to, options, clock)? };
            if again.id == held.id {
                self.ui.note(format!("using the current plan {} of {}", held.id.short(), held.created));
                return Ok(held);
            }
        }
        current::write(&path, &fresh)?;
        self.ui.note(format!("new plan {} of {}", fresh.id.short(), fresh.created));
        Ok(fresh)
    }

    fn resolve(
        &self,
        matrix: &Matrix,
        to: &To,
        options: &PlanOptions,
        now: std::time::SystemTime,
    ) -> Result<Plan> {
        let git = Git::read(&self.layout.root, &self.context.environment)?;
        let destination = self.destination(to, matrix)?;
        let read = |path: &str| {
            let bytes = crate::files::read_optional(&self.layout.root.join(path))?
                .with_context(|| format!("there is no file {path}"))?;
            String::from_utf8(bytes).with_context(|| format!("{path} is no text"))
        };
        let inputs = Inputs {
            now,
            event: Event::detect(&self.context.environment, &git)?,
            sign: self.sign(matrix, &destination, &git)?,
            git,
            destination,
            versions: options.versions.clone(),
            read: &read,
        };
        resolve(matrix, &inputs)
    }

    /// A plan that is used for nothing but its destination and signer.
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub fn resolve_for_verify(&self, to: &To) -> Result<Plan> {
        self.resolve(&self.matrix()?, to, &PlanOptions::default(), self.context.now)
    }

    fn destination(&self, to: &To, matrix: &Matrix) -> Result<Destination> {
        Ok(match to {
            To::Publish => {
                Destination { kind: DestinationKind::Publish, repositories: matrix.repositories.clone() }
            }
            To::Repository(repository) => {
                Destination { kind: DestinationKind::Repository, repositories: vec![repository.clone()] }
            }
            To::Local => Destination {
                kind: DestinationKind::Local,
                repositories: vec![self.local().address()?.parse()?],
            },
        })
    }

    /// Whether an address is that of this checkout's own registry.
    fn is_local(&self, repository: &Repository) -> Result<bool> {
        Ok(repository.host() == self.local().address()?)
    }

    fn sign(&self, matrix: &Matrix, destination: &Destination, git: &Git) -> Result<Sign> {
        if destination.kind != DestinationKind::Publish {
            let local: Result<Vec<bool>> =
                destination.repositories.iter().map(|repository| self.is_local(repository)).collect();
            if local?.into_iter().all(|local| local) {
                return Ok(Sign::Local);
            }
        }
        Ok(match &matrix.sign {
            matrix::Sign::None { reason } => Sign::None { reason: reason.clone() },
            matrix::Sign::Key { key } => Sign::Key { key: key.clone() },
            matrix::Sign::Keyless { identity, issuer } => Sign::Keyless {
                identity: match identity {
                    Some(identity) => identity.clone(),
                    None => self.identity(git)?,
                },
                issuer: issuer
                    .clone()
                    .unwrap_or_else(|| "https://token.actions.githubusercontent.com".to_owned()),
            },
        })
    }

    /// The identity that GitHub's OIDC token gives a workflow, as an anchored regular expression.
    ///
    /// Source: <https://docs.github.com/en/actions/concepts/security/openid-connect>, claim `job_workflow_ref`.
    fn identity(&self, git: &Git) -> Result<String> {
        if let (Some(server), Some(workflow)) = (
            self.context.environment.get("GITHUB_SERVER_URL"),
            self.context.environment.get("GITHUB_WORKFLOW_REF"),
        ) {
            return Ok(format!("^{}$", escape(&format!("{server}/{workflow}"))));
        }
        match &git.source {
            Some(source) => Ok(format!("^{}/\\.github/workflows/[^/@]+@refs/.+$", escape(source))),
            None => Err(Fault::invalid(
                "sign by OIDC: the identity cannot be derived, as this checkout has no remote `origin`",
            )
            .help("give it in matrix.toml: [sign] identity = \"^https://…$\"")
            .into()),
        }
    }

    /// Starts the local stack, with stand-ins for what the matrix builds upon.
    ///
    /// # Errors
    /// If it does not start.
    pub fn local_up(&self) -> Result<Stack> {
        let matrix = self.matrix()?;
        let mut wanted = Wanted::default();
        for image in &matrix.images {
            wanted.bases.extend(Base::read(&self.layout.root.join(&image.context))?);
        }
        wanted.platforms =
            matrix.platforms.iter().map(|platform| platform.platform.clone()).collect::<Vec<Platform>>();
        self.local().up(&wanted)
    }

    /// buildx for a plan: the local stack's builder, or the one that was named or selected.
    ///
    /// # Errors
    /// If buildx is missing, or if the local stack does not start.
    pub fn buildx(&self, plan: &Plan, named: Option<&str>) -> Result<(Buildx, Option<Stack>)> {
        let local = plan.sign == Sign::Local;
        let stack = if local { Some(self.local_up()?) } else { None };
        let program = self.tools.get(Tool::Buildx)?.program;
        let buildx = chosen_builder(program, stack.as_ref(), named);
        Ok((buildx, stack))
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
    pub fn signer(&self, sign: &Sign, stack: Option<&Stack>) -> Result<Option<Signer>> {
        Ok(match sign {
            Sign::None { .. } => None,
            Sign::Keyless { identity, issuer } => {
                Some(Signer::Keyless { identity: identity.clone(), issuer: issuer.clone() })
            }
            Sign::Key { key } => {
                Some(Signer::Key { key: key.clone(), public: public_key(key), password: None })
            }
            Sign::Local => {
                let keys = match stack {
                    Some(stack) => stack.keys.clone(),
                    None => self.local_up()?.keys,
                };
                Some(Signer::Offline {
                    key: keys.private,
                    public: keys.public,
                    password: keys.password,
                    signing_config: keys.signing_config,
                })
            }
        })
    }

    /// What [`Session::buildx`] would give, without starting or building anything.
    ///
    /// # Errors
    /// If the state of the local stack cannot be read.
    pub fn buildx_of_dry_run(&self, plan: &Plan, named: Option<&str>) -> Result<(Buildx, Option<Stack>)> {
        let docker = || Program { path: "docker".to_owned(), prefix: vec!["buildx".to_owned()] };
        let program = self.tools.look(Tool::Buildx)?.map_or_else(docker, |found| found.program);
        let stack = if plan.sign == Sign::Local { Some(self.local().described()?) } else { None };
        Ok((chosen_builder(program, stack.as_ref(), named), stack))
    }

    /// Reads from registries with the credentials of `buildx`.
    pub fn registry(&self, buildx: &Buildx) -> Registry {
        Registry { buildx: buildx.clone(), runner: self.runner.clone(), ui: self.ui }
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
fn public_key(key: &str) -> String {
    match key.strip_suffix(".key") {
        Some(stem) => format!("{stem}.pub"),
        None => key.replace("PRIVATE", "PUBLIC"),
    }
}

/// Escapes a text for a regular expression (Go's RE2 syntax).
fn escape(text: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_exact() {
        assert_eq!(
            escape("https://github.com/a/b/.github/w.yml@refs/heads/x+y"),
            r"https://github\.com/a/b/\.github/w\.yml@refs/heads/x\+y"
        );
    }

    #[test]
    fn public_halves() {
        assert_eq!(public_key("keys/cosign.key"), "keys/cosign.pub");
        assert_eq!(public_key("env://COSIGN_PRIVATE_KEY"), "env://COSIGN_PUBLIC_KEY");
        assert_eq!(public_key("awskms:///alias/x"), "awskms:///alias/x");
    }
}
