//! What is recorded together, what a killed process leaves, and what a broken directory says.

use std::os::unix::fs::PermissionsExt;

use jiff::SignedDuration;

use super::{PIPELINE, at, digest, lane, ledger, link, start};
use crate::content::{ErrorKind, describe};
use crate::history::{
    ClaimState, Delivery, DeliveryRecord, ExportPosition, ExportedBundle, Ledger, NewUpload,
    Payload, RunOutcome, RunStatus, UploadEntry, UploadPart,
};

fn delivery(sequence: u64, tags: &[&str]) -> Delivery {
    Delivery {
        lane: lane(),
        link: link(sequence),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        repositories: Vec::new(),
        is_complete: true,
        answer: None,
    }
}

async fn deliver(ledger: &Ledger, delivery: &Delivery) {
    let run = start(ledger, at(1)).await;
    let record = DeliveryRecord {
        run: &run,
        outcome: &RunOutcome::new(RunStatus::Done),
        delivery: Some(delivery),
        claim: None,
        now: at(2),
    };
    ledger.record_delivery(record).await.unwrap();
}

#[tokio::test]
async fn what_was_accepted_is_remembered_with_its_tags() {
    let (directory, ledger) = ledger().await;
    deliver(&ledger, &delivery(3, &["web:1", "web:2"])).await;
    deliver(&ledger, &delivery(2, &["web:2", "web:3"])).await;
    drop(ledger);
    let ledger = Ledger::open(&directory.path().join("state")).await.unwrap();
    assert_eq!(
        ledger.list_accepted(&lane()).await.unwrap(),
        [link(2), link(3)]
    );
    let newer = ledger.list_newer_tags(&lane(), 2).await.unwrap();
    assert_eq!(newer, [("web:1".to_owned(), 3), ("web:2".to_owned(), 3)]);
    let mut other = lane();
    other.target.push_str("/other");
    assert!(ledger.list_accepted(&other).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stale_claim_lets_nothing_be_accepted() {
    let (_directory, ledger) = ledger().await;
    let lease = SignedDuration::from_secs(10);
    ledger.offer("a", at(0)).await.unwrap();
    let stale = ledger
        .claim_next("one", lease, at(0))
        .await
        .unwrap()
        .unwrap();
    let newest = ledger
        .claim_next("two", lease, at(20))
        .await
        .unwrap()
        .unwrap();
    let run = start(&ledger, at(20)).await;
    let (delivery, outcome) = (delivery(1, &["web:1"]), RunOutcome::new(RunStatus::Done));
    let record = |claim| DeliveryRecord {
        run: &run,
        outcome: &outcome,
        delivery: Some(&delivery),
        claim: Some(claim),
        now: at(21),
    };
    let error = ledger.record_delivery(record(&stale)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
    assert!(ledger.list_accepted(&lane()).await.unwrap().is_empty());
    let status = ledger.find_run(&run).await.unwrap().unwrap().outcome.status;
    assert_eq!(status, RunStatus::Running);
    ledger.record_delivery(record(&newest)).await.unwrap();
    assert_eq!(ledger.list_accepted(&lane()).await.unwrap(), [link(1)]);
    let claim = ledger.find_claim("a").await.unwrap().unwrap();
    assert_eq!(claim.state, ClaimState::Done);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_has_changed_nothing() {
    let (_directory, ledger) = ledger().await;
    let mut transaction = ledger.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO claim (object, state, next_try_ms, offered_ms) VALUES ('a', 'waiting', 0, 0)",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    drop(transaction);
    assert!(ledger.find_claim("a").await.unwrap().is_none());
    ledger.offer("a", at(0)).await.unwrap();
}

#[tokio::test]
async fn a_sequence_is_reserved_once() {
    let (_directory, ledger) = ledger().await;
    let run = start(&ledger, at(1)).await;
    let position = |sequence| ExportPosition {
        pipeline: PIPELINE.parse().unwrap(),
        name: "plant".to_owned(),
        sequence,
        previous: None,
    };
    let bundle = |sequence: u64| ExportedBundle {
        sequence,
        set: format!("set-{sequence}"),
        inventory: digest("a"),
        bundle: "web".to_owned(),
        container: Some("s3://bundles".to_owned()),
        may_replace: sequence == 5,
        is_published: false,
    };
    assert!(ledger.find_pipeline("plant").await.unwrap().is_none());
    let reserve = async |sequence| {
        ledger
            .reserve_sequence(
                &position(sequence),
                (&bundle(sequence), &Payload::default()),
                &run,
                at(2),
            )
            .await
    };
    reserve(4).await.unwrap();
    assert_eq!(reserve(4).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(reserve(3).await.unwrap_err().kind(), ErrorKind::Changed);
    let known = ledger.find_pipeline("plant").await.unwrap().unwrap();
    assert_eq!(known.newest, Some(bundle(4)));
    ledger.confirm_sequence(&known.id, 4, at(3)).await.unwrap();
    reserve(5).await.unwrap();
    let known = ledger.find_pipeline("plant").await.unwrap().unwrap();
    assert_eq!(known.newest.unwrap().sequence, 5);
    let unfinished = async || ledger.list_unfinished(&known.id).await.unwrap();
    assert_eq!(unfinished().await, [bundle(5)]);
    reserve(6).await.unwrap();
    ledger.give_up_sequence(&known.id, 5, at(4)).await.unwrap();
    assert_eq!(unfinished().await, [bundle(6)]);
}

#[tokio::test]
async fn an_upload_is_found_as_it_was_left() {
    let (_directory, ledger) = ledger().await;
    let new = NewUpload {
        container: "s3://bundles".to_owned(),
        object: "web.tar.zst".to_owned(),
        set: "abc".to_owned(),
        pipeline: Some("plant".to_owned()),
        created: at(100),
        upload_id: "u-1".to_owned(),
    };
    let key = ledger.begin_upload(&new, at(1)).await.unwrap();
    let again = ledger.begin_upload(&new, at(1)).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    let part = UploadPart {
        number: 0,
        part_id: "etag".to_owned(),
        size_bytes: 8 << 20,
    };
    let entry = UploadEntry {
        number: 0,
        end_offset: 700,
        tar_position: 1_024,
        row_json: "{}".to_owned(),
        frames: vec![0, 1, 255],
    };
    let later = |number| UploadPart {
        number,
        ..part.clone()
    };
    let parts = [part.clone(), later(1), later(2)];
    let next = UploadEntry {
        number: 1,
        ..entry.clone()
    };
    ledger
        .record_progress(&key, &parts[..2], &[], at(2))
        .await
        .unwrap();
    ledger
        .record_progress(&key, &parts[2..], &[entry.clone(), next], at(90))
        .await
        .unwrap();
    ledger.truncate_upload(&key, 1, 1).await.unwrap();
    let found = ledger
        .find_upload("s3://bundles", "web.tar.zst")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (found.upload, found.parts, found.entries),
        (new, vec![part], vec![entry])
    );
    let listed = ledger.list_uploads("s3://bundles").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].started, listed[0].changed), (at(1), at(90)));
    assert_eq!(ledger.list_uploads("elsewhere").await.unwrap().len(), 0);
    ledger.forget_upload(&key).await.unwrap();
    let left = ledger.list_uploads("s3://bundles").await.unwrap();
    assert!(left.is_empty());
    assert!(!ledger.is_uploading("s3://bundles", "abc").unwrap());
    let hold = ledger.hold_upload("s3://bundles", "abc").await.unwrap();
    assert!(ledger.is_uploading("s3://bundles", "abc").unwrap());
    let try_hold = || ledger.try_hold_upload("s3://bundles", "abc").unwrap();
    assert!(try_hold().is_none());
    drop(hold);
    assert!(!ledger.is_uploading("s3://bundles", "abc").unwrap());
    assert!(try_hold().is_some());
    assert!(try_hold().is_some());
}

#[tokio::test]
async fn the_directory_is_for_one_user_alone() {
    let (directory, _ledger) = ledger().await;
    let mode = directory
        .path()
        .join("state")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_broken_ledger_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("ledger.db"),
        "this is no database at all".repeat(50),
    )
    .unwrap();
    let error = Ledger::open(directory.path()).await.unwrap_err();
    let told = describe(&error);
    assert!(
        told.contains(&directory.path().display().to_string()),
        "{told}"
    );
    assert!(told.contains("not a database"), "{told}");
    let file = directory.path().join("ledger.db");
    let error = Ledger::open(&file).await.unwrap_err();
    assert!(describe(&error).contains("cannot make the state directory"));
}
