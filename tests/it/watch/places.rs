//! Trouble around the bundles: a target that is away, a container that is gone, and objects to be removed.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airlift::history::Ledger;
use airlift::pipeline::{DeliveredSource, Until, WatchOptions};

use super::hooked::hanging_opener;
use super::{Station, names};
use crate::support::registry::{Fault, Registry, When};
use crate::support::wait;

fn into(registry: &Registry) -> impl FnOnce(&mut WatchOptions) {
    let target = registry.address().parse().unwrap();
    move |options| options.target = target
}

#[test]
fn a_target_that_is_down_is_tried_again_until_it_is_up() {
    let station = Station::new();
    station.export_chart("chart");
    let registry = Registry::start();
    let watch = station.watch_with(into(&registry));
    watch.await_line("watching");
    registry.fault(When::any("/v2/").always(), Fault::Status(503));
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: will be tried again: ");
    registry.heal();
    watch.await_line("chart.tar.zst: imported");
    assert_eq!(watch.count("set aside"), 0);
}

#[test]
fn a_target_that_is_closed_to_us_is_tried_again() {
    let station = Station::new();
    station.export_chart("chart");
    let registry = Registry::start();
    registry.fault(When::any("/blobs/").always(), Fault::Status(403));
    let watch = station.watch_with(into(&registry));
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: will be tried again: ");
    registry.heal();
    watch.await_line("chart.tar.zst: imported");
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_watched_again() {
    let station = Station::new();
    station.export_chart("chart");
    let watch = station.watch();
    watch.await_line("watching");
    fs::remove_dir(station.path("drop")).unwrap();
    watch.await_line("the container cannot be listed: ");
    fs::create_dir(station.path("drop")).unwrap();
    watch.await_line("the container can be listed again");
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: imported");
}

#[test]
fn delivered_bundles_are_removed_with_their_signatures_and_others_stay() {
    let station = Station::new();
    let volumes = station.export_volumes();
    station.export_chart("chart");
    let bytes = fs::read(station.path("usb/chart.tar.zst")).unwrap();
    station.drop_bytes("part.tar.zst", &bytes[..2000]);
    station.drop_bytes(&format!("{}.0123456789abcdef.sig", volumes[0]), b"x");
    let (last, others) = volumes.split_last().unwrap();
    let watch = station.watch_with(|options| options.source = DeliveredSource::Delete);
    for name in others {
        station.bring(name);
    }
    watch.await_line("has not arrived");
    assert_eq!(names(&station.path("drop")).len(), others.len() + 2);
    station.bring(last);
    wait::until("only the incomplete one is left", || {
        names(&station.path("drop")) == ["part.tar.zst"]
    });
    assert_eq!(watch.count("removed from the container"), volumes.len() + 1);
    assert_eq!(station.tags(), ["apps/web:1.4"]);
}

#[test]
fn what_was_delivered_while_nobody_deleted_is_removed_by_a_later_watch() {
    let station = Station::new();
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    let mut once = station.watch_with(|options| options.until = Until::Once);
    assert_eq!(once.join().imported, 1);
    let watch = station.watch_with(|options| options.source = DeliveredSource::Delete);
    watch.await_line("chart.tar.zst: removed from the container");
    assert!(names(&station.path("drop")).is_empty());
}

#[test]
fn what_a_killed_watch_has_left_of_a_delivered_bundle_is_removed_by_the_next() {
    let station = Station::new();
    let volumes = station.export_volumes();
    let (first, last) = (&volumes[0], volumes.last().unwrap());
    for name in &volumes {
        station.bring(name);
    }
    let mut once = station.watch_with(|options| options.until = Until::Once);
    assert_eq!(once.join().imported, 1);
    let annotate = async |note| {
        let ledger = Ledger::open(&station.path("state")).await.unwrap();
        let claim = ledger.list_claims().await.unwrap().remove(0);
        ledger.annotate_done(&claim.object, note).await.unwrap();
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // A delivered bundle that is brought again is waited for, volume by volume.
    fs::remove_file(station.path("drop").join(first)).unwrap();
    let watch = station.watch_with(|options| options.source = DeliveredSource::Delete);
    watch.await_line("has not arrived");
    watch.end();
    runtime.block_on(annotate(Some("its objects are being removed")));
    let watch = station.watch_with(|options| options.source = DeliveredSource::Delete);
    watch.await_line("it was imported before, and its other volumes are gone");
    watch.await_line(&format!("{last}: removed from the container"));
    assert!(names(&station.path("drop")).is_empty());
    assert_eq!(watch.count("waiting"), 0, "{:#?}", watch.lines());
}

#[test]
fn a_stop_does_not_wait_for_a_container_that_hangs() {
    // At the first opening, and at that of the import.
    for nth in [1, 2] {
        let station = Station::new();
        station.export_chart("chart");
        station.bring("chart.tar.zst");
        let hangs = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&hangs);
        let hook = move || told.store(true, Ordering::SeqCst);
        let opener = hanging_opener(&station.path("drop"), nth, Arc::new(hook));
        let watch = station.watch_with(|options| options.open_container = opener);
        wait::until("it hangs", || hangs.load(Ordering::SeqCst));
        assert_eq!(watch.end().imported, 0);
    }
}
