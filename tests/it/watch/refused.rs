//! What is no bundle, or none for us: one clear line, and the watch goes on.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use airlift::bundle::PublicKey;
use airlift::pipeline::OneOff;

use super::{Station, Watch, key, reading, two_signers};
use crate::support::command::airlift;
use crate::support::registry::Registry;
use crate::support::wait;

/// Whatever came before, a good bundle is imported.
fn assert_goes_on(station: &Station, watch: &Watch) {
    station.export("oras", "good", &[]);
    station.bring("good.tar.zst");
    watch.await_line("good.tar.zst: imported");
}

#[test]
fn foreign_files_links_pipes_and_directories_get_one_line_each() {
    let station = Station::new();
    let watch = station.watch();
    station.drop_bytes("notes.txt", b"hello");
    watch.await_line("notes.txt: ignored");
    station.drop_bytes("more.txt", b"hello");
    symlink("/etc/passwd", station.path("drop/link.tar.zst")).unwrap();
    symlink("/nowhere", station.path("drop/dangling.tar.zst")).unwrap();
    fs::create_dir(station.path("drop/folder.tar.zst")).unwrap();
    let pipe = station.path("drop/pipe.tar.zst");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    for name in ["link", "dangling", "folder", "pipe"] {
        watch.await_line(&format!("{name}.tar.zst: set aside: "));
    }
    assert_goes_on(&station, &watch);
    watch.await_listings(2);
    for name in ["notes", "more", "link", "dangling", "folder", "pipe"] {
        assert_eq!(watch.count(&format!("{name}.t")), 1, "{:#?}", watch.lines());
    }
}

#[test]
fn bundles_of_unknown_keys_and_of_none_are_not_imported() {
    let station = Station::new();
    let other = key("snakeoil-p256-other");
    station.export("helm-chart", "chart", &["--sign-key", &other]);
    station.export("helm-chart", "open", &["--unsigned"]);
    let watch = station.watch();
    station.bring("chart.tar.zst");
    station.bring("open.tar.zst");
    watch.await_line("chart.tar.zst: waiting: the signatures are refused: no trusted key");
    watch.await_line("open.tar.zst: waiting: the signatures are refused");
    assert_goes_on(&station, &watch);
    watch.await_line("chart.tar.zst: set aside: the signatures are refused: no trusted key");
    watch.await_listings(2);
    let lines = ["chart.tar.zst", "open.tar.zst"].map(|name| watch.count(name));
    assert_eq!(lines, [2, 1], "{:#?}", watch.lines());
    assert_eq!(station.tags(), ["oras:1.0"]);
}

/// The chart with its contents changed.
fn damaged(station: &Station) -> Vec<u8> {
    let mut bytes = station.export_chart("chart");
    super::damage(&mut bytes);
    bytes
}

#[test]
fn a_damaged_bundle_is_set_aside_after_a_second_reading_and_can_be_brought_back() {
    let station = Station::new();
    let bytes = damaged(&station);
    let watch = station.watch();
    station.drop_bytes("chart.tar.zst", &bytes);
    watch.await_line("chart.tar.zst: waiting: the content of the bundle `chart` cannot be read: ");
    watch
        .await_line("chart.tar.zst: set aside: the content of the bundle `chart` cannot be read: ");
    assert_eq!(watch.count("target: "), 0, "{:#?}", watch.lines());
    assert!(station.tags().is_empty());
    let state = station.text("state");
    let listed = airlift(&["watch", "list", "--state", &state]);
    listed.assert_success().assert_stdout("set aside  chart  ");
    airlift(&["watch", "retry", "chart", "--state", &state]).assert_success();
    wait::until("it has failed again", || {
        watch.count("chart.tar.zst: set aside: ") == 2
    });
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: imported");
}

#[test]
fn damage_in_a_bundle_was_told_as_a_fault_of_the_registry() {
    let station = Station::new();
    let bytes = damaged(&station);
    station.drop_bytes("chart.tar.zst", &bytes);
    let registry = Registry::start();
    let target = registry.address().parse().unwrap();
    let watch = station.watch_with(|options| options.target = target);
    watch
        .await_line("chart.tar.zst: set aside: the content of the bundle `chart` cannot be read: ");
    assert_eq!(watch.count("target: "), 0, "{:#?}", watch.lines());
}

#[test]
fn rules_refuse_a_bundle_at_once() {
    let station = Station::new();
    station.export("helm-chart", "lane", &["--audience", "elsewhere"]);
    station.export("helm-chart", "old", &["--expires", "2020-01-01T00:00:00Z"]);
    let watch = station.watch_with(|options| options.settle_time = super::LONG);
    station.bring("lane.tar.zst");
    station.bring("old.tar.zst");
    watch.await_line("lane.tar.zst: set aside: ");
    watch.await_line("old.tar.zst: set aside: ");
    assert_goes_on(&station, &watch);
}

#[test]
fn a_bundle_without_a_pipeline_is_refused_unless_told_otherwise() {
    let station = Station::new();
    station.export_chart("chart");
    let watch = station.watch_with(|options| options.one_off = OneOff::Refuse);
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: set aside: it belongs to no pipeline");
    assert!(station.tags().is_empty());
}

#[test]
fn a_file_that_may_not_be_read_hides_no_other() {
    if rustix::process::getuid().is_root() {
        eprintln!("skipped: root may read everything");
        return;
    }
    let station = Station::new();
    station.export_chart("chart");
    station.drop_bytes("closed.tar.zst", b"x");
    let closed = station.path("drop/closed.tar.zst");
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let watch = station.watch();
    watch.await_line("closed.tar.zst: will be tried again: ");
    assert_goes_on(&station, &watch);
}

#[test]
fn what_is_no_signature_beside_a_bundle_does_not_hide_it() {
    let station = Station::new();
    station.export_chart("chart");
    fs::create_dir(station.path("drop/chart.tar.zst.0123456789abcdef.sig")).unwrap();
    let pipe = station.path("drop/chart.tar.zst.00112233445566aa.sig");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    symlink(
        "/etc/passwd",
        station.path("drop/chart.tar.zst.00112233445566bb.sig"),
    )
    .unwrap();
    station.bring("chart.tar.zst");
    station.watch().await_line("chart.tar.zst: imported");
}

/// The name of a countersignature of `chart` by a fixture's key.
fn signature_by(name: &str) -> String {
    let text = fs::read_to_string(key(&format!("{name}.pub"))).unwrap();
    let id = PublicKey::parse(&text).unwrap().id().to_string();
    format!("chart.tar.zst.{id}.sig")
}

#[test]
fn junk_in_a_trusted_keys_name_does_not_hinder_signatures_that_count() {
    let station = Station::new();
    station.export_chart("chart");
    station.drop_bytes(&signature_by("snakeoil-p256"), b"wrong");
    station.bring("chart.tar.zst");
    let watch = station.watch();
    watch.await_line("chart.tar.zst: imported");
    assert_eq!(watch.count("waiting"), 0, "{:#?}", watch.lines());
}

#[test]
fn junk_in_place_of_a_missing_signature_is_waited_out_in_one_line() {
    let station = Station::new();
    station.export_chart("chart");
    let signature = signature_by("snakeoil-ed25519");
    station.drop_bytes(&signature, b"wrong");
    station.bring("chart.tar.zst");
    let policy = two_signers();
    let watch = station.watch_with(|options| options.read_trust = reading(policy));
    watch
        .await_line("waiting for signatures: 1 of 2 trusted keys have signed it; what lies beside");
    watch.await_listings(3);
    assert_eq!(watch.count("chart.tar.zst: "), 1, "{:#?}", watch.lines());
    let bundle = station.text("usb/chart.tar.zst");
    let (signer, trusted) = (key("snakeoil-ed25519"), key("snakeoil-p256.pub"));
    airlift(&["sign", &bundle, "--sign-key", &signer, "--trust", &trusted]).assert_success();
    station.bring(&signature);
    watch.await_line("chart.tar.zst: imported");
}
