//! A chain of real registries, dev → rc → prod: what is promoted along it, what the history tells of it, and how a
//! tag that was overwritten stays findable.

use airlift::content::{Memory, Source};
use serde_json::Value;
use tempfile::TempDir;

use super::holdings::holdings;
use super::{export, import, text};
use crate::support::artifacts::{dated_image, five_nodes};
use crate::support::command::{Airlift, Output};
use crate::support::real::{DockerRegistry, tool_or_skip};
use crate::support::registry::Registry;

struct Chain {
    desk: TempDir,
    dev: DockerRegistry,
    rc: DockerRegistry,
    prod: DockerRegistry,
}

const FILE: &str = r#"
state = "DESK/state"

[registry.dev]
address = "DEV/apps"

[registry.rc]
address = "STAGE/apps"

[registry.prod]
address = "LIVE"
validated = true

[promotion.rc]
source = "dev"
target = "rc"
rollback-tag = "{tag}-{run}"

[promotion.prod]
source = "rc"
target = "prod/apps"
rollback-tag = "{tag}-{run}"
"#;

impl Chain {
    fn start_or_skip() -> Option<Self> {
        let chain = Self {
            desk: tempfile::tempdir().unwrap(),
            dev: DockerRegistry::start_or_skip()?,
            rc: DockerRegistry::start_or_skip()?,
            prod: DockerRegistry::start_or_skip()?,
        };
        let file = FILE
            .replace("DEV", &chain.dev.address())
            .replace("STAGE", &chain.rc.address())
            .replace("LIVE", &chain.prod.address())
            .replace("DESK", &text(chain.desk.path()));
        std::fs::write(chain.desk.path().join("airlift.toml"), file).unwrap();
        Some(chain)
    }

    /// Brings what memory holds into the first registry.
    fn fill(&self, memory: &Memory) {
        let fake = Registry::start();
        fake.seed(memory);
        let container = tempfile::tempdir().unwrap();
        let all = format!("{}/**", fake.address());
        export(&[&all], container.path()).run().assert_success();
        import(container.path(), &self.dev.address())
            .run()
            .assert_success();
    }

    fn run(&self, words: &[&str]) -> Output {
        Airlift::new(words)
            .env(
                "AIRLIFT_CONFIG",
                &text(&self.desk.path().join("airlift.toml")),
            )
            .run()
    }

    fn promote(&self, reference: &str, pipeline: &str, comment: &str) -> Value {
        let words = ["promote", reference, "--to", pipeline, "--comment", comment];
        let told = self.run(&[&words[..], &["--output", "json"]].concat());
        told.assert_success().json()
    }

    fn history(&self, of: &str) -> (Vec<Value>, String) {
        let state = text(&self.desk.path().join("state"));
        let words = ["history", of, "--state", &state];
        let told = self.run(&[&words[..], &["--output", "json"]].concat());
        let events = told.assert_success().json()["events"].clone();
        let shown = self.run(&words);
        (
            events.as_array().unwrap().clone(),
            shown.assert_success().stdout.clone(),
        )
    }
}

#[tokio::test]
async fn a_chain_of_registries_carries_everything_and_tells_its_history() {
    let Some(chain) = Chain::start_or_skip() else {
        return;
    };
    let Some(skopeo) = tool_or_skip("skopeo") else {
        return;
    };
    let nodes = five_nodes();
    chain.fill(&nodes.memory);
    let digest = nodes.m0.descriptor.digest.to_string();
    chain.promote("web:1.4", "rc", "tests have passed");
    let at_rc = format!("{}/apps/web:1.4", chain.rc.address());
    let at_prod = format!("{}/apps/web:1.4", chain.prod.address());
    // Nothing goes from the first to the last.
    let skipping = format!("{}/apps/web:1.4", chain.dev.address());
    let refused = ["promote", &skipping, "--to", "prod", "--comment", "hurry"];
    chain
        .run(&refused)
        .assert_code(5)
        .assert_stderr("from there goes `[promotion.rc]`");
    chain.promote("web:1.4", "prod", "approved");
    let dev = holdings(&chain.dev.address()).await;
    assert_eq!(holdings(&chain.rc.address()).await, dev);
    assert_eq!(holdings(&chain.prod.address()).await, dev);
    let raw = crate::support::real::run(
        &skopeo,
        &[
            "inspect",
            "--tls-verify=false",
            "--raw",
            &format!("docker://{at_prod}"),
        ],
    );
    assert!(
        raw.contains(&nodes.m2.descriptor.digest.to_string()),
        "{raw}"
    );
    let registry = crate::road::Journey::new()
        .connections()
        .registry(&chain.prod.address())
        .unwrap();
    let repository = "apps/web".parse().unwrap();
    let referrers = registry
        .referrers(&repository, &nodes.m0.descriptor.digest)
        .await
        .unwrap();
    let listed = referrers.iter().map(|it| &it.descriptor.digest);
    assert!(
        listed
            .into_iter()
            .any(|it| *it == nodes.s.descriptor.digest)
    );

    for of in [&at_rc, &at_prod, &digest] {
        let (events, shown) = chain.history(of);
        let (refused, events): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|it| it["kind"] == "refused");
        // Of the places that somebody had in mind, and not of content that never came there.
        assert_eq!(refused.len(), usize::from(of != &digest), "{shown}");
        assert!(refused.iter().all(|it| it["comment"] == "hurry"), "{shown}");
        let rows: Vec<_> = events
            .iter()
            .map(|it| {
                [&it["pipeline"], &it["target"], &it["comment"]]
                    .map(|it| it.as_str().unwrap().to_owned())
            })
            .collect();
        let expected = [
            ["rc", &at_rc, "tests have passed"].map(str::to_owned),
            ["prod", &at_prod, "approved"].map(str::to_owned),
        ];
        assert_eq!(rows, expected, "{shown}");
        assert!(events.iter().all(|it| it["who"].is_string()));
        let (first, second) = (shown.find("tests have passed"), shown.find("approved"));
        assert!(first.is_some() && first < second, "{shown}");
    }
}

#[tokio::test]
async fn an_overwritten_tag_keeps_its_rollback_tag_along_the_chain() {
    let Some(chain) = Chain::start_or_skip() else {
        return;
    };
    let put = |day: usize| {
        let memory = Memory::new();
        let repository = "apps/web".parse().unwrap();
        let created = format!("2020-01-{day:02}T00:00:00Z");
        let image = dated_image(&memory, &repository, "amd64", &created);
        let digest = image.descriptor.digest.to_string();
        memory.put_manifest(&repository, image, Some(&"1.4".parse().unwrap()));
        chain.fill(&memory);
        digest
    };
    let first = put(1);
    for pipeline in ["rc", "prod"] {
        chain.promote("web:1.4", pipeline, "first");
    }
    let second = put(2);
    chain.promote("web:1.4", "rc", "second");
    let told = chain.promote("web:1.4", "prod", "second");
    let artifact = &told["artifacts"][0];
    assert_eq!(
        (&artifact["digest"], &artifact["replaced"]),
        (&second.clone().into(), &first.clone().into())
    );
    let rollback_tag = artifact["rollbackTag"].as_str().unwrap();
    let held = holdings(&chain.prod.address()).await;
    let key = |tag: &str| ("apps/web".parse().unwrap(), tag.parse().unwrap());
    assert_eq!(held.0[&key(rollback_tag)].to_string(), first);
    assert_eq!(held.0[&key("1.4")].to_string(), second);
    let at_prod = format!("{}/apps/web:1.4", chain.prod.address());
    let (_, shown) = chain.history(&at_prod);
    assert!(
        shown.contains(&format!("which is kept as {rollback_tag}")),
        "{shown}"
    );
    let state = text(&chain.desk.path().join("state"));
    let back = [
        "rollback",
        &at_prod,
        "--state",
        &state,
        "--comment",
        "broken",
    ];
    chain.run(&back).assert_success();
    let held = holdings(&chain.prod.address()).await;
    assert_eq!(held.0[&key("1.4")].to_string(), first);
}
