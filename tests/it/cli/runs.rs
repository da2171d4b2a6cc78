//! `airlift runs`: what others see of exports, imports and watches, while they go on and afterwards.

use airlift::history::Ledger;
use serde_json::{Value, json};

use super::json::assert_documented;
use super::{Desk, registry_with_layers};
use crate::support::command::Running;
use crate::support::registry::{Fault, Registry, When};
use crate::support::wait;

/// A desk beside a registry, and what `airlift runs` says about the desk's state.
pub(super) struct Office {
    pub(super) desk: Desk,
    pub(super) source: Registry,
}

impl Office {
    pub(super) fn new() -> Self {
        Self {
            desk: Desk::new(),
            source: registry_with_layers(),
        }
    }

    pub(super) fn export_line(&self, more: &str) -> String {
        format!(
            "export {}/apps/web:1.4 --container usb --sign-key ops.key --state state {more}",
            self.source.address()
        )
    }

    pub(super) fn import_line(target: &Registry) -> String {
        format!(
            "import usb --target {} --trust ops.key.pub --state state",
            target.address()
        )
    }

    pub(super) fn json(&self, line: &str) -> Value {
        let output = self
            .desk
            .run(&format!("{line} --state state --output json"));
        output.assert_success().json()
    }

    pub(super) fn runs(&self, more: &str) -> Vec<Value> {
        let document = self.json(&format!("runs {more}"));
        document["runs"].as_array().unwrap().clone()
    }

    pub(super) fn newest(&self) -> Value {
        self.runs("--top 1").remove(0)
    }

    pub(super) fn show(&self, run: &Value) -> Value {
        self.json(&format!("runs show {}", run["id"].as_str().unwrap()))
    }

    pub(super) fn log(&self, run: &Value) -> Vec<String> {
        let document = self.json(&format!("runs log {}", run["id"].as_str().unwrap()));
        let lines = document["lines"].as_array().unwrap().iter();
        lines
            .map(|line| line["event"].as_str().unwrap().to_owned())
            .collect()
    }

    /// An import of the exported bundle that never gets an answer to its first manifest.
    pub(super) fn start_endless_import(&self, target: &Registry) -> (Running, Value) {
        target.fault(When::put("/manifests/").always(), Fault::Hang);
        let running = self.desk.command(&Self::import_line(target)).spawn();
        let mut seen = Value::Null;
        wait::until("its progress is seen", || {
            seen = self.show(&self.newest());
            let progress = &seen["progress"];
            let left = progress["contents"]
                .as_u64()
                .zip(progress["contentsDone"].as_u64());
            seen["kind"] == "import" && left.is_some_and(|(all, done)| done + 1 == all)
        });
        // Its row was read before its progress: once more, and both are of the same second.
        let seen = self.show(&seen);
        (running, seen)
    }
}

#[test]
fn what_was_run_is_listed_and_shown_with_every_figure() {
    let office = Office::new();
    let address = office.source.address();
    let line = "export oci:near/helm-chart --container usb --unsigned --comment release-7";
    office.desk.run(line).assert_code(2);
    let export = office.export_line("--pipeline nightly --comment release-7");
    office.desk.run(&export).assert_success();
    office.desk.run(&export).assert_success();
    let part = office.export_line(&format!(
        "{address}/apps/gone:1 --continue-on-errors --name part"
    ));
    office.desk.run(&part).assert_code(3);
    office
        .desk
        .run(&format!(
            "export {address}/apps/gone:1 --container usb --unsigned --state state"
        ))
        .assert_code(1);

    let runs = office.runs("");
    let statuses: Vec<&str> = runs
        .iter()
        .map(|run| run["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["failed", "partly failed", "done", "done"]);
    assert_eq!(office.runs("--status partly-failed").len(), 1);
    assert_eq!(office.runs("--pipeline nightly").len(), 2);
    assert_eq!(office.runs("--kind import").len(), 0);
    office
        .desk
        .run("runs --state state --top 3")
        .assert_success()
        .assert_stdout("partly failed")
        .assert_stderr("these are the newest 3 of 4 runs; `--top N` shows more");

    let first = office.show(&runs[3]);
    assert_eq!(first["comment"], "release-7");
    assert_eq!(
        (&first["sequence"], &first["trigger"]),
        (&json!(1), &json!("manual"))
    );
    assert_eq!(first["artifacts"]["delivered"], 1);
    assert!(first["movedBytes"].as_u64() > Some(270_000), "{first}");
    assert_eq!(office.show(&runs[2])["artifacts"]["unchanged"], 1);
    let partly = office.show(&runs[1]);
    let repositories = partly["repositories"].as_array().unwrap();
    assert_eq!(repositories.len(), 2);
    assert_eq!(
        repositories[0]["repository"],
        format!("{address}/apps/gone")
    );
    assert_eq!(repositories[0]["artifacts"]["failed"], 1);
    assert_eq!(repositories[1]["artifacts"]["delivered"], 1);
    assert_eq!(
        partly["failures"][0]["artifact"],
        format!("{address}/apps/gone:1")
    );
    assert!(office.show(&runs[0])["reason"].is_string());
    assert_eq!(office.log(&runs[0]), ["started", "ended"]);
    assert_eq!(
        office.log(&runs[1]),
        ["started", "planned", "delivered", "failed", "ended"]
    );
}

#[test]
fn an_import_that_fails_in_part_tells_which_repository() {
    let office = Office::new();
    office
        .desk
        .run(&office.export_line("oci:near/helm-chart"))
        .assert_success();
    let target = Registry::start();
    target.fault(
        When::put("/helm-chart/manifests/").always(),
        Fault::Status(400),
    );
    let line = Office::import_line(&target);
    office
        .desk
        .run(&format!("{line} --continue-on-errors --comment tuesday"))
        .assert_code(3);
    let runs = office.runs("--kind import --status partly-failed");
    assert_eq!(runs.len(), 1);
    let shown = office.show(&runs[0]);
    assert_eq!(shown["comment"], "tuesday");
    let repositories = shown["repositories"].as_array().unwrap();
    let counts = |position: usize, name: &str| repositories[position]["artifacts"][name].clone();
    assert_eq!(repositories[0]["repository"], "apps/web");
    assert_eq!(
        (counts(0, "total"), counts(0, "delivered")),
        (json!(1), json!(1))
    );
    assert_eq!(repositories[1]["repository"], "helm-chart");
    assert_eq!(
        (counts(1, "total"), counts(1, "failed")),
        (json!(1), json!(1))
    );
    assert_eq!(shown["failures"].as_array().unwrap().len(), 1);
    let log = office.log(&runs[0]);
    for event in ["planned", "tagged", "delivered", "failed", "ended"] {
        assert!(log.iter().any(|told| told == event), "{event}: {log:?}");
    }
}

#[test]
fn a_run_is_named_by_the_beginning_of_its_id() {
    let office = Office::new();
    office
        .desk
        .run("runs --state state")
        .assert_code(2)
        .assert_stderr("there is no ledger in `state`");
    office.desk.run(&office.export_line("")).assert_success();
    office
        .desk
        .run(&office.export_line("--name again"))
        .assert_success();
    let runs = office.runs("");
    let ids: Vec<&str> = runs.iter().map(|run| run["id"].as_str().unwrap()).collect();
    let text = office.desk.run("runs --state state");
    let shown = text.stdout.lines().nth(1).unwrap();
    let start = shown.split_whitespace().next().unwrap();
    assert!(ids[0].starts_with(start) && start.len() < 32);
    let found = office
        .desk
        .run(&format!("runs show {} --state state", start.to_uppercase()));
    found.assert_success().assert_stdout(ids[0]);
    office
        .desk
        .run(&format!("runs show {} --state state", &start[..3]))
        .assert_code(2)
        .assert_stderr(ids[0])
        .assert_stderr(ids[1]);
    office
        .desk
        .run("runs show never --state state")
        .assert_code(2)
        .assert_stderr("no run has an id that begins with `never`");
    let newest = office.desk.run("runs log --state state");
    newest.assert_success().assert_stdout("again");
}

#[test]
fn a_run_is_watched_from_outside_and_its_death_is_noticed() {
    let office = Office::new();
    office.desk.run(&office.export_line("")).assert_success();
    let target = Registry::start();
    let (running, seen) = office.start_endless_import(&target);
    assert_eq!(seen["status"], "running");
    assert_eq!(seen["progress"]["phase"], "moving");
    let progress = |name: &str| seen["progress"][name].as_u64().unwrap();
    assert!(progress("contentsDone") < progress("contents"), "{seen}");
    assert!(progress("bytesDone") < progress("bytes"), "{seen}");
    assert!(seen["movedBytes"].as_u64() > Some(270_000), "{seen}");
    office
        .desk
        .run("runs clean --older-than 1ms --state state --dry-run")
        .assert_success()
        .assert_stdout("1 run would be forgotten");

    // Somebody else uses the directory all the while, so nobody ever is alone with it.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let state = office.desk.path("state");
    let _ledger = runtime.block_on(Ledger::open(&state)).unwrap();
    assert!(running.kill().was_killed());
    let killed = office.show(&seen);
    assert_eq!(killed["status"], "interrupted");
    assert_eq!(killed["reason"], "the process ended without saying why");
    assert_eq!(killed["movedBytes"], seen["movedBytes"]);
    assert_eq!(
        killed["progress"]["contentsDone"],
        seen["progress"]["contentsDone"]
    );
    assert_eq!(office.log(&seen).last().unwrap(), "ended");

    target.heal();
    let line = Office::import_line(&target);
    office.desk.run(&line).assert_success();
    let log = office.log(&office.newest());
    assert_eq!(log, ["started", "planned", "tagged", "delivered", "ended"]);
}

#[test]
fn a_run_that_is_cancelled_ends_and_can_be_run_again() {
    let office = Office::new();
    office.source.fault(
        When::get("/blobs/").after(1).always(),
        Fault::StallDownload(1000),
    );
    let line = office.export_line("--name web");
    let running = office.desk.command(&line).spawn();
    wait::until("it has begun", || {
        let listed = office.desk.run("runs --state state");
        listed.code == Some(0) && listed.stdout.contains("running")
    });
    let run = office.newest();
    let cancel = format!("runs cancel {}", run["id"].as_str().unwrap());
    let asked = office.json(&cancel);
    assert_eq!(asked["cancelAsked"], true);
    assert_documented("runs cancel", &[asked]);
    running
        .output()
        .assert_code(130)
        .assert_stderr("has cancelled it")
        .assert_stderr("the same command can be run again");
    let cancelled = office.show(&run);
    assert_eq!(cancelled["status"], "cancelled");
    assert!(cancelled["cancelAskedBy"].is_string());
    assert!(office.log(&run).contains(&"cancel asked".to_owned()));
    assert!(!office.desk.path("usb/web.tar.zst").exists());
    office
        .desk
        .run(&format!("{cancel} --state state"))
        .assert_code(1)
        .assert_stderr("does not go on: it is cancelled");
    office.source.heal();
    office.desk.run(&line).assert_success();
    assert_eq!(office.newest()["status"], "done");
}

#[test]
fn a_watch_sets_aside_what_was_cancelled_and_goes_on() {
    let office = Office::new();
    office
        .desk
        .run(&office.export_line("--name web"))
        .assert_success();
    let target = Registry::start();
    target.fault(When::put("/manifests/"), Fault::Hang);
    let line = format!(
        "watch usb --target {} --trust ops.key.pub --state state --accept-one-off --interval 1s",
        target.address()
    );
    let watch = office.desk.command(&line).spawn();
    wait::until("the watch is at it", || {
        office.newest()["kind"] == "watch" && office.newest()["status"] == "running"
    });
    let run = office.newest();
    office.json(&format!("runs cancel {}", run["id"].as_str().unwrap()));
    let set_aside = || {
        let work = office.json("watch list");
        work["work"][0]["state"] == "set aside"
    };
    wait::until("it is set aside", set_aside);
    assert_eq!(office.show(&run)["status"], "cancelled");
    office
        .desk
        .run("watch retry web --state state")
        .assert_success();
    wait::until("it is delivered after all", || {
        office.newest()["status"] == "done"
    });
    watch.signal("TERM");
    watch.output().assert_success();
}

#[test]
fn a_list_that_goes_on_tells_what_begins_and_ends() {
    let office = Office::new();
    office.desk.run(&office.export_line("")).assert_success();
    let lists = [
        "runs --state state --watch",
        "runs --state state --watch --output json",
    ];
    let lists = lists.map(|line| office.desk.command(line).spawn());
    let has_told = |count: usize| {
        lists
            .iter()
            .all(|it| it.stdout().matches("export").count() == count)
    };
    wait::until("the first is told", || has_told(1));
    office
        .desk
        .run(&office.export_line("--name again"))
        .assert_success();
    wait::until("the second is told too", || {
        lists
            .iter()
            .all(|it| it.stdout().matches("done").count() == 2)
    });
    for list in lists {
        list.signal("INT");
        let output = list.output();
        output.assert_success();
        assert_eq!(output.stderr, "");
    }
}

#[test]
fn old_runs_are_forgotten_and_nothing_that_decides() {
    let office = Office::new();
    let export = office.export_line("--pipeline nightly");
    office.desk.run(&export).assert_success();
    let target = Registry::start();
    let import = Office::import_line(&target);
    office.desk.run(&import).assert_success();
    let clean = "runs clean --older-than";
    assert_eq!(office.json(&format!("{clean} 90d"))["runs"], 0);
    assert_eq!(office.json(&format!("{clean} 1ms --dry-run"))["runs"], 2);
    assert_eq!(office.runs("").len(), 2);
    assert_eq!(office.json(&format!("{clean} 1ms"))["runs"], 2);
    assert_eq!(office.runs("").len(), 0);
    office
        .desk
        .run("runs log --state state")
        .assert_code(1)
        .assert_stderr("there was no run yet");
    office
        .desk
        .run(&import)
        .assert_success()
        .assert_stderr("was delivered before, so nothing was to be done");
    let again = office.desk.run(&format!("{export} --output json")).json();
    assert_eq!(again["bundles"][0]["unchanged"], true);
}
