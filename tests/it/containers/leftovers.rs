//! `airlift container` over clouds: blocks and parts that nobody has put together, and buckets that do not tell.

use std::time::Duration;

use airlift::content::ErrorKind;
use airlift::history::{Ledger, NewUpload, UploadKey, UploadPart};
use airlift::pipeline::{Cleaning, JudgedUpload, RememberedUploads, UploadOutcome, upload_place};
use airlift::storage::{Abandonment, ContainerReference};
use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::{open, suite};
use crate::support::clouds::{Azurite, Moto, account_key, account_sas};
use crate::support::command::{Airlift, Output};
use crate::support::relay::{Relay, Verdict};

fn container(words: &[&str], secret: &str) -> Output {
    let mut line = vec!["container"];
    line.extend(words);
    Airlift::new(&line).env("DROP", secret).run()
}

#[tokio::test]
async fn uncommitted_blocks_are_named_and_removed() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let url = azurite.container("near", "drop");
    let opened = open(&url, Some(&account_key("near"))).await;
    suite::write(&*opened, "whole.tar", b"whole").await;
    for name in ["left.tar.zst", "film.mkv"] {
        suite::interrupted_upload(&*opened, name).await;
    }
    let named = format!("{url}?credential=env:DROP");
    let sas = account_sas("near");
    let listed = container(&["list", &named, "--output", "json"], &sas);
    let document = listed.assert_success().assert_nowhere("sig=").json();
    assert_eq!(document["objects"][0]["name"], "whole.tar");
    assert_eq!(document["uploads"][1]["name"], "left.tar.zst");
    container(&["clean", &named], &sas)
        .assert_success()
        .assert_stdout("left: left.tar.zst")
        .assert_stdout("2 open uploads, 0 removed");
    container(&["clean", &named, "--older-than", "0s"], &sas)
        .assert_success()
        .assert_stdout("removed: left.tar.zst")
        .assert_stdout("left: film.mkv")
        .assert_stdout("2 open uploads, 1 removed");
    let uploads = opened.list_uploads().await.unwrap().unwrap();
    assert_eq!(uploads.len(), 1, "{uploads:?}");
    assert!(opened.find("left.tar.zst").await.unwrap().is_none());
    assert!(opened.find("whole.tar").await.unwrap().is_some());
    let reading = made_sas(&url, "rl");
    container(&["list", &named], &reading).assert_success();
    container(&["clean", &named, "--dry-run"], &reading).assert_success();
    container(&["list", &named], &made_sas(&url, "l"))
        .assert_code(5)
        .assert_stderr("is not enough for listing what the container holds")
        .assert_stderr("--permissions rl ");
    // One hint, whatever is missing, names all that is needed.
    for letters in ["rl", "rwl", "rdl"] {
        container(&["clean", &named], &made_sas(&url, letters))
            .assert_code(5)
            .assert_stderr("is not enough for removing what uploads have left")
            .assert_stderr("--permissions rwdl ");
    }
    container(&["clean", &named], &made_sas(&url, "rwdl")).assert_success();
}

fn made_sas(url: &str, letters: &str) -> String {
    let line = format!(
        "sas make {url} --account-key env:KEY --expires 8h --allow-http --permissions {letters}"
    );
    let mut words: Vec<&str> = line.split(' ').collect();
    words.extend(["--output", "json"]);
    let made = Airlift::new(&words).env("KEY", &account_key("near")).run();
    let document = made.assert_success().json();
    document["sas"].as_str().unwrap().to_owned()
}

/// The blocks were replaced by an empty blob, and that could not be deleted.
#[tokio::test]
async fn who_may_not_delete_leaves_no_empty_blob() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let url = azurite.container("near", "drop");
    let opened = open(&format!("{url}?{}", made_sas(&url, "rwl")), None).await;
    let left = suite::interrupted_upload(&*opened, "left.tar.zst").await;
    let error = opened.abandon("left.tar.zst", &left).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(opened.find("left.tar.zst").await.unwrap(), None);
    assert_eq!(opened.list_uploads().await.unwrap().unwrap().len(), 1);
}

/// By a process that was ended before it could delete the blob.
#[tokio::test]
async fn an_empty_blob_in_the_place_of_blocks_takes_no_name() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let relay = Relay::before(azurite.blobs);
    let url = relay.through(&azurite.container("near", "drop"));
    let sas = account_sas("near");
    let opened = open(&format!("{url}?{sas}"), None).await;
    let leave = async || {
        let left = suite::interrupted_upload(&*opened, "left.tar.zst").await;
        let mut deletions = 0;
        relay.judge(move |seen| {
            deletions += usize::from(seen.method == "DELETE");
            match seen.method == "DELETE" && deletions == 2 {
                true => Verdict::Answer(403),
                false => Verdict::Pass,
            }
        });
        let error = opened.abandon("left.tar.zst", &left).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        relay.judge(|_| Verdict::Pass);
        left
    };
    let left = leave().await;
    assert_eq!(opened.find("left.tar.zst").await.unwrap(), None);
    let listed: Vec<_> = opened.list("").try_collect().await.unwrap();
    assert!(listed.is_empty(), "{listed:?}");
    let uploads = opened.list_uploads().await.unwrap().unwrap();
    assert_eq!(uploads[0].upload_id, left.upload_id);
    let named = format!("{url}?credential=env:DROP");
    container(&["clean", &named, "--older-than", "0s"], &sas)
        .assert_success()
        .assert_stdout("removed: left.tar.zst")
        .assert_stdout("1 open upload, 1 removed");
    let again = opened.abandon("left.tar.zst", &left).await.unwrap();
    assert_eq!(again, Abandonment::Gone);
    let left = leave().await;
    let again = opened.abandon("left.tar.zst", &left).await.unwrap();
    assert_eq!(again, Abandonment::Removed);
    // Whoever wants the name gets it.
    leave().await;
    suite::write(&*opened, "left.tar.zst", b"whole").await;
    let found = opened.find("left.tar.zst").await.unwrap().unwrap();
    assert_eq!(found.size_bytes, 5);
    assert!(opened.list_uploads().await.unwrap().unwrap().is_empty());
}

/// Nothing of them can be there any more.
#[tokio::test]
async fn uploads_into_a_container_that_is_gone_can_be_given_up() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let url = azurite.container("near", "drop").replace("drop", "gone");
    let (state, remembered, _) = remembered(&url, "0123456789abcdef").await;
    let named = format!("{url}?credential=env:DROP");
    let sas = account_sas("near");
    let directory = state.path().to_str().unwrap();
    let words = ["clean", &named, "--older-than", "0s"];
    container(&words, &sas)
        .assert_code(1)
        .assert_stderr("ContainerNotFound");
    container(&[&words[..], &["--state", directory]].concat(), &sas)
        .assert_success()
        .assert_stdout("gone already: one.tar.zst");
    let place = &remembered.container;
    let known = remembered.ledger.list_uploads(place).await.unwrap();
    assert!(known.is_empty(), "{known:?}");
}

/// moto says that every upload began in 2010: what counts is the last part.
#[tokio::test]
async fn open_uploads_of_a_bucket_are_named_and_removed() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let url = moto.bucket("drop").replace("drop?", "drop/pre&fix?");
    let secret = "some-id:some-secret";
    let opened = open(&url, Some(secret)).await;
    for name in ["left.tar.zst", "film.mkv"] {
        suite::interrupted_upload(&*opened, name).await;
    }
    let elsewhere = open(&moto.bucket("drop"), Some(secret)).await;
    suite::interrupted_upload(&*elsewhere, "other.tar.zst").await;
    let named = format!("{url}&credential=env:DROP");
    let listed = container(&["list", &named, "--output", "json"], secret);
    let document = listed.assert_success().json();
    assert_eq!(document["uploads"][1]["name"], "left.tar.zst");
    assert!(document["uploads"][1]["sizeBytes"].as_u64().unwrap() > 16 << 20);
    assert_eq!(document["uploads"].as_array().unwrap().len(), 2);
    container(&["clean", &named], secret)
        .assert_success()
        .assert_stdout("not old enough")
        .assert_stdout("2 open uploads, 0 removed");
    container(&["clean", &named, "--older-than", "0s"], secret)
        .assert_success()
        .assert_stdout("removed: left.tar.zst")
        .assert_stdout("left: film.mkv")
        .assert_stdout("2 open uploads, 1 removed");
    assert_eq!(elsewhere.list_uploads().await.unwrap().unwrap().len(), 2);
}

/// A state directory, and an upload in it that began ten days ago.
async fn remembered(url: &str, upload_id: &str) -> (TempDir, RememberedUploads, UploadKey) {
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(state.path()).await.unwrap();
    let reference: ContainerReference = url.parse().unwrap();
    let upload = NewUpload {
        container: upload_place(&reference),
        object: "one.tar.zst".to_owned(),
        set: "abc".to_owned(),
        pipeline: None,
        created: Timestamp::now(),
        upload_id: upload_id.to_owned(),
    };
    let begun = Timestamp::now() - SignedDuration::from_hours(240);
    let key = ledger.begin_upload(&upload, begun).await.unwrap();
    let container = upload.container;
    (state, RememberedUploads { ledger, container }, key)
}

#[tokio::test]
async fn what_the_ledger_knows_is_as_old_as_its_last_part() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let named = format!("{}&credential=env:DROP", moto.bucket("drop"));
    let (state, remembered, key) = remembered(&named, "lost").await;
    let parts = [UploadPart {
        number: 0,
        part_id: "etag".to_owned(),
        size_bytes: 7,
    }];
    let recorded = remembered
        .ledger
        .record_progress(&key, &parts, &[], Timestamp::now());
    recorded.await.unwrap();
    let clean = |older_than: &str| {
        let state = state.path().to_str().unwrap();
        let words = [
            "clean",
            &named,
            "--older-than",
            older_than,
            "--state",
            state,
        ];
        container(&words, "some-id:some-secret")
    };
    clean("24h")
        .assert_success()
        .assert_stdout("left: one.tar.zst, 7 B")
        .assert_stdout("not old enough");
    clean("0s")
        .assert_success()
        .assert_stdout("gone already: one.tar.zst")
        .assert_stdout("1 open upload, 0 removed");
    let place = &remembered.container;
    let known = remembered.ledger.list_uploads(place).await.unwrap();
    assert!(known.is_empty(), "{known:?}");
}

/// Between the plan and the removal.
#[tokio::test]
async fn an_upload_that_is_taken_up_meanwhile_is_not_removed() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let url = moto.bucket("drop");
    let opened = open(&url, Some("some-id:some-secret")).await;
    let left = suite::interrupted_upload(&*opened, "one.tar.zst").await;
    let (_state, remembered, key) = remembered(&url, &left.upload_id).await;
    let ledger = remembered.ledger.clone();
    // By this machine's clock, in two days.
    let cleaning = Cleaning {
        container: &*opened,
        remembered: Some(&remembered),
        older_than: Duration::from_hours(24),
        now: Timestamp::now() + SignedDuration::from_hours(48),
    };
    let outcome = async |planned: Vec<JudgedUpload>| {
        let cleaned = cleaning.clean(planned).await.unwrap();
        format!("{:?}", cleaned[0].outcome)
    };
    let plan = async || cleaning.plan().await.unwrap().unwrap();
    let planned = plan().await;
    assert!(matches!(planned[0].outcome, UploadOutcome::Abandoned));
    let hold = ledger.hold_upload(&remembered.container, "abc").await;
    assert_eq!(outcome(planned).await, "Held");
    let planned = plan().await;
    assert!(matches!(planned[0].outcome, UploadOutcome::Held));
    drop(hold);
    // It was held, grew, and was left again.
    let planned = plan().await;
    let grown = ledger.record_progress(&key, &[], &[], cleaning.now);
    grown.await.unwrap();
    assert_eq!(outcome(planned).await, "Recent");
    assert_eq!(opened.list_uploads().await.unwrap().unwrap().len(), 1);
}

/// Who may not list the uploads is told what does the work.
#[test]
fn a_bucket_says_that_it_cannot_tell() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let relay = Relay::before(moto.address);
    relay.judge(|seen| match seen.target.contains("uploads=") {
        true => Verdict::Answer(403),
        false => Verdict::Pass,
    });
    let url = relay.through(&moto.bucket("drop"));
    let named = format!("{url}&credential=env:DROP");
    let secret = "some-id:some-secret";
    let listed = container(&["list", &named, "--output", "json"], secret);
    listed
        .assert_success()
        .assert_stderr("open uploads of `s3://drop` cannot be listed; `--state` names those");
    assert!(listed.json()["uploads"].is_null());
    container(&["clean", &named], secret)
        .assert_code(1)
        .assert_stderr("error: open uploads of `s3://drop` cannot be listed")
        .assert_stderr("hint: `--state` names those");
}
