//! Multipart uploads of S3 that the store has lost, in whole or in part, and answers that do not arrive.

use std::time::Duration;

use airlift::content::{ErrorKind, Uploaded};
use airlift::storage::{CreateOptions, Overwrite, Resume};
use bytes::Bytes;

use super::resumed::{LAYER_BYTES, LAYERS, Road, bundle, bytes, push_image, runtime};
use super::{open, suite};
use crate::support::clouds::Moto;
use crate::support::relay::{Relay, Seen, Verdict};
use crate::support::wait;

const SECRET: &str = "some-id:some-secret";
const GONE: &str = "<Error><Code>NoSuchUpload</Code><Message>It is gone.</Message></Error>";
const INVALID: &str = "<?xml version=\"1.0\"?>\n<Error><Code>InvalidPart</Code><Message>One or more parts could \
    not be found.\nLook</Message><HostId>x</HostId></Error>";

const TAKEN: &str =
    "<Error><Code>PreconditionFailed</Code><Condition>If-None-Match</Condition></Error>";
const UNKNOWN: &str = "<Error><Code>NotImplemented</Code><Message>If-None-Match</Message></Error>";

fn completes(seen: &Seen) -> bool {
    seen.method == "POST" && seen.target.contains("uploadId=")
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_is_done() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let relay = Relay::before(moto.address);
    let container = open(&relay.through(&moto.bucket("drop")), Some(SECRET)).await;
    let content = Bytes::from(vec![7; 9 << 20]);
    let write = async |object: &str| {
        let created = container.create(object, CreateOptions::default()).await;
        let mut writer = created.unwrap();
        writer.write(vec![content.clone()]).await.unwrap();
        writer.finish().await
    };
    let mut is_first = true;
    relay.judge(move |seen| match completes(seen) {
        true if std::mem::take(&mut is_first) => Verdict::Lose,
        true => Verdict::Say(404, GONE),
        false => Verdict::Pass,
    });
    write("whole").await.unwrap();
    assert_eq!(relay.count(completes), 2, "it was asked again");
    // Where it was not put together it is an error.
    relay.judge(|seen| match completes(seen) {
        true => Verdict::Say(404, GONE),
        false => Verdict::Pass,
    });
    let error = write("lost").await.unwrap_err();
    assert!(error.is_not_found());
    let told = airlift::content::describe(&error);
    assert!(
        told.ends_with("the service answered 404 NoSuchUpload: It is gone"),
        "{told}"
    );
}

#[tokio::test]
async fn parts_that_were_replaced_are_not_gone_on_with() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let container = open(&moto.bucket("drop"), Some(SECRET)).await;
    let left = suite::interrupted_upload(&*container, "one").await;
    let find = async || container.find_uploaded("one", left.clone()).await.unwrap();
    assert_eq!(find().await.as_ref(), Some(&left));
    let first = Uploaded {
        upload_id: left.upload_id.clone(),
        parts: left.parts[..1].to_vec(),
    };
    let resume = |uploaded: &Uploaded| CreateOptions {
        resume: Some(Resume {
            start: uploaded.size_bytes(),
            uploaded: uploaded.clone(),
        }),
        ..CreateOptions::default()
    };
    let mut other = container.create("one", resume(&first)).await.unwrap();
    other.write(vec![vec![1; 8 << 20].into()]).await.unwrap();
    other.seal().await.unwrap();
    assert_eq!(find().await, Some(first));
    let replaced = container.create("one", resume(&left)).await.err().unwrap();
    assert!(replaced.is_not_found());
    other.abort().await;
    assert_eq!(find().await, None);
}

/// moto answers 500 to a part of an upload that is gone: the store is asked before anything is sent.
#[test]
fn a_volume_whose_upload_is_lost_begins_anew_and_the_others_go_on() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let url = moto.bucket("drop");
    let road = runtime.block_on(Road::new(&url, moto.address, SECRET));
    let more = ["--name", "one", "--volume-size", "33MiB"];
    road.interrupt(&more);
    let left = runtime.block_on(road.uploads());
    assert_eq!(left.len(), 2, "{left:?}");
    let lost = left.into_iter().find(|it| it.complete.is_none()).unwrap();
    let uploaded = Uploaded {
        upload_id: lost.upload.upload_id,
        parts: Vec::new(),
    };
    let container = runtime.block_on(open(&url, Some(SECRET)));
    let abandoned = container.abandon(&lost.upload.object, &uploaded);
    runtime.block_on(abandoned).unwrap();
    let document = bundle(&road.export(&more).run());
    let (resumed, whole) = (bytes(&document, "resumedBytes"), LAYERS * LAYER_BYTES);
    assert!(
        resumed >= 3 * LAYER_BYTES as u64 && resumed < whole as u64,
        "{resumed}"
    );
    assert!(runtime.block_on(road.uploads()).is_empty());
    road.check_bundle(&document);
}

#[test]
fn an_upload_that_cannot_be_removed_for_now_stays_known() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let relay = Relay::before(moto.address);
    let url = relay.through(&moto.bucket("drop"));
    let sizes = [LAYER_BYTES; 4];
    let road = runtime.block_on(Road::with_layers(&sizes, &url, relay.address, SECRET));
    let more = ["--pipeline", "plant"];
    road.interrupt(&more);
    let left = runtime.block_on(road.uploads()).remove(0);
    runtime.block_on(push_image(&road.source, &[1000], 2));
    relay.judge(|seen| match seen.method == "DELETE" {
        true => Verdict::Say(503, "<html>busy</html>"),
        false => Verdict::Pass,
    });
    let output = road.export(&more).run();
    output
        .assert_success()
        .assert_stderr("is left at the store: ")
        .assert_stderr("the service answered 503\n");
    let known = runtime.block_on(road.uploads());
    assert!(known.iter().any(|it| it.upload == left.upload));
    relay.judge(|_| Verdict::Pass);
    let words = ["container", "clean", &road.container, "--older-than", "0s"];
    road.airlift(&words).run().assert_stdout("1 removed");
    assert!(runtime.block_on(road.uploads()).is_empty());
}

#[test]
fn a_refused_completion_is_one_line_and_a_hint() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let relay = Relay::before(moto.address);
    let url = relay.through(&moto.bucket("drop"));
    let sizes = [LAYER_BYTES; 2];
    let road = runtime.block_on(Road::with_layers(&sizes, &url, relay.address, SECRET));
    relay.judge(|seen| match completes(seen) {
        true => Verdict::Say(400, INVALID),
        false => Verdict::Pass,
    });
    let more = ["--name", "one"];
    let failed = road.export(&more).run();
    failed
        .assert_code(1)
        .assert_stderr(
            "the service answered 400 InvalidPart: One or more parts could not be found\n",
        )
        .assert_stderr("hint: the store has not kept the upload as it was written");
    assert!(!failed.stderr.contains('<'), "{}", failed.stderr);
    let runs = road.airlift(&["runs", "--output", "json"]).run();
    let reason = runs.assert_success().json()["runs"][0]["reason"].clone();
    assert!(!reason.as_str().unwrap().contains('<'), "{reason}");
    relay.judge(|_| Verdict::Pass);
    let document = bundle(&road.export(&more).run());
    road.check_bundle(&document);
}

/// moto passes over the condition.
#[tokio::test]
async fn an_object_in_parts_never_replaces_one_that_came_meanwhile() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let relay = Relay::before(moto.address);
    let container = open(&relay.through(&moto.bucket("drop")), Some(SECRET)).await;
    let content = Bytes::from(vec![7; 9 << 20]);
    let write = async |overwrite: Overwrite| {
        let options = CreateOptions {
            overwrite,
            ..CreateOptions::default()
        };
        let mut writer = container.create("one", options).await.unwrap();
        writer.write(vec![content.clone()]).await.unwrap();
        writer.finish().await
    };
    relay.judge(|seen| match completes(seen) && seen.is_conditional {
        true => Verdict::Say(412, TAKEN),
        false => Verdict::Pass,
    });
    let error = write(Overwrite::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    write(Overwrite::Replace).await.unwrap();
    // A service that does not know the condition is asked without it.
    let found = container.find("one").await.unwrap().unwrap();
    container.remove("one", Some(&found.version)).await.unwrap();
    relay.judge(|seen| match completes(seen) && seen.is_conditional {
        true => Verdict::Say(501, UNKNOWN),
        false => Verdict::Pass,
    });
    write(Overwrite::Refuse).await.unwrap();
}

/// An answer that nobody knows, as a proxy's: the rest stays at the store, in the ledger, and is published later.
#[test]
fn a_bundle_that_is_visible_in_part_survives_an_unknown_answer() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let relay = Relay::before(moto.address);
    let url = relay.through(&moto.bucket("drop"));
    let sizes = [LAYER_BYTES; 4];
    let road = runtime.block_on(Road::with_layers(&sizes, &url, relay.address, SECRET));
    let more = ["--pipeline", "plant", "--volume-size", "9MiB"];
    road.interrupt(&more);
    let mut passing = 1;
    relay.judge(move |seen| match completes(seen) {
        true if passing == 0 => Verdict::Say(407, "<html>who are you?</html>"),
        true => {
            passing -= 1;
            Verdict::Pass
        }
        false => Verdict::Pass,
    });
    for _ in 0..2 {
        road.export(&more)
            .run()
            .assert_code(1)
            .assert_stderr("the service answered 407\n");
        let left = runtime.block_on(road.uploads());
        assert!(left.len() >= 4, "{left:?}");
        assert!(left.iter().all(|it| it.complete.is_some()), "{left:?}");
    }
    relay.judge(|_| Verdict::Pass);
    let document = bundle(&road.export(&more).run());
    assert_eq!(document["sequence"], 1);
    assert!(runtime.block_on(road.uploads()).is_empty());
    road.check_bundle(&document);
}

#[test]
fn an_upload_that_gets_no_answer_is_told() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let runtime = runtime();
    let relay = Relay::before(moto.address);
    let url = relay.through(&moto.bucket("drop"));
    let road = runtime.block_on(Road::with_layers(&[1000], &url, relay.address, SECRET));
    relay.judge(|seen| match seen.method == "PUT" {
        true => Verdict::Hold,
        false => Verdict::Pass,
    });
    let running = road.export(&["--name", "one"]).spawn();
    let told = wait::within(Duration::from_mins(1), || {
        let stderr = running.stderr();
        stderr.contains("has not answered for 20 s, still waiting")
    });
    let output = running.kill();
    assert!(told, "{}", output.stderr);
}
