//! Names and addresses that parse once and cannot be wrong afterwards.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::base::error::UserError;

/// Derives what every string newtype needs from its `FromStr`.
macro_rules! string_newtype {
    ($name:ident) => {
        impl $name {
            /// The text as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = anyhow::Error;
            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

/// A content digest, always `sha256:` and 64 lower-case hex digits (OCI image spec, descriptor).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(extend("pattern" = "^sha256:[0-9a-f]{64}$")))]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);
string_newtype!(Digest);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("sha256:{hex}"))
    }

    /// Stands for a digest that is not known yet in what `--dry-run` prints: all zeros.
    pub fn unknown() -> Self {
        Self(format!("sha256:{}", "0".repeat(64)))
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }

    /// The first 12 hex digits, for the name of what is made from something.
    pub fn short_hex(&self) -> &str {
        self.hex().get(..12).unwrap_or_default()
    }

    /// `sha256:` and the first 12 digits, for tables.
    pub fn short(&self) -> &str {
        self.0.get(..19).unwrap_or(&self.0)
    }
}

impl FromStr for Digest {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        let valid = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(UserError::invalid(format!("`{text}` is no digest: expected sha256: and 64 hex digits"))
                .into())
        }
    }
}

/// A name of the matrix: an image, track, composer mode, axis or architecture; `[a-z0-9][a-z0-9._-]*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,127}$")))]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);
string_newtype!(Name);

impl FromStr for Name {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
        if first && rest && text.len() <= 128 {
            Ok(Self(text.to_owned()))
        } else {
            Err(UserError::invalid(format!("`{text}` is no valid name: expected [a-z0-9][a-z0-9._-]*"))
                .into())
        }
    }
}

/// The id of a cell: the names of its parts joined by `.`, e.g. `snipe-it.tag.pinned`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,127}$")))]
#[serde(try_from = "String", into = "String")]
pub struct CellId(String);
string_newtype!(CellId);

impl CellId {
    /// Joins the parts. Two cells of one matrix never share an id: validation sees to it.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a Name>) -> Self {
        Self(parts.into_iter().map(Name::as_str).collect::<Vec<_>>().join("."))
    }
}

impl FromStr for CellId {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        // The id names a folder, so what a name may not hold (`/`, `..` at its start) an id may not either.
        text.parse::<Name>().map(|name| Self(name.0)).map_err(|_| {
            UserError::invalid(format!(
                "`{text}` is no cell id: expected names joined by `.`, e.g. app.tag.pinned"
            ))
            .into()
        })
    }
}

/// An OCI platform, `os/arch[/variant]`, e.g. `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(extend("pattern" = "^[a-z0-9]+(/[a-z0-9]+){1,2}$")))]
#[serde(try_from = "String", into = "String")]
pub struct Platform(String);
string_newtype!(Platform);

impl Platform {
    /// The operating system, e.g. `linux`.
    pub fn os(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The architecture in Go's words, e.g. `arm64`.
    pub fn architecture(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    /// The variant, e.g. `v7`.
    pub fn variant(&self) -> Option<&str> {
        self.0.split('/').nth(2)
    }

    /// The platform of this machine, as containers on it see it.
    pub fn host() -> Self {
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self(format!("linux/{arch}"))
    }

    /// Whether two spellings mean one platform. `linux/arm64` is `linux/arm64/v8`,
    /// `linux/amd64` is `linux/amd64/v1` (containerd's platform normalisation).
    pub fn matches(&self, os: &str, architecture: &str, variant: Option<&str>) -> bool {
        let default = match architecture {
            "arm64" => Some("v8"),
            "arm" => Some("v7"),
            "amd64" => Some("v1"),
            _ => None,
        };
        let normal = |variant: Option<&str>| {
            variant.filter(|v| !v.is_empty()).map(str::to_owned).or(default.map(str::to_owned))
        };
        self.os() == os && self.architecture() == architecture && normal(self.variant()) == normal(variant)
    }
}

impl FromStr for Platform {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if (2..=3).contains(&parts.len()) && parts.iter().all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(UserError::invalid(format!(
                "`{text}` is no platform: expected os/arch or os/arch/variant, e.g. linux/arm64"
            ))
            .into())
        }
    }
}

/// A registry, and a path in it: `ghcr.io/acme`, `127.0.0.1:5000/app`. Never with a tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Repository(String);
string_newtype!(Repository);

impl Repository {
    /// The repository below this one, e.g. `ghcr.io/acme` and `app` make `ghcr.io/acme/app`.
    pub fn join(&self, name: &Name) -> Self {
        Self(format!("{}/{name}", self.0))
    }

    /// The host, with its port.
    pub fn host(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// `REPO@sha256:…`.
    pub fn at(&self, digest: &Digest) -> String {
        format!("{}@{digest}", self.0)
    }

    /// `REPO:TAG`.
    pub fn tagged(&self, tag: &Tag) -> String {
        format!("{}:{tag}", self.0)
    }
}

impl FromStr for Repository {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            UserError::invalid(format!(
                "`{text}` is no repository: expected HOST/PATH in lower case, e.g. ghcr.io/acme"
            ))
        };
        let (host, path) = text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path)));
        let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
        let host_like = name == "localhost" || name.contains('.') || port.is_some();
        let host_ok =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok());
        let path_ok = path.is_none_or(|path| path.split('/').all(is_path_component));
        if host_like && host_ok && port_ok && path_ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(invalid().into())
        }
    }
}

/// One component of a repository path (OCI distribution spec, `<name>`).
fn is_path_component(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let edge = |b: Option<u8>| b.is_some_and(alphanumeric);
    edge(part.bytes().next())
        && edge(part.bytes().last())
        && part.bytes().all(|b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-'))
}

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution spec, `<reference>`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(extend("pattern" = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")))]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);
string_newtype!(Tag);

impl FromStr for Tag {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let first = text.bytes().next().is_some_and(word);
        let rest = text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'));
        if first && rest && text.len() <= 128 {
            Ok(Self(text.to_owned()))
        } else {
            Err(UserError::invalid(format!(
                "`{text}` is no valid tag: expected up to 128 letters, digits, `_`, `.` or `-`, not beginning with `.` or `-`"
            ))
            .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_need_a_host() {
        for good in ["ghcr.io/acme", "127.0.0.1:5000", "localhost/app", "registry.example.com:443/a/b-c"] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "acme",
            "acme/app",
            "ghcr.io/Acme",
            "ghcr.io/acme:tag",
            "ghcr.io/acme@sha256:0",
            "ghcr.io//a",
            "ghcr.io/-a",
            "a.b:x/y",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn cell_ids_cannot_leave_their_folder() {
        for bad in ["", "../x", "/etc", "a/b", ".hidden", "A"] {
            assert!(bad.parse::<CellId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn platform_variants_normalise() {
        let arm64: Platform = "linux/arm64".parse().unwrap();
        assert!(arm64.matches("linux", "arm64", Some("v8")));
        assert!(arm64.matches("linux", "arm64", None));
        assert!(!arm64.matches("linux", "amd64", None));
        let v6: Platform = "linux/arm/v6".parse().unwrap();
        assert!(!v6.matches("linux", "arm", Some("v7")));
        assert!(!v6.matches("linux", "arm", None));
    }

    #[test]
    fn digests_are_strict() {
        assert_eq!(
            Digest::of(b"").as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!("sha256:E3B0".parse::<Digest>().is_err());
        assert!("sha512:00".parse::<Digest>().is_err());
    }
}
