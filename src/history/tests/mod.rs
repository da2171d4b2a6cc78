//! The ledger against a real database file, and the rules of sequences in any order.

mod audit;
mod claims;
mod facts;
mod lanes;
mod records;
mod runs;
mod sequence;

use jiff::Timestamp;
use tempfile::TempDir;

use super::{Lane, Ledger, Link, NewRun, PipelineId, RunId, RunKind, RunLink, Trigger};
use crate::oci::Digest;

const PIPELINE: &str = "00112233445566778899aabbccddeeff";

async fn ledger() -> (TempDir, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&directory.path().join("state")).await.unwrap();
    (directory, ledger)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn lane() -> Lane {
    Lane {
        pipeline: PIPELINE.parse::<PipelineId>().unwrap(),
        name: String::new(),
        target: "registry.example/mirror".to_owned(),
    }
}

fn link(sequence: u64) -> Link {
    Link {
        sequence,
        inventory: digest(&sequence.to_string()),
        previous: (sequence > 1).then(|| digest(&(sequence - 1).to_string())),
    }
}

fn import() -> NewRun {
    NewRun {
        kind: RunKind::Import,
        pipeline: Some("plant".to_owned()),
        trigger: Trigger::Manual,
        who: "ops (1000)".to_owned(),
        comment: None,
        container: Some("/mnt/usb".to_owned()),
        target: Some("registry.example/mirror".to_owned()),
        bundle: Some("web".to_owned()),
        set: None,
        inventory: None,
        sequence: Some(1),
        link: RunLink::default(),
    }
}

/// The record of a run that nobody executes.
async fn start(ledger: &Ledger, now: Timestamp) -> RunId {
    let id = RunId::generate(now).unwrap();
    ledger.insert_run(&id, &import(), now).await.unwrap();
    id
}
