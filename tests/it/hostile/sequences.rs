//! `import --state`: bundles of a pipeline that come again, late, forked or with gaps.

use std::fs;

use airlift::bundle::Pipeline;
use tempfile::TempDir;

use super::attacks::KEY;
use super::forge::Forge;
use crate::bundle::road::public_key;
use crate::support::command::{Airlift, Output};

/// A desk with a trusted key, a state directory and a layout to deliver to.
struct Lane {
    home: TempDir,
}

impl Lane {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;

        let home = tempfile::tempdir().unwrap();
        let key = home.path().join("key.pub");
        fs::write(&key, public_key(KEY).to_pem().unwrap()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        Self { home }
    }

    fn import(&self, forge: Forge, more: &str) -> Output {
        let bundle = self.home.path().join("bundle.tar.zst");
        fs::write(bundle, forge.write(&[KEY])).unwrap();
        let line =
            format!("import bundle.tar.zst --target oci:far --trust key.pub --state state {more}");
        let words: Vec<&str> = line.split_whitespace().collect();
        Airlift::new(&words).directory(self.home.path()).run()
    }
}

fn sequence(sequence: u64) -> Forge {
    let mut forge = Forge::image();
    forge.inventory.pipeline = Some(Pipeline {
        name: "plant".to_owned(),
        id: "00112233445566778899aabbccddeeff".to_owned(),
    });
    forge.inventory.sequence = Some(sequence);
    forge
}

#[test]
fn a_replay_is_told_and_does_nothing() {
    let lane = Lane::new();
    lane.import(sequence(4), "").assert_success();
    fs::remove_dir_all(lane.home.path().join("far")).unwrap();
    lane.import(sequence(4), "")
        .assert_success()
        .assert_stderr("was delivered before, so nothing was to be done")
        .assert_stdout("unchanged");
}

#[test]
fn a_fork_is_refused() {
    let lane = Lane::new();
    lane.import(sequence(4), "").assert_success();
    let mut other = sequence(4);
    "other".clone_into(&mut other.inventory.name);
    lane.import(other, "")
        .assert_code(4)
        .assert_stderr("the pipeline `plant` is forked: the sequence 4 was accepted");
}

#[test]
fn a_late_bundle_leaves_newer_tags_alone() {
    let lane = Lane::new();
    lane.import(sequence(4), "").assert_success();
    lane.import(sequence(2), "")
        .assert_success()
        .assert_stderr("comes late: the sequence 4 of its pipeline was delivered before it")
        .assert_stderr("has sequences that never arrived: 3")
        .assert_stdout("kept: a newer bundle has set it, sequence 4");
}

#[test]
fn a_lost_state_goes_on_at_the_lowest_sequence_that_is_given() {
    let lane = Lane::new();
    lane.import(sequence(4), "--min-sequence 5")
        .assert_code(4)
        .assert_stderr("below the lowest accepted one, 5");
    lane.import(sequence(7), "--min-sequence 5")
        .assert_success();
    lane.import(sequence(9), "--min-sequence 5")
        .assert_success()
        .assert_stderr("never arrived: 8");
}

#[test]
fn a_damaged_state_is_named() {
    let lane = Lane::new();
    let state = lane.home.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("ledger.db"), "no database".repeat(100)).unwrap();
    lane.import(sequence(1), "")
        .assert_code(1)
        .assert_stderr("cannot open the ledger in the state directory `state`");
}
