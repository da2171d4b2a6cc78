//! Single rounds, as cron starts them: the settle time goes on between the processes.

use std::time::{Duration, Instant};

use airlift::pipeline::{Until, WatchReport};

use super::{LONG, SETTLE_TIME, Station, damage};
use crate::support::command::airlift;
use crate::support::wait;

fn once(station: &Station, settle_time: Duration) -> WatchReport {
    let mut watch = station.watch_with(|options| {
        options.until = Until::Once;
        options.settle_time = settle_time;
    });
    watch.join()
}

/// The damaged object is waited for by one round, and set aside by the next one after the settle time.
fn assert_settles(station: &Station) {
    let begun = Instant::now();
    let first = once(station, SETTLE_TIME);
    assert_eq!((first.set_aside, first.waiting), (0, 1));
    assert_eq!(once(station, LONG).set_aside, 0, "it has not settled");
    wait::until("it has settled", || begun.elapsed() > 2 * SETTLE_TIME);
    for _ in 0..2 {
        let later = once(station, SETTLE_TIME);
        assert_eq!((later.set_aside, later.waiting), (1, 0));
    }
}

#[test]
fn single_rounds_set_aside_what_is_no_bundle_when_it_has_settled() {
    let station = Station::new();
    station.drop_bytes("noise.tar.zst", &[7; 5000]);
    assert_settles(&station);
}

#[test]
fn single_rounds_set_damaged_content_aside_when_it_has_settled() {
    let station = Station::new();
    let mut bytes = station.export_chart("chart");
    damage(&mut bytes);
    station.drop_bytes("chart.tar.zst", &bytes);
    assert_settles(&station);
    station.bring("chart.tar.zst");
    let replaced = once(&station, SETTLE_TIME);
    assert_eq!((replaced.imported, replaced.set_aside), (1, 0));
}

#[test]
fn another_version_settles_anew_and_what_is_gone_leaves_the_list() {
    let station = Station::new();
    station.drop_bytes("noise.tar.zst", &[7; 5000]);
    assert_settles(&station);
    station.drop_bytes("noise.tar.zst", &[8; 5001]);
    assert_settles(&station);
    std::fs::remove_file(station.path("drop/noise.tar.zst")).unwrap();
    assert_eq!(once(&station, SETTLE_TIME), WatchReport::default());
    let listed = airlift(&["watch", "list", "--state", &station.text("state")]);
    assert!(!listed.assert_success().stdout.contains("noise"));
}
