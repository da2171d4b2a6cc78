//! `airlift history` and `airlift audit`: what happened to artifacts, on either side of the gap, and whether anybody
//! has touched the record of it.

use std::process::{Command, Stdio};

use airlift::oci::Digest;
use serde_json::Value;
use sqlx::sqlite::SqlitePool;

use super::Desk;
use crate::support::command::Output;
use crate::support::real::{DockerRegistry, tool_or_skip};

/// Two registries that never see each other, and a state directory for each.
struct Gap {
    desk: Desk,
    near: DockerRegistry,
    far: DockerRegistry,
}

impl Gap {
    /// With `helm-chart:0.1.0` in the near registry.
    fn start_or_skip() -> Option<Self> {
        let gap = Self {
            desk: Desk::new(),
            near: DockerRegistry::start_or_skip()?,
            far: DockerRegistry::start_or_skip()?,
        };
        let near = gap.near.address();
        gap.run("export oci:near/helm-chart --container box --unsigned");
        gap.run(&format!(
            "import box --target {near} --insecure-accept-unsigned"
        ));
        Some(gap)
    }

    fn run(&self, line: &str) -> Output {
        let output = self.desk.run(line);
        output.assert_success();
        output
    }

    fn export(&self, more: &str) -> Output {
        let near = self.near.address();
        self.run(&format!(
            "export {near}/helm-chart:0.1.0 --container usb --sign-key ops.key --state near-state \
             --pipeline nightly {more}"
        ))
    }

    fn import(&self, more: &str) -> Output {
        let far = self.far.address();
        self.run(&format!(
            "import usb --target {far}/mirror --trust ops.key.pub --state far-state {more}"
        ))
    }

    fn events(&self, of: &str, state: &str) -> Vec<Value> {
        let output = self.run(&format!("history {of} --state {state} --output json"));
        output.json()["events"].as_array().unwrap().clone()
    }
}

fn kinds(events: &[Value]) -> Vec<String> {
    let kind = |event: &Value| {
        let told = match event["toldBy"].is_string() {
            true => " (told)",
            false => "",
        };
        format!("{}{told}", event["kind"].as_str().unwrap())
    };
    events.iter().map(kind).collect()
}

#[test]
fn an_artifact_has_its_whole_history_on_either_side_of_the_gap() {
    let Some(gap) = Gap::start_or_skip() else {
        return;
    };
    let (near, far) = (gap.near.address(), gap.far.address());
    gap.export("--comment release-7");
    gap.import("--comment change-4711");
    let (source, target) = (
        format!("{near}/helm-chart:0.1.0"),
        format!("{far}/mirror/helm-chart:0.1.0"),
    );

    let events = gap.events(&source, "near-state");
    assert_eq!(kinds(&events), ["exported"]);
    assert_eq!(events[0]["comment"], "release-7");
    let digest = events[0]["digest"].as_str().unwrap().to_owned();

    for of in [
        &source,
        &target,
        &digest,
        &format!("{far}/mirror/helm-chart"),
    ] {
        let events = gap.events(of, "far-state");
        assert_eq!(kinds(&events), ["exported (told)", "imported"], "{of}");
        assert_eq!(events[0]["comment"], "release-7");
        assert_eq!(events[0]["source"], Value::from(source.clone()));
        assert_eq!(events[0]["inventory"], events[1]["inventory"]);
        assert_eq!(events[1]["comment"], "change-4711");
        assert_eq!(events[1]["target"], Value::from(target.clone()));
        assert_eq!(events[1]["digest"], Value::from(digest.clone()));
        assert!(events[1]["replaced"].is_null(), "{}", events[1]);
    }
    let told = gap.run("inspect usb");
    told.assert_stdout("comment    release-7");

    // The far side is the near side of the next gap, and its ledger knows what was told.
    let third = "export {far}/mirror/helm-chart:0.1.0 --container next --sign-key ops.key --state far-state";
    gap.run(&third.replace("{far}", &far));
    gap.run("import next --target oci:third --trust ops.key.pub --state third-state");
    let events = gap.events(&digest, "third-state");
    assert_eq!(
        kinds(&events),
        [
            "exported (told)",
            "imported (told)",
            "exported (told)",
            "imported"
        ]
    );
    assert_eq!(events[0]["comment"], "release-7");
    assert_eq!(events[1]["target"], Value::from(target));
    let text = gap.run(&format!("history {digest} --state third-state"));
    text.assert_stdout("why       release-7");
    text.assert_stdout("told by   the bundle");
    gap.run(&format!("history {digest} --state third-state --top 1"))
        .assert_stderr("these are the newest 1 of 4 events");
    gap.run("history r.example/never:1 --state third-state")
        .assert_stdout("nothing is known of r.example/never:1");
}

#[test]
fn an_equal_export_is_unchanged_whatever_has_happened_meanwhile() {
    let desk = Desk::new();
    let line = "export oci:near/helm-chart --container usb --sign-key ops.key --state state";
    desk.run(line).assert_success();
    desk.run("import usb --target oci:far --trust ops.key.pub --state state")
        .assert_success();
    desk.run(&format!("{line} --comment another"))
        .assert_success()
        .assert_stdout("unchanged");
    let verified = desk.run("audit verify --state state --output json").json();
    assert_eq!(verified["records"], 2);
    // Delivered before: the same again is no event.
    desk.run("import usb --target oci:far --trust ops.key.pub --state state")
        .assert_success();
    let exported = desk.run("audit export --state state").stdout;
    let last: Value = serde_json::from_str(exported.lines().last().unwrap()).unwrap();
    assert_eq!(
        last["replaced"], last["digest"],
        "nothing has moved: {last}"
    );
}

#[test]
fn a_bundle_without_a_past_has_no_word_of_it() {
    let desk = Desk::new();
    let line = "export oci:near/helm-chart --container usb --unsigned --name one";
    desk.run(line).assert_success();
    desk.run("export oci:near/helm-chart --container usb --unsigned --name two --state state")
        .assert_success();
    let bundles = desk.run("inspect usb --output json").json();
    for bundle in bundles["bundles"].as_array().unwrap() {
        assert!(bundle["past"].is_null(), "{bundle}");
    }
}

#[test]
fn a_refused_bundle_is_remembered_once() {
    let desk = Desk::new();
    desk.run("export oci:near/helm-chart --container usb --sign-key ops.key --audience ship-1")
        .assert_success();
    let line = "import usb --target oci:far --trust ops.key.pub --state state --lane ship-2";
    desk.run(&format!("{line} --dry-run")).assert_code(4);
    desk.run(line).assert_code(4);
    desk.run(line).assert_code(4);
    let exported = desk.run("audit export --state state").stdout;
    assert_eq!(exported.lines().count(), 1, "{exported}");
    let record: Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(record["kind"], "refused");
    assert!(
        record["reason"].as_str().unwrap().contains("ship-2"),
        "{record}"
    );
}

#[test]
fn a_bundle_that_waits_for_signatures_is_not_recorded_as_refused() {
    let desk = Desk::with_bundle();
    let line = "import usb --target oci:far --trust ops.key.pub --trust other.key.pub --threshold 2 --state state";
    desk.run(line)
        .assert_code(4)
        .assert_stderr("the missing signers run `airlift sign`");
    let recorded = || desk.run("audit export --state state").stdout;
    assert_eq!(recorded(), "");
    // One that nobody trusted has signed is refused for good.
    desk.run("import usb --target oci:far --trust other.key.pub --state state")
        .assert_code(4);
    assert_eq!(recorded().lines().count(), 1, "{}", recorded());
}

#[test]
fn what_a_watch_refuses_is_remembered_once() {
    let desk = Desk::with_bundle();
    let line = "watch usb --target oci:far --trust ops.key.pub --state state --once";
    for _ in 0..2 {
        desk.run(line).assert_code(4);
        let exported = desk.run("audit export --state state").stdout;
        assert_eq!(exported.lines().count(), 1, "{exported}");
        let record: Value = serde_json::from_str(&exported).unwrap();
        assert_eq!(record["kind"], "refused");
        assert_eq!(record["bundle"], "chart.tar.zst");
        assert_eq!(record["trigger"], "source");
        let reason = record["reason"].as_str().unwrap();
        assert!(reason.contains("belongs to no pipeline"), "{record}");
    }
}

/// Two exports and an import in `state`.
fn desk_with_records() -> Desk {
    let desk = Desk::new();
    let line = "export oci:near/helm-chart --container usb --sign-key ops.key --state state";
    desk.run(&format!("{line} --name one")).assert_success();
    desk.run(&format!("{line} --name two")).assert_success();
    desk.run("import usb/one.tar.zst --target oci:far --trust ops.key.pub --state state")
        .assert_success();
    desk
}

fn tamper(desk: &Desk, statement: &str) {
    let path = format!("sqlite://{}", desk.path("state/ledger.db").display());
    let statement = format!(
        "DROP TRIGGER IF EXISTS audit_is_not_changed; DROP TRIGGER IF EXISTS audit_is_not_deleted; {statement}"
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let pool = SqlitePool::connect(&path).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
    });
}

#[test]
fn a_history_that_was_tampered_with_is_told_by_the_number_of_the_first_bad_record() {
    for (statement, told) in [
        (
            "UPDATE audit SET who = 'nobody' WHERE number = 2",
            "record 2 was changed",
        ),
        (
            "UPDATE audit SET kind = 'nonsense' WHERE number = 1",
            "record 1 cannot be read",
        ),
        (
            "UPDATE audit SET digest = x'00' WHERE number = 2",
            "record 2 cannot be read",
        ),
        ("DELETE FROM audit WHERE number = 2", "record 2 is missing"),
        (
            "DELETE FROM audit WHERE number = 3",
            "record 3 is missing: the newest was once record 3",
        ),
        ("DELETE FROM audit", "records 1 to 3 are missing"),
        ("DROP TABLE audit", "its table is missing"),
        (
            "UPDATE audit SET number = 9 WHERE number = 1; UPDATE audit SET number = 1 WHERE number = 2; \
             UPDATE audit SET number = 2 WHERE number = 9",
            "record 1 was changed",
        ),
    ] {
        let desk = desk_with_records();
        tamper(&desk, statement);
        for line in [
            "audit verify --state state",
            "history r.example/web --state state",
        ] {
            desk.run(line)
                .assert_code(4)
                .assert_stderr("the history in the state directory `state` was tampered with")
                .assert_stderr(told)
                .assert_stderr("hint: leave the directory as it is");
        }
    }
}

#[test]
fn a_head_that_was_noted_elsewhere_stands_against_a_directory_that_was_replaced() {
    let desk = desk_with_records();
    let verified = desk.run("audit verify --state state --output json").json();
    let head = verified["head"].as_str().unwrap().to_owned();
    assert!(head.starts_with("3:sha256:"), "{head}");
    desk.run(&format!("audit verify --state state --head {head}"))
        .assert_success()
        .assert_stdout("3 records, and all are right");
    tamper(&desk, "DELETE FROM audit WHERE number = 3");
    std::fs::remove_file(desk.path("state/audit.head")).unwrap();
    desk.run("audit verify --state state")
        .assert_success()
        .assert_stderr("`audit.head` is missing");
    desk.run(&format!("audit verify --state state --head {head}"))
        .assert_code(4)
        .assert_stderr("record 3 is missing");
    desk.write("state/audit.head", "something");
    desk.run("audit verify --state state")
        .assert_code(4)
        .assert_stderr("audit.head` holds no head")
        .assert_stderr("hint: leave the directory as it is");
    desk.run("audit verify --state state --head 3")
        .assert_code(2)
        .assert_stderr("NUMBER:HASH");
}

#[test]
fn an_export_of_the_log_is_verified_with_and_without_airlift() {
    let desk = desk_with_records();
    let all = desk.run("audit export --state state").stdout;
    desk.write("all.jsonl", &all);
    desk.run("audit verify all.jsonl")
        .assert_success()
        .assert_stdout("3 records, and all are right");
    let part = desk.run("audit export --state state --after 1").stdout;
    assert_eq!(part.lines().count(), 2);
    desk.write("part.jsonl", &part);
    desk.run("audit verify part.jsonl")
        .assert_success()
        .assert_stdout("a part: it begins with record 2");
    assert_eq!(
        desk.run("audit export --state state --since 1h").stdout,
        all
    );
    let none = desk.run("audit export --state state --since 2999-01-01T00:00:00Z");
    assert_eq!(none.assert_success().stdout, "");

    desk.write("all.jsonl", all.replacen("exported", "imported", 1));
    desk.run("audit verify all.jsonl")
        .assert_code(4)
        .assert_stderr("record 1 was changed")
        .assert_stderr("hint: compare the file with another copy of it");
    // What proves nothing passes nothing.
    desk.write("none.jsonl", "");
    desk.run("audit verify none.jsonl")
        .assert_code(4)
        .assert_stderr("cannot verify `none.jsonl`")
        .assert_stderr("it has no record")
        .assert_stderr("hint: expected the lines of `airlift audit export`");
    desk.write("all.jsonl", format!("{all}{{}}\n"));
    desk.run("audit verify all.jsonl")
        .assert_code(4)
        .assert_stderr("line 4 of `all.jsonl` is no record")
        .assert_stderr("hint: expected the lines of `airlift audit export`");

    let Some(jq) = tool_or_skip("jq") else {
        return;
    };
    for line in all.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let filtered = Command::new(&jq)
            .args(["-cj", "--argjson", "it", line, "-n", "$it | del(.hash)"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let hash = Digest::sha256(&filtered.stdout).to_string();
        assert_eq!(record["hash"], Value::from(hash));
    }
}

#[test]
fn a_ledger_from_a_newer_version_is_refused_before_anything_is_done() {
    let desk = desk_with_records();
    tamper(
        &desk,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', TRUE, x'00', 0)",
    );
    for line in [
        "export oci:near/helm-chart --container new --unsigned --state state",
        "import usb --target oci:new --trust ops.key.pub --state state",
        "runs --state state",
        "audit verify --state state",
    ] {
        desk.run(line)
            .assert_code(2)
            .assert_stderr("a newer airlift has written `state/ledger.db`")
            .assert_stderr("hint: use that airlift, or give another `--state`");
    }
    assert!(!desk.path("new").exists());
}

#[test]
fn a_run_that_finds_its_history_cut_off_moves_nothing() {
    let desk = desk_with_records();
    tamper(&desk, "DELETE FROM audit WHERE number = 3");
    let line = "export oci:near/helm-chart --container usb --sign-key ops.key --state state";
    desk.run(&format!("{line} --name three"))
        .assert_code(4)
        .assert_stderr("does not have its record 3 as it was noted");
    assert!(!desk.path("usb/three.tar.zst").exists());
}
