//! What can be asked of an import, and what comes of it.

use super::Desk;
use crate::support::registry::Registry;

const IMPORT: &str = "import usb --target oci:far --trust ops.key.pub";

/// `skopeo-oci:1.0` stands at the target for other content than the bundle brings.
fn desk_with_conflict() -> Desk {
    let desk = Desk::new();
    desk.run("export oci:near/skopeo-oci --container usb --sign-key ops.key --name web")
        .assert_success();
    desk.run(IMPORT).assert_success();
    let index = std::fs::read_to_string(desk.path("far/index.json")).unwrap();
    let (old, new) = (
        "64b9fcc157dd2db95b74644b4c072f5a4d79a8679be4763f4dcfe27f616d6baa",
        "2e523fa9006b7c34faaa9076a0362af60e933263d3c213ae42f926b52b81850d",
    );
    desk.write("far/index.json", index.replace(old, new));
    desk
}

fn outcomes(desk: &Desk, line: &str) -> Vec<(String, String)> {
    let document = desk
        .run(&format!("{line} --output json"))
        .assert_success()
        .json();
    let artifacts = document["bundles"][0]["artifacts"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let outcome =
        |artifact: &serde_json::Value| (text(&artifact["name"]), text(&artifact["outcome"]));
    artifacts.iter().map(outcome).collect()
}

fn pairs(expected: [(&str, &str); 2]) -> Vec<(String, String)> {
    expected
        .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        .to_vec()
}

#[test]
fn existing_tags_are_overwritten_unless_told_otherwise() {
    let desk = desk_with_conflict();
    let expected = pairs([
        ("skopeo-oci:1.0", "delivered"),
        ("skopeo-oci:1.1", "unchanged"),
    ]);
    assert_eq!(outcomes(&desk, IMPORT), expected);
}

#[test]
fn existing_tags_are_kept_when_asked() {
    let desk = desk_with_conflict();
    let expected = pairs([("skopeo-oci:1.0", "kept"), ("skopeo-oci:1.1", "unchanged")]);
    assert_eq!(
        outcomes(&desk, &format!("{IMPORT} --existing keep")),
        expected
    );
}

#[test]
fn existing_tags_stop_the_import_when_asked() {
    let desk = desk_with_conflict();
    desk.run(&format!("{IMPORT} --existing fail"))
        .assert_code(1)
        .assert_stderr("`skopeo-oci:1.0` already")
        .assert_stderr(
            "hint: `--existing keep` leaves such tags alone, `--existing overwrite` moves them",
        );
}

#[test]
fn a_dry_run_promises_the_bytes_that_are_moved() {
    let desk = Desk::new();
    desk.run("export oci:near/cosign-signed oci:near/skopeo-oci oci:near/helm-chart --container usb --sign-key ops.key")
        .assert_success();
    let registry = Registry::start();
    let targets = [
        "oci:far".to_owned(),
        format!("{}/mirror", registry.address()),
    ];
    for target in targets {
        let line = format!("import usb --target {target} --trust ops.key.pub --output json");
        for _ in ["into nothing", "into what is there"] {
            let promised = desk
                .run(&format!("{line} --dry-run"))
                .assert_success()
                .json();
            let moved = desk.run(&line).assert_success().json();
            let bytes =
                |document: &serde_json::Value, name: &str| document["bundles"][0][name].as_u64();
            assert_eq!(
                bytes(&promised, "toMoveBytes"),
                bytes(&moved, "movedBytes"),
                "{target}"
            );
            assert!(bytes(&promised, "presentBytes").is_some());
        }
    }
}

#[test]
fn a_dry_run_makes_nothing() {
    let desk = Desk::with_bundle();
    desk.run(&format!("{IMPORT} --dry-run"))
        .assert_success()
        .assert_stdout("841 B to move (841 bytes)");
    assert!(!desk.path("far").exists());
}

#[test]
fn whoever_accepts_anything_is_warned() {
    let desk = Desk::new();
    desk.run("export oci:near/oras --container usb --unsigned")
        .assert_success();
    desk.run("import usb --target oci:far --insecure-accept-unsigned")
        .assert_success()
        .assert_stderr("warning: signatures were not checked: anybody may have made these bundles")
        .assert_stdout("signed by nobody that was checked");
}

#[test]
fn two_signers_make_a_threshold() {
    let desk = Desk::with_bundle();
    let line = "verify usb --trust ops.key.pub --trust ed.key.pub --threshold 2";
    desk.run(line).assert_code(4);
    desk.run("sign usb/chart.tar.zst --sign-key ed.key --trust ops.key.pub")
        .assert_success();
    desk.run(line).assert_success();
    assert_eq!(desk.names("usb").len(), 2);
}

#[test]
fn keys_are_shown_by_their_id() {
    let desk = Desk::new();
    let shown = desk.run("key show ed.key.pub --output json").json();
    assert_eq!(shown["algorithm"], "Ed25519");
    let made = desk.run("key generate --out new.key --output json").json();
    let shown = desk.run("key show new.key.pub --output json").json();
    assert_eq!(made["keyId"], shown["keyId"]);
    assert_eq!(made["encrypted"], false);
}
