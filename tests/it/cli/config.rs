//! The configuration file: pipelines that do what flags do, and faults that are told with their line.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::json::assert_documented;
use super::{Desk, registry_with_layers};
use crate::support::command::Output;
use crate::support::registry::{Auth, Login, Registry};

/// A desk with `airlift.toml`, beside a registry with a login and one to deliver to.
pub(super) struct Plant {
    pub(super) desk: Desk,
    near: Registry,
    far: Registry,
}

impl Plant {
    pub(super) fn new() -> Self {
        let plant = Self {
            desk: Desk::new(),
            near: registry_with_layers(),
            far: Registry::start(),
        };
        plant.desk.write("login", "right");
        plant
            .near
            .behave(|it| it.auth = Auth::Basic(Login::new("ops", "right")));
        plant.configure(&plant.whole());
        plant
    }

    /// Everything that works; `DESK`, `NEAR` and `FAR` are the desk and the registries.
    pub(super) fn whole(&self) -> String {
        let text = r#"
state = "DESK/state"

[registry.near]
address = "NEAR/apps"
username = "ops"
password = "file:DESK/login"

[registry.far]
address = "FAR/mirror"
validated = true

[container.usb]
url = "DESK/usb"

[export.nightly]
registry = "near"
references = ["web"]
tags = "1\\..*"
container = "usb"
sign-key = "DESK/ops.key"
schedule = "30 3 * * *"
time-zone = "Europe/Berlin"

[import.mirror]
container = "usb"
target = "far"
trust = ["nightly=DESK/ops.key.pub"]
source-trigger = false
"#;
        self.fill(text)
    }

    pub(super) fn fill(&self, text: &str) -> String {
        let desk = self.desk.path("").display().to_string();
        text.replace("DESK", desk.trim_end_matches('/'))
            .replace("NEAR", &self.near.address())
            .replace("FAR", &self.far.address())
    }

    pub(super) fn configure(&self, text: &str) {
        self.desk.write("airlift.toml", self.fill(text));
    }

    fn has_delivered(&self) -> bool {
        let repository = "mirror/apps/web".parse().unwrap();
        let found = self.far.tag(&repository, &"1.4".parse().unwrap());
        found.is_some()
    }

    pub(super) fn run(&self, line: &str) -> Output {
        self.desk.run(&format!("{line} --config airlift.toml"))
    }
}

#[test]
fn pipelines_of_the_file_carry_artifacts_from_registry_to_registry() {
    let plant = Plant::new();
    let dry = plant.run("run export nightly --dry-run");
    dry.assert_success();
    assert!(!plant.desk.path("usb").exists(), "nothing was moved");
    let first = plant.run("run export nightly --comment why --output json");
    let bundle = first.assert_success().json()["bundles"][0].clone();
    assert_eq!(
        (&bundle["pipeline"], &bundle["sequence"]),
        (&"nightly".into(), &1.into())
    );
    let again = plant.run("run export nightly --output json");
    assert_eq!(
        again.assert_success().json()["bundles"][0]["unchanged"],
        true
    );
    plant.run("run import mirror --dry-run").assert_success();
    assert!(!plant.has_delivered(), "a dry run moves nothing");
    plant
        .run("run import mirror")
        .assert_success()
        .assert_stdout("imported");
    assert!(plant.has_delivered());
}

#[test]
fn a_run_is_asked_for_other_artifacts_and_for_one_bundle() {
    let plant = Plant::new();
    plant.run("run export nightly").assert_success();
    let other = plant.run("run export nightly web:1.4 --output json");
    assert_eq!(
        other.assert_success().json()["bundles"][0]["unchanged"],
        true
    );
    plant.run("run export nightly nothing:1").assert_code(1);
    let missing = plant.run("run import mirror web-000000000000");
    missing
        .assert_code(1)
        .assert_stdout("there is no bundle `web-000000000000`");
    let name = plant.desk.names("usb").remove(0);
    let bundle = name.trim_end_matches(".tar.zst");
    plant
        .run(&format!("run import mirror {bundle}"))
        .assert_success();
    assert!(plant.has_delivered());
}

#[test]
fn settings_of_a_registry_hold_for_commands_by_hand_too() {
    let plant = Plant::new();
    let near = plant.near.address();
    plant.desk.run(&format!("list {near}")).assert_code(5);
    plant
        .run(&format!("list {near}"))
        .assert_success()
        .assert_stdout("apps/web");
}

#[test]
fn a_validated_registry_takes_content_only_through_pipelines() {
    let plant = Plant::new();
    plant.run("run export nightly").assert_success();
    let far = plant.far.address();
    for target in [
        format!("{far}/mirror"),
        format!("{far}/mirror/deep"),
        far.clone(),
        far.replace("127.0.0.1", "LOCALHOST"),
    ] {
        let by_hand = plant.run(&format!("import usb --target {target} --trust ops.key.pub"));
        by_hand
            .assert_code(5)
            .assert_stderr("only through pipelines");
        let watch = plant.run(&format!(
            "watch usb --target {target} --trust ops.key.pub --state state --once"
        ));
        watch.assert_code(5);
    }
    let beside = format!("import usb --target {far}/mirror-of-others --trust ops.key.pub");
    plant.run(&beside).assert_success();
    plant.run("run import mirror").assert_success();
}

#[test]
fn only_those_who_may_run_a_pipeline() {
    let plant = Plant::new();
    let list = |people: &str| {
        let text = plant
            .whole()
            .replace("schedule =", &format!("may-run = {people}\nschedule ="));
        plant.configure(&text);
        plant.run("run export nightly --dry-run")
    };
    list(r#"["nobody-here", "@no-group"]"#)
        .assert_code(5)
        .assert_stderr("may not run `[export.nightly]`")
        .assert_stderr("nobody-here, @no-group");
    let id = std::process::Command::new("id")
        .arg("-un")
        .output()
        .unwrap();
    let user = String::from_utf8(id.stdout).unwrap();
    list(&format!("[\"{}\"]", user.trim())).assert_success();
    let id = std::process::Command::new("id")
        .arg("-gn")
        .output()
        .unwrap();
    let group = String::from_utf8(id.stdout).unwrap();
    list(&format!("[\"@{}\"]", group.trim())).assert_success();
}

#[test]
fn two_pipelines_that_write_the_same_tags_are_refused_unless_it_is_meant() {
    let plant = Plant::new();
    let second = r#"
[import.second]
container = "usb"
target = "far/deep"
trust = ["DESK/ops.key.pub"]
"#;
    plant.configure(&format!("{}{second}", plant.whole()));
    let told = plant.run("config check");
    told.assert_code(2)
        .assert_stderr("airlift.toml:31: [import.second] can write the same tags")
        .assert_stderr("`[import.mirror]` in line 25");
    let slip = "shares-tags-with = [\"mirorr\"]\n";
    plant.configure(&format!("{}{second}{slip}", plant.whole()));
    plant
        .run("config check")
        .assert_code(2)
        .assert_stderr("no other pipeline is `mirorr`")
        .assert_stderr("did you mean `mirror`?");
    let meant = "shares-tags-with = [\"mirror\"]\n";
    plant.configure(&format!("{}{second}{meant}", plant.whole()));
    plant.run("config check").assert_success();
}

#[test]
fn a_pipeline_that_is_not_there_is_named() {
    let plant = Plant::new();
    let told = plant.run("run export nigthly");
    told.assert_code(2)
        .assert_stderr("there is no `[export.nigthly]`")
        .assert_stderr("did you mean `nightly`?");
    let gone = plant.desk.run("run export nightly --config gone.toml");
    gone.assert_code(2).assert_stderr("gone.toml");
}

#[test]
fn check_reads_secrets_and_looks_for_keys() {
    let plant = Plant::new();
    let checked = plant.run("config check");
    checked
        .assert_success()
        .assert_stdout("2 registries, 1 container, 2 pipelines");
    let document = plant.run("config check --output json").json();
    assert_eq!(document["warnings"].as_array().unwrap().len(), 0);
    let secret = plant.fill("file:DESK/login");
    plant.configure(&plant.whole().replace(&secret, "env:NO_SUCH_VARIABLE"));
    let told = plant.run("config check");
    told.assert_code(2)
        .assert_stderr("airlift.toml:7: ")
        .assert_stderr("NO_SUCH_VARIABLE");
    let run = plant.run("run export nightly");
    run.assert_code(2)
        .assert_stderr("[registry.near]")
        .assert_stderr("NO_SUCH_VARIABLE");
    plant.configure(&plant.whole().replace("/ops.key\"", "/none.key\""));
    plant
        .run("config check")
        .assert_code(2)
        .assert_stderr("none.key");
}

#[test]
fn programs_are_run_only_for_a_file_that_others_cannot_write() {
    let plant = Plant::new();
    let secret = plant.fill("file:DESK/login");
    plant.configure(&plant.whole().replace(&secret, "exec:cat DESK/login"));
    plant.run("run export nightly --dry-run").assert_success();
    let path = plant.desk.path("airlift.toml");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let told = plant.run("run export nightly --dry-run");
    told.assert_code(2)
        .assert_stderr(":7: names a program to run")
        .assert_stderr("chmod go-w");
}

#[test]
fn show_prints_a_file_that_means_the_same_and_no_secret() {
    let plant = Plant::new();
    let secret = plant.fill("file:DESK/login");
    let with_program = plant.whole().replace(&secret, "exec:cat S3CRET");
    plant.configure(&with_program);
    let shown = plant.run("config show");
    shown
        .assert_success()
        .assert_stdout("password = \"exec:cat\"")
        .assert_stdout("# existing = \"overwrite\"  (by default)")
        .assert_nowhere("S3CRET");
    plant.configure(&plant.whole());
    let text = plant.run("config show").assert_success().stdout.clone();
    plant.desk.write("shown.toml", &text);
    let again = plant.desk.run("config show --config shown.toml");
    let without_path = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        without_path(&again.assert_success().stdout),
        without_path(&text)
    );
    let document = plant
        .run("config show --output json")
        .assert_success()
        .json();
    assert_documented("config show", std::slice::from_ref(&document));
    assert_eq!(document["sections"][3]["settings"]["tags"], "1\\..*");
    assert_eq!(document["sections"][3]["defaults"]["profile"], "plain");
}

#[test]
fn the_schema_has_every_key_of_the_file() {
    let plant = Plant::new();
    let schema = plant.desk.run("config schema").assert_success().json();
    let document = plant
        .run("config show --output json")
        .assert_success()
        .json();
    for section in document["sections"].as_array().unwrap() {
        let kind = section["kind"].as_str().unwrap();
        let kind = &schema["properties"][kind]["patternProperties"];
        let kind = kind.as_object().unwrap().values().next().unwrap();
        let keys = |part: &str| {
            section[part]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        for key in keys("settings").into_iter().chain(keys("defaults")) {
            let property: &Value = &kind["properties"][&key];
            assert!(property["description"].is_string(), "{key}: {property}");
        }
        for required in kind["required"].as_array().unwrap() {
            assert!(
                section["settings"][required.as_str().unwrap()] != Value::Null,
                "{required}"
            );
        }
    }
}

const ACR: &str = r#"[
 { "type": "Microsoft.ContainerRegistry/registries/exportPipelines", "name": "Near/out",
   "properties": { "options": ["OverwriteBlobs", "ContinueOnErrors"],
     "target": { "type": "AzureStorageBlobContainer", "uri": "https://acme.blob.core.windows.net/transfer",
                 "keyVaultUri": "https://acme.vault.azure.net/secrets/sas" } } },
 { "type": "Microsoft.ContainerRegistry/registries/importPipelines", "name": "Far/in",
   "properties": { "options": ["OverwriteTags", "DeleteSourceBlobOnSuccess"],
     "trigger": { "sourceTrigger": { "status": "Enabled" } },
     "source": { "type": "AzureStorageBlobContainer", "uri": "https://acme.blob.core.windows.net/transfer",
                 "keyVaultUri": "https://acme.vault.azure.net/secrets/sas-far" } } } ]"#;

#[test]
fn pipelines_of_acr_transfer_become_pipelines_here() {
    let plant = Plant::new();
    plant.desk.write("acr.json", ACR);
    let keys = plant.desk.path("keys");
    let line = format!("config import-acr acr.json --keys {}", keys.display());
    let written = plant.desk.run(&line);
    written
        .assert_success()
        .assert_stderr("airlift key generate");
    let document = plant.desk.run(&format!("{line} --output json")).json();
    assert_documented("config import-acr", std::slice::from_ref(&document));
    plant.configure(&written.stdout);
    let missing = plant.run("config check");
    missing.assert_code(2).assert_stderr("out.key");
    std::fs::create_dir(&keys).unwrap();
    for (from, to) in [("ops.key", "out.key"), ("ops.key.pub", "in.key.pub")] {
        std::fs::copy(plant.desk.path(from), keys.join(to)).unwrap();
    }
    plant.run("config check").assert_success();
    let document = plant
        .run("config show --output json")
        .assert_success()
        .json();
    let settings = |name: &str| {
        let sections = document["sections"].as_array().unwrap();
        let named = |section: &&Value| section["name"] == name;
        sections.iter().find(named).unwrap()["settings"].clone()
    };
    let export = settings("out");
    assert_eq!(
        (&export["overwrite-blobs"], &export["continue-on-errors"]),
        (&true.into(), &true.into())
    );
    let import = settings("in");
    assert_eq!(import["existing"], "overwrite");
    assert_eq!(
        (&import["delete-source"], &import["source-trigger"]),
        (&true.into(), &true.into())
    );
    assert_eq!(import["continue-on-errors"], false);
    assert_eq!(settings("far")["address"], "far.azurecr.io");
    let computed = ACR.replace("Near/out", "[parameters('name')]");
    plant.desk.write("acr.json", computed);
    plant
        .desk
        .run(&line)
        .assert_code(2)
        .assert_stderr("only a deployment resolves");
}
