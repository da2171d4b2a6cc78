//! What is told of bundles that do not carry all that their artifacts need.

use std::io::Write;

use airlift::content::Memory;
use airlift::oci::{Digest, Repository};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::Desk;
use crate::support::artifacts::{Dice, image};
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

/// With the second version as a delta in `usb`, and the first one in `first`.
pub(super) fn desk_with_delta() -> Desk {
    let desk = Desk::new();
    let registry = Versions::make().serve();
    let address = registry.address();
    let pipeline = "--sign-key ops.key --pipeline nightly --audience north --state state";
    desk.run(&format!(
        "export {address}/apps/web:1 --container first {pipeline}"
    ))
    .assert_success();
    let delta = "--delta --assume-delivered --spool spool";
    desk.run(&format!(
        "export {address}/apps/web:2 --container usb {pipeline} {delta}"
    ))
    .assert_success();
    desk
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
