//! What a run's record says of who, where from, what was carried, and how it was ended.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::runs::Office;
use crate::support::registry::{Fault, Registry, When};
use crate::support::wait;

#[test]
fn a_signal_ends_an_export_and_its_record_names_it() {
    let office = Office::new();
    let line = office.export_line("--name web");
    for name in ["INT", "TERM"] {
        let source = &office.source;
        source.fault(When::get("/blobs/").always(), Fault::StallDownload(1000));
        source.log().clear();
        let running = office.desk.command(&line).spawn();
        wait::until("the download stalls", || {
            source.log().matching("GET", "/blobs/").len() > 2
        });
        running.signal(name);
        running.output().assert_code(130);
        let run = office.newest();
        assert_eq!(run["status"], "interrupted");
        assert_eq!(run["reason"], format!("stopped by SIG{name}"));
        assert!(run["ended"].is_string());
        assert_eq!(office.log(&run).last().unwrap(), "ended");
        source.heal();
    }
    office.desk.run(&line).assert_success();
    assert_eq!(office.newest()["status"], "done");
    let locks = office.desk.names("state");
    assert!(
        !locks.iter().any(|name| name.starts_with("hold-")),
        "{locks:?}"
    );
}

#[test]
fn a_signal_ends_an_import_and_its_record_names_it() {
    let office = Office::new();
    office.desk.run(&office.export_line("")).assert_success();
    let target = Registry::start();
    let (running, seen) = office.start_endless_import(&target);
    running.signal("TERM");
    running.output().assert_code(130);
    let ended = office.show(&seen);
    assert_eq!(ended["status"], "interrupted");
    assert_eq!(ended["reason"], "stopped by SIGTERM");
    assert_eq!(ended["movedBytes"], seen["movedBytes"]);
    target.heal();
    office
        .desk
        .run(&Office::import_line(&target))
        .assert_success();
    assert_eq!(office.newest()["status"], "done");
}

fn said_by(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn who_ran_it_is_what_the_operating_system_says() {
    let office = Office::new();
    let line = office.export_line("");
    let claimed = office.desk.command(&line);
    let claimed = ["LOGNAME", "USER", "SUDO_USER"]
        .iter()
        .fold(claimed, |command, name| command.env(name, "somebody"));
    claimed.run().assert_success();
    let (name, id) = (said_by("id", "-un"), said_by("id", "-u"));
    assert_eq!(office.newest()["who"], format!("{name} ({id})"));
}

#[test]
fn directories_are_recorded_by_their_absolute_paths() {
    let office = Office::new();
    office.desk.run(&office.export_line("")).assert_success();
    let import = "import usb --target oci:far --trust ops.key.pub --state state";
    office.desk.run(import).assert_success();
    let transfer = "transfer usb stick --state state";
    office.desk.run(transfer).assert_success();
    let (usb, far, stick) = (
        office.desk.path("usb"),
        format!("oci:{}", office.desk.path("far").display()),
        office.desk.path("stick"),
    );
    let runs = office.runs("");
    for run in &runs {
        assert_eq!(run["container"], json!(usb), "{run}");
    }
    assert_eq!(runs[0]["target"], json!(stick));
    assert_eq!(runs[1]["target"], far);
}

#[test]
fn one_of_anything_is_not_told_as_many() {
    let office = Office::new();
    office.desk.run(&office.export_line("")).assert_success();
    let import = "import usb --target oci:far --trust ops.key.pub --state state";
    office.desk.run(import).assert_success();
    let log = office.desk.run("runs log --state state");
    log.assert_success()
        .assert_stdout("done: 1 artifact, 1 delivered");
    assert!(!log.stdout.contains("1 artifacts"), "{}", log.stdout);
    let line = "watch usb --target oci:else --trust ops.key.pub --state state --once";
    office.desk.run(line).assert_stdout(", 1 object\n");
}

#[test]
fn all_that_have_ended_are_forgotten_at_once() {
    let office = Office::new();
    office.desk.run(&office.export_line("")).assert_success();
    let clean = "runs clean --older-than 0s";
    assert_eq!(office.json(&format!("{clean} --dry-run"))["runs"], 1);
    assert_eq!(office.json(clean)["runs"], 1);
    assert_eq!(office.runs("").len(), 0);
    office
        .desk
        .run("runs clean --older-than soon --state state")
        .assert_code(2);
}

/// Two bundles in `usb`: `web`, and the first of the pipeline `nightly`.
fn two_bundles() -> Office {
    let office = Office::new();
    for more in ["--name web", "--pipeline nightly --name chart"] {
        office.desk.run(&office.export_line(more)).assert_success();
    }
    office
}

fn inventories(run: &Value) -> Vec<&Value> {
    let bundles = run["bundles"].as_array().unwrap();
    bundles.iter().map(|it| &it["inventoryDigest"]).collect()
}

#[test]
fn a_transfer_is_recorded_with_its_objects_and_bundles() {
    let office = two_bundles();
    let exported: Vec<Value> = office.runs("--kind export");
    let line = "transfer usb stick --state state --comment monday";
    let moved = office.desk.run(&format!("{line} --output json")).json();
    office.desk.run(line).assert_success();
    let runs = office.runs("--kind transfer");
    assert_eq!(runs.len(), 2);
    let first = office.show(&runs[1]);
    assert_eq!(
        (&first["status"], &first["comment"]),
        (&json!("done"), &json!("monday"))
    );
    assert_eq!(first["movedBytes"], moved["copiedBytes"]);
    assert_eq!(
        (
            &first["artifacts"]["total"],
            &first["artifacts"]["delivered"]
        ),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        first["bundles"][0]["name"], "web",
        "one-offs stand before pipelines"
    );
    assert_eq!(first["bundles"][1]["name"], "chart-1");
    assert_eq!(first["bundles"][1]["pipeline"], "nightly");
    assert_eq!(first["bundles"][1]["sequence"], 1);
    let known = [&exported[1], &exported[0]].map(|run| &run["inventoryDigest"]);
    assert_eq!(inventories(&first), known);
    assert_eq!(
        office.log(&runs[1]),
        ["started", "planned", "delivered", "delivered", "ended"]
    );
    let again = office.show(&runs[0]);
    assert_eq!(again["artifacts"]["unchanged"], 2);
    assert_eq!(
        (&again["movedBytes"], &again["presentBytes"]),
        (&json!(0), &moved["copiedBytes"])
    );
    let shown = office.desk.run(&format!(
        "runs show {} --state state",
        runs[1]["id"].as_str().unwrap()
    ));
    shown.assert_stdout("BUNDLE").assert_stdout("nightly");
}

#[test]
fn a_transfer_that_fails_is_recorded_with_its_reasons() {
    let office = two_bundles();
    fs::create_dir(office.desk.path("stick")).unwrap();
    office.desk.write("stick/web.tar.zst", b"something else");
    let line = "transfer usb stick --state state";
    office.desk.run(line).assert_code(1);
    office
        .desk
        .run(&format!("{line} --continue-on-errors"))
        .assert_code(3);
    office
        .desk
        .run("transfer nowhere stick --state state")
        .assert_code(1);
    office
        .desk
        .run(&format!("{line} --bundle nothing"))
        .assert_code(1);
    let runs = office.runs("--kind transfer");
    let statuses: Vec<&Value> = runs.iter().map(|run| &run["status"]).collect();
    assert_eq!(statuses, ["failed", "partly failed", "failed"]);
    assert!(runs[0]["reason"].as_str().unwrap().contains("nothing"));
    let partly = office.show(&runs[1]);
    assert_eq!(partly["failures"][0]["artifact"], "web");
    let reason = partly["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("other content"), "{reason}");
    assert_eq!(partly["artifacts"]["failed"], 1);
    assert_eq!(partly["bundles"].as_array().unwrap().len(), 1);
    assert_eq!(partly["bundles"][0]["name"], "chart-1");
    assert_eq!(office.show(&runs[2])["bundles"], json!([]));
}

#[test]
fn a_watching_transfer_records_only_rounds_that_moved_something() {
    let office = two_bundles();
    fs::create_dir(office.desk.path("drop")).unwrap();
    let running = office
        .desk
        .command("transfer drop stick --watch --interval 50ms --state state")
        .spawn();
    let recorded = || office.runs("--kind transfer").len();
    let bring = |name: &str| {
        let hidden = office.desk.path(&format!("drop/.{name}"));
        fs::copy(office.desk.path(&format!("usb/{name}.tar.zst")), &hidden).unwrap();
        fs::rename(hidden, office.desk.path(&format!("drop/{name}.tar.zst"))).unwrap();
    };
    bring("web");
    wait::until("the first round is recorded", || recorded() == 1);
    bring("chart-1");
    wait::until("the second is recorded", || {
        let runs = office.runs("--kind transfer");
        runs.len() == 2 && runs.iter().all(|run| run["status"] == "done")
    });
    // What stands in the way is tried in every round, and nothing moves.
    office.desk.write("stick/more.tar.zst", b"something else");
    fs::copy(
        office.desk.path("usb/web.tar.zst"),
        office.desk.path("drop/more.tar.zst"),
    )
    .unwrap();
    fs::remove_file(office.desk.path("drop/web.tar.zst")).unwrap();
    wait::until("it is told", || running.stderr().contains("other content"));
    running.signal("TERM");
    running.output().assert_success();
    let runs = office.runs("--kind transfer");
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(runs.iter().all(|run| run["trigger"] == "source"));
}
