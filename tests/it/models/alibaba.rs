//! An import rule as Alibaba's Container Registry has them: a namespace, a pattern of tags, the newest so many of each
//! repository, platforms, keep or overwrite; the figures of each run; and the rule changed and run again.

use std::fs;

use airlift::content::Memory;
use serde_json::{Value, json};

use super::{Works, fill, layer_in, put, put_index, stock, tags_of};
use crate::support::command::Output;

/// `MORE` are further keys of the rule, `EXISTING` what becomes of tags that are there.
const RULE: &str = r#"
state = "DESK/state"

[registry.near]
address = "NEAR"

[registry.far]
address = "FAR/mirror"

[container.usb]
url = "DESK/usb"

[export.rule]
registry = "near"
references = ["apps/**"]
tags = 'release-v.*'
container = "usb"
sign-key = "DESK/keys/out.key"
MORE

[import.mirror]
container = "usb"
target = "far"
trust = ["rule=DESK/keys/in.key.pub"]
existing = "EXISTING"
"#;

/// Releases whose newest is not the one with the highest number, branches, and what is below another namespace.
const IMAGES: [(&str, &str, usize); 8] = [
    ("apps/web", "release-v1.1", 20),
    ("apps/web", "release-v1.2", 2),
    ("apps/web", "release-v1.3", 3),
    ("apps/web", "release-v1.4", 4),
    ("apps/web", "release-v1.5", 5),
    ("apps/web", "main", 25),
    ("apps/deep/api", "release-v0.1", 1),
    ("tools/cc", "release-v9", 1),
];

fn start_or_skip() -> Option<Works> {
    let works = Works::start_or_skip()?;
    stock(&works.near, &IMAGES);
    Some(works)
}

fn rule(works: &Works, more: &str, existing: &str) {
    works.configure(&RULE.replace("MORE", more).replace("EXISTING", existing));
}

/// Runs the rule at both ends.
fn carry(works: &Works) -> [Output; 2] {
    let exported = works.run("run export rule");
    exported.assert_success();
    let imported = works.run("run import mirror");
    imported.assert_success();
    [exported, imported]
}

fn tags_at_far(works: &Works, repository: &str) -> Vec<String> {
    tags_of(&works.far, repository).into_keys().collect()
}

#[track_caller]
fn assert_counts(counts: &Value, expected: [u64; 5]) {
    let names = ["total", "delivered", "unchanged", "kept", "failed"];
    let counted = names.map(|name| counts[name].as_u64());
    assert_eq!(counted, expected.map(Some), "{counts}");
}

#[test]
fn the_newest_releases_arrive_what_is_there_is_kept_and_every_figure_is_told() {
    let Some(works) = start_or_skip() else {
        return;
    };
    stock(&works.far, &[("mirror/apps/web", "release-v1.5", 21)]);
    let own = tags_of(&works.far, "mirror/apps/web");
    rule(&works, "newest = 3", "keep");
    carry(&works);
    let web = tags_of(&works.far, "mirror/apps/web");
    let names: Vec<&str> = web.keys().map(String::as_str).collect();
    assert_eq!(names, ["release-v1.1", "release-v1.4", "release-v1.5"]);
    assert_eq!(web["release-v1.5"], own["release-v1.5"]);
    assert_eq!(
        tags_at_far(&works, "mirror/apps/deep/api"),
        ["release-v0.1"]
    );
    assert!(tags_at_far(&works, "mirror/tools/cc").is_empty());

    let (run, shown) = works.newest_run("watch");
    assert_eq!(
        (&run["status"], &run["trigger"]),
        (&json!("done"), &json!("manual"))
    );
    assert_counts(&run["artifacts"], [4, 3, 0, 1, 0]);
    let repositories = run["repositories"].as_array().unwrap();
    let names: Vec<&Value> = repositories.iter().map(|it| &it["repository"]).collect();
    assert_eq!(names, ["mirror/apps/deep/api", "mirror/apps/web"]);
    assert_counts(&repositories[0]["artifacts"], [1, 1, 0, 0, 0]);
    assert_counts(&repositories[1]["artifacts"], [3, 2, 0, 1, 0]);
    assert!(run["movedBytes"].as_u64() > Some(0) && run["bytesPerSecond"].as_u64() > Some(0));
    for told in [
        "4: 3 delivered, 0 unchanged, 1 kept, 0 failed",
        " moved, ",
        "/s",
        "REPOSITORY",
    ] {
        assert!(shown.contains(told), "{told}:\n{shown}");
    }
}

#[test]
fn what_is_there_is_overwritten_when_the_rule_says_so() {
    let Some(works) = start_or_skip() else {
        return;
    };
    stock(&works.far, &[("mirror/apps/web", "release-v1.5", 21)]);
    rule(&works, "newest = 3", "overwrite");
    carry(&works);
    let (near, far) = (
        tags_of(&works.near, "apps/web"),
        tags_of(&works.far, "mirror/apps/web"),
    );
    assert_eq!(near["release-v1.5"], far["release-v1.5"]);
}

#[test]
fn a_run_tells_what_has_failed_in_which_repository_and_why() {
    let Some(works) = start_or_skip() else {
        return;
    };
    stock(&works.near, &[("apps/broken", "release-v1", 27)]);
    fs::remove_file(layer_in(&works.near, 27)).unwrap();
    rule(&works, "newest = 3\ncontinue-on-errors = true", "keep");
    works.run("run export rule").assert_code(3);
    let (run, shown) = works.newest_run("export");
    assert_eq!(run["status"], "partly failed");
    assert_counts(&run["artifacts"], [5, 4, 0, 0, 1]);
    let failures = run["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    let near = works.near.address();
    let broken = format!("{near}/apps/broken:release-v1");
    assert_eq!(failures[0]["artifact"], broken);
    let reason = failures[0]["reason"].as_str().unwrap();
    assert!(reason.contains("source"), "{reason}");
    let of_broken = |it: &&Value| it["repository"] == format!("{near}/apps/broken");
    let repositories = run["repositories"].as_array().unwrap();
    let counts = &repositories.iter().find(of_broken).unwrap()["artifacts"];
    assert_counts(counts, [1, 0, 0, 0, 1]);
    assert!(
        shown.contains("FAILED") && shown.contains(reason),
        "{shown}"
    );
    works.run("run import mirror").assert_success();
    assert_eq!(tags_at_far(&works, "mirror/apps/web").len(), 3);
}

#[test]
fn the_newest_are_0_to_1000() {
    let Some(works) = start_or_skip() else {
        return;
    };
    rule(&works, "newest = 0", "keep");
    let nothing = works.run("run export rule");
    nothing.assert_success().assert_stderr("nothing selected");
    assert!(works.names("usb").is_empty());
    rule(&works, "newest = 1001", "keep");
    for command in ["config check", "run export rule"] {
        works
            .run(command)
            .assert_code(2)
            .assert_stderr("airlift.toml:19: ")
            .assert_stderr("`newest` cannot be `1001`");
    }
    rule(&works, "newest = 1000", "keep");
    carry(&works);
    assert_eq!(tags_at_far(&works, "mirror/apps/web").len(), 5);
}

#[test]
fn a_rule_takes_only_some_platforms() {
    let Some(works) = start_or_skip() else {
        return;
    };
    let memory = Memory::new();
    put(&memory, "apps/one", "release-v1", 1);
    put_index(
        &memory,
        "apps/many",
        "release-v1",
        &["amd64", "arm64", "s390x"],
    );
    put_index(&memory, "apps/other", "release-v1", &["s390x"]);
    fill(&works.near, &memory);
    let platforms = "platform = [\"linux/amd64\", \"linux/arm64\"]";
    rule(&works, platforms, "keep\"\nplatform-index = \"rebuild");
    carry(&works);
    let list = format!(
        "list {}/mirror/apps/many --output json",
        works.far.address()
    );
    let listed = works.run(&list).assert_success().json();
    assert_eq!(
        listed["tags"][0]["platforms"],
        json!(["linux/amd64", "linux/arm64"])
    );
    assert_eq!(tags_at_far(&works, "mirror/apps/one"), ["release-v1"]);
    assert!(tags_at_far(&works, "mirror/apps/other").is_empty());
}

#[test]
fn a_changed_rule_is_run_again_and_brings_only_what_is_new() {
    let Some(works) = start_or_skip() else {
        return;
    };
    rule(&works, "newest = 1", "keep");
    carry(&works);
    assert_eq!(tags_at_far(&works, "mirror/apps/web"), ["release-v1.1"]);
    rule(&works, "newest = 2", "keep");
    carry(&works);
    let expected = ["release-v1.1", "release-v1.5"];
    assert_eq!(tags_at_far(&works, "mirror/apps/web"), expected);
    let (run, _) = works.newest_run("watch");
    assert_counts(&run["artifacts"], [3, 1, 2, 0, 0]);
    let [exported, imported] = carry(&works);
    exported.assert_stdout("unchanged");
    imported.assert_success();
}
