//! What the environment says about connections: proxies, plain HTTP, files of authorities. Pure, but for the files.
//!
//! Sources: Go's `golang.org/x/net/http/httpproxy` (which buildx and cosign follow), and Docker's "Verify repository
//! client with certificates" (`certs.d`).

use std::path::PathBuf;

use crate::base::context::Environment;
use crate::registry::place::{is_loopback, without_port};

/// What the environment says.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    environment: Environment,
}

impl Settings {
    /// Of an environment.
    pub(super) fn new(environment: &Environment) -> Self {
        Self { environment: environment.clone() }
    }

    fn either(&self, name: &str) -> Option<&str> {
        self.environment.get(name).or_else(|| self.environment.get(&name.to_ascii_lowercase()))
    }

    /// `XTASK_INSECURE_REGISTRIES`: whether plain HTTP may be spoken to a host. This machine is always allowed.
    pub(super) fn allows_http(&self, host: &str) -> bool {
        let named = self.environment.get("XTASK_INSECURE_REGISTRIES").unwrap_or_default();
        is_loopback(host) || named.split(',').any(|name| name.trim() == host)
    }

    /// The proxy for an address: `HTTPS_PROXY` or `HTTP_PROXY`, unless `NO_PROXY` names the host. Never for this machine.
    pub(super) fn proxy(&self, secure: bool, host: &str) -> Option<&str> {
        let proxy = self.either(if secure { "HTTPS_PROXY" } else { "HTTP_PROXY" })?;
        (!is_loopback(host) && !self.either("NO_PROXY").is_some_and(|list| is_exempt(list, host)))
            .then_some(proxy)
    }

    /// `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    pub(super) fn authorities(&self) -> (Option<PathBuf>, Vec<PathBuf>) {
        let folders = self.environment.get("SSL_CERT_DIR").unwrap_or_default().split(':');
        let folders = folders.filter(|folder| !folder.is_empty()).map(PathBuf::from);
        (self.environment.get("SSL_CERT_FILE").map(PathBuf::from), folders.collect())
    }

    /// The folder of Docker's `config.json`.
    pub(super) fn docker_config(&self) -> Option<PathBuf> {
        let home = || self.environment.get("HOME").map(|home| PathBuf::from(home).join(".docker"));
        self.environment.get("DOCKER_CONFIG").map(PathBuf::from).or_else(home)
    }

    /// Credentials in the environment itself, as Docker's CLI takes them since 28.3: a `config.json` as text.
    pub(super) fn docker_auth_config(&self) -> Option<&str> {
        self.environment.get("DOCKER_AUTH_CONFIG")
    }

    /// The folders that may hold certificates for a host: of the engine, of a rootless engine, of Docker Desktop.
    pub(super) fn certificates(&self, host: &str) -> Vec<PathBuf> {
        let home = self.environment.get("HOME").map(PathBuf::from);
        let config = self.environment.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| home.map(|home| home.join(".config")));
        let rootless = config.map(|config| config.join("docker"));
        let all = [Some(PathBuf::from("/etc/docker")), rootless, self.docker_config()];
        all.into_iter().flatten().map(|folder| folder.join("certs.d").join(host)).collect()
    }
}

/// Whether a list of `NO_PROXY` names a host: `*`, a name (with all below it), `.name` (below it only), an address, a
/// range `10.0.0.0/8`, each with or without a port.
fn is_exempt(list: &str, host: &str) -> bool {
    let name = without_port(host);
    let port = host.rsplit_once(':').map(|(_, port)| port);
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" || is_in_range(entry, name) {
            return true;
        }
        let (wanted, wanted_port) = match entry.rsplit_once(':') {
            Some((wanted, wanted_port)) if wanted_port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (wanted.trim_matches(['[', ']']), Some(wanted_port))
            }
            _ => (entry.trim_matches(['[', ']']), None),
        };
        if wanted_port.is_some() && wanted_port != port {
            return false;
        }
        let below = wanted.trim_start_matches('*');
        let dotted = if below.starts_with('.') { below.to_owned() } else { format!(".{below}") };
        name.ends_with(&dotted) || name == wanted
    })
}

fn is_in_range(range: &str, name: &str) -> bool {
    use std::net::IpAddr::{V4, V6};
    let Some((network, bits)) = range.split_once('/') else { return false };
    let (Ok(network), Ok(address), Ok(bits)) = (network.parse(), name.parse(), bits.parse::<u32>()) else {
        return false;
    };
    match (network, address) {
        (V4(network), V4(address)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or_default();
            u32::from(network) & mask == u32::from(address) & mask
        }
        (V6(network), V6(address)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or_default();
            u128::from(network) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_chosen_as_go_programs_do() {
        let settings = |list: &str| {
            Settings::new(&Environment::from([
                ("https_proxy", "http://proxy:3128"),
                ("HTTP_PROXY", "http://plain:3128"),
                ("NO_PROXY", list),
            ]))
        };
        let all = settings("");
        assert_eq!(all.proxy(true, "ghcr.io"), Some("http://proxy:3128"));
        assert_eq!(all.proxy(false, "registry.lan:5000"), Some("http://plain:3128"));
        assert_eq!(all.proxy(true, "127.0.0.1:5000"), None);
        assert_eq!(Settings::new(&Environment::default()).proxy(true, "ghcr.io"), None);
        for (list, host, through) in [
            ("*", "ghcr.io", false),
            ("ghcr.io", "ghcr.io", false),
            ("ghcr.io", "x.ghcr.io:443", false),
            ("ghcr.io", "otherghcr.io", true),
            (".example.com", "a.example.com", false),
            (".example.com", "example.com", true),
            ("*.example.com", "a.example.com", false),
            ("10.0.0.0/8, other", "10.1.2.3:5000", false),
            ("10.0.0.0/8", "11.1.2.3", true),
            ("fd00::/8", "[fd00::1]:5000", false),
            ("registry.lan:5000", "registry.lan:5000", false),
            ("registry.lan:5000", "registry.lan:5001", true),
            ("10.0.0.1", "10.0.0.1:5000", false),
            ("0.0.0.0/0", "8.8.8.8", false),
            ("10.0.0.0/99", "10.0.0.1", true),
        ] {
            assert_eq!(settings(list).proxy(true, host).is_some(), through, "{list} {host}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_and_what_is_named() {
        let settings =
            Settings::new(&Environment::from([("XTASK_INSECURE_REGISTRIES", "a.lan:5000, b.lan")]));
        for (host, allowed) in [
            ("a.lan:5000", true),
            ("b.lan", true),
            ("a.lan", false),
            ("localhost:1", true),
            ("ghcr.io", false),
        ] {
            assert_eq!(settings.allows_http(host), allowed, "{host}");
        }
    }

    #[test]
    fn docker_says_where_its_files_are() {
        let settings = |pairs: [(&str, &str); 2]| Settings::new(&Environment::from(pairs));
        let home = settings([("HOME", "/h"), ("X", "")]);
        assert_eq!(home.docker_config(), Some("/h/.docker".into()));
        let named = settings([("HOME", "/h"), ("DOCKER_CONFIG", "/c")]);
        let folders = ["/etc/docker/certs.d/r:1", "/h/.config/docker/certs.d/r:1", "/c/certs.d/r:1"];
        assert_eq!(named.certificates("r:1"), folders.map(PathBuf::from));
        let files = settings([("SSL_CERT_FILE", "/a.pem"), ("SSL_CERT_DIR", "/b:/c")]);
        assert_eq!(files.authorities(), (Some("/a.pem".into()), vec!["/b".into(), "/c".into()]));
    }
}
