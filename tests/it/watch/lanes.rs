//! Bundles of a pipeline through the watch: late, with a gap, forked; what a person sees of it, and what a machine.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Station, Watch};
use crate::support::command::airlift;

/// Exports the fixture as this sequence of the pipeline, into `usb`.
fn export(station: &Station, source: &str, sequence: u64) {
    let (state, number) = (station.text("sender"), sequence.to_string());
    let more = [
        "--pipeline",
        "nightly",
        "--state",
        &state,
        "--sequence",
        &number,
    ];
    // The number becomes part of the name.
    station.export(source, source, &more);
}

fn listed(station: &Station) -> (String, Vec<Value>) {
    let state = station.text("state");
    let text = airlift(&["watch", "list", "--state", &state]);
    let json = airlift(&["watch", "list", "--state", &state, "--output", "json"]);
    let work = json.assert_success().json()["work"]
        .as_array()
        .unwrap()
        .clone();
    (text.assert_success().stdout.clone(), work)
}

/// State, decision and reason of a bundle, for machines; a person reads the same reason.
#[track_caller]
fn assert_told(station: &Station, name: &str, state: &str, decision: &str, reason: &str) {
    let (text, work) = listed(station);
    let found = work.iter().find(|it| it["name"] == name).expect(name);
    assert_eq!(
        (&found["state"], &found["decision"]),
        (&state.into(), &decision.into())
    );
    let told = found["reason"].as_str().unwrap_or_default();
    assert!(told.contains(reason), "{told}");
    let line = text.lines().find(|line| line.contains(name)).expect(name);
    assert!(line.starts_with(state) && line.contains(reason), "{line}");
}

fn bring_and_await(station: &Station, watch: &Watch, name: &str, what: &str) {
    station.bring(&format!("{name}.tar.zst"));
    watch.await_line(&format!("{name}.tar.zst: {what}"));
}

#[test]
fn late_bundles_and_gaps_are_delivered_and_told() {
    let station = Station::new();
    for sequence in [1, 2, 4] {
        export(&station, "helm-chart", sequence);
    }
    let watch = station.watch();
    bring_and_await(&station, &watch, "helm-chart-1", "imported");
    bring_and_await(&station, &watch, "helm-chart-4", "imported");
    watch.await_line("has sequences that never arrived: 2 to 3");
    bring_and_await(&station, &watch, "helm-chart-2", "imported");
    watch.await_line("comes late: the sequence 4");
    watch.end();
    assert_told(&station, "helm-chart-1", "done", "new", "");
    let gap = "has sequences that never arrived: 2 to 3";
    assert_told(&station, "helm-chart-4", "done", "new", gap);
    assert_told(
        &station,
        "helm-chart-2",
        "done",
        "late",
        "comes late: the sequence 4",
    );
}

#[test]
fn a_fork_is_set_aside_and_named() {
    let station = Station::new();
    export(&station, "helm-chart", 1);
    copy_files(&station.path("sender"), &station.path("backup"));
    export(&station, "helm-chart", 2);
    let watch = station.watch();
    bring_and_await(&station, &watch, "helm-chart-1", "imported");
    bring_and_await(&station, &watch, "helm-chart-2", "imported");
    // The sender goes on with an old copy of its state, and gives a number out again.
    fs::remove_file(station.path("usb/helm-chart-2.tar.zst")).unwrap();
    fs::remove_dir_all(station.path("sender")).unwrap();
    fs::rename(station.path("backup"), station.path("sender")).unwrap();
    export(&station, "oras", 2);
    bring_and_await(&station, &watch, "oras-2", "set aside");
    watch.end();
    let reason = "the pipeline `nightly` is forked: the sequence 2 was accepted";
    assert_told(&station, "oras-2", "set aside", "fork", reason);
    assert_eq!(station.tags(), ["helm-chart:0.1.0"]);
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in super::names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

#[test]
fn a_replay_under_another_name_is_no_work() {
    let station = Station::new();
    export(&station, "helm-chart", 1);
    let watch = station.watch();
    bring_and_await(&station, &watch, "helm-chart-1", "imported");
    station.bring_as("helm-chart-1.tar.zst", "again.tar.zst");
    watch.await_line("again.tar.zst: nothing to do");
    assert_told(&station, "helm-chart-1", "done", "new", "");
}
