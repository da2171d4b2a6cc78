//! Tags that are overwritten: how what they leave stays findable, when they move back, and how they are put back.

use airlift::content::Memory;
use serde_json::Value;

use super::Desk;
use crate::support::artifacts::dated_image;
use crate::support::command::Output;
use crate::support::registry::Registry;

/// A pipeline whose one tag is moved, and a target with a memory.
struct Road {
    desk: Desk,
    source: Registry,
    target: Registry,
    memory: Memory,
}

impl Road {
    fn new() -> Self {
        Self {
            desk: Desk::new(),
            source: Registry::start(),
            target: Registry::start(),
            memory: Memory::new(),
        }
    }

    /// Exports the tag as an image of this day of January, and says its digest.
    fn ship(&self, day: usize) -> String {
        let repository = "apps/web".parse().unwrap();
        let created = format!("2020-01-{day:02}T00:00:00Z");
        let document = dated_image(&self.memory, &repository, "amd64", &created);
        let digest = document.descriptor.digest.to_string();
        let tag = "1.4".parse().unwrap();
        self.memory.put_manifest(&repository, document, Some(&tag));
        self.source.seed(&self.memory);
        let host = self.source.address();
        self.desk
            .run(&format!(
                "export {host}/apps/web:1.4 --container usb --sign-key ops.key --pipeline plant --state near-state"
            ))
            .assert_success();
        digest
    }

    fn import(&self, more: &str) -> Output {
        let target = self.target.address();
        self.desk.run(&format!(
            "import usb --target {target}/m --trust ops.key.pub --state state {more}"
        ))
    }

    /// Brings what was shipped last, and says what became of it.
    fn bring(&self, more: &str) -> Value {
        let done = self.import(&format!("{more} --output json"));
        let bundles = done.assert_success().json()["bundles"].clone();
        let last = bundles.as_array().unwrap().last().unwrap().clone();
        last["artifacts"][0].clone()
    }

    fn rollback(&self, more: &str) -> Output {
        let target = self.target.address();
        self.desk.run(&format!(
            "rollback {target}/m/apps/web:1.4 --state state --comment broken {more}"
        ))
    }

    fn tag(&self, tag: &str) -> Option<String> {
        let found = self
            .target
            .tag(&"m/apps/web".parse().unwrap(), &tag.parse().unwrap());
        found.map(|digest| digest.to_string())
    }

    fn newest_run(&self) -> Value {
        let runs = self.desk.run("runs --state state --output json").json();
        runs["runs"][0].clone()
    }
}

#[test]
fn what_a_tag_leaves_gets_its_rollback_tag_first() {
    let road = Road::new();
    let first = road.ship(1);
    let template = "--rollback-tag {tag}-{run}";
    assert_eq!(road.bring(template)["replaced"], Value::Null);
    let second = road.ship(2);
    let done = road.bring(template);
    let run = road.newest_run()["id"].as_str().unwrap().to_owned();
    assert_eq!(done["replaced"], *first);
    assert_eq!(done["rollbackTag"], format!("1.4-{run}"));
    assert_eq!(road.tag(&format!("1.4-{run}")), Some(first.clone()));
    assert_eq!(road.tag("1.4"), Some(second));
    road.import(template).assert_success();
    road.rollback(&format!("--to 1.4-{run}")).assert_success();
    assert_eq!(road.tag("1.4"), Some(first));
    road.target.assert_no_violation();
}

#[test]
fn a_template_that_is_not_unique_or_too_long_is_refused_before_anything_moves() {
    let road = Road::new();
    road.ship(1);
    road.import("--rollback-tag {tag}-old")
        .assert_code(2)
        .assert_stderr("it needs `{digest}`, or `{tag}` and `{run}`");
    let long = "x".repeat(110);
    road.import(&format!("--rollback-tag {{tag}}-{long}-{{digest}}x"))
        .assert_success();
    road.import(&format!(
        "--replays deliver --rollback-tag {{tag}}-{long}-{{digest}}xx"
    ))
    .assert_code(1)
    .assert_stderr("can have no rollback tag");
}

#[test]
fn a_tag_is_put_back_step_by_step() {
    let road = Road::new();
    let mut digests = Vec::new();
    for day in 1..=3 {
        digests.push(road.ship(day));
        road.bring("");
    }
    road.rollback("--dry-run")
        .assert_success()
        .assert_stdout(&format!("from {}", digests[2]))
        .assert_stdout(&format!("to   {}", digests[1]))
        .assert_stdout("came with the run");
    assert_eq!(road.tag("1.4").as_ref(), Some(&digests[2]));
    for expected in [&digests[1], &digests[0]] {
        road.rollback("").assert_success();
        assert_eq!(road.tag("1.4").as_ref(), Some(expected));
        let run = road.newest_run();
        assert_eq!(
            (&run["kind"], &run["status"]),
            (&"rollback".into(), &"done".into())
        );
        assert_eq!(run["comment"], "broken");
    }
    road.rollback("")
        .assert_code(1)
        .assert_stderr("stood for nothing before that is known");
    road.rollback(&format!("--to {}", digests[2]))
        .assert_success();
    assert_eq!(road.tag("1.4").as_ref(), Some(&digests[2]));
    road.rollback(&format!("--to {}", digests[2]))
        .assert_success()
        .assert_stdout("it is there already");
}

#[test]
fn what_is_gone_cannot_be_put_back() {
    let road = Road::new();
    let first = road.ship(1);
    road.bring("");
    let second = road.ship(2);
    road.bring("");
    road.target
        .forget(&"m/apps/web".parse().unwrap(), &first.parse().unwrap());
    road.rollback("")
        .assert_code(1)
        .assert_stderr(&format!("at `{first}` is no longer there"));
    assert_eq!(road.tag("1.4"), Some(second));
    let target = road.target.address();
    road.desk
        .run(&format!(
            "rollback {target}/m/apps/none:1 --state state --comment x"
        ))
        .assert_code(1)
        .assert_stderr("there is no `");
    road.desk
        .run(&format!(
            "rollback {target}/m/apps/web --state state --comment x"
        ))
        .assert_code(2)
        .assert_stderr("is no tag");
}

#[test]
fn a_tag_of_a_layout_is_put_back_too() {
    let road = Road::new();
    let mut digests = Vec::new();
    for day in 1..=2 {
        digests.push(road.ship(day));
        road.desk
            .run("import usb --target oci:far --trust ops.key.pub --state state --rollback-tag {tag}-{digest}")
            .assert_success();
    }
    let told = road
        .desk
        .run("rollback oci:far:apps/web:1.4 --state state --comment x --output json");
    let told = told.assert_success().json();
    assert_eq!(
        (&told["from"], &told["to"]),
        (&digests[1].clone().into(), &digests[0].clone().into())
    );
}

#[test]
fn a_tag_that_moves_back_is_told_and_refused_when_asked() {
    let road = Road::new();
    let first = road.ship(1);
    road.bring("");
    let second = road.ship(2);
    road.bring("");
    // The sender goes back: a newer bundle brings what the tag was before.
    road.ship(1);
    let kept = road.bring("--tag-moves-back refuse");
    assert_eq!(kept["outcome"], "kept");
    let reason = kept["reason"].as_str().unwrap();
    assert!(
        reason.contains("it would move back: it stood for"),
        "{reason}"
    );
    assert_eq!(road.tag("1.4"), Some(second));
    assert_eq!(road.newest_run()["artifacts"]["kept"], 1);
    let told = road.import("--replays deliver");
    told.assert_success()
        .assert_stderr("`m/apps/web:1.4` moves back: it stood for");
    assert_eq!(road.tag("1.4"), Some(first));
}

#[test]
fn without_a_past_the_times_of_creation_decide() {
    let road = Road::new();
    road.ship(9);
    road.bring("");
    let older = road.ship(3);
    let target = road.target.address();
    let import = |more: &str| {
        road.desk.run(&format!(
            "import usb --target {target}/m --trust ops.key.pub --min-sequence 2 {more}"
        ))
    };
    std::fs::create_dir(road.desk.path("old")).unwrap();
    let names = road.desk.names("usb");
    let first = names.iter().find(|it| {
        let shown = road.desk.run(&format!(
            "inspect usb/{it} --trust ops.key.pub --output json"
        ));
        shown.json()["bundles"][0]["sequence"] == 1
    });
    let first = first.unwrap();
    std::fs::rename(
        road.desk.path("usb").join(first),
        road.desk.path("old").join(first),
    )
    .unwrap();
    import("--tag-moves-back refuse")
        .assert_success()
        .assert_stdout("kept: it would move back: what is to come was created 2020-01-03");
    assert_ne!(road.tag("1.4").as_ref(), Some(&older));
    import("")
        .assert_success()
        .assert_stderr("moves back: what is to come");
    assert_eq!(road.tag("1.4"), Some(older));
}
