//! Where images go.

use anyhow::{Context as _, Result};
use std::str::FromStr;

use crate::base::ids::Repository;
use crate::matrix::Matrix;
use crate::plan::{Destination, DestinationKind};
use crate::session::Session;

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

impl FromStr for To {
    type Err = anyhow::Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "local" => Ok(Self::Local),
            "publish" => Ok(Self::Publish),
            other => other.parse().map(Self::Repository),
        }
    }
}

impl Session {
    /// `--to`, else `XTASK_TO`, else what is usual here.
    pub(crate) fn to(&self, typed: Option<&To>) -> Result<To> {
        let environment = &self.context.environment;
        match (typed, environment.get("XTASK_TO")) {
            (Some(to), _) => Ok(to.clone()),
            (None, Some(text)) => text.parse().context("reading the variable XTASK_TO"),
            (None, None) => Ok(if environment.ci() { To::Publish } else { To::Local }),
        }
    }

    /// Where images go.
    ///
    /// # Errors
    /// If the state of the local stack cannot be read.
    pub fn destination(&self, to: &To, matrix: &Matrix) -> Result<Destination> {
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
}
