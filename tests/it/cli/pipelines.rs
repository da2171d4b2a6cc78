//! `export --pipeline`: numbers, their order at the importer, and what survives lost state and kills.

use std::ops::Range;

use airlift::bundle::SignaturePolicy;
use airlift::content::Memory;
use airlift::history::{ExportPosition, ExportedBundle, Ledger, Payload, RunKind, RunStatus};
use airlift::oci::Digest;
use airlift::pipeline::open_bundles;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Desk;
use crate::support::artifacts::image;
use crate::support::command::Output;
use crate::support::containers::places;
use crate::support::registry::Registry;
use crate::support::wait;

/// A desk beside a registry whose tags move.
struct Plant {
    desk: Desk,
    registry: Registry,
    memory: Memory,
}

impl Plant {
    fn new() -> Self {
        let plant = Self {
            desk: Desk::new(),
            registry: Registry::start(),
            memory: Memory::new(),
        };
        plant.move_tag("web", "one");
        plant
    }

    fn move_tag(&self, name: &str, content: &str) {
        let repository = format!("apps/{name}").parse().unwrap();
        let document = image(&self.memory, &repository, "amd64", &[content.as_bytes()]);
        let tag = "1.4".parse().unwrap();
        self.memory.put_manifest(&repository, document, Some(&tag));
        self.registry.seed(&self.memory);
    }

    fn export(&self, more: &str) -> Output {
        self.export_of(&["web"], more)
    }

    fn export_of(&self, names: &[&str], more: &str) -> Output {
        let address = self.registry.address();
        let references: Vec<String> = names
            .iter()
            .map(|name| format!("{address}/apps/{name}:1.4"))
            .collect();
        let references = references.join(" ");
        self.desk.run(&format!(
            "export {references} --container usb --sign-key ops.key --output json {more}"
        ))
    }

    /// What the only bundle of an export of the pipeline is.
    fn next(&self, more: &str) -> Value {
        let document = self.export(&format!("--pipeline plant {more}"));
        document.assert_success().json()["bundles"][0].clone()
    }

    fn inspect(&self, bundle: &Value) -> Value {
        let path = bundle["volumes"][0]["path"].as_str().unwrap();
        let line = format!("inspect {path} --trust ops.key.pub --output json");
        self.desk.run(&line).assert_success().json()["bundles"][0].clone()
    }

    fn import(&self) -> Output {
        self.desk
            .run("import usb --target oci:far --trust ops.key.pub --state far-state")
    }

    async fn ledger(&self) -> Ledger {
        Ledger::open(&self.desk.path("state")).await.unwrap()
    }
}

const STATE: &str = "--state state";

#[tokio::test]
async fn bundles_are_numbered_and_imported_in_order() {
    let plant = Plant::new();
    let first = plant.next(STATE);
    plant.move_tag("web", "two");
    let second = plant.next(STATE);
    assert_eq!(
        (&first["sequence"], &second["sequence"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(second["pipeline"], "plant");
    let inspected = [plant.inspect(&first), plant.inspect(&second)];
    assert_eq!(inspected[0]["pipeline"], inspected[1]["pipeline"]);
    plant.import().assert_success().assert_stdout("delivered");
    plant
        .import()
        .assert_success()
        .assert_stderr("was delivered before, so nothing was to be done");
    plant.move_tag("web", "one");
    let back = plant.next(STATE);
    assert_eq!(back["sequence"], 3, "a rolled-back tag is news");
    assert_eq!(back["set"], first["set"]);
    assert_eq!(plant.desk.names("usb").len(), 3);
    plant.import().assert_success().assert_stdout("1 tag moved");
    let places = places(&plant.desk.path("usb")).await.unwrap();
    let opened = open_bundles(&places, &SignaturePolicy::AcceptUnsigned)
        .await
        .unwrap();
    let mut before = None;
    for (number, opened) in (1..).zip(&opened) {
        let inventory = opened.bundle.inventory();
        assert_eq!(
            (inventory.sequence, &inventory.previous),
            (Some(number), &before)
        );
        before = Some(opened.bundle.last().inventory_digest().clone());
    }
}

#[test]
fn bundles_are_called_by_a_template() {
    let plant = Plant::new();
    let template = "{pipeline}.{sequence}.{date}";
    let line = format!("--pipeline plant --name {template}");
    let first = plant.export(&format!("{STATE} {line}"));
    let name = first.assert_success().json()["bundles"][0]["name"].clone();
    let name = name.as_str().unwrap();
    let date = name.strip_prefix("plant.1.").unwrap();
    assert!(date.len() == 8 && date.starts_with("20"), "{name}");
    let again = plant.export(&format!("{STATE} {line}"));
    assert_eq!(
        again.assert_success().json()["bundles"][0]["unchanged"],
        true
    );
    plant
        .export(&format!("--name {template}"))
        .assert_code(2)
        .assert_stderr("--pipeline NAME");
    plant
        .export("--name {day}")
        .assert_code(2)
        .assert_stderr("{date}");
}

#[tokio::test]
async fn an_unchanged_export_takes_no_number_and_is_a_run() {
    let plant = Plant::new();
    let first = plant.next(STATE);
    let again = plant.next(STATE);
    assert_eq!(again["unchanged"], true);
    assert_eq!(
        (&again["name"], &again["sequence"]),
        (&first["name"], &first["sequence"])
    );
    let dry = plant.next("--state state --dry-run");
    assert_eq!(dry["name"], first["name"]);
    std::fs::remove_dir_all(plant.desk.path("usb")).unwrap();
    assert_eq!(plant.next("--state state --dry-run")["sequence"], 2);
    assert_eq!(plant.next(STATE)["sequence"], 2, "the object is gone");
    let runs = plant.ledger().await.list_runs(9).await.unwrap();
    assert_eq!(runs.len(), 3);
    let run = &runs[1];
    assert_eq!(
        (run.start.kind, run.outcome.status),
        (RunKind::Export, RunStatus::Done)
    );
    assert_eq!(
        (run.outcome.artifacts.total, run.outcome.artifacts.unchanged),
        (1, 1)
    );
    let container = plant.desk.path("usb").display().to_string();
    assert_eq!(
        run.start.container,
        Some(container),
        "wherever it is looked at"
    );
    let digest = first["volumes"][0]["inventoryDigest"].as_str().unwrap();
    assert_eq!(run.start.inventory, Some(digest.parse().unwrap()));
    assert_eq!(
        (runs[2].start.sequence, runs[2].outcome.moved_bytes > 0),
        (Some(1), true)
    );
}

#[tokio::test]
async fn failures_and_one_off_exports_are_runs_too() {
    let plant = Plant::new();
    plant.export_of(&["gone"], STATE).assert_code(1);
    plant.export(STATE).assert_success();
    plant
        .export_of(
            &["web", "gone"],
            "--state state --continue-on-errors --name part",
        )
        .assert_code(3);
    let runs = plant.ledger().await.list_runs(9).await.unwrap();
    let statuses: Vec<_> = runs.iter().map(|run| run.outcome.status).collect();
    assert_eq!(
        statuses,
        [RunStatus::PartlyFailed, RunStatus::Done, RunStatus::Failed]
    );
    assert!(runs[2].outcome.reason.is_some());
    assert_eq!(runs[1].start.pipeline, None);
}

#[test]
fn several_bundles_take_consecutive_numbers() {
    let plant = Plant::new();
    plant.move_tag("db", "data");
    let more = "--pipeline plant --state state --max-artifacts 1";
    let export = || {
        let document = plant
            .export_of(&["web", "db"], more)
            .assert_success()
            .json();
        let bundles = document["bundles"].as_array().unwrap().clone();
        let told = |bundle: &Value| {
            (
                bundle["sequence"].as_u64().unwrap(),
                bundle["unchanged"] == true,
            )
        };
        bundles.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(export(), [(1, false), (2, false)]);
    assert_eq!(export(), [(1, true), (2, true)]);
    plant.move_tag("db", "other");
    assert_eq!(export(), [(3, false), (4, false)]);
    plant.import().assert_success();
}

#[test]
fn the_container_is_remembered_where_there_is_no_ledger() {
    let plant = Plant::new();
    plant
        .export("--pipeline plant")
        .assert_code(1)
        .assert_stderr("nothing is known of it")
        .assert_stderr("hint: give `--state DIR`");
    let first = plant.next("--sequence 1");
    assert_eq!(plant.next("")["unchanged"], true);
    plant.move_tag("web", "two");
    let second = plant.next("");
    assert_eq!(second["sequence"], 2);
    plant.move_tag("web", "three");
    let third = plant.next(STATE);
    assert_eq!(
        third["sequence"], 3,
        "a new ledger goes on where the container ends"
    );
    let ids = [&first, &second, &third].map(|bundle| plant.inspect(bundle)["pipeline"].clone());
    assert!(ids[0] == ids[1] && ids[1] == ids[2]);
    plant.import().assert_success();
    // What others have signed does not count.
    let other = plant.registry.address();
    plant
        .desk
        .run(&format!(
            "export {other}/apps/web:1.4 --container usb --sign-key other.key --pipeline plant"
        ))
        .assert_code(1)
        .assert_stderr("nothing is known of it");
}

#[tokio::test]
async fn lost_state_goes_on_above_what_is_known() {
    let plant = Plant::new();
    plant.next(STATE);
    plant.move_tag("web", "two");
    plant
        .export("--pipeline plant --sequence 1 --state state")
        .assert_code(1)
        .assert_stderr("the sequence 1 is not above 1");
    let refused = plant.ledger().await.list_runs(1).await.unwrap().remove(0);
    assert_eq!(refused.outcome.status, RunStatus::Failed);
    assert_eq!(plant.next("--sequence 7 --state state")["sequence"], 7);
    assert_eq!(plant.next("--sequence 7 --state state")["unchanged"], true);
    assert_eq!(plant.next("--sequence 9 --state other")["sequence"], 9);
    plant
        .import()
        .assert_success()
        .assert_stderr("never arrived: 2 to 6, 8");
    plant.export("--sequence 3").assert_code(2);
    plant
        .export("--pipeline Plant --sequence 3")
        .assert_code(2)
        .assert_stderr("cannot be a pipeline's name");
}

/// Killed after the reservation: before publication the number is a gap, after it the bundle is found.
#[tokio::test]
async fn a_reserved_number_is_never_given_to_another_inventory() {
    let plant = Plant::new();
    let first = plant.next(STATE);
    let ledger = plant.ledger().await;
    let known = ledger.find_pipeline("plant").await.unwrap().unwrap();
    let run = ledger.list_runs(1).await.unwrap()[0].id.clone();
    let lost = Digest::sha256(b"never seen");
    let reserve = async |ledger: &Ledger, bundle: &ExportedBundle| {
        let position = ExportPosition {
            pipeline: known.id.clone(),
            name: "plant".to_owned(),
            sequence: bundle.sequence,
            previous: None,
        };
        let now = Timestamp::now();
        ledger
            .reserve_sequence(&position, (bundle, &Payload::default()), &run, now)
            .await
            .unwrap();
    };
    let newest = known.newest.clone().unwrap();
    assert!(newest.is_published);
    let bundle = ExportedBundle {
        sequence: 2,
        inventory: lost.clone(),
        bundle: "web-2".to_owned(),
        is_published: false,
        ..newest.clone()
    };
    reserve(&ledger, &bundle).await;
    let next = plant.next(STATE);
    assert_eq!(
        (&next["unchanged"], &next["sequence"]),
        (&json!(false), &json!(3))
    );

    // Another ledger that was about to hear of the first bundle's publication.
    std::fs::remove_file(
        plant
            .desk
            .path("usb")
            .join(format!("{}.tar.zst", next["name"].as_str().unwrap())),
    )
    .unwrap();
    let other = Ledger::open(&plant.desk.path("other")).await.unwrap();
    reserve(
        &other,
        &ExportedBundle {
            is_published: false,
            ..newest
        },
    )
    .await;
    let found = plant.next("--state other");
    assert_eq!(
        (&found["unchanged"], &found["name"]),
        (&json!(true), &first["name"])
    );
    let known = other.find_pipeline("plant").await.unwrap().unwrap();
    assert!(known.newest.unwrap().is_published);
}

impl Plant {
    /// As an export into the directory leaves it that is killed before it has renamed these volumes; the ledger that
    /// knows of it is another one.
    async fn leave(&self, document: &Value, volumes: Range<usize>, may_replace: bool) {
        for volume in &document["volumes"].as_array().unwrap()[volumes] {
            let path = self.desk.path(volume["path"].as_str().unwrap());
            let partial = format!("{}.partial", path.display());
            std::fs::rename(path, partial).unwrap();
        }
        let known = self.ledger().await.find_pipeline("plant").await.unwrap();
        let known = known.unwrap();
        let run = self.ledger().await.list_runs(1).await.unwrap()[0]
            .id
            .clone();
        let bundle = known.newest.unwrap();
        let position = ExportPosition {
            pipeline: known.id,
            name: "plant".to_owned(),
            sequence: bundle.sequence,
            previous: None,
        };
        let bundle = ExportedBundle {
            is_published: false,
            may_replace,
            ..bundle
        };
        let other = Ledger::open(&self.desk.path("other")).await.unwrap();
        let now = Timestamp::now();
        other
            .reserve_sequence(&position, (&bundle, &Payload::default()), &run, now)
            .await
            .unwrap();
    }
}

const SEVERAL: &str = "--volume-size 68KiB";

/// The export that was ended decides, and not the one that finishes.
#[tokio::test]
async fn what_was_left_replaces_only_what_its_export_would_have() {
    for may_replace in [false, true] {
        let plant = Plant::new();
        plant.move_tag("web", &"layer".repeat(40_000));
        let first = plant.next(&format!("{SEVERAL} {STATE}"));
        let volumes = first["volumes"].as_array().unwrap();
        plant.leave(&first, 1..volumes.len(), may_replace).await;
        let last = volumes.last().unwrap()["path"].as_str().unwrap();
        let last = plant.desk.path(last);
        std::fs::write(&last, "somebody else's").unwrap();
        let next = plant.next(&format!("{SEVERAL} --state other"));
        assert_eq!(next["unchanged"], may_replace);
        let is_kept = std::fs::read(&last).unwrap() == b"somebody else's";
        assert_eq!(is_kept, !may_replace);
        assert_eq!(next["sequence"], if may_replace { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_sealed_bundle_in_a_directory_becomes_visible_under_its_number() {
    let plant = Plant::new();
    plant.move_tag("web", &"layer".repeat(40_000));
    let first = plant.next(&format!("{SEVERAL} {STATE}"));
    let volumes = first["volumes"].as_array().unwrap().len();
    assert!(volumes > 1);
    plant.leave(&first, 0..volumes, false).await;
    let next = plant.next(&format!("{SEVERAL} --state other"));
    assert_eq!(next["volumes"], first["volumes"]);
    let other = Ledger::open(&plant.desk.path("other")).await.unwrap();
    let known = other.find_pipeline("plant").await.unwrap().unwrap();
    assert!(known.newest.unwrap().is_published);
}

#[tokio::test]
async fn an_export_that_waits_for_another_says_so() {
    let plant = Plant::new();
    let hold = plant.ledger().await.hold_pipeline("plant").await.unwrap();
    let address = plant.registry.address();
    let line = format!(
        "export {address}/apps/web:1.4 --container usb --sign-key ops.key --pipeline plant {STATE}"
    );
    let running = plant.desk.command(&line).spawn();
    let told = "another run with this state directory is exporting the pipeline `plant`, waiting";
    wait::until("it says so", || running.stderr().contains(told));
    drop(hold);
    running.output().assert_success();
}
