//! Two watches with one ledger: no bundle is imported twice, and none is left.

use airlift::history::{Ledger, RunStatus};
use airlift::pipeline::TargetReference;

use super::Station;
use crate::support::registry::Registry;
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
