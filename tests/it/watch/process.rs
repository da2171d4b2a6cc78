//! The daemon as its supervisor sees it: signals, exit codes, readiness, health.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use airlift::history::{ClaimState, Ledger, RunStatus};

use super::{Station, key};
use crate::support::command::{Airlift, Output, Running};
use crate::support::registry::{Fault, Registry, When};
use crate::support::wait;

pub(super) fn watch(station: &Station, target: &str, more: &[&str]) -> Airlift {
    let (drop, state, trusted) = (
        station.text("drop"),
        station.text("state"),
        key("snakeoil-p256.pub"),
    );
    let mut arguments = vec!["watch", &drop, "--target", target, "--trust", &trusted];
    arguments.extend(["--state", &state, "--interval", "1s"]);
    arguments.extend(more);
    Airlift::new(&arguments)
}

pub(super) fn layout(station: &Station) -> String {
    format!("oci:{}", station.text("far"))
}

fn once(station: &Station, more: &[&str]) -> Output {
    let more = [&["--once"], more].concat();
    watch(station, &layout(station), &more).run()
}

pub(super) fn terminate(running: &Running) {
    let id = running.process_id().to_string();
    let status = Command::new("kill").args(["-TERM", &id]).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_single_round_says_by_its_exit_code_what_came_of_it() {
    let station = Station::new();
    once(&station, &[]).assert_success();
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    once(&station, &[])
        .assert_code(4)
        .assert_stdout("set aside");
    airlift_retry(&station, "chart");
    once(&station, &["--accept-one-off"])
        .assert_success()
        .assert_stdout("chart.tar.zst: imported");
    once(&station, &["--accept-one-off"])
        .assert_success()
        .assert_stdout("it was imported before");
}

fn airlift_retry(station: &Station, name: &str) {
    let state = station.text("state");
    crate::support::command::airlift(&["watch", "retry", name, "--state", &state])
        .assert_success()
        .assert_stdout("brought back: chart");
}

#[test]
fn a_single_round_fails_with_its_target() {
    let station = Station::new();
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    let registry = Registry::start();
    registry.fault(When::any("/blobs/").always(), Fault::Status(403));
    let more = ["--once", "--accept-one-off"];
    watch(&station, &registry.address(), &more)
        .run()
        .assert_code(1)
        .assert_stdout("will be tried again");
}

#[test]
fn a_stop_in_the_middle_of_an_import_gives_the_claim_back() {
    let station = Station::new();
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    let registry = Registry::start();
    registry.fault(When::put("/manifests/"), Fault::Hang);
    let running = watch(&station, &registry.address(), &["--accept-one-off"]).spawn();
    wait::until("the manifest is on its way", || {
        registry.log().count("PUT", "/manifests/") > 0
    });
    terminate(&running);
    running.output().assert_success().assert_stdout("stopped\n");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (claims, runs) = runtime.block_on(async {
        let ledger = Ledger::open(&station.path("state")).await.unwrap();
        let claims = ledger.list_claims().await.unwrap();
        (claims, ledger.list_runs(9).await.unwrap())
    });
    // A run that stayed open would have been ended by opening the ledger, with another reason.
    let outcome = &runs[0].outcome;
    assert_eq!(outcome.status, RunStatus::Interrupted);
    assert_eq!(outcome.reason.as_deref(), Some("the watch was stopped"));
    let states: Vec<ClaimState> = claims.iter().map(|claim| claim.state).collect();
    assert_eq!(states, [ClaimState::Waiting]);
    registry.heal();
    let more = ["--once", "--accept-one-off"];
    let output = watch(&station, &registry.address(), &more).run();
    output
        .assert_success()
        .assert_stdout("chart.tar.zst: imported");
}

fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn supervisors_are_told_and_may_ask() {
    let station = Station::new();
    let path = station.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let running = watch(&station, &layout(&station), &["--health", "127.0.0.1:0"])
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        .spawn();
    let next = || {
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    while next() != "READY=1" {}
    while next() != "WATCHDOG=1" {}
    let mut address = String::new();
    wait::until("it says where it listens", || {
        let told = running.stderr();
        let found = told
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        address = found.unwrap_or_default().to_owned();
        !address.is_empty()
    });
    for path in ["/ready", "/health"] {
        assert!(ask(&address, path).starts_with("HTTP/1.1 200 "), "{path}");
    }
    terminate(&running);
    while next() != "STOPPING=1" {}
    running.output().assert_success();
}
