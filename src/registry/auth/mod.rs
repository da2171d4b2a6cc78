//! Logging in: what a registry asks for, and what we show it.
//!
//! Nothing is shown before it was asked for: the first request goes out bare, the challenge that it meets
//! is remembered, and later requests bring their token along. Credentials go to the registry itself or to
//! the token service that it names, never along with a redirect.
//!
//! **Invariants.** Passwords and tokens are `SecretString`s, sent only over TLS or to this machine.

mod challenge;
mod credentials;
mod scope;
mod token;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use self::challenge::{Challenge, challenges};
use self::token::{TokenService, Tokens};
use super::error::{RegistryError, Result};
use super::options::Credentials;
use super::spelling::spell;
use super::transport::Wire;

use self::credentials::Login;
pub(super) use self::scope::Scope;

/// What the registry was seen to ask for.
#[derive(Clone)]
enum Scheme {
    Basic,
    Bearer(TokenService),
}

/// What is shown with one request.
#[derive(Clone)]
pub(super) enum Authorization {
    Basic {
        username: String,
        password: SecretString,
    },
    Bearer(SecretString),
}

impl Authorization {
    pub(super) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Basic { username, password } => {
                request.basic_auth(username, Some(password.expose_secret()))
            }
            Self::Bearer(token) => request.bearer_auth(token.expose_secret()),
        }
    }
}

/// The logins at one registry.
#[derive(Default)]
pub(super) struct Auth {
    /// A helper that failed is not run again for every request.
    login: OnceCell<Result<Login>>,
    scheme: RwLock<Option<Scheme>>,
    tokens: Tokens,
    is_met: AtomicBool,
    meeting: Mutex<()>,
}

impl Auth {
    /// Until the first request has met its answer, the others wait: they would all run into the same
    /// challenge. `None` once that has happened.
    pub(super) async fn first_contact(&self) -> Option<MutexGuard<'_, ()>> {
        if self.is_met.load(Ordering::Acquire) {
            return None;
        }
        let turn = self.meeting.lock().await;
        (!self.is_met.load(Ordering::Acquire)).then_some(turn)
    }

    pub(super) fn have_met(&self) {
        self.is_met.store(true, Ordering::Release);
    }

    async fn login(&self, wire: &Wire) -> Result<&Login> {
        let host = (&*wire.host, &*spell(&wire.base));
        let find = || credentials::find(host, &wire.options.credentials);
        self.login
            .get_or_init(find)
            .await
            .as_ref()
            .map_err(Clone::clone)
    }

    /// What to show for `scopes`, as far as the registry is known to ask for anything.
    pub(super) async fn authorization(
        &self,
        wire: &Wire,
        scopes: &[Scope],
    ) -> Result<Option<Authorization>> {
        if let Credentials::Bearer(token) = &wire.options.credentials {
            wire.require_confidential(&wire.base)?;
            return Ok(Some(Authorization::Bearer(token.clone())));
        }
        let scheme = self
            .scheme
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match scheme {
            None => Ok(None),
            Some(Scheme::Basic) => self.basic(wire).await,
            Some(Scheme::Bearer(service)) => {
                let login = self.login(wire).await?;
                if !matches!(login, Login::Anonymous) {
                    wire.require_confidential(&service.realm)?;
                }
                let token = self.tokens.get(wire, &service, login, scopes).await?;
                Ok(Some(Authorization::Bearer(token)))
            }
        }
    }

    /// `None` where there is no user name and password.
    pub(super) async fn basic(&self, wire: &Wire) -> Result<Option<Authorization>> {
        let Login::Basic { username, password } = self.login(wire).await? else {
            return Ok(None);
        };
        wire.require_confidential(&wire.base)?;
        Ok(Some(Authorization::Basic {
            username: username.clone(),
            password: password.clone(),
        }))
    }

    /// Takes in a 401. Says with which scopes to try again, `None` where that would change nothing.
    pub(super) async fn challenged(
        &self,
        wire: &Wire,
        headers: &HeaderMap,
        scopes: &[Scope],
        shown: Option<&Authorization>,
    ) -> Result<Option<Vec<Scope>>> {
        let offered = challenges(headers);
        let find = |scheme: &str| offered.iter().find(|challenge| challenge.scheme == scheme);
        let bearer = find("bearer").filter(|challenge| challenge.parameter("realm").is_some());
        let scheme = match (bearer, find("basic")) {
            (Some(challenge), _) => Scheme::Bearer(token_service(wire, challenge)?),
            (None, Some(_)) => Scheme::Basic,
            (None, None) => return Ok(None),
        };
        *self.scheme.write().unwrap_or_else(PoisonError::into_inner) = Some(scheme);
        let mut scopes = scopes.to_vec();
        match shown {
            Some(_) if matches!(wire.options.credentials, Credentials::Bearer(_)) => Ok(None),
            Some(Authorization::Basic { .. }) if bearer.is_none() => Ok(None),
            Some(Authorization::Bearer(token)) => {
                self.tokens.forget(&scopes, token).await;
                scopes.extend(bearer.and_then(|challenge| also_asked(challenge, &scopes)));
                scopes.sort();
                Ok(Some(scopes))
            }
            Some(Authorization::Basic { .. }) | None => Ok(Some(scopes)),
        }
    }
}

/// A scope that the challenge names and that was not among ours: a registry may know the repository by
/// another name than we do.
fn also_asked(challenge: &Challenge, scopes: &[Scope]) -> Option<Scope> {
    let asked = challenge.parameter("scope")?;
    let is_new = !asked.is_empty() && scopes.iter().all(|scope| scope.to_string() != asked);
    is_new.then(|| Scope::Asked(asked.to_owned()))
}

fn token_service(wire: &Wire, challenge: &Challenge) -> Result<TokenService> {
    let realm = challenge.parameter("realm").unwrap_or_default();
    let malformed =
        || RegistryError::malformed(&wire.host, "its challenge names no valid token service");
    let realm = realm.parse().map_err(|_| malformed())?;
    Ok(TokenService {
        realm: wire.admit(&wire.base, realm, "names a token service at")?,
        service: challenge.parameter("service").map(str::to_owned),
    })
}
