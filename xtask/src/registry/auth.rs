//! Who asks: the credentials and tokens of one registry, each looked for once.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::time::Instant;

use crate::registry::credentials::{self, Config, Credential};
use crate::registry::failure::Failure;
use crate::registry::headers::Challenge;
use crate::registry::place::Place;
use crate::registry::tokens::{Token, Tools, ask, basic, fetch, merged};

/// What one registry wants to know of us.
#[derive(Default)]
pub(super) struct Auth {
    challenge: Option<Challenge>,
    /// Looked up when the registry asks for the first time. The inner `None`: we have none.
    credential: Option<Option<Credential>>,
    tokens: BTreeMap<String, Token>,
    /// By scope: what the registry wants a token to allow as well.
    wider: BTreeMap<String, String>,
}

impl Auth {
    /// The value of `Authorization` for a scope. `None`: the registry has not asked for anything.
    ///
    /// # Errors
    /// If the credentials cannot be read. That the token server refuses is a [`Failure`].
    pub(super) fn authorization(
        &mut self,
        tools: &Tools<'_>,
        place: &Place,
        scope: &str,
    ) -> Result<Result<Option<String>, Failure>> {
        let Some(challenge) = self.challenge.clone() else { return Ok(Ok(None)) };
        let credential = self.credential(tools, place)?.cloned();
        let (realm, service) = match (challenge, &credential) {
            (_, Some(Credential::Registry(token))) => return Ok(Ok(Some(format!("Bearer {token}")))),
            (Challenge::Basic, Some(Credential::Password { user, password })) => {
                return Ok(Ok(Some(basic(user, password))));
            }
            (Challenge::Basic, _) => return Ok(Ok(None)),
            (Challenge::Bearer { realm, service, .. }, _) => (realm, service),
        };
        let scope = self.wider(scope).to_owned();
        if let Some(token) = self.tokens.get(&scope).filter(|token| token.until > Instant::now()) {
            return Ok(Ok(Some(format!("Bearer {}", token.text))));
        }
        let given = fetch(tools, place, &realm, &ask(&realm, &service, &scope, credential.as_ref()))?;
        Ok(given.map(|token| {
            let value = format!("Bearer {}", token.text);
            self.tokens.insert(scope, token);
            Some(value)
        }))
    }

    /// Remembers what a registry has asked for, and forgets the token that it did not accept.
    pub(super) fn learn(&mut self, challenge: Option<Challenge>, used: Option<&str>, scope: &str) {
        let wider = self.wider(scope).to_owned();
        if let Some(Challenge::Bearer { scope: named, .. }) = &challenge {
            self.wider.insert(scope.to_owned(), merged(&wider, named));
        }
        // Another thread may have got a new token since this one was sent.
        let same = |token: &Token| used == Some(&format!("Bearer {}", token.text));
        if self.tokens.get(&wider).is_some_and(same) {
            self.tokens.remove(&wider);
        }
        self.challenge = challenge.or(self.challenge.take());
    }

    /// The scope to ask for: the registry may have asked for more.
    fn wider<'s>(&'s self, scope: &'s str) -> &'s str {
        self.wider.get(scope).map_or(scope, String::as_str)
    }

    fn credential(&mut self, tools: &Tools<'_>, place: &Place) -> Result<Option<&Credential>> {
        if self.credential.is_none() {
            self.credential = Some(find(tools, place.login())?);
        }
        Ok(self.credential.as_ref().and_then(Option::as_ref))
    }
}

/// Looks for credentials where Docker does: a helper, the file, the environment.
fn find(tools: &Tools<'_>, login: &str) -> Result<Option<Credential>> {
    let settings = tools.transport.settings();
    let mut configs = Vec::new();
    if let Some(text) = settings.docker_auth_config() {
        configs.push(Config::parse(text.as_bytes()).context("reading DOCKER_AUTH_CONFIG")?);
    }
    if let Some(path) = settings.docker_config().map(|folder| folder.join("config.json"))
        && let Some(text) = crate::base::files::read_optional(&path)?
    {
        configs.push(Config::parse(&text).with_context(|| format!("reading {}", path.display()))?);
    }
    for config in &configs {
        let asked = config.helper(login).map(|helper| credentials::ask(tools.runner, helper, login));
        let found = match asked.transpose()?.flatten() {
            Some(found) => Some(found),
            None => config.entry(login)?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::tokens::Access;

    #[test]
    fn what_was_not_accepted_is_forgotten() {
        let named = "repository:a:push".to_owned();
        let bearer = Challenge::Bearer { realm: "https://r/t".into(), service: String::new(), scope: named };
        let (ours, mut auth) = (Access::Pull.scope("a"), Auth::default());
        auth.learn(Some(bearer), None, &ours);
        assert_eq!(auth.wider(&ours), "repository:a:pull,push");
        let token = Token { text: "new".into(), until: Instant::now() };
        auth.tokens.insert(auth.wider(&ours).to_owned(), token);
        auth.learn(None, Some("Bearer old"), &ours);
        assert_eq!(auth.tokens.len(), 1, "got by another thread meanwhile");
        auth.learn(None, Some("Bearer new"), &ours);
        assert!(auth.tokens.is_empty() && auth.challenge.is_some());
    }
}
