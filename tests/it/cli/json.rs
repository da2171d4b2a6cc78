//! The JSON output and its documentation in the README name the same fields.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::creation::planned_creation;
use super::thin::desk_with_delta;
use super::{Desk, registry_with_layers, repository_root};
use crate::support::registry::{Fault, When};

/// Documented as one field each: their insides are told in words.
const WHOLE: [&str; 12] = [
    "subject",
    "bundles[].past",
    "bundles[].pipeline",
    "bundles[].repairs",
    "counts",
    "sections[].settings",
    "sections[].defaults",
    "bundles[].missingVolumes",
    "bundles[].mediaTypes",
    "bundles[].volumes[].voids",
    "bundles[].artifacts[].referrers",
    "bundles[].artifacts[].absent",
];

/// The paths of all values in a document; a list of plain values is one value.
fn fields(document: &Value, path: &str, found: &mut BTreeSet<String>) {
    let is_whole = WHOLE.contains(&path);
    match document {
        Value::Object(members) if !is_whole => {
            for (name, value) in members {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                fields(value, &below, found);
            }
        }
        Value::Array(values) if !is_whole && values.iter().any(Value::is_object) => {
            for value in values {
                fields(value, &format!("{path}[]"), found);
            }
        }
        // Empty: what would be in it is not to be seen here.
        Value::Array(values) if !is_whole && values.is_empty() => {}
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// The backticked fields in the first column of the table after `<!-- json: COMMAND -->`.
fn documented(command: &str) -> BTreeSet<String> {
    let readme = fs::read_to_string(repository_root().join("README.md")).unwrap();
    let marker = format!("<!-- json: {command} -->\n");
    let (_, table) = readme.split_once(&marker).expect("the table is there");
    let rows = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .skip(2);
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

#[track_caller]
pub(super) fn assert_documented(command: &str, documents: &[Value]) {
    let mut found = BTreeSet::new();
    for document in documents {
        fields(document, "", &mut found);
    }
    let documented = documented(command);
    let missing: Vec<_> = found.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&found).collect();
    assert!(missing.is_empty(), "{command}: not documented: {missing:?}");
    assert!(
        invented.is_empty(),
        "{command}: never printed: {invented:?}"
    );
}

fn run(desk: &Desk, line: &str) -> Value {
    desk.run(&format!("{line} --output json")).json()
}

#[test]
fn exports_print_what_is_documented() {
    let desk = Desk::new();
    let registry = registry_with_layers();
    let line = format!(
        "export oci:near/cosign-signed {}/apps/web:9 --container usb --sign-key ops.key --continue-on-errors",
        registry.address()
    );
    let documents = [run(&desk, &format!("{line} --dry-run")), run(&desk, &line)];
    assert_documented("export", &documents);
}

#[test]
fn imports_print_what_is_documented() {
    let desk = Desk::with_bundle();
    let line = "import usb --target oci:far --trust ops.key.pub";
    let documents = [
        run(&desk, &format!("{line} --tags none --dry-run")),
        run(&desk, &format!("{line} --dry-run")),
        run(&desk, &format!("{line} --check")),
        planned_creation(),
    ];
    assert_documented("import", &documents);
    let unpacked = run(&desk, "unpack usb oci:out --trust ops.key.pub --check");
    let [left, planned, _, creating] = documents;
    assert_documented("import", &[left, planned, unpacked, creating]);
}

#[test]
fn rollbacks_print_what_is_documented() {
    let desk = Desk::with_bundle();
    desk.run("import usb --target oci:far --trust ops.key.pub --state state")
        .assert_success();
    let listed = run(&desk, "list oci:far");
    let name = listed["tags"][0]["name"].as_str().unwrap();
    let (repository, tag) = name.rsplit_once(':').unwrap();
    let line = format!("rollback oci:far:{repository}:{tag} --to {tag} --state state --comment x");
    let told = run(&desk, &line);
    assert_eq!(told["unchanged"], true);
    assert_documented("rollback", &[told]);
}

#[test]
fn watches_print_what_is_documented() {
    let desk = Desk::with_bundle();
    let line = "watch usb --target oci:far --trust ops.key.pub --state state --once --output json";
    let told = desk.run(line);
    let lines = told.assert_code(4).stdout.lines();
    let events: Vec<Value> = lines.map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_documented("watch", &events);
    assert_documented("watch list", &[run(&desk, "watch list --state state")]);
    let retried = run(&desk, "watch retry chart --state state");
    assert_documented("watch retry", &[retried]);
}

#[test]
fn runs_print_what_is_documented() {
    let desk = Desk::new();
    let registry = registry_with_layers();
    let host = registry.address();
    let line = format!("{host}/apps/web:1.4 --container usb --sign-key ops.key --state state");
    desk.run(&format!(
        "export {line} {host}/apps/gone:1 --continue-on-errors"
    ))
    .assert_code(3);
    registry.fault(When::get("/blobs/").always(), Fault::Status(404));
    desk.run(&format!("export {line} --name broken"))
        .assert_code(1);
    desk.run("transfer usb stick --state state")
        .assert_success();
    let listed = run(&desk, "runs --state state");
    let id = |position: usize| listed["runs"][position]["id"].as_str().unwrap();
    let show = |position| run(&desk, &format!("runs show {} --state state", id(position)));
    assert_documented("runs show", &[show(0), show(1), show(2)]);
    assert_documented("runs log", &[run(&desk, "runs log --state state")]);
    assert_documented("runs", &[listed]);
    let cleaned = run(&desk, "runs clean --older-than 90d --state state");
    assert_documented("runs clean", &[cleaned]);
}

#[test]
fn histories_print_what_is_documented() {
    let desk = Desk::new();
    let line =
        "export oci:near/helm-chart --container usb --sign-key ops.key --state state --comment why";
    desk.run(&format!("{line} --pipeline nightly"))
        .assert_success();
    desk.run("import usb --target oci:far --trust ops.key.pub --state state")
        .assert_success();
    let host = desk.path("far").display().to_string();
    let history = run(
        &desk,
        &format!("history oci:{host}:helm-chart:0.1.0 --state state"),
    );
    assert_documented("history", &[history]);
    let verified = run(&desk, "audit verify --state state");
    assert_documented("audit verify", &[verified]);
}

#[test]
fn lists_print_what_is_documented() {
    let desk = Desk::new();
    let registry = registry_with_layers();
    let host = registry.address();
    let registries = run(&desk, &format!("list {host}"));
    let layouts = run(&desk, "list oci:near/buildah-multiarch");
    registry.fault(When::get("/manifests/1.4").always(), Fault::Status(404));
    let output = desk.run(&format!("list {host}/apps/web --output json"));
    let failed = output.assert_code(3).json();
    assert_documented("list", &[registries, layouts, failed]);
}

#[test]
fn selections_print_what_is_documented() {
    let desk = Desk::new();
    let registry = registry_with_layers();
    let host = registry.address();
    let line = format!("select {host}/apps/* {host}/none --min-age 1h --continue-on-errors");
    let listed = desk.run(&format!("{line} --output json"));
    let explained = desk.run(&format!(
        "{line} {host}/apps/web:1.4 --explain --output json"
    ));
    let listed_names = run(&desk, &format!("select {host}/apps/web"));
    assert_eq!(explained.json()["tags"].as_array().unwrap().len(), 2);
    let documents = [
        listed.assert_code(3).json(),
        explained.assert_code(3).json(),
        listed_names,
    ];
    assert_documented("select", &documents);
}

#[test]
fn containers_print_what_is_documented() {
    let desk = Desk::with_bundle();
    desk.write("usb/left.tar.partial", "x");
    let listed = run(&desk, "container list usb");
    assert_documented("container list", &[listed]);
    let cleaned = run(&desk, "container clean usb --older-than 0s");
    assert_documented("container clean", &[cleaned]);
}

#[test]
fn inspections_print_what_is_documented() {
    let desk = Desk::new();
    desk.run("export oci:near/cosign-signed oci:near/skopeo-oci --container usb --sign-key ops.key --audience ship-7")
        .assert_success();
    let whole = run(&desk, "inspect usb --trust ops.key.pub");
    let thin = run(&desk_with_delta(), "inspect usb --trust ops.key.pub");
    assert_documented("inspect", &[whole, thin]);
}

#[test]
fn verifications_print_what_is_documented() {
    let desk = Desk::with_bundle();
    let right = run(&desk, "verify usb --trust ops.key.pub");
    let refused = run(&desk, "verify usb --trust other.key.pub");
    let mut bytes = fs::read(desk.path("usb/chart.tar.zst")).unwrap();
    bytes[1000] ^= 1;
    desk.write("bad.tar.zst", bytes);
    let faulty = run(&desk, "verify bad.tar.zst --trust ops.key.pub");
    assert_documented("verify", &[right, refused, faulty]);
}

#[test]
fn transfers_print_what_is_documented() {
    let desk = Desk::with_bundle();
    desk.run("sign usb/chart.tar.zst --sign-key other.key --trust ops.key.pub")
        .assert_success();
    desk.write("usb/note.txt", "x");
    let bytes = fs::read(desk.path("usb/chart.tar.zst")).unwrap();
    desk.write("usb/cut.tar.zst", &bytes[..2000]);
    desk.run("transfer usb far --dry-run")
        .assert_code(2)
        .assert_stderr("there is no directory `far`");
    fs::create_dir(desk.path("far")).unwrap();
    let planned = run(&desk, "transfer usb far --dry-run");
    let done = run(&desk, "transfer usb far --verify");
    assert_eq!(planned["toCopyBytes"], done["copiedBytes"]);
    desk.write("far/chart.tar.zst", "x");
    let failed = run(&desk, "transfer usb far --continue-on-errors");
    assert_documented("transfer", &[planned, done, failed]);
}

#[test]
fn the_other_commands_print_what_is_documented() {
    let desk = Desk::with_bundle();
    let sign = "sign usb/chart.tar.zst --sign-key other.key --trust ops.key.pub";
    assert_documented("sign", &[run(&desk, sign)]);
    let keys = [
        run(&desk, "key generate --out new.key"),
        run(&desk, "key show new.key.pub"),
    ];
    assert_documented("key", &keys);
    desk.write("acme.key", "bm90IGEgcmVhbCBrZXk=");
    let url = "https://acme.blob.core.windows.net/drop";
    let made = run(
        &desk,
        &format!("sas make {url} --account-key file:acme.key --permissions rl --expires 8h"),
    );
    desk.write("drop.sas", made["sas"].as_str().unwrap());
    assert_documented("sas make", &[made]);
    assert_documented("sas show", &[run(&desk, "sas show file:drop.sas")]);
    assert_documented("manual", &[run(&desk, "manual --out man")]);
}
