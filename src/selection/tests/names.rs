//! Names that an import gives: rename rules and rollback tags, by examples and by laws.

use proptest::prelude::*;

use super::{now, tag};
use crate::oci::{Digest, Repository};
use crate::selection::{Overwritten, RenameRule, RenameRules, RollbackTag};

fn rules(texts: &[&str]) -> RenameRules {
    RenameRules::new(texts.iter().map(|it| it.parse().unwrap()).collect())
}

fn renamed(texts: &[&str], name: &str) -> String {
    let repository: Repository = name.parse().unwrap();
    rules(texts).apply(&repository).unwrap().to_string()
}

#[test]
fn repositories_are_renamed_by_the_first_rule_that_matches() {
    let map = ["library/nginx=base/nginx", "library/=mirror/docker.io/"];
    assert_eq!(renamed(&map, "library/nginx"), "base/nginx");
    assert_eq!(
        renamed(&map, "library/nginx/doc"),
        "mirror/docker.io/nginx/doc"
    );
    assert_eq!(renamed(&map, "library"), "library");
    assert_eq!(renamed(&map, "my/library/x"), "my/library/x");
    assert_eq!(renamed(&["=all/"], "a/b"), "all/a/b");
    assert_eq!(renamed(&["a/="], "a/b"), "b");
    let teams = ["~team-(.*)/(?<what>.*)=$1-x/${what}", "=rest/"];
    assert_eq!(renamed(&teams, "team-red/web"), "red-x/web");
    assert_eq!(renamed(&teams, "a/team-red/web"), "rest/a/team-red/web");
    assert_eq!(renamed(&["~(a)(b)?c=$1$2d"], "ac"), "ad");
    assert_eq!(renamed(&["~(.)(.)=$2_$1"], "ab"), "b_a");
}

#[test]
fn what_is_no_rule_is_refused_with_the_reason() {
    let reason = |text: &str| text.parse::<RenameRule>().unwrap_err().to_string();
    for (text, expected) in [
        ("library/", "expected `FROM=TO`"),
        ("library/=mirror", "both sides are prefixes"),
        ("library=mirror/", "both sides are prefixes"),
        ("library/=", ""),
        ("Library/=mirror/", "is not a repository"),
        ("a/=../", "is not a repository"),
        ("a=b:1", "is not a repository"),
        ("~(=x", "unclosed group"),
        ("~a)(b=x", "unopened group"),
        ("~(a)=$2", "has no group `2`"),
        ("~(a)=${b}", "has no group `b`"),
        ("~(a)=${1", "is not closed"),
        ("~(a)=x$", "wants a group"),
    ] {
        match expected {
            "" => assert!(text.parse::<RenameRule>().is_ok(), "{text}"),
            expected => assert!(reason(text).contains(expected), "{}", reason(text)),
        }
    }
}

#[test]
fn a_name_that_cannot_be_one_is_refused_with_the_rule() {
    let repository: Repository = "a/b".parse().unwrap();
    let error = rules(&["~a/(.*)=../$1"]).apply(&repository).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the rule `~a/(.*)=../$1` makes of `a/b` what cannot be a repository"
    );
    assert!(rules(&["~a/b="]).apply(&repository).is_err());
}

fn rollback(template: &str) -> String {
    let template: RollbackTag = template.parse().unwrap();
    let overwritten = Overwritten {
        tag: &tag("1.4"),
        run: "00aa",
        digest: &Digest::sha256(b"old"),
        now: now(),
    };
    template.render(overwritten).unwrap().to_string()
}

#[test]
fn rollback_tags_are_made_of_placeholders() {
    assert_eq!(rollback("{tag}-{run}"), "1.4-00aa");
    let digest = &Digest::sha256(b"old").hex()[..12];
    assert_eq!(rollback("old-{digest}"), format!("old-{digest}"));
    assert_eq!(rollback("{tag}_{date}.{run}"), "1.4_20261122.00aa");
    for (text, expected) in [
        ("{tag}-old", "it needs `{digest}`, or `{tag}` and `{run}`"),
        ("{run}", "it needs"),
        ("{tag}-{date}", "it needs"),
        ("{tag}-{time}", "`{time}` is none of"),
        ("{tag-{run}", "is none of"),
        ("{tag}{run", "is not closed"),
        ("{tag}:{run}", "is not a tag"),
        ("-{digest}", "is not a tag"),
    ] {
        let error = text.parse::<RollbackTag>().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_rollback_tag_that_is_too_long_is_an_error() {
    let template: RollbackTag = "{tag}-{run}".parse().unwrap();
    let overwritten = Overwritten {
        tag: &tag(&"x".repeat(128)),
        run: "00aa",
        digest: &Digest::sha256(b"old"),
        now: now(),
    };
    assert!(template.render(overwritten).is_err());
}

fn any_repository() -> impl Strategy<Value = String> {
    proptest::collection::vec("[a-z0-9]{1,4}", 1..4).prop_map(|parts| parts.join("/"))
}

fn any_rule() -> impl Strategy<Value = String> {
    prop_oneof![
        ("[a-c]", any_repository()).prop_map(|(from, to)| format!("{from}/={to}/")),
        (any_repository(), any_repository()).prop_map(|(from, to)| format!("{from}={to}")),
        any_repository().prop_map(|to| format!("~(.*)/(.*)={to}/$2-$1")),
        Just("~(.*)a(.*)=$1//$2".to_owned()),
    ]
}

proptest! {
    /// What comes out is the name, or what the first rule makes of it; rules behind that change nothing.
    #[test]
    fn rules_behind_the_first_that_matches_change_nothing(
        texts in proptest::collection::vec(any_rule(), 0..4),
        name in any_repository(),
    ) {
        let repository: Repository = name.parse().unwrap();
        let all: Vec<&str> = texts.iter().map(String::as_str).collect();
        let whole = rules(&all).apply(&repository);
        let decides = all.iter().position(|text| {
            rules(&[text]).apply(&repository).as_ref() != Ok(&repository)
        });
        if let Some(first) = decides {
            let alone = rules(&all[..=first]).apply(&repository);
            prop_assert_eq!(&alone, &whole);
        } else {
            prop_assert_eq!(whole, Ok(repository));
        }
    }

    /// A prefix map keeps different names different, and everything below its prefix.
    #[test]
    fn a_prefix_map_is_one_to_one(one in any_repository(), other in any_repository()) {
        let map = ["a/=x/y/"];
        prop_assert_eq!(
            renamed(&map, &format!("a/{one}")) == renamed(&map, &format!("a/{other}")),
            one == other
        );
        let below = renamed(&map, &format!("a/{one}"));
        prop_assert!(below.starts_with("x/y/"));
    }
}
