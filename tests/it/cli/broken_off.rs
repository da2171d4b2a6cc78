//! Imports that fail between their first tag and their last: what moved is recorded by the run that moved it.

use airlift::content::Memory;
use serde_json::Value;

use super::Desk;
use crate::support::artifacts::dated_image;
use crate::support::registry::{Fault, Registry, When};

/// Two bundles of one pipeline, in `one` and `two`, each with `apps/web:v1` and `apps/api:v1`.
struct Road {
    desk: Desk,
    far: Registry,
    /// What `apps/web:v1` is in each of them.
    webs: Vec<String>,
}

/// Images of this day of January, and the digest of `apps/web`.
fn stock(registry: &Registry, day: usize) -> String {
    let memory = Memory::new();
    let created = format!("2020-01-{day:02}T00:00:00Z");
    let mut digests = Vec::new();
    for (name, architecture) in [("apps/web", "amd64"), ("apps/api", "arm64")] {
        let repository = name.parse().unwrap();
        let document = dated_image(&memory, &repository, architecture, &created);
        digests.push(document.descriptor.digest.to_string());
        memory.put_manifest(&repository, document, Some(&"v1".parse().unwrap()));
    }
    registry.seed(&memory);
    digests.remove(0)
}

impl Road {
    fn new() -> Self {
        let (desk, near) = (Desk::new(), Registry::start());
        let mut webs = Vec::new();
        for (day, container) in [(1, "one"), (2, "two")] {
            webs.push(stock(&near, day));
            let host = near.address();
            desk.run(&format!(
                "export {host}/** --container {container} --sign-key ops.key --pipeline plant --state near-state"
            ))
            .assert_success();
        }
        Self {
            desk,
            far: Registry::start(),
            webs,
        }
    }

    /// The tag of `apps/api` cannot be set.
    fn break_api(&self) {
        let when = When::put("/apps/api/manifests/v1").always();
        self.far.fault(when, Fault::Status(400));
    }

    fn import(&self, container: &str, more: &str) -> crate::support::command::Output {
        let host = self.far.address();
        self.desk.run(&format!(
            "import {container} --target {host} --trust ops.key.pub --state state {more}"
        ))
    }

    fn tag(&self, repository: &str) -> Option<String> {
        let repository = repository.parse().unwrap();
        let found = self.far.tag(&repository, &"v1".parse().unwrap());
        found.map(|digest| digest.to_string())
    }

    fn newest_run(&self) -> Value {
        let runs = self.desk.run("runs --state state --output json").json();
        runs["runs"][0].clone()
    }

    /// Imports of `apps/web:v1`, the oldest first.
    fn imports_of_web(&self) -> Vec<Value> {
        let host = self.far.address();
        let line = format!("history {host}/apps/web:v1 --state state --output json");
        let events = self.desk.run(&line).json();
        let events = events["events"].as_array().unwrap().iter();
        events
            .filter(|it| it["kind"] == "imported")
            .cloned()
            .collect()
    }
}

#[test]
fn an_import_that_fails_between_its_tags_records_what_has_moved() {
    let road = Road::new();
    road.import("one", "").assert_success();
    road.break_api();
    road.import("two", "--rollback-tag {tag}-{run}")
        .assert_code(1);
    assert_eq!(road.tag("apps/web").as_ref(), Some(&road.webs[1]));
    let run = road.newest_run();
    assert_eq!(run["status"], "failed");
    assert_eq!(run["artifacts"]["delivered"], 1, "{run}");
    assert_eq!(run["artifacts"]["failed"], 1);
    let moved = road.imports_of_web().pop().unwrap();
    assert_eq!(moved["run"], run["id"]);
    assert_eq!(moved["digest"], *road.webs[1]);
    assert_eq!(moved["replaced"], *road.webs[0]);
    let id = run["id"].as_str().unwrap();
    assert_eq!(moved["rollbackTag"], format!("v1-{id}"));
    let shown = road
        .desk
        .run(&format!("runs show {id} --state state --output json"));
    assert_eq!(shown.json()["failures"][0]["artifact"], "apps/api:v1");

    // The bundle is not accepted, and is done again.
    road.far.heal();
    road.import("two", "").assert_success();
    assert_eq!(road.newest_run()["artifacts"]["unchanged"], 1);
    assert_eq!(road.imports_of_web().len(), 3);
    let host = road.far.address();
    road.desk
        .run(&format!(
            "rollback {host}/apps/web:v1 --state state --comment broken"
        ))
        .assert_success();
    assert_eq!(road.tag("apps/web").as_ref(), Some(&road.webs[0]));
    road.desk.run("audit verify --state state").assert_success();
}

#[test]
fn a_late_bundle_does_not_move_back_what_a_broken_import_has_set() {
    let road = Road::new();
    road.break_api();
    road.import("two", "").assert_code(1);
    road.far.heal();
    let late = road.import("one", "");
    late.assert_success()
        .assert_stdout("a newer bundle has set it, sequence 2");
    assert_eq!(road.tag("apps/web").as_ref(), Some(&road.webs[1]));
    assert!(road.tag("apps/api").is_some());
    road.import("two", "").assert_success();
    assert_eq!(road.tag("apps/web").as_ref(), Some(&road.webs[1]));
}

#[test]
fn a_watch_records_what_a_broken_import_has_moved() {
    let road = Road::new();
    road.break_api();
    let host = road.far.address();
    let watched = road.desk.run(&format!(
        "watch two --target {host} --trust ops.key.pub --state state --once"
    ));
    assert_ne!(watched.code, Some(0));
    let run = road.newest_run();
    assert_eq!(run["kind"], "watch");
    assert_eq!(run["status"], "failed");
    assert_eq!(run["artifacts"]["delivered"], 1, "{run}");
    let moved = road.imports_of_web().pop().unwrap();
    assert_eq!(moved["run"], run["id"]);
    assert_eq!(moved["digest"], *road.webs[1]);
}
