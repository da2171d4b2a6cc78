//! What lanes are known to have, whatever the order in which bundles and answers arrive.

use std::collections::{BTreeMap, BTreeSet};

use super::{PIPELINE, at, digest, ledger, start};
use crate::content::{ErrorKind, describe};
use crate::history::{
    AuditKind, Basis, Confirmation, ConfirmedPart, ContentKind, ExportPosition, ExportedBundle,
    HistoryOf, Known, Ledger, Payload, PayloadContent, PipelineId, ReceiptBasis, Recorded, Why,
};
use crate::oci::Digest;

fn pipeline() -> PipelineId {
    PIPELINE.parse().unwrap()
}

/// Blobs named by words, each in the repository `web`.
fn contents(words: &str) -> Vec<PayloadContent> {
    let content = |word| PayloadContent {
        digest: digest(word),
        size_bytes: 10,
        kind: ContentKind::Blob,
        repositories: BTreeSet::from(["web".to_owned()]),
    };
    words.split_whitespace().map(content).collect()
}

fn inventory(sequence: u64) -> Digest {
    digest(&format!("inventory {sequence}"))
}

/// Sends a bundle of these contents to these lanes.
async fn send(ledger: &Ledger, sequence: u64, words: &str, audience: &[&str]) {
    let position = ExportPosition {
        pipeline: pipeline(),
        name: "plant".to_owned(),
        sequence,
        previous: None,
    };
    let bundle = ExportedBundle {
        sequence,
        set: String::new(),
        inventory: inventory(sequence),
        bundle: format!("web-{sequence}"),
        container: None,
        may_replace: false,
        is_published: false,
    };
    let payload = Payload {
        audience: audience.iter().map(|lane| (*lane).to_owned()).collect(),
        contents: contents(words),
        saved_bytes: 100,
    };
    let run = start(ledger, at(1)).await;
    let reserved = ledger.reserve_sequence(&position, (&bundle, &payload), &run, at(1));
    reserved.await.unwrap();
    ledger
        .confirm_sequence(&pipeline(), sequence, at(1))
        .await
        .unwrap();
}

/// The receipt that the lane `north` has made in this second.
fn receipt(sequence: u64, second: i64) -> Confirmation {
    Confirmation {
        pipeline: pipeline(),
        pipeline_name: "plant".to_owned(),
        lane: "north".to_owned(),
        basis: ReceiptBasis::Receipt,
        sequence,
        inventory: Some(inventory(sequence)),
        part: ConfirmedPart::All,
        created: at(second),
        digest: Some(digest(&format!("receipt {second}"))),
        previous: (second > 1).then(|| digest(&format!("receipt {}", second - 1))),
        source: "/mnt/usb/a.receipt".to_owned(),
        who: "ops (1000)".to_owned(),
    }
}

fn part(words: &[&str]) -> ConfirmedPart {
    let digests = words.iter().map(|word| digest(word)).collect();
    ConfirmedPart::Only(BTreeMap::from([("web".to_owned(), digests)]))
}

async fn record(ledger: &Ledger, confirmation: &Confirmation) -> Recorded {
    ledger
        .record_confirmation(confirmation, at(100))
        .await
        .unwrap()
}

async fn miss(ledger: &Ledger, word: &str) {
    let pipeline = pipeline();
    let lane = (&pipeline, "north");
    let digests = [digest(word)];
    let missing = ledger.mark_missing(lane, &digests, at(100));
    missing.await.unwrap();
}

fn new(confirmed: u64) -> Recorded {
    Recorded::New {
        confirmed,
        foreign: 0,
        has_gap: false,
    }
}

async fn known(ledger: &Ledger, lanes: &[&str], basis: Basis) -> BTreeMap<Digest, Known> {
    let lanes: Vec<String> = lanes.iter().map(|lane| (*lane).to_owned()).collect();
    let known = ledger.list_known(&pipeline(), &lanes, basis).await;
    known.unwrap()
}

/// Which of the words stand for a known content, in their order.
async fn words<'a>(ledger: &Ledger, lanes: &[&str], basis: Basis, all: &'a str) -> Vec<&'a str> {
    let known = known(ledger, lanes, basis).await;
    let is_known = |word: &&str| known.contains_key(&digest(word));
    all.split_whitespace().filter(is_known).collect()
}

#[tokio::test]
async fn what_was_sent_is_known_only_where_that_is_assumed() {
    let (_directory, ledger) = ledger().await;
    send(&ledger, 1, "a b", &[]).await;
    send(&ledger, 2, "b c", &["north"]).await;
    let confirmed = known(&ledger, &["north"], Basis::Confirmed).await;
    assert!(confirmed.is_empty());
    let sent = known(&ledger, &["north"], Basis::AssumeDelivered).await;
    let of = |word: &str| (sent[&digest(word)].sequence, sent[&digest(word)].why);
    assert_eq!(
        (of("a"), of("b"), of("c")),
        ((1, Why::Sent), (1, Why::Sent), (2, Why::Sent))
    );
    let south = words(&ledger, &["south"], Basis::AssumeDelivered, "a b c").await;
    assert_eq!(south, ["a", "b"]);
    let both = words(
        &ledger,
        &["north", "south"],
        Basis::AssumeDelivered,
        "a b c",
    )
    .await;
    assert_eq!(both, ["a", "b"]);
    let nobody = known(&ledger, &[], Basis::AssumeDelivered).await;
    assert!(nobody.is_empty());
}

#[tokio::test]
async fn a_bundle_that_nobody_has_seen_was_not_sent() {
    let (_directory, ledger) = ledger().await;
    send(&ledger, 1, "a", &[]).await;
    let position = ExportPosition {
        pipeline: pipeline(),
        name: "plant".to_owned(),
        sequence: 2,
        previous: None,
    };
    let bundle = ExportedBundle {
        sequence: 2,
        inventory: inventory(2),
        ..ledger
            .list_exported(&pipeline(), 1)
            .await
            .unwrap()
            .remove(0)
    };
    let payload = Payload {
        contents: contents("a b"),
        ..Payload::default()
    };
    let run = start(&ledger, at(1)).await;
    let reserved = ledger.reserve_sequence(&position, (&bundle, &payload), &run, at(1));
    reserved.await.unwrap();
    let sent = words(&ledger, &["north"], Basis::AssumeDelivered, "a b").await;
    assert_eq!(sent, ["a"]);
}

#[tokio::test]
async fn a_receipt_confirms_what_its_bundle_has_and_nothing_else() {
    let (directory, ledger) = ledger().await;
    send(&ledger, 1, "a b", &[]).await;
    send(&ledger, 2, "b c", &[]).await;
    let foreign = Confirmation {
        part: part(&["a", "c", "never sent"]),
        ..receipt(1, 1)
    };
    let recorded = record(&ledger, &foreign).await;
    assert_eq!(
        recorded,
        Recorded::New {
            confirmed: 1,
            foreign: 2,
            has_gap: false
        }
    );
    let north = ["north"];
    assert_eq!(
        words(&ledger, &north, Basis::Confirmed, "a b c").await,
        ["a"]
    );
    // What it was answered without is not thought to be there any more.
    let assumed = words(&ledger, &north, Basis::AssumeDelivered, "a b c").await;
    assert_eq!(assumed, ["a", "b", "c"]);
    assert_eq!(record(&ledger, &receipt(2, 2)).await, new(2));
    drop(ledger);
    let ledger = Ledger::open(&directory.path().join("state")).await.unwrap();
    let known = known(&ledger, &north, Basis::Confirmed).await;
    assert_eq!(known[&digest("b")].sequence, 1);
    assert_eq!(known[&digest("c")].why, Why::Confirmed);
    assert_eq!(known.len(), 3);
}

#[tokio::test]
async fn receipts_go_only_forwards() {
    let (_directory, ledger) = ledger().await;
    for sequence in 1..=3 {
        send(&ledger, sequence, "a", &[]).await;
    }
    assert_eq!(record(&ledger, &receipt(1, 1)).await, new(1));
    assert_eq!(record(&ledger, &receipt(1, 1)).await, Recorded::Repeated);
    // The one of the second second was lost.
    let later = record(&ledger, &receipt(3, 3)).await;
    assert!(matches!(later, Recorded::New { has_gap: true, .. }));
    miss(&ledger, "a").await;
    let old = record(&ledger, &receipt(2, 2)).await;
    assert_eq!(old, Recorded::Older { newest: at(3) });
    // A bundle that came late is answered later.
    assert_eq!(record(&ledger, &receipt(2, 4)).await, new(0));
    assert!(
        known(&ledger, &["north"], Basis::Confirmed)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_receipt_of_another_bundle_is_refused() {
    let (_directory, ledger) = ledger().await;
    send(&ledger, 1, "a", &[]).await;
    let refused = async |confirmation: &Confirmation| {
        let recorded = ledger.record_confirmation(confirmation, at(100)).await;
        recorded.unwrap_err()
    };
    let other = Confirmation {
        inventory: Some(digest("other")),
        ..receipt(1, 1)
    };
    let error = refused(&other).await;
    assert_eq!(error.kind(), ErrorKind::Unverified);
    assert!(describe(&error).contains("another bundle"));
    assert_eq!(refused(&receipt(9, 1)).await.kind(), ErrorKind::Refused);
    record(&ledger, &receipt(1, 1)).await;
    let twice = Confirmation {
        digest: Some(digest("forked")),
        part: part(&[]),
        ..receipt(1, 1)
    };
    assert_eq!(refused(&twice).await.kind(), ErrorKind::Unverified);
}

#[tokio::test]
async fn what_is_missing_comes_back_only_with_a_later_bundle() {
    let (_directory, ledger) = ledger().await;
    let north = ["north"];
    send(&ledger, 1, "a b", &[]).await;
    send(&ledger, 2, "a b", &[]).await;
    record(&ledger, &receipt(1, 1)).await;
    miss(&ledger, "a").await;
    for basis in [Basis::Confirmed, Basis::AssumeDelivered] {
        assert_eq!(words(&ledger, &north, basis, "a b").await, ["b"]);
    }
    // Made before the report, and brought after it.
    record(&ledger, &receipt(2, 2)).await;
    assert_eq!(words(&ledger, &north, Basis::Confirmed, "a b").await, ["b"]);
    assert_eq!(ledger.list_lanes().await.unwrap()[0].missing_contents, 1);
    send(&ledger, 3, "a", &[]).await;
    let assumed = known(&ledger, &north, Basis::AssumeDelivered).await;
    assert_eq!(assumed[&digest("a")].sequence, 3);
    assert_eq!(record(&ledger, &receipt(3, 3)).await, new(1));
    let confirmed = words(&ledger, &north, Basis::Confirmed, "a b").await;
    assert_eq!(confirmed, ["a", "b"]);
    assert_eq!(ledger.list_lanes().await.unwrap()[0].missing_contents, 0);
}

#[tokio::test]
async fn a_code_confirms_a_bundle_once_and_in_any_order() {
    let (_directory, ledger) = ledger().await;
    send(&ledger, 1, "a", &[]).await;
    send(&ledger, 2, "b", &[]).await;
    let code = |sequence, second| Confirmation {
        basis: ReceiptBasis::Code,
        digest: None,
        previous: None,
        ..receipt(sequence, second)
    };
    assert_eq!(record(&ledger, &code(2, 50)).await, new(1));
    assert_eq!(record(&ledger, &code(1, 51)).await, new(1));
    assert_eq!(record(&ledger, &code(1, 52)).await, Recorded::Repeated);
    // It stands in no receipt's way.
    assert_eq!(record(&ledger, &receipt(1, 1)).await, new(1));
}

#[tokio::test]
async fn a_registry_that_was_looked_at_counts_without_a_bundle() {
    let (_directory, ledger) = ledger().await;
    send(&ledger, 1, "a", &[]).await;
    let found = Confirmation {
        basis: ReceiptBasis::Made,
        sequence: 0,
        inventory: None,
        part: ConfirmedPart::Found(contents("x y")),
        ..receipt(0, 1)
    };
    assert_eq!(record(&ledger, &found).await, new(2));
    let known = known(&ledger, &["north"], Basis::Confirmed).await;
    assert_eq!((known.len(), known[&digest("x")].sequence), (2, 0));
}

#[tokio::test]
async fn lanes_are_told_with_what_they_have_not_confirmed() {
    let (_directory, ledger) = ledger().await;
    for sequence in [1, 2, 3, 5] {
        send(&ledger, sequence, "a", &["north", "south"]).await;
    }
    record(&ledger, &receipt(2, 1)).await;
    let partly = Confirmation {
        part: part(&["a"]),
        ..receipt(3, 2)
    };
    record(&ledger, &partly).await;
    let lanes = ledger.list_lanes().await.unwrap();
    let names: Vec<&str> = lanes.iter().map(|it| it.lane.as_str()).collect();
    assert_eq!(names, ["north", "south"]);
    let north = &lanes[0];
    assert_eq!((north.sent, north.confirmed), (Some(5), Some(2)));
    assert_eq!(north.missing, [1..=1, 3..=3, 5..=5]);
    assert_eq!(north.basis, Some(ReceiptBasis::Receipt));
    assert_eq!(north.saved_bytes, 400);
    let south = &lanes[1];
    assert_eq!((south.confirmed, south.basis), (None, None));
    assert_eq!(south.missing, [1..=3, 5..=5]);
}

#[tokio::test]
async fn who_has_confirmed_what_is_kept_for_good() {
    let (_directory, ledger) = ledger().await;
    send(&ledger, 1, "a", &[]).await;
    record(&ledger, &receipt(1, 1)).await;
    record(&ledger, &receipt(1, 1)).await;
    let of = HistoryOf::Reference("lane north".to_owned());
    assert!(ledger.find_history(&of).await.unwrap().is_empty());
    let records: Vec<_> = {
        use futures_util::TryStreamExt;
        ledger.read_audit(0).try_collect().await.unwrap()
    };
    let [Some(record)] = &records[..] else {
        panic!("one record, not {records:?}");
    };
    assert_eq!(record.kind, AuditKind::Confirmed);
    assert_eq!(record.target.as_deref(), Some("lane north"));
    assert_eq!(record.bundle.as_deref(), Some("web-1"));
    assert_eq!(record.sequence, Some(1));
    assert_eq!(record.who, "ops (1000)");
}
