//! One request to a registry, from the token to the last redirect: everything above speaks in these.
//!
//! A request that can be repeated is repeated here, by the table in `retry`; one with a streaming body is
//! sent once, and whoever owns the stream decides how to go on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::auth::{Auth, Authorization, Scope};
use super::error::{RegistryError, Result};
use super::options::RegistryOptions;
use super::referrers_api::ReferrersApis;
use super::retry::{Attempts, Pace};
use super::transport::Wire;
use crate::oci::Repository;

/// How often one request is sent on. Source: design, limits of hostile sources.
const REDIRECTS_MAX: usize = 5;
/// With a fresh token, and once more with the scope that the registry asked for.
const LOGINS_MAX: usize = 2;

/// One request, as often as it takes.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Sorted.
    pub(super) scopes: Vec<Scope>,
}

impl Ask {
    pub(super) fn new(method: Method, url: Url, scope: Scope) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            scopes: vec![scope],
        }
    }

    pub(super) fn get(url: Url, scope: Scope) -> Self {
        Self::new(Method::GET, url, scope)
    }
}

/// What was learnt about the registry, so that it is learnt once.
#[derive(Default)]
pub(super) struct Habits {
    /// It answers ranged requests with the whole content.
    pub(super) ignores_ranges: AtomicBool,
    /// It wants uploads in pieces.
    pub(super) wants_pieces: AtomicBool,
    pub(super) referrers: ReferrersApis,
}

pub(super) struct Client {
    pub(super) wire: Wire,
    pub(super) habits: Habits,
    pub(super) pace: Pace,
    auth: Auth,
    requests: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

impl Client {
    pub(super) fn new(host: &str, options: RegistryOptions) -> Result<Self> {
        let places = options.concurrent_requests_max.max(1);
        Ok(Self {
            wire: Wire::new(host, options)?,
            habits: Habits::default(),
            pace: Pace::default(),
            auth: Auth::default(),
            requests: Arc::new(Semaphore::new(places)),
            downloads: Arc::new(Semaphore::new(places)),
            uploads: Arc::new(Semaphore::new(places)),
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.wire.host
    }

    pub(super) fn attempts(&self) -> Attempts<'_> {
        Attempts::new(&self.wire.options, &self.pace)
    }

    /// The user name and password for this registry, where those are what it is logged in to with.
    pub(super) async fn basic_login(&self) -> Result<Option<Authorization>> {
        self.auth.basic(&self.wire).await
    }

    pub(super) async fn download_place(&self) -> OwnedSemaphorePermit {
        place(&self.downloads).await
    }

    pub(super) async fn upload_place(&self) -> OwnedSemaphorePermit {
        place(&self.uploads).await
    }

    /// `/v2/<repository>/<tail>`; the tail may have a query.
    pub(super) fn url(&self, repository: &Repository, tail: &str) -> Url {
        self.root_url(&format!("{repository}/{tail}"))
    }

    pub(super) fn root_url(&self, tail: &str) -> Url {
        self.wire
            .base
            .join(&format!("/v2/{tail}"))
            .expect("names, tags and digests are made of characters that a path may hold")
    }

    /// Sends until there is an answer of success, or an error that will not go away.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Response> {
        let mut attempts = self.attempts();
        loop {
            match self.send_once(ask).await {
                Ok(response) => return Ok(response),
                Err(error) => attempts.again(error).await?,
            }
        }
    }

    /// As `send`, with the whole body; a body that breaks off is fetched again.
    pub(super) async fn fetch(&self, ask: &Ask, size_max: u64) -> Result<(HeaderMap, Bytes)> {
        let mut attempts = self.attempts();
        loop {
            let fetched = async {
                let response = self.send_once(ask).await?;
                let headers = response.headers().clone();
                Ok((headers, self.wire.read(response, size_max).await?))
            };
            match fetched.await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => attempts.again(error).await?,
            }
        }
    }

    /// One attempt, with the logins and redirects that belong to it.
    pub(super) async fn send_once(&self, ask: &Ask) -> Result<Response> {
        let _place = place(&self.requests).await;
        self.pace.keep().await;
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.answer(ask, &url).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !is_followed(status, &ask.method) {
                return Err(self.wire.refusal(response).await);
            }
            url = self.location(&response, "redirects to")?;
        }
        Err(RegistryError::refused(
            self.host(),
            format!("redirects more than {REDIRECTS_MAX} times"),
        ))
    }

    /// The answer of whoever is at `url`, after logging in where it is the registry itself.
    async fn answer(&self, ask: &Ask, url: &Url) -> Result<Response> {
        if !self.wire.is_own(url) {
            return self.exchange(ask, url, None).await;
        }
        let turn = self.auth.first_contact().await;
        let response = self.answer_to_login(ask, url).await;
        self.auth.have_met();
        drop(turn);
        response
    }

    async fn answer_to_login(&self, ask: &Ask, url: &Url) -> Result<Response> {
        let mut scopes = ask.scopes.clone();
        let mut shown = self.auth.authorization(&self.wire, &scopes).await?;
        let mut response = self.exchange(ask, url, shown.as_ref()).await?;
        for _ in 0..LOGINS_MAX {
            if response.status() != StatusCode::UNAUTHORIZED {
                break;
            }
            let headers = response.headers();
            let again = self
                .auth
                .challenged(&self.wire, headers, &scopes, shown.as_ref())
                .await?;
            let Some(wanted) = again else { break };
            scopes = wanted;
            shown = self.auth.authorization(&self.wire, &scopes).await?;
            if shown.is_none() {
                break;
            }
            response = self.exchange(ask, url, shown.as_ref()).await?;
        }
        Ok(response)
    }

    async fn exchange(
        &self,
        ask: &Ask,
        url: &Url,
        shown: Option<&Authorization>,
    ) -> Result<Response> {
        let mut request = self
            .wire
            .request(ask.method.clone(), url.clone())
            .headers(ask.headers.clone());
        if may_have_body(&ask.method) {
            request = request
                .header(CONTENT_LENGTH, ask.body.len())
                .body(ask.body.clone());
        }
        if let Some(shown) = shown {
            request = shown.sign(request);
        }
        let (request, _) = self.wire.prepared(request)?;
        self.wire.execute(request).await
    }

    /// Sends a streaming body of `length` bytes, once. The answer may have any status but 401, for which
    /// there is a new token by then.
    pub(super) async fn send_stream(
        &self,
        ask: &Ask,
        length: u64,
        body: impl FnOnce() -> Body,
    ) -> Result<Response> {
        self.pace.keep().await;
        let is_own = self.wire.is_own(&ask.url);
        let shown = if is_own {
            self.auth.authorization(&self.wire, &ask.scopes).await?
        } else {
            None
        };
        let mut request = self
            .wire
            .request(ask.method.clone(), ask.url.clone())
            .headers(ask.headers.clone())
            .header(CONTENT_LENGTH, length)
            .body(body());
        if let Some(shown) = &shown {
            request = shown.sign(request);
        }
        let (request, _) = self.wire.prepared(request)?;
        let response = self.wire.execute_unhurried(request).await?;
        if is_own && response.status() == StatusCode::UNAUTHORIZED {
            let headers = response.headers();
            let again = self
                .auth
                .challenged(&self.wire, headers, &ask.scopes, shown.as_ref())
                .await?;
            if again.is_some() {
                return Err(RegistryError::LoginExpired {
                    host: self.host().to_owned(),
                });
            }
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.wire.refusal(response).await)
    }

    /// Where the answer sends us, judged.
    pub(super) fn location(&self, response: &Response, does_what: &str) -> Result<Url> {
        let malformed = |what: &str| RegistryError::malformed(self.host(), what.to_owned());
        let text = response
            .headers()
            .get(LOCATION)
            .ok_or_else(|| malformed("there is no `Location` in it"))?;
        let url = text
            .to_str()
            .ok()
            .and_then(|text| response.url().join(text).ok())
            .ok_or_else(|| malformed("its `Location` is not a URL"))?;
        self.wire.admit(response.url(), url, does_what)
    }
}

async fn place(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed")
}

fn may_have_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// 301 to 303 may turn a request into a GET, so they are followed only where it is one.
fn is_followed(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301..=303 => matches!(*method, Method::GET | Method::HEAD),
        307 | 308 => true,
        _ => false,
    }
}
