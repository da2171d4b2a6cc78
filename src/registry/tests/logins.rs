//! Tokens: fetched once, used until they are refused, and never shown to strangers.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::Response;
use futures_util::future::join_all;

use super::fake::{Fake, Seen, basic, options, reply, repository};
use crate::content::{Error, ErrorKind, Source};
use crate::oci::{Descriptor, Pin, media_type};

fn latest() -> Pin {
    Pin::Tag("1".parse().unwrap())
}

/// A registry that takes the tokens for which `is_good`, and its token service.
async fn guarded(
    token: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    is_good: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> (Fake, Fake) {
    let service = Fake::start(token).await;
    let realm = service.host.clone();
    let registry = Fake::start(move |seen| {
        let challenge = format!(r#"Bearer realm="http://{realm}/token",service="s""#);
        let shown = seen.authorization.as_deref().unwrap_or_default();
        if shown.strip_prefix("Bearer ").is_some_and(&is_good) {
            reply(200, &[("content-type", media_type::OCI_INDEX)], "{}")
        } else {
            reply(401, &[("www-authenticate", &challenge)], "")
        }
    })
    .await;
    (registry, service)
}

#[tokio::test]
async fn one_challenge_and_one_token_serve_many_requests() {
    let (registry, service) = guarded(
        |_| reply(200, &[], r#"{"token":"good","expires_in":300}"#),
        |token| token == "good",
    )
    .await;
    let client = registry.registry(basic());
    let (repository, pin) = (repository(), latest());
    let requests = (0..16).map(|_| client.manifest(&repository, &pin));
    for done in join_all(requests).await {
        done.unwrap();
    }
    assert_eq!(registry.log().len(), 17, "one of them without a token");
    let log = service.log();
    assert_eq!(log.len(), 1);
    assert_eq!(
        log[0].target,
        "/token?service=s&scope=repository%3Aa%2Fb%3Apull"
    );
    assert_eq!(
        log[0].authorization.as_deref(),
        Some("Basic YWxpY2U6czNjcmV0")
    );
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let issued = AtomicUsize::new(0);
    let (registry, service) = guarded(
        move |_| {
            let number = issued.fetch_add(1, Ordering::Relaxed);
            reply(200, &[], format!(r#"{{"access_token":"t{number}"}}"#))
        },
        |token| token == "t1",
    )
    .await;
    let client = registry.registry(options());
    client.manifest(&repository(), &latest()).await.unwrap();
    assert_eq!((registry.log().len(), service.log().len()), (3, 2));
    client.manifest(&repository(), &latest()).await.unwrap();
    assert_eq!((registry.log().len(), service.log().len()), (4, 2));
}

#[tokio::test]
async fn tokens_live_as_long_as_they_say() {
    let (registry, service) = guarded(
        |_| reply(200, &[], r#"{"token":"good","expires_in":0.000000001}"#),
        |token| token == "good",
    )
    .await;
    let client = registry.registry(options());
    for _ in 0..3 {
        client.manifest(&repository(), &latest()).await.unwrap();
    }
    assert_eq!(service.log().len(), 3);
}

#[tokio::test]
async fn a_token_service_that_is_down_is_asked_again_and_one_that_refuses_is_not() {
    let asked = AtomicUsize::new(0);
    let (registry, service) = guarded(
        move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => reply(503, &[], "later"),
            _ => reply(403, &[], r#"{"errors":[{"code":"DENIED","message":"no"}]}"#),
        },
        |_| false,
    )
    .await;
    let client = registry.registry(basic());
    let (repository, pin) = (repository(), latest());
    let requests = (0..4).map(|_| client.manifest(&repository, &pin));
    let errors: Vec<Error> = join_all(requests)
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::Denied));
    assert!(
        service.log().len() <= 6,
        "at most one question each after the refusal"
    );
    let cause = std::error::Error::source(&errors[0]).unwrap().to_string();
    assert!(
        cause.contains("its token service says no") && cause.contains("DENIED: no"),
        "{cause}"
    );
}

#[tokio::test]
async fn basic_credentials_are_not_repeated_to_somebody_who_refuses_them() {
    let registry =
        Fake::start(|_| reply(401, &[("www-authenticate", r#"Basic realm="r""#)], "")).await;
    let client = registry.registry(basic());
    let error = client
        .manifest(&repository(), &latest())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(registry.log().len(), 2);
}

#[tokio::test]
async fn a_redirect_takes_no_credentials_along() {
    let storage = Fake::start(|_| reply(200, &[], "blob")).await;
    let place = format!("http://{}/x?sig=1", storage.host);
    let registry = Fake::start(move |seen| match seen.authorization {
        Some(_) => reply(307, &[("location", &place)], ""),
        None => reply(401, &[("www-authenticate", "Basic realm=r")], ""),
    })
    .await;
    let client = registry.registry(basic());
    let blob = Descriptor::of(media_type::OCTET_STREAM, b"blob");
    client.open(&repository(), &blob, 0..4).await.unwrap();
    assert_eq!(storage.log()[0].authorization, None);
    assert_eq!(registry.log().len(), 2);
}

#[tokio::test]
async fn redirects_end() {
    let registry = Fake::start(|_| reply(307, &[("location", "/again")], "")).await;
    let client = registry.registry(options());
    let error = client
        .manifest(&repository(), &latest())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(registry.log().len(), 6);
}
