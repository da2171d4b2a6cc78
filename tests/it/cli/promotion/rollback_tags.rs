//! Rollback tags in selections: rules leave them, a hand takes them.

use super::{Chain, FILE, tag};

/// With `apps/web:1.4` of two days in the second registry, and the rollback tag of the first.
fn overwritten() -> (Chain, String) {
    let chain = Chain::new();
    chain.put("team/apps/web", "1.4", 1);
    chain.promote("web:1.4 --to rc").assert_success();
    chain.put("team/apps/web", "1.4", 2);
    let promoted = chain.promote("web:1.4 --to rc --output json");
    let document = promoted.assert_success().json();
    let kept = document["artifacts"][0]["rollbackTag"].as_str().unwrap();
    (chain, kept.to_owned())
}

#[test]
fn a_rollback_tag_is_left_by_the_rules_of_the_next_stage_and_taken_by_hand() {
    let (chain, kept) = overwritten();
    let rules = "references = [\"web\"]\ntags = '1.*'";
    chain.configure(&FILE.replace("references = [\"web:1.4\"]", rules));
    chain
        .run("run promotion prod --dry-run")
        .assert_success()
        .assert_stderr("1 of 2 tags");
    chain
        .run("run promotion prod --comment released")
        .assert_success()
        .assert_stderr("1 of 2 tags");
    assert!(tag(&chain.prod, "live/web", "1.4").is_some());
    assert_eq!(tag(&chain.prod, "live/web", &kept), None);
    chain
        .promote(&format!("rc/apps/web:{kept} --to prod"))
        .assert_success();
    assert!(tag(&chain.prod, "live/web", &kept).is_some());
}

#[test]
fn a_selection_tells_what_is_kept_for_rollback() {
    let (chain, kept) = overwritten();
    let rc = chain.rc.address();
    let select = |more: &str| chain.desk.run(&format!("select {rc}/apps/web {more}"));
    for rules in ["", "--tags 1.*", "--newest 5"] {
        let told = select(&format!("{rules} --state state"));
        let taken = told.assert_success().stdout.trim();
        assert_eq!(taken, format!("{rc}/apps/web:1.4"), "{rules}");
    }
    let told = select("--state state --explain");
    told.assert_success().assert_stdout("is kept for rollback");
    let named = format!("select {rc}/apps/web:{kept} --state state");
    chain.desk.run(&named).assert_stdout(&kept);
    // Nobody else knows.
    assert_eq!(select("").stdout.lines().count(), 2);
    let export = format!("export {rc}/apps/web --container usb --unsigned --state state");
    chain
        .desk
        .run(&export)
        .assert_success()
        .assert_stdout("1 artifact");
}

#[test]
fn rollback_tags_of_a_layout_are_left_too() {
    let (chain, _) = overwritten();
    let dev = chain.dev.address();
    for (container, day) in [("one", 3), ("two", 4)] {
        chain.put("team/apps/web", "1.4", day);
        let export = format!("export {dev}/team/apps/web:1.4 --container {container} --unsigned");
        chain.desk.run(&export).assert_success();
        let import = format!(
            "import {container} --target oci:far --insecure-accept-unsigned --state far-state --rollback-tag {{tag}}-{{run}}"
        );
        chain.desk.run(&import).assert_success();
    }
    let take = |more: &str| {
        let plain = chain.desk.run(&format!(
            "export oci:far --container three --unsigned --dry-run {more}"
        ));
        let ruled = chain.desk.run(&format!("select oci:far --tags 1.* {more}"));
        let planned = plain.assert_success().stdout.clone();
        let planned = planned.lines().filter(|line| line.contains("1.4")).count();
        (planned, ruled.assert_success().stdout.lines().count())
    };
    assert_eq!(take("--state far-state"), (1, 1));
    assert_eq!(take(""), (2, 2));
}
