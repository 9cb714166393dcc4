//! Who we are to a registry, as Docker's `config.json` says. Pure, but for the call of a credential helper.
//!
//! Sources: docker/cli `cli/config/configfile` and `cli/config/credentials`, docker/docker-credential-helpers.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

use crate::argv::{Argv, Program};
use crate::base::error::UserError;
use crate::run::Runner;

/// How long a credential helper may take, in seconds: some ask a service of their cloud.
const HELPER_LIMIT: u64 = 60;

/// Who we are to one registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// A name and a password, or what takes its place.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for shorter-lived ones (OAuth's refresh token).
    Identity(String),
    /// A token that is sent as it is.
    Registry(String),
}

/// Never shows a secret.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Identity(_) => "Identity",
            Self::Registry(_) => "Registry",
        })
    }
}

/// The part of Docker's `config.json` that is about registries.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Config {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl Config {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it is not one.
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        serde_json::from_slice(text).context("the file is not a config.json of Docker")
    }

    /// The suffix of the helper that is asked for a registry: `ecr-login` of `docker-credential-ecr-login`.
    pub(super) fn helper(&self, login: &str) -> Option<&str> {
        let own = self.cred_helpers.get(login).map(String::as_str);
        own.or(self.creds_store.as_deref()).filter(|name| !name.is_empty())
    }

    /// What the file itself says of a registry.
    ///
    /// # Errors
    /// If it is not as `docker login` writes it.
    pub(super) fn entry(&self, login: &str) -> Result<Option<Credential>> {
        let same = |key: &&String| host_of(key) == host_of(login);
        let found = self.auths.get(login);
        let found = found.or_else(|| self.auths.get(self.auths.keys().find(same)?));
        let Some(entry) = found else { return Ok(None) };
        if !entry.registrytoken.is_empty() {
            return Ok(Some(Credential::Registry(entry.registrytoken.clone())));
        }
        if !entry.identitytoken.is_empty() {
            return Ok(Some(Credential::Identity(entry.identitytoken.clone())));
        }
        if entry.auth.is_empty() {
            return Ok(password(entry.username.clone(), entry.password.clone()));
        }
        let invalid = || UserError::failed(format!("`auth` of {login} is not the Base64 of USER:PASSWORD"));
        let text = STANDARD.decode(entry.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, secret) = text
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or_else(|| invalid().help("log in again: docker login HOST"))?;
        Ok(password(user.to_owned(), secret.trim_matches('\0').to_owned()))
    }
}

fn password(user: String, password: String) -> Option<Credential> {
    match (user.as_str(), password.as_str()) {
        ("", "") => None,
        ("<token>", _) => Some(Credential::Identity(password)),
        _ => Some(Credential::Password { user, password }),
    }
}

/// The host of a key in `auths`, which older versions wrote as an address: `https://HOST/v1/`.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    rest.split('/').next().unwrap_or(rest)
}

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks a credential helper. `None`: it has nothing for this registry.
///
/// # Errors
/// If it cannot be called, or fails otherwise.
pub(super) fn ask(runner: &Runner, helper: &str, login: &str) -> Result<Option<Credential>> {
    let program = Program::new(format!("docker-credential-{helper}"));
    let argv =
        Argv::new(format!("ask for the credentials of {login}"), &program).arg("get").limit(HELPER_LIMIT);
    let finished = runner.feed(&argv, login.as_bytes())?;
    if finished.success() {
        return printed(&finished.stdout).with_context(|| argv.purpose);
    }
    // What the helpers of Docker print, on stdout, where there is no entry.
    let said = String::from_utf8_lossy(&finished.stdout).into_owned();
    if said.contains("credentials not found") {
        return Ok(None);
    }
    Err(finished.fault(&argv).help(format!("log in again: docker login {login}")).into())
}

fn printed(stdout: &[u8]) -> Result<Option<Credential>> {
    let printed: Printed = serde_json::from_slice(stdout).context("the helper printed no credentials")?;
    Ok(password(printed.username, printed.secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text.as_bytes()).unwrap()
    }

    fn someone() -> Option<Credential> {
        Some(Credential::Password { user: "someone".into(), password: "some:thing".into() })
    }

    #[test]
    fn a_file_holds_credentials_in_several_forms() {
        let auth = STANDARD.encode("someone:some:thing\0");
        let file = config(&format!(
            r#"{{"auths":{{"ghcr.io":{{"auth":"{auth}"}},"https://index.docker.io/v1/":{{"auth":"{auth}"}},
            "https://old.example/v2/":{{"username":"someone","password":"some:thing"}},
            "token.example":{{"auth":"{auth}","identitytoken":"t"}},"azure.example":{{"username":"<token>","password":"t"}},
            "raw.example":{{"registrytoken":"r"}},"bad.example":{{"auth":"?"}},"empty.example":{{}}}},"HttpHeaders":{{}}}}"#
        ));
        let of = |login: &str| file.entry(login).unwrap();
        for login in ["ghcr.io", "https://index.docker.io/v1/", "old.example"] {
            assert_eq!(of(login), someone(), "{login}");
        }
        for login in ["token.example", "azure.example"] {
            assert_eq!(of(login), Some(Credential::Identity("t".into())), "{login}");
        }
        assert_eq!(of("raw.example"), Some(Credential::Registry("r".into())));
        assert_eq!((of("empty.example"), of("unknown.example")), (None, None));
        assert!(file.entry("bad.example").is_err());
        assert!(Config::parse(b"[").is_err());
    }

    #[test]
    fn a_helper_of_one_registry_comes_before_that_of_all() {
        let file =
            config(r#"{"credsStore":"desktop","credHelpers":{"1.dkr.ecr.eu.amazonaws.com":"ecr-login"}}"#);
        assert_eq!(file.helper("1.dkr.ecr.eu.amazonaws.com"), Some("ecr-login"));
        assert_eq!(file.helper("ghcr.io"), Some("desktop"));
        assert_eq!(config("{}").helper("ghcr.io"), None);
        assert_eq!(config(r#"{"credsStore":""}"#).helper("ghcr.io"), None);
    }

    #[test]
    fn helpers_print_what_they_know() {
        let text = br#"{"ServerURL":"ghcr.io","Username":"someone","Secret":"some:thing"}"#;
        assert_eq!(printed(text).unwrap(), someone());
        let token = br#"{"Username":"<token>","Secret":"t"}"#;
        assert_eq!(printed(token).unwrap(), Some(Credential::Identity("t".into())));
        assert!(printed(b"?").is_err());
    }

    #[test]
    fn no_secret_is_shown() {
        assert!(!format!("{:?}", someone()).contains("thing"));
    }
}
