//! Exports into Azure that are ended between the first commit of a volume and the last: what is sealed is published by
//! the next run, and a number never stands for two inventories.

use std::sync::Arc;

use airlift::history::Ledger;
use airlift::storage::StorageContainer;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::open;
use super::resumed::{FIXTURES, Road, bundle, bytes, push_image, push_into};
use crate::support::clouds::{Azurite, Moto, account_key};
use crate::support::command::{Airlift, Output};
use crate::support::containers::object_names;
use crate::support::registry::{Fault, When};
use crate::support::wait;

/// Small layers, and volumes that hold one of them.
const SIZES: [usize; 4] = [100 << 10; 4];
const VOLUMES: [&str; 2] = ["--volume-size", "140KiB"];
const PIPELINE: [&str; 4] = ["--pipeline", "plant", "--volume-size", "140KiB"];

struct Cloud {
    azurite: Azurite,
    runtime: Runtime,
    road: Road,
    url: String,
    container: Arc<dyn StorageContainer>,
}

impl Cloud {
    fn start_or_skip() -> Option<Self> {
        let azurite = Azurite::start_or_skip()?;
        let runtime = Runtime::new().unwrap();
        let url = azurite.container("near", "drop");
        let key = account_key("near");
        let road = Road::with_layers(&SIZES, &url, azurite.blobs, &key);
        let road = runtime.block_on(road);
        let container = runtime.block_on(open(&url, Some(&key)));
        Some(Self {
            azurite,
            runtime,
            road,
            url,
            container,
        })
    }

    fn names(&self) -> Vec<String> {
        self.runtime.block_on(object_names(&*self.container))
    }

    /// SIGKILL when so many volumes are visible and the next is about to become so.
    fn kill_after_commits(&self, commits: usize, export: Airlift) -> Output {
        let before = self.names().len();
        self.road.door.stop_commits_after(commits);
        let running = export.spawn();
        let output = running.kill_when(|| self.road.door.has_stopped_a_commit());
        assert!(output.was_killed(), "{}", output.stderr);
        self.road.door.lose_commits();
        self.road.door.wait_until_quiet();
        self.road.source.log().clear();
        assert_eq!(self.names().len(), before + commits);
        output
    }

    fn move_tag(&self) {
        let layers = &SIZES[..2];
        self.runtime
            .block_on(push_image(&self.road.source, layers, 2));
    }

    fn has_uploads(&self) -> bool {
        let uploads = self.runtime.block_on(self.road.uploads());
        let open = self.runtime.block_on(self.container.list_uploads());
        assert_eq!(
            uploads.is_empty(),
            open.unwrap().is_none_or(|open| open.is_empty())
        );
        !uploads.is_empty()
    }

    /// But for the config, which plans read.
    fn assert_nothing_was_read(&self) {
        let read = self.road.source.log().bytes_downloaded();
        assert!(read < 1000, "{read}");
    }

    /// All volumes of the number are visible.
    fn assert_whole(&self, sequence: u64) {
        let part = format!("-{sequence}-");
        let names = self.names();
        let names: Vec<&String> = names.iter().filter(|name| name.contains(&part)).collect();
        let of = names[0].rsplit("of").next().unwrap();
        let of: usize = of.split('.').next().unwrap().parse().unwrap();
        assert!(of >= 2 && names.len() == of, "{names:?}");
    }
}

fn volumes(document: &Value) -> usize {
    document["volumes"].as_array().unwrap().len()
}

#[test]
fn a_one_off_bundle_that_is_visible_in_part_is_finished_by_the_next_run() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let more = [&VOLUMES[..], &["--name", "one"]].concat();
    cloud.kill_after_commits(2, cloud.road.export(&more));
    // Whoever forces nothing gets what is sealed, also with another time.
    let again = cloud
        .road
        .export(&more)
        .env("SOURCE_DATE_EPOCH", "1700000000");
    let document = bundle(&again.run());
    assert_eq!(document["unchanged"], true);
    assert_eq!(cloud.names().len(), volumes(&document));
    assert!(volumes(&document) >= 4);
    cloud.assert_nothing_was_read();
    assert!(!cloud.has_uploads());
    cloud.road.check_bundle(&document);
}

/// The ledger knew the first upload and no part of it, and the second run took it up with another time.
#[test]
fn an_upload_that_was_killed_before_its_first_part_keeps_its_time() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let more = [&VOLUMES[..], &["--name", "one"]].concat();
    for layer in &cloud.road.layers {
        let when = When::get(&format!("/blobs/{layer}")).always();
        cloud.road.source.fault(when, Fault::Hang);
    }
    let first = cloud
        .road
        .export(&more)
        .env("SOURCE_DATE_EPOCH", "1700000000");
    let begun = || !cloud.runtime.block_on(cloud.road.uploads()).is_empty();
    let killed = first.spawn().kill_when(begun);
    assert!(killed.was_killed(), "{}", killed.stderr);
    cloud.road.source.heal();
    cloud.road.door.wait_until_quiet();
    let left = cloud.runtime.block_on(cloud.road.uploads());
    assert!(left.iter().all(|it| it.parts.is_empty()), "{left:?}");
    cloud.kill_after_commits(2, cloud.road.export(&more));
    let document = bundle(&cloud.road.export(&more).run());
    assert_eq!(document["unchanged"], true);
    assert_eq!(cloud.names().len(), volumes(&document));
    assert!(!cloud.has_uploads());
    cloud.road.check_bundle(&document);
}

/// The last volume, which nobody can read yet, has fewer artifacts than the plan that is asked for now.
#[test]
fn what_has_left_something_out_is_not_finished_as_if_it_were_whole() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let pushed = push_into("apps/api", &cloud.road.source, &[1000; 2], 5);
    let lost = cloud.runtime.block_on(pushed).remove(1);
    let other = format!("{}/apps/api:1", cloud.road.source.address());
    let more = [
        &VOLUMES[..],
        &["--name", "one", "--continue-on-errors", &other],
    ]
    .concat();
    let lost = format!("/blobs/{lost}");
    cloud
        .road
        .source
        .fault(When::get(&lost).always(), Fault::Status(404));
    cloud.kill_after_commits(1, cloud.road.export(&more));
    cloud.road.source.heal();
    cloud
        .road
        .export(&more)
        .run()
        .assert_code(1)
        .assert_stderr("holds a part of this bundle");
    assert_eq!(cloud.names().len(), 1);
    let more = [&more[..], &["--overwrite-blobs"]].concat();
    let document = bundle(&cloud.road.export(&more).run());
    assert_eq!(document["unchanged"], false);
    assert_eq!(document["artifacts"].as_array().unwrap().len(), 2);
    cloud.road.check_bundle(&document);
}

#[test]
fn a_bundle_of_a_pipeline_that_is_visible_in_part_is_finished_by_the_next_export() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    cloud.kill_after_commits(1, cloud.road.export(&PIPELINE));
    cloud.move_tag();
    let document = bundle(&cloud.road.export(&PIPELINE).run());
    assert_eq!(document["sequence"], 2);
    cloud.assert_whole(1);
    cloud.assert_whole(2);
    assert!(!cloud.has_uploads());
}

/// It would be sent again under a new number.
#[test]
fn a_sealed_bundle_of_which_nothing_is_visible_is_published_under_its_number() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    cloud.kill_after_commits(0, cloud.road.export(&PIPELINE));
    let document = bundle(&cloud.road.export(&PIPELINE).run());
    assert_eq!(document["sequence"], 1);
    cloud.assert_nothing_was_read();
    assert_eq!(cloud.names().len(), volumes(&document));
    cloud.assert_whole(1);
    assert!(!cloud.has_uploads());
    cloud.road.check_bundle(&document);
    // A second one has the first as its predecessor, and is found again as well.
    cloud.move_tag();
    cloud.kill_after_commits(0, cloud.road.export(&PIPELINE));
    let document = bundle(&cloud.road.export(&PIPELINE).run());
    assert_eq!(document["sequence"], 2);
    cloud.assert_whole(2);
}

/// What is sealed is another bundle than what is asked for: its number stays a gap, and nobody else gets it.
#[test]
fn a_sealed_bundle_that_nobody_wants_any_more_is_a_gap() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let key = format!("{FIXTURES}/keys/snakeoil-ed25519");
    for pipeline in ["time", "keys", "tag"] {
        let more = ["--pipeline", pipeline, VOLUMES[0], VOLUMES[1]];
        cloud.kill_after_commits(0, cloud.road.export(&more));
        let export = match pipeline {
            "time" => cloud
                .road
                .export(&more)
                .env("SOURCE_DATE_EPOCH", "1700000000"),
            "keys" => cloud
                .road
                .export(&[&more[..], &["--sign-key", &key]].concat()),
            _ => {
                cloud.move_tag();
                cloud.road.export(&more)
            }
        };
        let before = cloud.names().len();
        let document = bundle(&export.run());
        assert_eq!(document["sequence"], 2, "{pipeline}");
        assert_eq!(cloud.names().len(), before + volumes(&document));
        assert!(!cloud.has_uploads());
    }
}

/// Deterministic bytes were asked for, and those that are there are others.
#[test]
fn an_interrupted_upload_with_another_time_is_begun_anew() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let lost = format!("/blobs/{}", cloud.road.layers[SIZES.len() - 1]);
    let more = [&VOLUMES[..], &["--name", "one"]].concat();
    let interrupt = |export: Airlift| {
        let when = When::get(&lost).always();
        cloud.road.source.fault(when, Fault::Status(404));
        export.run().assert_code(1);
        cloud.road.source.heal();
        assert!(cloud.has_uploads());
    };
    let given = |seconds| cloud.road.export(&more).env("SOURCE_DATE_EPOCH", seconds);
    interrupt(cloud.road.export(&more));
    interrupt(given("1700000000"));
    let resumed = bundle(&given("1700000000").run());
    assert!(bytes(&resumed, "resumedBytes") > 0);
    let inspect = || {
        let trust = format!("{FIXTURES}/keys/snakeoil-p256.pub");
        let words = ["inspect", &cloud.road.container, "--trust", &trust];
        let words = [&words[..], &["--output", "json"]].concat();
        cloud.road.airlift(&words).run()
    };
    inspect().assert_stdout("2023-11-14T22:13:20Z");
    let more = [&VOLUMES[..], &["--name", "two"]].concat();
    let given = |seconds| cloud.road.export(&more).env("SOURCE_DATE_EPOCH", seconds);
    interrupt(given("1700000000"));
    let anew = bundle(&given("1700000001").run());
    assert_eq!(bytes(&anew, "resumedBytes"), 0);
    inspect().assert_stdout("2023-11-14T22:13:21Z");
}

#[test]
fn what_is_left_in_another_container_is_told_and_finished_there() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    cloud.kill_after_commits(1, cloud.road.export(&PIPELINE));
    cloud.move_tag();
    let elsewhere = cloud.azurite.container("near", "elsewhere");
    let elsewhere = format!("{elsewhere}?credential=env:DROP");
    let reference = format!("{}/apps/web:1", cloud.road.source.address());
    let key = format!("{FIXTURES}/keys/snakeoil-p256");
    let words = [
        "export",
        &reference,
        "--container",
        &elsewhere,
        "--sign-key",
        &key,
    ];
    let words = [&words[..], &PIPELINE, &["--output", "json"]].concat();
    let output = cloud.road.airlift(&words).run();
    assert_eq!(bundle(&output)["sequence"], 2);
    let place = cloud.road.container.split('?').next().unwrap();
    output
        .assert_stderr("number 1 of the pipeline `plant`, was ended before it was seen whole")
        .assert_stderr(place)
        .assert_stderr("publishes what is missing");
    assert_eq!(cloud.names().len(), 1);
    // Nothing has become of it, and so it is told again.
    let again = cloud.road.airlift(&words).run();
    assert_eq!(bundle(&again)["unchanged"], true);
    again.assert_stderr("number 1 of the pipeline `plant`");
    let output = cloud.road.export(&PIPELINE).run();
    assert_eq!(bundle(&output)["sequence"], 3);
    cloud.assert_whole(1);
    cloud
        .road
        .airlift(&words)
        .run()
        .assert_success()
        .assert_nowhere("was ended before");
}

/// Two state directories know nothing of each other, and both have planned before either was done.
#[test]
fn an_export_that_was_overtaken_by_its_equal_is_unchanged() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let more = ["--name", "one"];
    cloud.road.door.stop_commits_after(0);
    let mut slow = cloud.road.export(&more).spawn();
    wait::until("it has written everything", || {
        cloud.road.door.has_stopped_a_commit() || slow.has_ended()
    });
    let other = tempfile::tempdir().unwrap();
    let reference = format!("{}/apps/web:1", cloud.road.source.address());
    let key = format!("{FIXTURES}/keys/snakeoil-p256");
    let url = format!("{}?credential=env:DROP", cloud.url);
    let words = [
        "export",
        &reference,
        "--container",
        &url,
        "--sign-key",
        &key,
    ];
    let words = [&words[..], &more, &["--output", "json"]].concat();
    let fast = cloud
        .road
        .airlift(&words)
        .env("AIRLIFT_STATE", other.path().to_str().unwrap())
        .run();
    assert_eq!(bundle(&fast)["unchanged"], false);
    cloud.road.door.let_commits_pass();
    assert_eq!(bundle(&slow.output())["unchanged"], true);
    assert!(cloud.runtime.block_on(cloud.road.uploads()).is_empty());
    assert_eq!(cloud.names(), ["one.tar.zst"]);
}

/// An export that finds somebody else at the same bundle waits, and says so.
fn waits_for_the_upload(runtime: &Runtime, road: &Road, export: Airlift) -> Output {
    let upload = runtime.block_on(road.uploads()).remove(0).upload;
    let hold = runtime.block_on(async {
        let ledger = Ledger::open(road.state.path()).await.unwrap();
        ledger.hold_upload(&upload.container, &upload.set).await
    });
    let running = export.spawn();
    let told = "another run with this state directory is writing this bundle, waiting";
    wait::until("it says so", || running.stderr().contains(told));
    drop(hold.unwrap());
    running.output()
}

#[test]
fn what_is_finished_is_held() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    cloud.kill_after_commits(1, cloud.road.export(&PIPELINE));
    // Another bundle: what is waited for is the one that is finished.
    cloud.move_tag();
    let export = cloud.road.export(&PIPELINE);
    let output = waits_for_the_upload(&cloud.runtime, &cloud.road, export);
    assert_eq!(bundle(&output)["sequence"], 2);
    cloud.assert_whole(1);
}

/// It was recorded only when the same bundle was asked for once more.
#[test]
fn what_is_finished_is_recorded_by_the_run_that_finishes_it() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    cloud.kill_after_commits(1, cloud.road.export(&PIPELINE));
    // Another bundle: nobody asks for the one that is finished.
    cloud.move_tag();
    let export = || bundle(&cloud.road.export(&PIPELINE).run());
    let exported = || {
        let told = cloud.road.airlift(&["audit", "export"]).run();
        let lines = told.assert_success().stdout.lines();
        let records = lines.map(|line| serde_json::from_str(line).unwrap());
        let records: Vec<Value> = records.collect();
        let sequence = |record: &Value| {
            assert_eq!(record["kind"], "exported");
            assert!(record["source"].as_str().unwrap().ends_with("/apps/web:1"));
            record["sequence"].as_u64().unwrap()
        };
        records.iter().map(sequence).collect::<Vec<_>>()
    };
    assert_eq!(export()["sequence"], 2);
    assert_eq!(exported(), [1, 2]);
    assert_eq!(export()["unchanged"], true);
    assert_eq!(exported(), [1, 2]);
    let listed = cloud.road.airlift(&["runs", "--output", "json"]).run();
    let runs = listed.json()["runs"].as_array().unwrap().clone();
    let first: Vec<&Value> = runs.iter().filter(|run| run["sequence"] == 1).collect();
    let statuses: Vec<&Value> = first.iter().map(|run| &run["status"]).collect();
    assert_eq!(statuses, ["done", "interrupted"]);
    assert_eq!(first[0]["artifacts"]["delivered"], 1);
}

/// Buckets of one name stand at different endpoints, and their holds have the endpoint in their names, as the ledger
/// has.
#[test]
fn an_export_into_a_bucket_waits_for_its_equal() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let runtime = Runtime::new().unwrap();
    let url = moto.bucket("drop");
    let road = runtime.block_on(Road::new(&url, moto.address, "some-id:some-secret"));
    road.interrupt(&["--name", "one"]);
    let export = road.export(&["--name", "one"]);
    let document = bundle(&waits_for_the_upload(&runtime, &road, export));
    assert!(bytes(&document, "resumedBytes") > 0);
}
