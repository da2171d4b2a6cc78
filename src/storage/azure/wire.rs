//! The wire under the Azure SDK: it adds the signature at the last moment.
//!
//! **Invariant.** The SDK never sees a signature, so that none of its errors and logs can hold one. That of a blob
//! which the service is to copy from travels in a header; the SDK sets it without, and the wire puts it in.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::error::{ErrorKind, ResultExt};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::response::PinnedStream;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request};
use futures_util::TryStreamExt;
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::sign::{ContainerSigner, QueueSigner};
use crate::http::{Patience, is_hopeless};
use crate::storage::http;

/// What a request is signed with.
#[derive(Debug)]
pub(super) enum Signature {
    /// A token travels in a header instead, or nothing is needed.
    None,
    Shared(SecretString),
    Key(ContainerSigner),
    Queue(QueueSigner),
}

/// The header that names the blob to copy from.
const COPY_SOURCE: &str = "x-ms-copy-source";

impl Signature {
    /// The query that lets another service read one blob: made for this where we hold the key, else the one that
    /// was given. `None` where there is no signature to hand over.
    pub(super) fn to_read(&self, blob: &str) -> Option<SecretString> {
        match self {
            Self::None | Self::Queue(_) => None,
            Self::Shared(sas) => Some(sas.clone()),
            Self::Key(signer) => signer.sign_to_read(blob, Timestamp::now()),
        }
    }

    fn add_to(&self, url: &mut Url) {
        let sas = match self {
            Self::None => None,
            Self::Shared(sas) => Some(sas.clone()),
            Self::Key(signer) => signer.sign(Timestamp::now()),
            Self::Queue(signer) => signer.sign(Timestamp::now()),
        };
        let Some(sas) = sas else { return };
        let query = match url.query().filter(|query| !query.is_empty()) {
            Some(query) => format!("{query}&{}", sas.expose_secret()),
            None => sas.expose_secret().to_owned(),
        };
        url.set_query(Some(&query));
    }
}

#[derive(Debug)]
pub(super) struct SigningWire {
    http: reqwest::Client,
    signature: Arc<Signature>,
    copy_source: Option<SecretString>,
    patience: Patience,
}

impl SigningWire {
    pub(super) fn new(http: reqwest::Client, signature: Arc<Signature>) -> Self {
        Self {
            http,
            signature,
            copy_source: None,
            patience: Patience::default(),
        }
    }

    /// The same, with the whole URL of the blob that is copied from, wherever the SDK names one.
    pub(super) fn copying_from(mut self, source: SecretString) -> Self {
        self.copy_source = Some(source);
        self
    }

    /// Sends, and tells people of trouble that lasts.
    async fn ask(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        let host = http::host_of(request.url());
        let is_safe = request.method().is_safe();
        let answer = self.http.execute(request);
        let answer = match is_safe {
            true => self.patience.wait(&host, answer).await,
            false => self.patience.wait_for_upload(&host, answer).await,
        };
        let status = answer.as_ref().map(|answer| answer.status().as_u16());
        http::notice(&self.patience, &host, status.map_err(Some));
        answer
    }

    fn translate(&self, request: &Request) -> azure_core::Result<reqwest::Request> {
        let mut url = request.url().clone();
        self.signature.add_to(&mut url);
        let method = reqwest::Method::from_bytes(request.method().as_ref().as_bytes())
            .with_context(ErrorKind::Other, "cannot make a request")?;
        let mut builder = self.http.request(method, url);
        for (name, value) in request.headers().iter() {
            let source = self.copy_source.as_ref();
            builder = match source.filter(|_| name.as_str() == COPY_SOURCE) {
                Some(source) => builder.header(COPY_SOURCE, hidden(source)?),
                None => builder.header(name.as_str(), value.as_str()),
            };
        }
        let body = match request.body().clone() {
            Body::Bytes(bytes) => reqwest::Body::from(bytes),
            Body::SeekableStream(stream) => reqwest::Body::wrap_stream(stream),
        };
        let built = builder.body(body).build();
        built
            .map_err(reqwest::Error::without_url)
            .with_context(ErrorKind::Other, "cannot make a request")
    }
}

#[async_trait]
impl HttpClient for SigningWire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let answer = self.ask(self.translate(request)?).await;
        let answer = answer.map_err(|error| {
            let kind = match error.is_connect() {
                // The SDK tries again what is of the other kinds.
                _ if is_hopeless(&error) => ErrorKind::Other,
                true => ErrorKind::Connection,
                false => ErrorKind::Io,
            };
            azure_core::Error::with_error(kind, error.without_url(), "the service is not reached")
        })?;
        let status = answer.status().as_u16();
        tracing::debug!(
            host = request.url().host_str(),
            method = request.method().as_ref(),
            path = request.url().path(),
            status,
            "answered"
        );
        let headers = headers(answer.headers());
        let body: PinnedStream = Box::pin(answer.bytes_stream().map_err(|error| {
            azure_core::Error::with_error(
                ErrorKind::Io,
                error.without_url(),
                "the answer broke off",
            )
        }));
        Ok(AsyncRawResponse::new(status.into(), headers, body))
    }
}

/// A header's value that nothing below us shows either.
fn hidden(value: &SecretString) -> azure_core::Result<reqwest::header::HeaderValue> {
    let mut value = reqwest::header::HeaderValue::from_str(value.expose_secret())
        .with_context(ErrorKind::Other, "cannot name the source of a copy")?;
    value.set_sensitive(true);
    Ok(value)
}

fn headers(map: &reqwest::header::HeaderMap) -> Headers {
    let text = map.iter().filter_map(|(name, value)| {
        let value = HeaderValue::from(value.to_str().ok()?.to_owned());
        Some((HeaderName::from(name.as_str().to_owned()), value))
    });
    Headers::from(text.collect::<HashMap<_, _>>())
}
