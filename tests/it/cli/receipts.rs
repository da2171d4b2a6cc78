//! The closed loop: what a far side answers, and what the sender makes of it.

use std::fs;
use std::path::PathBuf;

use airlift::content::Memory;
use serde_json::{Value, json};

use super::Desk;
use super::json::assert_documented;
use crate::support::artifacts::image;
use crate::support::command::Output;
use crate::support::registry::Registry;

/// A sender and a far side; `north.key` answers for the lane `north`.
struct Loop {
    desk: Desk,
    registry: Registry,
    memory: Memory,
}

impl Loop {
    fn new() -> Self {
        let closed = Self {
            desk: Desk::new(),
            registry: Registry::start(),
            memory: Memory::new(),
        };
        closed.move_tag("web", "one");
        closed.move_tag("db", "one");
        for key in ["north.key", "south.key"] {
            let line = format!("key generate --out {key}");
            closed.desk.run(&line).assert_success();
        }
        closed
    }

    fn move_tag(&self, name: &str, content: &str) {
        let repository = format!("apps/{name}").parse().unwrap();
        let layer = format!("{name} {content}");
        let document = image(&self.memory, &repository, "amd64", &[layer.as_bytes()]);
        let tag = "1.4".parse().unwrap();
        self.memory.put_manifest(&repository, document, Some(&tag));
        self.registry.seed(&self.memory);
    }

    fn export(&self) {
        let address = self.registry.address();
        let references = format!("{address}/apps/web:1.4 {address}/apps/db:1.4");
        let line = format!(
            "export {references} --container usb --sign-key ops.key --pipeline plant --audience north --state state"
        );
        self.desk.run(&line).assert_success();
    }

    fn import(&self, more: &str) -> Output {
        let far = "--target oci:far --trust ops.key.pub --state far-state --lane north";
        self.desk.run(&format!("import usb {far} {more}"))
    }

    fn answer(&self) {
        self.import("--receipt-key north.key").assert_success();
    }

    /// Receipts that the far side has written, oldest first.
    fn receipts(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(self.desk.path("far-state/receipts")) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = files.map(|it| it.unwrap().path()).collect();
        files.sort();
        files
    }

    fn bring(&self, place: &str) -> Output {
        let trust = "--trust north=north.key.pub --trust south=south.key.pub";
        self.desk.run(&format!(
            "receipts import {place} {trust} --state state --output json"
        ))
    }

    fn results(&self, place: &str) -> Vec<String> {
        let document = self.bring(place).json();
        let receipts = document["receipts"].as_array().unwrap().iter();
        let word = |it: &Value| it["result"].as_str().unwrap().to_owned();
        receipts.map(word).collect()
    }

    fn lane(&self) -> Value {
        let line = "lanes --state state --output json";
        self.desk.run(line).assert_success().json()["lanes"][0].clone()
    }
}

#[test]
fn what_was_delivered_comes_home() {
    let closed = Loop::new();
    closed.export();
    closed.move_tag("web", "two");
    closed.export();
    assert_eq!(closed.lane()["missing"], json!(["1-2"]));
    closed.answer();
    assert_eq!(closed.receipts().len(), 2);
    let brought = closed.bring("far-state/receipts").assert_success().json();
    for receipt in brought["receipts"].as_array().unwrap() {
        assert_eq!(
            (&receipt["result"], &receipt["gap"]),
            (&json!("new"), &json!(false))
        );
        assert_eq!(receipt["confirmed"], 6, "two manifests, configs and layers");
    }
    let lane = closed.lane();
    assert_eq!((&lane["sent"], &lane["confirmed"]), (&json!(2), &json!(2)));
    assert_eq!(
        (&lane["missing"], &lane["basis"]),
        (&json!([]), &json!("receipt"))
    );
    assert_eq!(
        closed.results("far-state/receipts"),
        ["repeated", "repeated"]
    );
    let audit = closed.desk.run("audit export --state state");
    let told = audit
        .assert_success()
        .stdout
        .matches("\"confirmed\"")
        .count();
    assert_eq!(told, 2);
    // What was delivered before is not answered again.
    closed.answer();
    assert_eq!(closed.receipts().len(), 2);
}

#[test]
fn a_part_is_answered_as_a_part() {
    let closed = Loop::new();
    closed.export();
    closed
        .import("--receipt-key north.key --repositories apps/web --rename apps/=there/")
        .assert_success();
    let receipt = closed.receipts().remove(0);
    let text = fs::read_to_string(&receipt).unwrap();
    assert!(
        !text.contains("there") && !text.contains("apps/db"),
        "{text}"
    );
    let brought = closed.bring("far-state/receipts").assert_success().json();
    assert_eq!(brought["receipts"][0]["confirmed"], 3);
    assert_eq!(closed.lane()["missing"], json!(["1"]));
    // The rest of it comes later, and is answered later.
    closed
        .import("--receipt-key north.key --replays deliver --rename apps/=there/")
        .assert_success();
    closed.bring("far-state/receipts").assert_success();
    assert_eq!(closed.lane()["missing"], json!([]));
}

#[test]
fn receipts_that_are_not_genuine_are_refused() {
    let closed = Loop::new();
    closed.export();
    closed.answer();
    let receipt = closed.receipts().remove(0);
    let good = fs::read_to_string(&receipt).unwrap();
    let write = |name: &str, text: &str| fs::write(closed.desk.path(name), text).unwrap();
    write(
        "tampered.receipt",
        &good.replace("\"sequence\":1", "\"sequence\":2"),
    );
    write("cut.receipt", good.lines().next().unwrap());
    for place in ["tampered.receipt", "cut.receipt"] {
        let refused = closed.bring(place);
        refused.assert_code(4);
        assert_eq!(refused.json()["receipts"][0]["result"], "refused");
    }
    // Signed by somebody who may not answer for the lane.
    for key in ["ops.key", "south.key"] {
        let state = key.replace(".key", "-state");
        let line = format!("import usb --target oci:far --trust ops.key.pub --state {state}");
        let line = format!("{line} --lane north --receipt-key {key}");
        closed.desk.run(&line).assert_success();
        closed.bring(&format!("{state}/receipts")).assert_code(4);
    }
    assert_eq!(closed.lane()["confirmed"], Value::Null);
    closed.bring(receipt.to_str().unwrap()).assert_success();
    let show = format!(
        "receipts show {} --trust south=north.key.pub",
        receipt.display()
    );
    closed
        .desk
        .run(&show)
        .assert_code(4)
        .assert_stderr("may not answer for the lane `north`");
}

#[test]
fn an_old_receipt_that_is_brought_again_changes_nothing() {
    let closed = Loop::new();
    closed.export();
    closed.answer();
    let first = closed.receipts().remove(0);
    let kept = closed.desk.path("old.receipt");
    fs::rename(&first, &kept).unwrap();
    closed.move_tag("web", "two");
    closed.export();
    closed.answer();
    assert_eq!(closed.receipts().len(), 1);
    let brought = closed.bring("far-state/receipts").assert_success().json();
    assert_eq!(brought["receipts"][0]["gap"], true);
    assert_eq!(closed.results("old.receipt"), ["older"]);
    assert_eq!(closed.lane()["missing"], json!(["1"]));
}

/// A run that could not write it, or was killed before, owes it.
#[test]
fn a_receipt_that_could_not_be_written_is_made_up_for() {
    let closed = Loop::new();
    closed.export();
    fs::create_dir(closed.desk.path("far-state")).unwrap();
    let place = closed.desk.path("far-state/receipts");
    fs::write(&place, "in the way").unwrap();
    closed
        .import("--receipt-key north.key")
        .assert_success()
        .assert_stderr("is not sent yet");
    fs::remove_file(&place).unwrap();
    closed.answer();
    assert_eq!(closed.results("far-state/receipts"), ["new"]);
}

#[test]
fn a_watch_answers_into_a_container_too() {
    let closed = Loop::new();
    closed.export();
    let line =
        "watch usb --once --target oci:far --trust ops.key.pub --state far-state --lane north";
    closed
        .desk
        .run(&format!(
            "{line} --receipt-key north.key --receipts replies"
        ))
        .assert_success();
    assert_eq!(closed.receipts().len(), 1);
    assert_eq!(closed.results("replies"), ["new"]);
    for (more, told) in [
        ("--receipts replies", "--receipt-key"),
        (
            "--receipt-key north.key --lane Nord",
            "cannot be the lane of a receipt",
        ),
    ] {
        let line = line.replace(" --lane north", "");
        let line = format!("{line} {more}");
        closed.desk.run(&line).assert_code(2).assert_stderr(told);
    }
    let off = closed.import("--receipt-key north.key --receipts off --replays deliver");
    off.assert_success();
    assert_eq!(closed.receipts().len(), 1);
}

#[test]
fn a_person_carries_a_code() {
    let closed = Loop::new();
    closed.export();
    closed.import("").assert_success();
    let line = "receipts code --pipeline plant --state far-state --output json";
    let coded = closed.desk.run(line).assert_success().json();
    assert_documented("receipts code", std::slice::from_ref(&coded));
    let code = coded["codes"][0]["code"].as_str().unwrap().to_owned();
    let confirm = |code: &str, lane: &str| {
        closed.desk.run(&format!(
            "receipts confirm {code} --pipeline plant --lane {lane} --state state --output json"
        ))
    };
    let wrong = match code.strip_prefix('Z') {
        Some(rest) => format!("Y{rest}"),
        None => format!("Z{}", &code[1..]),
    };
    confirm(&wrong, "north")
        .assert_code(2)
        .assert_stderr("mistyped");
    confirm(&code, "south").assert_code(4);
    let confirmed = confirm(&code.to_lowercase().replace('-', ""), "north");
    let confirmed = confirmed.assert_success().json();
    assert_eq!(
        (&confirmed["result"], &confirmed["confirmed"]),
        (&json!("new"), &json!(6))
    );
    assert_documented("receipts confirm", &[confirmed]);
    assert_eq!(confirm(&code, "north").json()["result"], "repeated");
    let lane = closed.lane();
    assert_eq!(
        (&lane["confirmed"], &lane["basis"]),
        (&json!(1), &json!("code"))
    );
}

#[test]
fn a_registry_that_was_filled_otherwise_is_told_of() {
    let closed = Loop::new();
    closed.export();
    closed
        .desk
        .run("import usb --target oci:far --trust ops.key.pub --lane north")
        .assert_success();
    let of = "receipts make oci:far --lane north --pipeline plant --receipt-key north.key";
    let line = format!("{of} --receipts made --output json");
    let made = closed.desk.run(&line).assert_success().json();
    assert_eq!(
        (&made["repositories"], &made["contents"]),
        (&json!(2), &json!(6))
    );
    let brought = closed.bring("made").assert_success().json();
    assert_eq!(brought["receipts"][0]["confirmed"], 6);
    assert_eq!(closed.lane()["basis"], "made");
}

#[test]
fn receipts_and_lanes_print_what_is_documented() {
    let closed = Loop::new();
    closed.export();
    let part = "--receipt-key north.key --repositories apps/web";
    closed.import(part).assert_success();
    let show = "receipts show far-state/receipts --output json";
    let shown = closed.desk.run(show).assert_success().json();
    assert_documented("receipts show", &[shown]);
    let brought = closed.bring("far-state/receipts").json();
    assert_documented("receipts import", &[brought]);
    let lanes = closed.desk.run("lanes --state state --output json");
    assert_documented("lanes", &[lanes.json()]);
    let address = closed.registry.address();
    let line = format!(
        "receipts make {address} --repository apps/web --repository apps/none --lane north --pipeline plant \
         --receipt-key north.key --receipts made --output json"
    );
    let made = closed.desk.run(&line).assert_code(3).json();
    assert_documented("receipts make", &[made]);
}
