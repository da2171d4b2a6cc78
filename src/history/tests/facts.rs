//! Facts by digest: exact, never another's, and bounded.

use super::{at, digest, ledger};
use crate::history::ManifestFacts;
use crate::oci::Digest;

fn facts(of: &str) -> ManifestFacts {
    ManifestFacts {
        digest: digest(of),
        created: Some("2026-11-22T12:00:00.123456789Z".parse().unwrap()),
        platforms: vec!["linux/arm64/v8".parse().unwrap()],
        artifact_type: Some("application/vnd.example".to_owned()),
        has_created: true,
        has_platforms: true,
    }
}

#[tokio::test]
async fn what_is_known_of_a_digest_is_kept_exactly_and_is_not_another_digests() {
    let (_directory, ledger) = ledger().await;
    assert!(!ledger.has_facts().await.unwrap());
    ledger.keep_facts(&[facts("a")], &[], at(1)).await.unwrap();
    assert!(ledger.has_facts().await.unwrap());
    let found = ledger.find_facts(&digest("a")).await.unwrap();
    assert_eq!(found, Some(facts("a")));
    assert_eq!(ledger.find_facts(&digest("b")).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_not_looked_for_takes_nothing_away() {
    let (_directory, ledger) = ledger().await;
    let only_created = ManifestFacts {
        platforms: Vec::new(),
        has_platforms: false,
        ..facts("a")
    };
    let only_platforms = ManifestFacts {
        created: None,
        has_created: false,
        ..facts("a")
    };
    let find = async || ledger.find_facts(&digest("a")).await.unwrap().unwrap();
    let learn = async |facts| ledger.keep_facts(&[facts], &[], at(1)).await.unwrap();
    learn(only_created.clone()).await;
    assert_eq!(find().await, only_created);
    learn(only_platforms).await;
    assert_eq!(find().await, facts("a"));
}

#[tokio::test]
async fn what_was_used_longest_ago_goes_first() {
    let (_directory, ledger) = ledger().await;
    let keep = async |learnt: &[ManifestFacts], used: &[Digest], second| {
        let kept = ledger.keep_facts_within(2, (learnt, used), at(second));
        kept.await.unwrap();
    };
    keep(&[facts("a")], &[], 1).await;
    keep(&[facts("b")], &[], 2).await;
    keep(&[], &[digest("a")], 3).await;
    keep(&[facts("c")], &[], 4).await;
    let is_known = async |of| ledger.find_facts(&digest(of)).await.unwrap().is_some();
    assert!(is_known("a").await && is_known("c").await);
    assert!(!is_known("b").await);
}
