//! What a person is told on the way of a repair, by the commands themselves.

use std::fs;
use std::path::PathBuf;

use airlift::content::Memory;
use tempfile::TempDir;

use super::bases::{base, layer, repository};
use crate::bundle::road::names_in;
use crate::support::artifacts::image;
use crate::support::command::{Airlift, Output};
use crate::support::registry::Registry;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

struct Desk {
    home: TempDir,
    source: Registry,
    target: Registry,
}

impl Desk {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            source: Registry::start(),
            target: Registry::start(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn move_tag(&self, version: u64) {
        let memory = Memory::new();
        let document = image(&memory, &repository(), "amd64", &[&layer(version)]);
        memory.put_manifest(&repository(), document, Some(&"1.4".parse().unwrap()));
        self.source.seed(&memory);
    }

    fn run(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        Airlift::new(&words).directory(self.home.path()).run()
    }

    fn export(&self, more: &str) -> Output {
        let address = self.source.address();
        let lane = "--pipeline plant --audience north --state near";
        let key = format!("{ROOT}/fixtures/keys/snakeoil-p256");
        self.run(&format!(
            "export {address}/apps/web:1.4 --container usb --sign-key {key} {lane} {more}"
        ))
    }

    fn import(&self, bundle: &str, more: &str) -> Output {
        let (target, key) = (self.target.address(), "fixtures/keys/snakeoil-p256");
        self.run(&format!(
            "import {bundle} --target {target} --trust {ROOT}/{key}.pub --lane north --state far {more}"
        ))
    }

    /// The bundle with this sequence.
    fn bundle(&self, sequence: u64) -> String {
        let names = names_in(&self.path("usb"));
        let part = format!("-{sequence}-");
        let name = names.into_iter().find(|name| name.contains(&part));
        format!("usb/{}", name.expect("it was exported"))
    }
}

#[test]
fn a_person_is_told_what_is_missing_and_what_brings_it() {
    let desk = Desk::new();
    desk.move_tag(0);
    desk.export("--delta --assume-delivered").assert_success();
    desk.import(&desk.bundle(1), "").assert_success();
    desk.move_tag(1);
    desk.export("--delta --assume-delivered").assert_success();
    desk.target.forget(&repository(), &base());
    let refused = desk.import(&desk.bundle(2), "");
    assert_ne!(refused.code, Some(0));
    refused
        .assert_stderr(&base().to_string())
        .assert_stderr("which sequence 1 brought")
        .assert_stderr("--repair");
    let lists = names_in(&desk.path("far/missing"));
    refused.assert_stderr(&lists[0]);
    // Carried home, and asked for.
    fs::rename(
        desk.path("far/missing").join(&lists[0]),
        desk.path(&lists[0]),
    )
    .unwrap();
    desk.export(&format!("--repair {}", lists[0]))
        .assert_success();
    desk.import(&desk.bundle(3), "").assert_success();
    desk.import(&desk.bundle(2), "").assert_success();
    assert_eq!(desk.target.missing_content(), [""; 0]);
    assert_eq!(desk.target.snapshot().0, desk.source.snapshot().0);
}

/// Lanes that have their history in common have lists of their own.
#[test]
fn a_list_stays_until_its_own_lane_has_what_it_names() {
    let desk = Desk::new();
    let both = "--audience south --delta --assume-delivered";
    let north = |sequence| desk.import(&desk.bundle(sequence), "");
    let second = Registry::start();
    let (address, key) = (second.address(), "fixtures/keys/snakeoil-p256.pub");
    let south = |sequence| {
        let bundle = desk.bundle(sequence);
        let line = format!("import {bundle} --target {address} --trust {ROOT}/{key}");
        desk.run(&format!("{line} --lane south --state far"))
    };
    desk.move_tag(0);
    desk.export(both).assert_success();
    north(1).assert_success();
    south(1).assert_success();
    desk.move_tag(1);
    desk.export(both).assert_success();
    desk.target.forget(&repository(), &base());
    assert_ne!(north(2).code, Some(0));
    let lists = || names_in(&desk.path("far/missing"));
    assert_eq!(lists().len(), 1);
    south(2).assert_success();
    assert_eq!(lists().len(), 1);
}

/// Without a ledger nobody knows what the lane has filled, and no list is written.
#[test]
fn a_person_without_a_ledger_is_told_what_to_say() {
    let desk = Desk::new();
    desk.move_tag(0);
    desk.export("--delta --assume-delivered").assert_success();
    desk.import(&desk.bundle(1), "").assert_success();
    desk.move_tag(1);
    desk.export("--delta --assume-delivered").assert_success();
    let (target, key) = (desk.target.address(), "fixtures/keys/snakeoil-p256.pub");
    let line = format!(
        "import {} --target {target} --trust {ROOT}/{key} --lane north",
        desk.bundle(2)
    );
    let refused = desk.run(&line);
    assert_ne!(refused.code, Some(0));
    refused.assert_stderr("--assumed-repositories");
    desk.run(&format!("{line} --assumed-repositories apps/*"))
        .assert_success();
}

/// A watch goes on: the delta waits, and comes in when what it misses has come.
#[test]
fn a_watch_waits_for_a_repair() {
    let desk = Desk::new();
    desk.move_tag(0);
    desk.export("--delta --assume-delivered").assert_success();
    desk.import(&desk.bundle(1), "").assert_success();
    desk.move_tag(1);
    desk.export("--delta --assume-delivered").assert_success();
    desk.target.forget(&repository(), &base());
    let (target, key) = (desk.target.address(), "fixtures/keys/snakeoil-p256.pub");
    let watch =
        format!("watch usb --once --target {target} --trust {ROOT}/{key} --lane north --state far");
    let waited = desk.run(&watch);
    waited.assert_stdout(&format!(
        "will be tried again: the target lacks a content that the bundle does not carry: `{}`",
        base()
    ));
    let list = names_in(&desk.path("far/missing")).remove(0);
    desk.export(&format!("--repair far/missing/{list}"))
        .assert_success();
    for _ in 0..2 {
        desk.run(&watch);
    }
    assert_eq!(desk.target.snapshot().0, desk.source.snapshot().0);
}
