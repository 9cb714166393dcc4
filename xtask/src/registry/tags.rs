//! The tags of a repository, page by page.

use anyhow::Result;

use crate::base::error::UserError;
use crate::base::ids::Repository;
use crate::registry::client::Call;
use crate::registry::failure::Failure;
use crate::registry::place::Place;
use crate::registry::status::Verdict;
use crate::registry::transport::Answer;
use crate::registry::{Registry, manifest, next_query};

/// How many pages of tags are read at most.
const PAGES: usize = 10_000;

/// What a list of tags is.
const JSON: &str = "application/json";

/// The tags of a repository.
#[derive(Debug)]
pub enum Tags {
    /// Their names, as the registry orders them.
    Listed(Vec<String>),
    /// There is no such repository.
    Missing,
    /// The registry does not want to tell, and perhaps there is no such repository: Docker Hub and, to those who are
    /// not logged in, ghcr.io make no difference.
    Refused(UserError),
}

impl Registry {
    /// The tags of a repository, those of signatures included.
    ///
    /// # Errors
    /// If the registry does not answer.
    pub fn tags(&self, repository: &Repository) -> Result<Tags> {
        let (place, purpose) = (Place::of(repository), format!("list the tags of {repository}"));
        let (mut tags, mut query) = (Vec::new(), String::new());
        for _ in 0..PAGES {
            let (method, path, kind) =
                ("GET", format!("tags/list{query}"), Some(("accept", JSON.to_owned())));
            let (purpose, place, limit) = (purpose.clone(), &place, manifest::LIMIT);
            let call = Call { purpose, method, place, path, kind, body: &[], limit };
            match self.client.call(&call, false, page_of_tags)? {
                Ok((mut more, next)) => {
                    tags.append(&mut more);
                    match next {
                        Some(next) => query = next,
                        None => return Ok(Tags::Listed(tags)),
                    }
                }
                Err(failure) if failure.verdict == Verdict::Missing => return Ok(Tags::Missing),
                Err(failure) if failure.verdict == Verdict::Refused => {
                    return Ok(Tags::Refused(failure.fault(&call.purpose)));
                }
                Err(failure) => return Err(failure.fault(&call.purpose).into()),
            }
        }
        Err(UserError::failed(format!("{purpose}: there are more than {PAGES} pages")).into())
    }
}

/// What a page of tags lists, and the query of the next one.
fn page_of_tags(answer: Answer) -> Result<(Vec<String>, Option<String>), Failure> {
    #[derive(serde::Deserialize)]
    struct Page {
        /// Some registries say `null` where there are none.
        tags: Option<Vec<String>>,
    }
    let page: Page = serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::broken(format!("a list of tags was expected: {error}")))?;
    Ok((page.tags.unwrap_or_default(), next_query(&answer)))
}
