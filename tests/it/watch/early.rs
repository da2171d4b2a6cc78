//! Volumes that come before the others: their blobs travel at once, and nothing can be pulled by a name.

use airlift::content::Existing;
use airlift::pipeline::WatchOptions;

use super::{Station, Watch, registry_with_layers};
use crate::support::registry::Registry;

/// A station, its volumes, and a watch that delivers to the registry.
fn begin(
    target: &Registry,
    change: impl FnOnce(&mut WatchOptions),
) -> (Station, Vec<String>, Watch) {
    let station = Station::new();
    let volumes = station.export_volumes();
    let reference = target.address().parse().unwrap();
    let watch = station.watch_with(|options| {
        options.target = reference;
        change(options);
    });
    (station, volumes, watch)
}

fn assert_delivered(target: &Registry) {
    target.assert_no_violation();
    assert_eq!(target.missing_content(), [""; 0]);
    assert_eq!(target.snapshot(), registry_with_layers().snapshot());
}

#[test]
fn blobs_of_early_volumes_are_pushed_and_not_again_when_the_set_is_complete() {
    let target = Registry::start();
    let (station, volumes, watch) = begin(&target, |_| {});
    let (last, early) = volumes.split_last().unwrap();
    for name in early {
        station.bring(name);
        watch.await_line(&format!("{name}: its blobs are at the target: "));
    }
    assert_eq!(target.log().count("PUT", "/manifests/"), 0);
    assert!(target.snapshot().0.is_empty(), "no tag");
    let pushed = target.log().count("PUT", "/blobs/uploads/");
    assert!(pushed > 0);
    station.bring(last);
    watch.await_line(": imported: 1 artifact,");
    assert_eq!(
        watch.count(" 0 bytes there already, 1 tag"),
        0,
        "{:#?}",
        watch.lines()
    );
    assert_delivered(&target);
}

#[test]
fn blobs_that_the_registry_has_collected_meanwhile_are_pushed_again() {
    let target = Registry::start();
    let (station, volumes, watch) = begin(&target, |_| {});
    let (last, early) = volumes.split_last().unwrap();
    for name in early {
        station.bring(name);
        watch.await_line(&format!("{name}: its blobs are at the target: "));
    }
    let web = "apps/web".parse().unwrap();
    for (_, digest) in registry_with_layers().snapshot().1.into_keys() {
        target.forget(&web, &digest);
    }
    station.bring(last);
    watch.await_line(": imported: 1 artifact,");
    assert_delivered(&target);
}

#[test]
fn what_the_rules_refuse_pushes_no_blob() {
    let target = Registry::start();
    let station = Station::new();
    let source = registry_with_layers();
    let reference = format!("{}/apps/web:1.4", source.address());
    let more = ["--volume-size", "200kB", "--audience", "elsewhere"];
    station.export(&reference, "web", &more);
    let names = super::names(&station.path("usb"));
    let address = target.address().parse().unwrap();
    let watch = station.watch_with(|options| options.target = address);
    station.bring(&names[0]);
    watch.await_line("has not arrived");
    watch.await_listings(2);
    assert_eq!(target.log().count("POST", "/blobs/uploads/"), 0);
    assert_eq!(watch.count("at the target"), 0);
}

#[test]
fn where_tags_may_stay_nothing_is_pushed_early() {
    let target = Registry::start();
    let keep = |options: &mut WatchOptions| options.import.copy.existing = Existing::Keep;
    let (station, volumes, watch) = begin(&target, keep);
    station.bring(&volumes[0]);
    watch.await_line("has not arrived");
    watch.await_listings(2);
    assert_eq!(target.log().count("POST", "/blobs/uploads/"), 0);
}
