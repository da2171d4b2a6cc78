//! The referrers API: what one repository says about it holds for that repository only.

use std::sync::atomic::{AtomicBool, Ordering};

use super::fake::{Fake, options, reply, repository};
use crate::content::{Document, Referrer, Source, Target};
use crate::oci::{Digest, Repository, media_type};

const INDEX: (&str, &str) = ("content-type", media_type::OCI_INDEX);

fn elsewhere() -> Repository {
    "c/d".parse().unwrap()
}

fn list(entries: &[&Referrer]) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|entry| {
            let descriptor = &entry.descriptor;
            format!(
                r#"{{"mediaType":"{}","digest":"{}","size":{}}}"#,
                descriptor.media_type, descriptor.digest, descriptor.size
            )
        })
        .collect();
    format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    )
}

fn signature() -> (Document, Referrer) {
    let document = Document::of(media_type::OCI_MANIFEST, r#"{"schemaVersion":2}"#);
    let referrer = Referrer {
        descriptor: document.descriptor.clone(),
        artifact_type: None,
    };
    (document, referrer)
}

/// One 404 without a code spoke for the whole host: signatures in other repositories were not carried.
#[tokio::test]
async fn a_404_in_one_repository_hid_the_referrers_of_another() {
    let registry = Fake::start(|seen| {
        if seen.target.contains("/c/d/referrers/") {
            return reply(200, &[INDEX], list(&[&signature().1]));
        }
        reply(404, &[], "404 page not found")
    })
    .await;
    let client = registry.registry(options());
    let subject = Digest::sha256(b"subject");
    let here = client.referrers(&repository(), &subject).await.unwrap();
    let there = client.referrers(&elsewhere(), &subject).await.unwrap();
    assert_eq!((here.len(), there.len()), (0, 1));
}

/// The API in one repository spoke for the whole host: elsewhere no lookup table was written.
#[tokio::test]
async fn the_api_of_one_repository_suppressed_the_lookup_table_of_another() {
    let has_table = AtomicBool::new(false);
    let registry = Fake::start(move |seen| {
        let (document, referrer) = signature();
        let is_table = seen.target.contains("/manifests/sha256-");
        if seen.target.contains("/a/b/referrers/") {
            return reply(200, &[INDEX], list(&[]));
        }
        if is_table && seen.method == "PUT" {
            has_table.store(true, Ordering::Relaxed);
            return reply(201, &[], "");
        }
        if is_table && has_table.load(Ordering::Relaxed) {
            return reply(200, &[INDEX], list(&[&referrer]));
        }
        if seen.is("GET", &format!("/manifests/{}", referrer.descriptor.digest)) {
            let manifest = [("content-type", media_type::OCI_MANIFEST)];
            return reply(200, &manifest, document.bytes);
        }
        reply(404, &[], "404 page not found")
    })
    .await;
    let client = registry.registry(options());
    let (subject, referrer) = (Digest::sha256(b"subject"), signature().1);
    for repository in [repository(), elsewhere()] {
        let linked = client.link_referrer(&repository, &subject, &referrer);
        linked.await.unwrap();
    }
    assert_eq!(registry.count("PUT", "/a/b/manifests/"), 0);
    assert_eq!(registry.count("PUT", "/c/d/manifests/sha256-"), 1);
}

/// All that were under way when the first answer came had asked the same question.
#[tokio::test]
async fn many_at_once_asked_for_a_missing_api_as_often() {
    let registry = Fake::start(|_| reply(404, &[], "404 page not found")).await;
    let client = registry.registry(options());
    let (here, there) = (repository(), elsewhere());
    let lists = (0..16u8).map(|number| {
        let (client, here, there) = (&client, &here, &there);
        async move {
            let subject = Digest::sha256(&[number]);
            let repository = if number % 2 == 0 { here } else { there };
            client.referrers(repository, &subject).await
        }
    });
    for found in futures_util::future::join_all(lists).await {
        assert_eq!(found.unwrap(), []);
    }
    for path in ["/a/b/referrers/", "/c/d/referrers/"] {
        assert_eq!(registry.count("GET", path), 1, "{path}");
    }
}
