//! Promotion between registries: which edges there are, who may go along them, and what is carried and told.

mod broken_off;
mod edges;
mod refused;
mod rights;
mod rollback_tags;

use std::process::Command;

use airlift::content::Memory;
use airlift::oci::Repository;
use serde_json::Value;

use super::Desk;
use super::creation::planned_creation_of_promotion;
use super::json::assert_documented;
use crate::support::artifacts::{dated_image, five_nodes};
use crate::support::command::Output;
use crate::support::registry::{Fault, Registry, When};

/// Three registries in a row, and a file that says who may go where.
struct Chain {
    desk: Desk,
    dev: Registry,
    rc: Registry,
    prod: Registry,
}

const FILE: &str = r#"
state = "DESK/state"

[registry.dev]
address = "DEV/team"

[registry.rc]
address = "RC"

[registry.prod]
address = "PROD/live"
validated = true

[promotion.rc]
source = "dev/apps"
target = "rc/apps"
rollback-tag = "{tag}-{run}"

[promotion.prod]
source = "rc/apps"
target = "prod"
references = ["web:1.4"]
"#;

impl Chain {
    /// With the example of five nodes as `team/apps/web:1.4` in the first.
    fn new() -> Self {
        let chain = Self {
            desk: Desk::new(),
            dev: Registry::start(),
            rc: Registry::start(),
            prod: Registry::start(),
        };
        chain.seed_example();
        std::fs::create_dir(chain.desk.path("state")).unwrap();
        chain.configure(FILE);
        chain
    }

    fn seed_example(&self) {
        let nodes = five_nodes();
        let below: Repository = "team/apps/web".parse().unwrap();
        let (tags, contents) = nodes.memory.snapshot();
        let digests = contents.keys().map(|(_, digest)| digest);
        for digest in digests {
            let known = [&nodes.m0, &nodes.m1, &nodes.m2, &nodes.s];
            let document = known.iter().find(|it| it.descriptor.digest == *digest);
            if let Some(document) = document {
                self.dev.put_manifest(&below, (**document).clone(), None);
            } else {
                let bytes = contents[&(nodes.repository.clone(), digest.clone())].clone();
                self.dev.put_blob(&below, "application/octet-stream", bytes);
            }
        }
        assert_eq!(tags.len(), 1);
        self.dev.put_manifest(&below, nodes.m0, Some(&nodes.tag));
    }

    /// Tags an image of this day of January in the first registry, and says its digest.
    fn put(&self, repository: &str, tag: &str, day: usize) -> String {
        let memory = Memory::new();
        let repository = repository.parse().unwrap();
        let created = format!("2020-01-{day:02}T00:00:00Z");
        let image = dated_image(&memory, &repository, "amd64", &created);
        let digest = image.descriptor.digest.to_string();
        memory.put_manifest(&repository, image, Some(&tag.parse().unwrap()));
        self.dev.seed(&memory);
        digest
    }

    fn configure(&self, text: &str) {
        let desk = self.desk.path("").display().to_string();
        let text = text
            .replace("DEV", &self.dev.address())
            .replace("RC", &self.rc.address())
            .replace("PROD", &self.prod.address())
            .replace("DESK", desk.trim_end_matches('/'));
        self.desk.write("airlift.toml", text);
    }

    fn run(&self, line: &str) -> Output {
        let line = line
            .replace("DEV", &self.dev.address())
            .replace("RC", &self.rc.address())
            .replace("PROD", &self.prod.address());
        self.command(&line, "--config airlift.toml")
    }

    /// The comment has no spaces, for the line is cut at them.
    fn promote(&self, line: &str) -> Output {
        self.run(&format!("promote {line} --comment tested"))
    }

    fn command(&self, line: &str, more: &str) -> Output {
        self.desk.run(&format!("{line} {more}"))
    }

    /// What was recorded; without a ledger nothing was.
    fn runs(&self) -> Vec<Value> {
        if !self.desk.path("state/ledger.db").exists() {
            return Vec::new();
        }
        let runs = self.desk.run("runs --state state --output json").json();
        runs["runs"].as_array().unwrap().clone()
    }

    fn events(&self, of: &str) -> Vec<Value> {
        let told = self.run(&format!("history {of} --state state --output json"));
        told.json()["events"].as_array().unwrap().clone()
    }
}

fn tag(registry: &Registry, repository: &str, tag: &str) -> Option<String> {
    let found = registry.tag(&repository.parse().unwrap(), &tag.parse().unwrap());
    found.map(|digest| digest.to_string())
}

fn whoami(flag: &str) -> String {
    let id = Command::new("id").arg(flag).output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_index_goes_along_with_its_signature_and_keeps_its_digest() {
    let chain = Chain::new();
    let nodes = five_nodes();
    let cosign = format!("sha256-{}.sig", nodes.m0.descriptor.digest.hex());
    let signature = chain.put("team/apps/web", &cosign, 7);
    let before = chain.dev.snapshot();
    chain
        .promote("web:1.4 --to rc")
        .assert_success()
        .assert_stdout("delivered")
        .assert_stdout("/apps/web:1.4");
    chain.promote("rc/apps/web:1.4 --to prod").assert_success();
    for (registry, repository) in [(&chain.rc, "apps/web"), (&chain.prod, "live/web")] {
        let root = nodes.m0.descriptor.digest.to_string();
        assert_eq!(tag(registry, repository, "1.4"), Some(root));
        assert_eq!(
            tag(registry, repository, &cosign).as_ref(),
            Some(&signature)
        );
        let held = registry.snapshot();
        let repository: Repository = repository.parse().unwrap();
        for digest in [&nodes.m1, &nodes.m2, &nodes.s].map(|it| &it.descriptor.digest) {
            let key = (repository.clone(), digest.clone());
            assert!(held.1.contains_key(&key), "{repository}@{digest}");
        }
        assert_eq!(registry.missing_content(), Vec::<String>::new());
        registry.assert_no_violation();
    }
    assert_eq!(chain.dev.snapshot(), before, "the source is kept");
}

#[test]
fn what_a_promotion_replaces_keeps_a_rollback_tag_and_can_be_put_back() {
    let chain = Chain::new();
    let first = chain.put("team/apps/web", "1.4", 1);
    chain.promote("web:1.4 --to rc").assert_success();
    let second = chain.put("team/apps/web", "1.4", 2);
    let promoted = chain.promote("web:1.4 --to rc --output json");
    let document = promoted.assert_success().json();
    let run = document["run"].as_str().unwrap().to_owned();
    let artifact = &document["artifacts"][0];
    assert_eq!(artifact["replaced"], *first);
    assert_eq!(artifact["rollbackTag"], format!("1.4-{run}"));
    assert_eq!(
        tag(&chain.rc, "apps/web", &format!("1.4-{run}")),
        Some(first.clone())
    );
    assert_eq!(tag(&chain.rc, "apps/web", "1.4"), Some(second.clone()));
    let events = chain.events("RC/apps/web:1.4");
    let last = events.last().unwrap();
    assert_eq!(last["kind"], "promoted");
    assert_eq!(last["digest"], *second);
    assert_eq!(last["replaced"], *first);
    assert_eq!(last["rollbackTag"], format!("1.4-{run}"));
    chain
        .run("rollback RC/apps/web:1.4 --state state --comment broken")
        .assert_success();
    assert_eq!(tag(&chain.rc, "apps/web", "1.4"), Some(first));
}

#[test]
fn history_tells_the_chain_in_its_order() {
    let chain = Chain::new();
    chain.promote("web:1.4 --to rc").assert_success();
    chain
        .run("run promotion prod --comment released")
        .assert_success();
    let digest = five_nodes().m0.descriptor.digest.to_string();
    for of in ["RC/apps/web:1.4", "PROD/live/web:1.4", &digest] {
        let events = chain.events(of);
        let told: Vec<_> = events
            .iter()
            .map(|it| {
                let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
                (
                    text("pipeline"),
                    text("source"),
                    text("target"),
                    text("comment"),
                )
            })
            .collect();
        let (dev, rc, prod) = (
            format!("{}/team/apps/web:1.4", chain.dev.address()),
            format!("{}/apps/web:1.4", chain.rc.address()),
            format!("{}/live/web:1.4", chain.prod.address()),
        );
        let row = |texts: [&str; 4]| {
            let [pipeline, source, target, comment] = texts.map(str::to_owned);
            (pipeline, source, target, comment)
        };
        let expected = [
            row(["rc", &dev, &rc, "tested"]),
            row(["prod", &rc, &prod, "released"]),
        ];
        assert_eq!(told, expected, "{of}");
    }
    let who = chain.events(&digest)[0]["who"].clone();
    assert!(who.as_str().unwrap().starts_with(&whoami("-un")), "{who}");
}

#[test]
fn within_one_registry_blobs_are_mounted_and_not_moved() {
    let chain = Chain::new();
    let edge = "--source DEV/team --target DEV/rc --output json";
    let dry = chain.promote(&format!("DEV/team/apps/web:1.4 {edge} --dry-run"));
    let planned = dry.assert_success().json();
    let told = chain.promote(&format!("DEV/team/apps/web:1.4 {edge}"));
    let done = told.assert_success().json();
    assert!(done["mountedContents"].as_u64() > Some(0));
    assert_eq!(planned["toMoveBytes"], done["movedBytes"]);
    assert!(tag(&chain.dev, "rc/apps/web", "1.4").is_some());
    assert_eq!(chain.dev.log().bytes_uploaded(), 0);
    chain.dev.assert_no_violation();
}

#[test]
fn a_promotion_that_breaks_off_moves_no_tag_and_is_repeated() {
    let chain = Chain::new();
    let first = chain.put("team/apps/web", "1.4", 1);
    chain.promote("web:1.4 --to rc").assert_success();
    chain.put("team/apps/api", "2", 3);
    let second = chain.put("team/apps/web", "1.4", 2);
    chain
        .rc
        .fault(When::put("/manifests/sha256:").always(), Fault::Status(500));
    let broken = chain.promote("web:1.4 api:2 --to rc");
    assert_ne!(broken.code, Some(0));
    assert_eq!(tag(&chain.rc, "apps/web", "1.4"), Some(first.clone()));
    assert_eq!(chain.runs()[0]["status"], "failed");
    chain.rc.heal();
    chain.promote("web:1.4 api:2 --to rc").assert_success();
    assert_eq!(tag(&chain.rc, "apps/web", "1.4"), Some(second));
    let last = chain.events("RC/apps/web:1.4").pop().unwrap();
    assert_eq!(last["replaced"], *first);
    chain.rc.assert_no_violation();
}

#[test]
fn a_pipeline_promotes_what_its_rules_select_and_keeps_what_is_there() {
    let chain = Chain::new();
    for day in 1..=5 {
        chain.put("team/apps/api", &format!("v{day}"), day);
    }
    let rules = "references = [\"api\"]\ntags = \"v.*\"\nnewest = 3\nexisting = \"keep\"";
    chain.configure(&FILE.replace("rollback-tag =", &format!("{rules}\n# ")));
    chain
        .run("run promotion rc --comment nightly")
        .assert_success()
        .assert_stderr("3 of 5 tags");
    for (name, is_there) in [("v2", false), ("v3", true), ("v5", true)] {
        assert_eq!(
            tag(&chain.rc, "apps/api", name).is_some(),
            is_there,
            "{name}"
        );
    }
    let before = tag(&chain.rc, "apps/api", "v5");
    chain.put("team/apps/api", "v5", 9);
    chain
        .run("run promotion rc --comment nightly")
        .assert_success()
        .assert_stdout("kept");
    assert_eq!(tag(&chain.rc, "apps/api", "v5"), before);
}

#[test]
fn what_cannot_be_read_is_left_out_when_asked_and_told() {
    let chain = Chain::new();
    let rules = "continue-on-errors = true";
    chain.configure(&FILE.replace("rollback-tag =", &format!("{rules}\nrollback-tag =")));
    let told = chain.promote("web:1.4 web:none --to rc --output json");
    let document = told.assert_code(3).json();
    assert_eq!(document["artifacts"].as_array().unwrap().len(), 1);
    let run = chain.runs().remove(0);
    assert_eq!(run["status"], "partly failed");
    assert_eq!(run["artifacts"]["failed"], 1);
    let dry = chain.promote("web:1.4 web:none --to rc --output json --dry-run");
    let documents = [
        document,
        dry.assert_code(3).json(),
        planned_creation_of_promotion(),
    ];
    assert_documented("promote", &documents);
}

#[test]
fn a_promotion_that_was_killed_is_repeated_and_moves_nothing_again() {
    let chain = Chain::new();
    let its_tag = "/apps/web/manifests/1.4";
    chain.rc.fault(When::put(its_tag), Fault::Hang);
    let line = "promote web:1.4 --to rc --comment tested --config airlift.toml";
    let running = chain.desk.command(line).spawn();
    running.kill_when(|| chain.rc.log().count("PUT", its_tag) > 0);
    assert_eq!(tag(&chain.rc, "apps/web", "1.4"), None);
    assert_eq!(chain.runs()[0]["status"], "interrupted");
    chain.rc.heal();
    let again = chain.promote("web:1.4 --to rc --output json");
    assert_eq!(again.assert_success().json()["movedBytes"], 0);
    assert!(tag(&chain.rc, "apps/web", "1.4").is_some());
    chain.rc.assert_no_violation();
}

#[test]
fn referrers_that_cannot_be_asked_for_are_no_missing_referrers() {
    let chain = Chain::new();
    chain
        .dev
        .fault(When::get("/referrers/").always(), Fault::Status(403));
    chain
        .promote("web:1.4 --to rc")
        .assert_code(5)
        .assert_stderr("cannot read `");
    assert_eq!(tag(&chain.rc, "apps/web", "1.4"), None);
    assert_eq!(chain.runs()[0]["status"], "failed");
}
