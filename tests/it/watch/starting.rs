//! A watch that starts before its target or its container is there.

use std::fs;
use std::os::unix::net::UnixDatagram;

use super::process::{layout, terminate, watch};
use super::{Station, names};
use crate::support::registry::{Fault, Registry, When};
use crate::support::wait;

#[test]
fn a_target_that_answers_nothing_but_503_at_the_start_is_waited_for() {
    let station = Station::new();
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    let registry = Registry::start();
    registry.fault(When::any("/v2/").always(), Fault::Status(503));
    let target = registry.address().parse().unwrap();
    let watch = station.watch_with(|options| options.target = target);
    watch.await_line("the target cannot be used: ");
    assert_eq!(watch.count("watching"), 0, "it is not ready");
    registry.heal();
    watch.await_line("the target can be used");
    watch.await_line("chart.tar.zst: imported:");
    assert_eq!(watch.count("the target cannot be used"), 1);
}

#[test]
fn a_directory_that_is_not_there_at_the_start_is_waited_for() {
    let station = Station::new();
    station.export_chart("chart");
    fs::remove_dir(station.path("drop")).unwrap();
    let watch = station.watch();
    watch.await_line("the container cannot be listed: ");
    fs::create_dir(station.path("drop")).unwrap();
    station.bring("chart.tar.zst");
    watch.await_line("chart.tar.zst: imported:");
}

#[test]
fn a_second_watch_waits_for_the_writer_of_its_layout() {
    let station = Station::new();
    let first = station.watch();
    first.await_line("watching `");
    let second = station.watch();
    second.await_line("the target cannot be used: target: another process is writing to `");
    first.end();
    second.await_line("the target can be used");
    assert_eq!(second.count("the target cannot be used"), 1);
    station.export_chart("chart");
    station.bring("chart.tar.zst");
    second.await_line("chart.tar.zst: imported:");
    let once = watch(&station, &layout(&station), &["--once"]).run();
    once.assert_code(1)
        .assert_stderr("hint: a layout has one writer at a time");
}

#[test]
fn a_single_round_waits_for_nothing() {
    let station = Station::new();
    watch(&station, "127.0.0.1:1", &["--once"])
        .run()
        .assert_code(1)
        .assert_stderr("cannot use `127.0.0.1:1` as a registry");
    fs::remove_dir(station.path("drop")).unwrap();
    watch(&station, &layout(&station), &["--once"])
        .run()
        .assert_code(1)
        .assert_stderr("cannot open the container");
}

#[test]
fn what_no_waiting_mends_ends_the_watch() {
    let station = Station::new();
    let registry = Registry::start();
    registry.fault(When::any("/v2/").always(), Fault::Status(403));
    watch(&station, &registry.address(), &[])
        .run()
        .assert_code(5);
    fs::remove_dir(station.path("drop")).unwrap();
    fs::write(station.path("drop"), b"a file").unwrap();
    watch(&station, &layout(&station), &[]).run().assert_code(2);
    assert!(names(&station.path("state")).contains(&"ledger.db".to_owned()));
}

#[test]
fn a_supervisor_gives_time_and_hears_of_readiness_when_the_target_is_there() {
    let station = Station::new();
    let path = station.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let running = watch(&station, "127.0.0.1:1", &[])
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        .spawn();
    let next = || {
        let mut buffer = [0; 500];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut told = vec![next()];
    while !told.iter().any(|it| it.starts_with("EXTEND_TIMEOUT_USEC=")) {
        told.push(next());
    }
    let status = |it: &&String| it.starts_with("STATUS=the target cannot be used: ");
    assert_eq!(told.iter().filter(status).count(), 1, "{told:?}");
    assert!(!told.contains(&"READY=1".to_owned()), "{told:?}");
    terminate(&running);
    running
        .output()
        .assert_success()
        .assert_stdout("the target cannot be used: ")
        .assert_stdout("stopped\n");
}
