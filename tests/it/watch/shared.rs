//! Two watches with one ledger: no bundle is imported twice, and none is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use airlift::history::{Claimed, Ledger, RunStatus};
use airlift::pipeline::{TargetReference, Until};
use jiff::{SignedDuration, Timestamp};

use super::{Station, names};
use crate::bundle::road::trust;
use crate::support::registry::{Fault, Registry, When};
use crate::support::wait;

const BUNDLES: usize = 10;

#[test]
fn two_watches_import_each_bundle_once() {
    let station = Station::new();
    let names: Vec<String> = (0..BUNDLES).map(|n| format!("chart-{n}")).collect();
    for name in &names {
        station.export_chart(name);
    }
    let registry = Registry::start();
    let target: TargetReference = registry.address().parse().unwrap();
    let watches = [(); 2].map(|()| station.watch_with(|options| options.target = target.clone()));
    for name in &names {
        station.bring(&format!("{name}.tar.zst"));
    }
    let imported = || {
        watches
            .iter()
            .map(|watch| watch.count(": imported:"))
            .sum::<usize>()
    };
    wait::until("all are imported", || imported() == BUNDLES);
    for watch in watches {
        watch.await_listings(2);
        watch.end();
    }
    assert_runs(&station, &names);
}

/// Four lines said that each volume would be tried again, and nothing took them back.
#[test]
fn what_another_watch_has_taken_away_was_told_as_a_failure() {
    // The keys are read at the start, after each listing, and before each delivery.
    for reading in [2, 3] {
        let station = Station::new();
        for name in station.export_volumes() {
            station.bring(&name);
        }
        let (drop, policy) = (station.path("drop"), trust(&["snakeoil-p256"]));
        let readings = AtomicUsize::new(0);
        let read = move || {
            if readings.fetch_add(1, Ordering::Relaxed) + 1 == reading {
                for name in names(&drop) {
                    std::fs::remove_file(drop.join(name)).unwrap();
                }
            }
            Ok(policy.clone())
        };
        let mut watch = station.watch_with(|options| {
            options.read_trust = Arc::new(read);
            options.until = Until::Once;
        });
        let report = watch.join();
        assert!(names(&station.path("drop")).is_empty());
        assert_eq!(report.postponed, 0, "{:#?}", watch.lines());
        assert_eq!(watch.lines().len(), 1, "{:#?}", watch.lines());
        assert_eq!(watch.count("watching `"), 1);
    }
}

#[test]
fn the_work_of_a_watch_that_is_killed_goes_to_the_other_after_the_lease() {
    let station = Station::new();
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    let registry = Registry::start();
    registry.fault(When::put("/manifests/"), Fault::Hang);
    let more = ["--accept-one-off"];
    let killed = super::process::watch(&station, &registry.address(), &more).spawn();
    wait::until("the manifest is on its way", || {
        registry.log().count("PUT", "/manifests/") > 0
    });
    let target: TargetReference = registry.address().parse().unwrap();
    let watch = station.watch_with(|options| options.target = target);
    watch.await_line("chart.tar.zst: will be tried again: another watch has claimed it");
    assert!(killed.kill().was_killed());
    watch.await_listings(2);
    assert_eq!(watch.count(": imported"), 0, "the lease still lasts");
    end_lease(&station);
    watch.await_line("chart.tar.zst: imported:");
    registry.assert_no_violation();
    assert_eq!(registry.missing_content(), [""; 0]);
}

/// Lets the lease of the only claim run out now, as time would.
fn end_lease(station: &Station) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = Ledger::open(&station.path("state")).await.unwrap();
        let claims = ledger.list_claims().await.unwrap();
        let mut claim = Claimed {
            object: claims[0].object.clone(),
            fence: 1,
            attempts: 1,
            lease_until: claims[0].lease_until,
        };
        let none = SignedDuration::ZERO;
        let ended = ledger.renew(&mut claim, none, Timestamp::now()).await;
        ended.unwrap();
    });
}

/// Each bundle was delivered by one run, and no run failed.
fn assert_runs(station: &Station, names: &[String]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let runs = runtime.block_on(async {
        let ledger = Ledger::open(&station.path("state")).await.unwrap();
        ledger.list_runs(100).await.unwrap()
    });
    let mut bundles: Vec<String> = runs
        .iter()
        .inspect(|run| assert_eq!(run.outcome.status, RunStatus::Done))
        .map(|run| run.start.bundle.clone().unwrap())
        .collect();
    bundles.sort();
    assert_eq!(bundles, names);
}
