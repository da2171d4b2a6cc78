//! A bundle that was delivered is due again when the rule of its pipeline has changed, once, and where that is asked for.

use airlift::history::RunKind;

use super::serve::{MIRROR, NIGHTLY, Yard};

/// The pair of pipelines, with more keys for the import.
fn pipelines(more: &str) -> String {
    let export = NIGHTLY.replace("schedule = \"30 3 * * *\"\n", "");
    format!("{export}{MIRROR}{more}")
}

fn deliveries(yard: &Yard) -> usize {
    let runs = yard.runs();
    runs.iter()
        .filter(|run| run.start.kind == RunKind::Watch)
        .count()
}

const DELIVER: &str = "replays = \"deliver\"\n";
const BEFORE: &str = "it was imported before";

#[test]
fn another_name_makes_a_delivered_bundle_due_once() {
    let yard = Yard::new(&pipelines(DELIVER));
    yard.run("run export nightly").assert_success();
    yard.run("run import mirror").assert_success();
    assert!(yard.has_delivered("mirror/apps/web:1.4"));
    yard.run("run import mirror")
        .assert_success()
        .assert_stdout(BEFORE);
    assert_eq!(deliveries(&yard), 1, "the rule is the same");

    yard.configure(&pipelines(&format!(
        "{DELIVER}rename = [\"apps/=moved/\"]\n"
    )));
    let told = yard.run("run import mirror");
    told.assert_success()
        .assert_stdout("was delivered before, and is again");
    assert!(yard.has_delivered("mirror/moved/web:1.4"));
    yard.run("run import mirror")
        .assert_success()
        .assert_stdout(BEFORE);
    assert_eq!(deliveries(&yard), 2);
}

#[test]
fn what_the_rule_of_before_has_left_comes_with_the_next() {
    let narrow = format!("{DELIVER}repositories = [\"none/*\"]\n");
    let yard = Yard::new(&pipelines(&narrow));
    yard.run("run export nightly").assert_success();
    yard.run("run import mirror")
        .assert_success()
        .assert_stdout("1 not selected");
    assert!(!yard.has_delivered("mirror/apps/web:1.4"));
    yard.configure(&pipelines(DELIVER));
    yard.run("run import mirror").assert_success();
    assert!(yard.has_delivered("mirror/apps/web:1.4"));
}

#[test]
fn without_being_asked_for_a_changed_rule_brings_nothing_back() {
    let yard = Yard::new(&pipelines(""));
    yard.run("run export nightly").assert_success();
    yard.run("run import mirror").assert_success();
    yard.configure(&pipelines("rename = [\"apps/=moved/\"]\n"));
    yard.run("run import mirror")
        .assert_success()
        .assert_stdout(BEFORE);
    assert!(!yard.has_delivered("mirror/moved/web:1.4"));
    assert_eq!(deliveries(&yard), 1);
}
