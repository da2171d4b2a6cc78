//! Reading: resumed, skipped, checked, and at the pace that the registry asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;

use super::fake::{Fake, cut, options, reply, repository};
use crate::content::{Content, ErrorKind, Result, Source};
use crate::oci::{Descriptor, Pin, media_type};
use crate::registry::Registry;

const SIZE: usize = 100_000;

fn blob() -> Bytes {
    (0..SIZE)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

fn descriptor() -> Descriptor {
    Descriptor::of(media_type::OCTET_STREAM, &blob())
}

async fn read(client: &Registry) -> Result<Bytes> {
    let content = Content::new(Arc::new(client.clone()), repository(), descriptor());
    content.open(0).await?.into_bytes().await
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let registry = Fake::start(|seen| match &seen.range {
        None => reply(
            200,
            &[("content-length", "100000"), ("etag", "\"x\"")],
            cut(blob().slice(..30_000)),
        ),
        Some(_) => reply(
            206,
            &[("content-range", "bytes 30000-99999/100000")],
            blob().slice(30_000..),
        ),
    })
    .await;
    assert_eq!(read(&registry.registry(options())).await.unwrap(), blob());
    let ranges: Vec<_> = registry.log().into_iter().map(|seen| seen.range).collect();
    assert_eq!(ranges, [None, Some("bytes=30000-99999".to_owned())]);
}

#[tokio::test]
async fn a_registry_without_ranges_is_read_from_the_start_and_skipped() {
    let asked = AtomicUsize::new(0);
    let registry = Fake::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => reply(
            200,
            &[("content-length", "100000")],
            cut(blob().slice(..30_000)),
        ),
        _ => reply(200, &[], blob()),
    })
    .await;
    assert_eq!(read(&registry.registry(options())).await.unwrap(), blob());
    let ranged: Vec<_> = registry
        .log()
        .iter()
        .map(|seen| seen.range.is_some())
        .collect();
    assert_eq!(ranged, [false, true, false], "asked for once, then known");
}

#[tokio::test]
async fn a_download_that_never_gets_on_ends() {
    let registry =
        Fake::start(|_| reply(200, &[("content-length", "100000")], cut(Bytes::new()))).await;
    let error = read(&registry.registry(options())).await.unwrap_err();
    assert!(error.is_temporary());
    assert_eq!(registry.log().len(), 5);
}

#[tokio::test]
async fn content_of_another_size_or_range_is_refused() {
    let longer = Fake::start(|_| reply(200, &[], vec![0; SIZE + 1])).await;
    assert_eq!(
        read(&longer.registry(options())).await.unwrap_err().kind(),
        ErrorKind::Unverified
    );
    let other =
        Fake::start(|_| reply(206, &[("content-range", "bytes 0-9/100000")], vec![0; 10])).await;
    let client = other.registry(options());
    let opened = client.open(&repository(), &descriptor(), 10..20).await;
    assert_eq!(opened.err().unwrap().kind(), ErrorKind::Failed);
    let short = Fake::start(|_| reply(416, &[("content-range", "bytes */5")], "")).await;
    let client = short.registry(options());
    let opened = client.open(&repository(), &descriptor(), 10..20).await;
    assert_eq!(opened.err().unwrap().kind(), ErrorKind::Unverified);
}

#[tokio::test]
async fn existence_is_a_definite_answer() {
    let pairs = [
        (404, Ok(false)),
        (200, Ok(true)),
        (403, Err(ErrorKind::Denied)),
    ];
    for (status, expected) in pairs {
        let registry =
            Fake::start(move |_| reply(status, &[("content-length", "100000")], "")).await;
        let client = registry.registry(options());
        let found = client.has(&repository(), &descriptor()).await;
        assert_eq!(found.map_err(|error| error.kind()), expected);
    }
    let registry = Fake::start(|_| reply(200, &[("content-length", "7")], "")).await;
    let found = registry
        .registry(options())
        .has(&repository(), &descriptor())
        .await;
    assert_eq!(found.unwrap_err().kind(), ErrorKind::Unverified);
}

#[tokio::test]
async fn manifests_are_bounded_and_their_claims_are_only_claims() {
    let pin = Pin::Tag("1".parse().unwrap());
    let registry = Fake::start(|_| {
        let headers = [
            ("content-type", "Application/JSON; charset=utf-8"),
            ("docker-content-digest", "md5:1"),
        ];
        reply(200, &headers, "{ }")
    })
    .await;
    let raw = registry
        .registry(options())
        .manifest(&repository(), &pin)
        .await
        .unwrap();
    assert_eq!(
        (&raw.bytes[..], raw.media_type.as_str(), raw.claimed),
        (&b"{ }"[..], "application/json", None)
    );
    let huge = Fake::start(|_| reply(200, &[], vec![b' '; (4 << 20) + 1])).await;
    let error = huge
        .registry(options())
        .manifest(&repository(), &pin)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(huge.log().len(), 1);
}

#[tokio::test]
async fn one_429_slows_everybody_and_too_long_a_wait_is_told() {
    let asked = AtomicUsize::new(0);
    let registry = Fake::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => reply(429, &[("retry-after", "1")], ""),
        _ => reply(200, &[], "{}"),
    })
    .await;
    let client = registry.registry(options());
    let (repository, pin) = (repository(), Pin::Tag("1".parse().unwrap()));
    let started = Instant::now();
    client.manifest(&repository, &pin).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    let requests = (0..4).map(|_| client.manifest(&repository, &pin));
    assert!(join_all(requests).await.iter().all(Result::is_ok));

    let busy = Fake::start(|_| reply(429, &[("retry-after", "3600")], "")).await;
    let error = busy
        .registry(options())
        .manifest(&repository, &pin)
        .await
        .err()
        .unwrap();
    let wait = Some(Duration::from_hours(1));
    assert_eq!(error.kind(), ErrorKind::Temporary { retry_after: wait });
    assert_eq!(busy.log().len(), 1);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.ends_with("it asks to wait 3600 s"), "{cause}");
}
