//! `airlift serve`: pipelines at their times and when something comes, signals, and processes beside each other.

use std::os::unix::net::UnixDatagram;

use airlift::history::{DueProgress, DueRecord, Ledger, Run, RunStatus, Trigger};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Desk, registry_with_layers};
use crate::support::command::{Output, Running};
use crate::support::registry::{Fault, Registry, When};
use crate::support::wait;

const DAILY: &str = "30 3 * * *";

/// A desk with a file of pipelines between two registries.
pub(super) struct Yard {
    pub(super) desk: Desk,
    pub(super) near: Registry,
    pub(super) far: Registry,
}

impl Yard {
    pub(super) fn new(pipelines: &str) -> Self {
        let yard = Self {
            desk: Desk::new(),
            near: registry_with_layers(),
            far: Registry::start(),
        };
        yard.configure(pipelines);
        std::fs::create_dir(yard.desk.path("usb")).unwrap();
        yard
    }

    /// A file with these pipelines.
    pub(super) fn configure(&self, pipelines: &str) {
        let head = "state = \"DESK/state\"\n[registry.near]\naddress = \"NEAR/apps\"\n\
            [registry.far]\naddress = \"FAR/mirror\"\n[container.usb]\nurl = \"DESK/usb\"\n";
        let desk = self.desk.path("").display().to_string();
        let text = format!("{head}{pipelines}")
            .replace("DESK", desk.trim_end_matches('/'))
            .replace("NEAR", &self.near.address())
            .replace("FAR", &self.far.address());
        self.desk.write("airlift.toml", text);
    }

    pub(super) fn run(&self, line: &str) -> Output {
        self.desk.run(&format!("{line} --config airlift.toml"))
    }

    fn serve(&self) -> Running {
        let command = self.desk.command("serve --config airlift.toml");
        command.spawn()
    }

    pub(super) fn has_delivered(&self, name: &str) -> bool {
        let (repository, tag) = name.split_once(':').unwrap();
        let found = self
            .far
            .tag(&repository.parse().unwrap(), &tag.parse().unwrap());
        found.is_some()
    }

    /// As if serve had run it two days ago.
    fn remember_a_time(&self) {
        let record = DueRecord {
            expression: format!("{DAILY} UTC"),
            last_due: Timestamp::now() - SignedDuration::from_hours(49),
            progress: DueProgress::Ended,
        };
        self.with_ledger(async |ledger| {
            ledger.record_due("export.nightly", &record).await.unwrap();
        });
    }

    fn due(&self) -> Option<DueRecord> {
        self.with_ledger(async |ledger| ledger.find_due("export.nightly").await.unwrap())
    }

    /// The oldest first.
    pub(super) fn runs(&self) -> Vec<Run> {
        let mut runs = self.with_ledger(async |ledger| ledger.list_runs(20).await.unwrap());
        runs.reverse();
        runs
    }

    fn with_ledger<T>(&self, ask: impl AsyncFnOnce(&Ledger) -> T) -> T {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let ledger = Ledger::open(&self.desk.path("state")).await.unwrap();
            ask(&ledger).await
        })
    }

    /// Has every export of it hang in the middle.
    fn hang(&self) {
        self.near
            .fault(When::get("/blobs/").after(1).always(), Fault::Hang);
        self.near.log().clear();
    }

    fn wait_until_it_hangs(&self) {
        wait::until("the export hangs", || {
            self.near.log().count("GET", "/blobs/") > 1 && !self.runs().is_empty()
        });
    }
}

fn until_told(running: &Running, part: &str) {
    let told = wait::within(wait::PATIENCE, || running.stdout().contains(part));
    assert!(
        told,
        "`{part}` is not told:\n{}\n{}",
        running.stdout(),
        running.stderr()
    );
}

pub(super) const NIGHTLY: &str = r#"
[export.nightly]
registry = "near"
references = ["web"]
container = "usb"
sign-key = "DESK/ops.key"
schedule = "30 3 * * *"
"#;

pub(super) const MIRROR: &str = r#"
[import.mirror]
container = "usb"
target = "far"
trust = ["nightly=DESK/ops.key.pub"]
interval = "1s"
"#;

#[test]
fn a_time_that_was_missed_is_run_once_and_a_watch_delivers_what_it_made() {
    let yard = Yard::new(&[NIGHTLY, MIRROR].concat());
    yard.remember_a_time();
    let running = yard.serve();
    until_told(&running, "import.mirror");
    wait::until("the bundle is delivered", || {
        yard.has_delivered("mirror/web:1.4") || yard.has_delivered("mirror/apps/web:1.4")
    });
    until_told(&running, "export.nightly");
    until_told(&running, "runs next at");
    running.signal("TERM");
    let told = running.output();
    told.assert_success()
        .assert_stdout("ready: 1 watched, 1 scheduled")
        .assert_stdout("begun, as it was due at")
        .assert_stdout("ended: done")
        .assert_stdout("stopped");
    let due = yard.due().unwrap();
    assert_eq!(due.progress, DueProgress::Ended);
    assert!(due.last_due <= Timestamp::now());

    let again = yard.serve();
    until_told(&again, "runs next at");
    again.signal("TERM");
    again.output().assert_success();
    let exports: Vec<Run> = yard.runs();
    let exports = exports
        .iter()
        .filter(|run| run.start.trigger == Trigger::Schedule);
    let exports: Vec<&Run> = exports.collect();
    assert_eq!(exports.len(), 1, "one run for both days");
    let section = exports[0].start.link.section.as_deref();
    assert_eq!(section, Some("export.nightly"));
    let listed = yard.desk.run("runs --state state --pipeline mirror");
    listed.assert_success().assert_stdout("mirror");
}

#[test]
fn a_pipeline_that_is_new_in_the_file_has_missed_nothing() {
    let yard = Yard::new(NIGHTLY);
    let running = yard.serve();
    until_told(&running, "export.nightly");
    until_told(&running, "runs next at");
    running.signal("INT");
    running.output().assert_success();
    assert!(yard.runs().is_empty());
    assert!(yard.due().is_some());
}

#[test]
fn a_stop_interrupts_a_run_and_the_next_start_does_it_again() {
    let yard = Yard::new(NIGHTLY);
    yard.remember_a_time();
    yard.hang();
    let running = yard.serve();
    yard.wait_until_it_hangs();
    let refused = yard.run("run export nightly");
    refused
        .assert_code(1)
        .assert_stderr("`[export.nightly]` is being run already by")
        .assert_stderr("`airlift serve`, process");
    running.signal("TERM");
    running.output().assert_success();
    yard.near.heal();
    let interrupted = yard.runs().pop().unwrap();
    assert_eq!(interrupted.outcome.status, RunStatus::Interrupted);
    assert_eq!(
        interrupted.outcome.reason.as_deref(),
        Some("stopped by SIGTERM")
    );
    assert_eq!(yard.due().unwrap().progress, DueProgress::Begun);
    let again = yard.serve();
    until_told(&again, "begun again");
    until_told(&again, "ended: done");
    again.signal("TERM");
    again.output().assert_success();
    assert_eq!(yard.runs().pop().unwrap().outcome.status, RunStatus::Done);
    assert_eq!(yard.due().unwrap().progress, DueProgress::Ended);
}

#[test]
fn two_serves_never_run_a_pipeline_at_once_and_one_takes_over_from_one_that_was_killed() {
    let yard = Yard::new(NIGHTLY);
    yard.remember_a_time();
    yard.hang();
    let first = yard.serve();
    yard.wait_until_it_hangs();
    let second = yard.serve();
    until_told(&second, "waits for");
    assert_eq!(yard.runs().len(), 1);
    yard.near.heal();
    first.kill();
    until_told(&second, "begun again");
    until_told(&second, "ended: done");
    second.signal("TERM");
    second.output().assert_success();
    let statuses: Vec<RunStatus> = yard.runs().iter().map(|run| run.outcome.status).collect();
    assert_eq!(statuses, [RunStatus::Interrupted, RunStatus::Done]);
    let third = yard.serve();
    until_told(&third, "runs next at");
    third.signal("TERM");
    third.output().assert_success();
    assert_eq!(yard.runs().len(), 2, "it is repeated once");
}

/// The pipeline is known by its name in the state directory, whatever a file says of it.
#[test]
fn two_serves_with_different_files_never_run_one_pipeline_at_once() {
    let yard = Yard::new(NIGHTLY);
    yard.remember_a_time();
    yard.hang();
    let first = yard.serve();
    yard.wait_until_it_hangs();
    let text = std::fs::read_to_string(yard.desk.path("airlift.toml")).unwrap();
    let other = text.replace("container = \"usb\"", "container = \"/elsewhere\"");
    yard.desk.write("other.toml", other);
    let second = yard.desk.command("serve --config other.toml").spawn();
    until_told(&second, "waits for");
    let by_hand = yard.desk.run("run export nightly --config other.toml");
    by_hand
        .assert_code(1)
        .assert_stderr("`[export.nightly]` is being run already by");
    assert_eq!(yard.runs().len(), 1);
    yard.near.heal();
    first.signal("TERM");
    first.output().assert_success();
    second.signal("TERM");
    second.output().assert_success();
}

/// Watches share their work by claims, and repeated transfers wait for each other.
#[test]
fn two_serves_with_different_files_share_what_comes() {
    let yard = Yard::new(&[NIGHTLY, MIRROR, TRANSFER].concat());
    let first = yard.serve();
    until_told(&first, "ready: 2 watched");
    let text = std::fs::read_to_string(yard.desk.path("airlift.toml")).unwrap();
    yard.desk.write(
        "other.toml",
        text.replace("interval = \"1s\"", "interval = \"2s\""),
    );
    let second = yard.desk.command("serve --config other.toml").spawn();
    until_told(&second, "waits for");
    yard.run("run export nightly").assert_success();
    wait::until("the bundle is delivered and copied", || {
        let is_copied =
            std::fs::read_dir(yard.desk.path("stick")).is_ok_and(|entries| entries.count() > 0);
        is_copied && yard.has_delivered("mirror/apps/web:1.4")
    });
    wait::until("both are recorded", || {
        let runs = yard.runs();
        runs.len() == 3 && runs.iter().all(|run| run.outcome.status == RunStatus::Done)
    });
    first.signal("TERM");
    first.output().assert_success();
    until_told(&second, "Z watching");
    second.signal("TERM");
    second.output().assert_success();
    assert_eq!(yard.runs().len(), 3, "nothing was done twice");
}

#[test]
fn a_pipeline_that_fails_is_told_and_nothing_else_ends() {
    let yard = Yard::new(&[NIGHTLY, MIRROR].concat());
    yard.remember_a_time();
    yard.near
        .fault(When::any("/manifests/").always(), Fault::Status(403));
    let running = yard.serve();
    until_told(&running, "failed: ");
    until_told(&running, "runs next at");
    yard.near.heal();
    yard.run("run export nightly").assert_success();
    wait::until("the watch goes on", || {
        yard.has_delivered("mirror/web:1.4") || yard.has_delivered("mirror/apps/web:1.4")
    });
    running.signal("TERM");
    running.output().assert_success();
}

const TRANSFER: &str = r#"
[transfer.stick]
source = "usb"
target = "DESK/stick"
source-trigger = true
interval = "1s"
"#;

#[test]
fn the_file_is_read_again_and_one_with_faults_changes_nothing() {
    let yard = Yard::new(MIRROR);
    let running = yard.serve();
    until_told(&running, "ready: 1 watched, 0 scheduled");
    until_told(&running, "Z watching");
    yard.configure("[import.mirror]\ncontainer = \"usp\"\n");
    running.signal("HUP");
    until_told(&running, "there is no `[container.usp]`");
    yard.configure(&[NIGHTLY, MIRROR, TRANSFER].concat());
    running.signal("HUP");
    until_told(
        &running,
        "read again: 2 watched, 1 scheduled; 2 begun, 0 ended",
    );
    let exported = yard.run("run export nightly");
    exported.assert_success();
    wait::until("the transfer has copied it", || {
        std::fs::read_dir(yard.desk.path("stick")).is_ok_and(|entries| entries.count() > 0)
    });
    let begun = running.stdout().matches("Z watching").count();
    assert_eq!(begun, 1, "the watch goes on untouched");
    yard.configure(NIGHTLY);
    running.signal("HUP");
    until_told(
        &running,
        "read again: 0 watched, 1 scheduled; 0 begun, 2 ended",
    );
    yard.configure(NIGHTLY);
    running.signal("HUP");
    until_told(&running, "nothing has changed");
    running.signal("TERM");
    running.output().assert_success();
}

#[test]
fn supervisors_are_told_and_every_line_is_json_where_that_is_asked_for() {
    let yard = Yard::new(&[NIGHTLY, MIRROR].concat());
    yard.remember_a_time();
    let path = yard.desk.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let line = "serve --config airlift.toml --output json --health 127.0.0.1:0";
    let running = yard
        .desk
        .command(line)
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        .spawn();
    let next = || {
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(next(), "STATUS=1 watched, 1 scheduled");
    assert_eq!(next(), "READY=1");
    while next() != "WATCHDOG=1" {}
    wait::until("the bundle is delivered", || {
        running.stdout().contains("\"imported\"")
    });
    running.signal("TERM");
    while next() != "STOPPING=1" {}
    let told = running.output();
    told.assert_success()
        .assert_stderr("health is told on http://127.0.0.1:");
    let documents: Vec<Value> = told
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    super::json::assert_documented("serve", &documents);
    let of = |name: &str| documents.iter().filter(|it| it["pipeline"] == name).count();
    assert!(of("export.nightly") >= 3, "{}", told.stdout);
    assert!(of("import.mirror") >= 2, "{}", told.stdout);
}

#[test]
fn a_file_without_a_state_directory_is_not_served() {
    let yard = Yard::new("");
    yard.desk
        .write("airlift.toml", "[container.usb]\nurl = \"/srv/usb\"\n");
    let refused = yard.run("serve");
    refused.assert_code(2).assert_stderr("has no `state`");
}

#[test]
fn a_schedule_and_a_source_trigger_of_a_transfer_exclude_each_other() {
    let yard = Yard::new(&format!("{TRANSFER}schedule = \"* * * * *\"\n"));
    yard.run("config check")
        .assert_code(2)
        .assert_stderr("exclude each other");
    yard.configure(&TRANSFER.replace("source-trigger = true\n", ""));
    let told = yard.run("config check");
    told.assert_code(2)
        .assert_stderr("`interval` needs `source-trigger = true`");
}
