//! What is told of bundles that do not carry all that their artifacts need.

use std::io::Write;

use airlift::content::Memory;
use airlift::oci::{Digest, Repository};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::Desk;
use crate::support::artifacts::{Dice, edit, image, tar_of};
use crate::support::command::Airlift;
use crate::support::registry::Registry;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two versions of an image: a layer that stays, and one of which little has changed.
struct Versions {
    base: Vec<u8>,
    old: Vec<u8>,
    new: Vec<u8>,
}

const BASE_BYTES: usize = 50_000;
const OLD_BYTES: usize = 200_000;
const NEW_BYTES: usize = 200_700;

impl Versions {
    fn make() -> Self {
        let mut dice = Dice::new(20);
        let old = dice.noise(OLD_BYTES);
        let mut new = old.clone();
        new.splice(90_000..90_000, dice.noise(NEW_BYTES - OLD_BYTES));
        Self {
            base: gzip(&dice.noise(BASE_BYTES)),
            old: gzip(&old),
            new: gzip(&new),
        }
    }

    fn serve(&self) -> Registry {
        let memory = Memory::new();
        let repository: Repository = "apps/web".parse().unwrap();
        for (tag, layer) in [("1", &self.old), ("2", &self.new)] {
            let document = image(&memory, &repository, "amd64", &[&self.base, layer]);
            memory.put_manifest(&repository, document, Some(&tag.parse().unwrap()));
        }
        let registry = Registry::start();
        registry.seed(&memory);
        registry
    }
}

/// An image of two layers that have nearly everything in common.
fn serve_alike() -> Registry {
    let memory = Memory::new();
    let repository: Repository = "apps/web".parse().unwrap();
    // Only a layer that is described itself is one that others are described by.
    let mut dice = Dice::new(21);
    let old = tar_of(&mut dice, 40, 20_000);
    let mut new = old.clone();
    edit(&mut dice, &mut new);
    let layers = [gzip(&old), gzip(&new)];
    let document = image(&memory, &repository, "amd64", &[&layers[0], &layers[1]]);
    memory.put_manifest(&repository, document, Some(&"both".parse().unwrap()));
    let registry = Registry::start();
    registry.seed(&memory);
    registry
}

const PIPELINE: &str = "--sign-key ops.key --pipeline nightly --audience north --state state";

/// With the second version as a delta in `usb`, and the first one in `first`.
pub(super) fn desk_with_delta() -> Desk {
    desk_and_source().0
}

fn desk_and_source() -> (Desk, Registry) {
    let desk = Desk::new();
    let source = Versions::make().serve();
    let web = format!("export {}/apps/web", source.address());
    desk.run(&format!("{web}:1 --container first {PIPELINE}"))
        .assert_success();
    let delta = "--delta --assume-delivered --spool spool";
    desk.run(&format!("{web}:2 --container usb {PIPELINE} {delta}"))
        .assert_success();
    (desk, source)
}

/// A registry that no bundle of the pipeline has filled says what it has, without sizes.
#[test]
fn a_delta_is_made_against_a_registry_that_was_filled_otherwise() {
    let desk = Desk::new();
    desk.run("key generate --out north.key").assert_success();
    let source = Versions::make().serve();
    let web = format!("export {}/apps/web", source.address());
    desk.run(&format!("{web}:1 --container other --sign-key ops.key"))
        .assert_success();
    let to = "--target oci:far --trust ops.key.pub";
    desk.run(&format!("import other {to}")).assert_success();
    desk.run(&format!("{web}:1 --container first {PIPELINE}"))
        .assert_success();
    let made = "receipts make oci:far --lane north --pipeline nightly --receipt-key north.key";
    desk.run(&format!("{made} --receipts made"))
        .assert_success();
    desk.run("receipts import made --trust north=north.key.pub --state state")
        .assert_success();

    let delta = format!("{web}:2 --container usb {PIPELINE} --delta --spool spool");
    desk.run(&delta).assert_success();
    let told = desk.run("inspect usb --trust ops.key.pub --output json");
    let bundle = &told.json()["bundles"][0];
    let carried = bundle["contentBytes"].as_u64().unwrap();
    assert!(carried < 10_000, "{carried}");
    let old = Digest::sha256(&Versions::make().old);
    assert_eq!(bundle["rebuilt"][0]["references"], json!([old]));
    let there = "--lane north --assumed-repositories ** --spool spool";
    desk.run(&format!("import usb {to} {there}"))
        .assert_success();
}

#[test]
fn a_delta_tells_what_it_assumes_and_makes_again_and_the_room_that_it_takes() {
    let desk = desk_with_delta();
    let versions = Versions::make();
    let [base, old, new] =
        [&versions.base, &versions.old, &versions.new].map(|it| Digest::sha256(it));
    let told = desk.run("inspect usb --trust ops.key.pub");
    told.assert_success()
        .assert_stdout("profile    dense")
        .assert_stdout("assumed    3 contents at the target, ")
        .assert_stdout(": 3 of sequence 1\n")
        .assert_stdout("rebuilt    1 content, 200.8 kB, from ")
        .assert_stdout(&format!("{} at the target\n", old.short()))
        .assert_stdout("spool      400.7 kB of room at an importer\n");
    let told = desk
        .run("inspect usb --trust ops.key.pub --output json")
        .json();
    let bundle = &told["bundles"][0];
    assert_eq!(bundle["spoolBytes"], json!(OLD_BYTES + NEW_BYTES));
    assert_eq!(bundle["rebuilt"][0]["digest"], json!(new));
    assert_eq!(bundle["rebuilt"][0]["references"], json!([old]));
    let assumed = bundle["assumed"].as_array().unwrap();
    let found = |digest: &Digest| {
        assumed
            .iter()
            .find(|it| it["digest"] == json!(digest))
            .unwrap()
    };
    assert_eq!(found(&old)["plainBytes"], json!(OLD_BYTES));
    assert_eq!(found(&base)["plainBytes"], json!(null));
    assert_eq!(found(&base)["repositories"], json!(["apps/web"]));

    // All of it is what a bundle has that carries everything.
    let first = desk
        .run("inspect first --trust ops.key.pub --output json")
        .json();
    let first = &first["bundles"][0];
    assert_eq!(first["neededBytes"], first["contentBytes"]);
    let grown = versions.new.len() - versions.old.len();
    let needed = first["neededBytes"].as_u64().unwrap() + u64::try_from(grown).unwrap();
    assert_eq!(bundle["neededBytes"], json!(needed));
    let carried = bundle["contentBytes"].as_u64().unwrap();
    assert!(carried < 10_000, "{carried}");
}

#[test]
fn the_room_of_the_spool_is_told_before_anything_is_moved() {
    let desk = desk_with_delta();
    let to = "--target oci:far --trust ops.key.pub --lane north";
    desk.run(&format!("import first {to}")).assert_success();
    let line = format!("import usb {to} --assumed-repositories ** --dry-run");
    desk.run(&line)
        .assert_success()
        .assert_stdout("400.7 kB of room in the spool (400700 bytes)");
    let told = desk.run(&format!("{line} --output json")).json();
    assert_eq!(
        told["bundles"][0]["spoolBytes"],
        json!(OLD_BYTES + NEW_BYTES)
    );
}

/// An image of which one layer is made from another one takes fewer volumes than its plan.
#[test]
fn an_equal_thin_bundle_is_found_again_whatever_its_volumes() {
    let desk = Desk::new();
    let registry = serve_alike();
    let address = registry.address();
    let thin = "--profile dense --spool spool --volume-size 400000 --sign-key ops.key";
    for (container, more) in [("usb", "--pipeline nightly --state state"), ("alone", "")] {
        let line = format!("export {address}/apps/web:both --container {container} {thin} {more}");
        let made = desk.run(&format!("{line} --output json")).json();
        let made = &made["bundles"][0];
        assert_eq!(made["rebuilt"], json!(2), "{made}");
        assert_eq!(made["volumes"].as_array().unwrap().len(), 1, "{made}");
        let told = desk.run(&format!("{line} --output json")).json();
        let again = &told["bundles"][0];
        assert_eq!(again["unchanged"], json!(true), "{again}");
        assert_eq!(again["name"], made["name"]);
        assert_eq!(again["sequence"], made["sequence"]);
        let told = desk.run(&format!("{line} --dry-run --output json")).json();
        assert_eq!(told["bundles"][0]["sequence"], made["sequence"], "{told}");
    }
}

#[test]
fn a_repair_beside_the_bundle_that_it_completes_is_delivered_before_it() {
    let (desk, source) = desk_and_source();
    let target = Registry::start();
    let to = format!(
        "--target {}/mirror --trust ops.key.pub --lane north --state far-state",
        target.address()
    );
    desk.run(&format!("import first {to}")).assert_success();
    let old = Digest::sha256(&Versions::make().old);
    target.forget(&"mirror/apps/web".parse().unwrap(), &old);
    let told = desk.run(&format!("import usb {to}"));
    told.assert_code(1).assert_stderr("--repair");
    let [missing] = &desk.names("far-state/missing")[..] else {
        panic!("one list of what is missing");
    };
    let line = format!(
        "export {}/apps/web --container usb {PIPELINE} --repair far-state/missing/{missing}",
        source.address()
    );
    desk.run(&line).assert_success();
    desk.run("inspect usb --trust ops.key.pub")
        .assert_stdout("repairs    sequence 2, of which lane `north` lacks contents");
    desk.run(&format!("import usb {to} --check"))
        .assert_success();
    let both = ["apps/web", "mirror/apps/web"].map(|name| name.parse().unwrap());
    let tag = "2".parse().unwrap();
    assert_eq!(source.tag(&both[0], &tag), target.tag(&both[1], &tag));
}

/// What the far side lacks is told by a dry run too, whether there is a target yet or not.
#[test]
fn a_dry_run_finds_what_the_import_would_miss() {
    let desk = desk_with_delta();
    let to = "--trust ops.key.pub --lane north --assumed-repositories ** --dry-run";
    desk.run(&format!("import usb --target oci:nowhere {to}"))
        .assert_code(1)
        .assert_stderr("the target lacks 3 contents that the bundle does not carry");
    assert!(!desk.path("nowhere").exists());
    let target = Registry::start();
    desk.run(&format!(
        "import usb --target {}/far {to}",
        target.address()
    ))
    .assert_code(1)
    .assert_stderr("the target lacks 3 contents");
    // The first of two bundles brings what the second one counts on.
    let line = format!("import first usb --target {}/far {to}", target.address());
    desk.run(&line)
        .assert_success()
        .assert_stderr("as the target is now: ");
}

/// The limit on the size of files is a full disk that needs no mount; its signal is ignored on the way.
#[test]
fn a_full_spool_is_not_the_fault_of_the_bundle() {
    let desk = Desk::new();
    let source = serve_alike();
    let line = format!(
        "export {}/apps/web:both --container usb --profile dense --spool spool --sign-key ops.key",
        source.address()
    );
    desk.run(&line).assert_success();
    let target = Registry::start();
    let line = format!(
        "import usb --target {}/far --trust ops.key.pub --spool spool",
        target.address()
    );
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec {} {line}",
        env!("CARGO_BIN_EXE_airlift")
    );
    Airlift::binary("/bin/sh".as_ref(), &["-c", &script])
        .directory(desk.directory.path())
        .run()
        .assert_code(1)
        .assert_stderr("cannot use the spool directory `spool`")
        .assert_stderr("hint: make room and run the same command again");
    assert_eq!(desk.names("spool"), [""; 0]);
    desk.run(&line).assert_success();
}
