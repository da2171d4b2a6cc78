//! What rules have to know of artifacts is read once, and kept by digest between runs.

use airlift::content::{Document, Memory};
use airlift::history::Ledger;
use airlift::oci::{Repository, Tag};
use serde_json::Value;

use super::Desk;
use crate::support::artifacts::{dated_image, index};
use crate::support::registry::Registry;

fn repository() -> Repository {
    "app".parse().unwrap()
}

fn image(memory: &Memory, architecture: &str, day: usize) -> Document {
    let created = format!("2020-01-{day:02}T00:00:00Z");
    dated_image(memory, &repository(), architecture, &created)
}

/// An image of this day under the tag.
fn put(registry: &Registry, tag: &str, day: usize) {
    let memory = Memory::new();
    let document = image(&memory, "amd64", day);
    let tag: Tag = tag.parse().unwrap();
    memory.put_manifest(&repository(), document, Some(&tag));
    registry.seed(&memory);
}

/// `app:v1` to `app:v5`, each newer than the one before, and the index `app:multi` of day 3.
fn registry() -> Registry {
    let registry = Registry::start();
    for day in 1..=5 {
        put(&registry, &format!("v{day}"), day);
    }
    let memory = Memory::new();
    let images = ["amd64", "arm64"].map(|it| (it, image(&memory, it, 3)));
    let children: Vec<_> = images.iter().map(|(it, image)| (*it, image)).collect();
    let root = index(&memory, &repository(), &children);
    memory.put_manifest(&repository(), root, Some(&"multi".parse().unwrap()));
    registry.seed(&memory);
    registry
}

/// Runs it, and says what was asked of the registry meanwhile: manifests, and blobs.
fn ask(desk: &Desk, registry: &Registry, line: &str) -> (Value, [usize; 2]) {
    registry.log().clear();
    let line = line.replace("HOST", &registry.address());
    let told = desk.run(&format!("{line} --output json"));
    let document = told.assert_success().json();
    let count = |path| registry.log().count("GET", path);
    (document, [count("/manifests/"), count("/blobs/")])
}

fn taken(document: &Value) -> Vec<&str> {
    let references = document["references"].as_array().unwrap().iter();
    references
        .map(|it| it.as_str().unwrap().rsplit_once(':').unwrap().1)
        .collect()
}

#[test]
fn a_second_run_reads_only_what_is_new() {
    let (desk, registry) = (Desk::new(), registry());
    let line = "select HOST/app --newest 2 --state state";
    let (first, asked) = ask(&desk, &registry, line);
    assert_eq!(taken(&first), ["v4", "v5"]);
    // A manifest for each tag and one image of the index; the config of that image is one of the five.
    assert_eq!(asked[0], 7);
    assert!(asked[1] >= 5, "{asked:?}");

    let (second, asked) = ask(&desk, &registry, line);
    assert_eq!(second["references"], first["references"]);
    assert_eq!(asked, [0, 0], "{}", registry.log().lines());
    assert_eq!(registry.log().count("HEAD", "/manifests/"), 6);
    assert_eq!(second["totals"]["manifestsRead"], 0);

    put(&registry, "v6", 6);
    let (third, asked) = ask(&desk, &registry, line);
    assert_eq!(taken(&third), ["v5", "v6"]);
    assert_eq!(asked, [1, 1], "{}", registry.log().lines());

    // Without the directory all of it is read again.
    let (_, asked) = ask(&desk, &registry, "select HOST/app --newest 2");
    assert_eq!(asked[0], 8);
}

#[test]
fn a_tag_that_moved_is_known_by_what_it_stands_for_now() {
    let (desk, registry) = (Desk::new(), registry());
    let line = "select HOST/app --newest 1 --state state";
    assert_eq!(taken(&ask(&desk, &registry, line).0), ["v5"]);
    put(&registry, "v1", 28);
    let (moved, asked) = ask(&desk, &registry, line);
    assert_eq!(taken(&moved), ["v1"]);
    assert_eq!(asked, [1, 1]);
    // To what another tag stands for: nothing is read, and it is as old as that.
    put(&registry, "v5", 2);
    put(&registry, "v1", 2);
    let (back, asked) = ask(&desk, &registry, line);
    assert_eq!(taken(&back), ["v4"]);
    assert_eq!(asked, [0, 0]);
}

#[test]
fn what_was_not_looked_for_is_not_known() {
    let (desk, registry) = (Desk::new(), registry());
    let by_type = "select HOST/app --artifact-type application/none --state state";
    let (_, asked) = ask(&desk, &registry, by_type);
    assert_eq!(asked, [6, 0]);
    assert_eq!(ask(&desk, &registry, by_type).1, [0, 0]);
    let (newest, asked) = ask(&desk, &registry, "select HOST/app --newest 1 --state state");
    assert_eq!(taken(&newest), ["v5"]);
    assert!(asked[1] >= 5, "{asked:?}");
    let by_platform = "select HOST/app --platform linux/arm64 --state state";
    let (found, asked) = ask(&desk, &registry, by_platform);
    assert_eq!(taken(&found), ["multi"]);
    assert_eq!(asked, [0, 0], "their configs were read for their time");
}

#[test]
fn exports_and_promotions_use_what_is_known() {
    let (desk, registry, other) = (Desk::new(), registry(), Registry::start());
    let (_, _) = ask(&desk, &registry, "select HOST/app --newest 1 --state state");
    let to = other.address();
    let promotion = format!(
        "promote HOST/app --source HOST --target {to} --newest 1 --comment x --state state"
    );
    let dry = format!("{promotion} --dry-run");
    for line in [
        "export HOST/app --container usb --unsigned --newest 1 --state state --dry-run",
        &dry,
        "export HOST/app --container usb --unsigned --newest 1 --state state",
        &promotion,
    ] {
        let (_, asked) = ask(&desk, &registry, line);
        // What is taken is read by its digest, once.
        assert_eq!(asked[0], 1, "{line}: {}", registry.log().lines());
        assert_eq!(registry.log().count("HEAD", "/manifests/v"), 5, "{line}");
    }
    let tag = other.tag(&repository(), &"v5".parse().unwrap());
    assert!(tag.is_some());
}

#[test]
fn nothing_is_kept_where_no_rule_needs_to_know() {
    let (desk, registry) = (Desk::new(), registry());
    let by_name = "select HOST/app --tags v.* --newest 3 --newest-by version --state state";
    ask(&desk, &registry, by_name);
    assert!(!desk.path("state").exists());
    let export = "export HOST/app --tags v.* --container usb --unsigned --state state";
    ask(&desk, &registry, export);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = Ledger::open(&desk.path("state")).await.unwrap();
        assert!(!ledger.has_facts().await.unwrap());
    });
    ask(&desk, &registry, by_name);
    assert_eq!(registry.log().count("*", "/manifests/"), 0);
}
