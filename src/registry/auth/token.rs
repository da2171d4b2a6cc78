//! Bearer tokens: fetched once per set of scopes however many requests wait, kept until shortly before
//! they expire, and forgotten when the registry no longer takes them.
//!
//! A token service that is down is a temporary failure and is asked again; one that says no is a refused
//! login. Neither is ever swallowed.
//!
//! Specification: distribution, "Token Authentication" and its variant with a refresh token.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use super::{Login, Scope};
use crate::registry::error::{RegistryError, Result};
use crate::registry::retry::{Attempts, Pace};
use crate::registry::transport::Wire;

const REPLY_SIZE_MAX_BYTES: u64 = 256 << 10;
/// What a token lives when the service does not say it. Source: distribution, "Token Response Fields".
const LIFETIME_DEFAULT: Duration = Duration::from_mins(1);
/// A token is renewed this much before its end, or a fifth of its life if that is shorter.
const RENEWAL_MARGIN_MAX: Duration = Duration::from_secs(10);

/// The token service that a registry names in its challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenService {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
}

struct Token {
    secret: SecretString,
    good_until: Instant,
}

/// The token of one set of scopes. Whoever holds the lock fetches; the others wait and look again.
#[derive(Default)]
struct Slot {
    fetches: AtomicU64,
    kept: tokio::sync::Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    token: Option<Token>,
    failure: Option<RegistryError>,
}

#[derive(Default)]
pub(super) struct Tokens {
    slots: Mutex<HashMap<Vec<Scope>, Arc<Slot>>>,
    pace: Pace,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default, deserialize_with = "secret")]
    token: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    access_token: Option<SecretString>,
    expires_in: Option<f64>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Into::into))
}

impl Tokens {
    fn slot(&self, scopes: &[Scope]) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(scopes.to_vec()).or_default())
    }

    /// A token for `scopes`, which must be sorted: the kept one, or a new one.
    pub(super) async fn get(
        &self,
        wire: &Wire,
        service: &TokenService,
        login: &Login,
        scopes: &[Scope],
    ) -> Result<SecretString> {
        let slot = self.slot(scopes);
        let fetches = slot.fetches.load(Ordering::Acquire);
        let mut kept = slot.kept.lock().await;
        if let Some(token) = &kept.token
            && token.good_until > Instant::now()
        {
            return Ok(token.secret.clone());
        }
        if let Some(failure) = &kept.failure
            && slot.fetches.load(Ordering::Acquire) != fetches
        {
            return Err(failure.clone());
        }
        let fetched = self.fetch(wire, service, login, scopes).await;
        slot.fetches.fetch_add(1, Ordering::Release);
        kept.failure = fetched.as_ref().err().cloned();
        kept.token = fetched.ok();
        match (&kept.token, &kept.failure) {
            (Some(token), _) => Ok(token.secret.clone()),
            (None, Some(failure)) => Err(failure.clone()),
            (None, None) => unreachable!("a fetch ends with a token or a failure"),
        }
    }

    /// Forgets the token that the registry refused, unless a newer one is there already.
    pub(super) async fn forget(&self, scopes: &[Scope], refused: &SecretString) {
        let slot = self.slot(scopes);
        let mut kept = slot.kept.lock().await;
        kept.token = kept
            .token
            .take()
            .filter(|token| token.secret.expose_secret() != refused.expose_secret());
    }

    async fn fetch(
        &self,
        wire: &Wire,
        service: &TokenService,
        login: &Login,
        scopes: &[Scope],
    ) -> Result<Token> {
        let mut attempts = Attempts::new(&wire.options, &self.pace);
        loop {
            self.pace.keep().await;
            match fetch_once(wire, service, login, scopes).await {
                Ok(token) => return Ok(token),
                Err(error) => attempts.again(error).await?,
            }
        }
    }
}

async fn fetch_once(
    wire: &Wire,
    service: &TokenService,
    login: &Login,
    scopes: &[Scope],
) -> Result<Token> {
    tracing::debug!(host = wire.host, ?scopes, "fetching a token");
    if let Login::Identity(token) = login {
        match ask(wire, refresh_request(wire, service, token, scopes)).await {
            Err(error) if is_without_oauth(&error) => {}
            done => return done.map_err(|error| as_login(wire, error)),
        }
    }
    let request = wire.request(Method::GET, token_url(service, scopes));
    let request = match login {
        Login::Basic { username, password } => {
            request.basic_auth(username, Some(password.expose_secret()))
        }
        // Services without OAuth2 take an identity token as a password without a user.
        Login::Identity(token) => request.basic_auth("", Some(token.expose_secret())),
        Login::Anonymous => request,
    };
    let done = ask(wire, request).await;
    done.map_err(|error| as_login(wire, error))
}

fn token_url(service: &TokenService, scopes: &[Scope]) -> Url {
    let mut url = service.realm.clone();
    url.query_pairs_mut()
        .extend_pairs(
            service
                .service
                .iter()
                .map(|service| ("service", service.clone())),
        )
        .extend_pairs(scopes.iter().map(|scope| ("scope", scope.to_string())));
    url
}

fn refresh_request(
    wire: &Wire,
    service: &TokenService,
    token: &SecretString,
    scopes: &[Scope],
) -> RequestBuilder {
    let scope: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    // A URL's query has the encoding of a form.
    let mut form = service.realm.clone();
    form.query_pairs_mut()
        .clear()
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", service.service.as_deref().unwrap_or_default())
        .append_pair("client_id", "airlift")
        .append_pair("scope", &scope.join(" "))
        .append_pair("refresh_token", token.expose_secret());
    wire.request(Method::POST, service.realm.clone())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.query().unwrap_or_default().to_owned())
}

async fn ask(wire: &Wire, request: RequestBuilder) -> Result<Token> {
    let (request, host) = wire.prepared(request)?;
    let asked_at = Instant::now();
    let response = wire.execute(request).await?;
    if response.status() != StatusCode::OK {
        return Err(wire.refusal(response).await);
    }
    let bytes = wire.read(response, REPLY_SIZE_MAX_BYTES).await?;
    let malformed = |what| RegistryError::malformed(&host, what);
    let reply: Reply = serde_json::from_slice(&bytes)
        .map_err(|_| malformed("its token reply is not the JSON of one"))?;
    let secret = reply
        .token
        .filter(|token| !token.expose_secret().is_empty())
        .or(reply.access_token)
        .ok_or_else(|| malformed("its token reply holds no token"))?;
    let is_sendable = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !is_sendable(secret.expose_secret()) {
        return Err(malformed("its token is not one"));
    }
    let lifetime = reply
        .expires_in
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|lifetime| !lifetime.is_zero())
        .unwrap_or(LIFETIME_DEFAULT)
        .min(Duration::from_hours(24));
    Ok(Token {
        secret,
        good_until: asked_at + lifetime - RENEWAL_MARGIN_MAX.min(lifetime / 5),
    })
}

fn is_without_oauth(error: &RegistryError) -> bool {
    error
        .answer()
        .is_some_and(|answer| matches!(answer.status.as_u16(), 404 | 405))
}

/// Every answer of a token service that is not temporary means: no.
fn as_login(wire: &Wire, error: RegistryError) -> RegistryError {
    match error {
        RegistryError::Answer(answer) if !RegistryError::Answer(answer.clone()).is_temporary() => {
            RegistryError::Login {
                host: wire.host.clone(),
                reason: format!("its token service says no: {answer}"),
            }
        }
        other => other,
    }
}
