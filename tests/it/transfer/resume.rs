//! Transfers that were interrupted go on: what has arrived does not travel again, and the source's bytes are
//! counted by a relay before it.

use std::fs;
use std::path::Path;

use airlift::history::{Ledger, Run, RunKind, RunStatus};
use tempfile::{TempDir, tempdir};

use super::{contents, runtime};
use crate::bundle::road::Export;
use crate::support::artifacts::{Root, image};
use crate::support::clouds::{Azurite, account_key};
use crate::support::command::{Airlift, Output};
use crate::support::relay::{Relay, Seen, Verdict};
use crate::support::wait;

const MIB: u64 = 1 << 20;

/// A directory with one bundle that is large enough to be interrupted.
pub(crate) fn large_stock() -> TempDir {
    stock_of(24 * MIB)
}

/// A directory with one bundle of about this size.
fn stock_of(bytes: u64) -> TempDir {
    let directory = tempdir().unwrap();
    let memory = std::sync::Arc::new(airlift::content::Memory::default());
    let repository: airlift::oci::Repository = "apps/web".parse().unwrap();
    let words = (0..bytes / 8).map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let layer: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    let document = image(&memory, &repository, "amd64", &[&layer]);
    let roots = [Root {
        repository,
        tag: None,
        digest: document.descriptor.digest,
    }];
    let mut export = Export::new(memory, &roots).signed(&["snakeoil-ed25519"]);
    export.name = "large";
    let exported = runtime().block_on(export.run(directory.path()));
    exported.expect("an export");
    directory
}

fn command(from: &str, to: &str) -> Airlift {
    Airlift::new(&["transfer", from, to, "--output", "json"])
        .env("NEAR_KEY", &account_key("near"))
        .env("FAR_KEY", &account_key("far"))
}

/// A stock of which two thirds have arrived by way of the relay: its directory, and the URL of its copy.
fn interrupted_stock(azurite: &Azurite, relay: &Relay, target: &Path) -> (TempDir, String) {
    let stock = large_stock();
    let near = format!(
        "{}?credential=env:NEAR_KEY",
        azurite.container("near", "out")
    );
    command(shown(stock.path()), &near).run().assert_success();
    // Ranges of 1 MiB, after those of the tail.
    refuse_from(relay, 17, |seen| seen.is_ranged);
    command(&relay.through(&near), shown(target))
        .run()
        .assert_code(1);
    (stock, near)
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An answer that nobody repeats for every request that `is_meant` from the `first` on.
fn refuse_from(relay: &Relay, first: usize, is_meant: impl Fn(&Seen) -> bool + Send + 'static) {
    let mut asked = 0;
    relay.judge(move |seen| {
        asked += usize::from(is_meant(seen));
        match is_meant(seen) && asked >= first {
            true => Verdict::Answer(400),
            false => Verdict::Pass,
        }
    });
}

/// Bytes that were there and bytes that were streamed.
fn split(output: &Output) -> (u64, u64) {
    let document = output.assert_success().json();
    let field = |name: &str| document[name].as_u64().unwrap();
    (field("resumedBytes"), field("streamedBytes"))
}

#[test]
fn a_transfer_into_a_directory_goes_on_with_its_partial_file() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let (relay, target) = (Relay::before(azurite.blobs), tempdir().unwrap());
    let (stock, near) = interrupted_stock(&azurite, &relay, target.path());
    let near = relay.through(&near);
    let size = fs::metadata(stock.path().join("large.tar.zst"))
        .unwrap()
        .len();
    let names: Vec<String> = contents(target.path()).into_keys().collect();
    assert_eq!(names, [".large.tar.zst.record", "large.tar.zst.partial"]);
    // Interrupted a second time, by a signal that nobody can answer.
    let mut ranges = 0;
    relay.judge(move |seen| {
        ranges += usize::from(seen.is_ranged);
        match ranges > 8 {
            true => Verdict::Hold,
            false => Verdict::Pass,
        }
    });
    let before = relay.count(|seen| seen.is_ranged);
    let running = command(&near, shown(target.path())).spawn();
    running.kill_when(|| relay.count(|seen| seen.is_ranged) - before > 12);
    relay.judge(|_| Verdict::Pass);
    relay.take_bytes();
    let (resumed, streamed) = split(&command(&near, shown(target.path())).run());
    assert!(resumed >= 8 * MIB, "{resumed} bytes were there");
    assert_eq!(resumed + streamed, size);
    let (_, down) = relay.take_bytes();
    assert!(down < streamed + MIB, "{down} bytes came for {streamed}");
    assert!(contents(target.path()) == contents(stock.path()));
}

#[test]
fn a_transfer_into_azure_goes_on_with_its_blocks() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let (stock, back) = (large_stock(), tempdir().unwrap());
    let size = fs::metadata(stock.path().join("large.tar.zst"))
        .unwrap()
        .len();
    let relay = Relay::before(azurite.blobs);
    let near = azurite.container("near", "inbox");
    let near = relay.through(&format!("{near}?credential=env:NEAR_KEY"));
    let is_block = |seen: &Seen| seen.target.contains("comp=block&");
    refuse_from(&relay, 3, is_block);
    command(shown(stock.path()), &near).run().assert_code(1);
    relay.judge(|_| Verdict::Pass);
    relay.take_bytes();
    // The stick is plugged in again: another device, other inodes, the same file.
    let again = tempdir().unwrap();
    let (name, bytes) = contents(stock.path()).pop_first().unwrap();
    fs::write(again.path().join(&name), bytes).unwrap();
    let written = fs::metadata(stock.path().join(&name)).unwrap().modified();
    let file = fs::File::options()
        .write(true)
        .open(again.path().join(&name));
    file.unwrap().set_modified(written.unwrap()).unwrap();
    let (resumed, streamed) = split(&command(shown(again.path()), &near).run());
    assert_eq!((resumed, resumed + streamed), (16 * MIB, size));
    let (up, _) = relay.take_bytes();
    assert!(up < streamed + 10_000, "{up} bytes went for {streamed}");
    command(&near, shown(back.path())).run().assert_success();
    assert!(contents(back.path()) == contents(stock.path()));
}

#[test]
fn a_source_that_was_replaced_is_brought_anew() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let (relay, target) = (Relay::before(azurite.blobs), tempdir().unwrap());
    let (stock, near) = interrupted_stock(&azurite, &relay, target.path());
    let through = relay.through(&near);
    relay.judge(|_| Verdict::Pass);
    // The same bytes, and another version.
    let emptied = tempdir().unwrap();
    let away = Airlift::new(&["transfer", &near, shown(emptied.path()), "--delete-source"]);
    away.env("NEAR_KEY", &account_key("near"))
        .run()
        .assert_success();
    command(shown(stock.path()), &near).run().assert_success();
    let (resumed, _) = split(&command(&through, shown(target.path())).run());
    assert_eq!(resumed, 0);
    assert!(contents(target.path()) == contents(stock.path()));
}

fn newest_run(state: &Path) -> Run {
    runtime().block_on(async {
        let ledger = Ledger::open(state).await.unwrap();
        ledger.list_runs(1).await.unwrap().remove(0)
    })
}

#[test]
fn ctrl_c_leaves_what_the_next_run_goes_on_with() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let (stock, target) = (large_stock(), tempdir().unwrap());
    let relay = Relay::before(azurite.blobs);
    let near = format!(
        "{}?credential=env:NEAR_KEY",
        azurite.container("near", "out")
    );
    command(shown(stock.path()), &near).run().assert_success();
    let near = relay.through(&near);
    let mut ranges = 0;
    relay.judge(move |seen| {
        ranges += usize::from(seen.is_ranged);
        match ranges > 18 {
            true => Verdict::Hold,
            false => Verdict::Pass,
        }
    });
    let state = tempdir().unwrap();
    let recorded = |name: &str| command(&near, shown(target.path())).env("AIRLIFT_STATE", name);
    let running = recorded(shown(state.path())).spawn();
    let record = target.path().join(".large.tar.zst.record");
    wait::until("two chunks have arrived and are noted", || {
        fs::metadata(&record).is_ok_and(|file| file.len() >= 3 * 65)
    });
    running.signal("INT");
    running.output().assert_code(130);
    let run = newest_run(state.path());
    assert_eq!(
        (run.start.kind, run.outcome.status),
        (RunKind::Transfer, RunStatus::Interrupted)
    );
    assert_eq!(run.outcome.reason.as_deref(), Some("stopped by SIGINT"));
    assert!(run.outcome.moved_bytes >= 8 * MIB, "{run:?}");
    relay.judge(|_| Verdict::Pass);
    let (resumed, _) = split(&command(&near, shown(target.path())).run());
    assert!(resumed >= 8 * MIB, "{resumed} bytes were there");
    assert!(contents(target.path()) == contents(stock.path()));
}

#[test]
fn what_a_service_reads_with_is_renewed_when_it_runs_out() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let stock = stock_of(40 * MIB);
    let size = fs::metadata(stock.path().join("large.tar.zst"))
        .unwrap()
        .len();
    let relay = Relay::before(azurite.blobs);
    let named = |account: &str, name: &str, key: &str| {
        let container = azurite.container(account, name);
        format!("{container}?credential=env:{key}")
    };
    let near = named("near", "out", "NEAR_KEY");
    let far = relay.through(&named("far", "inbox", "FAR_KEY"));
    command(shown(stock.path()), &near).run().assert_success();
    let mut late = 0;
    relay.judge(move |seen| {
        // The second range comes too late, once.
        let is_late = seen.is_copy && !seen.copied_range.starts_with("bytes=0-");
        late += usize::from(is_late);
        match is_late && late == 1 {
            true => Verdict::Answer(403),
            false => Verdict::Pass,
        }
    });
    let output = command(&near, &far).run();
    let document = output.assert_success().assert_nowhere("sig=").json();
    assert_eq!(
        (&document["copiedBytes"], &document["streamedBytes"]),
        (&size.into(), &0.into())
    );
    let copies = relay.count(|seen| seen.is_copy);
    assert_eq!(copies, 3, "the first range is not copied again");
}
