//! The local stack: a registry, BuildKit and a signing key for this checkout only.
//!
//! All of its data lies under `target/xtask/local`. With a Docker Engine that can
//! pull, the two services are containers; else they are processes of our own.

mod builder;
mod containers;
pub mod engine;
mod keys;
pub mod offline;
mod process;
mod processes;
mod stand_in;
mod state;

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::base::context::{Environment, Layout};
use crate::base::error::UserError;
use crate::base::ids::Platform;
use crate::base::ui::Ui;
use crate::registry::Registry;
use crate::run::Runner;
use crate::tools::{Tool, Toolbox};
use offline::Base;
use state::{Mode, State};

pub use keys::Keys;

/// A running stack.
#[derive(Debug, Clone)]
pub struct Stack {
    /// `127.0.0.1:PORT`.
    pub registry: String,
    /// The name of the builder.
    pub builder: String,
    /// `BUILDX_CONFIG`: the builder is registered there, not with the user's own.
    pub buildx_config: PathBuf,
    /// The public half of the signing key, where [`Local::keys`] puts it.
    pub public_key: PathBuf,
}

/// What `local status --json` prints.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The version of this form.
    pub schema: u32,
    /// Whether both services answer.
    pub running: bool,
    /// `127.0.0.1:PORT`.
    pub registry: String,
    /// The name of the builder.
    pub builder: String,
    /// The folder to put into `BUILDX_CONFIG` to use the builder by hand.
    pub buildx_config: PathBuf,
    /// The public key that verifies what this stack signs.
    pub public_key: PathBuf,
    /// `processes` or `containers`, while it runs.
    pub mode: Option<&'static str>,
    /// Whether Docker Hub's images are replaced by stand-ins from Debian packages.
    pub offline_bases: bool,
    /// The folder of the data and logs.
    pub data: PathBuf,
}

/// Starts, stops and describes the stack of one checkout.
pub struct Local<'a> {
    /// The checkout.
    pub layout: &'a Layout,
    /// For `DOCKER_HOST` and PATH.
    pub environment: &'a Environment,
    /// Runs commands.
    pub runner: &'a Runner,
    /// Finds the tools.
    pub tools: &'a Toolbox,
    /// Asks registries what they have.
    pub registry: &'a Registry,
    /// For remarks.
    pub ui: Ui,
    /// By the real clock.
    pub now: SystemTime,
}

/// What the stack has to serve beside what is pushed to it.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Stand-ins for official images, for where those cannot be pulled.
    pub bases: Vec<Base>,
    /// The platforms that they are needed for.
    pub platforms: Vec<Platform>,
    /// Whether BuildKit will look for its own scanner, to list the packages of an image.
    pub scanner: bool,
}

impl Local<'_> {
    /// The registry's address. It is chosen once and kept, so that a plan can name it before the stack runs.
    ///
    /// # Errors
    /// If no port is free, or if the choice cannot be written down.
    pub fn address(&self) -> Result<String> {
        Ok(self.state()?.registry())
    }

    /// Where the stack looks for Docker Hub's images first, as `HOST/PATH`; none if it asks Docker Hub alone.
    ///
    /// # Errors
    /// As [`Local::address`].
    pub fn mirror(&self) -> Result<Option<String>> {
        let state = self.state()?;
        Ok(state.offline.then(|| format!("{}/{}", state.registry(), offline::NAMESPACE)))
    }

    /// The stack, if it runs.
    ///
    /// # Errors
    /// If its state cannot be read.
    pub fn running(&self) -> Result<Option<Stack>> {
        let state = State::read(self.layout)?;
        Ok(state.filter(|state| self.answers(state)).map(|state| self.stack(&state)))
    }

    /// Starts what does not run, and makes the signing key. Quick when all of it is there.
    ///
    /// # Errors
    /// As [`Local::services`] and [`Local::keys`].
    pub fn up(&self, wanted: &Wanted) -> Result<Stack> {
        let stack = self.services(wanted)?;
        self.keys()?;
        Ok(stack)
    }

    /// The signing key, which is made unless it is there.
    ///
    /// # Errors
    /// If cosign cannot be had, or does not make it.
    pub fn keys(&self) -> Result<Keys> {
        // cosign may still be built: nobody else has to wait for the stack meanwhile.
        let cosign = self.tools.get(Tool::Cosign)?;
        let _lock = state::lock(self.layout)?;
        keys::ensure(self.layout, self.runner, &cosign)
    }

    /// Whether there is a key by which the stack could have signed anything.
    pub fn has_keys(&self) -> bool {
        keys::are_there(&keys::paths(self.layout))
    }

    /// Starts what builds need and does not run, that is all but the key. Tools that are missing are built side by side,
    /// and what comes next does not wait for those that it does not need.
    ///
    /// # Errors
    /// If neither a Docker Engine nor the tools for processes of our own can be had, or if a service does not come up.
    pub fn services(&self, wanted: &Wanted) -> Result<Stack> {
        let _lock = state::lock(self.layout)?;
        let mut state = self.state_with_port(State::read(self.layout)?)?;
        if self.answers(&state) {
            return Ok(self.stack(&state));
        }
        self.halt(&state, false)?;
        if !is_free(state.port) {
            let taken = state.port;
            state = self.state_with_port(None)?;
            self.ui.warn(format!(
                "port {taken} was taken by another program: the local registry is now {}",
                state.registry()
            ));
        }
        self.start(state, wanted)
    }

    /// Starts both services of a stack that does not run.
    fn start(&self, mut state: State, wanted: &Wanted) -> Result<Stack> {
        fs::create_dir_all(self.layout.local())
            .with_context(|| format!("creating {}", self.layout.local().display()))?;
        let mode = self.choose_mode()?;
        self.tools.begin(tools(mode))?;
        state.offline =
            (wanted.scanner || !wanted.bases.is_empty()) && offline::needed(wanted, self.registry)?;
        state.mode = Some(mode);
        state.ready = false;
        // What is started is written down first: a killed `up` leaves nothing that `down` cannot find.
        match mode {
            Mode::Containers => containers::start(self, &mut state)?,
            Mode::Processes => processes::start(self, &mut state)?,
        }
        let stack = self.stack(&state);
        if state.offline {
            offline::serve(self, &stack, wanted)?;
        }
        state.builder = self.inspect(&stack)?;
        state.ready = true;
        state.write(self.layout)?;
        Ok(stack)
    }

    /// Stops what [`Local::up`] started, and nothing else. With `purge` its data goes too.
    ///
    /// # Errors
    /// If something does not stop, or if the data cannot be removed.
    pub fn down(&self, purge: bool) -> Result<bool> {
        let _lock = state::lock(self.layout)?;
        let Some(mut state) = State::read(self.layout)? else { return Ok(false) };
        let ran = state.mode.is_some();
        self.halt(&state, purge)?;
        state.mode = None;
        state.ready = false;
        state.processes.clear();
        state.write(self.layout)?;
        if purge {
            fs::remove_dir_all(self.layout.local())
                .with_context(|| format!("removing {}", self.layout.local().display()))?;
        }
        Ok(ran)
    }

    /// What there is.
    ///
    /// # Errors
    /// As [`Local::address`].
    pub fn status(&self) -> Result<Status> {
        let state = self.state()?;
        let running = self.answers(&state);
        let stack = self.stack(&state);
        let mode = state.mode.filter(|_| running).map(|mode| match mode {
            Mode::Containers => "containers",
            Mode::Processes => "processes",
        });
        Ok(Status {
            schema: 1,
            running,
            registry: stack.registry,
            builder: stack.builder,
            buildx_config: stack.buildx_config,
            public_key: stack.public_key,
            mode,
            offline_bases: running && state.offline,
            data: self.layout.local(),
        })
    }

    /// The stack as it is or will be, without starting it.
    ///
    /// # Errors
    /// As [`Local::address`].
    pub fn described(&self) -> Result<Stack> {
        Ok(self.stack(&self.state()?))
    }

    /// What is written down; a port is chosen first if nothing is. An `up` at work is not waited for.
    fn state(&self) -> Result<State> {
        if let Some(state) = State::read(self.layout)? {
            return Ok(state);
        }
        let _lock = state::lock(self.layout)?;
        self.state_with_port(State::read(self.layout)?)
    }

    fn stack(&self, state: &State) -> Stack {
        Stack {
            registry: state.registry(),
            builder: self.builder(),
            buildx_config: self.buildx_config(),
            public_key: keys::paths(self.layout).public,
        }
    }

    fn answers(&self, state: &State) -> bool {
        let alive = match state.mode {
            None => false,
            Some(Mode::Processes) => state.processes.iter().all(process::Id::alive),
            Some(Mode::Containers) => true,
        };
        state.ready && alive && registry_answers(state.port)
    }

    /// Stops whatever is left of a stack.
    fn halt(&self, state: &State, purge: bool) -> Result<()> {
        match state.mode {
            None => Ok(()),
            Some(Mode::Containers) => containers::stop(self, state, purge),
            Some(Mode::Processes) => {
                // An `up` that was killed between starting a process and writing it down has left one more.
                let left = processes::strays(self);
                state.processes.iter().chain(&left).try_for_each(process::Id::stop)
            }
        }
    }

    fn choose_mode(&self) -> Result<Mode> {
        match engine::usable(self.environment, self.runner, self.ui, &containers::images(self.layout)?)? {
            Ok(()) => Ok(Mode::Containers),
            Err(trouble) => {
                if let Some(trouble) = &trouble {
                    self.ui.note(format!(
                        "the Docker Engine cannot be used ({}): starting processes instead",
                        trouble.what
                    ));
                }
                processes::possible(trouble.as_ref())?;
                Ok(Mode::Processes)
            }
        }
    }

    fn state_with_port(&self, state: Option<State>) -> Result<State> {
        if let Some(state) = state {
            return Ok(state);
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port on loopback")?;
        let state = State::new(listener.local_addr()?.port());
        state.write(self.layout)?;
        Ok(state)
    }
}

/// What a stack is made from. cosign is called last, for the key and for what is signed by it.
fn tools(mode: Mode) -> &'static [Tool] {
    match mode {
        Mode::Containers => &[Tool::Buildx, Tool::Cosign],
        Mode::Processes => &[Tool::Buildkitd, Tool::Buildx, Tool::Registry, Tool::Cosign],
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Asks for `/v2/`, as every registry client does first.
fn registry_answers(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let ask = || -> std::io::Result<bool> {
        let limit = Duration::from_secs(2);
        let mut stream = std::net::TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"GET /v2/ HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// Waits until `ready`, asking ten times a second.
fn wait_for(
    what: &str,
    limit: Duration,
    runner: &Runner,
    log: &std::path::Path,
    mut ready: impl FnMut() -> bool,
) -> Result<()> {
    let began = Instant::now();
    while !ready() {
        runner.check_interrupted()?;
        if began.elapsed() > limit {
            let text = fs::read_to_string(log).unwrap_or_default();
            let fault = UserError::failed(format!(
                "{what} does not answer after {} s:\n{}",
                limit.as_secs(),
                crate::run::tail(&text, 8)
            ));
            return Err(fault.help(format!("its log is {}", log.display())).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
