//! What can be asked of an export, and what comes of it.

use std::fs;

use super::Desk;

fn references(desk: &Desk, line: &str) -> Vec<String> {
    let command = format!("export {line} --container out --dry-run --output json");
    let document = desk.run(&command).assert_success().json();
    let bundles = document["bundles"].as_array().unwrap().iter();
    bundles
        .flat_map(|bundle| bundle["artifacts"].as_array().unwrap().clone())
        .map(|artifact| artifact["reference"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_layout_is_named_by_directory_tag_name_or_digest() {
    let desk = Desk::new();
    assert_eq!(
        references(&desk, "oci:near/skopeo-oci"),
        ["oci/skopeo-oci:1.0", "oci/skopeo-oci:1.1"]
    );
    assert_eq!(
        references(&desk, "oci:near/skopeo-oci:1.1"),
        ["oci/skopeo-oci:1.1"]
    );
    assert_eq!(
        references(&desk, "oci:near/skopeo-oci:skopeo-oci:1.0"),
        ["oci/skopeo-oci:1.0"]
    );
    let digest = "sha256:64b9fcc157dd2db95b74644b4c072f5a4d79a8679be4763f4dcfe27f616d6baa";
    assert_eq!(
        references(&desk, &format!("oci:near/skopeo-oci:{digest}")),
        ["oci/skopeo-oci:1.0"]
    );
}

#[test]
fn references_come_from_files_too_and_count_once() {
    let desk = Desk::new();
    desk.write(
        "list.txt",
        "# the march release\n\noci:near/helm-chart # the chart\n  oci:near/oras:1.0\noci:near/helm-chart:0.1.0\n",
    );
    desk.write("more.txt", "oci:near/skopeo-oci:1.0\n");
    assert_eq!(
        references(
            &desk,
            "oci:near/oras --from-file list.txt --from-file more.txt"
        ),
        ["oci/oras:1.0", "oci/helm-chart:0.1.0", "oci/skopeo-oci:1.0"]
    );
}

#[test]
fn a_longer_list_is_cut_into_bundles() {
    let desk = Desk::new();
    let line = "export oci:near/helm-chart oci:near/oras oci:near/buildah-multiarch --container usb --sign-key ops.key --name set --max-artifacts 2 --output json";
    let document = desk.run(line).assert_success().json();
    assert_eq!(document["bundles"].as_array().unwrap().len(), 2);
    assert_eq!(desk.names("usb"), ["set-1.tar.zst", "set-2.tar.zst"]);
    let imported = desk.run("import usb --target oci:far --trust ops.key.pub --check");
    imported
        .assert_success()
        .assert_stdout("2 artifacts")
        .assert_stdout("1 artifact,");
}

#[test]
fn a_dry_run_promises_the_bytes_that_are_moved() {
    let desk = Desk::new();
    let line = "export oci:near/buildah-multiarch oci:near/cosign-signed oci:near/skopeo-oci --container usb --sign-key ops.key --output json";
    let promised = desk
        .run(&format!("{line} --dry-run"))
        .assert_success()
        .json();
    assert!(!desk.path("usb").exists(), "a dry run makes nothing");
    assert!(promised["freeBytes"].as_u64().unwrap() > 0);
    let moved = desk.run(line).assert_success().json();
    let (promised, moved) = (&promised["bundles"][0], &moved["bundles"][0]);
    assert_eq!(promised["toMoveBytes"], moved["movedBytes"]);
    assert_eq!(promised["name"], moved["name"]);
    assert_eq!(promised["artifacts"], moved["artifacts"]);
    let objects = promised["objects"].as_array().unwrap();
    assert_eq!(desk.names("usb"), [objects[0].as_str().unwrap()]);
}

#[test]
fn the_same_export_again_moves_nothing() {
    let desk = Desk::new();
    let line = "export oci:near/helm-chart --container usb --sign-key ops.key --output json";
    desk.run(line).assert_success();
    let again = desk.run(line).assert_success().json();
    assert_eq!(again["bundles"][0]["unchanged"], true);
    assert_eq!(again["bundles"][0]["movedBytes"], 0);
    let taken = "export oci:near/oras --container usb --sign-key ops.key --name";
    let name = desk.names("usb")[0].replace(".tar.zst", "");
    desk.run(&format!("{taken} {name}"))
        .assert_code(1)
        .assert_stderr("exists already with other content, and is not replaced")
        .assert_stderr("hint: choose another `--name`, or remove what is there");
}

#[test]
fn a_fixed_time_gives_the_same_bytes() {
    let desk = Desk::new();
    for container in ["one", "two"] {
        desk.command(&format!(
            "export oci:near/buildah-multiarch --container {container} --unsigned --name same"
        ))
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .run()
        .assert_success();
    }
    let read = |container: &str| fs::read(desk.path(&format!("{container}/same.tar.zst"))).unwrap();
    assert!(read("one") == read("two"), "the bundles differ");
    let failed = desk
        .command("export oci:near/oras --container one --unsigned")
        .env("SOURCE_DATE_EPOCH", "now")
        .run();
    failed.assert_code(1).assert_stderr("SOURCE_DATE_EPOCH");
}

#[test]
fn chosen_platforms_travel_and_the_index_keeps_its_digest() {
    let desk = Desk::new();
    let line = "export oci:near/buildah-multiarch --container usb --sign-key ops.key --platform linux/arm64 --output json";
    let exported = desk.run(line).assert_success().json();
    let whole = "sha256:341a92abedfed80d6a9f0dec0af57b7a86202e3d1581d6a3dce5e81c395fd41d";
    assert_eq!(exported["bundles"][0]["artifacts"][0]["digest"], whole);
    let inspected = desk
        .run("inspect usb --trust ops.key.pub --output json")
        .json();
    let absent = &inspected["bundles"][0]["artifacts"][0]["absent"];
    assert_eq!(absent.as_array().unwrap().len(), 2);
    assert_eq!(absent[0]["reason"], "platform");
    desk.run("import usb --target oci:far --trust ops.key.pub --check")
        .assert_success()
        .assert_stdout(whole);
}

#[test]
fn what_cannot_be_read_is_left_out_when_asked_and_the_code_is_3() {
    let desk = Desk::new();
    let registry = super::registry_with_layers();
    let missing = format!("{}/apps/web:9.9", registry.address());
    let line = format!("export oci:near/oras {missing} --container usb --sign-key ops.key");
    desk.run(&line).assert_code(1);
    let output = desk.run(&format!("{line} --continue-on-errors"));
    output
        .assert_code(3)
        .assert_stdout(&format!("failed: {missing}"))
        .assert_stdout("1 artifact, ");
}
