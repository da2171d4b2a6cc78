//! One upload session at the registry: where it is, how far it has come, and the requests that move it on.
//!
//! Specification: distribution-spec, "Pushing a blob monolithically", "… in chunks", "Mounting a blob from
//! another repository".

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::body::{self, Watch};
use crate::content::Content;
use crate::oci::{Descriptor, Digest, Repository, media_type};
use crate::registry::auth::Scope;
use crate::registry::client::{Ask, Client};
use crate::registry::error::{RegistryError, Result};
use crate::registry::manifests;

const PIECE_SIZE_BYTES: u64 = 16 << 20;
/// A registry that wants larger pieces than this would have us buffer them.
const PIECE_SIZE_MAX_BYTES: u64 = 64 << 20;
const CHUNK_MIN_LENGTH: &str = "oci-chunk-min-length";
const CANCEL_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) struct Session {
    url: Url,
    scopes: Vec<Scope>,
    piece_size_min: Option<u64>,
    /// How many bytes the registry has.
    pub(super) offset: u64,
    pub(super) is_resumed: bool,
}

/// What became of a session that broke.
pub(super) enum Whereabouts {
    /// The registry had everything, and has finished it.
    Done,
    /// The session is gone.
    Lost,
    At(Session),
}

pub(super) async fn start(client: &Client, repository: &Repository) -> Result<Session> {
    let url = client.url(repository, "blobs/uploads/");
    let ask = Ask::new(Method::POST, url, Scope::Push(repository.clone()));
    let response = client.send(&ask).await?;
    Session::opened(client, &response, ask.scopes)
}

/// Links the blob from another repository. A registry that will not do that has opened a session instead,
/// which is used.
pub(super) async fn mount(
    client: &Client,
    repository: &Repository,
    from: &Repository,
    digest: &Digest,
) -> Result<Option<Session>> {
    let mut url = client.url(repository, "blobs/uploads/");
    url.query_pairs_mut()
        .append_pair("mount", &digest.to_string())
        .append_pair("from", from.as_str());
    let mut ask = Ask::new(Method::POST, url, Scope::Push(repository.clone()));
    ask.scopes.push(Scope::Pull(from.clone()));
    ask.scopes.sort();
    let response = match client.send(&ask).await {
        Ok(response) => response,
        // Not being allowed to read the other repository is no reason not to push to this one.
        Err(error) if is_only_about_mounting(&error) => {
            return start(client, repository).await.map(Some);
        }
        Err(error) => return Err(error),
    };
    if response.status() == StatusCode::CREATED {
        tracing::debug!(host = client.host(), %digest, %from, "mounted");
        return Ok(None);
    }
    ask.scopes.retain(|scope| matches!(scope, Scope::Push(_)));
    Session::opened(client, &response, ask.scopes).map(Some)
}

fn is_only_about_mounting(error: &RegistryError) -> bool {
    error
        .answer()
        .is_some_and(|answer| matches!(answer.status.as_u16(), 400 | 401 | 403 | 404 | 405))
}

impl Session {
    fn opened(client: &Client, response: &Response, scopes: Vec<Scope>) -> Result<Self> {
        let piece_size_min = response
            .headers()
            .get(CHUNK_MIN_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Self {
            url: client.location(response, "places an upload at")?,
            scopes,
            piece_size_min,
            offset: 0,
            is_resumed: false,
        })
    }

    pub(super) fn wants_pieces(&self) -> bool {
        self.piece_size_min.is_some()
    }

    fn ask(&self, method: Method) -> Ask {
        let mut headers = HeaderMap::new();
        let octets = HeaderValue::from_static(media_type::OCTET_STREAM);
        headers.insert(CONTENT_TYPE, octets);
        Ask {
            method,
            url: self.url.clone(),
            headers,
            body: bytes::Bytes::new(),
            scopes: self.scopes.clone(),
        }
    }

    /// The request that ends the session. The query of the location is part of the session.
    fn closing(&self, digest: &Digest) -> Ask {
        let mut ask = self.ask(Method::PUT);
        ask.url
            .query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        ask
    }

    async fn send(
        &self,
        client: &Client,
        ask: &Ask,
        length: u64,
        outgoing: Outgoing,
    ) -> Result<Response> {
        let Outgoing { watch, body } = outgoing;
        let idle = client.wire.options.timeouts.idle;
        let answer = client.send_stream(ask, length, || body);
        watch.over(client.host(), length, idle, answer).await
    }

    /// Everything in one request.
    pub(super) async fn put_whole(&mut self, client: &Client, content: &Content) -> Result<()> {
        let ask = self.closing(&content.descriptor().digest);
        let outgoing = Outgoing::of(content, 0).await?;
        let length = content.descriptor().size;
        let response = self.send(client, &ask, length, outgoing).await?;
        check_stored(client, &response, content.descriptor())
    }

    /// What the registry does not have yet, in one request.
    pub(super) async fn patch_rest(&mut self, client: &Client, content: &Content) -> Result<()> {
        let length = content.descriptor().size - self.offset;
        let outgoing = Outgoing::of(content, self.offset).await?;
        self.patch(client, length, outgoing).await
    }

    /// What the registry does not have yet, piece by piece.
    pub(super) async fn patch_pieces(&mut self, client: &Client, content: &Content) -> Result<()> {
        let piece_size = self.piece_size_min.unwrap_or(0).max(PIECE_SIZE_BYTES);
        if piece_size > PIECE_SIZE_MAX_BYTES {
            let what = format!("wants uploads in pieces of at least {piece_size} bytes");
            return Err(RegistryError::refused(client.host(), what));
        }
        let opened = content.open(self.offset).await;
        let mut stream = opened.map_err(body::of_content)?;
        let mut rest = None;
        loop {
            let (pieces, length) = body::gather(&mut stream, &mut rest, piece_size).await?;
            if length == 0 {
                return Ok(());
            }
            self.patch(client, length, Outgoing::of_pieces(pieces))
                .await?;
        }
    }

    async fn patch(&mut self, client: &Client, length: u64, outgoing: Outgoing) -> Result<()> {
        let end = self.offset + length;
        let mut ask = self.ask(Method::PATCH);
        let range = format!("{}-{}", self.offset, end - 1);
        let range = HeaderValue::from_str(&range).expect("a range is made of digits");
        ask.headers.insert(CONTENT_RANGE, range);
        let response = self.send(client, &ask, length, outgoing).await?;
        self.url = client.location(&response, "places an upload at")?;
        match stored(response.headers()) {
            Some(stored) if stored != end => Err(RegistryError::Interrupted {
                host: client.host().to_owned(),
            }),
            _ => {
                self.offset = end;
                Ok(())
            }
        }
    }

    /// Ends the session: everything is there.
    pub(super) async fn finish(&mut self, client: &Client, content: &Content) -> Result<()> {
        let ask = self.closing(&content.descriptor().digest);
        let outgoing = Outgoing::of_pieces(Vec::new());
        let response = self.send(client, &ask, 0, outgoing).await?;
        check_stored(client, &response, content.descriptor())
    }

    /// Asks how far the session has come. A session that is gone may have been finished.
    pub(super) async fn whereabouts(
        &self,
        client: &Client,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Whereabouts> {
        let mut ask = self.ask(Method::GET);
        ask.headers.clear();
        match client.send(&ask).await {
            Ok(response) => Ok(self.resumed(client, &response, descriptor)),
            Err(error) if error.is_temporary() => Err(error),
            Err(_) if manifests::exists(client, repository, descriptor).await? => {
                Ok(Whereabouts::Done)
            }
            Err(_) => Ok(Whereabouts::Lost),
        }
    }

    fn resumed(
        &self,
        client: &Client,
        response: &Response,
        descriptor: &Descriptor,
    ) -> Whereabouts {
        // `0-0` is written for one byte and for none: it is not worth finding out.
        let Some(offset) = stored(response.headers()).filter(|stored| *stored > 1) else {
            return Whereabouts::Lost;
        };
        if offset > descriptor.size {
            return Whereabouts::Lost;
        }
        let url = client.location(response, "places an upload at");
        tracing::debug!(host = client.host(), offset, "the upload goes on");
        Whereabouts::At(Self {
            url: url.unwrap_or_else(|_| self.url.clone()),
            scopes: self.scopes.clone(),
            piece_size_min: self.piece_size_min,
            offset,
            is_resumed: true,
        })
    }

    /// Tells the registry that nothing more will come. Nobody waits for its agreement.
    pub(super) async fn cancel(self, client: &Client) {
        let mut ask = self.ask(Method::DELETE);
        ask.headers.clear();
        let done = tokio::time::timeout(CANCEL_TIME_MAX, client.send_once(&ask)).await;
        if !matches!(done, Ok(Ok(_))) {
            tracing::debug!(host = client.host(), "an upload session was left behind");
        }
    }
}

/// A body with its watch.
struct Outgoing {
    watch: Arc<Watch>,
    body: Body,
}

impl Outgoing {
    async fn of(content: &Content, offset: u64) -> Result<Self> {
        let stream = content.open(offset).await.map_err(body::of_content)?;
        let watch = Arc::default();
        let body = body::from_content(stream, &watch);
        Ok(Self { watch, body })
    }

    fn of_pieces(pieces: Vec<bytes::Bytes>) -> Self {
        let watch = Arc::default();
        let body = if pieces.is_empty() {
            Body::default()
        } else {
            body::from_pieces(pieces, &watch)
        };
        Self { watch, body }
    }
}

/// How many bytes `Range: 0-N` speaks of.
pub(super) fn stored(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RANGE)?.to_str().ok()?.trim();
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let (first, last) = text.split_once('-')?;
    let last: u64 = last.parse().ok()?;
    (first == "0").then(|| last.checked_add(1)).flatten()
}

fn check_stored(client: &Client, response: &Response, descriptor: &Descriptor) -> Result<()> {
    match manifests::claimed_digest(response.headers()) {
        Some(claimed)
            if claimed.algorithm() == descriptor.digest.algorithm()
                && claimed != descriptor.digest =>
        {
            let what = format!("stored `{claimed}` instead of `{}`", descriptor.digest);
            Err(RegistryError::unverified(client.host(), what))
        }
        _ => Ok(()),
    }
}
