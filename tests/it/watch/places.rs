//! Trouble around the bundles: a target that is away, a container that is gone, and objects to be removed.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airlift::history::Ledger;
use airlift::pipeline::{DeliveredSource, Until, WatchOptions};

use super::hooked::{hanging_opener, lasting_opener};
use super::{Station, key, names};
use crate::support::clouds::{Azurite, account_key};
use crate::support::command::Airlift;
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
fn a_signature_whose_delivered_object_is_gone_is_removed_by_the_next_watch() {
    let station = Station::new();
    let volumes = station.export_volumes();
    let signature = format!("{}.0123456789abcdef.sig", volumes[0]);
    station.drop_bytes(&signature, b"x");
    station.drop_bytes("other.tar.zst.0123456789abcdef.sig", b"x");
    for name in &volumes {
        station.bring(name);
    }
    // It is ended between an object and its signature.
    let opener = lasting_opener(&station.path("drop"), ".sig");
    let mut once = station.watch_with(|options| {
        options.source = DeliveredSource::Delete;
        options.open_container = opener;
        options.until = Until::Once;
    });
    assert_eq!(once.join().imported, 1);
    let left = ["other.tar.zst.0123456789abcdef.sig", &signature];
    assert_eq!(names(&station.path("drop")), left);
    // Who deletes nothing leaves it, and what is not known to be delivered stays for ever.
    let keeping = station.watch();
    keeping.await_line("watching");
    keeping.end();
    assert_eq!(names(&station.path("drop")), left);
    for _ in 0..2 {
        let watch = station.watch_with(|options| options.source = DeliveredSource::Delete);
        watch.await_line("watching");
        watch.end();
        assert_eq!(names(&station.path("drop")), left[..1]);
    }
}

#[test]
fn another_signature_of_that_name_stays() {
    let station = Station::new();
    station.export_chart("chart");
    let signature = "chart.tar.zst.0123456789abcdef.sig";
    station.drop_bytes(signature, b"x");
    station.bring("chart.tar.zst");
    let opener = lasting_opener(&station.path("drop"), ".sig");
    let mut once = station.watch_with(|options| {
        options.source = DeliveredSource::Delete;
        options.open_container = opener;
        options.until = Until::Once;
    });
    assert_eq!(once.join().imported, 1);
    fs::remove_file(station.path("drop").join(signature)).unwrap();
    station.drop_bytes(signature, b"of the next one");
    let watch = station.watch_with(|options| options.source = DeliveredSource::Delete);
    watch.await_line("watching");
    watch.end();
    assert_eq!(names(&station.path("drop")), [signature]);
}

#[test]
fn a_layout_that_was_mounted_again_gets_what_comes_then() {
    let station = Station::new();
    station.export_chart("chart");
    station.export("oras", "oras", &[]);
    let watch = station.watch();
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: imported");
    // Unmounted: an empty directory is where it was.
    let (far, away) = (station.path("far"), station.path("away"));
    fs::rename(&far, &away).unwrap();
    fs::create_dir(&far).unwrap();
    station.bring("oras.tar.zst");
    watch.await_line("oras.tar.zst: will be tried again: target: the layout in");
    assert!(names(&far).is_empty());
    // Mounted again: the same layout, and another directory to whoever had it open.
    let copied = Command::new("cp")
        .arg("-r")
        .args([&away, &station.path("back")])
        .status();
    assert!(copied.unwrap().success());
    fs::remove_dir(&far).unwrap();
    fs::rename(station.path("back"), &far).unwrap();
    watch.await_line("oras.tar.zst: imported");
    assert_eq!(station.tags(), ["helm-chart:0.1.0", "oras:1.0"]);
    let index = fs::read_to_string(away.join("index.json")).unwrap();
    assert!(!index.contains("oras"));
}

#[test]
fn a_single_round_that_may_not_list_says_so_by_its_exit_code() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let station = Station::new();
    let container = azurite.container("near", "drop");
    let (named, far) = (
        format!("{container}?credential=env:WRONG_KEY"),
        format!("oci:{}", station.text("far")),
    );
    let (trusted, state) = (key("snakeoil-p256.pub"), station.text("state"));
    let line = [
        "watch", &named, "--target", &far, "--trust", &trusted, "--state", &state, "--once",
    ];
    Airlift::new(&line)
        .env("WRONG_KEY", &account_key("far"))
        .run()
        .assert_code(5)
        .assert_stdout("the container cannot be listed");
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
