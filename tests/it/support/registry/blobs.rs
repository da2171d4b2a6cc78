//! Blobs: GET and HEAD with ranges, DELETE.
//! Specification: distribution-spec, "Pulling blobs", "Deleting Blobs"; RFC 9110, section 14.

use std::ops::Range;

use airlift::oci::{Digest, Repository};
use axum::http::Method;
use bytes::Bytes;

use super::answer::Answer;
use super::behaviour::Redirect;
use super::exchange::Exchange;

pub(super) fn answer(exchange: &Exchange, repository: &Repository, digest: &str) -> Answer {
    let Ok(digest) = digest.parse::<Digest>() else {
        return Answer::error(400, "DIGEST_INVALID", "the digest is not valid");
    };
    match exchange.method {
        Method::GET => get(exchange, repository, &digest),
        Method::HEAD => head(exchange, repository, &digest),
        Method::DELETE => delete(exchange, repository, &digest),
        _ => Answer::refusal(405),
    }
}

fn get(exchange: &Exchange, repository: &Repository, digest: &Digest) -> Answer {
    let bytes = {
        let mut store = exchange.shared.store();
        let shelf = store.shelf(repository);
        let is_lost = shelf.lost.contains(digest);
        shelf.blobs.get(digest).filter(|_| !is_lost).cloned()
    };
    let Some(bytes) = bytes else { return unknown() };
    if let Some(redirect) = &exchange.behaviour.blob_redirect {
        let base = match redirect {
            Redirect::To(url) => url.clone(),
            Redirect::Loop => exchange.shared.url(),
        };
        let location = format!("{base}{}", exchange.path);
        return Answer::new(307).header("location", &location);
    }
    serve(exchange, digest, bytes)
}

fn serve(exchange: &Exchange, digest: &Digest, bytes: Bytes) -> Answer {
    let length = bytes.len() as u64;
    let etag = format!("\"{digest}\"");
    let whole = answer_with(200, digest, &etag);
    let Some(range) = wanted_range(exchange, &etag) else {
        return whole.body(bytes);
    };
    let Some(range) = parse_range(range, length) else {
        return Answer::error(416, "RANGE_INVALID", "the range is not satisfiable")
            .header("content-range", &format!("bytes */{length}"));
    };
    let (start, end) = (range.start, range.end - 1);
    let place = |at: u64| usize::try_from(at).expect("blobs of tests fit in memory");
    answer_with(206, digest, &etag)
        .header("content-range", &format!("bytes {start}-{end}/{length}"))
        .body(bytes.slice(place(range.start)..place(range.end)))
}

fn answer_with(status: u16, digest: &Digest, etag: &str) -> Answer {
    Answer::new(status)
        .header("content-type", &"application/octet-stream")
        .header("docker-content-digest", &digest)
        .header("accept-ranges", &"bytes")
        .header("etag", &etag)
}

/// The `Range` header, where it counts.
fn wanted_range<'a>(exchange: &'a Exchange, etag: &str) -> Option<&'a str> {
    let matches = exchange.header("if-range").is_none_or(|seen| seen == etag);
    exchange
        .header("range")
        .filter(|_| matches && exchange.behaviour.ranges)
}

/// One range of bytes, as a half-open interval. `None` where nothing of it exists.
fn parse_range(text: &str, length: u64) -> Option<Range<u64>> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (start, end) {
        ("", suffix) => length.saturating_sub(suffix.parse().ok()?)..length,
        (start, "") => start.parse().ok()?..length,
        (start, end) => start.parse().ok()?..end.parse::<u64>().ok()?.saturating_add(1).min(length),
    };
    (range.start < range.end).then_some(range)
}

fn head(exchange: &Exchange, repository: &Repository, digest: &Digest) -> Answer {
    let store = exchange.shared.store();
    match store.blob(repository, digest) {
        Some(bytes) => {
            let etag = format!("\"{digest}\"");
            answer_with(200, digest, &etag).body(bytes.clone())
        }
        None => unknown(),
    }
}

fn delete(exchange: &Exchange, repository: &Repository, digest: &Digest) -> Answer {
    if !exchange.behaviour.deletes {
        return Answer::refusal(405);
    }
    let mut store = exchange.shared.store();
    match store.shelf(repository).blobs.remove(digest) {
        Some(_) => Answer::new(202),
        None => unknown(),
    }
}

fn unknown() -> Answer {
    Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry")
}

#[test]
fn ranges_are_half_open_and_end_with_the_blob() {
    assert_eq!(parse_range("bytes=2-4", 10), Some(2..5));
    assert_eq!(parse_range("bytes=2-", 10), Some(2..10));
    assert_eq!(parse_range("bytes=-3", 10), Some(7..10));
    assert_eq!(parse_range("bytes=8-99", 10), Some(8..10));
    assert_eq!(parse_range("bytes=10-", 10), None);
    assert_eq!(parse_range("bytes=0-0", 0), None);
}
