//! Ways of arriving: at once, in pieces, end first, volume by volume, before its signatures.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

use super::{Station, key, two_signers};
use crate::support::command::airlift;

const CHART: &str = "helm-chart:0.1.0";

#[test]
fn a_bundle_that_is_there_at_the_start_is_imported() {
    let station = Station::new();
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    let watch = station.watch();
    watch.await_line("chart.tar.zst: imported: 1 artifact,");
    assert_eq!(station.tags(), [CHART]);
    assert_eq!(watch.end().imported, 1);
}

#[test]
fn a_bundle_that_is_renamed_into_the_directory_is_imported_long_before_the_interval() {
    let station = Station::new();
    station.export_chart("chart");
    let watch = station.watch_with(|options| options.interval = std::time::Duration::from_hours(1));
    watch.await_line("watching");
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: imported");
    assert_eq!(station.tags(), [CHART]);
}

#[test]
fn a_copy_in_pieces_is_waited_for_with_one_line() {
    let station = Station::new();
    let bytes = station.export_chart("chart");
    let watch = station.watch();
    let mut file = File::create(station.path("drop/chart.tar.zst")).unwrap();
    for piece in bytes.chunks(bytes.len() / 3 + 1) {
        assert_eq!(watch.count(": imported"), 0);
        file.write_all(piece).unwrap();
        watch.await_listings(2);
    }
    watch.await_line("chart.tar.zst: imported");
    assert_eq!(watch.count("waiting"), 1, "{:#?}", watch.lines());
    assert_eq!(watch.count("set aside"), 0);
}

#[test]
fn a_copy_that_writes_the_end_before_the_middle_is_waited_for() {
    let station = Station::new();
    let bytes = station.export_chart("chart");
    let watch = station.watch();
    let file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(station.path("drop/chart.tar.zst"))
        .unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    watch.await_line("chart.tar.zst: waiting");
    let (middle, end) = (600, bytes.len() - 3500);
    file.write_all_at(&bytes[end..], end as u64).unwrap();
    file.write_all_at(&bytes[..middle], 0).unwrap();
    watch.await_listings(1);
    file.write_all_at(&bytes[middle..end], middle as u64)
        .unwrap();
    watch.await_line("chart.tar.zst: imported");
    assert_eq!(watch.count("set aside"), 0, "{:#?}", watch.lines());
    assert_eq!(station.tags(), [CHART]);
}

#[test]
fn what_lacks_its_end_is_waited_for_as_long_as_it_takes() {
    let station = Station::new();
    let bytes = station.export_chart("chart");
    station.drop_bytes("zero.tar.zst", b"");
    station.drop_bytes("part.tar.zst", &bytes[..2000]);
    let watch = station.watch();
    // Longer than the settle time.
    watch.await_listings(4);
    for name in ["zero", "part"] {
        let line = format!("{name}.tar.zst: waiting: it is incomplete");
        assert_eq!(watch.count(&line), 1, "{:#?}", watch.lines());
    }
    station.bring_as("chart.tar.zst", "part.tar.zst");
    watch.await_line("part.tar.zst: imported");
    assert_eq!(watch.end().set_aside, 0);
}

#[test]
fn volumes_come_in_any_order_and_twice() {
    let station = Station::new();
    let volumes = station.export_volumes();
    let (first, others) = volumes.split_first().unwrap();
    let watch = station.watch();
    for name in others {
        station.bring(name);
        station.bring_as(name, &format!("copy-{name}"));
    }
    watch.await_line(&format!("volume 1 of {} has not arrived", volumes.len()));
    station.bring(first);
    watch.await_line(": imported: 1 artifact,");
    station.bring_as(first, "again.tar.zst");
    watch.await_line("nothing to do: it was imported before");
    assert_eq!(watch.count(": imported:"), 1, "{:#?}", watch.lines());
    assert_eq!(watch.count("set aside"), 0);
    assert_eq!(station.tags(), ["apps/web:1.4"]);
}

#[test]
fn a_renamed_copy_is_not_imported_again_after_a_restart_either() {
    let station = Station::new();
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    let watch = station.watch();
    watch.await_line("chart.tar.zst: imported:");
    station.bring_as("chart.tar.zst", "copy.tar.zst");
    watch.await_line("copy.tar.zst: nothing to do: it was imported before");
    watch.end();
    let again = station.watch();
    again.await_line("nothing to do: it was imported before");
    assert_eq!(again.count(": imported:"), 0);
}

#[test]
fn a_countersignature_that_comes_later_admits_the_bundle() {
    let station = Station::new();
    station.export_chart("chart");
    let watch = station.watch_with(|options| options.read_trust = super::reading(two_signers()));
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: waiting: ");
    let (bundle, second) = (station.text("usb/chart.tar.zst"), key("snakeoil-ed25519"));
    let first = key("snakeoil-p256.pub");
    airlift(&["sign", &bundle, "--sign-key", &second, "--trust", &first]).assert_success();
    for name in super::names(&station.path("usb")) {
        if name.ends_with(".sig") {
            station.bring(&name);
        }
    }
    watch.await_line("chart.tar.zst: imported");
    assert_eq!(watch.count("set aside"), 0);
}

#[test]
fn another_bundle_under_the_same_name_is_another_bundle() {
    let station = Station::new();
    station.export_chart("chart");
    station.export("oras", "other", &[]);
    station.bring("chart.tar.zst");
    let watch = station.watch();
    watch.await_line("chart.tar.zst: imported");
    station.bring_as("other.tar.zst", "chart.tar.zst");
    crate::support::wait::until("both are there", || station.tags().len() == 2);
    fs::remove_file(station.path("drop/chart.tar.zst")).unwrap();
    watch.await_listings(1);
    assert_eq!(watch.count(": imported:"), 2);
}
