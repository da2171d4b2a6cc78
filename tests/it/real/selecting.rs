//! A rule as other registries' import rules have it, between real ones: the newest three releases of every
//! repository, and what the target has stays.

use airlift::content::Memory;
use airlift::oci::{Repository, Tag};

use super::holdings::holdings;
use super::{Ends, export, import};
use crate::support::artifacts::dated_image;
use crate::support::command::airlift;
use crate::support::registry::Registry;

const RULE: [&str; 4] = ["--tags", "release-v.*", "--newest", "3"];

/// Five releases and a branch of one, one release of the other.
fn releases() -> Registry {
    let memory = Memory::new();
    let put = |name: &str, tag: &str, day: usize| {
        let repository: Repository = name.parse().unwrap();
        let created = format!("2020-01-{day:02}T00:00:00Z");
        let image = dated_image(&memory, &repository, "amd64", &created);
        let tag: Tag = tag.parse().unwrap();
        memory.put_manifest(&repository, image, Some(&tag));
    };
    // The oldest number is not the oldest image: a fix of an old release is the newest.
    for (number, day) in [(1, 20), (2, 2), (3, 3), (4, 4), (5, 5)] {
        put("apps/web", &format!("release-v1.{number}"), day);
    }
    put("apps/web", "main", 28);
    put("apps/deep/api", "release-v0.1", 1);
    put("tools/cc", "release-v9", 1);
    let registry = Registry::start();
    registry.seed(&memory);
    registry
}

#[tokio::test]
async fn the_newest_releases_are_found_in_a_real_catalog() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    let fake = releases();
    let everything = tempfile::tempdir().unwrap();
    let all = format!("{}/**", fake.address());
    export(&[&all], everything.path()).run().assert_success();
    let source = ends.source.address();
    import(everything.path(), &source).run().assert_success();

    let glob = format!("{source}/apps/**");
    let selected = airlift(&[&["select", &glob], &RULE[..]].concat());
    let expected = [
        "deep/api:release-v0.1",
        "web:release-v1.1",
        "web:release-v1.4",
        "web:release-v1.5",
    ];
    let expected = expected.map(|it| format!("{source}/apps/{it}\n"));
    assert_eq!(selected.assert_success().stdout, expected.concat());
    selected.assert_stderr("4 of 7 tags in 2 repositories selected; newest by creation time");

    let exported = ends.export(&[&[glob.as_str()], &RULE[..]].concat());
    exported.assert_success().assert_stdout("4 artifacts");
    let target = ends.target.address();
    ends.import(&target).assert_success();
    let delivered = holdings(&target).await;
    let names = delivered
        .0
        .keys()
        .map(|(name, tag)| format!("{name}:{tag}"));
    let names: Vec<String> = names.collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let again = ends.export(&[&[glob.as_str()], &RULE[..]].concat());
    again.assert_success().assert_stdout("unchanged");
}
