//! The throw-away key of the local stack.

use anyhow::{Context as _, Result};
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use crate::argv::Argv;
use crate::base::context::Layout;
use crate::run::{Output, Runner};
use crate::tools::Found;

/// Where the key is.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The private key, encrypted.
    pub private: PathBuf,
    /// The public key.
    pub public: PathBuf,
    /// The password of the private key.
    pub password: PathBuf,
    /// cosign 3: a signing configuration without any service. cosign 2 has none.
    pub signing_config: Option<PathBuf>,
}

/// Where the key is or will be.
pub(super) fn paths(layout: &Layout) -> Keys {
    let folder = layout.local().join("keys");
    let signing_config = folder.join("signing-config.json");
    Keys {
        private: folder.join("cosign.key"),
        public: folder.join("cosign.pub"),
        password: folder.join("password"),
        signing_config: signing_config.is_file().then_some(signing_config),
    }
}

/// Whether a whole key is there. Half a pair is of no use.
pub(super) fn are_there(keys: &Keys) -> bool {
    keys.private.is_file() && keys.public.is_file() && keys.password.is_file()
}

/// Makes the key, unless it is there.
pub(super) fn ensure(layout: &Layout, runner: &Runner, cosign: &Found) -> Result<Keys> {
    let keys = paths(layout);
    let folder = layout.local().join("keys");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    if !are_there(&keys) {
        for path in [&keys.private, &keys.public, &keys.password] {
            let _ = fs::remove_file(path);
        }
        write_password(&keys.password)?;
        let argv = Argv::new("make the local signing key", &cosign.program)
            .folder(&folder)
            .secret_env("COSIGN_PASSWORD", &keys.password)
            .args(["generate-key-pair", "--output-key-prefix", "cosign"])
            .limit(60);
        runner.check(&argv, Output::Capture)?;
    }
    if cosign.version.major >= 3 && keys.signing_config.is_none() {
        // Under another name first: half of it would be taken for whole later.
        let unfinished = folder.join("signing-config.unfinished");
        let argv = Argv::new("make the local signing configuration", &cosign.program)
            .args([
                "signing-config",
                "create",
                "--no-default-rekor",
                "--no-default-fulcio",
                "--no-default-oidc",
            ])
            .args(["--no-default-tsa", "--out"])
            .path(&unfinished)
            .limit(60);
        runner.check(&argv, Output::Capture)?;
        fs::rename(&unfinished, folder.join("signing-config.json"))
            .context("writing the local signing configuration")?;
    }
    Ok(paths(layout))
}

fn write_password(path: &std::path::Path) -> Result<()> {
    let mut random = [0_u8; 24];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("reading random bytes")?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("creating {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}
