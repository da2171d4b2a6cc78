//! `airlift runs rerun`: what failed is done again with the rule as it is now, and all of it where that is asked for.

use airlift::history::{Run, RunKind, RunStatus};

use super::serve::{MIRROR, NIGHTLY, Yard};
use crate::support::registry::{Fault, When};

fn without_schedule(text: &str) -> String {
    text.replace("schedule = \"30 3 * * *\"\n", "")
}

fn newest(yard: &Yard) -> Run {
    yard.runs().pop().unwrap()
}

fn rerun(yard: &Yard, run: &Run, more: &str) -> crate::support::command::Output {
    yard.run(&format!("runs rerun {} {more}", run.id))
}

#[test]
fn what_an_export_could_not_read_is_exported_again_with_the_rule_of_now() {
    let rule = without_schedule(NIGHTLY).replace("[\"web\"]", "[\"web:1.4\", \"web:9\"]");
    let yard = Yard::new(&format!("{rule}continue-on-errors = true\n"));
    yard.run("run export nightly").assert_code(3);
    let first = newest(&yard);
    assert_eq!(first.outcome.status, RunStatus::PartlyFailed);
    // Nobody has made it meanwhile: the rerun asks for it alone, and fails with it.
    rerun(&yard, &first, "")
        .assert_code(1)
        .assert_stderr("web:9");
    let alone = newest(&yard);
    assert_eq!(alone.start.link.rerun_of.as_ref(), Some(&first.id));
    assert_eq!(alone.start.comment, Some(format!("rerun of {}", first.id)));
    yard.configure(&rule.replace(", \"web:9\"", ""));
    let all = rerun(&yard, &first, "--all --comment tidy");
    all.assert_success();
    let again = newest(&yard);
    assert_eq!(again.outcome.status, RunStatus::Done);
    assert_eq!(
        again.start.comment,
        Some(format!("rerun of {}: tidy", first.id))
    );
    rerun(&yard, &again, "--failed")
        .assert_code(2)
        .assert_stderr("nothing of the run");
    let shown = yard
        .desk
        .run(&format!("runs show {} --state state", again.id));
    shown.assert_success().assert_stdout(first.id.as_str());
}

#[test]
fn a_run_that_was_asked_for_one_artifact_is_repeated_for_that_one() {
    let rule = without_schedule(NIGHTLY).replace("[\"web\"]", "[\"web:1.4\", \"web:9\"]");
    let yard = Yard::new(&rule);
    yard.run("run export nightly web:1.4").assert_success();
    let first = newest(&yard);
    assert_eq!(first.start.link.named, ["web:1.4"]);
    // All of the pipeline would ask for `web:9` too, which nobody has.
    rerun(&yard, &first, "--all").assert_success();
    rerun(&yard, &newest(&yard), "").assert_success();
    yard.run("run export nightly").assert_code(1);
}

#[test]
fn an_imported_bundle_is_delivered_again_with_the_rule_of_now() {
    let yard = Yard::new(&[&without_schedule(NIGHTLY), MIRROR].concat());
    yard.run("run export nightly").assert_success();
    yard.run("run import mirror").assert_success();
    let first = newest(&yard);
    assert_eq!(first.start.link.section.as_deref(), Some("import.mirror"));
    assert!(yard.has_delivered("mirror/apps/web:1.4"));
    let renamed = format!("{MIRROR}rename = [\"apps/=moved/\"]\n");
    yard.configure(&[&without_schedule(NIGHTLY), renamed.as_str()].concat());
    rerun(&yard, &first, "").assert_success();
    assert!(yard.has_delivered("mirror/moved/web:1.4"));
    let again = newest(&yard);
    assert_eq!(again.start.kind, RunKind::Import);
    assert_eq!(again.start.link.rerun_of, Some(first.id));
}

#[test]
fn a_run_of_flags_or_of_somebody_elses_pipeline_is_not_repeated() {
    let yard = Yard::new(&without_schedule(NIGHTLY));
    let near = yard.near.address();
    let by_hand = format!("export {near}/apps/web:1.4 --container usb --unsigned --state state");
    yard.desk.run(&by_hand).assert_success();
    let refused = rerun(&yard, &newest(&yard), "");
    refused
        .assert_code(2)
        .assert_stderr("was made from flags alone")
        .assert_stderr("configuration file");
    yard.run("run export nightly").assert_success();
    let run = newest(&yard);
    yard.configure(&format!(
        "{}may-run = [\"nobody-here\"]\n",
        without_schedule(NIGHTLY)
    ));
    rerun(&yard, &run, "--all")
        .assert_code(5)
        .assert_stderr("may not run");
    yard.configure("");
    rerun(&yard, &run, "--all")
        .assert_code(2)
        .assert_stderr("there is no `[export.nightly]`");
}

#[test]
fn a_transfer_repeats_the_bundles_that_failed() {
    let transfer = "\n[transfer.stick]\nsource = \"usb\"\ntarget = \"DESK/stick\"\n";
    let yard = Yard::new(&[&without_schedule(NIGHTLY), transfer].concat());
    yard.run("run export nightly").assert_success();
    let bundle = yard.desk.names("usb").remove(0);
    std::fs::create_dir(yard.desk.path("stick")).unwrap();
    yard.desk
        .write(&format!("stick/{bundle}"), "something other");
    yard.run("run transfer stick").assert_code(1);
    let first = newest(&yard);
    assert_eq!(first.start.link.section.as_deref(), Some("transfer.stick"));
    rerun(&yard, &first, "").assert_code(1);
    std::fs::remove_file(yard.desk.path("stick").join(&bundle)).unwrap();
    rerun(&yard, &first, "")
        .assert_success()
        .assert_stdout("1 object copied");
    let again = newest(&yard);
    assert_eq!(again.start.link.rerun_of, Some(first.id));
}

#[test]
fn what_failed_of_an_import_is_brought_again_from_its_bundle() {
    let yard = Yard::new(
        &[
            &without_schedule(NIGHTLY),
            MIRROR,
            "continue-on-errors = true\n",
        ]
        .concat(),
    );
    yard.run("run export nightly").assert_success();
    yard.far
        .fault(When::put("/manifests/1.4").always(), Fault::Status(400));
    yard.run("run import mirror");
    let first = newest(&yard);
    assert_ne!(first.outcome.status, RunStatus::Done);
    yard.far.heal();
    rerun(&yard, &first, "--failed").assert_success();
    assert!(yard.has_delivered("mirror/apps/web:1.4"));
}
