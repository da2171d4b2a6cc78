//! The grammar by examples, and laws that hold for any rules and tags.

mod names;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::oci::{Repository, Tag};

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn candidates(tags: &[&str]) -> Vec<Candidate> {
    let candidate = |text: &&str| Candidate {
        tag: tag(text),
        role: match text.starts_with("sha256-") {
            true => TagRole::Referrer,
            false => TagRole::Artifact,
        },
    };
    tags.iter().map(candidate).collect()
}

fn created(days_ago: i64) -> Facts {
    let seconds = now().as_second() - days_ago * 86_400;
    Facts {
        created: Some(Timestamp::from_second(seconds).unwrap()),
        platforms: vec!["linux/amd64".parse().unwrap()],
        artifact_type: None,
    }
}

/// Verdicts, and which tags had to be known on the way.
fn decide(
    rules: &Rules,
    candidates: &[Candidate],
    facts: &HashMap<Tag, Option<Facts>>,
) -> (Vec<Judged>, Vec<Tag>) {
    let mut known = HashMap::new();
    let mut asked = Vec::new();
    loop {
        match evaluate(rules, candidates, &known, now()) {
            Evaluation::Decided(judged) => return (judged, asked),
            Evaluation::Needs(needs) => {
                for tag in needs {
                    assert!(!known.contains_key(&tag), "{tag} is asked for twice");
                    known.insert(tag.clone(), facts.get(&tag).cloned().flatten());
                    asked.push(tag);
                }
            }
        }
    }
}

fn taken(judged: &[Judged]) -> Vec<&str> {
    let taken = judged.iter().filter(|it| it.verdict.is_taken());
    taken.map(|it| it.tag.as_str()).collect()
}

/// What is taken by rules that need names only.
fn taken_by_name<'a>(rules: &Rules, tags: &[&'a str]) -> Vec<&'a str> {
    let (judged, asked) = decide(rules, &candidates(tags), &HashMap::new());
    assert!(asked.is_empty());
    let is_taken = |text: &&&str| taken(&judged).contains(*text);
    tags.iter().filter(is_taken).copied().collect()
}

fn newest(count: u32, by: NewestBy) -> Rules {
    Rules {
        newest: Some(Newest { count, by }),
        ..Rules::default()
    }
}

const TAGS: [&str; 8] = [
    "1.24.9",
    "1.25",
    "1.25.3",
    "1.25.10",
    "1.25.3-alpine",
    "2.0.0-rc.1",
    "latest",
    "sha256-abc.sig",
];

#[test]
fn names_decide_by_themselves() {
    let all = taken_by_name(&Rules::default(), &TAGS);
    assert_eq!(all, TAGS[..7]);
    let by = |change: &dyn Fn(&mut Rules)| {
        let mut rules = Rules::default();
        change(&mut rules);
        taken_by_name(&rules, &TAGS)
    };
    let pattern = |text: &str| Some(text.parse().unwrap());
    assert_eq!(by(&|it| it.tags = pattern("1")), [""; 0]);
    assert_eq!(by(&|it| it.tags = pattern("la|latest")), ["latest"]);
    assert_eq!(by(&|it| it.tags = pattern(r"1\.25.*")).len(), 4);
    assert_eq!(by(&|it| it.exclude_tags = pattern(".*[a-z].*")).len(), 4);
    let range = |text: &str| Some(text.parse().unwrap());
    assert_eq!(by(&|it| it.versions = range("*")), TAGS[..4]);
    assert_eq!(by(&|it| it.versions = range(">=1.25, <2")), TAGS[1..4]);
    assert_eq!(by(&|it| it.versions = range(">=2.0.0-rc")), ["2.0.0-rc.1"]);
    assert_eq!(
        by(&|it| it.newest = newest(0, NewestBy::Created).newest),
        [""; 0]
    );
    let two = newest(2, NewestBy::Version);
    assert_eq!(taken_by_name(&two, &TAGS), ["1.25.10", "2.0.0-rc.1"]);
}

#[test]
fn what_is_kept_for_rollback_is_left_whatever_the_rules() {
    let mut tags = candidates(&["1.2", "1.2-01a"]);
    tags[1].role = TagRole::Rollback;
    for rules in [Rules::default(), newest(5, NewestBy::Created)] {
        let facts = HashMap::from([(tag("1.2"), Some(created(1)))]);
        let (judged, asked) = decide(&rules, &tags, &facts);
        assert_eq!(taken(&judged), ["1.2"]);
        let left = &judged[1].verdict;
        assert_eq!(*left, Verdict::Left(Left::KeptForRollback));
        assert_eq!(left.to_string(), "is kept for rollback");
        assert!(!asked.contains(&tag("1.2-01a")), "nothing is read of it");
    }
}

#[test]
fn a_group_says_where_the_version_is() {
    let rules = Rules {
        tags: Some("(?<version>[0-9.]+)-alpine.*".parse().unwrap()),
        versions: Some("*".parse().unwrap()),
        ..newest(2, NewestBy::Version)
    };
    let tags = [
        "1.9.0-alpine",
        "1.10.0-alpine3.18",
        "1.11.0",
        "1.2.0-alpine",
        "x-alpine",
    ];
    assert_eq!(
        taken_by_name(&rules, &tags),
        ["1.9.0-alpine", "1.10.0-alpine3.18"]
    );
}

#[test]
fn of_each_minor_version_the_newest_patch_is_taken() {
    let rules = Rules {
        versions: Some("*".parse().unwrap()),
        takes_newest_patch_only: true,
        ..Rules::default()
    };
    let (judged, _) = decide(&rules, &candidates(&TAGS), &HashMap::new());
    assert_eq!(taken(&judged), ["1.24.9", "1.25.10"]);
    let reason = |text: &str| {
        let judged = judged.iter().find(|it| it.tag.as_str() == text).unwrap();
        (judged.verdict.rule(), judged.verdict.to_string())
    };
    assert_eq!(
        reason("1.25.3"),
        (Some("newest-patch"), "`1.25.10` is newer".to_owned())
    );
    assert_eq!(
        reason("latest"),
        (Some("versions"), "is no version".to_owned())
    );
    assert_eq!(reason("1.24.9").1, "the newest of 1.24");
}

#[test]
fn only_what_decides_is_asked_for() {
    let tags: Vec<String> = (0..500).map(|number| format!("1.{number}.0")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let facts = |days: &dyn Fn(i64) -> i64| -> HashMap<Tag, Option<Facts>> {
        let numbered = (0..).zip(&tags);
        numbered
            .map(|(number, text)| (tag(text), Some(created(days(number)))))
            .collect()
    };
    let cool = Rules {
        min_age: Some(Duration::from_hours(72)),
        ..newest(3, NewestBy::Version)
    };
    // The newest ten are too young.
    let (judged, asked) = decide(
        &cool,
        &candidates(&tags),
        &facts(&|number| (499 - number) / 3),
    );
    assert_eq!(taken(&judged), ["1.488.0", "1.489.0", "1.490.0"]);
    assert!(asked.len() <= 15, "{asked:?}");
    let (_, asked) = decide(
        &newest(0, NewestBy::Created),
        &candidates(&tags),
        &HashMap::new(),
    );
    assert!(asked.is_empty());
    let by_time = newest(2, NewestBy::Created);
    let (judged, asked) = decide(&by_time, &candidates(&tags), &facts(&|number| number));
    assert_eq!((taken(&judged), asked.len()), (vec!["1.0.0", "1.1.0"], 500));
}

/// Each round looks at all tags: one round for each tag would never end.
#[test]
fn a_long_list_that_fails_takes_few_rounds() {
    let tags: Vec<String> = (0..3000).map(|number| format!("1.0.{number}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let candidates = candidates(&tags);
    let cool = |rules| Rules {
        min_age: Some(Duration::from_hours(72)),
        ..rules
    };
    let patches = Rules {
        takes_newest_patch_only: true,
        ..Rules::default()
    };
    for rules in [cool(newest(1, NewestBy::Version)), cool(patches)] {
        let mut known = HashMap::new();
        let mut rounds = 0;
        while let Evaluation::Needs(needs) = evaluate(&rules, &candidates, &known, now()) {
            rounds += 1;
            known.extend(needs.into_iter().map(|tag| (tag, Some(created(1)))));
        }
        assert!(rounds <= 30, "{rounds}");
        assert_eq!(known.len(), tags.len());
    }
}

#[test]
fn what_a_rule_cannot_know_is_left() {
    let rules = Rules {
        min_age: Some(Duration::from_hours(1)),
        ..Rules::default()
    };
    let epoch = Facts {
        created: Some(Timestamp::UNIX_EPOCH),
        ..Facts::default()
    };
    let facts = HashMap::from([
        (tag("epoch"), Some(epoch)),
        (tag("unknown"), Some(Facts::default())),
        (tag("ahead"), Some(created(-3))),
        (tag("old"), Some(created(3))),
    ]);
    let tags = candidates(&["ahead", "epoch", "gone", "old", "unknown"]);
    let (judged, _) = decide(&rules, &tags, &facts);
    assert_eq!(taken(&judged), ["old"]);
    let reasons: Vec<String> = judged.iter().map(|it| it.verdict.to_string()).collect();
    assert_eq!(
        reasons[0],
        "was created 2026-11-25T12:00:00Z, and is too young"
    );
    assert_eq!(reasons[1], "does not say when it was created");
    assert_eq!(reasons[2], "was removed meanwhile");
    assert_eq!(reasons[3], "all rules hold");
}

#[test]
fn patterns_match_whole_names() {
    let takes = |include: &str, exclude: &[&str], name: &str| {
        let selection = RepositorySelection {
            include: vec![include.parse().unwrap()],
            exclude: exclude.iter().map(|it| it.parse().unwrap()).collect(),
        };
        selection.takes(&name.parse::<Repository>().unwrap())
    };
    assert!(takes("apps/*", &[], "apps/web"));
    assert!(!takes("apps/*", &[], "apps/web/api"));
    assert!(takes("apps/**", &[], "apps/web/api"));
    assert!(takes("**", &[], "apps/web/api"));
    assert!(!takes("apps/**", &["**/*-dev"], "apps/web-dev"));
    assert!(takes("{apps,base}/web", &[], "base/web"));
    assert!(!takes("web", &[], "apps/web"));
    for (text, reason) in [
        ("Apps/*", "lower case"),
        ("apps/[a", "unclosed"),
        ("", "empty"),
    ] {
        let error = text.parse::<RepositoryPattern>().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let names = |texts: &[&str]| {
        let selection = RepositorySelection {
            include: texts.iter().map(|it| it.parse().unwrap()).collect(),
            exclude: Vec::new(),
        };
        selection.names().map(|names| names.len())
    };
    assert_eq!(names(&["apps/web", "apps/api", "apps/web"]), Some(2));
    assert_eq!(names(&["apps/web", "apps/*"]), None);
}

#[test]
fn mistakes_in_rules_are_explained() {
    let error = |text: &str| text.parse::<TagPattern>().unwrap_err().to_string();
    assert!(error("v(1").contains("`v(1` is no regular expression for tags: unclosed group"));
    assert!(
        error("a)|(b").contains("unopened group"),
        "{}",
        error("a)|(b")
    );
    let error = |text: &str| text.parse::<VersionRange>().unwrap_err().to_string();
    assert!(
        error(">=1.2 <2").starts_with("`>=1.2 <2` is no range of versions, such as `>=1.25, <2`")
    );
}

fn any_tag() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..3_u8, 0..4_u8, 0..5_u8).prop_map(|(a, b, c)| format!("{a}.{b}.{c}")),
        1 => (0..3_u8, 0..4_u8).prop_map(|(a, b)| format!("v{a}.{b}")),
        1 => (0..3_u8, 0..4_u8, 0..3_u8).prop_map(|(a, b, c)| format!("{a}.{b}.0-rc.{c}")),
        1 => Just("latest".to_owned()),
    ]
}

fn any_facts() -> impl Strategy<Value = Option<Facts>> {
    prop_oneof![
        8 => (-2..20_i64).prop_map(|days| Some(created(days))),
        1 => Just(Some(Facts::default())),
        1 => Just(None),
    ]
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let age = || proptest::option::of((0..12_u64).prop_map(|days| Duration::from_hours(24 * days)));
    let pattern = proptest::option::of(prop_oneof![Just("[0-9.]+"), Just(".*"), Just("v?1.*")]);
    let range = proptest::option::of(prop_oneof![Just("*"), Just(">=1.1"), Just("~1.2")]);
    let by = prop_oneof![Just(NewestBy::Created), Just(NewestBy::Version)];
    let newest = proptest::option::of((0..5_u32, by));
    let platforms = prop_oneof![
        Just(vec![]),
        Just(vec!["linux/amd64"]),
        Just(vec!["linux/arm64"])
    ];
    (
        pattern,
        range,
        age(),
        age(),
        any::<bool>(),
        newest,
        platforms,
    )
        .prop_map(
            |(tags, versions, min_age, max_age, takes_newest_patch_only, newest, platforms)| {
                Rules {
                    tags: tags.map(|it| it.parse().unwrap()),
                    versions: versions.map(|it| it.parse().unwrap()),
                    platforms: platforms.iter().map(|it| it.parse().unwrap()).collect(),
                    min_age,
                    max_age,
                    takes_newest_patch_only,
                    newest: newest.map(|(count, by)| Newest { count, by }),
                    ..Rules::default()
                }
            },
        )
}

proptest! {
    /// Asking little comes to the same as knowing everything; so does any order of the tags.
    #[test]
    fn how_facts_are_learned_changes_nothing(
        rules in any_rules(),
        tags in proptest::collection::hash_map(any_tag(), any_facts(), 0..40),
    ) {
        let facts: HashMap<Tag, Option<Facts>> =
            tags.iter().map(|(text, facts)| (tag(text), facts.clone())).collect();
        let names: Vec<&str> = tags.keys().map(String::as_str).collect();
        let candidates = candidates(&names);
        let (lazy, asked) = decide(&rules, &candidates, &facts);
        let eager = evaluate(&rules, &candidates, &facts, now());
        prop_assert_eq!(&eager, &Evaluation::Decided(lazy.clone()));
        prop_assert!(rules.need_facts() || asked.is_empty());
        let mut backwards = candidates.clone();
        backwards.reverse();
        let (mut other, _) = decide(&rules, &backwards, &facts);
        other.reverse();
        prop_assert_eq!(&other, &lazy);
        let count = taken(&lazy).len();
        prop_assert!(rules.newest.is_none_or(|newest| count <= newest.count as usize));
    }

    /// A rule more never takes a tag more, but for those that `newest` and `newest-patch` bring up.
    #[test]
    fn an_excluded_tag_is_never_taken(
        rules in any_rules(),
        tags in proptest::collection::hash_map(any_tag(), any_facts(), 0..40),
    ) {
        let facts = tags.iter().map(|(text, facts)| (tag(text), facts.clone())).collect();
        let names: Vec<&str> = tags.keys().map(String::as_str).collect();
        let excluding = Rules { exclude_tags: Some("1.*".parse().unwrap()), ..rules };
        let (judged, asked) = decide(&excluding, &candidates(&names), &facts);
        prop_assert!(taken(&judged).iter().all(|text| !text.starts_with('1')));
        prop_assert!(asked.iter().all(|it| !it.as_str().starts_with('1')));
    }
}
