//! A damaged copy of a volume beside a good one, and one that is replaced by a good one.

use std::fs;

use super::{LONG, Station, damage, names};
use crate::support::command::airlift;

/// An exported object with some of its content changed.
fn damaged(station: &Station, name: &str) -> Vec<u8> {
    let mut bytes = fs::read(station.path("usb").join(name)).unwrap();
    damage(&mut bytes);
    bytes
}

#[test]
fn a_damaged_copy_whose_name_comes_first_does_not_hide_a_good_one() {
    let station = Station::new();
    station.export_chart("chart");
    station.drop_bytes("a.tar.zst", &damaged(&station, "chart.tar.zst"));
    station.bring_as("chart.tar.zst", "b.tar.zst");
    let watch = station.watch_with(|options| options.settle_time = LONG);
    watch.await_line("b.tar.zst: imported:");
    assert_eq!(watch.count("`a.tar.zst` is left for another copy of it"), 1);
    assert_eq!(station.tags(), ["helm-chart:0.1.0"]);
    assert_eq!(watch.end().set_aside, 0);
}

#[test]
fn each_volume_is_taken_from_a_copy_that_is_right() {
    let station = Station::new();
    let volumes = station.export_volumes();
    for (number, name) in volumes.iter().enumerate() {
        // Once the damaged copy comes first by its name, once the good one.
        let (bad, good) = match number % 2 {
            0 => (format!("a{number}.tar.zst"), format!("b{number}.tar.zst")),
            _ => (format!("d{number}.tar.zst"), format!("c{number}.tar.zst")),
        };
        station.drop_bytes(&bad, &damaged(&station, name));
        station.bring_as(name, &good);
    }
    let watch = station.watch_with(|options| options.settle_time = LONG);
    watch.await_line(": imported: 1 artifact,");
    assert_eq!(watch.count("a0.tar.zst` is left for another copy"), 1);
    assert_eq!(watch.end().set_aside, 0);
}

#[test]
fn two_damaged_copies_are_set_aside_once_both_were_read() {
    let station = Station::new();
    station.export_chart("chart");
    for name in ["a.tar.zst", "b.tar.zst"] {
        station.drop_bytes(name, &damaged(&station, "chart.tar.zst"));
    }
    let watch = station.watch();
    watch.await_line(": set aside: ");
    station.bring_as("chart.tar.zst", "c.tar.zst");
    watch.await_line("c.tar.zst: imported:");
    assert_eq!(station.tags(), ["helm-chart:0.1.0"]);
}

#[test]
fn a_set_that_was_given_up_for_damage_is_work_again_when_a_volume_is_replaced() {
    let station = Station::new();
    let volumes = station.export_volumes();
    let (first, others) = volumes.split_first().unwrap();
    station.drop_bytes(first, &damaged(&station, first));
    for name in others {
        station.bring(name);
    }
    let watch = station.watch();
    watch.await_line(": set aside: ");
    watch.await_listings(2);
    assert_eq!(watch.count("set aside"), 1, "{:#?}", watch.lines());
    station.bring(first);
    watch.await_line(": imported: 1 artifact,");
    let listed = airlift(&["watch", "list", "--state", &station.text("state")]);
    assert!(!listed.assert_success().stdout.contains("set aside"));
}

#[test]
fn the_replacement_counts_after_a_restart_too_and_without_it_nothing_is_read_again() {
    let station = Station::new();
    station.export_chart("chart");
    station.drop_bytes("chart.tar.zst", &damaged(&station, "chart.tar.zst"));
    let watch = station.watch();
    watch.await_line(": set aside: ");
    watch.end();
    let again = station.watch();
    again.await_line("chart.tar.zst: set aside: ");
    assert_eq!(again.count("importing"), 0, "nothing has changed");
    again.end();
    station.bring("chart.tar.zst");
    let third = station.watch();
    third.await_line("chart.tar.zst: imported:");
    assert_eq!(names(&station.path("drop")), ["chart.tar.zst"]);
}

#[test]
fn an_object_that_could_not_be_opened_leaves_the_list_with_its_replacement() {
    let station = Station::new();
    station.export_chart("chart");
    station.drop_bytes("chart.tar.zst", &[7; 5000]);
    let watch = station.watch();
    watch.await_line("chart.tar.zst: set aside: it is not an airlift bundle");
    watch.end();
    station.bring("chart.tar.zst");
    let again = station.watch();
    again.await_line("chart.tar.zst: imported:");
    let listed = airlift(&["watch", "list", "--state", &station.text("state")]);
    assert!(!listed.assert_success().stdout.contains("set aside"));
}
