//! Refusals that are remembered: who wanted what, and why they did not get it, whatever flags were left out.

use serde_json::Value;

use super::{Chain, FILE, tag, whoami};

impl Chain {
    /// Nobody has used the state directory yet.
    fn forget_state(&self) {
        std::fs::remove_dir(self.desk.path("state")).unwrap();
    }

    fn records(&self) -> Vec<Value> {
        let exported = self.desk.run("audit export --state state");
        let lines = exported.assert_success().stdout.lines();
        let parse = |line| serde_json::from_str(line).unwrap();
        lines.map(parse).collect()
    }
}

fn texts<'v>(records: &'v [Value], field: &str) -> Vec<&'v str> {
    let text = |record: &'v Value| record[field].as_str().unwrap_or_default();
    records.iter().map(text).collect()
}

/// They were told and forgotten.
#[test]
fn what_is_refused_by_hand_at_a_validated_registry_is_recorded() {
    let chain = Chain::new();
    chain.forget_state();
    for line in [
        "promote RC/apps/web:1.4 --source RC/apps --target PROD/live --comment tested",
        "import usb --target PROD/live/deep --trust ops.key.pub",
        "import usb --target PROD/live --trust ops.key.pub --state state --comment urgent",
        "watch usb --target PROD/live --trust ops.key.pub --state state",
    ] {
        chain
            .run(line)
            .assert_code(5)
            .assert_stderr("only through pipelines");
    }
    let records = chain.records();
    assert_eq!(texts(&records, "kind"), ["refused"; 4]);
    assert_eq!(texts(&records, "comment"), ["tested", "", "urgent", ""]);
    let prod = chain.prod.address();
    let live = format!("{prod}/live");
    let deep = format!("{live}/deep");
    assert_eq!(texts(&records, "target"), [&live, &deep, &live, &live]);
    let usb = chain.desk.path("usb").display().to_string();
    assert!(
        records[1]["source"].as_str().unwrap().ends_with("/usb"),
        "{usb}"
    );
    for record in &records {
        assert!(record["who"].as_str().unwrap().starts_with(&whoami("-un")));
        let reason = record["reason"].as_str().unwrap();
        assert!(reason.contains("is validated"), "{reason}");
    }
    let runs = chain.runs();
    assert_eq!(
        texts(&runs, "kind"),
        ["watch", "import", "import", "promotion"]
    );
    assert_eq!(texts(&runs, "status"), ["refused"; 4]);
    // The history of what lies there tells them, and that of its neighbours does not.
    let events = chain.events("PROD/live/web:1.4");
    assert_eq!(texts(&events, "comment"), ["tested", "urgent", ""]);
    assert_eq!(chain.events("PROD/live/deep/web:1.4").len(), 4);
    assert!(chain.events("PROD/lively/web:1.4").is_empty());
    chain
        .run("history PROD/live/web:1.4 --state state")
        .assert_stdout("refused")
        .assert_stdout("why       urgent")
        .assert_stdout("takes content only through pipelines");
}

/// Without `--state` they were forgotten, although the file names a state directory.
#[test]
fn what_nobody_may_look_at_is_recorded_where_the_file_says() {
    let chain = Chain::new();
    chain.forget_state();
    let hidden = FILE.replace(
        "[registry.dev]",
        "[registry.dev]\nmay-view = \"nobody-here\"",
    );
    chain.configure(&hidden);
    let edge = "--source DEV/team/apps --target RC/x --comment tested";
    for line in [
        &format!("promote DEV/team/apps/web:1.4 {edge}"),
        "export DEV/team/apps/web:1.4 --container usb --sign-key ops.key",
        &format!("promote DEV/elsewhere/web:1.4 {edge}"),
    ] {
        chain.run(line).assert_code(5);
    }
    let records = chain.records();
    assert_eq!(texts(&records, "kind"), ["refused"; 3]);
    let runs = chain.runs();
    assert_eq!(texts(&runs, "kind"), ["promotion", "export", "promotion"]);
    let events = chain.events("DEV/team/apps/web:1.4");
    let reasons = texts(&events, "reason");
    assert!(reasons[0].contains("may not look at"), "{reasons:?}");
}

/// They had neither the pipeline's name nor its ends.
#[test]
fn a_refused_run_says_which_pipeline_it_was_and_between_what() {
    let chain = Chain::new();
    chain.configure(&format!(
        "{FILE}\n[import.plant]\ncontainer = \"DESK/usb\"\ntarget = \"rc/plant\"\n\
         trust = \"DESK/ops.key.pub\"\nmay-run = \"nobody-here\"\n\
         [transfer.stick]\nsource = \"DESK/usb\"\ntarget = \"DESK/stick\"\nmay-run = \"nobody-here\"\n"
    ));
    for (kind, name) in [("import", "plant"), ("transfer", "stick")] {
        chain
            .run(&format!("run {kind} {name} --comment why"))
            .assert_code(5)
            .assert_stderr(&format!("may not run `[{kind}.{name}]`"));
    }
    let records = chain.records();
    assert_eq!(texts(&records, "pipeline"), ["plant", "stick"]);
    assert_eq!(texts(&records, "comment"), ["why", "why"]);
    let usb = chain.desk.path("usb").display().to_string();
    assert_eq!(texts(&records, "source"), [&usb, &usb]);
    let stick = chain.desk.path("stick").display().to_string();
    let plant = format!("{}/plant", chain.rc.address());
    assert_eq!(texts(&records, "target"), [&plant, &stick]);
    for name in ["plant", "stick"] {
        let listed = chain.run(&format!(
            "runs --state state --pipeline {name} --output json"
        ));
        assert_eq!(listed.json()["total"], 1, "{name}");
    }
}

/// Anybody could move a tag back in a registry that takes content only through pipelines.
#[test]
fn a_rollback_in_a_validated_registry_is_for_those_who_may_run_what_writes_there() {
    let chain = Chain::new();
    let mut digests = Vec::new();
    for day in 1..=2 {
        digests.push(chain.put("team/apps/web", "1.4", day));
        chain.promote("web:1.4 --to rc").assert_success();
        chain.promote("web:1.4 --to prod").assert_success();
    }
    let rollback = "rollback PROD/live/web:1.4 --state state --comment broken";
    let with = |line: &str| {
        let section = "[promotion.prod]";
        chain.configure(&FILE.replace(section, &format!("{section}\n{line}")));
        chain.run(rollback)
    };
    let refused = with("may-run = [\"nobody-here\", \"@no-group\"]");
    refused
        .assert_code(5)
        .assert_stderr("may not put `")
        .assert_stderr("`may-run` of `[promotion.prod]` has nobody-here, @no-group");
    // A pipeline that writes elsewhere gives no right here, and without any nobody has it.
    let (without, _) = FILE.split_once("[promotion.prod]").unwrap();
    chain.configure(without);
    chain
        .run(rollback)
        .assert_code(5)
        .assert_stderr("no pipeline of the configuration file writes there");
    let at_prod = || tag(&chain.prod, "live/web", "1.4");
    assert_eq!(at_prod().as_ref(), Some(&digests[1]));
    let events = chain.events("PROD/live/web:1.4");
    let refusals: Vec<&Value> = events.iter().filter(|it| it["kind"] == "refused").collect();
    assert_eq!(refusals.len(), 2);
    let address = chain.prod.address();
    assert_eq!(refusals[0]["target"], format!("{address}/live/web:1.4"));
    assert_eq!(refusals[0]["comment"], "broken");
    assert_eq!(chain.runs()[0]["kind"], "rollback");
    let user = whoami("-un");
    with(&format!("may-run = \"{user}\"")).assert_success();
    assert_eq!(at_prod().as_ref(), Some(&digests[0]));
    // Elsewhere the right to write is the registry's alone.
    chain.configure(&FILE.replace(
        "[promotion.rc]",
        "[promotion.rc]\nmay-run = \"nobody-here\"",
    ));
    chain
        .run("rollback RC/apps/web:1.4 --state state --comment broken")
        .assert_success();
}
