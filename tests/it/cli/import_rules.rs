//! The rules of an import: a part of a bundle, names at the target, and what is there a second time.

use airlift::content::Memory;
use serde_json::Value;

use super::Desk;
use crate::support::artifacts::{dated_image, image};
use crate::support::registry::Registry;

const TAKE_ALL: &str = "--container usb --sign-key ops.key --name all";
const IMPORT: &str = "import usb --trust ops.key.pub";

fn put(memory: &Memory, name: &str, tag: &str, day: usize) {
    let repository = name.parse().unwrap();
    let created = format!("2020-01-{day:02}T00:00:00Z");
    let document = dated_image(memory, &repository, "amd64", &created);
    memory.put_manifest(&repository, document, Some(&tag.parse().unwrap()));
}

/// Five releases and a branch of one repository, one release of each of two others, and one image without a tag.
fn desk_with_releases() -> Desk {
    let memory = Memory::new();
    for (number, day) in [(1, 20), (2, 2), (3, 3), (4, 4), (5, 5)] {
        put(&memory, "apps/web", &format!("release-v1.{number}"), day);
    }
    put(&memory, "apps/web", "main", 28);
    put(&memory, "apps/deep/api", "release-v0.1", 1);
    put(&memory, "tools/cc", "release-v9", 1);
    let repository = "apps/web".parse().unwrap();
    let untagged = image(&memory, &repository, "amd64", &[b"untagged"]);
    memory.put_manifest(&repository, untagged.clone(), None);
    let registry = Registry::start();
    registry.seed(&memory);
    let host = registry.address();
    let desk = Desk::new();
    let digest = untagged.descriptor.digest;
    desk.run(&format!(
        "export {host}/** {host}/apps/web@{digest} {TAKE_ALL}"
    ))
    .assert_success()
    .assert_stdout("9 artifacts");
    desk
}

fn texts(list: &Value, name: &str) -> Vec<String> {
    let text = |it: &Value| it[name].as_str().unwrap_or("-").to_owned();
    let mut texts: Vec<String> = list.as_array().unwrap().iter().map(text).collect();
    texts.sort();
    texts
}

/// The rule that other registries' imports have: the newest three that match, and what is there stays.
const NEWEST: &str = "--tags release-v.* --newest 3 --existing keep";

#[test]
fn a_part_of_a_bundle_is_taken_by_the_rules_of_a_selection() {
    let desk = desk_with_releases();
    let line = format!("{IMPORT} --target oci:far --repositories apps/** {NEWEST}");
    let told = desk.run(&format!("{line} --dry-run"));
    told.assert_success()
        .assert_stderr("note: `all`: 5 of 9 artifacts selected")
        .assert_stdout("apps/web:release-v1.5 → apps/web:release-v1.5")
        .assert_stdout("left: newest: is not among the newest 3 by creation time")
        .assert_stdout("left: tags: does not match `release-v.*`")
        .assert_stdout("left: repositories: its repository is not among those to take");
    let planned = desk.run(&format!("{line} --dry-run --output json")).json();
    let bundle = &planned["bundles"][0];
    assert_eq!(
        texts(&bundle["left"], "rule"),
        ["newest", "newest", "repositories", "tags"]
    );
    let done = desk.run(&format!("{line} --output json"));
    let done = done.assert_success().json();
    assert_eq!(bundle["toMoveBytes"], done["bundles"][0]["movedBytes"]);
    assert_eq!(done["bundles"][0]["left"], bundle["left"]);
    let names = texts(&done["bundles"][0]["artifacts"], "name");
    assert_eq!(
        names[..4],
        [
            "apps/deep/api:release-v0.1",
            "apps/web:release-v1.1",
            "apps/web:release-v1.4",
            "apps/web:release-v1.5"
        ]
    );
    assert!(names[4].starts_with("apps/web@sha256:"), "{names:?}");
    desk.run("list oci:far")
        .assert_success()
        .assert_stdout("apps/web:release-v1.4");
}

#[test]
fn nothing_may_be_selected_and_excluded_repositories_leave_all_they_have() {
    let desk = desk_with_releases();
    desk.run(&format!(
        "{IMPORT} --target oci:far --newest 0 --exclude-repositories apps/**"
    ))
    .assert_success()
    .assert_stderr("nothing selected of 9 artifacts")
    .assert_stdout("0 artifacts");
    desk.run(&format!(
        "{IMPORT} --target oci:out --exclude-repositories apps/web"
    ))
    .assert_stderr("2 of 9 artifacts selected");
    desk.run(
        "unpack usb oci:out --trust ops.key.pub --platform linux/arm64 --repositories tools/*",
    )
    .assert_success()
    .assert_stderr("nothing selected");
}

#[test]
fn repositories_are_renamed_and_put_below_the_prefix() {
    let desk = desk_with_releases();
    let registry = Registry::start();
    let target = format!("{}/mirror", registry.address());
    let line = format!(
        "{IMPORT} --target {target} --repositories {{apps/deep,tools}}/** --rename ~apps/(.*)/(.*)=$2-$1 --rename tools/="
    );
    desk.run(&format!("{line} --dry-run"))
        .assert_success()
        .assert_stdout("apps/deep/api:release-v0.1 → mirror/api-deep:release-v0.1")
        .assert_stdout("tools/cc:release-v9 → mirror/cc:release-v9");
    let document = desk.run(&format!("{line} --check --output json"));
    let artifacts = &document.assert_success().json()["bundles"][0]["artifacts"];
    assert_eq!(
        texts(artifacts, "source"),
        ["apps/deep/api:release-v0.1", "tools/cc:release-v9"]
    );
    let tag = "release-v9".parse().unwrap();
    assert!(registry.tag(&"mirror/cc".parse().unwrap(), &tag).is_some());
    registry.assert_no_violation();
}

#[test]
fn two_contents_are_never_given_one_name() {
    let desk = desk_with_releases();
    let memory = Memory::new();
    put(&memory, "apps/one", "1", 1);
    put(&memory, "apps/two", "1", 2);
    put(&memory, "apps/same", "1", 2);
    let source = Registry::start();
    source.seed(&memory);
    let host = source.address();
    desk.run(&format!(
        "export {host}/** --container two --sign-key ops.key"
    ))
    .assert_success();
    let registry = Registry::start();
    let line = format!(
        "import two --trust ops.key.pub --target {} --rename ~apps/(one|two|same)=all",
        registry.address()
    );
    desk.run(&line)
        .assert_code(2)
        .assert_stderr("would both be `all:1` at the target, and they differ")
        .assert_stderr("`apps/one:1` and `apps/")
        .assert_stderr("hint: ");
    assert_eq!(registry.log().count("PUT", "/"), 0, "nothing has moved");
    // The same content may be called the same.
    desk.run(&format!("{line} --exclude-repositories apps/one --check"))
        .assert_success();
    registry.assert_no_violation();
}

#[test]
fn a_name_that_cannot_be_one_is_refused_before_anything_moves() {
    let desk = desk_with_releases();
    let line = format!("{IMPORT} --target oci:far --rename");
    desk.run(&format!("{line} ~tools/(.*)=../$1"))
        .assert_code(2)
        .assert_stderr("makes of `tools/cc` what cannot be a repository");
    assert!(!desk.path("far").exists());
    desk.run(&format!("{line} library/=mirror"))
        .assert_code(2)
        .assert_stderr("both sides are prefixes");
    desk.run(&format!("{line} ~(=x"))
        .assert_code(2)
        .assert_stderr("unclosed group");
}

#[test]
fn what_another_rule_has_left_is_delivered_when_asked() {
    let desk = desk_with_releases();
    let memory = Memory::new();
    put(&memory, "apps/web", "1", 1);
    put(&memory, "apps/api", "1", 2);
    let registry = Registry::start();
    registry.seed(&memory);
    desk.run(&format!(
        "export {}/** --container lane --sign-key ops.key --pipeline plant --sequence 1",
        registry.address()
    ))
    .assert_success();
    let line = "import lane --trust ops.key.pub --target oci:far --state state";
    desk.run(&format!("{line} --repositories apps/web"))
        .assert_success()
        .assert_stdout("1 artifact");
    desk.run(line)
        .assert_success()
        .assert_stderr("nothing was to be done");
    desk.run("list oci:far").assert_stdout("apps/web");
    let done = desk.run(&format!("{line} --replays deliver"));
    done.assert_success()
        .assert_stderr("`apps-api-")
        .assert_stderr("was delivered before, and is again")
        .assert_stdout("1 tag moved");
    desk.run("list oci:far").assert_stdout("apps/api:1");
    desk.run(&format!("{IMPORT} --target oci:far --replays deliver"))
        .assert_code(2)
        .assert_stderr("--state");
}

#[test]
fn a_watch_takes_the_part_that_it_was_told() {
    let desk = desk_with_releases();
    let line =
        "watch usb --trust ops.key.pub --target oci:far --state state --once --accept-one-off";
    desk.run(&format!(
        "{line} --tags release-v9 --rename tools/=t/ --repositories tools/*"
    ))
    .assert_success()
    .assert_stdout("1 artifact,")
    .assert_stdout("8 not selected");
    desk.run("list oci:far")
        .assert_success()
        .assert_stdout("t/cc:release-v9");
}
