//! Selections from end to end: every rule, what is explained, what an export makes of it, and mistakes.

use std::fs;

use airlift::content::{Document, Memory};
use airlift::history::{Ledger, RunStatus};
use airlift::oci::{Algorithm, Repository, Tag, media_type};
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{Desk, tell};
use crate::support::artifacts::{
    HELM_CONFIG, ManifestText, dated_image, descriptor_json, helm_chart, index,
};
use crate::support::registry::{Fault, Registry, When};

fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

/// Created at noon of this day.
fn put(memory: &Memory, name: &str, tags: &[&str], day: &str, architectures: &[&str]) -> String {
    let repository = repository(name);
    let created = format!("{day}T12:00:00Z");
    let images: Vec<_> = architectures
        .iter()
        .map(|it| (*it, dated_image(memory, &repository, it, &created)))
        .collect();
    let children: Vec<_> = images.iter().map(|(it, image)| (*it, image)).collect();
    let document = match images.as_slice() {
        [(_, image)] => image.clone(),
        _ => index(memory, &repository, &children),
    };
    for tag in tags {
        let tag: Tag = tag.parse().unwrap();
        memory.put_manifest(&repository, document.clone(), Some(&tag));
    }
    document.descriptor.digest.hex().clone()
}

/// Ages are certain for ever: 2020 is old, 2099 is young, 1970 is what reproducible builds say.
fn shop() -> Registry {
    let memory = Memory::new();
    let both = ["amd64", "arm64"];
    put(&memory, "apps/web", &["1.24.9"], "2020-01-01", &["amd64"]);
    put(&memory, "apps/web", &["1.25.3"], "2020-02-01", &both);
    let tags = ["1.25.10", "latest"];
    let signed = put(&memory, "apps/web", &tags, "2020-03-01", &both);
    put(
        &memory,
        "apps/web",
        &["2.0.0-rc.1"],
        "2020-04-01",
        &["amd64"],
    );
    put(&memory, "apps/web", &["2.0.0"], "2099-01-01", &["amd64"]);
    let signature = format!("sha256-{signed}.sig");
    put(&memory, "apps/web", &[&signature], "2020-03-02", &["amd64"]);
    put(&memory, "apps/api", &["0.9.0"], "1970-01-01", &["amd64"]);
    put(&memory, "apps/api", &["1.0.0"], "2020-05-01", &["amd64"]);
    put(&memory, "apps/api-dev", &["main"], "2020-05-02", &["amd64"]);
    let charts = repository("charts/web");
    let chart = helm_chart(&memory, &charts, "web");
    memory.put_manifest(&charts, chart, Some(&"1.0.0".parse().unwrap()));
    let registry = Registry::start();
    registry.seed(&memory);
    registry
}

/// What is taken, without the registry's host.
fn select(desk: &Desk, registry: &Registry, rest: &str) -> Vec<String> {
    let host = registry.address();
    let selected = desk.run(&format!("select {}", rest.replace("HOST", &host)));
    let lines = selected.assert_success().stdout.lines();
    lines
        .map(|it| it.strip_prefix(&format!("{host}/")).unwrap().to_owned())
        .collect()
}

#[test]
fn every_rule_takes_what_it_says() {
    let (desk, registry) = (Desk::new(), shop());
    let assert_web = |rules: &str, tags: &[&str]| {
        let taken = select(&desk, &registry, &format!("HOST/apps/web {rules}"));
        let tags = tags.iter().map(|tag| format!("apps/web:{tag}"));
        assert_eq!(taken, tags.collect::<Vec<_>>(), "{rules}");
    };
    let all = [
        "1.24.9",
        "1.25.10",
        "1.25.3",
        "2.0.0",
        "2.0.0-rc.1",
        "latest",
    ];
    assert_web("", &all);
    assert_web(r"--tags 1\..*", &all[..3]);
    assert_web("--tags 1", &[]);
    assert_web(r"--exclude-tags 1\..*|latest", &all[3..5]);
    assert_web("--versions >=1.25,<2", &all[1..3]);
    assert_web("--newest 2 --newest-by version", &all[3..5]);
    assert_web("--newest 2", &all[3..5]);
    assert_web("--tags [1l].* --newest 2", &["1.25.10", "latest"]);
    assert_web("--newest 0", &[]);
    assert_web("--newest-patch", &["1.24.9", "1.25.10", "2.0.0"]);
    assert_web(
        "--min-age 72h",
        &["1.24.9", "1.25.10", "1.25.3", "2.0.0-rc.1", "latest"],
    );
    assert_web("--max-age 90d", &["2.0.0"]);
    assert_web("--platform linux/arm64", &["1.25.10", "1.25.3", "latest"]);
    assert_web(
        "--newest 1 --newest-by version --min-age 72h --exclude-tags .*-rc.*",
        &["1.25.10"],
    );
    assert_web(&format!("--artifact-type {HELM_CONFIG}"), &[]);
    let charts = select(
        &desk,
        &registry,
        &format!("HOST/** --artifact-type {HELM_CONFIG}"),
    );
    assert_eq!(charts, ["charts/web:1.0.0"]);
}

#[test]
fn repositories_are_taken_by_globs_and_names() {
    let (desk, registry) = (Desk::new(), shop());
    let newest = "--newest 1 --newest-by created";
    let taken = |rest: &str| select(&desk, &registry, rest);
    assert_eq!(
        taken(&format!("HOST/apps/* {newest}")),
        ["apps/api:1.0.0", "apps/api-dev:main", "apps/web:2.0.0"]
    );
    assert_eq!(
        taken(&format!(
            "HOST/** --exclude-repositories **/*-dev --exclude-repositories charts/** {newest}"
        )),
        ["apps/api:1.0.0", "apps/web:2.0.0"]
    );
    // What was named with a tag is out of reach of rules; what is named twice is there once.
    assert_eq!(
        taken(&format!(
            "HOST/charts/web:1.0.0 HOST/apps/{{api,web}} HOST/apps/web {newest} --tags 1.*"
        )),
        ["charts/web:1.0.0", "apps/api:1.0.0", "apps/web:1.25.10"]
    );
    assert_eq!(taken("HOST/nothing/*"), [""; 0]);
}

#[test]
fn an_explanation_gives_the_reason_for_every_tag() {
    let (desk, registry) = (Desk::new(), shop());
    let host = registry.address();
    assert_snapshot!(desk.transcript(&[
        &format!("select {host}/apps/* --versions >=1,<3 --min-age 72h --newest-patch --explain"),
        &format!("select {host}/apps/web --tags 1.* --newest 1 --platform linux/arm64 --explain"),
        &format!("select {host}/apps/w* {host}/charts/web:1.0.0 --newest 1 --newest-by version"),
        &format!("select {host}/apps/* --tags v.* --explain"),
        &format!("select {host}/nothing/*"),
    ]));
}

#[test]
fn what_is_named_is_asked_for_and_counts() {
    let (desk, registry) = (Desk::new(), shop());
    let host = registry.address();
    let (web, digest) = (format!("{host}/apps/web"), {
        let listed = desk
            .run(&format!("list {host}/apps/web --output json"))
            .json();
        let tags = listed["tags"].as_array().unwrap().clone();
        let of = tags
            .into_iter()
            .find(|it| it["name"].as_str().unwrap().ends_with("1.24.9"))
            .unwrap();
        of["digest"].as_str().unwrap().to_owned()
    });
    registry.log().clear();
    let named = desk.run(&format!(
        "select {web}:1.24.9 {web}@{digest} {host}/charts/web:1.0.0"
    ));
    named
        .assert_success()
        .assert_stderr("3 of 3 tags in 2 repositories selected; 2 manifests read");
    assert_eq!(registry.log().count("GET", "/manifests/"), 3);
    let explained = desk
        .run(&format!("select {web}:1.24.9 --explain --output json"))
        .json();
    assert_eq!(explained["tags"][0]["digest"], digest);
    let both = desk.run(&format!("select {web}:1.24.9 {host}/apps/w* --tags 2.*"));
    both.assert_stderr("3 of 8 tags in 1 repository selected");
    let absent = format!("sha256:{}", "0".repeat(64));
    for gone in [
        format!("{web}:9.9"),
        format!("{web}@{absent}"),
        format!("{host}/no/such:1"),
    ] {
        desk.run(&format!("select {gone}"))
            .assert_code(1)
            .assert_stderr(&format!("source: cannot read `{gone}`"))
            .assert_stderr("`airlift list` shows what");
    }
    let rest = desk.run(&format!(
        "select {web}:9.9 {web}:1.24.9 --continue-on-errors"
    ));
    rest.assert_code(3)
        .assert_stderr("1 of 2 tags in 1 repository selected")
        .assert_stderr(&format!("left out: {web}:9.9: "));
    assert_eq!(rest.stdout.trim(), format!("{web}:1.24.9"));
}

/// Tags of one manifest are asked for one by one, and what they stand for was read once.
#[test]
fn a_manifest_with_several_tags_counts_once() {
    let (desk, registry) = (Desk::new(), shop());
    let host = registry.address();
    let line = format!("select {host}/apps/web --tags 1.25.10|latest --newest 9");
    // The index, and its first image.
    desk.run(&line).assert_stderr("; 2 manifests read");
}

#[test]
fn only_what_decides_is_read_and_each_digest_once() {
    let (desk, registry) = (Desk::new(), shop());
    select(
        &desk,
        &registry,
        "HOST/** --versions * --newest 1 --newest-by version",
    );
    assert_eq!(registry.log().count("*", "/manifests/"), 0);
    let young = "HOST/apps/web --newest 1 --newest-by version --min-age 1d";
    assert_eq!(select(&desk, &registry, young), ["apps/web:2.0.0-rc.1"]);
    assert_eq!(registry.log().count("GET", "/manifests/"), 2);
    assert_eq!(registry.log().count("GET", "/blobs/"), 2);
    registry.log().clear();
    // `latest` and `1.25.10` are one index: its first image is looked at once.
    select(
        &desk,
        &registry,
        "HOST/apps/web --tags 1.25.10|latest --newest 9",
    );
    assert_eq!(registry.log().count("GET", "/manifests/sha256:"), 1);
    assert_eq!(registry.log().count("GET", "/blobs/"), 1);
}

/// An index says when it was created by its annotation, else by its first image that is there; its attestations
/// are no images.
#[test]
fn an_index_is_as_old_as_it_says_or_as_its_first_image() {
    let (desk, registry) = (Desk::new(), Registry::start());
    let (memory, name) = (Memory::new(), repository("apps/web"));
    let image = |architecture, year: u16| {
        let created = format!("{year}-01-01T00:00:00+01:00");
        dated_image(&memory, &name, architecture, &created)
    };
    let (old, young, absent) = (
        image("amd64", 2020),
        image("arm64", 2099),
        image("arm", 2099),
    );
    let entry = |image: &Document, platform: &str| {
        let mut entry = descriptor_json(&image.descriptor);
        let (os, architecture) = platform.split_once('/').unwrap();
        entry["platform"] = json!({"os": os, "architecture": architecture});
        entry
    };
    let put = |tag: &str, entries: Vec<Value>, annotations: Value| {
        let text = ManifestText::new(media_type::OCI_INDEX).with("manifests", entries);
        let text = text.with("annotations", annotations);
        let tag: Tag = tag.parse().unwrap();
        memory.put_manifest(&name, text.document(Algorithm::Sha256), Some(&tag));
    };
    let (amd64, arm64) = (entry(&old, "linux/amd64"), entry(&young, "linux/arm64"));
    let says = |created: &str| json!({"org.opencontainers.image.created": created});
    put(
        "annotated",
        vec![arm64.clone()],
        says("2020-02-02T00:00:00Z"),
    );
    put("first", vec![amd64.clone(), arm64.clone()], json!({}));
    put(
        "young",
        vec![arm64.clone(), amd64.clone()],
        says("yesterday"),
    );
    let attestation = entry(&young, "unknown/unknown");
    let sparse = vec![attestation, entry(&absent, "linux/arm"), amd64];
    put("sparse", sparse, json!({}));
    registry.seed(&memory);
    registry.forget(&name, &absent.descriptor.digest);
    let taken = |rules: &str| {
        let taken = select(&desk, &registry, &format!("HOST/apps/web {rules}"));
        taken.join(" ").replace("apps/web:", "")
    };
    assert_eq!(taken("--min-age 1d"), "annotated first sparse");
    assert_eq!(taken("--min-age 1d --platform linux/arm"), "sparse");
    let forgotten = young.descriptor.digest;
    assert_eq!(taken("--platform unknown/unknown"), "");
    registry.forget(&name, &forgotten);
    assert_eq!(taken("--max-age 1d"), "");
}

#[test]
fn what_cannot_be_read_is_named_and_may_be_left_out() {
    let (desk, registry) = (Desk::new(), shop());
    let host = registry.address();
    let refused = When::get("/v2/apps/web/manifests/1.25.3").always();
    registry.fault(refused, Fault::Status(403));
    let gone = When::get("/v2/apps/web/manifests/1.24.9").always();
    registry.fault(gone, Fault::Status(404));
    let line = format!("select {host}/apps/web --tags 1.* --min-age 1h --explain");
    let go_on = format!("{line} --continue-on-errors");
    let text = desk.transcript(&[
        &line.replace(" --explain", ""),
        &go_on,
        &go_on.replace("select", "export").replace(
            "--explain",
            "--container usb --unsigned --name web --dry-run",
        ),
    ]);
    let is_steady = |line: &&str| !line.starts_with("free in the container: ");
    let lines: Vec<&str> = text.lines().filter(is_steady).collect();
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn an_export_takes_what_a_selection_shows() {
    let (desk, registry) = (Desk::new(), shop());
    let host = registry.address();
    let rules = "--tags [0-9.]+ --newest 1 --min-age 72h";
    let exported = desk.run(&format!(
        "export {host}/apps/* {rules} --container usb --unsigned --name apps --output json"
    ));
    exported.assert_stderr("2 of 10 tags in 3 repositories selected; newest by creation time");
    let references = |bundles: &serde_json::Value| -> Vec<String> {
        let artifacts = bundles["bundles"][0]["artifacts"].as_array().unwrap();
        let reference = |it: &serde_json::Value| it["reference"].as_str().unwrap().to_owned();
        artifacts.iter().map(reference).collect()
    };
    let expected = [
        format!("{host}/apps/api:1.0.0"),
        format!("{host}/apps/web:1.25.10"),
    ];
    assert_eq!(references(&exported.assert_success().json()), expected);
    // What was judged is what is exported: the tag is asked for once.
    assert_eq!(registry.log().count("GET", "/manifests/1.25.10"), 1);
    let selected = desk.run(&format!("select {host}/apps/* {rules}"));
    fs::write(desk.path("list"), &selected.stdout).unwrap();
    let piped = desk
        .command("export --from-file - --container far --unsigned --output json")
        .input(&desk.path("list"))
        .run();
    assert_eq!(references(&piped.assert_success().json()), expected);
}

/// A schedule must not fail because there is nothing new.
#[test]
fn nothing_selected_is_no_failure() {
    let (desk, registry) = (Desk::new(), shop());
    let host = registry.address();
    let export = format!("export {host}/apps/* --newest 0 --container usb --unsigned");
    let mut text = desk.transcript(&[&export]);
    let dry = desk.run(&format!("{export} --dry-run"));
    dry.assert_success()
        .assert_stdout("nothing selected, nothing would be exported");
    assert!(desk.names("usb").is_empty());
    fs::write(desk.path("list"), "# nothing\n").unwrap();
    let line = "export --from-file - --container usb --unsigned";
    let piped = desk.command(line).input(&desk.path("list")).run();
    text.push_str(&tell(line, &piped));
    assert_snapshot!(text);
}

#[tokio::test]
async fn a_run_that_had_nothing_to_do_is_recorded() {
    let (desk, registry) = (Desk::new(), shop());
    let host = registry.address();
    let line = format!(
        "export {host}/apps/* --newest 0 --container usb --unsigned --state state --pipeline nightly"
    );
    desk.run(&line).assert_success();
    desk.run(&format!("{line} --dry-run")).assert_success();
    let ledger = Ledger::open(&desk.path("state")).await.unwrap();
    let runs = ledger.list_runs(9).await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].outcome.status, RunStatus::Done);
    assert_eq!(runs[0].outcome.reason.as_deref(), Some("nothing selected"));
}

/// The registry's own content in a layout: the rules take from it what they take from the registry.
#[test]
fn rules_take_the_same_from_a_layout() {
    let (desk, registry) = (Desk::new(), shop());
    let host = registry.address();
    desk.run(&format!(
        "export {host}/** --container usb --sign-key ops.key --name all"
    ))
    .assert_success();
    desk.run("import usb --target oci:far --trust ops.key.pub")
        .assert_success();
    let lines = |from: &str, rules: &str| -> Vec<String> {
        let told = desk.run(&format!("select {from} {rules}"));
        told.assert_success();
        let names = told.stdout.lines();
        let mut names: Vec<String> = names
            .map(|it| it.replace(&format!("{host}/"), "").replace("oci:far:", ""))
            .collect();
        names.sort();
        names
    };
    for rules in [
        "--newest 1 --newest-by version",
        "--newest 1",
        "--min-age 72h --tags [0-9.]+",
        "--exclude-repositories **/web --versions *",
        "--platform linux/arm64",
        "--versions >=3",
    ] {
        let taken = lines("oci:far", rules);
        assert_eq!(taken, lines(&format!("{host}/**"), rules), "{rules}");
        assert_eq!(taken.is_empty(), rules.ends_with(">=3"), "{rules}");
    }
    assert!(lines("oci:far", "").contains(&"apps/web:2.0.0".to_owned()));
    assert_eq!(lines("oci:far:apps/web:2.0.0", ""), ["apps/web:2.0.0"]);

    let rules = "--exclude-repositories **/api --newest 1 --newest-by version";
    let explained = desk.run(&format!("select oci:far {rules} --explain"));
    explained
        .assert_success()
        .assert_stdout("\noci:far:apps/web      2.0.0             yes    newest")
        .assert_stdout("is not among the newest 1");
    let selected = lines("oci:far", rules);
    let line = format!("export oci:far {rules} --container out --dry-run --output json");
    let planned = desk.run(&line).assert_success().json();
    let artifacts = planned["bundles"][0]["artifacts"]
        .as_array()
        .unwrap()
        .iter();
    let mut exported: Vec<String> = artifacts
        .map(|it| it["reference"].as_str().unwrap().replace("oci/", ""))
        .collect();
    exported.sort();
    assert_eq!(exported, selected);
}

#[test]
fn mistakes_in_selections_are_explained() {
    let (desk, registry) = (Desk::new(), shop());
    let host = registry.address();
    let mut text = desk.transcript(&[
        "select",
        "select r.example/apps/* --tags v(1",
        "select r.example/apps/* --versions 1.x.y",
        "select r.example/apps/* --newest 1001",
        "select r.example/apps/* --newest all",
        "select r.example/apps/* --newest-by version",
        "select r.example/apps/* --min-age 90d --max-age 72h",
        "select r.example/apps/* --min-age soon",
        "select r.example/apps/* --exclude-repositories Apps/*",
        "select r.example/apps/*:1.4",
        "select apps/*",
        "select r.example/apps/[a",
        "select oci:near/helm-chart:9.9",
        "select oci:nowhere --tags 1.*",
    ]);
    registry.behave(|it| it.catalog = false);
    text.push_str(&desk.transcript(&[&format!("select {host}/apps/*")]));
    assert_snapshot!(text);
}
