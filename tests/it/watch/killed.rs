//! SIGKILL at any moment, and the watch started again: everything arrives, each bundle by one recorded run.
//!
//! Twenty kills in a normal run; `AIRLIFT_TEST_KILLS` brings more, such as 200. The moments are drawn from a seed.

use std::time::{Duration, Instant};

use airlift::history::{ClaimState, Ledger, RunStatus};
use airlift::pipeline::WorkKey;

use super::{Station, key, registry_with_layers};
use crate::support::command::{Airlift, airlift};
use crate::support::registry::Registry;

const BUNDLES: usize = 4;
const KILLS: usize = 20;

fn kills() -> usize {
    let wanted = std::env::var("AIRLIFT_TEST_KILLS").ok();
    wanted.map_or(KILLS, |text| text.parse().expect("a number"))
}

/// A station whose watched directory holds bundles of several volumes.
fn loaded() -> Station {
    let station = Station::new();
    let source = registry_with_layers();
    let reference = format!("{}/apps/web:1.4", source.address());
    for number in 0..BUNDLES {
        let name = format!("web-{number}");
        station.export(&reference, &name, &["--volume-size", "200kB"]);
    }
    for name in super::names(&station.path("usb")) {
        station.bring(&name);
    }
    station
}

fn once(station: &Station, target: &Registry) -> Airlift {
    let (drop, state) = (station.text("drop"), station.text("state"));
    let (target, trusted) = (target.address(), key("snakeoil-p256.pub"));
    let mut arguments = vec!["watch", &drop, "--target", &target, "--trust", &trusted];
    arguments.extend(["--state", &state, "--once", "--accept-one-off"]);
    Airlift::new(&arguments)
}

fn forget(station: &Station) {
    std::fs::remove_dir_all(station.path("state")).expect("the state is ours");
}

#[test]
fn a_watch_that_is_killed_at_any_time_loses_nothing() {
    let station = loaded();
    let begun = Instant::now();
    once(&station, &Registry::start()).run().assert_success();
    let mut bound = begun.elapsed();
    let (mut struck, mut seed) = (0, 0);
    while struck < kills() {
        forget(&station);
        let target = Registry::start();
        for _ in 0..=seed % 3 {
            seed += 1;
            let output = once(&station, &target)
                .spawn()
                .kill_by_seed(seed << 20, bound);
            struck += usize::from(output.was_killed());
            bound = bound.mul_f64(if output.was_killed() { 1.05 } else { 0.9 });
            assert_eq!(target.missing_content(), [""; 0]);
        }
        once(&station, &target).run().assert_success();
        assert_all_arrived(&station, &target);
        assert!(bound > Duration::from_millis(1), "{struck} were killed");
        assert!(seed < 3 * kills() as u64, "{struck} were killed");
    }
}

fn assert_all_arrived(station: &Station, target: &Registry) {
    target.assert_no_violation();
    assert_eq!(target.missing_content(), [""; 0]);
    let source = registry_with_layers();
    assert_eq!(target.snapshot(), source.snapshot());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(assert_each_by_one_run(station));
    let state = station.text("state");
    let listed = airlift(&["watch", "list", "--state", &state]);
    assert_eq!(listed.stdout.matches("done").count(), BUNDLES);
}

async fn assert_each_by_one_run(station: &Station) {
    let ledger = Ledger::open(&station.path("state")).await.unwrap();
    let claims = ledger.list_claims().await.unwrap();
    assert_eq!(claims.len(), BUNDLES);
    for claim in &claims {
        assert_eq!(claim.state, ClaimState::Done, "{claim:?}");
    }
    let runs = ledger.list_runs(1000).await.unwrap();
    for name in claims
        .iter()
        .filter_map(|claim| WorkKey::parse(&claim.object))
    {
        let done = runs.iter().filter(|run| {
            run.outcome.status == RunStatus::Done
                && run.start.bundle.as_ref() == Some(&name.subject)
        });
        assert_eq!(done.count(), 1, "{}", name.subject);
    }
    let is_open = |status: RunStatus| status == RunStatus::Running;
    assert!(!runs.iter().any(|run| is_open(run.outcome.status)));
}
