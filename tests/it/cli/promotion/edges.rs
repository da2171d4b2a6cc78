//! Which edges there are: how references are named to them, and what is refused with the edges that exist.

use super::{Chain, FILE, tag};

#[test]
fn a_reference_is_named_by_registry_by_host_or_below_the_source() {
    let chain = Chain::new();
    for reference in [
        "web:1.4",
        "dev/apps/web:1.4",
        "DEV/team/apps/web:1.4",
        "DEV/team/apps/*",
    ] {
        let line = format!("{reference} --to rc --dry-run");
        chain
            .promote(&line)
            .assert_success()
            .assert_stdout("/team/apps/web:1.4 → ");
    }
    assert_eq!(chain.rc.log().count("PUT", "/"), 0);
    assert_eq!(chain.rc.log().count("POST", "/"), 0);
    assert_eq!(chain.runs().len(), 0, "a dry run is not recorded");
}

#[test]
fn what_is_outside_the_edge_is_refused_with_the_edges_that_there_are() {
    let chain = Chain::new();
    chain.put("team/tools/cc", "1", 1);
    for reference in [
        "dev/tools/cc:1",
        "DEV/team/tools/cc:1",
        "DEV/other/web:1",
        "DEV/team/apps:1",
        "DEV/team/app*/web",
        "rc/apps/web:1.4",
        "prod/web:1",
    ] {
        chain
            .promote(&format!("{reference} --to rc"))
            .assert_code(5)
            .assert_stderr("is not below `");
    }
    chain
        .promote("rc/apps/web:1.4 --to rc")
        .assert_stderr("from there goes `[promotion.prod]` to `");
    chain
        .promote("dev/tools/cc:1 --to rc")
        .assert_stderr("no pipeline promotes from there");
    chain.promote("apps/../web:1 --to rc").assert_code(2);
    chain
        .promote("web:1.4 --to rcc")
        .assert_code(2)
        .assert_stderr("did you mean `rc`?");
    assert!(chain.rc.log().all().is_empty(), "nothing was asked of it");
    let newest = chain.runs().remove(0);
    assert_eq!(
        (&newest["kind"], &newest["status"], &newest["pipeline"]),
        (&"promotion".into(), &"refused".into(), &"rc".into())
    );
    let reason = newest["reason"].as_str().unwrap();
    assert!(reason.contains("is not below"), "{reason}");
    let told = chain.desk.run("audit export --state state");
    assert!(
        told.stdout.contains(r#""kind":"refused""#),
        "{}",
        told.stdout
    );
}

#[test]
fn an_edge_of_flags_needs_no_file() {
    let chain = Chain::new();
    let (dev, rc) = (chain.dev.address(), chain.rc.address());
    let line = format!("promote {dev}/team/apps/web:1.4 --source {dev}/team --target {rc}/x");
    chain.command(&line, "").assert_code(2);
    chain
        .command(&line, "--comment by-hand")
        .assert_success()
        .assert_stderr("nothing of this is recorded");
    assert!(tag(&chain.rc, "x/apps/web", "1.4").is_some());
    chain
        .command(&line, "--comment by-hand --state state --check")
        .assert_success()
        .assert_stdout("unchanged")
        .assert_stdout("read back and right");
    assert_eq!(chain.runs()[0]["kind"], "promotion");
    chain
        .command("promote web:1 --source dev/team --target rc", "--comment x")
        .assert_code(2)
        .assert_stderr("expected `REGISTRY[/PREFIX]`");
    chain
        .command(
            &format!("promote web:1 --source {dev}/a --target {dev}/a"),
            "--comment x",
        )
        .assert_code(2)
        .assert_stderr("to itself");
}

/// Each is one change to the file, and words of the message.
const FAULTS: [(&str, &str, &str); 7] = [
    (
        "target = \"rc/apps\"",
        "target = \"rcc/apps\"",
        "did you mean `rc`?",
    ),
    (
        "target = \"rc/apps\"",
        "target = \"dev/apps\"",
        "cannot be promoted to itself",
    ),
    (
        "target = \"rc/apps\"",
        "target = \"oci:/srv/x\"",
        "`target` cannot be",
    ),
    ("target = \"rc/apps\"", "", "has no `target`"),
    ("\"web:1.4\"", "\"dev/apps/web:1.4\"", "is not below"),
    ("state = \"DESK/state\"", "", "`state` is missing"),
    (
        "target = \"prod\"",
        "target = \"rc/apps/tested\"",
        "can write the same tags as `[promotion.rc]`",
    ),
];

#[test]
fn a_file_with_a_wrong_edge_is_not_used() {
    let chain = Chain::new();
    for (from, to, words) in FAULTS {
        assert!(FILE.contains(from), "{from}");
        chain.configure(&FILE.replacen(from, to, 1));
        chain
            .run("config check")
            .assert_code(2)
            .assert_stderr(words);
    }
    let shared = FILE.replace(
        "target = \"prod\"",
        "target = \"rc/apps/tested\"\nshares-tags-with = \"rc\"",
    );
    chain.configure(&shared);
    chain.run("config check").assert_success();
    chain
        .run("config show")
        .assert_success()
        .assert_stdout("[promotion.rc]");
    let schema = chain.desk.run("config schema").stdout;
    assert!(schema.contains("\"promotion\""), "{schema}");
}
