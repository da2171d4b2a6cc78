//! Who may promote, what a person has to say, and who sees the runs of others.

use super::super::Desk;
use super::{Chain, FILE, tag, whoami};
use crate::support::registry::Registry;

#[test]
fn a_person_has_to_say_why_and_cannot_say_how() {
    let chain = Chain::new();
    let to_rc = "promote web:1.4 --to rc";
    chain
        .run(to_rc)
        .assert_code(2)
        .assert_stderr("needs a comment");
    chain.run("run promotion prod").assert_code(2);
    chain.run(&format!("{to_rc} --dry-run")).assert_success();
    for own in [
        "--existing keep",
        "--target RC/elsewhere",
        "--newest 3",
        "--plain-http",
    ] {
        chain
            .promote(&format!("web:1.4 --to rc {own}"))
            .assert_code(2)
            .assert_stderr("cannot be used with");
    }
    chain
        .promote("web:1.4 --to rc --state elsewhere")
        .assert_code(2);
    chain.promote("--to rc").assert_code(2);
    assert_eq!(chain.runs().len(), 0);
    let promoted = chain.promote("web:1.4 --to rc");
    promoted.assert_success();
    let run = chain.runs().remove(0);
    assert_eq!(run["comment"], "tested");
    assert!(run["who"].as_str().unwrap().starts_with(&whoami("-un")));
}

#[test]
fn only_those_who_may_promote_and_may_view_the_source() {
    let chain = Chain::new();
    let with = |section: &str, line: &str| {
        let text = FILE.replace(section, &format!("{section}\n{line}"));
        chain.configure(&text);
        chain.promote("web:1.4 --to rc")
    };
    let may_run = with("[promotion.rc]", "may-run = \"nobody-here\"");
    may_run
        .assert_code(5)
        .assert_stderr("may not run `[promotion.rc]`");
    let may_view = with(
        "[registry.dev]",
        "may-view = [\"nobody-here\", \"@no-group\"]",
    );
    may_view
        .assert_code(5)
        .assert_stderr("may not look at `[registry.dev]`")
        .assert_stderr("nobody-here, @no-group");
    let runs = chain.runs();
    assert_eq!(runs.len(), 2);
    for run in &runs {
        assert_eq!(run["status"], "refused");
        assert_eq!(run["comment"], "tested");
    }
    assert!(chain.rc.log().all().is_empty());
    // By hand, without a pipeline, the same registry is hidden from the same people.
    let by_hand = "DEV/team/apps/web:1.4 --source DEV/team --target RC/x";
    chain.promote(by_hand).assert_code(5);
    let user = whoami("-un");
    with("[registry.dev]", &format!("may-view = [\"{user}\"]")).assert_success();
    let group = whoami("-gn");
    with("[promotion.rc]", &format!("may-run = [\"@{group}\"]")).assert_success();
    chain
        .desk
        .run("audit verify --state state")
        .assert_success();
}

#[test]
fn a_validated_registry_takes_promotion_by_pipeline_alone() {
    let chain = Chain::new();
    chain.promote("web:1.4 --to rc").assert_success();
    for target in ["PROD/live", "PROD/live/deep", "PROD"] {
        chain
            .promote(&format!(
                "RC/apps/web:1.4 --source RC/apps --target {target}"
            ))
            .assert_code(5)
            .assert_stderr("only through pipelines");
    }
    assert!(chain.prod.log().all().is_empty());
    chain.promote("web:1.4 --to prod").assert_success();
    assert!(tag(&chain.prod, "live/web", "1.4").is_some());
}

#[test]
fn runs_of_others_are_left_out_and_counted() {
    let chain = Chain::new();
    chain.promote("web:1.4 --to rc").assert_success();
    chain.promote("web:1.4 --to prod").assert_success();
    let listed = |more: &str| chain.run(&format!("runs --state state {more}"));
    let hidden_run = chain.runs()[1]["id"].as_str().unwrap().to_owned();
    chain.configure(&FILE.replace(
        "[promotion.rc]",
        "[promotion.rc]\nmay-view = \"nobody-here\"",
    ));
    let told = listed("");
    told.assert_success()
        .assert_stderr("left out: 1 run of pipelines that you may not look at");
    assert!(!told.stdout.contains(&hidden_run), "{}", told.stdout);
    let document = listed("--output json").json();
    assert_eq!(document["runs"].as_array().unwrap().len(), 1);
    assert_eq!(document["hidden"], 1);
    for command in ["show", "log", "cancel"] {
        chain
            .run(&format!("runs {command} {hidden_run} --state state"))
            .assert_code(5)
            .assert_stderr("you may not look at the run");
    }
    let events = chain.events("PROD/live/web:1.4");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["pipeline"], "prod");
    chain
        .run("history PROD/live/web:1.4 --state state")
        .assert_stderr("left out: 1 event of pipelines that you may not look at");
}

#[test]
fn imports_are_known_by_their_target() {
    let desk = Desk::with_bundle();
    let far = Registry::start();
    let address = far.address();
    for prefix in ["mirror", "mirror/deep", "mirror2"] {
        desk.run(&format!(
            "import usb --target {address}/{prefix} --trust ops.key.pub --state state"
        ))
        .assert_success();
    }
    let path = desk.path("");
    let path = path.display();
    desk.write(
        "airlift.toml",
        format!(
            "state = \"{path}state\"\n[import.mirror]\ncontainer = \"{path}usb\"\n\
             target = \"{address}/mirror\"\ntrust = \"{path}ops.key.pub\"\nmay-view = \"nobody-here\"\n"
        ),
    );
    let told = desk.run("runs --state state --config airlift.toml --output json");
    let document = told.assert_success().json();
    let targets: Vec<_> = document["runs"].as_array().unwrap().iter().collect();
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0]["target"], format!("{address}/mirror2"));
    assert_eq!(document["hidden"], 2);
}

#[test]
fn exports_from_a_registry_are_for_those_who_may_view_it() {
    let chain = Chain::new();
    let export = "[export.nightly]\nregistry = \"dev\"\nreferences = [\"apps/web:1.4\"]\n\
                  container = \"DESKusb\"\nsign-key = \"DESKops.key\"\n";
    let path = chain.desk.path("").display().to_string();
    let with = |may_view: &str| {
        let text = FILE.replace("[registry.dev]", &format!("[registry.dev]\n{may_view}"));
        let export = export.replace("DESK", &path);
        chain.configure(&format!("{text}\n{export}"));
        chain.run("run export nightly --comment why")
    };
    with("may-view = \"@no-group\"")
        .assert_code(5)
        .assert_stderr("may not look at `[registry.dev]`");
    assert!(!chain.desk.path("usb").exists());
    let run = chain.runs().remove(0);
    assert_eq!(
        (&run["kind"], &run["status"], &run["pipeline"]),
        (&"export".into(), &"refused".into(), &"nightly".into())
    );
    with("").assert_success();
}
