//! Pushing: whole, in pieces, resumed, mounted, and never the end of something wrong.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::fake::{Fake, Seen, options, reply, repository};
use crate::content::{BlobOutcome, Content, Document, ErrorKind, Memory, Target};
use crate::oci::{Digest, Repository, media_type};

const SIZE: usize = 40 << 20;

fn bytes(size: usize) -> Bytes {
    (0..size)
        .map(|at| u8::try_from(at % 241).unwrap())
        .collect()
}

/// `bytes` at a source that calls them by the digest of `named`.
fn content(bytes: &Bytes, named: &Bytes) -> Content {
    let memory = Memory::new();
    let digest = Digest::sha256(named);
    let descriptor = memory.put_blob(
        &repository(),
        media_type::OCTET_STREAM,
        digest,
        bytes.clone(),
    );
    Content::new(Arc::new(memory), repository(), descriptor)
}

fn session(seen: &Seen) -> axum::response::Response {
    assert!(seen.is("POST", "/v2/a/b/blobs/uploads/"), "{seen:?}");
    reply(202, &[("location", "/upload?state=1")], "")
}

#[tokio::test]
async fn a_blob_goes_in_one_request_to_its_relative_location() {
    let registry = Fake::start(|seen| match seen.method.as_str() {
        "PUT" => reply(201, &[], ""),
        _ => session(seen),
    })
    .await;
    let client = registry.registry(options());
    for size in [0, 1, 100_000] {
        let blob = bytes(size);
        let pushed = client
            .push_blob(&repository(), &content(&blob, &blob), None)
            .await;
        assert_eq!(pushed.unwrap(), BlobOutcome::Pushed);
        let put = registry.log().pop().unwrap();
        assert!(put.is("PUT", "/upload?state=1&digest=sha256%3A"));
        assert_eq!(put.body, blob);
    }
}

#[tokio::test]
async fn the_end_of_wrong_content_is_never_sent() {
    let registry = Fake::start(|seen| match seen.method.as_str() {
        "PUT" => panic!("the body must not be complete"),
        "DELETE" => reply(204, &[], ""),
        _ => session(seen),
    })
    .await;
    let client = registry.registry(options());
    let wrong = content(&bytes(100_000), &bytes(99));
    let error = client
        .push_blob(&repository(), &wrong, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unverified);
    assert_eq!(registry.count("DELETE", "/upload?state=1"), 1);
}

/// A registry that keeps what it is sent in pieces, and refuses a body in one piece with `status`.
async fn in_pieces(status: u16, stored: Arc<Mutex<Vec<u8>>>) -> Fake {
    Fake::start(move |seen| {
        let mut stored = stored.lock().unwrap();
        match seen.method.as_str() {
            "PUT" if seen.body.is_empty() => reply(201, &[], ""),
            "PUT" => reply(status, &[], ""),
            "DELETE" => reply(204, &[], ""),
            "PATCH" => {
                let end = stored.len() + seen.body.len();
                assert_eq!(seen.range, Some(format!("{}-{}", stored.len(), end - 1)));
                stored.extend_from_slice(&seen.body);
                let range = format!("0-{}", end - 1);
                reply(202, &[("location", "/upload"), ("range", &range)], "")
            }
            _ => session(seen),
        }
    })
    .await
}

#[tokio::test]
async fn a_registry_that_wants_pieces_gets_them_from_then_on() {
    for status in [400, 411, 413] {
        let stored = Arc::default();
        let registry = in_pieces(status, Arc::clone(&stored)).await;
        let client = registry.registry(options());
        let blob = bytes(SIZE);
        client
            .push_blob(&repository(), &content(&blob, &blob), None)
            .await
            .unwrap();
        assert_eq!(&stored.lock().unwrap()[..], &blob[..]);
        assert_eq!(registry.count("PATCH", ""), 3);
        stored.lock().unwrap().clear();
        client
            .push_blob(&repository(), &content(&blob, &blob), None)
            .await
            .unwrap();
        let bodies = registry
            .log()
            .into_iter()
            .filter(|seen| seen.is("PUT", "") && !seen.body.is_empty());
        assert_eq!(bodies.count(), 1, "only the first try was in one piece");
    }
}

#[tokio::test]
async fn a_broken_upload_goes_on_from_the_servers_offset() {
    const KEPT: usize = 20_000_000;
    let rest = Arc::new(Mutex::new(Bytes::new()));
    let kept = Arc::clone(&rest);
    let registry = Fake::start(move |seen| match seen.method.as_str() {
        "PUT" if !seen.body.is_empty() => reply(502, &[], ""),
        "PUT" => reply(201, &[], ""),
        "GET" => {
            let range = format!("0-{}", KEPT - 1);
            reply(
                204,
                &[("location", "/upload?state=2"), ("range", &range)],
                "",
            )
        }
        "PATCH" => {
            *kept.lock().unwrap() = seen.body.clone();
            assert_eq!(seen.range, Some(format!("{KEPT}-{}", SIZE - 1)));
            reply(202, &[("location", "/upload?state=3")], "")
        }
        _ => session(seen),
    })
    .await;
    let blob = bytes(SIZE);
    let client = registry.registry(options());
    client
        .push_blob(&repository(), &content(&blob, &blob), None)
        .await
        .unwrap();
    assert_eq!(*rest.lock().unwrap(), blob.slice(KEPT..));
    let targets: Vec<_> = registry
        .log()
        .iter()
        .map(|seen| format!("{} {}", seen.method, &seen.target[..15]))
        .collect();
    assert_eq!(
        targets,
        [
            "POST /v2/a/b/blobs/u",
            "PUT /upload?state=1",
            "GET /upload?state=1",
            "PATCH /upload?state=2",
            "PUT /upload?state=3"
        ]
    );
}

#[tokio::test]
async fn an_upload_that_was_stored_in_spite_of_the_error_is_done() {
    let blob = bytes(1000);
    let registry = Fake::start(|seen| match seen.method.as_str() {
        "PUT" => reply(504, &[], ""),
        "GET" => reply(404, &[], ""),
        "HEAD" => reply(200, &[("content-length", "1000")], ""),
        _ => session(seen),
    })
    .await;
    let client = registry.registry(options());
    client
        .push_blob(&repository(), &content(&blob, &blob), None)
        .await
        .unwrap();
    assert_eq!(registry.count("POST", ""), 1);
}

#[tokio::test]
async fn a_login_that_expires_under_an_upload_is_renewed() {
    let service = Fake::start(|_| reply(200, &[], r#"{"token":"t"}"#)).await;
    let challenge = format!(r#"Bearer realm="http://{}/""#, service.host);
    let is_refused = AtomicBool::new(false);
    let registry = Fake::start(move |seen| {
        let has_token = seen.authorization.is_some();
        let refuse =
            seen.method == "PUT" && !is_refused.swap(seen.method == "PUT", Ordering::Relaxed);
        match seen.method.as_str() {
            _ if !has_token || refuse => reply(401, &[("www-authenticate", &challenge)], ""),
            "PUT" => reply(201, &[], ""),
            "GET" => reply(204, &[("range", "0-0")], ""),
            _ => session(seen),
        }
    })
    .await;
    let blob = bytes(1000);
    let client = registry.registry(options());
    client
        .push_blob(&repository(), &content(&blob, &blob), None)
        .await
        .unwrap();
    assert_eq!((registry.count("PUT", ""), service.log().len()), (2, 2));
}

#[tokio::test]
async fn a_mount_costs_nothing_and_a_miss_keeps_its_session() {
    let from: Repository = "c/d".parse().unwrap();
    let blob = bytes(1000);
    for (status, outcome, puts) in [
        (201, BlobOutcome::Mounted, 0),
        (202, BlobOutcome::Pushed, 1),
    ] {
        let registry = Fake::start(move |seen| match seen.method.as_str() {
            "PUT" => reply(201, &[], ""),
            _ => reply(status, &[("location", "/upload")], ""),
        })
        .await;
        let client = registry.registry(options());
        let pushed = client
            .push_blob(&repository(), &content(&blob, &blob), Some(&from))
            .await;
        assert_eq!(pushed.unwrap(), outcome);
        assert_eq!(registry.count("POST", "&from=c%2Fd"), 1);
        assert_eq!(
            (registry.count("POST", ""), registry.count("PUT", "")),
            (1, puts)
        );
    }
}

#[tokio::test]
async fn a_missing_location_is_named() {
    let registry = Fake::start(|_| reply(202, &[], "")).await;
    let blob = bytes(10);
    let client = registry.registry(options());
    let error = client
        .push_blob(&repository(), &content(&blob, &blob), None)
        .await
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("no `Location`"), "{cause}");
}

#[tokio::test]
async fn a_full_disk_is_told_and_not_tried_again() {
    let registry = Fake::start(|seen| match seen.method.as_str() {
        "PUT" => reply(
            500,
            &[],
            r#"{"errors":[{"code":"UNKNOWN","detail":{"Op":"write","Err":28}}]}"#,
        ),
        "DELETE" => reply(204, &[], ""),
        _ => session(seen),
    })
    .await;
    let blob = bytes(10);
    let client = registry.registry(options());
    let error = client
        .push_blob(&repository(), &content(&blob, &blob), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(
        (registry.count("PUT", ""), registry.count("DELETE", "")),
        (1, 1)
    );
}

#[tokio::test]
async fn a_manifest_stored_as_something_else_is_an_error() {
    let asked = AtomicUsize::new(0);
    let other = Digest::sha256(b"other").to_string();
    let registry = Fake::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => reply(201, &[], ""),
        _ => reply(201, &[("docker-content-digest", &other)], ""),
    })
    .await;
    let client = registry.registry(options());
    let document = Document::of(media_type::OCI_MANIFEST, "{}");
    client
        .push_manifest(&repository(), &document)
        .await
        .unwrap();
    let error = client
        .push_manifest(&repository(), &document)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unverified);
}
