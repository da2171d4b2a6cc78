//! Objects that are replaced while they are imported, and bundles of which a part fails.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use airlift::content::OnError;
use airlift::pipeline::{DeliveredSource, Until};

use super::hooked::hooked_opener;
use super::{Station, key, names, registry_with_layers};
use crate::support::artifacts::image;
use crate::support::command::airlift;
use crate::support::registry::{Fault, Registry, When};

/// The second opening of an object is that of its import.
const IMPORT: usize = 2;

#[test]
fn an_object_that_is_overwritten_in_the_middle_of_its_import_is_never_mixed() {
    let station = Station::new();
    station.export_chart("chart");
    station.export("oras", "other", &[]);
    station.bring("chart.tar.zst");
    let other = fs::read(station.path("usb/other.tar.zst")).unwrap();
    let path = station.path("drop/chart.tar.zst");
    let overwrite = move || {
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&other, 0).unwrap();
        file.set_len(other.len() as u64).unwrap();
    };
    let opener = hooked_opener(&station.path("drop"), IMPORT, Arc::new(overwrite));
    let watch = station.watch_with(|options| options.open_container = opener);
    watch.await_line("chart.tar.zst: imported");
    assert_eq!(station.tags(), ["oras:1.0"], "{:#?}", watch.lines());
    assert_eq!(watch.count("set aside"), 0);
}

#[test]
fn an_object_that_is_renamed_over_in_the_middle_of_its_import_is_two_bundles() {
    let station = Station::new();
    station.export_chart("chart");
    station.export("oras", "other", &[]);
    station.bring("chart.tar.zst");
    let (new, path) = (
        station.path("usb/other.tar.zst"),
        station.path("drop/chart.tar.zst"),
    );
    let replace = move || fs::rename(&new, &path).unwrap();
    let opener = hooked_opener(&station.path("drop"), IMPORT, Arc::new(replace));
    let watch = station.watch_with(|options| options.open_container = opener);
    crate::support::wait::until("both are there", || station.tags().len() == 2);
    assert_eq!(watch.count("set aside"), 0, "{:#?}", watch.lines());
}

#[test]
fn a_bundle_of_which_a_part_fails_is_not_deleted() {
    let station = Station::new();
    let source = registry_with_layers();
    let memory = airlift::content::Memory::new();
    let api = "apps/api".parse().unwrap();
    let document = image(&memory, &api, "amd64", &[b"api"]);
    memory.put_manifest(&api, document, Some(&"2".parse().unwrap()));
    source.seed(&memory);
    let (usb, signer) = (station.text("usb"), key("snakeoil-p256"));
    let references = ["apps/web:1.4", "apps/api:2"].map(|it| format!("{}/{it}", source.address()));
    let mut line = vec![
        "export",
        &references[0],
        &references[1],
        "--container",
        &usb,
    ];
    line.extend(["--name", "both", "--sign-key", &signer]);
    airlift(&line).assert_success();
    station.bring("both.tar.zst");
    let target = Registry::start();
    target.fault(
        When::put("/apps/api/manifests/").always(),
        Fault::Status(400),
    );
    let reference = target.address().parse().unwrap();
    let mut watch = station.watch_with(|options| {
        options.target = reference;
        options.source = DeliveredSource::Delete;
        options.import.copy.on_error = OnError::Continue;
        options.until = Until::Once;
    });
    let report = watch.join();
    assert_eq!(
        (report.partly_imported, report.imported),
        (1, 0),
        "{:#?}",
        watch.lines()
    );
    assert_eq!(names(&station.path("drop")), ["both.tar.zst"]);
    let web = target.tag(&"apps/web".parse().unwrap(), &"1.4".parse().unwrap());
    assert!(web.is_some(), "what could be delivered was");
}
