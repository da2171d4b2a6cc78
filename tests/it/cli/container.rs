//! What a container holds, and what interrupted uploads have left in it: told, and removed.

use std::fs::File;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::Desk;

const DAY: Duration = Duration::from_hours(24);

/// A partial file that was last written so long ago.
fn leave(desk: &Desk, name: &str, age: Duration) -> File {
    desk.write(name, "begun");
    let file = File::options().append(true).open(desk.path(name)).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
    file
}

#[test]
fn a_container_without_leftovers_has_nothing_to_clean() {
    let desk = Desk::with_bundle();
    desk.write("usb/readme.txt", "x");
    let listed = desk.run("container list usb");
    let rows: Vec<&str> = listed.assert_success().stdout.lines().collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[1].starts_with("chart.tar.zst  ") && rows[1].ends_with("  volume"));
    assert!(rows[2].starts_with("readme.txt     1 B") && rows[2].ends_with("  other"));
    let cleaned = desk.run("container clean usb --older-than 0s");
    assert_eq!(
        cleaned.assert_success().stdout,
        "0 open uploads, 0 removed\n"
    );
    assert_eq!(desk.names("usb"), ["chart.tar.zst", "readme.txt"]);
}

#[test]
fn only_what_was_abandoned_goes() {
    let desk = Desk::with_bundle();
    leave(&desk, "usb/old.tar.zst.partial", 2 * DAY);
    leave(&desk, "usb/film.mkv.partial", 2 * DAY);
    leave(&desk, "usb/new.tar.zst.partial", DAY / 2);
    let held = leave(&desk, "usb/held.tar.zst.partial", 2 * DAY);
    flock(&held, FlockOperation::LockExclusive).unwrap();
    std::os::unix::fs::symlink("/dev/null", desk.path("usb/link.tar.partial")).unwrap();

    let listed = desk.run("container list usb");
    listed.assert_success().assert_stdout("open upload, held");
    let before = desk.names("usb");
    let planned = desk.run("container clean usb --dry-run");
    planned
        .assert_success()
        .assert_stdout("abandoned: old.tar.zst, 5 B, last changed 20")
        .assert_stdout("5 open uploads, 1 would be removed");
    assert_eq!(desk.names("usb"), before);

    let cleaned = desk.run("container clean usb");
    cleaned
        .assert_success()
        .assert_stdout("removed: old.tar.zst, ")
        .assert_stdout(": a running process holds it")
        .assert_stdout(": not old enough, see `--older-than`")
        .assert_stdout(": not an upload of airlift")
        .assert_stdout("5 open uploads, 1 removed");
    let all = desk.run("container clean usb --older-than 0s");
    all.assert_success()
        .assert_stdout("4 open uploads, 1 removed");
    drop(held);
    desk.run("container clean usb")
        .assert_success()
        .assert_stdout("removed: held.tar.zst, ");
    assert_eq!(
        desk.names("usb"),
        ["chart.tar.zst", "film.mkv.partial", "link.tar.partial"]
    );
}

#[test]
fn what_a_killed_export_has_left_is_cleaned() {
    let desk = Desk::new();
    let export = "export oci:near/buildah-multiarch --container usb --sign-key ops.key";
    // Wherever it is killed: what is left then is a bundle, or named and gone.
    for seed in 0..6 {
        let running = desk.command(&format!("{export} --name n{seed}")).spawn();
        running.kill_by_seed(seed, Duration::from_millis(60));
    }
    std::fs::create_dir_all(desk.path("usb")).unwrap();
    desk.run("container clean usb --older-than 0s")
        .assert_success();
    let is_left = |name: &String| name.ends_with(".partial");
    assert_eq!(desk.names("usb").iter().find(|name| is_left(name)), None);
}
