//! Reading content: a stream that goes on where it stopped when the connection breaks.
//!
//! The bytes are not checked here; that is the business of `VerifiedStream`, the only reader of the stream.
//! What is checked is that the server answers the range that was asked for.
//!
//! Specification: distribution-spec, "Pulling blobs"; RFC 9110, section 14.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE,
};
use reqwest::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use super::auth::Scope;
use super::client::{Ask, Client};
use super::error::{RegistryError, Result};
use super::manifests;
use crate::content::RawStream;
use crate::oci::{Descriptor, Repository};

/// One piece of content being read.
struct Download {
    client: Arc<Client>,
    ask: Ask,
    descriptor: Descriptor,
    /// The offset of the next byte to hand on.
    position: u64,
    end: u64,
    /// A strong validator: later ranges must be of the same content.
    etag: Option<HeaderValue>,
    body: Body,
    _place: OwnedSemaphorePermit,
}

/// A body, and how much of it lies before the position.
struct Body {
    response: Response,
    skip: u64,
}

/// Opens `range` of the content. The first answer is awaited, so that *not found* is told at once.
pub(super) async fn open(
    client: Arc<Client>,
    repository: &Repository,
    descriptor: &Descriptor,
    range: Range<u64>,
) -> Result<RawStream> {
    let is_nothing = range.is_empty() && descriptor.size > 0;
    if is_nothing {
        return Ok(RawStream::new(stream::empty()));
    }
    let kind = if descriptor.is_manifest() {
        "manifests"
    } else {
        "blobs"
    };
    let url = client.url(repository, &format!("{kind}/{}", descriptor.digest));
    let mut ask = Ask::get(url, Scope::Pull(repository.clone()));
    if descriptor.is_manifest() {
        ask.headers.insert(ACCEPT, manifests::accept());
    }
    let place = client.download_place().await;
    let wanted = Wanted {
        position: range.start,
        end: range.end.min(descriptor.size),
        etag: None,
    };
    let mut attempts = client.attempts();
    let body = loop {
        match request(&client, &ask, descriptor, &wanted).await {
            Ok(body) => break body,
            Err(error) => attempts.again(error).await?,
        }
    };
    let download = Download {
        ask,
        descriptor: descriptor.clone(),
        position: wanted.position,
        end: wanted.end,
        etag: strong_etag(body.response.headers()),
        body,
        client,
        _place: place,
    };
    Ok(RawStream::new(stream::try_unfold(
        download,
        |mut download| async move {
            match download.next().await {
                Ok(piece) => Ok(piece.map(|piece| (piece, download))),
                Err(error) => {
                    let what = format!("cannot read `{}`", download.descriptor.digest);
                    Err(error.during(what))
                }
            }
        },
    )))
}

impl Download {
    /// The next piece, over as many connections as it takes.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let client = Arc::clone(&self.client);
        let mut attempts = client.attempts();
        let mut piece = self.piece().await;
        loop {
            match piece {
                Ok(piece) => return Ok(piece),
                Err(error) => {
                    tracing::debug!(%error, position = self.position, "the download broke off");
                    attempts.again(error).await?;
                }
            }
            piece = match self.reconnect().await {
                Ok(()) => self.piece().await,
                Err(error) => Err(error),
            };
        }
    }

    async fn reconnect(&mut self) -> Result<()> {
        let wanted = Wanted {
            position: self.position,
            end: self.end,
            etag: self.etag.clone(),
        };
        self.body = request(&self.client, &self.ask, &self.descriptor, &wanted).await?;
        Ok(())
    }

    async fn piece(&mut self) -> Result<Option<Bytes>> {
        // Bytes behind the end of the content are handed on too: the verifying reader must see them.
        let is_cut = self.end < self.descriptor.size;
        loop {
            if is_cut && self.position >= self.end {
                return Ok(None);
            }
            let Some(mut piece) = self.client.wire.piece(&mut self.body.response).await? else {
                return self.ended();
            };
            let skipped = self.body.skip.min(piece.len() as u64);
            self.body.skip -= skipped;
            drop(piece.split_to(to_usize(skipped)));
            if is_cut {
                piece.truncate(to_usize(self.end - self.position));
            }
            if !piece.is_empty() {
                self.position += piece.len() as u64;
                return Ok(Some(piece));
            }
        }
    }

    /// A body that ends before its time without an error of its own is a broken one.
    fn ended(&self) -> Result<Option<Bytes>> {
        if self.position >= self.end {
            return Ok(None);
        }
        Err(RegistryError::Interrupted {
            host: self.client.host().to_owned(),
        })
    }
}

fn to_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// What one connection is to deliver.
struct Wanted {
    position: u64,
    end: u64,
    etag: Option<HeaderValue>,
}

async fn request(
    client: &Client,
    ask: &Ask,
    descriptor: &Descriptor,
    wanted: &Wanted,
) -> Result<Body> {
    let is_whole = wanted.position == 0 && wanted.end >= descriptor.size;
    let ignores_ranges = client.habits.ignores_ranges.load(Ordering::Relaxed);
    let is_ranged = !is_whole && !descriptor.is_manifest() && !ignores_ranges;
    let mut ask = ask.clone();
    if is_ranged {
        let range = format!("bytes={}-{}", wanted.position, wanted.end - 1);
        ask.headers.insert(RANGE, header(&range));
        if let Some(etag) = &wanted.etag {
            ask.headers.insert(IF_RANGE, etag.clone());
        }
    }
    let response = client
        .send_once(&ask)
        .await
        .map_err(|error| shorter(client, descriptor, error))?;
    let status = response.status();
    let skip = match status {
        StatusCode::PARTIAL_CONTENT if is_ranged => {
            check_range(client, response.headers(), descriptor, wanted)?;
            0
        }
        StatusCode::OK => {
            check_length(client, response.headers(), descriptor)?;
            if is_ranged && wanted.etag.is_none() {
                client.habits.ignores_ranges.store(true, Ordering::Relaxed);
            }
            wanted.position
        }
        other => {
            let what = format!("it answered {other} to a download");
            return Err(RegistryError::malformed(client.host(), what));
        }
    };
    Ok(Body { response, skip })
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a range is made of digits")
}

/// A range that cannot be satisfied says that the content ends before it.
fn shorter(client: &Client, descriptor: &Descriptor, error: RegistryError) -> RegistryError {
    let status = error.answer().map(|answer| answer.status);
    if status != Some(StatusCode::RANGE_NOT_SATISFIABLE) {
        return error;
    }
    RegistryError::unverified(
        client.host(),
        format!(
            "has less of `{}` than its {} bytes",
            descriptor.digest, descriptor.size
        ),
    )
}

fn check_length(client: &Client, headers: &HeaderMap, descriptor: &Descriptor) -> Result<()> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length != descriptor.size => Err(RegistryError::unverified(
            client.host(),
            format!(
                "sends {length} bytes for `{}`, expected {}",
                descriptor.digest, descriptor.size
            ),
        )),
        _ => Ok(()),
    }
}

fn check_range(
    client: &Client,
    headers: &HeaderMap,
    descriptor: &Descriptor,
    wanted: &Wanted,
) -> Result<()> {
    let given = headers
        .get(CONTENT_RANGE)
        .and_then(|value| content_range(value.to_str().ok()?));
    let Some((range, total)) = given else {
        let what = "a part of a blob came without a valid `Content-Range`";
        return Err(RegistryError::malformed(client.host(), what));
    };
    if total.is_some_and(|total| total != descriptor.size) {
        return Err(RegistryError::unverified(
            client.host(),
            format!(
                "says that `{}` is {} bytes long, expected {}",
                descriptor.digest,
                total.unwrap_or_default(),
                descriptor.size
            ),
        ));
    }
    if range.start != wanted.position || range.end > wanted.end {
        return Err(RegistryError::malformed(
            client.host(),
            "another part of the blob came than was asked for",
        ));
    }
    Ok(())
}

/// `bytes 0-99/1000` or `bytes 0-99/*`, as a half-open range and the total.
pub(super) fn content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let [first, last]: [u64; 2] = [first.parse().ok()?, last.parse().ok()?];
    let total = match total {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (first <= last).then_some((first..last.checked_add(1)?, total))
}

/// Weak validators do not promise the same bytes. Source: RFC 9110, section 13.1.5.
fn strong_etag(headers: &HeaderMap) -> Option<HeaderValue> {
    let etag = headers.get(ETAG)?;
    etag.as_bytes().starts_with(b"\"").then(|| etag.clone())
}
