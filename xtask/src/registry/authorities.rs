//! Whom we trust, and who we are in TLS: the system's authorities, and Docker's `certs.d`.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use ureq::tls::{Certificate, PemItem, PrivateKey, parse_pem};

/// Whom we trust: the system's authorities, or those of `SSL_CERT_FILE`. As for programs in Go, the system's folders
/// count beside that file, unless `SSL_CERT_DIR` names others.
pub(super) fn authorities(file: Option<&Path>, folders: &[PathBuf]) -> Vec<Certificate<'static>> {
    let mut found = Vec::new();
    let mut add = |result: rustls_native_certs::CertificateResult| {
        found.extend(result.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()));
    };
    match file {
        Some(file) => add(rustls_native_certs::load_certs_from_paths(Some(file), None)),
        None if folders.is_empty() => add(rustls_native_certs::load_native_certs()),
        None => {}
    }
    let system = ["/etc/ssl/certs", "/etc/pki/tls/certs"].map(PathBuf::from);
    let folders = if file.is_some() && folders.is_empty() { &system } else { folders };
    for folder in folders {
        add(rustls_native_certs::load_certs_from_paths(None, Some(folder)));
    }
    found
}

/// What `certs.d` holds for one registry: `*.crt` authorities, `*.cert` and `*.key` who we are.
#[derive(Default)]
pub(super) struct OwnFiles {
    pub(super) authorities: Vec<Certificate<'static>>,
    pub(super) chain: Vec<Certificate<'static>>,
    pub(super) key: Option<PrivateKey<'static>>,
}

impl OwnFiles {
    /// Adds what a folder holds; one that does not exist holds nothing.
    ///
    /// # Errors
    /// If a file in it cannot be read.
    pub(super) fn read(&mut self, folder: &Path) -> Result<()> {
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        for path in paths {
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            if !matches!(kind, "crt" | "cert" | "key") {
                continue;
            }
            let reading = || format!("reading {}", path.display());
            for item in parse_pem(&std::fs::read(&path).with_context(reading)?) {
                match (kind, item.with_context(reading)?) {
                    ("crt", PemItem::Certificate(certificate)) => self.authorities.push(certificate),
                    ("cert", PemItem::Certificate(certificate)) => self.chain.push(certificate),
                    ("key", PemItem::PrivateKey(key)) => self.key = Some(key),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
