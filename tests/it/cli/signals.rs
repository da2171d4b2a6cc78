//! Interrupted: exit code 130, nothing half published, and the same command can be run again.

use airlift::oci::Digest;

use super::{Desk, registry_with_layers};
use crate::support::registry::{Fault, When};
use crate::support::wait;

#[test]
fn an_interrupted_export_publishes_nothing_and_can_be_run_again() {
    let desk = Desk::new();
    let registry = registry_with_layers();
    let line = format!(
        "export {}/apps/web:1.4 --container usb --sign-key ops.key --name web",
        registry.address()
    );
    // A layer, and not whatever comes second: the config is so small that it would not stall.
    let layer = format!("/blobs/{}", Digest::sha256(&vec![b'b'; 90_000]));
    for name in ["INT", "TERM"] {
        registry.fault(When::get(&layer).always(), Fault::StallDownload(1000));
        registry.log().clear();
        let running = desk.command(&line).spawn();
        wait::until("the download stalls", || {
            registry.log().count("GET", &layer) > 0
        });
        running.signal(name);
        let output = running.output();
        output.assert_code(130).assert_stderr(
            "note: interrupted; nothing is half published, and the same command can be run again",
        );
        assert_eq!(output.stdout, "");
        assert!(!desk.path("usb/web.tar.zst").exists());
        registry.heal();
    }
    desk.run(&line).assert_success();
    desk.run("verify usb --trust ops.key.pub").assert_success();
    assert_eq!(desk.names("usb"), ["web.tar.zst"]);
}

#[test]
fn an_interrupted_import_moves_no_tag_and_can_be_run_again() {
    let desk = Desk::new();
    let source = registry_with_layers();
    desk.run(&format!(
        "export {}/apps/web:1.4 --container usb --sign-key ops.key",
        source.address()
    ))
    .assert_success();
    let target = crate::support::registry::Registry::start();
    target.fault(When::put("/manifests/"), Fault::Hang);
    let line = format!(
        "import usb --target {} --trust ops.key.pub --check",
        target.address()
    );
    let running = desk.command(&line).spawn();
    wait::until("the manifest is on its way", || {
        target.log().count("PUT", "/manifests/") > 0
    });
    running.signal("INT");
    running.output().assert_code(130);
    assert!(target.snapshot().0.is_empty(), "no tag has moved");
    target.heal();
    desk.run(&line)
        .assert_success()
        .assert_stdout("270.1 kB there already")
        .assert_nowhere("failed");
    target.assert_no_violation();
}

#[test]
fn a_watch_carries_what_comes_and_ends_well_when_it_is_told_to() {
    let desk = Desk::with_bundle();
    std::fs::create_dir(desk.path("drop")).unwrap();
    let running = desk
        .command("transfer drop far --watch --interval 1s --trust ops.key.pub")
        .spawn();
    wait::until("the target is made", || desk.path("far").exists());
    std::fs::copy(desk.path("usb/chart.tar.zst"), desk.path("drop/x.tar.zst")).unwrap();
    wait::until("it is brought over", || desk.path("far/x.tar.zst").exists());
    running.signal("TERM");
    running
        .output()
        .assert_success()
        .assert_stderr("note: stopped; nothing is half published");
    assert_eq!(desk.names("far"), ["x.tar.zst"]);
}
