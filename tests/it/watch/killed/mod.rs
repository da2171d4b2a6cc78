//! SIGKILL at any moment, and the watch started again: everything arrives, once and in order, and nothing is left
//! behind.
//!
//! Two hundred kills over fifty bundles for each kind of target; `AIRLIFT_TEST_KILLS` brings another number. The
//! moments are drawn from a seed: times, requests to the target, writes of the ledger, renames and removals. A
//! daemon that is started alone finds the claims of the one before it free at once, so no kill costs a lease.

mod far;
mod lives;
mod supply;

use std::fs;

use airlift::history::{ClaimState, Lane, Ledger, Run, RunStatus};

use self::far::Far;
use self::lives::Lives;
use self::supply::{BUNDLES, PIPELINE, Supply};
use super::Station;
use super::process::watch;
use crate::kill::first_seed;
use crate::support::command::airlift;
use crate::support::registry::Registry;

const KILLS: usize = 200;

fn kills() -> usize {
    let wanted = std::env::var("AIRLIFT_TEST_KILLS").ok();
    wanted.map_or(KILLS, |text| text.parse().expect("a number"))
}

#[test]
fn a_watch_that_is_killed_at_any_time_loses_nothing() {
    kill_and_compare(&Far::Registry(Registry::start()));
}

#[test]
fn a_watch_that_is_killed_at_any_time_leaves_nothing_behind() {
    kill_and_compare(&Far::Layout);
}

fn kill_and_compare(far: &Far) {
    let station = Station::new();
    let supply = Supply::export(&station);
    let mut lives = Lives::new(&station, &supply, far, first_seed());
    lives.kill(kills());
    lives.finish();
    let (calm, calm_station) = run_undisturbed(&station, &supply, far);
    far.assert_same(&station, &calm, &calm_station);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(assert_each_accepted_once(&station, &supply));
    for container in ["usb", "drop"] {
        let container = station.text(container);
        airlift(&["container", "clean", &container, "--dry-run"])
            .assert_success()
            .assert_stdout("0 open uploads");
    }
}

/// The same bundles at another station, all there from the start, and one run that nobody disturbs.
fn run_undisturbed(station: &Station, supply: &Supply, far: &Far) -> (Far, Station) {
    let (calm, calm_station) = (far.another(), Station::new());
    for name in supply.volumes() {
        let (from, to) = (station.path("usb"), calm_station.path("drop"));
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let options = [&["--once"], far.options()].concat();
    watch(&calm_station, &calm.target(&calm_station), &options)
        .run()
        .assert_success();
    (calm, calm_station)
}

/// Each sequence was accepted with the inventory that was exported, by one run that is done; others were interrupted.
async fn assert_each_accepted_once(station: &Station, supply: &Supply) {
    let near = Ledger::open(&station.path("near-state")).await.unwrap();
    let pipeline = near.find_pipeline(PIPELINE).await.unwrap().unwrap();
    let exported = near.list_exported(&pipeline.id, 1000).await.unwrap();
    let exported = exported.iter().rev();
    let exported: Vec<_> = exported
        .map(|bundle| (bundle.sequence, bundle.inventory.clone()))
        .collect();
    assert_eq!(exported.len(), supply.bundles.len());

    let ledger = Ledger::open(&station.path("state")).await.unwrap();
    let runs = ledger.list_runs(10_000).await.unwrap();
    let lane = Lane {
        pipeline: pipeline.id,
        name: String::new(),
        target: runs[0].start.target.clone().unwrap(),
    };
    let accepted = ledger.list_accepted(&lane).await.unwrap();
    let accepted: Vec<_> = accepted
        .into_iter()
        .map(|link| (link.sequence, link.inventory))
        .collect();
    assert_eq!(accepted, exported);
    let tags = ledger.list_newer_tags(&lane, 0).await.unwrap();
    assert_eq!(
        tags.into_iter()
            .collect::<std::collections::BTreeMap<_, _>>(),
        supply.tags
    );
    assert_one_run_each(&runs);
    let claims = ledger.list_claims().await.unwrap();
    assert_eq!(claims.len() as u64, BUNDLES);
    for claim in claims {
        assert_eq!(claim.state, ClaimState::Done, "{claim:?}");
    }
}

fn assert_one_run_each(runs: &[Run]) {
    let (done, others): (Vec<&Run>, Vec<&Run>) = runs
        .iter()
        .partition(|run| run.outcome.status == RunStatus::Done);
    let mut sequences: Vec<u64> = done.iter().filter_map(|run| run.start.sequence).collect();
    sequences.sort_unstable();
    assert!(sequences.into_iter().eq(1..=BUNDLES), "{done:#?}");
    for run in others {
        assert_eq!(run.outcome.status, RunStatus::Interrupted, "{run:?}");
    }
}
