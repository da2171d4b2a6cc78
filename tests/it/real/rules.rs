//! Import rules between real registries: a part of a bundle under other names, a tag that is overwritten and keeps a
//! rollback tag, and its way back.

use airlift::content::Memory;

use super::holdings::holdings;
use super::{Ends, export, fixture, import, text};
use crate::support::artifacts::dated_image;
use crate::support::command::{Airlift, Output, airlift};
use crate::support::registry::Registry;

/// Puts images of these days of January into the source under their tags.
fn fill(ends: &Ends, images: &[(&str, &str, usize)]) {
    let memory = Memory::new();
    for (name, tag, day) in images {
        let repository = name.parse().unwrap();
        let created = format!("2020-01-{day:02}T00:00:00Z");
        let image = dated_image(&memory, &repository, "amd64", &created);
        memory.put_manifest(&repository, image, Some(&tag.parse().unwrap()));
    }
    let fake = Registry::start();
    fake.seed(&memory);
    let container = tempfile::tempdir().unwrap();
    let all = format!("{}/**", fake.address());
    export(&[&all], container.path()).run().assert_success();
    let source = ends.source.address();
    import(container.path(), &source).run().assert_success();
}

async fn names_at(address: &str) -> Vec<String> {
    let held = holdings(address).await;
    let names = held.0.keys().map(|(name, tag)| format!("{name}:{tag}"));
    names.collect()
}

/// Exports everything as the next bundle of a pipeline.
fn ship(ends: &Ends, state: &str) {
    let (container, key) = (
        text(ends.container.path()),
        text(&fixture("keys/snakeoil-p256")),
    );
    let all = format!("{}/**", ends.source.address());
    let arguments = [
        "export",
        &all,
        "--container",
        &container,
        "--sign-key",
        &key,
    ];
    let more = ["--pipeline", "plant", "--state", state];
    Airlift::new(&[&arguments[..], &more].concat())
        .run()
        .assert_success();
}

fn bring(ends: &Ends, state: &str, rules: &[&str]) -> Output {
    let (container, key) = (
        text(ends.container.path()),
        text(&fixture("keys/snakeoil-p256.pub")),
    );
    let target = format!("{}/mirror", ends.target.address());
    let arguments = ["import", &container, "--target", &target, "--trust", &key];
    airlift(&[&arguments[..], &["--state", state, "--check"], rules].concat())
}

#[tokio::test]
async fn a_part_is_renamed_overwritten_and_put_back() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    let states = tempfile::tempdir().unwrap();
    let (near, far) = (states.path().join("near"), states.path().join("far"));
    let (near, far) = (text(&near), text(&far));
    let releases = [
        ("apps/web", "release-v1.1", 20),
        ("apps/web", "release-v1.2", 2),
        ("apps/web", "release-v1.3", 3),
        ("apps/web", "release-v1.4", 4),
        ("apps/web", "main", 28),
        ("tools/cc", "release-v9", 1),
    ];
    fill(&ends, &releases);
    ship(&ends, &near);
    let rules = [
        "--repositories",
        "apps/**",
        "--tags",
        "release-v.*",
        "--newest",
        "3",
        "--rename",
        "apps/=team/",
        "--rollback-tag",
        "{tag}-{digest}",
    ];
    let brought = bring(&ends, &far, &rules);
    brought
        .assert_success()
        .assert_stderr("3 of 6 artifacts selected");
    let expected = ["release-v1.1", "release-v1.3", "release-v1.4"];
    let expected = expected.map(|tag| format!("mirror/team/web:{tag}"));
    assert_eq!(names_at(&ends.target.address()).await, expected);

    let before = holdings(&ends.target.address()).await;
    fill(&ends, &[("apps/web", "release-v1.4", 25)]);
    ship(&ends, &near);
    bring(&ends, &far, &[&rules[..], &["--existing", "keep"]].concat())
        .assert_success()
        .assert_stdout("kept ");
    let overwritten = bring(
        &ends,
        &far,
        &[&rules[..], &["--replays", "deliver"]].concat(),
    );
    overwritten.assert_success().assert_stdout("replaces ");
    let key = (
        "mirror/team/web".parse().unwrap(),
        "release-v1.4".parse().unwrap(),
    );
    let now = holdings(&ends.target.address()).await;
    assert_ne!(now.0[&key], before.0[&key]);
    let rollback_tag = format!("mirror/team/web:release-v1.4-{}", before.0[&key].short());
    let names = names_at(&ends.target.address()).await;
    assert!(names.contains(&rollback_tag), "{names:?}");

    let reference = format!("{}/mirror/team/web:release-v1.4", ends.target.address());
    let arguments = ["rollback", &reference, "--state", &far, "--comment", "x"];
    airlift(&arguments).assert_success();
    let back = holdings(&ends.target.address()).await;
    assert_eq!(back.0[&key], before.0[&key]);
}
